"""The cases: every spec under tests/cases and the flagship, by name, each compiled once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compiler import load, pipeline

if TYPE_CHECKING:
    from compiler.pipeline import Result

ROOT = Path(__file__).parent.parent
DIRECTORIES = {
    "appos": ROOT,
    **{spec.parent.name: spec.parent for spec in sorted((ROOT / "tests" / "cases").glob("*/appos.yaml"))},
}
CASES = tuple(DIRECTORIES)


@cache
def result(case: str) -> Result:
    """What a case compiles to; raises SpecError if it is not valid."""
    return pipeline.compile_spec(str(DIRECTORIES[case] / "appos.yaml"))


@cache
def spec(case: str) -> dict[str, Any]:
    """What the spec of a case says, before presets and defaults."""
    data: dict[str, Any] = load.load(str(DIRECTORIES[case] / "appos.yaml")).data
    return data
