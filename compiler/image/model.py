"""An image as it was read: its configuration, its layers, and each entry of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class Entry(NamedTuple):
    """One entry of a layer.

    ``kind`` is file, hardlink, symlink, directory, whiteout (``path`` is what it removes), opaque (``path`` is the
    directory whose earlier content it hides) or other. ``size`` is what the entry itself takes: the content of a file,
    the length of a symbolic link's target, else 0. ``compressed`` is its estimated part of the compressed layer.
    """

    layer: int
    path: str
    kind: str
    size: int
    mode: int
    uid: int
    gid: int
    target: str
    compressed: int = 0


class Layer(NamedTuple):
    """One layer; ``compressed`` is nothing where nobody measured it.

    ``found`` has, by the name of each look, what it made of the files that it looked at, by path.
    """

    number: int
    digest: str
    diff_id: str
    created_by: str
    tar: int
    compressed: int | None
    entries: tuple[Entry, ...]
    found: Mapping[str, Mapping[str, Any]]
    measured: bool = False
    """Whether the compressed size was measured by compressing, because the image has the layer in plain form."""

    @property
    def contents(self) -> int:
        """Bytes of the regular files, hard links once."""
        return sum(entry.size for entry in self.entries if entry.kind == "file")

    @property
    def links(self) -> int:
        """Bytes of the symbolic links."""
        return sum(entry.size for entry in self.entries if entry.kind == "symlink")


class Image(NamedTuple):
    """An image with everything that was read of it."""

    name: str
    id: str
    names: tuple[str, ...]
    config: Mapping[str, Any]
    layers: tuple[Layer, ...]

    @property
    def entries(self) -> Iterator[Entry]:
        """Every entry of every layer, lowest layer first."""
        return (entry for layer in self.layers for entry in layer.entries)

    @property
    def architecture(self) -> str:
        """The architecture as engines call it, such as amd64."""
        return str(self.config.get("architecture", ""))

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of the image."""
        return (self.config.get("config") or {}).get("Labels") or {}


class Sink(Protocol):
    """Takes the content of a file in pieces, and says in the end what it made of it."""

    def update(self, piece: bytes, /) -> None:
        """Take the next piece."""

    def value(self) -> Any:
        """What is to be kept; nothing is kept of None."""


if TYPE_CHECKING:
    Look = Callable[[Entry], Sink | None]
"""Asked for every regular file that is not empty: a sink for its content, or None."""


class Kept:
    """A sink that keeps the content as it is."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def update(self, piece: bytes) -> None:
        """Keep the piece."""
        self._pieces.append(piece)

    def value(self) -> bytes:
        """The whole content."""
        return b"".join(self._pieces)


LARGEST_KEPT = 64 * 2**20


def keep(wanted: Callable[[Entry], bool], largest: int = LARGEST_KEPT) -> Look:
    """A look that keeps the content of every wanted file that is not larger than ``largest``."""

    def look(entry: Entry) -> Sink | None:
        return Kept() if entry.size <= largest and wanted(entry) else None

    return look


def visible(image: Image) -> dict[str, Entry]:
    """What a container sees: the topmost entry of each path, without what a later layer removes."""
    tree = _Tree()
    for layer in image.layers:
        for entry in layer.entries:
            if entry.kind == "whiteout":
                tree.remove(entry.path)
            elif entry.kind == "opaque":
                tree.clear(entry.path)
        for entry in layer.entries:
            if entry.kind not in ("whiteout", "opaque"):
                tree.add(entry)
    return tree.found


class _Tree:
    """Entries by path, and the names below each directory, whether that has an entry or not."""

    def __init__(self) -> None:
        self.found: dict[str, Entry] = {}
        self._below: dict[str, set[str]] = {}

    def add(self, entry: Entry) -> None:
        """Take an entry, in place of what was there; a directory keeps what is in it."""
        if entry.kind != "directory":
            self.clear(entry.path)
        self.found[entry.path] = entry
        path = entry.path
        while path != "/":
            above = path.rpartition("/")[0] or "/"
            names = self._below.setdefault(above, set())
            if path in names:
                break
            names.add(path)
            path = above

    def clear(self, path: str) -> None:
        """Remove everything below a path."""
        waiting = [path]
        while waiting:
            for child in self._below.pop(waiting.pop(), ()):
                self.found.pop(child, None)
                waiting.append(child)

    def remove(self, path: str) -> None:
        """Remove a path with everything below it."""
        self.clear(path)
        self.found.pop(path, None)
        self._below.get(path.rpartition("/")[0] or "/", set()).discard(path)
