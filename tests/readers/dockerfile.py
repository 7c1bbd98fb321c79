"""Dockerfiles and ignore files as BuildKit, hadolint and checkov read them."""

from __future__ import annotations

import json
import os
from typing import Any

from tests.readers import tools


def read(path: str) -> dict[str, Any]:
    """What the current BuildKit makes of a Dockerfile; RejectedError with its message if it cannot be built.

    - `syntax`: the front end that a syntax line asks for, else empty
    - `arguments`: the instructions before the first stage
    - `stages`: `name`, `base`, `platform`, and `instructions` with `name`, `line`, `flags`, `code` and `detail`
    - `checks`: what BuildKit warns of, with `rule`, `line` and `message`
    - `sources`: the images and contexts that the last stage needs, variables filled in
    - `config`: the image's Env, Entrypoint, Cmd, Healthcheck and so on
    - `commands`: `args`, `env`, `user`, `cwd` and `caches` of each RUN that the last stage needs
    """
    done = tools.call([tools.program("buildkit"), "dockerfile", os.path.abspath(path)])
    reading: dict[str, Any] = json.loads(tools.output(done))
    return reading


def check_floor(path: str) -> None:
    """Raises RejectedError unless the BuildKit of Docker 20.10 reads the Dockerfile without fetching a front end."""
    tools.output(tools.call([tools.program("buildkit20"), os.path.abspath(path)]))
    if syntax := read(path)["syntax"]:
        message = f"the syntax line fetches {syntax} at every build"
        raise tools.RejectedError(message)


def context(directory: str, ignore_file: str) -> list[str]:
    """The files below the directory that BuildKit sends to a build which has this ignore file, sorted."""
    done = tools.call([tools.program("buildkit"), "context", os.path.abspath(directory), os.path.abspath(ignore_file)])
    return sorted(json.loads(tools.output(done)))


def hadolint(path: str, *, pragmas: bool = True) -> list[tools.Finding]:
    """The findings of hadolint with its default settings; without `pragmas` also those that a comment excuses."""
    options = [] if pragmas else ["--disable-ignore-pragma"]
    done = tools.call([tools.program("hadolint"), "--format", "json", *options, os.path.abspath(path)])
    if not done.stdout:
        raise tools.RejectedError(done.stderr)
    found = [tools.Finding(item["code"], path, item["line"], item["message"]) for item in json.loads(done.stdout)]
    for finding in found:
        # hadolint's code for "cannot parse"
        if finding.rule == "DL1000":
            raise tools.RejectedError(finding.message)
    return found


def checkov(directory: str) -> list[tools.Finding]:
    """The findings of checkov with its default settings on every file below the directory; `file` is relative to it."""
    checkov = tools.cached("checkov", "bin", "checkov")
    # --skip-download leaves out the texts of guidelines, not checks.
    done = tools.call(
        [checkov, "--directory", os.path.abspath(directory), "--output", "json", "--skip-download"],
    )
    if done.returncode not in {0, 1} or not done.stdout:
        raise tools.RejectedError(done.stderr or done.stdout)
    # one report, or a list of one for each kind of file
    answer = json.loads(done.stdout)
    reports = answer if isinstance(answer, list) else [answer]
    for report in reports:
        if errors := report.get("results", {}).get("parsing_errors"):
            raise tools.RejectedError(f"cannot parse {', '.join(errors)}")
    return [
        tools.Finding(item["check_id"], item["file_path"].lstrip("/"), item["file_line_range"][0], item["check_name"])
        for report in reports
        for item in report.get("results", {}).get("failed_checks", [])
    ]
