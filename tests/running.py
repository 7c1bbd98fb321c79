"""Runs the command as a user does, in this process or in one of its own."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import select
import subprocess
import sys
import termios
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from unittest.mock import patch

import compiler
from compiler import __main__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT = Path(compiler.__path__[0]).parent
"""The repository."""


class Result(NamedTuple):
    """What a command came to."""

    status: int
    out: str
    err: str


def appos(*arguments: str, cwd: Path) -> Result:
    """Run the command in this process: the same code, without the time that Python needs to start."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    before = Path.cwd()
    os.chdir(cwd)
    try:
        with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "argv", ["appos-compile", *arguments]):
            status = __main__.main()
    finally:
        os.chdir(before)
    texts = []
    for stream in (out, err):
        stream.flush()
        stream.seek(0)
        texts.append(stream.read())
    return Result(status, *texts)


def process(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> Result:
    """Run the command in a process of its own, without a terminal; ``env`` is added to the environment."""
    done = subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def command(*arguments: str) -> list[str]:
    """Return the command line of a process of its own."""
    return [sys.executable, "-m", "compiler", *arguments]


def environment(more: Mapping[str, str] | None = None, root: Path = ROOT) -> dict[str, str]:
    """Return an environment in which the compiler of ``root`` is found, with nothing that changes its output."""
    ignored = ("NO_COLOR", "FORCE_COLOR", "COLUMNS")
    kept = {name: value for name, value in os.environ.items() if name not in ignored}
    return {**kept, "PYTHONPATH": str(root), **(more or {})}


def flagship(directory: Path) -> Path:
    """Put the flagship's spec, and the files it names, into a directory; return the spec."""
    (directory / "schema").mkdir(parents=True, exist_ok=True)
    (directory / "schema" / "appos.sql").write_bytes((ROOT / "schema" / "appos.sql").read_bytes())
    spec = directory / "appos.yaml"
    spec.write_bytes((ROOT / "appos.yaml").read_bytes())
    return spec


def contents(directory: Path) -> dict[str, tuple[bytes, int]]:
    """Return every file below a directory, with content and mode."""
    return {
        str(path.relative_to(directory)): (path.read_bytes(), path.stat().st_mode)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def terminal(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, answers: Iterable[tuple[str, str]] = ()
) -> tuple[int, str]:
    """Run the command on a terminal of its own; return its status and what the terminal showed.

    ``answers`` are what to type, each after what the terminal shows before.
    """
    parent, child = pty.openpty()
    running = subprocess.Popen(
        command(*arguments),
        cwd=cwd,
        env=environment({"TERM": "xterm", **(env or {})}),
        stdin=child,
        stdout=child,
        stderr=child,
        start_new_session=True,
        # Only the terminal that controls a session passes Ctrl-C on.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - there are no threads here
    )
    os.close(child)
    shown = ""
    try:
        for question, answer in answers:
            start = len(shown)
            while question not in shown[start:]:
                shown += _shown(parent)
            # The library that reads answers misses a Ctrl-C in the very moment in which it begins; people are slower.
            time.sleep(0.3 if answer < " " else 0)
            os.write(parent, answer.encode())
        while chunk := _shown(parent):
            shown += chunk
        return running.wait(30), shown
    finally:
        running.kill()
        running.wait()
        os.close(parent)


def _shown(parent: int) -> str:
    """What the terminal shows next; nothing once the command has ended."""
    ready, _, _ = select.select([parent], [], [], 30)
    assert ready, "the command shows nothing more, and does not end"
    try:
        return os.read(parent, 4096).decode("utf-8", "replace")
    except OSError:
        return ""
