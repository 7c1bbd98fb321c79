"""``init``: a commented spec that compiles without a single problem, from flags or from answers, never over another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml

from compiler import starter
from tests.running import Result, appos, contents, terminal

if TYPE_CHECKING:
    from pathlib import Path

BASES = ["alpine:3.24", "debian:trixie-slim"]
TOGETHER = [
    "nginx,uvicorn",
    "nginx,php-fpm,mariadb",
    "redis,valkey",
    "gunicorn,uvicorn,nginx",
    "caddy,nodejs",
    "nginx,redis,convex,cron,postgresql",
    ",".join(name for name in starter.presets() if name != "caddy"),
    ",".join(name for name in starter.presets() if name != "nginx"),
]


def _compiles(directory: Path) -> None:
    result = appos("--strict", "--quiet", cwd=directory)
    assert result == Result(0, "", "")


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("presets", [*starter.presets(), *TOGETHER])
def test_the_spec_compiles_without_a_problem(tmp_path: Path, base: str, presets: str) -> None:
    result = appos("init", "--name", "demo", "--base", base, "--with", presets, cwd=tmp_path)
    assert (result.status, result.err) == (0, "")
    data = yaml.safe_load((tmp_path / "appos.yaml").read_text())
    assert (data["name"], data["image"]["base"]) == ("demo", base)
    assert sorted(service["preset"] for service in data["services"].values()) == sorted(presets.split(","))
    _compiles(tmp_path)


def test_every_comment_that_shows_a_key_is_valid_once_it_is_none(tmp_path: Path) -> None:
    assert appos("init", "--with", "nginx,redis", cwd=tmp_path).status == 0
    spec = tmp_path / "appos.yaml"
    text = spec.read_text()
    prose = re.compile(r"# (yaml-language-server|\(|[A-Z`][^:]*$|The |What |One |Given|Public|Nothing)")
    bare = "\n".join(
        line if prose.match(line.strip()) else re.sub(r"^(\s*)# ", r"\1", line) for line in text.splitlines()
    )
    spec.write_text(bare + "\n")
    data = yaml.safe_load(bare)
    assert set(data["services"]) == {"nginx", "redis", "migrate", "api"}
    assert set(data) >= {"artifacts", "routes", "volumes", "ports", "secrets", "settings"}
    result = appos("--format", "json", cwd=tmp_path)
    assert result.status == 0, result.out
    codes = set(re.findall(r'"code": "(\w+)"', result.out))
    assert codes <= {"W005", "W009"}  # a WebSocket for everybody, and a secret that nothing uses yet


def test_what_a_preset_leaves_to_be_filled_in_is_there_to_be_filled_in(tmp_path: Path) -> None:
    assert appos("init", "--with", "cron", cwd=tmp_path).status == 0
    data = yaml.safe_load((tmp_path / "appos.yaml").read_text())
    assert data["services"]["cron"]["files"]["crontab"]["content"].startswith("# minute hour")


def test_without_anything_it_is_a_static_site_named_like_the_directory(tmp_path: Path) -> None:
    directory = tmp_path / "My Shop_2"
    directory.mkdir()
    result = appos("init", cwd=directory)
    assert (result.status, result.err) == (0, "")
    assert result.out == (
        "wrote appos.yaml\nwrote appos.schema.json, from which editors complete and explain the keys\n"
        "Edit appos.yaml, then run: appos-compile\n"
    )
    data = yaml.safe_load((directory / "appos.yaml").read_text())
    assert data["name"] == "my-shop-2"
    assert data["routes"] == {"/": {"static": "site"}}
    _compiles(directory)


@pytest.mark.parametrize("directory", ["123", "...", "ÄÖ", "true", "null", "on", "x" * 200])
def test_any_directory_gives_a_name(tmp_path: Path, directory: str) -> None:
    (tmp_path / directory).mkdir()
    assert appos("init", cwd=tmp_path / directory).status == 0
    _compiles(tmp_path / directory)


def test_the_editors_find_the_schema(tmp_path: Path) -> None:
    assert appos("init", cwd=tmp_path).status == 0
    first = (tmp_path / "appos.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=./appos.schema.json"
    assert (tmp_path / "appos.schema.json").read_text() == appos("schema", cwd=tmp_path).out


@pytest.mark.parametrize("arguments", [["init", "-f", "sub/my.yaml"], ["-f", "sub/my.yaml", "init"]])
def test_somewhere_else(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "sub").mkdir()
    result = appos(*arguments, cwd=tmp_path)
    assert result.out.endswith("Edit sub/my.yaml, then run: appos-compile -f sub/my.yaml\n")
    assert sorted(contents(tmp_path)) == ["sub/appos.schema.json", "sub/my.yaml"]
    assert appos("-f", "sub/my.yaml", "--strict", cwd=tmp_path).status == 0


@pytest.mark.parametrize("kind", ["file", "link", "directory"])
def test_nothing_is_overwritten(tmp_path: Path, kind: str) -> None:
    spec = tmp_path / "appos.yaml"
    if kind == "file":
        spec.write_text("mine")
    elif kind == "link":
        spec.symlink_to("nowhere")
    else:
        spec.mkdir()
    result = appos("init", cwd=tmp_path)
    assert (result.status, result.out) == (3, "")
    assert result.err.startswith("error: appos.yaml is there already\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["appos.yaml"]
    if kind == "file":
        assert spec.read_text() == "mine"


def test_a_schema_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "appos.schema.json").write_text("mine")
    assert appos("init", cwd=tmp_path).status == 0
    assert (tmp_path / "appos.schema.json").read_text() == "mine"


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    result = appos("init", "-f", "nowhere/appos.yaml", cwd=tmp_path)
    assert (result.status, result.out) == (3, "")
    assert "nowhere/appos.yaml" in result.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--name", "My Shop"], "My Shop"),
        (["--name", "x\nservices: {}"], ""),
        (["--name", ""], ""),
        (["--base", "Alpine:3"], "Alpine:3"),
        (["--base", "scratch"], "scratch"),
        (["--with", "ngnix"], "did you mean nginx?"),
        (["--with", "xyzzy"], "there are "),
        (["--with", "nginx,,reds"], "did you mean redis?"),
        (["--with", "../families"], "there is no preset"),
    ],
)
def test_wrong_values_are_refused_in_the_words_of_the_compiler(tmp_path: Path, arguments: list[str], said: str) -> None:
    result = appos("init", *arguments, cwd=tmp_path)
    assert (result.status, result.out) == (64, "")
    assert said in result.err
    assert "Error: " in result.err
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("name", ["true", "null", "on", "y", "e1"])
def test_a_name_that_yaml_would_read_as_something_else(tmp_path: Path, name: str) -> None:
    assert appos("init", "--name", name, cwd=tmp_path).status == 0
    _compiles(tmp_path)
    assert f"\nname: {name}\n" in (tmp_path / "build" / "docker-compose.yml").read_text().replace('"', "")


NAME, BASE, SERVICES = "Name of the application [", "Base image [", "Services ["


def test_questions(tmp_path: Path) -> None:
    status, said = terminal(
        "init", cwd=tmp_path, answers=[(NAME, "shop\n"), (BASE, "debian:trixie-slim\n"), (SERVICES, "nginx redis\n")]
    )
    assert status == 0
    assert "Presets: caddy, " in said
    data = yaml.safe_load((tmp_path / "appos.yaml").read_text())
    assert (data["name"], data["image"]["base"]) == ("shop", "debian:trixie-slim")
    assert set(data["services"]) == {"nginx", "redis"}
    _compiles(tmp_path)


def test_the_suggestions_are_taken_by_pressing_enter(tmp_path: Path) -> None:
    status, said = terminal("init", cwd=tmp_path, answers=[(NAME, "\n"), (BASE, "\n"), (SERVICES, "\n")])
    assert status == 0
    assert f"Base image [{starter.suggested_base()}]:" in said
    _compiles(tmp_path)


def test_a_wrong_answer_is_explained_and_asked_again(tmp_path: Path) -> None:
    status, said = terminal(
        "init",
        cwd=tmp_path,
        answers=[
            *((NAME, "My Shop\n"), (NAME, "shop\n"), (BASE, "windows\n"), (BASE, "alpine:3.24\n")),
            *((SERVICES, "ngnix\n"), (SERVICES, "nginx\n")),
        ],
    )
    assert status == 0
    assert said.count("Name of the application") == 2
    assert "did you mean nginx?" in said
    _compiles(tmp_path)


def test_only_what_was_not_given_is_asked(tmp_path: Path) -> None:
    status, said = terminal("init", "--name", "shop", "--with", "redis", cwd=tmp_path, answers=[(BASE, "\n")])
    assert status == 0
    assert said.count("]:") == 1


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_giving_up_leaves_nothing(tmp_path: Path, key: str) -> None:
    status, said = terminal("init", cwd=tmp_path, answers=[(NAME, "shop\n"), (BASE, key)])
    assert status == 130
    assert "Traceback" not in said
    assert contents(tmp_path) == {}
