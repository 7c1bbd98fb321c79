"""What image.trim would take away from somebody: the Python that more than the supervisor uses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from compiler.values import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiler.errors import Problem
    from compiler.model import Path, Service
    from compiler.rules.context import Context
    from compiler.values import Value

    Found = Iterator[tuple[str, Path]]

PACKAGE = re.compile(r"py(thon)?3?-|python3?([=~<>.@\d]|$)|(gunicorn|uvicorn)([=~<>@]|$)")
PROGRAM = re.compile(
    r"(?:^|\bexec\s+|[;&|(]\s*)(?:/\S*/)?(?:(?:python|pip|gunicorn|uvicorn)[\d.]*|[^\s/]+\.py)(?:\s|$)"
)
WORD = re.compile(r"\b(python3?|pip3?|py3-\w+)\b")


def trim(ctx: Context) -> Iterator[Problem]:
    """Nobody but the supervisor needs Python, as far as the spec tells. The build asks the packages, too."""
    if not ctx.app.image.trim:
        return
    if not ctx.app.supervised:
        message = "there is no supervisor in a container of one service, and so no Python to trim"
        yield ctx.key("E067", ("image", "trim"), message, "remove trim")
        return
    told = set()
    for user, place in (*_packages(ctx), *_scripts(ctx), *_programs(ctx)):
        # A service is told once, not for each of its packages and commands.
        whole = place[:2] if place[0] == "services" else place
        if whole not in told:
            told.add(whole)
            message = f"{user} needs the Python that trim takes away"
            yield ctx.key("E069", ("image", "trim"), message, "remove trim", (place, "this needs it"))


def _packages(ctx: Context) -> Found:
    for index, package in enumerate(ctx.app.image.packages):
        if PACKAGE.match(package):
            yield f"the package {package}", ("image", "packages", index)
    for service in ctx.app.services:
        for package in service.packages:
            if PACKAGE.match(package):
                yield f'the package {package} of "{service.name}"', (*service.path, "packages")


def _scripts(ctx: Context) -> Found:
    for script in (*ctx.app.first_start, *ctx.app.before_services):
        if script.endswith(".py"):
            yield f"the script {script}", ("hooks",)
    for point in ("packages", "end"):
        if WORD.search(ctx.app.text("Dockerfile", point)):
            yield f"the text {point}", ("extra", "Dockerfile", point)


def _programs(ctx: Context) -> Found:
    if re.search(r"(^|/)python[:@]", ctx.app.image.base):
        # These images have a Python of their own, in /usr/local.
        return
    for service in ctx.app.services:
        for field, command in _commands(service):
            if PROGRAM.search(_run(command)):
                yield f'{field} of "{service.name}"', (*service.path, field)


def _commands(service: Service) -> Iterator[tuple[str, tuple[Value, ...]]]:
    yield "command", service.command
    if service.ready:
        yield "ready", service.ready.command
    if service.alive:
        yield "alive", service.alive.command


def _run(command: tuple[Value, ...]) -> str:
    """The program that a command runs, or the text that its shell does."""
    program, option, text, *_ = (*(plain(word) or "" for word in command), "", "", "")
    return text if option.startswith("-") and option.endswith("c") else program
