"""Containers of one service: it is process 1, nothing watches it but the engine, no signal from inside reaches it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.verify.faults.ending import again, restarts
from compiler.verify.faults.limits import limited
from compiler.verify.result import FailedError, NotRunError
from compiler.verify.trial import LABEL

if TYPE_CHECKING:
    from compiler.verify.trial import Trial

TIMES = 3
"""Ends in a row: engines start what ends at once ever more slowly, and that is theirs, not ours to try out."""

EAT = r'echo 1000 >/proc/1/oom_score_adj && text=$(tr "\000" x </dev/zero)'
"""Has process 1 preferred when somebody is killed for want of memory, and takes all there is; any sh can."""


def killed(trial: Trial) -> str:
    """The end of the process is the end of the container; a killed one cannot say anything."""
    count = restarts(trial)
    signal(trial, "KILL")
    again(trial, count, trial.app.services[0].path)
    return f"the container ended, healthy again after {trial.healthy():.1f} s"


def stopped(trial: Trial) -> str:
    """Nobody inside can end process 1, and engines do not end what is unhealthy: it has to be seen to be so.

    Whoever runs the container has to act on it, as orchestrators do.
    """
    service = trial.app.services[0]
    health = trial.app.health
    if not health.commands:
        raise NotRunError("there is no health check that could tell")
    limit = (health.interval + health.timeout) * health.retries / 1000 + 10
    signal(trial, "STOP")
    trial.run("sh", "-c", "kill -STOP -1", user=service.user)
    try:
        took = trial.until(lambda: trial.state().get("Health", {}).get("Status") == "unhealthy", limit)
    finally:
        trial.run("sh", "-c", "kill -CONT -1", user=service.user)
        signal(trial, "CONT")
    if took is None:
        raise FailedError(
            f"unhealthy within {limit:.0f} s", "a health check that sees nothing", (*service.path, "ready")
        )
    return f"unhealthy after {took:.1f} s, healthy again {trial.healthy():.1f} s after it went on"


def looping(trial: Trial) -> str:
    """Again and again: the policy starts it every time."""
    path = trial.app.services[0].path
    for _ in range(TIMES):
        count = restarts(trial)
        signal(trial, "KILL")
        again(trial, count, path)
    return f"started again {TIMES} times, healthy after {trial.healthy():.1f} s"


def memory(trial: Trial) -> str:
    """The kernel kills process 1 when the memory is used up, and the container ends with it."""
    limit = limited(trial)
    service = trial.app.services[0]
    count = restarts(trial)
    try:
        trial.background("sh", "-c", EAT, user=service.user)
        again(trial, count, service.path)
        return (
            f"the container ended, healthy again after {trial.healthy():.1f} s; memory limited to {limit // 2**20} MiB"
        )
    finally:
        trial.reset()


def signal(trial: Trial, name: str) -> None:
    """Signal the container's first process from outside.

    Not with the engine's own command, after which the restart policy would not act: it takes that for somebody's wish.
    """
    pid = trial.state()["Pid"]
    label = f"{LABEL}={trial.project}"
    words = ("run", "--rm", "--label", label, "--pid", "host", "--user", "0", "--entrypoint", "sh", trial.image)
    trial.engine.tell(*words, "-c", f"kill -{name} {pid}", timeout=60)
