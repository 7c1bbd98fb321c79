"""Data -> whether it fits the JSON Schema of a spec, and if not, what is wrong and what was meant."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from compiler import resources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from compiler.errors import Mark, Problem
    from compiler.form import Reading

Path = tuple["str | int", ...]

NAME = "appos.schema.json"


@lru_cache(maxsize=1)
def _fast() -> Callable[[Any], Any] | None:
    """The validator generated from the schema, unless the schema has changed since."""
    try:
        from compiler import _validator
    except ImportError:
        return None
    validate: Callable[[Any], Any] = _validator.validate
    return validate if resources.digest(resources.read("schema", NAME)) == _validator.SOURCE else None


@lru_cache(maxsize=1)
def load() -> dict[str, Any]:
    """The schema itself, its patterns as Python means them."""
    import json
    import re

    def exact(node: dict[str, Any]) -> dict[str, Any]:
        # In a JSON Schema `$` is the end of the text; for Python it is also before a line feed there.
        if isinstance(node.get("pattern"), str):
            node["pattern"] = re.sub(r"(?<!\\)\$", r"\\Z", node["pattern"])
        return node

    schema: dict[str, Any] = json.loads(resources.read("schema", NAME), object_hook=exact)
    return schema


@lru_cache(maxsize=1)
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(load())


def valid(data: Any) -> bool:
    """Whether the data fits the schema; as quick as can be, without a word why not."""
    fast = _fast()
    if fast is None:
        return bool(_validator().is_valid(data))
    try:
        fast(data)
    except ValueError:
        return False
    return True


def read(data: Any, values: dict[Path, Mark], keys: dict[Path, Mark]) -> Reading:
    """What data that is not valid says: its problems, and what was meant; the places of what was meant are added."""
    from compiler import form

    return form.read(data, load(), values, keys)


def certain(reading: Reading, found: Sequence[Sequence[Problem]], values: Mapping[Path, Mark]) -> Iterator[Problem]:
    """The problems of what was meant that are the user's; ``found`` are those of ``reading.meant``, in that order."""
    from compiler import form

    return form.certain(reading, found, values)
