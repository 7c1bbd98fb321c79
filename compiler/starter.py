"""A name, a base and presets -> a commented spec to start from."""

from __future__ import annotations

import os
import re

from compiler import load, resources
from compiler.errors import HostError

BASE = "alpine:3.22"


def presets() -> tuple[str, ...]:
    """The names of all presets."""
    return tuple(name.removesuffix(".yaml") for name in resources.names("schema", "presets") if name.endswith(".yaml"))


def name_of(directory: str) -> str:
    """A name for the application, made from the name of its directory."""
    words = re.findall(r"[a-z0-9]+", directory.lower())
    name = "-".join(words).lstrip("0123456789-")
    return name[:40].strip("-") or "app"


def spec(name: str, base: str, wanted: tuple[str, ...]) -> str:
    """The text of the spec; raises HostError for a preset that does not exist."""
    unknown = [preset for preset in wanted if preset not in presets()]
    if unknown:
        raise HostError(f'there is no preset "{unknown[0]}"', f"there are {', '.join(presets())}")
    facts = {preset: load.parse(resources.read("schema", "presets", f"{preset}.yaml").encode(), preset).data for preset in wanted}
    services = [(preset, facts[preset]["service"].get("port"), facts[preset]["service"].get("data")) for preset in wanted]
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False)  # noqa: S701 - YAML
    template = environment.from_string(resources.read("templates", "_starter.yaml.j2"))
    return template.render(name=name, base=base, services=services, gateway="nginx" in wanted, kept=any(data for _, _, data in services))


def write(path: str, text: str, *, force: bool) -> None:
    """Writes the spec; raises HostError if one is there already and ``force`` is not set, or if it cannot be written."""
    try:
        with open(path, "w" if force else "x", encoding="utf-8", newline="") as file:
            file.write(text)
    except FileExistsError:
        raise HostError(f"{path} is there already", "overwrite it with --force, or write another one with -f") from None
    except OSError as error:
        raise HostError(f"{path}: {error.strerror}", "check the directory and its permissions") from error
