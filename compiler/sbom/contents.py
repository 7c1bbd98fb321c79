"""What a bill of materials wants to know of the files of an image, found while the image is read."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from compiler.image import model, packages, streams
from compiler.sbom.gobuild import Finder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from compiler.image.model import Entry, Image, Look, Sink
    from compiler.image.streams import Method, Unpacker
    from compiler.sbom.gobuild import Build

TEXTS, FILES = "sbom-texts", "sbom-files"
"""The names of the looks."""

LARGEST_TEXT = 2**21
OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")
COPYRIGHT = re.compile(r"/usr/share/doc/([^/]+)/copyright")
PYTHON = re.compile(r".*/(?:site|dist)-packages/([^/]+)\.(?:dist-info/METADATA|egg-info/PKG-INFO|egg-info)")
SMALLEST_PROGRAM = 2**16
"""Bytes: no executable of Go is smaller."""

LARGEST = 4 * 2**30
"""Bytes that an artifact may unpack to."""

MOST_LINKS = 256
"""Steps of a path, more than any file system follows."""


class Content(NamedTuple):
    """What is known of a file: its checksum, and what Go has built it from; ``unpacked`` is what is in it."""

    sha256: str
    build: Build | None
    unpacked: Content | None = None


class Program:
    """A sink that makes a Content."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._finder = Finder()

    def update(self, piece: bytes) -> None:
        """Take the next piece."""
        self._digest.update(piece)
        self._finder.update(piece)

    def value(self) -> Content:
        """The checksum of all of it, and the build."""
        return Content(self._digest.hexdigest(), self._finder.value())


class Packed:
    """A sink for a file that is compressed; what is damaged has a checksum, but no content."""

    def __init__(self) -> None:
        self._outer = Program()
        self._inner = Program()
        self._method: Method | None = None
        self._unpacker: Unpacker | None = None
        self._size = 0

    def update(self, piece: bytes) -> None:
        """Take the next piece; raises HostError where the library that unpacks it is missing."""
        self._outer.update(piece)
        if self._method is None:
            self._method = streams.method(piece)
            self._unpacker = self._method.another()
        try:
            while self._unpacker and not self._unpacker.eof:
                if not (out := self._unpacker.decompress(piece, streams.PIECE)):
                    break
                self._inner.update(out)
                self._size += len(out)
                piece = b""
                if self._size > LARGEST:
                    self._unpacker = None
        except self._method.damage:
            self._unpacker = None

    def value(self) -> Content:
        """What is known of the file, and of what is in it."""
        whole = self._unpacker is not None and self._unpacker.eof
        return self._outer.value()._replace(unpacked=self._inner.value() if whole else None)


def looks(packed: Collection[str], *, all_files: bool) -> dict[str, Look]:
    """What to look at; ``packed`` are paths of compressed artifacts.

    All files are looked at where artifacts are to have checksums, otherwise what may be an executable of Go.
    """

    def files(entry: Entry) -> Sink | None:
        if entry.path in packed:
            return Packed()
        return Program() if all_files or entry.size >= SMALLEST_PROGRAM else None

    return {packages.LOOK: model.keep(packages.wanted), TEXTS: model.keep(_text, LARGEST_TEXT), FILES: files}


def _text(entry: Entry) -> bool:
    return entry.path in OS_RELEASE or bool(COPYRIGHT.fullmatch(entry.path) or PYTHON.fullmatch(entry.path))


class Tree:
    """What a container sees of an image that was read with these looks."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self.entries = model.visible(image)

    def resolve(self, path: str) -> str:
        """The path without symbolic links."""
        done, waiting, steps = "", [part for part in path.split("/") if part][::-1], 0
        while waiting and steps < MOST_LINKS:
            steps += 1
            part = waiting.pop()
            if part in (".", ".."):
                done = done.rpartition("/")[0] if part == ".." else done
                continue
            entry = self.entries.get(f"{done}/{part}")
            if entry and entry.kind == "symlink":
                waiting += [piece for piece in entry.target.split("/") if piece][::-1]
                done = "" if entry.target.startswith("/") else done
            else:
                done = f"{done}/{part}"
        return done or "/"

    def text(self, path: str) -> str:
        """A text that was kept, or nothing."""
        found = self._found(TEXTS, self.resolve(path))
        return found.decode("utf-8", "replace") if isinstance(found, bytes) else ""

    def texts(self, pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
        """The kept texts at paths of that form, sorted."""
        for path in sorted(self.entries):
            if pattern.fullmatch(path) and (text := self.text(path)):
                yield path, text

    def content(self, path: str) -> Content | None:
        """What is known of the file at a path without links."""
        entry = self.entries.get(path)
        if entry and entry.kind == "hardlink":
            path = entry.target
        found = self._found(FILES, path)
        return found if isinstance(found, Content) else None

    def below(self, path: str) -> list[str]:
        """The files at a path or below it, sorted."""
        own = f"{path.rstrip('/')}/"
        return sorted(
            place
            for place, entry in self.entries.items()
            if entry.kind in ("file", "hardlink") and (place == path or place.startswith(own))
        )

    def _found(self, look: str, path: str) -> Any:
        entry = self.entries.get(path)
        return self._image.layers[entry.layer].found.get(look, {}).get(path) if entry else None
