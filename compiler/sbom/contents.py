"""What a bill of materials wants to know of the files of an image, found while the image is read."""

from __future__ import annotations

import hashlib
import lzma
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from compiler.errors import HostError
from compiler.image import model, packages
from compiler.sbom.gobuild import Finder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from compiler.image.model import Entry, Image, Look, Sink
    from compiler.sbom.gobuild import Build

TEXTS, FILES = "sbom-texts", "sbom-files"
"""The names of the looks."""

LARGEST_TEXT = 2**21
OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")
COPYRIGHT = re.compile(r"/usr/share/doc/([^/]+)/copyright")
PYTHON = re.compile(r".*/(?:site|dist)-packages/([^/]+)\.(?:dist-info/METADATA|egg-info/PKG-INFO|egg-info)")
SMALLEST_PROGRAM = 2**16
"""Bytes: no executable of Go is smaller."""

PIECE = 2**10
"""Bytes that are unpacked at once: of zstd they make 33 MB at most (a block of 128 KiB takes four bytes)."""

LARGEST = 4 * 2**30
"""Bytes that an artifact may unpack to."""

MOST_LINKS = 256
"""Steps of a path, more than any file system follows."""

MEMORY = 2**28
"""Bytes that unpacking may take: what the highest levels of zstd and xz need is less."""


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
    """A sink for a file that is compressed with zstd or xz; what is damaged has a checksum, but no content."""

    def __init__(self, method: str) -> None:
        self._outer = Program()
        self._inner = Program()
        self._unpacker = _Xz() if method == "xz" else _Zstd()
        self._size = 0
        self._damaged = False

    def update(self, piece: bytes) -> None:
        """Take the next piece."""
        self._outer.update(piece)
        for start in range(0, 0 if self._damaged else len(piece), PIECE):
            try:
                for out in self._unpacker.unpack(piece[start : start + PIECE]):
                    self._inner.update(out)
                    self._size += len(out)
            # The error of each library is its own, and each means the same.
            except Exception:  # noqa: BLE001
                self._damaged = True
            if self._size > LARGEST:
                self._damaged = True
            if self._damaged:
                break

    def value(self) -> Content:
        """What is known of the file, and of what is in it."""
        whole = self._unpacker.eof and not self._damaged
        return self._outer.value()._replace(unpacked=self._inner.value() if whole else None)


class _Xz:
    """Unpacks xz."""

    def __init__(self) -> None:
        self._unpacker = lzma.LZMADecompressor(memlimit=MEMORY)

    @property
    def eof(self) -> bool:
        """Whether the end has been reached."""
        return self._unpacker.eof

    def unpack(self, piece: bytes) -> Iterator[bytes]:
        """What the piece unpacks to, in pieces."""
        while not self._unpacker.eof and (piece or not self._unpacker.needs_input):
            yield self._unpacker.decompress(piece, 2**20)
            piece = b""


class _Zstd:
    """Unpacks zstd."""

    def __init__(self) -> None:
        try:
            import zstandard
        except ImportError:
            raise HostError(
                "an artifact is compressed with zstd, and the library for that is not installed",
                "pip install zstandard",
            ) from None
        self._unpacker: Any = zstandard.ZstdDecompressor(max_window_size=MEMORY).decompressobj()

    @property
    def eof(self) -> bool:
        """Whether the end has been reached."""
        return bool(self._unpacker.eof)

    def unpack(self, piece: bytes) -> Iterator[bytes]:
        """What the piece unpacks to."""
        if not self._unpacker.eof:
            yield self._unpacker.decompress(piece)


def looks(packed: Mapping[str, str], *, all_files: bool) -> dict[str, Look]:
    """What to look at; ``packed`` are paths of compressed artifacts with their methods.

    All files are looked at where artifacts are to have checksums, otherwise what may be an executable of Go.
    """

    def files(entry: Entry) -> Sink | None:
        if entry.path in packed:
            return Packed(packed[entry.path])
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
