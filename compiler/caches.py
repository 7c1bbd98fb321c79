"""Names of build tools -> the directories in which they keep what they have fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CACHES: Mapping[str, tuple[str, ...]] = {
    "cargo": ("/usr/local/cargo/registry",),
    "composer": ("/root/.composer/cache",),
    "go": ("/go/pkg/mod", "/root/.cache/go-build"),
    "maven": ("/root/.m2",),
    "npm": ("/root/.npm",),
    "pip": ("/root/.cache/pip",),
    "pnpm": ("/root/.local/share/pnpm/store",),
    "yarn": ("/usr/local/share/.cache/yarn",),
}
"""The directories in which well-known tools keep what they have fetched, in their official images."""


def cache_directories(caches: Iterable[str]) -> list[str]:
    """Names of tools and directories -> directories."""
    return [directory for cache in caches for directory in CACHES.get(cache, (cache,))]
