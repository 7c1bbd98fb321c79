"""A compilation with a lock beside the spec: everything is pinned, mistakes are told, every change is noticed."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from compiler import load, pipeline
from compiler.locking import lockfile
from compiler.locking.lockfile import Image, Lock
from compiler.locking.wanted import wanted
from tests.compiled import DIRECTORIES
from tests.running import Result, appos, flagship, process

if TYPE_CHECKING:
    from pathlib import Path

BASE, GO, LIBRARIES = ("sha256:" + letter * 64 for letter in "abc")
SUM = "d" * 64
URL = "https://example.org/tool-{arch}"
SPEC = f"""version: 1
name: shop
image: {{base: alpine:3.22, packages: [curl, tzdata=2025a-r0]}}
artifacts:
  api:
    build: {{image: golang:1.26-alpine, source: api, packages: [gcc], run: [go build], output: main}}
    install: /usr/local/bin/api
    libc: musl
  engine:
    from: {{image: registry.example:5000/engine:7, path: /engine}}
    install: /usr/local/bin/engine
    libc: glibc
    compress: zstd
  tool:
    fetch: {{url: 'https://example.org/tool-{{arch}}', sha256: {{amd64: {SUM}, arm64: {SUM}}}}}
    install: /usr/local/bin/tool
services:
  api: {{command: [/usr/local/bin/api], port: 8081}}
  engine: {{command: [/usr/local/bin/engine], port: 8082}}
volumes: {{data: {{mount: /data}}}}
"""
LOCK = f"""version: 1
images:
  alpine:3.22: {BASE}
  golang:1.26-alpine: {GO} 1.26.3
  registry.example:5000/engine:7: {LIBRARIES}
packages:
  alpine:3.22:
    curl: 8.14.1-r2
    supervisor: 4.2.5-r5
    zstd: 1.5.7-r0
  golang:1.26-alpine:
    gcc: 14.2.0-r6
files:
  https://example.org/tool-amd64: sha256:{SUM}
  https://example.org/tool-arm64: sha256:{SUM}
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "appos.yaml").write_text(SPEC, "utf-8")
    (tmp_path / "appos.lock").write_text(LOCK, "utf-8")
    return tmp_path


def compiled(tree: Path, *arguments: str) -> Result:
    return process(*arguments, cwd=tree)


def test_everything_is_pinned(tree: Path) -> None:
    run = compiled(tree)
    assert (run.status, run.err) == (0, "")
    for name in ("Dockerfile", "Dockerfile.local"):
        text = (tree / "build" / name).read_text("utf-8")
        starts = [line.split()[1] for line in text.splitlines() if line.startswith("FROM ")]
        assert set(starts) == {
            f"alpine:3.22@{BASE}",
            f"golang:1.26-alpine@{GO}",
            f"registry.example:5000/engine:7@{LIBRARIES}",
        }
        assert f"COPY --from=registry.example:5000/engine:7@{LIBRARIES} /engine " not in text  # compressed in a stage
        installed = [line for line in text.splitlines() if "apk add" in line]
        assert [line.split("--no-cache ")[1].removesuffix(" \\") for line in installed] == [
            "gcc=14.2.0-r6",
            "zstd=1.5.7-r0",
            "curl=8.14.1-r2 supervisor=4.2.5-r5 tzdata=2025a-r0 zstd=1.5.7-r0",
        ]
        assert "No versions" not in text


def test_without_a_lock_nothing_is(tree: Path) -> None:
    (tree / "appos.lock").unlink()
    assert compiled(tree).err == ""
    assert "sha256:a" not in (tree / "build" / "Dockerfile").read_text("utf-8")


def test_what_the_spec_pins_itself_wins(tree: Path) -> None:
    own = "sha256:" + "e" * 64
    spec = SPEC.replace("alpine:3.22,", f"alpine:3.22@{own},").replace("[curl,", "[curl=8.0-r0,")
    (tree / "appos.yaml").write_text(spec, "utf-8")
    run = compiled(tree)
    text = (tree / "build" / "Dockerfile").read_text("utf-8")
    assert f"FROM alpine:3.22@{own}\n" in text
    assert "curl=8.0-r0" in text
    assert 'the spec has no image "alpine:3.22" to be pinned' in run.err


def test_what_does_not_fit_any_more_is_told(tree: Path) -> None:
    lock = LOCK.replace("golang:1.26-alpine: sha", "golang:1.25-alpine: sha").replace("    curl:", "    wget:")
    (tree / "appos.lock").write_text(lock.replace("tool-arm64: sha256:d", "tool-arm64: sha256:e"), "utf-8")
    run = compiled(tree)
    assert run.status == 0
    missing, left = '(run "appos-compile lock")', '(run "appos-compile lock": it removes what is left over)'
    assert run.err.splitlines() == [
        f'appos.lock:4:3: warning W020: the spec has no image "golang:1.25-alpine" to be pinned {left}',
        f'appos.lock:8:5: warning W020: the spec installs no package "wget" on "alpine:3.22" to be pinned {left}',
        f'appos.lock:15:3: warning W020: the spec has another checksum for "https://example.org/tool-arm64" {left}',
        f'appos.yaml:6:20: warning W021: appos.lock does not pin "golang:1.26-alpine" {missing}',
        f'appos.yaml:3:15: warning W021: appos.lock has no version of curl on "alpine:3.22" {missing}',
    ]
    # The run in which nothing changes says the same.
    again = compiled(tree)
    assert (again.out, again.err) == (f"build/: {again.out.split()[1]} files up to date\n", run.err)


def test_a_name_that_cannot_be_pinned_stays_as_it_is_without_a_warning(tree: Path) -> None:
    (tree / "appos.lock").write_text(LOCK.replace("8.14.1-r2", "virtual"), "utf-8")
    run = compiled(tree)
    assert (run.status, run.err) == (0, "")
    assert " curl supervisor=4.2.5-r5 " in (tree / "build" / "Dockerfile").read_text("utf-8")


@pytest.mark.parametrize(
    ("url", "sums", "fits"),
    [
        (URL, f"{{amd64: {SUM}, arm64: {SUM}}}", True),
        (URL, f"{{amd64: {SUM}, arm64: {'e' * 64}}}", False),
        (URL.replace("{arch}", "arm64"), SUM, True),
        (URL.replace("{arch}", "arm64"), "e" * 64, False),
        ("https://example.org/other", "e" * 64, True),
    ],
)
def test_one_download_has_one_checksum(tree: Path, url: str, sums: str, fits: bool) -> None:
    second = f"  second:\n    fetch: {{url: '{url}', sha256: {sums}}}\n    install: /usr/local/bin/second\n"
    (tree / "appos.yaml").write_text(SPEC.replace("services:\n", f"{second}services:\n"), "utf-8")
    (tree / "appos.lock").unlink()
    run = compiled(tree)
    assert (run.status, "has another checksum elsewhere" in run.err) == ((0, False) if fits else (2, True))


def test_the_place_of_a_mistake_is_shown(tree: Path) -> None:
    (tree / "appos.lock").write_text(LOCK.replace(GO, "sha256:none"), "utf-8")
    run = compiled(tree)
    assert run.status == 2
    assert run.err == (
        'error[E110]: the pin of "golang:1.26-alpine" is not sha256: and 64 hexadecimal digits\n'
        " --> appos.lock:4:23\n"
        "  |\n"
        "4 |   golang:1.26-alpine: sha256:none 1.26.3\n"
        "  |                       ^^^^^^^^^^^^^^^^^^\n"
        '  = help: write it anew with "appos-compile lock --update", or take it back from git\n'
        "\n1 error\n"
    )
    assert not (tree / "build").exists()
    listed = json.loads(compiled(tree, "--format", "json").out)
    assert [(each["file"], each["line"], each["column"]) for each in listed] == [("appos.lock", 4, 23)]


def test_mistakes_of_spec_and_lock_are_told_together(tree: Path) -> None:
    (tree / "appos.lock").write_text(LOCK.replace(GO, "sha256:none"), "utf-8")
    (tree / "appos.yaml").write_text(SPEC.replace("port: 8081", "port: 80810"), "utf-8")
    assert [line[:11] for line in compiled(tree).err.splitlines() if line.startswith("error[")] == [
        "error[E110]",
        "error[E026]",
    ]


def test_a_lock_that_cannot_be_read(tree: Path) -> None:
    (tree / "appos.lock").unlink()
    (tree / "appos.lock").mkdir()
    run = compiled(tree)
    assert run.status == 2
    assert "error[E110]: appos.lock is a directory" in run.err


def test_every_change_of_the_lock_is_a_change(tree: Path) -> None:
    compiled(tree)
    assert compiled(tree, "--check").status == 0
    (tree / "appos.lock").write_text(LOCK.replace("8.14.1-r2", "8.14.1-r3"), "utf-8")
    check = compiled(tree, "--check")
    assert (check.status, check.out.splitlines()[:2]) == (
        1,
        ["out of date: build/Dockerfile +1 -1", "out of date: build/Dockerfile.local +1 -1"],
    )
    assert compiled(tree).out == "updated build/Dockerfile +1 -1\nupdated build/Dockerfile.local +1 -1\n"
    (tree / "appos.lock").unlink()
    assert compiled(tree, "--check").status == 1
    assert "updated build/Dockerfile" in compiled(tree).out
    (tree / "appos.lock").write_text(LOCK, "utf-8")
    assert "updated build/Dockerfile" in compiled(tree).out


def test_a_moving_tag_that_is_pinned_is_no_warning(tree: Path) -> None:
    (tree / "appos.yaml").write_text(SPEC.replace("engine:7", "engine:latest"), "utf-8")
    (tree / "appos.lock").unlink()
    assert "W002" in compiled(tree).err
    (tree / "appos.lock").write_text(LOCK.replace("engine:7", "engine:latest"), "utf-8")
    assert compiled(tree).err == ""


def test_the_lock_has_the_name_of_its_spec(tree: Path) -> None:
    (tree / "appos.yaml").rename(tree / "shop.yaml")
    assert "FROM alpine:3.22\n" in _dockerfile(tree, "-f", "shop.yaml")
    (tree / "appos.lock").rename(tree / "shop.lock")
    assert f"FROM alpine:3.22@{BASE}\n" in _dockerfile(tree, "-f", "shop.yaml")


def _dockerfile(tree: Path, *arguments: str) -> str:
    assert appos(*arguments, cwd=tree).status == 0
    return (tree / "build" / "Dockerfile").read_text("utf-8")


def spec_of(case: str, directory: Path) -> Path:
    """A copy of a case that may be written to."""
    if case == "appos":
        return flagship(directory)
    shutil.copytree(DIRECTORIES[case], directory, dirs_exist_ok=True)
    return directory / "appos.yaml"


def pinned(spec: Path, letter: str) -> Lock:
    """A lock with everything that a spec asks for; packages and images differ by the letter."""
    app, _, _ = pipeline.model(load.load(str(spec)), str(spec.parent), pinned=False)
    want = wanted(app)
    images = {name: Image("sha256:" + letter * 64) for name in want.images}
    packages = {image: dict.fromkeys(names, f"1.0-{letter}") for image, names in want.packages.items()}
    return Lock(images, packages, want.files)


@pytest.mark.parametrize("case", DIRECTORIES)
def test_every_case_can_be_locked(case: str, tmp_path: Path) -> None:
    spec = spec_of(case, tmp_path)
    spec.with_suffix(".lock").write_text(lockfile.text(pinned(spec, "a"), "appos.yaml"), "utf-8")
    result = pipeline.compile_spec(str(spec))
    assert {warning.code for warning in result.warnings} <= {"W001"}
    for file in result.files:
        if not file.path.startswith("Dockerfile") or file.path.endswith("ignore"):
            continue
        stages = set(re.findall(r"^FROM \S+ AS (\S+)$", file.content, re.MULTILINE))
        named = re.findall(r"^FROM (\S+)", file.content, re.MULTILINE)
        named += re.findall(r"^COPY .*--from=(\S+)", file.content, re.MULTILINE)
        # What the spec says as raw text, it has to pin as raw text.
        raw = "".join(extra.text for extra in result.app.extra)
        assert [name for name in named if name not in stages and "@sha256:" not in name and name not in raw] == []
        fetching = "ca-certificates curl"
        for packages in re.findall(r"(?:--no-cache|-recommends) ([^\\\n]*)", file.content):
            assert packages.startswith(fetching) or all("=" in name for name in packages.split()), packages


@pytest.mark.parametrize("case", DIRECTORIES)
def test_moving_a_pin_changes_its_line_and_nothing_but_dockerfiles(case: str, tmp_path: Path) -> None:
    spec = spec_of(case, tmp_path)
    lock, other = pinned(spec, "a"), pinned(spec, "b")
    moved = [lock._replace(images={**lock.images, name: pin}) for name, pin in other.images.items()]
    moved += [
        lock._replace(packages={**lock.packages, image: {**lock.packages[image], name: version}})
        for image, versions in other.packages.items()
        for name, version in versions.items()
    ]
    before = lockfile.text(lock, "appos.yaml").splitlines()
    spec.with_suffix(".lock").write_text("\n".join(before), "utf-8")
    files = {file.path: file.content for file in pipeline.compile_spec(str(spec)).files}
    for each in moved:
        text = lockfile.text(each, "appos.yaml")
        assert sum(one != two for one, two in zip(before, text.splitlines(), strict=True)) == 1
        spec.with_suffix(".lock").write_text(text, "utf-8")
        changed = {file.path for file in pipeline.compile_spec(str(spec)).files if files[file.path] != file.content}
        assert changed
        assert changed <= {"Dockerfile", "Dockerfile.local"}
