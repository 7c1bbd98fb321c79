"""The quick validator, which the build makes of the schema, and jsonschema agree on everything."""

from __future__ import annotations

import copy
import json
import os
import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import hatch_build
from compiler import load, resources, schema
from tests.strategies import cases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.strategies import Case

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCHEMA: dict[str, Any] = json.loads(resources.read("schema", schema.NAME))
LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
QUICKLY = settings(deadline=None, derandomize=not LONG, suppress_health_check=list(HealthCheck))


@lru_cache(maxsize=1)
def generated() -> dict[str, Any]:
    """What the build would make of the schema as it is now."""
    module: dict[str, Any] = {}
    exec(compile(hatch_build.validator(), "_validator.py", "exec"), module)  # noqa: S102 - our own
    return module


def fits(validate: Callable[[Any], Any], data: Any) -> bool:
    try:
        validate(data)
    except ValueError:
        return False
    return True


@cache
def definition(name: str) -> tuple[Callable[[Any], Any], Any]:
    """Both validators of one definition of the schema, or of the whole for no name."""
    whole = schema.load()
    if not name:
        return generated()["validate"], Draft202012Validator(whole)
    part = {"$defs": whole["$defs"], "$ref": f"#/$defs/{name}"}
    return generated()[f"validate____defs_{name}"], Draft202012Validator(part)


def check_agreed(data: Any, name: str = "") -> None:
    quick, slow = definition(name)
    before = copy.deepcopy(data)
    assert fits(quick, data) == slow.is_valid(data), f"{name}: {data!r}"
    assert data == before, "the quick one changed it"


# --- the schema


def schemas(part: Any) -> Iterator[dict[str, Any]]:
    """Every schema in a schema, itself first."""
    if isinstance(part, dict):
        yield part
        for key, value in part.items():
            if key in hatch_build.SCHEMAS_BY_NAME:
                for inner in value.values():
                    yield from schemas(inner)
            elif key in ("items", "additionalProperties", "propertyNames", "not"):
                yield from schemas(value)
            elif key in ("anyOf", "oneOf", "allOf"):
                for inner in value:
                    yield from schemas(inner)


def test_every_keyword_means_the_same_to_both_validators() -> None:
    used = {keyword for part in schemas(SCHEMA) for keyword in part}
    assert used <= hatch_build.KEYWORDS | hatch_build.ANNOTATIONS
    assert hatch_build.draft7(SCHEMA)


@pytest.mark.parametrize(
    "part",
    [
        {"properties": {"a": {"dependentRequired": {"b": ["c"]}}}},
        {"items": [{"type": "string"}]},
        {"anyOf": [{"unevaluatedProperties": False}]},
        {"type": "string", "format": "uri"},
        {"prefixItems": [{}]},
    ],
)
def test_a_keyword_that_draft_7_has_not_is_not_translated(part: dict[str, Any]) -> None:
    with pytest.raises(hatch_build.UnsupportedError):
        hatch_build.draft7(part)


def test_a_reference_does_not_hide_what_stands_beside_it() -> None:
    part = {"$ref": "#/$defs/a", "minLength": 2, "title": "A", "$defs": {"a": {"type": "string"}}}
    assert hatch_build.draft7(part) == {
        "$defs": {"a": {"type": "string"}},
        "allOf": [{"$ref": "#/$defs/a"}],
        "minLength": 2,
    }


def test_patterns_are_such_as_both_read_alike() -> None:
    patterns = {part["pattern"] for part in schemas(SCHEMA) if "pattern" in part}
    patterns |= {pattern for part in schemas(SCHEMA) for pattern in part.get("patternProperties", ())}
    for pattern in patterns:
        assert not re.search(r"\\[dDwWsSZAbB]", pattern), f"{pattern}: means other characters elsewhere"
        assert not re.search(r"\[[^\]]*\$[^\]]*\]", pattern), (
            f"{pattern}: a dollar sign in brackets is taken for the end"
        )


# --- data


def specs() -> Iterator[str]:
    folder = os.path.join(ROOT, "tests", "cases")
    yield os.path.join(ROOT, "appos.yaml")
    yield from (os.path.join(folder, name, "appos.yaml") for name in sorted(os.listdir(folder)))


@lru_cache(maxsize=1)
def written() -> tuple[Any, ...]:
    """The data of every spec of the tree."""
    return tuple(load.load(path).data for path in specs())


def test_both_accept_every_spec_of_the_tree() -> None:
    for data in written():
        assert fits(generated()["validate"], data)
        check_agreed(data)


JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(
            None,
            True,
            False,
            0,
            1,
            -1,
            2,
            3,
            512,
            65535,
            65536,
            10**9,
            10**17,
            "",
            " ",
            "a",
            "A",
            "a\n",
            "\n",
            "1",
            "/",
            "/a",
        ),
        *(
            "/a\n",
            "a/../b",
            "${self.port}",
            "10s",
            "10s\n",
            "5",
            "1MB",
            "true",
            "é",
            "x" * 400,
            "x-a",
            "0755",
            "*",
            "a b",
        ),
        *(
            [],
            {},
            [1],
            ["a"],
            ["a", "a"],
            [True, 1],
            [[]],
            {"a": 1},
            {"x-a": 1},
            {"": ""},
            {"a\n": {}},
            [{}],
            {"http": "/"},
        ),
    ]
)


@st.composite
def mutated(draw: Callable[[st.SearchStrategy[Any]], Any], valid: Any) -> Any:
    """Valid data with a few changes anywhere: other values, names and kinds, things removed, added and doubled."""
    data = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 3))):
        holder, key = data, draw(st.sampled_from(sorted(data)))
        while isinstance(holder[key], dict | list) and holder[key] and draw(st.integers(0, 5)):
            holder = holder[key]
            key = draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        change(draw, holder, key)
        if not data:
            break
    return data


def change(draw: Callable[[st.SearchStrategy[Any]], Any], holder: Any, key: Any) -> None:
    value = holder[key]
    kind = draw(st.sampled_from(["junk", "text", "remove", "rename", "add", "wrap", "double"]))
    if kind == "text" and isinstance(value, str):
        holder[key] = draw(
            st.sampled_from([f"{value}\n", f" {value}", value.upper(), value * 2, f"{value}/", f"{value}$"])
        )
    elif kind == "remove":
        del holder[key]
    elif kind == "rename" and isinstance(holder, dict):
        holder[draw(st.sampled_from([f"{key}\n", f"x-{key}", f"{key}s", key.upper(), ""]))] = holder.pop(key)
    elif kind == "add" and isinstance(value, dict):
        value[draw(st.sampled_from(["x-note", "a", "A", "a\n", "/a", "http", "port"]))] = draw(JUNK)
    elif kind == "wrap":
        holder[key] = draw(st.sampled_from([[value], {"a": value}, [value, value]]))
    elif kind == "double" and isinstance(value, list):
        holder[key] = value * 2
    else:
        holder[key] = draw(JUNK)


@settings(QUICKLY, max_examples=400)
@given(st.data())
def test_both_agree_on_specs_with_mistakes(data: st.DataObject) -> None:
    check_agreed(data.draw(mutated(data.draw(st.sampled_from(written())))))


@settings(QUICKLY, max_examples=100)
@given(cases(), st.data())
def test_both_agree_on_any_spec_with_and_without_mistakes(case: Case, data: st.DataObject) -> None:
    check_agreed(case.spec)
    check_agreed(data.draw(mutated(case.spec)))


@cache
def directed(name: str, right: bool) -> st.SearchStrategy[Any]:
    """Data for a definition of the schema: as it says, or at its limits and just beyond them."""
    return from_schema(SCHEMA["$defs"][name], right)


def from_schema(part: Any, right: bool) -> st.SearchStrategy[Any]:
    """Data for a part of the schema."""
    if "$ref" in part:
        name = part["$ref"].removeprefix("#/$defs/")
        return st.deferred(lambda: directed(name, right))
    if "const" in part or "enum" in part:
        values = [part["const"]] if "const" in part else part["enum"]
        return st.sampled_from(values if right else [*values, *map(str, values), *map(bool, values), None])
    found = [from_schema(inner, right) for key in ("anyOf", "oneOf", "allOf") for inner in part.get(key, ())]
    kinds = part.get("type", [])
    found += [KINDS[kind](part, right) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    return st.one_of(*found) if found and right else st.one_of(*found, JUNK)


def _texts(part: Any, right: bool) -> st.SearchStrategy[Any]:
    given = [example for example in part.get("examples", ()) if isinstance(example, str)] or ["a"]
    examples = st.sampled_from(given)
    texts = st.from_regex(part["pattern"].replace("$", r"\Z")) if "pattern" in part else st.text(min_size=1, max_size=5)
    if right:
        return texts if given == ["a"] else st.one_of(examples, texts)
    low, high = part.get("minLength", 0), min(part.get("maxLength", 20), 400)
    sized = st.sampled_from([low, high, high + 1, max(0, low - 1)]).map(lambda size: "a" * size)
    return st.one_of(sized, *(kind.map(lambda text: f"{text}\n") for kind in (examples, texts)))


def _numbers(part: Any, right: bool) -> st.SearchStrategy[Any]:
    low, high = part.get("minimum", 0), part.get("maximum", 100)
    return st.sampled_from([low, high] if right else [low - 1, high + 1, str(low), True, False])


def _lists(part: Any, right: bool) -> st.SearchStrategy[Any]:
    items = st.lists(from_schema(part.get("items", {}), right), min_size=part.get("minItems", 0), max_size=3)
    return items if right else st.one_of(items, items.map(lambda found: found * 2), st.just([]))


def _objects(part: Any, right: bool) -> st.SearchStrategy[Any]:
    other = part.get("additionalProperties")
    names: st.SearchStrategy[Any] = st.sampled_from(["x-a", "x-b"] if right else ["x-a", "other", ""])
    more: st.SearchStrategy[Any] = st.dictionaries(names, JUNK, max_size=1)
    if isinstance(other, dict):
        names = from_schema(part.get("propertyNames", {"type": "string"}), right).filter(lambda n: isinstance(n, str))
        more = st.dictionaries(names, from_schema(other, right), min_size=part.get("minProperties", 0), max_size=2)
    fields = {name: from_schema(inner, right) for name, inner in part.get("properties", {}).items()}
    needed = {name: fields.pop(name) for name in part.get("required", ()) if name in fields}
    known = st.fixed_dictionaries(needed, optional=fields)
    return st.tuples(known, more).map(lambda pair: {**pair[0], **pair[1]})


KINDS: dict[str, Callable[[Any, bool], st.SearchStrategy[Any]]] = {
    "string": _texts,
    "integer": _numbers,
    "array": _lists,
    "object": _objects,
    "boolean": lambda _, right: st.sampled_from([True, False] if right else [0, 1, "true"]),
    "null": lambda _, right: st.none() if right else JUNK,
}


@pytest.mark.parametrize("name", sorted(SCHEMA["$defs"]))
def test_both_agree_on_each_definition(name: str) -> None:
    seen = set()

    @settings(QUICKLY, max_examples=60)
    @given(st.one_of(directed(name, right=True), directed(name, right=False), JUNK))
    def agree(data: Any) -> None:
        check_agreed(data, name)
        seen.add(fits(definition(name)[0], data))

    agree()
    assert seen == {True, False}, "this tests little: either no data fits, or all does"
