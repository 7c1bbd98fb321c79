"""A lock and a real engine: digests of a registry, packages of the base's repository, a build that takes just those."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
import uuid
from typing import TYPE_CHECKING

import pytest

from compiler.guard import INTERRUPTED
from compiler.locking import settings
from tests.locking import images, servers
from tests.running import Result, command, environment, process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from compiler.verify.engine import Engine

SPEC = """version: 1
name: locked
image: {base: BASE, name: IMAGE, packages: [curl]}
services:
  redis: {preset: redis}
  idle: {command: [sleep, infinity]}
volumes: {data: {mount: /data}}
"""


class Place:
    """A directory with a spec whose base lies in a registry of the test's own, and names of the test's own."""

    def __init__(self, engine: Engine, tree: Path, host: str) -> None:
        self.engine, self.tree = engine, tree
        self.image = f"lock-test-{uuid.uuid4().hex[:8]}"
        self.base = f"{host}/alpine:3.19"
        (tree / "appos.yaml").write_text(SPEC.replace("BASE", self.base).replace("IMAGE", self.image), "utf-8")

    def lock(self, *arguments: str) -> Result:
        """What the command says."""
        return process("lock", *arguments, cwd=self.tree)

    def lines(self, name: str = "appos.lock") -> list[str]:
        """The lines of a file."""
        return (self.tree / name).read_text("utf-8").splitlines()


@pytest.fixture
def place(engine: Engine, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with servers.registry(tmp_path_factory.mktemp("registry")) as host:
        made = Place(engine, tmp_path, host)
        engine.tell("tag", "alpine:3.19", made.base)
        try:
            engine.tell("push", made.base)
            yield made
        finally:
            pulled = engine.call("images", "--digests", "--format", "{{.Repository}}@{{.Digest}}", f"{host}/alpine").out
            names = [name for name in pulled.split() if not name.endswith("<none>")]
            engine.call("image", "rm", "-f", f"{made.image}:local", made.base, *names)


def changed(before: list[str], after: list[str]) -> list[str]:
    return [other for one, other in zip(before, after, strict=True) if one != other]


def test_a_build_takes_just_what_is_locked(place: Place) -> None:
    run = place.lock()
    assert (run.status, run.err) == (0, "")
    lock = place.lines()
    digest = next(line for line in lock if place.base in line and "sha256:" in line).split(": ")[1]
    versions = dict(line.strip().split(": ") for line in lock if line.startswith("    "))
    assert set(versions) == {"curl", "redis", "supervisor"}
    # From the registry and from the engine comes the same.
    text = (place.tree / "appos.lock").read_bytes()
    offline = place.lock("--offline", "--update")
    assert (offline.status, offline.out) == (0, "appos.lock: 4 kept\n")
    assert (place.tree / "appos.lock").read_bytes() == text

    assert process(cwd=place.tree).status == 0
    dockerfile = (place.tree / "build" / "Dockerfile").read_text("utf-8")
    assert f"FROM {place.base}@{digest}\n" in dockerfile
    # The engine has no image of that name any more: it pulls by the digest.
    place.engine.tell("image", "rm", place.base)
    command = ("build", "-q", "-f", "build/Dockerfile", "-t", f"{place.image}:local", ".")
    _in(place.tree, place.engine, *command)
    listed = place.engine.tell("run", "--rm", "--entrypoint", "apk", f"{place.image}:local", "list", "--installed")
    for name, version in versions.items():
        assert re.search(rf"^{re.escape(name)}-{re.escape(version)} ", listed, re.MULTILINE), name

    check = place.lock("--check")
    # The lab's base is called 3.19, whose support has ended; everything else is as it was locked.
    assert check.out.splitlines()[0] == "appos.lock: 4 current, 1 past its end of life"


def test_what_the_repository_has_moved_to_is_told_and_moved_one_by_one(place: Place) -> None:
    place.lock()
    lock = place.lines()
    real = next(line for line in lock if line.startswith("    curl: "))
    version = real.split(": ")[1]
    (place.tree / "appos.lock").write_text("\n".join(lock).replace(real, "    curl: 1.0-r0") + "\n", "utf-8")
    old = place.lines()
    process(cwd=place.tree)
    built = place.lines("build/Dockerfile")

    report = json.loads(place.lock("--check", "--format", "json").out)
    [stale] = [pin for pin in report["pins"] if pin["status"] == "out of date"]
    assert (stale["name"], stale["image"], stale["pinned"], stale["now"]) == ("curl", place.base, "1.0-r0", version)
    with pytest.raises(AssertionError, match=r"curl[=-]"):
        _in(place.tree, place.engine, "build", "-q", "-f", "build/Dockerfile", "-t", f"{place.image}:local", ".")

    assert place.lock().out == "appos.lock: 4 kept\n"
    assert place.lock("--update", "curl").status == 0
    assert changed(old, place.lines()) == [real]
    process(cwd=place.tree)
    [line] = changed(built, place.lines("build/Dockerfile"))
    assert f"curl={version}" in line


def test_without_repositories_the_image_that_was_built_tells(place: Place) -> None:
    # A base whose repository cannot be reached, and an image that was built before.
    wrong = "FROM alpine:3.19\nRUN echo http://127.0.0.1:9/none >/etc/apk/repositories\n"
    _in(place.tree, place.engine, "build", "-q", "-t", place.base, "-", text=wrong)
    good = "FROM alpine:3.19\nRUN apk add --no-cache curl redis\n"
    _in(place.tree, place.engine, "build", "-q", "-t", f"{place.image}:local", "-", text=good)
    place.engine.tell("push", place.base)
    run = place.lock("--offline")
    assert run.status == 3
    told = {line.strip().split(" ")[0]: line for line in place.lines() if line.startswith("    ")}
    assert set(told) == {"curl:", "redis:"}
    assert f"versions on {place.base} are what is installed in {place.image}:local" in run.out
    # Asked without --offline, nobody is content with what was once built.
    online = place.lock("--update", "curl")
    assert online.status == 3
    assert "curl" in next(line for line in online.out.splitlines() if line.startswith("  failed"))


def test_a_name_that_only_others_provide_is_remembered_and_not_pinned(place: Place) -> None:
    package = "apk mkpkg -I name:mailer16 -I version:16.1-r0 -I provides:mailer -F /srv -o /m.apk"
    base = f"FROM alpine:3.19\nRUN {package} && apk add --no-network --allow-untrusted /m.apk\n"
    _in(place.tree, place.engine, "build", "-q", "-t", place.base, "-", text=base)
    place.engine.tell("push", place.base)
    spec = place.tree / "appos.yaml"
    spec.write_text(spec.read_text("utf-8").replace("[curl]", "[curl, mailer, mailer16]"), "utf-8")
    run = place.lock()
    assert (run.status, run.err) == (0, "")
    assert run.out.splitlines()[0] == "appos.lock: 5 pinned, 1 unpinned"
    assert f"note: mailer on {place.base}: a name that other packages provide has no version to pin" in run.out
    assert {"    mailer: virtual", "    mailer16: 16.1-r0"} <= set(place.lines())
    assert place.lock().out == "appos.lock: 6 kept\n"
    assert "6 current" in place.lock("--check").out
    compilation = process("--strict", cwd=place.tree)
    assert "W021" not in compilation.err
    process(cwd=place.tree)
    [installed] = [line for line in place.lines("build/Dockerfile") if "mailer" in line]
    assert " mailer mailer16=16.1-r0 " in installed
    # A name that nobody has is another matter: the repositories refuse it, as they would in a build.
    spec.write_text(spec.read_text("utf-8").replace("mailer,", "mailer, mailbox,"), "utf-8")
    refused = place.lock()
    assert refused.status == 3
    assert f"mailbox on {place.base}: the repositories cannot tell" in refused.out


def test_a_package_manager_that_nobody_understands_unpins_nothing(place: Place) -> None:
    place.lock()
    versions = [line for line in place.lines() if line.startswith("    ")]
    mute = 'FROM alpine:3.19\nRUN ln -sf /bin/true "$(command -v apk)"\n'
    _in(place.tree, place.engine, "build", "-q", "-t", place.base, "-", text=mute)
    place.engine.tell("push", place.base)
    run = place.lock("--update")
    assert (run.status, run.out.splitlines()[0]) == (3, "appos.lock: 1 moved, 3 failed")
    assert [line for line in place.lines() if line.startswith("    ")] == versions


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_no_container(place: Place, number: signal.Signals) -> None:
    # With a name in it, it is an image of its own, and so are the containers of it.
    slow = f"LABEL test={place.image}\nRUN printf '#!/bin/sh\\nexec sleep 300\\n' >$(command -v apk)\n"
    _in(place.tree, place.engine, "build", "-q", "-t", place.base, "-", text=f"FROM alpine:3.19\n{slow}")
    place.engine.tell("push", place.base)
    listed = ("ps", "--all", "--quiet", "--filter", f"ancestor={place.base}")
    running = subprocess.Popen(command("lock"), cwd=place.tree, env=environment(), stdout=subprocess.DEVNULL)
    try:
        for _ in range(300):
            if place.engine.tell(*listed, "--filter", "status=running"):
                break
            time.sleep(0.1)
        else:
            pytest.fail("no container runs")
        running.send_signal(number)
        assert running.wait(30) == INTERRUPTED
    finally:
        running.kill()
        running.wait()
    assert place.engine.tell(*listed) == ""
    assert not (place.tree / "appos.lock").exists()


def test_an_engine_that_cannot_get_what_is_pinned_is_mentioned(place: Place) -> None:
    # The command knows a mirror, the engine does not.
    host = place.base.partition("/")[0]
    images.push(f"http://{host}", "library/alpine:3.19", images.made())
    spec = place.tree / "appos.yaml"
    spec.write_text(spec.read_text("utf-8").replace(place.base, "alpine:3.19"), "utf-8")
    run = process("lock", cwd=place.tree, env={settings.MIRRORS: f"docker.io={host}"})
    assert run.status == 0
    pinned = f"alpine:3.19@{images.made().digest}"
    assert f"note: the engine cannot get {pinned}: versions are from the alpine:3.19 that it has" in run.out
    assert len([line for line in place.lines() if line.startswith("    ")]) == 3


def test_an_image_that_no_registry_gave_has_no_digest(place: Place) -> None:
    spec = place.tree / "appos.yaml"
    spec.write_text(spec.read_text("utf-8").replace(place.base, "alpine:3.19"), "utf-8")
    run = place.lock("--offline")
    if run.status == 0:  # a machine whose engine has pulled the real one
        assert re.search(r"^  alpine:3\.19: sha256:", (place.tree / "appos.lock").read_text("utf-8"), re.MULTILINE)
        return
    assert run.status == 3
    assert "the engine has alpine:3.19, but no digest that a registry gave it" in run.out


def _in(tree: Path, engine: Engine, *words: str, text: str = "") -> None:
    """Runs the client in a directory; its complaint is the failure."""
    here = [str(tree / word) if word.startswith("build/") else str(tree) if word == "." else word for word in words]
    done = engine.call(*here, timeout=600, text=text)
    assert done.status == 0, done.err
