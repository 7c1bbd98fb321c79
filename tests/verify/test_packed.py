"""A program that the image holds compressed: whatever happens while it is unpacked, what runs is whole."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import random
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.verify import twins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compiler.verify.engine import Engine

PACKED = Path(__file__).parent / "packed"
SIZE = 40_000_000
"""Of the program: as long as it takes to unpack, it can be killed."""

KILLS = 6
STORED = "/usr/local/share/packed/packed/program"
PLACE = "/data/.packed/programs/program"
OPTIONS = ("--read-only", "--tmpfs", "/run/packed:mode=1777", "--cap-drop", "ALL")
RIGHTS = tuple(f"--cap-add={right}" for right in ("CHOWN", "KILL", "SETGID", "SETUID"))
KINDS = {
    "alpine, zstd": ("alpine:3.19", "zstd", "root"),
    "debian, xz": ("debian:bookworm-slim", "xz", "app"),
}
"""busybox, and dash with the tools of GNU; process 1 is root, or the program's own account."""


class Version(NamedTuple):
    """An image, and the checksum of the program in it."""

    image: str
    checksum: str


class Box:
    """Containers on one volume, which go with it."""

    def __init__(self, engine: Engine, name: str, *options: str) -> None:
        self.engine = engine
        self.volume = name
        self._names = (f"{name}-{number}" for number in itertools.count())
        engine.tell("volume", "create", *options, name)

    def start(self, version: Version, *options: str) -> str:
        """Start a container, and return its name."""
        name = next(self._names)
        mount = ("--volume", f"{self.volume}:/data")
        words = (*OPTIONS, *RIGHTS, *mount, "--label", self.volume, *options)
        self.engine.tell("run", "--detach", "--name", name, *words, version.image)
        return name

    def runs(self, name: str, version: Version) -> None:
        """Wait until the program runs, which has to be this version, whole."""
        _until(lambda: "it runs" in self.log(name) or not self.up(name))
        assert "it runs" in self.log(name), self.log(name)
        done = self.engine.tell("exec", name, "sha256sum", "/usr/local/bin/program")
        assert done.split()[0] == version.checksum

    def refused(self, name: str) -> str:
        """Wait until the container has ended, which has to be a failure; return its last line."""
        _until(lambda: not self.up(name))
        assert self.engine.inspect(name)["State"]["ExitCode"] == 1
        return self.log(name).splitlines()[-1]

    def up(self, name: str) -> bool:
        """Whether the container runs."""
        return bool(self.engine.inspect(name)["State"]["Running"])

    def log(self, name: str) -> str:
        """What the container has printed."""
        done = self.engine.call("logs", name)
        return done.out + done.err

    def shell(self, version: Version, script: str) -> list[str]:
        """What a shell on the volume prints."""
        words = ("--rm", "--volume", f"{self.volume}:/data", "--workdir", "/data", "--entrypoint", "sh")
        return self.engine.tell("run", *words, version.image, "-c", script).splitlines()

    def held(self, version: Version, script: str) -> str:
        """Start a shell that stays on the volume, and return its container."""
        words = ("--detach", "--volume", f"{self.volume}:/data", "--label", self.volume, "--entrypoint", "sh")
        return self.engine.tell("run", *words, version.image, "-c", script).strip()

    def ends_while_unpacking(self, version: Version, seconds: float) -> None:
        """Run a container whose process 1 ends so long after unpacking has begun; the kernel kills the others."""
        begun = f"ls {PLACE}/new.* {PLACE}/{version.checksum} 2>/dev/null"
        script = f'/usr/local/lib/packed/entrypoint.sh & until [ -n "$({begun})" ]; do :; done; sleep {seconds:.3f}'
        words = (*OPTIONS, *RIGHTS, "--volume", f"{self.volume}:/data", "--label", self.volume, "--entrypoint", "sh")
        self.engine.tell("run", *words, version.image, "-c", script)

    def files(self, version: Version) -> list[str]:
        """What there is of the program on the volume, by checksum and name."""
        found = self.shell(version, f"find {PLACE} -type f ! -name lock ! -name '*.checked' -exec sha256sum {{}} +")
        return [" ".join(line.replace(f"{PLACE}/", "").split()) for line in found]

    def stop(self) -> None:
        """Remove every container."""
        names = self.engine.call("ps", "--all", "--quiet", "--filter", f"label={self.volume}").out.split()
        if names:
            self.engine.call("rm", "--force", *names)

    def close(self) -> None:
        """Remove everything."""
        self.stop()
        self.engine.call("volume", "rm", "--force", self.volume)


@pytest.fixture(scope="module")
def versions(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Version]]:
    """An image of each kind, and a later version of the first."""
    made: dict[str, Version] = {}
    try:
        for name, (base, method, user) in (*KINDS.items(), ("later", KINDS["alpine, zstd"])):
            directory = tmp_path_factory.mktemp("packed")
            shutil.copytree(PACKED, directory, dirs_exist_ok=True)
            spec = directory / "appos.yaml"
            text = spec.read_text().replace("user: root", f"user: {user}").replace("alpine:3.19", base)
            spec.write_text(text.replace("compress: zstd", f"compress: {method}"))
            program = _program(name == "later")
            (directory / "program").write_bytes(program)
            twins.compiled(directory)
            version = Version(f"packed-{os.getpid()}:{len(made)}", hashlib.sha256(program).hexdigest())
            dockerfile = str(directory / "build" / "Dockerfile.local")
            engine.tell("build", "--file", dockerfile, "--tag", version.image, str(directory), timeout=600)
            made[name] = version
        yield made
    finally:
        engine.call("rmi", "--force", *(version.image for version in made.values()))


@pytest.fixture
def one(versions: dict[str, Version]) -> Version:
    """The version that most tests use."""
    return versions["alpine, zstd"]


@pytest.fixture
def box(engine: Engine) -> Iterator[Box]:
    """An empty volume."""
    with contextlib.closing(Box(engine, f"packed-{os.getpid()}-{time.monotonic_ns()}")) as box:
        yield box


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_that_is_killed_at_any_moment_leaves_nothing_broken(
    kind: str, versions: dict[str, Version], box: Box
) -> None:
    version, dice = versions[kind], random.Random(kind)  # noqa: S311 - the same moments in every run
    box.shell(version, "true")
    begun = time.monotonic()
    box.runs(box.start(version), version)
    whole = time.monotonic() - begun
    box.stop()
    box.shell(version, f"rm -rf {PLACE}")
    unfinished = 0
    for number in range(KILLS):
        if number % 2:
            box.ends_while_unpacking(version, dice.uniform(0, whole / 20))
        else:
            name = box.start(version)
            time.sleep(dice.uniform(0, whole / 2))
            box.engine.tell("kill", name)
        box.stop()
        found = box.shell(version, f"mkdir -p {PLACE}; ls {PLACE}")
        unfinished += any(file.startswith("new.") for file in found)
        # What has the name of a version is that version.
        assert {file for file in box.files(version) if "new." not in file} <= {f"{version.checksum} {version.checksum}"}
        if version.checksum in found:
            box.shell(version, f"rm -rf {PLACE}")
    assert unfinished
    box.runs(box.start(version), version)
    assert box.files(version) == [f"{version.checksum} {version.checksum}"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", ["truncate -s 1000000 ", "printf x | dd conv=notrunc seek=999999 bs=1 of="])
def test_a_program_that_is_damaged_on_the_volume_is_unpacked_anew(
    kind: str, damage: str, versions: dict[str, Version], box: Box
) -> None:
    version = versions[kind]
    name = box.start(version)
    box.runs(name, version)
    file = f"{PLACE}/{version.checksum}"
    box.shell(version, f"{damage}{file}")
    box.engine.tell("restart", "--time", "0", name)
    _until(lambda: box.log(name).count("it runs") == 2)
    box.runs(name, version)
    assert "packed: program is damaged on the volume and is unpacked anew" in box.log(name)


def test_a_program_is_unpacked_once(one: Version, box: Box) -> None:
    name = box.start(one)
    box.runs(name, one)
    state = f"stat -c '%i %Z' {PLACE}/{one.checksum}"
    before = box.shell(one, state)
    box.engine.tell("restart", "--time", "0", name)
    _until(lambda: box.log(name).count("it runs") == 2)
    assert box.shell(one, state) == before


def test_a_program_that_is_damaged_in_the_image_is_refused(one: Version, box: Box, tmp_path: Path) -> None:
    container = box.engine.tell("create", one.image).strip()
    damaged = tmp_path / "damaged"
    box.engine.tell("cp", f"{container}:{STORED}", str(damaged))
    box.engine.tell("rm", container)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    name = box.start(one, "--volume", f"{damaged}:{STORED}:ro")
    assert box.refused(name) == "packed: program is damaged in the image: its checksum is another"
    assert box.files(one) == []


def test_a_directory_in_its_place_makes_room_for_it(one: Version, box: Box) -> None:
    box.shell(one, f"mkdir -p {PLACE}/{one.checksum}/more {PLACE}/other && echo x >{PLACE}/{one.checksum}/more/file")
    box.runs(box.start(one), one)
    assert box.files(one) == [f"{one.checksum} {one.checksum}"]


def test_a_volume_from_which_nothing_may_be_executed_is_refused(engine: Engine, one: Version) -> None:
    options = ("--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=100m,noexec")
    with contextlib.closing(Box(engine, f"packed-{os.getpid()}-noexec", *options)) as box:
        last = box.refused(box.start(one))
    assert last == "packed: /data is mounted noexec, and programs are unpacked onto it: mount it with exec"


def test_without_room_the_container_says_so(engine: Engine, one: Version) -> None:
    options = ("--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=20m")
    with contextlib.closing(Box(engine, f"packed-{os.getpid()}-small", *options)) as box:
        last = box.refused(box.start(one))
    assert last == "packed: program cannot be unpacked: it takes 40 MB of the volume; is there no room?"


def test_the_room_that_another_version_takes_is_used(engine: Engine, versions: dict[str, Version]) -> None:
    options = ("--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=60m")
    with contextlib.closing(Box(engine, f"packed-{os.getpid()}-tight", *options)) as box:
        one, later = versions["alpine, zstd"], versions["later"]
        # Keeps the volume, which is in memory, between the two.
        box.held(one, "exec sleep 600")
        first = box.start(one)
        box.runs(first, one)
        engine.tell("rm", "--force", first)
        box.runs(box.start(later), later)


def test_two_containers_may_start_on_one_volume(one: Version, box: Box) -> None:
    names = [box.start(one) for _ in range(3)]
    for name in names:
        box.runs(name, one)
    assert box.files(one) == [f"{one.checksum} {one.checksum}"]


def test_a_container_that_hangs_holds_up_no_other(one: Version, box: Box) -> None:
    holder = box.held(one, f"mkdir -p {PLACE}; exec 9>{PLACE}/lock; flock 9; echo held; sleep 600")
    _until(lambda: "held" in box.log(holder))
    box.runs(box.start(one), one)


def test_an_upgrade_and_a_step_back_leave_one_version_on_the_volume(versions: dict[str, Version], box: Box) -> None:
    one, later = versions["alpine, zstd"], versions["later"]
    for version in (one, later, one):
        name = box.start(version)
        box.runs(name, version)
        assert box.files(version) == [f"{version.checksum} {version.checksum}"]
        box.stop()


def test_a_program_may_be_unpacked_onto_another_volume_than_the_first(engine: Engine, box: Box, tmp_path: Path) -> None:
    shutil.copytree(PACKED, tmp_path, dirs_exist_ok=True)
    spec = tmp_path / "appos.yaml"
    text = spec.read_text().replace("compress: zstd", "compress: zstd, volume: cache")
    spec.write_text(f"{text}  cache: {{mount: /cache}}\n")
    program = _program(later=False)
    (tmp_path / "program").write_bytes(program)
    twins.compiled(tmp_path)
    version = Version(f"packed-{os.getpid()}:elsewhere", hashlib.sha256(program).hexdigest())
    dockerfile = str(tmp_path / "build" / "Dockerfile.local")
    engine.tell("build", "--file", dockerfile, "--tag", version.image, str(tmp_path), timeout=600)
    try:
        box.shell(version, f"mkdir -p {PLACE} && echo x >{PLACE}/earlier")
        with contextlib.closing(Box(engine, f"{box.volume}-cache")) as other:
            name = box.start(version, "--volume", f"{other.volume}:/cache")
            box.runs(name, version)
            assert other.files(version) == [f"{version.checksum} {version.checksum}"]
            assert box.shell(version, "find . -path '*programs*'") == []
            box.stop()
    finally:
        engine.call("rmi", "--force", version.image)


def test_what_an_earlier_image_had_under_another_name_is_removed(one: Version, box: Box) -> None:
    box.shell(one, "mkdir -p /data/.packed/programs/earlier && echo x >/data/.packed/programs/earlier/file")
    box.runs(box.start(one), one)
    assert box.shell(one, "ls /data/.packed/programs") == ["program"]


def _program(later: bool) -> bytes:
    """A script that says that it runs; what follows it is never read, and takes a while to unpack."""
    head = f"#!/bin/sh\necho it runs{', later' if later else ''}\nexec sleep 1000\n".encode()
    dice = random.Random(1)  # noqa: S311 - the same program in every run
    block = bytes(dice.choices(b"0123456789abcdef", k=1_000_000))
    lines = b"\n".join(b"#%d" % number + block[number % 1000 :] for number in range(SIZE // len(block) + 1))
    return (head + lines)[:SIZE]


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
