"""A valid spec's data -> the frozen model, with every default filled in, and the references that mean nothing."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from compiler import values as v
from compiler.assemble import image, processes, routing, storage
from compiler.assemble.image import family_of
from compiler.assemble.references import Data, References, text
from compiler.model import App, Extra, Key, Overlay, Port, SecretSource, SettingSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compiler.errors import Problem
    from compiler.model import Origins, Service

__all__ = ["assemble", "family_of"]

MEMORY_RESERVE = 64 * 2**20
"""What supervisor, entrypoint and page tables need beside the services."""


def assemble(
    data: Data, origins: Origins, families: Mapping[str, Data], templates: Mapping[str, str]
) -> tuple[App, tuple[Problem, ...]]:
    """The model of a valid spec whose presets are filled in.

    ``families`` are the facts about base images; ``templates`` the texts of the files that ``files.*.template`` names.
    Problems are references that mean nothing; the model is complete all the same, so that the rules can be asked.
    """
    empty_volumes = storage.volumes(data)
    home = storage.data_directories(data, empty_volumes)
    database = storage.database(data, empty_volumes)
    refer = References(data, origins, home, database.file if database else "")
    family = image.family(data["image"], families)
    services = processes.services(data, refer, family, home, templates)
    limits, hooks, extra, outputs = (data.get(key, {}) for key in ("limits", "hooks", "extra", "outputs"))
    app = App(
        name=data["name"],
        description=data.get("description", ""),
        spec=posixpath.basename(origins.name.replace("\\", "/")),
        output=data.get("output", "build"),
        context=posixpath.relpath(".", data.get("output", "build")),
        image=image.image(data, family),
        artifacts=tuple(
            image.artifact(name, fields, data["image"], families) for name, fields in data.get("artifacts", {}).items()
        ),
        services=services,
        routes=routing.routes(data, {service.name: service for service in services}),
        http=routing.http(data.get("http", {})),
        volumes=storage.with_directories(empty_volumes, services, database),
        database=database,
        ports=tuple(_port(name, fields, data["services"]) for name, fields in data.get("ports", {}).items()),
        secrets=tuple(_secret(name, fields) for name, fields in data.get("secrets", {}).items()),
        settings=tuple(_setting(name, fields) for name, fields in data.get("settings", {}).items()),
        health=processes.health(data, services, family, refer),
        memory=_memory(limits, services),
        pids=limits.get("pids", 512),
        cpus=text(limits.get("cpus", "")),
        first_start=tuple(hooks.get("first_start", ())),
        before_services=tuple(hooks.get("before_services", ())),
        extra=_extra(extra),
        overlay=_overlay(extra.get("docker-compose.yml", {})),
        templates=tuple((name, wanted) for name, wanted in outputs.items() if isinstance(wanted, str)),
        disabled=tuple(name for name, wanted in outputs.items() if wanted is False),
        origins=origins,
    )
    return app, tuple(refer.problems)


def _memory(limits: Data, services: tuple[Service, ...]) -> int | None:
    """The container's limit: what is said, else what the services need and a reserve, if all of them say it."""
    if "memory" in limits:
        return v.size(limits["memory"])
    needs = [service.memory for service in services]
    return sum(need or 0 for need in needs) + MEMORY_RESERVE if all(needs) else None


def _setting(name: str, data: Data) -> SettingSource:
    return SettingSource(
        name=name,
        default=text(data.get("default", "")),
        description=data.get("description", ""),
        path=("settings", name),
    )


def _port(name: str, data: Data, services: Data) -> Port:
    service = services.get(data["service"], {})
    return Port(
        name=name,
        publish=data["publish"],
        target=data.get("target") or service.get("port") or 0,
        service=data["service"],
        protocol=data.get("protocol") or ("udp" if service.get("protocol") == "udp" else "tcp"),
        address=data.get("address", ""),
        variable=data.get("variable", f"{name}_port".replace("-", "_").upper()),
        path=("ports", name),
    )


def _secret(name: str, data: Data) -> SecretSource:
    return SecretSource(
        name=name,
        description=data.get("description", ""),
        format=data.get("format", "alphanumeric"),
        length=data.get("length", 32),
        generate=data.get("generate", True),
        variable=data.get("variable", name.upper()),
        permanent=data.get("permanent", False),
        path=("secrets", name),
    )


def _extra(data: Data) -> tuple[Extra, ...]:
    return tuple(
        Extra(output, point, content, ("extra", output, point))
        for output, points in data.items()
        if output != "docker-compose.yml" and not output.startswith("x-")
        for point, content in points.items()
    )


def _overlay(data: Data) -> Overlay:
    return Overlay(service=_keys(data.get("service", {})), top=_keys(data.get("top", {})))


def _keys(data: Data) -> tuple[Key, ...]:
    """Keys with their values as JSON, which is YAML; lists and mappings item by item, to be added to others."""
    import json

    def dump(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    return tuple(
        Key(name, tuple(map(dump, value)), "", sequence=True)
        if isinstance(value, list) and value
        else Key(name, tuple(f"{dump(key)}: {dump(item)}" for key, item in value.items()), "", sequence=False)
        if isinstance(value, dict) and value
        else Key(name, (), dump(value), sequence=False)
        for name, value in data.items()
    )
