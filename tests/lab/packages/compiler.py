"""What stands for gcc and musl-dev: Zig's clang under gcc's names, with only the parts that compile for Alpine."""

from __future__ import annotations

import os
import shutil

from tests.lab import wheels
from tests.lab.apk import MUSL, Content, built
from tests.lab.cache import program, run, step

HEADERS = ("generic-musl", "any-linux-any", "x86_64-linux-musl", "x86-linux-any", "x86-linux-musl")

OTHER_SYSTEMS = ("darwin", "freebsd", "glibc", "include", "mingw", "netbsd", "openbsd", "wasi")

COMPILER = """#!/bin/sh
# Stands for gcc: Zig's clang. What it compiles of the C library is kept where it came compiled.
# Of -s and -g the last counts here, where gcc takes both.
for word; do [ "$word" != -s ] || { set -- "$@" -s; break; }; done
export ZIG_GLOBAL_CACHE_DIR="${ZIG_GLOBAL_CACHE_DIR:-/usr/lib/zig/cache}"
exec /usr/lib/zig/zig cc -target x86_64-linux-musl -dynamic -fno-sanitize=undefined -Wno-error=date-time "$@"
"""

TOOL = """#!/bin/sh
exec /usr/lib/zig/zig {name} "$@"
"""

TRIED = '#include <stdio.h>\n#include <math.h>\n#include <pthread.h>\nint main(void) { return puts("") < 0; }\n'


@step
def compiler(out: str, wheel: str) -> None:
    """Give the files of the package."""
    zig = f"{out}/usr/lib/zig"
    shutil.copytree(f"{wheel}/ziglang/lib", f"{zig}/lib", ignore=shutil.ignore_patterns("libcxx*", "libtsan", "docs"))
    for name in OTHER_SYSTEMS:
        shutil.rmtree(f"{zig}/lib/libc/{name}", ignore_errors=True)
    for name in HEADERS:
        shutil.copytree(f"{wheel}/ziglang/lib/libc/include/{name}", f"{zig}/lib/libc/include/{name}")
    shutil.copy(f"{wheel}/ziglang/zig", f"{zig}/zig")
    os.mkdir(f"{out}/usr/bin")
    scripts = {"gcc": COMPILER, "cc": COMPILER} | {name: TOOL.format(name=name) for name in ("ar", "ranlib")}
    for name, text in scripts.items():
        program(f"{out}/usr/bin/{name}", text)
    # Linking once leaves the C library's start files for every build to use.
    run(
        *(f"{zig}/zig", "cc", "-target", "x86_64-linux-musl", "-dynamic", "-O2", "-x", "c", "-", "-o", f"{out}/tried"),
        env={"ZIG_GLOBAL_CACHE_DIR": f"{zig}/cache", "ZIG_LOCAL_CACHE_DIR": f"{zig}/cache"},
        text=TRIED,
    )
    os.remove(f"{out}/tried")


def contents() -> list[Content]:
    """Give the packages; the headers that musl-dev has come with the compiler here."""
    wheel = wheels.pinned("ziglang")
    files, version = compiler(wheels.wheel(wheel)), wheel.split("==")[1]
    description = "Zig's clang in place of"
    return [
        built("gcc", version, files, depends="/bin/sh", description=f"{description} gcc and binutils"),
        built("musl-dev", version, "", depends=f"gcc {MUSL}", description=f"{description} musl's headers"),
    ]
