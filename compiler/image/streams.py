"""The bytes of an image as they stream by, plain or compressed: what is stored -> what is in it, piece by piece."""

from __future__ import annotations

import importlib
import tarfile
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from compiler.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from compiler.image.archive import Options

PIECE = 2**18
LEVEL = 6
"""Of gzip, as engines push layers by default."""

LARGEST = 64 * 2**30
"""Bytes of a layer when it is unpacked: more is taken for a stream without an end."""

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
XZ = b"\xfd7zXZ\0"
BZIP2 = b"BZh"

MEMORY = 2**27
"""Bytes that unpacking xz may take; zstd's own limit is the same."""


class Stream(Protocol):
    """Bytes that come one after the other."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most ``size``; none at the end."""


class LayerError(Exception):
    """A layer that cannot be read."""


class Plain:
    """A layer as it is; ``marks`` are pairs of its tar position and the compressed bytes up to there."""

    def __init__(self, head: bytes, content: Stream, options: Options) -> None:
        self._head = head
        self._content = content
        self._packer = zlib.compressobj(LEVEL, zlib.DEFLATED, 31) if options.compress else None
        self._progress = options.progress
        self.position = 0
        self.packed = 0
        self.marks: list[tuple[int, int]] = [(0, 0)]

    def read(self, size: int) -> bytes:
        """The next piece."""
        if self._head:
            piece, self._head = self._head[:size], self._head[size:]
        else:
            piece = self._content.read(size)
        self._count(piece)
        self._progress(len(piece))
        return piece

    def _count(self, piece: bytes) -> None:
        self.position += len(piece)
        if self.position > LARGEST:
            raise LayerError(f"a layer of more than {LARGEST // 2**30} GiB")
        if self._packer and (out := self._packer.compress(piece)):
            self.packed += len(out)
            self.marks.append((self.position, self.packed))

    def close(self) -> int | None:
        """The compressed size, once all has been read."""
        if self._packer is None:
            return None
        self.packed += len(self._packer.flush())
        self.marks.append((self.position, self.packed))
        return self.packed


class Packed:
    """What is stored compressed, as one member or several; ``marks`` are as those of a plain layer."""

    def __init__(self, head: bytes, content: Stream, options: Options) -> None:
        self._head = head
        self._content = content
        self._progress = options.progress
        self._method = method(head)
        self._unpacker = self._method.another()
        self._ended = False
        self.position = 0
        self.packed = 0
        self.marks: list[tuple[int, int]] = [(0, 0)]

    def read(self, size: int) -> bytes:
        """The next piece, at most ``size`` bytes."""
        piece = b"" if self._unpacker.eof else self._unpack(b"", size)
        while not piece and not self._ended:
            packed = self._following() if self._unpacker.eof else self._next()
            if packed:
                piece = self._unpack(packed, size)
            elif not self._ended:
                raise LayerError("what is compressed ends too early")
        self.position += len(piece)
        if self.position > LARGEST:
            raise LayerError(f"it unpacks to more than {LARGEST // 2**30} GiB")
        return piece

    def _unpack(self, packed: bytes, size: int) -> bytes:
        try:
            return self._unpacker.decompress(packed, size)
        except self._method.damage as error:
            raise LayerError(f"what is compressed is damaged: {error}") from None

    def _following(self) -> bytes:
        """What the next member begins with; nothing if the last one has ended."""
        begun = self._unpacker.unused_data
        while len(begun) < len(self._method.magic) and (more := self._next()):
            begun += more
        # What follows the last member is padding.
        self._ended = not begun.startswith(self._method.magic)
        if self._ended:
            return b""
        self._unpacker = self._method.another()
        return begun

    def _next(self) -> bytes:
        self.marks.append((self.position, self.packed))
        piece, self._head = self._head or self._content.read(2**15), b""
        self.packed += len(piece)
        self._progress(len(piece))
        return piece

    def close(self) -> int | None:
        """The compressed size, once all has been read."""
        while self._next():
            pass
        self.marks.append((self.position, self.packed))
        return self.packed


class Unpacker(Protocol):
    """Unpacks one member, as Python's own unpackers do.

    What it was given and has not unpacked yet it keeps: it is given more once nothing comes out any more.
    """

    @property
    def eof(self) -> bool:
        """Whether the member has ended, and all of it came out."""

    @property
    def unused_data(self) -> bytes:
        """What was given and follows the member, once that has ended."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """The next bytes, at most so many."""


class _Gzip:
    """Python's own, which hands back what it has not unpacked."""

    def __init__(self) -> None:
        self._made = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._made.eof

    @property
    def unused_data(self) -> bytes:
        return self._made.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._made.decompress(self._made.unconsumed_tail + data, max_length)


class _Zstandard:
    """The library, which cannot be told how much to unpack: it is given little, and what came out too early waits."""

    LITTLE = 2**10
    """Bytes that make 33 MB at most: a block of 128 KiB takes four."""

    def __init__(self, library: Any) -> None:
        self._made = library.ZstdDecompressor().decompressobj()
        self._given = self._ready = memoryview(b"")

    @property
    def eof(self) -> bool:
        return self._made.eof and not self._ready

    @property
    def unused_data(self) -> bytes:
        return bytes(self._made.unused_data) + bytes(self._given)

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        self._given = memoryview(data) if data else self._given
        out = bytearray()
        while len(out) < max_length and (self._ready or (self._given and not self._made.eof)):
            if not self._ready:
                self._ready = memoryview(self._made.decompress(self._given[: self.LITTLE]))
                self._given = self._given[self.LITTLE :]
            wanted = max_length - len(out)
            out += self._ready[:wanted]
            self._ready = self._ready[wanted:]
        return bytes(out)


class Method(NamedTuple):
    """How something is compressed: what each member begins with, what unpacks it, and what that raises."""

    magic: bytes
    another: Callable[[], Unpacker]
    damage: type[Exception]


def method(head: bytes) -> Method:
    """How what begins with ``head``, at least six bytes, is compressed; raises HostError where a library is missing."""
    if head.startswith(ZSTD):
        return _zstd()
    if head.startswith(XZ):
        import lzma

        return Method(XZ, partial(lzma.LZMADecompressor, memlimit=MEMORY), lzma.LZMAError)
    if head.startswith(BZIP2):
        import bz2

        return Method(BZIP2, bz2.BZ2Decompressor, OSError)
    return Method(GZIP, _Gzip, zlib.error)


def _zstd() -> Method:
    """What unpacks zstd: of Python itself since 3.14, else of a library."""
    for name in ("compression.zstd", "zstandard"):
        try:
            module: Any = importlib.import_module(name)
        except ImportError:
            continue
        another = partial(_Zstandard, module) if name == "zstandard" else module.ZstdDecompressor
        return Method(ZSTD, another, module.ZstdError)
    raise HostError("what is compressed with zstd takes a library that is not here", "pip install zstandard")


def unpacked(content: Stream, options: Options) -> Stream:
    """The stream as it is, or what it unpacks to: tarfile's own way takes more memory the better it is compressed."""
    head = content.read(tarfile.BLOCKSIZE)
    plain = head[257:262] == b"ustar" or not head.startswith((GZIP, ZSTD, XZ, BZIP2))
    return (Plain if plain else Packed)(head, content, options)
