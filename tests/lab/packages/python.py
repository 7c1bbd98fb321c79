"""Python, from the source code that Debian has, laid out as Alpine does it: byte-code is a package of its own."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile

from tests.lab import debian
from tests.lab.apk import MUSL, Content, built
from tests.lab.cache import run, step

NOT_PACKAGED = (
    "test",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip/_bundled",
    "config-*",
    "lib2to3/tests",
    "ctypes/test",
)
"""Parts of the library that Alpine has in packages of their own, or not at all."""


@step
def python(out: str, toolchain: str, source: str, sqlite: str, build_python: str) -> None:
    """Give the files of ``python3`` and of ``python3-pycache-pyc0``."""
    version = "3.11"
    files = f"{out}/python3"
    with tempfile.TemporaryDirectory() as folder:
        tree = os.path.join(folder, "python")
        shutil.copytree(source, tree, symlinks=True)
        link = os.path.join(folder, "lib")
        os.mkdir(link)
        os.symlink(f"{sqlite}/sqlite-libs/usr/lib/libsqlite3.so.0", f"{link}/libsqlite3.so")
        for name in ("z", "ssl", "crypto"):
            os.symlink(f"{toolchain}/lib/lib{name}.so", f"{link}/lib{name}.so")
        run(
            *("./configure", "--prefix=/usr", "--build=x86_64-linux-gnu", "--host=x86_64-linux-musl"),
            *(f"--with-build-python={build_python}", "--disable-test-modules", "--without-ensurepip", "--enable-ipv6"),
            *("--enable-loadable-sqlite-extensions", "--with-computed-gotos", f"--with-openssl={toolchain}"),
            *("--with-dbmliborder=", "--without-static-libpython"),
            cwd=tree,
            env={
                "CC": f"{toolchain}/bin/cc",
                "AR": f"{toolchain}/bin/ar",
                "RANLIB": f"{toolchain}/bin/ranlib",
                "READELF": "/usr/bin/readelf",  # a bare name is refused
                "CFLAGS": "-O2 -DTHREAD_STACK_SIZE=0x100000",  # musl's stacks are small
                "CPPFLAGS": f"-I{sqlite}/include",
                "LDFLAGS": f"-s -L{link}",
                # What a cross build cannot try out.
                "ac_cv_file__dev_ptmx": "yes",
                "ac_cv_file__dev_ptc": "no",
                "ac_cv_buggy_getaddrinfo": "no",
                "ac_cv_working_openssl_ssl": "yes",
                "ac_cv_working_openssl_hashlib": "yes",
                "PKG_CONFIG": "false",  # it would tell of this machine's libraries
            },
        )
        run("make", "-j2", cwd=tree)
        run("make", "install", f"DESTDIR={files}", cwd=tree)
    library = f"{files}/usr/lib/python{version}"
    for pattern in NOT_PACKAGED:
        for path in glob.glob(f"{library}/{pattern}"):
            shutil.rmtree(path)
    shutil.rmtree(f"{files}/usr/share")
    shutil.rmtree(f"{files}/usr/lib/pkgconfig")
    for name in os.listdir(f"{files}/usr/bin"):
        if name.startswith(("idle", "2to3")) or name.endswith("-config"):
            os.remove(f"{files}/usr/bin/{name}")
    # Headers belong to python3-dev, but for the one that the library itself reads.
    headers = f"{files}/usr/include/python{version}"
    for entry in os.scandir(headers):
        if entry.is_dir():
            shutil.rmtree(entry.path)
        elif entry.name != "pyconfig.h":
            os.remove(entry.path)
    for path in glob.glob(f"{library}/**/__pycache__", recursive=True):
        shutil.rmtree(path)
    byte_code(files, f"usr/lib/python{version}", f"{out}/python3-pycache-pyc0", build_python)


def interpreter() -> str:
    """A Python of the very version, for this machine: it makes byte-code, and builds the other one."""
    installed = "/usr/bin/python3.11"
    if debian.release() == debian.SOURCES and os.path.isfile(installed):
        return installed
    parts = ("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib")
    return debian.packages(*(f"{part}/{debian.SOURCES}" for part in parts)) + installed


def byte_code(files: str, library: str, target: str, build_python: str) -> None:
    """Compile the modules in ``files/library``; the byte-code lands in a tree of its own, as in Alpine."""
    run(
        *(build_python, "-I", "-m", "compileall", "-q", "-j2", "--invalidation-mode", "unchecked-hash"),
        *("-s", files, "-p", "/", f"{files}/{library}"),
    )
    for path in glob.glob(f"{files}/{library}/**/__pycache__", recursive=True):
        moved = os.path.join(target, os.path.relpath(path, files))
        os.makedirs(os.path.dirname(moved), exist_ok=True)
        shutil.move(path, moved)


def contents(toolchain: str, sqlite: str) -> list[Content]:
    """Give the packages; the byte-code comes along unless ``!pyc`` is asked for, as in Alpine."""
    # Debian's patches move the library to where only Debian looks for it.
    source = debian.source("python3.11", "--skip-patches")
    files, version = python(toolchain, source, sqlite, interpreter()), debian.version(source)
    here = f"python3={version}-r0"
    needs = f"{MUSL} so:libcrypto.so.3 so:libssl.so.3 so:libz.so.1 so:libsqlite3.so.0"
    provides = f"cmd:python3={version}-r0 py3.11={version}-r0"
    return [
        built("python3", version, f"{files}/python3", depends=needs, provides=provides),
        built("python3-pycache-pyc0", version, f"{files}/python3-pycache-pyc0", depends=here),
        built(
            "python3-pyc", version, "", depends=f"{here} python3-pycache-pyc0={version}-r0", install_if=f"{here} pyc"
        ),
        built("pyc", version, "", install_if=here),
    ]
