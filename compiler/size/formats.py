"""A report for programs: JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compiler.size.report import LayerSize, Report


def document(report: Report) -> dict[str, Any]:
    """The report as plain data."""
    budget, against = report.budget, report.against
    return {
        "version": 1,
        "image": report.image,
        "id": report.id,
        "flavour": report.flavour,
        "uncompressed": report.uncompressed,
        "compressed": report.compressed,
        "compressed_estimated": report.measured,
        "engine": report.engine,
        "budget": budget
        and {
            "uncompressed": budget.uncompressed,
            "compressed": budget.compressed,
            "services": {name: limit._asdict() for name, limit in budget.services},
        },
        "over": [item._asdict() for item in report.over],
        "against": against
        and {
            "name": against.name,
            "uncompressed": against.uncompressed,
            "compressed": against.compressed,
            "changes": [change._asdict() for change in against.changes],
        },
        "layers": [_layer(layer) for layer in report.layers],
        "shares": [
            {
                "kind": share.owner.kind,
                "name": share.owner.name,
                "service": share.service or None,
                "uncompressed": share.uncompressed,
                "compressed": share.compressed,
                "parts": [part._asdict() | {"shared_with": list(part.shared_with)} for part in share.parts],
            }
            for share in report.shares
        ],
        "nobody": [stray._asdict() for stray in report.nobody],
        "advice": [item._asdict() | {"places": [place._asdict() for place in item.places]} for item in report.advice],
    }


def _layer(layer: LayerSize) -> dict[str, Any]:
    data = layer._asdict()
    return {"index": data.pop("number"), **data}


def as_json(report: Report) -> str:
    """One object with everything."""
    return json.dumps(document(report), ensure_ascii=False, indent=2) + "\n"
