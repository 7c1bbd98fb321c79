"""A container engine as its command line client offers it: Docker or Podman, with Compose."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from compiler.errors import CompileError, HostError

if TYPE_CHECKING:
    from collections.abc import Mapping

CLIENTS = ("docker", "podman")
TIMEOUT = 120
"""Seconds for a call that only asks or tells; builds and starts have limits of their own."""

ASKING = 20
"""Seconds for a client to say who it is."""

PASSED_ON = ("PATH", "HOME", "USER", "LANG", "TMPDIR", "SSH_AUTH_SOCK", "http_proxy", "https_proxy", "no_proxy")
PASSED_ON_BEGIN = (
    "DOCKER_",
    "BUILDKIT_",
    "BUILDX_",
    "CONTAINER_",
    "PODMAN_",
    "XDG_",
    "COMPOSE_",
    "HTTP_PROXY",
    "NO_PROXY",
)
"""What a client is told by the environment; everything else could be taken for a variable of the Compose file."""

NOT_PASSED_ON = ("CONTAINER_NAME", "COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES", "COMPOSE_ENV_FILES")


class EngineError(CompileError):
    """The engine refused what it was told; ``text`` is what it said."""

    exit_code = 1

    def __init__(self, command: tuple[str, ...], text: str) -> None:
        super().__init__(f"{' '.join(command[:3])}: {text}")
        self.command = command
        self.text = text


class Done(NamedTuple):
    """How a call ended."""

    status: int
    out: str
    err: str


class Engine(NamedTuple):
    """A client that has reached its engine."""

    client: str
    compose: tuple[str, ...]
    version: str
    host: str
    """Where published ports are reached."""

    def call(
        self, *words: str, timeout: float = TIMEOUT, text: str = "", extra: Mapping[str, str] | None = None
    ) -> Done:
        """Run the client; how it ends is the caller's affair. EngineError after ``timeout`` seconds of silence."""
        return _call((self.client, *words), timeout, text, extra)

    def tell(
        self, *words: str, timeout: float = TIMEOUT, text: str = "", extra: Mapping[str, str] | None = None
    ) -> str:
        """Run the client and return what it prints; EngineError with its message if it fails."""
        return _checked((self.client, *words), self.call(*words, timeout=timeout, text=text, extra=extra))

    def composed(self, *words: str, timeout: float = TIMEOUT, extra: Mapping[str, str] | None = None) -> str:
        """Run Compose and return what it prints; EngineError with its message if it fails."""
        command = (*self.compose, *words)
        return _checked(command, _call(command, timeout, "", extra))

    def inspect(self, *words: str) -> Any:
        """Return what the engine knows of one object."""
        return json.loads(self.tell("inspect", *words))[0]


def _call(command: tuple[str, ...], timeout: float, text: str, extra: Mapping[str, str] | None) -> Done:
    try:
        # A session of its own: Ctrl-C is for us, who then clean up with the same client.
        done = subprocess.run(  # noqa: S603 - the engine's client, told what to do word by word
            command,
            input=text,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            env=environment() | dict(extra or {}),
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EngineError(command, f"no answer within {timeout:.0f} seconds") from None
    return Done(done.returncode, done.stdout, done.stderr)


def _checked(command: tuple[str, ...], done: Done) -> str:
    if done.status != 0:
        raise EngineError(command, (done.err.strip() or done.out.strip() or f"status {done.status}"))
    return done.out


def environment() -> dict[str, str]:
    """Return the part of our environment that engine clients heed."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in NOT_PASSED_ON and (name in PASSED_ON or name.startswith(PASSED_ON_BEGIN))
    } | {"DOCKER_BUILDKIT": "1", "COMPOSE_DOCKER_CLI_BUILD": "1"}


def find(wanted: str | None = None) -> Engine:
    """Return the engine ``wanted``, else the first that answers; HostError where none does, with how to get one."""
    reasons = []
    for name in (wanted,) if wanted else CLIENTS:
        # The first of that name may be another version's, without what the others bring.
        for client in _installed(name) or (name,):
            try:
                return _reach(client)
            except EngineError as error:
                reasons.append(f"{client}: {error.text.splitlines()[-1]}")
    raise HostError(
        "no container engine answers: " + "; ".join(reasons),
        "install Docker (https://docs.docker.com/engine/install/; on Debian: apt install docker.io docker-compose) or "
        "Podman with podman-compose, start it, and see that `docker info` works for your account",
    )


def _installed(name: str) -> tuple[str, ...]:
    """Every program of that name on the path, each once."""
    found = (shutil.which(name, path=directory) for directory in os.get_exec_path())
    return tuple(dict.fromkeys(path for path in found if path))


def _reach(client: str) -> Engine:
    command = (client, "version", "--format", "{{.Server.Version}}")
    if shutil.which(client) is None:
        raise EngineError(command, "not installed")
    version = _checked(command, _call(command, ASKING, "", None)).strip()
    name = os.path.basename(client)
    if name == "docker" and not _builds(client):
        raise EngineError(command, "this client cannot build without buildx: install docker-buildx")
    for compose in ((client, "compose"), (f"{client}-compose",), (f"{name}-compose",)):
        if shutil.which(compose[0]) and _call((*compose, "version"), ASKING, "", None).status == 0:
            return Engine(client, compose, version, _host())
    raise EngineError(command, f"version {version} answers, but has no Compose: install {name}-compose")


def _builds(client: str) -> bool:
    """Whether it can use BuildKit: since version 23 that is a plug-in."""
    own = _call((client, "version", "--format", "{{.Client.Version}}"), ASKING, "", None).out
    return own.split(".")[0] in ("20", "19", "18") or _call((client, "buildx", "version"), ASKING, "", None).status == 0


def _host() -> str:
    place = urlsplit(os.environ.get("DOCKER_HOST") or os.environ.get("CONTAINER_HOST") or "")
    return (place.hostname or "127.0.0.1") if place.scheme in ("tcp", "ssh") else "127.0.0.1"


if __name__ == "__main__":
    # For the Makefile, which has to use the same client: its words, then those of Compose.
    try:
        reached = find()
    except HostError as error:
        raise SystemExit(f"error: {error.message}\n  = help: {error.hint}") from None
    print(reached.client)  # noqa: T201
    print(*reached.compose)  # noqa: T201
