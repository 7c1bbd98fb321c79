"""Alpine's package manager on this machine: makes packages, a signed repository of them, and root file systems."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from tests.lab import accounts
from tests.lab.cache import run, step

MUSL = "so:libc.musl-x86_64.so.1"
"""What every program for Alpine needs."""

KEY = "appos-compile-lab.rsa"


class Script(NamedTuple):
    """A script that a package brings, and when it runs."""

    when: str
    text: str


class Package(NamedTuple):
    """What makes files a package: facts as ``apk mkpkg`` names them, scripts, and paths that trigger one of them."""

    facts: tuple[tuple[str, str], ...]
    scripts: tuple[Script, ...] = ()
    triggers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name and version, as its file is called."""
        facts = dict(self.facts)
        return f"{facts['name']}-{facts['version']}"


class Content(NamedTuple):
    """A package and the directory that holds its files, if it has any."""

    package: Package
    files: str


def built(name: str, version: str, files: str, *scripts: Script, **facts: str) -> Content:
    """The package that Alpine has under this name, built from other sources; it says so itself."""
    described = {
        "name": name,
        "version": f"{version}-r0",
        "arch": "x86_64",
        "origin": name,
        **{key.replace("_", "-"): value for key, value in facts.items()},
    }
    described["description"] = f"{facts.get('description', name)} (built for tests by the lab of appos-compile)"
    return Content(Package(tuple(described.items()), scripts), files)


def apk(machine_root: str, *arguments: str, root: str | None = None) -> None:
    """Run Alpine's package manager on this machine, with its own C library."""
    run(
        f"{machine_root}/lib/ld-musl-x86_64.so.1",
        *("--library-path", f"{machine_root}/lib:{machine_root}/usr/lib", f"{machine_root}/sbin/apk"),
        *("--root", root or machine_root, *arguments),
    )


@step
def signing_key(out: str) -> None:
    """Give a key pair; its public half belongs into every image that uses the repository."""
    run("openssl", "genrsa", "-out", f"{out}/{KEY}", "2048")
    run("openssl", "rsa", "-in", f"{out}/{KEY}", "-pubout", "-out", f"{out}/{KEY}.pub")


@step
def repository(out: str, machine: str, key: str, contents: tuple[Content, ...]) -> None:
    """Give a directory as an apk repository has it."""
    folder = os.path.join(out, "x86_64")
    os.mkdir(folder)
    os.symlink("x86_64", os.path.join(out, "noarch"))
    # It never leaves this machine: compressing it would take longer than everything else.
    unpacked = ("--compression", "none")
    signed = ("--sign-key", f"{key}/{KEY}")
    with tempfile.TemporaryDirectory() as root:
        accounts.declare(root, machine)

        def make(content: Content) -> None:
            package = content.package
            facts = [word for name, value in package.facts for word in ("--info", f"{name}:{value}")]
            scripts = []
            for script in package.scripts:
                path = os.path.join(root, f"{package.name}.{script.when}")
                with open(path, "w", encoding="utf-8") as file:
                    file.write(script.text)
                scripts += ["--script", f"{script.when}:{path}"]
            triggers = [word for path in package.triggers for word in ("--trigger", path)]
            output = ("--output", os.path.join(folder, f"{package.name}.apk"))
            files = ("--files", content.files) if content.files else ()
            apk(machine, "mkpkg", *unpacked, *signed, *facts, *files, *scripts, *triggers, *output, root=root)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(make, contents))
    made = sorted(entry.path for entry in os.scandir(folder))
    apk(machine, "--keys-dir", key, "mkndx", *signed, "--output", f"{folder}/APKINDEX.tar.gz", *made)
