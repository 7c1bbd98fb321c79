"""What containers need of this machine to reach package registries; read when images are made, kept nowhere else."""

from __future__ import annotations

import functools
import glob
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

from tests.lab.cache import LabError, run

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
DISTRIBUTED = "/usr/share/ca-certificates/**/*.crt"

SETTINGS = {
    "GOPROXY": ("go", "env", "GOPROXY"),
    "GOSUMDB": ("go", "env", "GOSUMDB"),
    "npm_config_registry": ("npm", "config", "get", "registry"),
    "PIP_INDEX_URL": ("python3", "-m", "pip", "config", "get", "global.index-url"),
}
"""Variables that package managers read, and how this machine says what it uses."""


@functools.cache
def authorities() -> str:
    """The certificate authorities that this machine trusts beyond those of its distribution, in PEM."""
    known: set[str] = set()
    for path in glob.glob(DISTRIBUTED, recursive=True):
        known.update(_certificates(path))
    found = _certificates(BUNDLE) if os.path.isfile(BUNDLE) else []
    return "".join(f"{certificate}\n" for certificate in found if certificate not in known) if known else ""


def _certificates(path: str) -> list[str]:
    with open(path, encoding="ascii", errors="replace") as file:
        return re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", file.read(), re.DOTALL)


@functools.cache
def settings() -> dict[str, str]:
    """The environment that makes package managers in a container use the registries that this machine uses."""
    # Each takes a while to start.
    with ThreadPoolExecutor(len(SETTINGS)) as pool:
        values = dict(zip(SETTINGS, pool.map(_setting, SETTINGS), strict=True))
    return {name: value for name, value in values.items() if value}


def _setting(name: str) -> str:
    command = SETTINGS[name]
    if name in os.environ or not shutil.which(command[0]):
        return os.environ.get(name, "")
    try:
        return run(*command).strip()
    except LabError:  # pip's way to say that nothing is set
        return ""
