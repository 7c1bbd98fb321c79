"""The documents say what is so: the reference is the schema's, commands and examples run, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from compiler import load, pipeline, reference
from compiler.cli import cli
from tests.running import ROOT, appos, contents

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def _blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)


def _anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as code hosts make them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_reference_is_what_the_schema_makes() -> None:
    assert (ROOT / reference.PATH).read_text() == reference.document(), "run: make docs"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        found = document.parent / path if path else document
        assert found.exists(), target
        if anchor:
            assert anchor in _anchors(found.read_text()), target


def test_every_reference_in_the_table_is_one(tmp_path: Path) -> None:
    names = [name.replace(".NAME", "." + ("LEVEL" if "setting" in name else "one")) for name in reference.REFERENCES]
    words = "".join(f"      - '{name}'\n" for name in names)
    spec = (
        "version: 1\nname: app\nimage: {base: alpine:3.24}\n"
        "artifacts: {one: {prebuilt: one, install: /one}}\n"
        "services:\n  one: {command: [one], user: one, port: 8081, data: true}\n"
        f"  me:\n    user: me\n    port: 8080\n    memory: 1MB\n    data: true\n    command:\n{words}"
        "volumes: {one: {mount: /data}}\ndatabase: {file: x.db, owner: me}\n"
        "secrets: {one: {}, me_one: {}}\nsettings: {LEVEL: {}}\n"
    )
    result = pipeline.compile_document(load.parse(spec.encode(), "appos.yaml"), str(tmp_path))
    assert len(result.app.services[1].command) == len(names)


def test_every_command_and_exit_status_is_there(tmp_path: Path) -> None:
    assert {name.split()[1] for name, _ in reference.COMMANDS if " " in name} == set(cli.commands)
    help_ = " ".join(appos("--help", cwd=tmp_path).out.split())
    stated = re.search(r"Exit status: (.*?)\. ", help_)
    assert stated
    assert [int(part.split()[0]) for part in stated[1].split("; ")] == list(reference.STATUS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_specs_in_the_documents_compile_without_a_problem(document: Path, tmp_path: Path) -> None:
    for block in _blocks(document, "yaml"):
        if block.startswith(("version:", "# appos.yaml")):
            result = pipeline.compile_document(load.parse(block.encode(), "appos.yaml"), str(tmp_path))
            assert result.warnings == ()


def test_the_readmes_example_does_what_it_says(tmp_path: Path) -> None:
    readme = ROOT / "README.md"
    (spec,) = (block for block in _blocks(readme, "yaml") if block.startswith("version:"))
    assert len(spec.splitlines()) <= 20
    (tmp_path / "appos.yaml").write_text(spec)
    (shown,) = (block for block in _blocks(readme, "console") if "$ appos-compile\n" in block)
    result = appos(cwd=tmp_path)
    assert result.status == 0
    said = shown.partition("$ appos-compile\n")[2]
    # The numbers of lines change with every template, and nobody reads a README for them.
    assert re.sub(r"\d+", "N", result.out) == re.sub(r"\d+", "N", said)
    assert set(re.findall(r"created build/(\S+)", said)) == set(contents(tmp_path / "build")) - {".appos-compile.sums"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_make_targets_and_options_in_the_documents_exist(document: Path, tmp_path: Path) -> None:
    text = document.read_text()
    listed = subprocess.run(["make", "-s", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    targets = {line.split()[1] for line in listed.splitlines() if line.startswith("make ")}
    for target in re.findall(r"(?:`|^)make ([a-z]+)\b", text, re.MULTILINE):
        assert target in targets, target
    help_ = "".join(appos(*words, "--help", cwd=tmp_path).out for words in ((), *((name,) for name in cli.commands)))
    for command in re.findall(r"`(appos-compile [^`]*)`", text):
        for word in shlex.split(command.replace("$", "\\$").replace(">", " ")):
            if word.startswith("--"):
                assert word.partition("=")[0] in help_, command


def test_files_named_in_the_documents_exist() -> None:
    for document in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for name in re.findall(
            r"`((?:compiler|schema|templates|tests|docs|benchmarks|requirements)/[\w./-]*)`", document.read_text()
        ):
            assert (ROOT / name).exists(), name
