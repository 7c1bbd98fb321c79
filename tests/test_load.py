"""The spec's text is read as it is written, and everything that is wrong with it is said with its place."""

from __future__ import annotations

import os
import re
import stat
import threading
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import assume, example, given
from hypothesis import strategies as st

from compiler import load
from compiler.errors import HostError, Mark, Problem, SpecError

if TYPE_CHECKING:
    from pathlib import Path

PARSERS = {"libyaml": yaml.CSafeLoader, "python": yaml.SafeLoader}


@pytest.fixture(params=PARSERS)
def both(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test once with each of the parsers that a user's machine may have."""
    monkeypatch.setattr(load, "_LOADER", PARSERS[request.param])


pytestmark = pytest.mark.usefixtures("both")


def parsed(text: str) -> load.Document:
    return load.parse(text.encode(), "appos.yaml")


def data(text: str) -> Any:
    return parsed(text).data


def problems(text: str | bytes) -> tuple[Problem, ...]:
    with pytest.raises(SpecError) as caught:
        load.parse(text if isinstance(text, bytes) else text.encode(), "appos.yaml")
    assert caught.value.problems
    return caught.value.problems


def found(text: str | bytes) -> list[tuple[str, int, int]]:
    """List the problems of a text as code, line and column."""
    return [(problem.code, problem.mark.line, problem.mark.column) for problem in problems(text) if problem.mark]


def attempt(raw: bytes) -> load.Document | tuple[Problem, ...]:
    try:
        return load.parse(raw, "appos.yaml")
    except SpecError as error:
        return error.problems


def only(text: str | bytes) -> Problem:
    (problem,) = problems(text)
    return problem


def under(mark: Mark, text: str) -> str:
    """Return the characters that a mark covers."""
    return re.split(r"\r\n|\r|\n", text)[mark.line - 1][mark.column - 1 : mark.column - 1 + mark.length]


# What is written is what is meant.


@pytest.mark.parametrize(
    "written",
    [
        "on", "off", "yes", "no", "True", "FALSE", "Null", "NULL", "22:22", "3.10", "0755", "0o17", "0x1F", "0b1",
        "1e3", "1_000", "+1", "-0", "00", "01", ".5", ".inf", ".NaN", "2026-11-23", "2026-11-23T10:00:00Z", "=",
        "1234567890123456789", "-1234567890123456789", "\u0661\u0662", "\u00b9",
    ],
)  # fmt: skip
def test_a_value_that_yaml_would_reinterpret_stays_a_string(written: str) -> None:
    assert data(f"k: {written}\n") == {"k": written}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("true", True), ("false", False), ("null", None), ("~", None), ("", None), ("0", 0), ("7", 7), ("-7", -7),
        ("999999999999999999", 999999999999999999), ("-999999999999999999", -999999999999999999),
        ("'true'", "true"), ('"1"', "1"), ("''", ""), ('"~"', "~"), ("|-\n  1", "1"), (">-\n  true", "true"),
        ("[]", []), ("{}", {}), ("[1, [true, x]]", [1, [True, "x"]]),
    ],
)  # fmt: skip
def test_a_value_is_a_string_unless_it_is_a_plain_constant_or_integer(written: str, meant: object) -> None:
    value = data(f"k: {written}\n")["k"]
    assert value == meant
    assert type(value) is type(meant)


@given(st.integers(-(10**18) + 1, 10**18 - 1))
def test_every_integer_is_written_back_as_it_was(number: int) -> None:
    assert data(f"k: {number}\n") == {"k": number}


@given(st.from_regex(r"-?[0-9]{1,25}", fullmatch=True))
def test_digits_are_never_changed(written: str) -> None:
    assert str(data(f"k: {written}\n")["k"]) == written


def test_keys_are_text_whatever_they_look_like() -> None:
    assert data("1: a\ntrue: b\nnull: c\n~: d\non: e\n22:22: f\n'': x\n".replace("'': x\n", "")) == {
        "1": "a", "true": "b", "null": "c", "~": "d", "on": "e", "22:22": "f",
    }  # fmt: skip


# Marks.


def test_marks_cover_what_was_written() -> None:
    text = 'name: appos\nlist: [a, "b c"]\ndeep:\n  "quoted key": |-\n    text\n  empty:\n'
    document = parsed(text)
    covered = {path: under(mark, text) for path, mark in document.marks.items()}
    assert covered[("name",)] == "appos"
    assert covered[("list",)] == "["
    assert covered[("list", 1)] == '"b c"'
    assert covered[("deep", "quoted key")] == "|-"
    assert covered[("deep", "empty")] == ""
    assert document.marks[("deep", "empty")] == Mark("appos.yaml", 6, 9, 1)
    assert {path: under(mark, text) for path, mark in document.keys.items()} == {
        ("name",): "name", ("list",): "list", ("deep",): "deep",
        ("deep", "quoted key"): '"quoted key"', ("deep", "empty"): "empty",
    }  # fmt: skip


def test_every_value_has_a_mark_and_every_key_too() -> None:
    document = parsed("a: &x {b: [1, {c: d}]}\ne:\n  <<: *x\n  f: *x\n")

    def walk(value: Any, path: load.Path) -> None:
        assert path in document.marks
        if isinstance(value, dict):
            for key, inner in value.items():
                assert (*path, key) in document.keys
                walk(inner, (*path, key))
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                walk(inner, (*path, index))

    walk(document.data, ())


@pytest.mark.parametrize("text", ["é: 日本 😀\nk: 😀😀 x\n", "k: 'é😀'\n", "ab: [é, 😀, z]\n"])
def test_columns_count_characters(text: str) -> None:
    document = parsed(text)
    for path, mark in document.marks.items():
        value = document.data
        for step in path:
            value = value[step]
        if isinstance(value, str):
            assert under(mark, text).strip("'") == value


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_lines_end_as_editors_think(line_break: str) -> None:
    text = line_break.join(["a: 1", "", "b: |", "  x", "  y", "c: [1,", "  zz]", ""])
    document = parsed(text)
    assert document.data == {"a": 1, "b": "x\ny\n", "c": [1, "zz"]}
    assert document.marks[("c", 1)] == Mark("appos.yaml", 7, 3, 2)
    assert under(document.marks[("c", 1)], text) == "zz"
    assert found(line_break.join(["a: 1", "b:", "  - x", "a: 2"])) == [("E008", 4, 1)]


def test_a_scalar_of_several_lines_is_marked_on_its_first() -> None:
    text = 'a: one  \n  two\nb: "x\n  y"\nc: &n >-  # folded\n  z\n'
    document = parsed(text)
    assert document.data == {"a": "one two", "b": "x y", "c": "z"}
    assert [under(document.marks[(key,)], text) for key in "abc"] == ["one", '"x', ">-"]


def test_an_anchored_scalar_is_marked_without_its_anchor() -> None:
    text = "a: &name value\nb: *name\n"
    document = parsed(text)
    assert under(document.marks[("a",)], text) == "value"
    assert document.marks[("b",)] == document.marks[("a",)]


@pytest.mark.parametrize("text", ["k: 1\n? a", "k: 1\n? a\n", "k: 1\n? a # none\n\n? b\n", "k:\n  1\n? a # c:"])
def test_a_value_without_so_much_as_a_colon_is_missing_after_its_key(text: str) -> None:
    document = parsed(text)
    key = document.keys[("a",)]
    assert document.data["a"] is None
    assert document.marks[("a",)] == Mark("appos.yaml", key.line, 4)


def test_a_byte_order_mark_is_ignored() -> None:
    document = load.parse(b"\xef\xbb\xbfname: x\n", "appos.yaml")
    assert document.data == {"name": "x"}
    assert document.text == "name: x\n"
    assert document.keys[("name",)] == Mark("appos.yaml", 1, 1, 4)


# Anchors, aliases, merges.


def test_aliases_repeat_values_without_sharing_them() -> None:
    value = data("a: &x {k: [1]}\nb: *x\nc: [*x, *x]\n")
    assert value == {"a": {"k": [1]}, "b": {"k": [1]}, "c": [{"k": [1]}, {"k": [1]}]}
    value["b"]["k"].append(2)
    assert value["a"] == {"k": [1]}
    assert value["c"] == [{"k": [1]}, {"k": [1]}]


def test_the_latest_anchor_of_a_name_counts() -> None:
    assert data("a: &x 1\nb: *x\nc: &x 2\nd: *x\n") == {"a": 1, "b": 1, "c": 2, "d": 2}


def test_merged_keys_yield_to_written_ones_wherever_they_stand() -> None:
    text = (
        "base: &base {user: app, port: 80}\nother: &other {port: 90, env: x}\nweb:\n  port: 1\n  <<: [*base, *other]\n"
    )
    document = parsed(text)
    assert document.data["web"] == {"user": "app", "port": 1, "env": "x"}
    assert document.marks[("web", "user")] == document.marks[("base", "user")]
    assert document.keys[("web", "user")] == document.keys[("base", "user")]
    assert document.marks[("web", "port")].line == 4


def test_merges_can_be_written_out_chained_and_quoted_away() -> None:
    assert data("a: &a {<<: {x: 1}, y: 2}\nb: {<<: *a, z: 3}\n")["b"] == {"x": 1, "y": 2, "z": 3}
    assert data('a: {"<<": 1}\n') == {"a": {"<<": 1}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: *x\n", [("E011", 1, 4)]),
        ("a: &x [1, *x]\n", [("E011", 1, 11)]),
        ("a: &x\n  b: {c: *x}\n", [("E011", 2, 10)]),
        ("a: &x 1\n*x : 2\n", [("E009", 2, 1)]),
        ("a:\n  <<: 1\n", [("E013", 2, 7)]),
        ("a: &x [1]\nb:\n  <<: *x\n", [("E013", 1, 8)]),
        ("a: &x {b: 1}\nc:\n  <<: *x\n  <<: *x\n", [("E008", 4, 3)]),
    ],
)
def test_wrong_aliases_and_merges(text: str, expected: list[tuple[str, int, int]]) -> None:
    assert found(text) == expected


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def test_an_alias_bomb_is_refused_where_it_becomes_one() -> None:
    assert len(data(bomb(3))["a2"]) == 10
    problem = only(bomb(40))
    assert problem.code == "E012"
    assert problem.mark is not None
    assert problem.mark.line == 5
    assert problem.related


def test_aliases_cannot_nest_deeper_than_brackets_can() -> None:
    chain = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200))
    assert only(chain).code == "E007"


def test_a_hundred_merges_in_a_row_are_not_nesting() -> None:
    chain = "a0: &a0 {k0: 0}\n" + "".join(f"a{n}: &a{n}\n  <<: *a{n - 1}\n  k{n}: {n}\n" for n in range(1, 100))
    assert len(data(chain)["a99"]) == 100


# Sizes.


def test_a_thousand_services_are_fine() -> None:
    service = "".join(f"    k{n}: value\n" for n in range(20))
    value = data("services:\n" + "".join(f"  s{n}:\n{service}" for n in range(1000)))
    assert len(value["services"]) == 1000


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
@pytest.mark.parametrize("depth", [100, 10_000, 1_000_000])
def test_deep_nesting_is_one_clear_error(opening: str, depth: int) -> None:
    text = (opening * depth)[: load.MAX_BYTES]
    assert "E007" in {problem.code for problem in problems(text)}


def test_deep_indentation_is_one_clear_error() -> None:
    problem = only("".join(" " * n + "k:\n" for n in range(2500)))
    assert (problem.code, problem.mark) == ("E007", Mark("appos.yaml", 65, 65))


def test_64_levels_are_not_too_many() -> None:
    assert parsed("k: " + "[" * 63 + "]" * 63)
    assert only("k: " + "[" * 64 + "]" * 64).code == "E007"


def test_a_file_of_50_megabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "appos.yaml"
    with path.open("wb") as file:
        file.truncate(50 * 1024 * 1024)
    assert len(load.read(str(path))) == load.MAX_BYTES + 1
    with pytest.raises(SpecError) as caught:
        load.load(str(path))
    assert [problem.code for problem in caught.value.problems] == ["E002"]


def test_very_many_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "MAX_VALUES", 1000)
    assert only("a:\n" + "- x\n" * 1000).code == "E002"


def test_a_file_full_of_mistakes_is_not_read_to_its_end() -> None:
    many = problems("a:\n" + "- !x 1\n" * 300_000)
    assert len(many) == load.MAX_PROBLEMS
    assert "100" in many[-1].hint


# Encodings and characters.


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_other_encodings_are_named(encoding: str) -> None:
    problem = only("name: appos\n".encode(encoding))
    assert problem.code == "E001"
    assert encoding.upper()[:6] in problem.message
    assert "UTF-8" in problem.hint
    assert load.displayed("name: appos\n".encode(encoding)) == "name: appos\n"


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_a_byte_that_is_not_utf_8_is_placed(line_break: str) -> None:
    problem = only(f"é: 1{line_break}k: ☃ caf".encode() + b"\xe9\n")
    assert (problem.code, problem.mark) == ("E001", Mark("appos.yaml", 2, 9))
    assert "0xE9" in problem.message
    assert "é" in problem.hint


@pytest.mark.parametrize(
    "character",
    [chr(n) for n in [*range(9), 11, 12, *range(14, 32), *range(127, 160)]]
    + list("\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ufeff\u2060\u00ad\ufffe\U000e0041"),
)
def test_hidden_characters_are_refused_wherever_they_stand(character: str) -> None:
    for text in [f"k: a{character}b\n", f"k: 1 # a{character}\n", f"k: 'a{character}b'\n", f"a{character}: 1\n"]:
        problem = only(text)
        assert (problem.code, problem.mark) == ("E003", Mark("appos.yaml", 1, text.index(character) + 1))
        assert f"U+{ord(character):04X}" in problem.message


@pytest.mark.parametrize(
    "escape",
    [
        "\\0", "\\a", "\\b", "\\e", "\\f", "\\v", "\\N", "\\L", "\\P", "\\x7f", "\\u202e", "\\uFEFF",
        "\\U000E0041", "\\ud800", "\\uDFFF", "\\U00110000", "\\UFFFFFFFF",
    ],
)  # fmt: skip
def test_escapes_of_hidden_characters_are_refused(escape: str) -> None:
    problem = only(f'a: 1\nk: "\\\\ é {escape} z"\n')
    assert (problem.code, problem.mark) == ("E003", Mark("appos.yaml", 2, 10, len(escape)))
    assert escape in problem.message


def test_escapes_of_ordinary_characters_are_read() -> None:
    assert data(r'k: "\x41\u00e9\U0001F600\t\n\r\"\\\/\_"' + "\n") == {"k": 'Aé😀\t\n\r"\\/\xa0'}


def test_joiners_that_scripts_and_emoji_need_are_kept() -> None:
    text = "\U0001f469\u200d\U0001f4bb \u0645\u06cc\u200c\u062e"
    assert data(f"k: {text}\n") == {"k": text}


def test_a_binary_file_is_one_mistake_not_a_million() -> None:
    assert len(problems("k: " + "\0" * 100_000)) <= load.MAX_CHARACTER_PROBLEMS


# Mistakes that leave the rest readable are all told at once.


def test_all_problems_come_in_one_run_sorted_by_place() -> None:
    text = "a: !t 1\nb:\n  c: 1\n  c: 2\nd: *nothing\ne: x\u202ey\n? [k]\n: v\nb: 3\n"
    assert found(text) == [
        ("E010", 1, 4), ("E008", 4, 3), ("E011", 5, 4), ("E003", 6, 5), ("E009", 7, 3), ("E008", 9, 1),
    ]  # fmt: skip
    first, second = problems(text)[1], problems(text)[-1]
    assert first.related[0].mark == Mark("appos.yaml", 3, 3)
    assert second.related[0].mark == Mark("appos.yaml", 2, 1)


def test_what_stands_before_a_break_is_told_with_it() -> None:
    assert found("a: 1\na: 2\nb: [\n") == [("E008", 2, 1), ("E016", 3, 4)]


def test_a_break_that_a_hidden_character_may_have_caused_is_not_told() -> None:
    assert found("a: 1\n\u200b b: [2\n") == [("E003", 2, 1)]
    assert found("a: @\nb: \u200b\n") == [("E015", 1, 4), ("E003", 2, 4)]


@pytest.mark.parametrize(
    "tag", ["!t", "!", "!!str", "!!python/object:os.system", "!!binary", "!<tag:yaml.org,2002:str>", "!un!known"]
)
@pytest.mark.parametrize("value", ["x", "[1]", "{a: 1}", "'q'", ""])
def test_tags_are_refused(tag: str, value: str) -> None:
    assert found(f"k: {tag} {value}\n") == [("E010", 1, 4)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("E004", 1, 1)),
        ("# only\n# comments\n", ("E004", 1, 1)),
        ("---\n", ("E004", 1, 1)),
        ("a: 1\n---\nb: 2\n", ("E005", 2, 1)),
        ("a: 1\n---\n", ("E005", 2, 1)),
        ("a: 1\n...\nb: 2\n", ("E005", 3, 1)),
        ("- a\n", ("E006", 1, 1)),
        ("text\n", ("E006", 1, 1)),
        ("name:appos\n", ("E006", 1, 1)),
        ("%YAML 1.1\n---\na: 1\n", ("E019", 1, 1)),
        ("'': 1\n", ("E009", 1, 1)),
        (": 1\n", ("E009", 1, 1)),
        ("a: {{ name }}\n", ("E009", 1, 5)),
        ("k" * 1100 + ": 1\n", ("E009", 1, 1)),
    ],
)
def test_the_shape_of_the_file(text: str, expected: tuple[str, int, int]) -> None:
    assert found(text) == [expected]


def test_one_document_may_be_framed() -> None:
    assert data("---\na: 1\n...\n") == {"a": 1}


# Broken YAML, in the user's words.


@pytest.mark.parametrize(
    ("text", "expected", "words"),
    [
        ("a:\n\tb: 1\n", ("E014", 2, 1), "tab"),
        ("a:\n  b: 1\n\tc: 2\n", ("E014", 3, 1), "tab"),
        ("a:\n  \tb: 1\n", ("E014", 2, 3), "tab"),
        ("a:\n-\tb\n", ("E014", 2, 2), "tab"),
        ("a: 1\nname:appos\nb: 2\n", ("E017", 2, 5), "space is missing"),
        ("name:appos\nb: 2\n", ("E017", 1, 5), "space is missing"),
        ("a:\n  name:appos\n  b: 1\n", ("E017", 2, 7), "space is missing"),
        ("a: 1\nname\nb: 2\n", ("E017", 2, 1), "colon"),
        ('a: "x\nb: 1\n', ("E016", 1, 4), "never closed"),
        ("a: 'x\n---\nb: 1\n", ("E016", 1, 4), "never closed"),
        ('a: "x\nb: "y"\n', ("E016", 1, 4), "only on line 2"),
        ("a: 'x\nb: 'y'\n", ("E016", 1, 4), "only on line 2"),
        ("a: [x, y\nb: 1\n", ("E016", 1, 4), '"["'),
        ("a: {x: 1\nb: 1\n", ("E016", 1, 4), '"{"'),
        ("a: [x, y\n", ("E016", 1, 4), '"["'),
        ("a: {b: c d: e}\n", ("E016", 1, 11), "missing here"),
        ("a: [x}\n", ("E016", 1, 6), '"]"'),
        ("a: ]\n", ("E016", 1, 4), "closes nothing"),
        ("a: [- b]\n", ("E016", 1, 4), "bracket"),
        ("a: 'it's'\n", ("E015", 1, 8), "closing quote"),
        ("a: [x] y\n", ("E015", 1, 8), "closing bracket"),
        ("a: b: c\n", ("E015", 1, 5), '": "'),
        ("a: b:\n", ("E015", 1, 5), '":"'),
        ("a: %x\n", ("E015", 1, 4), "%"),
        ("a: @x\n", ("E015", 1, 4), "@"),
        ("a: `x`\n", ("E015", 1, 4), "`"),
        ("a: *.log\n", ("E015", 1, 4), "*"),
        ("a: & b\n", ("E015", 1, 4), "&"),
        ("a: >x\n", ("E015", 1, 4), ">"),
        ("a: |x\n", ("E015", 1, 4), "|"),
        ("a: ,x\n", ("E015", 1, 4), ","),
        ("a: ? x\n", ("E015", 1, 4), "?"),
        ('a: "C:\\path"\n', ("E015", 1, 7), "backslash"),
        ('a: "\\xZZ"\n', ("E015", 1, 5), "backslash"),
        ("a: 1\n  b: 2\n", ("E018", 2, 3), "indented below"),
        ("a:\n    b: 1\n  c: 2\n", ("E018", 3, 3), "indentation"),
        (" a: 1\nb: 2\n", ("E018", 2, 1), "indentation"),
        ("a:\n  - x\n  b: 1\n", ("E018", 3, 3), "list item was expected"),
        ("a:\n  b: 1\n  - x\n", ("E018", 3, 3), "among keys"),
        ("a: - b\n", ("E018", 1, 4), "list item"),
        ("a: |0\n  x\n", ("E015", 1, 4), "|"),
        ("a: &x &y z\n", ("E019", 1, 7), "not valid YAML"),
    ],
)
def test_broken_yaml_is_explained(text: str, expected: tuple[str, int, int], words: str) -> None:
    problem = only(text)
    assert found(text) == [expected]
    assert words in problem.message
    assert problem.hint


def test_places_in_broken_yaml_count_characters() -> None:
    assert found("é: 😀 [\nb: 日本: x\n") == [("E015", 2, 6)]


def test_every_code_is_in_the_table_and_reserved_for_reading() -> None:
    assert list(load.CODES) == [f"E{number:03}" for number in range(1, 20)]


# Whatever the bytes are.

PIECES = [
    "a", "b", ": ", ":", "\n", "\n  ", "\n    ", "- ", "-", "[", "]", "{", "}", ", ", '"', "'", " # c", "&x ", "*x",
    "<<: ", "!t ", "|", ">", "|-\n", "\\", "\\u202e", "\\ud800", "\\x41", "é", "😀", "\u202e", "\r\n", "\r", "1",
    "true", "~", "? ", "%", "@", "---", "...", "\n---\n", "%YAML 1.1\n", "key: value", "\n  k: v", "x: [1, 2]",
    "\u2028", "\x85", "\x07", "\t",
]  # fmt: skip
SOUP = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


@given(st.one_of(st.binary(max_size=60), SOUP.map(str.encode), SOUP.map(lambda text: b"k: " + text.encode())))
@example(b'k: "\\UFFFFFFFF"')
@example(b"%YAML 1." + b"9" * 5000 + b"\n---\na: 1\n")
@example(b"%TAG ! !\n%TAG ! !\n---\na: 1")
@example(b"k: !%ff%fe x")
def test_reading_gives_a_document_or_the_spec_s_problems_with_places(raw: bytes) -> None:
    result = attempt(raw)
    if isinstance(result, load.Document):
        assert isinstance(result.data, dict)
        assert result.text.encode() == raw.removeprefix(b"\xef\xbb\xbf")
        return
    lines = re.split(r"\r\n|\r|\n", load.displayed(raw))
    places = [(problem.mark.line, problem.mark.column) for problem in result if problem.mark]
    assert len(places) == len(result)
    assert places == sorted(places)
    assert {problem.code for problem in result} <= load.CODES.keys()
    for line, column in places:
        assert 1 <= line <= len(lines)
        assert 1 <= column <= len(lines[line - 1]) + 1


VISIBLE = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=40)


@given(VISIBLE)
def test_quoted_text_survives(text: str) -> None:
    value = parsed("k: '" + text.replace("'", "''") + "'\n")
    assert value.data == {"k": text}
    assert value.marks[("k",)].length == len(text) + 2 + text.count("'")


@given(st.from_regex(r"[A-Za-z0-9_./:=+^$é日😀-]+([ ][A-Za-z0-9_./=+^$é日😀-]+)*", fullmatch=True).map(str.strip))
def test_plain_text_survives_as_it_was_written(text: str) -> None:
    assume(not text.endswith(":") and not re.match(r"-( |$)|---|\.\.\.", text) and ": " not in text)
    assert text in {"true", "false", "null"} or str(data(f"k: {text}\n")["k"]) == text


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**17), 10**17), VISIBLE),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(VISIBLE.filter(lambda key: 0 < len(key) < 20), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), VALUES, min_size=1, max_size=5), st.booleans())
def test_what_another_program_wrote_is_read_back(value: dict[str, Any], flow: bool) -> None:
    text = yaml.safe_dump(value, allow_unicode=True, default_flow_style=flow, sort_keys=False)
    document = parsed(text)
    assert document.data == value
    for path, mark in document.marks.items():
        inner: Any = document.data
        for step in path:
            inner = inner[step]
        if isinstance(inner, str) and inner.isalnum() and inner.isascii():
            assert inner[: mark.length - 2] in under(mark, text)


@given(SOUP)
def test_a_text_that_both_parsers_accept_means_the_same_to_both(text: str) -> None:
    results = []
    for loader in PARSERS.values():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(load, "_LOADER", loader)
            results.append(attempt(f"k: {text}".encode()))
    if all(isinstance(result, load.Document) for result in results):
        assert results[0] == results[1]


# Files.


def refused(path: Path | str) -> HostError:
    with pytest.raises(HostError) as caught:
        load.load(str(path))
    assert str(path) in caught.value.message
    assert caught.value.hint
    return caught.value


def test_a_file_is_loaded_under_the_name_it_was_given_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "appos.yaml").write_bytes(b"name: x\n")
    monkeypatch.chdir(tmp_path)
    document = load.load("./appos.yaml")
    assert (document.name, document.text, document.data) == ("./appos.yaml", "name: x\n", {"name": "x"})
    assert document.marks[("name",)].file == "./appos.yaml"


def test_a_missing_file_suggests_its_neighbour_or_a_start(tmp_path: Path) -> None:
    path = tmp_path / "appos.yaml"
    assert "appos-compile init" in refused(path).hint
    (tmp_path / "appos.yml").touch()
    assert str(tmp_path / "appos.yml") in refused(path).hint
    assert "appos-compile init" in refused(tmp_path / "none" / "appos.yaml").hint


def test_a_minus_is_a_name_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "does not exist" in refused("-").message


def test_a_directory_suggests_the_spec_in_it(tmp_path: Path) -> None:
    assert "directory" in refused(tmp_path).message
    (tmp_path / "appos.yaml").touch()
    assert str(tmp_path / "appos.yaml") in refused(tmp_path).hint


def test_a_named_pipe_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "appos.yaml"
    os.mkfifo(path)
    errors: list[HostError] = []
    thread = threading.Thread(target=lambda: errors.append(refused(path)), daemon=True)
    thread.start()
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert "pipe" in errors[0].message


def test_a_device_is_refused() -> None:
    assert "device" in refused("/dev/null").message


def test_a_dangling_link_names_its_target(tmp_path: Path) -> None:
    path = tmp_path / "appos.yaml"
    path.symlink_to("elsewhere.yaml")
    assert "elsewhere.yaml" in refused(path).message


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "appos.yaml"
    path.symlink_to(path)
    refused(path)


def test_a_file_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "not a directory" in refused(tmp_path / "file" / "appos.yaml").message


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "appos.yaml"
    path.touch()
    path.chmod(stat.S_IWUSR)
    user = os.geteuid()
    if user == 0:
        # Root may read everything, so be nobody for a moment.
        os.seteuid(65534)
    try:
        assert "may not be read" in refused(path).message
    finally:
        os.seteuid(user)


def test_a_file_that_cannot_be_read_to_its_end_is_refused() -> None:
    path = "/proc/self/mem"
    if not os.path.exists(path):
        pytest.skip("no file that fails to be read")
    assert "cannot read" in refused(path).message


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "x" * 5000, ""])
def test_impossible_names_are_refused(path: str) -> None:
    with pytest.raises(HostError) as caught:
        load.load(path)
    assert caught.value.hint
