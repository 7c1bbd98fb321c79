"""Who needs which package: the model and the packages of an image -> all who ask for each, directly or not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from compiler.size.report import COMPILER, IMAGE_PACKAGES, Owner

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from compiler.image.packages import Package
    from compiler.model import App

DATABASE = Owner("extra", "database")
TIMEZONE = Owner("extra", "timezone")


def asked(app: App) -> dict[Owner, tuple[str, ...]]:
    """The packages that each asks for by name, without versions."""
    family = app.image.family
    wanted: dict[Owner, list[str]] = {}

    def add(owner: Owner, packages: Iterable[str]) -> None:
        wanted.setdefault(owner, []).extend(map(_name, packages))

    for service in app.services:
        add(Owner("service", service.name), service.packages)
    for artifact in app.packed:
        add(Owner("artifact", artifact.name), family.unpackers[artifact.compress])
    add(IMAGE_PACKAGES, app.image.packages)
    if app.supervised:
        add(COMPILER, family.supervisor_packages)
    if any(command[0] == family.http_probe[0] for command in app.probes):
        add(COMPILER, family.http_packages)
    if app.database:
        add(DATABASE, family.database_packages)
    if app.image.timezone:
        add(TIMEZONE, family.timezone_packages)
    return {owner: tuple(packages) for owner, packages in wanted.items() if packages}


def _name(package: str) -> str:
    return re.split(r"[<>=~@:/]", package, maxsplit=1)[0]


def demand(wanted: Mapping[Owner, Sequence[str]], packages: Sequence[Package]) -> dict[str, tuple[Owner, ...]]:
    """All who need each package, by its name, in the order of ``wanted``."""
    providers = _providers(packages)
    known = {package.name: package for package in packages}
    reached = {owner: _closure(names, known, providers) for owner, names in wanted.items()}
    followers = [package for package in packages if package.install_if]
    changed = True
    while changed:
        changed = False
        for package in followers:
            # What comes along by itself is for those who need all that it comes along with.
            for names in reached.values():
                hosted = all(names.intersection(providers.get(word, ())) for word in package.install_if)
                if hosted and package.name not in names:
                    names.update(_closure([package.name], known, providers))
                    changed = True
    return {
        package.name: tuple(owner for owner, names in reached.items() if package.name in names) for package in packages
    }


def _providers(packages: Sequence[Package]) -> dict[str, list[str]]:
    """The packages that satisfy each word of a dependency: by name, by what they provide, by a file they have."""
    found: dict[str, list[str]] = {}
    for package in packages:
        for word in (package.name, *package.provides):
            found.setdefault(word, []).append(package.name)
    for package in packages:
        for path in package.files:
            # A dependency may be a path, such as that of a shell.
            if "/bin/" in path:
                found.setdefault(path, []).append(package.name)
    return found


def _closure(names: Iterable[str], known: Mapping[str, Package], providers: Mapping[str, Sequence[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = [package for name in names for package in ([name] if name in known else providers.get(name, ()))]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        for group in known[name].depends:
            chosen = next((word for word in group if word in known), None)
            if chosen:
                waiting.append(chosen)
            else:
                waiting += next((providers[word] for word in group if word in providers), ())
    return reached
