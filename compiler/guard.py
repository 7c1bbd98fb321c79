"""Arguments -> exit status, whatever happens: a reader that goes away, Ctrl-C, a full disk, a bug of ours."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from compiler import quick
from compiler.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Sequence

BUG = 70
INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Runs the command line, or just the compiler where the arguments are plain: reading them with click takes as long."""
    # A stream that was closed before we began would be taken by the next file that is opened.
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_WRONLY)
            setattr(sys, name, os.fdopen(descriptor if descriptor == number else os.dup(descriptor), "w", encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        # Texts of a spec may hold any character, whatever the locale can show.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough. Nothing more can be said, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        print(f"error: the output cannot be written: {error.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return HostError.exit_code
    except Exception:  # noqa: BLE001 - the last line of defence: a traceback says nothing to the user
        return _bug()
    return status


def _run(arguments: Sequence[str]) -> int:
    plain = quick.parse_args(arguments)
    if plain is None or any(name.endswith("_COMPLETE") for name in os.environ):
        from compiler import cli

        return cli.main(arguments)
    from compiler import commands

    options = commands.Options(
        file=plain.get("--file", quick.SPEC),
        output=plain.get("--output"),
        check="--check" in plain,
        quiet="--quiet" in plain,
    )
    return commands.run(options)


def _bug() -> int:
    import tempfile
    import traceback

    details = traceback.format_exc()
    try:
        with tempfile.NamedTemporaryFile("w", prefix="appos-compile-bug-", suffix=".txt", delete=False) as file:
            file.write(details)
        where = f"The details are in {file.name}"
    except OSError:
        where = f"The details:\n{details}"
    print(f"error: this is a bug of appos-compile, not of your spec. Please report it, with the spec if you may.\n{where}", file=sys.stderr)
    return BUG
