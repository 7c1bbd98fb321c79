"""What this machine knows of registries: mirrors, who may be asked without encryption, and additional authorities.

It stands in the environment and in the engines' own directories, not in the spec: it is about the machine and its
network, and the same spec must give the same lock behind every mirror.
"""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from compiler.errors import HostError
from compiler.locking.reference import HUB, is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

MIRRORS = "APPOS_COMPILE_MIRRORS"
INSECURE = "APPOS_COMPILE_INSECURE"
HUB_HOST = "registry-1.docker.io"
CERTIFICATES = (
    "~/.config/containers/certs.d",
    "/etc/containers/certs.d",
    "~/.docker/certs.d",
    "/etc/docker/certs.d",
)
"""Where Podman and Docker look for the authorities of a registry: a directory HOST:PORT with files that end in .crt."""


class Endpoint(NamedTuple):
    """A server that may have an image; ``scheme`` is empty where it has to be found out."""

    host: str
    scheme: str
    mirror: bool = False


def endpoints(registry: str, environment: Mapping[str, str]) -> tuple[Endpoint, ...]:
    """The servers to ask for what a registry has, in order: its mirrors, then the registry itself."""
    found = [_mirror(mirror, environment) for name, mirror in _mirrors(environment) if name == registry]
    host = HUB_HOST if registry == HUB else registry
    return (*found, Endpoint(host, _scheme(host, environment)))


def _mirrors(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    pairs = []
    for word in environment.get(MIRRORS, "").replace(",", " ").split():
        registry, equals, mirror = word.partition("=")
        if not (registry and equals and mirror):
            raise HostError(f'{MIRRORS} has "{word}"', f"write {MIRRORS}=docker.io=mirror.example:5000, or several")
        pairs.append((registry, mirror))
    return pairs


def _mirror(value: str, environment: Mapping[str, str]) -> Endpoint:
    try:
        place = urlsplit(value if "://" in value else f"//{value}")
        sound = place.scheme in ("", "http", "https") and place.hostname and (place.port or place.port is None)
    except ValueError:
        # A bracket that is not closed, or a port that is no number.
        sound = False
    if not sound or place.path.strip("/") or place.username:
        raise HostError(f'{MIRRORS} has "{value}"', "a mirror is a host, with its port: mirror.example:5000")
    return Endpoint(place.netloc, place.scheme or _scheme(place.netloc, environment), mirror=True)


def _scheme(host: str, environment: Mapping[str, str]) -> str:
    """How a server is spoken to: only this machine's own, and those that are named, may do without encryption."""
    if _named(host, environment):
        return "http"
    return "" if is_loopback(host) else "https"


def may_be_plain(host: str, environment: Mapping[str, str]) -> bool:
    """Whether a login may go to a host without encryption: it is this machine, or was named."""
    return is_loopback(host) or _named(host, environment)


def _named(host: str, environment: Mapping[str, str]) -> bool:
    return host in environment.get(INSECURE, "").replace(",", " ").split()


def trust(host: str) -> ssl.SSLContext:
    """What is needed to check a server's certificate: the system's authorities (or SSL_CERT_FILE) and its own."""
    context = ssl.create_default_context()
    for place in CERTIFICATES:
        directory = os.path.join(os.path.expanduser(place), host)
        try:
            names = sorted(os.listdir(directory))
        except OSError:
            continue
        for name in names:
            if name.endswith(".crt"):
                path = os.path.join(directory, name)
                try:
                    context.load_verify_locations(path)
                except OSError as error:
                    raise HostError(
                        f"{path} cannot be read: {error.strerror or error}", "it must be a PEM file"
                    ) from None
    return context
