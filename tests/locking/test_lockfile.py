"""The lock file: printed and read again it is the same, one pin is one line, mistakes are told with their places."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.errors import SpecError
from compiler.locking import lockfile
from compiler.locking.lockfile import Image, Lock

HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
DIGESTS = HEX.map("sha256:{}".format)
VERSIONS = st.from_regex(r"[0-9A-Za-z][0-9A-Za-z.+_:~-]{0,20}", fullmatch=True) | st.sampled_from(
    ["2024", "0", "0755", "true", "null", "1:2.3-4", "1:", "5.1e3", "0x10", "3.10", "no", "1_000", "22:22"]
)
PACKAGES = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9+._-]{0,20}", fullmatch=True) | st.sampled_from(
    ["7", "true", "null", "on", "y", "g++", "libstdc++6", "0"]
)
REFERENCES = st.sampled_from(
    ["alpine", "alpine:3.19", "127.0.0.1:5000/a/b:1", "localhost:1/x", "golang:1.22-alpine", "7:7", "123", "x:latest"]
) | st.from_regex(r"[a-z0-9]{1,9}(:[0-9]{1,4}/[a-z0-9]{1,5})?(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,9})?", fullmatch=True)
URLS = st.from_regex(r"https?://[A-Za-z0-9._~:/?#@!&()*+,;=%{}\[\]-]{1,40}", fullmatch=True)
IMAGES = st.builds(Image, DIGESTS, st.just("") | st.from_regex(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,9}", fullmatch=True))
LOCKS = st.builds(
    Lock,
    st.dictionaries(REFERENCES, IMAGES, max_size=4),
    st.dictionaries(REFERENCES, st.dictionaries(PACKAGES, VERSIONS, min_size=1, max_size=4), max_size=3),
    st.dictionaries(URLS, DIGESTS, max_size=3),
)


def pins(lock: Lock) -> object:
    return lock.images, lock.packages, lock.files


def parsed(text: str) -> Lock:
    return lockfile.parse(text.encode(), "appos.lock")


def problem(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parsed(text)
    assert {each.mark.file for each in caught.value.problems if each.mark} == {"appos.lock"}
    first = caught.value.problems[0]
    assert first.mark
    assert "appos-compile" in first.hint
    return f"{first.mark.line}:{first.mark.column} {first.code} {first.message}"


@settings(max_examples=50)
@given(LOCKS)
def test_what_is_printed_is_read_again(lock: Lock) -> None:
    text = lockfile.text(lock, "appos.yaml")
    assert pins(parsed(text)) == pins(lock)
    assert lockfile.text(parsed(text), "appos.yaml") == text


@settings(max_examples=50)
@given(LOCKS, st.data())
def test_a_pin_is_a_line(lock: Lock, data: st.DataObject) -> None:
    places = [("images", name, "") for name in lock.images] + [("files", name, "") for name in lock.files]
    places += [("packages", image, name) for image, found in lock.packages.items() for name in found]
    if not places:
        return
    section, first, second = data.draw(st.sampled_from(places))
    images, files = dict(lock.images), dict(lock.files)
    packages = {image: dict(found) for image, found in lock.packages.items()}
    if section == "images":
        images[first] = data.draw(IMAGES.filter(lambda pin: pin != images[first]))
    elif section == "files":
        files[first] = data.draw(DIGESTS.filter(lambda pin: pin != files[first]))
    else:
        packages[first][second] = data.draw(VERSIONS.filter(lambda pin: pin != packages[first][second]))
    before, after = (lockfile.text(each, "appos.yaml").splitlines() for each in (lock, Lock(images, packages, files)))
    assert len(before) == len(after)
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 1


def test_two_branches_that_move_different_pins_do_not_meet() -> None:
    lock = Lock({}, {"alpine:3.22": {"curl": "1-r0", "nginx": "1-r0", "redis": "1-r0"}}, {})
    ours = {"alpine:3.22": {**lock.packages["alpine:3.22"], "curl": "2-r0"}}
    theirs = {"alpine:3.22": {**lock.packages["alpine:3.22"], "redis": "2-r0"}}
    texts = [lockfile.text(Lock({}, each, {}), "appos.yaml").splitlines() for each in (lock.packages, ours, theirs)]
    changed = [{line for line in difflib.ndiff(texts[0], text) if line.startswith("- ")} for text in texts[1:]]
    assert not changed[0] & changed[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 2\n", "1:10 E110 the format of this lock file is not 1"),
        ("images:\n", "1:1 E110 the format of this lock file is not 1"),
        ("version: 1\nimage:\n  a: b\n", '2:1 E110 a lock file has no section "image"'),
        ("version: 1\nimages: [a]\n", '2:9 E110 "images" must have a name and a pin on each line'),
        ("version: 1\nimages:\n  alpine: latest\n", '3:11 E110 the pin of "alpine" is not sha256: and 64'),
        ("version: 1\nimages:\n  alpine: sha256:abc\n", '3:11 E110 the pin of "alpine" is not sha256: and 64'),
        ("version: 1\npackages:\n  alpine: 1\n", '3:11 E110 "alpine" must have a package and its version'),
        ("version: 1\npackages:\n  alpine:\n    curl: 8\n", '4:11 E110 the pin of "curl" is not the version'),
        ("version: 1\npackages:\n  alpine:\n    curl: '8; rm'\n", '4:11 E110 the pin of "curl" is not the version'),
        ("version: 1\nfiles:\n  http://a: 1\n", '3:13 E110 the pin of "http://a" is not sha256: and 64'),
        (
            "version: 1\nimages:\n<<<<<<< HEAD\n  a: b\n=======\n>>>>>>> x\n",
            "3:1 E110 a merge left two versions of this",
        ),
        ("version: 1\nimages:\n  a: b\n  a: b\n", '4:3 E110 the key "a" is given twice'),
        ("version: 1\nimages:\n\ta: b\n", "3:1 E110 a tab stands where"),
        ("", "1:1 E110 the file has no content"),
        ("# nothing\n", "1:1 E110 the file has no content"),
        ("- a\n", "1:1 E110 the file holds a list"),
        ("\0", "1:1 E110 the control character"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(text: str, said: str) -> None:
    assert problem(text).startswith(said)


@pytest.mark.parametrize("text", ["", "- a\n", "version: 1\n<<<<<<< HEAD\n", "version: 1\nimages:\n  a: b\n"])
def test_the_advice_is_about_a_lock(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        parsed(text)
    assert {each.hint for each in caught.value.problems} == {lockfile.ANEW}


def test_sections_may_be_empty() -> None:
    assert pins(parsed("version: 1\nimages:\npackages:\nfiles:\n")) == ({}, {}, {})


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        parsed(f"version: 1\n{text}")
    except SpecError as error:
        assert error.problems  # noqa: PT017 - any outcome but another exception is fine
