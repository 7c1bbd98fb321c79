"""Specs that somebody would really want compile to the files beside them, and use every field and preset there is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from compiler import load, pipeline, presets, resources
from tests.compiled import CASES, result, spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syrupy.assertion import SnapshotAssertion

SCHEMA: dict[str, Any] = json.loads(resources.read("schema", "appos.schema.json"))
PRESETS: dict[str, dict[str, Any]] = {
    name: load.parse(resources.read("schema", "presets", f"{name}.yaml").encode(), name).data
    for name in presets.names()
}
ALONE = """\
version: 1
name: it
image: {{base: '{base}'}}
services: {{it: {{preset: {preset}}}}}
volumes: {{data: {{mount: /data}}}}
"""


class TextFileExtension(SingleFileSnapshotExtension):
    """One snapshot a file, as it is."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"


@pytest.mark.parametrize("case", CASES)
def test_case(case: str, snapshot: SnapshotAssertion) -> None:
    compiled = result(case)
    for file in compiled.files:
        assert file.content == snapshot(name=file.path, extension_class=TextFileExtension)
    summary = [f"{file.mode:04o} {file.path}" for file in compiled.files]
    summary += [
        f"{problem.code} {problem.mark.line if problem.mark else '-'}: {problem.message}"
        for problem in compiled.warnings
    ]
    assert "".join(f"{line}\n" for line in summary) == snapshot(name="summary", extension_class=TextFileExtension)


def test_only_the_flagship_warns() -> None:
    assert [case for case in CASES if result(case).warnings] == ["appos"]


def test_every_field_is_used_by_a_case() -> None:
    used = {field for case in CASES for field in _used(SCHEMA, spec(case))}
    assert sorted(set(_fields(SCHEMA)) - used) == []


def test_every_choice_is_made_by_a_case_or_preset() -> None:
    chosen = {choice for case in CASES for choice in _chosen(SCHEMA, spec(case))}
    made = [{"services": {name: preset["service"]}} for name, preset in PRESETS.items()]
    chosen |= {choice for data in made for choice in _chosen(SCHEMA, data)}
    # Signals differ by name only; these stop few programs.
    rare = {("services.*.stop.signal", name) for name in ("HUP", "USR1", "USR2", "WINCH")}
    assert sorted(set(_choices(SCHEMA)) - chosen - rare, key=str) == []


def test_every_preset_is_used_by_a_case() -> None:
    used = {service.get("preset") for case in CASES for service in spec(case)["services"].values()}
    assert sorted(set(presets.names()) - used) == []


@pytest.mark.parametrize("base", ["alpine:3.22", "debian:trixie-slim"])
@pytest.mark.parametrize("preset", presets.names())
def test_every_preset_compiles_by_itself(preset: str, base: str) -> None:
    document = load.parse(ALONE.format(base=base, preset=preset).encode(), "appos.yaml")
    compiled = pipeline.compile_document(document, ".")
    (service,) = compiled.app.services
    assert service.command
    # nginx is the gateway of nothing here, and Convex takes its secret as an argument only.
    assert {problem.code for problem in compiled.warnings} <= {"W003", "W007"}


@pytest.mark.parametrize("preset", presets.names())
def test_every_preset_says_where_its_facts_come_from(preset: str) -> None:
    assert set(PRESETS[preset]) - {"secrets"} == {"title", "sources", "service", "families"}
    assert PRESETS[preset]["sources"]


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    named: dict[str, Any] = SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")] if "$ref" in schema else {}
    return {**named, **schema}


def _below(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The schemas of what may stand in a value: by key, and as `*` whatever key or index it has."""
    schema = _resolved(schema)
    yield from schema.get("properties", {}).items()
    for every in ("additionalProperties", "items"):
        if isinstance(schema.get(every), dict):
            yield "*", schema[every]
    for option in schema.get("anyOf", ()):
        yield from _below(option)


def _fields(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, inner in _below(schema):
        here = f"{path}.{key}".lstrip(".")
        if key != "*":
            yield here
        yield from _fields(inner, here)


def _used(schema: dict[str, Any], data: Any, path: str = "") -> Iterator[str]:
    for key, inner in _below(schema):
        here = f"{path}.{key}".lstrip(".")
        for value in _values(data, key):
            if key != "*":
                yield here
            yield from _used(inner, value, here)


def _choices(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for choice in _resolved(schema).get("enum", ()):
        # The default is chosen by saying nothing.
        if choice != _resolved(schema).get("default"):
            yield path, choice
    for key, inner in _below(schema):
        yield from _choices(inner, f"{path}.{key}".lstrip("."))


def _chosen(schema: dict[str, Any], data: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if "enum" in _resolved(schema):
        yield path, data
    for key, inner in _below(schema):
        for value in _values(data, key):
            yield from _chosen(inner, value, f"{path}.{key}".lstrip("."))


def _values(data: Any, key: str) -> list[Any]:
    if isinstance(data, dict):
        return list(data.values()) if key == "*" else [data[key]] if key in data else []
    return data if isinstance(data, list) and key == "*" else []
