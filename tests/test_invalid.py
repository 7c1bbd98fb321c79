"""Specs with mistakes, through the real command: the whole message, exit status 2, and nothing written."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from compiler import commands
from tests.running import contents, process

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

INVALID = Path(__file__).parent / "invalid"
SPECS = sorted(path.stem for path in INVALID.glob("*.yaml"))
HEAD = re.compile(r"^(?:error|warning)\[([EW][0-9]{3})\]", re.MULTILINE)
TOO_LARGE = "E002"
"""The one code that no spec of this directory has: it would weigh megabytes. See test_bad_input."""


class Message(SingleFileSnapshotExtension):
    """A snapshot that reads as the terminal does."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"


def placed(name: str, directory: Path) -> None:
    """Puts a copy of the spec, called appos.yaml, with the files it comes with into a directory."""
    shutil.copyfile(INVALID / f"{name}.yaml", directory / "appos.yaml")
    if (INVALID / name).is_dir():
        shutil.copytree(INVALID / name, directory, dirs_exist_ok=True)


@pytest.mark.parametrize("name", SPECS)
def test_message(name: str, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    placed(name, tmp_path)
    before = contents(tmp_path)
    run = process(cwd=tmp_path)
    assert run.status == 2
    assert run.out == ""
    assert run.err == snapshot(extension_class=Message)
    assert contents(tmp_path) == before
    if not name.startswith("many-"):
        errors = [code for code in HEAD.findall(run.err) if code.startswith("E")]
        assert len(errors) == 1 or name in SEVERAL, errors


SEVERAL = {
    "key-of-another-tool": "two words of the other tool",
    "yaml-hidden-character": "each character that is not shown is a mistake",
}


def test_there_are_enough() -> None:
    assert len(SPECS) >= 70
    assert sum(name.startswith("many-") for name in SPECS) >= 6


def test_every_code_has_a_spec() -> None:
    shown = INVALID.parent / "__snapshots__" / "test_invalid"
    found = {code for path in shown.glob("*.txt") for code in HEAD.findall(path.read_text("utf-8"))}
    assert found == set(commands.codes()) - {TOO_LARGE}


def test_no_message_speaks_of_schemas_or_python() -> None:
    shown = INVALID.parent / "__snapshots__" / "test_invalid"
    said = [
        line
        for path in shown.glob("*.txt")
        for line in path.read_text("utf-8").splitlines()
        if HEAD.match(line) or " = help: " in line
    ]
    words = r"\b(None|True|False|dict|str|int|NoneType|Traceback|exception|schema|regex|pattern|object|array|integer|"
    words += r"instance|propert(y|ies)|additionalProperties|enum|Jinja2?|Undefined\w*)\b"
    # What stands in quotes is the user's.
    assert [line for line in said if re.search(words, re.sub('"[^"]*"', "", line))] == []
