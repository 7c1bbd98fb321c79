"""How artifacts get into the image, as BuildKit's own parser reads the Dockerfiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compiler import load, pipeline
from tests.readers import dockerfile

if TYPE_CHECKING:
    from pathlib import Path

SPEC = """\
version: 1
name: shop
image: {base: "alpine:3.24"}
artifacts:
  site: {from: {image: "example.org/site:1", path: /srv/site}, prebuilt: dist, install: /srv/www, precompress: true}
  same: {from: {image: "example.org/tool:1", path: /bin/same}, install: /usr/bin/same, libc: glibc}
  other:
    {from: {image: "example.org/tool:1", path: /bin/o}, install: /usr/bin/other, libc: glibc, libraries: "debian:12"}
  docs:
    fetch: {url: "https://example.org/docs.tar.gz", sha256: "%s", unpack: true, path: docs-1.0/html}
    install: /srv/docs
    precompress: true
    mode: "0750"
    owner: web
services: {web: {preset: nginx}, more: {command: [/usr/bin/same], user: web}}
routes: {/: {static: site}, /docs/: {static: docs}}
""" % ("0" * 64)


def stages(tmp_path: Path, name: str) -> dict[str, Any]:
    files = pipeline.compile_document(load.parse(SPEC.encode(), "appos.yaml"), str(tmp_path)).files
    path = tmp_path / name
    path.write_text(next(file.content for file in files if file.path == name))
    return {stage["name"] or "image": stage for stage in dockerfile.read(str(path))["stages"]}


def copies(stage: dict[str, Any]) -> list[tuple[str, list[str], str]]:
    details = [each["detail"] for each in stage["instructions"] if each["name"] == "COPY"]
    return [(detail["From"], detail["SourcePaths"], detail["DestPath"]) for detail in details]


def test_a_directory_from_another_image_is_compressed_in_advance(tmp_path: Path) -> None:
    made = stages(tmp_path, "Dockerfile")
    assert copies(made["site"]) == [("example.org/site:1", ["/srv/site"], "/build/content")]
    assert ("site", ["/build/content"], "/srv/www") in copies(made["image"])


def test_the_local_form_of_it_as_well(tmp_path: Path) -> None:
    made = stages(tmp_path, "Dockerfile.local")
    assert copies(made["site"]) == [("", ["dist"], "/build/content")]
    assert ("site", ["/build/content"], "/srv/www") in copies(made["image"])


def test_a_directory_of_an_archive_is_copied_with_its_mode_and_owner(tmp_path: Path) -> None:
    made = stages(tmp_path, "Dockerfile")["image"]
    assert ("docs", ["/build/content/docs-1.0/html"], "/srv/docs") in copies(made)
    copy = next(each["code"] for each in made["instructions"] if each["code"].endswith(" /srv/docs"))
    assert copy.startswith("COPY --chown=web --chmod=0750 ")


def test_libraries_are_found_beside_the_program_or_where_it_is_copied_to(tmp_path: Path) -> None:
    made = stages(tmp_path, "Dockerfile")
    assert made["same-libraries"]["base"] == "example.org/tool:1"
    assert copies(made["same-libraries"]) == []
    assert made["other-libraries"]["base"] == "debian:12"
    assert copies(made["other-libraries"]) == [("example.org/tool:1", ["/bin/o"], "/closure/program")]
