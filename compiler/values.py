"""Texts that may hold references: literal pieces, and names that become known only when the container starts."""

from __future__ import annotations

import re
from typing import NamedTuple


class Secret(NamedTuple):
    """A piece of a value: the content of the secret ``name``, read when the service starts."""

    name: str


class Setting(NamedTuple):
    """A piece of a value: the setting ``name``, read from the container's environment."""

    name: str


Value = tuple["str | Secret | Setting", ...]
"""A text in pieces, in order; adjacent literal pieces are joined and empty ones left out."""

REFERENCE = re.compile(r"(\$)\$\{|\$\{([^{}]*)(\}?)")


def literal(text: str) -> Value:
    """The value that is just this text."""
    return (text,) if text else ()


def plain(value: Value) -> str | None:
    """The text of a value without secrets and settings, otherwise nothing."""
    if not value:
        return ""
    head = value[0]
    return head if len(value) == 1 and isinstance(head, str) else None


def join(pieces: list[str | Secret | Setting]) -> Value:
    """The value made of these pieces."""
    joined: list[str | Secret | Setting] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        elif piece != "":
            joined.append(piece)
    return tuple(joined)


_SIZE = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_DURATION = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


def size(text: str) -> int:
    """``100MB`` -> 100000000 bytes; decimal and binary units as in the schema's pattern."""
    number = text.rstrip("BKMGi")
    whole, _, fraction = number.partition(".")
    scale: int = 10 ** len(fraction)
    return int(whole + fraction) * _SIZE[text[len(number) :]] // scale


def milliseconds(text: str) -> int:
    """``1m`` -> 60000; the units are ms, s, m and h."""
    number = text.rstrip("msh")
    return int(number) * _DURATION[text[len(number) :]]


def seconds(text: str) -> int:
    """A duration in whole seconds, rounded up, since most tools know nothing shorter."""
    return -(-milliseconds(text) // 1000)
