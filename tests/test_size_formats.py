"""`appos-compile size` on an archive, in each of its formats: the same numbers everywhere."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from markdown_it import MarkdownIt

from tests import archives
from tests.running import appos
from tests.small_images import layer
from tests.test_size_advice import SIZE, noise, spec

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A spec, and the image of a base, a tool and what was left behind."""
    (tmp_path / "appos.yaml").write_text(spec().replace("image: {", "image: {budget: 1MB, "))
    layers = [
        layer({"/etc/base": b"base"}),
        layer({"/usr/local/bin/tool": noise(5 * SIZE)}),
        layer({"/tmp/left": noise()}),  # noqa: S108 - a path in an image
    ]
    archives.save(tmp_path / "image.tar", layers, ["base", "COPY /files/tool/ / # buildkit", "RUN"])
    return tmp_path


def size(project: Path, form: str) -> str:
    result = appos("size", "image.tar", "--format", form, cwd=project)
    assert (result.status, result.err) == (0, "")
    return result.out


def test_people_are_told_what_could_be_smaller(project: Path) -> None:
    _, advice = size(project, "human").split("\nwhat could be smaller:\n")
    assert advice.splitlines()[0].strip() == "100.0 kB  in 1 file of caches and temporary directories"
    assert "/tmp/left" in advice  # noqa: S108 - likewise


def test_programs_get_the_advice_with_its_places(project: Path) -> None:
    (advice,) = json.loads(size(project, "json"))["advice"]
    assert (advice["kind"], advice["bytes"], advice["more"]) == ("caches", SIZE, 0)
    assert advice["places"] == [{"path": "/tmp/left", "bytes": SIZE}]  # noqa: S108 - likewise


def test_a_pull_request_gets_a_table(project: Path) -> None:
    rendered = MarkdownIt("commonmark").enable("table").render(size(project, "markdown"))
    assert "<h3><code>image.tar</code>: 600.0 kB" in rendered
    assert "400.0 kB left of the budget of 1.00 MB." in rendered
    assert "<td>artifact <code>tool</code></td>" in rendered
    assert "<summary>Advice</summary>" in rendered
    assert "compressed" in rendered


def test_the_page_is_written_to_a_file(project: Path) -> None:
    result = appos("size", "image.tar", "--format", "html", "-o", "size.html", cwd=project)
    assert (result.status, result.out, result.err) == (0, "", "")
    values = []

    class Values(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            values.append(dict(attrs).get("value") if tag == "data" else None)

    Values().feed((project / "size.html").read_text(encoding="utf-8"))
    shares = json.loads(size(project, "json"))["shares"]
    assert len(shares) >= 3
    assert {str(share["uncompressed"]) for share in shares} <= {value for value in values if value}
