"""Tar as a stream, once through: a stream -> its entries, each with its content; what cannot be is refused."""

from __future__ import annotations

import io
import struct
import tarfile
from typing import TYPE_CHECKING, Any

from compiler.image import streams
from compiler.image.streams import LayerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiler.image.streams import Stream

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
        self._file = io.BufferedReader(_Raw(stream), streams.PIECE)
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
        while self._position < position and self.read(min(position - self._position, streams.PIECE)):
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
    if not 0 <= member.size <= streams.LARGEST:
        raise LayerError(f"{member.name} cannot have {member.size} bytes")
    return member


def contents(tar: tarfile.TarFile, file: Any) -> Iterator[tuple[tarfile.TarInfo, Stream]]:
    """The entries of an archive as they come, each with where to read its content, which may be left unread.

    That is ``file``, from which the archive reads: its next bytes are the content, unless holes are left out of it.
    """
    while (member := tar.next()) is not None:
        tar.members = []  # type: ignore[attr-defined]
        yield checked(member), (tar.extractfile(member) or file if member.issparse() else file)
