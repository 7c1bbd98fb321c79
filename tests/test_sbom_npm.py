"""A lock file of npm tells what an artifact may hold: what is asked for at run time, each once; as npm itself tells."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.sbom import npm
from tests.compiled import ROOT
from tests.readers import tools

if TYPE_CHECKING:
    from pathlib import Path

REGISTRY = "https://registry.npmjs.org"
SHA512 = "sha512-" + base64.b64encode(hashlib.sha512(b"x").digest()).decode()


def lock(packages: dict[str, Any], **fields: Any) -> str:
    return json.dumps({"name": "site", "lockfileVersion": 3, "packages": {"": fields, **packages}})


def names(found: npm.Lock) -> list[tuple[str, str]]:
    return [package.key[:2] for package in found.packages]


def depends(found: npm.Lock) -> dict[str, list[str]]:
    """What each package asks for, by their names and versions, and the project as nothing."""
    packages = {"": found.wanted, **{"@".join(package.key[:2]): package.depends for package in found.packages}}
    return {name: ["@".join(key[:2]) for key in keys] for name, keys in packages.items()}


def test_development_links_and_the_project_itself_are_left_out() -> None:
    found = npm.read(
        lock(
            {
                "node_modules/a": {
                    "version": "1.0.0",
                    "license": "MIT",
                    "integrity": SHA512,
                    "resolved": f"{REGISTRY}/a/-/a-1.0.0.tgz",
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
    assert found.wanted == (("a", "1.0.0", ()), ("both", "1.0.0", ()))
    digest = hashlib.sha512(b"x").hexdigest()
    assert found.packages[0] == npm.Package(
        npm.Key("a", "1.0.0"), "MIT", f"{REGISTRY}/a/-/a-1.0.0.tgz", (("sha512", digest),), (), optional=False
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
    assert depends(found) == {
        "": ["a@1.0.0", "b@1.0.0"],
        "a@1.0.0": ["b@2.0.0", "c@3.0.0"],
        "b@1.0.0": [],
        "b@2.0.0": ["c@3.0.0"],
        "c@3.0.0": [],
    }


@pytest.mark.parametrize("order", [1, -1])
def test_a_package_at_several_places_is_optional_only_if_it_is_at_each(order: int) -> None:
    stated = {"version": "1.0.0", "license": "MIT", "integrity": SHA512, "resolved": f"{REGISTRY}/a/-/a-1.0.0.tgz"}
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
    assert (a.licence, a.url, a.optional) == ("MIT", f"{REGISTRY}/a/-/a-1.0.0.tgz", False)
    assert a.hashes == (("sha512", hashlib.sha512(b"x").hexdigest()),)
    assert b.optional
    assert depends(found) == {"": ["a@1.0.0", "x@1.0.0"], "a@1.0.0": ["b@1.0.0"], "b@1.0.0": [], "x@1.0.0": []}


def test_an_alias_is_known_by_what_it_really_is() -> None:
    found = npm.read(lock({"node_modules/rollup": {"name": "@rollup/wasm-node", "version": "4.0.0"}}))
    assert names(found) == [("@rollup/wasm-node", "4.0.0")]


WORKSPACE = {
    "": {"workspaces": ["packages/*"], "dependencies": {"lib": "file:lib"}, "devDependencies": {"tool": "file:tool"}},
    "../away": {"version": "1.0.0", "dependencies": {"c": "*", "d": "*"}},
    "../away/node_modules/d": {"version": "9.0.0"},
    "lib": {"version": "1.0.0", "dependencies": {"c": "*", "away": "file:../../away"}},
    "lib/node_modules/c": {"version": "2.0.0"},
    "node_modules/@x/two": {"resolved": "packages/two", "link": True},
    "node_modules/away": {"resolved": "../away", "link": True},
    "node_modules/c": {"version": "1.0.0"},
    "node_modules/copied": {"version": "1.0.0", "resolved": "file:packages/copied", "dependencies": {"d": "*"}},
    "node_modules/d": {"version": "1.0.0"},
    "node_modules/lib": {"resolved": "lib", "link": True},
    "node_modules/one": {"resolved": "packages/one", "link": True},
    "node_modules/tool": {"resolved": "tool", "link": True},
    "node_modules/vite": {"version": "1.0.0", "dev": True},
    "packages/one": {
        "version": "1.0.0",
        "dependencies": {"@x/two": "*", "copied": "*"},
        "devDependencies": {"vite": "*"},
    },
    "packages/one/node_modules/e": {"version": "1.0.0"},
    "packages/two": {"name": "@x/two", "version": "1.0.0", "dependencies": {"one": "*", "c": "*"}},
    "tool": {"version": "1.0.0", "dependencies": {"vite": "*"}},
}


def test_what_members_and_directories_ask_for_the_project_asks_for() -> None:
    found = npm.read(json.dumps({"lockfileVersion": 3, "packages": WORKSPACE}))
    # e is asked for by nobody, and npm has kept it.
    assert depends(found)[""] == ["c@1.0.0", "c@2.0.0", "d@1.0.0", "d@9.0.0", "e@1.0.0"]
    assert names(found) == [("c", "1.0.0"), ("c", "2.0.0"), ("d", "1.0.0"), ("d", "9.0.0"), ("e", "1.0.0")]


def test_what_is_kept_though_nobody_asks_for_it_hangs_on_the_project() -> None:
    ring = {f"node_modules/{a}": {"version": "1.0.0", "dependencies": {b: "*"}} for a, b in ("ab", "ba")}
    assert depends(npm.read(lock(ring)))[""] == ["a@1.0.0", "b@1.0.0"]


COMMIT = "ab" * 20


@pytest.mark.parametrize(
    ("resolved", "source", "url"),
    [
        (
            f"git+ssh://git@github.com/x/a.git#{COMMIT}",
            ("vcs_url", f"git+ssh://git@github.com/x/a.git@{COMMIT}"),
            f"git+ssh://git@github.com/x/a.git@{COMMIT}",
        ),
        (f"git://h/a.git#{COMMIT}", ("vcs_url", f"git://h/a.git@{COMMIT}"), f"git://h/a.git@{COMMIT}"),
        (
            f"git+https://token:x-oauth-basic@h/a#{COMMIT}",
            ("vcs_url", f"git+https://h/a@{COMMIT}"),
            f"git+https://h/a@{COMMIT}",
        ),
        ("git+ssh://me:secret@h/a#1", ("vcs_url", "git+ssh://me@h/a@1"), "git+ssh://me@h/a@1"),
        ("https://h/a.tgz", ("download_url", "https://h/a.tgz"), "https://h/a.tgz"),
        ("https://me:secret@h/a.tgz", ("download_url", "https://h/a.tgz"), "https://h/a.tgz"),
        (
            "https://gitlab.com/x/a/-/archive/v1/a-v1.tar.gz",
            ("download_url", "https://gitlab.com/x/a/-/archive/v1/a-v1.tar.gz"),
            "https://gitlab.com/x/a/-/archive/v1/a-v1.tar.gz",
        ),
        ("file:../a-1.0.0.tgz", ("download_url", "file:../a-1.0.0.tgz"), ""),
        ("https://h/%zz.tgz", ("download_url", "https://h/%zz.tgz"), ""),
        (f"{REGISTRY}/a/-/a-1.0.0.tgz", None, f"{REGISTRY}/a/-/a-1.0.0.tgz"),
        ("https://me:secret@h/npm/a/-/a-1.0.0.tgz?x#y", None, "https://h/npm/a/-/a-1.0.0.tgz?x#y"),
        ("", None, ""),
    ],
)
@pytest.mark.parametrize("stated", [{"version": "1.0.0"}, {}], ids=["a version", "none"])
def test_what_no_registry_has_is_known_by_where_it_is_from(
    resolved: str, source: tuple[str, str] | None, url: str, stated: dict[str, str]
) -> None:
    found = npm.read(lock({"node_modules/a": {**stated, "resolved": resolved}}, dependencies={"a": "*"}))
    (package,) = found.packages
    assert package.key == npm.Key("a", stated.get("version", ""), (source,) if source else ())
    assert package.url == url
    assert found.wanted == (package.key,)


@pytest.mark.parametrize("address", ["@x/a/-/a-1.0.0.tgz", "@x%2fa/-/a-1.0.0.tgz", "@x/a/-/@x/a-1.0.0.tgz"])
def test_a_scope_is_written_in_several_ways(address: str) -> None:
    found = npm.read(lock({"node_modules/@x/a": {"version": "1.0.0", "resolved": f"https://h/{address}"}}))
    assert found.packages[0].key == npm.Key("@x/a", "1.0.0")


@pytest.mark.parametrize("name", ["@-xun/fs", "jQuery", "a!", "_"])
def test_names_are_what_npm_takes(name: str) -> None:
    assert names(npm.read(lock({f"node_modules/{name}": {"version": "1.0.0"}}))) == [(name, "1.0.0")]


def test_the_oldest_form_is_read_too() -> None:
    text = json.dumps(
        {
            "lockfileVersion": 1,
            "dependencies": {
                "a": {"version": "1.0.0", "requires": {"b": "*"}, "dependencies": {"b": {"version": "2.0.0"}}},
                "b": {"version": "1.0.0", "dev": True},
                "alias": {"version": "npm:@x/real@3.0.0", "requires": {"one": "*"}},
                "one": {"version": "file:packages/one", "requires": {"two": "*", "g": "*"}},
                "two": {"version": "file:packages/two", "requires": {"one": "*", "t": "*"}},
                "g": {"version": f"github:x/g#{COMMIT}", "from": "github:x/g"},
                "t": {"version": "file:../t-1.0.0.TGZ", "integrity": SHA512},
                "w": {"version": "https://h/w.tgz"},
            },
        }
    )
    found = npm.read(text)
    assert [package.key for package in found.packages] == [
        ("@x/real", "3.0.0", ()),
        ("a", "1.0.0", ()),
        ("b", "2.0.0", ()),
        ("g", "", (("vcs_url", f"git+https://github.com/x/g.git@{COMMIT}"),)),
        ("t", "", (("download_url", "file:../t-1.0.0.TGZ"),)),
        ("w", "", (("download_url", "https://h/w.tgz"),)),
    ]
    assert depends(found)["a@1.0.0"] == ["b@2.0.0"]
    assert depends(found)["@x/real@3.0.0"] == ["g@", "t@"]


# Nothing of it is at a registry: what is from there looks the same as what is from a file.
TREE: dict[str, dict[str, Any]] = {
    "root": {
        "private": True,
        "workspaces": ["packages/*"],
        "dependencies": {
            "bundle": "file:ROOT/bundle-1.0.0.tgz",
            "other": "file:ROOT/part-1.0.0.tgz",
            "lib": "file:lib",
        },
        "devDependencies": {"dev": "file:ROOT/dev-1.0.0.tgz"},
        "optionalDependencies": {"opt": "file:ROOT/opt-1.0.0.tgz"},
    },
    "root/lib": {"name": "lib", "dependencies": {"leaf": "file:ROOT/leaf-2.0.0.tgz"}},
    "root/packages/one": {
        "name": "@x/one",
        "dependencies": {"two": "*", "git": "git+file://ROOT/git"},
        "devDependencies": {"dev": "file:ROOT/dev-1.0.0.tgz"},
    },
    "root/packages/two": {
        "name": "two",
        "dependencies": {"@x/one": "*"},
        "peerDependencies": {"part": "file:ROOT/part-1.0.0.tgz"},
    },
    "git": {"name": "unversioned", "license": "ISC"},
    "bundle": {
        "name": "bundle",
        "version": "1.0.0",
        "dependencies": {"inner": "1.0.0", "leaf": "file:ROOT/leaf-1.0.0.tgz"},
        "bundleDependencies": ["inner"],
    },
    "bundle/node_modules/inner": {"name": "inner", "version": "1.0.0"},
    "part": {"name": "part", "version": "1.0.0", "license": "MIT"},
    "opt": {"name": "opt", "version": "1.0.0", "dependencies": {"leaf": "file:ROOT/leaf-1.0.0.tgz"}},
    "dev": {"name": "dev", "version": "1.0.0", "dependencies": {"only": "file:ROOT/only-1.0.0.tgz"}},
    "only": {"name": "only", "version": "1.0.0"},
    "leaf": {"name": "leaf", "version": "1.0.0"},
    "leaf2": {"name": "leaf", "version": "2.0.0"},
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages of every kind, and a project that asks for them."""
    directory = tmp_path_factory.mktemp("npm")
    for name, content in TREE.items():
        (directory / name).mkdir(parents=True)
        text = json.dumps(content).replace("ROOT", str(directory))
        (directory / name / "package.json").write_text(text)
    for name in ("part", "opt", "dev", "only", "leaf", "leaf2", "bundle"):
        run(directory, "npm", "pack", f"./{name}")
    git = ("git", "-c", "user.name=x", "-c", "user.email=x@example.com")
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "x")):
        run(directory / "git", *git, *words)
    return directory


def run(directory: Path, program: str, *words: str) -> str:
    home = {"HOME": str(directory), "npm_config_offline": "true", "npm_config_update_notifier": "false"}
    return tools.output(tools.call([tools.program(program), *words], cwd=str(directory), env=home))


def as_npm_tells(told: dict[str, Any]) -> dict[str, list[str]]:
    """What each package asks for, by npm's own word; a directory of the tree stands for what it asks for."""
    asked: dict[str, set[str]] = {}
    waiting = [("", told)]
    while waiting:
        name, node = waiting.pop()
        children = [(f"{child['name']}@{child.get('version', '')}", child) for child in node["dependencies"].values()]
        asked.setdefault(name, set()).update(child for child, _ in children)
        waiting += [(child, {"dependencies": {}, **content}) for child, content in children]
    for directory in ("@x/one@", "two@", "lib@"):
        instead = asked.pop(directory) - {directory}
        for name, names in asked.items():
            asked[name] = (names - {directory}) | instead if directory in names else names
    return {name: sorted(names) for name, names in asked.items()}


def locked(tree: Path, version: int) -> npm.Lock:
    run(tree / "root", "npm", "install", "--package-lock-only", f"--lockfile-version={version}")
    return npm.read((tree / "root" / "package-lock.json").read_text())


def listed(tree: Path) -> dict[str, list[str]]:
    words = ("--all", "--json", "--long", "--omit=dev", "--package-lock-only")
    return as_npm_tells(json.loads(run(tree / "root", "npm", "ls", *words)))


@pytest.mark.parametrize("version", [2, 3])
def test_npm_itself_tells_the_same(tree: Path, version: int) -> None:
    found = locked(tree, version)
    assert depends(found) == listed(tree)
    assert {package.key.name for package in found.packages if package.optional} == {"opt"}


def test_npm_itself_lists_the_same_of_the_oldest_form(tree: Path) -> None:
    locked(tree, 3)
    told = {name.rpartition("@")[0] for name in listed(tree) if name}
    # Of what is from elsewhere that form has no version, and only the name by which it is asked for.
    found = {package.key.name for package in locked(tree, 1).packages}
    assert found == told - {"unversioned"} | {"git", "other"}


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
    st.none()
    | st.booleans()
    | st.text(max_size=8)
    | st.sampled_from(["", "node_modules/a", "1.0.0", "a", SHA512, "file:a", "git+ssh://a:b@c/d#e", "npm:a@1"]),
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
                    "resolved",
                    "link",
                    "workspaces",
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
    assert len({package.key for package in found.packages}) == len(found.packages)
    known = {package.key for package in found.packages}
    assert known.issuperset(key for package in found.packages for key in (*package.depends, *found.wanted))
