"""The text of npm's lock file -> the packages that what is built from it may hold.

Sources: https://docs.npmjs.com/cli/v11/configuring-npm/package-lock-json. Packages that are needed for development only
(``dev``) build and test the artifact and are not in it: they are left out, since whoever scans an image wants to know
what is in the image. Which of the others a bundler has really taken cannot be told from here.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FILES = ("npm-shrinkwrap.json", "package-lock.json")
"""Where npm looks, in its order."""

LARGEST = 64 * 2**20
DEEPEST = 64
_MODULES = "node_modules/"
_NAME = re.compile(r"(@[A-Za-z0-9][\w.~-]*/)?[A-Za-z0-9_.~-][\w.~-]*")


class Package(NamedTuple):
    """A package; ``hashes`` are pairs of an algorithm and hexadecimal digits, ``depends`` pairs of name and version."""

    name: str
    version: str
    licence: str
    url: str
    hashes: tuple[tuple[str, str], ...]
    depends: tuple[tuple[str, str], ...]
    optional: bool


class Lock(NamedTuple):
    """What a lock file says: what the project itself asks for, and everything that comes with it."""

    wanted: tuple[tuple[str, str], ...]
    packages: tuple[Package, ...]


def read(text: str) -> Lock:
    """The packages of a lock file, sorted, each version once; ValueError where it is none that npm writes."""
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 - the file is wrong, not a type of ours
    places = found.get("packages")
    if not isinstance(places, dict):
        places = dict(_flat(found.get("dependencies"), "", 0))
    entries = {key: value for key, value in places.items() if isinstance(value, dict)}
    root = entries.get("", {})
    packages: dict[tuple[str, str], Package] = {}
    for key, entry in sorted(entries.items()):
        package = _package(key, entry, entries)
        if package and not entry.get("dev"):
            before = packages.get((package.name, package.version))
            packages[package.name, package.version] = _merged(before, package) if before else package
    own = set(_resolved("", root, entries)) if "" in entries else packages
    return Lock(
        tuple(sorted(pair for pair in own if pair in packages)),
        tuple(
            package._replace(depends=tuple(sorted(pair for pair in set(package.depends) if pair in packages)))
            for _, package in sorted(packages.items())
        ),
    )


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
            yield place, {**entry, "dependencies": entry.get("requires")}
            yield from _flat(entry.get("dependencies"), f"{place}/", depth + 1)


def _identity(key: str, entry: Mapping[str, Any]) -> tuple[str, str] | None:
    """Name and version of what was fetched; nothing for the project itself and links to other directories of it."""
    if _MODULES not in key or entry.get("link"):
        return None
    name, version = _string(entry.get("name")) or key.rpartition(_MODULES)[2], _string(entry.get("version"))
    # An alias of npm 6: its version says what it really is.
    alias = re.fullmatch(r"npm:(.+)@([^@]+)", version)
    if alias:
        name, version = alias[1], alias[2]
    return (name, version) if _NAME.fullmatch(name) and version else None


def _package(key: str, entry: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]) -> Package | None:
    identity = _identity(key, entry)
    if identity is None:
        return None
    licence = entry.get("license")
    licence = licence.get("type") if isinstance(licence, dict) else licence
    url = _string(entry.get("resolved"))
    return Package(
        *identity,
        licence=_string(licence),
        url=url if url.startswith(("https://", "http://")) else "",
        hashes=tuple(_hashes(_string(entry.get("integrity")))),
        depends=tuple(_resolved(key, entry, entries)),
        optional=bool(entry.get("optional") or entry.get("devOptional")),
    )


def _resolved(
    key: str, entry: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    """What a package asks for, found as Node finds it: beside itself, then further up."""
    for field in ("dependencies", "optionalDependencies", "peerDependencies"):
        names = entry.get(field)
        for name in names if isinstance(names, dict) else ():
            place = key
            while (candidate := f"{place}/{_MODULES}{name}".lstrip("/")) not in entries and place:
                place = place.rpartition(_MODULES)[0].rstrip("/")
            identity = _identity(candidate, entries[candidate]) if candidate in entries else None
            if identity:
                yield identity


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
