"""The container's memory: made scarce, where the engine can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.verify.result import NotRunError

if TYPE_CHECKING:
    from compiler.verify.trial import Trial

ROOM = 96 * 2**20
"""Bytes above what is in use, until the limit is met: enough for the container to go on."""

UNLIMITED = "the engine does not limit memory here"


def limited(trial: Trial) -> int:
    """Limit the container's memory to little more than it has; return the limit.

    A limit, once set, can be changed but not taken back: the container has to be replaced afterwards.
    """
    script = "cat /sys/fs/cgroup/memory.current 2>/dev/null || cat /sys/fs/cgroup/memory/memory.usage_in_bytes"
    used = trial.run("sh", "-c", script, user="0")
    if used.status != 0:
        raise NotRunError(UNLIMITED)
    limit = int(used.out.split()[0]) + ROOM
    limit = min(limit, trial.app.memory or limit)
    words = ("update", "--memory", str(limit), "--memory-swap", str(limit), trial.container)
    if trial.engine.call(*words).status != 0:
        raise NotRunError(UNLIMITED)
    return limit
