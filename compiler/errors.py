"""What can go wrong, as values: a problem knows its code, place and remedy; an error knows its exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from compiler.load import Document


class Mark(NamedTuple):
    """A place in a file the user can open: 1-based line and column, both counted in characters."""

    file: str
    line: int
    column: int
    length: int = 1


class Related(NamedTuple):
    """A second place that helps to understand a problem, such as the other of two clashing lines."""

    message: str
    mark: Mark


class Problem(NamedTuple):
    """One finding about a spec, in the user's words; ``path`` are the keys that lead to what it is about."""

    code: str
    message: str
    mark: Mark | None
    hint: str = ""
    related: tuple[Related, ...] = ()
    path: tuple[str | int, ...] = ()

    @property
    def severity(self) -> str:
        """``error`` or ``warning``, which the first letter of the code decides."""
        return "warning" if self.code.startswith("W") else "error"


class CompileError(Exception):
    """Base of every failure that is reported to the user; the command exits with ``exit_code``."""

    exit_code = 70


class SpecError(CompileError):
    """The spec has problems; nothing was written.

    ``inputs`` are other files that were read, relative to the spec; ``document`` is what could be read of the spec all
    the same, where its other problems can be told as well.
    """

    exit_code = 2

    def __init__(
        self, problems: tuple[Problem, ...], inputs: tuple[str, ...] = (), document: Document | None = None
    ) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems
        self.inputs = inputs
        self.document = document


class HostError(CompileError):
    """The machine stands in the way: a file is missing, unreadable, unwritable, or the disk is full."""

    exit_code = 3

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
