"""What a compilation comes to, as the rest of the program sees it."""

from __future__ import annotations

import io
import shlex
from typing import TYPE_CHECKING

import pytest

from compiler import commands, keeping
from compiler.cli import cli
from compiler.commands import Options, Outcome
from compiler.drift import Change
from compiler.outputs import OUTPUTS
from tests.running import appos

if TYPE_CHECKING:
    from pathlib import Path

SPEC = """\
version: 1
name: web
image: {base: alpine:3.24}
services:
  web: {command: [/usr/local/bin/web], port: 8080, user: web}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "appos.yaml").write_text(SPEC)
    return tmp_path


def test_the_options_are_those_of_the_command_line() -> None:
    assert {parameter.name for parameter in cli.params} - {"version"} == set(Options._fields)
    defaults = {parameter.name: parameter.default for parameter in cli.params}
    for name, default in Options._field_defaults.items():
        assert defaults[name] == default or not default


@pytest.mark.parametrize(
    "options",
    [Options(), Options(file="a b.yaml"), Options(output="$x"), Options(file="it's", output="-"), Options(check=True)],
)
def test_a_proposed_command_compiles_the_same(options: Options) -> None:
    words = shlex.split(options.command)
    context = cli.make_context(words[0], words[1:], resilient_parsing=False)
    assert (context.params["file"], context.params["output"]) == (options.file, options.output)


def test_an_outcome_says_what_was_read_and_whether_anything_was_written(project: Path) -> None:
    first = commands.attempt(Options())
    assert (first.status, first.wrote, first.directory, first.inputs) == (0, True, "build", ())
    assert not commands.attempt(Options()).wrote
    (project / "env.j2").write_text("A={{ app.name }}\n")
    (project / "appos.yaml").write_text(SPEC + "outputs: {.env: env.j2}\n")
    look = commands.attempt(Options(diff=True))
    assert (look.wrote, look.inputs) == (False, ("env.j2",))
    assert commands.attempt(Options()).wrote


@pytest.mark.parametrize("template", ["{{ nosuch }}", None])
def test_an_outcome_says_what_was_read_even_where_it_is_wrong_or_missing(project: Path, template: str | None) -> None:
    if template:
        (project / "env.j2").write_text(template)
    (project / "appos.yaml").write_text(SPEC + "outputs: {.env: env.j2}\n")
    outcome = commands.attempt(Options())
    assert (outcome.status, outcome.inputs, outcome.wrote) == (2, ("env.j2",), False)


def test_problems_are_sorted_by_place_and_not_by_the_step_that_found_them(project: Path) -> None:
    (project / "appos.yaml").write_text(SPEC.replace("port: 8080", "after: [x], port: 0") + "prots: {}\n")
    err = commands.attempt(Options()).err
    places = [line.strip() for line in err.splitlines() if line.strip().startswith("-->")]
    assert places == sorted(places)
    assert len(places) == 3


@pytest.mark.parametrize(
    ("wanted", "terminal", "env", "expected"),
    [
        ("auto", True, {"TERM": "xterm"}, True),
        ("auto", False, {"TERM": "xterm"}, False),
        ("auto", True, {"TERM": "dumb"}, False),
        ("auto", True, {}, False),
        ("auto", True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        ("auto", True, {"TERM": "xterm", "NO_COLOR": ""}, True),
        ("always", False, {"NO_COLOR": "1"}, True),
        ("never", True, {"TERM": "xterm"}, False),
    ],
)
def test_colours(
    monkeypatch: pytest.MonkeyPatch, wanted: str, terminal: bool, env: dict[str, str], expected: bool
) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert commands.colored(wanted, Stream()) == expected


def test_a_spec_that_is_named_like_our_own_data_is_shown_from_where_it_lies(project: Path) -> None:
    (project / "schema").mkdir()
    (project / "schema" / "bases.yaml").write_text(SPEC.replace("port:", "prot:"))
    result = appos("-f", "schema/bases.yaml", cwd=project)
    assert "web: {command: [/usr/local/bin/web], prot: 8080, user: web}" in result.err


def test_a_mistake_in_what_a_preset_makes_leads_to_the_line_that_chose_it(project: Path) -> None:
    (project / "appos.yaml").write_text(
        SPEC.replace("web: {command", "cache: {preset: redis}\n  web: {port: 6379, command").replace(", port: 8080", "")
    )
    result = appos(cwd=project)
    assert result.status == 2
    assert "--> appos.yaml:5:" in result.err or "--> appos.yaml:6:" in result.err


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("output", [output.name for output in OUTPUTS])
@pytest.mark.parametrize("edit", ["", "\n", "x", "\0", "}\n{\n", "[\n", "a\nb\nc\n" * 50, "\t- x: [\n", "é\u2028\r"])
def test_advice_survives_every_edit(output: str, edit: str) -> None:
    from compiler import pipeline

    app = pipeline.compile_spec("appos.yaml").app
    generated = next((f.content for f in pipeline.compile_spec("appos.yaml").files if f.path == output), "a\nb\n")
    for at in (0, len(generated) // 2, len(generated)):
        for until in (at, len(generated)):
            changed = generated[:at] + edit + generated[until:]
            if changed != generated:
                kept = keeping.kept(Change(output, "updated", changed, generated), app)
                assert kept.extra or kept.keys or kept.rest or not (changed + generated).strip()


def test_many_compilations_in_one_process(project: Path) -> None:
    for port in range(8000, 8050):
        (project / "appos.yaml").write_text(SPEC.replace("8080", str(port)))
        assert isinstance(commands.attempt(Options(quiet=True)), Outcome)
    assert (
        "8049"
        in (project / "build" / "docker-compose.yml").read_text() + (project / "build" / "Dockerfile").read_text()
    )
