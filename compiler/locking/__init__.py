"""Pins: what a spec is built from, exactly, kept in a file beside it so that the same commit gives the same image."""

from __future__ import annotations
