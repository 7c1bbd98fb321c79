"""Which instruction of a Dockerfile made which layer: its text, and an image -> an origin for each layer."""

from __future__ import annotations

import re
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


class Step(NamedTuple):
    """An instruction that makes a layer; ``owner`` is known where all of it is somebody's, ``part`` says what it is."""

    word: str
    text: str
    owner: Owner | None
    part: tuple[str, str] = ("", "")


class Origin(NamedTuple):
    """Where a layer is from: the base, or a step, if it is known."""

    base: bool
    step: Step | None


def steps(app: App, dockerfile: str) -> list[Step]:
    """The steps of the last stage, in order."""
    own = {_plain(word, rest) for point in ("packages", "end") for word, rest in _lines(app.text("Dockerfile", point))}
    found = []
    for word, rest in _lines(dockerfile.rpartition("\nFROM ")[2].partition("\n")[2]):
        if word not in ("RUN", "COPY", "ADD", "WORKDIR"):
            continue
        text = _plain(word, rest)
        source = re.search(r"--from=(\S+)", rest)
        stage = source.group(1) if source else ""
        owner, part = None, ("", "")
        if text in own:
            owner, part = EXTRA, ("line", text[:LONGEST])
        elif stage.endswith("-libraries"):
            owner, part = Owner("artifact", stage.removesuffix("-libraries")), ("libraries", "libraries")
        found.append(Step(word, text, owner, part))
    return found


def origins(wanted: Sequence[Step], layers: Sequence[Layer], base: int | None) -> list[Origin]:
    """The origin of each layer; ``base`` is the number of the base's layers where somebody knows it."""
    matched: list[Step | None] = [None] * len(layers)
    following = 0
    for index, layer in enumerate(layers):
        if base is not None and index < base:
            continue
        text = _said(layer.created_by)
        for number in range(following, len(wanted)):
            if wanted[number].text == text:
                matched[index], following = wanted[number], number + 1
                break
    if base is None:
        own = [index for index, step in enumerate(matched) if step]
        # A builder that describes its layers in other words has made the last ones, one for each step.
        base = own[0] if own else max(0, len(layers) - len(wanted))
    if not any(matched) and len(layers) - base == len(wanted):
        matched[base:] = wanted
    return [Origin(base=index < base, step=step) for index, step in enumerate(matched)]


def dockerfiles(result: Result, wanted: Sequence[str]) -> dict[str, str]:
    """The Dockerfiles among a spec's outputs, by the names of their flavours: the wanted ones, or all."""
    flavours = [flavour for flavour in FLAVOURS if not wanted or flavour.name in wanted]
    return {f.name: file.content for f in flavours for file in result.files if file.path == f.dockerfile}


def fitting(
    app: App, dockerfiles: Mapping[str, str], layers: Sequence[Layer], base: int | None
) -> tuple[str, list[Origin]]:
    """The name of that Dockerfile which fits the history of the layers best, and the origin of each layer by it."""
    candidates = {name: origins(steps(app, text), layers, base) for name, text in dockerfiles.items()}
    best = max(candidates, key=lambda name: sum(origin.step is not None for origin in candidates[name]))
    return best, candidates[best]


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Each instruction, continued lines joined and comments left out."""
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\[ \t]*\n", " ", kept).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word:
            yield word.upper(), rest


def _plain(word: str, rest: str) -> str:
    """An instruction without its options, and with single spaces."""
    return " ".join([word, *re.sub(r"^(--[a-z-]+(=\S*)?\s+)+", "", rest.strip()).split()])


def _said(created_by: str) -> str:
    """The same of what the history says of a layer, which names the shell and the arguments of the build as well."""
    text = created_by.removesuffix("# buildkit").strip()
    word, _, rest = text.partition(" ")
    if word == "RUN":
        rest = re.sub(r"^(\|\d+ .*?)?/bin/sh -c ", "", rest)
    return _plain(word, rest)
