"""Supervisor and what it imports, from their wheels, laid out as Alpine's packages lay them out."""

from __future__ import annotations

import os
import shutil

from tests.lab import wheels
from tests.lab.apk import Content, built
from tests.lab.cache import program, step
from tests.lab.packages.python import byte_code, interpreter

LIBRARY = "usr/lib/python3.11/site-packages"

PROGRAM = """#!/usr/bin/python3
import sys
from {module} import main
if __name__ == "__main__":
    sys.exit(main())
"""

PROGRAMS = {
    "supervisord": "supervisor.supervisord",
    "supervisorctl": "supervisor.supervisorctl",
    "pidproxy": "supervisor.pidproxy",
    "echo_supervisord_conf": "supervisor.confecho",
}


@step
def supervisor(out: str, wheel: str, setuptools: str, build_python: str) -> None:
    """Give the files of ``supervisor``, ``py3-setuptools`` and of the byte-code of each."""
    for package, content, parts in (
        ("supervisor", wheel, ("supervisor",)),
        ("py3-setuptools", setuptools, ("setuptools", "pkg_resources", "_distutils_hack")),
    ):
        library = f"{out}/{package}/{LIBRARY}"
        for name in os.listdir(content):
            if name in parts or name.endswith(".dist-info"):
                shutil.copytree(
                    f"{content}/{name}", f"{library}/{name}", ignore=shutil.ignore_patterns("tests", "*.exe")
                )
    binaries = f"{out}/supervisor/usr/bin"
    os.mkdir(binaries)
    for name, module in PROGRAMS.items():
        program(f"{binaries}/{name}", PROGRAM.format(module=module))
    os.makedirs(f"{out}/supervisor/etc/supervisor.d")
    shutil.copy(f"{wheel}/supervisor/skel/sample.conf", f"{out}/supervisor/etc/supervisord.conf")
    for package in ("supervisor", "py3-setuptools"):
        byte_code(f"{out}/{package}", LIBRARY, f"{out}/{package}-pyc", build_python)


def contents() -> list[Content]:
    """Give the packages; this version of Supervisor imports pkg_resources, which is why setuptools comes along."""
    wheel, setuptools = wheels.pinned("supervisor"), wheels.pinned("setuptools")
    files = supervisor(wheels.wheel(wheel), wheels.wheel(setuptools), interpreter())
    found = []
    for name, requirement, needs in (
        ("supervisor", wheel, "python3~3.11 py3-setuptools"),
        ("py3-setuptools", setuptools, "python3~3.11"),
    ):
        version = requirement.split("==")[1]
        found.append(built(name, version, f"{files}/{name}", arch="noarch", depends=needs))
        install_if = f"{name}={version}-r0 pyc"
        found.append(
            built(f"{name}-pyc", version, f"{files}/{name}-pyc", arch="noarch", depends=name, install_if=install_if)
        )
    return found
