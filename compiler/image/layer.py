"""Reads one layer as a stream: its entries, its compressed size, and what looks make of its files."""

from __future__ import annotations

import posixpath
import tarfile
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

from compiler.image.model import Entry
from compiler.image.streams import GZIP, PIECE, ZSTD, LayerError, Packed, Plain
from compiler.image.tars import Forward, Header, contents

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from compiler.image.archive import Options
    from compiler.image.model import Look, Sink
    from compiler.image.streams import Stream

MOST_ENTRIES = 4_000_000
LONGEST_PATH = 4096
"""Bytes of a name: Linux takes no longer one, and each directory above it is looked at."""


class Scan(NamedTuple):
    """What was read of a layer: the size of its tar stream, its compressed size if it is known, and its entries."""

    tar: int
    compressed: int | None
    entries: Sequence[Entry]
    found: Mapping[str, Mapping[str, Any]]
    measured: bool


class _Read:
    """The entries of a layer as they come, each with where it begins in the tar stream."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.starts: list[int] = []
        self.places: dict[str, int] = {}
        self.found: dict[str, dict[str, Any]] = {}


def scan(name: str, head: bytes, content: Stream, options: Options) -> Scan:
    """Read a layer of which ``head`` has been read already."""
    compressed = head[:2] == GZIP or head[:4] == ZSTD
    stream = (Packed if compressed else Plain)(head, content, options)
    read = _Read()
    file = Forward(stream)
    try:
        with tarfile.open(fileobj=file, mode="r:", tarinfo=Header) as tar:  # type: ignore[call-overload]
            for member, what in contents(tar, file):
                _take(member, what, read, options.looks)
            while stream.read(PIECE):
                pass
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise LayerError(f"{name} is not a layer that can be read: {error}") from None
    total = stream.close()
    entries = read.entries if total is None else list(_shared_out(read, stream.marks, stream.position))
    return Scan(stream.position, total, entries, read.found, measured=not compressed and total is not None)


def _take(member: tarfile.TarInfo, content: Stream, read: _Read, looks: Mapping[str, Look]) -> None:
    entry = _entry(member)
    if entry.kind == "file" and entry.size and looks:
        sinks = {name: sink for name, look in looks.items() if (sink := look(entry))}
        if sinks:
            _look(content, entry, sinks, read)
    if entry.kind != "opaque":
        before = read.places.get(entry.path)
        if before is not None and read.entries[before].kind != "whiteout":
            # What comes again takes the place of what came first, as it does on the disk.
            read.entries[before] = read.entries[before]._replace(kind="other", size=0)
        read.places[entry.path] = len(read.entries)
    read.entries.append(entry)
    read.starts.append(member.offset)
    if len(read.entries) > MOST_ENTRIES:
        raise LayerError(f"a layer of more than {MOST_ENTRIES} entries")


def _look(content: Stream, entry: Entry, sinks: Mapping[str, Sink], read: _Read) -> None:
    left = entry.size
    while left:
        piece = content.read(min(left, PIECE))
        if not piece:
            raise LayerError(f"{entry.path} is shorter than it says")
        left -= len(piece)
        for sink in sinks.values():
            sink.update(piece)
    for name, sink in sinks.items():
        value = sink.value()
        if value is not None:
            read.found.setdefault(name, {})[entry.path] = value


def _entry(member: tarfile.TarInfo) -> Entry:
    if len(member.name) > LONGEST_PATH:
        raise LayerError(f"a name of {len(member.name)} characters")
    if ".." in member.name.split("/"):
        raise LayerError(f"{member.name} leads out of the image")
    path = posixpath.normpath("/" + member.name.lstrip("/"))
    directory, _, last = path.rpartition("/")
    kind, size, target = "other", 0, ""
    if last == ".wh..wh..opq":
        kind, path = "opaque", directory or "/"
    elif last.startswith(".wh..wh."):
        pass
    elif last.startswith(".wh."):
        kind, path = "whiteout", f"{directory}/{last.removeprefix('.wh.')}"
    elif member.isreg():
        kind, size = "file", member.size
    elif member.islnk():
        kind, target = "hardlink", posixpath.normpath("/" + member.linkname.lstrip("/"))
    elif member.issym():
        kind, size, target = "symlink", len(member.linkname.encode("utf-8", "surrogateescape")), member.linkname
    elif member.isdir():
        kind = "directory"
    return Entry(0, path, kind, size, member.mode, member.uid, member.gid, target)


def _shared_out(read: _Read, marks: Sequence[tuple[int, int]], end: int) -> Iterator[Entry]:
    """Each entry with its part of the compressed bytes; together they are all of them.

    A compressor puts out its bytes in blocks: within a block they are divided by the sizes of what went in.
    """
    positions = [position for position, _ in marks]

    def packed(position: int) -> int:
        after = min(bisect_right(positions, position), len(marks) - 1)
        (here, low), (there, high) = marks[after - 1], marks[after]
        return high if there <= here else low + (high - low) * min(position - here, there - here) // (there - here)

    # What goes before the first entry, and what follows the last, counts as theirs.
    bounds = [0, *read.starts[1:], end] if read.entries else []
    for entry, begin, finish in zip(read.entries, bounds[:-1], bounds[1:], strict=True):
        first = packed(begin) if begin else 0
        last = marks[-1][1] if finish == end else packed(finish)
        yield entry._replace(compressed=max(0, last - first))
