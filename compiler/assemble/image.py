"""What goes into the image: its base, its artifacts and how each is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler import values as v
from compiler.assemble.references import Data, text
from compiler.model import Artifact, Build, Copy, Family, Fetch, Image, ServiceBudget

if TYPE_CHECKING:
    from collections.abc import Mapping


def family_of(base: str, families: Mapping[str, Data]) -> str | None:
    """The family of an image by its name or tag, such as debian for ``node:22-slim``; none if neither tells."""
    name, _, tag = base.partition("@")[0].rpartition("/")[2].partition(":")
    for family, facts in families.items():
        if name in facts["images"]:
            return family
    for family, facts in families.items():
        if any(
            word in tag.replace(".", "-").split("-") or any(p.startswith(word) for p in tag.split("-"))
            for word in facts["tags"]
        ):
            return family
    return None


def family(image: Data, families: Mapping[str, Data]) -> Family:
    """What the base's family has in common; the first one where nothing tells, which a rule reports."""
    name = image.get("family") or family_of(image["base"], families) or next(iter(families))
    facts = families[name]
    return Family(
        name=name,
        libc=facts["libc"],
        http_probe=tuple(facts["http_probe"]),
        answer_probe=tuple(facts["answer_probe"]),
        http_packages=tuple(facts["http_packages"]),
        tcp_probe=tuple(facts["tcp_probe"]),
        supervisor_packages=tuple(facts["supervisor_packages"]),
        python=facts["python"],
        database_packages=tuple(facts["database_packages"]),
        timezone_packages=tuple(facts["timezone_packages"]),
        packers={name: tuple(packages) for name, packages in facts["packers"].items()},
        unpackers={name: tuple(packages) for name, packages in facts["unpackers"].items()},
        run_as=facts["run_as"],
        accounts=tuple(facts["accounts"]),
    )


def image(data: Data, family: Family) -> Image:
    """The image itself, with the labels that the spec implies."""
    image = data["image"]
    budget = image.get("budget", {})
    uncompressed, compressed = _budget(budget)
    services = budget.get("services", {}) if isinstance(budget, dict) else {}
    labels = {"org.opencontainers.image.title": data["name"]}
    if data.get("description"):
        labels["org.opencontainers.image.description"] = data["description"]
    labels |= {key: text(value) for key, value in image.get("labels", {}).items()}
    return Image(
        base=image["base"],
        family=family,
        reference=f"{image.get('name', data['name'])}:{image.get('tag', 'local')}",
        packages=tuple(image.get("packages", ())),
        remove=tuple(image.get("remove", ())),
        labels=tuple(sorted(labels.items())),
        timezone=image.get("timezone", ""),
        trim=image.get("trim", False),
        platforms=tuple(image.get("platforms", ())),
        budget=uncompressed,
        budget_compressed=compressed,
        budget_services=tuple(ServiceBudget(name, *_budget(most)) for name, most in services.items()),
    )


def _budget(data: str | Data) -> tuple[int | None, int | None]:
    """The largest uncompressed and compressed sizes: a size alone means the uncompressed one."""
    both = {"uncompressed": data} if isinstance(data, str) else data
    uncompressed, compressed = both.get("uncompressed"), both.get("compressed")
    return (v.size(uncompressed) if uncompressed else None, v.size(compressed) if compressed else None)


def artifact(name: str, data: Data, image: Data, families: Mapping[str, Data]) -> Artifact:
    """An artifact with every way to get it."""
    build, copy, fetch = data.get("build"), data.get("from"), data.get("fetch")
    libc = data.get("libc", "")
    return Artifact(
        name=name,
        build=Build(
            image=build["image"],
            family=family_of(build["image"], families) or image.get("family") or "",
            source=build["source"],
            packages=tuple(sorted(build.get("packages", ()))),
            manifests=tuple(build.get("manifests", ())),
            environment=tuple((key, text(value)) for key, value in build.get("environment", {}).items()),
            prepare=tuple(build.get("prepare", ())),
            run=tuple(build["run"]),
            caches=tuple(build.get("cache", ())),
            output=build["output"],
        )
        if build
        else None,
        copy=Copy(copy["image"], copy["path"]) if copy else None,
        fetch=_fetch(fetch) if fetch else None,
        prebuilt=data.get("prebuilt", ""),
        install=data["install"],
        owner=data.get("owner", "root"),
        mode=data.get("mode", "0755" if libc else ""),
        libc=libc,
        libraries=data.get("libraries") or (copy["image"] if copy else build["image"] if build else ""),
        precompress=data.get("precompress", False),
        compress=data.get("compress", ""),
        volume=data.get("volume", ""),
        smoke=tuple(map(text, data.get("smoke", ()))),
        uninspected=tuple(data.get("uninspected", ())),
        path=("artifacts", name),
    )


def _fetch(data: Data) -> Fetch:
    sums = data["sha256"]
    return Fetch(
        url=data["url"],
        checksums=tuple(sorted(sums.items())) if isinstance(sums, dict) else (("", sums),),
        unpack=data.get("unpack", False),
        path=data.get("path", ""),
    )
