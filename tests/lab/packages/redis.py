"""Redis, from Debian's source code, laid out as Alpine's package lays it out."""

from __future__ import annotations

import os
import shutil
import tempfile

from tests.lab import debian
from tests.lab.accounts import owned
from tests.lab.apk import MUSL, Content, Script, built
from tests.lab.cache import run, step

PRE_INSTALL = """#!/bin/sh
addgroup -S redis 2>/dev/null
adduser -S -D -H -h /var/lib/redis -s /sbin/nologin -G redis -g redis redis 2>/dev/null
exit 0
"""


@step
def redis(out: str, toolchain: str, source: str) -> None:
    """Give the files of the package."""
    with tempfile.TemporaryDirectory() as folder:
        tree = os.path.join(folder, "redis")
        shutil.copytree(source, tree, symlinks=True)
        run(
            *("make", "-C", f"{tree}/src", "-j2", "redis-server", "redis-cli", "redis-benchmark"),
            # What Alpine uses too; the build would otherwise take this machine's.
            *("MALLOC=libc", "USE_JEMALLOC=no", "uname_S=Linux", "uname_M=x86_64", "OPTIMIZATION=-O2", "DEBUG="),
            *(f"CC={toolchain}/bin/cc", f"AR={toolchain}/bin/ar", f"RANLIB={toolchain}/bin/ranlib", "LDFLAGS=-s"),
            env={"CFLAGS": "-DUSE_MALLOC_USABLE_SIZE"},
        )
        os.makedirs(f"{out}/usr/bin")
        for name in ("redis-server", "redis-cli", "redis-benchmark"):
            shutil.copy(f"{tree}/src/{name}", f"{out}/usr/bin/{name}")
        for name in ("redis-check-aof", "redis-check-rdb", "redis-sentinel"):
            os.symlink("redis-server", f"{out}/usr/bin/{name}")
        os.mkdir(f"{out}/etc")
        for name in ("redis.conf", "sentinel.conf"):
            shutil.copy(f"{tree}/{name}", f"{out}/etc/{name}")
    owned(f"{out}/etc/sentinel.conf", "redis")
    for path in ("var/lib/redis", "var/log/redis"):
        os.makedirs(f"{out}/{path}")
        owned(f"{out}/{path}", "redis")


def contents(toolchain: str) -> list[Content]:
    """Give the package."""
    source = debian.source("redis")
    files = redis(toolchain, source)
    version = debian.version(source)
    return [built("redis", version, files, Script("pre-install", PRE_INSTALL), depends=f"/bin/sh {MUSL}")]
