"""A document that does not fit the schema -> its problems in the user's words, and what was probably meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from compiler import guess, wording
from compiler.errors import Mark, Problem, Related
from compiler.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Path = tuple["str | int", ...]
Schema = dict[str, Any]

MAX_PROBLEMS = 100


class Reading(NamedTuple):
    """What a document says.

    ``meant`` holds the data twice, nothing where there is too little of it: with what is wrong left out, and with
    something plausible in its place. What is a problem of the one only comes from what is wrong already. ``doubtful``
    are the places where both hold something that nobody wrote.
    """

    problems: tuple[Problem, ...]
    meant: tuple[Any, ...]
    doubtful: frozenset[Path]


def read(data: Any, schema: Schema, values: dict[Path, Mark], keys: dict[Path, Mark]) -> Reading:
    """The problems of a document's data, each mistake once, and what was meant.

    A misspelt key is read as the one that is meant, so that what stands under it is checked too; its places are added
    to ``values`` and ``keys`` under the meant name. After a hundred problems the rest is not read.
    """
    reader = _Reader(data, schema, values, keys)
    try:
        meant = reader.read(data, schema, ())
    except _EnoughError:
        meant = _Meant(_NOTHING, _NOTHING)
    hopeless = meant.without is _NOTHING or ("services",) in reader.doubtful
    both = () if hopeless else (meant.without, meant.instead)
    return Reading(tuple(reader.problems), both, frozenset(reader.doubtful))


def certain(reading: Reading, found: Sequence[Sequence[Problem]], values: Mapping[Path, Mark]) -> Iterator[Problem]:
    """The problems that both forms of what was meant have, and that are about something the user wrote.

    ``found`` are the problems of ``reading.meant``, in that order.
    """
    if not found:
        return
    unwritten = {values[path] for path in reading.doubtful if path in values}
    told = {problem.mark for problem in reading.problems}
    others = set(found[1])
    for problem in found[0]:
        # What a mapping lacks may be just what could not be understood in it.
        doubtful = any(problem.path[: len(path)] == path or problem.path == path[:-1] for path in reading.doubtful)
        related = any(related.mark in unwritten for related in problem.related)
        if problem in others and not doubtful and not related and problem.mark not in told:
            yield problem


class _EnoughError(Exception):
    pass


_NOTHING = object()
"""Stands for a value that is left out."""


class _Meant(NamedTuple):
    """A value with what is wrong left out, and with something plausible in its place."""

    without: Any
    instead: Any


def _same(value: Any) -> _Meant:
    return _Meant(value, value)


class _Reader:
    """Walks through data and schema side by side."""

    def __init__(self, data: Any, schema: Schema, values: dict[Path, Mark], keys: dict[Path, Mark]) -> None:
        self.data, self.schema, self.values, self.keys = data, schema, values, keys
        self.problems: list[Problem] = []
        self.doubtful: set[Path] = set()

    def tell(self, code: str, path: Path, message: str, hint: str = "", *, key: bool = False) -> None:
        """Notes a problem at the value of ``path``, or at its key."""
        mark = (self.keys.get(path) if key else None) or self.mark(path)
        if len(self.problems) == MAX_PROBLEMS - 1:
            hint += f"{' ' if hint else ''}(reading stopped here: this is problem number {MAX_PROBLEMS})"
        self.problems.append(Problem(code, message, mark, hint, path=path))
        if len(self.problems) == MAX_PROBLEMS:
            raise _EnoughError

    def mark(self, path: Path) -> Mark | None:
        while path not in self.values and path:
            path = path[:-1]
        return self.values.get(path)

    def resolve(self, schema: Schema) -> Schema:
        """The schema with what it refers to; what stands beside a reference are words about it."""
        while "$ref" in schema:
            target = self.schema["$defs"][schema["$ref"].rpartition("/")[2]]
            schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
        return schema

    def read(self, value: Any, schema: Schema, path: Path, *, needed: bool = False) -> _Meant:
        """Reads a value; one that is needed cannot be left out."""
        schema = self.choose(self.resolve(schema), value)
        kinds = wording.kinds(schema)
        if "const" in schema or "enum" in schema:
            return self.choice(value, schema, path)
        if kinds and wording.kind(value) not in kinds and not (wording.kind(value) == "integer" and "number" in kinds):
            return self.other_kind(value, schema, path, needed=needed)
        if isinstance(value, dict):
            return self.mapping(value, schema, path)
        if isinstance(value, list):
            return self.sequence(value, schema, path)
        return self.scalar(value, schema, path)

    def choose(self, schema: Schema, value: Any) -> Schema:
        """Of several forms the one of the value's kind; where none is, one of all their kinds."""
        if "anyOf" not in schema:
            return schema
        options = [self.resolve(option) for option in schema["anyOf"]]
        words = {key: item for key, item in schema.items() if key != "anyOf"}
        for option in options:
            if wording.kind(value) in wording.kinds(option):
                return {**option, **words}
        return {**words, "type": [kind for option in options for kind in wording.kinds(option)], "options": options}

    def wrong(self, schema: Schema, path: Path) -> _Meant:
        """What stands for a value that says nothing that could be meant."""
        inner = schema.get("additionalProperties")
        if len(path) == 1 and isinstance(inner, dict):
            # Whatever the rest of the spec refers to may stand in it.
            names = self.resolve(schema.get("propertyNames", {}))
            words = [word for word in guess.words(self.data) if wording.fits(word, names)]
            return _Meant(_NOTHING, {word: self.placeholder(inner, (*path, word)) for word in words})
        return _Meant(_NOTHING, self.placeholder(schema, path))

    def placeholder(self, schema: Schema, path: Path) -> Any:
        """A value that fits the schema."""
        schema = self.resolve(schema)
        options = schema.get("anyOf") or schema.get("options")
        if options:
            return self.placeholder(options[0], path)
        if "const" in schema or "enum" in schema:
            return schema.get("const", schema.get("enum", [None])[0])
        if "object" in wording.kinds(schema):
            properties = schema.get("properties", {})
            keys = schema.get("required") or list(properties)[: schema.get("minProperties", 0)]
            return {key: self.placeholder(properties[key], (*path, key)) for key in keys}
        return guess.example(schema)

    def other_kind(self, value: Any, schema: Schema, path: Path, *, needed: bool) -> _Meant:
        """A value of another kind than wanted."""
        coerced = guess.coerce(value, schema, path, self.resolve)
        message = f"{wording.named(path)} must be {wording.wanted(schema)}, not {wording.described(value)}"
        if value is None:
            message = f"{wording.named(path)} has no value: it must be {wording.wanted(schema)}"
        if coerced is None:
            self.tell("E022", path, message, self.remedy(value, schema, path, needed=needed))
            return self.wrong(schema, path)
        if value is None:
            self.doubtful.add(path)
        self.tell("E022", path, message, coerced.hint)
        for new, old in coerced.moved.items():
            self.move(coerced.source(value, old), (*path, *old), (*path, *new))
        told = len(self.problems)
        meant = self.read(coerced.value, schema, path)
        # One mistake, one problem: what is wrong with a value that nobody wrote is not the user's affair.
        del self.problems[told:]
        return meant

    def remedy(self, value: Any, schema: Schema, path: Path, *, needed: bool) -> str:
        """What to do about a value of the wrong kind that could not be understood."""
        inner = self.resolve(schema.get("additionalProperties") or {}) if wording.kinds(schema) == ("object",) else {}
        examples = [*schema.get("examples", ()), *inner.get("examples", ())]
        if not examples and schema.get("required"):
            examples = [self.placeholder(schema, path)]
        shown = wording.flow(examples[0]) if examples else ""
        empty = "string" in wording.kinds(schema) and wording.fits("", schema) and not schema.get("minLength")
        if value is None and empty and path and isinstance(path[-1], str):
            return f"write {path[-1]}: '' if it is to be empty, or remove the key"
        if value is None:
            name = f"write {path[-1]}: {shown}" if shown and path and isinstance(path[-1], str) else "give a value"
            return (
                name if needed else f"{name}, or remove the {'item' if path and isinstance(path[-1], int) else 'key'}"
            )
        if isinstance(value, list) and "object" in wording.kinds(schema):
            return f"give each a name and a colon instead of a dash{', for example ' + shown if shown else ''}"
        return f"for example {shown}" if shown else ""

    def choice(self, value: Any, schema: Schema, path: Path) -> _Meant:
        """A value of which there are only a few."""
        choices = [schema["const"]] if "const" in schema else schema["enum"]
        if any(value == choice and type(value) is type(choice) for choice in choices):
            return _same(value)
        texts = [wording.shown(choice) for choice in choices]
        near = nearest(value, texts) if isinstance(value, str) else None
        only = f"write {texts[0]}{', the version of this format' if path == ('version',) else ''}"
        hint = only if len(texts) == 1 else f'did you mean "{near}"?' if near else ""
        allowed = texts[0] if len(texts) == 1 else f"one of {', '.join(texts)}"
        if near and near == wording.shown(value):
            hint = f"write {near}, without quotes"
        message = f"{wording.named(path)} must be {allowed}, not {wording.described(value)}"
        if value is None:
            message = f"{wording.named(path)} has no value: it must be {allowed}"
        self.tell("E023", path, message, hint)
        if near:
            return _same(choices[texts.index(near)])
        return self.wrong(schema, path)

    def scalar(self, value: Any, schema: Schema, path: Path) -> _Meant:
        """A single value of the right kind."""
        limit = wording.limit(value, schema)
        if limit:
            self.tell("E026", path, f"{wording.named(path)} must {limit}", guess.in_range(value, schema))
        elif isinstance(value, str) and not wording.fits(value, schema):
            words = schema.get("$comment", "written in another way")
            fixed = guess.fitting(value, schema)
            hint = wording.strange(value) or guess.hint(fixed, schema)
            if "\n" in value:
                hint = "write it on one line"
            elif fixed is None and ".." in value.split("/"):
                hint = "write a path without .."
            self.tell("E024", path, f"{wording.named(path)} must be {words}, not {wording.described(value)}", hint)
            if fixed is not None:
                return _same(fixed)
        else:
            return _same(value)
        return self.wrong(schema, path)

    def sequence(self, value: list[Any], schema: Schema, path: Path) -> _Meant:
        """A list; an item that says nothing is replaced, so that the others keep their numbers."""
        limit = wording.limit(value, schema)
        if limit:
            self.tell("E026", path, f"{wording.named(path)} must {limit}", wording.example(schema))
        samples = [sample for example in schema.get("examples", ()) for sample in example]
        inner = {"examples": samples, **schema.get("items", {})} if samples else schema.get("items", {})
        items: list[Any] = []
        for index, item in enumerate(value):
            meant = self.read(item, inner, (*path, index))
            if meant.without is _NOTHING:
                self.doubtful.add((*path, index))
            items.append(meant)
        if schema.get("uniqueItems"):
            self.repeated(value, path)
        if limit:
            return self.wrong(schema, path)
        return _Meant(
            [item.instead if item.without is _NOTHING else item.without for item in items],
            [item.instead for item in items],
        )

    def repeated(self, value: list[Any], path: Path) -> None:
        seen: dict[str, int] = {}
        for index, item in enumerate(value):
            first = seen.setdefault(f"{type(item).__name__} {item!r}", index)
            if first != index:
                self.tell(
                    "E026",
                    (*path, index),
                    f"{wording.described(item)} stands in {wording.named(path)} twice",
                    "remove one",
                )
                other = self.values.get((*path, first))
                if other:
                    related = (Related("the first one", other),)
                    self.problems[-1] = self.problems[-1]._replace(related=related)

    def mapping(self, value: dict[str, Any], schema: Schema, path: Path) -> _Meant:
        """Keys and values: known ones, and those that the user names."""
        known = schema.get("properties", {})
        without: dict[str, Any] = {}
        instead: dict[str, Any] = {}
        required = schema.get("required", ())
        for key, item, field in self.fields(value, schema, path):
            meant = self.read(item, field, (*path, key), needed=key in required)
            if meant.without is _NOTHING and key in required:
                self.doubtful.add((*path, key))
                without[key] = meant.instead
            elif meant.without is not _NOTHING:
                without[key] = meant.without
            instead[key] = meant.instead
        missing = [key for key in required if key not in instead]
        if missing:
            for key in missing:
                without[key] = instead[key] = self.placeholder(known[key], (*path, key))
                self.doubtful.add((*path, key))
            samples = {key: next(iter(self.resolve(known[key]).get("examples", ())), instead[key]) for key in missing}
            hint = f"add {', '.join(f'{key}: {wording.flow(sample)}' for key, sample in samples.items())}"
            *first, last = (f'"{key}"' for key in missing)
            named = f"{', '.join(first)} and {last} are" if first else f"{last} is"
            self.tell("E021", path, f"{named} missing{wording.inside(path)}", hint, key=True)
        limit = wording.limit(value, schema)
        if limit:
            self.tell("E026", path, f"{wording.named(path)} must {limit}", wording.example(schema))
            return self.wrong(schema, path)
        if wording.limit(instead, schema):
            # Too little of it could be understood.
            return self.wrong(schema, path)
        if wording.limit(without, schema):
            self.doubtful |= {(*path, key) for key in instead if key not in without}
            without = instead
        return _Meant(without, instead)

    def fields(self, value: dict[str, Any], schema: Schema, path: Path) -> Iterator[tuple[str, Any, Schema]]:
        """Each key as it was meant, with its value and the value's schema."""
        known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        other = schema.get("additionalProperties", True)
        samples = [
            sample
            for example in schema.get("examples", ())
            for sample in (example.values() if isinstance(example, dict) else ())
        ]
        present = set(value)
        for key, item in value.items():
            if key in known:
                yield key, item, known[key]
                continue
            pattern = next((inner for expression, inner in patterns.items() if re.search(expression, key)), None)
            if pattern is not None or other is True:
                yield key, item, pattern or {}
            elif other is not False:
                self.name(key, schema.get("propertyNames"), path)
                if self.outdented(key, item, other, path):
                    continue
                yield key, item, {"examples": samples, **other} if samples else other
            else:
                meant = self.unknown(key, item, schema, path, present)
                if meant:
                    present.add(meant)
                    self.move(item, (*path, key), (*path, meant))
                    yield meant, item, known[meant]

    def outdented(self, key: str, item: Any, schema: Schema, path: Path) -> bool:
        """Whether a key stands one level too far left: among the things that should have it."""
        inner = self.resolve(schema)
        wanted = inner.get("properties", {}).get(key)
        if wanted is None or wording.kinds(inner) != ("object",) or isinstance(item, dict):
            return False
        if wording.kind(item) not in wording.kinds(self.choose(self.resolve(wanted), item)):
            return False
        what = wording.named(path)
        message = f'"{key}" stands among the names of {what}, where it would be a name itself'
        self.tell("E020", (*path, key), message, "indent it further, below the name that it belongs to", key=True)
        return True

    def name(self, key: str, schema: Schema | None, path: Path) -> None:
        """Whether a name that the user chose may be one."""
        schema = self.resolve(schema or {})
        if "pattern" in schema and not wording.fits(key, schema):
            fixed = guess.fitting(key, schema)
            hint = wording.strange(key) or (f"write {fixed}" if fixed else "")
            words = schema.get("$comment", "shorter")
            message = f'the name "{wording.short(key)}"{wording.inside(path)} must be {words}'
            self.tell("E025", (*path, key), message, hint, key=True)
        elif len(key) > schema.get("maxLength", len(key)):
            message = f'the name "{wording.short(key)}"{wording.inside(path)} must {wording.limit(key, schema)}'
            self.tell("E025", (*path, key), message, key=True)

    def unknown(self, key: str, item: Any, schema: Schema, path: Path, present: set[str]) -> str | None:
        """Tells of an unknown key; the key that was meant, if there is no doubt."""
        known = schema.get("properties", {})
        free = [name for name in known if name not in present]
        fits = [name for name in free if self.could_be(item, known[name])]
        near = nearest(key, fits) or guess.foreign(key, fits)
        elsewhere = guess.elsewhere(key, self.schema, self.resolve)
        if not near and not elsewhere:
            near = nearest(key, free, parts=False)
        if near:
            hint = f'did you mean "{near}"?'
            strange = wording.strange(key)
            hint += f" ({strange})" if strange else ""
        elif elsewhere:
            hint = f'"{key}" belongs to {elsewhere}'
        else:
            hint = f"known here: {', '.join(sorted(known))}"
        self.tell("E020", (*path, key), f'unknown key "{key}"{wording.inside(path)}', hint, key=True)
        return near

    def could_be(self, item: Any, schema: Schema) -> bool:
        """Whether a value is of a kind that fits a field, as it is or as people get it wrong."""
        schema = self.choose(self.resolve(schema), item)
        kinds = wording.kinds(schema)
        if "enum" in schema:
            return item is None or type(item) in {type(choice) for choice in schema["enum"]}
        if not kinds or item is None:
            return True
        return wording.kind(item) in kinds or guess.coerce(item, schema, (), self.resolve) is not None

    def move(self, item: Any, old: Path, new: Path) -> None:
        """Makes the places of a value and of everything in it known under another path."""
        for marks in (self.values, self.keys):
            if old in marks:
                marks[new] = marks[old]
        parts = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
        for step, part in parts:
            self.move(part, (*old, step), (*new, step))
