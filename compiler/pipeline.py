"""The whole compilation in one place: the path of a spec -> its files and warnings, or every problem it has."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from compiler import assemble, load, presets, render, resources, rules, schema, sources
from compiler.errors import Problem, SpecError
from compiler.model import Origins
from compiler.quick import lock_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compiler.errors import Mark
    from compiler.generated import GeneratedFile
    from compiler.load import Document
    from compiler.locking.lockfile import Lock
    from compiler.model import App
    from compiler.size.numbers import Numbers

Path = tuple["str | int", ...]
Marks = dict[Path, "Mark"]


class Result(NamedTuple):
    """What became of a spec: the model, the files, the warnings, and what else was read, relative to the spec."""

    app: App
    files: tuple[GeneratedFile, ...]
    warnings: tuple[Problem, ...]
    inputs: tuple[str, ...]


class _Around(NamedTuple):
    """What there is beside a document: its name, its directory, and its pins."""

    name: str
    directory: str
    lock: Lock | None = None


@lru_cache(maxsize=64)
def _data(name: str) -> Document:
    """One of the compiler's own data files, as a document."""
    return load.parse(resources.read("schema", name).encode(), f"schema/{name}")


def _preset(name: str) -> presets.Preset:
    document = _data(f"presets/{name}.yaml")
    return presets.Preset(document.data["title"], document.data, document.marks, document.keys)


def model(
    document: Document, directory: str, *, pinned: bool = True
) -> tuple[App, tuple[Problem, ...], dict[str, str]]:
    """The model of a document with all its problems, warnings among them; raises SpecError where there can be no model.

    Also the texts of the files it names as templates, which lie in ``directory``. What the lock beside the spec pins is
    pinned in the model, unless it is to be as the spec alone has it.
    """
    values, keys = dict(document.marks), dict(document.keys)
    lock, wrong = _lock(document.name, directory) if pinned else (None, ())
    if not schema.valid(document.data):
        raise SpecError((*_misread(document, directory, values, keys), *wrong))
    around = _Around(document.name, directory, lock)
    app, problems, texts = _understood(_copied(document.data), values, keys, around)
    return app, (*problems, *wrong), texts


def _misread(document: Document, directory: str, values: Marks, keys: Marks) -> tuple[Problem, ...]:
    """The problems of a document that does not fit the schema: of its form, and of what it means all the same."""
    reading = schema.read(document.data, values, keys)
    found = [
        _understood(_copied(data), dict(values), dict(keys), _Around(document.name, directory))[1]
        for data in reading.meant
    ]
    return (*reading.problems, *schema.certain(reading, found, values))


def _lock(name: str, directory: str) -> tuple[Lock | None, tuple[Problem, ...]]:
    """The pins beside the spec, if there are any, and what is wrong with them."""
    path = os.path.join(directory, os.path.basename(lock_of(name)))
    if not os.path.lexists(path):
        return None, ()
    from compiler.locking import lockfile

    return lockfile.read(path, lock_of(name))


def _understood(
    data: Any, values: Marks, keys: Marks, around: _Around
) -> tuple[App, tuple[Problem, ...], dict[str, str]]:
    """The same as ``model`` for data that fits the schema; the data and its places are filled in from presets."""
    families = _data("families.yaml").data
    family = data["image"].get("family") or assemble.family_of(data["image"]["base"], families)
    found = list(presets.fill(data, values, keys, family or next(iter(families)), _preset))
    texts, missing = sources.read(around.directory, sources.named(data), values)
    origins = Origins(values, keys, around.name)
    app, unresolved = assemble.assemble(data, origins, families, texts)
    facts = families[app.image.family.name]
    accounts, groups = frozenset(facts["accounts"]), frozenset(facts["groups"])
    known = rules.Facts(family, accounts, groups, _data("bases.yaml").data, lock=around.lock)
    measured = _measured(app, around.directory)
    if measured:
        known = known._replace(measured=measured, packages=_data("sizes.yaml").data.get(app.image.family.name, {}))
    found += [*missing, *unresolved, *rules.check(app, data, known)]
    if around.lock:
        from compiler.locking.apply import pinned

        app = pinned(app, around.lock)
    return app, tuple(found), texts


def _measured(app: App, directory: str) -> Mapping[str, Numbers]:
    """What was measured last of a spec's images, if it has a budget to hold them to."""
    if app.image.budget is None:
        return {}
    text = sources.optional(directory, f"{app.output}/size.json")
    if not text:
        return {}
    from compiler.size import numbers

    return numbers.parse(text)


def _copied(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _copied(value) for key, value in data.items()}
    return [_copied(value) for value in data] if isinstance(data, list) else data


def compile_document(document: Document, directory: str) -> Result:
    """The files of a document; raises SpecError with every problem if there is an error among them."""
    app, problems, texts = model(document, directory)
    inputs = tuple(sorted([*texts, *([] if app.image.budget is None else [f"{app.output}/size.json"])]))
    if any(problem.severity == "error" for problem in problems):
        raise SpecError(problems, inputs)
    try:
        files = render.render(app, texts)
    except Exception as error:
        from compiler import overrides

        faults = overrides.problems(app, texts)
        if not faults:
            raise
        raise SpecError((*problems, *faults), inputs) from error
    return Result(app, files, problems, inputs)


def compile_spec(path: str) -> Result:
    """The files of the spec at ``path``; raises SpecError, or HostError where it cannot be read."""
    directory = os.path.dirname(os.path.abspath(path))
    try:
        document = load.load(path)
    except SpecError as error:
        raise SpecError((*error.problems, *_further(error.document, directory))) from None
    return compile_document(document, directory)


def _further(document: Document | None, directory: str) -> tuple[Problem, ...]:
    """What else is wrong with a document that could be read all the same."""
    if document is None:
        return ()
    try:
        return model(document, directory)[1]
    except SpecError as error:
        return error.problems
