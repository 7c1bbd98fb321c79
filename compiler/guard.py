"""Arguments -> exit status, whatever happens: a reader that goes away, Ctrl-C, a full disk, a bug of ours."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from compiler import quick
from compiler.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMPLETION = "_APPOS_COMPILE_COMPLETE"
"""The variable by which a shell's completion script asks what may come next."""

BUG = 70
INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Run the command line, or just the compiler where the arguments are plain: reading them takes as long."""
    _prepare_streams()
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        _discard_stdout()
        return 0
    except KeyboardInterrupt:
        _discard_stdout()
        return INTERRUPTED
    except OSError as error:
        _discard_stdout()
        what = "the output cannot be written" if error.filename is None else error.filename
        complain(f"error: {what}: {error.strerror}\n")
        return HostError.exit_code
    except Exception:  # noqa: BLE001 - the last line of defence: a traceback says nothing to the user
        return _bug(arguments)
    return status


def complain(text: str) -> None:
    """Write to stderr; where nobody can hear it, the exit status has to do."""
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


@contextmanager
def interruptible() -> Iterator[None]:
    """A termination ends what is at work just as Ctrl-C does; a second signal does not stop the cleaning."""
    import signal

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(arguments: Sequence[str]) -> int:
    plain = None if COMPLETION in os.environ else quick.parse_args(arguments)
    if plain is None:
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


def _prepare_streams() -> None:
    # A stream that was closed before we began would be taken by the next file that is opened.
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_WRONLY)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        # Texts of a spec may hold any character, whatever the locale can show.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]


def _discard_stdout() -> None:
    """Let what is still buffered go nowhere: at exit Python would try, and complain, again."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _bug(arguments: Sequence[str]) -> int:
    import platform
    import tempfile
    import traceback

    from compiler import __version__

    details = (
        f"appos-compile {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"arguments: {' '.join(map(ascii, arguments))}\n\n{traceback.format_exc()}"
    )
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="appos-compile-bug-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(details)
        where = f"The details are in {file.name}"
    except OSError:
        where = f"The details:\n{details}"
    with suppress(Exception):
        from compiler import commands

        # A script that reads our report finds an empty one rather than nothing.
        sys.stdout.write(commands.nothing_found(arguments))
        sys.stdout.flush()
    complain(
        "error: this is a bug of appos-compile, not of your spec; nothing more was done.\n"
        f"Please report it, with the spec if you may. {where}\n"
    )
    return BUG
