"""Reads one layer as a stream: its entries, its compressed size, and what looks make of its files."""

from __future__ import annotations

import importlib
import io
import posixpath
import struct
import tarfile
import zlib
from bisect import bisect_right
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from compiler.errors import HostError
from compiler.image.model import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from compiler.image.archive import Options
    from compiler.image.model import Look, Sink

PIECE = 2**18
LEVEL = 6
"""Of gzip, as engines push layers by default."""

LARGEST = 64 * 2**30
"""Bytes of a layer when it is unpacked: more is taken for a stream without an end."""

MOST_ENTRIES = 4_000_000
LONGEST_PATH = 4096
"""Bytes of a name: Linux takes no longer one, and each directory above it is looked at."""

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


LARGEST_HEADER = 2**20
"""Bytes of a header that stands for a long name and the like; real ones have a few hundred."""

HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


USUAL = struct.Struct("100s8s8s8s12s12x8sc100s8s80x155s12x")
"""Name, mode, uid, gid, size, checksum, type, target, form and prefix of a header, as POSIX has them."""

USUAL_TYPES = (tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE)


class Header(tarfile.TarInfo):
    """A header that is what it says: tarfile itself takes a damaged one for the end, and believes any size."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str | None, errors: str) -> Header:
        """Read a header; LayerError where there can be no such entry."""
        try:
            made = cls._usual(buf, encoding, errors) or super().frombuf(buf, encoding, errors)  # type: ignore[arg-type]
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise LayerError(f"a damaged header: {error}") from None
        checked(made)
        if made.type in HEADERS and made.size > LARGEST_HEADER:
            raise LayerError(f"a header of {made.size} bytes")
        return made

    @classmethod
    def _usual(cls, buf: bytes | bytearray, encoding: str | None, errors: str) -> Header | None:
        """The usual kind of header, read in half the time: POSIX's with octal numbers; None for any other."""
        fields = USUAL.unpack(buf) if len(buf) == tarfile.BLOCKSIZE else None
        if not fields or fields[6] not in USUAL_TYPES or not fields[8].startswith(b"ustar\0"):
            return None
        try:
            mode, uid, gid, size, total = (int(field.rstrip(b" \0") or b"0", 8) for field in fields[1:6])
        except ValueError:
            return None
        if sum(buf) - sum(buf[148:156]) + 8 * ord(" ") != total:
            return None
        texts = (field.partition(b"\0")[0] for field in (fields[0], fields[7], fields[9]))
        name, target, prefix = (text.decode(encoding or "utf-8", errors) for text in texts)
        name = name.rstrip("/") if fields[6] == tarfile.DIRTYPE else name
        made = cls(f"{prefix}/{name}" if prefix else name)
        made.mode, made.uid, made.gid, made.size, made.type, made.linkname = mode, uid, gid, size, fields[6], target
        return made


class Forward:
    """What tarfile reads: a stream in which it can skip, but not go back.

    Its own mode for streams copies, with each header, all that waits behind it: for small files, most of the work.
    """

    def __init__(self, stream: Stream) -> None:
        self._file = io.BufferedReader(_Raw(stream), PIECE)
        self._position = 0

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes; fewer at the end."""
        piece = self._file.read(size)
        self._position += len(piece)
        return piece

    def tell(self) -> int:
        """How many bytes went by."""
        return self._position

    def seek(self, position: int) -> int:
        """Skip to a position; what ends before it is noticed by who reads there."""
        while self._position < position and self.read(min(position - self._position, PIECE)):
            pass
        return self._position


class _Raw(io.RawIOBase):
    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        piece = self._stream.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def checked(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The entry; LayerError if its size cannot be, which would be waited for without end."""
    if not 0 <= member.size <= LARGEST:
        raise LayerError(f"{member.name} cannot have {member.size} bytes")
    return member


class Scan(NamedTuple):
    """What was read of a layer: the size of its tar stream, its compressed size if it is known, and its entries."""

    tar: int
    compressed: int | None
    entries: Sequence[Entry]
    found: Mapping[str, Mapping[str, Any]]
    measured: bool


class _Plain:
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


class _Packed:
    """What is stored compressed, as one member or several; ``marks`` are as those of a plain layer."""

    def __init__(self, head: bytes, content: Stream, options: Options) -> None:
        self._head = head
        self._content = content
        self._progress = options.progress
        self._method = _method(head)
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


class _Method(NamedTuple):
    """How something is compressed: what each member begins with, what unpacks it, and what that raises."""

    magic: bytes
    another: Callable[[], Unpacker]
    damage: type[Exception]


def _method(head: bytes) -> _Method:
    if head.startswith(ZSTD):
        return _zstd()
    if head.startswith(XZ):
        import lzma

        return _Method(XZ, partial(lzma.LZMADecompressor, memlimit=MEMORY), lzma.LZMAError)
    if head.startswith(BZIP2):
        import bz2

        return _Method(BZIP2, bz2.BZ2Decompressor, OSError)
    return _Method(GZIP, _Gzip, zlib.error)


def _zstd() -> _Method:
    """What unpacks zstd: of Python itself since 3.14, else of a library."""
    for name in ("compression.zstd", "zstandard"):
        try:
            module: Any = importlib.import_module(name)
        except ImportError:
            continue
        another = partial(_Zstandard, module) if name == "zstandard" else module.ZstdDecompressor
        return _Method(ZSTD, another, module.ZstdError)
    raise HostError("what is compressed with zstd takes a library that is not here", "pip install zstandard")


def unpacked(content: Stream, options: Options) -> Stream:
    """The stream as it is, or what it unpacks to: tarfile's own way takes more memory the better it is compressed."""
    head = content.read(tarfile.BLOCKSIZE)
    plain = head[257:262] == b"ustar" or not head.startswith((GZIP, ZSTD, XZ, BZIP2))
    return (_Plain if plain else _Packed)(head, content, options)


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
    stream = (_Packed if compressed else _Plain)(head, content, options)
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


def contents(tar: tarfile.TarFile, file: Any) -> Iterator[tuple[tarfile.TarInfo, Stream]]:
    """The entries of an archive as they come, each with where to read its content, which may be left unread.

    That is ``file``, from which the archive reads: its next bytes are the content, unless holes are left out of it.
    """
    while (member := tar.next()) is not None:
        tar.members = []  # type: ignore[attr-defined]
        yield checked(member), (tar.extractfile(member) or file if member.issparse() else file)


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
