"""What containers need of this machine to reach package registries; read when images are made, kept nowhere else."""

from __future__ import annotations

import functools
import glob
import os
import re
import shutil

from tests.lab.cache import LabError, run

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
DISTRIBUTED = "/usr/share/ca-certificates/**/*.crt"

SETTINGS = {
    "GOPROXY": (("go", "env", "GOPROXY"), "https://proxy.golang.org,direct"),
    "GOSUMDB": (("go", "env", "GOSUMDB"), "sum.golang.org"),
    "npm_config_registry": (("npm", "config", "get", "registry"), "https://registry.npmjs.org/"),
    "PIP_INDEX_URL": (("python3", "-m", "pip", "config", "get", "global.index-url"), "https://pypi.org/simple"),
}
"""Variables, how this machine says what it uses, and what everybody uses unless told otherwise."""


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
    found = {}
    for name, (command, usual) in SETTINGS.items():
        value = os.environ.get(name, "")
        if not value and shutil.which(command[0]):
            try:
                value = run(*command).strip()
            except LabError:  # pip's way to say that nothing is set
                continue
        if value and value != usual:
            found[name] = value
    return found
