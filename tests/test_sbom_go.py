"""What Go notes in its executables is read as Go itself reads it, and nothing else is taken for it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.sbom import gobuild
from tests.readers import tools

if TYPE_CHECKING:
    from pathlib import Path

FRAME = bytes(range(16))
LISTED = "path\texample.com/box\nmod\texample.com/box\t(devel)\t\ndep\texample.com/part\tv1.2.3\th1:abc=\n"
SOURCES = {
    "go.mod": (
        "module example.com/box\n\ngo 1.22\n\nrequire example.com/part v1.2.3\n\nreplace example.com/part => ./part\n"
    ),
    "main.go": 'package main\n\nimport "example.com/part"\n\nfunc main() { println(part.Name) }\n',
    "c/main.go": 'package main\n\n// int one() { return 1; }\nimport "C"\n\nfunc main() { println(int(C.one())) }\n',
    "part/go.mod": "module example.com/part\n\ngo 1.22\n",
    "part/part.go": 'package part\n\nconst Name = "part"\n',
}
BUILDS = {
    "plain": (),
    "as the flagship": ("-trimpath", "-ldflags=-s -w"),
    "position-independent": ("-buildmode=pie",),
    "with C": ("-trimpath", "-ldflags=-w -s", "./c"),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("go")
    for name, text in SOURCES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    return root


def go(directory: Path, *words: str) -> str:
    environment = {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod -buildvcs=false", "GOPROXY": "off", "CGO_ENABLED": "1"}
    return tools.output(tools.call([tools.program("go"), *words], cwd=str(directory), env=environment))


@pytest.mark.parametrize("how", BUILDS)
def test_an_executable_tells_what_go_version_tells(source: Path, how: str) -> None:
    built = source / how.replace(" ", "-")
    go(source, "build", "-o", str(built), *BUILDS[how])

    first, _, rest = go(source, "version", "-m", str(built)).partition("\n")
    listed = gobuild.parse(first.rpartition(": ")[2], "\n".join(line.strip("\t") for line in rest.splitlines()))

    found = gobuild.read(built.read_bytes())
    assert found == listed
    assert found is not None
    assert found.main
    assert found.main.path == "example.com/box"
    assert ("CGO_ENABLED", "1") in found.settings


def test_a_module_that_a_directory_replaces_keeps_its_name_and_version(source: Path) -> None:
    built = source / "replaced"
    go(source, "build", "-o", str(built))
    found = gobuild.read(built.read_bytes())
    assert found
    assert found.modules == (gobuild.Module("example.com/part", "v1.2.3", "", directory="./part"),)


@pytest.mark.parametrize(
    ("by", "module"),
    [
        ("example.com/fork\tv2.0.0\th1:abc=", gobuild.Module("example.com/fork", "v2.0.0", "h1:abc=", "example.com/a")),
        ("../fork\t(devel)\t", gobuild.Module("example.com/a", "v1.0.0", "", directory="../fork")),
        ("/src/fork\t(devel)\t", gobuild.Module("example.com/a", "v1.0.0", "", directory="/src/fork")),
        ("..\t(devel)\t", gobuild.Module("example.com/a", "v1.0.0", "", directory="..")),
        ("C:\\fork\t(devel)\t", gobuild.Module("example.com/a", "v1.0.0", "", directory="C:\\fork")),
    ],
)
def test_another_module_takes_the_place_of_one_and_a_directory_does_not(by: str, module: gobuild.Module) -> None:
    assert gobuild.parse("go1.22", f"dep\texample.com/a\tv1.0.0\n=>\t{by}\n").modules == (module,)


def varint(number: int) -> bytes:
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def note(text: str = LISTED, go_version: str = "go1.22.12", flags: int = 2) -> bytes:
    """What the linker writes."""
    listed = FRAME + text.encode() + FRAME if text else b""
    head = (gobuild.MAGIC + bytes([8, flags])).ljust(32, b"\0")
    return head + varint(len(go_version)) + go_version.encode() + varint(len(listed)) + listed


def elf(before: bytes, data: bytes, *, wide: bool = True, order: str = "<") -> bytes:
    """An executable: a segment that is only read, then one that is written to."""
    identity = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2]) + bytes(10)
    start = 4096
    place = start + len(before) + -len(before) % 16
    if wide:
        head = identity + struct.pack(f"{order}HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
        segments = [
            struct.pack(f"{order}IIQQQQQQ", 1, flags, at, at, at, size, size, 4096)
            for flags, at, size in ((4, 0, place), (6, place, len(data)))
        ]
    else:
        head = identity + struct.pack(f"{order}HHIIIIIHHHHHH", 2, 3, 1, 0, 52, 0, 0, 52, 32, 2, 0, 0, 0)
        segments = [
            struct.pack(f"{order}IIIIIIII", 1, at, at, at, size, size, flags, 4096)
            for flags, at, size in ((4, 0, place), (6, place, len(data)))
        ]
    content = (head + b"".join(segments)).ljust(start, b"\0") + before
    return content.ljust(place, b"\0") + data


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_program_within_a_program_is_not_taken_for_it(*, wide: bool, order: str) -> None:
    inner = note(LISTED.replace("box", "inner"))
    found = gobuild.read(elf(inner, note(), wide=wide, order=order))
    assert found
    assert found.path == "example.com/box"
    assert found.modules == (gobuild.Module("example.com/part", "v1.2.3", "h1:abc="),)


def test_what_is_nowhere_else_is_found_outside_of_the_data() -> None:
    found = gobuild.read(elf(note(), b"nothing"))
    assert found
    assert found.path == "example.com/box"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x7fEL",
        b"#!/bin/sh\n" + note(),
        elf(b"", note(flags=0)),
        elf(b"", note(go_version="rust1.80")),
        elf(b"", b"\0" + note()),
        elf(b"", note()[:40]),
        elf(b"", note()[:32] + b"\xff" * 20),
        elf(b"", note()[:32] + varint(2**40)),
        elf(b"", note()[:32] + varint(2**20 + 1) + b"go" * 2**20),
    ],
    ids=["empty", "a head", "a script", "addresses", "not Go", "not aligned", "cut", "no end", "huge", "too long"],
)
def test_nothing_is_found_where_nothing_is(content: bytes) -> None:
    assert gobuild.read(content) is None


def test_without_modules_the_version_is_known_all_the_same() -> None:
    assert gobuild.read(elf(b"", note(""))) == gobuild.Build("go1.22.12", "", None, (), ())


def test_lines_that_make_no_sense_are_passed_over() -> None:
    text = (
        "dep\n=>\tx\ty\tz\nmod\ndep\ta\x1b[31m\tv1\ndep\tgood\tv1\t\nbuild\nrubbish\tx\ndep\t" + "a" * 5000 + "\tv1\n"
    )
    found = gobuild.parse("go1.22 X:some", text)
    assert found.go == "go1.22"
    assert [module.path for module in found.modules] == ["good"]


@given(st.integers(1, 5000), st.integers(0, 3000))
@settings(max_examples=50, deadline=None)
def test_it_does_not_matter_in_which_pieces_it_comes(size: int, gap: int) -> None:
    content = elf(b"\xff Go buildinf:" * 3 + bytes(gap), note())
    finder = gobuild.Finder()
    for start in range(0, len(content), size):
        finder.update(content[start : start + size])
    assert finder.value() == gobuild.read(content) == gobuild.read(elf(b"", note()))


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_whatever_is_damaged_nothing_breaks(data: st.DataObject) -> None:
    content = bytearray(elf(note(), note() + note()))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.sampled_from([*range(256), *range(4096, len(content))]))] = data.draw(st.integers(0, 255))
    found = gobuild.read(bytes(content[: data.draw(st.integers(0, len(content)))]))
    assert found is None or all(module.path.isprintable() for module in found.modules)


def test_a_file_full_of_beginnings_takes_neither_time_nor_memory() -> None:
    finder = gobuild.Finder()
    finder.update(elf(b"", b""))
    piece = (note()[:32] + varint(8) + b"go1.22.1" + varint(2**20 - 1)).ljust(48, b"g") * 5461
    for _ in range(64):
        finder.update(piece)
        assert len(finder._waiting) < 4 * 2**20  # noqa: SLF001 - what it holds on to cannot be seen otherwise
    assert finder.value() is None
