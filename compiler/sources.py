"""The files of the tree that a spec names as texts to compile: their paths -> their contents."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Any

from compiler.errors import Problem
from compiler.nearest import nearest

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


def read(
    directory: str, paths: Iterable[tuple[Path, str]], marks: Mapping[Path, Mark]
) -> tuple[dict[str, str], tuple[Problem, ...]]:
    """The texts by path, and a problem for each that cannot be read; one that cannot is an empty text."""
    texts: dict[str, str] = {}
    problems = []
    for place, path in paths:
        try:
            content = _content(os.path.join(directory, path))
        except OSError as error:
            reason, hint = (error.strerror or str(error)).lower(), _hint(directory, path)
        else:
            texts[path], reason, hint = _text(content)
        if reason:
            texts[path] = ""
            problems.append(Problem("E043", f'"{path}" cannot be read: {reason}', marks.get(place), hint, path=place))
    return texts, tuple(problems)


def optional(directory: str, path: str) -> str:
    """The text of a file that need not be there; empty where it is not, or cannot be read."""
    try:
        return _content(os.path.join(directory, path)).decode("utf-8", "replace")
    except OSError:
        return ""


def _content(path: str) -> bytes:
    # Opening a named pipe would wait for somebody to write to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a file")
        return file.read(LIMIT + 1)


def _text(content: bytes) -> tuple[str, str, str]:
    """The text, or why it is none and what to do."""
    if len(content) > LIMIT:
        return "", "it is larger than 1 MiB", "copy it with source: instead, which takes any file"
    try:
        text = content.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError:
        return "", "it is not UTF-8", "save it as UTF-8"
    if "\0" in text:
        return "", "it is not a text", "copy it with source: instead, which takes any file"
    return text, "", ""


def _hint(directory: str, path: str) -> str:
    above, name = os.path.split(path)
    try:
        near = nearest(name, sorted(os.listdir(os.path.join(directory, above))))
    except OSError:
        near = None
    return f'did you mean "{os.path.join(above, near)}"?' if near and near != name else "paths are relative to the spec"
