"""Compose files and dotenv files as Docker Compose reads them, without an engine."""

from __future__ import annotations

import json
import os
import tempfile
from typing import TYPE_CHECKING, Any

from tests.readers import tools

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def read(path: str, *, env_file: str | None = None, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The project that `docker compose config` makes of the file, variables filled in; RejectedError with its message.

    Without `env_file` the `.env` beside the file is read, as Compose does. `environ` is the caller's shell.
    """
    path = os.path.abspath(path)
    arguments = ["--file", path] if env_file is None else ["--file", path, "--env-file", os.path.abspath(env_file)]
    done = tools.call(
        [tools.program("docker-compose"), *arguments, "config", "--format", "json"],
        cwd=os.path.dirname(path),
        env=environ,
    )
    project: dict[str, Any] = _unescape(json.loads(tools.output(done)))
    return project


def dotenv(text: str, names: Iterable[str]) -> dict[str, str | None]:
    """The value that a dotenv file gives to each name, None where it gives none.

    RejectedError with its message if Compose cannot read the file.
    """
    with tempfile.TemporaryDirectory() as directory:
        compose, env_file = os.path.join(directory, "compose.json"), os.path.join(directory, "given.env")
        with open(compose, "w", encoding="utf-8") as file:
            json.dump({"services": {"it": {"image": "it", "environment": sorted(names)}}}, file)
        with open(env_file, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        values: dict[str, str | None] = read(compose, env_file=env_file)["services"]["it"]["environment"]
    return values


def _unescape(value: Any) -> Any:
    # `config` prints a compose file again, in which a dollar sign is doubled.
    if isinstance(value, str):
        return value.replace("$$", "$")
    if isinstance(value, list):
        return [_unescape(item) for item in value]
    if isinstance(value, dict):
        return {key: _unescape(item) for key, item in value.items()}
    return value
