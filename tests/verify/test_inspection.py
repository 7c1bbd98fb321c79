"""Whatever an artifact brings that could not run is named by the build itself, before there is an image."""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests import binaries
from tests.binaries import GLIBC_LOADER, MUSL_LOADER
from tests.readers import tools
from tests.running import appos

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from compiler.verify.engine import Done, Engine

HEAD = "version: 1\nname: broken\nimage: {{base: '{base}'}}\nartifacts:\n"
TAIL = "services:\n  api: {{command: [{command}], user: nobody, port: 8080}}\n{more}"
EXIT = 'void _start(void) {{ __asm__ volatile("mov $60, %eax; mov ${status}, %edi; syscall"); }}\n'
SCRIPTS = {
    "bash": "/bin/bash",
    "env": "/usr/bin/env node",
    "words": "/usr/bin/env sh -e",
    "builtin": "/usr/bin/env cd",
    "relative": "sh",
    "folder": "/bin",
    "unexecutable": "/etc/passwd",
    "elsewhere": "/bin/env sh",
    "long": "/usr/bin/env --split-string sh",
}
"""First lines that the kernel, or env, can do nothing with on Alpine."""

PLTREL = 20
"""The tag of the dynamic table that says of which form some of its relocations are."""

CALLER = "int thing(void); int caller(void) { return thing(); }\n"
LARGE = "static volatile char data[50000] = {1}; void _start(void) { for (;;) data[0]++; }\n"
LOOP = "void _start(void) { for (;;) {} }\n"


@pytest.fixture
def tag(engine: Engine) -> Iterator[str]:
    name = f"appos-inspection:{uuid.uuid4().hex[:8]}"
    yield name
    engine.call("image", "rm", "-f", name)


class Spec(NamedTuple):
    """A spec whose artifacts are files of the tree, unless they say otherwise: what each says beside that."""

    artifacts: Mapping[str, str]
    base: str = "alpine:3.19"
    command: str = "/usr/local/bin/api"
    more: str = ""


def built(engine: Engine, directory: Path, tag: str, spec: Spec) -> Done:
    """The build of a spec."""
    artifacts = {
        name: fields if "from:" in fields else f"prebuilt: files/{name}, {fields}"
        for name, fields in spec.artifacts.items()
    }
    lines = [f"  {name}: {{{fields}}}\n" for name, fields in artifacts.items()]
    text = HEAD.format(base=spec.base) + "".join(lines) + TAIL.format(command=spec.command, more=spec.more)
    (directory / "appos.yaml").write_text(text)
    run = appos(cwd=directory)
    assert run.status == 0, run.err
    arguments = ("build", "--progress=plain", "-f", str(directory / "build" / "Dockerfile"), "-t", tag, str(directory))
    return engine.call(*arguments, timeout=600)


def named(done: Done) -> dict[str, list[str]]:
    """The codes by the last part of the path of each file."""
    found: dict[str, list[str]] = {}
    for code, path in re.findall(r"error\[(B\d+)\]: (\S+):", done.out + done.err):
        found.setdefault(path.rpartition("/")[2], []).append(code)
    # What failed is shown twice: as it comes, and again in the end.
    return {name: sorted(set(codes)) for name, codes in found.items()}


def by_hand(engine: Engine, directory: Path, base: str) -> dict[str, list[str]]:
    """What the command says of the same spec, in the root file system of its base."""
    made = engine.tell("create", base, "true").strip()
    try:
        engine.tell("export", "-o", str(directory / "root.tar"), made)
    finally:
        engine.tell("rm", made)
    (directory / "root").mkdir()
    # Its devices are of no use, and whoever runs the tests may not make any.
    tools.call(["tar", "-xf", "root.tar", "-C", "root", "--exclude=dev/*"], cwd=str(directory))
    run = appos("inspect", "--root", "root", "--format", "json", cwd=directory)
    found: dict[str, list[str]] = {}
    for file in json.loads(run.out):
        for problem in file["problems"]:
            found.setdefault(file["file"].rpartition("/")[2], []).append(problem["code"])
    return {name: sorted(set(codes)) for name, codes in found.items()}


def there(engine: Engine, tag: str) -> bool:
    return engine.call("image", "inspect", tag).status == 0


def write(path: Path, content: bytes, mode: int = 0o755) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def _tools(directory: Path, good: bytes, glibc: Path) -> None:
    """A directory with programs that could not run, and files that nobody runs."""
    write(directory / "bin" / "tool", b"#!/usr/bin/env python3\n")
    write(directory / "bin" / "norun", good, 0o644)
    write(directory / "bin" / "html", b"<html>not found</html>\n")
    write(directory / "bin" / "sent", b"<!doctype html>\n", 0o644)
    write(directory / "bin" / "none", b"")
    for name in ("page.html", "README", ".keep"):
        write(directory / "bin" / name, b"<html>\n" if name == "page.html" else b"", 0o644)
    write(directory / "lib" / "made" / "bin" / "build", b"#!/usr/bin/env python3\n")
    write(directory / "lib" / "made" / "build.sh", b"#!/bin/bash\n")
    write(directory / "bin" / "activate", b"export TOOLS=yes\n")
    write(directory / "bin" / "lib.dll", b"MZ\0\0")
    binaries.compiled(directory / "lib" / "addon.node", CALLER, "-shared", str(glibc))
    binaries.compiled(directory / "lib" / "object.o", binaries.PROGRAM, "-c", target="aarch64-linux-musl")


def test_on_alpine_every_kind_is_named_at_once_and_there_is_no_image(engine: Engine, tmp_path: Path, tag: str) -> None:
    files = tmp_path / "files"
    good = binaries.compiled(files / "api", EXIT.format(status=0), "-static")
    binaries.compiled(files / "arm64", binaries.PROGRAM, "-static", target="aarch64-linux-musl")
    glibc = binaries.library(tmp_path / "libraries" / "libc.so.6", "GLIBC_2.2.5")
    musl = binaries.library(tmp_path / "libraries" / "libc.musl-x86_64.so.1", function="brand_new")
    stdcxx = binaries.library(tmp_path / "libraries" / "libstdc++.so.6")
    binaries.calling(files / "glibc", glibc, GLIBC_LOADER)
    binaries.calling(files / "library", stdcxx, MUSL_LOADER)
    wanting = "int brand_new(void); void _start(void) { for (;;) brand_new(); }\n"
    binaries.compiled(files / "symbol", wanting, f"-Wl,--dynamic-linker={MUSL_LOADER}", str(musl))
    binaries.calling(files / "declared", stdcxx, MUSL_LOADER)
    data = (files / "library").read_bytes()
    write(files / "truncated", data[: len(data) // 2])
    dynamic = binaries.segments(data)[2]
    write(files / "damaged", binaries.patched(data, binaries.Patch(dynamic + 16, "Q", 1 << 40)))
    write(files / "page", b"<!DOCTYPE html>\n<html>not found</html>\n")
    write(files / "pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    write(files / "empty", b"")
    write(files / "windows", b"#!/bin/sh\r\necho hello\r\n")
    binaries.compiled(files / "object", binaries.PROGRAM, "-c").chmod(0o755)
    write(files / "bit", good.read_bytes(), 0o644)
    large = binaries.compiled(files / "cut", LARGE, "-static").read_bytes()
    # What packers and some linkers make has no table of sections.
    write(files / "cut", binaries.patched(large, binaries.Patch(40, "Q", 0), binaries.Patch(60, "H", 0))[:9000])
    write(files / "bsd", binaries.patched(good.read_bytes(), binaries.Patch(7, "B", 9)))
    write(files / "short", good.read_bytes()[:40])
    write(files / "larger", binaries.patched(data, binaries.Patch(binaries.segments(data)[1] + 40, "Q", 1)))
    write(files / "nameless", binaries.patched(data, binaries.Patch(binaries.segments(data)[3] + 32, "Q", 1)))
    for name, line in SCRIPTS.items():
        write(files / name, f"#!{line}\n".encode())
    _tools(files / "tools", good.read_bytes(), glibc)
    write(files / "app" / "server.js", b"hello\n", 0o644)
    write(files / "app" / "native.node", (files / "arm64").read_bytes())
    write(files / "app" / "left" / "out.node", (files / "arm64").read_bytes())
    kinds = {
        "arm64": ["B104"],
        "glibc": ["B110"],
        "library": ["B114"],
        "symbol": ["B116"],
        "truncated": ["B102"],
        "damaged": ["B103"],
        "page": ["B101"],
        "pointer": ["B101"],
        "empty": ["B101"],
        "object": ["B101"],
        "windows": ["B121"],
        "bit": ["B122"],
        "cut": ["B102"],
        "bsd": ["B105"],
        "short": ["B102"],
        "nameless": ["B103"],
        "larger": ["B103"],
        **{name: ["B120"] for name in SCRIPTS},
    }
    inside = {"tool": ["B120"], "norun": ["B122"], "addon.node": ["B110"]}
    inside |= {name: ["B101"] for name in ("html", "sent", "none")}
    artifacts = {name: f"install: /usr/local/bin/{name}" for name in ("api", *kinds)}
    artifacts |= {"declared": "install: /usr/local/bin/declared, libc: static"}
    artifacts |= {"app": "install: /opt/app, uninspected: ['left/*']", "tools": "install: /opt/tools"}
    done = built(engine, tmp_path, tag, Spec(artifacts, command="/opt/app/bin/server"))
    expected = kinds | inside | {"declared": ["B112"], "native.node": ["B104"], "server": ["B123"]}
    assert named(done) == expected
    assert by_hand(engine, tmp_path, "alpine:3.19") == expected
    assert done.status != 0
    assert not there(engine, tag)
    text = done.out + done.err
    assert "appos.yaml: artifacts.glibc, install: /usr/local/bin/glibc" in text
    assert "libstdc++.so.6 is not in the image" in text
    assert "add libstdc++ to image.packages" in text
    assert "a Git LFS pointer" in text
    assert "name it in artifacts.tools.uninspected" in text


def test_what_can_run_is_built_started_once_and_costs_no_byte(engine: Engine, tmp_path: Path, tag: str) -> None:
    binaries.compiled(tmp_path / "files" / "api", EXIT.format(status=0), "-static")
    # Without its tag, the engine would remember how it went the last time, and say nothing.
    script = f"#!/usr/bin/env sh\necho ready >/tmp/trace\necho version {tag}\n"
    write(tmp_path / "files" / "script", script.encode())
    # Placed anywhere, and needing nothing, it names a library all the same.
    source = f'const char *volatile name = "libc.so.6";\n{EXIT.format(status=0)}'
    binaries.compiled(tmp_path / "files" / "anywhere", source, "-static-pie")
    write(tmp_path / "files" / "venv" / "bin" / "activate", b"export VENV=yes\n")
    # What a library keeps for whoever builds it.
    write(tmp_path / "files" / "venv" / "lib" / "node_modules" / "npm" / "bin" / "npm", b"#!/usr/bin/env bash\n")
    write(tmp_path / "files" / "venv" / "bin" / "python", b"#!/bin/sh\n")
    write(tmp_path / "files" / "venv" / "bin" / "pip", b"#!/usr/bin/env python\n")
    write(tmp_path / "files" / "venv" / "bin" / "tool", b"#! /bin/sh -e\n")
    artifacts = {
        "api": "install: /usr/local/bin/api, libc: static, smoke: [--version]",
        "script": "install: /usr/local/bin/script, smoke: [--version]",
        "anywhere": "install: /usr/local/bin/anywhere, libc: static",
        "venv": "install: /opt/venv",
        # What Alpine's and Debian's own linkers make is laid out in another way.
        "own": "from: {image: 'alpine:3.19', path: /bin/busybox}, install: /usr/local/bin/busybox, smoke: [--help]",
    }
    done = built(engine, tmp_path, tag, Spec(artifacts))
    assert done.status == 0, done.err
    assert by_hand(engine, tmp_path, "alpine:3.19") == {}
    assert "/usr/local/bin/busybox --help: BusyBox" in done.out + done.err
    assert f"/usr/local/bin/script --version: version {tag}" in done.out + done.err
    history = engine.tell("history", "--no-trunc", "--format", "{{.CreatedBy}}\t{{.Size}}", tag)
    assert [line.split("\t")[1] for line in history.splitlines() if "inspect.sh" in line] == ["0B"]
    assert engine.tell("run", "--rm", "--entrypoint", "find", tag, "/tmp", "-mindepth", "1") == ""  # noqa: S108 - of the image


@pytest.mark.parametrize(("source", "said"), [(EXIT.format(status=3), "fails"), (LOOP, "more than 30 seconds")])
def test_a_smoke_test_that_fails_or_never_ends_stops_the_build(
    source: str, said: str, engine: Engine, tmp_path: Path, tag: str
) -> None:
    binaries.compiled(tmp_path / "files" / "api", source, "-static")
    done = built(engine, tmp_path, tag, Spec({"api": "install: /usr/local/bin/api, smoke: [--version]"}))
    assert "error[B130]: /usr/local/bin/api --version: it " in done.out + done.err
    assert said in done.out + done.err
    assert not there(engine, tag)


@pytest.mark.parametrize("base", ["alpine:3.19", "debian:bookworm-slim"])
def test_whoever_runs_a_program_must_be_allowed_to(engine: Engine, tmp_path: Path, tag: str, base: str) -> None:
    for name in ("api", "group", "hidden"):
        binaries.compiled(tmp_path / "files" / name, EXIT.format(status=0), "-static")
    for name in ("script", "plain"):
        write(tmp_path / "files" / name, b"#!/bin/sh\n")
    modes = {"api": "0711", "plain": "0755", "group": "0750", "script": "0711"}
    artifacts = {name: f"install: /usr/local/bin/{name}, mode: '{mode}'" for name, mode in modes.items()}
    artifacts["hidden"] = "install: /root/hidden"
    services = [f"  {name}: {{command: [/usr/local/bin/{name}], user: nobody}}\n" for name in modes if name != "api"]
    services += [
        "  hidden: {command: [/root/hidden], user: nobody}\n",
        "  root: {command: [/usr/local/bin/group], user: root}\n",
    ]
    done = built(engine, tmp_path, tag, Spec(artifacts, base, more="".join(services)))
    assert named(done) == {"group": ["B122"], "script": ["B122"], "hidden": ["B122"]}
    assert not there(engine, tag)


def test_a_glibc_program_on_alpine_is_checked_against_the_libraries_that_come_along(
    engine: Engine, tmp_path: Path, tag: str
) -> None:
    folder = tmp_path / "libraries"
    for name, version in (("fine", "GLIBC_2.2.5"), ("new", "GLIBC_2.99")):
        wanted = binaries.library(folder / name / "libc.so.6", version, function="getpid")
        source = "int getpid(void); void _start(void) { for (;;) getpid(); }\n"
        binaries.compiled(tmp_path / "files" / name, source, f"-Wl,--dynamic-linker={GLIBC_LOADER}", str(wanted))
    missing = binaries.library(folder / "libnowhere.so.1")
    binaries.calling(tmp_path / "files" / "missing", missing, GLIBC_LOADER)
    write(tmp_path / "files" / "page", b"<html>")
    artifacts = {
        name: f"install: /usr/local/bin/{name}, libc: glibc, libraries: 'debian:bookworm-slim'"
        for name in ("fine", "new", "missing", "page")
    }
    artifacts["new"] += ", compress: zstd"
    volumes = "volumes: {data: {mount: /data}}\n"
    done = built(engine, tmp_path, tag, Spec(artifacts, command="/usr/local/bin/fine", more=volumes))
    expected = {"new": ["B115"], "missing": ["B114"], "page": ["B101"]}
    assert named(done) == expected
    # What another image brings along cannot be seen by hand, but how old its C library is.
    assert by_hand(engine, tmp_path, "alpine:3.19") == {name: expected[name] for name in ("new", "page")}
    assert not there(engine, tag)


def test_on_debian_the_loader_is_asked_for_versions(engine: Engine, tmp_path: Path, tag: str) -> None:
    folder = tmp_path / "libraries"
    for name, library, version, function in (
        ("api", "libc.so.6", "GLIBC_2.2.5", "getpid"),
        ("new", "libc.so.6", "GLIBC_2.99", "getpid"),
        ("cxx", "libstdc++.so.6", "GLIBCXX_3.4.99", "thing"),
        ("lacking", "libpq.so.5", "", "thing"),
    ):
        wanted = binaries.library(folder / name / library, version, function=function)
        source = f"int {function}(void); void _start(void) {{ for (;;) {function}(); }}\n"
        binaries.compiled(tmp_path / "files" / name, source, f"-Wl,--dynamic-linker={GLIBC_LOADER}", str(wanted))
    musl = binaries.library(folder / "libc.musl-x86_64.so.1")
    binaries.calling(tmp_path / "files" / "musl", musl, MUSL_LOADER)
    # A library that comes along, one that has what is called and one that does not.
    for name in ("bundled", "other"):
        wanted = binaries.library(folder / name / "libthing.so.1")
        rpath = "-Wl,-rpath,$ORIGIN/../lib"
        binaries.calling(tmp_path / "files" / name / "bin" / f"{name}-app", wanted, GLIBC_LOADER, rpath)
        binaries.library(
            tmp_path / "files" / name / "lib" / "libthing.so.1", function="thing" if name == "bundled" else "nothing"
        )
        # The program has loaded what this one needs by then.
        plugin = tmp_path / "files" / name / "lib" / "plugins" / "plugin.so"
        binaries.compiled(plugin, CALLER, "-shared", str(wanted))
    for number, argument in enumerate(binaries.ENV):
        write(tmp_path / "files" / f"env{number}", f"#!/usr/bin/env {argument}\n".encode())
    # What its loader says of it is in none of the usual words.
    data = (tmp_path / "files" / "api").read_bytes()
    write(tmp_path / "files" / "odd", binaries.patched(data, binaries.Patch(binaries.tags(data)[PLTREL], "Q", 1 << 40)))
    scripts = {f"env{number}": [] if starts else ["B120"] for number, starts in enumerate(binaries.ENV.values())}
    names = ("api", "new", "cxx", "lacking", "musl", "odd", *scripts)
    artifacts = {name: f"install: /usr/local/bin/{name}" for name in names}
    artifacts["own"] = "from: {image: 'debian:bookworm-slim', path: /bin/ls}, install: /usr/local/bin/own"
    artifacts |= {name: f"install: /opt/{name}" for name in ("bundled", "other")}
    done = built(engine, tmp_path, tag, Spec(artifacts, base="debian:bookworm-slim"))
    wrong = {name: codes for name, codes in scripts.items() if codes}
    wrong |= {"new": ["B115"], "cxx": ["B115"], "lacking": ["B114"], "musl": ["B111"], "other-app": ["B116"]}
    unknown = f"env{list(binaries.ENV).index('-S -q sh')}"
    assert named(done) == {name: codes for name, codes in wrong.items() if name != unknown} | {"odd": ["B103"]}
    assert by_hand(engine, tmp_path, "debian:bookworm-slim") == wrong
    assert "add libpq5 to image.packages" in done.out + done.err
    assert not there(engine, tag)
