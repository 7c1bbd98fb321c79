"""Files that were edited by hand -> what the edit is, and how to say the same in the spec."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compiler.drift import Change, Plan

_COLORS = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"}
_CONFLICT = re.compile(r"^<{7} ", re.MULTILINE)


def difference(change: Change, name: str, *, color: bool, names: tuple[str, str] | None = None) -> str:
    """A unified diff of what stands there to what would be written."""
    from difflib import unified_diff

    from compiler.report import printable

    before, after = (change.before or "").splitlines(), (change.after or "").splitlines()
    here, there = names or (name, f"{name} (generated)")
    lines = [printable(line.replace("\t", "    ")) for line in unified_diff(before, after, here, there, lineterm="", n=2)]
    if color:
        lines = [f"{_COLORS[line[0]]}{line}\x1b[0m" if line[:1] in _COLORS else line for line in lines]
    return "".join(f"{line}\n" for line in lines)


def edited(directory: str, plan: Plan, spec: str, *, color: bool) -> str:
    """The message of a run that stopped because files were edited by hand: the edit, how to keep it, how to drop it."""
    parts = []
    for change in plan.edited:
        name = os.path.join(directory, change.path)
        parts.append(f"error: {name} was edited by hand; nothing was written\n")
        reverse = change._replace(before=change.after, after=change.before)
        parts.append(difference(reverse, name, color=color, names=("generated", name)))
        if _CONFLICT.search(change.before or ""):
            parts.append("  = help: these are the conflict markers of a merge: drop them with --force, which generates the file anew\n")
        else:
            parts.append(_keep(change, spec))
    parts.append(f"To drop {'the edit' if len(plan.edited) == 1 else 'these edits'}: appos-compile --force\n")
    return "".join(parts)


def _keep(change: Change, spec: str) -> str:
    added, removed, context = _lines(change)
    template = (
        f"To keep it, name a template of your own in {spec}, a copy of the compiler's with the edit, or change the key that makes this line:\n"
        f"  outputs:\n    {change.path}: {change.path}.j2\n"
    )
    point = _point(change.path, added, context) if added and not removed else None
    if point is None:
        return template
    key, content = point
    indented = "".join(f"{'        ' if line else ''}{line}\n" for line in content)
    if key[1] in ("service", "top"):
        return f"To keep it, put it into {spec}:\n  extra:\n    {key[0]}:\n      {key[1]}:\n{indented}"
    return f"To keep it, put it into {spec}:\n  extra:\n    {key[0]}:\n      {key[1]}: |\n{indented}"


def _lines(change: Change) -> tuple[list[str], list[str], list[str]]:
    """The lines that the edit added and removed, and those of the generated file before the first added one."""
    from difflib import SequenceMatcher

    generated, edit = (change.after or "").splitlines(), (change.before or "").splitlines()
    added: list[str] = []
    removed: list[str] = []
    context: list[str] = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, generated, edit, autojunk=False).get_opcodes():
        if tag != "equal":
            context = context or generated[:i1]
            removed += generated[i1:i2]
            added += edit[j1:j2]
    return added, removed, context


def _point(path: str, added: Sequence[str], context: Sequence[str]) -> tuple[tuple[str, str], list[str]] | None:
    """The escape hatch, as output and point, that holds the added lines, and how they read there."""
    plain = _dedented(added)
    if path in ("Dockerfile", "Dockerfile.local"):
        final = max((i for i, line in enumerate(context) if line.startswith("FROM ")), default=-1)
        in_final = "# The image" in context[:final]
        return ("Dockerfile", "end" if in_final else "stages"), plain
    if path.endswith("dockerignore"):
        return ("dockerignore", "end"), plain
    if path == ".env":
        return (".env", "end"), plain
    if path == "supervisord.conf":
        sections = [line for line in context if line.startswith("[")]
        inside = not any(line.startswith("[") for line in plain)
        if inside and sections and sections[-1] != "[supervisord]":
            return None
        return ("supervisord.conf", "supervisord" if inside else "end"), plain
    if path == "nginx.conf":
        depth = sum(line.count("{") - line.count("}") for line in context if not line.lstrip().startswith("#"))
        points = {0: "main", 1: "http", 2: "server"}
        return (("nginx.conf", points[depth]), plain) if depth in points else None
    if path == "entrypoint.sh":
        return ("entrypoint.sh", "start" if not any(line.startswith("fail()") for line in context) else "end"), plain
    if path == "docker-compose.yml":
        return _compose(added, context, plain)
    return None


def _compose(added: Sequence[str], context: Sequence[str], plain: list[str]) -> tuple[tuple[str, str], list[str]] | None:
    first = next((line for line in added if line.strip()), "")
    indent = len(first) - len(first.lstrip())
    if indent == 0:
        return ("docker-compose.yml", "top"), plain
    if indent == 4:  # noqa: PLR2004 - a key of the one service
        return ("docker-compose.yml", "service"), plain
    parent = next((line for line in reversed(context) if line.strip() and len(line) - len(line.lstrip()) == 4 and not line.lstrip().startswith("#")), "")  # noqa: PLR2004
    key = parent.strip()
    if indent == 6 and key.rstrip(":") in ("ports", "environment", "volumes", "tmpfs", "cap_add", "security_opt"):  # noqa: PLR2004
        return ("docker-compose.yml", "service"), [key, *(f"  {line}" for line in plain)]
    return None


def _dedented(lines: Sequence[str]) -> list[str]:
    import textwrap

    return textwrap.dedent("\n".join(lines)).strip("\n").split("\n")
