"""Escape hatches: outputs that are switched off, replaced or added to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.extras import check_extra
from compiler.outputs import OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiler.errors import Problem
    from compiler.model import Path
    from compiler.rules.context import Context

NEEDED = (
    *("Dockerfile", "entrypoint.sh", "start-service.sh", "watch-service.sh", "listener.sh", "supervisord.py"),
    *("supervisord.conf", "nginx.conf", "database.sh", "settle.sh", "trim.py", "inspect.sh"),
)
"""Outputs that others refer to, so that they cannot be switched off."""

LISTS = ("ports", "volumes", "tmpfs", "cap_add", "security_opt")


def outputs(ctx: Context) -> Iterator[Problem]:
    """Outputs that are switched off or replaced exist, and nobody else needs them."""
    known = [output.name for output in OUTPUTS]
    for name, wanted in ctx.data.get("outputs", {}).items():
        if name not in known:
            hint = ctx.near(name, known, "")
            yield ctx.key("E092", ("outputs", name), f'there is no output "{name}"', hint)
        elif wanted is False and name in NEEDED:
            message = f"the image needs {name}"
            yield ctx.at("E092", ("outputs", name), message, "name a template of your own instead of false")


def extras(ctx: Context) -> Iterator[Problem]:
    """Raw text goes into an output that there is, and does not break it as far as can be seen."""
    by_name = {output.name: output for output in OUTPUTS}
    for extra in ctx.app.extra:
        output = by_name.get(extra.output)
        if output and not output.needed(ctx.app):
            hint = f"remove it{', or add a service with preset: nginx' if extra.output == 'nginx.conf' else ''}"
            yield ctx.key("E091", extra.path, f"this spec has no {extra.output}", hint)
            continue
        for message, hint in check_extra(extra.output, extra.point, extra.text):
            yield ctx.key("E091", extra.path, message, hint)


def overlay(ctx: Context) -> Iterator[Problem]:
    """Keys for the Compose file can be merged into what is generated."""
    here: Path = ("extra", "docker-compose.yml")
    for key in ctx.app.overlay.service:
        if key.name in LISTS and not (key.items and key.sequence):
            yield ctx.key("E091", (*here, "service", key.name), f"{key.name} is added to a list", "write it as a list")
        elif key.name == "environment" and (key.sequence or not key.items):
            message = "environment is added to keys with values"
            yield ctx.key("E091", (*here, "service", key.name), message, "write NAME: value, without dashes")
    for key in ctx.app.overlay.top:
        if key.name in ("name", "services"):
            hint = "use extra.docker-compose.yml.service for keys of the service"
            yield ctx.key("E091", (*here, "top", key.name), f"{key.name} is generated", hint)
