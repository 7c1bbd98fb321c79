"""Options -> a compilation at every change of what the outputs come from, or of the outputs, until Ctrl-C."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from compiler import commands
from compiler.commands import FINE, Options, Outcome
from compiler.guard import complain
from compiler.quick import lock_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn

    Stamp = tuple[int, int, int, int]
    State = dict[str, Stamp | None]

INTERVAL = 0.01
"""Seconds between two looks at the files: a look costs microseconds, and works on every file system."""

OUTPUTS_EVERY = 10
"""Looks at the sources for one at the outputs, of which there are more and which people seldom touch."""

SETTLE = 0.25
"""Seconds for which nothing may change before problems are told: an editor may write a file in several steps."""


def watch(options: Options) -> int:
    """Compile now and after every change; return the exit status once Ctrl-C is pressed."""
    try:
        _loop(options)
    except KeyboardInterrupt:
        return FINE


def _loop(options: Options) -> NoReturn:
    inputs: tuple[str, ...] = ()
    directory = ""
    seen: State | None = None
    made: State = {}
    said = waiting = None
    since = 0.0
    turn = 0
    while True:
        sources = _stamps(
            [
                options.file,
                lock_of(options.file),
                *(os.path.join(os.path.dirname(options.file), name) for name in inputs),
            ]
        )
        edited = turn % OUTPUTS_EVERY == 0 and _stamps(_files(directory)) != made
        if sources != seen or edited:
            outcome = commands.attempt(options)
            # A spec with mistakes may not get as far as naming its files: those it named before are still worth a look.
            inputs = outcome.inputs or inputs
            directory = outcome.directory or directory
            # A source that changed while it was compiled differs from the stamp taken before, and is compiled again.
            seen, made = sources, _stamps(_files(directory))
            waiting, since = outcome, time.monotonic()
        if waiting and (waiting.status == FINE or time.monotonic() - since >= SETTLE):
            _tell(waiting, said)
            if said is None and not options.quiet:
                complain(f"watching {options.file}; Ctrl-C ends it\n")
            said, waiting = waiting, None
        turn += 1
        time.sleep(INTERVAL)


def _tell(outcome: Outcome, said: Outcome | None) -> None:
    """Say what is news: files that were written, problems that came, changed or went."""
    news = said is None or outcome.wrote
    if said is not None and said.status != FINE and outcome.status == FINE:
        sys.stdout.write("no problems any more\n")
    if news or outcome.status != FINE:
        same = said is not None and (outcome.out, outcome.err) == (said.out, said.err)
        if news or not same:
            sys.stdout.write(outcome.out)
    sys.stdout.flush()
    if said is None or outcome.err != said.err:
        complain(outcome.err)


def _files(directory: str) -> Iterable[str]:
    if not directory:
        return ()
    try:
        return [directory, *(os.path.join(directory, name) for name in os.listdir(directory))]
    except OSError:
        return (directory,)


def _stamps(paths: Iterable[str]) -> State:
    return {path: _stamp(path) for path in paths}


def _stamp(path: str) -> Stamp | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
