"""The host of a registry -> the login that ``docker login`` or ``podman login`` has kept for it.

The files are those of Docker (https://docs.docker.com/reference/cli/docker/login/) and Podman
(containers-auth.json(5)).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

from compiler.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io")
TIMEOUT = 15
"""Seconds for a helper, which may have to ask a keychain."""
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Login:
    """A name with its password, or a token that stands for both. Unlike a tuple it does not show them."""

    __slots__ = ("identity", "name", "password")

    def __init__(self, name: str, password: str, identity: str = "") -> None:
        self.name, self.password, self.identity = name, password, identity

    @property
    def basic(self) -> str:
        """The value of a header."""
        return "Basic " + base64.b64encode(f"{self.name}:{self.password}".encode()).decode()


def login(host: str, repository: str, environment: Mapping[str, str]) -> Login | None:
    """The login for a repository of a host; none if nothing keeps one. HostError where what keeps it does not work."""
    hub = host == "registry-1.docker.io"
    keys = HUB_KEYS if hub else (host, f"https://{host}", f"https://{host}/v1/")
    for path in _files(environment):
        config = _config(path)
        found = _helper(config, keys) or _entry(
            config, (*_spaces("docker.io" if hub else host, repository), *keys), path
        )
        if found:
            return found
    return None


def _spaces(host: str, repository: str) -> Iterator[str]:
    """The keys of Podman for a part of a registry, the smallest part first."""
    parts = repository.split("/")
    for count in range(len(parts), 0, -1):
        yield "/".join((host, *parts[:count]))


def _files(environment: Mapping[str, str]) -> Iterator[str]:
    """Where logins are kept: what was asked for by name first."""
    home = environment.get("HOME") or os.path.expanduser("~")
    if environment.get("REGISTRY_AUTH_FILE"):
        yield environment["REGISTRY_AUTH_FILE"]
    yield os.path.join(environment.get("DOCKER_CONFIG") or os.path.join(home, ".docker"), "config.json")
    if environment.get("XDG_RUNTIME_DIR"):
        yield os.path.join(environment["XDG_RUNTIME_DIR"], "containers", "auth.json")
    config = environment.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    yield os.path.join(config, "containers", "auth.json")


def _config(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise HostError(f"{path} cannot be read: {error.strerror}", "it keeps the logins of registries") from None
    except (ValueError, RecursionError):
        raise HostError(f"{path} is not JSON", "it keeps the logins of registries: mend it, or log in again") from None
    return config if isinstance(config, dict) else {}


def _helper(config: Mapping[str, Any], keys: tuple[str, ...]) -> Login | None:
    """What a helper for one registry keeps, else the one for all: both come before the file itself, as for Docker."""
    helpers = _mapping(config.get("credHelpers"))
    for key in keys:
        if isinstance(helpers.get(key), str):
            return _helped(helpers[key], key)
    store = config.get("credsStore")
    for key in keys if isinstance(store, str) and store else ():
        found = _helped(str(store), key)
        if found:
            return found
    return None


def _entry(config: Mapping[str, Any], keys: tuple[str, ...], path: str) -> Login | None:
    """The first login in the file itself: as it is called, else by the host of a URL, as Docker looks for it."""
    entries = _mapping(config.get("auths"))
    exact = [entries[key] for key in keys if key in entries]
    same = [entry for key, entry in entries.items() if "://" in key and _host(key) in keys]
    return next((found for entry in (*exact, *same) if (found := _written(_mapping(entry), path))), None)


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _written(entry: Mapping[str, Any], path: str) -> Login | None:
    if isinstance(entry.get("identitytoken"), str) and entry["identitytoken"]:
        return Login("", "", entry["identitytoken"])
    if not entry.get("auth"):
        plain = [entry.get(key) for key in ("username", "password")]
        return Login(str(plain[0]), str(plain[1])) if all(isinstance(word, str) and word for word in plain) else None
    try:
        text = base64.b64decode(str(entry["auth"]), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise HostError(f"{path} has a login that is not base64", "log in again") from None
    name, colon, password = text.partition(":")
    return Login(name, password.rstrip("\0")) if colon else None


def _helped(helper: str, key: str) -> Login | None:
    """What a program keeps for a registry; what it says goes nowhere, for a secret may be in it."""
    program = f"docker-credential-{helper}"
    if not _HELPER.fullmatch(helper):
        raise HostError("the name of a credential helper has a character that no program's name has", "mend the file")
    try:
        done = subprocess.run(  # noqa: S603 - the helper that the user's own configuration names
            (program, "get"), input=key, capture_output=True, encoding="utf-8", timeout=TIMEOUT, check=False
        )
    except FileNotFoundError:
        raise HostError(f"{program} is not installed", "it keeps the logins of registries") from None
    except (OSError, UnicodeDecodeError, subprocess.TimeoutExpired):
        raise HostError(f"{program} gives no answer", "it keeps the logins of registries") from None
    if done.returncode:
        if "credentials not found" in done.stdout + done.stderr:
            return None
        raise HostError(f"{program} failed with status {done.returncode}", "log in again, or ask it by hand")
    try:
        answer = json.loads(done.stdout)
        name, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        raise HostError(f"{program} answers with something that is no login", "try it by hand") from None
    return Login("", "", secret) if name == "<token>" else Login(name, secret)
