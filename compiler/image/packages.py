"""What a package manager has installed: the text of its database -> packages with their files and what they need.

Sources: apk's database as ``apk-v2(5)`` and abuild describe it (one letter a field), dpkg's status file as deb-control(5)
has it, with the lists of files in ``/var/lib/dpkg/info``; images without a package manager keep a file for each package
in ``status.d``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from compiler.image.model import Entry, Layer

APK = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")
DPKG = "/var/lib/dpkg/status"
DPKG_PARTS = "/var/lib/dpkg/status.d/"
DPKG_LISTS = "/var/lib/dpkg/info/"
LOOK = "packages"
"""The name of the look whose findings ``databases`` reads."""


class Package(NamedTuple):
    """An installed package. ``depends`` are groups of names of which one has to be there; with all of ``install_if`` it
    is installed without being asked for; ``record`` is the size of its entry in the database.
    """

    name: str
    version: str
    architecture: str
    licence: str
    source: str
    manager: str
    depends: tuple[tuple[str, ...], ...]
    install_if: tuple[str, ...]
    provides: tuple[str, ...]
    files: tuple[str, ...]
    directories: tuple[str, ...]
    record: int


def wanted(entry: Entry) -> bool:
    """Whether a file belongs to a package manager's database, for ``model.keep``."""
    path = entry.path
    return (
        path in APK
        or path == DPKG
        or (path.startswith(DPKG_PARTS) and not path.endswith(".md5sums"))
        or (path.startswith(DPKG_LISTS) and path.endswith(".list"))
    )


def databases(layers: Iterator[Layer]) -> Iterator[tuple[Package, ...]]:
    """The installed packages as of each layer; the layers must have been read with a look called ``packages``."""
    texts: dict[str, bytes] = {}
    last: tuple[Package, ...] = ()
    for layer in layers:
        found = layer.found.get(LOOK, {})
        gone = [entry.path for entry in layer.entries if entry.kind == "whiteout"]
        removed = [path for path in texts if any(path == p or path.startswith(f"{p}/") for p in gone)]
        for path in removed:
            del texts[path]
        texts.update(found)
        if found or removed:
            last = tuple(installed(texts))
        yield last


def installed(texts: Mapping[str, bytes]) -> Iterator[Package]:
    """The packages that these files of databases, by path, tell of."""
    for path in APK:
        if path in texts:
            yield from apk(_decoded(texts[path]))
    parts = [text for path, text in texts.items() if path.startswith(DPKG_PARTS)]
    lists = {
        path.removeprefix(DPKG_LISTS).removesuffix(".list"): _decoded(text).splitlines()
        for path, text in texts.items()
        if path.startswith(DPKG_LISTS)
    }
    for text in [*([texts[DPKG]] if DPKG in texts else []), *parts]:
        yield from dpkg(_decoded(text), lists)


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _size(record: str) -> int:
    """Bytes of a record with the empty line after it."""
    return len(record.encode("utf-8", "surrogateescape")) + 2


def apk(text: str) -> Iterator[Package]:
    """The packages of an apk database."""
    for record in text.strip("\n").split("\n\n"):
        fields: dict[str, str] = {}
        files, directories, directory = [], [], ""
        for line in record.split("\n"):
            key, _, value = line.partition(":")
            if key == "F":
                directory = f"/{value}" if value else ""
                directories.append(directory or "/")
            elif key == "R":
                files.append(f"{directory}/{value}")
            else:
                fields.setdefault(key, value)
        if "P" in fields:
            yield Package(
                name=fields["P"],
                version=fields.get("V", ""),
                architecture=fields.get("A", ""),
                licence=fields.get("L", ""),
                source=fields.get("o", "") or fields["P"],
                manager="apk",
                depends=tuple((_bare(word),) for word in fields.get("D", "").split() if not word.startswith("!")),
                install_if=tuple(_bare(word) for word in fields.get("i", "").split()),
                provides=tuple(_bare(word) for word in fields.get("p", "").split()),
                files=tuple(files),
                directories=tuple(directories),
                record=_size(record),
            )


def _bare(word: str) -> str:
    """The name of a dependency without its version, its repository and apk's other signs."""
    return re.split(r"[<>=~@]", word, maxsplit=1)[0]


def dpkg(text: str, lists: Mapping[str, list[str]]) -> Iterator[Package]:
    """The packages of a status file; ``lists`` has the paths of each by its name, or by its name and architecture."""
    for record in text.strip("\n").split("\n\n"):
        fields: dict[str, str] = {}
        for line in record.split("\n"):
            if line[:1] not in (" ", "\t", ""):
                key, _, value = line.partition(":")
                fields.setdefault(key, value.strip())
        name = fields.get("Package", "")
        # What status.d has are packages that are installed, without a word about it.
        if not name or not fields.get("Status", "install ok installed").endswith(" installed"):
            continue
        architecture = fields.get("Architecture", "")
        paths = lists.get(f"{name}:{architecture}") or lists.get(name) or []
        above = {path.rpartition("/")[0] for path in paths}
        yield Package(
            name=name,
            version=fields.get("Version", ""),
            architecture=architecture,
            licence="",
            source=fields.get("Source", "").partition(" ")[0] or name,
            manager="dpkg",
            depends=tuple(
                tuple(_first(choice) for choice in group.split("|"))
                for field in ("Pre-Depends", "Depends")
                for group in fields.get(field, "").split(",")
                if group.strip()
            ),
            install_if=(),
            provides=tuple(_first(word) for word in fields.get("Provides", "").split(",") if word.strip()),
            files=tuple(path for path in paths if path not in above and path != "/."),
            directories=tuple("/" if path == "/." else path for path in paths if path in above or path == "/."),
            record=_size(record),
        )


def _first(text: str) -> str:
    """The name at the beginning of a dependency such as ``libc6:any (>= 2.36)``."""
    return re.split(r"[\s:(\[]", text.strip(), maxsplit=1)[0]
