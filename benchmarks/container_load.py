"""Requests a second, with wrk: straight at a container, over connections that stay open."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from typing import NamedTuple

from tests.lab import debian

CONNECTIONS = 32
SECONDS = 3
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class Rate(NamedTuple):
    """Right answers a second, the milliseconds within which 99 of 100 came, and the part of all that was wrong."""

    requests: float
    p99: float
    wrong: float


@functools.cache
def _program() -> tuple[str, dict[str, str]]:
    """The program and the environment it needs: Debian's package, unpacked where none is installed."""
    installed = shutil.which("wrk")
    if installed:
        return installed, {}
    root = debian.programs("wrk")
    return os.path.join(root, "usr", "bin", "wrk"), debian.libraries(root)


def start(address: str, path: str, *headers: str, seconds: int = SECONDS) -> subprocess.Popen[str]:
    """Begin to ask for a path."""
    program, extra = _program()
    words = [program, "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
    for header in headers:
        words += ["-H", header]
    environment = {**os.environ, **extra}
    return subprocess.Popen(
        [*words, f"http://{address}{path}"], stdout=subprocess.PIPE, encoding="utf-8", env=environment
    )


def result(running: subprocess.Popen[str]) -> Rate:
    """Wait for the end, and read what came."""
    said, _ = running.communicate()
    requests = re.search(r"^Requests/sec:\s*([\d.]+)\s*$", said, re.MULTILINE)
    p99 = re.search(r"^\s*99%\s*([\d.]+)(us|ms|s|m)\s*$", said, re.MULTILINE)
    every = re.search(r"^\s*(\d+) requests in ", said, re.MULTILINE)
    if running.returncode or not requests or not p99 or not every or int(every[1]) == 0:
        raise RuntimeError(f"wrk: {said}")
    others = re.search(r"^\s*Non-2xx or 3xx responses: (\d+)", said, re.MULTILINE)
    wrong = int(others[1]) / int(every[1]) if others else 0
    return Rate(float(requests[1]) * (1 - wrong), float(p99[1]) * _UNITS[p99[2]], wrong)


def rate(address: str, path: str, *headers: str) -> Rate:
    """How many requests a second are answered."""
    return result(start(address, path, *headers))
