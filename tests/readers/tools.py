"""Finds and starts the real programs; a missing one skips the test that asks for it, and in CI fails it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CACHE = os.path.join(ROOT, ".cache", "readers")
PROGRAM_PATH = os.pathsep.join(
    [
        os.path.join(CACHE, "bin"),
        os.path.dirname(sys.executable),
        os.path.join(ROOT, ".venv", "bin"),
        os.environ.get("PATH", os.defpath),
        "/usr/sbin",
        "/sbin",
    ]
)
TIMEOUT_SECONDS = 120


class RejectedError(Exception):
    """The real reader refused the file; the text is its own message."""


class Finding(NamedTuple):
    """What a linter says about one line of a file."""

    rule: str
    file: str
    line: int
    message: str


def cached(*parts: str) -> str:
    """The path of something that tests/readers/setup put into the cache."""
    path = os.path.join(CACHE, *parts)
    if not os.path.exists(path):
        unavailable(parts[0])
    return path


def program(name: str) -> str:
    """The path of the program, from the cache, the environment of the tests, or the system."""
    return shutil.which(name, path=PROGRAM_PATH) or unavailable(name)


def unavailable(name: str) -> str:
    """Skips the test that needs the reader; in CI that is a failure, since nothing would be proven."""
    reason = f"{name} is not installed; `make readers` sets it up"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def call(
    argv: Sequence[str],
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    text: str = "",
) -> subprocess.CompletedProcess[str]:
    """Runs a program with nothing of the caller's environment but PATH, `text` on its standard input."""
    home = os.path.join(CACHE, "home")
    os.makedirs(home, exist_ok=True)
    return subprocess.run(
        argv,
        cwd=cwd or home,
        env={"PATH": PROGRAM_PATH, "HOME": home, "LC_ALL": "C.UTF-8", **(env or {})},
        input=text,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def output(done: subprocess.CompletedProcess[str]) -> str:
    """Standard output of a program that succeeded; raises RejectedError with its message otherwise."""
    if done.returncode != 0:
        raise RejectedError(done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}")
    return done.stdout
