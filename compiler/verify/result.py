"""What came of a check."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from compiler.errors import Mark
    from compiler.model import App, Path
    from compiler.verify.trial import Trial


def _always(_: App) -> bool:
    return True


class Check(NamedTuple):
    """One row: a name for ``--only``, what is promised, the function that tries it, and whom it concerns.

    The function returns its evidence in a line, or raises ``FailedError``. It finds the container healthy, and need not
    leave it so.
    """

    name: str
    promise: str
    run: Callable[[Trial], str]
    applies: Callable[[App], bool] = _always


class FailedError(Exception):
    """A promise was not kept; ``path`` leads to the line of the spec that makes it."""

    def __init__(self, expected: str, came: str, path: Path = (), *, look: str = "", logs: Sequence[str] = ()) -> None:
        super().__init__(f"expected {expected}; came {came}")
        self.expected = expected
        self.came = came
        self.path = path
        self.look = look
        self.logs = tuple(logs)


class NotRunError(Exception):
    """A check that cannot be made here; the message says why."""


class Result(NamedTuple):
    """One check of one image: ``passed``, ``failed``, or ``not run`` with the reason as evidence."""

    name: str
    promise: str
    status: str
    seconds: float
    evidence: str = ""
    expected: str = ""
    came: str = ""
    mark: Mark | None = None
    logs: tuple[str, ...] = ()
    look: str = ""


class Outcome(NamedTuple):
    """All checks of one image."""

    flavour: str
    dockerfile: str
    image: str
    size: int
    results: tuple[Result, ...]

    @property
    def failed(self) -> bool:
        """Whether a promise was not kept."""
        return any(result.status == "failed" for result in self.results)
