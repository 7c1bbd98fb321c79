"""What every rule asks of a spec: places, facts about base images, and the words for problems that many rules find."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from compiler.errors import Mark, Problem, Related
from compiler.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from compiler.locking.lockfile import Lock
    from compiler.model import App, Path
    from compiler.size.numbers import Numbers

SYSTEM = (
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys", "/usr", "/var"),
    *("/usr/bin", "/usr/lib", "/usr/local", "/usr/local/bin", "/usr/local/lib", "/usr/sbin", "/usr/share"),
    "/tmp",  # noqa: S108 - a name, not a file
)
"""Directories of the system: what is put over one of them would hide it."""

MANY = 10_000
SHOWN = 30


class Facts(NamedTuple):
    """What is known of images: the base's family and accounts, names its groups take, when support ends, the pins."""

    family: str | None
    accounts: frozenset[str]
    groups: frozenset[str]
    bases: Mapping[str, Any]
    measured: Mapping[str, Numbers] = MappingProxyType({})
    """The sizes of the images that were measured last."""
    packages: Mapping[str, int] = MappingProxyType({})
    """Known sizes of the base's packages, in bytes."""
    lock: Lock | None = None


class Context:
    """What a rule may ask: the model, the spec's data with presets filled in, places, and facts about images."""

    def __init__(self, app: App, data: Mapping[str, Any], facts: Facts) -> None:
        self.app, self.data, self.facts = app, data, facts
        self.services = {service.name: service for service in app.services}
        self._compared = 0

    def at(self, code: str, path: Path, message: str, hint: str = "", other: tuple[Path, str] | None = None) -> Problem:
        """A problem at the value of ``path``, with a second place if two clash."""
        return self._placed(self.app.origins.value(path), Problem(code, message, None, hint, path=path), other)

    def key(
        self, code: str, path: Path, message: str, hint: str = "", other: tuple[Path, str] | None = None
    ) -> Problem:
        """A problem at the key of ``path``."""
        return self._placed(self.app.origins.key(path), Problem(code, message, None, hint, path=path), other)

    def _placed(self, mark: Mark | None, problem: Problem, other: tuple[Path, str] | None) -> Problem:
        related = []
        second = self.place(other[0]) if other else None
        if other and second and second != mark:
            related.append(Related(other[1], second))
        chosen = self.app.origins.inherited(mark, problem.path)
        if mark and chosen:
            # The user can change the line that chose the preset, not the preset's.
            related.append(Related("the preset says so here", mark))
            mark = chosen
        return problem._replace(mark=mark, related=tuple(related))

    def place(self, path: Path) -> Mark | None:
        """Where the user wrote what is at ``path``, its key if much stands under it, or chose the preset that did."""
        data: Any = self.data
        for step in path:
            data = (data if isinstance(data, dict) else dict(enumerate(data or ()))).get(step)
        single = isinstance(data, (str, int))
        mark = self.app.origins.value(path) if single else self.app.origins.key(path)
        return self.app.origins.inherited(mark, path) or mark

    def line(self, path: Path) -> tuple[bool, int, int]:
        """The order of places in the spec; those in presets come last."""
        mark = self.app.origins.value(path)
        return (mark.file != self.app.origins.name, mark.line, mark.column) if mark else (True, 0, 0)

    def near(self, name: str, known: Iterable[str], none: str) -> str:
        """A hint for a name that is not known: the nearest one, or all, or what to say where there is none."""
        if self._compared > MANY:
            # Thousands of unknown names among thousands of known ones would take minutes.
            return ""
        names = sorted(known)
        self._compared += len(names)
        meant = nearest(name, names)
        if meant:
            return f'did you mean "{meant}"?'
        if not names:
            return none
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return f"there {'is' if len(names) == 1 else 'are'} {', '.join(names[:SHOWN])}{more}"

    def unknown(self, code: str, path: Path, kind: str, name: str, known: Iterable[str]) -> Problem:
        """A name that does not exist, with the nearest that does."""
        none = f"there is no {kind} to choose from: declare one, or remove this"
        return self.at(code, path, f'there is no {kind} "{name}"', self.near(name, known, none))

    def secret(self, path: Path, name: str) -> Iterator[Problem]:
        """A problem if there is no such secret."""
        declared = self.data.get("secrets", {})
        if name not in declared:
            none = f"declare it: secrets: {{{name}: {{}}}}"
            yield self.at("E058", path, f'there is no secret "{name}"', self.near(name, declared, none))

    def on_volume(self, path: str) -> bool:
        """Whether a path lies on a volume."""
        return any(path == volume.mount or path.startswith(f"{volume.mount}/") for volume in self.app.volumes)

    def one_of(
        self, code: str, path: Path, what: str, keys: tuple[str, ...], *, needed: bool = False
    ) -> Iterator[Problem]:
        """At most, or exactly, one of some keys in the mapping at ``path``."""
        data: Any = self.data
        for step in path:
            data = data.get(step, {})
        given = [key for key in keys if key in data]
        if len(given) > 1:
            message = f'{what} has both "{given[0]}" and "{given[1]}"'
            other = ((*path, given[0]), f'"{given[0]}" stands here')
            yield self.key(code, (*path, given[1]), message, "keep one of them", other)
        elif needed and not given:
            yield self.key(code, path, f"{what} has none of {listed(keys)}", f"add {keys[0]}: or one of the others")


def listed(words: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def parents(path: str) -> Iterator[str]:
    """Every directory above an absolute path, the nearest first, without the root."""
    while path := path.rpartition("/")[0]:
        yield path
