"""What is to be inspected: what was named, or what a spec takes ready-made; each file with what is expected of it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from compiler.errors import HostError
from compiler.inspecting import facts
from compiler.inspecting.rules import Expected
from compiler.values import plain

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from compiler.errors import Mark
    from compiler.model import App, Artifact

MAGIC = (b"\x7fELF", b"#!")


class Target(NamedTuple):
    """A file, what messages call it, what is expected of it, and where the spec says so."""

    file: str
    shown: str
    expected: Expected
    mark: Mark | None = None
    artifact: Artifact | None = None
    beside: str = "/"
    """The directory in which files lie that may come along with it, where no artifact says what does."""


def named(paths: tuple[str, ...]) -> Iterator[Target]:
    """The files that were named, and what a program or a library is in the directories; HostError for one not there."""
    for path in paths:
        if os.path.isdir(path):
            whole = os.path.realpath(path)
            yield from (Target(file, file, _inside(file), beside=whole) for file in _programs(path, path))
        elif os.path.exists(path):
            yield Target(path, path, Expected(where="its artifact"))
        else:
            raise HostError(f"{path} does not exist", "name a file or a directory")


def ready_made(app: App, directory: str) -> Iterator[Target]:
    """What the spec takes ready-made from the tree, as far as it is there; and programs of services that should be."""
    commands = {plain(service.command[0]) or "" for service in app.services if service.command}
    for artifact in app.artifacts:
        path = os.path.join(directory, artifact.prebuilt)
        if not artifact.prebuilt or not os.path.exists(path):
            continue
        mark = app.origins.value((*artifact.path, "prebuilt"))
        base = Expected(
            libc=artifact.libc,
            mode=artifact.mode,
            owner=artifact.owner,
            where=f"artifacts.{artifact.name}",
            alone=not os.path.isdir(path),
        )
        if not os.path.isdir(path):
            run = runs(artifact.install, commands) or bool(artifact.libc)
            expected = base._replace(run=run, accounts=_accounts(app, artifact.install))
            yield Target(path, artifact.prebuilt, expected, mark, artifact)
            continue
        for place in sorted(commands):
            inside = place.removeprefix(f"{artifact.install}/")
            if inside != place and not os.path.exists(os.path.join(path, inside)):
                yield Target(os.path.join(path, inside), f"{artifact.prebuilt}/{inside}", base, mark, artifact)
        # What the gateway only sends is data, wherever it lies.
        inspected = artifact in app.inspected
        for file in _programs(path, artifact.install if inspected else "", commands):
            inside = os.path.relpath(file, path)
            if any(_matches(pattern, inside) for pattern in artifact.uninspected):
                continue
            place = f"{artifact.install}/{inside}"
            run = runs(place, commands) or (not artifact.mode and _inside(file).run)
            shown = f"{artifact.prebuilt.rstrip('/')}/{inside}"
            expected = base._replace(run=run, accounts=_accounts(app, place))
            yield Target(file, shown, expected, mark, artifact)


def installed(app: App, directory: str) -> Iterator[tuple[str, str]]:
    """Every path at which the spec puts something, and where that lies here; empty where it is made elsewhere."""
    named = [(artifact.install, artifact.prebuilt) for artifact in app.artifacts]
    named += [(file.target, file.source) for service in app.services for file in service.files if file.source]
    for place, source in named:
        path = os.path.realpath(os.path.join(directory, source))
        yield place, path if source and os.path.exists(path) else ""


def _accounts(app: App, place: str) -> tuple[str, ...]:
    """Whose services run the program at a path of the image."""
    return tuple(service.user for service in app.services if service.command and plain(service.command[0]) == place)


def runs(place: str, commands: set[str]) -> bool:
    """Whether something at this path of an image is there to be executed."""
    return place in commands or os.path.basename(os.path.dirname(place)) in ("bin", "sbin")


def _inside(file: str) -> Expected:
    """In a directory, what lies under bin is to be executed, and what somebody may execute."""
    return Expected(
        run=os.path.basename(os.path.dirname(file)) in ("bin", "sbin") or os.access(file, os.X_OK),
        where="its artifact",
        alone=False,
    )


def _programs(directory: str, install: str, commands: Container[str] = ()) -> Iterator[str]:
    """The ELF files and scripts below a directory, by their first bytes, and what else lies where programs are.

    ``install`` is its place in the image, empty where nothing in it is executed but by what it is.
    """
    for folder, folders, files in os.walk(directory):
        folders.sort()
        place = os.path.normpath(os.path.join(install, os.path.relpath(folder, directory))) if install else ""
        for name in sorted(files):
            path = os.path.join(folder, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            try:
                with open(path, "rb") as file:
                    head = file.read(facts.HEAD if place else 4)
            except OSError as error:
                raise HostError(f"{path} cannot be read: {error.strerror}") from None
            if head.startswith(MAGIC) or (place and (f"{place}/{name}" in commands or _misplaced(path, place, head))):
                yield path


def _misplaced(path: str, place: str, head: bytes) -> bool:
    """Whether something that is no program lies where programs are, and not to be read there, such as bin/activate."""
    if os.path.basename(place) not in ("bin", "sbin"):
        return False
    named = os.path.splitext(path)[1] not in ("", ".exe")
    return os.stat(path).st_mode & 0o111 != 0 or not (named or facts.text(head))


def _matches(pattern: str, path: str) -> bool:
    """As a shell matches a word in ``case``: a star is any text, slashes too."""
    parts = ({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in re.split(r"(\*|\?)", pattern))
    return re.fullmatch("".join(parts), path, re.DOTALL) is not None
