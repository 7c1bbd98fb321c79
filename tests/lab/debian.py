"""Debian as a source of programs and of source code: unpacked, never installed into the system."""

from __future__ import annotations

import functools
import glob
import os
import re
import shutil
import tempfile
from typing import TYPE_CHECKING

from tests.lab.cache import CACHE, LabError, lock, run, step

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES = "bookworm"
"""The release whose source archives are built, whatever this machine runs."""

CLIENTS = "trixie"
"""The first release with an engine that has buildx and compose 2."""


def release() -> str:
    """The code name of the Debian release that this machine runs, or of the one whose packages run on it."""
    with open("/etc/os-release", encoding="utf-8") as file:
        facts = dict(line.strip().split("=", 1) for line in file if "=" in line)
    if facts.get("ID") != "debian":
        raise LabError(
            "the lab is made from Debian's packages, which takes Debian; elsewhere install an engine and set LAB=off"
        )
    return facts["VERSION_CODENAME"]


@functools.cache
def mirrors() -> tuple[str, str]:
    """Where this machine gets Debian and its security updates from."""
    with tempfile.TemporaryDirectory() as empty:
        listed = run("apt-get", "update", "--print-uris", "-o", f"Dir::State::lists={empty}")
    found = re.findall(rf"^'(\S+)/dists/({release()}\S*?)/InRelease'", listed, re.MULTILINE)
    main = [uri for uri, suite in found if suite == release()]
    security = [uri for uri, suite in found if suite == f"{release()}-security"]
    default = "http://deb.debian.org/debian"
    return (main or [default])[0], (security or [f"{default}-security"])[0]


@functools.cache
def _apt() -> tuple[str, ...]:
    """The command that works on package lists of the lab's own, of this release and of the two named above."""
    with lock("apt"):
        state = os.path.join(CACHE, "apt")
        for folder in ("lists/partial", "cache/archives/partial", "none"):
            os.makedirs(os.path.join(state, folder), exist_ok=True)
        shutil.copy("/var/lib/dpkg/status", os.path.join(state, "status"))
        keyring = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
        main, security = mirrors()
        releases = sorted({release(), CLIENTS, SOURCES})
        lines = [f"deb {keyring} {main} {name} main" for name in releases]
        lines += [f"deb {keyring} {security} {name}-security main" for name in releases]
        lines += [f"deb-src {keyring} {main} {SOURCES} main", f"deb-src {keyring} {security} {SOURCES}-security main"]
        text = "\n".join([*lines, ""])
        sources = os.path.join(state, "sources.list")
        command = (
            *("apt-get", "--quiet", "--quiet", "-o", f"Dir::State={state}", "-o", f"Dir::State::status={state}/status"),
            *("-o", f"Dir::Cache={state}/cache", "-o", f"Dir::Etc::SourceList={sources}"),
            *("-o", f"Dir::Etc::SourceParts={state}/none", "-o", f"Dir::Etc::Preferences={state}/none"),
            *("-o", f"Dir::Etc::PreferencesParts={state}/none", "-o", f"APT::Default-Release={release()}"),
            *("-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1", "-o", "Acquire::Languages=none"),
        )
        if not os.path.isfile(sources) or _differs(sources, text):
            with open(f"{sources}.new", "w", encoding="utf-8") as file:
                file.write(text)
            run(*command, "-o", f"Dir::Etc::SourceList={sources}.new", "update")
            os.rename(f"{sources}.new", sources)
        return command


def _differs(path: str, text: str) -> bool:
    with open(path, encoding="utf-8") as file:
        return file.read() != text


def _fetched(folder: str, pattern: str, *arguments: str) -> Iterator[str]:
    """The files that apt puts into a folder; once with the lists at hand, once more with new ones."""
    try:
        run(*_apt(), *arguments, cwd=folder)
    except LabError:
        with lock("apt"):
            run(*_apt(), "update")
        run(*_apt(), *arguments, cwd=folder)
    yield from sorted(glob.glob(os.path.join(folder, pattern)))


@step
def packages(out: str, *names: str) -> None:
    """Give the files of these packages, ``NAME`` or ``NAME/RELEASE``, without what they depend on."""
    with tempfile.TemporaryDirectory() as folder:
        for archive in _fetched(folder, "*.deb", "download", *names):
            run("dpkg-deb", "--extract", archive, out)


@step
def programs(out: str, *names: str) -> None:
    """Give the files of these packages of this machine's release and of all that they need and that it has not."""
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(os.path.join(folder, "partial"))
        wanted = ("install", "--download-only", "--reinstall", "--yes", "--no-install-recommends", *names)
        for archive in _fetched(folder, "*.deb", "-o", f"Dir::Cache::archives={folder}", *wanted):
            run("dpkg-deb", "--extract", archive, out)


@step
def source(out: str, name: str, *options: str) -> None:
    """Give the source tree of a package; ``options`` are dpkg-source's, without any Debian's patches are applied."""
    with tempfile.TemporaryDirectory() as folder:
        [description] = _fetched(folder, "*.dsc", "source", "--download-only", f"{name}/{SOURCES}")
        os.rmdir(out)  # the unpacker wants to make it
        run("dpkg-source", "--no-check", "--no-copy", *options, "--extract", description, out)


SLIM = """path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/lintian/*
path-exclude=/usr/share/groff/*
"""
"""What the official slim images leave out, now and when a package is added to them."""

IN_CONTAINERS = """DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
Acquire::GzipIndexes "true";
Apt::AutoRemove::SuggestsImportant "false";
"""
"""How the official images set apt up, so that layers stay small."""


@step
def bootstrap(out: str, suite: str, main: str, security: str) -> None:
    """Give a small root file system of a release, as the official slim image has it."""
    tools = programs("debootstrap")
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    run(
        *(f"{tools}/usr/sbin/debootstrap", "--variant=minbase", f"--keyring={keyring}", suite, out, main),
        env={"DEBOOTSTRAP_DIR": f"{tools}/usr/share/debootstrap", "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
    )
    for path, text in {
        "dpkg/dpkg.cfg.d/docker": SLIM,
        "apt/apt.conf.d/docker": IN_CONTAINERS,
        "apt/sources.list": "",
        "apt/sources.list.d/debian.sources": "\n".join(
            f"Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\nSigned-By: {keyring}\n"
            for uri, suites in ((main, f"{suite} {suite}-updates"), (security, f"{suite}-security"))
        ),
    }.items():
        with open(f"{out}/etc/{path}", "w", encoding="utf-8") as file:
            file.write(text)
    for folder in ("usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "usr/share/groff"):
        _empty(f"{out}/{folder}")
    for folder in ("var/lib/apt/lists", "var/cache/apt", "var/log", "tmp", "run"):
        _empty(f"{out}/{folder}")
    for path in glob.glob(f"{out}/usr/share/doc/**", recursive=True):
        if os.path.isfile(path) and os.path.basename(path) != "copyright":
            os.remove(path)
    for name in ("resolv.conf", "hostname", "apt/sources.list"):
        os.remove(f"{out}/etc/{name}")


def _empty(folder: str) -> None:
    for entry in os.scandir(folder) if os.path.isdir(folder) else ():
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.remove(entry.path)


def libraries(*roots: str) -> dict[str, str]:
    """The environment in which unpacked programs find the libraries that came with them."""
    folders = [folder for root in roots for folder in glob.glob(f"{root}/**/*-linux-gnu", recursive=True)]
    return {"LD_LIBRARY_PATH": ":".join(folders)} if folders else {}


def version(tree: str) -> str:
    """The upstream version of a source tree that ``source`` gave."""
    with open(f"{tree}/debian/changelog", encoding="utf-8") as file:
        full = file.readline().split("(")[1].split(")")[0]
    return re.sub(r"^\d+:|[-+].*$", "", full)
