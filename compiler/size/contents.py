"""What the advice wants to know of a file's content, learnt while the layer streams by: a look and what it finds."""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

from compiler.size import lists

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compiler.image.model import Entry, Look, Sink

LOOK = "contents"
"""The name of the look whose findings ``advice`` reads."""

SMALLEST = 4096
"""Bytes from which on a file is compared with others."""

WINDOW = 2**16
"""Bytes kept of either end of an executable: where section headers and their names are."""

LARGEST_TEXT = 2**16
"""Bytes of the largest script or configuration that is kept."""

ROOM = 16 * 2**20
"""Bytes of all such texts together, and of all lists."""

LARGE = 20 * 10**6
"""Bytes of an executable from which on it is asked how well it compresses."""

SAMPLED = 2**17, 2**20
"""Of every so many bytes of it the first so many are compressed, to see that; all of it would take long."""

COMPRESSED = re.compile(r".*\.(html|css|js|mjs|json|svg|txt|xml|wasm|map|webmanifest)")
"""What ``artifacts.*.precompress`` compresses, by the name."""

LEAST_COMPRESSED = 1024
"""Bytes that such a file has more of."""

MOST_COMPRESSED = 32 * 2**20
"""Bytes that are compressed to see what it would save: about a second. Of what else there is, nothing is said."""

_ALLOCATED = 2
_SYMBOLS, _STRINGS, _NOTHING = 2, 3, 8
_DEBUGGING = (b".debug", b".zdebug", b".gdb_index", b".stab", b".gnu_debugdata")


class Content(NamedTuple):
    """What was found of a file.

    A digest of the whole, the bytes of an executable that ``strip`` removes, the text of a script or list, what part of
    its size gzip leaves of a large executable, by samples, and the bytes that it makes of a text that is served.
    """

    digest: bytes
    symbols: int
    text: bytes
    packed: float
    gzipped: int


def look(served: tuple[str, ...] = ()) -> Look:
    """A look that learns of a file what is worth it: of one of some size, a script, a configuration or a list.

    What lies below the directories ``served`` is compressed where ``artifacts.*.precompress`` would.
    """
    # Scripts fill the room of an image that has many of them; lists have a room of their own.
    room = {False: ROOM, True: ROOM}
    left = [MOST_COMPRESSED]

    def sink(entry: Entry) -> Sink | None:
        runs = bool(entry.mode & 0o111)
        listed = lists.form(entry.path) is not None
        named = runs or listed or entry.path.startswith("/etc/")
        sent = LEAST_COMPRESSED < entry.size <= left[0] and entry.path.startswith(served)
        gzips = sent and COMPRESSED.fullmatch(entry.path) is not None
        if entry.size < SMALLEST and not (named or gzips):
            return None
        if gzips:
            left[0] -= entry.size
        text = named and entry.size <= min(lists.LARGEST if listed else LARGEST_TEXT, room[listed])
        if text:
            room[listed] -= entry.size
        return _Contents(entry.size, text=text, samples=runs and entry.size >= LARGE, gzips=gzips)

    return sink


class _Contents:
    """Takes a file in pieces; keeps a digest and no more than its two ends."""

    def __init__(self, size: int, *, text: bool, samples: bool, gzips: bool) -> None:
        self._size = size
        self._text = text
        self._kept = max(WINDOW, size if text else 0)
        self._samples = _Samples() if samples else None
        # As `gzip -9` does it, with its header.
        self._gzip = zlib.compressobj(9, zlib.DEFLATED, 31) if gzips else None
        self._gzipped = 0
        self._digest = hashlib.sha256(usedforsecurity=False)
        self._head = b""
        self._tail = b""

    def update(self, piece: bytes) -> None:
        """Take the next piece."""
        if self._size >= SMALLEST:
            self._digest.update(piece)
        if self._samples:
            self._samples.update(piece)
        if self._gzip:
            self._gzipped += len(self._gzip.compress(piece))
        if len(self._head) < self._kept:
            self._head += piece[: self._kept - len(self._head)]
        if self._head.startswith(b"\x7fELF"):
            self._tail = (self._tail + piece)[-WINDOW:] if len(piece) < WINDOW else piece[-WINDOW:]

    def value(self) -> Content | None:
        """What was found, if it is anything."""
        digest = self._digest.digest()[:16] if self._size >= SMALLEST else b""
        elf = self._head.startswith(b"\x7fELF")
        symbols = min(sum(strippable(self._head, self._tail, self._size)), self._size) if elf else 0
        text = self._head if self._text and not elf and b"\0" not in self._head else b""
        packed = self._samples.left() if self._samples else 0.0
        gzipped = self._gzipped + len(self._gzip.flush()) if self._gzip else 0
        return Content(digest, symbols, text, packed, gzipped) if digest or symbols or text or gzipped else None


class _Samples:
    """Compresses samples of a file that comes in pieces."""

    def __init__(self) -> None:
        self._seen = self._taken = self._packed = 0

    def update(self, piece: bytes) -> None:
        """Take the next piece, or nothing of it."""
        length, every = SAMPLED
        if self._seen % every + len(piece) > every or not self._seen:
            sample = piece[:length]
            self._taken += len(sample)
            self._packed += len(zlib.compress(sample, 6))
        self._seen += len(piece)

    def left(self) -> float:
        """What part of its size is left when it is compressed."""
        return self._packed / self._taken if self._taken else 1.0


class _Section(NamedTuple):
    name: int
    kind: int
    flags: int
    offset: int
    size: int
    link: int


def strippable(head: bytes, tail: bytes, size: int) -> Iterator[int]:
    """The bytes of each section that ``strip`` removes: symbols with their names, and what only debuggers read.

    The layout is that of the System V ABI, chapter 4. What is in neither end of the file, or makes no sense, counts as
    nothing.
    """

    def at(offset: int, length: int) -> bytes:
        if offset + length <= len(head):
            return head[offset : offset + length]
        start = offset - (size - len(tail))
        return tail[start : start + length] if start >= 0 else b""

    try:
        sections, names = _sections(head, at)
    except struct.error:
        return
    linked = {section.link for section in sections if section.kind == _SYMBOLS and not section.flags & _ALLOCATED}
    for index, section in enumerate(sections):
        if section.flags & _ALLOCATED or section.kind == _NOTHING or not 0 < section.size <= size:
            continue
        symbols = section.kind == _SYMBOLS or (section.kind == _STRINGS and index in linked)
        if symbols or names.startswith(_DEBUGGING, section.name):
            yield section.size


def _sections(head: bytes, at: Callable[[int, int], bytes]) -> tuple[list[_Section], bytes]:
    """The section headers, and the table of their names; raises ``struct.error`` for what is too short."""
    order = ">" if head[5:6] == b"\x02" else "<"
    wide = head[4:5] == b"\x02"
    if wide:
        (start,), (length, count, strings) = (
            struct.unpack_from(f"{order}Q", head, 0x28),
            struct.unpack_from(f"{order}3H", head, 0x3A),
        )
        layout = struct.Struct(f"{order}IIQQQQI")
    else:
        (start,), (length, count, strings) = (
            struct.unpack_from(f"{order}I", head, 0x20),
            struct.unpack_from(f"{order}3H", head, 0x2E),
        )
        layout = struct.Struct(f"{order}IIIIIII")
    if length < layout.size:
        raise struct.error("sections that overlap")
    sections = []
    for index in range(count):
        name, kind, flags, _, offset, size, link = layout.unpack_from(at(start + index * length, layout.size))
        sections.append(_Section(name, kind, flags, offset, size, link))
    names = sections[strings] if strings < len(sections) else None
    return sections, at(names.offset, names.size) if names and names.size <= WINDOW else b""
