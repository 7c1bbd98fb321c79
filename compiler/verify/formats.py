"""The outcome for programs: JSON, and the XML of JUnit that continuous integration reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from compiler.verify.display import explained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compiler.model import App
    from compiler.verify.engine import Engine
    from compiler.verify.result import Outcome


def as_json(app: App, engine: Engine, outcomes: Sequence[Outcome]) -> str:
    """One object: what was verified on what, and each check of each image."""
    document = {
        "app": app.name,
        "engine": {"client": engine.client, "version": engine.version},
        "ok": not any(outcome.failed for outcome in outcomes),
        "images": [
            {
                "flavour": outcome.flavour,
                "dockerfile": f"{app.output}/{outcome.dockerfile}",
                "size": outcome.size,
                "checks": [
                    {
                        "name": result.name,
                        "promise": result.promise,
                        "status": result.status,
                        "seconds": round(result.seconds, 3),
                        "evidence": result.evidence,
                        "expected": result.expected,
                        "came": result.came,
                        "from": result.mark
                        and {"file": result.mark.file, "line": result.mark.line, "column": result.mark.column},
                        "logs": list(result.logs),
                        "look": result.look,
                    }
                    for result in outcome.results
                ],
            }
            for outcome in outcomes
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def as_junit(app: App, _: Engine, outcomes: Sequence[Outcome]) -> str:
    """A suite for each image; a check that does not apply is skipped, with the reason."""
    from xml.etree import ElementTree as ET

    suites = ET.Element("testsuites")
    for outcome in outcomes:
        counted = [result.status for result in outcome.results]
        suite = ET.SubElement(
            suites,
            "testsuite",
            name=f"{app.name} {outcome.flavour}",
            tests=str(len(counted)),
            failures=str(counted.count("failed")),
            skipped=str(counted.count("not run")),
            errors="0",
            time=f"{sum(result.seconds for result in outcome.results):.3f}",
        )
        for result in outcome.results:
            case = ET.SubElement(
                suite,
                "testcase",
                classname=f"{app.name}.{outcome.flavour}",
                name=result.name,
                time=f"{result.seconds:.3f}",
            )
            if result.status == "failed":
                failure = ET.SubElement(
                    case, "failure", message=_clean(f"expected {result.expected}; came {result.came}")
                )
                failure.text = _clean("\n".join(explained(result)))
            elif result.status == "not run":
                ET.SubElement(case, "skipped", message=result.evidence)
            else:
                ET.SubElement(case, "system-out").text = _clean(result.evidence)
    return ET.tostring(suites, encoding="unicode") + "\n"


def _clean(text: str) -> str:
    """XML has no way to write control characters."""
    return "".join(c if c >= " " or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


FORMATS = {"json": as_json, "junit": as_junit}
