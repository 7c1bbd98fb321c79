"""What can happen to a service's processes: killed, stopped, ended again and again, kept from their port."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from compiler.verify.faults import alone
from compiler.verify.faults.ending import again, clear_end, ended, first_killed, restarts
from compiler.verify.faults.limits import limited
from compiler.verify.faults.serving import (
    LEADER,
    LOST_MORE,
    LOST_PROCESS,
    back,
    before,
    of_its_own,
    running,
    serves,
    settled,
    signalled,
    starved,
)
from compiler.verify.result import FailedError

if TYPE_CHECKING:
    from compiler.model import Service
    from compiler.verify.faults.serving import Served, Struck
    from compiler.verify.trial import Trial

KILL, STOP, CONT = 9, 19, 18
"""Linux's numbers: the machine that we run on may count differently."""

MANY = 8
"""Times that a service is killed in a row: more often than a container bears that depends on it."""

ALIVE = 1.2
"""Seconds that a service lives before it is killed anew: it counts as started then, and its earlier ends as over."""

HELD = 60.0
"""Seconds that somebody holds on to a service's port."""

LOOP = (
    LEADER
    + r"""
import os, time

last = killed = 0
until = time.monotonic() + wanted["limit"]
while killed < wanted["times"] and time.monotonic() < until:
    pid = leader()
    if pid and pid != last and (not wanted["ready"] or os.path.exists(wanted["ready"])):
        time.sleep(wanted["alive"])
        try:
            os.kill(pid, 9)
            killed += 1
        except ProcessLookupError:
            pass
        last = pid
    time.sleep(0.02)
print(killed)
"""
)
"""Kills the service's main process whenever it is back; prints how often, if the container lives to see it."""

HOLD = r"""
import json, socket, subprocess, sys, time

wanted = json.loads(sys.argv[1])
subprocess.run(["supervisorctl", "stop", wanted["service"]], capture_output=True, check=True)
held = []
for protocol, address in wanted["places"]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    taken.bind((address, wanted["port"]))
    if protocol != "udp":
        taken.listen()
    held.append(taken)
subprocess.Popen(["supervisorctl", "start", wanted["service"]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print("held", flush=True)
time.sleep(wanted["limit"])
"""
"""Stops the service, takes its port, starts the service, and keeps the port until the container ends."""


def killed(trial: Trial) -> str:
    """Each service's main process in turn. Workers survive it, and answer as if nothing had happened: they go too."""
    if not trial.app.supervised:
        return alone.killed(trial)
    told = []
    for service in running(trial):
        since, count = trial.now(), restarts(trial)
        struck = before(trial, service, LOST_PROCESS)
        served = signalled(trial, struck, KILL, [struck.pid])
        if service.restart == "never":
            told.append(_given_up(trial, service, served, since, count))
        else:
            told.append(back(trial, struck, served, since, count))
            of_its_own(trial, struck)
    settled(trial, {service.name: "EXITED" for service in running(trial) if service.restart == "never"})
    return ", ".join(told)


def stopped(trial: Trial) -> str:
    """Each service's whole process tree in turn: it is there, holds its port, and does nothing."""
    if not trial.app.supervised:
        return alone.stopped(trial)
    told = []
    for service in running(trial):
        since, count = trial.now(), restarts(trial)
        struck = before(trial, service, LOST_MORE)
        pids = [process.pid for process in struck.tree]
        served = signalled(trial, struck, STOP, pids)
        try:
            told.append(back(trial, struck, served, since, count))
        except FailedError:
            _continue(trial, struck)
            raise
        if trial.process(service) != struck.pid:
            of_its_own(trial, struck)
    settled(trial)
    return ", ".join(told)


def looping(trial: Trial) -> str:
    """One service whose loss is the container's, and one, if there is any, whose loss is not."""
    if not trial.app.supervised:
        return alone.looping(trial)
    told = []
    lasting = [service for service in running(trial) if service.restart != "never"]
    for wanted in (False, True):
        service = next((one for one in lasting[::-1] if one.critical is wanted), None)
        if service:
            told.append(_looped(trial, service))
    return ", ".join(told)


def port(trial: Trial) -> str:
    """Somebody else has each service's port in turn, from a moment at which the service is down."""
    told = []
    for service in running(trial):
        view = trial.view()
        places = [(found.protocol, found.address) for found in view.listeners if found.port == service.port]
        if places:
            told.append(_kept_from(trial, service, places))
    return ", ".join(told) or "no service listens on a port of the spec"


def memory(trial: Trial) -> str:
    """Each service in turn is what the kernel kills when the container's memory is used up."""
    if not trial.app.supervised:
        return alone.memory(trial)
    limit = limited(trial)
    told = []
    unlucky = False
    try:
        for service in running(trial):
            if service.restart == "never":
                continue
            since, count = trial.now(), restarts(trial)
            struck = before(trial, service, LOST_MORE)
            served = starved(trial, struck)
            if not unlucky and (served.gone or ended(trial, count)) and first_killed(trial, since):
                # The kernel may need more at once than it got from the service: rare, and nothing prevents it.
                unlucky = True
                again(trial, count, service.path)
                told.append(f"{service.name} and process 1, healthy again after {trial.healthy():.1f} s")
            else:
                told.append(back(trial, struck, served, since, count))
        settled(trial)
    finally:
        trial.reset()
    return f"{', '.join(told)}; memory limited to {limit // 2**20} MiB"


def _given_up(trial: Trial, service: Service, served: Served, since: str, count: int) -> str:
    """A service that is never started again: the container ends with it, unless it can do without."""
    if service.critical:
        return clear_end(trial, since, count, service.path)
    if served.gone or ended(trial, count):
        raise FailedError(f"a container that goes on without {service.name}", "it ended", (*service.path, "critical"))
    return f"{service.name} stays ended"


def _continue(trial: Trial, struck: Struck) -> None:
    """Leave nothing stopped behind: neither supervisor nor health check need notice it."""
    pids = [str(process.pid) for process in struck.tree]
    trial.run("sh", "-c", f'for pid; do kill -{CONT} "$pid"; done 2>/dev/null', "sh", *pids, user="0")


def _looped(trial: Trial, service: Service) -> str:
    since, count = trial.now(), restarts(trial)
    limit = MANY * (ALIVE + LOST_MORE)
    wanted = {
        "group": f"{service.run}/group",
        "ready": f"{service.run}/ready" if trial.app.announces(service) else "",
        "alive": ALIVE,
        "times": MANY,
        "limit": limit,
    }
    done = trial.run(trial.app.image.family.python, "-S", "-c", LOOP, json.dumps(wanted), user="0", timeout=limit + 30)
    if service.critical:
        if done.status == 0:
            came = f"it goes on after {done.out.strip()} times"
            raise FailedError(
                f"the container ends when {service.name} ends again and again", came, (*service.path, "critical")
            )
        return clear_end(trial, since, count, service.path)
    if done.status != 0 or ended(trial, count):
        raise FailedError(
            f"a container that goes on when {service.name} ends again and again",
            "it ended",
            (*service.path, "critical"),
        )
    served = serves(trial, service, LOST_MORE)
    if served.why:
        raise FailedError(f"{service.name} serves again within {LOST_MORE:.1f} s", served.why, service.path)
    settled(trial)
    return f"{service.name}: ended {done.out.strip()} times, the container goes on"


def _kept_from(trial: Trial, service: Service, places: list[tuple[str, str]]) -> str:
    since, count = trial.now(), restarts(trial)
    limit = HELD
    wanted = {"service": service.name, "port": service.port, "places": places, "limit": limit}
    done = trial.run(trial.app.image.family.python, "-S", "-c", HOLD, json.dumps(wanted), user="0", timeout=limit + 60)
    if "held" not in done.out:
        raise FailedError(f"port {service.port} free while {service.name} is down", done.err.strip(), service.path)
    if done.status != 0 and not ended(trial, count):
        served = serves(trial, service, LOST_MORE)
        if not served.why:
            return f"{service.name} took its port back"
    if not service.critical:
        if ended(trial, count):
            raise FailedError(
                f"a container that goes on without {service.name}", "it ended", (*service.path, "critical")
            )
        return _taken_up(trial, service)
    if not ended(trial, count):
        state = trial.states().get(service.name, "unknown")
        came = f"{service.name} is {state} and the container goes on, {limit:.0f} s later"
        raise FailedError(f"{service.name} on port {service.port}, or the end of the container", came, service.path)
    return clear_end(trial, since, count, service.path)


def _taken_up(trial: Trial, service: Service) -> str:
    """A service that the container can do without is given up; somebody has to start it when its port is free again."""
    trial.supervisor("start", service.name)
    served = serves(trial, service, LOST_MORE)
    if served.why:
        raise FailedError(f"{service.name} serves once its port is free", served.why, service.path)
    return f"{service.name}: the container goes on without it"
