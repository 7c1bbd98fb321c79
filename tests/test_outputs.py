"""Every output of every case is accepted by its real reader, without a finding; what is excused is counted."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from compiler.views import context
from tests.compiled import CASES, DIRECTORIES, result
from tests.readers import compose, dockerfile, nginx, schemas, shell, sqlite, supervisord, tools

EXCUSED = {
    "checkov:skip=CKV_DOCKER_3": 25,  # process 1 has to become the services' accounts
    "hadolint ignore=DL3008": 17,  # a release's repositories keep only the newest build of a package (apt)
    "hadolint ignore=DL3018": 26,  # likewise (apk)
    "hadolint ignore=DL3059": 9,  # each step of a build is cached by itself
    "hadolint ignore=DL3066": 2,  # the package that brings an account gives it its number
    "shellcheck disable=SC2046": 24,  # od prints several numbers, which become words; twice in each inspect.sh
    "shellcheck disable=SC2086": 12,  # words are meant as words
    "shellcheck disable=SC2089": 1,  # quotes in a value belong to it
    "shellcheck disable=SC2090": 1,  # likewise, where it is exported
    "shellcheck disable=SC2254": 24,  # a set of characters, and what a spec leaves out, are meant as patterns
}
"""How often generated files are excused from a rule, and why; a reason stands beside each comment as well."""


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each case's tree with its outputs in it, and whatever else the Dockerfiles copy."""
    root = tmp_path_factory.mktemp("cases")
    return {case: _grow(root / case, case) for case in CASES}


def _grow(tree: Path, case: str) -> Path:
    app = result(case).app
    if case != "appos":
        shutil.copytree(DIRECTORIES[case], tree)
    for file in result(case).files:
        path = tree / app.output / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.content, encoding="utf-8")
        path.chmod(file.mode)
    for name in sorted({*context(app, local=False), *context(app, local=True)} - {"."}, reverse=True):
        path = tree / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
    return tree


def _outputs(trees: dict[str, Path], case: str, *patterns: str) -> list[str]:
    directory = trees[case] / result(case).app.output
    return [str(path) for pattern in patterns for path in sorted(directory.glob(pattern))]


def _dockerfiles(trees: dict[str, Path], case: str) -> list[str]:
    return [path for path in _outputs(trees, case, "Dockerfile*") if not path.endswith(".dockerignore")]


@pytest.mark.parametrize("case", CASES)
def test_dockerfiles(case: str, trees: dict[str, Path]) -> None:
    for path in _dockerfiles(trees, case):
        dockerfile.check_floor(path)
        assert dockerfile.read(path)["checks"] == []
        assert dockerfile.hadolint(path) == []


def test_checkov_finds_nothing(trees: dict[str, Path]) -> None:
    root = next(iter(trees.values())).parent
    assert dockerfile.checkov(str(root)) == []


@pytest.mark.parametrize("case", CASES)
def test_the_build_context_is_what_the_dockerfile_copies(case: str, trees: dict[str, Path], tmp_path: Path) -> None:
    app = result(case).app
    tree = tmp_path / "tree"
    shutil.copytree(trees[case], tree)
    for name in (".git/config", "node_modules/x/y.js", "debug.log", ".env", "unrelated.txt"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("")
    for path in _dockerfiles(trees, case):
        name = Path(path).name
        sent = dockerfile.context(str(tree), str(tree / app.output / f"{name}.dockerignore"))
        wanted = context(app, local=name.endswith(".local"))
        assert [file for file in sent if not _below(file, wanted)] == []
        assert [file for file in wanted if not any(_below(each, [file]) for each in sent)] == []
        if "." not in wanted:
            assert {".git/config", "debug.log", ".env", "unrelated.txt"}.isdisjoint(sent)


def _below(file: str, paths: list[str]) -> bool:
    return any(path in {".", file} or file.startswith(f"{path}/") for path in paths)


@pytest.mark.parametrize("case", CASES)
def test_the_compose_file(case: str, trees: dict[str, Path]) -> None:
    app = result(case).app
    (path,) = _outputs(trees, case, "docker-compose.yml")
    assert schemas.compose_problems(path) == []
    project = compose.read(path)
    service = project["services"][app.name]
    assert {port["published"] for port in service.get("ports", ())} >= {str(port.publish) for port in app.ports}
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


@pytest.mark.parametrize("case", CASES)
def test_the_env_file_gives_each_setting_its_default_and_no_secret_a_value(case: str, trees: dict[str, Path]) -> None:
    app = result(case).app
    for path in _outputs(trees, case, ".env"):
        names = [*(setting.name for setting in app.settings), *(secret.variable for secret in app.secrets)]
        values = compose.dotenv(Path(path).read_text(encoding="utf-8"), names) if names else {}
        assert values == {
            **{setting.name: setting.default for setting in app.settings},
            **{secret.variable: "" for secret in app.secrets},
        }


@pytest.mark.parametrize("version", supervisord.VERSIONS)
@pytest.mark.parametrize("case", [case for case in CASES if result(case).app.supervised])
def test_supervisord(case: str, version: str, trees: dict[str, Path]) -> None:
    (path,) = _outputs(trees, case, "supervisord.conf")
    read = supervisord.read(path, version=version)
    assert read["ignored"] == []
    assert read["warnings"] == []
    services = {service.name: service for service in result(case).app.services}
    assert services.keys() <= read["programs"].keys()
    for name, service in services.items():
        program = read["programs"][name]
        assert (program["user"], program["stopsignal"], program["stopwaitsecs"]) == (
            service.user,
            f"SIG{service.stop_signal}",
            service.grace,
        )


@pytest.mark.parametrize("case", [case for case in CASES if result(case).app.gateway])
def test_nginx(case: str, trees: dict[str, Path]) -> None:
    (path,) = _outputs(trees, case, "nginx.conf")
    assert nginx.check(path) == []
    assert nginx.gixy(path) == []


@pytest.mark.parametrize("case", CASES)
def test_shell_scripts(case: str, trees: dict[str, Path]) -> None:
    scripts = _outputs(trees, case, "*.sh")
    for path in scripts:
        shell.check(path)
    assert shell.shellcheck(*scripts) == []


@pytest.mark.parametrize("case", [case for case in CASES if result(case).app.supervised])
def test_the_launcher_of_supervisord(case: str, trees: dict[str, Path]) -> None:
    # The oldest Python of a base: Ubuntu 20.04 has 3.8.
    rules = ["--isolated", "--no-cache", "--select=E,F,W,B,SIM,UP", "--line-length=140", "--target-version=py38"]
    tools.output(tools.call([tools.program("ruff"), "check", *rules, *_outputs(trees, case, "*.py")]))


@pytest.mark.parametrize("case", [case for case in CASES if result(case).app.database])
def test_sql(case: str) -> None:
    database = result(case).app.database
    assert database is not None
    schema = DIRECTORIES[case] / database.schema
    migrations = sorted((DIRECTORIES[case] / database.migrations).glob("*.sql")) if database.migrations else []
    assert sqlite.tables("".join(file.read_text(encoding="utf-8") for file in [schema, *migrations]))


def test_exceptions_are_counted() -> None:
    comment = re.compile(r"hadolint ignore=[\w,]+|checkov:skip=\w+|shellcheck disable=[\w,]+")
    files = [file for case in CASES for file in result(case).files]
    assert Counter(found for file in files for found in comment.findall(file.content)) == EXCUSED
