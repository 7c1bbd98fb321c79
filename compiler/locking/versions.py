"""The configuration of an image -> the version it says it has; tags -> the newest patch of the same kind."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LABEL = "org.opencontainers.image.version"
_WORD = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,99}")
_PATCH = re.compile(r"(v?\d+\.\d+\.)(\d+)(.*)")


def of(repository: str, config: Mapping[str, Any]) -> str:
    """What GOLANG_VERSION says of golang, NODE_VERSION of node and so on, else the label; empty if nothing says it."""
    inner = config.get("config") or config.get("Config") or {}
    inner = inner if isinstance(inner, dict) else {}
    variable = repository.rpartition("/")[2].upper().replace("-", "_") + "_VERSION="
    said = [line[len(variable) :] for line in _strings(inner.get("Env")) if line.startswith(variable)]
    labels = inner.get("Labels")
    said.append(str(labels.get(LABEL, ""))) if isinstance(labels, dict) else None
    return next((version for version in said if _WORD.fullmatch(version)), "")


def may_have_patches(tag: str) -> bool:
    """Whether a tag names a patch, so that there can be a newer one under another name."""
    return _PATCH.fullmatch(tag) is not None


def newest_patch(tag: str, tags: Iterable[str]) -> str | None:
    """The tag that differs only in a higher third number, such as 3.19.4 for 3.19.1; none if there is none."""
    own = _PATCH.fullmatch(tag)
    if not own:
        return None
    others = [other for other in map(_PATCH.fullmatch, tags) if other and (other[1], other[3]) == (own[1], own[3])]
    best = max(others, key=lambda other: int(other[2][:9]), default=None)
    return best[0] if best and int(best[2][:9]) > int(own[2][:9]) else None


def _strings(values: Any) -> list[str]:
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []
