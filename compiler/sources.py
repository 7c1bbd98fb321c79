"""The files of the tree that a spec names as texts to compile: their paths -> their contents."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from compiler.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from compiler.errors import Mark

Path = tuple["str | int", ...]

LIMIT = 1 << 20
"""Bytes of the largest file that is taken for a text."""


def named(data: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Each place in a spec that names such a file, with the name."""
    for service, fields in data["services"].items():
        for name, file in fields.get("files", {}).items():
            if "template" in file:
                yield ("services", service, "files", name, "template"), file["template"]
    for output, template in data.get("outputs", {}).items():
        if isinstance(template, str):
            yield ("outputs", output), template


def read(directory: str, paths: Iterable[tuple[Path, str]], marks: Mapping[Path, Mark]) -> tuple[dict[str, str], tuple[Problem, ...]]:
    """The texts by path, and a problem for each that cannot be read; one that cannot is an empty text."""
    texts: dict[str, str] = {}
    problems = []
    for place, path in paths:
        try:
            with open(os.path.join(directory, path), "rb") as file:
                content = file.read(LIMIT + 1)
            if len(content) > LIMIT:
                raise ValueError("it is larger than 1 MiB")
            texts[path] = content.decode("utf-8").replace("\r\n", "\n")
            if "\0" in texts[path]:
                raise ValueError("it is not a text")
        except UnicodeDecodeError:
            texts[path] = ""
            problems.append(Problem("E043", f"{path} is not UTF-8", marks.get(place), "save it as UTF-8"))
        except (OSError, ValueError) as error:
            texts[path] = ""
            reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
            problems.append(Problem("E043", f"{path} cannot be read: {reason}", marks.get(place), "paths are relative to the spec"))
    return texts, tuple(problems)
