"""Where the lab keeps what it makes, and how a step is done only once for the same inputs."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import inspect
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Concatenate, ParamSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

P = ParamSpec("P")

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
"""The repository."""

CACHE = os.environ.get("LAB_CACHE") or os.path.join(ROOT, ".cache", "lab")
"""Where everything is kept; several clones on one machine may share it."""


class LabError(Exception):
    """Something that the lab needs cannot be had; the message says what, and what to do."""


def say(text: str) -> None:
    """Report progress, on standard error: standard output belongs to what was asked for."""
    print(f"lab: {text}", file=sys.stderr, flush=True)  # noqa: T201  # the only place that does


def run(*command: str, cwd: str | None = None, env: Mapping[str, str] | None = None, text: str | None = None) -> str:
    """What a command prints; ``env`` is added to the environment."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        input=text,
        stdin=None if text is not None else subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
        raise LabError(f"{' '.join(command)[:300]}: exit status {done.returncode}\n{tail}")
    return done.stdout


def spawn(command: Sequence[str], log: str, env: Mapping[str, str]) -> None:
    """Start a process that stays when this one ends; it writes down its own process id."""
    with open(log, "w", encoding="utf-8") as output:
        subprocess.run(
            ("setsid", "--fork", *command),
            cwd=ROOT,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=True,
        )


def end(pid_file: str, program_name: str) -> bool:
    """Stop the process whose id a file holds, if that still is the program that wrote it; whether it ran."""
    try:
        with open(pid_file, encoding="ascii") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            runs = file.read().startswith(program_name)
    except (FileNotFoundError, ValueError):
        return False
    if runs:
        os.kill(pid, signal.SIGTERM)
        for _ in range(600):
            if not os.path.isdir(f"/proc/{pid}"):
                break
            time.sleep(0.05)
        else:
            raise LabError(f"the process {pid} does not stop")
    with contextlib.suppress(FileNotFoundError):  # the program may have removed it itself
        os.remove(pid_file)
    return runs


def program(path: str, text: str) -> None:
    """Write a script that everybody may run."""
    with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o755)) as file:
        file.write(text)


@contextlib.contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold a lock that other threads and other processes respect."""
    os.makedirs(os.path.join(CACHE, "locks"), exist_ok=True)
    with open(os.path.join(CACHE, "locks", name), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def digest(*inputs: str) -> str:
    """One name for all these texts together."""
    return hashlib.sha256("\0".join(inputs).encode()).hexdigest()[:16]


def step(make: Callable[Concatenate[str, P], None]) -> Callable[P, str]:
    """Turn a function that fills the directory named by its first argument into one that returns such a directory.

    It is filled once for the same other arguments and the same code. What one step makes, the next takes as an
    argument: the name of a result tells what it was made from.
    """
    name = make.__name__.replace("_", "-")
    code = functools.cache(lambda: digest(*_code(make)))

    @functools.wraps(make)
    def result(*args: P.args, **kwargs: P.kwargs) -> str:
        key = digest(code(), name, repr(args), repr(kwargs))
        path = os.path.join(CACHE, "made", f"{name}-{key}")
        with lock(f"{name}-{key}"):
            if not os.path.isdir(path):
                start = time.monotonic()
                unfinished = f"{path}.unfinished"
                shutil.rmtree(unfinished, ignore_errors=True)
                os.makedirs(unfinished)
                make(unfinished, *args, **kwargs)
                os.rename(unfinished, path)
                say(f"{name} made in {time.monotonic() - start:.1f} s")
        return path

    return result


def _code(function: Callable[..., object], known: frozenset[str] = frozenset()) -> Iterator[str]:
    """The source of a function, and of what it uses of its own module: constants, and other functions likewise."""
    yield inspect.getsource(function)
    for name in inspect.unwrap(function).__code__.co_names:
        value = getattr(sys.modules[function.__module__], name, None)
        if inspect.isfunction(value) and value.__module__ == function.__module__ and name not in known:
            yield from _code(value, known | {function.__name__, name})
        elif isinstance(value, (str, tuple, dict)):
            yield repr(value)
