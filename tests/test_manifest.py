"""The record of what was generated: written and read back, merged by git, cut off, or made up by somebody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler import manifest
from compiler.manifest import Manifest, Origin

OLD = b"one\ntwo\nthree\n"
LEFT = b"one\nleft\nthree\n"
RIGHT = b"one\ntwo\nright\n"
SHA = "ab" * 32


def _recorded(*contents: bytes, writing: tuple[bytes, ...] = ()) -> Manifest:
    recorded = Manifest()
    recorded.files["a"] = [manifest.entry(content, 0o644) for content in contents]
    recorded.writing["a"] = [manifest.entry(content, 0o644) for content in writing]
    return recorded


def test_everything_is_read_back() -> None:
    files = {"b": [manifest.entry(OLD, 0o755)], "a": [manifest.entry(LEFT, 0o644), manifest.entry(RIGHT, 0o644)]}
    writing = {"c": [manifest.entry(b"", 0o600)]}
    origin = Origin(SHA, "out dir", ["z.sql", "ü x"], ["3:9: warning W001: old\n  3 | base: x\n\n", "4:1: more"])

    read = manifest.parse(manifest.render(files, writing, origin))

    assert {path: sorted(entries) for path, entries in read.files.items()} == {
        path: sorted(entries) for path, entries in files.items()
    }
    assert read.writing == writing
    assert (read.inputs, read.output, read.newer) == ([SHA], ["out dir"], "")
    assert read.sources == ["z.sql", "ü x"]
    assert read.warnings == list(origin.warnings)


def test_the_order_in_which_outputs_are_given_does_not_show() -> None:
    entries = {name: [manifest.entry(name.encode(), 0o644)] for name in "abc"}
    backwards = {name: entries[name] for name in "cba"}
    assert manifest.render(entries, {}, Origin()) == manifest.render(backwards, {}, Origin())


def test_it_is_text_of_one_line_an_output() -> None:
    text = manifest.render({"a": [manifest.entry(OLD, 0o644)]}, {}, Origin(SHA)).decode()
    lines = text.splitlines()
    assert lines[0].startswith("# ")
    assert lines[1:3] == ["format 1", f"inputs {SHA}"]
    assert [line.split()[:3] for line in lines[3:]] == [["file", "a", "644"]]
    assert text.endswith("\n")
    assert "\r" not in text


def test_what_was_written_is_known_and_anything_else_is_not() -> None:
    recorded = _recorded(OLD)
    assert recorded.knows("a", OLD)
    assert not recorded.knows("a", LEFT)
    assert not recorded.knows("a", OLD.replace(b"two\n", b""))
    assert not recorded.knows("b", OLD)


def test_a_merge_of_two_generated_versions_is_known() -> None:
    recorded = _recorded(LEFT, RIGHT)
    assert recorded.knows("a", b"one\nleft\nright\n")
    assert not recorded.knows("a", b"one\nleft\nmine\n")
    assert not recorded.knows("a", b"one\nleft\nright \n")


def test_a_conflict_between_two_generated_versions_is_known_unless_something_else_is_in_it() -> None:
    conflict = b"one\n<<<<<<< HEAD\nleft\n=======\ntwo\n>>>>>>> other\nright\n"
    assert _recorded(LEFT, RIGHT).knows("a", conflict)
    assert not _recorded(LEFT, RIGHT).knows("a", conflict.replace(b"left", b"mine"))
    assert not _recorded(LEFT).knows("a", conflict)


def test_a_run_cut_short_makes_both_versions_known_but_no_mixture() -> None:
    recorded = _recorded(LEFT, writing=(RIGHT,))
    assert recorded.knows("a", LEFT)
    assert recorded.knows("a", RIGHT)
    assert not recorded.knows("a", b"one\nleft\nright\n")


def test_both_sides_of_a_conflict_are_read() -> None:
    left = manifest.render({"a": [manifest.entry(LEFT, 0o644)]}, {}, Origin(SHA)).decode()
    right = manifest.render({"a": [manifest.entry(RIGHT, 0o644)]}, {}, Origin("cd" * 32)).decode()
    read = manifest.parse(f"<<<<<<< HEAD\n{left}=======\n{right}>>>>>>> other\n".encode())
    assert [digest for _, digest, _ in read.files["a"]] == [
        manifest.entry(content, 0o644)[1] for content in (LEFT, RIGHT)
    ]
    assert read.inputs == [SHA, "cd" * 32]
    assert read.newer == ""


def test_crlf_changes_nothing() -> None:
    text = manifest.render({"a": [manifest.entry(OLD, 0o644)]}, {}, Origin(SHA, "build", ["x"], ["w\nv"]))
    read = manifest.parse(text.replace(b"\n", b"\r\n"))
    assert read.files == {"a": [manifest.entry(OLD, 0o644)]}
    assert (read.inputs, read.output, read.sources, read.warnings) == ([SHA], ["build"], ["x"], ["w\nv"])


def test_a_later_format_is_noticed_even_after_a_merge() -> None:
    assert manifest.parse(b"# later\nformat 2\nfile a whatever\n").newer == "2"
    assert manifest.parse(b"format 2\nformat 1\n").newer == "2"


@pytest.mark.parametrize(
    "name", ["../a", "/etc/passwd", "a/b", "..", ".", "", "a b", "é", manifest.NAME, manifest.TEMPORARY + "1"]
)
def test_a_name_that_leads_elsewhere_is_not_read(name: str) -> None:
    assert not manifest.bare(name)
    assert manifest.parse(f"file {name} 644 {SHA} 000000\n".encode()).files == {}


@given(st.binary())
def test_anything_can_be_read(raw: bytes) -> None:
    manifest.parse(raw)


@given(st.integers(min_value=0))
def test_a_cut_off_manifest_knows_nothing_that_was_not_written(length: int) -> None:
    whole = manifest.render({name: [manifest.entry(OLD, 0o644)] for name in "ab"}, {}, Origin(SHA))
    read = manifest.parse(whole[: length % len(whole)])
    for name in read.files:
        assert read.knows(name, OLD)
        assert not read.knows(name, LEFT)
