"""What a build did: its steps, from the plain progress of BuildKit, and which of them were needless."""

from __future__ import annotations

import os
import re
import secrets
from typing import NamedTuple

FETCHES = ("go: downloading", "npm http fetch", "fetch http")
"""How Go, npm and apk say that they fetch something."""


class Step(NamedTuple):
    """A step of a stage; ``ran`` unless its result was there."""

    stage: str
    text: str
    ran: bool


def steps(progress: str) -> list[Step]:
    """Every step that makes something, in the order of the numbers they have."""
    found = {}
    for number, stage, text in re.findall(r"^#(\d+) \[(\S+)\s+\d+/\d+\] (.*)$", progress, re.MULTILINE):
        if not text.startswith("FROM "):
            ran = not re.search(rf"^#{number} CACHED$", progress, re.MULTILINE)
            found[int(number)] = Step(stage, text, ran)
    return [found[number] for number in sorted(found)]


def needless(found: list[Step], progress: str) -> list[str]:
    """What was done although a line of the backend was all that changed.

    Its stage may copy the source and compile it, the program may be packed anew, and the last stage may put its files
    in place again and look whether they could run; no more.
    """
    last = {step.stage for step in found if "--from=backend" in step.text}
    done = []
    for step in found:
        compiles = step.stage == "backend" and re.match(r"COPY backend/ |RUN .*go build", step.text)
        follows = step.stage in last and re.match(r"COPY |RUN .*(zstd -q|/inspect\.sh)", step.text)
        if step.ran and not compiles and not follows:
            done.append(f"[{step.stage}] {step.text[:60]}")
    fetched = sum(progress.count(f" {word}") for word in FETCHES)
    return done + ([f"{fetched} downloads"] if fetched else [])


def change(context: str) -> None:
    """One more line in the backend's main.go, another one each time."""
    nonce = secrets.token_hex(8)
    with open(os.path.join(context, "backend", "main.go"), "a", encoding="utf-8") as file:
        file.write(f'func init() {{ if len(os.Args) > 1000 {{ println("{nonce}") }} }}\n')
