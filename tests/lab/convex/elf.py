"""Gives an executable arguments of its own: they come before those it is started with.

A segment with a little machine code and the arguments is added to the file, and the program starts there. When this
code runs, the kernel has put the arguments on the stack and the dynamic loader has done its work. The code makes a
copy of that block with more arguments and variables in it, below the old one, tells libc of the new environment, and
goes on to where the program used to start. The old block stays as it is, so `ps` shows the command as it was typed.

This way the result is one file that `ldd` understands, without a wrapper, a second process or a file beside it.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

X86_64 = 62
PAGE = 0x1000

PT_LOAD, PT_DYNAMIC, PT_NOTE = 1, 2, 4
DT_STRTAB, DT_SYMTAB, DT_RELA, DT_RELASZ = 5, 6, 7, 8
R_X86_64_GLOB_DAT = 6
READABLE, EXECUTABLE = 4, 1

_SEGMENT = struct.Struct("<IIQQQQQQ")
_RELOCATION = struct.Struct("<QIIq")
_SYMBOL_SIZE = 24


class _Segment(NamedTuple):
    kind: int
    flags: int
    offset: int
    address: int
    physical: int
    file_size: int
    memory_size: int
    alignment: int


def with_arguments(executable: bytes, arguments: list[str], environment: list[str]) -> bytes:
    """Return the x86-64 executable with these arguments after argv[0], and these variables before the others."""
    if executable[:5] != b"\x7fELF\x02" or struct.unpack_from("<H", executable, 18) != (X86_64,):
        raise ValueError("not an ELF executable for x86-64")
    result = bytearray(executable)
    entry, table = struct.unpack_from("<QQ", result, 24)
    size, count = struct.unpack_from("<HH", result, 54)
    segments = [_Segment(*_SEGMENT.unpack_from(result, table + size * index)) for index in range(count)]
    # The table of segments has no room for one more; the note, a build number that only debuggers read, gives way.
    # Loaded segments must be in the order of their addresses, and the last of the table may have the highest.
    if segments[-1].kind != PT_NOTE:
        raise ValueError("the last segment of the executable is no note that could be replaced")
    result.extend(bytes(-len(result) % PAGE))
    top = max(segment.address + segment.memory_size for segment in segments if segment.kind == PT_LOAD)
    address = top + -top % PAGE

    environ = _environ(executable, segments)
    code = _code(len(arguments), len(environment), environ - address, entry - address)
    content = code + b"".join(string.encode() + b"\0" for string in [*arguments, *environment])
    length = len(content)
    added = _Segment(PT_LOAD, READABLE | EXECUTABLE, len(result), address, address, length, length, PAGE)
    _SEGMENT.pack_into(result, table + size * (count - 1), *added)
    struct.pack_into("<Q", result, 24, address)
    return bytes(result + content)


def _environ(executable: bytes, segments: list[_Segment]) -> int:
    """Return where the loader writes the address of libc's variable `environ`, as the program's own code needs it."""

    def offset(address: int) -> int:
        return next(
            address - segment.address + segment.offset
            for segment in segments
            if segment.kind == PT_LOAD and 0 <= address - segment.address < segment.file_size
        )

    dynamic = next(segment for segment in segments if segment.kind == PT_DYNAMIC)
    where = dict(struct.iter_unpack("<QQ", executable[dynamic.offset : dynamic.offset + dynamic.file_size]))
    symbols, names, relocations = (offset(where[tag]) for tag in (DT_SYMTAB, DT_STRTAB, DT_RELA))
    for slot, kind, symbol, _ in _RELOCATION.iter_unpack(executable[relocations : relocations + where[DT_RELASZ]]):
        if kind == R_X86_64_GLOB_DAT:
            (name,) = struct.unpack_from("<I", executable, symbols + _SYMBOL_SIZE * symbol)
            if executable.startswith(b"environ\0", names + name):
                return int(slot)
    raise ValueError("the executable does not use environ")


def _code(arguments: int, variables: int, environ: int, entry: int) -> bytes:
    """Return the code; environ and entry are relative to its beginning, and the strings follow it at once.

    The block on the stack: argc, argv, a zero, the environment, a zero, pairs for the loader, a pair that begins with
    zero. rdx belongs to the program and is left alone. Bytes, since a machine that runs tests may have no assembler.
    """
    # The processor takes these as signed, as does the struct module, which refuses more of them than there is room for.
    some, others, more = (struct.pack("b", number) for number in (arguments, variables, 8 * (arguments + variables)))
    return b"".join(
        [
            bytes.fromhex("48 89 e6"),  #            mov rsi, rsp             the old block
            bytes.fromhex("48 8b 0e"),  #            mov rcx, [rsi]           argc
            bytes.fromhex("4c 8d 44 ce 10"),  #      lea r8, [rsi+rcx*8+16]   the environment
            bytes.fromhex("49 83 c0 08"),  #      1: add r8, 8
            bytes.fromhex("49 83 78 f8 00"),  #      cmp qword [r8-8], 0
            bytes.fromhex("75 f5"),  #               jne 1b                   past its zero: the pairs
            bytes.fromhex("49 83 c0 10"),  #      2: add r8, 16
            bytes.fromhex("49 83 78 f0 00"),  #      cmp qword [r8-16], 0
            bytes.fromhex("75 f5"),  #               jne 2b                   past the last pair: the block's end
            bytes.fromhex("49 8d 40") + more,  #     lea rax, [r8+more]
            bytes.fromhex("48 29 f0"),  #            sub rax, rsi             the new block's size
            bytes.fromhex("48 29 c4"),  #            sub rsp, rax
            bytes.fromhex("48 83 e4 f0"),  #         and rsp, -16             the ABI wants it aligned
            bytes.fromhex("48 89 e7"),  #            mov rdi, rsp             the new block
            bytes.fromhex("4c 8d 0d 4d 00 00 00"),  # lea r9, [rip+strings]
            bytes.fromhex("48 ad"),  #               lodsq
            bytes.fromhex("48 83 c0") + some,  #     add rax, some
            bytes.fromhex("48 ab"),  #               stosq                    argc
            bytes.fromhex("48 a5"),  #               movsq                    argv[0]
            bytes.fromhex("b0") + some,  #           mov al, some
            bytes.fromhex("e8 26 00 00 00"),  #      call insert              the arguments
            bytes.fromhex("f3 48 a5"),  #            rep movsq                argc words: argv[1...] and the zero
            bytes.fromhex("48 8b 05") + struct.pack("<i", environ - 0x54),  # mov rax, [environ], from the next line
            bytes.fromhex("48 89 38"),  #            mov [rax], rdi           the loader gave libc the old one
            bytes.fromhex("b0") + others,  #         mov al, others
            bytes.fromhex("e8 12 00 00 00"),  #      call insert              the variables
            bytes.fromhex("4c 89 c1"),  #            mov rcx, r8
            bytes.fromhex("48 29 f1"),  #            sub rcx, rsi
            bytes.fromhex("48 c1 e9 03"),  #         shr rcx, 3
            bytes.fromhex("f3 48 a5"),  #            rep movsq                all the rest
            bytes.fromhex("e9") + struct.pack("<i", entry - 0x70),  # jmp entry, from the next line
            bytes.fromhex("4c 89 0f"),  #    insert: mov [rdi], r9            al times: the address of a string
            bytes.fromhex("48 83 c7 08"),  #         add rdi, 8
            bytes.fromhex("49 ff c1"),  #         3: inc r9
            bytes.fromhex("41 80 79 ff 00"),  #      cmp byte [r9-1], 0
            bytes.fromhex("75 f6"),  #               jne 3b                   past its zero: the next string
            bytes.fromhex("fe c8"),  #               dec al
            bytes.fromhex("75 eb"),  #               jnz insert
            bytes.fromhex("c3"),  #                  ret
        ]
    )
