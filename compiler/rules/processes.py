"""The services: what each needs, in which order they start, and where they listen."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from compiler.model import EXECUTE, permits
from compiler.nearest import nearest
from compiler.rules.context import SYSTEM, listed
from compiler.values import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from compiler.errors import Problem
    from compiler.model import File, Path, Port, Service
    from compiler.rules.context import Context

CAPABILITIES = frozenset(
    (
        *("AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN"),
        *("DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE"),
        *("LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST"),
        *("NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT"),
        *("SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME"),
        *("SYS_TTY_CONFIG", "WAKE_ALARM"),
    )
)
"""https://man7.org/linux/man-pages/man7/capabilities.7.html"""

OWN = ("listener", "services", "supervisor", "secrets")
"""Names of programs and directories of the container itself."""

PRIVILEGED = 1024


def services(ctx: Context) -> Iterator[Problem]:
    """What a service needs and what its fields say of each other."""
    spelt: dict[str, Service] = {}
    for service in ctx.app.services:
        path = service.path
        if not service.command:
            message = f'the service "{service.name}" has no command'
            yield ctx.key("E050", path, message, "add command: [/path/of/the/program], or a preset")
        first = spelt.setdefault(service.name.replace("-", "_"), service)
        if service.name in OWN:
            message = f'"{service.name}" is a name of the container\'s own programs'
            yield ctx.key("E046", path, message, "choose another name")
        elif first is not service:
            message = f'"{service.name}" and "{first.name}" would share their secrets: - and _ are the same there'
            yield ctx.key("E046", path, message, "choose another name", (first.path, "the other one"))
        if service.port and service.port < PRIVILEGED and service.user != "root":
            message = f'"{service.name}" runs as {service.user}, and only root may listen on port {service.port}'
            hint = "use a port from 1024 on; the published port is another matter"
            yield ctx.at("E054", (*path, "port"), message, hint)
        for key in ("ready", "alive"):
            yield from _asked(ctx, service, key)
        yield from _proof(ctx, service)
        yield from _once(ctx, service)
        for file in service.files:
            yield from _file(ctx, service, file)
        yield from _lists(ctx, service)
    if ctx.app.services and all(service.once for service in ctx.app.services):
        message = "every service runs once, so that nothing is left to keep the container running"
        yield ctx.key("E059", (*ctx.app.services[-1].path, "once"), message, "add a service that stays, or remove once")


def _asked(ctx: Context, service: Service, key: str) -> Iterator[Problem]:
    """What ``ready`` or ``alive`` asks can be asked."""
    path, said = (*service.path, key), ctx.data["services"][service.name].get(key)
    asked = said if isinstance(said, dict) else {}
    word = {"ready": "readiness", "alive": "liveness"}[key]
    if asked:
        yield from ctx.one_of("E056", path, f'the {word} of "{service.name}"', ("http", "tcp", "exec"))
    if "http" in asked and not service.port:
        message = f'"{service.name}" has no port to ask for {word}'
        yield ctx.key("E057", (*path, "http"), message, f"add port: to {service.name}")
    elif "http" in asked and service.protocol != "http":
        message = f'"{service.name}" speaks {service.protocol}, so it cannot be asked over HTTP'
        yield ctx.key("E057", (*path, "http"), message, "use tcp or exec")
    mark = ctx.app.origins.key(path)
    if key == "alive" and said and not ctx.app.supervised and not ctx.app.origins.inherited(mark, path):
        message = "a container of one service has nothing that would start it anew"
        yield ctx.key("E067", path, message, "remove alive: the restart policy and the health check are the engine's")


def _proof(ctx: Context, service: Service) -> Iterator[Problem]:
    """The commands of ``verify`` see the secrets that the service sees, and no others."""
    if service.verify is None:
        return
    for key, words in (("write", service.verify.write), ("read", service.verify.read)):
        for index, word in enumerate(words):
            for piece in word:
                if isinstance(piece, Secret) and piece.name not in service.sees:
                    message = f'the service "{service.name}" has no secret "{piece.name}", so its commands have none'
                    hint = f"add it: secrets: [{piece.name}]"
                    yield ctx.at("E058", (*service.path, "verify", key, index), message, hint)


def _once(ctx: Context, service: Service) -> Iterator[Problem]:
    data = ctx.data["services"][service.name]
    word = next((word for word in ("restart", "ready", "alive", "verify", "gateway") if word in data), None)
    if service.once and word:
        message = f'"{service.name}" runs once: {word} means nothing for it'
        yield ctx.key("E059", (*service.path, word), message, f"remove {word}, or once")


def _file(ctx: Context, service: Service, file: File) -> Iterator[Problem]:
    yield from ctx.one_of(
        "E055", file.path, f'the file "{file.path[-1]}"', ("content", "template", "source"), needed=True
    )
    inside = file.target.startswith(f"{service.run}/")
    owner = "root" if file.source else service.user
    for other in ctx.app.services:
        runs = other.program == file.target
        if runs and not permits(file.mode, owner, other.user, EXECUTE):
            message = f'"{other.name}" runs this file as {other.user}, whom mode {file.mode} does not let execute it'
            yield ctx.key("E075", file.path, message, "add mode: '0755'", (other.path, "the service"))
    if file.source and inside:
        message = "a file that is copied into the image needs an absolute path outside of /run"
        yield ctx.key("E055", file.path, message, "write /etc/... as its name, or use template")
    if file.content is None or inside:
        return
    if ctx.app.state and file.target.startswith(f"{ctx.app.state}/"):
        message = f"{ctx.app.state} belongs to the container itself"
        yield ctx.key("E055", file.path, message, "choose another directory of the volume")
    elif not ctx.on_volume(file.target):
        message = f"{file.target} cannot be written at the start: the file system is read-only"
        hint = "use a bare file name, which lies in the service's run directory as ${self.run}/NAME"
        yield ctx.key("E055", file.path, message, hint)


def _lists(ctx: Context, service: Service) -> Iterator[Problem]:
    path = service.path
    for index, name in enumerate(service.secrets):
        yield from ctx.secret((*path, "secrets", index), name)
    for index, capability in enumerate(service.capabilities):
        bare = capability.removeprefix("CAP_")
        if bare not in CAPABILITIES:
            yield ctx.unknown("E097", (*path, "capabilities", index), "capability", capability, CAPABILITIES)
        elif bare != capability:
            message = f'capabilities are written without CAP_: "{capability}"'
            yield ctx.at("E097", (*path, "capabilities", index), message, f"write {bare}")
    for index, directory in enumerate(service.writable):
        if directory in SYSTEM:
            message = f"{directory} belongs to the system: an empty directory over it would hide it"
            yield ctx.at("E080", (*path, "writable", index), message, "name a directory below it")
        elif ctx.on_volume(directory):
            message = f"{directory} lies on a volume, and an empty directory would lie over it"
            yield ctx.at("E080", (*path, "writable", index), message, "remove it: volumes can be written to anyway")
    for index, word in enumerate(service.command):
        if any(isinstance(piece, Secret) for piece in word):
            message = f'a secret on the command line of "{service.name}" shows in the list of processes'
            hint = "pass it by environment or file if the program can read one"
            yield ctx.at("W003", (*path, "command", index), message, hint)


def order(ctx: Context) -> Iterator[Problem]:
    """`after` names services, and leads to no circle."""
    graph: dict[str, list[str]] = {}
    for name, service in ctx.data["services"].items():
        graph[name] = []
        for index, other in enumerate(service.get("after", ())):
            path: Path = ("services", name, "after", index)
            if other == name:
                yield ctx.at("E052", path, f'"{name}" cannot start after itself', "remove it from after")
            elif other not in ctx.data["services"]:
                yield ctx.unknown("E051", path, "service", other, (other for other in ctx.services if other != name))
            else:
                graph[name].append(other)
    circle = _circle(graph)
    if circle:
        links = [
            ("services", name, "after", ctx.data["services"][name]["after"].index(other))
            for name, other in pairwise(circle)
        ]
        message = f"these services wait for each other: {' -> '.join(circle)}"
        last = (links[-1], f'"{circle[-2]}" waits for "{circle[-1]}" here')
        yield ctx.at("E052", links[0], message, "remove one of these from after", last)


def _circle(graph: Mapping[str, list[str]]) -> list[str]:
    """The names along a circle, the first one again at the end; without recursion, since graphs may be deep."""
    done: set[str] = set()
    for start in graph:
        trail: list[str] = []
        on_trail: set[str] = set()
        stack: list[tuple[str, int]] = [(start, 0)]
        while stack:
            name, index = stack.pop()
            if index == 0:
                if name in done:
                    continue
                trail.append(name)
                on_trail.add(name)
            if index < len(graph[name]):
                stack.append((name, index + 1))
                following = graph[name][index]
                if following in on_trail:
                    return [*trail[trail.index(following) :], following]
                stack.append((following, 0))
            else:
                done.add(name)
                trail.pop()
                on_trail.discard(name)
    return []


def listening(ctx: Context) -> Iterator[Problem]:
    """No two services listen on one port, no two published ports are one, and each leads somewhere."""
    seen: dict[tuple[int, bool], str] = {}
    for service in sorted(ctx.app.services, key=lambda service: ctx.line((*service.path, "port"))):
        if service.port:
            first = seen.setdefault((service.port, service.protocol == "udp"), service.name)
            if first != service.name:
                message = f'"{service.name}" and "{first}" both listen on port {service.port}'
                other: tuple[Path, str] = (("services", first, "port"), f'"{first}" listens here')
                yield ctx.at("E053", (*service.path, "port"), message, "give one of them another port", other)
    published: dict[tuple[int, str], list[Port]] = {}
    for port in ctx.app.ports:
        if port.service not in ctx.services:
            yield ctx.unknown("E085", (*port.path, "service"), "service", port.service, ctx.services)
        elif not port.target:
            hint = f"add port: to the service {port.service}, or target: here"
            yield ctx.at("E085", (*port.path, "service"), f'"{port.service}" has no port to publish', hint)
        same = published.setdefault((port.publish, port.protocol), [])
        for other_port in same[:1] if not port.address else (p for p in same if p.address in ("", port.address)):
            message = f"port {port.publish} of the host is published twice"
            other = ((*other_port.path, "publish"), f'"{other_port.name}" publishes it')
            yield ctx.at("E085", (*port.path, "publish"), message, "choose another port", other)
        same.append(port)
        if port.address:
            yield from address(ctx, (*port.path, "address"), port.address)


def address(ctx: Context, path: Path, text: str) -> Iterator[Problem]:
    """A problem if the text is no address of a host or network."""
    import ipaddress

    try:
        ipaddress.ip_network(text, strict=False) if "/" in text else ipaddress.ip_address(text)
    except ValueError:
        yield ctx.at("E087", path, f'"{text}" is not an address', "for example 127.0.0.1, ::1 or 10.0.0.0/8")


def accounts(ctx: Context) -> Iterator[Problem]:
    """Accounts can be created, and owners are accounts that something runs as."""
    owners: list[tuple[str, Path]] = [(a.owner, (*a.path, "owner")) for a in ctx.app.artifacts]
    for volume in ctx.app.volumes:
        owners.append((volume.owner, (*volume.path, "owner")))
        declared = ctx.data["volumes"][volume.name].get("directories", {})
        owners += [(d.owner, d.path) for d in volume.directories if d.path[-1] in declared]
    if ctx.app.database:
        owners.append((ctx.app.database.owner, ("database", "owner")))
    users: list[tuple[str, Path]] = [(s.user, (*s.path, "user")) for s in ctx.app.services]
    brought = {"root", *(user for service in ctx.app.services for user in service.brings_users)}
    for name, path in dict(reversed([*users, *owners])).items():
        if name in ctx.facts.groups and name not in brought:
            message = f'the account "{name}" cannot be created: the base image has a group of that name'
            yield ctx.at("E047", path, message, "choose another name")
    known = {user for user, _ in users} | brought | ctx.facts.accounts
    for name, path in owners:
        if name not in known and name not in ctx.facts.groups:
            running = sorted(known - ctx.facts.accounts) or ["root"]
            message = f'"{name}" owns this, but no service runs as "{name}"'
            near = nearest(name, running)
            hint = f'did you mean "{near}"?' if near else f"services run as {listed(running)}"
            yield ctx.at("W012", path, message, hint)
