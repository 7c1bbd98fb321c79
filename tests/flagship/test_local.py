"""The flagship's local image, verified with every fault."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.compiled import ROOT
from tests.verify.accepting import accept

if TYPE_CHECKING:
    from collections.abc import Callable

    from compiler.verify.engine import Engine


def test_the_local_image_keeps_every_promise(engine: Engine, record_property: Callable[[str, object], None]) -> None:
    assert engine.version
    # What is built here is taken out of the production image's stages, which are in the cache.
    subprocess.run(["make", "payload"], cwd=ROOT, check=True)
    accept(ROOT / "appos.yaml", record_property, "--local", "--faults")
