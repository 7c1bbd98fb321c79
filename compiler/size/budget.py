"""What the spec allows against what there is: a report -> what is over, and the lines that say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from compiler.size.display import size
from compiler.size.report import Budget, Owner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compiler.model import App
    from compiler.size.report import Report


class Over(NamedTuple):
    """Something that takes more than it may."""

    what: str
    count: int
    allowed: int

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"{self.what}: {self.count:,} bytes, {self.count - self.allowed:,} over the budget of {self.allowed:,}"
            f" ({size(self.count)} of {size(self.allowed)})"
        )


def budget(app: App) -> Budget | None:
    """What the spec allows; None if it says nothing."""
    image = app.image
    if image.budget is None and image.budget_compressed is None and not image.budget_services:
        return None
    return Budget(image.budget, image.budget_compressed, image.budget_services)


def service(report: Report, name: str) -> int:
    """Bytes of a service: its own share, and that of the artifact of the same name which it runs."""
    return sum(share.uncompressed for share in report.shares if share.owner == Owner("service", name))


def over(report: Report) -> list[Over]:
    """Everything that is over its budget; exactly at it is fine."""
    allowed = report.budget or Budget(None, None)
    found = []
    if allowed.uncompressed is not None:
        found.append(Over("the image, uncompressed", report.uncompressed, allowed.uncompressed))
    if allowed.compressed is not None and report.compressed is not None:
        found.append(Over("the image, compressed", report.compressed, allowed.compressed))
    found += [Over(f"service {name}", service(report, name), most) for name, most in allowed.services]
    return [item for item in found if item.count > item.allowed]


def itemised(report: Report, before: Mapping[str, int]) -> list[str]:
    """The shares of a report, largest first; with what they were ``before``, by name, those that grew first."""
    rows = [(str(share.owner), share.uncompressed) for share in report.shares]
    rows += [(name, 0) for name in before if name not in dict(rows)]
    grown = {name: count - before.get(name, 0) for name, count in rows} if before else {}
    rows.sort(key=lambda row: (-max(0, grown.get(row[0], 0)), -row[1], row[0]))
    lines = []
    for name, count in rows:
        change = grown.get(name, 0)
        lines.append(f"{count:>15,}  {name}" + (f"  {'+' if change > 0 else '-'}{abs(change):,}" if change else ""))
    return lines


def lines(found: Sequence[Over], report: Report, before: Mapping[str, int]) -> list[str]:
    """What ``--check`` prints where something is over: what, and whose it is, the culprit first."""
    return [*(f"over budget: {item}" for item in found), *itemised(report, before)]
