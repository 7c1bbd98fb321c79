"""The comment for a pull request: read by a real reader of Markdown."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from compiler.report import printable
from compiler.size import markdown
from compiler.size.report import Budget, Owner
from tests.size_reports import HOSTILE, hostile, part, report, share, usual

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
GITHUB = 65_536


def tables(text: str) -> list[list[list[str]]]:
    """The cells of each row of each table, as text."""
    rendered = READER.render(text)
    return [
        [
            [
                html.unescape(re.sub("<[^>]*>", "", cell))
                for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
            ]
            for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
        ]
        for table in re.findall(r"<table>(.*?)</table>", rendered, re.DOTALL)
    ]


def test_the_headline_says_size_change_and_budget() -> None:
    rendered = READER.render(markdown.text(usual()))
    assert "<h3><code>shop:1</code>: 69.2 MB, 27.7 MB compressed (+9.22 MB since <code>main</code>)</h3>" in rendered
    assert "30.8 MB left of the budget of 100.0 MB" in rendered
    assert "<strong>Over the budget of 20.0 MB</strong> by 7,688,280 bytes: the image, compressed" in rendered
    assert (
        "<strong>Over the budget of 2.00 MB</strong> by 970,000 bytes: service <code>redis</code>, uncompressed"
        in rendered
    )


def test_the_table_has_every_share_largest_first_with_its_change() -> None:
    table = tables(markdown.text(usual()))[0]
    assert table[0] == ["asked for by", "uncompressed", "of all", "compressed", "change"]
    assert table[1] == ["artifact api", "45.3 MB", "65.5 %", "18.1 MB", "+5.31 MB"]
    assert [row[0] for row in table[1:]] == [
        "artifact api",
        "compiler appos-compile",
        "base alpine:3.24",
        "service redis",
        "service web",
        "package shared",
        "nobody",
        "extra database",
        "service gone",
        "all",
    ]
    assert table[4][4] == "0"
    assert table[-2] == ["service gone", "0 B", "0.0 %", "0 B", "\N{MINUS SIGN}9.00 kB"]
    assert table[-1] == ["all", "69.2 MB", "100.0 %", "27.7 MB", "+9.22 MB"]


def test_advice_strays_and_parts_are_folded() -> None:
    text = markdown.text(usual())
    assert re.findall("<details><summary>(.*)</summary>", text) == [
        "Changes",
        "Advice",
        "Files that nobody asked for",
        "Parts",
    ]
    assert text.count("</details>") == 4
    rendered = READER.render(text)
    assert "<strong>5.48 MB</strong> in 7 files of caches. To do: delete them." in rendered
    assert ["package nginx", "+1.67 MB", "1 B", "1.67 MB"] in tables(text)[1]
    assert "<code>/var/cache/a (layer 1)</code>" in rendered
    assert "and 6 more" in rendered


def test_what_is_not_there_is_not_said() -> None:
    text = markdown.text(report(share(Owner("service", "a"), part("one", 100)), packed=False))
    assert tables(text)[0][0] == ["asked for by", "uncompressed", "of all"]
    assert "budget" not in text
    assert "Advice" not in text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_a_cell_of_code(name: str) -> None:
    shown = report(share(Owner("artifact", name), part(name, 5, version=name, shared=(name,))))
    shares, parts = tables(markdown.text(shown._replace(image=name)))
    assert shares[1][0] == f"artifact {printable(name)}"
    assert (
        parts[1][0] == f"artifact {printable(name)}: {printable(name)} {printable(name)}, shared by {printable(name)}"
    )
    assert {len(row) for row in parts} == {4}


def test_hostile_names_bring_no_markup_of_their_own() -> None:
    rendered = READER.render(markdown.text(hostile()))
    tags = set(re.findall(r"<([a-z!][a-z0-9]*)", rendered))
    assert tags == {
        "h3",
        "p",
        "code",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "strong",
        "details",
        "summary",
        "ul",
        "li",
    }


@settings(deadline=None)
@given(st.text(min_size=1, max_size=150))
def test_any_name_is_one_piece_of_code(name: str) -> None:
    rendered = READER.render(f"| a |\n| --- |\n| x {markdown.code(name)} |\n")
    assert rendered.count("<code>") == 1
    (found,) = re.findall("<td>x <code>(.*)</code></td>", rendered, re.DOTALL)
    assert html.unescape(found).strip() == printable(name).strip()


@pytest.mark.parametrize("count", [40, 5000])
def test_however_much_there_is_it_fits_into_a_comment(count: int) -> None:
    shares = [
        share(Owner("service", f"service-{n}"), *(part("<" * 300, 9000 - m) for m in range(9))) for n in range(count)
    ]
    shown = report(*shares, budget=Budget(10, None))
    text = markdown.text(shown)
    assert len(text) < GITHUB
    assert text.count("<details>") == text.count("</details>")
    assert "There is more than fits here." in text
    if count > markdown.ROWS:
        assert tables(text)[0][-2][0] == f"{count - markdown.ROWS} more"


def test_the_same_report_gives_the_same_comment() -> None:
    assert markdown.text(hostile()) == markdown.text(hostile())
