"""A document -> its problems as the JSON Schema sees them, in the user's words, and what can be said of the rest."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from compiler import resources
from compiler.errors import Mark, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Path = tuple["str | int", ...]

NAME = "appos.schema.json"

_KINDS = {
    "string": "a text",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "keys and values",
    "array": "a list",
    "null": "nothing",
}


class Marks(NamedTuple):
    """The places of a document's values and keys."""

    values: Mapping[Path, Mark]
    keys: Mapping[Path, Mark]

    def value(self, path: Path) -> Mark | None:
        """The place of a value, or of the nearest enclosing one."""
        while path not in self.values and path:
            path = path[:-1]
        return self.values.get(path)

    def key(self, path: Path) -> Mark | None:
        """The place of a key, otherwise of its value."""
        return self.keys.get(path) or self.value(path)


@lru_cache(maxsize=1)
def _fast() -> Callable[[Any], Any] | None:
    """The validator generated from the schema, unless the schema has changed since."""
    import hashlib

    try:
        from compiler import _validator
    except ImportError:
        return None
    text = resources.read("schema", NAME)
    if _validator.SOURCE != hashlib.sha256(text.encode()).hexdigest():
        return None
    validate: Callable[[Any], Any] = _validator.validate
    return validate


@lru_cache(maxsize=1)
def load() -> dict[str, Any]:
    """The schema itself."""
    import json

    schema: dict[str, Any] = json.loads(resources.read("schema", NAME))
    return schema


@lru_cache(maxsize=1)
def _explainer() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(load())


def valid(data: Any) -> bool:
    """Whether the data fits the schema; as quick as can be, without a word why not."""
    fast = _fast()
    if fast is None:
        return bool(_explainer().is_valid(data))
    try:
        fast(data)
    except ValueError:
        return False
    return True


def check(data: Any, values: Mapping[Path, Mark], keys: Mapping[Path, Mark]) -> tuple[Problem, ...]:
    """Every problem that the schema finds, in no particular order; none for valid data."""
    if valid(data):
        return ()
    marks = Marks(values, keys)
    return tuple(problem for error in _explainer().iter_errors(data) for problem in _explain(error, marks))


def repair(data: Any, values: dict[Path, Mark], keys: dict[Path, Mark]) -> Any:
    """The data with misspelt keys as they were meant and without what is wrong, if that is a valid spec, otherwise nothing.

    So that the problems of meaning can be told in the same run as those of form. The places of renamed keys are added to
    ``values`` and ``keys``.
    """
    import copy

    data = copy.deepcopy(data)
    for error in sorted(_explainer().iter_errors(data), key=lambda error: -len(error.absolute_path)):
        path = tuple(error.absolute_path)
        if error.validator == "additionalProperties":
            for extra in _extras(error):
                near = _nearest(extra, error.schema.get("properties", ()))
                content = error.instance.pop(extra, None)
                if near and near not in error.instance:
                    error.instance[near] = content
                    _move(values, (*path, extra), (*path, near))
                    _move(keys, (*path, extra), (*path, near))
        elif path:
            _remove(data, path)
    return data if valid(data) else None


def _move(marks: dict[Path, Mark], old: Path, new: Path) -> None:
    for path in [path for path in marks if path[: len(old)] == old]:
        marks[new + path[len(old) :]] = marks[path]


def _remove(data: Any, path: Path) -> None:
    for step in path[:-1]:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(data, dict):
        data.pop(path[-1], None)


def _extras(error: Any) -> list[str]:
    import re

    known = error.schema.get("properties", {})
    patterns = error.schema.get("patternProperties", {})
    return [key for key in error.instance if key not in known and not any(re.search(p, key) for p in patterns)]


def _nearest(word: str, known: Any) -> str | None:
    import difflib

    found = difflib.get_close_matches(word.lower().replace("-", "_"), list(known), 1, 0.6)
    return found[0] if found else None


def _where(path: Path) -> str:
    """The path as a user would say it: ``services.redis.port``; the top level has no name."""
    return ".".join(str(step) for step in path)


def _in(path: Path) -> str:
    return f' in "{_where(path)}"' if path else ""


def _explain(error: Any, marks: Marks) -> Iterator[Problem]:
    path: Path = tuple(error.absolute_path)
    if error.validator in ("anyOf", "oneOf"):
        fitting = [e for e in error.context if e.validator != "type" or list(e.path)]
        if fitting:
            for inner in fitting:
                yield from _explain(inner, marks)
            return
        kinds = " or ".join(dict.fromkeys(_KINDS[k] for e in error.context for k in _as_list(e.validator_value)))
        yield _type_problem(error, path, marks, kinds)
        return
    if list(error.absolute_schema_path)[-2:-1] == ["propertyNames"] or "propertyNames" in error.absolute_schema_path:
        yield _bad_name(error, path, marks)
        return
    yield from _EXPLAIN.get(error.validator, _other)(error, path, marks)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _unknown_key(error: Any, path: Path, marks: Marks) -> Iterator[Problem]:
    known = sorted(error.schema.get("properties", ()))
    for extra in _extras(error):
        near = _nearest(extra, known)
        hint = f'did you mean "{near}"?' if near else _elsewhere(extra) or f"known here: {', '.join(known)}"
        yield Problem("E020", f'unknown key "{extra}"{_in(path)}', marks.key((*path, extra)), hint)


def _elsewhere(key: str) -> str:
    """A hint for a key that is known, but in another place."""
    places = {
        **{k: "the top level" for k in load()["properties"]},
        **{
            k: f'"{name}"'
            for name, d in load()["$defs"].items()
            for k in d.get("properties", ())
            if name in ("image", "artifact", "build", "service", "route", "volume", "http", "health", "limits")
        },
    }
    return f'"{key}" belongs to {places[key]}' if key in places else ""


def _missing_key(error: Any, path: Path, marks: Marks) -> Iterator[Problem]:
    for key in error.validator_value:
        if key not in error.instance:
            example = error.schema.get("properties", {}).get(key, {}).get("examples")
            hint = f"add {key}: {_sample(example[0])}" if example else f"add {key}:"
            # One missing key is one error of the validator; it names the key in the message only.
            if repr(key) in error.message:
                yield Problem("E021", f'"{key}" is missing{_in(path)}', marks.key(path) or Mark("", 1, 1), hint)


def _sample(example: Any) -> str:
    import json

    return example if isinstance(example, str) else json.dumps(example, ensure_ascii=False)


def _type(error: Any, path: Path, marks: Marks) -> Iterator[Problem]:
    yield _type_problem(error, path, marks, " or ".join(_KINDS[kind] for kind in _as_list(error.validator_value)))


def _type_problem(error: Any, path: Path, marks: Marks, wanted: str) -> Problem:
    found = error.instance
    hint = ""
    if found is None:
        hint = "give a value, or remove the key"
    elif "true or false" in wanted and str(found).lower() in ("yes", "on", "y", "true", "no", "off", "n", "false", "0", "1"):
        hint = f"write {'true' if str(found).lower() in ('yes', 'on', 'y', 'true', '1') else 'false'}"
    elif "a whole number" in wanted and isinstance(found, str) and found.strip().isdigit():
        hint = f"write {int(found)}, without quotes and without leading zeros"
    elif "a text" in wanted and isinstance(found, (int, bool)):
        hint = f'quote it: "{_shown(found)}"'
    elif "a list" in wanted and isinstance(found, (str, int)):
        hint = f"write [{_shown(found)}]"
    name = f'"{_where(path)}"' if path else "the spec"
    return Problem("E022", f"{name} must be {wanted}, not {_described(found)}", marks.value(path), hint)


def _shown(value: Any) -> str:
    return {True: "true", False: "false", None: "nothing"}.get(value, str(value)) if not isinstance(value, int) or isinstance(value, bool) else str(value)


def _described(value: Any) -> str:
    if isinstance(value, dict):
        return "keys and values"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool) or isinstance(value, int):
        return _shown(value)
    return f'the text "{_short(value)}"'


def _short(text: str) -> str:
    text = text if len(text) <= 60 else text[:57] + "..."
    return text.replace("\n", "\\n")


def _choice(error: Any, path: Path, marks: Marks) -> Iterator[Problem]:
    choices = [_shown(choice) for choice in _as_list(error.validator_value)]
    near = _nearest(_shown(error.instance), choices) if not isinstance(error.instance, (dict, list)) else None
    hint = f'did you mean "{near}"?' if near else ""
    allowed = choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"
    yield Problem("E023", f'"{_where(path)}" must be {allowed}, not {_described(error.instance)}', marks.value(path), hint)


def _pattern(error: Any, path: Path, marks: Marks) -> Iterator[Problem]:
    words = error.schema.get("$comment", "of another form")
    examples = error.schema.get("examples", ())
    hint = f"for example {_sample(examples[0])}" if examples else ""
    yield Problem("E024", f'"{_where(path)}" must be {words}, not {_described(error.instance)}', marks.value(path), hint)


def _bad_name(error: Any, path: Path, marks: Marks) -> Problem:
    words = error.schema.get("$comment", "shorter")
    return Problem("E025", f'the name "{_short(str(error.instance))}"{_in(path)} must be {words}', marks.key((*path, error.instance)))


_LIMITS: dict[str, Callable[[Any], str]] = {
    "minimum": lambda limit: f"at least {limit}",
    "maximum": lambda limit: f"at most {limit}",
    "minLength": lambda limit: "not empty" if limit == 1 else f"at least {limit} characters long",
    "maxLength": lambda limit: f"at most {limit} characters long",
    "minItems": lambda limit: "not empty" if limit == 1 else f"a list of at least {limit}",
    "maxItems": lambda limit: f"a list of at most {limit}",
    "minProperties": lambda limit: "not empty" if limit == 1 else f"at least {limit} keys",
    "maxProperties": lambda limit: f"at most {limit} key" + ("" if limit == 1 else "s"),
    "uniqueItems": lambda _: "without repetition",
}


def _limit(error: Any, path: Path, marks: Marks) -> Iterator[Problem]:
    words = _LIMITS[error.validator](error.validator_value)
    found = f", not {error.instance}" if error.validator in ("minimum", "maximum") else ""
    yield Problem("E026", f'"{_where(path)}" must be {words}{found}', marks.value(path))


def _other(error: Any, path: Path, marks: Marks) -> Iterator[Problem]:
    yield Problem("E029", f'"{_where(path)}" does not fit: {error.message}', marks.value(path))


_EXPLAIN: dict[str, Callable[[Any, Path, Marks], Iterator[Problem]]] = {
    "additionalProperties": _unknown_key,
    "required": _missing_key,
    "type": _type,
    "enum": _choice,
    "const": _choice,
    "pattern": _pattern,
    **dict.fromkeys(_LIMITS, _limit),
}
