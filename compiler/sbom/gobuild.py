"""The content of an executable that Go has built -> the modules it was built from, as the linker has noted in it.

Sources: ``debug/buildinfo`` and ``runtime/debug/mod.go`` of Go's standard library. Only what Go 1.18 and later write is
read, where the texts follow their header; before, it held addresses.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

MAGIC = b"\xff Go buildinf:"
ALIGNMENT = 16
HEADER = 32
INLINE = 2
"""The flag that says that the texts follow."""

SENTINEL = 16
"""Bytes before and after the list of modules."""

LONGEST = 2**20
"""Bytes of a text: a module takes about a hundred, and nothing has ten thousand of them."""

LONGEST_VERSION = 1024
LONGEST_PATH = 1024
VARINT = 10
ELF = b"\x7fELF"
ELF_HEADER = 64
MOST_SEGMENTS = 64
WIDE, LITTLE = 2, 1
"""Of the identification in the ELF header: 64 bits, and the order of bytes."""

EXECUTABLE, WRITABLE, LOADED = 1, 2, 1
MORE = 0x80
"""Of a byte of a number: another one follows."""


class Module(NamedTuple):
    """A module with its version; ``replaces`` is the path that asked for it where another one took its place.

    ``directory`` is where its files were from, if that was no module of its own but a directory of whoever built it.
    """

    path: str
    version: str
    sum: str
    replaces: str = ""
    directory: str = ""


class Build(NamedTuple):
    """What an executable was built from, and how."""

    go: str
    path: str
    main: Module | None
    modules: tuple[Module, ...]
    settings: tuple[tuple[str, str], ...]


class Finder:
    """Takes an executable in pieces and holds on to a few of its bytes; ``value`` is its Build, if it has one.

    A program may carry others within itself, so what its writable segment has counts for more than what comes first.
    """

    def __init__(self) -> None:
        self._waiting = b""
        self._position = 0
        self._data: tuple[int, int] | None = None
        self._elsewhere: Build | None = None
        self._found: Build | None = None
        self._over = False
        self._begun = False

    def update(self, piece: bytes) -> None:
        """Take the next piece."""
        if self._over:
            return
        self._waiting += piece
        if not self._begun:
            if len(self._waiting) < ELF_HEADER + MOST_SEGMENTS * 56 and self._waiting[:4] == ELF[: len(self._waiting)]:
                return
            self._begin()
        if not self._over:
            self._search()

    def value(self) -> Build | None:
        """What was found."""
        if not self._begun and not self._over:
            self._begin()
            if not self._over:
                self._search()
        return self._found or self._elsewhere

    def _begin(self) -> None:
        self._begun = True
        self._over = self._waiting[:4] != ELF
        if not self._over:
            self._data = _writable(self._waiting)
        else:
            self._waiting = b""

    def _search(self) -> None:
        start = 0
        while (place := self._waiting.find(MAGIC, start)) >= 0:
            inside = self._data is None or self._data[0] <= self._position + place < self._data[1]
            if (self._position + place) % ALIGNMENT or (self._elsewhere and not inside):
                start = place + 1
                continue
            try:
                build = _decoded(self._waiting, place)
            except EOFError:
                if len(self._waiting) - place <= HEADER + 2 * VARINT + LONGEST_VERSION + LONGEST:
                    # The rest comes with the next pieces.
                    self._keep(place)
                    return
                build = None
            if build and inside:
                self._found, self._over, self._waiting = build, True, b""
                return
            self._elsewhere = self._elsewhere or build
            start = place + 1
        self._keep(max(start, len(self._waiting) - len(MAGIC) + 1))

    def _keep(self, place: int) -> None:
        self._waiting = self._waiting[place:]
        self._position += place


def read(content: bytes) -> Build | None:
    """The build of an executable that is there as a whole."""
    finder = Finder()
    finder.update(content)
    return finder.value()


def _writable(head: bytes) -> tuple[int, int] | None:
    """Where in the file the first segment lies that is loaded to be written to, if the header says so."""
    if len(head) < ELF_HEADER or head[4] not in (1, 2) or head[5] not in (1, 2):
        return None
    order = "<" if head[5] == LITTLE else ">"
    wide = head[4] == WIDE
    (table,) = struct.unpack_from(f"{order}Q", head, 32) if wide else struct.unpack_from(f"{order}I", head, 28)
    size, number = struct.unpack_from(f"{order}HH", head, 54 if wide else 42)
    for index in range(min(number, MOST_SEGMENTS)):
        place = table + index * size
        if place + 56 > len(head):
            return None
        if wide:
            kind, flags, offset, _, _, length = struct.unpack_from(f"{order}IIQQQQ", head, place)
        else:
            kind, offset, _, _, length, _, flags = struct.unpack_from(f"{order}IIIIIII", head, place)
        if kind == LOADED and flags & (WRITABLE | EXECUTABLE) == WRITABLE:
            return offset, offset + length
    return None


def _decoded(content: bytes, place: int) -> Build | None:
    """What stands at ``place``; EOFError where it goes on after the end, None where it makes no sense."""
    if len(content) < place + HEADER:
        raise EOFError
    if not content[place + len(MAGIC) + 1] & INLINE:
        return None
    start, end = _text(content, place + HEADER, LONGEST_VERSION)
    # Looked at before anything is copied: a file may be full of beginnings.
    if not content.startswith((b"go", b"devel "), start, end):
        return None
    version = content[start:end]
    start, end = _text(content, end, LONGEST)
    # What the linker leaves out is empty.
    framed = end - start > 2 * SENTINEL and content[end - SENTINEL - 1 : end - SENTINEL] == b"\n"
    if not framed and end != start:
        return None
    listed = content[start + SENTINEL : end - SENTINEL] if framed else b""
    return parse(version.decode("utf-8", "replace"), listed.decode("utf-8", "replace"))


def _text(content: bytes, place: int, longest: int) -> tuple[int, int]:
    """Where a text with its length before it begins and ends; what is too long ends before it begins."""
    length = 0
    for index in range(VARINT):
        if place + index >= len(content):
            raise EOFError
        byte = content[place + index]
        length |= (byte & 0x7F) << (7 * index)
        if byte < MORE:
            place += index + 1
            break
    else:
        length = longest + 1
    if length > longest:
        return place, place - 1
    if place + length > len(content):
        raise EOFError
    return place, place + length


def parse(go: str, text: str) -> Build:
    """The build of the list that ``go version -m`` prints, too; lines that make no sense are passed over."""
    path, main = "", None
    modules: list[Module] = []
    settings = []
    last = ""
    for line in text.split("\n"):
        kind, _, rest = line.partition("\t")
        fields = rest.split("\t")
        if kind == "path":
            path = _plain(rest)
        elif kind in ("mod", "dep", "=>"):
            module = Module(*(_plain(field) for field in (*fields, "", "")[:3]))
            if not module.path:
                continue
            if kind == "mod":
                main = module
            elif kind == "dep":
                modules.append(module)
            elif last == "dep" and modules:
                modules[-1] = _replaced(modules[-1], module)
            elif last == "mod" and main:
                main = _replaced(main, module)
        elif kind == "build":
            key, _, value = rest.partition("=")
            settings.append((_plain(key), _plain(value.strip('"`'))))
        last = kind
    # Experiments stand behind the version.
    go = _plain(go.partition(" ")[0] if go.startswith("go") else go)
    return Build(go, path, main, tuple(modules), tuple(settings))


def _replaced(asked: Module, by: Module) -> Module:
    """What took the place of a module; it keeps its name where that is a directory, whose path tells others nothing."""
    # As IsDirectoryPath of golang.org/x/mod/modfile tells them apart.
    if by.path in (".", "..") or re.match(r"(\.{0,2}[/\\]|[A-Za-z]:)", by.path):
        return asked._replace(directory=by.path)
    return by._replace(replaces=asked.path)


def _plain(text: str) -> str:
    """The text, or nothing where no module, version or setting can be called so."""
    return text if text.isprintable() and len(text) <= LONGEST_PATH else ""
