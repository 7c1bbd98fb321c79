"""Paths of an image -> paths of this machine, as far as its files are here; a library -> where its loader finds it."""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from compiler.inspecting import facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from compiler.inspecting.facts import Facts

ORIGIN = "$ORIGIN"

STEPS = 4000
"""Parts of a path that are followed, links included; Linux follows 40 links."""


class Tree(NamedTuple):
    """What of an image is on this machine: a root file system, and over it what artifacts install."""

    root: str = ""
    installed: tuple[tuple[str, str], ...] = ()
    """Paths in the image and on this machine; the latter empty for what is made elsewhere."""
    beside: str = ""
    """The directory of this machine in which files lie that may come along with a file."""

    def host(self, path: str) -> str | None:
        """Where a path of the image is on this machine, links followed inside; none where it leads nowhere."""
        done, left = self._start(path)
        for _ in range(STEPS):
            if not left:
                return self._here(done) or None
            part = left.pop()
            if part == "..":
                done = done.rpartition("/")[0]
                continue
            inside = f"{done}/{part}"
            here = self._here(inside)
            try:
                status = os.lstat(here) if here else None
            except (OSError, ValueError):
                status = None
            if status and here and stat.S_ISLNK(status.st_mode):
                target = os.readlink(here)
                done = "" if target.startswith("/") else done
                left += _parts(target)
            elif status or any(install.startswith(f"{inside}/") for install, _ in self.installed):
                done = inside
            else:
                return None
        return None

    def unseen(self, path: str) -> bool:
        """Whether a path of the image belongs to something that is made elsewhere."""
        return any(not host and _within(path, install) for install, host in self.installed)

    def brings(self, path: str) -> bool:
        """Whether a file at a path of the image is installed, or may be where that is made elsewhere."""
        return self.unseen(path) or os.path.isfile(self._replace(root="").host(path) or "")

    def along(self, name: str) -> bool:
        """Whether a program of that name comes along in the directory of the file that asks for it."""
        path = f"{self.beside}/bin/{name}"
        return self.beside not in ("", "/") and os.path.isfile(path) and os.access(path, os.X_OK)

    def carries(self, name: str) -> bool:
        """Whether a library of that name comes along anywhere in the directory of the file that needs it."""
        return self.beside not in ("", "/") and name in _names(self.beside)

    def find(self, folder: str, name: str, of: str) -> str | None:
        """Where a file of a directory is that the file ``of`` names; "" where it may be there unseen."""
        if folder.startswith(ORIGIN):
            place = self._place(of)
            folder = os.path.normpath(os.path.dirname(place or of) + folder.removeprefix(ORIGIN))
            if not place:
                return f"{folder}/{name}" if self.beside and _within(folder, self.beside) else None
        path = os.path.normpath(f"/{folder.lstrip('/')}/{name}")
        return "" if self.unseen(path) else self.host(path)

    def _start(self, path: str) -> tuple[str, list[str]]:
        """What of a path is an artifact's, whose own place is no link, and the parts after it, the last one first."""
        whole = os.path.normpath(f"/{path.lstrip('/')}")
        install = max((install for install, _ in self.installed if _within(whole, install)), key=len, default="")
        return install, _parts(whole.removeprefix(install) if install else path)

    def _here(self, path: str) -> str:
        """A path without links as it is called here; empty if it is not here."""
        owners = [(install, host) for install, host in self.installed if _within(path, install)]
        if owners:
            install, host = max(owners, key=lambda pair: len(pair[0]))
            return host + path.removeprefix(install) if host else ""
        return (self.root.rstrip("/") + path or "/") if self.root else ""

    def _place(self, host: str) -> str:
        """Where in the image a file of this machine is; empty if nothing puts it there."""
        known = [(there, install) for install, there in self.installed if there]
        known += [(self.root, "")] if self.root else []
        return next(
            (install + host.removeprefix(there.rstrip("/")) for there, install in known if _within(host, there)), ""
        )


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part and part != "."][::-1]


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def library(tree: Tree, name: str, chain: tuple[Facts, ...], usual: Iterable[str]) -> Facts | str | None:
    """The first library of that name that a loader would take for the first file of a chain, which the next one loads.

    "" where it may be there unseen; none where it is nowhere. ``usual`` are the loader's own directories.
    """
    # What is a path already is not looked for.
    folders = (("/", ""),) if name.startswith("/") else (*searched(chain), *((folder, "") for folder in usual))
    for folder, of in folders:
        path = tree.find(folder, name, of)
        if path == "":
            return ""
        found = fitting(path, chain[0]) if path else None
        if found:
            return found
    # What loads a library may have loaded others that come along with it.
    return "" if chain[-1].kind == "library" and tree.carries(name) else None


def searched(chain: tuple[Facts, ...]) -> Iterator[tuple[str, str]]:
    """The directories in which files say that libraries are, each with the file that says so.

    glibc asks those that load a file for their RPATH unless it has a RUNPATH, which is its own:
    https://man7.org/linux/man-pages/man8/ld.so.8.html. musl asks them all, whatever it is called:
    https://git.musl-libc.org/cgit/musl/tree/ldso/dynlink.c (load_library).
    """
    first = chain[0]
    for one in chain:
        if one is first or first.libc == "musl" or not (first.runpath or one.runpath):
            # Others are relative to wherever it is started.
            yield from ((folder, one.path) for folder in one.search if folder.startswith(("/", ORIGIN)))


def fitting(host: str, wanting: Facts) -> Facts | None:
    """The facts of a library of this machine, if a loader would take it for a file."""
    if not os.path.isfile(host):
        return None
    found = _read(host, os.path.getmtime(host))
    same = found.machine == wanting.machine and (not wanting.libc or found.libc in ("", "static", wanting.libc))
    return found if same and not found.damage and not found.truncated else None


@lru_cache(maxsize=8)
def _names(folder: str) -> frozenset[str]:
    return frozenset(name for _, _, names in os.walk(folder) for name in names)


@lru_cache(maxsize=512)
def _read(host: str, _: float) -> Facts:
    """The facts of a library, read once as long as it does not change."""
    return facts.read(host)
