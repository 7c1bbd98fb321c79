"""The payload's own tests and linters, with its own tools."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.compiled import ROOT
from tests.readers.tools import PROGRAM_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

GO = os.environ | {"PATH": PROGRAM_PATH, "GOTOOLCHAIN": "go1.22.12", "CGO_ENABLED": "1"}
"""The version that the production image is built with."""

STATICCHECK = "honnef.co/go/tools/cmd/staticcheck@v0.5.1"


def needed(*programs: str) -> None:
    """Skip where a tool is missing; in continuous integration that is a failure."""
    missing = [program for program in programs if not shutil.which(program, path=PROGRAM_PATH)]
    if missing and os.environ.get("CI"):
        pytest.fail(f"{', '.join(missing)} not installed")
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


def run(*command: str, directory: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=ROOT / directory, env=env or dict(os.environ), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_backend(record_property: Callable[[str, object], None]) -> None:
    needed("go", "gcc", "redis-server")
    assert run("gofmt", "-l", ".", directory="backend", env=GO) == ""
    run("go", "vet", "./...", directory="backend", env=GO)
    run("go", "run", STATICCHECK, "-checks", "all", "./...", directory="backend", env=GO)
    told = run("go", "test", "-race", "-v", "./...", directory="backend", env=GO)
    assert "--- SKIP" not in told
    record_property("evidence", f"backend: {told.count('--- PASS')} tests passed with the race detector")


def test_the_dashboard(record_property: Callable[[str, object], None]) -> None:
    needed("npm", "node")
    # Not `npm ci`: newer ones refuse a lock file without the packages for other systems that a registry may lack.
    run("npm", "install", "--no-save", "--no-package-lock", directory="dashboard")
    run("npm", "run", "check", directory="dashboard")
    told = run("npm", "test", directory="dashboard")
    record_property("evidence", "dashboard: " + next(line.strip() for line in told.splitlines() if "Tests " in line))
