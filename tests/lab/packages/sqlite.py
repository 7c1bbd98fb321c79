"""SQLite's shell and library, from Debian's source code, laid out as Alpine's packages lay them out."""

from __future__ import annotations

import os
import shutil
import tempfile

from tests.lab import debian
from tests.lab.apk import MUSL, Content, built
from tests.lab.cache import run, step

OPTIONS = (
    *("-DSQLITE_ENABLE_FTS4", "-DSQLITE_ENABLE_FTS5", "-DSQLITE_ENABLE_RTREE", "-DSQLITE_ENABLE_GEOPOLY"),
    *("-DSQLITE_ENABLE_COLUMN_METADATA", "-DSQLITE_ENABLE_MATH_FUNCTIONS", "-DSQLITE_ENABLE_UNLOCK_NOTIFY"),
    *("-DSQLITE_ENABLE_DBSTAT_VTAB", "-DSQLITE_ENABLE_FTS3_PARENTHESIS", "-DSQLITE_SECURE_DELETE", "-DSQLITE_USE_URI"),
    *("-DSQLITE_MAX_VARIABLE_NUMBER=250000", "-DSQLITE_ENABLE_BYTECODE_VTAB", "-DSQLITE_ENABLE_STMTVTAB"),
    *("-DSQLITE_THREADSAFE=1", "-DHAVE_USLEEP=1", "-DHAVE_FDATASYNC=1", "-DSQLITE_HAVE_ZLIB=1"),
)
"""Alpine's choice of features."""


@step
def sqlite(out: str, toolchain: str, source: str) -> None:
    """Give the files of ``sqlite``, of ``sqlite-libs``, and what is needed to build against the latter."""
    with tempfile.TemporaryDirectory() as folder:
        tree = os.path.join(folder, "sqlite")
        shutil.copytree(source, tree, symlinks=True)
        # The sources are put together by programs of this machine.
        native = {"CC": f"{toolchain}/bin/native-cc", "BUILD_CC": f"{toolchain}/bin/native-cc"}
        run("./configure", "--disable-tcl", "--disable-readline", cwd=tree, env=native)
        run("make", "sqlite3.c", "shell.c", "sqlite3.h", cwd=tree, env=native)
        compiler = (f"{toolchain}/bin/cc", "-O2", "-s", *OPTIONS)
        library = f"{out}/sqlite-libs/usr/lib"
        os.makedirs(library)
        os.makedirs(f"{out}/sqlite/usr/bin")
        os.makedirs(f"{out}/include")
        run(
            *compiler,
            "-shared",
            "-fPIC",
            "-Wl,-soname,libsqlite3.so.0",
            "sqlite3.c",
            "-lz",
            "-o",
            f"{library}/libsqlite3.so.0",
            cwd=tree,
        )
        os.symlink("libsqlite3.so.0", f"{library}/libsqlite3.so")
        run(*compiler, "shell.c", f"-L{library}", "-lsqlite3", "-lz", "-o", f"{out}/sqlite/usr/bin/sqlite3", cwd=tree)
        os.remove(f"{library}/libsqlite3.so")
        for name in ("sqlite3.h", "src/sqlite3ext.h"):
            shutil.copy(f"{tree}/{name}", f"{out}/include")


def contents(toolchain: str) -> list[Content]:
    """Give the two packages."""
    source = debian.source("sqlite3")
    files, version = sqlite(toolchain, source), debian.version(source)
    library = "so:libsqlite3.so.0"
    return [
        built(
            "sqlite",
            version,
            f"{files}/sqlite",
            depends=f"{MUSL} {library} so:libz.so.1",
            provides=f"cmd:sqlite3={version}-r0",
        ),
        built("sqlite-libs", version, f"{files}/sqlite-libs", depends=MUSL, provides=f"{library}={version}"),
    ]
