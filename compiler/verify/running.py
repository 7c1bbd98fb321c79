"""Goes through the tables: one image after the other, one check after the other, and tells of each as it ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from compiler.verify.checks import CHECKS
from compiler.verify.engine import EngineError
from compiler.verify.faults import FAULTS
from compiler.verify.result import FailedError, NotRunError, Outcome, Result
from compiler.verify.trial import Trial

if TYPE_CHECKING:
    from compiler.model import App
    from compiler.verify.engine import Engine
    from compiler.verify.result import Check
    from compiler.verify.trial import Flavour

ESSENTIAL = ("build", "healthy")
"""Made before every other check, wanted or not: without them there is nothing to look at."""


class Display(Protocol):
    """Who is told what goes on."""

    def flavour(self, app: App, flavour: Flavour, engine: Engine) -> None:
        """Another image has its turn."""

    def begun(self, check: Check, number: int, total: int) -> None:
        """A check has begun."""

    def ended(self, result: Result) -> None:
        """A check has ended."""


class Run(NamedTuple):
    """What is to be done."""

    app: App
    directory: str
    engine: Engine
    only: tuple[str, ...]
    faults: bool
    keep: bool


def rows(*, faults: bool) -> tuple[Check, ...]:
    """Every check, in the order in which they are made."""
    return (*CHECKS, *(FAULTS if faults else ()))


def verify(run: Run, flavour: Flavour, display: Display) -> tuple[Outcome, Trial]:
    """Make all wanted checks of one image. The trial is closed, unless it is to be kept."""
    display.flavour(run.app, flavour, run.engine)
    trial = Trial(run.app, run.directory, run.engine, flavour)
    try:
        results = tuple(_all(run, trial, display))
        size = trial.size() if results[0].status == "passed" else 0
    finally:
        if not run.keep:
            trial.close()
    return Outcome(flavour.name, flavour.dockerfile, trial.image, size, results), trial


def _all(run: Run, trial: Trial, display: Display) -> list[Result]:
    table = [row for row in rows(faults=run.faults) if not run.only or row.name in (*ESSENTIAL, *run.only)]
    results: list[Result] = []
    for number, row in enumerate(table, 1):
        display.begun(row, number, len(table))
        if not row.applies(run.app):
            result = Result(row.name, row.promise, "not run", 0, "the spec has nothing of the kind")
        elif any(result.name in ESSENTIAL and result.status == "failed" for result in results):
            result = Result(row.name, row.promise, "not run", 0, "there is no healthy container")
        else:
            result = _one(row, trial)
        results.append(result)
        display.ended(result)
    return results


def _one(row: Check, trial: Trial) -> Result:
    begun = time.monotonic()
    since = trial.now()
    try:
        if row.name not in ESSENTIAL:
            _settle(trial)
            begun = time.monotonic()
        evidence = row.run(trial)
    except NotRunError as reason:
        return Result(row.name, row.promise, "not run", time.monotonic() - begun, str(reason))
    except (FailedError, EngineError, OSError) as error:
        took = time.monotonic() - begun
        failure = error if isinstance(error, FailedError) else FailedError(row.promise, _said(error))
        mark = trial.app.origins.key(failure.path) if failure.path else None
        logs = failure.logs or tuple(trial.tail(since))
        came = (failure.expected, failure.came, mark, logs, failure.look)
        return Result(row.name, row.promise, "failed", took, "", *came)
    return Result(row.name, row.promise, "passed", time.monotonic() - begun, evidence)


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, EngineError) else f"{type(error).__name__}: {error}"


def _settle(trial: Trial) -> None:
    """Every check finds a healthy container: the last one's, or a new one where that was left in another state."""
    try:
        if not trial.mounts and trial.fine():
            trial.healthy(15)
            return
    except (EngineError, FailedError):
        pass
    trial.reset()
    trial.healthy()
