"""What an image has for a binary: a root file system, exactly, or a base by its name, as far as its family is known."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from compiler.errors import HostError
from compiler.inspecting import facts, trees
from compiler.inspecting.trees import Tree
from compiler.libraries import known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compiler.inspecting.facts import Facts

TRIPLETS = {
    "386": "i386-linux-gnu",
    "amd64": "x86_64-linux-gnu",
    "arm": "arm-linux-gnueabihf",
    "arm64": "aarch64-linux-gnu",
    "ppc64le": "powerpc64le-linux-gnu",
    "riscv64": "riscv64-linux-gnu",
    "s390x": "s390x-linux-gnu",
}
"""How Debian calls the directories of an architecture's libraries."""

PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

STORES = ("/nix/", "/gnu/")
"""Where other systems keep everything, in directories whose names are checksums."""

MUSL_FOLDERS = ("/lib", "/usr/local/lib", "/usr/lib")
"""Where musl looks unless /etc says otherwise."""

MUSL_ITSELF = re.compile(r"lib(c|m|pthread|rt|dl|crypt|util|xnet)\.so?$|libc\.musl-\w+\.so\.1$|libc\.so$|ld-musl-.*")
"""The libraries that are part of musl's loader, whatever else is there."""


class Image(Protocol):
    """What can be asked of an image."""

    @property
    def name(self) -> str: ...  # noqa: D102 - what messages call it
    @property
    def libc(self) -> str: ...  # noqa: D102 - musl or glibc
    @property
    def machine(self) -> str: ...  # noqa: D102 - as platforms call it

    def program(self, name: str) -> bool | None:
        """Whether there is a program at a path, or of that name on the PATH; none if that is not known."""

    def splits(self, env: str) -> bool | None:
        """Whether the env at a path takes its argument apart (-S); none if that is not known."""

    def library(self, name: str, chain: tuple[Facts, ...]) -> Facts | str | None:
        """The library that a loader takes for a file: its facts, or "" where it is there but not to be seen.

        The file is the first of the chain; what loads it follows, up to the program.
        """

    def offers(self, library: str, version: str) -> bool | None:
        """Whether a library that is not to be seen has a symbol version; none if that is not known."""

    def package(self, name: str) -> str:
        """The package of this base that has a library or an interpreter; empty if it is not known."""


class Base(NamedTuple):
    """A base image by its name."""

    name: str
    family: str
    libc: str
    machine: str
    known: Mapping[str, Any]
    release: str = ""
    packages: tuple[str, ...] = ()
    closure: str = ""
    """The image from which the libraries of another C library come along with the file, if they do."""
    tree: Tree = Tree()
    """What is installed over it."""
    plain: bool = False
    """Whether it holds what its family and the packages bring, and nothing else."""

    def program(self, name: str) -> bool | None:
        """What is installed over it; otherwise as far as its family has it, or a package that is asked for."""
        paths = (name,) if "/" in name else tuple(f"{folder}/{name}" for folder in PATH)
        if any(map(self.tree.brings, paths)) or self.tree.along(name):
            return True
        folder, _, bare = name.rpartition("/")
        if bare.startswith(("ld-", "ld64")):
            return self._loader(folder, bare)
        if any(other in self.known["programs"] for path in paths for other in self._names(path)):
            return True
        if not self.plain:
            return None
        if folder.startswith("/usr/local/"):
            # No package puts anything there.
            return False
        package = self.package(bare) if not folder or folder in PATH else ""
        return self._brought(package) if package else None if self.packages else False

    def splits(self, env: str) -> bool | None:  # noqa: ARG002 - it is the one that the family has
        """All but that of busybox: https://busybox.net/downloads/BusyBox.html#env."""
        if self.family != "alpine" or any(_bare(one) in ("coreutils", "coreutils-env") for one in self.packages):
            return True
        return False if self.plain else None

    def _loader(self, folder: str, name: str) -> bool | None:
        """Whether a loader is there: its C library's, where that puts it."""
        if self.closure:
            return True
        if ("musl" in name) != (self.libc == "musl"):
            return False
        if folder in MUSL_FOLDERS or folder in glibc_folders(self.machine):
            return True
        return False if self.plain or folder.startswith(STORES) else None

    def _names(self, path: str) -> tuple[str, ...]:
        """The path, and the one in /usr that is the same: everywhere but in Alpine before 3.23.

        https://wiki.debian.org/UsrMerge, https://alpinelinux.org/posts/2025-10-01-usr-merge.html
        """
        if self.family == "alpine" and self.release and _numbers(self.release) < (3, 23):
            return (path,)
        merged = path.startswith(("/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/"))
        return (path, path.removeprefix("/usr") if path.startswith("/usr/") else f"/usr{path}") if merged else (path,)

    def _brought(self, package: str) -> bool | None:
        """Whether a package is there: asked for, or brought by another; none if nobody knows what that one brings."""
        asked = {_bare(one) for one in self.packages}
        brings = self.known["dependencies"]
        if package in asked or any(package in brings.get(one, ()) for one in asked):
            return True
        return None if any(self._strange(one) and one not in brings for one in asked) else False

    def library(self, name: str, chain: tuple[Facts, ...]) -> Facts | str | None:
        """What is installed over it; otherwise as far as every image of the family has it, or a package asked for."""
        if self.closure and chain[0].libc == "glibc" != self.libc:
            return ""
        if self.libc == "musl" and MUSL_ITSELF.match(name):
            return ""
        usual = MUSL_FOLDERS if (chain[0].libc or self.libc) == "musl" else glibc_folders(self.machine)
        found = trees.library(self.tree, name, chain, usual)
        if found is not None:
            return found
        if name in self.known["brings"] or re.match(r"ld-linux.*\.so\.\d", name):
            return ""
        package = self.package(name)
        # Of packages that are not in the table nobody knows what they bring, nor what else is in another image.
        unknown = not self.plain or (not package and any(self._strange(other) for other in self.packages))
        return "" if unknown or (package and self._installed(package)) else None

    def offers(self, library: str, version: str) -> bool | None:  # noqa: ARG002 - a name belongs to one library only
        """By the newest version of each name in the release that its library comes from."""
        if version == "GLIBC_PRIVATE":
            return None
        prefix, _, number = version.partition("_")
        facts, release = self.known, self.release
        if self.closure:
            facts = known("debian")
            release = release_of(self.closure, facts)
        for newest in facts["releases"].get(release, {}).get("newest", ()):
            name, _, limit = newest.partition("_")
            if name == prefix and re.fullmatch(r"[0-9.]+", number):
                return _numbers(number) <= _numbers(limit)
        return None

    def package(self, name: str) -> str:
        """By the table of the usual ones."""
        return package_of(name, self.known)

    def _installed(self, package: str) -> bool:
        return any(_bare(asked) == package for asked in self.packages)

    def _strange(self, package: str) -> bool:
        return _bare(package) not in self.known["packages"].values()


def _bare(package: str) -> str:
    """The name of a package that may be asked for with a version."""
    return re.split(r"[=~<>@]", package)[0]


def is_plain(base: str, names: Sequence[str]) -> bool:
    """Whether a base is the image of a family itself, such as alpine:3.22, and not one that is made from it."""
    repository = re.sub(r":[^:/]*$", "", base.partition("@")[0])
    return any(repository in (name, f"docker.io/{name}") or repository.endswith(f"library/{name}") for name in names)


def package_of(name: str, known: Mapping[str, Any]) -> str:
    """The package of a family that has a library or an interpreter; empty if it is not one of the usual ones."""
    table: Mapping[str, str] = known["packages"]
    return table.get(name, "") or table.get(re.sub(r"^(python|lua|php|node|ruby)[\d.]+$", r"\1", name), "")


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part)


def release_of(base: str, known: Mapping[str, Any]) -> str:
    """The release that the tag of a base names, such as bookworm for ``node:22-bookworm-slim``."""
    tag = base.partition("@")[0].rpartition("/")[2].partition(":")[2]
    for word in tag.split("-"):
        plain = word.removeprefix("alpine")
        for release in (plain, known.get("same", {}).get(plain, ""), ".".join(plain.split(".")[:2])):
            if release in known["releases"]:
                return str(release)
    return ""


def glibc_folders(machine: str) -> tuple[str, ...]:
    """Where glibc looks without being told, as Debian builds it."""
    triplet = TRIPLETS.get(machine, "")
    usual = (f"/lib/{triplet}", f"/usr/lib/{triplet}") if triplet else ()
    return (*usual, "/lib64", "/usr/lib64", "/lib", "/usr/lib")


class Root:
    """An image as a directory that holds its root file system."""

    def __init__(self, path: str, base: Base | None = None, tree: Tree | None = None) -> None:
        self.name = path
        self._tree = (tree or Tree())._replace(root=os.path.realpath(path))
        self._base = base
        if not os.path.isdir(path):
            raise HostError(f"{path} is not a directory", "unpack the image's root file system there")
        for shell in ("/bin/sh", "/bin/busybox", "/usr/bin/sh", "/usr/bin/env", "/sbin/apk", "/usr/bin/dpkg"):
            host = self._tree.host(shell)
            if host and os.path.isfile(host):
                found = facts.read(host)
                if found.kind == "executable" and not found.damage:
                    self.machine, self.libc = found.machine, found.libc
                    break
        else:
            raise HostError(f"{path} holds no root file system: there is no /bin/sh in it")
        if self.libc == "static":
            self.libc = "musl" if self.named("/lib", r"ld-musl-.*") else "glibc"
        self._closure = bool(base and base.closure) and self.libc == "musl"

    def named(self, folder: str, pattern: str) -> bool:
        """Whether a directory has a file of such a name."""
        host = self._tree.host(folder)
        return bool(host and os.path.isdir(host) and any(re.fullmatch(pattern, name) for name in os.listdir(host)))

    def program(self, name: str) -> bool | None:
        """Whether it is a file that somebody may execute, or installed as one."""
        paths = (name,) if "/" in name else tuple(f"{folder}/{name}" for folder in PATH)
        if any(map(self._tree.brings, paths)) or self._tree.along(name):
            return True
        if self._closure and re.search(r"/ld(-linux|64)", name):
            return True
        for path in paths:
            host = self._tree.host(path)
            if host and os.path.isfile(host) and os.stat(host).st_mode & 0o111:
                return True
        return False

    def splits(self, env: str) -> bool | None:
        """All but that of busybox, to which its path is a link."""
        return not os.path.basename(self._tree.host(env) or "").startswith("busybox")

    def library(self, name: str, chain: tuple[Facts, ...]) -> Facts | str | None:
        """The first one of that name, for the same machine and C library, where the loader looks."""
        libc = chain[0].libc or self.libc
        if self._closure and libc == "glibc":
            return ""
        if libc == "musl" and MUSL_ITSELF.match(name):
            loaders = [entry for entry in self._entries("/lib") if entry.startswith("ld-musl-")]
            host = self._tree.host(f"/lib/{loaders[0]}") if loaders else None
            return trees.fitting(host, chain[0]) if host else None
        return trees.library(self._tree, name, chain, self._musl() if libc == "musl" else self._glibc())

    def offers(self, library: str, version: str) -> bool | None:
        """Nothing of its own libraries, which are all to be seen; of those that come along, as for a base."""
        return self._base.offers(library, version) if self._base and self._closure else None

    def package(self, name: str) -> str:
        """By the table of the base that was named, otherwise of the family whose package manager there is."""
        if self._base:
            return self._base.package(name)
        for family, manager in (("alpine", "apk"), ("debian", "dpkg")):
            if self.program(manager):
                return package_of(name, known(family))
        return ""

    def _musl(self) -> tuple[str, ...]:
        for name in self._entries("/etc"):
            if re.fullmatch(r"ld-musl-.*\.path", name):
                return tuple(re.split(r"[:\n]", self._text(f"/etc/{name}")))
        return MUSL_FOLDERS

    def _glibc(self) -> tuple[str, ...]:
        texts = [self._text("/etc/ld.so.conf")]
        texts += [self._text(f"/etc/ld.so.conf.d/{name}") for name in self._entries("/etc/ld.so.conf.d")]
        listed = [line.strip() for text in texts for line in text.splitlines() if line.strip().startswith("/")]
        return (*listed, *glibc_folders(self.machine))

    def _entries(self, folder: str) -> list[str]:
        host = self._tree.host(folder)
        return sorted(os.listdir(host)) if host and os.path.isdir(host) else []

    def _text(self, path: str) -> str:
        host = self._tree.host(path)
        if not host or not os.path.isfile(host):
            return ""
        with open(host, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 16)
