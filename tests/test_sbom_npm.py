"""A lock file of npm tells what an artifact may hold: what is asked for at run time, each version once."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.sbom import npm
from tests.compiled import ROOT

SHA512 = "sha512-" + base64.b64encode(hashlib.sha512(b"x").digest()).decode()


def lock(packages: dict[str, Any], **fields: Any) -> str:
    return json.dumps({"name": "site", "lockfileVersion": 3, "packages": {"": fields, **packages}})


def names(found: npm.Lock) -> list[tuple[str, str]]:
    return [(package.name, package.version) for package in found.packages]


def test_development_links_and_the_project_itself_are_left_out() -> None:
    found = npm.read(
        lock(
            {
                "node_modules/a": {
                    "version": "1.0.0",
                    "license": "MIT",
                    "integrity": SHA512,
                    "resolved": "https://x/a",
                },
                "node_modules/vite": {"version": "6.0.0", "dev": True},
                "node_modules/both": {"version": "1.0.0", "devOptional": True},
                "node_modules/part": {"resolved": "part", "link": True},
                "part": {"version": "1.0.0"},
            },
            dependencies={"a": "^1"},
            devDependencies={"vite": "^6"},
        )
    )
    assert names(found) == [("a", "1.0.0"), ("both", "1.0.0")]
    assert found.wanted == (("a", "1.0.0"),)
    assert found.packages[0] == npm.Package(
        "a", "1.0.0", "MIT", "https://x/a", (("sha512", hashlib.sha512(b"x").hexdigest()),), (), optional=False
    )
    assert found.packages[1].optional


def test_each_finds_the_version_that_lies_nearest() -> None:
    found = npm.read(
        lock(
            {
                "node_modules/a": {"version": "1.0.0", "dependencies": {"b": "^2", "c": "*"}},
                "node_modules/a/node_modules/b": {"version": "2.0.0", "dependencies": {"c": "*"}},
                "node_modules/b": {"version": "1.0.0"},
                "node_modules/c": {"version": "3.0.0"},
            },
            dependencies={"a": "*", "b": "^1"},
        )
    )
    depends = {(package.name, package.version): package.depends for package in found.packages}
    assert depends["a", "1.0.0"] == (("b", "2.0.0"), ("c", "3.0.0"))
    assert depends["b", "2.0.0"] == (("c", "3.0.0"),)
    assert found.wanted == (("a", "1.0.0"), ("b", "1.0.0"))


@pytest.mark.parametrize("order", [1, -1])
def test_a_package_at_several_places_is_optional_only_if_it_is_at_each(order: int) -> None:
    stated = {"version": "1.0.0", "license": "MIT", "integrity": SHA512, "resolved": "https://x/a"}
    bare = {"version": "1.0.0", "optional": True, "dependencies": {"b": "*"}}
    first, second = (stated, bare)[::order]
    found = npm.read(
        lock(
            {
                "node_modules/a": first,
                "node_modules/b": {"version": "1.0.0", "optional": True},
                "node_modules/x": {"version": "1.0.0", "optional": True},
                "node_modules/x/node_modules/a": second,
                "node_modules/x/node_modules/b": {"version": "1.0.0", "optional": True},
            },
            dependencies={"a": "*"},
            peerDependencies={"a": "*"},
            optionalDependencies={"x": "*"},
        )
    )
    a, b, _ = found.packages
    assert (a.licence, a.url, a.optional) == ("MIT", "https://x/a", False)
    assert a.hashes == (("sha512", hashlib.sha512(b"x").hexdigest()),)
    assert a.depends == (("b", "1.0.0"),)
    assert b.optional
    assert found.wanted == (("a", "1.0.0"), ("x", "1.0.0"))


def test_an_alias_is_known_by_what_it_really_is() -> None:
    found = npm.read(lock({"node_modules/rollup": {"name": "@rollup/wasm-node", "version": "4.0.0"}}))
    assert names(found) == [("@rollup/wasm-node", "4.0.0")]


def test_the_oldest_form_is_read_too() -> None:
    text = json.dumps(
        {
            "lockfileVersion": 1,
            "dependencies": {
                "a": {"version": "1.0.0", "requires": {"b": "*"}, "dependencies": {"b": {"version": "2.0.0"}}},
                "b": {"version": "1.0.0", "dev": True},
                "alias": {"version": "npm:real@3.0.0"},
            },
        }
    )
    found = npm.read(text)
    assert names(found) == [("a", "1.0.0"), ("b", "2.0.0"), ("real", "3.0.0")]
    assert found.packages[0].depends == (("b", "2.0.0"),)


def test_the_dashboard_ships_what_it_depends_on_and_nothing_else() -> None:
    wanted = json.loads((ROOT / "dashboard" / "package.json").read_text())["dependencies"]
    found = npm.read((ROOT / "dashboard" / "package-lock.json").read_text())
    assert dict(names(found)) == wanted
    assert {package.licence for package in found.packages} == {"MIT"}


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, '"x"', '{"packages": 1, "dependencies": [1]}'])
def test_what_is_no_lock_file_is_refused_or_empty(text: str) -> None:
    try:
        assert npm.read(text).packages == ()
    except ValueError:
        assert text != '{"packages": 1, "dependencies": [1]}'


JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=8) | st.sampled_from(["node_modules/a", "1.0.0", "a", SHA512]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "",
                    "node_modules/a",
                    "node_modules/a/node_modules/b",
                    "dependencies",
                    "version",
                    "license",
                    "name",
                    "type",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.fixed_dictionaries({"packages": JSON, "dependencies": JSON}))
@settings(max_examples=200, deadline=None)
def test_whatever_a_lock_file_says_nothing_breaks(content: dict[str, Any]) -> None:
    found = npm.read(json.dumps(content))
    assert len(set(names(found))) == len(found.packages)
    known = set(names(found))
    assert known.issuperset(pair for package in found.packages for pair in package.depends)
