"""The unit that rendering hands to writing."""

from __future__ import annotations

from typing import NamedTuple


class GeneratedFile(NamedTuple):
    """One output: a bare file name, its text (LF, one newline at its end) and its permission bits."""

    path: str
    content: str
    mode: int
