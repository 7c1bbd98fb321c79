"""The image and what is put into it: its base, its artifacts and the places they go to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from compiler.caches import CACHES
from compiler.model import EXECUTE, permits
from compiler.rules.context import SYSTEM, parents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiler.errors import Problem
    from compiler.model import Artifact, File, Path, Service
    from compiler.rules.context import Context

STAGES = ("scratch", "context")
"""Names that no stage may have: https://docs.docker.com/reference/build-checks/reserved-stage-name/"""
_ANY = "*"
"""In place of the name of an architecture: whichever."""


def names(ctx: Context) -> Iterator[Problem]:
    """The names of the application and of its image."""
    if ctx.app.name in ("secrets", "lock"):
        message = f'"{ctx.app.name}" cannot be the name: /run/{ctx.app.name} belongs to the engine and the system'
        yield ctx.at("E046", ("name",), message, "choose another name")
    name = ctx.data["image"].get("name", "")
    if ":" in name.rpartition("/")[2] or "@" in name:
        hint = (
            f"write name: {name.partition('@')[0].rpartition(':')[0] or name.partition('@')[0]}, and the rest as tag:"
        )
        yield ctx.at("E066", ("image", "name"), f'the name of the image has a tag or digest: "{name}"', hint)


def base(ctx: Context) -> Iterator[Problem]:
    """The family of the base, tags that move, and images past their end of life."""
    if ctx.facts.family is None:
        message = f'whether "{ctx.app.image.base}" is made from Alpine, Debian or Ubuntu cannot be told from its name'
        yield ctx.at("E042", ("image", "base"), message, "add family: alpine or family: debian under image")
    images: list[tuple[str, Path]] = [(ctx.app.image.base, ("image", "base"))]
    for artifact in ctx.app.artifacts:
        if artifact.build:
            images.append((artifact.build.image, (*artifact.path, "build", "image")))
            if artifact.build.packages and not artifact.build.family:
                message = f'which package manager "{artifact.build.image}" has cannot be told from its name'
                hint = "install the packages in prepare, or use an image whose tag names its distribution"
                yield ctx.at("E042", (*artifact.path, "build", "image"), message, hint)
        if artifact.copy:
            images.append((artifact.copy.image, (*artifact.path, "from", "image")))
    as_of = str(ctx.facts.bases["as_of"])
    for image, path in images:
        name, _, tag = image.split("@")[0].rpartition("/")[2].partition(":")
        pinned = "@" in image or (ctx.facts.lock is not None and image in ctx.facts.lock.images)
        if not pinned and tag in ("", "latest"):
            hint = "name a version, or pin it: appos-compile lock"
            yield ctx.at("W002", path, f'"{image}" is another image tomorrow', hint)
        for beginning, day in ctx.facts.bases["images"].get(name, {}).items():
            if re.match(rf"{re.escape(beginning)}(\D|$)", tag) and str(day) <= as_of:
                yield ctx.at(
                    "W001", path, f"{name} {beginning} has had no security fixes since {day}", _newer(ctx, name)
                )


def _newer(ctx: Context, name: str) -> str:
    images = ctx.facts.bases["images"][name].items()
    alive = {tag: str(day) for tag, day in images if str(day) > str(ctx.facts.bases["as_of"])}
    if not alive:
        return ""
    best = max(alive, key=lambda tag: (alive[tag], tag))
    return f"{name} {best} is supported until {alive[best]}"


def artifacts(ctx: Context) -> Iterator[Problem]:
    """Where each artifact comes from, and that it can run on the base."""
    stages = {artifact.name: artifact for artifact in ctx.app.artifacts}
    for artifact in ctx.app.artifacts:
        path = artifact.path
        yield from ctx.one_of("E060", path, f'the artifact "{artifact.name}"', ("build", "from", "fetch"))
        if not (artifact.build or artifact.copy or artifact.fetch or artifact.prebuilt):
            message = f'the artifact "{artifact.name}" comes from nowhere'
            yield ctx.key("E060", path, message, "add build, from, fetch or prebuilt")
        yield from _fetched(ctx, artifact)
        yield from _built(ctx, artifact)
        yield from _linked(ctx, artifact)
        yield from _executed(ctx, artifact)
        if artifact.name in STAGES:
            yield ctx.key("E063", path, f'a Dockerfile keeps the name "{artifact.name}" for itself', "rename it")
        yield from _packed(ctx, artifact)
        for wanted, name, what in (
            (artifact.libc == "glibc", f"{artifact.name}-libraries", "with the libraries of"),
            (artifact.compress, f"{artifact.name}-packed", "that compresses"),
        ):
            if wanted and name in stages:
                message = f'"{name}" is the name of the stage {what} "{artifact.name}"'
                yield ctx.key("E063", stages[name].path, message, "choose another name")
    yield from _downloads(ctx)
    images: list[tuple[str, Path]] = [(ctx.app.image.base, ("image", "base"))]
    images += [(a.copy.image, (*a.path, "from", "image")) for a in ctx.app.artifacts if a.copy]
    images += [(a.build.image, (*a.path, "build", "image")) for a in ctx.app.artifacts if a.build]
    images += [
        (a.libraries, (*a.path, "libraries"))
        for a in ctx.app.artifacts
        if ctx.data["artifacts"][a.name].get("libraries")
    ]
    for image, place in images:
        if image in stages:
            message = f'"{image}" would mean the artifact of that name, not the image'
            other_place = (stages[image].path, "the artifact")
            yield ctx.at("E063", place, message, f"give the image a tag: {image}:VERSION", other_place)
        elif image.isdigit():
            message = f'"{image}" would mean the stage of that number, not an image'
            yield ctx.at("E063", place, message, f"give the image a tag: {image}:VERSION")


def _fetched(ctx: Context, artifact: Artifact) -> Iterator[Problem]:
    fetch, path = artifact.fetch, (*artifact.path, "fetch")
    if not fetch:
        return
    if fetch.path and not fetch.unpack:
        message = "path names something in an archive, but nothing is unpacked"
        yield ctx.key("E065", (*path, "path"), message, "add unpack: true")
    sums = dict(fetch.checksums)
    if "{arch}" in fetch.url and "" in sums:
        message = "one checksum cannot fit the files of several architectures"
        yield ctx.at("E065", (*path, "sha256"), message, "write {amd64: ..., arm64: ...}")
    for platform in ctx.app.image.platforms if "" not in sums else ():
        architecture = platform.rpartition("/")[2]
        if architecture not in sums:
            message = f"there is no checksum for {architecture}, which image.platforms asks for"
            other = (("image", "platforms"), "the platforms")
            yield ctx.at("E065", (*path, "sha256"), message, f"add {architecture}: with the file's SHA-256", other)


def _downloads(ctx: Context) -> Iterator[Problem]:
    """One download with two checksums: whatever is there, one of the two builds fails."""
    known: dict[tuple[str, str], tuple[str, Path]] = {}
    for artifact in ctx.app.artifacts:
        path = (*artifact.path, "fetch", "sha256")
        for architecture, total in artifact.fetch.checksums if artifact.fetch else ():
            url = artifact.fetch.url.replace("{arch}", architecture) if artifact.fetch else ""
            # A checksum without an architecture is for all of them.
            for alike in (architecture, "") if architecture else (_ANY,):
                other, place = known.get((url, alike), (total, path))
                if other != total and place != path:
                    message = f'"{url}" has another checksum elsewhere'
                    yield ctx.at("E065", path, message, "keep the right one in both places", (place, "the other"))
                    break
            for alike in (architecture, _ANY):
                known.setdefault((url, alike), (total, path))


def _built(ctx: Context, artifact: Artifact) -> Iterator[Problem]:
    for index, cache in enumerate(artifact.build.caches if artifact.build else ()):
        if not cache.startswith("/") and cache not in CACHES:
            yield ctx.unknown("E062", (*artifact.path, "build", "cache", index), "cache", cache, CACHES)


def _linked(ctx: Context, artifact: Artifact) -> Iterator[Problem]:
    path, libc = artifact.path, ctx.app.image.family.libc
    hint = "add libraries: with an image it runs on, such as debian:bookworm-slim"
    if artifact.libc == "musl" and libc == "glibc":
        message = f'"{artifact.name}" needs musl, and "{ctx.app.image.base}" has glibc'
        yield ctx.at("E064", (*path, "libc"), message, "link it statically (libc: static), or use an Alpine base")
    elif artifact.libc != "glibc" and "libraries" in ctx.data["artifacts"][artifact.name]:
        message = f'"{artifact.name}" is not said to need libraries'
        yield ctx.key("E064", (*path, "libraries"), message, "add libc: glibc, or remove libraries")
    elif artifact.libc == "glibc" and libc == "musl" and not artifact.libraries:
        message = f'where the glibc libraries of "{artifact.name}" come from is not said'
        yield ctx.at("E064", (*path, "libc"), message, hint)
    elif artifact.libc == "glibc" and libc == "musl" and "alpine" in artifact.libraries:
        where = "libraries" if "libraries" in ctx.data["artifacts"][artifact.name] else "libc"
        yield ctx.at("E064", (*path, where), f'"{artifact.libraries}" has no glibc to copy', hint)


def _executed(ctx: Context, artifact: Artifact) -> Iterator[Problem]:
    """Whoever runs it may execute it."""
    for service in ctx.app.services:
        runs = artifact.holds(service.program)
        if runs and artifact.mode and not permits(artifact.mode, artifact.owner, service.user, EXECUTE):
            message = f'"{service.name}" runs it as {service.user}, whom mode {artifact.mode} does not let execute it'
            hint = "write mode: '0755'" + ("" if service.user == artifact.owner else f", or owner: {service.user}")
            yield ctx.at("E075", (*artifact.path, "mode"), message, hint, (service.path, "the service"))


def _packed(ctx: Context, artifact: Artifact) -> Iterator[Problem]:
    path = (*artifact.path, "compress")
    if artifact.compress and not ctx.app.state:
        message = f'there is no volume onto which "{artifact.name}" could be unpacked'
        yield ctx.key("E068", path, message, "add a volume, or remove compress")
    if artifact.compress and artifact.precompress:
        message = f'"{artifact.name}" is either a directory for the gateway or a single file to unpack'
        yield ctx.key("E068", path, message, "remove precompress or compress")
    place = (*artifact.path, "volume")
    if artifact.volume and not artifact.compress:
        message = f'"{artifact.name}" is not stored compressed, so that nothing is unpacked onto a volume'
        yield ctx.key("E068", place, message, "add compress, or remove volume")
    elif artifact.volume and artifact.volume not in {volume.name for volume in ctx.app.volumes}:
        yield ctx.unknown("E068", place, "volume", artifact.volume, (volume.name for volume in ctx.app.volumes))


def _copied(file: File, service: Service) -> bool:
    return bool(file.source) and not file.target.startswith(f"{service.run}/")


def destinations(ctx: Context) -> Iterator[Problem]:
    """No two things go to one place, and nothing to where it would hide something or be hidden."""
    named = [(artifact.install, (*artifact.path, "install"), artifact.path) for artifact in ctx.app.artifacts]
    named += [(f.target, f.path, f.path) for service in ctx.app.services for f in service.files if _copied(f, service)]
    covers: dict[str, tuple[str, Path]] = {"/tmp": ("/tmp", ()), "/run": ("/run", ()), "/var/run": ("/run", ())}  # noqa: S108 - names, not files
    covers |= {volume.mount: (f'the volume "{volume.name}"', (*volume.path, "mount")) for volume in ctx.app.volumes}
    for service in ctx.app.services:
        for index, directory in enumerate(service.writable):
            what = f'the writable directory {directory} of "{service.name}"'
            covers.setdefault(directory, (what, (*service.path, "writable", index)))
    places: dict[str, Path] = {}
    for target, path, whole in named:
        first = places.setdefault(target, whole)
        if first != whole:
            message = f"{target} is the destination of two things"
            yield ctx.at("E063", path, message, "give one of them another destination", (first, "the other one"))
        hiding = next((covers[above] for above in (target, *parents(target)) if above in covers), None)
        if hiding:
            what, place = hiding
            message = f"{target} would be hidden: {what} lies over it when the container runs"
            other = (place, "this lies over it") if place else None
            yield ctx.at("E061", path, message, "install it somewhere else", other)
        elif target in SYSTEM:
            yield ctx.at("E063", path, f"{target} is a directory of the system", f"name what it is: {target}/NAME")
        elif any(above in (ctx.app.library, ctx.app.share) for above in (target, *parents(target))):
            message = f"{target} belongs to the scripts of the container itself"
            yield ctx.at("E063", path, message, "install it somewhere else")
