"""The bills of materials of real images: valid, the same from an engine and an archive, and as others count."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

from compiler.sbom import cyclonedx
from compiler.verify.trial import FLAVOURS, Trial
from tests.compiled import ROOT, result
from tests.readers import scanner, tools
from tests.running import appos
from tests.verify import twins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compiler.verify.engine import Engine

CASES = (ROOT, *sorted(path.parent for path in (Path(__file__).parent / "cases").glob("*/appos.yaml")))
INSTALLED = "if command -v apk >/dev/null; then apk info; else dpkg-query -W -f '${binary:Package}\\n'; fi"


@pytest.fixture(params=CASES, ids=lambda case: "appos" if case == ROOT else case.name)
def built(
    request: pytest.FixtureRequest, engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Trial, Path]]:
    """The image of a case, and the directory of its spec."""
    directory: Path = request.param
    if directory != ROOT:
        directory = tmp_path_factory.mktemp(directory.name)
        shutil.copytree(request.param, directory, dirs_exist_ok=True)
        app = twins.compiled(directory)
    else:
        app = result("appos").app
    trial = Trial(app, str(directory), engine, FLAVOURS[0])
    try:
        trial.build()
        yield trial, directory
    finally:
        trial.close()


def test_a_real_image_is_told_as_others_count_it(
    built: tuple[Trial, Path], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    trial, directory = built
    engine, image = trial.engine, trial.image
    installed = engine.tell("run", "--rm", "--entrypoint", "sh", image, "-c", INSTALLED).split()
    sources = [image]
    # The others are large, and would tell the same.
    if trial.app.image.family.name == "alpine":
        sources.append(str(tmp_path / "image.tar"))
        engine.tell("image", "save", "-o", sources[-1], image)

    documents = {}
    for form, name in (("cyclonedx", "bom.cdx.json"), ("spdx", "bom.spdx.json")):
        texts = set()
        for source in sources if form == "cyclonedx" else sources[-1:]:
            done = appos("sbom", source, "--format", form, cwd=directory)
            assert (done.status, done.err) == (0, "")
            texts.add(done.out)
        assert len(texts) == 1
        (tmp_path / name).write_text(done.out)
        documents[form] = json.loads(done.out)
        found = scanner.scan(str(tmp_path / name), ADVISORIES, str(tmp_path / "advisories"))
        distribution = [package for package in found if package.ecosystem.startswith(("Alpine", "Debian"))]
        assert len(distribution) == len(installed)
        assert len(found) == len(purls(documents[form]))
        record_property("evidence", f"{trial.app.name}, {form}: {len(found)} packages read by a scanner")
    assert cyclonedx.problems(json.dumps(documents["cyclonedx"])) == []
    assert sorted(purls(documents["cyclonedx"])) == sorted(purls(documents["spdx"]))
    assert {part["name"] for part in documents["cyclonedx"]["components"]} >= {name.split(":")[0] for name in installed}


ADVISORIES = tuple(
    scanner.Advisory(f"T-{ecosystem}", ecosystem, "nothing", "1")
    for ecosystem in ("Alpine", "Debian", "Go", "npm", "PyPI")
)


def purls(document: dict[str, Any]) -> list[str]:
    if "components" in document:
        return [part["purl"] for part in document["components"] if "purl" in part]
    return [ref["referenceLocator"] for part in document["packages"] for ref in part.get("externalRefs", ())]


@pytest.mark.parametrize("built", [ROOT], indirect=True, ids=["appos"])
def test_the_flagship_has_the_modules_that_go_names(built: tuple[Trial, Path], tmp_path: Path) -> None:
    trial, directory = built
    packed, program = tmp_path / "packed", tmp_path / "program"
    container = trial.engine.tell("create", trial.image).strip()
    try:
        trial.engine.tell("cp", f"{container}:/usr/local/share/appos/packed/backend", str(packed))
    finally:
        trial.engine.tell("rm", container)
    with packed.open("rb") as source, program.open("wb") as target:
        zstandard.ZstdDecompressor().copy_stream(source, target)
    listed = tools.output(tools.call([tools.program("go"), "version", "-m", str(program)]))
    lines = [line.split("\t") for line in listed.splitlines() if line.startswith("\tdep\t")]
    modules = {line[2]: line[3] for line in lines}

    done = appos("sbom", trial.image, cwd=directory)
    document = json.loads(done.out)
    found = {part["bom-ref"]: part for part in document["components"]}
    go = {part["name"]: part.get("version") for ref, part in found.items() if ref.startswith("pkg:golang/")}
    assert go.pop("stdlib")
    assert go.pop("appos/backend", "") is None
    assert go == modules

    services = {
        ref: [item["value"] for item in part["properties"] if item["name"] == "appos-compile:service"]
        for ref, part in found.items()
    }
    assert services["artifact:backend"] == services["pkg:golang/github.com/hibiken/asynq@v0.25.1"] == ["backend"]
    assert services["artifact:convex"] == services["file:/lib64/ld-linux-x86-64.so.2"] == ["convex"]
    assert services["artifact:dashboard"] == services["pkg:npm/%40xterm/xterm@6.0.0"] == ["nginx"]
    # The checksum of what is unpacked at the first start is the one that is compared then.
    sums = trial.engine.tell("run", "--rm", "--entrypoint", "cat", trial.image, f"{trial.app.share}/packed/convex.sum")
    assert found["artifact:convex"]["hashes"] == [{"alg": "SHA-256", "content": sums.split()[0]}]
