"""The lab: a real engine, and what the Dockerfiles pull, made from packages where no registry of images can be reached.

For tests only. ``LAB=off`` in the environment leaves images to the engine, which pulls the real ones.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.lab import engines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.lab.engines import Engine

CONVEX = "ghcr.io/get-convex/convex-backend:33cef775a8a6228cbacee4a09ac2c4073d62ed13"
"""The image that the flagship takes Convex from."""

IMAGES = ("alpine:3.19", "node:20-alpine", "golang:1.22-alpine", "debian:bookworm-slim", CONVEX)
"""What the flagship's Dockerfiles name."""


def engine() -> Engine | None:
    """The engine that answers: this machine's own, or the one that the lab started; none is started here."""
    return engines.usual() or engines.started()


def ensure_images(names: Iterable[str] = IMAGES, on: Engine | None = None) -> None:
    """Make those of the images that the engine has not, or has from other material; quick when all are there."""
    if os.environ.get("LAB") == "off":
        return
    # Not before it is needed: what makes images is much to load.
    from tests.lab import images

    images.ensure(on or engine() or engines.start("26"), list(names))
