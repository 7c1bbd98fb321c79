"""The one list of generated files: name, mode, and when a spec needs it. A template has the same name with ``.j2``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from compiler.model import App


class Output(NamedTuple):
    """One generated file."""

    name: str
    mode: int
    needed: Callable[[App], bool]


def _always(_: App) -> bool:
    return True


def _supervised(app: App) -> bool:
    return app.supervised


def _trimmed(app: App) -> bool:
    return app.image.trim and app.supervised


def _inspected(app: App) -> bool:
    return bool(app.inspected)


BUILD_ONLY = ("settle.sh", "trim.py", "inspect.sh")
"""What a Dockerfile runs, and the image does not keep."""

OUTPUTS = (
    Output("Dockerfile", 0o644, _always),
    Output("Dockerfile.dockerignore", 0o644, _always),
    Output("Dockerfile.local", 0o644, _always),
    Output("Dockerfile.local.dockerignore", 0o644, _always),
    Output(".dockerignore", 0o644, _always),
    Output("docker-compose.yml", 0o644, _always),
    Output(".env", 0o644, _always),
    Output("supervisord.conf", 0o644, _supervised),
    Output("nginx.conf", 0o644, lambda app: app.gateway is not None),
    Output("entrypoint.sh", 0o755, _always),
    Output("start-service.sh", 0o755, _always),
    Output("watch-service.sh", 0o755, lambda app: bool(app.watched)),
    Output("supervisord.py", 0o755, _supervised),
    Output("listener.sh", 0o755, _supervised),
    Output("database.sh", 0o755, lambda app: app.database is not None),
    Output("settle.sh", 0o755, _always),
    Output("trim.py", 0o755, _trimmed),
    Output("inspect.sh", 0o755, _inspected),
)
