"""The size budget: whom it names, and whether what was measured last, with what the spec adds since, still fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiler.errors import Problem
    from compiler.model import Path
    from compiler.rules.context import Context

SHOWN = 3


def budgets(ctx: Context) -> Iterator[Problem]:
    """Budgets are of services that there are, and of more than nothing."""
    for name, *limits in ctx.app.image.budget_services:
        path = ("image", "budget", "services", name)
        if name not in ctx.services:
            yield ctx.unknown("E130", path, "service", name, ctx.services)
        elif 0 in limits:
            yield ctx.at("E089", path, "no service takes no bytes at all", "for example 20MB")


def measured(ctx: Context) -> Iterator[Problem]:
    """What was measured, and the known sizes of the packages that the spec asks for since, fit into the budget."""
    budget = ctx.app.image.budget
    if budget is None or not ctx.facts.measured:
        return
    from compiler.size import numbers

    found = {
        flavour: prediction
        for flavour, before in ctx.facts.measured.items()
        if (prediction := numbers.predict(ctx.app, before, ctx.facts.packages))
    }
    flavour = max(found, key=lambda name: found[name].least, default=None)
    if flavour is None or found[flavour].least <= budget:
        return
    least, added = found[flavour]
    before = ctx.facts.measured[flavour].uncompressed
    message = f"the {flavour} image takes {before:,} bytes, of {budget:,}"
    if added:
        names = ", ".join(f"{name} {size:,}" for name, size in added[:SHOWN])
        more = f" and {len(added) - SHOWN} more" if len(added) > SHOWN else ""
        message = (
            f"the {flavour} image will take at least {least:,} bytes, of {budget:,}: {before:,} were measured last, "
            f"and the spec adds {names}{more}"
        )
    elif least != before:
        message = (
            f"the {flavour} image will take at least {least:,} bytes, of {budget:,}: {before:,} were measured last"
        )
    whole = isinstance(ctx.data["image"]["budget"], str)
    path: Path = ("image", "budget") if whole else ("image", "budget", "uncompressed")
    yield ctx.at("W030", path, message, "appos-compile size says whose the bytes are, and --keep notes new ones")
