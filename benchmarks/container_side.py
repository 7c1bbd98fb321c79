"""One of the containers that are compared: its image, its start and its end, under names of its own, on loopback."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING, NamedTuple

from compiler.verify.engine import environment
from compiler.verify.trial import LABEL, remove

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiler.verify.engine import Engine

HEALTH = "/api/health"
SERVICES = 4
LIMIT = 90.0
"""Seconds for anything that is waited for; the plain health check takes thirty."""

IDLE = 0.85
"""The part of a second in which a quiet machine does nothing."""

LEFT_OUT = ("node_modules", "dist", "convex-backend", "__pycache__")
CONTEXT = ("backend", "dashboard", "schema", "build", "benchmarks/baseline")
PAYLOAD = ("backend/main",)
"""What a fresh clone has not: results of builds on this machine, which the images do not use."""


class Start(NamedTuple):
    """Seconds from `docker start` to the first 200 of the health route, and to the engine's word "healthy"."""

    first: float
    healthy: float


class Side:
    """A Compose file and a Dockerfile; closing it removes everything that was made of them."""

    def __init__(self, name: str, engine: Engine, context: str, files: str) -> None:
        """``files`` is the directory of the Dockerfile and the Compose file, within the context."""
        self.name = name
        self.engine = engine
        self.context = context
        self.files = os.path.join(context, files)
        self.project = f"bench-{name}-{secrets.token_hex(3)}"
        self.image = f"{self.project}:bench"
        self.port = _free_port()
        self.temporary = tempfile.mkdtemp(prefix="appos-bench-")
        self.override = os.path.join(self.temporary, "compose.json")
        with open(self.override, "w", encoding="utf-8") as file:
            json.dump({"volumes": {"data": {"name": f"{self.project}-data"}}}, file)
        self.variables = {
            "CONTAINER_NAME": self.project,
            "IMAGE_NAME": self.image,
            "HTTP_PORT": f"127.0.0.1:{self.port}",
            "CONVEX_INSTANCE_SECRET": secrets.token_hex(32),
        }

    def close(self) -> None:
        """Remove the container, its volume and network, and the images."""
        remove(self.engine, self.project)
        shutil.rmtree(self.temporary, ignore_errors=True)

    # --- the image

    def build(self) -> tuple[float, str]:
        """Build the image; return how long it took and what the builder said."""
        dockerfile = os.path.join(self.files, "Dockerfile")
        words = ("build", "-f", dockerfile, "-t", self.image, "--label", f"{LABEL}={self.project}")
        start = time.perf_counter()
        done = subprocess.run(
            (self.engine.client, *words, "--progress=plain", self.context),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env=environment(),
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{self.name}: the image cannot be built:\n" + "\n".join(done.stdout.splitlines()[-25:]))
        return time.perf_counter() - start, done.stdout

    def size(self) -> int:
        """Bytes of the image, uncompressed."""
        size: int = self.engine.inspect(self.image)["Size"]
        return size

    # --- the container

    def create(self) -> None:
        """A container that was never started, on an empty volume."""
        self._compose("down", "--volumes", "--timeout", "0")
        self._compose("up", "--no-start", "--no-build")

    def start(self, *, healthy: bool = True) -> Start:
        """Start the container, and wait for its first right answer and, if wanted, for health."""
        filters = ("--filter", f"container={self.project}", "--filter", "event=health_status")
        events = (self.engine.client, "events", "--since", f"{time.time():.0f}", *filters)
        with _started((*events, "--format", "{{json .}}")) as said:
            start = time.perf_counter()
            with _started((self.engine.client, "start", self.project)):
                while self.status() != http.client.OK:
                    self._not_beyond(start, "no answer from the health route")
                    time.sleep(0.02)
                first = time.perf_counter() - start
            while healthy and not any('health_status: healthy"' in line for line in said.lines()):
                self._not_beyond(start, "not healthy")
                time.sleep(0.02)
            return Start(first, time.perf_counter() - start if healthy else 0)

    def settle(self) -> None:
        """Wait until the supervisor says that all services are running, and a moment more."""
        start = time.perf_counter()
        while True:
            states = [line.split()[1:2] for line in self.run("supervisorctl", "status").splitlines()]
            if len(states) >= SERVICES and all(state == ["RUNNING"] for state in states):
                break
            self._not_beyond(start, f"the services do not run: {states}")
            time.sleep(0.5)
        time.sleep(1)

    def stop(self) -> float:
        """Stop the container as `docker stop` does; return the seconds it took."""
        start = time.perf_counter()
        self.engine.tell("stop", self.project)
        return time.perf_counter() - start

    def kill(self) -> None:
        """End the container at once."""
        self.engine.call("kill", self.project)

    def status(self, path: str = HEALTH) -> int:
        """What the published port answers, 0 for nothing."""
        connection = http.client.HTTPConnection(self.engine.host, self.port, timeout=2)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().status
        return 0

    def run(self, *words: str, timeout: float = LIMIT) -> str:
        """Run a command in the container with every right, and return what it prints."""
        return self.engine.call("exec", "--privileged", "--user", "0", self.project, *words, timeout=timeout).out

    def address(self) -> str:
        """HOST:PORT, past the engine's proxy where this machine reaches the container's own address."""
        networks = self.engine.inspect(self.project)["NetworkSettings"]["Networks"]
        for host in (network["IPAddress"] for network in networks.values()):
            with contextlib.suppress(OSError), socket.create_connection((host, 80), timeout=1):
                return f"{host}:80"
        return f"{self.engine.host}:{self.port}"

    def _compose(self, *words: str) -> None:
        files = ("-p", self.project, "-f", os.path.join(self.files, "docker-compose.yml"), "-f", self.override)
        self.engine.composed(*files, *words, extra=self.variables)

    def _not_beyond(self, start: float, problem: str) -> None:
        if time.perf_counter() - start > LIMIT:
            done = self.engine.call("logs", "--tail", "25", self.project)
            raise RuntimeError(f"{self.name}: {problem} within {LIMIT:.0f} s:\n{done.out}{done.err}")


class _Lines:
    """What a process has printed by now."""

    def __init__(self, path: str) -> None:
        self._path = path

    def lines(self) -> list[str]:
        with open(self._path, encoding="utf-8") as file:
            return file.read().splitlines()


@contextlib.contextmanager
def _started(command: tuple[str, ...]) -> Iterator[_Lines]:
    """A process of the engine's client that runs meanwhile."""
    with tempfile.NamedTemporaryFile(prefix="appos-bench-") as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, env=environment())
        try:
            yield _Lines(out.name)
        finally:
            child.terminate()
            child.wait()


def quiet(patience: float) -> None:
    """Wait until nothing else keeps the machine busy for a second, but no longer than that."""
    end = time.perf_counter() + patience
    while time.perf_counter() < end:
        before = _idle()
        time.sleep(1)
        if _idle() - before > IDLE * (os.cpu_count() or 1):
            return


def _idle() -> float:
    """Seconds that the processors had nothing to do."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = file.readline().split()
    return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")


def copy_context(source: str, target: str) -> None:
    """What both images are built from, and nothing else: a change elsewhere in the tree changes no build."""
    for name in CONTEXT:
        path = os.path.join(source, name)
        shutil.copytree(path, os.path.join(target, name), ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
    for name in PAYLOAD:
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(target, name))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
