"""An edit of a generated file -> how the spec says the same: by an escape hatch, by the key of a line, or neither."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from compiler.extras import check_extra

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from compiler.drift import Change
    from compiler.model import App, Key, Path, Route

    Point = tuple[str, str]

MERGED = ("ports", "environment", "volumes", "tmpfs", "cap_add", "security_opt")
"""Keys of the Compose service to which an escape hatch adds; every other key it replaces."""

_SUPERVISORD = {
    "command": ("command",),
    "user": ("user",),
    "autorestart": ("restart",),
    "stopsignal": ("stop", "signal"),
    "stopwaitsecs": ("stop", "grace"),
    "priority": ("after",),
}
_COMPOSE = {
    "image": ("image", "name"),
    "mem_limit": ("limits", "memory"),
    "pids_limit": ("limits", "pids"),
    "cpus": ("limits", "cpus"),
    "platform": ("image", "platforms"),
    "healthcheck": ("health",),
    "ports": ("ports",),
    "volumes": ("volumes",),
}
_NGINX = {
    "client_max_body_size": ("http", "max_body"),
    "access_log": ("http", "access_log"),
    "set_real_ip_from": ("http", "trusted"),
    "add_header": ("http", "headers"),
    "worker_processes": ("limits", "cpus"),
}
_NGINX_ROUTE = {
    "client_max_body_size": "max_body",
    "proxy_read_timeout": "timeout",
    "proxy_send_timeout": "timeout",
    "fastcgi_read_timeout": "timeout",
    "add_header": "headers",
    "proxy_set_header": "request_headers",
    "proxy_pass": "service",
    "proxy_buffering": "stream",
    "root": "static",
    "alias": "static",
    "auth_basic": "auth",
    "auth_request": "auth",
}
_DOCKERFILE = {
    "ENV TZ": ("image", "timezone"),
    "    apt-get update": ("image", "packages"),
    "    && apt-get install": ("image", "packages"),
    "    apk add": ("image", "packages"),
    "LABEL": ("image", "labels"),
    "      org.": ("image", "labels"),
    "EXPOSE": ("ports",),
    "VOLUME": ("volumes",),
    "HEALTHCHECK": ("health",),
    "    CMD": ("health",),
}
_DOCKERFILE_STAGE = {
    "FROM": "image",
    "RUN apk add": "packages",
    "RUN apt-get": "packages",
    "    && apt-get install": "packages",
    "    apk add": "packages",
    "ENV": "environment",
    "RUN": "run",
    "COPY": "manifests",
}


_COMPARED = 400
"""Pairs of lines that are compared for likeness; nobody reads advice on a longer edit line by line."""


class Kept(NamedTuple):
    """How to keep an edit: escape hatches, lines that have a key of their own, and whether anything is left over."""

    extra: Mapping[str, Mapping[str, Any]]
    keys: tuple[tuple[int, str], ...]
    """Line numbers of the edited file, each with what to do."""
    rest: bool
    replaced: tuple[str, ...]
    """Escape hatches that the spec uses already: what they hold now is part of what is proposed."""


class _Hunk(NamedTuple):
    """Lines that stand in place of others, what is generated around them, and where they are in the edited file."""

    before: Sequence[str]
    removed: Sequence[str]
    added: Sequence[str]
    after: Sequence[str]
    line: int


def kept(change: Change, app: App) -> Kept:
    """How to keep the edit of one file."""
    if change.path == "docker-compose.yml":
        return _compose(change, app)
    extra: dict[Point, str] = {}
    keys: dict[int, str] = {}
    rest = False
    for hunk in filter(_is_change, _hunks(change)):
        found = _changed_hatch(change.path, hunk, app, extra) or _added_hatch(change.path, hunk)
        if found:
            point, text = found
            extra[point] = text if hunk.removed else extra.get(point, app.text(*point)).rstrip("\n") + "\n" + text
            extra[point] = extra[point].lstrip("\n")
            continue
        advice = list(_advice(change.path, hunk, app))
        keys.update((line, what) for line, what in advice if what)
        rest = rest or not advice or not all(what for _, what in advice)
    nested: dict[str, dict[str, str]] = {}
    for (output, place), whole in extra.items():
        nested.setdefault(output, {})[place] = whole
    replaced = [f"extra.{output}.{place}" for output, place in extra if app.text(output, place)]
    return Kept(nested, tuple(sorted(keys.items())), rest, tuple(replaced))


def _hunks(change: Change) -> Iterator[_Hunk]:
    from difflib import SequenceMatcher

    generated, edit = (change.after or "").split("\n"), (change.before or "").split("\n")
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, generated, edit, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        removed, added = generated[i1:i2], edit[j1:j2]
        # Lines added right beside changed ones are additions all the same.
        start = _likest(removed, added)
        end = start + len(removed) if removed else 0
        yield _Hunk(generated[:i1], (), added[:start], generated[i1:], j1 + 1)
        yield _Hunk(generated[:i1], removed, added[start:end], generated[i2:], j1 + start + 1)
        yield _Hunk(generated[:i2], (), added[end:], generated[i2:], j1 + end + 1)


def _is_change(hunk: _Hunk) -> bool:
    return bool(hunk.removed or hunk.added)


def _likest(removed: Sequence[str], added: Sequence[str]) -> int:
    """Where in the added lines those begin that are most like the removed ones."""
    from difflib import SequenceMatcher

    surplus = len(added) - len(removed)
    if not removed or surplus <= 0 or surplus * len(removed) > _COMPARED:
        return 0
    return max(
        range(surplus + 1),
        key=lambda start: sum(
            SequenceMatcher(None, old, new).ratio() for old, new in zip(removed, added[start:], strict=False)
        ),
    )


def _changed_hatch(path: str, hunk: _Hunk, app: App, extra: Mapping[Point, str]) -> tuple[Point, str] | None:
    """The escape hatch that the changed lines come from, with the change made in its text."""
    removed = _dedented(hunk.removed)
    for each in app.extra:
        if hunk.removed and each.output == _output(path):
            lines = extra.get((each.output, each.point), each.text).rstrip("\n").split("\n")
            for at in range(len(lines) - len(removed) + 1):
                if _dedented(lines[at : at + len(removed)]) == removed:
                    deeper = _indentation(hunk.removed[0]) - _indentation(lines[at])
                    added = [line[min(deeper, _indentation(line)) :] for line in hunk.added]
                    changed = [*lines[:at], *added, *lines[at + len(removed) :]]
                    return (each.output, each.point), "\n".join(changed) + "\n"
    return None


def _added_hatch(path: str, hunk: _Hunk) -> tuple[Point, str] | None:
    """The escape hatch for lines that were only added, and how they read there."""
    if hunk.removed or path not in _POINTS:
        return None
    for before, added in _slides(hunk):
        text = "\n".join(_dedented(added)) + "\n"
        point = _POINTS[path](before, added)
        if point and text.strip() and not any(check_extra(*point, text)):
            return point, text
    return None


def _slides(hunk: _Hunk) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """The same insertion as a diff may also see it: the lines that it repeats may be its first or its last ones."""
    yield hunk.before, hunk.added
    before, added = list(hunk.before), list(hunk.added)
    while before and added and before[-1] == added[-1]:
        added = [before.pop(), *added[:-1]]
        yield before, added
    before, added = list(hunk.before), list(hunk.added)
    for line in hunk.after:
        if not added or line != added[0]:
            return
        before, added = [*before, line], [*added[1:], line]
        yield before, added


def _output(path: str) -> str:
    """The name under `extra` for a file: some share one."""
    return "dockerignore" if path.endswith(".dockerignore") else "Dockerfile" if path == "Dockerfile.local" else path


def _dockerfile_point(before: Sequence[str], added: Sequence[str]) -> Point | None:
    if before and before[-1].endswith("\\"):
        return None
    if "# The image" not in before or before[-1] == "# The image":
        first = next(filter(None, added), "")
        return ("Dockerfile", "stages") if first.upper().startswith(("FROM ", "ARG ")) else None
    final = before[before.index("# The image") :]
    if any(line.startswith("ENTRYPOINT") for line in final):
        return None
    late = any(line.startswith(("COPY ", "LABEL ", "STOPSIGNAL ", "HEALTHCHECK ")) for line in final)
    return ("Dockerfile", "end" if late else "packages")


def _nginx_point(before: Sequence[str], _: Sequence[str]) -> Point | None:
    points = {(): "main", ("http",): "http", ("http", "server"): "server"}
    point = points.get(tuple(_blocks(before)))
    return ("nginx.conf", point) if point else None


def _supervisord_point(before: Sequence[str], added: Sequence[str]) -> Point | None:
    if next(filter(None, added), "").startswith("["):
        return ("supervisord.conf", "end")
    inside = _section(before) == "supervisord" and not any(line.startswith("[") for line in added)
    return ("supervisord.conf", "supervisord") if inside else None


def _entrypoint_point(before: Sequence[str], added: Sequence[str]) -> Point | None:
    if next(filter(None, added), "").startswith((" ", "\t")) or any(line.startswith("exec ") for line in before):
        return None
    return ("entrypoint.sh", "end" if any(line.startswith("fail()") for line in before) else "start")


_POINTS = {
    "Dockerfile": _dockerfile_point,
    "Dockerfile.local": _dockerfile_point,
    "nginx.conf": _nginx_point,
    "supervisord.conf": _supervisord_point,
    "entrypoint.sh": _entrypoint_point,
    ".env": lambda *_: (".env", "end"),
    ".dockerignore": lambda *_: ("dockerignore", "end"),
    "Dockerfile.dockerignore": lambda *_: ("dockerignore", "end"),
    "Dockerfile.local.dockerignore": lambda *_: ("dockerignore", "end"),
}


def _advice(path: str, hunk: _Hunk, app: App) -> Iterator[tuple[int, str]]:
    """For each line of a change, its number and what to do instead; nothing to do where no key makes the line."""
    lines = hunk.removed or hunk.added
    for index, line in enumerate(lines):
        if line.strip():
            before = [*hunk.before, *lines[:index]]
            key = _KEYS[path](line, before, app) if path in _KEYS else None
            what = key if isinstance(key, str) else _change(key, app) if key else ""
            yield hunk.line + min(index, max(len(hunk.added) - 1, 0)), what


def _change(key: Path, app: App) -> str:
    dotted = ".".join(str(step) for step in key)
    mark = app.origins.values.get(key)
    if mark and mark.file == app.origins.name:
        return f"change {dotted}, which makes it: {mark.file}:{mark.line}:{mark.column}"
    return f"set {dotted}, which makes it, in {app.origins.name}"


def _env_key(line: str, _: Sequence[str], app: App) -> Path | str | None:
    variable = line.partition("=")[0].strip()
    if any(secret.variable == variable for secret in app.secrets):
        return f"give {variable} in the environment or in /run/secrets instead: this file is committed"
    if variable == "CONTAINER_NAME":
        return f"set {variable} in the environment, or in a file of your own: docker compose --env-file"
    if variable == "IMAGE_NAME":
        return ("image", "name")
    found: list[Path] = [(*port.path, "publish") for port in app.ports if port.variable == variable]
    found += [(*volume.path, "bind") for volume in app.volumes if volume.variable == variable]
    found += [(*setting.path, "default") for setting in app.settings if setting.name == variable]
    return found[0] if found else None


def _dockerfile_key(line: str, before: Sequence[str], app: App) -> Path | None:
    if line.startswith("COPY ") and any(each.endswith(" AS image.files") for each in before):
        tree, target = re.search(r" /files/([^/]+)/", line), line.rsplit(maxsplit=1)[-1]
        return next((a.path for a in app.artifacts if (a.name == tree[1] if tree else a.install == target)), None)
    if "# The image" not in before:
        starts = [index for index, each in enumerate(before) if each.startswith("FROM ")]
        stage = [line] if line.startswith("FROM ") else list(before[starts[-1] :]) if starts else [""]
        name = stage[0].rpartition(" AS ")[2]
        built = next((a for a in app.artifacts if a.name == name and a.build), None)
        field = next((field for start, field in _DOCKERFILE_STAGE.items() if line.startswith(start)), None)
        if line == f"FROM {app.image.base} AS {name}" and not (
            built and built.build and line.split()[1] == built.build.image
        ):
            return ("image", "base")
        if field == "run" and not any(each.startswith("COPY ") and each.endswith("/ ./") for each in stage):
            field = "prepare"
        return (*built.path, "build", field) if built and field else None
    if line.startswith("FROM "):
        return ("image", "base")
    if line.startswith("STOPSIGNAL "):
        return None if app.supervised else (*app.services[0].path, "stop", "signal")
    return next((key for start, key in _DOCKERFILE.items() if line.startswith(start)), None)


def _supervisord_key(line: str, before: Sequence[str], app: App) -> Path | None:
    kind, _, name = _section(before).partition(":")
    field = _SUPERVISORD.get(line.partition("=")[0].strip())
    service = next((s for s in app.services if s.name == name and kind == "program"), None)
    return (*service.path, *field) if service and field else None


def _section(before: Sequence[str]) -> str:
    return next((line.strip("[] ") for line in reversed(before) if line.startswith("[")), "")


def _nginx_key(line: str, before: Sequence[str], app: App) -> Path | None:
    directive = (line.split() or [""])[0].rstrip(";")
    blocks = _blocks(before)
    inner = blocks[-1] if blocks else ""
    if inner.startswith("upstream "):
        return ("services", inner.split()[1], "port")
    route = next((route for block in reversed(blocks) if (route := _route(block, app))), None)
    if route:
        field = _NGINX_ROUTE.get(directive)
        return (*route.path, field) if field else None
    if directive == "listen" and app.gateway:
        return (*app.gateway.path, "port")
    return _NGINX.get(directive)


def _route(block: str, app: App) -> Route | None:
    if not block.startswith("location "):
        return None
    match = block.rsplit(maxsplit=1)[-1]
    return next((route for route in app.routes if route.match == match), None)


def _blocks(lines: Sequence[str]) -> list[str]:
    """The blocks of an nginx configuration that are open after these lines, outermost first."""
    open_: list[str] = []
    for line in lines:
        plain = re.sub(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|\$\{[^}]*\}|#.*", "", line)
        for part in re.split(r"(?<=[{};])", plain):
            if part.endswith("{"):
                open_.append(" ".join(part[:-1].split()))
            elif part.endswith("}") and open_:
                open_.pop()
    return open_


_KEYS = {
    ".env": _env_key,
    "Dockerfile": _dockerfile_key,
    "Dockerfile.local": _dockerfile_key,
    "supervisord.conf": _supervisord_key,
    "nginx.conf": _nginx_key,
}


def _compose(change: Change, app: App) -> Kept:
    """The same for the Compose file, whose data is compared instead of its lines."""
    import yaml

    nothing = Kept({}, (), True, ())
    try:
        generated, edit = yaml.safe_load(change.after or ""), yaml.safe_load(change.before or "")
        ours, theirs = (each["services"][app.name] for each in (generated, edit))
        comparable = isinstance(theirs, dict) and set(edit["services"]) == {app.name}
    except (yaml.YAMLError, KeyError, TypeError):
        return nothing
    if not comparable or generated == edit:
        return nothing
    keys: dict[int, str] = {}
    service: dict[str, Any] = {}
    rest = False
    lines = (change.before or "").split("\n")
    for name in (*theirs, *(name for name in ours if name not in theirs)):
        if name in theirs and ours.get(name) == theirs[name]:
            continue
        added = _added_items(ours.get(name), theirs.get(name)) if name in MERGED else None
        natural = _COMPOSE.get(name) if name in ours else None
        if added:
            service[name] = _joined(app.overlay.service, name, added)
        elif natural:
            at = next((i for i, line in enumerate(lines, 1) if line.startswith(f"    {name}:")), 1)
            keys[at] = _change(natural, app)
        elif name in theirs and name not in MERGED:
            service[name] = theirs[name]
        else:
            rest = True
    own = [key.name for key in app.overlay.top]
    changed = [name for name in edit if name not in ("services", "name") and generated.get(name) != edit[name]]
    top = {name: edit[name] for name in changed if name not in generated or (name in own and name != "volumes")}
    volumes = _added_items(generated.get("volumes"), edit.get("volumes")) if "volumes" in generated else None
    if volumes:
        top["volumes"] = _joined(app.overlay.top, "volumes", volumes)
    same = {name: value for name, value in edit.items() if name != "services" and name not in top}
    rest = rest or any(generated.get(name) != value for name, value in same.items()) or bool(set(generated) - set(edit))
    parts = {"service": service, "top": top}
    extra = {name: value for name, value in parts.items() if value}
    used = {"service": app.overlay.service, "top": app.overlay.top}
    replaced = [
        f"extra.{change.path}.{part}.{key.name}" for part in used for key in used[part] if key.name in parts[part]
    ]
    return Kept({change.path: extra} if extra else {}, tuple(sorted(keys.items())), rest, tuple(replaced))


def _joined(overlay: Sequence[Key], name: str, added: Any) -> Any:
    """What an escape hatch holds already, with the added items."""
    import yaml

    items = [yaml.safe_load(item) for key in overlay if key.name == name for item in key.items]
    if isinstance(added, list):
        return [*items, *added]
    return {key: value for item in (*items, added) for key, value in item.items()}


def _added_items(ours: Any, theirs: Any) -> Any:
    """What was added to a list or mapping that otherwise stayed as it was; nothing if there is no saying so."""
    if isinstance(theirs, list) and isinstance(ours or [], list):
        here = list(ours or [])
        return [item for item in theirs if item not in here] if all(item in theirs for item in here) else None
    if isinstance(theirs, dict) and isinstance(ours or {}, dict):
        known = dict(ours or {})
        if all(theirs.get(key, ...) == value for key, value in known.items()):
            return {key: value for key, value in theirs.items() if key not in known}
    return None


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _dedented(lines: Sequence[str]) -> list[str]:
    import textwrap

    return textwrap.dedent("\n".join(lines)).strip("\n").split("\n")
