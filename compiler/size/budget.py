"""What the spec allows against what there is: a report -> what is over, and the lines that say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.report import printable
from compiler.size.display import grown, size
from compiler.size.report import Budget, Limit, Over

if TYPE_CHECKING:
    from collections.abc import Iterable

    from compiler.model import App
    from compiler.size.report import Report, Share

IMAGE = "the image"


def budget(app: App) -> Budget | None:
    """What the spec allows; None if it says nothing."""
    image = app.image
    if image.budget is None and image.budget_compressed is None and not image.budget_services:
        return None
    services = tuple((name, Limit(*limits)) for name, *limits in image.budget_services)
    return Budget(image.budget, image.budget_compressed, services)


def compresses(allowed: Budget | None) -> bool:
    """Whether compressed sizes have to be known to tell."""
    if allowed is None:
        return False
    return allowed.compressed is not None or any(limit.compressed is not None for _, limit in allowed.services)


def over(report: Report) -> tuple[Over, ...]:
    """Everything that is over its budget, services first; exactly at it is fine."""
    if report.budget is None:
        return ()
    rows: list[tuple[str, int, int | None, Limit | Budget]] = []
    for name, limit in report.budget.services:
        shares = [share for share in report.shares if share.service == name]
        sums = sum(share.uncompressed for share in shares), sum(share.compressed for share in shares)
        rows.append((f"service {name}", *sums, limit))
    rows.append((IMAGE, report.uncompressed, report.compressed, report.budget))
    return tuple(
        Over(what, form, count, allowed)
        for what, uncompressed, compressed, limit in rows
        for form, count, allowed in (
            ("uncompressed", uncompressed, limit.uncompressed),
            ("compressed", compressed, limit.compressed),
        )
        if allowed is not None and count is not None and count > allowed
    )


def culprit(report: Report) -> Share:
    """Whose the excess most likely is: of a service over its budget, else what grew most, else what is largest."""
    shares = {str(share.owner): share for share in report.shares}
    for item in report.over:
        own = [share for share in report.shares if item.what == f"service {share.service}"]
        if own:
            return max(own, key=lambda share: share.uncompressed)
    grown = [c for c in (report.against.changes if report.against else ()) if c.kind == "share" and c.after > c.before]
    if grown and grown[0].name in shares:
        return shares[grown[0].name]
    return max(report.shares, key=lambda share: share.uncompressed)


def verdict(report: Report) -> str:
    """What ``--check`` says: what is over and whose doing it is, what grew, and every share, largest first."""
    if not report.over:
        return _shown([*_fine(report), *grown(report)])
    first = culprit(report)
    lines = [
        f"over budget by {_bytes(item.size - item.budget)}: {item.what} takes {item.size:,} bytes {item.form},"
        f" of {item.budget:,}"
        for item in report.over
    ]
    percent = 100 * first.uncompressed // max(1, report.uncompressed)
    lines.append(f"culprit: {first.owner}, {first.uncompressed:,} bytes, {percent} % of the image")
    lines += grown(report)
    lines.append("largest first:")
    rest = sorted(report.shares, key=lambda share: (share is not first, -share.uncompressed))
    for share in rest:
        lines.append(f"{share.uncompressed:>15,}  {share.owner}")
        lines += [f"{part.uncompressed:>15,}      {part.name} {part.version}".rstrip() for part in share.parts[:3]]
    return _shown(lines)


def _shown(lines: Iterable[str]) -> str:
    return "".join(f"{printable(line)}\n" for line in lines)


def _bytes(count: int) -> str:
    return f"{count:,} byte{'' if count == 1 else 's'}"


def _fine(report: Report) -> list[str]:
    allowed = report.budget or Budget(None, None)
    lines = [
        f"fine: {IMAGE} takes {size(count)} {form} of {size(most)}, {most - count:,} bytes left"
        for form, count, most in (
            ("uncompressed", report.uncompressed, allowed.uncompressed),
            ("compressed", report.compressed, allowed.compressed),
        )
        if most is not None and count is not None
    ]
    return lines + [f"fine: service {name} is within its budget" for name, _ in allowed.services]
