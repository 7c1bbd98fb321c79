"""Values, paths and schemas -> the words in which a user thinks of them."""

from __future__ import annotations

import re
from typing import Any

Path = tuple["str | int", ...]
Schema = dict[str, Any]

_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "keys with values",
    "array": "a list",
    "null": "nothing",
}

_WORD = r"[A-Za-z0-9_./@+=~^-]+"
_PLAIN = re.compile(rf"[A-Za-z_./$^]({_WORD})?(:{_WORD})*( {_WORD})*|--?[A-Za-z-]+|[0-9]+[A-Za-z_]+")


def kind(value: Any) -> str:
    """What a value is, in the schema's words."""
    if isinstance(value, bool):
        return "boolean"
    names = {dict: "object", list: "array", str: "string", int: "integer", float: "number"}
    return names.get(type(value), "null")


def kinds(schema: Schema) -> tuple[str, ...]:
    """The kinds that a schema allows; none where it allows all."""
    given = schema.get("type", ())
    return (given,) if isinstance(given, str) else tuple(given)


def wanted(schema: Schema) -> str:
    """What a value must be, such as ``a list``."""
    allowed = kinds(schema)
    if set(allowed) == {"string", "integer", "boolean"}:
        return "a single value"
    return " or ".join(dict.fromkeys(_KINDS[name] for name in allowed))


def named(path: Path) -> str:
    """The place as a user would name it: ``"services.redis.port"``, ``item 2 of "services.api.after"``."""
    if not path:
        return "the spec"
    if isinstance(path[-1], int):
        return f"item {path[-1] + 1} of {named(path[:-1])}"
    last = max((index for index, step in enumerate(path) if isinstance(step, int)), default=-1) + 1
    within = f" in {named(path[:last])}" if last else ""
    return f'"{".".join(map(str, path[last:]))}"{within}'


def inside(path: Path) -> str:
    """Where a key is missing or too many: `` in "services.web"``, nothing for the outermost level."""
    return f" in {named(path)}" if path else ""


def shown(value: Any) -> str:
    """A single value as it is written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "nothing" if value is None else str(value)


def described(value: Any) -> str:
    """A value in half a sentence."""
    if isinstance(value, dict):
        return "keys with values" if value else "{}"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f'the text "{short(value)}"' if value else "an empty text"
    return shown(value)


def short(text: str) -> str:
    """A text that fits into a message."""
    text = text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - what leaves room for the rest of the line
    return text.replace("\n", "\\n")


def flow(value: Any) -> str:
    """A value as YAML on one line, quoted where it must be."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if not isinstance(value, str):
        return shown(value)
    if _PLAIN.fullmatch(value) and value.lower() not in ("true", "false", "null", "yes", "no", "on", "off", "y", "n"):
        return value
    if any(ord(character) < 32 for character in value):  # noqa: PLR2004 - control characters, which single quotes cannot hold
        import json

        return json.dumps(value, ensure_ascii=False)
    return "'" + value.replace("'", "''") + "'"


def example(schema: Schema) -> str:
    """A hint that shows how the value may look like, nothing where the schema has no example."""
    examples = schema.get("examples", ())
    return f"for example {flow(examples[0])}" if examples else ""


def fits(text: str, schema: Schema) -> bool:
    """Whether a text has the form that the schema wants."""
    return "pattern" not in schema or re.search(schema["pattern"], text) is not None


def limit(value: Any, schema: Schema) -> str:
    """What a value must do, after "must", to keep the limit that it exceeds; nothing where it keeps them all."""
    if kind(value) == "integer":
        if value < schema.get("minimum", value):
            return f"be at least {schema['minimum']}, not {_digits(value)}"
        if value > schema.get("maximum", value):
            return f"be at most {schema['maximum']}, not {_digits(value)}"
        return ""
    for kind_, noun, least, most in _SIZES:
        if kind(value) != kind_:
            continue
        if len(value) < schema.get(least, 0):
            return f"have at least {_count(schema[least], noun)}, not {len(value)}" if value else "not be empty"
        if len(value) > schema.get(most, len(value)):
            return f"have at most {_count(schema[most], noun)}, not {len(value)}"
    return ""


_SIZES = (
    ("string", "character", "minLength", "maxLength"),
    ("array", "item", "minItems", "maxItems"),
    ("object", "key", "minProperties", "maxProperties"),
)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _digits(number: int) -> str:
    text = str(number)
    return text if len(text) <= 20 else f"a number of {len(text)} digits"  # noqa: PLR2004 - longer ones say nothing


def strange(text: str) -> str:
    """A letter that looks like one of ours and is none, by its name; nothing for text that has none."""
    if text.isascii():
        return ""
    import unicodedata

    for character in text:
        if not character.isascii() and character.isalnum():
            return f"{character} is {unicodedata.name(character, 'a letter without a name')}"
    return ""
