"""Executables and libraries for tests, good and broken, made in a moment: Zig links them without any C library."""

from __future__ import annotations

import struct
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from tests.lab import wheels

if TYPE_CHECKING:
    from pathlib import Path

GLIBC_LOADER, MUSL_LOADER = "/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1"

PROGRAM = "void _start(void) { for (;;) {} }\n"
CALLING = "int thing(void); void _start(void) { for (;;) thing(); }\n"
ENDING = """
void _start(void) { __asm__ volatile("mov $60, %eax; mov $STATUS, %edi; syscall"); }
"""
"""A program for x86-64 that ends at once: exit is system call 60."""

ENV = {
    "sh": True,
    "/bin/sh": True,
    "A=b": False,
    "": False,
    "node": False,
    # The kernel makes one argument of all that follows.
    "sh -e": False,
    "-i sh": False,
    "A=b sh": False,
    "--split-string sh": False,
    "-S sh -e": True,
    "-Ssh": True,
    "--split-string=sh": True,
    "--split=sh": True,
    "-vS sh": True,
    "-S -u X sh": True,
    "-S -uX -i - A=b sh -e": True,
    "-S -C / sh": True,
    "-S --unset X --chdir=/ --block-signal=INT -- sh": True,
    '-S "sh"': True,
    "-S '/bin/sh' -c true": True,
    "-S -S sh": True,
    "-S node --flag": False,
    "-S -u sh": False,
    "-S -q sh": False,
    '-S "sh': False,
    # What is there at the start is not known now.
    "-S ${SHELL}": True,
}
"""What may follow env, and whether the one of Debian then starts something that is there."""


def compiled(out: Path, source: str, *flags: str, target: str = "x86_64-linux-gnu") -> Path:
    """A program or library of one source file, linked with nothing but what the flags name."""
    zig = f"{wheels.wheel(wheels.pinned('ziglang'))}/ziglang/zig"
    out.parent.mkdir(parents=True, exist_ok=True)
    code = out.with_name(f"{out.name}.c")
    code.write_text(source)
    subprocess.run(
        [zig, "cc", "-target", target, "-nostdlib", "-fno-sanitize=undefined", "-s", "-o", str(out), *flags, str(code)],
        check=True,
        capture_output=True,
    )
    code.unlink()
    return out


def library(out: Path, version: str = "", soname: str = "", function: str = "thing") -> Path:
    """A library with one function, of a symbol version if one is named."""
    flags = ["-shared", f"-Wl,-soname,{soname or out.name}"]
    if version:
        script = out.with_name(f"{out.name}.map")
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(f"{version} {{ global: {function}; }};\n")
        flags.append(f"-Wl,--version-script={script}")
    made = compiled(out, f"int {function}(void) {{ return 1; }}\n", *flags)
    if version:
        script.unlink()
    return made


def calling(out: Path, wanted: Path, loader: str, *flags: str) -> Path:
    """A program that asks for a loader and needs a library."""
    return compiled(out, CALLING, f"-Wl,--dynamic-linker={loader}", *flags, str(wanted))


class Patch(NamedTuple):
    """A number to be written over another one in an ELF file of 64 bits."""

    offset: int
    kind: str
    value: int


def patched(data: bytes, *patches: Patch) -> bytes:
    """The bytes with some numbers replaced."""
    changed = bytearray(data)
    for patch in patches:
        struct.pack_into(f"<{patch.kind}", changed, patch.offset, patch.value)
    return bytes(changed)


def segments(data: bytes) -> dict[int, int]:
    """Where the header of the first segment of each type is."""
    place, size, count = (*struct.unpack_from("<Q", data, 32), *struct.unpack_from("<HH", data, 54))
    found: dict[int, int] = {}
    for number in range(count):
        found.setdefault(struct.unpack_from("<I", data, place + number * size)[0], place + number * size)
    return found


def tags(data: bytes) -> dict[int, int]:
    """Where in the file the value of each entry of the dynamic table is."""
    place, found = struct.unpack_from("<Q", data, segments(data)[2] + 8)[0], {}
    while (tag := struct.unpack_from("<Q", data, place)[0]) != 0:
        found[tag] = place + 8
        place += 16
    return found


def at(data: bytes, address: int) -> int:
    """Where in the file an address is loaded from."""
    place, size, count = (*struct.unpack_from("<Q", data, 32), *struct.unpack_from("<HH", data, 54))
    for number in range(count):
        kind, _, offset, start, _, length = struct.unpack_from("<IIQQQQ", data, place + number * size)
        if kind == 1 and start <= address < start + length:
            return int(offset + address - start)
    raise AssertionError(address)
