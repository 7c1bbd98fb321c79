"""Lists that templates ask for: what of an application goes into a file, where that takes more than its fields."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from compiler.outputs import BUILD_ONLY, OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from compiler.model import App, Artifact, Route, SecretSource, Service


def numbered(accounts: Iterable[str]) -> list[tuple[str, int]]:
    """Each account with a fixed number, derived from its name, so that it does not depend on what else there is.

    In 600..899: base images have numbers up to 406 (Alpine's utmp), packages count up from 100 or down from 999.
    Neighbours give way in the order of their names. Where all these are taken, the rest count up from 20000.
    """
    first, room = 600, 300
    taken: dict[int, str] = {}
    for name in accounts:
        full = len(taken) >= room
        number = 20_000 - room + len(taken) if full else first + zlib.crc32(name.encode()) % room
        while number in taken:
            number = first + (number - first + 1) % room
        taken[number] = name
    return [(name, number) for number, name in taken.items()]


def readers(app: App) -> list[tuple[SecretSource, list[Service]]]:
    """Each secret with the services that may read it."""
    allowed: dict[str, list[Service]] = {secret.name: [] for secret in app.secrets}
    for service in app.services:
        for name in service.sees:
            if name in allowed:
                allowed[name].append(service)
    return [(secret, allowed[secret.name]) for secret in app.secrets]


def upstreams(routes: Iterable[Route], app: App) -> list[Service]:
    """The services that routes lead to, each once."""
    wanted = {route.service for route in routes}
    return [service for service in app.services if service.name in wanted]


def all_pinned(packages: Iterable[str]) -> bool:
    """Whether each package names its version."""
    return all("=" in package for package in packages)


def is_prebuilt(artifact: Artifact, local: bool) -> bool:
    """Whether the Dockerfile takes the ready-made form: the local one if there is one, the other for want of any."""
    made = artifact.build or artifact.copy or artifact.fetch
    return bool(artifact.prebuilt) and (local or not made)


def is_plain(artifact: Artifact) -> bool:
    """Whether the image has the artifact as it is made, or lies there: neither packed nor compressed file by file."""
    return not (artifact.compress or artifact.precompress)


def given(app: App, local: bool) -> list[str]:
    """Where a stage keeps what the image takes from the spec's directory with the modes it has there."""
    taken = [
        f"/files/{artifact.name}{artifact.install}"
        for artifact in app.artifacts
        if is_prebuilt(artifact, local) and is_plain(artifact) and not artifact.mode
    ]
    if app.database and app.database.migrations:
        taken.append(f"/files/.config{app.share}/migrations")
    return taken


def owner_known(artifact: Artifact, app: App) -> bool:
    """Whether the owner is known before packages are installed."""
    return artifact.owner == "root" or artifact.owner in app.accounts


def settled_first(artifacts: Iterable[Artifact]) -> list[Artifact]:
    """What comes from elsewhere before what is built here, so that the layers that change most often come last."""
    return sorted(artifacts, key=lambda artifact: not (artifact.copy or artifact.fetch))


def wanted(name: str, app: App) -> bool:
    """Whether the application has this output."""
    return name not in app.disabled and any(output.name == name and output.needed(app) for output in OUTPUTS)


def scripts(app: App) -> list[str]:
    """The generated scripts of the image."""
    names = (output.name for output in OUTPUTS if output.name not in BUILD_ONLY)
    return [name for name in names if name.endswith((".sh", ".py")) and wanted(name, app)]


def hooks(app: App) -> list[str]:
    """The user's scripts, each once."""
    return list(dict.fromkeys((*app.first_start, *app.before_services)))


def dirname(path: str) -> str:
    """The directory of a path."""
    return path.rpartition("/")[0]


def basename(path: str) -> str:
    """The last part of a path."""
    return path.rpartition("/")[2]


def context(app: App, local: bool) -> list[str]:
    """The paths of the tree that a Dockerfile copies, sorted."""
    paths = {f"{app.output}/{name}" for name in scripts(app)}
    others = ("supervisord.conf", "nginx.conf", *BUILD_ONLY)
    paths |= {f"{app.output}/{name}" for name in others if wanted(name, app)}
    for artifact in app.artifacts:
        if is_prebuilt(artifact, local):
            paths.add(artifact.prebuilt)
        elif artifact.build:
            paths.add(artifact.build.source)
    paths |= {file.source for service in app.services for file in service.files if file.source}
    if app.database:
        paths |= {path for path in (app.database.schema, app.database.migrations) if path}
    return sorted(paths | set(hooks(app)))


def executed(app: App, artifact: Artifact) -> list[tuple[str, list[str]]]:
    """The paths of an artifact that are there to be executed, as far as the spec says so, and by which accounts."""
    paths: dict[str, set[str]] = {}
    if artifact.libc or basename(dirname(artifact.install)) in ("bin", "sbin"):
        paths[artifact.install] = set()
    for service in app.services:
        if artifact.holds(path := service.program):
            # What is unpacked later gets its mode and its owner then.
            paths.setdefault(path, set()).update({service.user} - {"root"} if not artifact.compress else ())
    return [(path, sorted(users)) for path, users in sorted(paths.items())]


def brings_glibc(packages: Iterable[str]) -> bool:
    """Whether a package gives Alpine the loader of glibc."""
    return any(package.startswith(("gcompat", "libc6-compat")) for package in packages)


def executes(app: App) -> bool:
    """Whether an artifact brings something of which the spec says that it is to be executed."""
    return any(executed(app, artifact) for artifact in app.inspected)


def lends(app: App) -> bool:
    """Whether an account other than root executes what an artifact brings, where it can be asked at build."""
    return any(accounts for artifact in app.inspected for _, accounts in executed(app, artifact))


def labels(app: App) -> list[tuple[str, str]]:
    """The labels of the image, with the budget in bytes."""
    budgets = (
        ("org.appos-compile.budget", app.image.budget),
        ("org.appos-compile.budget-compressed", app.image.budget_compressed),
    )
    return [*app.image.labels, *((key, str(value)) for key, value in budgets if value is not None)]


def exposed(ports: Iterable[Any]) -> list[str]:
    """What EXPOSE says: each port of the container once, with its protocol."""
    return list(dict.fromkeys(f"{port.target}{'/udp' if port.protocol == 'udp' else ''}" for port in ports))


def bind(directory: str, app: App) -> str:
    """A directory of the host, relative to the Compose file, in the form that cannot be taken for a volume's name."""
    if directory.startswith("/"):
        return directory
    import posixpath

    path = posixpath.normpath(posixpath.join(app.context, directory))
    return path if path.startswith("../") else f"./{path}"


def workers(app: App) -> int:
    """Worker processes of the gateway: as many as the container may use processors, two unless it is said."""
    return max(1, -(-int(float(app.cpus) * 100) // 100)) if app.cpus else 2


def needs_dollar(app: App) -> bool:
    """Whether a text for nginx holds a dollar sign."""
    texts = [value for _, value in app.http.headers]
    for route in app.routes:
        texts += [value for _, value in (*route.headers, *route.request_headers)]
        texts += [route.redirect, route.root]
    return any("$" in text for text in texts)
