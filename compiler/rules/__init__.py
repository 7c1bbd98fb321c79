"""A model -> the problems that no schema can see: what clashes, what leads nowhere, what could not work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compiler.rules import gateway, image, limits, locking, outputs, processes, sizes, storage, trim
from compiler.rules.context import Context, Facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from compiler.errors import Problem
    from compiler.model import App, Path

RULES: tuple[Callable[[Context], Iterator[Problem]], ...] = (
    image.names,
    image.base,
    image.artifacts,
    image.destinations,
    trim.trim,
    processes.services,
    processes.order,
    processes.listening,
    processes.accounts,
    gateway.routes,
    gateway.health,
    storage.volumes,
    storage.kept,
    storage.directories,
    storage.variables,
    storage.environments,
    storage.hooks,
    storage.secrets,
    storage.needed,
    sizes.budgets,
    sizes.measured,
    limits.sizes,
    limits.times,
    outputs.outputs,
    outputs.extras,
    outputs.overlay,
    locking.pins,
)

__all__ = ["RULES", "Facts", "check"]


def check(app: App, data: Mapping[str, Any], facts: Facts) -> tuple[Problem, ...]:
    """Every problem of the model that the spec does not silence; ``data`` is the spec with its presets filled in."""
    context = Context(app, data, facts)
    found = [problem for rule in RULES for problem in rule(context)]
    silenced: set[int] = set()
    for index, silence in enumerate(data.get("silence", ())):
        at = _path(data, silence.get("at", ""))
        code = silence["code"]
        hit = {i for i, problem in enumerate(found) if problem.code == code and problem.path[: len(at)] == at}
        silenced |= hit
        if not hit:
            where = f' at "{silence["at"]}"' if "at" in silence else ""
            places = [".".join(map(str, problem.path)) for problem in found if problem.code == code]
            hint = f"it stands at {places[0]}" if places else "remove the entry"
            path: Path = ("silence", index, "at") if places and where else ("silence", index, "code")
            found.append(context.at("W010", path, f"there is no {code}{where} to silence", hint))
    return tuple(problem for i, problem in enumerate(found) if i not in silenced)


def _path(data: Any, dotted: str) -> Path:
    """A dotted path as the keys it means; keys may hold dots themselves, so the longest that fits wins."""
    path: list[str | int] = []
    rest = dotted
    while rest:
        if isinstance(data, dict):
            fitting = [key for key in data if rest == key or rest.startswith(f"{key}.")]
            step: str | int = max(fitting, key=len) if fitting else rest
            if not fitting:
                return (*path, rest)
            rest = rest[len(str(step)) + 1 :]
        elif isinstance(data, list) and rest.partition(".")[0].isdigit() and int(rest.partition(".")[0]) < len(data):
            head, _, rest = rest.partition(".")
            step = int(head)
        else:
            return (*path, rest)
        data = data[step]
        path.append(step)
    return tuple(path)
