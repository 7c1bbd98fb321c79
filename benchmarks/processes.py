"""Measurements of whole processes: command lines -> seconds, beside those of ``python -c pass`` in the same rounds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

COMMAND = os.path.join(os.path.dirname(sys.executable), "appos-compile")
BARE = (sys.executable, "-c", "pass")
TIMEOUT = 20


class Case(NamedTuple):
    """A command line, its exit status, and what is done before each of its runs."""

    arguments: tuple[str, ...]
    status: int = 0
    before: Callable[[], None] = lambda: None


class Run(NamedTuple):
    """How long one process took, and the most memory it had."""

    seconds: float
    peak: int


def once(case: Case) -> Run:
    """Runs a case once; raises RuntimeError if it does not end as it should."""
    case.before()
    start = time.perf_counter()
    child = subprocess.Popen(case.arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != case.status:
        raise RuntimeError(f"{' '.join(case.arguments)} ended with {child.returncode}, not {case.status}")
    return Run(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def interleaved(cases: Sequence[Case], rounds: int) -> list[list[Run]]:
    """The runs of each case: one of each in every round, so that whatever else the machine does hits all alike."""
    for case in cases:
        once(case)
    columns = [[once(case) for case in cases] for _ in range(rounds)]
    return [list(runs) for runs in zip(*columns, strict=True)]


def removed(directory: str) -> Callable[[], None]:
    """What makes every file of an output directory new."""
    return lambda: shutil.rmtree(directory, ignore_errors=True)


def saves(spec: str, directory: str, count: int) -> Iterator[float]:
    """The seconds from each of so many saves of a watched spec until everything is written."""
    with open(spec, encoding="utf-8") as file:
        text = file.read()
    marker = "default: info"
    record = os.path.join(directory, ".appos-compile.sums")
    shutil.rmtree(directory, ignore_errors=True)
    arguments = (COMMAND, "--file", spec, "--output", directory, "--watch")
    child = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        before = _written(record, b"")
        for number in range(count):
            time.sleep(0.1)
            with open(f"{spec}.new", "w", encoding="utf-8") as file:
                file.write(text.replace(marker, f"default: level{number}"))
            os.replace(f"{spec}.new", spec)
            start = time.perf_counter()
            before = _written(record, before)
            yield time.perf_counter() - start
    finally:
        child.terminate()
        child.wait()
        with open(spec, "w", encoding="utf-8") as file:
            file.write(text)


def _written(record: str, before: bytes) -> bytes:
    """Waits until a run has finished that wrote another record than ``before``."""
    end = time.perf_counter() + TIMEOUT
    while time.perf_counter() < end:
        try:
            with open(record, "rb") as file:
                now = file.read()
        except FileNotFoundError:
            now = b""
        if now != before and b"\nfile " in now and b"\nwriting " not in now:
            return now
        time.sleep(0.0005)
    raise RuntimeError(f"nothing was written for {TIMEOUT} s")
