"""Which package a file is from: by the package manager's word, or by what packages do when they are installed."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from compiler.image.model import Entry, Image
    from compiler.image.packages import Package

MANAGER = re.compile(
    r"/(usr/)?lib/apk/|/etc/apk/|/var/cache/apk/|/var/log/apk\.log"
    r"|/var/lib/(dpkg|apt)/|/var/cache/(apt|debconf)/|/var/log/(apt/|dpkg\.log|alternatives\.log)"
)
"""Where apk, dpkg, apt and debconf keep what they know."""

BYTE_CODE = re.compile(
    r"^(?P<directory>.*/)(?<!/__pycache__/)(?:__pycache__/(?P<name>[^/]+?)\.[a-z]+-?\d+[^/]*|(?P<alone>[^/]+))\.pyc$"
)
"""Beside its source in a directory of its own, or in the source's place: https://peps.python.org/pep-3147/."""

INFO = re.compile(r"^/var/lib/dpkg/info/(?P<name>[a-z0-9.+-]+)(:[a-z0-9]+)?\.[a-z0-9]+$")

ALTERNATIVE = re.compile(r"^/var/lib/dpkg/alternatives/(?P<name>[^/]+)$")
"""What update-alternatives(1) knows of a link of this name in /etc/alternatives."""

BESIDE = ".dpkg-old", ".dpkg-dist", ".ucf-old", ".ucf-dist", ".old", "-old", ".bak", "~", ".pub"
"""A copy of a file that was kept when it was written anew, and the public half of a key: whose the file is."""

DEEP = 3
"""Names in a directory's path from which on it says whose it is: every script names /etc and /var/lib."""

WORD = re.compile(r"[\w.-]+")
"""A name of a path, as scripts have it."""

UNITS = "/lib/systemd/system/", "/usr/lib/systemd/system/", "/usr/lib/systemd/user/"
UNIT = re.compile(r"^/var/lib/systemd/deb-systemd-(user-)?helper-(enabled|masked)/(.*/)?(?P<name>[^/]+?)(\.dsh-also)?$")
"""What deb-systemd-helper(1p) notes of a package's units."""

TRIGGERED = {
    # Alpine's trigger of ca-certificates is update-ca-certificates, which writes this again: its APKBUILD.
    "/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
}
"""Files of one package that another one writes anew, if it is there."""

MADE = (
    # update-ca-certificates(8): the bundle, its copies and links by hash.
    (r"/etc/ssl/certs/ssl-cert-|/etc/ssl/private/ssl-cert-", ("ssl-cert",)),
    (r"/etc/ssl/certs/|/etc/ssl/cert\.pem$|/etc/ca-certificates\.conf", ("ca-certificates", "ca-certificates-bundle")),
    # Of the C library: ldconfig(8).
    (r"/etc/ld\.so\.cache$|/var/cache/ldconfig/", ("libc-bin", "musl-utils")),
    # What fc-cache(1) makes.
    (r"/var/cache/fontconfig/", ("fontconfig", "fontconfig-config")),
    # What update-desktop-database(1) makes.
    (r"/usr/share/applications/mimeinfo\.cache$", ("desktop-file-utils",)),
    # What mandb(8) makes.
    (r"/var/cache/man/", ("man-db",)),
    # What update-mime-database(1), update-icon-caches(8) and glib-compile-schemas(1) make.
    (r"/usr/share/mime/", ("shared-mime-info",)),
    (r"/usr/share/icons/", ("hicolor-icon-theme",)),
    (r"/usr/share/glib-2\.0/schemas/gschemas\.compiled$", ("glib", "libglib2.0-0", "libglib2.0-bin")),
    # What locale-gen(8) makes, and reads.
    (r"/etc/default/locale$|/etc/locale\.gen$|/usr/lib/locale/locale-archive$", ("locales",)),
    # What systemd-machine-id-setup(1) and journalctl(1) --update-catalog make.
    (
        r"/etc/machine-id$|/var/lib/dbus/machine-id$|/var/lib/systemd/catalog/|/etc/udev/hwdb\.bin$",
        ("systemd", "dbus", "udev"),
    ),
    # What systemd-tmpfiles(8) makes when systemd is installed, by its tmpfiles.d/debian.conf.
    (r"/etc/mtab$|/run/shm$", ("systemd",)),
    # What the scripts of these packages write under names that they put together.
    (r"/etc/networks$", ("netbase",)),
    (r"/etc/python3/debian_config$", ("python3",)),
    (r"/etc/postgresql-common/|/etc/apt/apt\.conf\.d/\S*postgresql$", ("postgresql-common",)),
    # pg_createcluster(1), run when a server is installed
    (r"/(etc|var/lib)/postgresql/(?P<version>\d+)/", ("postgresql-{version}",)),
    # Named by the scripts of several: the aliases of whichever mail server there is, and ufw's copies of its rules.
    (r"/etc/aliases(\.db)?$", ("postfix", "exim4-config", "sendmail-bin", "opensmtpd")),
    (r"/etc/ufw/[a-z0-9]+\.(rules|init)$", ("ufw",)),
    # What pam-auth-update(8) and update-exim4defaults(8) write.
    (r"/etc/pam\.d/common-", ("libpam-runtime",)),
    (r"/etc/default/exim4$", ("exim4-base",)),
    # What aspell-autobuildhash(8) makes for each language, and its kin for all.
    (r"/var/lib/aspell/(?P<aspell>[a-z]+)[._-]", ("aspell-{aspell}",)),
    (r"/(var|usr)/lib/[ai]spell/|/var/cache/dictionaries-common/", ("dictionaries-common",)),
    # What update-xmlcatalog(8) and update-catalog(8) make: a catalogue for each package, and one of all.
    (r"/(etc/xml|var/lib/xml-core)/(?P<xml>[a-z0-9+-]+)", ("{xml}", "xml-core")),
    (r"/(etc/sgml|var/lib/sgml-base)/(?P<sgml>[a-z0-9+-]+)", ("{sgml}", "sgml-base")),
    # ucf(1) keeps copies and sums of the files in its care.
    (r"/var/lib/ucf/", ("ucf",)),
)
"""What triggers and scripts of packages make: a path's beginning, and packages; the first that is there makes it."""

ANY_MADE = re.compile("|".join(beginning for beginning, _ in MADE))


def written_by_trim(path: str) -> bool:
    """Whether ``templates/trim.py.j2`` writes this file in place of what it removes."""
    return bool(re.match(r"/usr/lib/python3[^/]*/.*\b((pkg_resources|unicodedata|decimal)\.pyc?$|__pycache__/)", path))


def of_manager(path: str) -> bool:
    """Whether a path is the package manager's own."""
    return bool(MANAGER.match(path))


def directory_links(image: Image) -> dict[str, str]:
    """The links in the root directory, such as /bin to usr/bin: packages name their files by either."""
    return {
        entry.path: posixpath.normpath(posixpath.join("/", entry.target))
        for entry in image.entries
        if entry.kind == "symlink" and entry.path.count("/") == 1
    }


class Traces:
    """The packages of a layer's entries."""

    def __init__(
        self,
        state: Sequence[Package],
        in_base: Mapping[str, Package],
        links: Mapping[str, str],
        entries: Iterable[Entry],
    ) -> None:
        self._links = links
        self._packages = {package.name for package in state}
        seen = list(entries)
        self._targets = {entry.path: entry.target for entry in seen if entry.kind == "symlink"}
        directories = {entry.path for entry in seen if entry.kind == "directory"}
        self._files: dict[str, str] = {}
        owners: dict[str, set[str]] = {}
        for package in state:
            for path in map(self._real, package.files):
                self._files[path] = package.name
                # dpkg lists files and directories alike: whether one is an empty directory, the layer says.
                if path in directories:
                    owners.setdefault(path, set()).add(package.name)
            for path in package.directories:
                owners.setdefault(self._real(path), set()).add(package.name)
        self._configured = {self._real(path): package.name for package in state for path in package.configures}
        self._scripts = {package.name: package.scripts for package in state if package.scripts}
        self._words = {word for text in self._scripts.values() for word in WORD.findall(text)}
        self._told_of: dict[str, str] = {}
        self._nearest_of: dict[str, str] = {}
        # What lies in a directory that one package has, and no other, is that package's doing.
        self._only = {
            path: next(iter(names)) for path, names in owners.items() if len(names) == 1 and not names & in_base.keys()
        }
        self._directories = {path: min(names) for path, names in owners.items()}

    def _real(self, path: str) -> str:
        top = path[: path.find("/", 1)] if path.count("/") > 1 else ""
        return self._links[top] + path[len(top) :] if top in self._links else path

    def package(self, entry: Entry) -> str:
        """The name of the package that an entry is from; empty if none is known."""
        path = self._real(entry.path)
        if entry.kind == "directory":
            return self._directories.get(path, "")
        triggered = TRIGGERED.get(path, "")
        return triggered if triggered in self._packages else self._listed(path) or self._traced(path)

    def _listed(self, path: str) -> str:
        return self._files.get(path) or self._files.get(path.removesuffix(".distrib"), "")

    def _traced(self, path: str) -> str:
        if of_manager(path):
            return self._noted(path)
        code = BYTE_CODE.match(path)
        if code:
            source = self._listed(f"{code['directory']}{code['name'] or code['alone']}.py")
            if source:
                return source
        unit = UNIT.match(path)
        if unit:
            return next((owner for place in UNITS if (owner := self._listed(self._real(place + unit["name"])))), "")
        found = self._led_to(path)
        if found or not path.endswith(BESIDE):
            return found
        original = path.removesuffix(next(end for end in BESIDE if path.endswith(end)))
        return self._listed(original) or self._led_to(original)

    def _led_to(self, path: str) -> str:
        found = self._made(path) or self._linked(path) or self._configured.get(path)
        return found or self._told(path) or self._nearest(path)

    def _noted(self, path: str) -> str:
        """The package of a file that dpkg has of each."""
        alternative = ALTERNATIVE.match(path)
        if alternative:
            return self._linked(f"/etc/alternatives/{alternative['name']}")
        info = INFO.match(path)
        return info["name"] if info and info["name"] in self._packages else ""

    def _made(self, path: str) -> str:
        """The package that makes what is at a path, by the table."""
        for beginning, names in MADE if ANY_MADE.match(path) else ():
            match = re.match(beginning, path)
            made = [name.format(**match.groupdict()) for name in names] if match else []
            known = next((name for name in made if name in self._packages), "")
            if known:
                return known
        return ""

    def _told(self, path: str) -> str:
        """The one package whose scripts name the path, or the nearest directory above it that any of them names."""
        told = self._told_by(path)
        return _upwards(self._told_of, posixpath.dirname(path), self._told_directory) if told is None else told

    def _told_directory(self, directory: str) -> str | None:
        return self._told_by(directory) if directory.count("/") >= DEEP else ""

    def _told_by(self, path: str) -> str | None:
        """The package whose scripts name the path; empty where several do, None where none does."""
        # Nearly every file is named nowhere, and to look into each script for each of them would take most of the time.
        if not self._words.issuperset(WORD.findall(path)):
            return None
        place = re.compile(rf"(?<![\w.-]){re.escape(path.lstrip('/'))}(?![\w.-])")
        found = [name for name, text in self._scripts.items() if place.search(text)]
        return (found[0] if len(found) == 1 else "") if found else None

    def _linked(self, path: str) -> str:
        """The package of what a link leads to, over other links."""
        for _ in range(8):
            target = self._targets.get(path)
            if target is None:
                return ""
            path = self._real(posixpath.normpath(posixpath.join(posixpath.dirname(path), target)))
            if self._listed(path):
                return self._listed(path)
        return ""

    def _nearest(self, path: str) -> str:
        """The package that alone has the directory, or the nearest one above it that any package has."""
        return _upwards(self._nearest_of, posixpath.dirname(path), self._nearest_directory)

    def _nearest_directory(self, directory: str) -> str | None:
        return self._only.get(directory) or ("" if directory in self._directories else None)


def _upwards(known: dict[str, str], directory: str, look: Callable[[str], str | None]) -> str:
    """What ``look`` says of a directory, or of the nearest above it of which it says anything; ``known`` is filled."""
    passed = []
    while (found := known.get(directory)) is None:
        passed.append(directory)
        found = look(directory) if directory != "/" else ""
        if found is not None:
            break
        directory = posixpath.dirname(directory)
    known.update(dict.fromkeys(passed, found))
    return found
