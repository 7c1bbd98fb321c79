"""What an image is compared with: the numbers that a git revision keeps."""

from __future__ import annotations

import os
import subprocess

from compiler.errors import HostError
from compiler.size import numbers

SECONDS = 30


def revision(directory: str, reference: str) -> str:
    """The commit that git knows by a name; empty if there is none, or no git."""
    if reference.startswith("-"):
        return ""
    done = _git(directory, "rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}")
    return done.stdout.strip() if done and done.returncode == 0 else ""


def unknown(directory: str) -> tuple[str, str]:
    """Why git knows no revision of some name, and what to do."""
    done = _git(directory, "rev-parse", "--git-dir")
    if done is None:
        return "git is not installed, or does not answer", "install git"
    if done.returncode != 0:
        return done.stderr.strip().removeprefix("fatal: ").partition("\n")[0].partition(" (")[0], ""
    return "git knows none of that name", "git branch --all lists what is here; git fetch brings what is not"


def kept(directory: str, reference: str, path: str, flavour: str) -> numbers.Numbers:
    """The numbers of a flavour in a revision's file at ``path``, which is relative to ``directory``."""
    done = _git(directory, "show", f"{revision(directory, reference)}:./{path}")
    if done is None or done.returncode != 0:
        raise HostError(f"{reference} has no {path}", "appos-compile size --keep writes it: commit it with the change")
    try:
        found = numbers.read(done.stdout)
    except ValueError as error:
        raise HostError(f"{path} of {reference} cannot be read: {error}") from None
    if flavour not in found:
        raise HostError(f"{path} of {reference} has no numbers of the {flavour} image", "it was not measured there")
    return found[flavour]


def _git(directory: str, *words: str) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(  # noqa: S603 - git, told what to do word by word
            ("git", "-C", directory or ".", *words),  # noqa: S607 - git is where the user has it
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
            env=dict(os.environ, GIT_OPTIONAL_LOCKS="0"),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
