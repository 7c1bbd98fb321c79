"""Shell scripts as dash, busybox and shellcheck read them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from tests.readers import tools

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence

SHELLS = ("dash", "busybox")


def check(path: str) -> None:
    """Raises RejectedError unless every shell can parse the script."""
    for shell in SHELLS:
        tools.output(tools.call([*interpreter(shell), "-n", os.path.abspath(path)]))


def run(
    shell: str, script: str, *arguments: str, env: Mapping[str, str] | None = None, cwd: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs the text of a script under one of SHELLS, whatever its exit status."""
    return tools.call([*interpreter(shell), "-c", script, "script", *arguments], env=env, cwd=cwd)


def shellcheck(*paths: str) -> list[tools.Finding]:
    """The findings of shellcheck with its default settings; none for no files."""
    if not paths:
        return []
    scripts = [os.path.abspath(path) for path in paths]
    done = tools.call([tools.program("shellcheck"), "--norc", "--format=json", *scripts])
    if done.stderr:
        raise tools.RejectedError(done.stderr)
    return [
        tools.Finding(f"SC{found['code']}", found["file"], found["line"], found["message"])
        for found in json.loads(done.stdout)
    ]


def interpreter(name: str) -> Sequence[str]:
    """The words that start one of the shells."""
    path = tools.program(name)
    return [path, "sh"] if name == "busybox" else [path]
