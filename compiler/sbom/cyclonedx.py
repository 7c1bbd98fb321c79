"""An inventory -> a CycloneDX 1.6 document as JSON, valid by the schema that the library brings.

What the format has no field for stands in properties: ``appos-compile:service`` names each service that wants a
component.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from compiler import __version__
from compiler.errors import CompileError
from compiler.sbom.model import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiler.sbom.model import Component, Inventory

TYPES = {
    "image": "container",
    "system": "operating-system",
    "service": "application",
    "artifact": "application",
    "file": "file",
}
"""The types of components; everything else is a library."""

HASHES = {"sha1": "SHA-1", "sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}


def document(inventory: Inventory) -> str:
    """The document; the same inventory gives the same bytes."""
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component as Made
    from cyclonedx.model.component import ComponentType
    from cyclonedx.model.dependency import Dependency
    from cyclonedx.model.tool import ToolRepository
    from cyclonedx.output.json import JsonV1Dot6

    made = {component.ref: _component(component) for component in (inventory.root, *inventory.components)}
    bom = Bom(
        serial_number=uuid5(NAMESPACE_URL, f"{NAMESPACE}:{inventory.digest}"),
        metadata=BomMetaData(
            timestamp=inventory.created,
            component=made[inventory.root.ref],
            tools=ToolRepository(
                components=[Made(type=ComponentType.APPLICATION, name=NAMESPACE, version=__version__)]
            ),
        ),
        components=[made[component.ref] for component in inventory.components],
        dependencies=[
            Dependency(made[component.ref].bom_ref, [Dependency(made[ref].bom_ref) for ref in component.depends])
            for component in (inventory.root, *inventory.components)
        ],
    )
    text = JsonV1Dot6(bom).output_as_string(indent=2) + "\n"
    faults = problems(text)
    if faults:
        raise CompileError(f"the document is not valid CycloneDX: {faults[0]}")
    return text


def problems(text: str) -> list[str]:
    """What the schema of CycloneDX 1.6 finds wrong with a document."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text, all_errors=True)
    return [str(error.data.message) for error in found or ()]


def _component(component: Component) -> Any:
    from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
    from cyclonedx.model.component import Component as Made
    from cyclonedx.model.component import ComponentScope, ComponentType
    from packageurl import PackageURL

    kind = ExternalReferenceType.VCS if component.url.startswith("git") else ExternalReferenceType.DISTRIBUTION
    references = [ExternalReference(type=kind, url=XsUri(component.url))] if component.url else []
    namespace, name = _names(component)
    return Made(
        type=ComponentType(TYPES.get(component.kind, "library")),
        bom_ref=component.ref,
        group=namespace or None,
        name=name,
        version=component.version or None,
        purl=PackageURL.from_string(component.purl) if component.purl else None,
        licenses=list(_licences(component)),
        hashes=[HashType(alg=HashAlgorithm(HASHES[kind]), content=digits) for kind, digits in component.hashes],
        external_references=references,
        scope=ComponentScope.OPTIONAL if component.optional else None,
        properties=list(_properties(component)),
    )


def _names(component: Component) -> tuple[str, str]:
    """What npm calls a scope is a group; everything else has its whole name, as scanners know it."""
    if component.kind == "npm" and "/" in component.name:
        scope, _, name = component.name.partition("/")
        return scope, name
    return "", component.name


def _properties(component: Component) -> Iterator[Any]:
    from cyclonedx.model import Property

    yield Property(name=f"{NAMESPACE}:kind", value=component.kind)
    yield from (Property(name=f"{NAMESPACE}:service", value=name) for name in component.services)
    yield from (Property(name=f"{NAMESPACE}:{name}", value=value) for name, value in component.facts)


def _licences(component: Component) -> Iterator[Any]:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model.license import DisjunctiveLicense, LicenseAcknowledgement, LicenseExpression

    licence, declared = component.licence, LicenseAcknowledgement.DECLARED
    texts = dict(licence.references)
    if licence.expression in texts:
        yield DisjunctiveLicense(name=texts[licence.expression], acknowledgement=declared)
    elif texts:
        yield LicenseExpression(licence.expression, acknowledgement=declared)
    elif licence.expression:
        yield LicenseFactory().make_from_string(licence.expression, license_acknowledgement=declared)
