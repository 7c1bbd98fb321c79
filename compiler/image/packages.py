"""What a package manager has installed: the text of its database -> packages with their files and what they need.

Sources: apk's database as ``apk-v2(5)`` and abuild describe it (one letter a field); dpkg's status file as
deb-control(5) has it, with the lists of files in ``/var/lib/dpkg/info``. Images without a package manager keep a file
for each package in ``status.d``.
"""

from __future__ import annotations

import io
import re
import tarfile
import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from compiler.image.model import Entry, Layer

APK = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")
DPKG = "/var/lib/dpkg/status"
DPKG_PARTS = "/var/lib/dpkg/status.d/"
DPKG_LISTS = "/var/lib/dpkg/info/"
UCF = "/var/lib/ucf/registry"
"""Whose each configuration file is that ucf(1) manages: no list of a package has it."""

APK_SCRIPTS = tuple(
    f"{directory}/scripts.tar{end}" for directory in ("/lib/apk/db", "/usr/lib/apk/db") for end in ("", ".gz")
)
DPKG_SCRIPTS = (".postinst", ".preinst", ".config")
LOOK = "packages"
"""The name of the look whose findings ``databases`` reads."""


class Package(NamedTuple):
    """An installed package.

    ``depends`` are groups of names of which one has to be there; with all of ``install_if`` it comes by itself;
    ``configures`` are files that it makes when it is installed, ``scripts`` the text of what it runs then;
    ``record`` is the size of its entry in the database.
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
    configures: tuple[str, ...]
    scripts: str
    record: int


def wanted(entry: Entry) -> bool:
    """Whether a file belongs to a package manager's database, for ``model.keep``."""
    path = entry.path
    return (
        path in (*APK, *APK_SCRIPTS, DPKG, UCF)
        or (path.startswith(DPKG_PARTS) and not path.endswith(".md5sums"))
        or (path.startswith(DPKG_LISTS) and path.endswith((".list", *DPKG_SCRIPTS)))
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
    scripts = [_apk_scripts(texts[path]) for path in APK_SCRIPTS if path in texts]
    for path in APK:
        if path in texts:
            for package in apk(_decoded(texts[path])):
                own = f"{package.name}-{package.version}."
                found = [text for those in scripts for name, text in those.items() if name.startswith(own)]
                yield package._replace(scripts="\n".join(found))
    yield from _debian(texts)


def _debian(texts: Mapping[str, bytes]) -> Iterator[Package]:
    own = [path.removeprefix(DPKG_LISTS) for path in texts if path.startswith(DPKG_LISTS)]
    lists = {
        name.removesuffix(".list"): _decoded(texts[DPKG_LISTS + name]).splitlines()
        for name in own
        if name.endswith(".list")
    }
    ran: dict[str, str] = {}
    for name in own:
        if name.endswith(DPKG_SCRIPTS):
            package = name.rpartition(".")[0]
            ran[package] = ran.get(package, "") + _decoded(texts[DPKG_LISTS + name])
    configured: dict[str, list[str]] = {}
    for line in _decoded(texts.get(UCF, b"")).splitlines():
        name, _, place = line.partition(" ")
        configured.setdefault(name, []).append(place.strip())
    for path, text in texts.items():
        if path == DPKG or path.startswith(DPKG_PARTS):
            for found in dpkg(_decoded(text), lists):
                scripts = ran.get(f"{found.name}:{found.architecture}") or ran.get(found.name, "")
                yield found._replace(scripts=scripts, configures=tuple(configured.get(found.name, ())))


def _apk_scripts(archive: bytes) -> dict[str, str]:
    """The scripts of packages by their names in the archive, which begin with the package's; none of a broken one."""
    found = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content:
                    found[member.name] = _decoded(content.read())
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error):
        return {}
    return found


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
                configures=(),
                scripts="",
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
            configures=(),
            scripts="",
            record=_size(record),
        )


def _first(text: str) -> str:
    """The name at the beginning of a dependency such as ``libc6:any (>= 2.36)``."""
    return re.split(r"[\s:(\[]", text.strip(), maxsplit=1)[0]
