"""Every key and every name of the flagship, misspelt in several ways, one at a time: reported with the right one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from compiler import load, pipeline, schema
from compiler.errors import SpecError
from compiler.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiler.errors import Mark, Problem

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "appos.yaml").read_text("utf-8")
DOCUMENT = load.parse(TEXT.encode(), "appos.yaml")

ALPHABET = "abcdefghijklmnopqrstuvwxyz"


class Key(NamedTuple):
    """A key of the flagship, its place, and its siblings that the schema knows."""

    path: tuple[str | int, ...]
    mark: Mark
    known: frozenset[str]

    @property
    def name(self) -> str:
        return str(self.path[-1])


def _schemas(
    spec: Any, node: dict[str, Any], path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """Each mapping of a spec with the schema that describes it."""
    while "$ref" in node:
        node = {
            **schema.load()["$defs"][node["$ref"].rpartition("/")[2]],
            **{k: v for k, v in node.items() if k != "$ref"},
        }
    for option in node.get("anyOf", ()):
        yield from _schemas(spec, option, path)
    if isinstance(spec, dict):
        yield path, node
        for key, item in spec.items():
            inner = node.get("properties", {}).get(key) or node.get("additionalProperties")
            if isinstance(inner, dict):
                yield from _schemas(item, inner, (*path, key))
    elif isinstance(spec, list):
        for index, item in enumerate(spec):
            yield from _schemas(item, node.get("items", {}), (*path, index))


def _keys() -> tuple[list[Key], list[Key]]:
    """The keys that the schema knows, and the names that the author chose."""
    known: list[Key] = []
    chosen: list[Key] = []
    for path, node in _schemas(DOCUMENT.data, schema.load(), ()):
        properties = frozenset(node.get("properties", {}))
        mapping: Any = DOCUMENT.data
        for step in path:
            mapping = mapping[step]
        for name in mapping:
            place = (*path, name)
            key = Key(place, DOCUMENT.keys[place], properties)
            (known if name in properties else chosen).append(key)
    return known, chosen


KNOWN, CHOSEN = _keys()


def misspellings(word: str) -> dict[str, str]:
    """Several ways to get a word wrong: the first letter kept, as people mostly do, and lost."""
    middle = len(word) // 2
    found = {
        "doubled": word[:middle] + word[middle] + word[middle:],
        "doubled at the end": word + word[-1],
        "dropped at the end": word[:-1],
        "dropped at the beginning": word[1:],
        "dropped": word[:middle] + word[middle + 1 :],
        "swapped": word[: middle - 1] + word[middle] + word[middle - 1] + word[middle + 1 :],
        "replaced": word[:middle] + _neighbour(word[middle]) + word[middle + 1 :],
        "replaced at the end": word[:-1] + _neighbour(word[-1]),
        "added": word[:middle] + "x" + word[middle:],
        "capital": word[:1].upper() + word[1:],
        "capitals": word.upper(),
        "dash": word.replace("_", "-"),
        "dot": word.replace("_", "."),
    }
    return {kind: wrong for kind, wrong in found.items() if wrong and wrong != word}


def _neighbour(letter: str) -> str:
    return ALPHABET[(ALPHABET.index(letter) + 1) % 26] if letter in ALPHABET else "z"


def replaced(mark: Mark, old: str, new: str) -> str:
    """The flagship's text with one key or value written otherwise."""
    lines = TEXT.split("\n")
    line = lines[mark.line - 1]
    start = mark.column - 1
    assert line[start : start + len(old)] == old
    lines[mark.line - 1] = line[:start] + new + line[start + len(old) :]
    return "\n".join(lines)


def problems(text: str) -> list[Problem]:
    """What is wrong with a spec, warnings aside."""
    try:
        pipeline.compile_document(load.parse(text.encode(), "appos.yaml"), str(ROOT))
    except SpecError as error:
        return [problem for problem in error.problems if problem.severity == "error"]
    return []


CASES = [
    pytest.param(key, wrong, id=f"{'.'.join(map(str, key.path))} {kind}: {wrong}")
    for key in KNOWN
    for kind, wrong in misspellings(key.name).items()
    # A misspelling that is another word of the schema, or an argument for a YAML mistake, is another test's affair.
    if wrong not in key.known
]


@pytest.mark.parametrize(("key", "wrong"), CASES)
def test_a_misspelt_key_is_one_problem_with_the_right_suggestion(key: Key, wrong: str) -> None:
    found = problems(replaced(key.mark, key.name, wrong))
    assert [(p.code, p.mark) for p in found] == [("E020", key.mark._replace(length=len(wrong)))]
    assert found[0].message.startswith(f'unknown key "{wrong}"')
    assert found[0].hint == f'did you mean "{key.name}"?'


def test_every_key_of_the_flagship_is_misspelt() -> None:
    assert len(KNOWN) > 80
    assert {case.values[0] for case in CASES} == set(KNOWN)
    assert {key.path[0] for key in KNOWN} == set(DOCUMENT.data)


# What the author named: (path of the name, what refers to it, code, the suggestion).
REFERENCES = [
    (("services", "redis"), ("services", "convex", "after", 0), "E051"),
    (("services", "redis"), ("services", "backend", "environment", "REDIS_ADDRESS"), "E044"),
    (("services", "convex"), ("services", "backend", "environment", "CONVEX_URL"), "E044"),
    (("services", "backend"), ("routes", "/api/", "service"), "E072"),
    (("services", "nginx"), ("ports", "http", "service"), "E085"),
    (("artifacts", "dashboard"), ("routes", "/", "static"), "E073"),
    (("volumes", "data"), ("services", "backend", "environment", "APPS_DIRECTORY"), "E044"),
    (("settings", "LOG_LEVEL"), ("services", "backend", "environment", "LOG_LEVEL"), "E044"),
]


@pytest.mark.parametrize(("name", "place", "code"), REFERENCES)
def test_a_misspelt_name_shows_where_it_is_missed(
    name: tuple[str, str], place: tuple[str | int, ...], code: str
) -> None:
    right = name[1]
    for wrong in misspellings(right).values():
        if not re.fullmatch(r"[a-z]+" if right.islower() else r"[A-Z_]+", wrong):
            continue
        found = problems(replaced(DOCUMENT.keys[name], right, wrong))
        there = [p for p in found if p.code == code and p.mark and p.mark.line == DOCUMENT.marks[place].line]
        assert there, (wrong, found)
        assert right in there[0].message
        assert wrong in there[0].hint, (wrong, there[0])


# Where a name is used: (path of the value, the name in it, code).
USES = [
    (("services", "convex", "after", 0), "redis", "E051"),
    (("services", "backend", "after", 1), "convex", "E051"),
    (("services", "redis", "preset"), "redis", "E040"),
    (("services", "nginx", "preset"), "nginx", "E040"),
    (("services", "backend", "environment", "LISTEN_ADDRESS"), "address", "E044"),
    (("services", "backend", "environment", "LISTEN_ADDRESS"), "self", "E044"),
    (("services", "backend", "environment", "REDIS_ADDRESS"), "redis", "E044"),
    (("services", "backend", "environment", "REDIS_ADDRESS"), "service", "E044"),
    (("services", "backend", "environment", "REDIS_ADDRESS"), "address", "E044"),
    (("services", "backend", "environment", "REDIS_PASSWORD"), "redis_password", "E044"),
    (("services", "backend", "environment", "REDIS_PASSWORD"), "secret", "E044"),
    (("services", "backend", "environment", "DATABASE_FILE"), "database", "E044"),
    (("services", "backend", "environment", "APPS_DIRECTORY"), "data", "E044"),
    (("services", "backend", "environment", "APPS_DIRECTORY"), "volume", "E044"),
    (("services", "backend", "environment", "LOG_LEVEL"), "LOG_LEVEL", "E044"),
    (("services", "backend", "environment", "LOG_LEVEL"), "setting", "E044"),
    (("routes", "/", "static"), "dashboard", "E073"),
    (("routes", "/api/", "service"), "backend", "E072"),
    (("routes", "/terminal", "service"), "backend", "E072"),
    (("ports", "http", "service"), "nginx", "E085"),
    (("artifacts", "dashboard", "build", "cache", 0), "npm", "E062"),
    (("artifacts", "backend", "libc"), "musl", "E023"),
    (("artifacts", "convex", "libc"), "glibc", "E023"),
]


@pytest.mark.parametrize(("place", "right", "code"), USES)
def test_a_misspelt_reference_is_one_problem_with_the_right_suggestion(
    place: tuple[str | int, ...], right: str, code: str
) -> None:
    mark = DOCUMENT.marks[place]
    line = TEXT.split("\n")[mark.line - 1]
    token = mark._replace(column=line.index(right, mark.column - 1) + 1)
    for kind, wrong in misspellings(right).items():
        if code == "E062" and kind.startswith("capital"):
            continue  # a cache with capitals has the wrong form, which is E024
        found = problems(replaced(token, right, wrong))
        places = [(p.code, p.mark and (p.mark.line, p.mark.column)) for p in found]
        # A reference is marked from its dollar sign on, wherever it stands in the text.
        column = line.rindex("$", 0, token.column) + 1 if code == "E044" else mark.column
        assert places == [(code, (mark.line, column))], (wrong, found)
        written = DOCUMENT.data
        for step in place:
            written = written[step]
        suggested = re.search(r"\$\{[^}]*\}|(?<=\")[^\"]*(?=\")", found[0].hint)
        assert suggested, (wrong, found[0].hint)
        assert suggested.group() in written, (wrong, found[0].hint)
        assert right in suggested.group()


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("wbe", ["web", "api"], "web"),
        ("prot", ["port", "protocol", "preset"], "port"),
        ("rnu", ["run", "user"], "run"),
        ("Max-Body", ["max_age", "max_body"], "max_body"),
        ("env", ["environment", "after"], "environment"),
        ("healthcheck", ["health", "http"], "health"),
        ("tag", ["at", "tags"], "tags"),
        ("x", ["a", "b"], None),
        ("postgres", ["redis", "nginx"], None),
        ("", ["a"], None),
    ],
)
def test_the_nearest_word(word: str, known: list[str], meant: str | None) -> None:
    assert nearest(word, known) == meant


def test_a_key_that_is_there_already_is_not_suggested() -> None:
    text = "version: 1\nname: it\nimage: {base: alpine:3.22}\nservices: {web: {command: [/x], port: 80, prot: 81}}\n"
    (problem,) = problems(text)
    assert problem.code == "E020"
    assert "port" not in problem.hint.partition("known here")[0]
