"""Where the compiler's own data lies, in a checkout and in an installed wheel."""

from __future__ import annotations

import os

_PACKAGE = os.path.dirname(os.path.abspath(__file__))


def directory(name: str) -> str:
    """The directory ``templates`` or ``schema``: inside the package in a wheel, beside it in a checkout."""
    inside = os.path.join(_PACKAGE, name)
    return inside if os.path.isdir(inside) else os.path.join(os.path.dirname(_PACKAGE), name)


def read(*parts: str) -> str:
    """The text of one data file, such as ``read("schema", "bases.yaml")``."""
    with open(os.path.join(directory(parts[0]), *parts[1:]), encoding="utf-8", newline="") as file:
        return file.read()


def names(*parts: str) -> tuple[str, ...]:
    """The names, sorted, of the files in a data directory."""
    return tuple(sorted(os.listdir(os.path.join(directory(parts[0]), *parts[1:]))))


def digest(*texts: str) -> str:
    """The SHA-256 of texts, each with its length, so that no two lists of texts are taken for one another."""
    from hashlib import sha256

    whole = sha256()
    for text in texts:
        data = text.encode()
        whole.update(b"%d\n" % len(data) + data)
    return whole.hexdigest()
