"""Pins as they are, what there is to pin and what was found -> pins as they shall be, and what became of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from compiler.locking.lockfile import VIRTUAL, Image, Lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from compiler.errors import HostError
    from compiler.locking.wanted import Wanted

FAILED = "failed"


class Row(NamedTuple):
    """One pin: what it pins, what became of it or what there is to say of it, and who told.

    ``image`` is the one whose repositories have a package; empty for images and downloads.
    """

    kind: str
    name: str
    image: str
    status: str
    before: str = ""
    after: str = ""
    source: str = ""
    hint: str = ""


class Told(NamedTuple):
    """A value with whoever told it, or why there is none."""

    value: str
    source: str
    error: HostError | None = None


Key = tuple[str, str, str]
"""Kind, image of a package, name."""


def pins(lock: Lock) -> dict[Key, str]:
    """Every pin of a lock."""
    found: dict[Key, str] = {("image", "", name): str(pin) for name, pin in lock.images.items()}
    for image, versions in lock.packages.items():
        found |= {("package", image, name): version for name, version in versions.items()}
    return found | {("file", "", name): pin for name, pin in lock.files.items()}


def keys(want: Wanted) -> list[Key]:
    """Every pin that there shall be, in the order of a lock."""
    found: list[Key] = [("image", "", name) for name in sorted(want.images)]
    for image in sorted(want.packages):
        found += [("package", image, name) for name in want.packages[image]]
    return found + [("file", "", name) for name in sorted(want.files)]


def renewed(before: Mapping[Key, str], want: Wanted, told: Mapping[Key, Told]) -> tuple[Lock, tuple[Row, ...]]:
    """The new lock: what was told, else what there was; nothing else. And a row for each pin that is or was."""
    rows = list(_rows(before, want, told))
    after: dict[Key, str] = {(row.kind, row.image, row.name): row.after for row in rows if row.after}
    return _lock(after), tuple(rows)


def _rows(before: Mapping[Key, str], want: Wanted, told: Mapping[Key, Told]) -> Iterator[Row]:
    wanted = keys(want)
    for key in wanted:
        kind, image, name = key
        old = before.get(key, "")
        answer = told.get(key) or Told(old, "")
        if answer.error:
            yield Row(kind, name, image, FAILED, old, old, answer.error.message, answer.error.hint)
        else:
            yield Row(kind, name, image, _status(old, answer.value), old, answer.value, answer.source)
    for kind, image, name in sorted(set(before) - set(wanted)):
        yield Row(kind, name, image, "removed", before[kind, image, name])


def _status(old: str, new: str) -> str:
    if new == old:
        return "kept"
    if new == VIRTUAL:
        return "unpinned"
    return "moved" if old else "pinned"


def _lock(found: Mapping[Key, str]) -> Lock:
    packages: dict[str, dict[str, str]] = {}
    for (kind, image, name), value in found.items():
        if kind == "package":
            packages.setdefault(image, {})[name] = value
    images = {name: Image(*value.split(" ")) for (kind, _, name), value in found.items() if kind == "image"}
    return Lock(images, packages, {name: value for (kind, _, name), value in found.items() if kind == "file"})
