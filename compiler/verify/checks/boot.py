"""What comes before everything else: an image, and a container that is healthy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.verify.result import FailedError

if TYPE_CHECKING:
    from compiler.verify.trial import Trial


def build(trial: Trial) -> str:
    """The image, with the engine's own cache."""
    trial.build()
    return f"{trial.size() / 1e6:.1f} MB"


def healthy(trial: Trial) -> str:
    """The first start, on empty volumes."""
    limit = trial.app.health.start / 1000
    took = trial.boot()
    if limit and took > limit:
        raise FailedError(f"healthy within {limit:.0f} s", f"healthy after {took:.1f} s", ("health",))
    return f"healthy after {took:.1f} s" + (f" of {limit:.0f} s" if limit else "")
