"""The text of a lock file -> its pins and where each stands, or every problem it has; and pins -> the text.

One pin a line, sorted, without a date: a change of one pin changes one line, and two branches merge line by line.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from compiler import load
from compiler.errors import HostError, Mark, Problem, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Path = tuple["str | int", ...]

FORMAT = 1

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_IMAGE = re.compile(rf"({DIGEST.pattern})(?: ([0-9A-Za-z][0-9A-Za-z.+_-]{{0,99}}))?")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_:~-]{0,199}")
VIRTUAL = "virtual"
"""In place of a version: other packages provide the name, and none has it, so that there is nothing to pin."""
_DIGITS = "sha256: and 64 hexadecimal digits"
SECTIONS = {"images": (_IMAGE, _DIGITS), "packages": (_VERSION, "the version of a package"), "files": (DIGEST, _DIGITS)}
"""What a pin looks like in each section, and what it is called."""
ANEW = 'write it anew with "appos-compile lock --update", or take it back from git'

_PLAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._+~/@-]|:(?=[^\s]))*")
"""What our reader of YAML takes for the same text without quotes, numbers and constants apart."""
_CONSTANT = re.compile(r"[0-9]+|true|false|null")

_HEADER = """\
# What {spec} is built from, exactly: written by "appos-compile lock", read by appos-compile. Commit it.
# To move one pin: appos-compile lock --update NAME. A repository may keep only the newest build of a package:
# where a build says that a version cannot be found, move that pin. What is out of date: appos-compile lock --check
"""


class Image(NamedTuple):
    """What an image's name stood for: the digest of its manifest or index, and what it says of its version."""

    digest: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.digest} {self.version}".rstrip()


class Lock(NamedTuple):
    """Pins by what they pin: images, the packages of each image's repositories, and downloads.

    ``marks`` are the places of the pins, by section and names.
    """

    images: Mapping[str, Image]
    packages: Mapping[str, Mapping[str, str]]
    files: Mapping[str, str]
    name: str = ""
    marks: Mapping[Path, Mark] = {}


EMPTY = Lock({}, {}, {})


def read(path: str, name: str) -> tuple[Lock | None, tuple[Problem, ...]]:
    """The pins in the file at ``path``, which messages call ``name``; or none, and what is wrong with it."""
    try:
        return parse(load.read(path), name), ()
    except SpecError as error:
        return None, error.problems
    except HostError as error:
        message = error.message.replace(path, name)
        return None, (Problem("E110", message, Mark(name, 1, 1), "mend it, or remove it to build without pins"),)


def parse(raw: bytes, name: str) -> Lock:
    """The pins of a lock file; SpecError with every problem it has."""
    try:
        document = load.parse(raw, name)
    except SpecError as error:
        raise SpecError(_unread(load.displayed(raw), name, error.problems)) from None
    problems = tuple(_Form(document).problems())
    if problems:
        raise SpecError(problems)
    data = document.data
    return Lock(
        {image: _image(pin) for image, pin in (data.get("images") or {}).items()},
        {image: dict(pins) for image, pins in (data.get("packages") or {}).items()},
        dict(data.get("files") or {}),
        name,
        document.keys,
    )


def _unread(text: str, name: str, problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """What is wrong with a text that is no sound YAML: nobody writes it by hand, so that the advice is another."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("<<<<<<< "):
            message = "a merge left two versions of this lock file here"
            return (Problem("E110", message, Mark(name, number, 1, len(line)), ANEW),)
    return tuple(problem._replace(code="E110", hint=ANEW) for problem in problems)


def text(lock: Lock, spec: str) -> str:
    """The text of a lock file for the spec of that name; the same pins always give the same text."""
    lines = [_HEADER.format(spec=spec) + f"version: {FORMAT}"]
    if lock.images:
        lines += ["images:", *(f"  {_word(name)}: {pin}" for name, pin in sorted(lock.images.items()))]
    packages = {image: pins for image, pins in lock.packages.items() if pins}
    if packages:
        lines.append("packages:")
        for image, pins in sorted(packages.items()):
            lines += [f"  {_word(image)}:", *(f"    {_word(name)}: {_word(pin)}" for name, pin in sorted(pins.items()))]
    if lock.files:
        lines += ["files:", *(f"  {_word(name)}: {pin}" for name, pin in sorted(lock.files.items()))]
    return "\n".join([*lines, ""])


def _word(value: str) -> str:
    plain = _PLAIN.fullmatch(value) and not _CONSTANT.fullmatch(value)
    return value if plain else json.dumps(value, ensure_ascii=False)


def _image(pin: str) -> Image:
    digest, _, version = pin.partition(" ")
    return Image(digest, version)


class _Form:
    """Looks at the sections of a lock file; finds what does not fit."""

    def __init__(self, document: load.Document) -> None:
        self.document = document

    def problems(self) -> Iterator[Problem]:
        """Everything that does not fit, in the order of the file."""
        data = self.document.data
        version = data.get("version")
        if version != FORMAT:
            newer = isinstance(version, int) and version > FORMAT
            hint = "update appos-compile: a newer one wrote this" if newer else ANEW
            yield self.at(("version",), f"the format of this lock file is not {FORMAT}", hint)
            return
        for section, pins in data.items():
            if section in SECTIONS and pins is not None and not isinstance(pins, dict):
                yield self.at((section,), f'"{section}" must have a name and a pin on each line')
            elif section == "packages":
                yield from self.packages(pins or {})
            elif section in SECTIONS:
                yield from self.pins((section,), pins or {}, *SECTIONS[section])
            elif section != "version":
                mark = self.document.keys[section,]
                yield Problem("E110", f'a lock file has no section "{section}"', mark, ANEW)

    def packages(self, images: Mapping[str, Any]) -> Iterator[Problem]:
        """Images with their packages, each with a version."""
        for image, pins in images.items():
            if isinstance(pins, dict):
                yield from self.pins(("packages", image), pins, *SECTIONS["packages"])
            else:
                yield self.at(("packages", image), f'"{image}" must have a package and its version on each line')

    def pins(self, path: Path, pins: Mapping[str, Any], form: re.Pattern[str], what: str) -> Iterator[Problem]:
        """Pins of one kind."""
        for name, pin in pins.items():
            if not isinstance(pin, str) or not form.fullmatch(pin):
                yield self.at((*path, name), f'the pin of "{name}" is not {what}')

    def at(self, path: Path, message: str, hint: str = "") -> Problem:
        """A problem at the value of ``path``, at the beginning where there is none."""
        mark = self.document.marks.get(path) or self.document.keys.get(path) or Mark(self.document.name, 1, 1)
        return Problem("E110", message, mark, hint or ANEW)
