"""Schema, model, presets, outputs and defaults agree, both ways."""

from __future__ import annotations

import ast
import copy
import json
import re
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from compiler import load, model, pipeline, resources
from compiler.errors import SpecError
from compiler.outputs import OUTPUTS
from tests.running import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Steps = tuple[str | int, ...]

SCHEMA = json.loads(resources.read("schema", "appos.schema.json"))
PRESETS = [name for name in resources.names("schema", "presets") if name.endswith(".yaml")]
CASES = sorted((ROOT / "tests" / "cases").glob("*/appos.yaml"))

BUDGET: dict[str, Any] = {
    "uncompressed": "100MB",
    "compressed": "60MB",
    "services": {"app": {"uncompressed": "20MB", "compressed": "8MB"}},
}
SPEC: dict[str, Any] = {
    "version": 1,
    "name": "all",
    "image": {"base": "alpine:3.24", "budget": BUDGET},
    "artifacts": {
        "built": {
            "build": {"image": "golang:1.26-trixie", "source": "src", "run": ["go build -o x ."], "output": "x"},
            "install": "/usr/local/bin/built",
            "libc": "glibc",
        },
        "site": {"prebuilt": "site", "install": "/srv/site"},
        "copied": {"from": {"image": "caddy:2.10.0", "path": "/usr/bin/caddy"}, "install": "/usr/bin/caddy"},
        "fetched": {
            "fetch": {"url": "https://example.org/x-{arch}", "sha256": {"amd64": "0" * 64, "arm64": "1" * 64}},
            "install": "/usr/local/bin/fetched",
        },
    },
    "services": {
        "web": {"preset": "nginx", "port": 80},
        "own": {"command": ["own"], "port": 81, "gateway": {"server": "nginx", "user": "own"}, "user": "root"},
        "app": {
            "command": ["app", "${database}"],
            "user": "app",
            "port": 8080,
            "ready": {"http": "/ready"},
            "alive": {},
            "verify": {},
            "stop": {},
            "files": {"a.conf": {"content": "${secret.key}"}},
        },
    },
    "routes": {
        "/": {"static": "site"},
        "/api/": {"service": "app", "auth": {"basic": {"user": "x", "secret": "key"}}},
        "/asked/": {"service": "app", "auth": {"request": {"service": "app", "path": "/auth"}}},
    },
    "http": {},
    "volumes": {"data": {"mount": "/data", "directories": {"x": {"owner": "app"}}}},
    "database": {"file": "inner/app.db", "owner": "app"},
    "ports": {"http": {"publish": 8080, "service": "web"}},
    "secrets": {"key": {}},
    "settings": {"LEVEL": {}},
    "health": {},
    "limits": {},
    "hooks": {},
    "extra": {
        "Dockerfile": {},
        "dockerignore": {},
        "docker-compose.yml": {},
        ".env": {},
        "supervisord.conf": {},
        "nginx.conf": {},
        "entrypoint.sh": {},
    },
    "silence": [{"code": "W001", "reason": "an example"}],
}
"""A spec in which every object of the schema stands at least once, with as little in it as may be."""

DERIVED: dict[str, Any] = {
    "image.name": "all",
    "image.labels": {},
    "artifacts.built.mode": "0755",
    "artifacts.built.libraries": "golang:1.26-trixie",
    "volumes.data.variable": "ALL_DATA_PATH",
    "database.volume": "data",
    "ports.http.target": 80,
    "ports.http.protocol": "tcp",
    "ports.http.variable": "HTTP_PORT",
    "secrets.key.variable": "KEY",
    "routes./api/.timeout": "60s",
    "routes./api/.max_body": "1MB",
    "services.app.directory": None,
}
"""Defaults that the schema can only put into words, since they depend on something else."""


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    target = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    return {**_resolved(target), **{key: value for key, value in schema.items() if key != "$ref"}}


def _properties(schema: dict[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property anywhere in a schema, by its place in the file."""
    for keyword, inner in schema.items():
        if keyword == "properties":
            for name, field in inner.items():
                yield f"{place}/{name}", field
                yield from _properties(field, f"{place}/{name}")
        elif keyword in ("$defs", "patternProperties"):
            for name, field in inner.items():
                yield from _properties(field, f"{place}/{name}")
        elif keyword in ("additionalProperties", "items", "propertyNames") and isinstance(inner, dict):
            yield from _properties(inner, f"{place}/{keyword}")
        elif keyword == "anyOf":
            for number, part in enumerate(inner):
                yield from _properties(part, f"{place}/{keyword}{number}")


PROPERTIES = dict(_properties(SCHEMA, ""))


def _occurrences(schema: dict[str, Any], data: Any, path: Steps) -> Iterator[tuple[Steps, dict[str, Any]]]:
    """Every property that the spec could have, by its path, with its schema."""
    schema = _resolved(schema)
    for part in [schema, *schema.get("anyOf", ())]:
        part = _resolved(part)  # noqa: PLW2901 - the same part, seen through its reference
        if isinstance(data, dict):
            for name, field in part.get("properties", {}).items():
                yield (*path, name), _resolved(field)
                if name in data:
                    yield from _occurrences(field, data[name], (*path, name))
            others = part.get("additionalProperties")
            for name in data if isinstance(others, dict) else ():
                assert isinstance(others, dict)
                yield from _occurrences(others, data[name], (*path, name))
        if isinstance(data, list) and "items" in part:
            for index, item in enumerate(data):
                yield from _occurrences(part["items"], item, (*path, index))


def _grouped() -> dict[str, dict[Steps, dict[str, Any]]]:
    """The paths at which each property could stand, with its schema; the first path names it."""
    same: dict[str, dict[Steps, dict[str, Any]]] = {}
    for path, field in _occurrences(SCHEMA, SPEC, ()):
        same.setdefault(json.dumps(field, sort_keys=True), {})[path] = field
    return {".".join(map(str, next(iter(paths)))): paths for paths in same.values()}


GROUPED = _grouped()


def _with(path: Steps, value: Any = ...) -> dict[str, Any]:
    """The spec with another value at a path, or without what stands there."""
    spec = copy.deepcopy(SPEC)
    # One gateway at a time.
    del spec["services"]["web" if path[:2] == ("services", "own") else "own"]
    if path[:2] == ("services", "own"):
        spec["ports"]["http"]["service"] = "own"
    if path[:1] == ("extra",) and path[1:]:
        spec["extra"] = {path[1]: spec["extra"][path[1]]} if len(path) > 2 else {}
    else:
        del spec["extra"]
    if path[:1] != ("silence",):
        del spec["silence"]
    if len(path) == 1:
        spec = {key: SPEC[key] for key in ("version", "name", "image")} | {"services": {"app": {"command": ["app"]}}}
    inner: Any = spec
    for step in path[:-1]:
        inner = inner.setdefault(step, {}) if isinstance(inner, dict) else inner[step]
    if value is ...:
        inner.pop(path[-1], None)
    else:
        inner[path[-1]] = value
    return spec


def _made(spec: dict[str, Any], directory: Path) -> Any:
    """What a spec compiles to, or the codes of what keeps it from compiling."""
    document = load.parse(json.dumps(spec).encode(), "appos.yaml")
    try:
        result = pipeline.compile_document(document, str(directory))
    except SpecError as error:
        return {(problem.code, problem.message) for problem in error.problems}
    return result.files, {(problem.code, problem.message) for problem in result.warnings}


# --- the schema


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("place", PROPERTIES)
def test_every_field_has_a_title_a_description_and_an_example_that_is_valid(place: str) -> None:
    field = _resolved(PROPERTIES[place])
    assert field["title"].strip() == field["title"] != ""
    assert field["description"].endswith(".")
    if "properties" not in field:
        assert field["examples"]
    only = {"$defs": SCHEMA["$defs"], **PROPERTIES[place]}
    validator = jsonschema.Draft202012Validator(only)
    for value in [*field.get("examples", ()), *([field["default"]] if "default" in field else [])]:
        validator.validate(value)


@pytest.mark.parametrize("name", SCHEMA["$defs"])
def test_every_definition_is_used(name: str) -> None:
    assert f'"#/$defs/{name}"' in json.dumps(SCHEMA)


def test_every_object_is_closed() -> None:
    def objects(schema: Any) -> Iterator[dict[str, Any]]:
        if isinstance(schema, dict):
            if "properties" in schema and "type" in schema:
                yield schema
            for inner in schema.values():
                yield from objects(inner)
        elif isinstance(schema, list):
            for inner in schema:
                yield from objects(inner)

    assert all(each.get("additionalProperties") is False for each in objects(SCHEMA))


def test_the_spec_of_this_test_has_every_object() -> None:
    seen = {json.dumps(field, sort_keys=True) for paths in GROUPED.values() for field in paths.values()}
    missing = [place for place, field in PROPERTIES.items() if json.dumps(_resolved(field), sort_keys=True) not in seen]
    assert missing == []


# --- defaults


@pytest.mark.parametrize("name", [n for n, paths in GROUPED.items() if "default" in next(iter(paths.values()))])
def test_a_default_of_the_schema_is_what_the_compiler_uses(name: str, tmp_path: Path) -> None:
    """At every place where the field may stand; some rule may refuse it at others."""
    compared = 0
    for path, field in GROUPED[name].items():
        absent, written = _made(_with(path), tmp_path), _made(_with(path, field["default"]), tmp_path)
        assert isinstance(absent, tuple), absent
        if isinstance(written, tuple):
            assert written == absent
            compared += 1
    assert compared


@pytest.mark.parametrize("dotted", DERIVED)
def test_a_default_in_words_is_what_the_compiler_uses(dotted: str, tmp_path: Path) -> None:
    path = tuple(dotted.split("."))
    if DERIVED[dotted] is not None:
        made = _made(_with(path), tmp_path)
        assert isinstance(made, tuple), made
        assert _made(_with(path, DERIVED[dotted]), tmp_path) == made


# --- every field does something


OTHERWISE: dict[str, Any] = {
    "services.app.accounts": ["app"],
    "database.volume": "other",
    "ports.http.variable": "OTHER",
    "volumes.data.variable": "OTHER",
}
"""Values beside the examples that make a difference in the spec above, where the examples do not."""


@pytest.mark.parametrize("name", GROUPED)
def test_every_field_makes_a_difference(name: str, tmp_path: Path) -> None:
    paths = GROUPED[name]
    field = next(iter(paths.values()))
    values = [*field.get("examples", ()), *field.get("enum", ())]
    if "const" in field or "properties" in field or name.endswith(".reason"):
        return  # it can say nothing else; the fields of an object are looked at one by one; a reason is for people
    if ".verify." in name:
        return  # what proves that a service keeps its data is in no file
    if name.startswith("image.budget.services."):
        return  # what a service may take is for those who measure the image, not for the image
    assert any(
        _made(_with(path, value), tmp_path) != _made(_with(path), tmp_path)
        for path in paths
        for value in [
            *values,
            *([OTHERWISE[".".join(map(str, path))]] if ".".join(map(str, path)) in OTHERWISE else []),
        ]
    )


def test_the_code_reads_every_field() -> None:
    read = {
        node.value
        for file in (ROOT / "compiler").rglob("*.py")
        if not file.name.startswith("_") or file.name == "__init__.py"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    points = {point for output in SCHEMA["$defs"]["extra"]["properties"].values() for point in output["properties"]}
    templates = "".join(path.read_text() for path in (ROOT / "templates").iterdir())
    read |= {point for point in points if f'"{point}"' in templates}
    assert {place.rpartition("/")[2] for place in PROPERTIES} - read <= {"version", "reason", *("amd64", "arm64")}


# --- the model


def _fields() -> list[tuple[str, str]]:
    kinds = [kind for kind in vars(model).values() if isinstance(kind, type) and hasattr(kind, "_fields")]
    return [(kind.__name__, field) for kind in kinds for field in kind._fields if kind.__module__ == model.__name__]


@pytest.mark.parametrize(("kind", "field"), _fields())
def test_every_field_of_the_model_is_used_by_someone(kind: str, field: str) -> None:
    sources = [
        *(path for path in (ROOT / "compiler").rglob("*.py") if path.name != "_templates.py"),
        *(path for path in (ROOT / "templates").iterdir() if path.name != "_starter.yaml.j2"),
    ]
    users = [path for path in sources if re.search(rf"\.{field}\b|attr\w*\(\"{field}", path.read_text())]
    assert users, f"{kind}.{field}"


# --- presets


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_valid_service(name: str) -> None:
    data = load.parse(resources.read("schema", "presets", name).encode(), name).data
    assert set(data) <= {"title", "sources", "service", "secrets", "families"}
    assert data["title"]
    assert data["sources"]
    assert all("http" in source or "/" in source for source in data["sources"])
    families = load.parse(resources.read("schema", "families.yaml").encode(), "families.yaml").data
    assert set(data["families"]) <= set(families)

    def check(definition: str, value: Any) -> None:
        schema = {"$defs": SCHEMA["$defs"], "$ref": f"#/$defs/{definition}"}
        jsonschema.Draft202012Validator(schema).validate(value)

    check("service", data["service"])
    for facts in data["families"].values():
        check("service", facts)
        check("service", {**data["service"], **facts})
    for secret in data.get("secrets", {}).values():
        check("secret", secret)
    used = set(re.findall(r"\$\{self\.secret\.([a-z0-9_]+)\}", json.dumps(data)))
    assert used == set(data.get("secrets", {}))


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_used_by_a_case(name: str) -> None:
    preset = name.removesuffix(".yaml")
    specs = [*CASES, ROOT / "appos.yaml"]
    assert any(re.search(rf"preset: {preset}\b", spec.read_text()) for spec in specs)


# --- outputs


def test_every_output_has_a_template_and_every_template_an_output() -> None:
    templates = {name for name in resources.names("templates") if not name.startswith("_")}
    assert templates == {f"{output.name}.j2" for output in OUTPUTS}


def test_every_template_that_is_no_output_is_used() -> None:
    texts = {path.name: path.read_text() for path in (ROOT / "templates").iterdir()}
    sources = "".join(path.read_text() for path in (ROOT / "compiler").glob("*.py"))
    for name in (name for name in texts if name.startswith("_")):
        assert any(f'"{name}"' in text for other, text in texts.items() if other != name) or f'"{name}"' in sources


def test_every_escape_hatch_is_for_an_output() -> None:
    names = {output.name for output in OUTPUTS}
    assert set(SCHEMA["$defs"]["extra"]["properties"]) - {"dockerignore"} <= names


def test_the_compilers_own_data_is_read_without_a_problem() -> None:
    for parts in (("families.yaml",), ("bases.yaml",), ("codes.yaml",), *(("presets", name) for name in PRESETS)):
        assert load.parse(resources.read("schema", *parts).encode(), parts[-1]).data
