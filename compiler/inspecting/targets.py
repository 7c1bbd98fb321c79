"""What is to be inspected: what was named, or what a spec takes ready-made; each file with what is expected of it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from compiler.errors import HostError
from compiler.inspecting import facts
from compiler.inspecting.rules import Expected
from compiler.model import READ, permits

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from compiler.errors import Mark
    from compiler.model import App, Artifact

ELF, SCRIPT = b"\x7fELF", b"#!"

FOLDERS = ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin")
"""Where whoever installs a directory looks for programs; what libraries keep below a bin is for who builds them."""


class Target(NamedTuple):
    """A file, what messages call it, what is expected of it, and where the spec says so."""

    file: str
    shown: str
    expected: Expected
    mark: Mark | None = None
    artifact: Artifact | None = None
    beside: str = "/"
    """The directory in which files lie that come along with it, or may where no artifact says what does."""


def named(paths: tuple[str, ...]) -> Iterator[Target]:
    """The files that were named, and what a program or a library is in the directories; HostError for one not there."""
    for path in paths:
        if os.path.isdir(path):
            whole = os.path.realpath(path)
            inside = Expected(where="its artifact", alone=False)
            for name, run in _programs(path, whole):
                file = os.path.join(path, name)
                yield Target(file, file, inside._replace(run=run), beside=whole)
        elif os.path.exists(path):
            yield Target(path, path, Expected(where="its artifact"))
        else:
            raise HostError(f"{path} does not exist", "name a file or a directory")


def ready_made(app: App, directory: str) -> Iterator[Target]:
    """What the spec takes ready-made from the tree, as far as it is there; and programs of services that should be."""
    commands = {service.program for service in app.services}
    for artifact in app.artifacts:
        path = os.path.join(directory, artifact.prebuilt)
        if not artifact.prebuilt or not os.path.exists(path):
            continue
        mark = app.origins.value((*artifact.path, "prebuilt"))
        base = Expected(
            libc=artifact.libc,
            mode=artifact.mode,
            where=f"artifacts.{artifact.name}",
            alone=not os.path.isdir(path),
        )
        if not os.path.isdir(path):
            run = runs(artifact.install, commands) or bool(artifact.libc)
            expected = base._replace(run=run, barred=_barred(app, artifact, artifact.install))
            yield Target(path, artifact.prebuilt, expected, mark, artifact)
            continue
        for place in sorted(commands):
            inside = place.removeprefix(f"{artifact.install}/")
            if inside != place and not os.path.exists(os.path.join(path, inside)):
                yield Target(os.path.join(path, inside), f"{artifact.prebuilt}/{inside}", base, mark, artifact)
        for inside, run in _programs(path, artifact.install, commands) if artifact in app.inspected else ():
            if any(_matches(pattern, inside) for pattern in artifact.uninspected):
                continue
            file, shown = os.path.join(path, inside), f"{artifact.prebuilt.rstrip('/')}/{inside}"
            expected = base._replace(run=run, barred=_barred(app, artifact, f"{artifact.install}/{inside}"))
            yield Target(file, shown, expected, mark, artifact, os.path.realpath(path))


def installed(app: App, directory: str) -> Iterator[tuple[str, str]]:
    """Every path at which the spec puts something, and where that lies here; empty where it is made elsewhere."""
    named = [(artifact.install, artifact.prebuilt) for artifact in app.artifacts]
    named += [(file.target, file.source) for service in app.services for file in service.files if file.source]
    for place, source in named:
        path = os.path.realpath(os.path.join(directory, source))
        yield place, path if source and os.path.exists(path) else ""


def _barred(app: App, artifact: Artifact, place: str) -> tuple[str, ...]:
    """Whose services run the program at a path of the image, and may not read it."""
    users = [service.user for service in app.services if service.program == place]
    return tuple(user for user in users if artifact.mode and not permits(artifact.mode, artifact.owner, user, READ))


def runs(place: str, commands: set[str]) -> bool:
    """Whether something at this path of an image is there to be executed."""
    return place in commands or os.path.basename(os.path.dirname(place)) in ("bin", "sbin")


def _programs(directory: str, install: str, commands: Container[str] = ()) -> Iterator[tuple[str, bool]]:
    """What is to be inspected in a directory, by its path there, and whether it is to be executed.

    That is every ELF file; where programs are, scripts, and what a server or Git gave in place of a program; and what
    services run. ``install`` is its place in the image. The build chooses in the same way: templates/inspect.sh.j2.
    """
    whole = os.path.basename(install) in ("bin", "sbin")
    for folder, folders, files in os.walk(directory):
        folders.sort()
        place = os.path.relpath(folder, directory)
        programs = place in FOLDERS or (whole and place == os.curdir)
        for name in sorted(files):
            path, inside = os.path.join(folder, name), os.path.normpath(os.path.join(place, name))
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            run = f"{install}/{inside}" in commands
            try:
                with open(path, "rb") as file:
                    head = file.read(facts.HEAD if programs else len(ELF))
            except OSError as error:
                raise HostError(f"{path} cannot be read: {error.strerror}") from None
            stored = programs and (head.startswith(SCRIPT) or _mistaken(path, head))
            if run or stored or head.startswith(ELF):
                yield inside, run or programs


def _mistaken(path: str, head: bytes) -> bool:
    """Whether something is there in place of a program; other things may lie beside programs, to be read there."""
    executable = os.stat(path).st_mode & 0o111 != 0
    if not head.strip(b"\0"):
        return executable
    return facts.substitute(head) and (executable or "." not in os.path.basename(path))


def _matches(pattern: str, path: str) -> bool:
    """As a shell matches a word in ``case``: a star is any text, slashes too."""
    parts = ({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in re.split(r"(\*|\?)", pattern))
    return re.fullmatch("".join(parts), path, re.DOTALL) is not None
