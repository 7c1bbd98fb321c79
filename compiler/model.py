"""The frozen model of an application: what every output is rendered from, in neutral words and without a dict."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compiler.errors import Mark
    from compiler.values import Value

Path = tuple["str | int", ...]


class Origins(NamedTuple):
    """Where in the spec, or in which preset, each value and key was written."""

    values: Mapping[Path, Mark]
    keys: Mapping[Path, Mark]
    name: str

    def inherited(self, mark: Mark | None, path: Path) -> Mark | None:
        """Where the spec chose the preset that ``mark`` lies in; nothing for a place in the spec itself."""
        if mark is None or mark.file == self.name:
            return None
        return self.values.get((*path[:2], "preset")) or self.value(path[:1])

    def value(self, path: Path) -> Mark | None:
        """The place of the value at ``path``, or of the nearest enclosing one that was written."""
        while path not in self.values and path:
            path = path[:-1]
        return self.values.get(path)

    def key(self, path: Path) -> Mark | None:
        """The place of the key at ``path``, otherwise what ``value`` says."""
        return self.keys.get(path) or self.value(path)


class Family(NamedTuple):
    """What a family of base images has in common: commands and package names."""

    name: str
    libc: str
    http_probe: tuple[str, ...]
    answer_probe: tuple[str, ...]
    http_packages: tuple[str, ...]
    tcp_probe: tuple[str, ...]
    supervisor_packages: tuple[str, ...]
    python: str
    database_packages: tuple[str, ...]
    timezone_packages: tuple[str, ...]
    packers: Mapping[str, tuple[str, ...]]
    unpackers: Mapping[str, tuple[str, ...]]
    run_as: str
    accounts: tuple[str, ...]


class ServiceBudget(NamedTuple):
    """What a service may take of the image, in bytes."""

    service: str
    uncompressed: int | None
    compressed: int | None


class Image(NamedTuple):
    """The image: what it is made from, and what it is called."""

    base: str
    family: Family
    reference: str
    packages: tuple[str, ...]
    remove: tuple[str, ...]
    labels: tuple[tuple[str, str], ...]
    timezone: str
    trim: bool
    platforms: tuple[str, ...]
    budget: int | None
    budget_compressed: int | None
    budget_services: tuple[ServiceBudget, ...]


class Build(NamedTuple):
    """How an artifact is built in a stage of its own, in ``/build``."""

    image: str
    family: str
    source: str
    packages: tuple[str, ...]
    manifests: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    prepare: tuple[str, ...]
    run: tuple[str, ...]
    caches: tuple[str, ...]
    output: str


class Copy(NamedTuple):
    """A path of another image."""

    image: str
    path: str


class Fetch(NamedTuple):
    """A download; ``checksums`` has one pair with an empty architecture, or one for each architecture."""

    url: str
    checksums: tuple[tuple[str, str], ...]
    unpack: bool
    path: str


READ, EXECUTE = 0o4, 0o1


def permits(mode: str, owner: str, account: str, bits: int) -> bool:
    """Whether a mode may let an account do with the owner's file what the ``bits`` say: READ, EXECUTE, or both.

    It may where the group has the right, since who is in a group is known in the image only. Root reads everything, and
    executes what anybody may.
    """
    of_owner, of_others = int(mode, 8) >> 6, int(mode, 8) | int(mode, 8) >> 3
    granted = {owner: of_owner, "root": READ | of_owner | of_others}.get(account, of_others)
    return granted & bits == bits


class Artifact(NamedTuple):
    """A file or directory of the image and the ways to get it."""

    name: str
    build: Build | None
    copy: Copy | None
    fetch: Fetch | None
    prebuilt: str
    install: str
    owner: str
    mode: str
    libc: str
    libraries: str
    precompress: bool
    compress: str
    volume: str
    smoke: tuple[str, ...]
    uninspected: tuple[str, ...]
    path: Path

    def holds(self, path: str) -> bool:
        """Whether a path of the image is this artifact, or lies in it."""
        return path == self.install or path.startswith(f"{self.install}/")


class Ready(NamedTuple):
    """How to tell that a service can be used: a command for the service's own user, or nothing to ask."""

    command: tuple[Value, ...]
    network: bool
    timeout: int


class Alive(NamedTuple):
    """How to tell that a running service still works: a command for its own user, if there is anything to ask."""

    command: tuple[Value, ...]
    every: int
    timeout: int
    failures: int


class Verify(NamedTuple):
    """How to prove that a service keeps its data: commands that store ``$VALUE`` and print it, and files to damage."""

    write: tuple[Value, ...]
    read: tuple[Value, ...]
    damage: tuple[str, ...]


class File(NamedTuple):
    """A configuration file: text that is filled in at every start, or a file of the tree that is copied as it is."""

    target: str
    content: Value | None
    source: str
    mode: str
    path: Path


class Service(NamedTuple):
    """One process; durations in whole seconds, sizes in bytes."""

    name: str
    title: str
    command: tuple[Value, ...]
    user: str
    directory: str
    environment: tuple[tuple[str, Value], ...]
    port: int | None
    protocol: str
    gateway: str
    worker: str
    after: tuple[str, ...]
    ready: Ready | None
    alive: Alive | None
    stop_signal: str
    grace: int
    restart: str
    once: bool
    critical: bool
    memory: int | None
    data: str
    run: str
    secrets: tuple[str, ...]
    files: tuple[File, ...]
    packages: tuple[str, ...]
    remove: tuple[str, ...]
    capabilities: tuple[str, ...]
    writable: tuple[str, ...]
    brings_users: tuple[str, ...]
    verify: Verify | None
    order: int
    path: Path

    @property
    def address(self) -> str:
        """Host and port at which the other services of the container reach this one."""
        return f"127.0.0.1:{self.port}"

    @property
    def program(self) -> str:
        """The path of what its command starts; empty where there is none, or it is known only then."""
        from compiler.values import plain

        return plain(self.command[0]) or "" if self.command else ""

    @property
    def sees(self) -> tuple[str, ...]:
        """The secrets this service may read, sorted."""
        from compiler.values import Secret

        texts = [*self.command, *(value for _, value in self.environment)]
        texts += [file.content for file in self.files if file.content]
        texts += self.ready.command if self.ready else ()
        texts += self.alive.command if self.alive else ()
        return tuple(sorted({*self.secrets, *(p.name for text in texts for p in text if isinstance(p, Secret))}))


class Auth(NamedTuple):
    """Who may use a route: one account, or whom a service lets in."""

    user: str
    secret: str
    service: str
    upstream: str


class Route(NamedTuple):
    """What answers a path of the gateway; ``prefix`` routes end in ``/`` and match everything below."""

    match: str
    prefix: bool
    root: str
    spa: bool
    assets: str
    max_age: int
    service: str
    upstream: str
    protocol: str
    script: str
    strip: bool
    websocket: bool
    stream: bool
    timeout: int
    max_body: int
    headers: tuple[tuple[str, str], ...]
    request_headers: tuple[tuple[str, str], ...]
    redirect: str
    status: int
    deny: bool
    auth: Auth | None
    slashless: bool
    path: Path


class Http(NamedTuple):
    """What holds for all routes."""

    headers: tuple[tuple[str, str], ...]
    trusted: tuple[str, ...]
    max_body: int
    access_log: bool
    dotfiles: bool


class Directory(NamedTuple):
    """A directory that exists before any service starts."""

    target: str
    owner: str
    mode: str
    path: Path


class Volume(NamedTuple):
    """A directory that outlives the container."""

    name: str
    mount: str
    bind: str
    variable: str
    owner: str
    group: str
    mode: str
    directories: tuple[Directory, ...]
    path: Path


class Database(NamedTuple):
    """A SQLite file."""

    file: str
    owner: str
    schema: str
    migrations: str
    path: Path


class Port(NamedTuple):
    """A published port."""

    name: str
    publish: int
    target: int
    service: str
    protocol: str
    address: str
    variable: str
    path: Path


class SecretSource(NamedTuple):
    """How a secret gets its value."""

    name: str
    description: str
    format: str
    length: int
    generate: bool
    variable: str
    permanent: bool
    path: Path


class SettingSource(NamedTuple):
    """A public variable with its default."""

    name: str
    default: str
    description: str
    path: Path


class Health(NamedTuple):
    """How the engine tells that the container works; durations in milliseconds."""

    commands: tuple[tuple[str, ...], ...]
    interval: int
    timeout: int
    start: int
    retries: int


class Extra(NamedTuple):
    """Raw text for a named point of an output; ``merge`` instead of ``text`` for the Compose file."""

    output: str
    point: str
    text: str
    path: Path


class Key(NamedTuple):
    """One key of the Compose file: a list or mapping as its items, or a scalar; all JSON, which is YAML."""

    name: str
    items: tuple[str, ...]
    scalar: str
    sequence: bool


class Overlay(NamedTuple):
    """Keys for the Compose file: of the service, and of the file."""

    service: tuple[Key, ...]
    top: tuple[Key, ...]


class App(NamedTuple):
    """The complete model; services in the order of their start, routes in the order of their match."""

    name: str
    description: str
    spec: str
    output: str
    context: str
    image: Image
    artifacts: tuple[Artifact, ...]
    services: tuple[Service, ...]
    routes: tuple[Route, ...]
    http: Http
    volumes: tuple[Volume, ...]
    database: Database | None
    ports: tuple[Port, ...]
    secrets: tuple[SecretSource, ...]
    settings: tuple[SettingSource, ...]
    health: Health
    memory: int | None
    pids: int
    cpus: str
    first_start: tuple[str, ...]
    before_services: tuple[str, ...]
    extra: tuple[Extra, ...]
    overlay: Overlay
    templates: tuple[tuple[str, str], ...]
    disabled: tuple[str, ...]
    origins: Origins

    @property
    def run(self) -> str:
        """The directory of everything that lives as long as the container."""
        return f"/run/{self.name}"

    @property
    def library(self) -> str:
        """The directory of the compiler's scripts in the image."""
        return f"/usr/local/lib/{self.name}"

    @property
    def share(self) -> str:
        """The directory of the spec's own data in the image."""
        return f"/usr/local/share/{self.name}"

    @property
    def state(self) -> str:
        """The directory of what must outlive the container: secrets and marks; empty without a volume."""
        return f"{self.volumes[0].mount}/.{self.name}" if self.volumes else ""

    @property
    def supervised(self) -> bool:
        """Whether there is more than one process, so that a supervisor is needed."""
        return len(self.services) > 1

    @property
    def services_file(self) -> str:
        """The list of what each service is doing, for whoever wants to know; empty without a supervisor."""
        return f"{self.run}/services" if self.supervised else ""

    @property
    def watched(self) -> tuple[Service, ...]:
        """The services beside which a watch runs."""
        return tuple(service for service in self.services if self.watches(service))

    @property
    def gateway(self) -> Service | None:
        """The service that answers the routes."""
        return next((service for service in self.services if service.gateway), None)

    @property
    def user(self) -> str:
        """The account of process 1: root where accounts have to be changed, otherwise the one service's."""
        return "root" if self.supervised else self.services[0].user

    @property
    def grace(self) -> int:
        """Seconds that stopping takes at most: services stop one after another, and the supervisor needs a moment."""
        return sum(service.grace for service in self.services) + 5

    @property
    def packages(self) -> tuple[str, ...]:
        """Every package of the final stage, sorted, each once."""
        wanted = set(self.image.packages)
        for service in self.services:
            wanted.update(service.packages)
        if self.supervised:
            wanted.update(self.image.family.supervisor_packages)
        if self.database:
            wanted.update(self.image.family.database_packages)
        if self.image.timezone:
            wanted.update(self.image.family.timezone_packages)
        for artifact in self.packed:
            wanted.update(self.image.family.unpackers[artifact.compress])
        if any(command[0] == self.image.family.http_probe[0] for command in self.probes):
            wanted.update(self.image.family.http_packages)
        named = {package.split("=")[0].split("~")[0] for package in self.image.packages}
        return tuple(sorted(p for p in wanted if p in self.image.packages or p not in named))

    @property
    def removed(self) -> tuple[str, ...]:
        """What the packages leave and nobody needs, as shell patterns: sorted, each once."""
        return tuple(sorted({*self.image.remove, *(path for service in self.services for path in service.remove)}))

    @property
    def packed(self) -> tuple[Artifact, ...]:
        """The artifacts that are stored compressed, and unpacked when the container starts."""
        return tuple(artifact for artifact in self.artifacts if artifact.compress)

    @property
    def unpacked(self) -> tuple[tuple[str, tuple[Artifact, ...]], ...]:
        """Where volumes are onto which artifacts are unpacked, each with these."""
        found: dict[str, list[Artifact]] = {volume.mount: [] for volume in self.volumes}
        mounts = {volume.name: volume.mount for volume in self.volumes}
        for artifact in self.packed if mounts else ():
            found[mounts.get(artifact.volume, self.volumes[0].mount)].append(artifact)
        return tuple((mount, tuple(artifacts)) for mount, artifacts in found.items() if artifacts)

    @property
    def inspected(self) -> tuple[Artifact, ...]:
        """The artifacts of which something may be executed or loaded: all but what the gateway only sends."""
        sent = {route.root for route in self.routes if route.root and not route.script}
        return tuple(a for a in self.artifacts if a.install not in sent or a.libc or a.smoke)

    @property
    def probes(self) -> tuple[tuple[str, ...], ...]:
        """The commands, as far as they are plain, that ask services and the gateway how they are."""
        from compiler.values import plain

        asked = [service.ready.command for service in self.services if service.ready]
        asked += [service.alive.command for service in self.services if service.alive]
        return (*(tuple(plain(word) or "" for word in command) for command in asked if command), *self.health.commands)

    @property
    def accounts(self) -> tuple[str, ...]:
        """The accounts that neither the base nor a package brings, sorted: they are created."""
        brought = {*self.image.family.accounts, *(user for service in self.services for user in service.brings_users)}
        wanted = {service.user for service in self.services} | {artifact.owner for artifact in self.artifacts}
        for volume in self.volumes:
            wanted |= {volume.owner, volume.group, *(directory.owner for directory in volume.directories)}
        if self.database:
            wanted.add(self.database.owner)
        return tuple(sorted(wanted - brought))

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What the container keeps: what root needs to set up and signal services, and what services ask for."""
        kept = {"CHOWN", "KILL", "SETGID", "SETUID"} if self.user == "root" else set()
        return tuple(sorted(kept.union(*(service.capabilities for service in self.services))))

    @property
    def scratch(self) -> tuple[str, ...]:
        """The directories that services write to and that nobody needs to keep."""
        own = (self.run,) if self.user != "root" else ()
        return tuple(sorted({*own, *(path for service in self.services for path in service.writable)}))

    def announces(self, service: Service) -> bool:
        """Whether somebody looks at the mark that the service is ready: other services, or the health check."""
        return self.supervised or ("test", "-e", f"{service.run}/ready") in self.health.commands

    def watches(self, service: Service) -> bool:
        """Whether a watch runs beside the service: until it is ready, or as long as it runs."""
        return bool(service.alive or (service.ready and self.announces(service)))

    def text(self, output: str, point: str) -> str:
        """The raw text of the spec for a named point of an output, or nothing."""
        return next((e.text for e in self.extra if (e.output, e.point) == (output, point)), "")
