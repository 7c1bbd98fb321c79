"""Fills services from their presets: a spec's data and places -> the same with everything a preset knows; the user's word wins."""

from __future__ import annotations

import difflib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from compiler import resources
from compiler.errors import Mark, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

Path = tuple["str | int", ...]
Marks = dict[Path, Mark]

ADDED = ("packages", "capabilities", "writable")
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


def fill(data: dict[str, Any], values: Marks, keys: Marks, family: str, read: Callable[[str], Preset]) -> tuple[Problem, ...]:
    """Puts each preset's service, for this family of bases, under the spec's own; changes ``data`` and its places.

    ``read`` gives the preset of a name. Returns a problem for each name that is not one.
    """
    problems = []
    for name, service in data["services"].items():
        wanted = service.get("preset")
        if wanted is None:
            continue
        path: Path = ("services", name)
        if wanted not in names():
            near = difflib.get_close_matches(wanted, names(), 1)
            hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(names())}"
            problems.append(Problem("E040", f'there is no preset "{wanted}"', values.get((*path, "preset")), hint))
            continue
        preset = read(wanted)
        if family not in preset.data.get("families", {}):
            problems.append(
                Problem("E041", f'the preset "{wanted}" knows no packages for a base of the family {family}', values.get((*path, "preset")))
            )
        sources: tuple[Path, ...] = (("families", family), ("service",))
        for source in sources:
            theirs: Any = preset.data
            for step in source:
                theirs = theirs.get(step) or {}
            _under(service, theirs, path, source, (values, keys), preset)
        secrets = preset.data.get("secrets", {})
        for short, secret in secrets.items():
            full = f"{name}_{short}".replace("-", "_")
            ours = data.setdefault("secrets", {}).setdefault(full, {})
            _under(ours, secret, ("secrets", full), ("secrets", short), (values, keys), preset)
            # The user can change the line that chose the preset, not the preset's.
            values.setdefault(("secrets", full), values[(*path, "preset")])
    return tuple(problems)


def _under(ours: dict[str, Any], theirs: dict[str, Any], at: Path, source: Path, marks: tuple[Marks, Marks], preset: Preset) -> None:
    dropped = {key for group in EXCLUSIVE if any(key in ours for key in group) for key in group}
    for key, value in theirs.items():
        here, there = (*at, key), (*source, key)
        if key in ADDED and key in ours:
            ours[key] = [*ours[key], *(item for item in value if item not in ours[key])]
        elif isinstance(ours.get(key), dict) and isinstance(value, dict):
            _under(ours[key], value, here, there, marks, preset)
        elif key not in ours and key not in dropped:
            ours[key] = _copy(value)
            for target, origin in zip(marks, (preset.values, preset.keys), strict=True):
                for path, mark in origin.items():
                    if path[: len(there)] == there:
                        target[here + path[len(there) :]] = mark


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value
