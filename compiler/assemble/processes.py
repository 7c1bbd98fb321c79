"""The processes: in the order of their start, with their commands, files and probes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from compiler import values as v
from compiler.model import Alive, Family, File, Health, Ready, Service, Verify

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from compiler.assemble.references import Data, Path, References
    from compiler.values import Value


def services(
    data: Data, refer: References, family: Family, home: dict[str, str], templates: Mapping[str, str]
) -> tuple[Service, ...]:
    """The services in the order of their start; ``home`` are their data directories."""
    order = _start_order({name: service.get("after", ()) for name, service in data["services"].items()})
    made = []
    # Nothing would start a container's only service anew.
    alone = len(order) == 1
    for number, name in enumerate(order, 1):
        service, path = data["services"][name], ("services", name)
        memory, gateway = service.get("memory"), service.get("gateway", {})
        once, run = service.get("once", False), f"/run/{data['name']}/{name}"
        said = _Said(service, refer, family, path)
        ready = None if once else _ready(said)
        made.append(
            Service(
                name=name,
                title=service.get("preset", ""),
                command=_command(service.get("command", ()), refer, (*path, "command"), name),
                user=service.get("user", "root"),
                directory=service.get("directory", ""),
                environment=tuple(
                    (key, refer(value, (*path, "environment", key), name))
                    for key, value in service.get("environment", {}).items()
                ),
                port=service.get("port"),
                protocol=service.get("protocol", "http"),
                gateway=gateway.get("server", ""),
                worker=gateway.get("user", ""),
                after=tuple(dict.fromkeys(a for a in service.get("after", ()) if a in data["services"])),
                ready=ready,
                alive=None if once or alone else _alive(said, ready, data["name"]),
                stop_signal=service.get("stop", {}).get("signal", "TERM"),
                grace=max(1, v.seconds(service.get("stop", {}).get("grace", "10s"))),
                restart="never" if once else service.get("restart", "always"),
                once=once,
                critical=service.get("critical", True),
                memory=v.size(memory) if memory else None,
                data=home[name],
                run=run,
                secrets=(*service.get("secrets", ()), *(_passwords(data) if gateway else ())),
                files=tuple(
                    _file(
                        key if key.startswith("/") else f"{run}/{key}",
                        file,
                        templates.get(file.get("template", "")),
                        refer,
                        (*path, "files", key),
                    )
                    for key, file in service.get("files", {}).items()
                ),
                packages=tuple(service.get("packages", ())),
                remove=tuple(service.get("remove", ())),
                capabilities=tuple(service.get("capabilities", ())),
                writable=tuple(service.get("writable", ())),
                brings_users=(*service.get("accounts", ()), *((gateway["user"],) if gateway else ())),
                verify=_verify(service, refer, (*path, "verify")),
                order=number,
                path=path,
            )
        )
    return tuple(made)


def _passwords(data: Data) -> tuple[str, ...]:
    """The secrets that the gateway needs to know who may use a route."""
    secrets = data.get("secrets", {})
    asked = (route.get("auth", {}).get("basic", {}).get("secret") for route in data.get("routes", {}).values())
    return tuple(dict.fromkeys(secret for secret in asked if secret in secrets))


def _command(words: Iterable[Any], refer: References, path: Path, service: str) -> tuple[Value, ...]:
    return tuple(refer(word, (*path, index), service) for index, word in enumerate(words))


def _start_order(after: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """The names, each after what it waits for, otherwise as they were written; what is left of a circle last."""
    import heapq

    waiting = {name: {a for a in others if a in after} for name, others in after.items()}
    followers: dict[str, list[str]] = {name: [] for name in after}
    for name, others in waiting.items():
        for other in others:
            followers[other].append(name)
    position = {name: index for index, name in enumerate(after)}
    free = [position[name] for name, others in waiting.items() if not others]
    heapq.heapify(free)
    names, order = list(after), []
    while free:
        name = names[heapq.heappop(free)]
        order.append(name)
        for follower in followers[name]:
            waiting[follower].discard(name)
            if not waiting[follower]:
                heapq.heappush(free, position[follower])
    return (*order, *(name for name in names if waiting[name]))


def _probe(template: tuple[str, ...], **values: Any) -> tuple[str, ...]:
    return tuple(word.format(**values) if word.startswith("{") or "{" in word else word for word in template)


class _Said(NamedTuple):
    """What the spec says of a service, and what it takes to understand it."""

    service: Data
    refer: References
    family: Family
    path: Path


class _Asked(NamedTuple):
    """A command that asks a service, and whether it does so over the network."""

    command: tuple[Value, ...]
    network: bool


def _asked(said: _Said, key: str, seconds: int) -> _Asked | None:
    """What ``key``, which is ready or alive, says how to ask; else whether its port accepts connections."""
    how, port = said.service.get(key, {}), said.service.get("port")
    if "exec" in how:
        command = _command(how["exec"], said.refer, (*said.path, key, "exec"), str(said.path[-1]))
        return _Asked(command, network=False)
    target = how.get("tcp") or (port if said.service.get("protocol") != "udp" else None)
    if "http" in how and port:
        words = _probe(said.family.http_probe, seconds=seconds, url=f"http://127.0.0.1:{port}{how['http']}")
    elif target:
        words = _probe(said.family.tcp_probe, host="127.0.0.1", port=target)
    else:
        return None
    return _Asked(tuple(map(v.literal, words)), network=True)


def _ready(said: _Said) -> Ready | None:
    timeout = max(1, v.seconds(said.service.get("ready", {}).get("timeout", "60s")))
    asked = _asked(said, "ready", 2)
    return Ready(*asked, timeout=timeout) if asked else None


def _alive(said: _Said, ready: Ready | None, app: str) -> Alive | None:
    """What the spec asks; else the same as for readiness, but any answer over HTTP will do.

    A service that says 503, because something is away that it depends on, would not get better by starting anew.
    """
    service = said.service
    alive, port = service.get("alive", True), service.get("port")
    if alive is False:
        return None
    how = {} if alive is True else alive
    timeout = max(1, v.seconds(how.get("timeout", "5s")))
    command = ready.command if ready else ()
    if any(key in how for key in ("http", "tcp", "exec")):
        asked = _asked(said, "alive", timeout)
        command = asked.command if asked else ()
    elif port and (service.get("gateway") or "http" in service.get("ready", {})):
        # The gateway answers this place itself: the services behind it are looked after by themselves.
        place = f"/.{app}/alive" if service.get("gateway") else service["ready"]["http"]
        words = _probe(said.family.answer_probe, seconds=timeout, url=f"http://127.0.0.1:{port}{place}")
        command = tuple(map(v.literal, words))
    return Alive(
        command=command,
        every=max(1, v.seconds(how.get("every", "10s"))),
        timeout=timeout,
        failures=how.get("failures", 3),
    )


def _verify(service: Data, refer: References, path: Path) -> Verify | None:
    data = service.get("verify")
    if not data or service.get("data") is False:
        # What a preset would prove is that data is kept.
        return None

    def files(index: int, text: str) -> str:
        return v.plain(refer(text, (*path, "damage", index), str(path[1]), secrets=False)) or ""

    return Verify(
        write=_command(data.get("write", ()), refer, (*path, "write"), str(path[1])),
        read=_command(data.get("read", ()), refer, (*path, "read"), str(path[1])),
        damage=tuple(files(index, text) for index, text in enumerate(data.get("damage", ()))),
    )


def _file(target: str, data: Data, text: str | None, refer: References, path: Path) -> File:
    """A configuration file; ``text`` is what its template says, if it has one."""
    field = "content" if text is None else "template"
    content = data.get("content") if text is None else text
    return File(
        target=target,
        content=refer(content, (*path, field), str(path[1])) if content is not None else None,
        source=data.get("source", ""),
        mode=data.get("mode", "0600" if content is not None else "0644"),
        path=path,
    )


def health(data: Data, services: tuple[Service, ...], family: Family, refer: References) -> Health:
    """What the engine asks: what the spec says, else every service as far as it can be asked from outside."""
    health = data.get("health", {})
    gateway = next((service for service in services if service.gateway), None)
    timeout = v.milliseconds(health.get("timeout", "3s"))
    port = gateway.port if gateway else next((s.port for s in services if s.port and s.protocol == "http"), None)
    alive = _probe(
        family.http_probe, seconds=max(1, timeout // 1000), url=f"http://127.0.0.1:{port}/.{data['name']}/alive"
    )
    commands: tuple[tuple[str, ...], ...]
    if "exec" in health:
        words = [refer(word, ("health", "exec", index), secrets=False) for index, word in enumerate(health["exec"])]
        commands = (tuple(v.plain(word) or "" for word in words),)
    elif "http" in health:
        url = f"http://127.0.0.1:{port}{health['http']}"
        commands = (_probe(family.http_probe, seconds=max(1, timeout // 1000), url=url),)
    else:
        commands = tuple(
            _own_probe(service, family, alive)
            for service in services
            if not service.once and (service.ready or service.port)
        )
    return Health(
        commands=commands,
        interval=v.milliseconds(health.get("interval", "2s")),
        timeout=timeout,
        start=v.milliseconds(health.get("start", "60s")),
        retries=health.get("retries", 3),
    )


def _own_probe(service: Service, family: Family, alive: tuple[str, ...]) -> tuple[str, ...]:
    """What an engine can ask without the service's account and secrets: its network probe, its port, or its mark.

    The gateway is asked for an answer of its own: the port of one that hangs still takes connections.
    """
    if service.gateway:
        return alive
    if service.ready and service.ready.network:
        return tuple(v.plain(word) or "" for word in service.ready.command)
    if service.port and service.protocol != "udp":
        return _probe(family.tcp_probe, host="127.0.0.1", port=service.port)
    return ("test", "-e", f"{service.run}/ready")
