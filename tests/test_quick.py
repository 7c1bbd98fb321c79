"""The run in which nothing changed: recognised when nothing did, left to the compiler in every other case."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import compiler
from compiler import manifest, quick, resources
from compiler.generated import GeneratedFile
from compiler.write import write

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = [GeneratedFile("Dockerfile", "FROM scratch\n", 0o644), GeneratedFile("entrypoint.sh", "#!/bin/sh\n", 0o755)]
WARNING = "3:9: warning W001: old\n  3 | base: x"
ROOT = Path(compiler.__path__[0]).parent


def _compile(output: str = "build", to: str = "build", warnings: tuple[str, ...] = ()) -> None:
    sources = ["extra.sql"]
    digest = quick.Inputs("appos.yaml").digest(sources)
    write(to, FILES, origin=manifest.Origin(digest, output, sources, warnings))


def _python(code: str, top: Path = ROOT) -> subprocess.CompletedProcess[str]:
    start = "import sys; sys.path.insert(0, sys.argv[1]); before = set(sys.modules); from compiler import quick; "
    return subprocess.run([sys.executable, "-I", "-c", start + code, top], check=False, capture_output=True, text=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("appos.yaml").write_text("version: 1\nname: x\n")
    Path("extra.sql").write_text("select 1;\n")
    _compile()
    return tmp_path


@pytest.mark.parametrize(
    "arguments", [[], ["--check"], ["-f", "appos.yaml"], ["--file=appos.yaml", "-o", "build"], ["-o", "build/"]]
)
def test_nothing_changed(project: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in (project / "build").iterdir()}
    assert quick.run(arguments) == 0
    assert capfd.readouterr() == ("build/: 3 files up to date\n", "")
    assert {path.name: path.stat().st_mtime_ns for path in (project / "build").iterdir()} == before


def test_the_paths_are_as_the_user_gave_them(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.parent)
    assert quick.run(["-f", f"{project.name}/appos.yaml"]) == 0
    assert capfd.readouterr().out == f"{project.name}/build/: 3 files up to date\n"


@pytest.mark.usefixtures("project")
def test_quiet_says_nothing_but_warnings(capfd: pytest.CaptureFixture[str]) -> None:
    _compile(warnings=(WARNING,))
    assert quick.run(["-q"]) == 0
    assert capfd.readouterr() == ("", f"appos.yaml:{WARNING}\n")


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    "arguments",
    [
        ["--diff"],
        ["--force"],
        ["--watch"],
        ["--format", "json"],
        ["--color=always"],
        ["--help"],
        ["init"],
        ["--"],
        ["-f"],
        ["-f", "-"],
        ["-f="],
        ["--file="],
        ["-fappos.yaml"],
        ["-qo", "build"],
        ["-q", "--quiet"],
        ["-o", "build", "--output=build"],
        ["--check=yes"],
        ["-f", "missing.yaml"],
        ["-o", "missing"],
        ["-f", "."],
        ["-f", "nul\0.yaml"],
    ],
)
def test_anything_else_is_left_to_the_command_line(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert quick.run(arguments) is None
    assert capfd.readouterr() == ("", "")


def _append(line: str) -> None:
    with open(os.path.join("build", manifest.NAME), "a") as stream:
        stream.write(line + "\n")


def _replace_by_fifo(path: str) -> None:
    os.unlink(path)
    os.mkfifo(path)


def _replace_by_link(path: str, target: str) -> None:
    os.rename(path, "moved")
    os.symlink(target, path)


CHANGES: dict[str, Callable[[], object]] = {
    "spec edited": lambda: Path("appos.yaml").write_text("version: 1\nname: y\n"),
    "spec missing": lambda: os.unlink("appos.yaml"),
    "spec is a FIFO": lambda: _replace_by_fifo("appos.yaml"),
    "spec is a device": lambda: _replace_by_link("appos.yaml", "/dev/zero"),
    "spec has another output": lambda: Path("appos.yaml").write_text("output: dist\n"),
    "named file edited": lambda: Path("extra.sql").write_text("select 2;\n"),
    "named file gone": lambda: os.unlink("extra.sql"),
    "output edited": lambda: Path("build/Dockerfile").write_text("FROM alpine\n"),
    "output missing": lambda: os.unlink("build/Dockerfile"),
    "output with CRLF": lambda: Path("build/Dockerfile").write_bytes(b"FROM scratch\r\n"),
    "output not executable": lambda: os.chmod("build/entrypoint.sh", 0o644),
    "output not for everyone": lambda: os.chmod("build/Dockerfile", 0o640),
    "output is a link": lambda: _replace_by_link("build/Dockerfile", "../moved"),
    "left over from a kill": lambda: Path("build", manifest.TEMPORARY + "0").touch(),
    "manifest missing": lambda: os.unlink(f"build/{manifest.NAME}"),
    "manifest empty": lambda: Path("build", manifest.NAME).write_bytes(b""),
    "manifest of a later format": lambda: _append("format 2"),
    "run cut short": lambda: _append(f"writing Dockerfile 644 {'0' * 64} 000000"),
    "merged inputs": lambda: _append(f"inputs {'0' * 64}"),
    "merged outputs": lambda: _append(f"file Dockerfile 644 {'0' * 64} 000000"),
    "directory missing": lambda: shutil.rmtree("build"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.usefixtures("project")
def test_any_change_is_left_to_the_compiler(change: Callable[[], object], capfd: pytest.CaptureFixture[str]) -> None:
    change()
    assert quick.run([]) is None
    assert capfd.readouterr() == ("", "")


def test_a_default_directory_that_leads_out_of_the_tree(project: Path) -> None:
    shutil.move(project / "build", project.parent / "elsewhere")
    (project / "build").symlink_to("../elsewhere")
    assert quick.run([]) is None
    assert quick.run(["-o", "build"]) == 0


def test_another_name_of_the_spec_makes_other_outputs(project: Path) -> None:
    (project / "appos.yaml").rename("other.yaml")
    assert quick.run(["-f", "other.yaml"]) is None


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("line", ["output: dist", 'output: "dist"  # where', "output:   'dist'"])
def test_the_directory_that_the_spec_names(line: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("appos.yaml").write_text(f"version: 1\n{line}\n")
    _compile(output="dist", to="dist")
    assert quick.run([]) == 0
    assert capfd.readouterr().out == "dist/: 3 files up to date\n"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    "text", ['"output": dist', "{output: dist}", "? output\n: dist", "x-y: |\n  a\noutput: !!str dist"]
)
def test_a_directory_named_in_another_form_is_never_mistaken_for_the_default(text: str) -> None:
    Path("appos.yaml").write_text(text + "\n")
    _compile(output="dist", to="dist")
    _compile(output="dist", to="build")
    assert quick.run([]) is None
    assert quick.run(["-o", "build"]) == 0


@pytest.mark.usefixtures("project")
def test_a_spec_saved_while_it_was_compiled_is_not_taken_for_compiled() -> None:
    inputs = quick.Inputs("appos.yaml")
    Path("appos.yaml").write_text("version: 1\nname: saved\n")
    assert inputs.digest() == ""
    write("build", FILES, origin=manifest.Origin(inputs.digest(), "build"))
    assert quick.run([]) is None


@pytest.mark.usefixtures("project")
def test_the_digest_tells_apart_what_differs() -> None:
    def digest(*sources: str) -> str:
        return quick.Inputs("appos.yaml").digest(sources)

    Path("empty").touch()
    assert len({digest(), digest("extra.sql"), digest("missing"), digest("empty"), digest("empty", "missing")}) == 5
    assert digest("extra.sql", "empty") == digest("empty", "extra.sql", "empty")
    assert digest("two\nlines") == ""
    assert quick.Inputs("missing.yaml").digest() == ""


def test_an_installed_compiler_has_the_digest_of_its_checkout(project: Path) -> None:
    wheel, checkout = project / "site", project / "checkout"
    sources = shutil.ignore_patterns("__pycache__", "templates", "schema")
    for top in (wheel, checkout):
        shutil.copytree(ROOT / "compiler", top / "compiler", ignore=sources)
    for data in ("schema", "templates"):
        for place in (wheel / "compiler", checkout):
            shutil.copytree(resources.directory(data), place / data)

    (wheel / "compiler" / "_validator.py").write_text("made by the build\n")
    (wheel / "compiler" / "_templates").mkdir()
    (wheel / "compiler" / "_templates" / "made.py").write_text("made by the build\n")

    def digest(top: Path) -> str:
        return _python("print(quick.Inputs('appos.yaml').digest())", top).stdout

    assert digest(wheel) == digest(checkout)
    (checkout / "templates" / "new.j2").write_text("x")
    changed = digest(checkout)
    (checkout / "compiler" / "errors.py").write_text("")
    assert len({digest(wheel), changed, digest(checkout)}) == 3


def test_no_output_depends_on_what_stands_apart() -> None:
    program = "import sys; from compiler import pipeline; pipeline.compile_spec('appos.yaml'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    used = [f"{name.removeprefix('compiler.').replace('.', '/')}/" for name in done.stdout.split()]
    assert not [name for name in used if name.startswith(quick.APART)]


@pytest.mark.usefixtures("project")
def test_it_imports_next_to_nothing() -> None:
    names = "print(*sorted(name for name in set(sys.modules) - before if not name.startswith(('_', 'encodings'))))"
    result = _python(f"quick.run([]); {names}")
    assert result.returncode == 0
    sentence, modules = result.stdout.splitlines()
    assert sentence == "build/: 3 files up to date"
    assert set(modules.split()) <= {"compiler", "compiler.manifest", "compiler.quick", "compiler.resources", "hashlib"}


@pytest.mark.usefixtures("project")
def test_a_closed_stdout_is_left_to_the_command_line() -> None:
    result = _python("import os; os.close(1); os._exit(7 if quick.run([]) is None else 0)")
    assert (result.returncode, result.stderr) == (7, "")


def test_the_sentence_counts() -> None:
    assert quick.sentence("out/", 1) == "out/: 1 file up to date"
