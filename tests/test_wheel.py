"""The wheel: complete, nothing beside it, and in an empty environment it compiles to the same bytes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

from compiler import __version__
from tests.running import ROOT, appos, contents, flagship

PACKED = ("compiler", "schema", "templates", "hatch_build.py", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md")
GENERATED = {"compiler/_templates.py", "compiler/_validator.py"}
CASES = sorted((ROOT / "tests" / "cases").glob("*/appos.yaml"))


def _build(source: Path, kind: str) -> Path:
    """Build a wheel or an sdist of a source tree, with what is installed here."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(source.parent / kind)],
        cwd=source,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (built,) = (source.parent / kind).iterdir()
    return built


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources in a directory of their own, since building writes into it."""
    copy = tmp_path_factory.mktemp("sources") / "tree"
    copy.mkdir()
    for name in PACKED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "_templates.py", "_validator.py")
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, copy / name)
    # What lies about in somebody's checkout.
    (copy / "tests").mkdir()
    (copy / "tests" / "test_x.py").write_text("")
    (copy / "compiler" / "__pycache__").mkdir()
    (copy / "compiler" / "__pycache__" / "x.pyc").write_text("")
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path) -> Path:
    return _build(source, "wheel")


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel and the packages it says it needs, and nothing else."""
    top = tmp_path_factory.mktemp("environment")
    venv.create(top / "venv", with_pip=False)
    program = top / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(program), "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, str(wheel)], check=True)
    (top / "needed").mkdir()
    for entry in _needed():
        (top / "needed" / entry.name).symlink_to(entry)
    (site,) = (top / "venv" / "lib").glob("python*/site-packages")
    (site / "needed.pth").write_text(f"{top / 'needed'}\n")
    return program


def _needed() -> set[Path]:
    """The packages and modules of everything the distribution needs at run time, as they are installed here."""
    found: dict[str, set[Path]] = {}
    todo = ["appos-compile"]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        package = distribution(name)
        tops = {file.parts[0] for file in package.files or () if file.parts[0] not in ("..", "__pycache__")}
        found[name] = {Path(str(package.locate_file(top))) for top in tops}
        for requirement in package.requires or ():
            wanted, _, marker = requirement.partition(";")
            if "extra ==" not in marker and _applies(marker):
                todo.append(re.split(r"[ <>=!~\[(]", wanted.strip())[0].lower())
    del found["appos-compile"]
    return {entry for entries in found.values() for entry in entries}


def _applies(marker: str) -> bool:
    version = re.search(r'python_version < "3\.(\d+)"', marker)
    return not version or sys.version_info < (3, int(version[1]))


def _run(program: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [program.with_name("appos-compile"), *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


def _files(top: Path) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in top.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name not in ("_templates.py", "_validator.py")
    }


def test_everything_is_in_it_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    info = {name for name in names if name.startswith(f"appos_compile-{__version__}.dist-info/")}
    data = {f"compiler/{name}" for name in _files(ROOT / "schema") | _files(ROOT / "templates")}
    assert names - info == _files(ROOT / "compiler") | data | GENERATED
    assert {name.partition("/")[2] for name in info} == {
        *("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    }


def test_it_says_what_it_is(wheel: Path) -> None:
    packed = zipfile.ZipFile(wheel)
    metadata = packed.read(f"appos_compile-{__version__}.dist-info/METADATA").decode()
    lines = re.findall(r"^Requires-Dist: .*$", metadata, re.MULTILINE)
    needs = {re.split(r"[<>=~! ]", line)[1] for line in lines if "extra ==" not in line}
    assert needs == {"pyyaml", "jsonschema", "jinja2", "click"}
    assert f"\nVersion: {__version__}\n" in metadata
    assert "\nRequires-Python: >=3.10\n" in metadata
    assert packed.read(f"appos_compile-{__version__}.dist-info/WHEEL").decode().count("Tag: py3-none-any") == 1


def test_the_command_is_the_wheels_own(python: Path, tmp_path: Path) -> None:
    where = subprocess.run(
        [python, "-I", "-c", "import compiler; print(compiler.__file__)"], check=True, capture_output=True, text=True
    )
    assert where.stdout.startswith(str(python.parent.parent))
    assert _run(python, "--version", cwd=tmp_path).stdout == f"appos-compile {__version__}\n"


def test_it_compiles_the_flagship_elsewhere_to_the_same_bytes(python: Path, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    flagship(ours)
    flagship(theirs)
    assert appos(cwd=ours).status == 0
    done = _run(python, cwd=theirs)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    # The record of what was made from what too: each takes the other's output for its own.
    assert contents(theirs) == contents(ours)
    assert _run(python, "--check", cwd=ours).returncode == 0


@pytest.mark.parametrize("spec", CASES, ids=lambda spec: spec.parent.name)
def test_it_compiles_every_case_to_the_same_bytes(python: Path, spec: Path, tmp_path: Path) -> None:
    done = _run(python, "-f", str(spec), "-o", str(tmp_path / "theirs"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert appos("-f", str(spec), "-o", str(tmp_path / "ours"), cwd=tmp_path).status == 0
    assert contents(tmp_path / "theirs") == contents(tmp_path / "ours")


@pytest.mark.parametrize(
    "arguments", [["schema"], ["show"], ["explain", "W001"], ["template", "nginx.conf"], ["completion", "bash"]]
)
def test_every_command_finds_its_data(python: Path, tmp_path: Path, arguments: list[str]) -> None:
    flagship(tmp_path)
    done = _run(python, *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == appos(*arguments, cwd=tmp_path)


def test_init_and_problems(python: Path, tmp_path: Path) -> None:
    assert _run(python, "init", "--with", "nginx,redis", cwd=tmp_path).returncode == 0
    spec = tmp_path / "appos.yaml"
    assert _run(python, "--strict", cwd=tmp_path).returncode == 0
    spec.write_text(spec.read_text().replace("preset: redis", "preset: rediss").replace("routes:", "ruotes:"))
    assert _run(python, "--format", "sarif", cwd=tmp_path).returncode == 2
    done = _run(python, cwd=tmp_path)
    assert (done.returncode, 'did you mean "redis"?' in done.stderr, 'did you mean "routes"?' in done.stderr) == (
        2,
        True,
        True,
    )


def test_the_wheel_of_the_source_distribution_is_the_same(source: Path, wheel: Path, tmp_path: Path) -> None:
    archive = _build(source, "sdist")
    with tarfile.open(archive) as packed:
        assert not [name for name in packed.getnames() if "/tests" in name or name.endswith(".pyc")]
    subprocess.run(["tar", "-xf", archive, "-C", tmp_path], check=True)
    again = zipfile.ZipFile(_build(tmp_path / f"appos_compile-{__version__}", "wheel"))
    first = zipfile.ZipFile(wheel)
    assert {name: again.read(name) for name in again.namelist()} == {
        name: first.read(name) for name in first.namelist()
    }
