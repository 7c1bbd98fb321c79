"""The path of a spec -> its complete model as YAML, with presets and defaults filled in."""

from __future__ import annotations

import os
from typing import Any

import yaml

from compiler import load, pipeline
from compiler.errors import SpecError

from compiler.values import Secret, Setting

_HIDDEN = ("path", "origins")


def model(path: str) -> str:
    """The model as YAML; raises SpecError for a spec with errors, HostError for one that cannot be read."""
    document = load.load(path)
    app, problems, _ = pipeline.model(document, os.path.dirname(os.path.abspath(path)))
    if any(problem.severity == "error" for problem in problems):
        raise SpecError(problems)
    text: str = yaml.safe_dump(_plain(app), sort_keys=False, allow_unicode=True, width=120)
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return f"${{secret.{value.name}}}"
    if isinstance(value, Setting):
        return f"${{setting.{value.name}}}"
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {key: _plain(item) for key, item in value._asdict().items() if key not in _HIDDEN}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


