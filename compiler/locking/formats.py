"""What became of the pins -> a report for people or for programs."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from compiler.report import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from compiler.locking.renewing import Row

SHORT = len("sha256:") + 12
"""Characters of a digest that tell two apart."""
QUIET = ("kept", "current")
UNTOLD = ("failed", "unknown")
"""States of pins of which nobody could tell what they should be: ``source`` says why."""


class Report(NamedTuple):
    """The rows, the path of the lock file, and what holds for all of it."""

    path: str
    rows: Sequence[Row]
    written: bool
    notes: Sequence[str]
    compilation: str = ""
    """The command that brings new pins into the Dockerfiles."""


def human(report: Report) -> str:
    """A line for each pin that is worth one, and what the rest comes to."""
    shown = [row for row in report.rows if row.status not in QUIET]
    wide = max((len(row.status) for row in shown), default=0)
    lines = []
    for _, same in groupby(shown, _alike):
        rows = list(same)
        lines += _folded(rows, wide) if rows[0].status in UNTOLD else [_line(row, wide) for row in rows]
        if rows[0].hint:
            lines.append(f"  {' ' * wide}  = help: {rows[0].hint}")
    lines += [f"  note: {note}" for note in report.notes]
    lines += [f"Now run: {report.compilation}"] if report.compilation else []
    counted: dict[str, int] = {}
    for row in report.rows:
        counted[row.status] = counted.get(row.status, 0) + 1
    total = ", ".join(f"{number} {status}" for status, number in counted.items()) or "nothing to pin"
    return "".join(f"{printable(line)}\n" for line in [f"{report.path}: {total}", *lines])


def _alike(row: Row) -> tuple[str, ...]:
    """Rows that are alike in this get their hint once."""
    return (row.status, row.image, row.hint, row.source if row.status in UNTOLD else "")


def _folded(rows: Sequence[Row], wide: int) -> list[str]:
    """Everything that one and the same reason stands for."""
    first = rows[0]
    names = ", ".join(row.name for row in rows)
    return [f"  {first.status.ljust(wide)}  {names}{_on(first)}: {first.source}"]


def _line(row: Row, wide: int) -> str:
    values = " -> ".join(filter(None, (_short(row.before), _short(row.after) if row.after != row.before else "")))
    said = f" ({row.source})" if row.source else ""
    return f"  {row.status.ljust(wide)}  {row.name}{_on(row)}{f' {values}' if values else ''}{said}"


def _on(row: Row) -> str:
    return f" on {row.image}" if row.image else ""


def as_json(report: Report) -> str:
    """All of it, as one object."""
    import json

    pins = [
        {
            "kind": row.kind,
            "name": row.name,
            "image": row.image or None,
            "status": row.status,
            "pinned": row.before or None,
            "now": row.after or None,
            "source": row.source or None,
            "hint": row.hint or None,
        }
        for row in report.rows
    ]
    whole = {"lock": report.path, "written": report.written, "pins": pins, "notes": list(report.notes)}
    return json.dumps(whole, indent=2) + "\n"


FORMATS: dict[str, Callable[[Report], str]] = {"human": human, "json": as_json}


def _short(value: str) -> str:
    digest, _, version = value.partition(" ")
    shown = digest[:SHORT] if digest.startswith("sha256:") else digest
    return f"{shown} ({version})" if version else shown
