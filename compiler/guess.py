"""A value that does not fit -> how it was probably meant, and what to do about it."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

from compiler import wording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Path = tuple["str | int", ...]
Schema = dict[str, Any]

TRUE, FALSE = ("yes", "on", "y", "true", "1"), ("no", "off", "n", "false", "0")

FOREIGN = {
    "after": ("depends_on", "depends", "dependencies", "requires", "needs", "wait_for", "links"),
    "base": ("from", "image", "parent"),
    "bind": ("host", "source", "device"),
    "budget": ("max_size", "size"),
    "build": ("builder", "stage"),
    "capabilities": ("cap_add", "caps"),
    "command": ("cmd", "entrypoint", "exec", "run", "args", "start"),
    "content": ("text", "inline", "data"),
    "deny": ("forbid", "block"),
    "directory": ("working_dir", "workdir", "cwd", "dir", "chdir"),
    "environment": ("env", "envs", "variables", "vars", "env_vars", "args"),
    "files": ("configs", "config", "configuration"),
    "health": ("healthcheck", "health_check"),
    "install": ("destination", "dest", "target", "to", "path"),
    "interval": ("period", "every"),
    "memory": ("mem", "mem_limit", "ram"),
    "mount": ("path", "target", "mountpoint", "destination"),
    "name": ("project", "app"),
    "packages": ("apk", "apt", "pkgs", "dependencies"),
    "path": ("file", "src", "source"),
    "port": ("ports", "expose", "listen"),
    "ports": ("publish", "expose"),
    "prebuilt": ("local", "file", "path"),
    "publish": ("host", "host_port", "published", "port"),
    "ready": ("healthcheck", "health_check", "health", "readiness", "probe"),
    "redirect": ("return", "to", "url", "location"),
    "run": ("commands", "command", "script", "steps"),
    "secret": ("password", "password_secret"),
    "service": ("proxy", "proxy_pass", "upstream", "backend", "target"),
    "settings": ("environment", "env", "variables"),
    "sha256": ("checksum", "sha", "hash", "digest", "sha256sum"),
    "source": ("context", "src", "path", "file"),
    "start": ("start_period",),
    "static": ("root", "directory", "dir", "files", "serve"),
    "target": ("container_port", "port"),
    "user": ("account", "username", "uid", "run_as"),
    "writable": ("tmpfs",),
}
"""Our words, and what other tools call the same."""

MAX_WORDS = 1000

_UNITS = {
    "k": "KB",
    "m": "MB",
    "g": "GB",
    "ki": "KiB",
    "mi": "MiB",
    "gi": "GiB",
    "sec": "s",
    "secs": "s",
    "seconds": "s",
}
_UNITS |= {"second": "s", "min": "m", "mins": "m", "minutes": "m", "minute": "m", "hours": "h", "hour": "h", "b": "B"}
_UNITS |= {"kb": "KB", "mb": "MB", "gb": "GB", "kib": "KiB", "mib": "MiB", "gib": "GiB", "msec": "ms"}


class Coerced(NamedTuple):
    """A value of the right kind, how to write it, and where its parts stood: new path -> old path."""

    value: Any
    hint: str
    moved: dict[Path, Path]

    def source(self, value: Any, old: Path) -> Any:
        """The part of ``value`` at ``old``."""
        for step in old:
            value = value[step]
        return value


Resolve = "Callable[[Schema], Schema]"


def coerce(value: Any, schema: Schema, path: Path, resolve: Callable[[Schema], Schema]) -> Coerced | None:
    """The value as somebody meant it who wrote another kind than is wanted, nothing where that cannot be told."""
    for option in schema.get("options", (schema,)):
        for kind in wording.kinds(option):
            found = _AS[kind](value, option, path, resolve) if kind in _AS else None
            if found is not None:
                return found
    return None


def _as_text(value: Any, schema: Schema, _: Path, __: Callable[[Schema], Schema]) -> Coerced | None:
    if not isinstance(value, (int, bool)):
        return None
    text = wording.shown(value)
    if wording.fits(text, schema):
        return Coerced(text, f'quote it: "{text}"', {})
    fixed = fitting(text, schema)
    return Coerced(fixed, f"write {fixed}", {}) if fixed is not None else None


def _as_number(value: Any, _: Schema, __: Path, ___: Callable[[Schema], Schema]) -> Coerced | None:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return None
    number = int(value)
    zeros = " and without leading zeros" if value.strip() != str(number) else ""
    return Coerced(number, f"write {number}, without quotes{zeros}", {})


def _as_switch(value: Any, _: Schema, __: Path, ___: Callable[[Schema], Schema]) -> Coerced | None:
    word = str(value).strip().lower()
    if isinstance(value, (str, int)) and word in (*TRUE, *FALSE):
        quotes = ", without quotes" if word in ("true", "false") else ""
        return Coerced(word in TRUE, f"write {'true' if word in TRUE else 'false'}{quotes}", {})
    return None


def _as_list(value: Any, schema: Schema, path: Path, resolve: Callable[[Schema], Schema]) -> Coerced | None:
    if isinstance(value, dict):
        items: list[Any] = list(value)
        moved: dict[Path, Path] = {(index,): (key,) for index, key in enumerate(items)}
    elif isinstance(value, (str, int)) and value != "":
        items = _words(wording.shown(value), path)
        moved = dict.fromkeys(((index,) for index in range(len(items))), ())
    else:
        return None
    inner = resolve(schema.get("items", {}))
    if not items or not all(_takes(item, inner) for item in items):
        return None
    return Coerced(items, f"write {wording.flow(items)}", moved)


def _words(text: str, path: Path) -> list[Any]:
    field = path[-1] if path else ""
    if field in ("run", "prepare"):
        return [text]
    if field in ("command", "exec"):
        try:
            return [int(word) if re.fullmatch(r"0|[1-9][0-9]{0,8}", word) else word for word in shlex.split(text)]
        except ValueError:
            return [text]
    return [word for word in re.split(r"[,\s]+", text) if word]


def _as_mapping(value: Any, schema: Schema, path: Path, resolve: Callable[[Schema], Schema]) -> Coerced | None:
    if isinstance(value, list):
        return _listed(value, schema, resolve)
    properties = schema.get("properties", {})
    required = schema.get("required", ())
    if value is None:
        return Coerced({}, _emptied(schema, path), {}) if not required and not schema.get("minProperties") else None
    if not isinstance(value, (str, int)):
        return None
    candidates = required if len(required) == 1 else () if required else properties
    fitting_ = [key for key in candidates if _takes(value, resolve(properties[key]))]
    if len(fitting_) != 1:
        return None
    key = fitting_[0]
    name = f"{path[-1]}: " if path and isinstance(path[-1], str) else ""
    return Coerced({key: value}, f"write {name}{wording.flow({key: value})}", {(key,): ()})


def _emptied(schema: Schema, path: Path) -> str:
    name = path[-1] if path else ""
    if "preset" in schema.get("properties", {}):
        return f"give it a preset or a command: write {name}: {{preset: NAME}} or {name}: {{command: [...]}}"
    examples = schema.get("examples", ())
    shown = f"{name}: {wording.flow(examples[0])}" if examples else ""
    if len(path) == 1:
        return f"write {shown}, or remove the key"
    return f"write {name}: {{}} if there is nothing to say{', otherwise something like ' + shown if shown else ''}"


def _listed(value: list[Any], schema: Schema, resolve: Callable[[Schema], Schema]) -> Coerced | None:
    """Keys and values that were written as a list: of names, of NAME=VALUE, or of mappings with one key each."""
    made: dict[str, Any] = {}
    moved: dict[Path, Path] = {}
    inner = schema.get("additionalProperties")
    inner = resolve(inner) if isinstance(inner, dict) else {}
    hint = ""
    for index, item in enumerate(value):
        if isinstance(item, dict) and len(item) == 1:
            key, content = next(iter(item.items()))
            moved[key,] = (index, key)
            hint = "these are keys, not a list: remove the dashes"
        elif isinstance(item, str) and "object" in wording.kinds(inner) and not _needs(inner):
            key, content = item, {}
            moved[key,] = (index,)
        elif isinstance(item, str) and "=" in item and "string" in wording.kinds(inner):
            key, _, content = item.partition("=")
            moved[key,] = (index,)
        else:
            return None
        if key in made:
            return None
        made[key] = content
    if not made or (
        not isinstance(schema.get("additionalProperties"), dict) and not set(made) <= set(schema.get("properties", ()))
    ):
        return None
    return Coerced(made, hint or f"write {wording.flow(made)}", moved)


def _needs(schema: Schema) -> bool:
    """Whether a mapping must have keys: those that are required, or a preset or command."""
    return bool(schema.get("required")) or "preset" in schema.get("properties", {})


_AS: dict[str, Callable[[Any, Schema, Path, Callable[[Schema], Schema]], Coerced | None]] = {
    "string": _as_text,
    "integer": _as_number,
    "boolean": _as_switch,
    "array": _as_list,
    "object": _as_mapping,
}


def _takes(value: Any, schema: Schema) -> bool:
    """Whether a single value fits a schema as it is."""
    if "enum" in schema:
        return value in schema["enum"]
    return (
        wording.kind(value) in wording.kinds(schema)
        and wording.fits(str(value), schema)
        and not wording.limit(value, schema)
    )


def words(data: Any) -> list[str]:
    """Every word of a spec that could be a name, each once."""
    found: dict[str, None] = {}
    stack = [data]
    while stack and len(found) < MAX_WORDS:
        item = stack.pop()
        if isinstance(item, dict):
            stack += item.values()
        elif isinstance(item, list):
            stack += item
        elif isinstance(item, str):
            found |= dict.fromkeys(re.findall(r"[A-Za-z][A-Za-z0-9_-]*", item))
    return list(found)


def example(schema: Schema) -> Any:
    """An example of what the schema describes, without references, nothing where none can be made."""
    for found in schema.get("examples", ()):
        if "${" not in str(found):
            return found
    kinds = wording.kinds(schema)
    if "string" in kinds:
        plain = ("x", "/x", "1s", "1MB", "0755", "W001", "0" * 64, "assets/", "127.0.0.1", "http://x/", "x.example")
        return next((text for text in plain if wording.fits(text, schema)), "x")
    if "integer" in kinds:
        return schema.get("minimum", 1)
    return {"boolean": False, "array": [], "object": {}}.get(next(iter(kinds), ""), "x")


def fitting(text: str, schema: Schema) -> str | None:
    """A text as little changed as possible so that it has the form that is wanted."""
    for changed in _variants(text):
        if changed != text and wording.fits(changed, schema) and not wording.limit(changed, schema):
            return changed
    return None


def _variants(text: str) -> Iterator[str]:
    bare = text.strip()
    yield bare
    if "\n" in bare or ".." in bare.split("/"):
        return
    number = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", bare)
    if number:
        amount, unit = number.groups()
        yield amount + _UNITS.get(unit.lower(), unit)
        if not unit:
            yield from (amount + "s", amount + "MB")
        if unit in ("m", "M"):
            yield amount + "MB"
        return
    yield bare.rstrip("/")
    yield bare.removeprefix("./").rstrip("/")
    yield re.sub(r"//+", "/", bare).rstrip("/")
    yield bare.lower()
    if not bare.startswith("/"):
        yield "/" + bare
        yield bare + "/"
    yield re.sub(r"\s+(?=[0-9])", ":", bare.lower())
    for letter in "-_":
        yield re.sub(r"[^a-z0-9/.:@]+", letter, re.sub(r"(?<=[a-z0-9])(?=[A-Z])", letter, bare).lower()).strip("-_")
    if "/" not in bare:
        yield re.sub(r"[^A-Za-z0-9]+", "_", bare).strip("_")
    yield bare.upper().removeprefix("CAP_")


def hint(fixed: str | None, schema: Schema) -> str:
    """What to do about a text of the wrong form."""
    return f"write {wording.flow(fixed)}" if fixed is not None else wording.example(schema)


def in_range(value: Any, schema: Schema) -> str:
    """A hint for a value beyond a limit."""
    if wording.kind(value) == "integer" or not value:
        return wording.example(schema)
    return ""


def foreign(key: str, known: Iterable[str]) -> str | None:
    """The known key that other tools call ``key``."""
    word = key.lower().replace("-", "_")
    return next((name for name in known if word in FOREIGN.get(name, ())), None)


def elsewhere(key: str, schema: Schema, resolve: Callable[[Schema], Schema]) -> str:
    """Where in a spec a key has a meaning, at most three places."""
    places = [place for place, name in _places(schema, resolve, ()) if name == key]
    places = list(dict.fromkeys(places))
    shown = places[:3]
    if not shown:
        return ""
    named = [f'"{place}"' if place else "the outermost level" for place in shown]
    return " or ".join(named) + (" and others" if len(places) > len(shown) else "")


def _places(schema: Schema, resolve: Callable[[Schema], Schema], path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    schema = resolve(schema)
    for option in schema.get("anyOf", ()):
        yield from _places(option, resolve, path)
    for key, inner in schema.get("properties", {}).items():
        yield ".".join(path), key
        yield from _places(inner, resolve, (*path, key))
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _places(schema["additionalProperties"], resolve, (*path, "NAME"))
    if isinstance(schema.get("items"), dict):
        yield from _places(schema["items"], resolve, path)
