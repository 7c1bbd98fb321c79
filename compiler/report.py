"""Problems go in; the text of a report comes out, for people, for scripts, or for code hosts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from compiler.errors import Mark, Problem

_ANY_BREAK = re.compile(r"\r\n|\r|\n")
_PLAIN = re.compile(r"[\x20-\x7e]*")
# Zero-width joiners hold emoji and some scripts together; on their own they do nothing to a terminal.
_JOINERS = "\u200c\u200d"
_TAB = " " * 4
# What of a long line is shown: this much before the caret, and this much in all, in characters.
_LEFT = 40
_SHOWN = 100
_CUT = "..."

_LINK = re.compile(r"\[(?=[^\]]*\]\()")
_PLACEHOLDER = re.compile(r"\{(\d+)\}")

_RESET = "\x1b[0m"
_STYLES = {
    "error": "\x1b[1;31m",
    "warning": "\x1b[1;33m",
    "note": "\x1b[1;36m",
    "strong": "\x1b[1m",
    "dim": "\x1b[1;34m",
}

_SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


class Request(NamedTuple):
    """Everything that a reporter may want to know."""

    problems: Sequence[Problem]
    sources: Mapping[str, str]
    titles: Mapping[str, str]
    version: str
    color: bool = False


def printable(text: str) -> str:
    r"""Return ``text`` with everything a terminal would act on, or not show, as a Python escape such as ``\x1b``."""
    if _PLAIN.fullmatch(text):
        return text
    import unicodedata

    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and character not in _JOINERS
        else character
        for character in text
    )


def human(problems: Sequence[Problem], sources: Mapping[str, str], *, color: bool) -> str:
    """Return the problems for a terminal, each with its source line and a caret; ``sources`` maps file names to texts.

    A place whose file or line is not in ``sources`` is only named. The last line counts the problems; there is none
    when there is no problem.
    """
    if not problems:
        return ""
    terminal = _Terminal(sources, color=color)
    parts = [terminal.one(problem) for problem in problems]
    errors = sum(problem.severity == "error" for problem in problems)
    counts = [(errors, "error"), (len(problems) - errors, "warning")]
    summary = ", ".join(f"{number} {noun}{'s' * (number > 1)}" for number, noun in counts if number)
    return "\n".join([*parts, terminal.styled(summary, "strong")]) + "\n"


def as_json(problems: Sequence[Problem]) -> str:
    """Return the problems as a JSON list; ``file``, ``line`` and ``column`` are null for a problem without a place."""
    import json

    items = [
        {
            "code": problem.code,
            "severity": problem.severity,
            "message": problem.message,
            **_json_place(problem.mark),
            "hint": problem.hint,
            "related": [{"message": related.message, **_json_place(related.mark)} for related in problem.related],
        }
        for problem in problems
    ]
    return json.dumps(items, indent=2) + "\n"


def github(problems: Sequence[Problem]) -> str:
    """Return the problems as GitHub Actions workflow commands, one a line, which become annotations of the change.

    The escaping is that of the runner's own toolkit (``@actions/core``, command.ts).
    """
    return "".join(_github_command(problem) + "\n" for problem in problems)


def sarif(problems: Sequence[Problem], *, version: str, titles: Mapping[str, str]) -> str:
    """Return the problems as a SARIF 2.1.0 log; ``version`` is this tool's, ``titles`` maps codes to short texts."""
    import json

    levels = {problem.code: problem.severity for problem in problems}
    codes = sorted(levels)
    rules = [_sarif_rule(code, levels[code], titles.get(code, code)) for code in codes]
    run = {
        "tool": {"driver": {"name": "appos-compile", "version": version, "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "results": [_sarif_result(problem, codes.index(problem.code)) for problem in problems],
    }
    return json.dumps({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


REPORTERS: dict[str, Callable[[Request], str]] = {
    "human": lambda request: human(request.problems, request.sources, color=request.color),
    "json": lambda request: as_json(request.problems),
    "github": lambda request: github(request.problems),
    "sarif": lambda request: sarif(request.problems, version=request.version, titles=request.titles),
}


class _Terminal:
    """Lays out problems for a terminal; splits each source into lines once."""

    def __init__(self, sources: Mapping[str, str], *, color: bool) -> None:
        self.sources = sources
        self.color = color
        self.lines: dict[str, list[str]] = {}

    def styled(self, text: str, style: str) -> str:
        return f"{_STYLES[style]}{text}{_RESET}" if self.color else text

    def one(self, problem: Problem) -> str:
        places = [problem.mark, *(related.mark for related in problem.related)]
        width = max((len(str(mark.line)) for mark in places if mark), default=1)
        head = self.styled(f"{problem.severity}[{problem.code}]", problem.severity)
        out = [f"{head}: {self.styled(printable(problem.message), 'strong')}"]
        if problem.mark:
            out += self.snippet(problem.mark, problem.severity, width)
        if problem.hint:
            out.append(f"{' ' * width} {self.styled('=', 'dim')} help: {printable(problem.hint)}")
        for related in problem.related:
            out.append(f"{self.styled('note', 'note')}: {printable(related.message)}")
            out += self.snippet(related.mark, "note", width)
        return "\n".join([*out, ""])

    def snippet(self, mark: Mark, style: str, width: int) -> list[str]:
        out = [f"{' ' * width}{self.styled('-->', 'dim')} {printable(mark.file)}:{mark.line}:{mark.column}"]
        line = self.line(mark)
        if line is None:
            return out
        text, indent, carets = _excerpt(line, mark.column - 1, mark.length)
        bar = self.styled("|", "dim")
        return [
            *out,
            f"{' ' * width} {bar}",
            f"{self.styled(str(mark.line).rjust(width), 'dim')} {bar} {text}".rstrip(),
            f"{' ' * width} {bar} {' ' * indent}{self.styled('^' * carets, style)}",
        ]

    def line(self, mark: Mark) -> str | None:
        if mark.file not in self.lines:
            self.lines[mark.file] = _ANY_BREAK.split(self.sources[mark.file]) if mark.file in self.sources else []
        lines = self.lines[mark.file]
        return lines[mark.line - 1] if mark.line <= len(lines) else None


def _excerpt(line: str, start: int, length: int) -> tuple[str, int, int]:
    """Return what to show of a line, how many cells stand before the caret, and how many carets there are."""
    start = min(start, len(line))
    first = start - _LEFT if start > _SHOWN - _LEFT else 0
    last = first + _SHOWN
    before = (_CUT if first else "") + _shown(line[first:start])
    token = _shown(line[start : min(start + length, last)])
    after = _shown(line[start + length : last]) + (_CUT if last < len(line) else "")
    indent, carets = _cells(before), _cells(token)
    if token and not carets and indent:
        # A combining mark is drawn in the cell of the character before it.
        indent -= 1
    return before + token + after, indent, max(carets, 1)


def _shown(text: str) -> str:
    return _TAB.join(printable(part) for part in text.split("\t"))


def _cells(text: str) -> int:
    """Count the terminal cells that ``text`` takes: two for wide characters and emoji, none for combining ones."""
    if text.isascii():
        return len(text)
    import unicodedata

    cells = 0
    for character in text:
        if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
            continue
        cells += 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
    return cells


def _json_place(mark: Mark | None) -> dict[str, str | int | None]:
    if mark is None:
        return {"file": None, "line": None, "column": None}
    return {"file": mark.file, "line": mark.line, "column": mark.column}


def _github_command(problem: Problem) -> str:
    properties = {"title": problem.code}
    if problem.mark:
        mark = problem.mark
        properties = {"file": printable(mark.file), "line": str(mark.line), "col": str(mark.column), **properties}
    listed = ",".join(f"{name}={_github_property(value)}" for name, value in properties.items())
    text = printable(problem.message) + (f"\nhelp: {printable(problem.hint)}" if problem.hint else "")
    return f"::{problem.severity} {listed}::{_github_data(text)}"


def _github_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _github_property(text: str) -> str:
    return _github_data(text).replace(":", "%3A").replace(",", "%2C")


def _sarif_rule(code: str, level: str, title: str) -> dict[str, Any]:
    text = {"text": title}
    return {
        "id": code,
        "shortDescription": text,
        "fullDescription": text,
        "help": text,
        "defaultConfiguration": {"level": level},
    }


def _sarif_result(problem: Problem, rule: int) -> dict[str, Any]:
    text = problem.message + (f"\nhelp: {problem.hint}" if problem.hint else "")
    result = {
        "ruleId": problem.code,
        "ruleIndex": rule,
        "level": problem.severity,
        "message": {"text": _sarif_text(text)},
        "locations": [_sarif_location(problem.mark)] if problem.mark else [],
    }
    if problem.related:
        result["relatedLocations"] = [
            {"id": number, **_sarif_location(related.mark), "message": {"text": _sarif_text(related.message)}}
            for number, related in enumerate(problem.related)
        ]
    return result


def _sarif_text(text: str) -> str:
    """Escape what a viewer would take for a link or a placeholder (SARIF 2.1.0, sections 3.11.5 and 3.11.6).

    Only that: many viewers show the escapes of harmless brackets and braces as they are.
    """
    return _PLACEHOLDER.sub(r"{{\1}}", _LINK.sub(r"\\[", text))


def _sarif_location(mark: Mark) -> dict[str, Any]:
    region = {"startLine": mark.line, "startColumn": mark.column, "endColumn": mark.column + mark.length}
    return {"physicalLocation": {"artifactLocation": {"uri": _uri(mark.file)}, "region": region}}


def _uri(path: str) -> str:
    """Return ``path`` as a URI reference: relative for a relative path, as SARIF wants it (section 3.4.3)."""
    import os
    from urllib.parse import quote

    quoted = quote(os.path.normpath(path).replace(os.sep, "/"), errors="surrogateescape")
    return f"file://{quoted}" if os.path.isabs(path) else quoted
