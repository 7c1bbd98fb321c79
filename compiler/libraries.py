"""What bases bring for programs, and which packages bring the rest: data, read when it is asked for."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from compiler import resources

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDTH = 140


@lru_cache(maxsize=1)
def _data() -> Mapping[str, Any]:
    # JSON, since reading YAML would take longer than all the rest of a compilation.
    import json

    data: Mapping[str, Any] = json.loads(resources.read("schema", "libraries.json"))
    return data


def known(family: str) -> Mapping[str, Any]:
    """The facts about a family of bases: what it brings, packages, and releases."""
    facts: Mapping[str, Any] = _data()[family]
    return facts


def providers(family: str) -> list[str]:
    """Lines of words NAME:PACKAGE, of the libraries and interpreters that a family does not bring by itself."""
    lines = [""]
    for name, package in known(family)["packages"].items():
        word = f"{name}:{package}"
        if len(lines[-1]) + len(word) >= WIDTH:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines
