"""The command as its users meet it: every option and subcommand, what is printed where, and the exit status."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from compiler.outputs import OUTPUTS
from tests.running import ROOT, Result, appos, command, contents, environment, flagship, process, terminal

SPEC = """\
version: 1
name: web
image: {base: alpine:3.24}
services:
  web: {preset: nginx, port: 80}
routes:
  /: {static: /srv/www}
ports:
  http: {publish: 8080, service: web}
"""
WARNING = SPEC.replace("3.24", "3.19")
WRONG = SPEC.replace("static:", "statc:").replace("publish", "publsh")
FORMATS = ["human", "json", "github", "sarif"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "appos.yaml").write_text(SPEC)
    return tmp_path


@pytest.fixture
def compiled(project: Path) -> Path:
    assert appos(cwd=project).status == 0
    return project


def _write(project: Path, text: str) -> None:
    (project / "appos.yaml").write_text(text)


# --- compiling


def test_a_first_run_names_what_it_created(project: Path) -> None:
    result = appos(cwd=project)
    assert (result.status, result.err) == (0, "")
    lines = result.out.splitlines()
    assert re.fullmatch(r"created build/Dockerfile \+\d+ -0", next(line for line in lines if "/Dockerfile " in line))
    assert {line.split()[1] for line in lines} == {
        f"build/{name}" for name in contents(project / "build") if name != ".appos-compile.sums"
    }


def test_a_run_says_what_changed(compiled: Path) -> None:
    _write(compiled, SPEC.replace("8080", "8081"))
    result = appos(cwd=compiled)
    assert (result.status, result.err) == (0, "")
    assert result.out == "updated build/.env +1 -1\nupdated build/docker-compose.yml +1 -1\n"


def test_a_run_that_changes_nothing_says_so(compiled: Path) -> None:
    assert appos(cwd=compiled) == (0, f"build/: {len(contents(compiled / 'build')) - 1} files up to date\n", "")


def test_what_is_no_longer_generated_is_removed(compiled: Path) -> None:
    _write(compiled, SPEC + "outputs: {Dockerfile.local: false, Dockerfile.local.dockerignore: false}\n")
    result = appos(cwd=compiled)
    assert result.status == 0
    assert re.search(r"^removed build/Dockerfile\.local \+0 -\d+$", result.out, re.MULTILINE)
    assert not (compiled / "build" / "Dockerfile.local").exists()


def test_a_lost_mode_is_mended(compiled: Path) -> None:
    (compiled / "build" / "entrypoint.sh").chmod(0o644)
    assert appos("--check", cwd=compiled).out.startswith("wrong mode: build/entrypoint.sh 644 -> 755\n")
    assert appos(cwd=compiled).out == "changed the mode of build/entrypoint.sh 644 -> 755\n"
    assert (compiled / "build" / "entrypoint.sh").stat().st_mode & 0o777 == 0o755


def test_escape_hatches_in_use_are_listed(project: Path) -> None:
    _write(project, SPEC + "extra: {.env: {end: 'A=1'}, nginx.conf: {server: 'charset utf-8;'}}\n")
    assert appos(cwd=project).out.endswith("\nescape hatches in use: .env/end, nginx.conf/server\n")


@pytest.mark.parametrize("arguments", [["-o", "out"], ["--output", "out"], ["--output=out"]])
def test_another_directory_gets_the_same_bytes(compiled: Path, arguments: list[str]) -> None:
    assert appos(*arguments, cwd=compiled).status == 0
    outputs = {name: file for name, file in contents(compiled / "build").items() if not name.endswith(".sums")}
    elsewhere = {name: file for name, file in contents(compiled / "out").items() if not name.endswith(".sums")}
    assert outputs == elsewhere


@pytest.mark.parametrize("where", ["sub/my.yaml", "./sub/my.yaml", "{absolute}/sub/my.yaml"])
def test_the_spec_may_lie_anywhere_and_its_outputs_lie_beside_it(project: Path, where: str) -> None:
    (project / "sub").mkdir()
    (project / "appos.yaml").rename(project / "sub" / "my.yaml")
    spec = where.replace("{absolute}", str(project))
    result = appos("-f", spec, cwd=project)
    assert result.status == 0
    assert f"created {os.path.dirname(spec)}/build/Dockerfile " in result.out
    assert (project / "sub" / "build" / "Dockerfile").is_file()
    assert not (project / "build").exists()
    assert "from my.yaml." in (project / "sub" / "build" / "Dockerfile").read_text()
    assert appos("--check", "-f", spec, cwd=project).status == 0


def test_the_spec_names_the_directory(project: Path) -> None:
    _write(project, "output: deploy/container\n" + SPEC)
    assert "created deploy/container/Dockerfile " in appos(cwd=project).out
    assert "context: ../..\n" in (project / "deploy" / "container" / "docker-compose.yml").read_text()


def test_a_link_out_of_the_tree_is_refused_unless_it_was_asked_for(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (project / "build").symlink_to(elsewhere)
    result = appos(cwd=project)
    assert (result.status, result.out, contents(elsewhere)) == (3, "", {})
    assert result.err.startswith("error: build leads out of ")
    assert appos("-o", "build", cwd=project).status == 0
    assert "Dockerfile" in contents(elsewhere)


# --- looking


def test_check_writes_nothing_and_says_how_to_mend_it(project: Path) -> None:
    result = appos("--check", cwd=project)
    assert (result.status, result.err) == (1, "")
    assert re.search(r"^missing: build/Dockerfile \+\d+ -0$", result.out, re.MULTILINE)
    assert result.out.endswith("To mend it: run appos-compile and commit what it writes\n")
    assert list(contents(project)) == ["appos.yaml"]


def test_check_names_what_is_out_of_date(compiled: Path) -> None:
    _write(compiled, SPEC.replace("8080", "8081"))
    before = contents(compiled)
    result = appos("--check", "--output", "build", cwd=compiled)
    assert result.out == (
        "out of date: build/.env +1 -1\nout of date: build/docker-compose.yml +1 -1\n"
        "To mend it: run appos-compile -o build and commit what it writes\n"
    )
    assert (result.status, contents(compiled)) == (1, before)


def test_diff_shows_what_would_change(compiled: Path) -> None:
    _write(compiled, SPEC.replace("8080", "8081"))
    before = contents(compiled)
    result = appos("--diff", cwd=compiled)
    assert (result.status, result.err, contents(compiled)) == (0, "", before)
    assert "--- build/.env\n+++ build/.env (generated)\n" in result.out
    assert "\n-HTTP_PORT=8080\n+HTTP_PORT=8081\n" in result.out
    assert appos("--diff", "--check", cwd=compiled).status == 1
    assert appos("--diff", "--quiet", cwd=compiled).out == result.out


def test_quiet_says_nothing_when_all_is_well_only(project: Path) -> None:
    assert appos("--quiet", cwd=project) == (0, "", "")
    _write(project, SPEC.replace("8080", "8081"))
    assert "out of date: build/.env" in appos("--quiet", "--check", cwd=project).out
    _write(project, WRONG)
    assert "error[E0" in appos("--quiet", cwd=project).err


def test_an_interrupted_run_is_recognised_and_finished(compiled: Path) -> None:
    (compiled / "build" / ".appos-compile.tmp.3").write_text("half")
    look = appos("--check", cwd=compiled)
    assert (look.status, look.out.splitlines()[0]) == (1, "build: an earlier run was interrupted")
    assert appos(cwd=compiled).out == "build: an earlier run was interrupted; this one has finished its work\n"
    assert appos("--check", cwd=compiled).status == 0


# --- problems


def test_problems_go_to_stderr_all_at_once_with_place_and_advice(project: Path) -> None:
    _write(project, WRONG)
    result = appos(cwd=project)
    assert (result.status, result.out) == (2, "")
    assert "--> appos.yaml:7:7\n" in result.err
    assert 'did you mean "static"?' in result.err
    assert "--> appos.yaml:9:10\n" in result.err
    assert 'did you mean "publish"?' in result.err
    assert list(contents(project)) == ["appos.yaml"]


def test_warnings_go_to_stderr_and_stop_nothing(project: Path) -> None:
    _write(project, WARNING)
    first = appos(cwd=project)
    assert first.status == 0
    assert re.fullmatch(r"appos\.yaml:3:15: warning W001: alpine 3\.19 has had .*\n", first.err)
    again = appos(cwd=project)
    assert (again.status, again.err) == (0, first.err)
    assert appos("--check", cwd=project).err == first.err


def test_strict_makes_errors_of_warnings(project: Path) -> None:
    _write(project, WARNING)
    result = appos("--strict", cwd=project)
    assert (result.status, result.out) == (2, "")
    assert "warning[W001]" in result.err
    assert result.err.endswith("error: these are errors because of --strict\n")
    assert list(contents(project)) == ["appos.yaml"]
    machine = appos("--strict", "--format", "json", cwd=project)
    assert [item["code"] for item in json.loads(machine.out)] == ["W001"]
    _write(project, SPEC)
    assert appos("--strict", cwd=project).status == 0


def test_a_silenced_warning_is_no_error_for_strict_either(project: Path) -> None:
    _write(project, WARNING + "silence:\n  - {code: W001, at: image.base, reason: planned}\n")
    assert appos("--strict", cwd=project).status == 0


def test_the_spec_is_missing(tmp_path: Path) -> None:
    result = appos(cwd=tmp_path)
    assert (result.status, result.out) == (3, "")
    assert result.err.startswith("error: ")
    assert "appos.yaml" in result.err
    assert "help: " in result.err


@pytest.mark.parametrize("where", ["/dev/null", ".", "missing/appos.yaml", "a\nb", "x" * 5000])
def test_a_spec_that_cannot_be_read(tmp_path: Path, where: str) -> None:
    result = appos("-f", where, cwd=tmp_path)
    assert (result.status, result.out) == (3, "")
    assert result.err.startswith("error: ")


@pytest.mark.parametrize("output", ["json", "github", "sarif"])
@pytest.mark.parametrize("kind", ["fine", "warning", "wrong", "missing", "unwritable", "edited", "stale", "strict"])
def test_a_program_finds_one_report_on_stdout_whatever_happens(project: Path, output: str, kind: str) -> None:
    arguments = ["--format", output]
    texts = {"warning": WARNING, "wrong": WRONG, "strict": WARNING}
    _write(project, texts.get(kind, SPEC))
    if kind == "missing":
        (project / "appos.yaml").unlink()
    elif kind == "unwritable":
        (project / "build").write_text("")
    elif kind == "edited":
        assert appos(cwd=project).status == 0
        (project / "build" / ".env").write_text("X=1\n")
    elif kind in ("stale", "strict"):
        arguments.append("--check" if kind == "stale" else "--strict")
    result = appos(*arguments, cwd=project)
    assert result.status == {"fine": 0, "warning": 0, "wrong": 2, "missing": 3, "unwritable": 3, "strict": 2}.get(
        kind, 1
    )
    found = {"warning": ["W001"], "strict": ["W001"], "wrong": ["E020", "E020"]}.get(kind, [])
    if output == "json":
        items = json.loads(result.out)
        assert sorted(item["code"] for item in items) == found
        assert all(
            list(item) == ["code", "severity", "message", "file", "line", "column", "hint", "related"] for item in items
        )
    elif output == "sarif":
        (run,) = json.loads(result.out)["runs"]
        assert sorted(item["ruleId"] for item in run["results"]) == found
    else:
        assert all(re.match(r"::(error|warning) ", line) for line in result.out.splitlines())
        assert ("::error" in result.out) == (result.status != 0 and kind != "strict")
    told = {"missing": "appos.yaml", "unwritable": "build", "edited": "build/.env was edited", "strict": "--strict"}
    assert told.get(kind, "") in result.err
    if kind in ("fine", "wrong", "warning"):
        assert result.err == ""


@pytest.mark.parametrize("output", FORMATS)
def test_the_other_options_go_with_every_format(compiled: Path, output: str) -> None:
    _write(compiled, SPEC.replace("8080", "8081"))
    result = appos("--check", "--diff", "--quiet", "--format", output, cwd=compiled)
    assert result.status == 1
    assert "out of date: build/.env" in (result.out if output == "human" else result.err)
    if output == "github":
        assert "::error file=build/.env,line=1,col=1,title=out of date::" in result.out
        assert "run appos-compile and commit what it writes" in result.out


def test_nothing_is_coloured_in_a_file_or_a_pipe(project: Path) -> None:
    _write(project, WRONG)
    assert "\x1b" not in "".join(map(str, process(cwd=project)))


def test_colours_when_asked_for(compiled: Path) -> None:
    _write(compiled, SPEC.replace("8080", "8081"))
    diff = appos("--diff", "--color", "always", cwd=compiled).out
    assert "\x1b[31m-HTTP_PORT=8080\x1b[0m\n\x1b[32m+HTTP_PORT=8081\x1b[0m\n" in diff
    _write(compiled, WRONG)
    assert "\x1b[" in appos("--color=always", cwd=compiled).err
    assert "\x1b[" in appos("--color=always", "show", cwd=compiled).err
    assert "\x1b[" not in appos("--color=always", "--format", "json", cwd=compiled).out


# --- wrong arguments


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--chek"], "--check"),
        (["--format", "xml"], "'human', 'json', 'github', 'sarif'"),
        (["-f"], "requires an argument"),
        (["-f", ""], "--file needs a name"),
        (["--output="], "--output needs a name"),
        (["shwo"], "Did you mean show?"),
        (["check"], "Did you mean --check?"),
        (["build"], "without a command, appos-compile compiles"),
        (["other.yaml"], "appos-compile -f other.yaml"),
        (["xyzzy"], "See appos-compile --help."),
        (["--watch", "--check"], "--watch writes, --check does not"),
        (["--watch", "--diff"], "--watch writes, --diff does not"),
        (["--force", "--check"], "--force writes, --check does not"),
        (["--force", "--diff"], "--force writes, --diff does not"),
        (["--watch", "--format", "json"], "--watch reports to people"),
        (["--check", "show"], "--check does not go with show"),
        (["-o", "x", "init"], "--output does not go with init"),
        (["explain"], "Missing argument 'CODE'"),
        (["template"], "Missing argument 'OUTPUT'"),
        (["completion", "tcsh"], "'bash', 'zsh', 'fish'"),
        (["show", "extra"], "unexpected extra argument"),
    ],
)
def test_wrong_arguments_are_explained_and_have_a_status_of_their_own(
    project: Path, arguments: list[str], said: str
) -> None:
    result = appos(*arguments, cwd=project)
    assert (result.status, result.out) == (64, "[]\n" if "json" in arguments else "")
    assert said in result.err
    assert list(contents(project)) == ["appos.yaml"]


@pytest.mark.parametrize("arguments", [["--format", "json", "--chek"], ["--format=json", "xyzzy"]])
def test_wrong_arguments_leave_a_program_an_empty_list(project: Path, arguments: list[str]) -> None:
    assert json.loads(appos(*arguments, cwd=project).out) == []


# --- subcommands


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["init", "-h"], ["show", "--help"], ["completion", "-h"]])
def test_help(tmp_path: Path, arguments: list[str]) -> None:
    result = appos(*arguments, cwd=tmp_path)
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith("Usage: appos-compile")
    assert max(map(len, result.out.splitlines())) <= 100


def test_every_exit_status_is_in_the_help(tmp_path: Path) -> None:
    help_ = " ".join(appos("--help", cwd=tmp_path).out.split())
    assert all(f" {status} " in help_ for status in (0, 1, 2, 3, 64, 70))


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(tmp_path: Path, option: str) -> None:
    from compiler import __version__

    assert appos(option, cwd=tmp_path) == (0, f"appos-compile {__version__}\n", "")


def test_the_schema_for_editors_knows_the_names_too(tmp_path: Path) -> None:
    result = appos("schema", cwd=tmp_path)
    assert (result.status, result.err) == (0, "")
    printed = json.loads(result.out)
    preset = printed["$defs"]["service"]["properties"]["preset"].pop("enum")
    outputs = printed["properties"]["outputs"].pop("propertyNames")["enum"]
    assert f"{preset[0]}.yaml" in os.listdir(ROOT / "schema" / "presets")
    assert "nginx.conf" in outputs
    assert printed == json.loads((ROOT / "schema" / "appos.schema.json").read_text())


def test_explain(tmp_path: Path) -> None:
    result = appos("explain", "w001", cwd=tmp_path)
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith("W001: ")
    wrong = appos("explain", "W0001", cwd=tmp_path)
    assert (wrong.status, wrong.out) == (3, "")
    assert 'did you mean "W001"?' in wrong.err


@pytest.mark.parametrize("output", [output.name for output in OUTPUTS])
def test_a_printed_template_is_whole_and_makes_the_same_file(tmp_path: Path, output: str) -> None:
    flagship(tmp_path)
    assert appos(cwd=tmp_path).status == 0
    before = contents(tmp_path / "build")
    text = appos("template", output, cwd=tmp_path).out
    assert re.findall(r"{% (?:from|import|include|extends) (\S+)", text) in ([], ['"_header.j2"'])
    (tmp_path / "mine.j2").write_text(text)
    (tmp_path / "appos.yaml").write_text((tmp_path / "appos.yaml").read_text() + f"\noutputs: {{{output}: mine.j2}}\n")
    assert appos(cwd=tmp_path).status == 0
    after = contents(tmp_path / "build")
    assert {**after, ".appos-compile.sums": None} == {**before, ".appos-compile.sums": None}


def test_there_is_no_template_of_that_name(tmp_path: Path) -> None:
    result = appos("template", "nginx.cnf", cwd=tmp_path)
    assert (result.status, result.out) == (3, "")
    assert 'did you mean "nginx.conf"?' in result.err


# --- templates of the user's own


@pytest.mark.parametrize(
    ("template", "line", "said"),
    [
        ("a\n{{ nosuch }}\n", 2, "'nosuch' is undefined"),
        ("{{ app.nosuch }}\n", 1, "nosuch"),
        ("a\nb\n{% if %}\n", 3, ""),
        ("a\n{% for x in app.services %}\n", 2, ""),
        ("a\n{{ app.name | nosuch }}\n", 2, "nosuch"),
        ("{{ 1 // 0 }}\n", 1, "division"),
        ('a\n\n{% include "nosuch.j2" %}\n', 3, "nosuch.j2"),
        ("{% macro a() %}{{ a() }}{% endmacro %}\n{{ a() }}\n", 2, "recursion"),
        ('{% from "_header.j2" import header %}\n\n{{ header() }}\n', 3, ""),
    ],
)
def test_a_mistake_in_a_template_is_the_users_and_has_a_place(
    project: Path, template: str, line: int, said: str
) -> None:
    (project / "my").mkdir()
    (project / "my" / "env.j2").write_text(template)
    _write(project, WARNING + "outputs:\n  .env: my/env.j2\n")
    result = appos("--format", "json", cwd=project)
    assert result.status == 2, result.err
    warning, problem = json.loads(result.out) if "W001" in result.out[:40] else reversed(json.loads(result.out))
    assert warning["code"] == "W001"
    assert problem["code"] == "E048"
    assert (problem["file"], problem["line"]) == ("my/env.j2", line)
    assert problem["message"].startswith("my/env.j2 cannot be rendered: ")
    assert said in problem["message"]
    assert problem["related"][0]["line"] == len(WARNING.splitlines()) + 2
    human = appos(cwd=project)
    assert f"--> my/env.j2:{line}:1\n" in human.err
    assert not (project / "build").exists()


def test_all_wrong_templates_are_told_at_once_and_the_right_one_is_not(project: Path) -> None:
    for name, text in (("one", "{{ x }}"), ("two", "A=1"), ("three", "a\n{{ y }}")):
        (project / f"{name}.j2").write_text(text)
    _write(project, SPEC + "outputs:\n  nginx.conf: one.j2\n  .env: two.j2\n  .dockerignore: three.j2\n")
    result = appos("--format=json", cwd=project)
    assert {(item["file"], item["line"]) for item in json.loads(result.out)} == {("one.j2", 1), ("three.j2", 2)}


def test_a_spec_in_another_directory_names_its_template_by_a_path_that_opens(project: Path) -> None:
    (project / "env.j2").write_text("{{ x }}")
    _write(project, SPEC + "outputs: {.env: env.j2}\n")
    result = appos("-f", f"{project.name}/appos.yaml", cwd=project.parent)
    assert f"--> {project.name}/env.j2:1:1\n" in result.err


# --- bugs of ours


def _broken_copy(tmp_path: Path) -> Path:
    """A compiler with a bug: one of its own templates is wrong."""
    root = tmp_path / "broken"
    for name in ("compiler", "schema", "templates"):
        shutil.copytree(
            ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "_templates.py", "_validator.py")
        )
    template = root / "templates" / ".env.j2"
    template.write_text(template.read_text() + "{{ nosuch }}\n")
    return root


@pytest.mark.parametrize("own", [False, True])
def test_a_bug_of_ours_says_so_and_keeps_the_details(tmp_path: Path, own: bool) -> None:
    work, temporary = tmp_path / "work", tmp_path / "temporary"
    work.mkdir()
    temporary.mkdir()
    (work / "nginx.j2").write_text("fine\n")
    _write(work, SPEC + ("outputs: {nginx.conf: nginx.j2}\n" if own else ""))
    env = environment({"TMPDIR": str(temporary)}, _broken_copy(tmp_path))
    result = process("--format", "json", "-f", "appos.yaml", cwd=work, env=env)
    assert (result.status, json.loads(result.out)) == (70, [])
    assert result.err.startswith("error: this is a bug of appos-compile, not of your spec")
    (details,) = temporary.iterdir()
    assert str(details) in result.err
    assert "Traceback" not in result.err
    text = details.read_text()
    assert "Traceback" in text
    assert "arguments: '--format' 'json' '-f' 'appos.yaml'" in text
    assert not (work / "build").exists()


def test_a_bug_of_ours_where_no_file_can_be_written(tmp_path: Path) -> None:
    _write(tmp_path, SPEC)
    env = environment({"TMPDIR": "/dev/null", "TEMP": "/dev/null", "TMP": "/dev/null"}, _broken_copy(tmp_path))
    script = (
        "import sys, tempfile; tempfile._get_default_tempdir = lambda: '/dev/null'; "
        "from compiler.__main__ import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 70
    assert "The details:\n" in done.stderr
    assert "nosuch" in done.stderr


# --- streams and terminals


def _shell(line: str, cwd: Path, env: dict[str, str] | None = None) -> Result:
    """Run a line of shell in which $APPOS is the command."""
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=cwd,
        env={**environment(env), "APPOS": " ".join(command())},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def test_the_command_itself(compiled: Path) -> None:
    assert process(cwd=compiled).out.endswith(" files up to date\n")
    installed = Path(sys.executable).with_name("appos-compile")
    if installed.exists():
        done = subprocess.run([installed, "--check"], cwd=compiled, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("options", ["", "--color=auto", "--check", "--diff"])
@pytest.mark.parametrize("redirect", [">&-", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-", "</dev/null >/dev/null"])
def test_a_closed_stream_changes_neither_status_nor_files(compiled: Path, options: str, redirect: str) -> None:
    _write(compiled, SPEC.replace("8080", "8081"))
    result = _shell(f"$APPOS {options} {redirect}", compiled)
    assert result.status == (1 if options == "--check" else 0)
    assert "Traceback" not in result.err
    assert "Exception" not in result.err
    assert ("8081" in (compiled / "build" / ".env").read_text()) == (options not in ("--check", "--diff"))
    assert sorted(path.name for path in compiled.iterdir()) == ["appos.yaml", "build"]


@pytest.mark.parametrize("redirect", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_stream_hides_no_problem(project: Path, redirect: str) -> None:
    _write(project, WRONG)
    assert _shell(f"$APPOS {redirect}", project).status == 2


@pytest.mark.parametrize(
    "line", ["$APPOS --diff", "$APPOS show", "$APPOS schema", "$APPOS --help", "$APPOS template Dockerfile"]
)
def test_a_reader_that_goes_away_is_no_error(project: Path, line: str) -> None:
    result = _shell(f"set -o pipefail; {line} | head -1", project)
    assert (result.status, result.err) == (0, "")
    assert len(result.out.splitlines()) == 1


def test_a_reader_that_goes_away_does_not_hide_drift(project: Path) -> None:
    result = _shell("set -o pipefail; $APPOS --check --diff --color always | head -1", project)
    assert (result.status, result.err) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("line", ["$APPOS", "$APPOS --diff", "$APPOS show", "$APPOS schema"])
def test_a_full_disk_behind_stdout_is_the_environments_fault(compiled: Path, line: str) -> None:
    _write(compiled, SPEC.replace("8080", "8081") if line == "$APPOS --diff" else SPEC)
    result = _shell(f"{line} >/dev/full", compiled)
    assert (result.status, result.err) == (3, "error: the output cannot be written: No space left on device\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_behind_stderr_hides_no_problem(project: Path) -> None:
    _write(project, WRONG)
    assert _shell("$APPOS 2>/dev/full", project).status == 2
    assert _shell("$APPOS --chek 2>/dev/full", project).status == 64


@pytest.mark.parametrize(
    "env",
    [
        {"LANG": "C", "LC_ALL": "C"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "nonsense"},
        {"PYTHONIOENCODING": "ascii"},
        {"TERM": "dumb"},
        {"TERM": ""},
        {"COLUMNS": "10", "LINES": "2"},
        {"HOME": "/nonexistent"},
    ],
)
def test_the_environment_changes_nothing(project: Path, env: dict[str, str]) -> None:
    _write(project, SPEC.replace("/srv/www", "/srv/wörld") + "# ☃\n")
    expected = process(cwd=project)
    assert expected.status == 2
    assert "wörld" in expected.err
    assert process(cwd=project, env=env) == expected
    _write(project, SPEC + "description: ☃ wörld\n")
    assert process(cwd=project, env=env).status == 0
    assert "☃ wörld" in (project / "build" / "Dockerfile").read_text()


def test_without_any_environment(project: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); from compiler.__main__ import main; sys.exit(main())",
        ],
        cwd=project,
        env={},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_working_directory_is_gone(project: Path) -> None:
    for arguments in ("", "init", "--check", "-o out"):
        result = _shell(f"mkdir gone && cd gone && rmdir ../gone && $APPOS {arguments}", project)
        assert result.status == 3, result.err
        assert result.err.startswith("error: ")


def test_a_terminal_gets_colours_unless_it_or_its_user_does_not_want_them(project: Path) -> None:
    _write(project, WRONG)
    assert "\x1b[" in terminal(cwd=project)[1]
    assert "\x1b[" in terminal(cwd=project, env={"NO_COLOR": ""})[1]
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}):
        assert "\x1b[" not in terminal(cwd=project, env=env)[1]
    assert "\x1b[" not in terminal("--color=never", cwd=project)[1]


def test_each_stream_has_its_own_colours(project: Path) -> None:
    _write(project, WRONG)
    parent, child = pty.openpty()
    done = subprocess.run(
        command(),
        cwd=project,
        env=environment({"TERM": "xterm"}),
        stdout=child,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(parent)
    os.close(child)
    assert "error[" in done.stderr
    assert "\x1b[" not in done.stderr


# --- completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_accepted_by_their_shells(tmp_path: Path, shell: str) -> None:
    result = appos("completion", shell, cwd=tmp_path)
    assert (result.status, result.err) == (0, "")
    assert "_APPOS_COMPILE_COMPLETE" in result.out
    program = shutil.which(shell)
    if program:
        done = subprocess.run([program, "-n"], input=result.out, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["", "--ch"], {"--check"}),
        (["", "sh"], {"show"}),
        (["", "--format", ""], {"human", "json", "github", "sarif"}),
        (["", "--color", "al"], {"always"}),
        (["", "init", "--with", "re"], {"redis"}),
        (
            ["", "template", "Dockerfile."],
            {"Dockerfile.local", "Dockerfile.dockerignore", "Dockerfile.local.dockerignore"},
        ),
        (["", "explain", "W00"], {"W001", "W002"}),
        (["", "completion", "z"], {"zsh"}),
    ],
)
def test_bash_completes(tmp_path: Path, words: list[str], offered: set[str]) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    program = tools / "appos-compile"
    program.write_text(f'#!/bin/sh\nexec {" ".join(command())} "$@"\n')
    program.chmod(0o755)
    script = (
        'eval "$(appos-compile completion bash)"\n'
        f"COMP_WORDS=(appos-compile {' '.join(repr(word) for word in words[1:])})\n"
        f"COMP_CWORD={len(words) - 1}\n"
        "_appos_compile_completion appos-compile\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment({"PATH": f"{tools}:{os.environ['PATH']}"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    found = set(done.stdout.split())
    assert offered <= found
    assert all(word.startswith(words[-1]) for word in found)


def test_the_flagship_is_up_to_date(tmp_path: Path) -> None:
    flagship(tmp_path)
    assert appos("-q", cwd=tmp_path).status == 0
    committed, fresh = contents(ROOT / "build"), contents(tmp_path / "build")
    assert {name: fresh[name] for name in fresh if not name.endswith(".sums")} == {
        name: committed[name] for name in fresh if not name.endswith(".sums")
    }


def test_show_reads_back_as_yaml(compiled: Path) -> None:
    assert yaml.safe_load(appos("show", cwd=compiled).out)["name"] == "web"
