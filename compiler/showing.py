"""The path of a spec -> its complete model as YAML, with presets and defaults filled in."""

from __future__ import annotations

import os
from typing import Any

import yaml

from compiler import load, pipeline
from compiler.errors import SpecError
from compiler.values import Secret, Setting

_HIDDEN = ("path", "origins")
"""Where things were written: for messages, not for reading."""

_PAIRS, _LISTS = "tuple[tuple[str, ", "tuple[tuple[str, ...]"
"""How the annotations of a mapping and of a list of lists begin."""


def model(path: str) -> str:
    """Return the model as YAML; raises SpecError for a spec with errors, HostError for one that cannot be read."""
    document = load.load(path)
    app, problems, _ = pipeline.model(document, os.path.dirname(os.path.abspath(path)))
    if any(problem.severity == "error" for problem in problems):
        raise SpecError(problems)
    text: str = yaml.dump(_plain(app, ""), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return text


class _Dumper(yaml.SafeDumper):
    """Short lists of words on one line, texts of several lines as blocks."""

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        words = all(isinstance(item, str | int) and "\n" not in str(item) for item in sequence)
        short = words and sum(len(str(item)) + 2 for item in sequence) < 100  # noqa: PLR2004 - the width of a page
        return super().represent_sequence(tag, sequence, flow_style=short or flow_style)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def _plain(value: Any, kind: str) -> Any:
    """The value as data; ``kind`` is its annotation, since a tuple alone does not tell a text in pieces from a list."""
    if value is not None and kind.removesuffix(" | None") == "Value":
        return "".join(map(_piece, value))
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        kinds = type(value).__annotations__
        return {key: _plain(item, _kind(kinds[key])) for key, item in value._asdict().items() if key not in _HIDDEN}
    if isinstance(value, tuple) and kind.startswith(_PAIRS) and not kind.startswith(_LISTS):
        inner = kind.removeprefix(_PAIRS).removesuffix("], ...]")
        return {key: _plain(item, inner) for key, item in value}
    if isinstance(value, tuple):
        inner = kind.removeprefix("tuple[").removesuffix(", ...]")
        return [_plain(item, inner) for item in value]
    return value


def _kind(annotation: Any) -> str:
    return str(getattr(annotation, "__forward_arg__", annotation))


def _piece(piece: str | Secret | Setting) -> str:
    """A piece of a value as a spec would say it."""
    if isinstance(piece, Secret):
        return f"${{secret.{piece.name}}}"
    if isinstance(piece, Setting):
        return f"${{setting.{piece.name}}}"
    return piece.replace("${", "$${")
