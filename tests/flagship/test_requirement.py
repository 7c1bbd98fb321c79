"""The requirement's acceptance: its six commands as printed, and each line of its list with what shows it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.compiled import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from compiler.verify.engine import Engine

LIMIT = 100_000_000
"""Bytes: "under 100 MB" as `docker images` prints it."""

SERVICES = ("redis", "convex", "backend", "nginx")


STATUS = "docker exec appos supervisorctl status"


@pytest.fixture(scope="module")
def shell(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of what is committed, or would be, in which the commands are typed; the environment is set up already."""
    if engine.call("container", "inspect", "appos").status == 0:
        pytest.fail("there is a container with the name appos already, which these commands would take over")
    copy = tmp_path_factory.mktemp("clone") / "appos"
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, names.split("\0")):
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    yield copy
    for command in ("make stop", "docker rm -f -v appos", "docker volume rm appos-data"):
        run(command, copy)


def run(command: str, directory: Path, timeout: float = 1200) -> subprocess.CompletedProcess[str]:
    """Type a command."""
    clean = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "MAKEFLAGS")}
    return subprocess.run(
        ["sh", "-c", command], cwd=directory, capture_output=True, text=True, timeout=timeout, env=clean, check=False
    )


def told(command: str, directory: Path) -> str:
    """Type a command that has to succeed."""
    done = run(command, directory)
    assert done.returncode == 0, f"$ {command}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


def test_the_commands_of_the_requirement_do_what_they_say(
    shell: Path, engine: Engine, record_property: Callable[[str, object], None]
) -> None:
    evidence = []
    told("make image build && make start", shell)
    begun = time.monotonic()
    while engine.call("inspect", "--format", "{{.State.Health.Status}}", "appos").out.strip() != "healthy":
        assert time.monotonic() - begun < 60, engine.call("logs", "appos").out
        time.sleep(0.2)
    evidence.append(f"HEALTHCHECK passes within 60 s: {time.monotonic() - begun:.1f} s after make start")

    # Healthy is earlier than RUNNING: supervisord says so when a process has lived for its startsecs.
    wanted = [[name, "RUNNING"] for name in sorted((*SERVICES, "listener"))]
    while [line.split()[:2] for line in sorted(run(STATUS, shell).stdout.splitlines())] != wanted:
        assert time.monotonic() - begun < 60, run(STATUS, shell).stdout
        time.sleep(0.2)
    states = told(STATUS, shell)
    evidence.append("all services are RUNNING: " + ", ".join(line.split()[0] for line in states.splitlines()))

    page = told("curl -fsS http://127.0.0.1:9091/", shell)
    assert "<title>" in page
    evidence.append(f"the dashboard answers at /: {len(page)} bytes")

    health = json.loads(told("curl -fsS http://127.0.0.1:9091/api/health", shell))
    assert health["status"] == "ok"
    evidence.append(f"the API answers at /api/health: {json.dumps(health['checks'])}")

    assert "appos" in told("docker images appos:latest", shell)
    size = int(told("docker image inspect --format '{{.Size}}' appos:latest", shell))
    evidence.append(f"production image under 100 MB: {size / 1e6:.1f} MB")

    told("""curl -fsS -X PUT -d '{"value": "yes"}' http://127.0.0.1:9091/api/settings/kept""", shell)
    listed = told("docker restart appos && docker exec appos ls /appos/data/", shell)
    assert {"redis", "convex", "apps", "appos.db"} <= set(listed.split())
    begun = time.monotonic()
    while run("curl -fsS http://127.0.0.1:9091/api/health", shell).returncode:
        assert time.monotonic() - begun < 60
        time.sleep(0.2)
    assert '"yes"' in told("curl -fsS http://127.0.0.1:9091/api/settings", shell)
    evidence.append(f"data survives a restart: {' '.join(listed.split()[1:])}; a setting written before is there")

    for target in ("status", "stop", "start", "restart"):
        told(f"make {target}", shell)
    told("make image-local", shell)
    local = int(told("docker image inspect --format '{{.Size}}' appos:latest", shell))
    evidence.append(f"local image under 100 MB: {local / 1e6:.1f} MB")
    for line in evidence:
        record_property("evidence", f"accepted: {line}")
    assert max(size, local) < LIMIT
