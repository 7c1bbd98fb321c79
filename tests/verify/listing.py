"""Writes docs/verification.md: what `appos-compile verify` checks, and on what each check is shown to fail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from compiler.verify.checks import CHECKS
from compiler.verify.faults import FAULTS
from tests.verify import test_faults, test_routes, twins

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compiler.verify.result import Check

TARGET = Path(__file__).parents[2] / "docs" / "verification.md"

LONGEST = 60
"""Characters of what a file says instead."""

HEAD = """# What `appos-compile verify` checks

Generated from the tables of checks by `make docs`. Each row is a function in `compiler/verify/checks` or
`compiler/verify/faults`; to add one, write the function, the row, and a container that is broken in just that way
(`tests/verify`): a check that has not been seen to fail proves nothing.

`--only NAME` makes one check alone; without `--faults` the second table is left out.
"""


def table(rows: Sequence[Check], broken: dict[str, list[str]]) -> str:
    """The rows of one table as Markdown, each with the ways in which its twins are broken."""
    lines = ["| Check | Promise | Seen to fail on |", "|---|---|---|"]
    for row in rows:
        ways = "<br>".join(broken.get(row.name, ()))
        lines.append(f"| `{row.name}` | {row.promise} | {ways} |")
    return "\n".join(lines)


def ways() -> dict[str, list[str]]:
    """How the twins of each check are broken: which file says what instead."""
    found: dict[str, list[str]] = {}
    for twin in (*twins.TWINS, *test_routes.ROUTE_TWINS):
        found.setdefault(twin.check, []).append(_told(twin.file, twin.old, twin.new))
    for fault in (*test_faults.TWINS, *test_faults.ALONE):
        found.setdefault(fault.fault, []).append(_told(fault.file, fault.old, fault.new))
    return found


def _told(file: str, old: str, new: str) -> str:
    words = " ".join((new.strip() or f"without {old}").split())
    words = words if len(words) <= LONGEST else f"{words[:LONGEST]}..."
    return f"{file.rpartition('/')[2]}: `{words.replace('|', chr(92) + '|').replace('`', chr(39))}`"


def text() -> str:
    """The whole page."""
    broken = ways()
    return f"{HEAD}\n{table(CHECKS, broken)}\n\n## With `--faults`\n\n{table(FAULTS, broken)}\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
