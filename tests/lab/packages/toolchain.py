"""A C compiler for musl: Zig's clang and C library, with the libraries of the Alpine root beside them."""

from __future__ import annotations

import os
import shutil

from tests.lab.cache import program, step

COMPILER = """#!/bin/sh
# Scripts that know only this machine add its own directories, whose headers are another C library's.
for argument do
    shift
    case $argument in
        -I/usr/* | -L/usr/* | -isystem/usr/*) ;;
        *) set -- "$@" "$argument" ;;
    esac
done
# What is only tried out, while a build is configured, runs here with Alpine's C library and libraries.
if [ -n "${{TRIED_OUT-}}" ]; then
    set -- "$@" '-Wl,--dynamic-linker={machine}/lib/ld-musl-x86_64.so.1' '-Wl,-rpath,{machine}/usr/lib'
fi
# Alpine's own compiler traps nothing, and stamps of time are what the sources want.
exec '{zig}' cc -target x86_64-linux-musl -dynamic -fno-sanitize=undefined -Wno-error=date-time \\
    '-I{root}/include' "$@" '-L{root}/lib'
"""

TOOL = """#!/bin/sh
exec '{zig}' {name} "$@"
"""

LEFT_OUT = ("ASYNC", "COMP", "EC2M", "IDEA", "MDC2", "RC5", "SEED", "SSL3", "SSL3_METHOD", "WEAK_SSL_CIPHERS")
"""What Alpine's OpenSSL is built without, while Debian's has some of it."""


@step
def toolchain(out: str, zig: str, machine: str, headers: str) -> None:
    """Give ``bin`` with ``cc``, which compiles for Alpine, ``native-cc`` for this machine, and ``ar`` and ``ranlib``.

    ``include`` and ``lib`` are what Alpine's openssl-dev and zlib-dev hold.
    """
    root = out.removesuffix(".unfinished")
    compiler = f"{zig}/ziglang/zig"
    for folder in ("bin", "lib", "include"):
        os.mkdir(os.path.join(out, folder))
    scripts = {"cc": COMPILER.format(zig=compiler, root=root, machine=machine)}
    scripts |= {name: TOOL.format(zig=compiler, name=name) for name in ("ar", "ranlib")}
    scripts["native-cc"] = TOOL.format(zig=compiler, name="cc -fno-sanitize=undefined")
    for name, text in scripts.items():
        program(f"{out}/bin/{name}", text)
    for library, version in {"libz.so": 1, "libssl.so": 3, "libcrypto.so": 3}.items():
        shutil.copy(f"{machine}/usr/lib/{library}.{version}", f"{out}/lib/{library}")
    # Debian keeps the part of the headers that depends on the processor apart.
    for folder in (f"{headers}/usr/include", f"{headers}/usr/include/x86_64-linux-gnu"):
        shutil.copytree(f"{folder}/openssl", f"{out}/include/openssl", dirs_exist_ok=True)
        for name in ("zlib.h", "zconf.h"):
            if os.path.isfile(f"{folder}/{name}"):
                shutil.copy(f"{folder}/{name}", f"{out}/include/{name}")
    with open(f"{out}/include/openssl/configuration.h", "a", encoding="utf-8") as file:
        file.writelines(f"#undef OPENSSL_NO_{name}\n#define OPENSSL_NO_{name}\n" for name in LEFT_OUT)
