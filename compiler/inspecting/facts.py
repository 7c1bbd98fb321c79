"""A file -> what it is and what it asks for, as frozen facts; whatever is in it, reading ends soon and never fails.

ELF is read with pyelftools, as the loader reads it: by segments and the dynamic table, never by sections, which are for
debuggers and may be gone. A hostile file can ask for endless work; every read is counted, and there are only so many.
"""

from __future__ import annotations

import io
import os
import re
import stat
import struct
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from compiler.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from elftools.elf.dynamic import DynamicSegment
    from elftools.elf.elffile import ELFFile

HEAD = 4096
"""How much of a file that is no ELF is looked at."""

READS = 30_000
"""Reads that one file may take: programs take a few thousand, looking up 400 symbols takes 10,000."""

LARGEST = 1 << 20
"""Bytes that one read may ask for."""

SEGMENTS = 4096
"""Segments that a file may have; compilers make a dozen."""

FOLDERS, LONGEST = 64, 1024
"""Directories in which a file may say that its libraries are, and how long their names may be; the rest is left out."""

MACHINES = {
    ("EM_X86_64", 64, True): "amd64",
    ("EM_386", 32, True): "386",
    ("EM_AARCH64", 64, True): "arm64",
    ("EM_ARM", 32, True): "arm",
    ("EM_RISCV", 64, True): "riscv64",
    ("EM_PPC64", 64, True): "ppc64le",
    ("EM_PPC64", 64, False): "ppc64",
    ("EM_S390", 64, False): "s390x",
    ("EM_LOONGARCH", 64, True): "loong64",
    ("EM_MIPS", 64, True): "mips64le",
    ("EM_MIPS", 64, False): "mips64",
}
"""Machine, word size and whether little-endian, and what platforms call it: https://go.dev/doc/install/source#environment"""

SYSTEMS = ("ELFOSABI_SYSV", "ELFOSABI_LINUX", "ELFOSABI_NONE")

POINTER = rb"version https://git-lfs"
PAGE = rb"(?i)\s*(<!doctype html|<html|<head|<body)"
LOOKS: Sequence[tuple[bytes, str, str]] = (
    (POINTER, "a Git LFS pointer, not the file that it stands for", "run git lfs pull"),
    (PAGE, "an HTML page, such as what a server says of an error", ""),
    (rb"\s*<\?xml", "XML, such as what a server says of an error", ""),
    (rb"\s*[{\[]\s*[\"{}\]]", "JSON, such as what a server says of an error", ""),
    (rb"MZ", "a program for Windows", "take the one for Linux"),
    (rb"\xcf\xfa\xed\xfe|\xce\xfa\xed\xfe|\xfe\xed\xfa|\xca\xfe\xba\xbe\x00\x00\x00[\x01-\x1f]", "a program for macOS",
     "take the one for Linux"),
    (rb"\xca\xfe\xba\xbe", "a Java class", "run it with java"),
    (rb"\x1f\x8b", "a gzip archive", "unpack it first"),
    (rb"PK\x03\x04", "a zip archive", "unpack it first"),
    (rb"\xfd7zXZ\x00", "an xz archive", "unpack it first"),
    (rb"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it first"),
    (rb"BZh[1-9]", "a bzip2 archive", "unpack it first"),
    (rb"(?s).{257}ustar", "a tar archive", "unpack it first"),
    (rb"!<arch>\ndebian", "a Debian package", "unpack it first"),
    (rb"!<arch>\n", "a static library, for linkers only", ""),
    (rb"\x00asm", "a WebAssembly module", "run it with a WebAssembly runtime"),
    (rb"(BC\xc0\xde)", "LLVM bitcode", ""),
)  # fmt: skip
"""How files begin that are taken for executables, what each is, and what to do where that is one thing."""


class Need(NamedTuple):
    """A symbol version that a file wants from a library."""

    library: str
    version: str
    weak: bool


class Facts(NamedTuple):
    """What a file is and asks for; empty where it does not say."""

    path: str
    kind: str
    """executable, library, object, script, or other."""
    look: str = ""
    """What it looks like, where it is none of these."""
    advice: str = ""
    run: bool = False
    """Whether somebody may execute it."""
    system: str = "linux"
    machine: str = ""
    libc: str = ""
    """musl, glibc, or static; empty where nothing tells."""
    interpreter: str = ""
    argument: str = ""
    """What follows the interpreter on the first line of a script."""
    carriage_return: bool = False
    soname: str = ""
    needed: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    """Where it says that its libraries are, its own directory written $ORIGIN."""
    runpath: bool = False
    """Whether it says so of its own libraries only, not of those that they need."""
    needs: tuple[Need, ...] = ()
    versions: frozenset[str] = frozenset()
    """The symbol versions that it defines."""
    wanted: tuple[str, ...] = ()
    """The symbols without a version that an executable wants from others and cannot do without."""
    damage: str = ""
    """What is wrong with its structure."""
    truncated: str = ""
    """What says that its end is missing."""


class _DamageError(Exception):
    """The structure of a file makes no sense."""


class _Limited:
    """A file for pyelftools that gives out so many pieces of bounded size, and then no more."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._left = file, READS
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, size: int = -1) -> bytes:
        """The next bytes, as long as there is something left to give."""
        self._left -= 1
        if size < 0 or size > LARGEST:
            raise _DamageError(f"it speaks of a single entry of {size} bytes")
        if self._left < 0:
            raise _DamageError("its tables have no end")
        return self._file.read(size)


def read(path: str, shown: str = "") -> Facts:
    """The facts of the file at ``path``, which messages call ``shown``; HostError where it cannot be read."""
    shown = shown or path
    try:
        # Opening a pipe would wait for somebody who writes to it.
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise HostError(f"{shown} is not a file", "name a file, or a directory")
        run = bool(status.st_mode & 0o111)
        with open(path, "rb") as file:
            head = file.read(HEAD)
            if head.startswith(b"\x7fELF"):
                return _elf(file, status.st_size)._replace(path=shown, run=run)
    except OSError as error:
        raise HostError(f"{shown} cannot be read: {error.strerror}") from None
    return plain(head)._replace(path=shown, run=run)


def plain(head: bytes) -> Facts:
    """The facts of a file that is no ELF, by how it begins."""
    if head.startswith(b"#!"):
        # For the kernel, a zero ends it as well.
        line = re.split(rb"[\n\0]", head[2:], maxsplit=1)[0].decode("utf-8", "replace")
        words = line.rstrip("\r").split(None, 1)
        return Facts(
            "",
            "script",
            interpreter=words[0] if words else "",
            argument=words[1].strip() if words[1:] else "",
            carriage_return=line.endswith("\r"),
        )
    if not head:
        return Facts("", "other", "an empty file")
    for pattern, look, advice in LOOKS:
        if re.match(pattern, head):
            return Facts("", "other", look, advice)
    if b"\0" in head:
        return Facts("", "other", "data of no known kind" if head.strip(b"\0") else "nothing but zeros")
    if re.match(rb"(\xef\xbb\xbf|\s+)#!", head):
        return Facts("", "other", "a script with something before its #!", "let #! be its very first characters")
    return Facts(
        "", "other", "text without a line that begins with #!", "begin a script with #!/bin/sh, or what runs it"
    )


def substitute(head: bytes) -> bool:
    """Whether a file that begins so is what Git or a server gave in place of another."""
    return any(re.match(pattern, head) for pattern in (POINTER, PAGE))


def _elf(file: BinaryIO, size: int) -> Facts:
    try:
        from elftools.elf.elffile import ELFFile
    except ImportError:
        raise HostError(
            "reading executables takes pyelftools, which is not installed",
            "pip install 'appos-compile[inspect]', or pip install pyelftools",
        ) from None
    facts = Facts("", "executable")
    try:
        elf = ELFFile(cast("BinaryIO", _Limited(file)))
        facts = _header(elf, size)
        return _segments(elf, size, facts)
    except RecursionError:
        return facts._replace(damage="its structure refers to itself")
    except Exception as error:  # noqa: BLE001 - on garbage, the library raises whatever comes of it
        told = str(error) if isinstance(error, _DamageError) else "its headers make no sense"
        return facts._replace(damage=told, truncated=facts.truncated or _short(size))


def _short(size: int) -> str:
    """Nothing that runs is shorter than its own header and one segment's: 64 and 56 bytes."""
    return f"it ends after {size} bytes, within its own header" if size < 64 + 56 else ""


def _header(elf: ELFFile, size: int) -> Facts:
    header: Any = elf.header
    system = header["e_ident"]["EI_OSABI"]
    kinds = {"ET_EXEC": "executable", "ET_DYN": "library", "ET_REL": "object", "ET_CORE": "core"}
    end = header["e_shoff"] + header["e_shnum"] * header["e_shentsize"]
    cut = f"its header speaks of {end} bytes, and there are {size}" if header["e_shoff"] and end > size else ""
    # From here on there are no sections: pyelftools would prefer them, the loader does not know them.
    header["e_shoff"] = 0
    machine = MACHINES.get((header["e_machine"], elf.elfclass, elf.little_endian))
    strange = f"{str(header['e_machine']).removeprefix('EM_').lower()} ({elf.elfclass} bits)"
    return Facts(
        "",
        kinds.get(header["e_type"], "other"),
        look="" if header["e_type"] in kinds else "an ELF file of no known type",
        system="linux" if system in SYSTEMS else str(system).removeprefix("ELFOSABI_").lower(),
        machine=machine or strange,
        truncated=cut,
    )


def _segments(elf: ELFFile, size: int, facts: Facts) -> Facts:
    if facts.kind not in ("executable", "library"):
        return facts
    facts, dynamic = _loaded(elf, size, facts)
    if facts.truncated:
        return facts
    if dynamic is None:
        # A program without a dynamic table asks for nothing.
        return facts._replace(kind="executable", libc="static")
    facts = _dynamic(elf, dynamic, facts)
    if not facts.interpreter and not facts.soname and _static_pie(dynamic):
        return facts._replace(kind="executable", libc="static")
    return facts._replace(libc=_libc(facts))


def _loaded(elf: ELFFile, size: int, facts: Facts) -> tuple[Facts, DynamicSegment | None]:
    """What the segments say, and the one with the dynamic table; raises _DamageError for what no loader would take."""
    if not 0 < elf.num_segments() <= SEGMENTS:
        raise _DamageError(f"it has {elf.num_segments()} segments")
    dynamic, loads = None, 0
    for segment in elf.iter_segments():
        kind, end = segment["p_type"], segment["p_offset"] + segment["p_filesz"]
        loads += kind == "PT_LOAD"
        if kind == "PT_LOAD" and segment["p_filesz"] > segment["p_memsz"]:
            raise _DamageError("a segment is larger in the file than in memory")
        if kind in ("PT_LOAD", "PT_DYNAMIC", "PT_INTERP") and end > size:
            return facts._replace(truncated=f"its segments take {end} bytes, and there are {size}"), None
        if kind == "PT_INTERP":
            facts = facts._replace(kind="executable", interpreter=_loader(segment))
        elif kind == "PT_DYNAMIC":
            dynamic = cast("DynamicSegment", segment)
    if not loads:
        raise _DamageError("no segment of it is loaded")
    if dynamic and not any(elf.address_offsets(dynamic["p_vaddr"])):
        raise _DamageError("its dynamic table lies outside of what is loaded")
    return facts, dynamic


def _loader(segment: Any) -> str:
    if not 1 < segment["p_filesz"] <= HEAD:
        raise _DamageError(f"the name of its loader has {segment['p_filesz']} bytes")
    if not segment.data().endswith(b"\0"):
        raise _DamageError("the name of its loader has no end")
    return str(segment.get_interp_name())


DF_1_PIE = 0x08000000


def _static_pie(dynamic: DynamicSegment) -> bool:
    return any(tag["d_val"] & DF_1_PIE for tag in dynamic.iter_tags("DT_FLAGS_1"))


def _dynamic(elf: ELFFile, dynamic: DynamicSegment, facts: Facts) -> Facts:
    texts: dict[str, list[str]] = {"DT_NEEDED": [], "DT_RPATH": [], "DT_RUNPATH": [], "DT_SONAME": []}
    numbers: dict[str, int] = {}
    for tag in dynamic.iter_tags():
        kind = tag["d_tag"]
        if kind in texts:
            texts[kind].append(getattr(tag, kind.removeprefix("DT_").lower()))
        else:
            numbers.setdefault(str(kind), tag["d_val"])
    facts = facts._replace(
        needed=tuple(dict.fromkeys(texts["DT_NEEDED"])),
        soname=next(iter(texts["DT_SONAME"]), ""),
        runpath=bool(texts["DT_RUNPATH"]),
        search=_folders(":".join(texts["DT_RUNPATH"] or texts["DT_RPATH"])),
        needs=tuple(_needs(elf, numbers)),
        versions=frozenset(_versions(elf, numbers)),
    )
    return facts._replace(wanted=_wanted(elf, numbers) if facts.interpreter else ())


def _folders(search: str) -> tuple[str, ...]:
    found = (part.replace("${ORIGIN}", "$ORIGIN") for part in search.split(":") if 0 < len(part) <= LONGEST)
    return tuple(dict.fromkeys(found))[:FOLDERS]


def _offset(elf: ELFFile, numbers: Mapping[str, int], name: str) -> int | None:
    """Where in the file the table is that the dynamic table gives an address of."""
    if name not in numbers:
        return None
    found = next(elf.address_offsets(numbers[name]), None)
    if found is None:
        raise _DamageError(f"its {name.removeprefix('DT_')} lies outside of it")
    return found


def _needs(elf: ELFFile, numbers: Mapping[str, int]) -> Iterator[Need]:
    """The versions that are needed: https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/symversion.html."""
    place, strings = _offset(elf, numbers, "DT_VERNEED"), _offset(elf, numbers, "DT_STRTAB")
    if place is None or strings is None:
        return
    for library, entry in _chain(elf, place, numbers.get("DT_VERNEEDNUM", 0), "Verneed", "vn"):
        name = _text(elf, strings + library["vn_file"])
        for version, _ in _chain(elf, entry + library["vn_aux"], library["vn_cnt"], "Vernaux", "vna"):
            yield Need(name, _text(elf, strings + version["vna_name"]), bool(version["vna_flags"] & 2))


def _versions(elf: ELFFile, numbers: Mapping[str, int]) -> Iterator[str]:
    place, strings = _offset(elf, numbers, "DT_VERDEF"), _offset(elf, numbers, "DT_STRTAB")
    if place is None or strings is None:
        return
    for definition, entry in _chain(elf, place, numbers.get("DT_VERDEFNUM", 0), "Verdef", "vd"):
        [(name, _)] = list(_chain(elf, entry + definition["vd_aux"], 1, "Verdaux", "vda"))
        yield _text(elf, strings + name["vda_name"])


def _chain(elf: ELFFile, place: int, count: int, kind: str, prefix: str) -> Iterator[tuple[Any, int]]:
    """The entries of a list in which each says how far away the next one is, with their places."""
    from elftools.common.utils import struct_parse

    for number in range(count):
        entry = struct_parse(getattr(elf.structs, f"Elf_{kind}"), elf.stream, place)
        yield entry, place
        step = entry[f"{prefix}_next"]
        if not step and number + 1 < count:
            raise _DamageError("a list of its symbol versions ends early")
        place += step


def _text(elf: ELFFile, place: int) -> str:
    from elftools.common.utils import parse_cstring_from_stream

    text = parse_cstring_from_stream(elf.stream, place)
    if text is None:
        raise _DamageError("a text in it has no end")
    return text.decode("utf-8", "replace")


def _libc(facts: Facts) -> str:
    """By its loader, otherwise by the name of the C library: only glibc calls it libc.so.6."""
    name = facts.interpreter.rpartition("/")[2]
    if name.startswith("ld-musl") or any(library.startswith("libc.musl-") for library in facts.needed):
        return "musl"
    if re.match(r"ld(-linux|64|\.so)", name) or "libc.so.6" in facts.needed or facts.soname == "libc.so.6":
        return "glibc"
    return "musl" if "libc.so" in facts.needed else ""


def _wanted(elf: ELFFile, numbers: Mapping[str, int]) -> tuple[str, ...]:
    """Symbols without a version that an executable cannot do without; none where there are too many to read."""
    try:
        return tuple(_unversioned(elf, numbers))
    except _DamageError:
        return ()


def _unversioned(elf: ELFFile, numbers: Mapping[str, int]) -> Iterator[str]:
    symbols, strings = _offset(elf, numbers, "DT_SYMTAB"), _offset(elf, numbers, "DT_STRTAB")
    count = _foreign(elf, numbers)
    if symbols is None or strings is None or not count:
        return
    # For each symbol the number of its version: 0 and 1 stand for none, the highest bit for one that is hidden.
    place = _offset(elf, numbers, "DT_VERSYM")
    versions = _words(elf, place, "H", count) if place is not None else (0,) * count
    table = io.BytesIO(_bytes(elf, symbols, count * elf.structs.Elf_Sym.sizeof()))
    for version in versions:
        symbol = elf.structs.Elf_Sym.parse_stream(table)
        wanted = symbol["st_shndx"] == "SHN_UNDEF" and symbol["st_info"]["bind"] == "STB_GLOBAL"
        if wanted and version & 0x7FFF <= 1 and (name := _text(elf, strings + symbol["st_name"])):
            yield name


def _foreign(elf: ELFFile, numbers: Mapping[str, int]) -> int:
    """How many symbols come first of which some are others': the hash table, which finds a file's own, begins there.

    The older table, DT_HASH, is of all symbols: https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.dynamic.html#hash.
    """
    place = _offset(elf, numbers, "DT_GNU_HASH") or _offset(elf, numbers, "DT_HASH")
    return int(_words(elf, place, "I", 2)[1]) if place else 0


def _words(elf: ELFFile, place: int, form: str, count: int) -> tuple[int, ...]:
    """So many numbers of one form of ``struct``."""
    order = "<" if elf.little_endian else ">"
    return struct.unpack(f"{order}{count}{form}", _bytes(elf, place, count * struct.calcsize(form)))


def _bytes(elf: ELFFile, place: int, size: int) -> bytes:
    elf.stream.seek(place)
    content = elf.stream.read(size)
    if len(content) < size:
        raise _DamageError("a table in it has no end")
    return content


def lacking(path: str, names: Sequence[str]) -> tuple[str, ...] | None:
    """Those of the symbols that a library does not define; none where it cannot be told."""
    from elftools.elf.elffile import ELFFile
    from elftools.elf.hash import GNUHashTable

    try:
        with open(path, "rb") as file:
            elf = ELFFile(cast("BinaryIO", _Limited(file)))
            cast("Any", elf.header)["e_shoff"] = 0
            [dynamic] = (cast("DynamicSegment", one) for one in elf.iter_segments() if one["p_type"] == "PT_DYNAMIC")
            _, place = dynamic.get_table_offset("DT_GNU_HASH")
            table = GNUHashTable(elf, cast("int", place), dynamic)
            return tuple(name for name in names if table.get_symbol(name) is None)
    except Exception:  # noqa: BLE001 - as above; what cannot be told is not held against anybody
        return None
