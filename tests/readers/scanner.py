"""Bills of materials as a public vulnerability scanner reads them, against advisories that a test makes up."""

from __future__ import annotations

import json
import os
import zipfile
from typing import TYPE_CHECKING, NamedTuple

from tests.readers import tools

if TYPE_CHECKING:
    from collections.abc import Iterable


class Advisory(NamedTuple):
    """All versions before ``fixed`` are vulnerable; ecosystems as https://ossf.github.io/osv-schema has them."""

    id: str
    ecosystem: str
    name: str
    fixed: str


class Package(NamedTuple):
    """What the scanner read, with the advisories that concern it."""

    ecosystem: str
    name: str
    version: str
    advisories: tuple[str, ...] = ()


def scan(path: str, advisories: Iterable[Advisory], database: str) -> list[Package]:
    """Every package of a document, sorted; ``database`` is a directory for the advisories."""
    by_ecosystem: dict[str, list[Advisory]] = {}
    for advisory in advisories:
        by_ecosystem.setdefault(advisory.ecosystem.partition(":")[0], []).append(advisory)
    for ecosystem, those in by_ecosystem.items():
        directory = os.path.join(database, "osv-scalibr", ecosystem)
        os.makedirs(directory, exist_ok=True)
        with zipfile.ZipFile(os.path.join(directory, "all.zip"), "w") as archive:
            for advisory in those:
                archive.writestr(f"{advisory.id}.json", json.dumps(_record(advisory)))
    done = tools.call(
        [
            *(tools.program("osv-scanner"), "scan", "source", "--offline", "--all-packages", "--format", "json"),
            *("--verbosity", "error", "--lockfile", path),
        ],
        env={"OSV_SCANNER_LOCAL_DB_CACHE_DIRECTORY": database},
    )
    # 1 means that an advisory fits.
    if done.returncode not in (0, 1):
        raise tools.RejectedError(done.stderr.strip())
    return sorted(
        Package(
            found["package"]["ecosystem"],
            found["package"]["name"],
            found["package"]["version"],
            tuple(sorted(advisory["id"] for advisory in found.get("vulnerabilities", ()))),
        )
        for result in json.loads(done.stdout)["results"]
        for found in result["packages"]
    )


def _record(advisory: Advisory) -> dict[str, object]:
    kind = "SEMVER" if advisory.ecosystem in ("Go", "npm") else "ECOSYSTEM"
    return {
        "schema_version": "1.6.0",
        "id": advisory.id,
        "modified": "2026-01-01T00:00:00Z",
        "affected": [
            {
                "package": {"ecosystem": advisory.ecosystem, "name": advisory.name},
                "ranges": [{"type": kind, "events": [{"introduced": "0"}, {"fixed": advisory.fixed}]}],
            }
        ],
    }
