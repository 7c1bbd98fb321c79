"""Whether a service serves, asked inside the container: what the engine's client takes is not part of the time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from compiler.verify.asking import as_service
from compiler.verify.engine import EngineError
from compiler.verify.faults.ending import clear_end, ended
from compiler.verify.result import FailedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from compiler.model import Service
    from compiler.verify.inside import Process, View
    from compiler.verify.trial import Trial

LOST_PROCESS = 1.5
"""Seconds until a service is back that lost nothing but its process."""

LOST_MORE = 5.0
"""Seconds until a service is back that has more to do than to start: to notice, to recover, to get memory or room."""

QUICK = 1.0
"""Seconds in which a service starts that can be held to the shorter limit."""

BEGUN = "begun"
NOTHING = {"signal": 0, "pids": (), "allocate": False}
"""What is done first, if nothing is."""

LEADER = r"""
import json, sys

wanted = json.loads(sys.argv[1])

def leader():
    try:
        with open(wanted["group"]) as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0
"""
"""The beginning of a script that looks at a service: its wishes, and the service's main process, or 0."""

SCRIPT = (
    LEADER
    + r"""
import os, socket, subprocess, time

def state(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "-"

def refuses():
    "Why the service does not serve; nothing if it does."
    pid = leader()
    if state(pid) in "-ZX":
        return "its main process is gone"
    if any(state(one) in "Tt" for one in [pid, *wanted["pids"]]):
        return "its processes are stopped"
    if wanted["ready"] and not os.path.exists(wanted["ready"]):
        return "it is not ready"
    if wanted["port"]:
        try:
            socket.create_connection(("127.0.0.1", wanted["port"]), 1).close()
        except OSError as error:
            return f"port {wanted['port']}: {error.strerror or error}"
    for command in wanted["health"]:
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=wanted["timeout"])
        except subprocess.TimeoutExpired:
            return "the health check does not answer"
        if done.returncode:
            said = (done.stderr or done.stdout).decode(errors="replace").strip()
            return f"the health check fails: {said or done.returncode}"
    return ""

def take(victim):
    "As the service's user: have it preferred, when somebody has to be killed, and take memory until that is so."
    os.setuid(os.stat(f"/proc/{victim}").st_uid)
    with open(f"/proc/{victim}/oom_score_adj", "w") as file:
        file.write("1000")
    pieces = []
    while True:
        pieces.append(bytearray(b"x") * 2**20)

def allocate():
    "After the service, the one that takes the memory is killed: it has most of it."
    victim = leader()
    eater = os.fork()
    if not eater:
        take(victim)
    until = time.monotonic() + 20
    while state(victim) not in "-ZX" and time.monotonic() < until:
        time.sleep(0.005)
    if state(victim) not in "-ZX":
        os.kill(eater, 9)
        print(json.dumps({"took": 20, "why": "nothing was killed for want of memory"}))
        sys.exit()

print("begun", flush=True)
if wanted["allocate"]:
    allocate()
begun = time.monotonic()
for pid in wanted["pids"] if wanted["signal"] else ():
    try:
        os.kill(pid, wanted["signal"])
    except ProcessLookupError:
        pass
# A signal takes its time; until then the old processes answer.
while any(state(pid) not in "TtZX-" for pid in wanted["pids"]) and time.monotonic() - begun < wanted["limit"]:
    time.sleep(0.001)
while True:
    why = refuses()
    took = time.monotonic() - begun
    if not why or took > wanted["limit"]:
        break
    time.sleep(0.01)
print(json.dumps({"took": took, "why": why}))
"""
)
"""Sends the signal, and prints after how many seconds the service served again, or why it did not within the limit."""

_OWN_START = r"""
import os, sys
group, ready, *after = sys.argv[1:]
times = [os.stat(name).st_mtime for name in (ready, group, *after) if os.path.exists(name)]
print(max(times[0] - max(times[1:]), 0))
"""


class Served(NamedTuple):
    """What came of a wait: the seconds, why the service does not serve, and whether the container ended meanwhile."""

    took: float
    why: str
    gone: bool


class Struck(NamedTuple):
    """A service at the moment before something is done to it."""

    service: Service
    tree: tuple[Process, ...]
    listens: bool
    limit: float
    """Seconds that it may take to be back."""
    pid: int


def running(trial: Trial) -> tuple[Service, ...]:
    """The services that stay: all but those that run once."""
    return tuple(service for service in trial.app.services if not service.once)


def before(trial: Trial, service: Service, limit: float) -> Struck:
    """See what the service is made of now. One that starts slowly has twice the time that its last start took."""
    view = trial.view()
    pid = trial.process(service)
    tree = view.tree(pid)
    if pid not in {process.pid for process in tree}:
        raise FailedError(f"a process of {service.name}", "none", service.path)
    own = _own_start(trial, service)
    most = limit if own <= QUICK else max(LOST_MORE, 2 * own)
    return Struck(service, tree, bool(_holders(view, service)), most, pid)


def signalled(trial: Trial, struck: Struck, number: int, pids: Iterable[int]) -> Served:
    """Send a signal to processes of the service, and wait until it serves again."""
    return _asked(trial, struck.service, struck.limit, listens=struck.listens, signal=number, pids=list(pids))


def starved(trial: Trial, struck: Struck) -> Served:
    """Take all memory there is, so that the kernel kills the service, and wait until it serves again."""
    return _asked(trial, struck.service, struck.limit, listens=struck.listens, allocate=True)


def serves(trial: Trial, service: Service, limit: float) -> Served:
    """Wait until the service serves."""
    return _asked(trial, service, limit, listens=False)


def _asked(trial: Trial, service: Service, limit: float, *, listens: bool, **strike: object) -> Served:
    """Run the script; ``strike`` is what it does first."""
    app = trial.app
    wanted = {
        "group": f"{service.run}/group",
        "ready": f"{service.run}/ready" if app.announces(service) else "",
        # Where there is a command that tells, it has told before the mark is made.
        "port": service.port if listens and not service.ready else None,
        "health": app.health.commands,
        "timeout": max(app.health.timeout / 1000, 1),
        "limit": limit,
    }
    script = (app.image.family.python, "-S", "-c", SCRIPT, json.dumps({**NOTHING, **wanted, **strike}))
    done = trial.run(*script, user="0", timeout=limit + 60)
    begun, _, answer = done.out.strip().partition("\n")
    if answer:
        said = json.loads(answer)
        return Served(said["took"], said["why"], gone=False)
    if begun != BEGUN or done.err.strip():
        raise EngineError(script[:1], done.err.strip() or f"status {done.status}")
    return Served(limit, "the container ended", gone=True)


def back(trial: Trial, struck: Struck, served: Served, since: str, restarts: int) -> str:
    """Hold what came of it against the promise: it serves in time, or the container ended with a clear last line."""
    service = struck.service
    if served.gone or ended(trial, restarts):
        return clear_end(trial, since, restarts, service.path)
    if served.why:
        raise FailedError(
            f"{service.name} serves again within {struck.limit:.1f} s, or the container ends with a clear last line",
            served.why,
            service.path,
            logs=trial.tail(since),
            look=f"what start-service.sh and the supervisor do when {service.name} is lost",
        )
    if service.ready and service.ready.command:
        done = as_service(trial, service, service.ready.command)
        if done.status != 0:
            came = done.err.strip() or done.out.strip() or f"status {done.status}"
            raise FailedError(f"{service.name} is ready again, as it says", came, (*service.path, "ready"))
    slow = f" of {struck.limit:.1f} s" if struck.limit > LOST_MORE else ""
    return f"{service.name} {served.took:.1f} s{slow}"


def of_its_own(trial: Trial, struck: Struck) -> None:
    """Nothing of the old process tree is left, and only the new one listens on the service's port."""
    service = struck.service
    view = trial.view()
    known = {(process.pid, process.started) for process in struck.tree}
    left = [process for process in view.processes if (process.pid, process.started) in known and process.state != "Z"]
    if left:
        came = ", ".join(f"process {process.pid} ({' '.join(process.command)[:60]})" for process in left)
        raise FailedError(f"no process of the {service.name} that was killed", came, service.path)
    mine = {process.pid for process in view.tree(trial.process(service))}
    others = [pid for pid in _holders(view, service) if pid not in mine]
    if others:
        came = ", ".join(str(pid) for pid in others)
        raise FailedError(f"only {service.name} itself on port {service.port}", f"also process {came}", service.path)


def settled(trial: Trial, expected: Mapping[str, str] | None = None) -> None:
    """Every service is in its state, as the supervisor says; that takes a second of life, which is nobody's delay."""
    wanted = {service.name: "RUNNING" for service in running(trial)} | dict(expected or {})

    def fine() -> bool:
        states = trial.states()
        return all(states.get(name) == state for name, state in wanted.items())

    if trial.until(fine, LOST_MORE) is None:
        states = trial.states()
        wrong = {name: states.get(name, "unknown") for name in wanted if states.get(name) != wanted[name]}
        name = next(iter(wrong), "")
        path = next((service.path for service in trial.app.services if service.name == name), ())
        raise FailedError(
            ", ".join(f"{name} {wanted[name]}" for name in wrong) or "every service in its state",
            ", ".join(f"{name} {state}" for name, state in wrong.items()),
            path,
        )


def _own_start(trial: Trial, service: Service) -> float:
    """How long the service took the last time, from the end of its waiting for others until it was ready."""
    if not trial.app.announces(service):
        return 0.0
    after = [f"{trial.app.run}/{name}/ready" for name in service.after]
    return float(
        trial.told(
            trial.app.image.family.python,
            "-S",
            "-c",
            _OWN_START,
            f"{service.run}/ready",
            f"{service.run}/group",
            *after,
            user="0",
        )
    )


def _holders(view: View, service: Service) -> set[int]:
    return {pid for found in view.listeners if service.port and found.port == service.port for pid in found.pids}
