"""An inventory -> a table of its licences: each licence, how many components are under it, and which.

A component that is under several licences at once stands in several rows; a choice of licences is a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.report import printable
from compiler.sbom.licences import demanded

if TYPE_CHECKING:
    from compiler.sbom.model import Inventory

UNKNOWN = "NOASSERTION"
"""What SPDX calls a licence that nobody has stated."""

WITHOUT = ("image", "system", "service", "artifact", "file")
"""Kinds that state no licence: what they consist of does, or nobody."""


def document(inventory: Inventory) -> str:
    """The licences, sorted, those that nobody has stated last."""
    found: dict[str, set[str]] = {}
    for component in inventory.components:
        if component.kind not in WITHOUT:
            texts = dict(component.licence.references)
            for part in demanded(component.licence) or (UNKNOWN,):
                # A licence that is no SPDX one is known by its own words.
                found.setdefault(printable(texts.get(part, part)), set()).add(printable(component.name))
    if not found:
        return ""
    width = min(max(map(len, found)), 60)
    head = f"{'LICENCE'.ljust(width)}  COMPONENTS\n"
    rows = sorted(found.items(), key=lambda row: (row[0] == UNKNOWN, row[0].lower(), row[0]))
    return head + "".join(f"{name.ljust(width)}  {len(names):>3}  {', '.join(sorted(names))}\n" for name, names in rows)
