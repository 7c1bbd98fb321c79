"""What can happen around the container: the clock moves, it is killed at any moment, there is no network."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from compiler.verify.checks import data
from compiler.verify.faults.serving import running, serves, settled
from compiler.verify.faults.storage import WINDOW
from compiler.verify.faults.volumes import outside
from compiler.verify.result import FailedError

if TYPE_CHECKING:
    from compiler.verify.trial import Trial

DATES = {"a year ahead": "203501010000", "in 1970": "197001020000"}
"""Times for ``touch -t``; the first is ahead of any clock that this runs by."""

MOMENTS = 5
"""How often the container is killed while it starts for the first time; half as often again when it has data."""

SPREAD = 3.0
"""Seconds of a start over which these moments lie."""

GOLDEN = 0.6180339887
"""Its multiples fall evenly into any range, wherever they begin."""


def clock(trial: Trial) -> str:
    """Everything on the volumes is dated ahead of the clock, then far behind it, as after the clock was moved.

    The clock itself cannot be moved: a container has the machine's, and shims such as libfaketime reach neither static
    nor privileged programs. What looks at times of files is tried; what measures time in our scripts reads the uptime.
    """
    value = data.write(trial)
    told = []
    for name, date in DATES.items():
        trial.stop()
        paths = [volume.mount for volume in trial.app.volumes]
        outside(trial, f'find "$@" ! -type l -exec touch -t {date} {{}} +', *paths)
        trial.engine.tell("start", trial.container)
        told.append(f"files {name}: healthy after {trial.healthy():.1f} s")
        data.read(trial, value, f"with files {name}")
    return ", ".join(told)


def crash(trial: Trial) -> str:
    """The container is killed at moments spread over first and later starts; other moments in each run."""
    trial.down(volumes=True)
    trial.create()
    first = _moments(trial, MOMENTS)
    _killed_at(trial, first)
    trial.engine.tell("start", trial.container)
    trial.healthy()
    made = _secrets(trial)
    value = data.write(trial)
    time.sleep(WINDOW)
    later = _moments(trial, MOMENTS + MOMENTS // 2)[MOMENTS:]
    trial.engine.tell("kill", trial.container)
    _killed_at(trial, later)
    trial.engine.tell("start", trial.container)
    took = trial.healthy()
    data.read(trial, value, "after the container was killed")
    if _secrets(trial) != made:
        raise FailedError("the secrets as they were", "others", ("secrets",), look="keep() in entrypoint.sh")
    _whole(trial)
    told = [", ".join(f"{moment:.1f}" for moment in moments) for moments in (first, later)]
    return f"killed {told[0]} s into first starts, {told[1]} s into later ones; healthy after {took:.1f} s"


def network(trial: Trial) -> str:
    """No network but the container's own loopback: nothing waits for a name or an address out there."""
    names = list(trial.engine.inspect(trial.container)["NetworkSettings"]["Networks"])
    trial.engine.tell("kill", trial.container)
    try:
        for name in names:
            trial.engine.tell("network", "disconnect", "--force", name, trial.container)
        trial.engine.tell("start", trial.container)
        took = trial.healthy()
        if trial.app.supervised:
            for service in running(trial):
                why = serves(trial, service, 1).why
                if why:
                    raise FailedError(f"{service.name} serves without a network", why, service.path)
            settled(trial)
    finally:
        # Published ports come back with a container, not with its network.
        trial.reset()
    return f"healthy after {took:.1f} s without {', '.join(names)}"


def _moments(trial: Trial, count: int) -> list[float]:
    """Seconds after a start, evenly spread; where they begin is made of the run's own name."""
    begin = int(trial.project.rsplit("-", 1)[1], 16)
    return [(begin / 0xFFFFFF + number * GOLDEN) % 1 * SPREAD for number in range(count)]


def _killed_at(trial: Trial, moments: list[float]) -> None:
    for moment in moments:
        trial.engine.tell("start", trial.container)
        time.sleep(moment)
        # It may have ended by itself, which the next start will show.
        trial.engine.call("kill", trial.container)


def _secrets(trial: Trial) -> str:
    """All that is kept, to be compared."""
    if not trial.app.state:
        return ""
    script = 'cd "$1/secrets" 2>/dev/null || exit 0; for name in *; do printf "%s " "$name"; cat "$name"; echo; done'
    return trial.told("sh", "-c", script, "sh", trial.app.state, user="0", privileged=True)


def _whole(trial: Trial) -> None:
    """Nothing that was half-written is left among the container's own files."""
    if trial.app.state:
        left = trial.told("find", trial.app.state, "-name", "*.new", user="0", privileged=True).split()
        if left:
            raise FailedError("no half-written file", ", ".join(left), ("volumes",), look="keep() in entrypoint.sh")
