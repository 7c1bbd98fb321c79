"""A bill of materials as plain data: what both formats are written from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from compiler.sbom.licences import UNKNOWN, Licence

if TYPE_CHECKING:
    from datetime import datetime


class Component(NamedTuple):
    """Something in the image.

    ``ref`` is its name within the document; ``kind`` is image, system, service, package, artifact, file, go, npm or
    python.
    ``hashes`` are pairs of an algorithm and hexadecimal digits, ``facts`` pairs of a name and a value, and ``depends``
    are the refs of what it needs or holds.
    """

    ref: str
    kind: str
    name: str
    version: str = ""
    purl: str = ""
    licence: Licence = UNKNOWN
    hashes: tuple[tuple[str, str], ...] = ()
    url: str = ""
    services: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    depends: tuple[str, ...] = ()
    optional: bool = False


class Inventory(NamedTuple):
    """An image and everything in it; ``root`` is the image itself, ``components`` are sorted by their refs."""

    root: Component
    components: tuple[Component, ...]
    digest: str
    created: datetime


NAMESPACE = "appos-compile"
"""What the names of our own properties begin with."""


def holds(ref: str, *parts: str) -> Component:
    """What is known later of the component ``ref``: that it holds these."""
    return Component(ref, "", "", depends=parts)


def _written(component: Component) -> Component:
    """The component in characters that can be written: what is no UTF-8 in an image has been read as surrogates."""
    return component._replace(
        name=clean(component.name),
        version=clean(component.version),
        facts=tuple((name, clean(value)) for name, value in component.facts),
    )


def clean(text: str) -> str:
    """The text without lone surrogates."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def merged(components: list[Component]) -> tuple[Component, ...]:
    """The components, each ref once: what several tell of the same one is put together."""
    found: dict[str, Component] = {}
    for component in map(_written, components):
        before = found.get(component.ref)
        if before:
            component = before._replace(  # noqa: PLW2901 - the same one, with what was known before
                services=(*before.services, *component.services),
                facts=(*before.facts, *component.facts),
                depends=(*before.depends, *component.depends),
                licence=before.licence if before.licence.expression else component.licence,
                hashes=before.hashes or component.hashes,
                url=before.url or component.url,
                optional=before.optional and component.optional,
            )
        found[component.ref] = component
    return tuple(
        component._replace(
            services=tuple(sorted(set(component.services))),
            facts=tuple(sorted(set(component.facts))),
            depends=tuple(sorted((set(component.depends) & set(found)) - {component.ref})),
        )
        for _, component in sorted(found.items())
    )
