"""The random specs cover the whole schema: every field has a strategy, is really drawn, and what is drawn is valid."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from compiler import load, pipeline, resources
from compiler.errors import SpecError
from tests.strategies import FIELDS, FREE, Case, cases, write

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 4
SCHEMA: dict[str, Any] = json.loads(resources.read("schema", "appos.schema.json"))


def objects(node: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each object with fields of its own below a place of the schema; references are not followed."""
    if "properties" in node:
        yield name, node
    for key, inner in node.get("properties", {}).items():
        yield from objects(inner, f"{name}.{key}")
    for inner in (*node.get("anyOf", ()), node.get("additionalProperties"), node.get("items")):
        if isinstance(inner, dict):
            yield from objects(inner, name)


def known() -> dict[str, dict[str, Any]]:
    """Each object of the schema by its name."""
    found = dict(objects(SCHEMA, ""))
    for name, definition in SCHEMA["$defs"].items():
        found |= dict(objects(definition, name))
    return found


def occurring(node: Any, name: str, data: Any) -> Iterator[tuple[str, str]]:
    """Each (object, field) of the schema that occurs in the data."""
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        node = SCHEMA["$defs"][name]
    for inner in node.get("anyOf", ()):
        yield from occurring(inner, name, data)
    if isinstance(data, list):
        for item in data:
            yield from occurring(node.get("items", {}), name, item)
    if isinstance(data, dict):
        fields, others = node.get("properties", {}), node.get("additionalProperties")
        for key, value in data.items():
            if key in fields:
                yield name, key
                yield from occurring(fields[key], f"{name}.{key}", value)
            elif isinstance(others, dict):
                yield from occurring(others, name, value)
            elif fields:
                yield name, "x-"


def test_every_field_of_the_schema_has_a_strategy_and_no_other() -> None:
    assert {name: sorted(node["properties"]) for name, node in known().items()} == {
        name: sorted(fields) for name, fields in FIELDS.items()
    }


def test_every_object_that_takes_free_keys_is_known() -> None:
    assert {name for name, node in known().items() if "patternProperties" in node} == FREE


def test_the_specs_are_valid_and_every_field_occurs() -> None:
    seen: Counter[tuple[str, str]] = Counter()
    refused: list[str] = []
    total = 0

    @settings(
        max_examples=500,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def look(case: Case) -> None:
        nonlocal total
        total += 1
        seen.update(set(occurring(SCHEMA, "", case.spec)))
        with tempfile.TemporaryDirectory() as directory:
            for name, text in case.tree.items():
                os.makedirs(os.path.dirname(os.path.join(directory, name)), exist_ok=True)
                with open(os.path.join(directory, name), "w", encoding="utf-8", newline="") as file:
                    file.write(text)
            try:
                pipeline.compile_document(load.parse(write(case.spec, case.style), "appos.yaml"), directory)
            except SpecError as error:
                refused.extend(f"{p.code} {p.message}" for p in error.problems if p.severity == "error")

    fields = {(name, field) for name, node in known().items() for field in node["properties"]}
    # What is drawn depends on what else has been imported, too: rare fields may take more than one round.
    for number in range(ROUNDS):
        seed(number)(look)()
        if fields <= set(seen):
            break
    assert sorted(fields - set(seen)) == []
    assert any(field == "x-" for _, field in seen)
    assert len(refused) <= total * 0.05, Counter(refused).most_common(10)


@settings(max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(cases(), st.integers(0, 2**16))
def test_a_spec_is_read_as_it_was_meant_in_whatever_style(case: Case, style: int) -> None:
    assert load.parse(write(case.spec, style), "appos.yaml").data == case.spec
