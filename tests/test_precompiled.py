"""Templates that are compiled ahead say exactly what Jinja says; what they cannot say is left to Jinja."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings

import hatch_build
from compiler import load, pipeline, render, resources, templating
from compiler.errors import SpecError
from compiler.outputs import OUTPUTS
from tests.running import appos
from tests.strategies import cases, write

if TYPE_CHECKING:
    from pathlib import Path

    from compiler.model import App
    from tests.strategies import Case

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FLAGSHIP = os.path.join(ROOT, "appos.yaml")


@lru_cache(maxsize=1)
def ahead() -> templating.Environment:
    """What the build would make of the templates as they are now."""
    module: dict[str, Any] = {}
    exec(compile(hatch_build.templates(), "_templates.py", "exec"), module)  # noqa: S102 - our own
    return templating.Environment(module["ROOTS"], render.FILTERS, render.GLOBALS)


def check_same(app: App) -> None:
    for output in OUTPUTS:
        if output.needed(app):
            name = f"{output.name}.j2"
            compiled = ahead().find(name)
            assert compiled
            assert compiled.render(app=app) == render.environment().get_template(name).render(app=app)


@pytest.mark.parametrize("output", [output.name for output in OUTPUTS])
def test_every_template_is_compiled_ahead(output: str) -> None:
    assert ahead().find(f"{output}.j2"), "it uses what compiler/templating.py does not have: add it there"


@pytest.mark.parametrize("name", sorted(os.listdir(os.path.join(ROOT, "tests", "cases"))))
def test_compiled_templates_say_what_jinja_says(name: str) -> None:
    check_same(pipeline.compile_spec(os.path.join(ROOT, "tests", "cases", name, "appos.yaml")).app)


def test_compiled_templates_say_what_jinja_says_of_the_flagship() -> None:
    check_same(pipeline.compile_spec(FLAGSHIP).app)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(cases())
def test_compiled_templates_say_what_jinja_says_of_any_spec(case: Case) -> None:
    try:
        app, _, _ = pipeline.model(load.parse(write(case.spec, case.style), "appos.yaml"), os.curdir)
    except SpecError:
        return
    check_same(app)


class Thing:
    """Something with attributes."""

    def __init__(self, **values: Any) -> None:
        self.__dict__ |= values


THINGS = tuple(Thing(name=name, inner=Thing(kind=kind)) for name, kind in (("a", "x"), ("B", None), ("c", "y")))

SNIPPETS = (
    "{% for x in app.things %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ x.name }}{% endfor %}",
    "{% for x in app.things if x.name != 'a' %}{{ x.name }}{{ loop.length }}{{ ',' if not loop.last }}{% endfor %}",
    "{% for x in () %}{{ x }}{% else %}none{% endfor %}",
    "{{ app.things | map(attribute='name') | join(', ') }}",
    "{{ app.things | map(attribute='name') | map('upper') | list }}",
    "{{ app.things | selectattr('inner.kind') | list | length }}",
    "{{ app.things | rejectattr('inner.kind') | list | length }}",
    "{{ app.things | selectattr('inner.kind', 'none') | map(attribute='name') | first }}",
    "{{ app.things | rejectattr('name', 'in', ['a', 'c']) | map(attribute='name') | join }}",
    "{{ app.things | selectattr('name', 'equalto', 'c') | map(attribute='inner.kind') | join }}",
    "{{ ['b', 'A', 'c', 'C'] | max }}{{ [3, 10, 2] | max }}{{ 'x.y' | replace('.', '-') | upper | lower }}",
    "{{ 5 ~ none }}",
    "{% macro m(a, b='two', c=app) %}{{ a }}{{ b }}{{ c.name }}{% endmacro %}{{ m(1) }}{{ m(1, c=app, b=3) }}",
    "{% set n = app.name %}{% if n is none %}no{% elif n == 'app' %}{{ n }}{% endif %}{{ 'x' if n is not none }}",
    "[{{ 'y' if not app.name }}]{{ {'k': 'v'}['k'] }}{{ {'k': 'v'}.k }}{{ app.pair[1] }}{{ app.pair[0].name }}",
    "{{ app['name'] }}{{ limit + window }}",
    "{% if app.name %}{% set n = 1 %}{% endif %}{{ n }}{% if not app.name %}{% set m = 1 %}{% endif %}{{ n }}",
    "{% from '_header.j2' import header %}{{ header(app, 'what') }}",
    "{% import '_header.j2' as parts %}{{ parts.header(app, 'what') }}",
)


def compiled_snippet(text: str) -> templating.Template:
    code, _ = hatch_build.translated(hatch_build.environment(), "snippet", text, "root")
    module = dict(vars(templating))
    exec(code, module)  # noqa: S102 - our own
    inner = resources.read("templates", "_header.j2")
    header, _ = hatch_build.translated(hatch_build.environment(), "_header.j2", inner, "header")
    exec(header, module)  # noqa: S102 - our own
    roots = {"snippet": module["root"], "_header.j2": module["header"]}
    found = templating.Environment(roots, render.FILTERS, render.GLOBALS).find("snippet")
    assert found
    return found


@pytest.mark.parametrize("text", SNIPPETS)
def test_each_construct_means_what_jinja_means(text: str) -> None:
    app = Thing(things=THINGS, name="app", spec="appos.yaml", pair=(THINGS[0], 7))
    assert compiled_snippet(text).render(app=app) == render.environment().from_string(text).render(app=app)


@pytest.mark.parametrize(
    "text",
    [
        "{{ app.nothing }}",
        "{{ app.things[9] }}",
        "{{ app.name.x.y }}",
        "{% macro m(a) %}{{ a }}{% endmacro %}{{ m() }}",
        "{{ () | first }}",
        "{% if not app.name %}{% set n = 1 %}{% endif %}{{ n }}",
    ],
)
def test_what_is_undefined_is_an_error_in_both(text: str) -> None:
    import jinja2

    app = Thing(things=THINGS, name="app")
    with pytest.raises(jinja2.UndefinedError):
        render.environment().from_string(text).render(app=app)
    with pytest.raises(templating.UndefinedError):
        compiled_snippet(text).render(app=app)


def test_a_macro_takes_no_other_arguments_than_its_own() -> None:
    macro = "{% macro m(a) %}{{ a }}{% endmacro %}"
    for call in ("{{ m(1, 2) }}", "{{ m(b=2) }}"):
        with pytest.raises(TypeError):
            compiled_snippet(macro + call).render(app=None)


@pytest.mark.parametrize(
    "text",
    [
        "{{ app.name | title }}",
        "{{ app.name | join(attribute='x') }}",
        "{{ app.things | map(attribute='x', default=1) }}",
        "{{ app.things | map('title') }}",
        "{{ app.things | selectattr('x', 'divisibleby', 2) }}",
        "{{ app.name is defined }}",
        "{{ range(3) }}",
        "{{ other }}",
        "{% macro m() %}{{ varargs }}{% endmacro %}",
        "{% macro m() %}{{ kwargs }}{% endmacro %}",
        "{% macro m() %}{{ caller() }}{% endmacro %}",
        "{% include '_header.j2' %}",
        "{% extends '_header.j2' %}",
        "{% set space = namespace(a=1) %}{% set space.a = 2 %}{{ space.a }}",
        "{% for x in app.things recursive %}{{ loop(x) }}{% endfor %}",
    ],
)
def test_what_the_runtime_does_not_have_is_not_compiled(text: str) -> None:
    with pytest.raises(hatch_build.UnsupportedError):
        compiled_snippet(text)


# --- the command, in a copy of its own with the modules that the build makes


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with the generated modules."""
    directory = tmp_path_factory.mktemp("installed")
    copy(directory)
    return directory


def copy(directory: Path) -> str:
    """Copies the command and generates its modules; returns what that says."""
    for name in ("compiler", "schema", "templates"):
        shutil.copytree(
            os.path.join(ROOT, name), directory / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(os.path.join(ROOT, "hatch_build.py"), directory)
    return generate(directory)


def generate(directory: Path) -> str:
    """Generates the modules; returns what that says."""
    done = subprocess.run([sys.executable, "hatch_build.py"], cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout + done.stderr


def run(directory: Path, arguments: list[str], ending: str = "") -> str:
    """Runs the command of a copy; returns what it prints, and what the program ``ending`` prints after it."""
    program = f"import sys\nfrom compiler.__main__ import main\nstatus = main()\n{ending}\nsys.exit(status)\n"
    environment = {**os.environ, "PYTHONPATH": str(directory)}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        cwd=directory,
    )
    assert done.returncode in (0, 2), done.stderr
    return done.stdout + done.stderr


HEAVY = (
    "jinja2",
    "jsonschema",
    "fastjsonschema",
    "click",
    "pathlib",
    "dataclasses",
    "argparse",
    "subprocess",
    "tempfile",
    "asyncio",
)
"""Modules that take longer to import than a whole part of the work."""


def test_compiling_imports_nothing_heavy(installed: Path, tmp_path: Path) -> None:
    ending = f"print(*sorted(set(sys.modules) & set({HEAVY!r})), sep='\\n', file=sys.stderr)"
    said = run(installed, ["-q", "-f", FLAGSHIP, "-o", str(tmp_path / "build")], ending)
    assert [line for line in said.splitlines() if line in HEAVY] == []


def test_a_run_in_which_nothing_changed_imports_next_to_nothing(installed: Path, tmp_path: Path) -> None:
    arguments = ["-q", "-f", FLAGSHIP, "-o", str(tmp_path / "build")]
    run(installed, arguments)
    ending = "print('modules:', *sorted(m for m in sys.modules if m.startswith(('compiler', 'yaml', 'typing', 're'))))"
    assert run(installed, arguments, ending).splitlines()[0] == (
        "modules: compiler compiler.__main__ compiler.manifest compiler.quick compiler.resources"
    )


def test_the_process_ends_at_once_but_says_everything(installed: Path) -> None:
    arguments = [sys.executable, "-m", "compiler", "schema"]
    done = subprocess.run(arguments, cwd=installed, check=True, capture_output=True, text=True)
    assert done.stdout == appos("schema", cwd=installed).out


def test_every_template_of_the_tree_is_compiled(installed: Path) -> None:
    assert generate(installed) == ""


def test_an_edited_template_counts_at_once(tmp_path: Path) -> None:
    copy(tmp_path)
    header = tmp_path / "templates" / "_header.j2"
    header.write_text(header.read_text().replace("Generated by", "Made by"))
    run(tmp_path, ["-q", "-f", FLAGSHIP, "-o", str(tmp_path / "build")])
    assert "# Made by appos-compile" in (tmp_path / "build" / "Dockerfile").read_text()


def test_a_template_that_cannot_be_compiled_ahead_is_rendered_all_the_same(tmp_path: Path) -> None:
    copy(tmp_path)
    template = tmp_path / "templates" / ".env.j2"
    template.write_text(template.read_text() + "# {{ app.name | title }}\n")
    said = generate(tmp_path)
    assert re.fullmatch(r"templates/\.env\.j2 is left to Jinja: .*title.*\n", said)
    run(tmp_path, ["-q", "-f", FLAGSHIP, "-o", str(tmp_path / "build")])
    assert (tmp_path / "build" / ".env").read_text().endswith("# Appos\n")
    assert ".env.j2" not in (tmp_path / "compiler" / "_templates.py").read_text()


def test_an_edited_schema_counts_at_once(tmp_path: Path) -> None:
    copy(tmp_path)
    schema = tmp_path / "schema" / "appos.schema.json"
    schema.write_text(re.sub(r'"const": 1\b', '"const": 2', schema.read_text(), count=1))
    assert "must be 2" in run(tmp_path, ["-q", "-f", FLAGSHIP, "-o", str(tmp_path / "build")])


def test_the_modules_are_the_same_whenever_they_are_generated(installed: Path) -> None:
    names = ("_templates.py", "_validator.py")
    before = [(installed / "compiler" / name).read_text() for name in names]
    generate(installed)
    assert [(installed / "compiler" / name).read_text() for name in names] == before
