"""The pins beside the spec: that there is one for everything, and none for what is not there any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.errors import Mark, Problem
from compiler.rules.context import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiler.locking.wanted import Wanted
    from compiler.rules.context import Context

NAMED = 5
"""Packages that a message names; of more it gives the number."""


def pins(ctx: Context) -> Iterator[Problem]:
    """Pins that the spec does not ask for, and what has none; nothing where there is no lock."""
    if ctx.facts.lock is None:
        return
    from compiler.locking.wanted import wanted

    found = wanted(ctx.app)
    yield from _stale(ctx, found)
    yield from _missing(ctx, found)


def _stale(ctx: Context, found: Wanted) -> Iterator[Problem]:
    lock = ctx.facts.lock
    if lock is None:
        return
    run = 'run "appos-compile lock"'
    for path, mark in sorted(lock.marks.items(), key=lambda item: item[1]):
        section, *names = path
        name = str(names[-1]) if names else ""
        message = ""
        if section == "images" and names and name not in found.images:
            message = f'the spec has no image "{name}" to be pinned'
        elif section == "packages" and len(names) == 2 and name not in found.packages.get(str(names[0]), ()):  # noqa: PLR2004 - image and package
            message = f'the spec installs no package "{name}" on "{names[0]}" to be pinned'
        elif section == "files" and names and found.files.get(name) != lock.files[name]:
            known = "another checksum for" if name in found.files else "nothing to fetch from"
            message = f'the spec has {known} "{name}"'
        if message:
            yield Problem(
                "W020",
                message,
                mark._replace(length=max(len(name), 1)),
                f"{run}: it removes what is left over",
                path=path,
            )


def _missing(ctx: Context, found: Wanted) -> Iterator[Problem]:
    lock = ctx.facts.lock
    if lock is None:
        return
    run = 'run "appos-compile lock"'
    where = lock.name
    for image, path in found.images.items():
        if image not in lock.images:
            yield ctx.at("W021", path, f'{where} does not pin "{image}"', run)
    for image, packages in found.packages.items():
        none = [name for name in packages if name not in lock.packages.get(image, {})]
        if none:
            what = listed(none) if len(none) <= NAMED else f"{len(none)} packages"
            yield ctx.at("W021", found.places[image], f'{where} has no version of {what} on "{image}"', run)
    for url in found.files:
        if url not in lock.files:
            yield Problem("W021", f'{where} has no checksum of "{url}"', Mark(lock.name, 1, 1), run)
