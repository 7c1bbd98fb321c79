"""Texts with ``${...}`` -> values, and a problem for each reference that means nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compiler import values as v
from compiler.errors import Problem
from compiler.nearest import nearest

if TYPE_CHECKING:
    import re

    from compiler.errors import Mark
    from compiler.model import Origins
    from compiler.values import Value

Path = tuple["str | int", ...]
Data = dict[str, Any]
Meanings = dict[str, "str | v.Secret | v.Setting"]


MANY = 10_000


def text(value: Any) -> str:
    """A scalar as it was written: ``true`` for a switch, the digits of a number."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


class References:
    """Resolves ``${...}``; collects a problem, with its place, for each that means nothing."""

    def __init__(self, data: Data, origins: Origins, home: dict[str, str], database: str) -> None:
        """Take a spec with its places, the data directory of each service, and the database's file, if there is one."""
        self._data, self._origins, self._home = data, origins, home
        self._shared = self._of_all(database)
        self._own: dict[str, Meanings] = {}
        self._beginnings: dict[str, list[str]] = {}
        for secret in data.get("secrets", {}):
            for end, character in enumerate(secret):
                if character == "_":
                    self._beginnings.setdefault(secret[:end], []).append(secret)
        self.problems: list[Problem] = []

    def __call__(self, raw: Any, path: Path, service: str = "", *, secrets: bool = True) -> Value:
        """The value of a text at ``path``; ``self`` is ``service``; ``secrets`` may be known at the start only."""
        content = text(raw)
        if "${" not in content:
            return v.literal(content)
        if service not in self._own:
            self._own[service] = self._of_self(service) if service else {}
        own = self._own[service]
        pieces: list[str | v.Secret | v.Setting] = []
        end = 0
        for match in v.REFERENCE.finditer(content):
            pieces.append(content[end : match.start()])
            end = match.end()
            doubled, name, closed = match.groups()
            piece = "${" if doubled else (own.get(name) or self._shared.get(name)) if closed else None
            if piece is None:
                self._unknown(match, name, own, path)
            elif isinstance(piece, v.Secret) and not secrets:
                self._problem("E045", "a secret cannot stand here", path, "it would be written into a committed file")
            elif isinstance(piece, v.Setting) and not secrets:
                self._problem(
                    "E045", "a setting cannot stand here", path, "the engine would not fill it in: write a value"
                )
            else:
                pieces.append(piece)
        pieces.append(content[end:])
        return v.join(pieces)

    def _problem(self, code: str, message: str, path: Path, hint: str) -> None:
        self.problems.append(Problem(code, message, self._origins.value(path), hint, path=path))

    def _unknown(self, match: re.Match[str], name: str, own: Meanings, path: Path) -> None:
        # Thousands of unknown names among thousands of known ones would take minutes.
        if name == "services" and len(self._data["services"]) == 1:
            message = "${services} is written by the supervisor, and a container of one service has none"
            self._problem("E067", message, path, "remove it, or add a service")
            return
        near = nearest(name, [*own, *self._shared]) if len(self.problems) * len(self._shared) < MANY else None
        hint = f"did you mean ${{{near}}}? A literal" if near else "a literal"
        self._problem("E044", f"{match.group()} refers to nothing", path, f"{hint} ${{ is written $${{")
        problem = self.problems[-1]
        self.problems[-1] = problem._replace(mark=_within(problem.mark, match))

    def _of_all(self, database: str) -> Meanings:
        """What every text may refer to."""
        data = self._data
        meanings: Meanings = {"app.name": data["name"]}
        if database:
            meanings["database"] = database
        if len(data["services"]) > 1:
            meanings["services"] = f"/run/{data['name']}/services"
        meanings |= {f"volume.{name}": volume["mount"] for name, volume in data.get("volumes", {}).items()}
        meanings |= {f"artifact.{name}": artifact["install"] for name, artifact in data.get("artifacts", {}).items()}
        meanings |= {f"secret.{name}": v.Secret(name) for name in data.get("secrets", {})}
        meanings |= {f"setting.{name}": v.Setting(name) for name in data.get("settings", {})}
        for name in data["services"]:
            meanings |= {f"service.{name}.{field}": value for field, value in self._of_service(name).items()}
        return meanings

    def _of_service(self, name: str) -> dict[str, str]:
        """What others may know of a service."""
        port, home = self._data["services"][name].get("port"), self._home.get(name)
        known = {"host": "127.0.0.1"}
        if port:
            known |= {"port": str(port), "address": f"127.0.0.1:{port}"}
        return known | ({"data": home} if home else {})

    def _of_self(self, name: str) -> Meanings:
        """What a service knows of itself: also its account, its run directory and the secrets named after it."""
        service = self._data["services"][name]
        own: Meanings = {f"self.{field}": value for field, value in self._of_service(name).items()}
        own |= {"self.name": name, "self.user": service.get("user", "root")}
        own["self.run"] = f"/run/{self._data['name']}/{name}"
        if "memory" in service:
            own["self.memory"] = str(v.size(service["memory"]))
        beginning = name.replace("-", "_")
        for secret in self._beginnings.get(beginning, ()):
            own[f"self.secret.{secret[len(beginning) + 1 :]}"] = v.Secret(secret)
        return own


def _within(mark: Mark | None, match: re.Match[str]) -> Mark | None:
    """The place of a part of a text, if the text stands in the spec as it is, quoted or not; otherwise of the whole."""
    if mark is None or "\n" in match.string:
        return mark
    quotes = mark.length - len(match.string)
    if quotes not in (0, 2):
        return mark
    return mark._replace(column=mark.column + quotes // 2 + match.start(), length=len(match.group()))
