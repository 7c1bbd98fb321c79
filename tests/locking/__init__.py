"""Locks: against Debian's docker-registry on loopback, and against servers that misbehave."""

from __future__ import annotations
