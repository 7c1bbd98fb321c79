"""How the container ends when it is told to."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from compiler.verify.result import FailedError

if TYPE_CHECKING:
    from compiler.verify.trial import Trial

_STOPPED = re.compile(r"stopped: (?:[^ :]+:)?(\S+) \((.*)\)")
"""What supervisord says of a service that it has stopped."""


def stop(trial: Trial) -> str:
    """All services end by themselves, the last started first, with an exit status that tells a stop from a loss."""
    since = trial.now()
    limit = trial.app.grace
    begun = time.monotonic()
    trial.engine.tell("stop", "--time", str(limit), trial.container, timeout=limit + 30)
    took = time.monotonic() - begun
    state = trial.state()
    if state["Running"] or took > limit:
        raise FailedError(f"stopped within {limit} s", f"still running after {took:.1f} s", ("services",))
    lines = trial.logs(since)
    killed = [line for line in lines if "SIGKILL" in line or "killing" in line.lower()]
    if killed:
        raise FailedError("every service ends by itself", killed[0].strip(), ("services",), logs=lines[-12:])
    wanted = (0,) if trial.app.supervised else (0, 128 + _NUMBERS.get(trial.app.services[0].stop_signal, 15))
    if state["ExitCode"] not in wanted:
        raise FailedError(
            f"exit status {wanted[0]}", f"{state['ExitCode']}", trial.app.services[0].path, logs=lines[-12:]
        )
    if trial.app.supervised:
        found = [match[1] for line in lines if (match := _STOPPED.search(line))]
        running = [service.name for service in trial.app.services if not service.once]
        stopped = [name for name in found if name in running]
        if stopped != running[::-1]:
            raise FailedError(
                f"stopped in the order {', '.join(running[::-1])}", ", ".join(stopped) or "nothing of it in the log"
            )
    return f"{took:.1f} s of {limit} s; exit status {state['ExitCode']}"


_NUMBERS = {"HUP": 1, "INT": 2, "QUIT": 3, "KILL": 9, "USR1": 10, "USR2": 12, "TERM": 15}
