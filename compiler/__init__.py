"""Compiles one declarative spec into every build file of an all-in-one container."""

from __future__ import annotations

__version__ = "0.1.0"
