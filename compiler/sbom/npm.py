"""The text of npm's lock file -> the packages that what is built from it may hold.

Sources: https://docs.npmjs.com/cli/v11/configuring-npm/package-lock-json. Packages that are needed for development only
(``dev``) build and test the artifact and are not in it: they are left out, since whoever scans an image wants to know
what is in the image. Which of the others a bundler has really taken cannot be told from here. Directories of the tree,
such as the members of a workspace, are the artifact itself: what they ask for, it asks for.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Entries = Mapping[str, Mapping[str, Any]]

FILES = ("npm-shrinkwrap.json", "package-lock.json")
"""Where npm looks, in its order."""

LARGEST = 64 * 2**20
DEEPEST = 64
HOSTS = {"github": "github.com", "gitlab": "gitlab.com", "bitbucket": "bitbucket.org", "gist": "gist.github.com"}
"""Where repositories are that npm 6 names without a host."""

_MODULES = "node_modules/"
# What npm takes: characters that encodeURIComponent leaves as they are.
_NAME = re.compile(r"(@[\w.!~*'()-]+/)?[\w.!~*'()-]+", re.ASCII)
_PIECE = r"(?:[\w.~:/?@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+"
_URL = re.compile(rf"(?:https?|git|git\+(?:https?|ssh|file))://{_PIECE}(?:#{_PIECE})?", re.ASCII)
_ARCHIVE = re.compile(r"\.(?:tgz|tar\.gz|tar)$", re.IGNORECASE)


class Key(NamedTuple):
    """What tells packages apart. A version may be unknown.

    ``source`` says where it is from if not from a registry: a name and a value, as package URLs qualify it.
    """

    name: str
    version: str
    source: tuple[tuple[str, str], ...] = ()


class Package(NamedTuple):
    """A package; ``hashes`` are pairs of an algorithm and hexadecimal digits, ``depends`` the keys of others."""

    key: Key
    licence: str
    url: str
    hashes: tuple[tuple[str, str], ...]
    depends: tuple[Key, ...]
    optional: bool


class Lock(NamedTuple):
    """What a lock file says: what the project itself asks for, and everything that comes with it."""

    wanted: tuple[Key, ...]
    packages: tuple[Package, ...]


def read(text: str) -> Lock:
    """The packages of a lock file, sorted, each key once; ValueError where it is none that npm writes."""
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 - the file is wrong, not a type of ours
    places = found.get("packages")
    if not isinstance(places, dict):
        places = dict(_flat(found.get("dependencies"), "", 0))
    entries = {place: entry for place, entry in places.items() if isinstance(entry, dict)}
    packages: dict[Key, Package] = {}
    for place, entry in sorted(entries.items()):
        package = _package(place, entry, entries)
        if package and not entry.get("dev"):
            before = packages.get(package.key)
            packages[package.key] = _merged(before, package) if before else package
    # What the project itself asks for is not in what npm 6 wrote. What npm keeps and nobody asks for hangs on it, too.
    own = _asked("", entries) if "" in entries else set(packages)
    own |= packages.keys() - _reached(own, packages)
    return Lock(
        tuple(sorted(key for key in own if key in packages)),
        tuple(
            package._replace(depends=tuple(sorted(key for key in set(package.depends) if key in packages)))
            for _, package in sorted(packages.items())
        ),
    )


def _reached(keys: set[Key], packages: Mapping[Key, Package]) -> set[Key]:
    """The keys, and those of everything that comes with them."""
    waiting, found = list(keys), set(keys)
    while waiting:
        package = packages.get(waiting.pop())
        new = set(package.depends) - found if package else set()
        found |= new
        waiting += new
    return found


def _merged(first: Package, second: Package) -> Package:
    """One package at two places: it may be missing only if it may be at both."""
    return first._replace(
        licence=first.licence or second.licence,
        url=first.url or second.url,
        hashes=first.hashes or second.hashes,
        depends=(*first.depends, *second.depends),
        optional=first.optional and second.optional,
    )


def _flat(tree: Any, above: str, depth: int) -> Iterator[tuple[str, Any]]:
    """The tree of npm 6 and earlier as npm 7 writes it: places and what is there."""
    if not isinstance(tree, dict) or depth > DEEPEST:
        return
    for name, entry in tree.items():
        if isinstance(entry, dict):
            place = f"{above}{_MODULES}{name}"
            told = _told_by_version(_string(entry.get("version")))
            yield place, {**entry, **told, "dependencies": entry.get("requires")}
            yield from _flat(entry.get("dependencies"), f"{place}/", depth + 1)


def _told_by_version(version: str) -> dict[str, Any]:
    """What npm 6 has put into the version of what it did not ask the registry for by its own name."""
    alias = re.fullmatch(r"npm:(.+)@([^@]+)", version)
    if alias:
        return {"name": alias[1], "version": alias[2]}
    return {"version": "", "resolved": version} if ":" in version else {}


def _own(entry: Mapping[str, Any]) -> bool:
    """Whether it is a directory of the tree, and not a package that was fetched."""
    resolved = _string(entry.get("resolved"))
    return bool(entry.get("link")) or (resolved.startswith("file:") and not _ARCHIVE.search(resolved))


def _key(place: str, entry: Mapping[str, Any]) -> Key | None:
    """What was fetched to that place, if anything was."""
    name = _string(entry.get("name")) or place.rpartition(_MODULES)[2]
    if _MODULES not in place or _own(entry) or not _NAME.fullmatch(name):
        return None
    return Key(name, _string(entry.get("version")), tuple(_source(name, _string(entry.get("resolved")))))


def _source(name: str, resolved: str) -> Iterator[tuple[str, str]]:
    """Where something is from that is not from a registry: there others may be under the same name and version."""
    kind, _, rest = resolved.partition(":")
    if kind in HOSTS:
        path, _, commit = rest.partition("#")
        yield "vcs_url", f"git+https://{HOSTS[kind]}/{path}.git@{commit}"
    elif kind == "git" or kind.startswith("git+"):
        # As SPDX writes the place of a download.
        yield "vcs_url", _public(resolved).replace("#", "@", 1)
    elif kind == "file" or (kind in ("https", "http") and not _from_registry(name, resolved)):
        yield "download_url", _public(resolved)


def _from_registry(name: str, url: str) -> bool:
    """Whether the address is as every registry has it, whichever that is."""
    from urllib.parse import unquote

    path = unquote(re.split(r"[?#]", url)[0])
    return bool(re.search(rf"/{re.escape(name)}/-/(?:@[^/]+/)?[^/]+\.tgz$", path))


def _public(url: str) -> str:
    """The address without what somebody logs in with, since others read it; with SSH the user belongs to it."""
    found = re.match(r"([a-z+]+://)([^/?#]*)@", url)
    if not found:
        return url
    user = f"{found[2].partition(':')[0]}@" if "ssh" in found[1] else ""
    return f"{found[1]}{user}{url[found.end() :]}"


def _package(place: str, entry: Mapping[str, Any], entries: Entries) -> Package | None:
    key = _key(place, entry)
    if key is None:
        return None
    licence = entry.get("license")
    licence = licence.get("type") if isinstance(licence, dict) else licence
    url = dict(key.source).get("vcs_url") or _public(_string(entry.get("resolved")))
    return Package(
        key,
        licence=_string(licence),
        url=url if _URL.fullmatch(url) else "",
        hashes=tuple(_hashes(_string(entry.get("integrity")))),
        depends=tuple(_asked(place, entries)),
        optional=bool(entry.get("optional") or entry.get("devOptional")),
    )


def _asked(place: str, entries: Entries) -> set[Key]:
    """What is asked for at a place, and by the directories of the tree that are asked for there."""
    found = set()
    waiting, seen = [place], {place}
    while waiting:
        for needed in _places(waiting.pop(), entries):
            entry = entries[needed]
            key = _key(needed, entry)
            if key:
                found.add(key)
            resolved = _string(entry.get("resolved"))
            directory = resolved if resolved in entries else needed
            if _own(entry) and directory not in seen:
                seen.add(directory)
                waiting.append(directory)
    return found


def _places(place: str, entries: Entries) -> Iterator[str]:
    """Where what is asked for at a place is found as Node finds it: beside it, then further up."""
    entry = entries[place]
    if not place and entry.get("workspaces"):
        # Its members are linked at the top.
        yield from (key for key in entries if entries[key].get("link") and key.rpartition(_MODULES)[0] == "")
    for field in ("dependencies", "optionalDependencies", "peerDependencies"):
        names = entry.get(field)
        for name in names if isinstance(names, dict) else ():
            candidates = (f"{above}{_MODULES}{name}" for above in _above(place))
            found = next((candidate for candidate in candidates if candidate in entries), None)
            if found is not None:
                yield found


def _above(place: str) -> Iterator[str]:
    """A directory and those above it, as paths begin with them; from outside of the project no way leads into it."""
    while place and place != ".." and not place.endswith("/.."):
        yield f"{place}/"
        place = place.rpartition("/")[0]
    yield f"{place}/" if place else ""


def _hashes(integrity: str) -> Iterator[tuple[str, str]]:
    """Subresource integrity as pairs: an algorithm and hexadecimal digits."""
    for word in integrity.split():
        algorithm, _, encoded = word.partition("-")
        try:
            digest = base64.b64decode(encoded.partition("?")[0], validate=True).hex()
        except (binascii.Error, ValueError):
            continue
        if {"sha1": 40, "sha256": 64, "sha384": 96, "sha512": 128}.get(algorithm) == len(digest):
            yield algorithm, digest


def _string(value: Any) -> str:
    return value if isinstance(value, str) and value.isprintable() else ""
