"""What a package manager's own lists have of each package: the text of one -> names of packages, and bytes.

The lists of what is installed are not among them: those are read by ``compiler.image.packages``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

QUESTIONS = "/var/cache/debconf/config.dat", "/var/cache/debconf/passwords.dat"
TEMPLATES = "/var/cache/debconf/templates.dat"

LARGEST = 8 * 2**20
"""Bytes of the largest list that is read; the texts of some hundred packages' questions take 2 MB."""


class Form(NamedTuple):
    """The lists at some paths: what ends a record, and where the names in it are."""

    paths: re.Pattern[str]
    end: bytes
    names: re.Pattern[bytes]


FORMS = (
    # debconf-devel(7) and Debconf::Format::822: packages own questions, and questions own the texts that they show.
    Form(re.compile("|".join(map(re.escape, QUESTIONS))), b"\n\n", re.compile(rb"^Owners: (.+)$", re.MULTILINE)),
    Form(re.compile(re.escape(TEMPLATES)), b"\n\n", re.compile(rb"^Owners: (.+)$", re.MULTILINE)),
    # apt-mark(8): what was installed because something else needs it.
    Form(re.compile(r"/var/lib/apt/extended_states"), b"\n\n", re.compile(rb"^Package: (\S+)$", re.MULTILINE)),
    # dpkg's triggers.txt: whoever waits for a trigger, on a line of its own, behind the path if it waits for one.
    Form(re.compile(r"/var/lib/dpkg/triggers/[A-Za-z0-9][^/]*"), b"\n", re.compile(rb"([^\s/]+)(/\w+)?$")),
    # apk-world(5): what was asked for.
    Form(re.compile(r"/etc/apk/world"), b"\n", re.compile(rb"^([^\s=<>~@]+)")),
)

ABOVE = "/var/cache/debconf/", "/var/lib/apt/", "/var/lib/dpkg/triggers/", "/etc/apk/"
"""Where the lists lie: it is asked of every file whether it is one."""


def form(path: str) -> Form | None:
    """The form of the list at a path, if it is one."""
    return next((f for f in FORMS if f.paths.fullmatch(path)), None) if path.startswith(ABOVE) else None


def records(texts: Mapping[str, bytes]) -> dict[str, list[tuple[tuple[str, ...], int]]]:
    """By the path of each list among the texts: each of its records as the names of packages in it, and bytes."""
    found = {path: list(_records(known, text)) for path, text in texts.items() if (known := form(path))}
    asked_by = {name: owners for path in QUESTIONS for name, owners in _questions(texts.get(path, b""))}
    if TEMPLATES in found:
        found[TEMPLATES] = [
            (tuple(package for question in names for package in asked_by.get(question, ())), size)
            for names, size in found[TEMPLATES]
        ]
    return found


def _records(known: Form, text: bytes) -> Iterator[tuple[tuple[str, ...], int]]:
    for record in text.removesuffix(known.end).split(known.end):
        names = known.names.search(record)
        yield _names(names[1]) if names else (), len(record) + len(known.end)


def _questions(config: bytes) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each of debconf's questions, and the packages that own it."""
    for record in config.split(b"\n\n"):
        name = re.match(rb"Name: (.+)$", record, re.MULTILINE)
        owners = re.search(rb"^Owners: (.+)$", record, re.MULTILINE)
        if name and owners:
            yield name[1].decode("utf-8", "replace"), _names(owners[1])


def _names(text: bytes) -> tuple[str, ...]:
    """The names of a list, without architectures."""
    return tuple(name.partition(":")[0] for name in re.split(r",\s*", text.decode("utf-8", "replace").strip()))
