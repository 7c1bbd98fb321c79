"""Sizes and times that no container could live with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler import values as v

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiler.errors import Problem
    from compiler.model import Path
    from compiler.rules.context import Context

LEAST_MEMORY = 6 * 2**20
"""What engines allow at least: https://docs.docker.com/engine/containers/resource_constraints/#limit-a-containers-access-to-memory"""

LONGEST_STOP = 3600
LONGEST_START = 24 * 3600


def sizes(ctx: Context) -> Iterator[Problem]:
    """Limits leave room for what they limit."""
    for field, limit in (("uncompressed", ctx.app.image.budget), ("compressed", ctx.app.image.budget_compressed)):
        if limit == 0:
            whole = isinstance(ctx.data["image"]["budget"], str)
            path: Path = ("image", "budget") if whole else ("image", "budget", field)
            yield ctx.at("E089", path, "an image of no bytes cannot be", "for example 100MB")
    needs = sum(service.memory or 0 for service in ctx.app.services)
    given = "memory" in ctx.data.get("limits", {})
    if given and ctx.app.memory is not None and ctx.app.memory < max(needs, LEAST_MEMORY):
        message = (
            f"the services alone need {needs // 10**6}MB"
            if needs > LEAST_MEMORY
            else "no container may have less than 6MiB"
        )
        yield ctx.at(
            "E089",
            ("limits", "memory"),
            message,
            "raise the limit, or lower memory: of a service" if needs > LEAST_MEMORY else "for example 256MB",
        )
    for service in ctx.app.services:
        if service.memory == 0:
            yield ctx.at("E089", (*service.path, "memory"), "no service runs without memory", "for example 64MB")
    if ctx.app.cpus and float(ctx.app.cpus) == 0:
        yield ctx.at("E089", ("limits", "cpus"), "nothing runs on no processor", "for example 1.5")


def times(ctx: Context) -> Iterator[Problem]:
    """Durations are neither nothing where something must happen, nor longer than anybody waits."""
    for service in ctx.app.services:
        if service.grace > LONGEST_STOP:
            message = f'stopping "{service.name}" may take longer than an hour, and nobody waits that long'
            yield ctx.at("E089", (*service.path, "stop", "grace"), message, "for example 30s")
        timeout = ctx.data["services"][service.name].get("ready", {}).get("timeout")
        if timeout and not 0 < v.milliseconds(timeout) <= LONGEST_START * 1000:
            message = f'"{service.name}" must be given between 1ms and 24h to become ready, not {timeout}'
            yield ctx.at("E089", (*service.path, "ready", "timeout"), message, "for example 60s")
    for field, example in (("interval", "2s"), ("timeout", "3s"), ("start", "60s")):
        value = ctx.data.get("health", {}).get(field)
        if value and not v.milliseconds(value):
            message = f"{field} cannot be nothing: engines want at least 1ms"
            yield ctx.at("E089", ("health", field), message, f"for example {example}")
    for route in ctx.app.routes:
        value = ctx.data["routes"][route.match].get("timeout")
        if value and not v.milliseconds(value):
            message = "no service answers in no time"
            yield ctx.at("E089", (*route.path, "timeout"), message, "for example 60s")
