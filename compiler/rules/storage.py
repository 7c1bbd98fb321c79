"""Volumes, the directories and the database on them, secrets and variables: nothing lies over something else."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

from compiler.nearest import nearest
from compiler.rules.context import SYSTEM, parents
from compiler.values import Secret, Setting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiler.errors import Problem
    from compiler.model import Path
    from compiler.rules.context import Context

TAKEN = frozenset(
    ("CONTAINER_NAME", "IMAGE_NAME", "PATH", "HOME", "TZ", "IFS", "PWD", "OLDPWD", "OPTIND", "PPID", "ENV", "LC_ALL")
)
"""Variables that Compose or a shell uses for itself."""

SCRIPTS = frozenset(
    (
        *("allowed", "asking", "began", "born", "child", "children", "ended", "every", "failures", "file"),
        *("generate", "group", "holder", "kept", "late", "layout", "left", "length", "limit", "line", "list"),
        *("made_of", "main", "mode", "name", "new", "now", "other", "owner", "packed", "packed_sum", "pause"),
        *("permanent", "process", "program", "programs", "run", "secret", "service", "since", "size", "state"),
        *("status", "sum", "times", "tries", "unpacked", "versions", "volume", "whole", "written"),
    )
)
"""Variables of the container's scripts: one of the same name would change what they do, or be changed by them."""

SHELL = frozenset(("OLDPWD", "OPTIND", "PWD"))
"""Variables that a shell sets, or refuses to set, whatever a service says they are."""

CONFIDENTIAL = r"(?i)(password|passwd|secret|token|api_?key|private_?key)$"

_REFERENCE = r"\$\{secret\.([^{}]*)\}"

_ABSOLUTE = r"(?!.*/\.\.?(/|$))(/[A-Za-z0-9_@+.,=-]+)+"


def volumes(ctx: Context) -> Iterator[Problem]:
    """Volumes lie beside each other and hide nothing."""
    by_mount = {volume.mount: volume for volume in reversed(ctx.app.volumes)}
    for volume in ctx.app.volumes:
        place = (*volume.path, "mount")
        if len(volume.name) == 1:
            message = f'Compose takes "{volume.name}:" for a drive of Windows'
            yield ctx.key("E080", volume.path, message, "give the volume a name of two letters or more")
        first = by_mount[volume.mount]
        if first is not volume:
            message = f'"{volume.name}" and "{first.name}" are mounted at the same place'
            other = ((*first.path, "mount"), f'"{first.name}" is mounted here')
            yield ctx.at("E080", place, message, "give one of them another mount", other)
        outer = next((by_mount[above] for above in parents(volume.mount) if above in by_mount), None)
        if outer:
            message = f'"{volume.name}" lies inside of the volume "{outer.name}"'
            yield ctx.at(
                "E080", place, message, "put them beside each other", ((*outer.path, "mount"), "the outer one")
            )
        below = ("/dev/", "/etc/", "/proc/", "/run/", "/sys/", "/usr/")
        if volume.mount in SYSTEM or volume.mount.startswith(below):
            message = f"{volume.mount} belongs to the system: a volume there would hide it"
            yield ctx.at("E080", place, message, "mount it at a place of its own, such as /data")


def kept(ctx: Context) -> Iterator[Problem]:
    """What must be kept has a volume."""
    for service in ctx.app.services:
        place = (*service.path, "data")
        if service.data and not re.fullmatch(_ABSOLUTE, service.data):
            message = f'"{service.data}" is not an absolute path'
            hint = (
                f"write {ctx.app.volumes[0].mount}/{service.name}"
                if ctx.app.volumes
                else "write true for a directory on a volume"
            )
            yield ctx.at("E049", place, message, hint)
        elif service.data and not ctx.on_volume(service.data):
            message = f'the data of "{service.name}" lies on no volume: it is gone with the container'
            yield ctx.at("W006", place, message, "add a volume, or point data to one")
    if ctx.app.database:
        wanted = ctx.data["database"].get("volume")
        declared = ctx.data.get("volumes", {})
        if wanted is not None and wanted not in declared:
            hint = ctx.near(wanted, declared, f"declare it: volumes: {{{wanted}: {{mount: /data}}}}")
            yield ctx.at("E083", ("database", "volume"), f'there is no volume "{wanted}"', hint)
        elif not ctx.app.volumes:
            message = "a database needs a volume to be kept on"
            yield ctx.key("E083", ("database",), message, "add volumes: {data: {mount: /data}}")


def hooks(ctx: Context) -> Iterator[Problem]:
    """Scripts of the first start know which one is, and no two scripts have one name."""
    if ctx.app.first_start and not ctx.app.volumes:
        message = "without a volume every start is the first"
        yield ctx.key("E090", ("hooks", "first_start"), message, "add a volume, or use before_services")
    names: dict[str, str] = {}
    for moment in ("first_start", "before_services"):
        for index, script in enumerate(ctx.data.get("hooks", {}).get(moment, ())):
            first = names.setdefault(posixpath.basename(script), script)
            if first != script:
                message = f"{first} and {script} have the same file name"
                yield ctx.at("E090", ("hooks", moment, index), message, "rename one of them")


def directories(ctx: Context) -> Iterator[Problem]:
    """Who keeps data in a directory owns it, and can reach it."""
    owners: dict[str, tuple[str, str, Path]] = {}
    for volume in ctx.app.volumes:
        for directory in volume.directories:
            owners.setdefault(directory.target, (directory.owner, directory.mode, directory.path))
    wanted = [(s.data, s.user, (*s.path, "data"), f'"{s.name}" runs as {s.user}') for s in ctx.app.services if s.data]
    if ctx.app.database:
        database = ctx.app.database
        place: Path = ("database", "file")
        wanted.append((database.file, database.owner, place, f"the database belongs to {database.owner}"))
        if database.file in owners:
            message = f"{database.file} is a directory"
            yield ctx.at("E081", place, message, "choose another name", (owners[database.file][2], "declared here"))
    for target, user, path, who in wanted:
        for above in (target, *parents(target)):
            if above not in owners or user == "root":
                continue
            owner, mode, place = owners[above]
            if owner != user and (above == target or not int(mode[-1]) & 1) and place != path:
                what = "belongs to" if above == target else f"lies in {above}, which nobody may enter but"
                message = f"{who}, and {target} {what} {owner}"
                yield ctx.at(
                    "E081", path, message, "use another directory, or one owner", (place, f"given to {owner} here")
                )
                break


def _mentioned(ctx: Context) -> Iterator[str]:
    """The names of secrets as the spec writes them, whether they exist or not."""
    stack: list[Any] = [ctx.data["services"], ctx.data.get("health")]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield from re.findall(_REFERENCE, item)
        elif isinstance(item, (dict, list)):
            stack += item.values() if isinstance(item, dict) else item
    for service in ctx.app.services:
        yield from service.secrets


def variables(ctx: Context) -> Iterator[Problem]:
    """Each variable of .env has one meaning."""
    seen: dict[str, Path] = {}
    named: list[tuple[str, Path]] = []
    things = [(port.variable, port.path) for port in ctx.app.ports]
    things += [(volume.variable, volume.path) for volume in ctx.app.volumes]
    things += [(secret.variable, secret.path) for secret in ctx.app.secrets]
    for name, (section, key) in things:
        given = "variable" in ctx.data[str(section)][key]
        named.append((name, (section, key, "variable") if given else (section, key)))
    named += [(setting.name, setting.path) for setting in ctx.app.settings]
    for name, path in named:
        if name in TAKEN or name in SCRIPTS or name.startswith(("COMPOSE_", "DOCKER_")):
            user = "Compose" if name.startswith(("COMPOSE_", "DOCKER_")) else "the container"
            message = f"{user} uses the variable {name} for itself"
            hint = "choose another name" if path[0] == "settings" else "add variable: with another name"
            yield ctx.key("E086", path, message, hint)
        elif name in seen:
            message = f"the variable {name} would mean two things"
            hint = "rename the setting" if path[0] == "settings" else "add variable: with another name"
            yield ctx.key("E086", path, message, hint, (seen[name], "the other one"))
        seen.setdefault(name, path)


def environments(ctx: Context) -> Iterator[Problem]:
    """A service's variables are neither the scripts' own nor in the way of a setting that it refers to."""
    settings = {setting.name: setting.path for setting in ctx.app.settings}
    for service in ctx.app.services:
        for name, value in service.environment:
            place = (*service.path, "environment", name)
            if name in SCRIPTS or name in SHELL:
                message = f"the container uses the variable {name} for itself"
                yield ctx.key("E086", place, message, "choose another name")
            elif name in settings and value != (Setting(name),):
                others = [*service.command, *(text for other, text in service.environment if other != name)]
                others += service.ready.command if service.ready else ()
                others += service.alive.command if service.alive else ()
                if any(Setting(name) in text for text in others):
                    message = f'"{service.name}" refers to the setting {name}, which this variable hides'
                    other = (settings[name], "the setting")
                    yield ctx.key("E086", place, message, "rename the setting or the variable", other)


def secrets(ctx: Context) -> Iterator[Problem]:
    """What sounds like a secret is one."""
    for setting in ctx.app.settings:
        if re.search(CONFIDENTIAL, setting.name):
            message = f"{setting.name} sounds like a secret, but a setting is public"
            yield ctx.key("W011", setting.path, message, "declare it under secrets")
    for service in ctx.app.services:
        for name, value in service.environment:
            plain = len(value) == 1 and isinstance(value[0], str) and not value[0].startswith("/")
            if plain and re.search(CONFIDENTIAL, name):
                message = f"{name} sounds like a secret, and its value is in the spec for everybody to read"
                hint = "declare it under secrets and write ${secret.NAME}"
                yield ctx.at("W011", (*service.path, "environment", name), message, hint)


def needed(ctx: Context) -> Iterator[Problem]:
    """Every secret has somebody who needs it, is kept, and can stand where it is written."""
    made = [secret for secret in ctx.app.secrets if secret.generate]
    if made and not ctx.app.volumes:
        message = "without a volume, secrets that are not given are made anew at every start"
        yield ctx.key("W004", made[0].path, message, "add a volume, or generate: false")
    used = {name for service in ctx.app.services for name in service.sees}
    used |= {route.auth.secret for route in ctx.app.routes if route.auth}
    declared = [secret for secret in ctx.app.secrets if secret.name not in used]
    # A name that leads nowhere is a problem already, and the secret that was meant is none then.
    meant = {nearest(name, ctx.data["secrets"]) for name in _mentioned(ctx)} if declared else set()
    for secret in declared:
        if secret.name not in meant:
            near = nearest(secret.name, used)
            hint = f"write ${{secret.{secret.name}}} where it is wanted, or remove it"
            hint = f'did you mean "{near}"? Otherwise {hint}' if near else hint
            yield ctx.key("W009", secret.path, f'no service uses the secret "{secret.name}"', hint)
    kinds = {secret.name: secret.format for secret in ctx.app.secrets}
    for service in ctx.app.services:
        for file in service.files:
            for piece in file.content or ():
                if isinstance(piece, Secret) and kinds.get(piece.name) == "any":
                    message = f'the secret "{piece.name}" may hold characters that mean something in this file'
                    yield ctx.key("W008", file.path, message, "give it the format alphanumeric or hex")
