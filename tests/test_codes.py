"""Every code of a problem has an explanation with two examples, which do what they say."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from compiler import commands, explanation, load, pipeline, presets, resources
from compiler.errors import HostError, SpecError
from tests.running import ROOT, appos

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CODES = commands.codes()
EMITTED = re.compile(r'"([EW][0-9]{3})"')


def example(entry: Mapping[str, Any], word: str) -> bytes:
    """The bytes of an example, whichever way it is written down."""
    if f"{word}_bytes" in entry:
        return base64.b64decode(entry[f"{word}_bytes"])
    if f"{word}_repeated" in entry:
        repeated = entry[f"{word}_repeated"]
        return (str(repeated["text"]) * int(repeated["times"])).encode()
    return str(entry[word]).encode()


def found(entry: Mapping[str, Any], word: str, directory: Path) -> list[str]:
    """The codes of the problems of an example, compiled beside the files it needs."""
    for name, content in {**entry.get("files", {}), **entry.get(f"{word}_files", {})}.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    try:
        document = load.parse(example(entry, word), "appos.yaml")
        return [problem.code for problem in pipeline.compile_document(document, str(directory)).warnings]
    except SpecError as error:
        return [problem.code for problem in error.problems]


@pytest.mark.parametrize("code", CODES)
def test_the_wrong_example_has_this_problem_and_no_other(code: str, tmp_path: Path) -> None:
    assert set(found(CODES[code], "wrong", tmp_path)) == {code}


@pytest.mark.parametrize("code", CODES)
def test_the_right_example_has_no_problem(code: str, tmp_path: Path) -> None:
    assert found(CODES[code], "right", tmp_path) == []


def test_every_code_that_can_be_told_is_explained_and_no_other() -> None:
    sources = (ROOT / "compiler").rglob("*.py")
    told = {
        code
        for path in sources
        if not path.name.startswith("_") or path.name == "__init__.py"
        for code in EMITTED.findall(path.read_text("utf-8"))
    }
    # The text for a code that does not exist names two.
    assert told == set(CODES)


def test_the_file_is_sorted_and_complete() -> None:
    assert list(CODES) == sorted(CODES)
    for code, entry in CODES.items():
        files = {"files", "wrong_files", "right_files"}
        assert set(entry) <= {"title", "explanation", *files, "wrong", "wrong_bytes", "wrong_repeated", "right"}, code
        assert {"title", "explanation", "right"} <= set(entry), code
        assert len({"wrong", "wrong_bytes", "wrong_repeated"} & set(entry)) == 1, code
        assert len(entry["title"]) <= 60, code
        assert not entry["title"].endswith("."), code
        assert 60 <= len(entry["explanation"]) <= 600, code


def test_explanations_speak_the_users_language() -> None:
    words = re.compile(r"\b(None|True|False|dict|regex|JSON Schema|Python|Jinja|exception|[Tt]raceback)\b")
    assert [code for code, entry in CODES.items() if words.search(f"{entry['title']} {entry['explanation']}")] == []


@pytest.mark.parametrize("code", CODES)
def test_explain_prints_title_text_and_both_examples(code: str) -> None:
    text = explanation.text(code.lower())
    entry = CODES[code]
    assert text.startswith(f"{code}: {entry['title']}\n")
    assert " ".join(entry["explanation"].split()[:5]) in text
    for word in ("wrong", "right"):
        assert f"\n{word.capitalize()}:\n" in text
        for line in entry.get(word, "").splitlines():
            assert f"    {line}\n" in text or not line
    for name in entry.get("files", {}):
        assert f"    {name}:\n" in text


def test_a_code_that_does_not_exist_has_a_neighbour(tmp_path: Path) -> None:
    run = appos("explain", "E0200", cwd=tmp_path)
    assert (run.status, run.out) == (3, "")
    assert "did you mean" in run.err
    with pytest.raises(HostError) as caught:
        explanation.text("what?")
    assert caught.value.hint == f"codes go from {min(commands.findings())} to {max(CODES)}"


def test_explain_needs_no_spec(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "compiler", "explain", "E020"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.startswith("E020: ")


def test_no_preset_is_at_a_loss_for_a_family() -> None:
    # There is no message for a preset without packages for a base, because there is no such preset.
    families = set(load.parse(resources.read("schema", "families.yaml").encode(), "families").data)
    for name in presets.names():
        preset = load.parse(resources.read("schema", "presets", f"{name}.yaml").encode(), name).data
        assert set(preset["families"]) == families, name
