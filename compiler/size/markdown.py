"""A report -> Markdown, fit for a comment on a pull request: a headline, one table, and the rest folded.

What a name holds is never read as Markdown, nor as a mention of somebody: it stands as code, in the one of two forms
that can hold it (GitHub Flavored Markdown 0.29, sections 4.10, 6.2 and 6.3).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from compiler.report import printable
from compiler.size.amounts import changed, gone, grown, percent
from compiler.size.budget import over
from compiler.size.display import size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from compiler.size.report import Owner, Report

LIMIT = 60_000
"""Characters; GitHub takes comments of at most 65,536."""

LONGEST = 200
"""Characters of a name; of a longer one, its two ends are shown."""

ROWS = 50
"""How many shares the table has; what is smaller is added up in one row."""

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+=,~^()-]([A-Za-z0-9_./:@%+=,~^() -]*[A-Za-z0-9_./:@%+=,~^()-])?")


def text(report: Report) -> str:
    """The comment: of ``LIMIT`` characters at most, and the same for the same report."""
    lines = [*_headline(report), "", *_shares(report), ""]
    room = LIMIT - _length(lines)
    sections = (
        ("Changes", _changes(report)),
        ("Advice", _advice(report)),
        ("Files that nobody asked for", _strays(report)),
        ("Parts", _parts(report)),
    )
    for title, content in sections:
        section = _folded(title, content, room)
        lines += section
        room -= _length(section)
    return "\n".join(lines).rstrip("\n") + "\n"


def code(name: str) -> str:
    """A name as code, in which nothing means anything: in backquotes, or with each character written as a number."""
    shown = printable(name)
    shown = shown if len(shown) <= LONGEST else f"{shown[: LONGEST // 2]}...{shown[-LONGEST // 2 :]}"
    if _PLAIN.fullmatch(shown):
        return f"`{shown}`"
    escaped = "".join(c if c.isalnum() or not c.isascii() else f"&#{ord(c)};" for c in shown)
    return f"<code>{escaped}</code>"


def _length(lines: Iterable[str]) -> int:
    return sum(len(line) + 1 for line in lines)


def _folded(title: str, content: Iterator[str], room: int) -> list[str]:
    """A folded section, with as much of its content as there is room for; none for no content."""
    head, tail = [f"<details><summary>{title}</summary>", ""], ["", "</details>", ""]
    more = ["", "There is more than fits here."]
    room -= _length([*head, *more, *tail])
    kept: list[str] = []
    for line in content:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    return [*head, *kept, *(more if room < 0 else ()), *tail] if kept else []


def _headline(report: Report) -> Iterator[str]:
    words = f"### {code(report.image)}: {size(report.uncompressed)}"
    if report.compressed is not None:
        words += f", {size(report.compressed)} compressed"
    if report.against:
        words += f" ({changed(report.uncompressed - report.against.uncompressed)} since {code(report.against.name)})"
    yield words
    for item in over(report):
        yield ""
        excess = f"{item.size - item.budget:,} bytes"
        yield f"**Over the budget of {size(item.budget)}** by {excess}: {_sentence(item.what)}, {item.form}."
    budget = report.budget
    if budget:
        pairs = (("", report.uncompressed, budget.uncompressed), (", compressed", report.compressed, budget.compressed))
        for what, used, allowed in pairs:
            if allowed is not None and used is not None and used <= allowed:
                yield ""
                yield f"{size(allowed - used)} left of the budget of {size(allowed)}{what}."


def _sentence(what: str) -> str:
    """What is over its budget: the image, or a service by its name."""
    kind, _, name = what.partition(" ")
    return f"service {code(name)}" if kind == "service" else what


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _table(*heads: str) -> Iterator[str]:
    yield _row(*heads)
    yield _row("---", *("--:" for _ in heads[1:]))


def _figures(report: Report, uncompressed: int, compressed: int | None) -> list[str]:
    packed = [] if report.compressed is None else [size(compressed)]
    return [size(uncompressed), percent(uncompressed, report.uncompressed), *packed]


def _named(owner: Owner) -> str:
    return code(owner.name) if owner.kind == owner.name else f"{owner.kind} {code(owner.name)}"


class _Row(NamedTuple):
    name: str
    uncompressed: int
    compressed: int
    grown: int


def _shares(report: Report) -> Iterator[str]:
    """The table of who asked for how much, largest first."""
    against = report.against
    packed = ["compressed"] if report.compressed is not None else []
    yield from _table("asked for by", "uncompressed", "of all", *packed, *(["change"] if against else []))
    rows = [_Row(_named(s.owner), s.uncompressed, s.compressed, grown(report, s.owner) or 0) for s in report.shares]
    rows += [_Row(code(name), 0, 0, -count) for name, count in gone(report)]
    rows.sort(key=lambda row: (-row.uncompressed, row.name))
    if len(rows) > ROWS:
        rest = rows[ROWS:]
        sums = (
            sum(row.uncompressed for row in rest),
            sum(row.compressed for row in rest),
            sum(row.grown for row in rest),
        )
        rows[ROWS:] = [_Row(f"{len(rest)} more", *sums)]
    change = report.uncompressed - against.uncompressed if against else 0
    rows.append(_Row("**all**", report.uncompressed, report.compressed or 0, change))
    for name, uncompressed, compressed, difference in rows:
        yield _row(name, *_figures(report, uncompressed, compressed), *([changed(difference)] if against else []))


def _advice(report: Report) -> Iterator[str]:
    for item in report.advice:
        yield f"- **{size(item.bytes)}** {_escaped(item.what)}. To do: {_escaped(item.todo)}."
        for place in item.places:
            yield f"  - {size(place.bytes)} {code(place.path)}"
        if item.more:
            yield f"  - and {item.more} more"


def _escaped(sentence: str) -> str:
    """A sentence of ours, in which an asterisk is an asterisk."""
    return re.sub(r"([\\`*_\[\]<>|~])", r"\\\1", sentence)


def _changes(report: Report) -> Iterator[str]:
    """Everything that is not what it was; what is not a share is a package."""
    changes = report.against.changes if report.against else ()
    if changes:
        yield from _table("what", "change", "before", "now")
    for item in changes:
        name = code(item.name) if item.kind == "share" else f"{item.kind} {code(item.name)}"
        yield _row(name, changed(item.after - item.before), size(item.before), size(item.after))


def _strays(report: Report) -> Iterator[str]:
    if report.nobody:
        yield from _table("file", "uncompressed", "layer")
    for stray in report.nobody:
        yield _row(code(stray.path), size(stray.size), str(stray.layer))


def _parts(report: Report) -> Iterator[str]:
    packed = ["compressed"] if report.compressed is not None else []
    yield from _table("part", "uncompressed", "of all", *packed)
    for share in report.shares:
        for part in share.parts:
            if not part.uncompressed:
                continue
            version = f" {code(part.version)}" if part.version else ""
            shared = f", shared by {', '.join(map(code, part.shared_with))}" if part.shared_with else ""
            name = f"{_named(share.owner)}: {code(part.name)}{version}{shared}"
            yield _row(name, *_figures(report, part.uncompressed, part.compressed))
