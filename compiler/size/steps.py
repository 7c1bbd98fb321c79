"""Which instruction of a Dockerfile made which layer: its text, and an image -> an origin for each layer."""

from __future__ import annotations

import json
import posixpath
import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from compiler.size.report import Owner
from compiler.verify.trial import FLAVOURS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from compiler.image.model import Layer
    from compiler.model import App
    from compiler.pipeline import Result

EXTRA = Owner("extra", "Dockerfile")
"""What the spec's own lines in the Dockerfile make."""


LONGEST = 80
"""Of an instruction that stands for what it made."""

SHELL = "/bin/sh -c"
"""What runs commands until an instruction says otherwise."""

QUOTED = re.compile(r"'(?P<plain>[^']*)'|\\(?P<escaped>.)|(?P<variable>\$(\w+|\{([^{}]|\{[^{}]*\})*\}))|\"")
"""What is no text as it stands in the words of COPY, ADD and WORKDIR."""


class Step(NamedTuple):
    """An instruction that makes a layer; ``owner`` is known where all of it is somebody's, ``part`` says what it is.

    ``history`` is what the history of an image may say of it.
    """

    word: str
    text: str
    owner: Owner | None
    part: tuple[str, str]
    history: re.Pattern[str]


class Origin(NamedTuple):
    """Where a layer is from: the base, or a step, if it is known."""

    base: bool
    step: Step | None


def steps(app: App, dockerfile: str) -> list[Step]:
    """The steps of the last stage, in order."""
    own = {_plain(word, rest) for point in ("packages", "end") for word, rest in _lines(app.text("Dockerfile", point))}
    found = []
    shell = SHELL
    for word, rest in _lines(dockerfile.rpartition("\nFROM ")[2].partition("\n")[2]):
        if word == "SHELL":
            shell = " ".join(_items(rest) or [SHELL])
        # The root directory is always there.
        if word not in ("RUN", "COPY", "ADD", "WORKDIR") or (word, rest) == ("WORKDIR", "/"):
            continue
        text = _plain(word, rest)
        source = re.search(r"--from=(\S+)", rest)
        stage = source.group(1) if source else ""
        owner, part = None, ("", "")
        if text in own:
            owner, part = EXTRA, ("line", text[:LONGEST])
        elif stage.endswith("-libraries"):
            owner, part = Owner("artifact", stage.removesuffix("-libraries")), ("libraries", "libraries")
        found.append(Step(word, text, owner, part, _history(text, shell)))
    return found


def origins(wanted: Sequence[Step], layers: Sequence[Layer], base: int | None) -> list[Origin]:
    """The origin of each layer; ``base`` is the number of the base's layers where somebody knows it."""
    matched = _matched(wanted, layers, base)
    if base is None:
        own = [index for index, number in enumerate(matched) if number is not None]
        # A builder that describes its layers in other words has made the last ones, one for each step.
        base = own[0] if own else max(0, len(layers) - len(wanted))
    return [
        Origin(base=index < base, step=None if number is None else wanted[number])
        for index, number in enumerate(_filled(matched, base, len(wanted)))
    ]


def _matched(wanted: Sequence[Step], layers: Sequence[Layer], base: int | None) -> list[int | None]:
    """The number of the step that the history names for each layer."""
    matched: list[int | None] = [None] * len(layers)
    following = 0
    for index, layer in enumerate(layers):
        if base is not None and index < base:
            continue
        text = _said(layer.created_by)
        for number in range(following, len(wanted)):
            if wanted[number].history.fullmatch(text):
                matched[index], following = number, number + 1
                break
    return matched


def _filled(matched: Sequence[int | None], base: int, count: int) -> list[int | None]:
    """The numbers of steps, also of layers between two that are known, if as many steps lie between those."""
    known = [(index, number) for index, number in enumerate(matched) if number is not None]
    found = list(matched)
    for (low, first), (high, last) in pairwise([(base - 1, -1), *known, (len(matched), count)]):
        if high - low == last - first:
            found[low + 1 : high] = range(first + 1, last)
    return found


def dockerfiles(result: Result, wanted: Sequence[str]) -> dict[str, str]:
    """The Dockerfiles among a spec's outputs, by the names of their flavours: the wanted ones, or all."""
    flavours = [flavour for flavour in FLAVOURS if not wanted or flavour.name in wanted]
    return {f.name: file.content for f in flavours for file in result.files if file.path == f.dockerfile}


def fitting(
    app: App, dockerfiles: Mapping[str, str], layers: Sequence[Layer], base: int | None
) -> tuple[str, list[Origin]]:
    """The name of that Dockerfile which fits the history of the layers best, and the origin of each layer by it."""
    wanted = {name: steps(app, text) for name, text in dockerfiles.items()}
    best = max(wanted, key=lambda name: sum(number is not None for number in _matched(wanted[name], layers, base)))
    return best, origins(wanted[best], layers, base)


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Each instruction, continued lines joined and comments left out."""
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\[ \t]*\n", "", kept).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word:
            yield word.upper(), rest.strip()


def _plain(word: str, rest: str) -> str:
    """An instruction without its options, and with single spaces."""
    return " ".join([word, *re.sub(r"^(--[a-z-]+(=\S*)?\s+)+", "", rest.strip()).split()])


def _said(created_by: str) -> str:
    """The same of what the history says of a layer."""
    word, _, rest = created_by.removesuffix("# buildkit").strip().partition(" ")
    return _plain(word, rest)


def _history(text: str, shell: str) -> re.Pattern[str]:
    """What the history says of an instruction, by BuildKit's ``dockerfile2llb/convert.go``.

    A command with its shell, behind the arguments of the build; a list without its signs; paths unquoted, with the
    values of variables, which only the build knows, and a directory with those before it.
    """
    word, _, rest = text.partition(" ")
    items = _items(rest)
    if word == "RUN":
        before = "" if items else f"({re.escape(shell)} )?"
        command = re.escape(" ".join(" ".join(items or [rest]).split()))
        return re.compile(rf"RUN (\|\d+ .*)?{before}{command}")
    if word == "WORKDIR":
        path = posixpath.normpath(rest.strip("\"'"))
        return re.compile(f"WORKDIR {'' if path[0] in '/$' else '.*/'}{_unquoted(path)}")
    return re.compile(f"{word} {_unquoted(' '.join(items or [rest]))}")


def _items(rest: str) -> list[str]:
    """The words of a list in JSON; none of anything else."""
    try:
        found = json.loads(rest) if rest.startswith("[") else []
    except ValueError:
        return []
    return found if all(isinstance(item, str) for item in found) else []


def _unquoted(words: str) -> str:
    """A pattern of what a builder makes of words: without quotes, and with anything for a variable."""
    pieces, end = [], 0
    for found in QUOTED.finditer(words):
        pieces.append(re.escape(words[end : found.start()]))
        pieces.append(".*" if found["variable"] else re.escape(found["plain"] or found["escaped"] or ""))
        end = found.end()
    return "".join([*pieces, re.escape(words[end:])])
