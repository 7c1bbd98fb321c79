"""Processes: their states, accounts, order and sockets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from compiler.values import Secret, Setting
from compiler.verify.result import FailedError

if TYPE_CHECKING:
    from compiler.model import Service
    from compiler.verify.inside import Listener, View
    from compiler.verify.trial import Trial

_TIMES = "import os, sys\nfor name in sys.argv[1:]: print(os.stat(name).st_mtime_ns)"


def states(trial: Trial) -> str:
    """Every service runs; one that runs once has ended well."""
    # A service is RUNNING only when it has lived for a second.
    trial.until(lambda: "STARTING" not in trial.states().values(), 5)
    found = trial.states()
    for service in trial.app.services:
        wanted = "EXITED" if service.once else "RUNNING"
        came = found.pop(service.name, "unknown to the supervisor")
        if came != wanted:
            raise FailedError(f"{service.name} {wanted}", came, service.path, look=f"the log lines of {service.name}")
    return ", ".join(f"{service.name} {'EXITED' if service.once else 'RUNNING'}" for service in trial.app.services)


def accounts(trial: Trial) -> str:
    """The main process of a service has its user; none of its processes has more than that, workers may have less."""
    view = trial.view()
    told = []
    for service in trial.app.services:
        if service.once:
            continue
        tree = view.tree(trial.process(service))
        allowed = {_number(trial, user): user for user in (service.user, service.worker) if user}
        if not tree:
            raise FailedError(f"a process of {service.name}", "none", service.path)
        for process in tree:
            if process.uid not in allowed:
                came = f"process {process.pid} ({' '.join(process.command)[:80]}) runs as {process.uid}"
                raise FailedError(
                    f"every process of {service.name} as {' or '.join(allowed.values())}", came, service.path
                )
        if service.user != "root" and 0 in {group for process in tree for group in (process.gid, *process.groups)}:
            raise FailedError(
                f"{service.name} in no group of root's", "one of its processes is in group 0", service.path
            )
        told.append(f"{service.name} as {allowed[tree[0].uid]}")
    return ", ".join(told)


def order(trial: Trial) -> str:
    """The mark of a service that is ready is younger than the marks of everything that it comes after."""
    marked = [service for service in trial.app.services if trial.app.announces(service)]
    paths = [f"{service.run}/ready" for service in marked]
    times = [
        int(line) for line in trial.told(trial.app.image.family.python, "-S", "-c", _TIMES, *paths, user="0").split()
    ]
    ready = dict(zip((service.name for service in marked), times, strict=True))
    for service in trial.app.services:
        for other in service.after:
            if ready[service.name] < ready[other]:
                early = (ready[other] - ready[service.name]) / 1e9
                raise FailedError(f"{service.name} after {other}", f"{early:.3f} s before", (*service.path, "after"))
    first = min(times)
    return ", ".join(
        f"{name} +{(time - first) / 1e9:.1f} s" for name, time in sorted(ready.items(), key=lambda item: item[1])
    )


def listeners(trial: Trial) -> str:
    """Published services listen for everybody, others on loopback; each on the ports that the spec speaks of."""
    view = trial.view()
    public = {(port.target, port.protocol): port.service for port in trial.app.ports}
    told = []
    for service in trial.app.services:
        mine = _of(view, trial.process(service))
        protocols = [p.protocol for p in trial.app.ports if (p.service, p.target) == (service.name, service.port)]
        for protocol in protocols or ["tcp"]:
            if (
                service.port
                and not service.once
                and (service.port, protocol) not in {(found.port, found.protocol) for found in mine}
            ):
                came = ", ".join(_name(found) for found in mine) or "it listens nowhere"
                raise FailedError(f"{service.name} on port {service.port}/{protocol}", came, (*service.path, "port"))
        for found in mine:
            if not found.loopback and public.get((found.port, found.protocol)) != service.name:
                raise FailedError(f"{service.name} on 127.0.0.1 alone", _name(found), (*service.path, "port"))
            if found.loopback and found.port != service.port and not _speaks_of(service, found.port):
                raise FailedError(
                    f"no other port of {service.name} than the spec speaks of", _name(found), service.path
                )
        told += [f"{service.name} {_name(found)}" for found in mine]
    for found in view.listeners:
        if not found.loopback and (found.port, found.protocol) not in public:
            raise FailedError("no listener that the spec does not publish", _name(found))
    return ", ".join(told) or "no service listens"


def published(trial: Trial) -> str:
    """The engine forwards just the ports of the spec."""
    bound = trial.engine.inspect(trial.container)["NetworkSettings"]["Ports"] or {}
    found = {name for name, places in bound.items() if places}
    wanted = {f"{port.target}/{port.protocol}" for port in trial.app.ports}
    if found != wanted:
        raise FailedError(
            f"published: {', '.join(sorted(wanted)) or 'nothing'}", ", ".join(sorted(found)) or "nothing", ("ports",)
        )
    for port in trial.app.ports:
        if port.address:
            came = {place["HostIp"] for place in bound[f"{port.target}/{port.protocol}"]}
            if came != {port.address}:
                raise FailedError(
                    f"published on {port.address} alone", ", ".join(sorted(came)), (*port.path, "address")
                )
    return ", ".join(f"{port.target}/{port.protocol} for {port.service}" for port in trial.app.ports) or "nothing"


def _number(trial: Trial, user: str) -> int:
    return int(user) if user.isdigit() else int(trial.told("id", "-u", user))


def _of(view: View, pid: int) -> list[Listener]:
    mine = {process.pid for process in view.tree(pid)}
    return [found for found in view.listeners if mine.intersection(found.pids)]


def _name(found: Listener) -> str:
    address = f"[{found.address}]" if ":" in found.address else found.address
    return f"{address}:{found.port}/{found.protocol}"


def _speaks_of(service: Service, port: int) -> bool:
    """Whether the service's command, environment or files name the port, so that a reader of the spec knows of it."""
    texts = [*service.command, *(value for _, value in service.environment), *(f.content or () for f in service.files)]
    said = "\n".join(piece for text in texts for piece in text if not isinstance(piece, Secret | Setting))
    return re.search(rf"(?<!\d){port}(?!\d)", said) is not None
