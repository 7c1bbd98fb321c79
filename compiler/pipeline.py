"""The whole compilation in one place: the path of a spec -> its generated files and warnings, or every problem it has."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from compiler import assemble, load, presets, render, resources, rules, schema, sources
from compiler.errors import Problem, SpecError
from compiler.model import Origins

if TYPE_CHECKING:
    from compiler.generated import GeneratedFile
    from compiler.load import Document
    from compiler.model import App


class Result(NamedTuple):
    """What became of a spec: the model, the files, the warnings, and what else was read, by path relative to the spec."""

    app: App
    files: tuple[GeneratedFile, ...]
    warnings: tuple[Problem, ...]
    inputs: tuple[str, ...]


@lru_cache(maxsize=64)
def _data(name: str) -> Document:
    """One of the compiler's own data files, as a document."""
    return load.parse(resources.read("schema", name).encode(), f"schema/{name}")


def _preset(name: str) -> presets.Preset:
    document = _data(f"presets/{name}.yaml")
    return presets.Preset(document.data["title"], document.data, document.marks, document.keys)


def model(document: Document, directory: str) -> tuple[App, tuple[Problem, ...], dict[str, str]]:
    """The model of a document with all its problems, warnings among them; raises SpecError where there can be no model.

    Also the texts of the files it names as templates, which lie in ``directory``.
    """
    values, keys = dict(document.marks), dict(document.keys)
    found = list(schema.check(document.data, values, keys))
    data = schema.repair(document.data, values, keys) if found else _copied(document.data)
    if data is None:
        raise SpecError(tuple(found))
    families = _data("families.yaml").data
    family = data["image"].get("family") or assemble.family_of(data["image"]["base"], families)
    found += presets.fill(data, values, keys, family or next(iter(families)), _preset)
    texts, missing = sources.read(directory, sources.named(data), values)
    origins = Origins(values, keys, document.name)
    app, unresolved = assemble.assemble(data, origins, families, texts)
    found += [*missing, *unresolved, *rules.check(app, data, family, _data("bases.yaml").data)]
    return app, tuple(found), texts


def _copied(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _copied(value) for key, value in data.items()}
    return [_copied(value) for value in data] if isinstance(data, list) else data


def compile_document(document: Document, directory: str) -> Result:
    """The files of a document; raises SpecError with every problem if there is an error among them."""
    app, problems, texts = model(document, directory)
    if any(problem.severity == "error" for problem in problems):
        raise SpecError(problems)
    return Result(app, render.render(app, texts), problems, tuple(sorted(texts)))


def compile_spec(path: str) -> Result:
    """The files of the spec at ``path``; raises SpecError, or HostError where it cannot be read."""
    return compile_document(load.load(path), os.path.dirname(os.path.abspath(path)))
