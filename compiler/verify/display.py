"""What people see while checks are made: a line for each, and on a terminal the one that is being made."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compiler.model import App
    from compiler.verify.engine import Engine
    from compiler.verify.result import Check, Result
    from compiler.verify.trial import Flavour

_WORDS = {"passed": "ok", "failed": "FAILED", "not run": "-"}
_COLORS = {"passed": "32", "failed": "1;31", "not run": "2"}


class Lines:
    """Plain lines on stderr or stdout; on a terminal, the check that is under way is shown meanwhile."""

    def __init__(self, *, color: bool, live: bool, quiet: bool = False) -> None:
        self._color = color
        self._live = live
        self._quiet = quiet

    def flavour(self, app: App, flavour: Flavour, engine: Engine) -> None:
        """Head of what follows."""
        self._line(f"{app.name}, {flavour.name} ({app.output}/{flavour.dockerfile}), {engine.client} {engine.version}")

    def begun(self, check: Check, number: int, total: int) -> None:
        """Only a terminal can take back what it shows."""
        if self._live:
            sys.stdout.write(f"\r\033[K  {number}/{total} {check.name}: {check.promise}"[:110])
            sys.stdout.flush()

    def ended(self, result: Result) -> None:
        """One line, and the rest of it where a promise was not kept."""
        if self._live:
            sys.stdout.write("\r\033[K")
        word = f"{_WORDS[result.status]:6}"
        word = f"\033[{_COLORS[result.status]}m{word}\033[0m" if self._color else word
        told = result.evidence or result.promise
        self._line(f"  {word} {result.name:14} {result.seconds:6.1f} s  {told}")
        for line in explained(result) if result.status == "failed" else ():
            self._line(f"         {line}")

    def _line(self, text: str) -> None:
        if not self._quiet:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()


def explained(result: Result) -> list[str]:
    """What was expected, from which line of the spec, what came, what the log says, and where to look."""
    lines = [f"promise:  {result.promise}", f"expected: {result.expected}"]
    if result.mark:
        lines.append(f"from:     {result.mark.file}:{result.mark.line}:{result.mark.column}")
    lines += [
        f"came:     {line}" if not number else f"          {line}"
        for number, line in enumerate(result.came.splitlines()[-30:])
    ]
    lines += [f"log:      {line}" for line in result.logs]
    if result.look:
        lines.append(f"look at:  {result.look}")
    return lines
