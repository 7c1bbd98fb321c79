"""Files that were edited by hand -> the message: what the edit is, how to say the same in the spec, how to drop it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from compiler.commands import Options
    from compiler.drift import Change, Plan
    from compiler.keeping import Kept
    from compiler.model import App

_COLORS = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"}
_CONFLICT = re.compile(r"^<{7} ", re.MULTILINE)
_SHOWN = 80
"""Lines of a diff that a message shows; whoever edited more than that knows it."""


def difference(change: Change, name: str, *, color: bool, names: tuple[str, str] | None = None) -> str:
    """Return a unified diff of what stands there to what would be written."""
    from difflib import unified_diff

    from compiler.report import printable

    here, there = names or (name, f"{name} (generated)")
    before, after = _lines(change.before or ""), _lines(change.after or "")
    lines = [
        printable(line.replace("\t", "    ")) for line in unified_diff(before, after, here, there, lineterm="", n=2)
    ]
    if color:
        lines = [f"{_COLORS[line[0]]}{line}\x1b[0m" if line[:1] in _COLORS else line for line in lines]
    return "".join(f"{line}\n" for line in lines)


def edited(directory: str, plan: Plan, app: App, options: Options) -> str:
    """Return the message of a run that found files edited by hand: each edit, how to keep it, how to drop it."""
    import sys

    from compiler import keeping
    from compiler.commands import colored

    color = colored(options.color, sys.stderr)
    ours = _recorded(directory)
    parts = []
    for change in plan.edited:
        name = os.path.join(directory, change.path)
        if change.path not in ours:
            parts.append(f"error: {name} was there before, and is not ours; nothing was written\n")
            parts.append("  = help: move it away, overwrite it with --force, or write elsewhere with -o\n")
            continue
        parts.append(f"error: {name} was edited by hand; nothing was written\n")
        reverse = change._replace(before=change.after, after=change.before)
        shown = difference(reverse, name, color=color, names=("generated", name)).splitlines(keepends=True)
        parts += shown[:_SHOWN]
        if len(shown) > _SHOWN:
            parts.append(f"... and {len(shown) - _SHOWN} lines more\n")
        if _CONFLICT.search(change.before or ""):
            parts.append("These are the conflict markers of a merge: generate the file anew, as below.\n")
        else:
            parts += _keep(change, keeping.kept(change, app), app, options)
    edits = "the edit" if len(plan.edited) == 1 else "these edits"
    if any(change.path in ours for change in plan.edited):
        parts.append(f"To drop {edits}: {options.command} --force\n")
    return "".join(parts)


def _recorded(directory: str) -> Container[str]:
    """The names of the files that were generated here, edited or not."""
    from compiler import manifest

    try:
        with open(os.path.join(directory, manifest.NAME), "rb") as file:
            recorded = manifest.parse(file.read())
    except OSError:
        return ()
    return {*recorded.files, *recorded.writing}


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    if lines[-1]:
        return [*lines, "\\ No newline at end of file"]
    return lines[:-1]


def _keep(change: Change, kept: Kept, app: App, options: Options) -> Iterable[str]:
    """The part of the message that says how to keep one file's edit."""
    own = dict(app.templates).get(change.path)
    if own:
        yield f"To keep it, make the edit in your template {own}, which {change.path} is made from.\n"
        return
    for line, what in kept.keys:
        yield f"To keep line {line}, {what}\n"
    if kept.extra:
        it = "what was added" if kept.keys or kept.rest else "it"
        yield f"To keep {it}, put this into {options.file}:\n"
        yield from _yaml({"extra": kept.extra})
        for place in kept.replaced:
            yield f"in place of what stands at {place} now.\n"
    if kept.rest:
        yield from _template(change.path, "the rest" if kept.keys or kept.extra else "it", options)


def _template(output: str, it: str, options: Options) -> Iterable[str]:
    import shlex

    beside = shlex.quote(os.path.join(os.path.dirname(options.file), f"{output}.j2"))
    yield f"To keep {it}, use a template of your own. Copy the compiler's and make the edit in the copy:\n"
    yield f"  appos-compile template {output} >{beside}\n"
    yield f"then put this into {options.file}:\n"
    yield from _yaml({"outputs": {output: f"{output}.j2"}})


def _yaml(data: Mapping[str, Any]) -> Iterable[str]:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes texts of several lines as blocks, as people would."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    dumped: str = yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    for line in dumped.splitlines():
        yield f"  {line}\n" if line else "\n"
