"""Sizes of images on an engine: attribution is the engine's own number to the byte, and nothing is nobody's."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from compiler import guard
from compiler.image import archive, source
from compiler.size import numbers
from tests.running import ROOT, appos, environment, flagship
from tests.running import command as words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compiler.verify.engine import Engine

CASES = sorted(path.parent for path in (ROOT / "tests" / "verify" / "cases").glob("*/appos.yaml"))


@pytest.fixture
def name(engine: Engine) -> Iterator[str]:
    """A name for an image, which is removed afterwards."""
    made = f"size-test:{secrets.token_hex(4)}"
    yield made
    engine.call("image", "rm", made)


def adds_up(directory: Path, *arguments: str) -> Any:
    """Measure an image, and see that every byte is somebody's."""
    done = appos("size", *arguments, "--format", "json", cwd=directory)
    assert done.status == 0, done.err
    found = json.loads(done.out)
    assert found["uncompressed"] == found["engine"] == sum(share["uncompressed"] for share in found["shares"])
    assert [layer["uncompressed"] for layer in found["layers"]] == [layer["engine"] for layer in found["layers"]]
    assert found["nobody"] == []
    return found


def fails_by_a_byte(directory: Path, image: str, found: Any, *arguments: str) -> None:
    """Give the spec a budget that is a byte too small, and see that the largest share is named first."""
    spec = directory / "tight.yaml"
    text = (directory / "appos.yaml").read_text().replace(", budget: 100MB", "").replace("  budget: 100MB\n", "")
    for size, status in ((found["uncompressed"], 0), (found["uncompressed"] - 1, 1)):
        made = text.replace("image: {", f"image: {{budget: {size}B, ", 1).replace(
            "image:\n", f"image:\n  budget: {size}B\n", 1
        )
        spec.write_text(made)
        done = appos("size", image, "-f", "tight.yaml", "--check", *arguments, cwd=directory)
        assert (done.status, done.err) == (status, "")
    assert "over budget by 1 byte" in done.out.splitlines()[0]
    largest = found["shares"][0]
    named = (
        largest["name"]
        if largest["kind"] in ("base", "compiler", "package")
        else f"{largest['kind']} {largest['name']}"
    )
    assert done.out.splitlines()[1].startswith(f"culprit: {named}, ")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_adds_up_to_the_engines_own_number(
    case: Path, engine: Engine, name: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    assert engine.version
    shutil.copytree(case, tmp_path, dirs_exist_ok=True)
    assert appos(cwd=tmp_path).status == 0
    found = adds_up(tmp_path, name, "--build")
    if case.name == "site":
        # The others are some hundreds of megabytes, and no other arithmetic.
        fails_by_a_byte(tmp_path, name, found)
    record_property("evidence", f"{case.name}: {found['uncompressed']:,} bytes, none of them nobody's")


def test_what_a_line_of_the_specs_own_makes_is_stored_once(engine: Engine, name: str, tmp_path: Path) -> None:
    assert engine.version
    (tmp_path / "appos.yaml").write_text(
        "version: 1\nname: once\nimage: {base: 'alpine:3.19'}\nservices: {redis: {preset: redis}}\n"
        "volumes: {data: {mount: /data}}\n"
        "extra: {Dockerfile: {packages: 'RUN head -c 1000000 /dev/urandom >/opt/model'}}\n"
    )
    assert appos(cwd=tmp_path).status == 0
    found = adds_up(tmp_path, name, "--build")
    assert [share["uncompressed"] for share in found["shares"] if share["kind"] == "extra"] == [1_000_000]


def test_the_flagship_adds_up_to_the_engines_own_number(
    engine: Engine, name: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    assert engine.version
    found = adds_up(ROOT, name, "--build")
    assert found["flavour"] == "production"
    flagship(tmp_path)
    fails_by_a_byte(tmp_path, name, found)
    record_property("evidence", f"the flagship: {found['uncompressed']:,} bytes, none of them nobody's")
    # The same image as a file has the same shares. What links count for is the engine's affair.
    saved = tmp_path / "image.tar"
    with saved.open("wb") as file:
        subprocess.run((engine.client, "image", "save", name), stdout=file, check=True)
    again = json.loads(appos("size", str(saved), "--format", "json", cwd=tmp_path).out)
    links = again["uncompressed"] - found["uncompressed"]
    assert 0 <= links < 100_000
    assert [share["name"] for share in again["shares"]] == [share["name"] for share in found["shares"]]
    assert again["nobody"] == []


def test_the_local_image_adds_up_and_is_told_from_the_other(engine: Engine, name: str, tmp_path: Path) -> None:
    assert engine.version
    flagship(tmp_path)
    program = b"#!/bin/sh\necho 1.0\n"
    for place, content in (
        ("dashboard/dist/index.html", b"<p>"),
        ("backend/main", program),
        ("build/convex-backend", program),
    ):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(content)
    spec = tmp_path / "appos.yaml"
    spec.write_text(spec.read_text().replace("    libc: glibc\n", "").replace("    libc: musl\n", ""))
    assert appos(cwd=tmp_path).status == 0
    assert adds_up(tmp_path, name, "--build", "--local")["flavour"] == "local"
    found = adds_up(tmp_path, name)
    assert found["flavour"] == "local"
    assert {"artifact", "service", "compiler", "base", "package", "extra"} == {
        share["kind"] for share in found["shares"]
    }


@pytest.mark.parametrize("image", ["alpine:3.19", "debian:bookworm-slim"])
def test_an_image_that_was_loaded_counts_its_links_and_one_that_was_built_does_not(image: str, engine: Engine) -> None:
    said = source.said(engine, image)
    assert said
    read = source.read(engine, image, archive.Options())
    assert said.size == sum(layer.contents + layer.links for layer in read.layers)
    assert said.layers(read) == tuple(layer.contents + layer.links for layer in read.layers)


def test_an_image_that_is_not_there_can_be_built(engine: Engine, tmp_path: Path) -> None:
    assert engine.version
    flagship(tmp_path)
    done = appos("size", "size-test:nowhere", cwd=tmp_path)
    assert done.status == 3
    assert "has no image size-test:nowhere" in done.err
    assert "--build" in done.err
    assert appos("size", "size-test:nowhere", "--build", cwd=tmp_path).status == 1


def test_ctrl_c_leaves_no_child_behind(engine: Engine, name: str, tmp_path: Path) -> None:
    flagship(tmp_path)
    engine.tell("tag", "node:20-alpine", name)
    running = subprocess.Popen(
        words("size", name),
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not _saving(name) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _saving(name)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=30)
    assert running.returncode == guard.INTERRUPTED
    assert told.splitlines()[-1] == "interrupted"
    assert not _saving(name)


def _saving(name: str) -> list[str]:
    """The clients that save an image of that name."""
    found = []
    for process in os.listdir("/proc"):
        try:
            line = Path("/proc", process, "cmdline").read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        if f"save\0{name}" in line:
            found.append(line)
    return found


def test_numbers_of_one_flavour_leave_the_others_alone(engine: Engine, name: str, tmp_path: Path) -> None:
    shutil.copytree(CASES[-1], tmp_path, dirs_exist_ok=True)
    assert engine.version
    assert appos(cwd=tmp_path).status == 0
    for flavour in ("--production", "--local"):
        assert appos("size", name, "--build", flavour, "--keep", cwd=tmp_path).status == 0
    assert sorted(numbers.parse((tmp_path / "build" / "size.json").read_text())) == ["local", "production"]
    assert appos("--check", cwd=tmp_path).status == 0
