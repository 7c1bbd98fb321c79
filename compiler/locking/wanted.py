"""A model -> everything about it that a lock can pin: images, packages by the image that installs them, downloads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compiler.model import App, Path

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")
"""A package of which the spec gives no version and no repository."""


class Wanted(NamedTuple):
    """What can be pinned; images with their places in the spec, downloads with the checksums the spec has.

    ``packages`` has the image's own name, as the spec has it, and ``families`` its package manager.
    """

    images: Mapping[str, Path]
    packages: Mapping[str, tuple[str, ...]]
    families: Mapping[str, str]
    files: Mapping[str, str]
    places: Mapping[str, Path]


def wanted(app: App) -> Wanted:
    """What the Dockerfiles of an application take from elsewhere; what the spec pins itself is not among it."""
    places: dict[str, Path] = {app.image.base: ("image", "base")}
    packages: dict[str, set[str]] = {app.image.base: set(app.packages)}
    families = {app.image.base: app.image.family.name}
    files: dict[str, str] = {}
    for artifact in app.artifacts:
        if artifact.build:
            places.setdefault(artifact.build.image, (*artifact.path, "build", "image"))
            packages.setdefault(artifact.build.image, set()).update(artifact.build.packages)
            families.setdefault(artifact.build.image, artifact.build.family)
        if artifact.copy:
            places.setdefault(artifact.copy.image, (*artifact.path, "from", "image"))
        if artifact.libc == "glibc" and app.image.family.libc == "musl":
            places.setdefault(artifact.libraries, (*artifact.path, "libraries"))
        if artifact.compress:
            packages[app.image.base].update(app.image.family.packers[artifact.compress])
        if artifact.fetch:
            files |= _files(artifact.fetch.url, artifact.fetch.checksums)
    return Wanted(
        {image: place for image, place in places.items() if image and "@" not in image},
        {image: names for image, found in packages.items() if (names := _unversioned(found))},
        families,
        files,
        places,
    )


def _unversioned(packages: set[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in packages if NAME.fullmatch(name)))


def _files(url: str, checksums: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """The downloads of an artifact, by their URLs."""
    named = {(url.replace("{arch}", arch), arch): total for arch, total in checksums}
    several = len({name for name, _ in named}) < len(named)
    return {f"{name} {arch}" if several else name: f"sha256:{total}" for (name, arch), total in named.items()}
