"""The numbers that are kept from one measurement to the next: a report -> the text of ``size.json`` and back.

Small and sorted, so that a pull request shows what changed; and what the spec asked for, so that the compiler can tell
what a change of it adds before anything is built.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from compiler.size import demand
from compiler.size.report import COMPILER, Against, Change, Owner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compiler.model import App, Artifact
    from compiler.size.report import Report

NAME = "size.json"
VERSION = 1


class Numbers(NamedTuple):
    """What an image took, uncompressed: shares and packages by name; ``asked`` is what the spec said of each share."""

    base: str
    uncompressed: int
    compressed: int | None
    shares: Mapping[str, int]
    packages: Mapping[str, int]
    asked: Mapping[str, tuple[str, ...]]


class Prediction(NamedTuple):
    """What an image will take at least, and the packages that are new, with their known sizes."""

    least: int
    added: tuple[tuple[str, int], ...]


def path(app: App) -> str:
    """Where the numbers are kept, relative to the spec."""
    return f"{app.output}/{NAME}"


def asks(app: App) -> dict[str, tuple[str, ...]]:
    """What the spec says of each share, in words of which each adds bytes: packages, and how artifacts are made."""
    wanted: dict[Owner, set[str]] = {owner: set(names) for owner, names in demand.asked(app).items()}
    for artifact in app.artifacts:
        wanted.setdefault(Owner("artifact", artifact.name), set()).add(f"made:{_print(artifact)}")
    if app.image.trim:
        wanted.setdefault(COMPILER, set()).add("trim:false")
    return {str(owner): tuple(sorted(words)) for owner, words in sorted(wanted.items())}


def _print(artifact: Artifact) -> str:
    return sha256(repr(artifact._replace(path=())).encode()).hexdigest()[:8]


def of(report: Report, app: App) -> Numbers:
    """The numbers of a report."""
    packages: dict[str, int] = {}
    for share in report.shares:
        for part in share.parts:
            if share.owner.kind != "base" and part.kind == "package":
                packages[part.name] = packages.get(part.name, 0) + part.uncompressed
    return Numbers(
        base=app.image.base,
        uncompressed=report.uncompressed,
        compressed=report.compressed,
        shares={str(share.owner): share.uncompressed for share in report.shares},
        packages=packages,
        asked=asks(app),
    )


def render(kept: Mapping[str, Numbers]) -> str:
    """The text of the file; ``kept`` are the numbers of each flavour."""
    document = {"version": VERSION} | {flavour: found._asdict() for flavour, found in kept.items()}
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def read(text: str) -> dict[str, Numbers]:
    """The numbers of each flavour; ValueError where the text makes no sense, such as in the middle of a merge."""
    try:
        document = json.loads(text)
        if document["version"] != VERSION:
            raise ValueError(f"it is of version {document['version']!r:.20}, not {VERSION}")
        return {flavour: _numbers(data) for flavour, data in document.items() if flavour != "version"}
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON from line {error.lineno} on") from None
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is not what was written ({error!r:.80})") from None


def parse(text: str) -> dict[str, Numbers]:
    """The numbers of each flavour; none where the text makes no sense."""
    try:
        return read(text)
    except ValueError:
        return {}


def _numbers(data: Any) -> Numbers:
    compressed = data["compressed"]
    return Numbers(
        base=str(data["base"]),
        uncompressed=_bytes(data["uncompressed"]),
        compressed=None if compressed is None else _bytes(compressed),
        shares={str(name): _bytes(size) for name, size in data["shares"].items()},
        packages={str(name): _bytes(size) for name, size in data["packages"].items()},
        asked={str(name): tuple(map(str, words)) for name, words in data["asked"].items()},
    )


def _bytes(count: Any) -> int:
    """A number of bytes, as it was written; with others, such as infinity, nobody can count."""
    if not isinstance(count, int) or not 0 <= count < 2**63:
        raise TypeError(f"{count!r:.20} bytes")
    return count


def against(name: str, before: Numbers, now: Numbers) -> Against:
    """Everything that is not what it was, what grew most first."""
    changes = [
        Change(kind, item, old.get(item, 0), new.get(item, 0))
        for kind, old, new in (("share", before.shares, now.shares), ("package", before.packages, now.packages))
        for item in sorted({*old, *new})
        if old.get(item, 0) != new.get(item, 0)
    ]
    changes.sort(key=lambda change: (change.before - change.after, change.kind != "share", change.name))
    return Against(name, before.uncompressed, before.compressed, tuple(changes))


def predict(app: App, before: Numbers, table: Mapping[str, int]) -> Prediction | None:
    """What the image of a spec will take at least, by what was measured; None where the base is another one.

    What is no longer asked for is taken away as far as it could be gone, with all that came along or was shared; what
    is new is added as far as its size is known: from the measurement, or from ``table``.
    """
    if app.image.base != before.base:
        return None
    now = asks(app)
    known = {**table, **before.packages}
    lost = [owner for owner, words in before.asked.items() if set(words) - set(now.get(owner, ()))]
    gone = sum(before.shares.get(owner, 0) for owner in lost)
    gone += before.shares.get("shared", 0) if lost else 0
    kept = {
        word for owner, words in now.items() if owner in lost for word in words if word in before.asked.get(owner, ())
    }
    there = {word for words in before.asked.values() for word in words} | (set() if lost else set(before.packages))
    fresh = {word for words in now.values() for word in words} - there
    added = sorted(((name, known[name]) for name in fresh if name in known), key=lambda row: (-row[1], row[0]))
    least = before.uncompressed - gone + sum(known.get(name, 0) for name in kept) + sum(size for _, size in added)
    return Prediction(max(0, least), tuple(added))
