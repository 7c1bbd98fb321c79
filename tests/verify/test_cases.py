"""Other containers than the flagship: other bases, databases and languages, and a service that is alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.verify import twins
from tests.verify.accepting import accept

if TYPE_CHECKING:
    from collections.abc import Callable

    from compiler.verify.engine import Engine

CASES = sorted(path.parent for path in (Path(__file__).parent / "cases").glob("*/appos.yaml"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_container_of_another_kind_keeps_every_promise(
    case: Path, engine: Engine, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    assert engine.version
    shutil.copytree(case, tmp_path, dirs_exist_ok=True)
    twins.compiled(tmp_path)
    accept(tmp_path / "appos.yaml", record_property)
