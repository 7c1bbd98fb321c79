"""Turns deno into one executable that runs standin.js with the arguments it is given."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile

from tests.lab.convex.elf import with_arguments

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.join(HERE, "..", "..", "..", ".cache", "lab")

# It asks for an older glibc than any image has. The hash makes the result the same everywhere.
VERSION = "2.6.4"
PLATFORM = "manylinux_2_17_x86_64"
WHEEL = f"deno-{VERSION}-py3-none-{PLATFORM}.whl"
SHA256 = "09f6de458c6629cf5dd8962bfb46824386df1e5aa865d8ab5bf5a936411a9f01"
EXECUTABLE = f"deno-{VERSION}.data/scripts/deno"

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
    with zipfile.ZipFile(_wheel()) as wheel:
        deno = wheel.read(EXECUTABLE)
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


def _wheel() -> str:
    path = os.path.join(CACHE, WHEEL)
    if os.path.exists(path) and _sha256(path) == SHA256:
        return path
    os.makedirs(CACHE, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", f"--platform={PLATFORM}", f"--dest={folder}", f"deno=={VERSION}"]
        subprocess.run(command, check=True)
        fetched = os.path.join(folder, WHEEL)
        if _sha256(fetched) != SHA256:
            raise RuntimeError(f"{WHEEL} is not the file that was pinned")
        os.replace(fetched, path)
    return path


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
