"""An inventory -> an SPDX 2.3 document as JSON, valid by the rules of the library.

What the format has no field for stands in the comment of a package, a line each: ``service: redis`` names a service
that wants it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from compiler import __version__
from compiler.errors import CompileError
from compiler.sbom.model import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiler.sbom.model import Component, Inventory

DOCUMENT = "SPDXRef-DOCUMENT"
PURPOSES = {
    "image": "CONTAINER",
    "system": "OPERATING_SYSTEM",
    "service": "APPLICATION",
    "artifact": "APPLICATION",
    "file": "FILE",
}
"""The purposes of packages; everything else is a library."""

HOLDERS = ("artifact", "package")
"""Kinds of which a part of another kind is contained, not only needed."""


def document(inventory: Inventory) -> str:
    """The document; the same inventory gives the same bytes."""
    from spdx_tools.spdx.jsonschema.document_converter import DocumentConverter
    from spdx_tools.spdx.model import Actor, ActorType, CreationInfo, Document, ExtractedLicensingInfo

    parts = (inventory.root, *inventory.components)
    names = dict(zip((part.ref for part in parts), _identifiers(parts), strict=True))
    texts = {pair for part in parts for pair in part.licence.references}
    made = Document(
        CreationInfo(
            spdx_version="SPDX-2.3",
            spdx_id=DOCUMENT,
            name=inventory.root.name,
            document_namespace=f"urn:uuid:{uuid5(NAMESPACE_URL, f'{NAMESPACE}:spdx:{inventory.digest}')}",
            creators=[Actor(ActorType.TOOL, f"{NAMESPACE}-{__version__}")],
            created=inventory.created.replace(tzinfo=None, microsecond=0),
        ),
        packages=[_package(part, names[part.ref]) for part in parts],
        relationships=list(_relationships(parts, names)),
        extracted_licensing_info=[ExtractedLicensingInfo(name, text) for name, text in sorted(texts)],
    )
    faults = problems(made)
    if faults:
        raise CompileError(f"the document is not valid SPDX: {faults[0]}")
    converter: Any = DocumentConverter  # not typed
    return json.dumps(_as_the_schema_has_it(converter().convert(made)), indent=2) + "\n"


def _as_the_schema_has_it(converted: Any) -> Any:
    """The library writes one word as SPDX 2.2 had it; the JSON schema of 2.3 takes the other spelling only."""
    for package in converted["packages"]:
        for reference in package.get("externalRefs", ()):
            reference["referenceCategory"] = reference["referenceCategory"].replace("_", "-")
    return converted


def problems(made: Any) -> list[str]:
    """What the library finds wrong with a document."""
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    return [found.validation_message for found in validate_full_spdx_document(made)]


def _identifiers(parts: tuple[Component, ...]) -> Iterator[str]:
    """A name for each, as readable as SPDX allows; a number where two would be the same."""
    taken: dict[str, int] = {}
    for part in parts:
        words = (part.kind, part.name, part.version if part.kind != "image" else "")
        name = re.sub(r"[^A-Za-z0-9.-]+", "-", "-".join(word for word in words if word)).strip("-")
        taken[name] = taken.get(name, 0) + 1
        yield f"SPDXRef-{name}" + (f"-{taken[name]}" if taken[name] > 1 else "")


def _package(part: Component, identifier: str) -> Any:
    from spdx_tools.common.spdx_licensing import spdx_licensing
    from spdx_tools.spdx.model import (
        Checksum,
        ChecksumAlgorithm,
        ExternalPackageRef,
        ExternalPackageRefCategory,
        Package,
        PackagePurpose,
        SpdxNoAssertion,
    )
    from spdx_tools.spdx.validation.uri_validators import validate_download_location

    unknown = SpdxNoAssertion()
    facts = [("kind", part.kind), *(("service", name) for name in part.services), *part.facts]
    return Package(
        spdx_id=identifier,
        name=part.name,
        version=part.version or None,
        download_location=part.url if part.url and not validate_download_location(part.url) else unknown,
        files_analyzed=False,
        license_concluded=unknown,
        license_declared=spdx_licensing.parse(part.licence.expression) if part.licence.expression else unknown,
        copyright_text=unknown,
        supplier=unknown,
        checksums=[Checksum(ChecksumAlgorithm[kind.upper()], digits) for kind, digits in part.hashes],
        comment="\n".join(f"{name}: {value}" for name, value in facts),
        primary_package_purpose=PackagePurpose[PURPOSES.get(part.kind, "LIBRARY")],
        external_references=[ExternalPackageRef(ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", part.purl)]
        if part.purl
        else [],
    )


def _relationships(parts: tuple[Component, ...], names: dict[str, str]) -> Iterator[Any]:
    from spdx_tools.spdx.model import Relationship, RelationshipType

    kinds = {part.ref: part.kind for part in parts}
    image = parts[0]
    yield Relationship(DOCUMENT, RelationshipType.DESCRIBES, names[image.ref])
    for part in parts[1:]:
        yield Relationship(names[image.ref], RelationshipType.CONTAINS, names[part.ref])
    for part in parts[1:]:
        for ref in part.depends:
            held = part.kind in HOLDERS and kinds[ref] not in (part.kind, "package")
            kind = RelationshipType.CONTAINS if held else RelationshipType.DEPENDS_ON
            yield Relationship(names[part.ref], kind, names[ref])
