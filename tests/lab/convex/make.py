"""Turns deno into one executable that runs standin.js with the arguments it is given."""

from __future__ import annotations

import base64
import os
import tempfile

from tests.lab import wheels
from tests.lab.convex.elf import with_arguments

HERE = os.path.dirname(os.path.abspath(__file__))
# Nothing but the script is read: no file of the folder it is started in, no cache and no network.
ARGUMENTS = ["run", "--quiet", "--no-config", "--no-lock", "--no-remote", "--no-npm", "--no-code-cache", "-A"]
ENVIRONMENT = [
    "DENO_DIR=/dev/null/none",  # a folder that cannot be made, which deno does without
    "DENO_NO_PACKAGE_JSON=1",
    "DENO_NO_UPDATE_CHECK=1",  # has no flag
]


def make(outfile: str) -> None:
    """Write the stand-in to outfile; the same bytes each time."""
    with open(os.path.join(HERE, "standin.js"), "rb") as file:
        script = "data:application/javascript;base64," + base64.b64encode(file.read()).decode()
    requirement = wheels.pinned("deno")
    path = os.path.join(wheels.wheel(requirement), f"{requirement.replace('==', '-')}.data", "scripts", "deno")
    with open(path, "rb") as file:
        deno = file.read()
    # Renamed into place: an executable that is running cannot be written to, and half of one must never be found.
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(os.path.abspath(outfile)), delete=False) as file:
        try:
            file.write(with_arguments(deno, [*ARGUMENTS, script], ENVIRONMENT))
            file.close()
            os.chmod(file.name, 0o755)  # noqa: S103  # the user it runs as is not the one who made it
            os.replace(file.name, outfile)
        except BaseException:
            os.unlink(file.name)
            raise
