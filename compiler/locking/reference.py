"""The name of an image -> which registry has it, and under which name and tag.

The rules are those of the engines (https://pkg.go.dev/github.com/distribution/reference): a first part with a dot, a
colon or the word localhost is a registry; without one it is Docker Hub, where a name of one part lies in library/.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

HUB = "docker.io"


class Reference(NamedTuple):
    """An image at a registry; ``registry`` is the name that people use, with its port."""

    registry: str
    repository: str
    tag: str
    digest: str


def parse(name: str) -> Reference:
    """Read a name that fits the spec's schema."""
    rest, _, digest = name.partition("@")
    first, slash, others = rest.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, rest = first, others
    else:
        registry = HUB
    head, colon, tag = rest.rpartition(":")
    repository, tag = (head, tag) if colon and "/" not in tag else (rest, "latest")
    if registry in (HUB, "index.docker.io"):
        registry = HUB
        repository = repository if "/" in repository else f"library/{repository}"
    return Reference(registry, repository, tag, digest)


def is_loopback(host: str) -> bool:
    """Whether a host, with or without a port, is this machine."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name == "localhost"
