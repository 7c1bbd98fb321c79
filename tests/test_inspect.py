"""Binaries that could not run are named, each with its code; whatever a file holds, reading it ends soon and well."""

from __future__ import annotations

import json
import os
import re
import struct
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler import commands
from compiler.errors import HostError
from compiler.inspecting import facts
from tests import binaries
from tests.binaries import GLIBC_LOADER, MUSL_LOADER, Patch
from tests.compiled import result
from tests.readers import shell
from tests.running import ROOT, appos

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.running import Result

ALPINE = ("--base", "alpine:3.19", "--platform", "linux/amd64")
DEBIAN = ("--base", "debian:bookworm-slim", "--platform", "linux/amd64")
AMD64 = ("--platform", "linux/amd64")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs and libraries of every kind, by name."""
    folder = tmp_path_factory.mktemp("binaries")
    binaries.compiled(folder / "static", binaries.PROGRAM, "-static")
    binaries.compiled(folder / "arm64", binaries.PROGRAM, "-static", target="aarch64-linux-musl")
    binaries.compiled(folder / "object.o", binaries.PROGRAM, "-c")
    binaries.library(folder / "libthing.so.1")
    for name, library, version, loader in (
        ("glibc", "libc.so.6", "GLIBC_2.2.5", GLIBC_LOADER),
        ("new", "libc.so.6", "GLIBC_2.99", GLIBC_LOADER),
        ("newest-cxx", "libstdc++.so.6", "GLIBCXX_3.4.99", GLIBC_LOADER),
        ("musl", "libc.musl-x86_64.so.1", "", MUSL_LOADER),
        ("lacking", "libthing.so.1", "", GLIBC_LOADER),
        ("cxx-on-musl", "libstdc++.so.6", "", MUSL_LOADER),
        ("stray-loader", "libc.so.6", "GLIBC_2.2.5", "/nix/store/x/lib/ld-linux-x86-64.so.2"),
    ):
        wanted = binaries.library(folder / "libraries" / name / library, version)
        binaries.calling(folder / name, wanted, loader)
    flags = "-Wl,-rpath,$ORIGIN/../lib:/opt:$ORIGIN"
    binaries.calling(folder / "searching", folder / "libthing.so.1", GLIBC_LOADER, flags)
    return folder


def codes(run: Result) -> list[str]:
    """The codes that an inspection came to; without any, its status is that of success."""
    found = re.findall(r"^error\[(B\d+)\]", run.err, re.MULTILINE)
    assert run.status == (1 if found else 0), run.err
    return sorted(found)


def inspected(path: Path, *options: str) -> list[str]:
    return codes(appos("inspect", str(path), *options, cwd=path.parent))


@pytest.mark.parametrize(
    ("name", "base", "expected"),
    [
        ("static", ALPINE, []),
        ("static", DEBIAN, []),
        ("musl", ALPINE, []),
        ("glibc", DEBIAN, []),
        ("libthing.so.1", DEBIAN, []),
        ("arm64", ALPINE, ["B104"]),
        ("object.o", ALPINE, ["B101"]),
        ("glibc", ALPINE, ["B110"]),
        ("musl", DEBIAN, ["B111"]),
        ("lacking", DEBIAN, ["B114"]),
        ("cxx-on-musl", ALPINE, ["B114"]),
        ("new", DEBIAN, ["B115"]),
        ("newest-cxx", DEBIAN, ["B115"]),
        ("stray-loader", DEBIAN, ["B113"]),
        ("stray-loader", ("--base", "node:20-bookworm", "--platform", "linux/amd64"), ["B113"]),
        ("cxx-on-musl", ("--base", "node:20-alpine", "--platform", "linux/amd64"), []),
    ],
)
def test_what_a_base_lacks_has_its_code(made: Path, name: str, base: Sequence[str], expected: list[str]) -> None:
    assert inspected(made / name, *base) == expected


def test_messages_name_the_file_what_it_wants_and_what_to_do(made: Path) -> None:
    text = appos("inspect", "new", "cxx-on-musl", *DEBIAN, cwd=made).err
    assert "new: GLIBC_2.99 is wanted of libc.so.6" in text
    assert "use a newer base" in text
    assert "add libstdc++ to image.packages" in appos("inspect", "cxx-on-musl", *ALPINE, cwd=made).err
    assert "add libc: glibc" in appos("inspect", "glibc", *ALPINE, cwd=made).err


def test_the_platform_is_this_machines_unless_it_is_said(made: Path) -> None:
    assert inspected(made / "arm64", "--base", "alpine:3.19", "--platform", "linux/arm64/v8") == []
    own = os.uname().machine
    expected = {"x86_64": ["B104"], "aarch64": []}[own]
    assert inspected(made / "arm64", "--base", "alpine:3.19") == expected


SCRIPTS = {
    "#!/bin/sh\necho\n": [],
    "#!/usr/bin/env sh\necho\n": [],
    "#! /bin/sh -eu\necho\n": [],
    "#!/bin/bash\necho\n": ["B120"],
    "#!/usr/bin/env node\n": ["B120"],
    "#!/usr/bin/env -S node --flag\n": ["B120"],
    "#!/nowhere\n": ["B120"],
    "#!sh\n": ["B120"],
    "#!\n": ["B120"],
    # For the kernel, a zero ends the line.
    "#!/bin/sh\0 -x\n": [],
    "#!/bin/sh\r\necho\r\n": ["B121"],
    "#!/usr/bin/env node\r\n": ["B120", "B121"],
    "echo hello\n": ["B101"],
    "\n#!/bin/sh\n": ["B101"],
    "\ufeff#!/bin/sh\n": ["B101"],
}


@pytest.mark.parametrize("text", SCRIPTS)
def test_scripts(tmp_path: Path, text: str) -> None:
    path = tmp_path / "script"
    path.write_bytes(text.encode())
    path.chmod(0o755)
    assert inspected(path, *ALPINE) == SCRIPTS[text]


@pytest.mark.parametrize(
    ("text", "base", "expected"),
    [
        # What else is in an image that is made from another one is not known.
        ("#!/usr/bin/env node\n", "node:20-alpine", []),
        ("#!/usr/bin/env python3\n", "python:3.12-slim", []),
        ("#!/usr/local/bin/python3\n", "python:3.12-slim", []),
        ("#!/usr/bin/env node\n", "mine/alpine:3.19", []),
        ("#!/usr/bin/env node\n", "docker.io/library/alpine:3.19", ["B120"]),
        ("#!/usr/bin/env node\n", "registry.example:5000/library/debian:12", ["B120"]),
        ("#!/usr/local/bin/python3\n", "debian:12", ["B120"]),
        # Of the two directories, Alpine made one in 3.23, Debian long ago.
        ("#!/bin/env sh\n", "alpine:3.22", ["B120"]),
        ("#!/bin/env sh\n", "alpine:3.23", []),
        ("#!/bin/env sh\n", "debian:12", []),
        ("#!/usr/bin/sh\n", "alpine:3.22", ["B120"]),
        ("#!/usr/bin/sh\n", "debian:12", []),
        ("#!/bin/sed -f\n", "alpine:3.22", []),
        ("#!/usr/bin/sed -f\n", "debian:12", []),
    ],
)
def test_interpreters_are_missing_only_where_that_is_certain(
    tmp_path: Path, text: str, base: str, expected: list[str]
) -> None:
    path = tmp_path / "script"
    path.write_text(text)
    path.chmod(0o755)
    assert inspected(path, "--base", base, *AMD64) == expected


@pytest.mark.parametrize("argument", binaries.ENV)
def test_what_env_starts(tmp_path: Path, argument: str) -> None:
    path = tmp_path / "script"
    path.write_text(f"#!/usr/bin/env {argument}\n")
    path.chmod(0o755)
    assert inspected(path, *DEBIAN) == ([] if binaries.ENV[argument] else ["B120"])
    splits = "S" in argument or "--split" in argument
    assert inspected(path, *ALPINE) == ([] if binaries.ENV[argument] and not splits else ["B120"])


def test_advice_on_env_is_for_the_one_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "script"
    for argument, base, advice in (
        ("sh -e", DEBIAN, "write #!/usr/bin/env -S sh -e"),
        ("sh -e", ALPINE, "write the path of the interpreter"),
        ("-S sh -e", ALPINE, "add coreutils to image.packages"),
        ("", DEBIAN, "write the name of the interpreter after env"),
    ):
        path.write_text(f"#!/usr/bin/env {argument}\n")
        assert advice in appos("inspect", "script", *base, cwd=tmp_path).err


@pytest.mark.parametrize(
    ("asked", "more", "expected"),
    [
        ("", "", ["B120"]),
        ("nodejs", "", []),
        ("npm", "", []),
        ("curl", "", ["B120"]),
        ("nobody-knows-it", "", []),
        ("", "extra: {Dockerfile: {packages: 'RUN apk add nodejs'}}", []),
    ],
)
def test_an_interpreter_may_come_with_packages(tmp_path: Path, asked: str, more: str, expected: list[str]) -> None:
    text = SPEC.format(base=f"alpine:3.22, packages: [{asked}]", more="")
    (tmp_path / "appos.yaml").write_text(f"{text}{more}\n")
    path = tmp_path / "bin" / "api"
    path.parent.mkdir()
    path.write_text("#!/usr/bin/env node\n")
    path.chmod(0o755)
    assert codes(appos("inspect", cwd=tmp_path)) == expected


def test_an_interpreter_may_be_another_artifact(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "dist" / "bin" / "app"
    path.parent.mkdir(parents=True)
    path.write_text("#!/usr/bin/env mine\n")
    path.chmod(0o755)
    bundle(tmp_path, base="alpine:3.22")
    assert codes(appos("inspect", cwd=tmp_path)) == ["B120"]
    bundle(tmp_path, base="alpine:3.22", extra="prebuilt: mine, install: /usr/local/bin/mine")
    assert codes(appos("inspect", cwd=tmp_path)) == [], "it is not here yet"
    (tmp_path / "mine").write_bytes((made / "static").read_bytes())
    (tmp_path / "mine").chmod(0o755)
    assert codes(appos("inspect", *AMD64, cwd=tmp_path)) == []
    path.write_text("#!/opt/shop/bin/mine\n")
    assert codes(appos("inspect", *AMD64, cwd=tmp_path)) == ["B120"], "it is not in the directory, which is here"
    (tmp_path / "mine").rename(path.with_name("mine"))
    assert codes(appos("inspect", *AMD64, cwd=tmp_path)) == []


LOOKS = {
    b"": "an empty file",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n": "a Git LFS pointer",
    b"<!DOCTYPE html>\n<html><body>404</body></html>": "an HTML page",
    b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>': "XML",
    b'{"message": "Not Found"}': "JSON",
    b"MZ\x90\x00": "a program for Windows",
    b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01": "a program for macOS",
    b"\x1f\x8b\x08\x00": "a gzip archive",
    b"PK\x03\x04": "a zip archive",
    b"\x00" * 100: "nothing but zeros",
    bytes(range(1, 100)) + b"\0": "data of no known kind",
}


@pytest.mark.parametrize("content", LOOKS)
def test_what_is_no_executable_is_named_for_what_it_looks_like(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "api"
    path.write_bytes(content)
    path.chmod(0o755)
    run = appos("inspect", "api", *ALPINE, cwd=tmp_path)
    assert codes(run) == ["B101"]
    assert LOOKS[content] in run.err


def test_a_missing_run_bit(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "static"
    path.write_bytes((made / "static").read_bytes())
    path.chmod(0o644)
    assert inspected(path, *ALPINE) == ["B122"]


def test_a_file_that_was_cut_off_anywhere_is_said_to_be(made: Path, tmp_path: Path) -> None:
    data = (made / "glibc").read_bytes()
    path = tmp_path / "cut"
    for size in sorted({4, 10, 63, 64, 119, 120, 500, len(data) // 2, len(data) - 1}):
        path.write_bytes(data[:size])
        path.chmod(0o755)
        assert inspected(path, *DEBIAN) == ["B102"], size


# --- A root file system


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """What there is of Alpine: a shell and a loader, which is the C library."""
    folder = tmp_path / "root"
    loader = binaries.library(folder / "lib" / "ld-musl-x86_64.so.1", soname="libc.musl-x86_64.so.1")
    (folder / "bin").mkdir()
    (folder / "bin" / "busybox").write_bytes((made / "musl").read_bytes())
    (folder / "bin" / "busybox").chmod(0o755)
    (folder / "bin" / "sh").symlink_to("/bin/busybox")
    assert loader.exists()
    return folder


def test_in_a_root_file_system_everything_is_looked_up(made: Path, root: Path) -> None:
    assert inspected(made / "musl", "--root", str(root)) == []
    assert inspected(made / "glibc", "--root", str(root)) == ["B110"]
    assert inspected(made / "stray-loader", "--root", str(root)) == ["B110"]
    assert inspected(made / "arm64", "--root", str(root)) == ["B104"]
    assert inspected(made / "cxx-on-musl", "--root", str(root)) == ["B114"]
    (root / "usr" / "lib").mkdir(parents=True)
    (root / "usr" / "lib" / "libstdc++.so.6").symlink_to("/opt/libstdc++.so.6.0.1")
    assert inspected(made / "cxx-on-musl", "--root", str(root)) == ["B114"], "the link leads nowhere"
    binaries.library(root / "opt" / "libstdc++.so.6.0.1", soname="libstdc++.so.6")
    assert inspected(made / "cxx-on-musl", "--root", str(root)) == []


def test_symbol_versions_are_those_that_the_libraries_define(made: Path, root: Path) -> None:
    folder = root / "lib" / "x86_64-linux-gnu"
    (root / "lib64").mkdir()
    binaries.library(root / "lib64" / "ld-linux-x86-64.so.2")
    assert inspected(made / "glibc", "--root", str(root)) == ["B114"], "the loader is there, its library is not"
    binaries.library(folder / "libc.so.6", "GLIBC_2.2.5")
    assert inspected(made / "glibc", "--root", str(root)) == []
    assert inspected(made / "new", "--root", str(root)) == ["B115"]
    binaries.library(folder / "libc.so.6", "GLIBC_2.99")
    assert inspected(made / "new", "--root", str(root)) == []


def test_what_a_library_needs_is_looked_up_too(made: Path, root: Path) -> None:
    second = binaries.library(root / "lib" / "libsecond.so.1", function="other")
    first = root / "lib" / "libstdc++.so.6"
    code = "int other(void); int thing(void) { return other(); }\n"
    binaries.compiled(first, code, "-shared", "-Wl,-soname,libstdc++.so.6", str(second))
    assert inspected(made / "cxx-on-musl", "--root", str(root)) == []
    second.unlink()
    run = appos("inspect", str(made / "cxx-on-musl"), "--root", str(root), cwd=made)
    assert codes(run) == ["B114"]
    assert "its library libsecond.so.1, which libstdc++.so.6 needs, is not in" in run.err


def test_in_a_root_file_system_interpreters_are_programs(made: Path, root: Path, tmp_path: Path) -> None:
    (root / "etc").mkdir()
    (root / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (root / "usr" / "bin").mkdir(parents=True)
    (root / "usr" / "bin" / "env").symlink_to("/bin/busybox")
    path = tmp_path / "script"
    path.touch(0o755)
    texts = {"#!sh": False, "#!/bin": False, "#!/etc/passwd": False, "#!/usr/bin/env cd": False, "#!/bin/sh": True}
    for text, good in (texts | {"#!/usr/bin/env sh": True, "#!/usr/bin/env -S sh -e": False}).items():
        path.write_text(f"{text}\n")
        assert inspected(path, "--root", str(root)) == ([] if good else ["B120"]), text
    (root / "usr" / "bin" / "env").unlink()
    (root / "usr" / "bin" / "env").write_bytes((made / "musl").read_bytes())
    (root / "usr" / "bin" / "env").chmod(0o755)
    path.write_text("#!/usr/bin/env -S sh -e\n")
    assert inspected(path, "--root", str(root)) == []


def test_what_a_spec_installs_over_a_root_file_system_is_there(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "dist" / "bin" / "app"
    path.parent.mkdir(parents=True)
    path.write_text("#!/usr/local/bin/mine\n")
    path.chmod(0o755)
    bundle(tmp_path, base="alpine:3.22")
    assert codes(appos("inspect", "--root", str(root), cwd=tmp_path)) == ["B120"]
    bundle(tmp_path, base="alpine:3.22", extra="from: {image: 'mine:1', path: /mine}, install: /usr/local/bin/mine")
    assert codes(appos("inspect", "--root", str(root), cwd=tmp_path)) == []


def test_a_library_that_names_no_c_library_takes_those_that_do(root: Path, tmp_path: Path) -> None:
    code = "int thing(void); int other(void) { return thing(); }\n"
    libc = binaries.library(tmp_path / "libc.musl-x86_64.so.1")
    second = root / "lib" / "libsecond.so.1"
    binaries.compiled(second, code, "-shared", "-Wl,-soname,libsecond.so.1", str(libc))
    code = "int other(void); int first(void) { return other(); }\n"
    first = binaries.compiled(tmp_path / "libfirst.so.1", code, "-shared", "-Wl,-soname,libfirst.so.1", str(second))
    assert inspected(first, "--root", str(root)) == []
    second.unlink()
    assert inspected(first, "--root", str(root)) == ["B114"]


def test_a_symbol_that_musl_lacks(made: Path, root: Path, tmp_path: Path) -> None:
    newer = binaries.library(tmp_path / "newer" / "libc.musl-x86_64.so.1", function="brand_new")
    code = "int brand_new(void); void _start(void) { for (;;) brand_new(); }\n"
    program = binaries.compiled(tmp_path / "api", code, f"-Wl,--dynamic-linker={MUSL_LOADER}", str(newer))
    run = appos("inspect", str(program), "--root", str(root), cwd=tmp_path)
    assert codes(run) == ["B116"]
    assert "brand_new" in run.err
    assert made.exists()


def test_a_symbol_without_a_version_is_looked_up_where_others_have_one(made: Path, root: Path, tmp_path: Path) -> None:
    (root / "lib64").mkdir()
    binaries.library(root / "lib64" / "ld-linux-x86-64.so.2")
    binaries.library(root / "lib" / "libc.so.6", "GLIBC_2.2.5")
    library = binaries.library(tmp_path / "app" / "lib" / "libthing.so.1", function="other")
    code = "int thing(void); int other(void); void _start(void) { for (;;) thing() + other(); }\n"
    options = (f"-Wl,--dynamic-linker={GLIBC_LOADER}", "-Wl,-rpath,$ORIGIN/../lib")
    (tmp_path / "app" / "bin").mkdir()
    libc = made / "libraries" / "glibc" / "libc.so.6"
    program = binaries.compiled(tmp_path / "app" / "bin" / "api", code, *options, str(libc), str(library))
    assert inspected(program, "--root", str(root)) == []
    binaries.library(library, function="another")
    run = appos("inspect", str(program), "--root", str(root), cwd=tmp_path)
    assert codes(run) == ["B116"]
    assert "api: other is in no library" in run.err


def test_what_comes_along_from_another_image_is_not_looked_for_in_the_root(
    made: Path, root: Path, tmp_path: Path
) -> None:
    spec(tmp_path, more=", libc: glibc, libraries: debian:bookworm-slim")
    (tmp_path / "bin").mkdir()
    for name, expected in (("glibc", []), ("new", ["B115"]), ("musl", ["B112"])):
        (tmp_path / "bin" / "api").write_bytes((made / name).read_bytes())
        (tmp_path / "bin" / "api").chmod(0o755)
        assert codes(appos("inspect", "--root", str(root), cwd=tmp_path)) == expected, name


def test_libraries_beside_the_program_are_found_where_it_says(root: Path, tmp_path: Path) -> None:
    library = binaries.library(tmp_path / "app" / "lib" / "libthing.so.1")
    program = binaries.calling(tmp_path / "app" / "bin" / "api", library, MUSL_LOADER, "-Wl,-rpath,$ORIGIN/../lib")
    assert inspected(program, "--root", str(root)) == []
    library.unlink()
    assert inspected(program, "--root", str(root)) == ["B114"]


def test_links_never_lead_out_of_the_root(made: Path, root: Path) -> None:
    (root / "lib" / "libthing.so.1").symlink_to("../../../../../../../../../../../" + str(made / "libthing.so.1"))
    (root / "lib" / "libstdc++.so.6").symlink_to("libstdc++.so.6")
    assert inspected(made / "cxx-on-musl", "--root", str(root)) == ["B114"]


# --- The spec

SPEC = """\
version: 1
name: shop
image: {{base: {base}}}
artifacts:
  api: {{prebuilt: bin/api, install: /usr/local/bin/api{more}}}
  site: {{prebuilt: site, install: /srv/site}}
services:
  api: {{command: [/usr/local/bin/api], user: api, port: 8080}}
"""


def spec(directory: Path, base: str = "alpine:3.22", more: str = "") -> None:
    (directory / "appos.yaml").write_text(SPEC.format(base=base, more=more))


def test_without_a_file_the_spec_says_it_all(made: Path, tmp_path: Path) -> None:
    spec(tmp_path)
    assert "bin/api, site is not there" in appos("inspect", cwd=tmp_path).out
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "api").write_bytes((made / "glibc").read_bytes())
    (tmp_path / "bin" / "api").chmod(0o644)
    platform = ("--platform", "linux/amd64")
    run = appos("inspect", *platform, cwd=tmp_path)
    assert codes(run) == ["B110", "B122"]
    assert "appos.yaml:5:19" in run.err
    assert "libc: glibc to artifacts.api" in run.err
    # Declared, it gets its libraries from elsewhere, and its mode.
    spec(tmp_path, more=", libc: glibc, libraries: debian:bookworm-slim")
    assert codes(appos("inspect", *platform, cwd=tmp_path)) == []
    (tmp_path / "bin" / "api").write_bytes((made / "new").read_bytes())
    assert codes(appos("inspect", *platform, cwd=tmp_path)) == ["B115"], "what comes along is not new enough"
    (tmp_path / "bin" / "api").write_bytes((made / "glibc").read_bytes())
    spec(tmp_path, base="debian:bookworm-slim", more=", libc: static")
    assert codes(appos("inspect", *platform, cwd=tmp_path)) == ["B112"]
    spec(tmp_path, base="debian:bookworm-slim", more=", libc: glibc")
    assert codes(appos("inspect", "bin/api", *platform, cwd=tmp_path)) == []


def test_in_a_directory_only_programs_count_and_what_is_declared_is_left_out(made: Path, tmp_path: Path) -> None:
    spec(tmp_path)
    for name, source in (("bin/tool", "musl"), ("prebuilds/arm64/x.node", "arm64")):
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True)
        path.write_bytes((made / source).read_bytes())
        path.chmod(0o755)
    (tmp_path / "site" / "index.html").write_text("<!doctype html>")
    run = appos("inspect", "--platform", "linux/amd64", cwd=tmp_path)
    assert codes(run) == ["B104"]
    assert "site/prebuilds/arm64/x.node" in run.err
    text = (tmp_path / "appos.yaml").read_text()
    (tmp_path / "appos.yaml").write_text(text.replace("/srv/site", "/srv/site, uninspected: ['prebuilds/*']"))
    assert codes(appos("inspect", "--platform", "linux/amd64", cwd=tmp_path)) == []


def test_advice_on_glibc_is_for_what_it_helps(made: Path, tmp_path: Path) -> None:
    bundle(tmp_path, base="alpine:3.22", extra="prebuilt: tool, install: /usr/local/bin/tool")
    libc = made / "libraries" / "glibc" / "libc.so.6"
    code = "int thing(void); int n(void) { return thing(); }\n"
    binaries.compiled(tmp_path / "dist" / "prebuilds" / "glibc" / "n.node", code, "-shared", str(libc))
    for name in ("dist/bin/app", "tool"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((made / "glibc").read_bytes())
        (tmp_path / name).chmod(0o755)
    found = json.loads(appos("inspect", *AMD64, "--format", "json", cwd=tmp_path).out)
    hints = {one["file"]: [(problem["code"], problem["hint"]) for problem in one["problems"]] for one in found}
    for name in ("dist/bin/app", "dist/prebuilds/glibc/n.node"):
        [(code, hint)] = hints[name]
        assert code == "B110"
        assert "the one for musl" in hint
        assert "uninspected" in hint
        assert "libc: glibc" not in hint
    [(code, hint)] = hints["tool"]
    assert "add libc: glibc to artifacts.extra" in hint
    run = appos("inspect", "dist/prebuilds/glibc/n.node", *ALPINE, cwd=tmp_path)
    assert "the one for musl" in run.err


def test_in_a_directory_what_came_in_place_of_a_program_is_named(made: Path, tmp_path: Path) -> None:
    bundle(tmp_path, base="alpine:3.22")
    folder = tmp_path / "dist" / "bin"
    folder.mkdir(parents=True)
    (folder / "app").write_bytes((made / "static").read_bytes())
    (folder / "app").chmod(0o755)
    for name in ("page.html", "activate", "README.md", "settings.json", "library.dll", ".gitkeep"):
        (folder / name).write_text("<html>" if name == "page.html" else "")
        (tmp_path / "dist" / name).write_text("<html>")
    (folder / "activate").write_text("echo hello\n")
    (folder / "tool.exe").write_bytes(b"MZ\x90\x00")
    for name in ("activate", "tool.exe"):
        (folder / name).chmod(0o755)
    (folder / "made" / "bin").mkdir(parents=True)
    (folder / "made" / "bin" / "build").write_text("#!/bin/bash\n")
    assert codes(appos("inspect", *AMD64, cwd=tmp_path)) == [], "it is there to be read"
    for name, content, mode in (
        ("page", b"<!doctype html>", 0o644),
        ("page.html", b"<!doctype html>", 0o755),
        ("pointer", b"version https://git-lfs.github.com/spec/v1\n", 0o644),
        ("empty", b"", 0o755),
        ("zeros", bytes(100), 0o755),
        ("app", b"<!doctype html>", 0o644),
    ):
        before = (folder / name).read_bytes() if (folder / name).exists() else b""
        (folder / name).write_bytes(content)
        (folder / name).chmod(mode)
        run = appos("inspect", *AMD64, cwd=tmp_path)
        assert codes(run) == ["B101"], name
        assert f"dist/bin/{name}: it is no executable" in run.err
        if name != "app":
            assert codes(appos("inspect", "dist", *ALPINE, cwd=tmp_path)) == ["B101"], name
        (folder / name).write_bytes(before)
        (folder / name).chmod(0o755 if name == "app" else 0o644)
    (folder / "page").write_text("<!doctype html>")
    text = (tmp_path / "appos.yaml").read_text().replace("/opt/shop}", "/opt/shop, uninspected: ['bin/page', '*.exe']}")
    (tmp_path / "appos.yaml").write_text(text)
    assert codes(appos("inspect", *AMD64, cwd=tmp_path)) == []


BUNDLE = """\
version: 1
name: shop
image: {{base: {base}}}
artifacts:
  dist: {{prebuilt: dist, install: /opt/shop}}
  extra: {{{extra}}}
services:
  api: {{command: [/opt/shop/bin/app], user: api, port: 8080}}
"""
RPATH, RUNPATH = 15, 29
"""The tags of the dynamic table under which a file says where its libraries are."""


def bundle(directory: Path, base: str = "debian:bookworm-slim", extra: str = "prebuilt: none, install: /none") -> None:
    (directory / "appos.yaml").write_text(BUNDLE.format(base=base, extra=extra))


def test_libraries_that_come_along_are_found_where_the_program_says(tmp_path: Path) -> None:
    bundle(tmp_path)
    library = binaries.library(tmp_path / "dist" / "lib" / "libzz.so.1")
    program = binaries.calling(tmp_path / "dist" / "bin" / "app", library, GLIBC_LOADER, "-Wl,-rpath,$ORIGIN/../lib")
    assert codes(appos("inspect", *AMD64, cwd=tmp_path)) == []
    assert codes(appos("inspect", "dist", *DEBIAN, cwd=tmp_path)) == []
    assert codes(appos("inspect", "dist/bin/app", *DEBIAN, cwd=tmp_path)) == []
    (tmp_path / "elsewhere").mkdir()
    library.rename(tmp_path / "elsewhere" / library.name)
    assert codes(appos("inspect", *AMD64, cwd=tmp_path)) == ["B114"]
    library.symlink_to(tmp_path / "elsewhere" / library.name)
    assert codes(appos("inspect", *AMD64, cwd=tmp_path)) == ["B114"], "the link leads out of what is installed"
    library.unlink()
    binaries.calling(program, tmp_path / "elsewhere" / library.name, GLIBC_LOADER, "-Wl,-rpath,$ORIGIN/../../elsewhere")
    assert codes(appos("inspect", *AMD64, cwd=tmp_path)) == ["B114"], "it lies beside what is installed"
    assert codes(appos("inspect", "dist", *DEBIAN, cwd=tmp_path)) == ["B114"]


def test_what_a_library_needs_may_come_along_anywhere_for_its_program_loads_that(tmp_path: Path) -> None:
    bundle(tmp_path)
    library = binaries.library(tmp_path / "dist" / "lib" / "server" / "libzz.so.1")
    code = "int thing(void); int other(void) { return thing(); }\n"
    binaries.compiled(tmp_path / "dist" / "lib" / "libjava.so", code, "-shared", str(library))
    program = binaries.compiled(tmp_path / "dist" / "bin" / "app", binaries.PROGRAM, "-static")
    assert codes(appos("inspect", *AMD64, cwd=tmp_path)) == []
    assert inspected(tmp_path / "dist", *DEBIAN) == []
    # A program has nothing that loads it.
    binaries.calling(program, library, GLIBC_LOADER)
    assert codes(appos("inspect", *AMD64, cwd=tmp_path)) == ["B114"]


def test_libraries_of_other_artifacts_are_found_where_they_are_installed(tmp_path: Path) -> None:
    library = binaries.library(tmp_path / "vendor" / "libzz.so.1")
    binaries.calling(tmp_path / "dist" / "bin" / "app", library, GLIBC_LOADER, "-Wl,-rpath,/opt/vendor")
    for extra, expected in (
        ("prebuilt: vendor, install: /opt/vendor", []),
        ("prebuilt: vendor/libzz.so.1, install: /usr/lib/libzz.so.1", []),
        ("prebuilt: vendor, install: /opt/other", ["B114"]),
        ("from: {image: 'vendor:1', path: /lib}, install: /opt/vendor", []),
        ("from: {image: 'vendor:1', path: /lib}, install: /opt/vendor/other", ["B114"]),
    ):
        bundle(tmp_path, extra=extra)
        assert codes(appos("inspect", *AMD64, cwd=tmp_path)) == expected, extra


def test_a_library_may_be_named_by_its_path(tmp_path: Path) -> None:
    bundle(tmp_path)
    library = binaries.library(tmp_path / "dist" / "lib" / "libzz.so.1", soname="/opt/shop/lib/libzz.so.1")
    binaries.calling(tmp_path / "dist" / "bin" / "app", library, GLIBC_LOADER)
    assert codes(appos("inspect", *AMD64, cwd=tmp_path)) == []
    library.unlink()
    assert codes(appos("inspect", *AMD64, cwd=tmp_path)) == ["B114"]


def test_a_library_that_comes_along_must_have_what_is_wanted_of_it(tmp_path: Path) -> None:
    bundle(tmp_path)
    library = binaries.library(tmp_path / "dist" / "lib" / "libzz.so.1", "ZZ_2")
    binaries.calling(tmp_path / "dist" / "bin" / "app", library, GLIBC_LOADER, "-Wl,-rpath,$ORIGIN/../lib")
    assert codes(appos("inspect", *AMD64, cwd=tmp_path)) == []
    binaries.library(library, "ZZ_1")
    assert codes(appos("inspect", *AMD64, cwd=tmp_path)) == ["B115"]


@pytest.mark.parametrize(
    ("loader", "base", "tag", "found"),
    [
        (GLIBC_LOADER, DEBIAN, RUNPATH, False),
        (GLIBC_LOADER, DEBIAN, RPATH, True),
        # musl makes no difference between the two.
        (MUSL_LOADER, ALPINE, RUNPATH, True),
    ],
)
def test_of_a_program_s_paths_only_rpath_is_for_what_its_libraries_need(
    tmp_path: Path, loader: str, base: Sequence[str], tag: int, found: bool
) -> None:
    folder = tmp_path / "dist" / "lib"
    second = binaries.library(folder / "libsecond.so.1", function="other")
    code = "int other(void); int thing(void) { return other(); }\n"
    first = binaries.compiled(folder / "libfirst.so.1", code, "-shared", "-Wl,-soname,libfirst.so.1", str(second))
    program = binaries.calling(tmp_path / "dist" / "bin" / "app", first, loader, "-Wl,-rpath,$ORIGIN/../lib")
    data = program.read_bytes()
    program.write_bytes(binaries.patched(data, Patch(binaries.tags(data)[RUNPATH] - 8, "Q", tag)))
    assert inspected(program, *base) == ([] if found else ["B114"])
    # Its own paths count for a library, too.
    binaries.compiled(first, code, "-shared", "-Wl,-soname,libfirst.so.1", "-Wl,-rpath,$ORIGIN", str(second))
    assert inspected(program, *base) == []


def test_a_command_that_the_artifact_does_not_bring(made: Path, tmp_path: Path) -> None:
    spec(tmp_path)
    (tmp_path / "site").mkdir()
    text = (tmp_path / "appos.yaml").read_text()
    (tmp_path / "appos.yaml").write_text(text.replace("command: [/usr/local/bin/api]", "command: [/srv/site/run]"))
    run = appos("inspect", *ALPINE, cwd=tmp_path)
    assert codes(run) == ["B123"]
    assert "site/run: a service runs it" in run.err
    (tmp_path / "site" / "run").write_bytes((made / "musl").read_bytes())
    (tmp_path / "site" / "run").chmod(0o755)
    assert codes(appos("inspect", *ALPINE, cwd=tmp_path)) == []
    assert codes(appos("inspect", *DEBIAN, cwd=tmp_path)) == ["B111"], "another base than the spec's"


@pytest.mark.parametrize(
    ("more", "kind", "problem"),
    [
        ("mode: '0755'", "static", ""),
        ("mode: '0711'", "static", ""),
        ("mode: '0711'", "script", "api, whose service runs it, may not read it"),
        ("mode: '0711', owner: api", "script", ""),
        # Who is in a group is known in the image only.
        ("mode: '0750', owner: nobody", "script", ""),
    ],
)
def test_whoever_runs_a_script_must_be_allowed_to_read_it(
    made: Path, tmp_path: Path, more: str, kind: str, problem: str
) -> None:
    spec(tmp_path, more=f", {more}")
    path = tmp_path / "bin" / "api"
    path.parent.mkdir()
    path.write_bytes(b"#!/bin/sh\n" if kind == "script" else (made / kind).read_bytes())
    path.chmod(0o755)
    run = appos("inspect", *AMD64, cwd=tmp_path)
    assert codes(run) == (["B122"] if problem else [])
    assert problem in run.err
    assert not problem or "write mode: '0755' in artifacts.api" in run.err
    text = (tmp_path / "appos.yaml").read_text()
    (tmp_path / "appos.yaml").write_text(text.replace("user: api", "user: root"))
    assert codes(appos("inspect", *AMD64, cwd=tmp_path)) == [], "root may read everything"


def test_a_mode_that_lets_nobody_execute_a_program(made: Path, tmp_path: Path) -> None:
    bundle(tmp_path, base="alpine:3.22", extra="prebuilt: tool, install: /usr/local/bin/tool, mode: '0644'")
    (tmp_path / "tool").write_bytes((made / "static").read_bytes())
    (tmp_path / "tool").chmod(0o755)
    run = appos("inspect", *AMD64, cwd=tmp_path)
    assert codes(run) == ["B122"]
    assert "tool: nobody may execute it" in run.err
    assert "write mode: '0755' in artifacts.extra" in run.err


def test_what_only_its_owner_may_execute_here_everybody_may_in_the_image(made: Path, tmp_path: Path) -> None:
    spec(tmp_path)
    path = tmp_path / "bin" / "api"
    path.parent.mkdir()
    path.write_bytes((made / "static").read_bytes())
    path.chmod(0o700)
    assert codes(appos("inspect", *AMD64, cwd=tmp_path)) == []


def test_a_spec_with_problems_is_reported_as_such(tmp_path: Path) -> None:
    (tmp_path / "appos.yaml").write_text("version: 1\n")
    run = appos("inspect", cwd=tmp_path)
    assert run.status == 2
    assert "error[E" in run.err


# --- The build's script, which the engine runs in tests/verify/test_inspection.py


@pytest.mark.parametrize("sh", shell.SHELLS)
def test_every_elf_file_of_a_large_tree_is_found(sh: str, tmp_path: Path) -> None:
    """Commands take so many names at once: these are more."""
    names = {f"{number:0>200}" for number in range(3000)}
    for name in names:
        (tmp_path / name).write_bytes(b"\x7fELF and so on")
        (tmp_path / f"no-{name}").write_bytes(b"text")
    [text] = [file.content for file in result("appos").files if file.path == "inspect.sh"]
    [found] = re.findall(r"^elf\(\) {.*?^}$", text, re.MULTILINE | re.DOTALL)
    done = shell.run(sh, f'{found}\nelf "$1"', str(tmp_path))
    assert sorted(done.stdout.splitlines()) == sorted(str(tmp_path / name) for name in names)


# --- The command


def test_json_has_the_facts_and_the_findings(made: Path) -> None:
    run = appos("inspect", "new", "static", *DEBIAN, "--format", "json", cwd=made)
    new, static = json.loads(run.out)
    assert run.status == 1
    assert (new["libc"], new["interpreter"], new["versions"]) == ("glibc", GLIBC_LOADER, ["libc.so.6: GLIBC_2.99"])
    assert [problem["code"] for problem in new["problems"]] == ["B115"]
    assert (static["libc"], static["machine"], static["problems"]) == ("static", "amd64", [])


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("nothing-here", *ALPINE), 3),
        (("/bin/sh",), 64),
        (("/bin/sh", "--base", "mine:1"), 64),
        (("/bin/sh", "--base", "alpine:3.19", "--platform", "amd64"), 64),
        (("/bin/sh", "--root", "/nowhere"), 3),
        (("/dev/null", *ALPINE), 3),
        (ALPINE, 3),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(arguments: tuple[str, ...], status: int, tmp_path: Path) -> None:
    run = appos("inspect", *arguments, cwd=tmp_path)
    assert run.status == status
    assert "Traceback" not in run.err
    assert len(run.err.splitlines()) <= 4


def test_a_pipe_is_refused_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    run = appos("inspect", "pipe", *ALPINE, cwd=tmp_path)
    assert run.status == 3
    assert "pipe is not a file" in run.err


def test_every_code_is_explained_and_no_other(tmp_path: Path) -> None:
    files = [ROOT / "templates" / "inspect.sh.j2", *(ROOT / "compiler" / "inspecting").glob("*.py")]
    told = {code for file in files for code in re.findall(r"\bB1\d\d\b", file.read_text())}
    assert told == set(commands.findings())
    for code, entry in commands.findings().items():
        assert set(entry) == {"title", "explanation", "wrong", "right"}
        assert appos("explain", code.lower(), cwd=tmp_path).out.startswith(f"{code}: {entry['title']}\n")


# --- Hostile files


def hostile(data: bytes) -> dict[str, bytes]:
    """What was made to make a reader fail, run for ever or use up the memory."""
    interpreter, dynamic, load = (binaries.segments(data)[kind] for kind in (3, 2, 1))
    places = binaries.tags(data)
    needs = binaries.at(data, int.from_bytes(data[places[0x6FFFFFFE] : places[0x6FFFFFFE] + 8], "little"))
    hashes = binaries.at(data, int.from_bytes(data[places[0x6FFFFEF5] : places[0x6FFFFEF5] + 8], "little"))
    bare = Patch(40, "Q", 0)
    huge = (1 << 63) + 5
    patches = {
        "65535 segments": (Patch(56, "H", 65535),),
        "65535 segments in a large file": (Patch(56, "H", 65535), bare),
        "no segments": (Patch(56, "H", 0),),
        "segments far away": (Patch(32, "Q", huge),),
        "segments of size 0": (Patch(54, "H", 0),),
        "segments of size 1": (Patch(54, "H", 1),),
        "65535 sections": (Patch(60, "H", 65535),),
        "sections far away": (Patch(40, "Q", huge),),
        "sections in the header": (Patch(40, "Q", 1), Patch(58, "H", 0)),
        "sections counted elsewhere": (Patch(60, "H", 0), Patch(62, "H", 0xFFFF)),
        "a loader with an endless name": (Patch(interpreter + 32, "Q", 1 << 40),),
        "a loader far away": (Patch(interpreter + 8, "Q", huge),),
        "a loader without a name": (Patch(interpreter + 32, "Q", 1),),
        "a dynamic table that nobody loads": (Patch(dynamic + 16, "Q", 1 << 40),),
        "a dynamic table far away": (Patch(dynamic + 8, "Q", huge),),
        "a dynamic table that is the header": (Patch(dynamic + 8, "Q", 0),),
        "a dynamic table without an end": (Patch(dynamic + 8, "Q", 64),),
        "a segment that takes no memory": (Patch(load + 40, "Q", 0),),
        "segments over each other": (Patch(load + 16, "Q", 1), Patch(load + 8, "Q", 1)),
        "texts far away": (Patch(places[5], "Q", huge),),
        "versions far away": (Patch(places[0x6FFFFFFE], "Q", huge),),
        "versions without number": (Patch(places[0x6FFFFFFF], "Q", huge),),
        "versions that lead to themselves": (Patch(needs + 12, "I", 0), Patch(places[0x6FFFFFFF], "Q", 1 << 30)),
        "versions of versions": (Patch(needs + 2, "H", 65535), Patch(needs + 8, "I", 0)),
        "hashes without number": (Patch(hashes, "I", 0xFFFFFFFF),),
        "hashes of everything": (Patch(hashes + 4, "I", 0xFFFFFFFF),),
        "no class": (Patch(4, "B", 0),),
        "another class": (Patch(4, "B", 1),),
        "another order of bytes": (Patch(5, "B", 2),),
        "an unknown machine": (Patch(18, "H", 0xBEEF),),
        "an unknown type": (Patch(16, "H", 0xBEEF),),
        "FreeBSD": (Patch(7, "B", 9),),
    }
    found = {name: binaries.patched(data, *one) for name, one in patches.items()}
    # Each end of the last of its directories is the name of another library, wanted in every one of them.
    texts = int.from_bytes(data[places[5] : places[5] + 8], "little")
    start = binaries.at(data, texts)
    wanted = [(1, data.index(b"a" * 400, start) - start + number) for number in range(400)]
    entries = [(5, texts), (29, data.index(b"/0:/1:", start) - start), *wanted, (0, 0)]
    names = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    moved = (Patch(dynamic + 8, "Q", len(data)), Patch(dynamic + 32, "Q", len(names)))
    found["libraries in thousands of directories"] = binaries.patched(data, *moved) + names
    endless = found["65535 segments in a large file"] + b"\1" * 5_000_000
    table = binaries.patched(data, Patch(dynamic + 8, "Q", len(data)), Patch(dynamic + 32, "Q", 16))
    return found | {
        "65535 segments in a large file": endless,
        "a dynamic table of five megabytes": table + b"\1" * 5_000_000,
        "only the beginning": b"\x7fELF",
        "ELF and noise": b"\x7fELF" + bytes(range(256)) * 40,
        "ELF and ones": b"\x7fELF" + b"\xff" * 5000,
        "ELF of 64 bits and ones": b"\x7fELF\2\1\1" + b"\xff" * 5000,
    }


def test_hostile_files_are_named_and_soon_done_with(made: Path, tmp_path: Path) -> None:
    # No loader looks at these; the others it would refuse, or stumble over.
    harmless = ("hashes without number", "hashes of everything", "sections in the header", "sections counted elsewhere")
    library = made / "libraries" / "glibc" / "libc.so.6"
    folders = ":".join([*(f"/{number}" for number in range(6000)), "a" * 400])
    program = binaries.calling(tmp_path / "searching", library, GLIBC_LOADER, f"-Wl,-rpath,{folders}")
    for name, content in hostile(program.read_bytes()).items():
        path = tmp_path / "api"
        path.write_bytes(content)
        path.chmod(0o755)
        began = time.process_time()
        found = inspected(path, *DEBIAN)
        # It takes far less; without limits, some of these would take hours.
        assert time.process_time() - began < 5, name
        assert found or name in harmless, name
        assert all(code in ("B101", "B102", "B103", "B104", "B105", "B114") for code in found), (name, found)


@pytest.fixture(scope="module")
def originals(made: Path) -> list[bytes]:
    return [(made / name).read_bytes() for name in ("glibc", "musl", "libthing.so.1", "arm64", "searching")]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_makes_reading_fail(originals: list[bytes], tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(originals)))
    edits = st.tuples(
        st.integers(0, len(content) - 9), st.one_of(st.binary(min_size=1, max_size=8), st.just(b"\xff" * 8))
    )
    for place, new in data.draw(st.lists(edits, min_size=1, max_size=12)):
        content[place : place + len(new)] = new
    path = tmp_path / "api"
    path.write_bytes(bytes(content[: data.draw(st.integers(1, len(content)) | st.just(len(content)))]))
    path.chmod(0o755)
    run = appos("inspect", "api", *DEBIAN, cwd=tmp_path)
    assert run.status in (0, 1), run.err
    assert "bug of appos-compile" not in run.err


@given(st.binary(max_size=300))
def test_anything_else_is_something(head: bytes) -> None:
    assert facts.plain(head).kind in ("script", "other")


def test_without_its_library_the_command_says_how_to_get_it(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "elftools.elf.elffile", None)
    with pytest.raises(HostError) as caught:
        facts.read(str(made / "static"))
    assert "pip install" in caught.value.hint
    assert appos("inspect", str(made / "static"), *ALPINE, cwd=tmp_path).status == 3
