"""Supervisor configurations as supervisord itself reads them."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from tests.readers import tools

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# 4.2.5 is in Alpine 3.19 and Debian 12.
VERSIONS = ("4.2.5", "4.3.0")


def read(
    path: str,
    *,
    version: str = "4.3.0",
    environ: Mapping[str, str] | None = None,
    users: Iterable[str] | None = None,
    directories: Iterable[str] | None = None,
) -> dict[str, Any]:
    """What supervisord takes from the file; RejectedError with its message if it refuses to start with it.

    - `server`: `nodaemon`, `user`, `logfile`, `pidfile`, `loglevel` and the like, and `sockets`
    - `programs`, by name: every setting, defaults filled in, with `group`, `argv` and, of a listener, `events`
    - `ignored`: settings that stand in the file as `section.option` and that supervisord never looks at
    - `warnings`: what it prints at start

    `environ` is what it is started with, for `%(ENV_x)s`. Users and the directories of log files are those of the
    container: each is taken to exist unless `users` or `directories` lists them all.
    """
    request = {
        "path": os.path.abspath(path),
        "users": None if users is None else sorted(users),
        "directories": None if directories is None else sorted(directories),
    }
    packages = [tools.cached("supervisor42")] if version == "4.2.5" else []
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "supervisord_options.py")
    # Started as a file, this folder would come first on the path, and its modules bear the names of packages.
    starter = "import runpy, sys; sys.path[:0] = sys.argv[2:]; runpy.run_path(sys.argv[1], run_name='__main__')"
    done = tools.call(
        [sys.executable, "-W", "ignore", "-c", starter, script, *packages], env=environ, text=json.dumps(request)
    )
    reading: dict[str, Any] = json.loads(tools.output(done))
    if reading["version"] != version:
        tools.unavailable(f"supervisor {version}")
    return reading
