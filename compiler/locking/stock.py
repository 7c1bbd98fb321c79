"""What the engine has: the digests of its images, and what the package manager in one of them would install."""

from __future__ import annotations

import json
import re
import secrets
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from compiler.errors import HostError
from compiler.guard import interruptible
from compiler.locking import versions
from compiler.locking.lockfile import DIGEST, VIRTUAL, Image
from compiler.locking.reference import parse
from compiler.verify.engine import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from compiler.verify.engine import Done, Engine

TIMEOUT = 300
"""Seconds for a package manager, which may have to fetch its lists, and for the engine, which may have to pull."""

SHOWN = 300
"""Characters of a package manager's complaint."""

SCRIPTS = {
    "alpine": "apk update -q >&2 && apk add --simulate {packages} && apk list --installed",
    "debian": (
        "apt-get update -qq >/dev/null && apt-get install -s --no-install-recommends {packages} "
        "&& dpkg-query -W -f 'Have ${{Package}} (${{Version}})\\n'"
    ),
}
"""By family: what would be installed, just as ``apk add`` and ``apt-get install`` choose it, and what is there."""

INSTALLED = {"alpine": "apk list --installed", "debian": "dpkg-query -W -f 'Have ${Package} (${Version})\\n'"}

_LINES = {
    "alpine": (
        re.compile(
            r"\(\s*\d+/\d+\) (?:Install|Upgrad|Downgrad|Reinstall|Replac)ing "
            r"(?P<name>\S+) \((?:\S+ -> )?(?P<version>[^\s)]+)\)"
        ),
        re.compile(r"(?P<name>\S+)-(?P<version>\d[^-\s]*-r\d+) .*\[installed\]"),
    ),
    "debian": (
        re.compile(r"Inst (?P<name>[^\s:]+)(?::\S+)? (?:\[[^\]]*\] )?\((?P<version>\S+) .*"),
        re.compile(r"Have (?P<name>\S+) \((?P<version>\S+)\)"),
    ),
}
"""By family: a package that would be installed, and one that is there already; the first word counts."""


class Versions(NamedTuple):
    """Packages with their versions, or the word for a name that only others provide; and where they were read."""

    versions: Mapping[str, str]
    source: str


def image(engine: Engine, name: str) -> Image:
    """The digest under which the engine got an image from its registry; HostError if it has none."""
    try:
        known = json.loads(engine.tell("image", "inspect", name))[0]
    except (EngineError, ValueError, IndexError):
        raise HostError(f"the engine has no {name}", f"{_program(engine)} pull {name}, or ask the registry") from None
    reference = parse(name)
    for each in known.get("RepoDigests") or ():
        repository, _, digest = str(each).partition("@")
        if parse(repository)[:2] == reference[:2] and DIGEST.fullmatch(digest):
            return Image(digest, versions.of(reference.repository, known))
    raise HostError(
        f"the engine has {name}, but no digest that a registry gave it: it was made or imported here",
        "push it to a registry, or ask the registry that has it",
    )


def packages(engine: Engine, names: Sequence[str], family: str, images: Iterable[str]) -> Versions:
    """The versions that a build would install on the first of ``images`` that the engine can run."""
    script = SCRIPTS[family].format(packages=shlex.join(names))
    said: list[str] = []
    name = ""
    for name in images:
        # A digest may have to be pulled; what has just a name is what the engine has.
        options = () if "@" in name else ("--pull", "never")
        try:
            done = _run(engine, name, script, *options)
        except EngineError as error:
            said.append(_told(error.text))
            continue
        listed = _listed(done.out, family) if done.status == 0 else {}
        if listed:
            # What is accepted, and yet is no package, is a name that others provide.
            return Versions({each: listed.get(each, VIRTUAL) for each in names}, f"the repositories of {name}")
        said.append(_told(done.err))
    hint = f"try it by hand: {_program(engine)} run --rm -it {name} sh"
    raise HostError(f"the repositories cannot tell: {'; '.join(said)}", hint)


def built(engine: Engine, names: Sequence[str], family: str, image: str) -> Versions:
    """The versions that an image which was built here has; HostError if there is none."""
    missing = HostError(f"the engine has no {image} to read versions from", "build it first")
    try:
        done = _run(engine, image, INSTALLED[family], "--pull", "never", "--network", "none")
    except EngineError:
        raise missing from None
    if done.status != 0:
        raise missing
    return Versions(read(done.out, names, family), f"what is installed in {image}")


def read(text: str, names: Iterable[str], family: str) -> dict[str, str]:
    """The versions of these packages in what a package manager printed; what it does not name is left out."""
    found = _listed(text, family)
    return {name: found[name] for name in names if name in found}


def _listed(text: str, family: str) -> dict[str, str]:
    """Every package that a package manager printed, with its version."""
    found: dict[str, str] = {}
    for form in _LINES[family]:
        for line in text.splitlines():
            match = form.fullmatch(line.strip())
            if match:
                found.setdefault(match["name"], match["version"])
    return found


def _run(engine: Engine, image: str, script: str, *options: str) -> Done:
    """How a script ends in a container of an image; of the container nothing stays, however that is."""
    name = f"appos-compile-lock-{secrets.token_hex(4)}"
    words = ("run", "--rm", "--name", name, *options, "--user", "0", "--entrypoint", "sh", image, "-c", script)
    with interruptible():
        try:
            return engine.call(*words, timeout=TIMEOUT)
        except BaseException:
            # The client is gone, which would have removed it.
            with suppress(EngineError):
                engine.call("rm", "--force", name)
            raise


def _program(engine: Engine) -> str:
    return engine.client.rpartition("/")[2]


def _told(text: str) -> str:
    """The end of what a program complained of, on one line."""
    return " ".join(text.split())[-SHOWN:] or "they say nothing"
