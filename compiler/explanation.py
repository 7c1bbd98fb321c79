"""The code of a problem -> its explanation."""

from __future__ import annotations

import difflib

from compiler import commands
from compiler.errors import HostError


def text(code: str) -> str:
    """Title, explanation and both examples of a code; raises HostError for one that does not exist."""
    entries = commands.codes()
    wanted = code.strip().upper()
    if wanted not in entries:
        near = difflib.get_close_matches(wanted, list(entries), 1)
        raise HostError(f'there is no code "{code}"', f'did you mean "{near[0]}"?' if near else "codes look like E020 or W001")
    entry = entries[wanted]
    parts = [f"{wanted}: {entry['title']}\n\n{entry['explanation'].strip()}\n"]
    for word in ("wrong", "right"):
        if word in entry:
            indented = "".join(f"    {line}\n" if line else "\n" for line in entry[word].rstrip("\n").split("\n"))
            parts.append(f"\n{word.capitalize()}:\n\n{indented}")
    return "".join(parts)
