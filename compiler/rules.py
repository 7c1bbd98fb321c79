"""A model -> the problems that no schema can see: what clashes, what leads nowhere, what could not work."""

from __future__ import annotations

import difflib
import posixpath
import re
from typing import TYPE_CHECKING, Any

from compiler.errors import Mark, Problem, Related
from compiler.extras import check_extra
from compiler.outputs import OUTPUTS
from compiler.render import CACHES
from compiler.values import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from compiler.model import App, Path, Route

SYSTEM = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys", "/tmp", "/usr")  # noqa: S108 - names, not files
"""Directories of the system: a volume over one of them would hide it."""

CAPABILITIES = frozenset(
    "AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK "
    "IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP "
    "SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME "
    "SYS_TTY_CONFIG WAKE_ALARM".split()
)
"""https://man7.org/linux/man-pages/man7/capabilities.7.html"""

REDIRECTS = (301, 302, 303, 307, 308)
DENIALS = (403, 404, 410)
TAKEN = ("CONTAINER_NAME", "IMAGE_NAME", "PATH", "HOME", "TZ")
NEEDED = ("Dockerfile", "entrypoint.sh", "start-service.sh", "exit-listener.sh", "supervisord.conf", "nginx.conf", "database.sh")
"""Outputs that others refer to, so that they cannot be switched off."""

SECRET_NAME = re.compile(r"(?i)(password|passwd|secret|token|api_?key|private_?key)$")


class Context:
    """What a rule may ask: the model, the places, and the facts about images."""

    def __init__(self, app: App, data: Mapping[str, Any], family: str | None, bases: Mapping[str, Any]) -> None:
        self.app, self.data, self.family, self.bases = app, data, family, bases
        self.services = {service.name: service for service in app.services}

    def at(self, code: str, path: Path, message: str, hint: str = "", other: tuple[Path, str] | None = None) -> Problem:
        """A problem at the value of ``path``, with a second place if two clash."""
        return self._problem(self.app.origins.value(path), code, path, message, hint, other)

    def key(self, code: str, path: Path, message: str, hint: str = "", other: tuple[Path, str] | None = None) -> Problem:
        """A problem at the key of ``path``."""
        return self._problem(self.app.origins.key(path), code, path, message, hint, other)

    def _problem(self, mark: Mark | None, code: str, path: Path, message: str, hint: str, other: tuple[Path, str] | None) -> Problem:
        related = []
        second = self.app.origins.key(other[0]) if other else None
        if other and second:
            related.append(Related(other[1], second))
        chosen = self.app.origins.inherited(mark, path)
        if mark and chosen:
            # The user can change the line that chose the preset, not the preset's.
            related.append(Related("the preset says so here", mark))
            mark = chosen
        return Problem(code, message, mark, hint, tuple(related), path)

    def unknown(self, code: str, path: Path, kind: str, name: str, known: Iterable[str]) -> Problem:
        """A name that does not exist, with the nearest that does."""
        names = sorted(known)
        near = difflib.get_close_matches(name, names, 1, 0.5)
        hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(names)}" if names else f"there is no {kind} at all"
        return self.at(code, path, f'there is no {kind} "{name}"', hint)


def _one_of(ctx: Context, code: str, path: Path, what: str, keys: tuple[str, ...], *, needed: bool) -> Iterator[Problem]:
    """At most, or exactly, one of some keys in the mapping at ``path``."""
    data: Any = ctx.data
    for step in path:
        data = data.get(step, {})
    given = [key for key in keys if key in data]
    if len(given) > 1:
        yield ctx.key(code, (*path, given[1]), f'{what} has both "{given[0]}" and "{given[1]}"', "keep one of them", ((*path, given[0]), "the other one"))
    elif needed and not given:
        yield ctx.key(code, path, f"{what} needs one of {', '.join(keys)}")


def base_image(ctx: Context) -> Iterator[Problem]:
    """The family of the base, tags that move, and images past their end of life."""
    if ctx.family is None:
        known = "Alpine, Debian or Ubuntu"
        yield ctx.at("E042", ("image", "base"), f'whether "{ctx.app.image.base}" is made from {known} cannot be told from its name', "add family: alpine or family: debian under image")
    images: list[tuple[str, Path]] = [(ctx.app.image.base, ("image", "base"))]
    for artifact in ctx.app.artifacts:
        if artifact.build:
            images.append((artifact.build.image, (*artifact.path, "build", "image")))
            if artifact.build.packages and not artifact.build.family:
                yield ctx.at("E042", (*artifact.path, "build", "image"), f'which package manager "{artifact.build.image}" has cannot be told from its name', "install the packages by a command in prepare, or use an image whose tag names its distribution")
        if artifact.copy:
            images.append((artifact.copy.image, (*artifact.path, "from", "image")))
    as_of = str(ctx.bases["as_of"])
    for image, path in images:
        name, _, tag = image.split("@")[0].rpartition("/")[2].partition(":")
        if "@" not in image and tag in ("", "latest"):
            yield ctx.at("W002", path, f'"{image}" is another image tomorrow', "name a version, or pin it with @sha256:...")
        for beginning, day in ctx.bases["images"].get(name, {}).items():
            if re.match(rf"{re.escape(beginning)}(\D|$)", tag) and str(day) <= as_of:
                yield ctx.at("W001", path, f"{name} {beginning} has had no security fixes since {day}", _newer(ctx, name))


def _newer(ctx: Context, name: str) -> str:
    alive = {tag: str(day) for tag, day in ctx.bases["images"][name].items() if str(day) > str(ctx.bases["as_of"])}
    if not alive:
        return ""
    best = max(alive, key=lambda tag: (alive[tag], tag))
    return f"{name} {best} is supported until {alive[best]}"


def services(ctx: Context) -> Iterator[Problem]:
    """What a service needs and what its fields say of each other."""
    gateways = [service for service in ctx.app.services if service.gateway]
    for service in ctx.app.services:
        path = service.path
        data = ctx.data["services"][service.name]
        if not service.command:
            yield ctx.key("E050", path, f'the service "{service.name}" has no command', "add command: [/path/of/the/program], or a preset")
        if service.name in ("exit-listener", "supervisor", "secrets"):
            yield ctx.key("E046", path, f'"{service.name}" is a name of the compiler\'s own', "choose another name")
        if service.port and service.port < 1024 and service.user != "root":
            yield ctx.at("E054", (*path, "port"), f'{service.user}, the account of "{service.name}", may not listen on port {service.port} everywhere', "use a port from 1024 on; a published port can lead to it all the same")
        yield from _one_of(ctx, "E056", (*path, "ready"), "readiness", ("http", "tcp", "exec"), needed=False)
        if "http" in data.get("ready", {}) and not service.port:
            yield ctx.key("E057", (*path, "ready", "http"), f'"{service.name}" has no port to ask for readiness', f"add port: to {service.name}")
        if service.once and ("restart" in data or "ready" in data):
            word = "restart" if "restart" in data else "ready"
            yield ctx.key("E059", (*path, word), f'"{service.name}" runs once: {word} means nothing for it', f"remove {word}, or once")
        for file in service.files:
            yield from _one_of(ctx, "E055", file.path, "the file", ("content", "template", "source"), needed=True)
            if file.source and not file.target.startswith("/") or file.source and file.target.startswith(f"{service.run}/"):
                yield ctx.key("E055", file.path, "a file that is copied into the image needs an absolute path outside of /run", "write /etc/... as its name, or use template")
            if file.content is not None and not file.target.startswith(f"{service.run}/") and not _on_volume(ctx, file.target):
                yield ctx.key("E055", file.path, f"{file.target} cannot be written at the start: the file system is read-only", "use a bare file name, which lies in the service's run directory as ${self.run}/NAME")
        for index, name in enumerate(service.secrets):
            if name not in ctx.data.get("secrets", {}):
                yield ctx.unknown("E058", (*path, "secrets", index), "secret", name, ctx.data.get("secrets", {}))
        for index, capability in enumerate(service.capabilities):
            if capability not in CAPABILITIES:
                yield ctx.unknown("E097", (*path, "capabilities", index), "capability", capability.removeprefix("CAP_"), CAPABILITIES)
        for index, directory in enumerate(service.writable):
            if directory in SYSTEM:
                yield ctx.at("E080", (*path, "writable", index), f"{directory} belongs to the system: an empty directory over it would hide it", "name a directory below it")
        for index, word in enumerate(service.command):
            if any(isinstance(piece, Secret) for piece in word):
                yield ctx.at("W003", (*path, "command", index), f'a secret on the command line of "{service.name}" shows in the list of processes', "pass it by environment or file if the program can read one")
        if service.data and not _on_volume(ctx, service.data):
            yield ctx.at("W006", (*path, "data"), f'the data of "{service.name}" lies on no volume: it is gone with the container', "add a volume, or point data to one")
    for second in gateways[1:]:
        yield ctx.key("E074", second.path, f'"{second.name}" is a second gateway', "keep one", (gateways[0].path, "the first one"))


def _on_volume(ctx: Context, path: str) -> bool:
    return any(path == volume.mount or path.startswith(f"{volume.mount}/") for volume in ctx.app.volumes)


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
                yield ctx.unknown("E051", path, "service", other, set(ctx.data["services"]) - {name})
            else:
                graph[name].append(other)
    circle = _circle(graph)
    if circle:
        first = circle[0]
        index = ctx.data["services"][first]["after"].index(circle[1])
        yield ctx.at("E052", ("services", first, "after", index), f"these services wait for each other: {' -> '.join(circle)}", "remove one of these from after")


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
    for service in sorted(ctx.app.services, key=lambda service: _line(ctx, (*service.path, "port"))):
        if service.port:
            first = seen.setdefault((service.port, service.protocol == "udp"), service.name)
            if first != service.name:
                yield ctx.at("E053", (*service.path, "port"), f'"{service.name}" and "{first}" both listen on port {service.port}', "give one of them another port", (("services", first, "port"), f'"{first}" listens here'))
    published: dict[tuple[str, int, str], str] = {}
    for port in ctx.app.ports:
        if port.service not in ctx.services:
            yield ctx.unknown("E085", (*port.path, "service"), "service", port.service, ctx.services)
        elif not port.target:
            yield ctx.key("E085", port.path, f'"{port.service}" has no port to publish', f"add port: to the service {port.service}, or target: here")
        first = published.setdefault((port.address, port.publish, port.protocol), port.name)
        if first != port.name:
            yield ctx.at("E085", (*port.path, "publish"), f'port {port.publish} of the host is published twice', "choose another port", (("ports", first, "publish"), f'"{first}" publishes it'))
        if port.address:
            yield from _address(ctx, (*port.path, "address"), port.address)


def _line(ctx: Context, path: Path) -> tuple[int, int]:
    mark = ctx.app.origins.value(path) or Mark("", 0, 0)
    return mark.line, mark.column


def _address(ctx: Context, path: Path, address: str) -> Iterator[Problem]:
    import ipaddress

    try:
        ipaddress.ip_network(address, strict=False) if "/" in address else ipaddress.ip_address(address)
    except ValueError:
        yield ctx.at("E087", path, f'"{address}" is not an address', "for example 127.0.0.1, ::1 or 10.0.0.0/8")


def artifacts(ctx: Context) -> Iterator[Problem]:
    """Where each artifact comes from, and that it can run on the base."""
    for artifact in ctx.app.artifacts:
        path = artifact.path
        data = ctx.data["artifacts"][artifact.name]
        yield from _one_of(ctx, "E060", path, f'the artifact "{artifact.name}"', ("build", "from", "fetch"), needed=False)
        if not (artifact.build or artifact.copy or artifact.fetch or artifact.prebuilt):
            yield ctx.key("E060", path, f'the artifact "{artifact.name}" comes from nowhere', "add build, from, fetch or prebuilt")
        if artifact.fetch and artifact.fetch.path and not artifact.fetch.unpack:
            yield ctx.key("E065", (*path, "fetch", "path"), "path names something in an archive, but nothing is unpacked", "add unpack: true")
        if artifact.fetch and "{arch}" in artifact.fetch.url and not artifact.fetch.checksums[0][0]:
            yield ctx.at("E065", (*path, "fetch", "sha256"), "one checksum cannot fit the files of several architectures", "write {amd64: ..., arm64: ...}")
        for index, cache in enumerate(artifact.build.caches if artifact.build else ()):
            if not cache.startswith("/") and cache not in CACHES:
                yield ctx.unknown("E062", (*path, "build", "cache", index), "cache", cache, CACHES)
        libc = ctx.app.image.family.libc
        if artifact.libc == "musl" and libc == "glibc":
            yield ctx.at("E064", (*path, "libc"), f'"{artifact.name}" needs musl, and "{ctx.app.image.base}" has glibc', "link it statically (libc: static), or use an Alpine base")
        if artifact.libc == "glibc" and libc == "musl":
            if not artifact.libraries:
                yield ctx.at("E064", (*path, "libc"), f'where the glibc libraries of "{artifact.name}" come from is not said', "add libraries: with an image it runs on, such as debian:bookworm-slim")
            elif "alpine" in artifact.libraries:
                where = "libraries" if "libraries" in data else "libc"
                yield ctx.at("E064", (*path, where), f'"{artifact.libraries}" has no glibc to copy', "add libraries: with an image it runs on, such as debian:bookworm-slim")
    places: dict[str, Path] = {}
    named = [(artifact.install, artifact.path, "install") for artifact in ctx.app.artifacts]
    named += [(file.target, file.path, "") for service in ctx.app.services for file in service.files if file.source]
    for target, path, field in named:
        first = places.setdefault(target, path)
        if first != path:
            yield ctx.at("E063", (*path, field) if field else path, f"{target} is the destination of two things", "give one of them another destination", (first, "the other one"))
        if field and (target in SYSTEM or target.startswith((f"{ctx.app.library}/", f"{ctx.app.run}/"))):
            yield ctx.at("E063", (*path, field), f"{target} belongs to the system or to the compiler", "name a file or directory of its own")
    stages = {artifact.name for artifact in ctx.app.artifacts}
    for artifact in ctx.app.artifacts:
        if artifact.libc == "glibc" and f"{artifact.name}-libraries" in stages:
            yield ctx.key("E063", ("artifacts", f"{artifact.name}-libraries"), "this is the name of a stage of the compiler's own", "choose another name")


def routes(ctx: Context) -> Iterator[Problem]:
    """What each route says, and that somebody answers it."""
    gateway = ctx.app.gateway
    if ctx.app.routes and not gateway:
        yield ctx.key("E074", ("routes",), "there are routes, but no gateway that could answer them", "add a service with preset: nginx")
    if gateway and not ctx.app.routes:
        yield ctx.key("W007", gateway.path, f'"{gateway.name}" has nothing to answer: there are no routes', "add routes")
    for route in ctx.app.routes:
        yield from _route(ctx, route)
    for index, address in enumerate(ctx.app.http.trusted):
        yield from _address(ctx, ("http", "trusted", index), address)


def _route(ctx: Context, route: Route) -> Iterator[Problem]:
    path, data = route.path, ctx.data["routes"][route.match]
    if not re.fullmatch(r"/[A-Za-z0-9._~!&()*+,=:@/-]*", route.match) or "//" in route.match or re.search(r"(^|/)\.\.?(/|$)", route.match):
        yield ctx.key("E070", path, f'"{route.match}" cannot be a route', "a route begins with / and has letters, digits and . _ ~ ! & ( ) * + , = : @ -, without // or ..")
    if route.match.startswith("/.auth"):
        yield ctx.key("E070", path, "routes that begin with /.auth are the compiler's own", "choose another path")
    actions = [key for key in ("static", "service", "redirect", "deny") if data.get(key)]
    if not actions:
        yield ctx.key("E071", path, f'nobody answers "{route.match}"', "add static, service, redirect or deny")
    elif len(actions) > 1 and actions != ["static", "service"]:
        yield ctx.key("E071", (*path, actions[1]), f'"{route.match}" has both {actions[0]} and {actions[1]}', "keep one of them", ((*path, actions[0]), "the other one"))
    yield from _route_fields(ctx, route, data)
    if "service" in data:
        service = ctx.services.get(data["service"])
        if service is None:
            yield ctx.unknown("E072", (*path, "service"), "service", data["service"], ctx.services)
        elif service.gateway:
            yield ctx.at("E072", (*path, "service"), f'"{service.name}" is the gateway itself', "name a service behind it")
        elif not service.port:
            yield ctx.at("E072", (*path, "service"), f'"{service.name}" has no port that requests could be sent to', f"add port: to the service {service.name}")
        elif service.protocol not in ("http", "fastcgi"):
            yield ctx.at("E072", (*path, "service"), f'"{service.name}" speaks {service.protocol}, which the gateway cannot pass on', "publish its port instead")
        elif service.protocol == "fastcgi" and not ("static" in data and "script" in data):
            yield ctx.key("E077", path, f'"{service.name}" speaks fastcgi: the gateway must know which script it runs', "add static: with its directory and script: index.php")
        elif service.protocol != "fastcgi" and "script" in data:
            yield ctx.key("E077", (*path, "script"), f'"{service.name}" speaks http and runs no scripts', "remove script")
    if "static" in data and data["static"] not in ctx.data.get("artifacts", {}) and not re.fullmatch(r"(/[A-Za-z0-9_@+.,=-]+)+", data["static"]):
        yield ctx.unknown("E073", (*path, "static"), "artifact", data["static"], ctx.data.get("artifacts", {}))
    if route.auth and route.auth.secret and route.auth.secret not in ctx.data.get("secrets", {}):
        yield ctx.unknown("E058", (*path, "auth", "basic", "secret"), "secret", route.auth.secret, ctx.data.get("secrets", {}))
    if route.auth and route.auth.service:
        service = ctx.services.get(route.auth.service)
        if service is None:
            yield ctx.unknown("E072", (*path, "auth", "request", "service"), "service", route.auth.service, ctx.services)
        elif not service.port:
            yield ctx.at("E072", (*path, "auth", "request", "service"), f'"{service.name}" has no port that could be asked', f"add port: to the service {service.name}")
    if route.websocket and not route.auth:
        yield ctx.key("W005", path, f'anybody who reaches the gateway can open the WebSocket "{route.match}"', "add auth, or silence this if the service itself asks who it is")


_GOES_WITH: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("spa", ("static",)),
    ("assets", ("static",)),
    ("max_age", ("static",)),
    ("strip", ("service",)),
    ("websocket", ("service",)),
    ("stream", ("service",)),
    ("timeout", ("service",)),
    ("max_body", ("service",)),
    ("request_headers", ("service",)),
    ("script", ("service",)),
    ("status", ("redirect", "deny")),
)


def _route_fields(ctx: Context, route: Route, data: Mapping[str, Any]) -> Iterator[Problem]:
    path = route.path
    for field, wanted in _GOES_WITH:
        if field in data and not any(data.get(key) for key in wanted):
            yield ctx.key("E076", (*path, field), f"{field} means nothing without {' or '.join(wanted)}", f"remove {field}")
    if route.spa and route.service:
        yield ctx.key("E076", (*path, "spa"), "what is no file goes to the service, so there is nothing left for spa", "remove spa or service")
    if route.strip and not route.prefix:
        yield ctx.key("E076", (*path, "strip"), "only a path that ends in / is a prefix that can be stripped", f"write {route.match}/ as the route, or remove strip")
    if route.strip and route.root:
        yield ctx.key("E076", (*path, "strip"), "a route with static and service passes the path on as it is", "remove strip")
    if (route.spa or "assets" in data or (route.root and route.service)) and not route.prefix:
        yield ctx.key("E076", path, f'"{route.match}" matches exactly one path', f"write {route.match}/ to match everything below it")
    allowed = REDIRECTS if route.redirect else DENIALS
    if "status" in data and (route.redirect or route.deny) and route.status not in allowed:
        yield ctx.at("E076", (*path, "status"), f"{route.status} is not a status of a {'redirect' if route.redirect else 'denial'}", f"one of {', '.join(map(str, allowed))}")


def volumes(ctx: Context) -> Iterator[Problem]:
    """Volumes lie beside each other and hide nothing; what must be kept has one."""
    by_mount = {volume.mount: volume for volume in ctx.app.volumes}
    seen: dict[str, str] = {}
    for volume in ctx.app.volumes:
        first = seen.setdefault(volume.mount, volume.name)
        if first != volume.name:
            yield ctx.at("E080", (*volume.path, "mount"), f'"{volume.name}" and "{first}" are mounted at the same place', "give one of them another mount", (("volumes", first, "mount"), f'"{first}"'))
        parent = posixpath.dirname(volume.mount)
        while parent != "/":
            if parent in by_mount:
                yield ctx.at("E080", (*volume.path, "mount"), f'"{volume.name}" lies inside of the volume "{by_mount[parent].name}"', "put them beside each other", ((*by_mount[parent].path, "mount"), "the outer one"))
            parent = posixpath.dirname(parent)
        if volume.mount in SYSTEM or volume.mount.startswith(("/dev/", "/etc/", "/proc/", "/run/", "/sys/", "/usr/")):
            yield ctx.at("E080", (*volume.path, "mount"), f"{volume.mount} belongs to the system: a volume there would hide it", "mount it at a place of its own, such as /data")
    if ctx.app.database:
        wanted = ctx.data["database"].get("volume")
        if not ctx.app.volumes:
            yield ctx.key("E083", ("database",), "a database needs a volume", "add volumes: {data: {mount: /data}}")
        elif wanted is not None and wanted not in ctx.data.get("volumes", {}):
            yield ctx.unknown("E083", ("database", "volume"), "volume", wanted, ctx.data.get("volumes", {}))
    if ctx.app.first_start and not ctx.app.volumes:
        yield ctx.key("E090", ("hooks", "first_start"), "without a volume every start is the first", "add a volume, or use before_services")
    made = [secret for secret in ctx.app.secrets if secret.generate]
    if made and not ctx.app.volumes:
        yield ctx.key("W004", made[0].path, "without a volume, secrets that are not given are made anew at every start", "add a volume, or generate: false")
    names: dict[str, str] = {}
    for script in dict.fromkeys((*ctx.app.first_start, *ctx.app.before_services)):
        first = names.setdefault(posixpath.basename(script), script)
        if first != script:
            yield ctx.at("E090", ("hooks",), f"{first} and {script} have the same file name", "rename one of them")


def variables(ctx: Context) -> Iterator[Problem]:
    """Each variable of .env has one meaning."""
    seen: dict[str, Path] = {}
    named: list[tuple[str, Path]] = [(port.variable, (*port.path, "variable")) for port in ctx.app.ports]
    named += [(volume.variable, (*volume.path, "variable")) for volume in ctx.app.volumes]
    named += [(secret.variable, (*secret.path, "variable")) for secret in ctx.app.secrets]
    named += [(setting.name, setting.path) for setting in ctx.app.settings]
    for name, path in named:
        if name in TAKEN:
            yield ctx.key("E086", path, f"{name} has a meaning of its own", "choose another name")
        elif name in seen:
            yield ctx.key("E086", path, f"the variable {name} would mean two things", "give one of them another variable:", (seen[name], "the other one"))
        seen.setdefault(name, path)
    for setting in ctx.app.settings:
        if SECRET_NAME.search(setting.name):
            yield ctx.key("W011", setting.path, f"{setting.name} sounds like a secret, but a setting is public", "declare it under secrets")
    for service in ctx.app.services:
        for name, value in service.environment:
            if SECRET_NAME.search(name) and len(value) == 1 and isinstance(value[0], str) and not value[0].startswith("/"):
                yield ctx.at("W011", (*service.path, "environment", name), f"{name} sounds like a secret, and its value is in the spec for everybody to read", "declare it under secrets and write ${secret.NAME}")
    used = {name for service in ctx.app.services for name in service.sees}
    for secret in ctx.app.secrets:
        if secret.name not in used:
            yield ctx.key("W009", secret.path, f'no service uses the secret "{secret.name}"', f"write ${{secret.{secret.name}}} where it is wanted, or remove it")
    kinds = {secret.name: secret.format for secret in ctx.app.secrets}
    for service in ctx.app.services:
        for file in service.files:
            for piece in file.content or ():
                if isinstance(piece, Secret) and kinds.get(piece.name) == "any":
                    yield ctx.key("W008", file.path, f'the secret "{piece.name}" may hold characters that mean something in this file', "give it the format alphanumeric or hex")


def health_and_limits(ctx: Context) -> Iterator[Problem]:
    """The health check can be asked, and limits leave room for what they limit."""
    yield from _one_of(ctx, "E088", ("health",), "the health check", ("http", "exec"), needed=False)
    if "http" in ctx.data.get("health", {}) and not any(service.port and service.protocol == "http" for service in ctx.app.services):
        yield ctx.key("E088", ("health", "http"), "no service has a port that could be asked", "add port: to the service that answers")
    for field, limit in (("uncompressed", ctx.app.image.budget), ("compressed", ctx.app.image.budget_compressed)):
        if limit == 0:
            inner: Path = ("image", "budget", field) if isinstance(ctx.data["image"]["budget"], dict) else ("image", "budget")
            yield ctx.at("E089", inner, "an image of no bytes cannot be", "for example 100MB")
    needs = sum(service.memory or 0 for service in ctx.app.services)
    if ctx.app.memory is not None and ctx.app.memory < needs:
        yield ctx.at("E089", ("limits", "memory"), f"the services alone need {needs // 10**6} MB", "raise the limit, or lower memory: of a service")
    for service in ctx.app.services:
        if service.memory == 0:
            yield ctx.at("E089", (*service.path, "memory"), "no service runs without memory", "for example 64MB")
    if ctx.app.cpus and float(ctx.app.cpus) == 0:
        yield ctx.at("E089", ("limits", "cpus"), "nothing runs on no processor", "for example 1.5")


def outputs(ctx: Context) -> Iterator[Problem]:
    """Outputs that are switched off or replaced exist, and nobody else needs them."""
    known = [output.name for output in OUTPUTS]
    for name, wanted in ctx.data.get("outputs", {}).items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.5)
            yield ctx.key("E092", ("outputs", name), f'there is no output "{name}"', f'did you mean "{near[0]}"?' if near else f"there are {', '.join(known)}")
        elif wanted is False and name in NEEDED:
            yield ctx.at("E092", ("outputs", name), f"the image needs {name}", "name a template of your own instead of false")
    by_name = {output.name: output for output in OUTPUTS}
    for extra in ctx.app.extra:
        output = by_name.get(extra.output)
        if output and not output.needed(ctx.app):
            yield ctx.key("E091", extra.path[:2], f"this spec has no {extra.output}", f"remove it{', or add a service with preset: nginx' if extra.output == 'nginx.conf' else ''}")
        yield from (ctx.key("E091", extra.path, message, hint) for message, hint in check_extra(extra.output, extra.point, extra.text))
    for key in ctx.app.overlay.service:
        if key.name in ("ports", "environment", "volumes", "tmpfs", "cap_add", "security_opt") and not key.items:
            yield ctx.key("E091", ("extra", "docker-compose.yml", "service", key.name), f"{key.name} is added to what is generated, so it must be a list{' or mapping' if key.name == 'environment' else ''}", "write [...]")
        if key.name == "environment" and key.sequence or key.items and not key.sequence and key.name in ("ports", "volumes", "tmpfs", "cap_add", "security_opt"):
            yield ctx.key("E091", ("extra", "docker-compose.yml", "service", key.name), f"{key.name} must be {'keys and values' if key.sequence else 'a list'} to be added to what is generated")
    for key in ctx.app.overlay.top:
        if key.name in ("name", "services"):
            yield ctx.key("E091", ("extra", "docker-compose.yml", "top", key.name), f"{key.name} is generated", "use extra.docker-compose.yml.service for keys of the service")


RULES: tuple[Callable[[Context], Iterator[Problem]], ...] = (
    base_image,
    services,
    order,
    listening,
    artifacts,
    routes,
    volumes,
    variables,
    health_and_limits,
    outputs,
)


def check(app: App, data: Mapping[str, Any], family: str | None, bases: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Every problem of the model that the spec does not silence, sorted by place; ``data`` is the spec with its presets filled in."""
    context = Context(app, data, family, bases)
    found = [problem for rule in RULES for problem in rule(context)]
    silenced: set[int] = set()
    for index, silence in enumerate(data.get("silence", ())):
        at = _path(data, silence.get("at", ""))
        hit = {i for i, problem in enumerate(found) if problem.code == silence["code"] and problem.path[: len(at)] == at}
        silenced |= hit
        if not hit:
            where = f' at "{silence["at"]}"' if "at" in silence else ""
            found.append(context.at("W010", ("silence", index), f"there is no {silence['code']}{where} to silence", "remove the entry"))
    return tuple(problem for i, problem in enumerate(found) if i not in silenced)


def _path(data: Any, dotted: str) -> Path:
    """A dotted path as the keys it means; keys may hold dots themselves, so the longest that fits wins."""
    path: list[str | int] = []
    rest = dotted
    while rest:
        if isinstance(data, dict):
            fitting = [key for key in data if rest == key or rest.startswith(f"{key}.")]
            step: str | int = max(fitting, key=len) if fitting else rest
            if not fitting:
                return (*path, rest)
            rest = rest[len(str(step)) + 1 :]
        elif isinstance(data, list) and rest.partition(".")[0].isdigit() and int(rest.partition(".")[0]) < len(data):
            head, _, rest = rest.partition(".")
            step = int(head)
        else:
            return (*path, rest)
        data = data[step]
        path.append(step)
    return tuple(path)
