"""The code of a problem -> its explanation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compiler import commands
from compiler.errors import HostError
from compiler.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping


def text(code: str) -> str:
    """Title, explanation and both examples of a code; raises HostError for one that does not exist."""
    entries = {**commands.codes(), **commands.findings()}
    wanted = code.strip().upper()
    if wanted not in entries:
        near = nearest(wanted, entries)
        hint = f'did you mean "{near}"?' if near else f"codes go from {min(entries)} to {max(entries)}"
        raise HostError(f'there is no code "{code}"', hint)
    entry = entries[wanted]
    parts = [f"{wanted}: {entry['title']}\n\n{_wrapped(entry['explanation'])}\n"]
    parts += [f"\n{word.capitalize()}:\n\n{_example(entry, word)}" for word in ("wrong", "right")]
    return "".join(parts)


def _wrapped(paragraph: str) -> str:
    import textwrap

    return textwrap.fill(" ".join(paragraph.split()), 80, break_on_hyphens=False, break_long_words=False)


def _example(entry: Mapping[str, Any], word: str) -> str:
    """An example as it is shown: the spec, indented, after the files it needs."""
    files = {**entry.get("files", {}), **entry.get(f"{word}_files", {})}
    parts = [f"    {name}:\n{_indented(text, 8)}\n" for name, text in files.items()]
    shown = entry.get(word)
    if shown is None:
        repeated = entry.get(f"{word}_repeated")
        shown = (
            f"{repeated['text'].rstrip()} (and so on, {repeated['times']} times)"
            if repeated
            else "(bytes that are no text)"
        )
    return "".join([*parts, _indented(shown, 4)])


def _indented(text: str, by: int) -> str:
    return "".join(f"{' ' * by}{line}\n" if line else "\n" for line in text.rstrip("\n").split("\n"))
