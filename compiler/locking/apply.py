"""A model and its lock -> the model that is built from just what the lock pins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.locking.lockfile import VIRTUAL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from compiler.locking.lockfile import Lock
    from compiler.model import App, Artifact


def pinned(app: App, lock: Lock) -> App:
    """The model with the digest of each image and the version of each package that only the lock has."""
    base = app.image.base
    family = app.image.family
    packers = {name: _versions(lock, base, packages) for name, packages in family.packers.items()}
    image = app.image._replace(
        base=_image(lock, base),
        packages=_versions(lock, base, app.packages),
        family=family._replace(packers=packers),
    )
    return app._replace(image=image, artifacts=tuple(_artifact(lock, artifact) for artifact in app.artifacts))


def _artifact(lock: Lock, artifact: Artifact) -> Artifact:
    build, copy = artifact.build, artifact.copy
    if build:
        build = build._replace(image=_image(lock, build.image), packages=_versions(lock, build.image, build.packages))
    if copy:
        copy = copy._replace(image=_image(lock, copy.image))
    return artifact._replace(build=build, copy=copy, libraries=_image(lock, artifact.libraries))


def _image(lock: Lock, name: str) -> str:
    pin = lock.images.get(name)
    return f"{name}@{pin.digest}" if pin and "@" not in name else name


def _versions(lock: Lock, image: str, packages: Iterable[str]) -> tuple[str, ...]:
    pins = {name: version for name, version in lock.packages.get(image, {}).items() if version != VIRTUAL}
    return tuple(f"{name}={pins[name]}" if name in pins else name for name in packages)
