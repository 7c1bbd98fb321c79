"""Two clean builds of one commit, in two directories and by two users: the same layers, to the byte."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from compiler.verify.engine import EngineError
from tests import layers
from tests.verify import twins

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiler.verify.engine import Engine

TWICE = Path(__file__).parent / "twice"
EARLIER = 1_750_000_000
"""When the second was checked out: no checkout is older than its commit."""

COMMIT = "1700000000"
"""When the commit was made, as ``git log -1 --pretty=%ct`` tells it."""


@pytest.fixture(scope="module", params=["alpine:3.19", "debian:bookworm-slim"])
def checkouts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One commit checked out by two users: the second keeps everything to himself, and was earlier."""
    one, other = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("other") / "in" / "another"
    shutil.copytree(TWICE, one, dirs_exist_ok=True)
    spec = one / "appos.yaml"
    if request.param != "alpine:3.19":
        text = spec.read_text().replace("alpine:3.19", request.param)
        # Its package makes a database and a key when it is installed.
        spec.write_text(text.replace("services:\n", "services:\n  db: {preset: postgresql}\n"))
    twins.compiled(one)
    shutil.copytree(one, other)
    for path in (other, *other.rglob("*")):
        path.chmod(path.stat().st_mode & 0o700)
        os.utime(path, (EARLIER, EARLIER))
    return one, other


@pytest.fixture(scope="module")
def images(engine: Engine, checkouts: tuple[Path, Path]) -> Iterator[list[str]]:
    """What the engine makes of either."""
    names = [f"reproducible-{os.getpid()}:{number}" for number in (1, 2)]
    for name, checkout in zip(names, checkouts, strict=True):
        _built(engine, checkout, name)
    yield names
    engine.call("rmi", "--force", *names)


def test_two_builds_have_the_same_layers(engine: Engine, images: list[str]) -> None:
    digests = [engine.inspect(image)["RootFS"]["Layers"] for image in images]
    assert digests[0] == digests[1], layers.differences(*(layers.of(engine, image) for image in images))


def test_each_difference_is_named(engine: Engine, images: list[str]) -> None:
    one = layers.of(engine, images[0])
    entries = dict(one[-1].entries)
    name = next(reversed(entries))
    entries[name] = entries[name]._replace(mode=0o600, content="other")
    other = [*one[:-1], one[-1]._replace(entries=entries)]
    found = layers.differences(one, other)
    assert [line.split(" is ")[0] for line in found] == [
        f"layer {len(one) - 1}: {name}: mode",
        f"layer {len(one) - 1}: {name}: content",
    ]
    assert layers.differences(one, one[:-1]) == [f"{len(one)} layers and {len(one) - 1}"]


def test_with_the_time_of_its_commit_it_is_the_same_image(engine: Engine, images: list[str]) -> None:
    assert {engine.inspect(image)["Created"] for image in images} == {"2023-11-14T22:13:20Z"}
    assert len({engine.inspect(image)["Id"] for image in images}) == 1


def test_what_was_given_can_be_read_by_the_services(engine: Engine, images: list[str]) -> None:
    entries = {name: entry for layer in layers.of(engine, images[1]) for name, entry in layer.entries.items()}
    assert entries["srv/plain/deep"].mode == entries["srv/site/deep"].mode == 0o755
    assert entries["usr/local/bin/tool"].mode == 0o755
    assert entries["srv/plain/index.html"].mode == entries["srv/site/index.html"].mode == 0o644


def _built(engine: Engine, checkout: Path, name: str) -> None:
    words = (*_build(checkout), "--tag", name, str(checkout))
    try:
        engine.tell(*words, timeout=900)
    except EngineError as error:
        # Nothing comes from a cache here, so that a name server that is away for a moment is noticed.
        if "Temporary failure resolving" not in str(error):
            raise
        engine.tell(*words, timeout=900)


def _build(checkout: Path) -> tuple[str, ...]:
    arguments = ("--build-arg", f"SOURCE_DATE_EPOCH={COMMIT}")
    return "build", "--no-cache", *arguments, "--file", str(checkout / "build" / "Dockerfile")
