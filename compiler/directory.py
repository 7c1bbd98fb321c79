"""The output directory on disk: opened and locked, read and written through one descriptor, failures in plain words."""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from compiler import manifest
from compiler.drift import Found
from compiler.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK_WAIT = 10.0  # seconds; a run holds the lock for milliseconds

UNTOUCHED = "Nothing was changed."
_HINTS = {
    errno.ENOSPC: f"{UNTOUCHED} Free some space and run again.",
    errno.EDQUOT: f"{UNTOUCHED} Free some of your quota and run again.",
    errno.ENOTDIR: f"{UNTOUCHED} A file stands where a directory is needed: move it away, or write elsewhere with -o.",
}
_KINDS = {stat.S_IFLNK: "symbolic link", stat.S_IFDIR: "directory"}
_OWN = f"{UNTOUCHED} Check who owns it and its mode, or write elsewhere with -o."


@contextmanager
def locked(directory: str, *, exclusive: bool) -> Iterator[int]:
    """Open the directory and lock it itself, so that no lock file remains; paths below start at the descriptor."""
    import fcntl

    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        deadline = time.monotonic() + LOCK_WAIT
        while True:
            try:
                fcntl.flock(fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    message = f"another run is at work in {directory}"
                    raise HostError(message, f"{UNTOUCHED} Wait for it to end, or end it.") from None
                time.sleep(0.02)
            except OSError as error:
                if error.errno not in {errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP}:
                    raise
                break  # a network file system without locks: single files still never tear
        yield fd
    finally:
        os.close(fd)


@contextmanager
def created(directory: str) -> Iterator[None]:
    """Create the directory and those above it if missing, with the same mode under any umask; undo that on an error."""
    missing, path, made = [], directory.rstrip("/"), []
    while path and not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    try:
        for each in reversed(missing):
            with suppress(FileExistsError):  # by another run at this moment
                os.mkdir(each)
                made.append(each)
                os.chmod(each, 0o755)  # noqa: S103 - what git and mkdir give under the usual umask
        yield
    except BaseException:
        for each in reversed(made):
            with suppress(OSError):
                os.rmdir(each)
        raise


def read(fd: int, directory: str, name: str) -> Found | None:
    """Read one file of the directory, None if there is none; ``HostError`` if something else has its name."""
    try:
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "special file")
        raise HostError(f"{os.path.join(directory, name)} is a {kind}, not a file", f"{UNTOUCHED} Move it away.")
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=fd)
    with open(handle, "rb") as stream:
        return Found(stream.read(), stat.S_IMODE(status.st_mode))


def create(fd: int, name: str, data: bytes, mode: int) -> None:
    """Create a file that must not exist, with exactly this mode."""
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=fd)
    with open(handle, "wb") as stream:
        stream.write(data)
        os.fchmod(handle, mode)


def refuse_outside(directory: str, within: str | None) -> None:
    """Raise ``HostError`` if ``directory`` lies outside ``within`` once symbolic links are followed."""
    if within is not None and manifest.leads_out(directory, within):
        message = f"{directory} leads out of {within}, to {os.path.realpath(directory)}"
        raise HostError(message, f"{UNTOUCHED} To write there all the same, name it with -o.")


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Once it has begun to write, a run that is asked to stop finishes first; it takes milliseconds."""
    import signal

    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def host_errors(directory: str) -> Iterator[None]:
    """Turn what the system refuses into a ``HostError`` that names the place in the user's words."""
    try:
        yield
    except OSError as error:
        name = error.filename
        ours = isinstance(name, str) and manifest.bare(name) and name != directory
        where = os.path.join(directory, name) if ours else directory
        raise HostError(f"{where}: {error.strerror}", _HINTS.get(error.errno or 0, _OWN)) from error
