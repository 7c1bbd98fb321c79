"""Every check fails on a container that is broken in just its way, and says so; and passes on the same one unbroken."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from compiler.verify.checks import CHECKS
from compiler.verify.running import Run, verify
from compiler.verify.trial import FLAVOURS
from tests.verify import listing, twins
from tests.verify.test_routes import ROUTE_TWINS

if TYPE_CHECKING:
    from pathlib import Path

    from compiler.verify.engine import Engine
    from compiler.verify.result import Outcome
    from compiler.verify.running import Display


class Silent:
    """Nobody looks on."""

    def flavour(self, *_: object) -> None: ...

    def begun(self, *_: object) -> None: ...

    def ended(self, *_: object) -> None: ...


def outcome(directory: Path, engine: Engine, *only: str, twin: twins.Twin | None = None) -> Outcome:
    app = twins.compiled(directory)
    if twin:
        twins.spoil(directory, twin)
    display: Display = Silent()
    return verify(Run(app, str(directory), engine, only, faults=False, keep=False), FLAVOURS[0], display)[0]


@pytest.mark.parametrize("twin", twins.TWINS, ids=lambda twin: twin.name)
def test_a_container_that_is_broken_on_purpose_fails_its_check(
    twin: twins.Twin, engine: Engine, tmp_path: Path
) -> None:
    results = {result.name: result for result in outcome(tmp_path, engine, twin.check, twin=twin).results}
    result = results[twin.check]
    assert result.status == "failed", result.evidence
    assert re.search(twin.message, result.came), result.came


def test_the_same_container_unbroken_passes_every_check(engine: Engine, tmp_path: Path) -> None:
    found = outcome(tmp_path, engine)
    assert [(result.name, result.came) for result in found.results if result.status == "failed"] == []


def test_no_check_is_without_a_twin() -> None:
    known = {twin.check for twin in (*twins.TWINS, *ROUTE_TWINS)}
    assert {check.name for check in CHECKS} == known


def test_the_list_in_the_docs_is_that_of_the_tables() -> None:
    assert listing.TARGET.read_text(encoding="utf-8") == listing.text(), "run make docs"
