"""The command ``appos-compile``: the quickest way that the arguments and the state of the files allow."""

from __future__ import annotations

import gc
import os
import sys

from compiler import quick

# Importing typing or contextlib would cost the fast path more than its own work.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

GARBAGE = 50_000
"""Objects between two looks for garbage: hardly anything that one run makes is garbage before its end."""


def main() -> int:
    """Run the command and return its exit status."""
    if "_APPOS_COMPILE_COMPLETE" not in os.environ:
        status = quick.run(sys.argv[1:])
        if status is not None:
            return status
    from compiler import guard

    return guard.main(sys.argv[1:])


def run() -> NoReturn:
    """Run the command and end the process with its exit status."""
    gc.set_threshold(GARBAGE)
    status = main()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            continue  # it is closed, and main has said what there was to say
    # Nothing is left to do; taking apart what was imported would take as long again as starting Python.
    os._exit(status)


if __name__ == "__main__":
    run()
