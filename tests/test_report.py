"""Problems are shown so that a person finds the place, a script reads the fields, and a terminal is never tricked."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import load, report
from compiler.errors import Mark, Problem, Related, SpecError

SARIF = jsonschema.Draft4Validator(
    json.loads((Path(__file__).parent / "data" / "sarif-2.1.0.json").read_text(encoding="utf-8"))
)
SPEC = "version: 1\nservices:\n  backend:\n    after: [rediss, convex]\n"
UNKNOWN = Problem(
    "E041",
    'service "backend" comes after "rediss", which does not exist',
    Mark("appos.yaml", 4, 13, 6),
    'did you mean "redis"?',
)
TEXTS = st.text(st.characters(), max_size=80)
NAMES = st.text(max_size=40)
MARKS = st.builds(Mark, NAMES, st.integers(1, 5), st.integers(1, 100), st.integers(1, 100))
PROBLEMS = st.builds(
    Problem,
    st.sampled_from(["E041", "E001", "W002"]),
    TEXTS,
    st.none() | MARKS,
    TEXTS,
    st.lists(st.builds(Related, TEXTS, MARKS), max_size=2).map(tuple),
)


def shown(problem: Problem, text: str, *, color: bool = False) -> str:
    return report.human([problem], {problem.mark.file if problem.mark else "": text}, color=color)


def caret(line: str, column: int, length: int = 1) -> tuple[str, str]:
    """Return the source line and the caret line that are shown for a place."""
    lines = shown(Problem("E041", "wrong", Mark("f", 1, column, length)), line).splitlines()
    return lines[3].removeprefix("1 | "), lines[4].removeprefix("  | ")


def problems_of(text: str) -> tuple[Problem, ...]:
    with pytest.raises(SpecError) as caught:
        load.parse(text.encode(), "appos.yaml")
    return caught.value.problems


# For people.


def test_a_problem_shows_its_line_a_caret_and_the_remedy() -> None:
    assert report.human([UNKNOWN], {"appos.yaml": SPEC}, color=False) == (
        'error[E041]: service "backend" comes after "rediss", which does not exist\n'
        " --> appos.yaml:4:13\n"
        "  |\n"
        "4 |     after: [rediss, convex]\n"
        "  |             ^^^^^^\n"
        '  = help: did you mean "redis"?\n'
        "\n"
        "1 error\n"
    )


def test_related_places_are_shown_likewise_and_line_numbers_aligned() -> None:
    text = "a: 1\n" + "#\n" * 8 + "a: 2\n"
    assert report.human(problems_of(text), {"appos.yaml": text}, color=False) == (
        'error[E008]: the key "a" is given twice in one mapping\n'
        "  --> appos.yaml:10:1\n"
        "   |\n"
        "10 | a: 2\n"
        "   | ^\n"
        "   = help: keep one of the two, or rename one\n"
        "note: first given here\n"
        "  --> appos.yaml:1:1\n"
        "   |\n"
        " 1 | a: 1\n"
        "   | ^\n"
        "\n"
        "1 error\n"
    )


def test_the_last_line_counts() -> None:
    warning = Problem("W001", "old", None)
    assert report.human([], {}, color=False) == ""
    assert report.human([warning], {}, color=False) == "warning[W001]: old\n\n1 warning\n"
    assert report.human([UNKNOWN] * 3 + [warning], {}, color=False).endswith("\n3 errors, 1 warning\n")
    assert report.human([UNKNOWN, warning, warning], {}, color=False).endswith("\n1 error, 2 warnings\n")


def test_a_place_without_its_source_is_only_named() -> None:
    assert " --> appos.yaml:4:13\n  = help" in report.human([UNKNOWN], {}, color=False)
    assert " --> appos.yaml:4:13\n  = help" in report.human([UNKNOWN], {"appos.yaml": "one line\n"}, color=False)


def test_the_place_after_the_end_of_a_line_and_of_the_text_can_be_shown() -> None:
    assert caret("a:", 3) == ("a:", "  ^")
    assert caret("", 1) == ("1 |", "^")


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_lines_are_found_as_the_loader_counts_them(line_break: str) -> None:
    text = line_break.join(["a: 1", "b: x", "a: 2", ""])
    assert "\n3 | a: 2\n" in report.human(problems_of(text), {"appos.yaml": text}, color=False)


def test_color_changes_only_the_styling() -> None:
    plain = report.human([UNKNOWN], {"appos.yaml": SPEC}, color=False)
    colored = report.human([UNKNOWN], {"appos.yaml": SPEC}, color=True)
    assert "\x1b" not in plain
    assert colored != plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain
    assert colored.count("\x1b[0m") * 2 == colored.count("\x1b[")


# Cells.


@pytest.mark.parametrize(
    ("line", "column", "length", "expected"),
    [
        ("k: value", 4, 5, ("k: value", "   ^^^^^")),
        ("日本: x", 5, 1, ("日本: x", "      ^")),
        ("k: 日本", 4, 2, ("k: 日本", "   ^^^^")),
        ("e\u0301\u0301: x", 6, 1, ("e\u0301\u0301: x", "   ^")),
        ("k: e\u0301", 5, 1, ("k: e\u0301", "   ^")),
        ("k: e\u0301x", 4, 2, ("k: e\u0301x", "   ^")),
        ("\U0001f44d: x", 4, 1, ("\U0001f44d: x", "    ^")),
        ("\tk: x", 1, 1, ("    k: x", "^^^^")),
        ("\tk:\tx", 5, 1, ("    k:    x", "          ^")),
        ("ab\u202ecd", 4, 1, ("ab\\u202ecd", "        ^")),
        ("ab\u202ecd", 3, 1, ("ab\\u202ecd", "  ^^^^^^")),
        ("\x1b[31m", 2, 1, ("\\x1b[31m", "    ^")),
    ],
)
def test_the_caret_is_under_the_right_cell(line: str, column: int, length: int, expected: tuple[str, str]) -> None:
    assert caret(line, column, length) == expected


@pytest.mark.parametrize("column", [1, 50, 60, 62, 32_768, 65_500, 65_536])
def test_a_line_of_64_kilobytes_is_cut_around_the_caret(column: int) -> None:
    line = "x" * (column - 1) + "!" + "y" * (65_536 - column)
    text, carets = caret(line, column)
    assert len(text) < 120
    assert text[carets.index("^")] == "!"
    assert text.startswith("...") == (column > 60)
    assert text.endswith("...") == (column < 65_470)


def test_a_long_token_is_underlined_as_far_as_it_is_shown() -> None:
    text, carets = caret("k: " + "x" * 5000, 4, 5000)
    assert text == "k: " + "x" * 97 + "..."
    assert carets == "   " + "^" * 97


# Nothing from a spec reaches a terminal or a workflow log as anything but text.


def harmless(text: str) -> bool:
    return all(
        character in "\n\u200c\u200d" or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        for character in text
    )


@given(st.lists(PROBLEMS, max_size=3), TEXTS)
def test_no_text_can_send_an_escape_sequence(problems: list[Problem], text: str) -> None:
    sources = {problem.mark.file: text for problem in problems if problem.mark}
    for out in [report.human(problems, sources, color=False), report.github(problems)]:
        assert harmless(out)
        assert out.encode().decode() == out


@given(TEXTS)
def test_printable_keeps_what_is_and_marks_what_is_not(text: str) -> None:
    out = report.printable(text)
    assert harmless(out)
    assert "\n" not in out
    if harmless(text) and "\n" not in text:
        assert out == text
    assert report.printable("\x1b[31m\u202e\ud800") == "\\x1b[31m\\u202e\\ud800"


def test_a_problem_of_the_loader_with_escapes_in_it_is_harmless() -> None:
    text = '"a\\e[31m": 1\n"a\\e[31m": 2\n'
    assert harmless(report.human(problems_of(text), {"appos.yaml": text}, color=False))


# For scripts.


def test_json_has_exactly_the_documented_fields() -> None:
    related = Problem("W003", "é", Mark("f", 2, 1), related=(Related("there", Mark("g", 9, 8, 7)),))
    assert json.loads(report.as_json([UNKNOWN, related, Problem("E042", "all of it", None)])) == [
        {
            "code": "E041",
            "severity": "error",
            "message": 'service "backend" comes after "rediss", which does not exist',
            "file": "appos.yaml",
            "line": 4,
            "column": 13,
            "hint": 'did you mean "redis"?',
            "related": [],
        },
        {
            "code": "W003",
            "severity": "warning",
            "message": "é",
            "file": "f",
            "line": 2,
            "column": 1,
            "hint": "",
            "related": [{"message": "there", "file": "g", "line": 9, "column": 8}],
        },
        {
            "code": "E042",
            "severity": "error",
            "message": "all of it",
            "file": None,
            "line": None,
            "column": None,
            "hint": "",
            "related": [],
        },
    ]
    assert json.loads(report.as_json([])) == []


# For GitHub.


def test_a_problem_becomes_one_workflow_command() -> None:
    assert report.github([UNKNOWN, Problem("W001", "old", None)]) == (
        "::error file=appos.yaml,line=4,col=13,title=E041::"
        'service "backend" comes after "rediss", which does not exist%0Ahelp: did you mean "redis"?\n'
        "::warning title=W001::old\n"
    )


def test_workflow_commands_are_escaped() -> None:
    problem = Problem("E041", "100%\r\n::error::x, y: z", Mark("a,b:c%.yaml", 1, 1))
    assert report.github([problem]) == (
        "::error file=a%2Cb%3Ac%25.yaml,line=1,col=1,title=E041::100%25\\r\\n::error::x, y: z\n"
    )


@given(st.lists(PROBLEMS, max_size=3))
def test_no_text_can_add_a_workflow_command(problems: list[Problem]) -> None:
    lines = report.github(problems).splitlines()
    assert len(lines) == len(problems)
    assert all(re.match(r"::(error|warning) [^:]*::", line) for line in lines)


# For code scanning.


def sarif(problems: list[Problem]) -> dict[str, Any]:
    log: dict[str, Any] = json.loads(report.sarif(problems, version="1.2.3", titles={"E041": "An unknown service"}))
    return log


def test_a_sarif_log_names_rules_and_places() -> None:
    problem = UNKNOWN._replace(related=(Related("the services", Mark("dir/a b:c.yaml", 2, 1, 8)),))
    run = sarif([problem, Problem("W001", "old", None)])["runs"][0]
    assert run["columnKind"] == "unicodeCodePoints"
    assert run["tool"]["driver"]["version"] == "1.2.3"
    rules = run["tool"]["driver"]["rules"]
    assert [(rule["id"], rule["defaultConfiguration"]["level"]) for rule in rules] == [
        ("E041", "error"),
        ("W001", "warning"),
    ]
    assert rules[0]["shortDescription"]["text"] == rules[0]["help"]["text"] == "An unknown service"
    first, second = run["results"]
    assert (first["ruleId"], first["ruleIndex"], first["level"]) == ("E041", 0, "error")
    assert first["message"]["text"] == f"{problem.message}\nhelp: {problem.hint}"
    place = first["locations"][0]["physicalLocation"]
    assert place == {
        "artifactLocation": {"uri": "appos.yaml"},
        "region": {"startLine": 4, "startColumn": 13, "endColumn": 19},
    }
    assert first["relatedLocations"][0]["message"]["text"] == "the services"
    assert first["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "dir/a%20b%3Ac.yaml"
    assert (second["ruleIndex"], second["locations"]) == (1, [])


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("./appos.yaml", "appos.yaml"),
        ("../x/../appos.yaml", "../appos.yaml"),
        ("/srv/a b.yaml", "file:///srv/a%20b.yaml"),
        ("é%#?.yaml", "%C3%A9%25%23%3F.yaml"),
        ("\udcff.yaml", "%FF.yaml"),
    ],
)
def test_sarif_names_files_by_uri(path: str, uri: str) -> None:
    result = sarif([UNKNOWN._replace(mark=Mark(path, 1, 1))])["runs"][0]["results"][0]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri


def test_no_text_becomes_a_link_or_a_placeholder_in_sarif() -> None:
    result = sarif([Problem("E041", "[click](evil), [1], {0} and {{ x }}", None)])["runs"][0]["results"][0]
    assert result["message"]["text"] == "\\[click](evil), [1], {{0}} and {{ x }}"


@given(st.lists(PROBLEMS, max_size=3))
@settings(max_examples=30)
def test_every_sarif_log_is_valid(problems: list[Problem]) -> None:
    log = sarif(problems)
    SARIF.validate(log)
    run = log["runs"][0]
    for result, problem in zip(run["results"], problems, strict=True):
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == problem.code
        for location in result["locations"]:
            uri = location["physicalLocation"]["artifactLocation"]["uri"]
            assert uri.isascii()
            assert unquote(uri, errors="strict") is not None


# The table.


@pytest.mark.parametrize("name", ["human", "json", "github", "sarif"])
def test_every_reporter_can_be_had_by_name(name: str) -> None:
    request = report.Request([UNKNOWN], {"appos.yaml": SPEC}, {"E041": "An unknown service"}, "1.2.3")
    assert "rediss" in report.REPORTERS[name](request)
    assert set(report.REPORTERS) == {"human", "json", "github", "sarif"}
