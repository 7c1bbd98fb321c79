"""The flagship's production image, verified with every fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.compiled import ROOT
from tests.verify.accepting import accept

if TYPE_CHECKING:
    from collections.abc import Callable

    from compiler.verify.engine import Engine


def test_the_production_image_keeps_every_promise(
    engine: Engine, record_property: Callable[[str, object], None]
) -> None:
    assert engine.version
    accept(ROOT / "appos.yaml", record_property, "--production", "--faults")
