"""A valid spec's data -> the frozen model, with every default filled in and every reference resolved, and the problems met on the way."""

from __future__ import annotations

import difflib
import posixpath
from typing import TYPE_CHECKING, Any

from compiler import values as v
from compiler.errors import Problem
from compiler.model import (
    App,
    Artifact,
    Auth,
    Build,
    Copy,
    Database,
    Directory,
    Extra,
    Family,
    Fetch,
    File,
    Health,
    Http,
    Image,
    Key,
    Origins,
    Overlay,
    Port,
    Ready,
    Route,
    SecretSource,
    Service,
    SettingSource,
    Volume,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from compiler.values import Value

Path = tuple["str | int", ...]
Data = dict[str, Any]

DEFAULT_HEADERS = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "SAMEORIGIN", "Referrer-Policy": "same-origin"}
SILENCE = 60
SILENCE_STREAMING = 3600
MEMORY_RESERVE = 64 * 2**20
"""What supervisor, entrypoint and page tables need beside the services."""


def text(value: Any) -> str:
    """A scalar as it was written: ``true`` for a switch, the digits of a number."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def family_of(base: str, families: Mapping[str, Data]) -> str | None:
    """The family of an image by its name or tag: ``node:22-bookworm-slim`` -> ``debian``; nothing where neither tells."""
    name, _, tag = base.split("@")[0].rpartition("/")[2].partition(":")
    for family, facts in families.items():
        if name in facts["images"]:
            return family
    for family, facts in families.items():
        if any(word in tag.replace(".", "-").split("-") or any(p.startswith(word) for p in tag.split("-")) for word in facts["tags"]):
            return family
    return None


class _References:
    """Resolves ``${...}``; collects a problem, with its place, for each that means nothing."""

    def __init__(self, data: Data, origins: Origins, app: Data) -> None:
        self._data, self._origins, self._app = data, origins, app
        self.problems: list[Problem] = []

    def __call__(self, raw: Any, path: Path, service: str = "", *, secrets: bool = True) -> Value:
        """The value of a text at ``path``; ``self`` is ``service``."""
        content = text(raw)
        if "${" not in content:
            return v.literal(content)
        pieces: list[str | v.Secret | v.Setting] = []
        end = 0
        for match in v.REFERENCE.finditer(content):
            pieces.append(content[end : match.start()])
            end = match.end()
            doubled, name, closed = match.groups()
            if doubled:
                pieces.append("${" + name + closed)
                continue
            piece = self._resolve(name.strip(), service) if closed else None
            if isinstance(piece, v.Secret) and not secrets:
                self._problem("E045", "a secret cannot stand here", path, "it would be written into a file that is committed")
            elif piece is None:
                self._unknown(match.group(), name, service, path)
            else:
                pieces.append(piece)
        pieces.append(content[end:])
        return v.join(pieces)

    def _problem(self, code: str, message: str, path: Path, hint: str) -> None:
        self.problems.append(Problem(code, message, self._origins.value(path), hint))

    def _unknown(self, written: str, name: str, service: str, path: Path) -> None:
        near = difflib.get_close_matches(name, self._names(service), 1, 0.5)
        hint = f"did you mean ${{{near[0]}}}? " if near else ""
        self._problem("E044", f"{written} refers to nothing", path, f"{hint}a literal ${{ is written $${{".replace("? a", "? A"))

    def _names(self, service: str) -> list[str]:
        names = ["app.name", "database", "self.name", "self.host", "self.port", "self.address", "self.user", "self.data", "self.run"]
        names += ["self.memory", *(f"secret.{name}" for name in self._data.get("secrets", {}))]
        names += [f"setting.{name}" for name in self._data.get("settings", {})]
        names += [f"volume.{name}" for name in self._data.get("volumes", {})]
        names += [f"artifact.{name}" for name in self._data.get("artifacts", {})]
        for name in self._data["services"]:
            names += [f"service.{name}.{field}" for field in ("host", "port", "address", "data")]
        prefix = service.replace("-", "_") + "_"
        names += [f"self.secret.{n[len(prefix) :]}" for n in self._data.get("secrets", {}) if n.startswith(prefix)]
        return names

    def _resolve(self, name: str, service: str) -> str | v.Secret | v.Setting | None:
        kind, _, rest = name.partition(".")
        if name == "app.name":
            return str(self._data["name"])
        if name == "database":
            return self._app["database"] or None
        if kind == "setting":
            return v.Setting(rest) if rest in self._data.get("settings", {}) else None
        if kind == "volume":
            volume = self._data.get("volumes", {}).get(rest)
            return str(volume["mount"]) if volume else None
        if kind == "artifact":
            artifact = self._data.get("artifacts", {}).get(rest)
            return str(artifact["install"]) if artifact else None
        if kind == "self" and rest.startswith("secret."):
            kind, rest = "secret", f"{service}_{rest[len('secret.') :]}".replace("-", "_")
        if kind == "secret":
            return v.Secret(rest) if rest in self._data.get("secrets", {}) else None
        if kind == "self" and service:
            return self._of_service(service, rest, own=True)
        if kind == "service":
            other, _, field = rest.partition(".")
            return self._of_service(other, field, own=False) if other in self._data["services"] else None
        return None

    def _of_service(self, name: str, field: str, *, own: bool) -> str | None:
        service = self._data["services"][name]
        port = service.get("port")
        known: dict[str, str | None] = {
            "host": "127.0.0.1",
            "port": str(port) if port else None,
            "address": f"127.0.0.1:{port}" if port else None,
            "data": self._app["data"].get(name) or None,
        }
        if own:
            memory = service.get("memory")
            known |= {
                "name": name,
                "user": service.get("user", "root"),
                "run": f"/run/{self._data['name']}/{name}",
                "memory": str(v.size(memory)) if memory else None,
            }
        return known.get(field)


def assemble(data: Data, origins: Origins, families: Mapping[str, Data], templates: Mapping[str, str]) -> tuple[App, tuple[Problem, ...]]:
    """The model of a valid spec whose presets are filled in.

    ``families`` are the facts about base images; ``templates`` the texts of the files that ``files.*.template`` names. Problems are
    references that mean nothing; the model is complete all the same, so that the rules can be asked as well.
    """
    volumes = _volumes(data)
    home = _data_directories(data, volumes)
    database = _database(data, volumes)
    refer = _References(data, origins, {"database": database.file if database else "", "data": home})
    family = _family(data["image"], families)
    services = _services(data, refer, family, home, templates)
    volumes = _with_directories(volumes, services, database)
    routes = _routes(data, {service.name: service for service in services})
    memory = data.get("limits", {}).get("memory")
    needs = [service.memory for service in services]
    limit = v.size(memory) if memory else sum(n or 0 for n in needs) + MEMORY_RESERVE if all(needs) else None
    app = App(
        name=data["name"],
        description=data.get("description", ""),
        spec=posixpath.basename(origins.name.replace("\\", "/")),
        output=data.get("output", "build"),
        context=posixpath.relpath(".", data.get("output", "build")),
        image=_image(data, family),
        artifacts=tuple(_artifact(name, a, data["image"], families) for name, a in data.get("artifacts", {}).items()),
        services=services,
        routes=routes,
        http=_http(data.get("http", {})),
        volumes=volumes,
        database=database,
        ports=tuple(_port(name, p, data["services"]) for name, p in data.get("ports", {}).items()),
        secrets=tuple(_secret(name, s) for name, s in data.get("secrets", {}).items()),
        settings=tuple(
            SettingSource(name, text(s.get("default", "")), s.get("description", ""), ("settings", name))
            for name, s in data.get("settings", {}).items()
        ),
        health=_health(data, services, family, refer),
        memory=limit,
        pids=data.get("limits", {}).get("pids", 512),
        cpus=text(data.get("limits", {}).get("cpus", "")),
        first_start=tuple(data.get("hooks", {}).get("first_start", ())),
        before_services=tuple(data.get("hooks", {}).get("before_services", ())),
        extra=_extra(data.get("extra", {})),
        overlay=_overlay(data.get("extra", {}).get("docker-compose.yml", {})),
        templates=tuple((name, t) for name, t in data.get("outputs", {}).items() if isinstance(t, str)),
        disabled=tuple(name for name, wanted in data.get("outputs", {}).items() if wanted is False),
        origins=origins,
    )
    return app, tuple(refer.problems)


def _family(image: Data, families: Mapping[str, Data]) -> Family:
    name = image.get("family") or family_of(image["base"], families) or next(iter(families))
    facts = families[name]
    return Family(
        name=name,
        libc=facts["libc"],
        http_probe=tuple(facts["http_probe"]),
        http_packages=tuple(facts["http_packages"]),
        tcp_probe=tuple(facts["tcp_probe"]),
        supervisor_packages=tuple(facts["supervisor_packages"]),
        database_packages=tuple(facts["database_packages"]),
        timezone_packages=tuple(facts["timezone_packages"]),
        run_as=tuple(facts["run_as"]),
    )


def _image(data: Data, family: Family) -> Image:
    image = data["image"]
    budget = image.get("budget")
    both = {"uncompressed": budget} if isinstance(budget, str) else budget or {}
    labels = {"org.opencontainers.image.title": data["name"]}
    if data.get("description"):
        labels["org.opencontainers.image.description"] = data["description"]
    labels |= {key: text(value) for key, value in image.get("labels", {}).items()}
    return Image(
        base=image["base"],
        family=family,
        reference=f"{image.get('name', data['name'])}:{image.get('tag', 'local')}",
        packages=tuple(image.get("packages", ())),
        labels=tuple(sorted(labels.items())),
        timezone=image.get("timezone", ""),
        platforms=tuple(image.get("platforms", ())),
        budget=v.size(both["uncompressed"]) if "uncompressed" in both else None,
        budget_compressed=v.size(both["compressed"]) if "compressed" in both else None,
    )


def _artifact(name: str, data: Data, image: Data, families: Mapping[str, Data]) -> Artifact:
    build, copy, fetch = data.get("build"), data.get("from"), data.get("fetch")
    libc = data.get("libc", "")
    return Artifact(
        name=name,
        build=Build(
            image=build["image"],
            family=family_of(build["image"], families) or image.get("family") or "",
            source=build["source"],
            packages=tuple(sorted(build.get("packages", ()))),
            manifests=tuple(build.get("manifests", ())),
            environment=tuple((key, text(value)) for key, value in build.get("environment", {}).items()),
            prepare=tuple(build.get("prepare", ())),
            run=tuple(build["run"]),
            caches=tuple(build.get("cache", ())),
            output=build["output"],
        )
        if build
        else None,
        copy=Copy(copy["image"], copy["path"]) if copy else None,
        fetch=_fetch(fetch) if fetch else None,
        prebuilt=data.get("prebuilt", ""),
        install=data["install"],
        owner=data.get("owner", "root"),
        mode=data.get("mode", "0755" if libc else ""),
        libc=libc,
        libraries=data.get("libraries") or (copy["image"] if copy else build["image"] if build else ""),
        precompress=data.get("precompress", False),
        path=("artifacts", name),
    )


def _fetch(data: Data) -> Fetch:
    sums = data["sha256"]
    return Fetch(
        url=data["url"],
        checksums=tuple(sorted(sums.items())) if isinstance(sums, dict) else (("", sums),),
        unpack=data.get("unpack", False),
        path=data.get("path", ""),
    )


def _volumes(data: Data) -> tuple[Volume, ...]:
    return tuple(
        Volume(
            name=name,
            mount=volume["mount"],
            bind=volume.get("bind", ""),
            variable=volume.get("variable", f"{data['name']}_{name}_path".replace("-", "_").upper()),
            owner=volume.get("owner", "root"),
            group=volume.get("owner", "root"),
            mode=volume.get("mode", "0755"),
            directories=tuple(
                Directory(
                    target=f"{volume['mount']}/{inner}",
                    owner=d if isinstance(d, str) else d["owner"],
                    mode="0700" if isinstance(d, str) else d.get("mode", "0700"),
                    path=("volumes", name, "directories", inner),
                )
                for inner, d in volume.get("directories", {}).items()
            ),
            path=("volumes", name),
        )
        for name, volume in data.get("volumes", {}).items()
    )


def _data_directories(data: Data, volumes: tuple[Volume, ...]) -> dict[str, str]:
    """Where each service keeps its data; ``true`` is a directory of its name on the first volume."""
    found = {}
    for name, service in data["services"].items():
        wanted = service.get("data", "")
        mount = volumes[0].mount if volumes else f"/run/{data['name']}"
        found[name] = (f"{mount}/{name}" if wanted is True else wanted) or ""
    return found


def _with_directories(volumes: tuple[Volume, ...], services: tuple[Service, ...], database: Database | None) -> tuple[Volume, ...]:
    """The volumes with the data directories of services; one with a database beside them lets its owner create files."""
    completed = []
    for volume in volumes:
        declared = {directory.target for directory in volume.directories}
        own = [
            Directory(service.data, service.user, "0700", (*service.path, "data"))
            for service in services
            if service.data.startswith(f"{volume.mount}/") and service.data not in declared
        ]
        changed = volume._replace(directories=(*volume.directories, *own))
        if database and posixpath.dirname(database.file) == volume.mount and volume.owner != database.owner:
            # SQLite keeps its journal beside the file, so the owner must be able to create files there; the sticky bit keeps
            # it from renaming what belongs to others.
            changed = changed._replace(group=database.owner, mode="1775")
        completed.append(changed)
    return tuple(completed)


def _database(data: Data, volumes: tuple[Volume, ...]) -> Database | None:
    database = data.get("database")
    if not database:
        return None
    mounts = {volume.name: volume.mount for volume in volumes}
    mount = mounts.get(database.get("volume", next(iter(mounts), "")), "")
    return Database(
        file=f"{mount}/{database['file']}",
        owner=database["owner"],
        schema=database.get("schema", ""),
        migrations=database.get("migrations", ""),
        path=("database",),
    )


def _services(data: Data, refer: _References, family: Family, home: dict[str, str], templates: Mapping[str, str]) -> tuple[Service, ...]:
    order = _start_order({name: service.get("after", ()) for name, service in data["services"].items()})
    made = []
    for number, name in enumerate(order, 1):
        service, path = data["services"][name], ("services", name)
        memory, gateway = service.get("memory"), service.get("gateway", {})
        once = service.get("once", False)
        made.append(
            Service(
                name=name,
                title=service.get("preset", ""),
                command=_command(service.get("command", ()), refer, (*path, "command"), name),
                user=service.get("user", "root"),
                directory=service.get("directory", ""),
                environment=tuple(
                    (key, refer(value, (*path, "environment", key), name)) for key, value in service.get("environment", {}).items()
                ),
                port=service.get("port"),
                protocol=service.get("protocol", "http"),
                gateway=gateway.get("server", ""),
                worker=gateway.get("user", ""),
                after=tuple(dict.fromkeys(a for a in service.get("after", ()) if a in data["services"])),
                ready=None if once else _ready(service, refer, family, path),
                stop_signal=service.get("stop", {}).get("signal", "TERM"),
                grace=max(1, v.seconds(service.get("stop", {}).get("grace", "10s"))),
                restart="never" if once else service.get("restart", "always"),
                once=once,
                critical=service.get("critical", True),
                memory=v.size(memory) if memory else None,
                data=home[name],
                run=f"/run/{data['name']}/{name}",
                secrets=tuple(service.get("secrets", ())),
                files=tuple(_file(key, f, refer, (*path, "files", key), data["name"], templates) for key, f in service.get("files", {}).items()),
                packages=tuple(service.get("packages", ())),
                capabilities=tuple(service.get("capabilities", ())),
                writable=tuple(service.get("writable", ())),
                brings_users=(*service.get("accounts", ()), *((gateway["user"],) if gateway else ())),
                order=number,
                path=path,
            )
        )
    return tuple(made)


def _command(words: Iterable[Any], refer: _References, path: Path, service: str) -> tuple[Value, ...]:
    return tuple(refer(word, (*path, index), service) for index, word in enumerate(words))


def _start_order(after: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """The names so that each comes after what it waits for, otherwise in the order they were written; what is left of a cycle last."""
    waiting = {name: {a for a in others if a in after} for name, others in after.items()}
    followers: dict[str, list[str]] = {name: [] for name in after}
    for name, others in waiting.items():
        for other in others:
            followers[other].append(name)
    position = {name: index for index, name in enumerate(after)}
    import heapq

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


def _ready(service: Data, refer: _References, family: Family, path: Path) -> Ready | None:
    ready, port = service.get("ready", {}), service.get("port")
    timeout = max(1, v.seconds(ready.get("timeout", "60s")))
    if "exec" in ready:
        return Ready(_command(ready["exec"], refer, (*path, "ready", "exec"), str(path[-1])), network=False, timeout=timeout)
    if "http" in ready and port:
        url = f"http://127.0.0.1:{port}{ready['http']}"
        return Ready(tuple(map(v.literal, _probe(family.http_probe, seconds=2, url=url))), network=True, timeout=timeout)
    target = ready.get("tcp") or (port if service.get("protocol") != "udp" else None)
    if not target:
        return None
    return Ready(tuple(map(v.literal, _probe(family.tcp_probe, host="127.0.0.1", port=target))), network=True, timeout=timeout)


def _file(name: str, data: Data, refer: _References, path: Path, app: str, templates: Mapping[str, str]) -> File:
    service = str(path[1])
    target = name if name.startswith("/") else f"/run/{app}/{service}/{name}"
    content = data.get("content")
    if "template" in data:
        content = templates.get(data["template"], "")
    return File(
        target=target,
        content=refer(content, (*path, "template" if "template" in data else "content"), service) if content is not None else None,
        source=data.get("source", ""),
        mode=data.get("mode", "0600" if content is not None else "0644"),
        path=path,
    )


def _routes(data: Data, services: Mapping[str, Service]) -> tuple[Route, ...]:
    """Exact routes first, then the longest prefixes: the order in which they match."""
    routes = data.get("routes", {})
    artifacts = {name: a["install"] for name, a in data.get("artifacts", {}).items()}
    made = []
    for match, route in routes.items():
        service = services.get(route.get("service", ""))
        streaming = route.get("websocket", False) or route.get("stream", False)
        static = route.get("static", "")
        made.append(
            Route(
                match=match,
                prefix=match.endswith("/"),
                root=artifacts.get(static, static),
                spa=route.get("spa", False),
                assets=route.get("assets", "assets/"),
                max_age=v.seconds(route.get("max_age", "0s")),
                service=service.name if service else "",
                upstream=service.address if service else "",
                protocol=service.protocol if service else "http",
                script=route.get("script", ""),
                strip=route.get("strip", False),
                websocket=route.get("websocket", False),
                stream=route.get("stream", False),
                timeout=max(1, v.seconds(route["timeout"])) if "timeout" in route else SILENCE_STREAMING if streaming else SILENCE,
                max_body=v.size(route.get("max_body") or data.get("http", {}).get("max_body", "1MB")),
                headers=_headers(route.get("headers", {}), data),
                request_headers=tuple(route.get("request_headers", {}).items()),
                redirect=route.get("redirect", ""),
                status=route.get("status", 404 if route.get("deny") else 308),
                deny=route.get("deny", False),
                auth=_auth(route.get("auth", {}), services, match),
                slashless=match.endswith("/") and match != "/" and match[:-1] not in routes,
                path=("routes", match),
            )
        )
    return tuple(sorted(made, key=lambda route: (route.prefix, -len(route.match), route.match)))


def _headers(own: Data, data: Data) -> tuple[tuple[str, str], ...]:
    """The headers of every answer with a route's own in their place; names are compared without case; empty ones are left out."""
    merged = {name.lower(): (name, value) for name, value in data.get("http", {}).get("headers", DEFAULT_HEADERS).items()}
    merged |= {name.lower(): (name, value) for name, value in own.items()}
    return tuple((name, value) for name, value in merged.values() if value)


def _auth(data: Data, services: Mapping[str, Service], match: str) -> Auth | None:
    basic, request = data.get("basic"), data.get("request")
    if basic:
        return Auth(basic["user"], basic["secret"], "", "", match)
    if request:
        service = services.get(request["service"])
        return Auth("", "", request["service"], f"{service.address}{request['path']}" if service else "", match)
    return None


def _http(data: Data) -> Http:
    return Http(
        headers=tuple((name, value) for name, value in data.get("headers", DEFAULT_HEADERS).items() if value),
        trusted=tuple(data.get("trusted", ())),
        max_body=v.size(data.get("max_body", "1MB")),
        access_log=data.get("access_log", True),
        dotfiles=data.get("dotfiles", False),
    )


def _port(name: str, data: Data, services: Data) -> Port:
    service = services.get(data["service"], {})
    return Port(
        name=name,
        publish=data["publish"],
        target=data.get("target") or service.get("port") or 0,
        service=data["service"],
        protocol=data.get("protocol") or ("udp" if service.get("protocol") == "udp" else "tcp"),
        address=data.get("address", ""),
        variable=data.get("variable", f"{name}_port".replace("-", "_").upper()),
        path=("ports", name),
    )


def _secret(name: str, data: Data) -> SecretSource:
    return SecretSource(
        name=name,
        description=data.get("description", ""),
        format=data.get("format", "alphanumeric"),
        length=data.get("length", 32),
        generate=data.get("generate", True),
        variable=data.get("variable", name.upper()),
        permanent=data.get("permanent", False),
        path=("secrets", name),
    )


def _health(data: Data, services: tuple[Service, ...], family: Family, refer: _References) -> Health:
    health = data.get("health", {})
    gateway = next((service for service in services if service.gateway), None)
    timeout = v.milliseconds(health.get("timeout", "3s"))
    port = gateway.port if gateway else next((s.port for s in services if s.port and s.protocol == "http"), None)
    commands: tuple[tuple[str, ...], ...]
    if "exec" in health:
        words = [refer(word, ("health", "exec", index), secrets=False) for index, word in enumerate(health["exec"])]
        commands = (tuple(v.plain(word) or "" for word in words),)
    elif "http" in health:
        url = f"http://127.0.0.1:{port}{health['http']}"
        commands = (_probe(family.http_probe, seconds=max(1, timeout // 1000), url=url),)
    else:
        commands = tuple(_own_probe(service, family) for service in services if not service.once and (service.ready or service.port))
    return Health(
        commands=commands,
        interval=v.milliseconds(health.get("interval", "2s")),
        timeout=timeout,
        start=v.milliseconds(health.get("start", "60s")),
        retries=health.get("retries", 3),
    )


def _own_probe(service: Service, family: Family) -> tuple[str, ...]:
    """What an engine can ask without the service's account and secrets: its network probe, its port, or its mark."""
    if service.ready and service.ready.network:
        return tuple(v.plain(word) or "" for word in service.ready.command)
    if service.port and service.protocol != "udp":
        return _probe(family.tcp_probe, host="127.0.0.1", port=service.port)
    return ("test", "-e", f"{service.run}/ready")


def _extra(data: Data) -> tuple[Extra, ...]:
    return tuple(
        Extra(output, point, content, ("extra", output, point))
        for output, points in data.items()
        if output != "docker-compose.yml" and not output.startswith("x-")
        for point, content in points.items()
    )


def _overlay(data: Data) -> Overlay:
    return Overlay(service=_keys(data.get("service", {})), top=_keys(data.get("top", {})))


def _keys(data: Data) -> tuple[Key, ...]:
    """Keys with their values as JSON, which is YAML; lists and mappings item by item, so that they can be added to others."""
    import json

    def dump(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    return tuple(
        Key(name, tuple(map(dump, value)), "", sequence=True)
        if isinstance(value, list)
        else Key(name, tuple(f"{dump(key)}: {dump(item)}" for key, item in value.items()), "", sequence=False)
        if isinstance(value, dict)
        else Key(name, (), dump(value), sequence=False)
        for name, value in data.items()
    )


