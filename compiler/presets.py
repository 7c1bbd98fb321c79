"""Fills services from their presets: a spec's data and places -> the same with all a preset knows; the user wins."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from compiler import resources
from compiler.errors import Mark, Problem
from compiler.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Callable

Path = tuple["str | int", ...]
Marks = dict[Path, Mark]
Places = tuple[tuple[Marks, Marks], ...]

ADDED = ("packages", "remove", "capabilities", "writable")
"""Lists to which a spec adds; every other list is replaced."""

EXCLUSIVE = (("http", "tcp", "exec"), ("content", "template", "source"))
"""Keys of which only one makes sense: the spec's choice drops the preset's."""


class Preset(NamedTuple):
    """What a preset file says, with the places it says it at."""

    title: str
    data: dict[str, Any]
    values: Marks
    keys: Marks


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """The names of all presets, sorted."""
    return tuple(name[: -len(".yaml")] for name in resources.names("schema", "presets") if name.endswith(".yaml"))


def fill(
    data: dict[str, Any], values: Marks, keys: Marks, family: str, read: Callable[[str], Preset]
) -> tuple[Problem, ...]:
    """Puts each preset's service, for this family of bases, under the spec's own; changes ``data`` and its places.

    ``read`` gives the preset of a name. Returns a problem for each name that is not one.
    """
    problems = []
    for name, service in data["services"].items():
        wanted = service.get("preset")
        if wanted is None:
            continue
        path: Path = ("services", name)
        chosen: Path = (*path, "preset")
        if wanted not in names():
            near = nearest(wanted, names())
            hint = f'did you mean "{near}"?' if near else f"there are {', '.join(names())}"
            problems.append(Problem("E040", f'there is no preset "{wanted}"', values.get(chosen), hint, path=chosen))
            if near is None:
                # What it would bring is not known; that there is no command is no second mistake.
                service.setdefault("command", [wanted])
                continue
            wanted = near
        preset = read(wanted)
        places: Places = ((values, preset.values), (keys, preset.keys))
        sources: tuple[Path, ...] = (("families", family), ("service",))
        for source in sources:
            theirs: Any = preset.data
            for step in source:
                theirs = theirs.get(step) or {}
            _under(service, theirs, path, source, places)
        secrets = preset.data.get("secrets", {})
        for short, secret in secrets.items():
            full = f"{name}_{short}".replace("-", "_")
            ours = data.setdefault("secrets", {}).setdefault(full, {})
            _under(ours, secret, ("secrets", full), ("secrets", short), places)
            # The user can change the line that chose the preset, not the preset's.
            values.setdefault(("secrets", full), values[chosen])
    return tuple(problems)


def _under(ours: dict[str, Any], theirs: dict[str, Any], at: Path, source: Path, places: Places) -> None:
    dropped = {key for group in EXCLUSIVE if any(key in ours for key in group) for key in group}
    for key, value in theirs.items():
        here, there = (*at, key), (*source, key)
        if key in ADDED and key in ours:
            ours[key] = [*ours[key], *(item for item in value if item not in ours[key])]
        elif isinstance(ours.get(key), dict) and isinstance(value, dict):
            _under(ours[key], value, here, there, places)
        elif key not in ours and key not in dropped:
            ours[key] = _taken(value, here, there, places)


def _taken(value: Any, here: Path, there: Path, places: Places) -> Any:
    """A copy of what the preset says ``there``, for ``here``, with the places it says it at."""
    for target, origin in places:
        if there in origin:
            target[here] = origin[there]
    if isinstance(value, dict):
        return {key: _taken(item, (*here, key), (*there, key), places) for key, item in value.items()}
    if isinstance(value, list):
        return [_taken(item, (*here, i), (*there, i), places) for i, item in enumerate(value)]
    return value
