"""What does not fit the schema: told in the same cases as a JSON Schema validator tells it, and never by a crash."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from compiler import form, load, pipeline, resources, schema
from compiler.errors import Mark, SpecError
from tests.compiled import DIRECTORIES, spec

if TYPE_CHECKING:
    from compiler.errors import Problem

Path = tuple["str | int", ...]

VALIDATOR = Draft202012Validator(json.loads(resources.read("schema", "appos.schema.json")))
BASE = """\
version: 1
name: it
image: {{base: alpine:3.22}}
services:
  web: {{command: [/usr/local/bin/web], port: 8080{service}}}
{more}"""

FORGIVEN = {"propertyNames", "uniqueItems"}

WORDS = [
    "",
    "x",
    "yes",
    "on",
    "8080",
    "0755",
    "3.10",
    "22:22",
    "1MB",
    "5s",
    "/",
    "/a/b",
    "../x",
    "redis",
    "${self.port}",
]
WORDS += [
    "${",
    "a b",
    "é",
    "a\nb",
    "-",
    "x" * 5000,
    "alpine",
    "W001",
    "http",
    "{arch}",
    "''",
    '"',
    "#",
    "$$",
    "%",
    "\\",
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 10**6)
    | st.sampled_from([10**30, 0, 80, 70000])
    | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=6,
)


@cache
def paths(case: str) -> tuple[Path, ...]:
    """Every place of a case's spec."""

    def walk(value: Any, path: Path) -> list[Path]:
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return [path, *(found for step, item in items for found in walk(item, (*path, step)))]

    return tuple(walk(spec(case), ()))[1:]


@st.composite
def mutants(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A valid spec with up to three places changed: another value, a key away, renamed, or added."""
    case = draw(st.sampled_from(sorted(DIRECTORIES)))
    data = copy.deepcopy(spec(case))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(paths(case)))
        try:
            holder: Any = data
            for step in path[:-1]:
                holder = holder[step]
            last = path[-1]
            change = draw(st.sampled_from(["replace", "delete", "rename", "add"]))
            if change == "replace":
                holder[last] = draw(VALUES)
            elif change == "delete":
                del holder[last]
            elif change == "rename" and isinstance(holder, dict):
                holder[draw(st.sampled_from(WORDS) | st.just(f"{last}s") | st.just(str(last)[1:]))] = holder.pop(last)
            elif isinstance(holder, dict):
                holder[draw(st.sampled_from(WORDS))] = draw(VALUES)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    return case, data


def _marks(data: Any, line: list[int], path: Path = ()) -> dict[Path, Mark]:
    line[0] += 1
    found = {path: Mark("appos.yaml", line[0], 1)}
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for step, item in items:
        found |= _marks(item, line, (*path, step))
    return found


def told(document: load.Document, directory: str) -> tuple[Problem, ...]:
    """Everything that is told of a document."""
    try:
        return pipeline.compile_document(document, directory).warnings
    except SpecError as error:
        return error.problems


def problems(text: str) -> list[Problem]:
    """What is wrong with a spec, warnings aside."""
    found = told(load.parse(text.encode(), "appos.yaml"), ".")
    return [problem for problem in found if problem.severity == "error"]


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutants())
def test_any_change_to_a_spec_is_compiled_or_explained(mutant: tuple[str, dict[str, Any]]) -> None:
    case, data = mutant
    marks = _marks(data, [0])
    document = load.Document("appos.yaml", "", data, marks, dict(marks))
    valid = VALIDATOR.is_valid(data)
    assert schema.valid(data) == valid
    reading = form.read(data, schema.load(), dict(marks), dict(marks))
    assert bool(reading.problems) == (not valid)
    for meant in reading.meant if len(reading.problems) < form.MAX_PROBLEMS else ():
        # Names that cannot be names stay, so that references to them are no second problem; what stands for two items
        # that say nothing may be the same.
        errors = [error for error in VALIDATOR.iter_errors(meant) if not FORGIVEN & set(error.absolute_schema_path)]
        assert errors == []
    for problem in told(document, str(DIRECTORIES[case])):
        assert problem.mark is not None, problem
        assert problem.message, problem


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_any_value_at_all_is_explained(data: Any) -> None:
    reading = form.read(data, schema.load(), {(): Mark("appos.yaml", 1, 1)}, {})
    assert bool(reading.problems) == (not VALIDATOR.is_valid(data))


def hints(service: str = "", more: str = "") -> list[tuple[str, str]]:
    """The codes and hints of a spec with these fields in its service, or with more at the end."""
    text = BASE.format(service=f", {service}" if service else "", more=more)
    return [(problem.code, problem.hint) for problem in problems(text)]


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("once: yes, restart: always", ("E022", "write true")),
        ("critical: off", ("E022", "write false")),
        ('critical: "false"', ("E022", "write false, without quotes")),
        ("stop: {grace: 30}", ("E022", "write 30s")),
        ("stop: INT", ("E022", "write stop: {signal: INT}")),
        ("stop: {signal: SIGINT}", ("E023", 'did you mean "INT"?')),
        ("memory: 512", ("E022", "write 512MB")),
        ("memory: 512m", ("E024", "write 512MB")),
        ("memory: 1 GiB", ("E024", "write 1GiB")),
        ("ready: /health", ("E022", "write ready: {http: /health}")),
        ("ready: 8080", ("E022", "write ready: {tcp: 8080}")),
        ("environment: [A=1, B=2]", ("E022", "write {A: '1', B: '2'}")),
        ("environment: {A: }", ("E022", "write A: '' if it is to be empty, or remove the key")),
        ("directory: srv/app", ("E024", "write /srv/app")),
        ("directory: /srv/app/", ("E024", "write /srv/app")),
        ("user: Web", ("E024", "write web")),
        ("user: 1000", ("E022", "for example app")),
        ("capabilities: [net_raw]", ("E024", "write NET_RAW")),
        ("packages: curl jq", ("E022", "write [curl, jq]")),
        ("writable: [/srv/../etc]", ("E024", "write a path without ..")),
    ],
)
def test_what_to_write_instead(service: str, expected: tuple[str, str]) -> None:
    assert hints(service)[:1] == [expected]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("volumes: {data: /data}\n", ("E022", "write data: {mount: /data}")),
        ("secrets: [a, b]\n", ("E022", "write {a: {}, b: {}}")),
        ("settings: [{A: {default: 1}}]\n", ("E022", "these are keys, not a list: remove the dashes")),
        (
            "silence: W001\n",
            ("E022", "for example [{code: W001, at: image.base, reason: the upgrade is planned for March}]"),
        ),
        ("health: /\n", ("E022", "write health: {http: /}")),
        ("ports: {http: {publish: '80', service: web}}\n", ("E022", "write 80, without quotes")),
        ("limits: {cpus: 1.555}\n", ("E024", "for example '1.5'")),
        (
            "routes: []\n",
            ("E022", "give each a name and a colon instead of a dash, for example {/api/: {service: backend}}"),
        ),
        ("x-mine: [anything, {at: all}]\n", None),
    ],
)
def test_what_to_write_instead_elsewhere(more: str, expected: tuple[str, str] | None) -> None:
    assert hints(more=more)[:1] == ([expected] if expected else [])


TRAPS = [
    "on",
    "off",
    "yes",
    "No",
    "y",
    "22:22",
    "3.10",
    "1.0",
    "0755",
    "0o17",
    "0x1F",
    "1_000",
    "1e3",
    ".5",
    "2024-01-01",
    "~x",
]


@pytest.mark.parametrize("trap", TRAPS)
def test_what_other_parsers_would_change_arrives_as_it_was_written(trap: str) -> None:
    text = f"""\
version: 1
name: it
image: {{base: alpine:3.22, tag: {trap if trap[0] not in "~." and ":" not in trap else "x"}}}
services:
  web: {{command: [/usr/local/bin/web, {trap}], environment: {{TRAP: {trap}}}}}
settings: {{SET: {{default: {trap}}}}}
"""
    files = {f.path: f.content for f in pipeline.compile_document(load.parse(text.encode(), "appos.yaml"), ".").files}
    assert f"/usr/local/bin/web {trap}\n" in files["start-service.sh"].replace("'", "")
    assert f"TRAP={trap}\n" in files["start-service.sh"].replace("'", "")
    assert f"SET={trap}\n" in files[".env"].replace("'", "")
    if trap[0] not in "~." and ":" not in trap:
        assert f"IMAGE_NAME=it:{trap}\n" in files[".env"]


@pytest.mark.parametrize("trap", [trap for trap in TRAPS if trap not in ("22:22", "0755")])
def test_none_of_them_is_taken_for_a_number_or_switch(trap: str) -> None:
    for field in ("port", "once"):
        found = problems(
            BASE.format(service="", more="  b: {command: [/b]}\n").replace("port: 8080", f"{field}: {trap}")
        )
        assert [problem.code for problem in found] == ["E022"], (field, found)
        assert f'the text "{trap}"' in found[0].message


def test_form_and_meaning_are_told_in_one_run() -> None:
    text = BASE.format(service=', prot: 1, after: [wbe], memory: "1"', more="routes: {/: {service: wbe}}\nsecrets: 5\n")
    found = problems(text)
    assert sorted(problem.code for problem in found) == ["E020", "E022", "E024", "E051", "E072", "E074"]


def test_what_follows_from_a_mistake_is_no_second_mistake() -> None:
    # Whatever these sections would have said is not known, so nothing that refers to them is wrong.
    broken = "secrets: 5\nvolumes: 5\nartifacts: 5\nsettings: 5\n"
    fields = "secrets: [a], environment: {A: '${secret.b} ${volume.c} ${artifact.d} ${setting.E}'}, data: true"
    found = problems(BASE.format(service=f", {fields}", more=broken))
    assert [(problem.code, problem.path) for problem in found] == [
        ("E022", (name,)) for name in ("secrets", "volumes", "artifacts", "settings")
    ]
    mistakes = {"port: 8080": ("port: {}", "port: '8080:80'"), "[/usr/local/bin/web]": ("{}", "~", "''")}
    for right, wrongs in mistakes.items():
        for wrong in wrongs:
            more = "  b: {command: [/b], environment: {A: '${service.web.port}'}, after: [web]}\n"
            more += "  nginx: {preset: nginx}\nroutes: {/: {service: web}}\n"
            found = problems(BASE.format(service="", more=more).replace(right, wrong))
            assert [problem.path[:2] for problem in found] == [("services", "web")], wrong
            assert found[0].code == "E022", wrong


def test_after_a_hundred_mistakes_reading_stops() -> None:
    text = BASE.format(service="", more="".join(f"key{number}: 1\n" for number in range(5000)))
    found = problems(text)
    assert len(found) == form.MAX_PROBLEMS
    assert found[-1].hint.endswith("(reading stopped here: this is problem number 100)")


def test_thousands_of_unknown_names_are_told_in_time() -> None:
    services = "".join(f"  s{n}: {{command: [/x], after: [nobody{n}]}}\n" for n in range(2000))
    found = problems(BASE.format(service="", more=services))
    assert len(found) == 2000
    assert {problem.code for problem in found} == {"E051"}
