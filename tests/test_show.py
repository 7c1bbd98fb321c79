"""``show``: the complete model as YAML, with presets and defaults filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from compiler import load
from compiler.model import App
from tests.running import ROOT, appos, flagship

if TYPE_CHECKING:
    from pathlib import Path

CASES = sorted(path.parent for path in (ROOT / "tests" / "cases").glob("*/appos.yaml"))


@pytest.fixture
def shown(tmp_path: Path) -> Any:
    flagship(tmp_path)
    result = appos("show", cwd=tmp_path)
    assert (result.status, result.err) == (0, "")
    return yaml.safe_load(result.out)


def _service(shown: Any, name: str) -> Any:
    return next(service for service in shown["services"] if service["name"] == name)


def test_what_the_spec_says_is_there(shown: Any) -> None:
    assert shown["image"]["base"] == "alpine:3.19"
    assert _service(shown, "backend")["port"] == 8080
    assert [route["match"] for route in shown["routes"]] == ["/terminal", "/api/", "/"]


def test_what_a_preset_brings_is_there(shown: Any) -> None:
    redis = _service(shown, "redis")
    assert redis["user"] == "redis"
    assert redis["packages"] == ["redis"]
    assert "appendonly yes\n" in redis["files"][0]["content"]


def test_defaults_are_there(shown: Any) -> None:
    assert shown["pids"] == 512
    assert _service(shown, "backend")["restart"] == "always"
    assert shown["http"]["headers"]["X-Content-Type-Options"] == "nosniff"


def test_references_are_resolved_and_secrets_only_named(shown: Any) -> None:
    environment = _service(shown, "backend")["environment"]
    assert environment["REDIS_ADDRESS"] == "127.0.0.1:6379"
    assert "${secret.redis_password}" in environment.values()
    assert environment["LOG_LEVEL"] == "${setting.LOG_LEVEL}"
    assert "\nrequirepass ${secret.redis_password}\n" in _service(shown, "redis")["files"][0]["content"]


def test_every_field_of_the_model_is_shown_but_where_it_was_written(shown: Any) -> None:
    assert set(shown) == set(App._fields) - {"origins"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case(case: Path) -> None:
    result = appos("show", cwd=case)
    assert (result.status, result.err) == (0, "")
    assert yaml.safe_load(result.out)["name"] == load.load(str(case / "appos.yaml")).data["name"]
    assert "Secret(" not in result.out
    assert "!!" not in result.out


def test_a_literal_reference_stays_one(tmp_path: Path) -> None:
    (tmp_path / "appos.yaml").write_text(
        "version: 1\nname: x\nimage: {base: alpine:3.24}\n"
        "services: {a: {command: [echo, '$${secret.x}', 'a ${self.name}']}}\n"
    )
    shown = yaml.safe_load(appos("show", cwd=tmp_path).out)
    assert shown["services"][0]["command"] == ["echo", "$${secret.x}", "a a"]


@pytest.mark.parametrize("arguments", [["show", "-f", "my.yaml"], ["-f", "my.yaml", "show"]])
def test_another_spec(tmp_path: Path, arguments: list[str]) -> None:
    flagship(tmp_path).rename(tmp_path / "my.yaml")
    assert yaml.safe_load(appos(*arguments, cwd=tmp_path).out)["spec"] == "my.yaml"


def test_a_spec_with_problems_is_not_shown(tmp_path: Path) -> None:
    spec = flagship(tmp_path)
    spec.write_text(spec.read_text().replace("budget:", "bugdet:").replace("port: 6379", "port: 0"))
    result = appos("show", cwd=tmp_path)
    assert (result.status, result.out) == (2, "")
    assert "2 errors" in result.err


def test_warnings_do_not_keep_it_from_being_shown(tmp_path: Path) -> None:
    flagship(tmp_path)
    assert appos("show", cwd=tmp_path).err == ""


def test_a_spec_that_is_missing(tmp_path: Path) -> None:
    assert appos("show", cwd=tmp_path).status == 3
