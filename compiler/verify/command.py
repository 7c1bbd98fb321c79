"""The command ``appos-compile verify``: options -> exit status."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from compiler import commands, pipeline
from compiler.errors import SpecError
from compiler.guard import INTERRUPTED, interruptible
from compiler.verify import engine, formats
from compiler.verify.display import Lines
from compiler.verify.running import Run, rows, verify
from compiler.verify.trial import FLAVOURS, remove

if TYPE_CHECKING:
    from compiler.verify.result import Outcome
    from compiler.verify.trial import Trial


class Options(NamedTuple):
    """The options of a verification."""

    file: str
    color: str
    flavours: tuple[str, ...]
    only: tuple[str, ...] = ()
    faults: bool = False
    keep: bool = False
    format: str = "human"
    engine: str | None = None


def promises() -> dict[str, str]:
    """The name of each check with what it promises."""
    return {row.name: row.promise for row in rows(faults=True)}


def run(options: Options) -> int:
    """Verify what the spec compiles to; return 0, 1 if a promise was not kept, 2 for the spec. HostError: no engine."""
    try:
        result = pipeline.compile_spec(options.file)
    except SpecError as error:
        return commands.rejected(error, options.color)
    directory = os.path.dirname(options.file) or "."
    if commands.stale(result, options.file):
        return 1
    found = engine.find(options.engine)
    human = options.format == "human"
    live = human and sys.stdout.isatty() and os.environ.get("TERM", "") != "dumb"
    display = Lines(color=commands.colored(options.color, sys.stdout), live=live, quiet=not human)
    wanted = [flavour for flavour in FLAVOURS if flavour.name in options.flavours]
    what = Run(result.app, directory, found, options.only, options.faults or _wants_fault(options.only), options.keep)
    outcomes = []
    try:
        with interruptible():
            for flavour in wanted:
                outcome, trial = verify(what, flavour, display)
                outcomes.append(outcome)
                if human:
                    _closing(outcome, trial, keep=options.keep)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: everything that was made is removed\n" if not options.keep else "interrupted\n")
        return INTERRUPTED
    if not human:
        sys.stdout.write(formats.FORMATS[options.format](result.app, found, outcomes))
    return int(any(outcome.failed for outcome in outcomes))


def clean(project: str, wanted: str | None) -> int:
    """Remove what a verification left behind, kept or killed; return 0, or 1 if there is nothing of it."""
    gone = remove(engine.find(wanted), project)
    sys.stdout.write(f"removed {len(gone)} things of {project}\n" if gone else f"nothing is left of {project}\n")
    return 0 if gone else 1


def _wants_fault(only: tuple[str, ...]) -> bool:
    return not set(only) <= {row.name for row in rows(faults=False)}


def _closing(outcome: Outcome, trial: Trial, *, keep: bool) -> None:
    counted = [result.status for result in outcome.results]
    lines = [
        f"  {counted.count('passed')} passed, {counted.count('failed')} failed, {counted.count('not run')} not run"
    ]
    if keep:
        client = trial.engine.client
        lines += [
            f"  kept; to look inside:  {client} exec -it {trial.container} sh   and   {client} logs {trial.container}",
            f"  to remove it again:    appos-compile verify --clean {trial.project}",
        ]
    sys.stdout.write("\n".join(lines) + "\n")
