"""What process 1 of a container runs, in a directory: the real supervisord with the generated scripts, as this user."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from compiler import load, pipeline
from tests.readers import tools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "box"


def until(condition: Callable[[], object], what: str) -> None:
    """Waits until the condition holds."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.02)


class State(NamedTuple):
    """A line of the list of services."""

    state: str
    since: int


class Container:
    """A container that runs, in a directory that stands for its root."""

    def __init__(self, root: Path, process: subprocess.Popen[bytes]) -> None:
        self.root, self.process = root, process

    def path(self, path: str) -> Path:
        """Where a path of the container is."""
        return self.root / path.lstrip("/")

    @property
    def log(self) -> str:
        """What the container has printed."""
        return (self.root / "log").read_text(errors="replace")

    @property
    def states(self) -> dict[str, State]:
        """What the list of services says."""
        lines = (line.split(" ") for line in self.path(f"/run/{NAME}/services").read_text().splitlines())
        return {name: State(state, int(since)) for name, state, since in lines}

    def group(self, service: str) -> int:
        """The process group of the service as it was started last; 0 before."""
        try:
            return int(self.path(f"/run/{NAME}/{service}/group").read_text())
        except (OSError, ValueError):
            return 0

    def ready(self, *services: str) -> None:
        """Waits until the services are ready and count as running."""
        marks = [self.path(f"/run/{NAME}/{service}/ready") for service in services]
        until(lambda: all(mark.exists() for mark in marks), f"ready: {services}\n{self.log}")
        until(
            lambda: {self.states[service].state for service in services} == {"RUNNING"}, f"{services} run\n{self.log}"
        )

    def ctl(self, *arguments: str) -> str:
        """What supervisorctl prints."""
        command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(self.path("/etc/supervisord.conf"))]
        return tools.call([*command, *arguments]).stdout

    def processes(self) -> list[str]:
        """The command lines that name a file of this container."""
        found = []
        for entry in os.listdir("/proc"):
            try:
                words = Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if entry.isdigit() and str(self.root) in words:
                found.append(words)
        return found


@contextmanager
def running(spec: str, sh: str) -> Iterator[Container]:
    """The container of a spec that is called ``box``, with its scripts run by this shell; everything ends with it."""
    text = f"version: 1\nname: {NAME}\nimage: {{base: alpine:3.22}}\n{spec}"
    made = pipeline.compile_document(load.parse(text.encode(), "appos.yaml"), os.curdir)
    root = Path(tempfile.mkdtemp()).resolve()
    interpreter = tools.program("busybox") + " sh" if sh == "busybox" else tools.program(sh)
    paths = re.compile(f"/run/{NAME}|/usr/local/lib/{NAME}|/etc/supervisord.conf|/data")
    for file in made.files:
        place = {"supervisord.conf": "/etc"}.get(file.path, f"/usr/local/lib/{NAME}")
        content = paths.sub(lambda match: f"{root}{match[0]}", file.content)
        content = content.replace("#!/bin/sh", f"#!{interpreter}", 1)
        # Only root may become somebody else.
        content = re.sub("^user=.*\n", "", content, flags=re.MULTILINE)
        path = root / place.lstrip("/") / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(file.mode)
    for service in made.app.services:
        (root / service.run.lstrip("/")).mkdir(parents=True)
    (root / "data").mkdir()
    (root / made.app.services_file.lstrip("/")).write_text(
        "".join(f"{service.name} STOPPED 0\n" for service in made.app.services)
    )
    launcher = root / f"usr/local/lib/{NAME}/supervisord.py"
    with open(root / "log", "ab") as log:
        process = subprocess.Popen(
            [*starter(launcher), "-c", str(root / "etc/supervisord.conf")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"PATH": os.environ["PATH"]},
        )
    try:
        yield Container(root, process)
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()
            shutil.rmtree(root, ignore_errors=True)


def starter(script: Path, *packages: str, first: str = "") -> list[str]:
    """The command that runs a Python program with the test's supervisor, or the one in ``packages``."""
    code = f"import runpy, sys; sys.path[:0] = {list(packages)}; {first or 'pass'}; sys.argv[0] = {str(script)!r}\n"
    return [sys.executable, "-W", "ignore", "-c", f"{code}runpy.run_path({str(script)!r}, run_name='__main__')"]
