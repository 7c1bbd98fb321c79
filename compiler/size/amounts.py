"""Differences and parts, as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.size.display import size

if TYPE_CHECKING:
    from compiler.size.report import Owner, Report


def changed(difference: int) -> str:
    """``+1.20 MB``, with a sign; ``0`` for no change."""
    sign = "+" if difference > 0 else "\N{MINUS SIGN}"
    return f"{sign}{size(abs(difference))}" if difference else "0"


def percent(part: int, whole: int) -> str:
    """``50.6 %`` of the whole; ``<0.1 %`` for what is there and would be rounded to nothing."""
    share = f"{100 * part / whole if whole else 0:.1f} %"
    return "<0.1 %" if part and share == "0.0 %" else share


def grown(report: Report, owner: Owner) -> int | None:
    """By how many bytes a share has grown; None where there is nothing to compare with."""
    changes = report.against.changes if report.against else ()
    found = (change.after - change.before for change in changes if change.kind == "share" and change.name == str(owner))
    return next(found, 0) if report.against else None


def gone(report: Report) -> tuple[tuple[str, int], ...]:
    """Who had how many bytes before and has no share now, largest first."""
    changes = report.against.changes if report.against else ()
    names = {str(share.owner) for share in report.shares}
    had = [(change.name, change.before) for change in changes if change.kind == "share" and change.name not in names]
    return tuple(sorted(had, key=lambda item: (-item[1], item[0])))
