"""How a container ends when it cannot go on: with a last line that says why, and the restart policy acts."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from compiler.verify.result import FailedError

if TYPE_CHECKING:
    from compiler.model import Path
    from compiler.verify.trial import Trial

END_SECONDS = 30.0
"""A container that gives up tells so within this time, on top of its grace time."""


def restarts(trial: Trial) -> int:
    """How often the restart policy has acted on this container."""
    return int(trial.state()["Restarts"])


def ended(trial: Trial, count: int) -> bool:
    """Whether the container has ended since the restart policy had acted ``count`` times."""
    return not up(trial) or restarts(trial) > count


def up(trial: Trial) -> bool:
    """Whether the container runs; one that waits to be started again calls itself running too."""
    return bool(trial.state()["Status"] == "running")


def clear_line(trial: Trial, since: str, pattern: str = r": ending the container$") -> str:
    """The last line of the container's own scripts, which begin with its name, that says why it ends; or nothing."""
    found = [line for line in trial.logs(since) if re.match(rf"{re.escape(trial.app.name)}: .*{pattern}", line)]
    return found[-1] if found else ""


def clear_end(trial: Trial, since: str, count: int, path: Path) -> str:
    """The container ends by itself and says why, and the restart policy makes it healthy again; returns the line."""
    if trial.until(lambda: ended(trial, count), trial.app.grace + END_SECONDS) is None:
        raise FailedError("the container ends, so that the restart policy acts", "it goes on", path)
    line = clear_line(trial, since)
    if not line:
        last = (trial.logs(since) or ["nothing"])[-1]
        raise FailedError("a last line that says why the container ends", last, path)
    again(trial, count, path)
    return f"{line.removeprefix(f'{trial.app.name}: ')}, healthy again after {trial.healthy():.1f} s"


def first_killed(trial: Trial, since: str) -> bool:
    """Whether process 1 was killed, as the kernel does for want of memory: then nobody was left to write a line."""
    # The engine tells of an end a little after it has noticed.
    times = ("--since", since, "--until", f"{time.time() + 1:.6f}")
    words = ("events", *times, "--filter", f"container={trial.container}", "--filter", "event=die")
    return trial.engine.call(*words, "--format", "{{.Actor.Attributes.exitCode}}").out.split() == ["137"]


def again(trial: Trial, count: int, path: Path) -> None:
    """The restart policy has acted."""
    limit = trial.app.grace + END_SECONDS
    if trial.until(lambda: restarts(trial) > count and up(trial), limit) is None:
        came = f"{trial.state()['Status']}, restarted {restarts(trial) - count} times"
        raise FailedError("the restart policy starts the container again", came, path)
