"""The bill of materials of an image made by hand: what is in it, who wants it, in both formats, always the same."""

from __future__ import annotations

import hashlib
import json
import lzma
import re
import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler.sbom import contents, cyclonedx
from compiler.sbom.inventory import Spec
from tests import handmade, running
from tests.compiled import result
from tests.readers import scanner
from tests.running import appos
from tests.test_sbom_go import elf, note

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

OS = 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.19.9\nPRETTY_NAME="Alpine Linux v3.19"\n'
APK = "lib/apk/db/installed"
PROGRAM = elf(b"", note()).ljust(2**16, b"\0")
SITE = {"srv/www/index.html": "<p>", "srv/www/assets/main.js": "main()", "srv/www/empty": ""}
SPEC = """\
version: 1
name: shop
image: {base: alpine:3.19, packages: [curl]}
artifacts:
  site:
    build: {image: node:20-alpine, source: web, run: [npm run build], output: dist}
    prebuilt: dist
    install: /srv/www
  api: {prebuilt: bin/api, install: /usr/local/bin/api, libc: musl}
  big: {prebuilt: bin/big, install: /usr/local/bin/big, libc: musl, compress: METHOD}
services:
  redis: {preset: redis}
  api:
    command: [/usr/local/bin/api]
    user: api
    port: 8081
    after: [redis]
    environment: {HELPER: /usr/local/bin/big}
  web: {preset: nginx, after: [api]}
routes:
  /: {static: site}
  /api/: {service: api}
volumes: {data: {mount: /data}}
ports: {http: {publish: 8080, service: web}}
"""
LOCK = {
    "lockfileVersion": 3,
    "packages": {
        "": {"dependencies": {"@x/term": "6.0.0"}},
        "node_modules/@x/term": {
            "version": "6.0.0",
            "license": "MIT",
            "resolved": "https://example.com/@x/term/-/term-6.0.0.tgz",
        },
        "node_modules/vite": {"version": "6.0.0", "dev": True},
    },
}
COMMIT = "ab" * 20
ELSEWHERE = {
    "lockfileVersion": 3,
    "packages": {
        "": {"workspaces": ["packages/*"]},
        "node_modules/one": {"resolved": "packages/one", "link": True},
        "packages/one": {"dependencies": {"git": "*", "file": "*", "@x/term": "*"}},
        "node_modules/git": {"resolved": f"git+ssh://git@example.com/git.git#{COMMIT}"},
        "node_modules/file": {"version": "1.0.0", "resolved": "file:../file-1.0.0.tgz"},
        "node_modules/@x/term": {"version": "6.0.0", "resolved": "https://me:secret@example.com/term.tgz"},
        "node_modules/odd": {"version": "1.0.0", "resolved": "https://example.com/%zz.tgz"},
    },
}


def record(name: str, version: str = "1.0-r0", **fields: str) -> str:
    """An entry of apk's database."""
    lines = {"P": name, "V": version, "A": "x86_64", "L": "MIT", **fields}
    return "".join(f"{key}:{value}\n" for key, value in lines.items())


def database(*records: str) -> str:
    return "\n".join(records) + "\n"


BASE = record("musl", "1.2.5-r0")
ADDED = (
    record("redis", "7.0.15-r0", L="BSD-3-Clause", D="musl so:libssl.so.3", p="cmd:redis-server=7.0.15-r0"),
    record("libssl3", "3.1.8-r0", L="Apache-2.0", o="openssl", p="so:libssl.so.3=3"),
    record("curl", "8.5.0-r0", L="curl", D="musl so:libssl.so.3"),
    record("supervisor", "4.2.5-r0", L="custom thing")
    + "F:usr/lib/python3.11/site-packages/supervisor-4.2.5.dist-info\nR:METADATA\n",
)
METADATA = "Metadata-Version: 2.1\nName: supervisor\nVersion: 4.2.5\nLicense: BSD-derived\n\nA long text.\n"


def image(method: str = "zstd") -> bytes:
    """The spec's image, as it might be."""
    packed = lzma.compress(PROGRAM) if method == "xz" else zstandard.ZstdCompressor().compress(PROGRAM)
    return handmade.archive(
        [
            {"etc/os-release": "->../usr/lib/os-release", "usr/lib/os-release": OS, APK: database(BASE)},
            {
                APK: database(BASE, *ADDED),
                "usr/lib/python3.11/site-packages/supervisor-4.2.5.dist-info/METADATA": METADATA,
            },
            {"usr/local/bin/api": PROGRAM},
            {"usr/local/share/shop/packed/big": packed, "usr/local/bin/big": "->/run/shop/programs/big"},
            SITE,
        ],
        config={"Labels": {"org.opencontainers.image.title": "shop"}},
        history=[
            "ADD base",
            "RUN /bin/sh -c apk add --no-cache curl nginx redis supervisor zstd     && /tmp/settle.sh step # buildkit",
            "COPY",
            "COPY",
            "COPY",
        ],
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write(tmp_path, "zstd")
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "package-lock.json").write_text(json.dumps(LOCK))
    return tmp_path


def write(directory: Path, method: str) -> None:
    (directory / "appos.yaml").write_text(SPEC.replace("METHOD", method))
    (directory / "image.tar").write_bytes(image(method))


def told(directory: Path, *words: str) -> Any:
    """The document that the command writes for ``image.tar``."""
    done = appos("sbom", "image.tar", *words, cwd=directory)
    assert done.status == 0, done.err
    assert done.err == ""
    return json.loads(done.out)


def facts(component: Mapping[str, Any]) -> dict[str, list[str]]:
    """Our own properties of a component."""
    found: dict[str, list[str]] = {}
    for item in component.get("properties", ()):
        found.setdefault(item["name"].removeprefix("appos-compile:"), []).append(item["value"])
    return found


def by_ref(document: Mapping[str, Any]) -> dict[str, Any]:
    return {component["bom-ref"]: component for component in document["components"]}


def edges(document: Mapping[str, Any]) -> dict[str, list[str]]:
    return {item["ref"]: item.get("dependsOn", []) for item in document["dependencies"]}


REDIS = "pkg:apk/alpine/redis@7.0.15-r0?arch=x86_64&distro=alpine-3.19.9"
SSL = "pkg:apk/alpine/libssl3@3.1.8-r0?arch=x86_64&distro=alpine-3.19.9&upstream=openssl"
MUSL = "pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64&distro=alpine-3.19.9"
SUPERVISOR = "pkg:apk/alpine/supervisor@4.2.5-r0?arch=x86_64&distro=alpine-3.19.9"
TERM = "pkg:npm/%40x/term@6.0.0"


def test_each_part_is_there_with_who_wants_it(project: Path) -> None:
    found = by_ref(told(project))
    assert {ref for ref in found if not ref.startswith(("service:", "artifact:"))} == {
        *(REDIS, SSL, MUSL, SUPERVISOR, TERM, "system:alpine@3.19.9"),
        "pkg:apk/alpine/curl@8.5.0-r0?arch=x86_64&distro=alpine-3.19.9",
        "pkg:golang/example.com/box",
        "pkg:golang/example.com/part@v1.2.3",
        "pkg:golang/stdlib@1.22.12",
        "pkg:pypi/supervisor@4.2.5",
    }
    services = {ref: facts(component).get("service", []) for ref, component in found.items()}
    assert services[REDIS] == ["redis"]
    assert services[SSL] == ["redis"]
    assert services[TERM] == ["web"]
    assert services["artifact:site"] == ["web"]
    assert services["artifact:api"] == ["api"]
    assert services["pkg:golang/example.com/part@v1.2.3"] == ["api"]
    assert facts(found[MUSL])["wanted-by"] == ["base alpine:3.19", "image.packages"]
    assert facts(found[SUPERVISOR])["wanted-by"] == ["appos-compile"]


def test_what_needs_what_leads_from_the_image_to_everything(project: Path) -> None:
    document = told(project)
    graph = edges(document)
    assert graph["service:redis"] == [REDIS]
    assert set(graph[REDIS]) == {MUSL, SSL}
    assert set(graph["service:api"]) == {"artifact:api", "artifact:big"}
    assert graph["service:web"] == ["artifact:site"]
    assert graph["artifact:site"] == [TERM]
    assert graph["artifact:api"] == ["pkg:golang/example.com/box"]
    assert set(graph["pkg:golang/example.com/box"]) == {
        "pkg:golang/example.com/part@v1.2.3",
        "pkg:golang/stdlib@1.22.12",
    }
    assert graph[SUPERVISOR] == ["pkg:pypi/supervisor@4.2.5"]
    assert graph["system:alpine@3.19.9"] == [MUSL]
    reached: set[str] = set()
    waiting = ["image"]
    while waiting:
        ref = waiting.pop()
        if ref not in reached:
            reached.add(ref)
            waiting += graph[ref]
    assert reached == {"image", *by_ref(document)}


@pytest.mark.parametrize("method", ["zstd", "xz"])
def test_an_artifact_has_its_source_and_its_checksum(project: Path, method: str) -> None:
    write(project, method)
    found = by_ref(told(project))
    sha256 = hashlib.sha256(PROGRAM).hexdigest()
    assert found["artifact:api"]["hashes"] == [{"alg": "SHA-256", "content": sha256}]
    assert facts(found["artifact:api"])["prebuilt"] == ["bin/api"]
    big = found["artifact:big"]
    assert big["hashes"] == [{"alg": "SHA-256", "content": sha256}]
    assert facts(big)["compressed"] == [method]
    assert facts(big)["stored"] == ["/usr/local/share/shop/packed/big"]
    assert facts(found["pkg:golang/example.com/box"])["found-in"] == ["/usr/local/bin/api", facts(big)["stored"][0]]
    site = facts(found["artifact:site"])
    assert (site["build-directory"], site["builder-image"]) == (["web"], ["node:20-alpine"])
    listed = "".join(
        f"{hashlib.sha256(text.encode()).hexdigest()}  {path.removeprefix('srv/www/')}\n"
        for path, text in sorted(SITE.items())
    )
    digest = hashlib.sha256(listed.encode()).hexdigest()
    assert found["artifact:site"]["hashes"] == [{"alg": "SHA-256", "content": digest}]
    assert site["lock"] == ["web/package-lock.json"]


def test_modules_that_directories_replace_are_told_apart(tmp_path: Path) -> None:
    programs = {
        f"usr/bin/{name}": elf(
            b"",
            note(
                f"path\texample.com/{name}\nmod\texample.com/{name}\t(devel)\t\n"
                f"dep\texample.com/{name}_dep\tv1.2.3\n=>\t./dep\t(devel)\t\n"
            ),
        ).ljust(2**16, b"\0")
        for name in ("one", "two")
    }
    (tmp_path / "image.tar").write_bytes(handmade.archive([programs]))
    document = told(tmp_path)
    found = by_ref(document)
    for name in ("one", "two"):
        dependency = f"pkg:golang/example.com/{name}_dep@v1.2.3"
        assert facts(found[dependency])["replaced-by"] == ["./dep"]
        assert facts(found[dependency])["found-in"] == [f"/usr/bin/{name}"]
        assert dependency in edges(document)[f"pkg:golang/example.com/{name}"]
    assert "pkg:golang/./dep" not in found
    assert purls(told(tmp_path, "--format", "spdx")) == purls(document)


GLIBC = """\
version: 1
name: shop
image: {base: alpine:3.19}
artifacts:
  db: {from: {image: 'example.com/db:1', path: /bin/db}, install: /usr/local/bin/db, libc: glibc}
services:
  db: {command: [/usr/local/bin/db], user: db}
"""


def test_libraries_that_come_along_are_told_though_no_package_has_them(project: Path) -> None:
    (project / "appos.yaml").write_text(GLIBC)
    layers = [{APK: database(BASE)}, {"lib64/libc.so.6": "libc"}, {"usr/local/bin/db": "db"}]
    history = ["ADD base", "COPY /closure/root/ / # buildkit", "COPY /files/db/ / # buildkit"]
    (project / "image.tar").write_bytes(handmade.archive(layers, history=history))
    document = told(project, "-f", "appos.yaml")
    libc = by_ref(document)["file:/lib64/libc.so.6"]
    assert libc["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(b"libc").hexdigest()}]
    assert (facts(libc)["service"], facts(libc)["source-image"]) == (["db"], ["example.com/db:1"])
    assert edges(document)["artifact:db"] == ["file:/lib64/libc.so.6"]
    database_ = facts(by_ref(document)["artifact:db"])
    assert (database_["source-image"], database_["source-path"]) == (["example.com/db:1"], ["/bin/db"])


def test_a_local_image_has_what_was_ready_made(project: Path) -> None:
    site = facts(by_ref(told(project, "--local"))["artifact:site"])
    assert site["prebuilt"] == ["dist"]
    assert "builder-image" not in site


def test_a_damaged_artifact_has_no_checksum_but_the_one_of_its_file(project: Path) -> None:
    packed = zstandard.ZstdCompressor().compress(PROGRAM)
    broken = packed[:20] + bytes(40)
    (project / "image.tar").write_bytes(handmade.archive([{"usr/local/share/shop/packed/big": broken}]))
    big = by_ref(told(project, "-f", "appos.yaml"))["artifact:big"]
    assert "hashes" not in big
    assert facts(big)["stored-sha256"] == [hashlib.sha256(broken).hexdigest()]


def test_without_a_spec_the_image_speaks_for_itself(project: Path) -> None:
    (project / "appos.yaml").unlink()
    document = told(project)
    assert document["metadata"]["component"]["name"] == "made"
    found = by_ref(document)
    assert REDIS in found
    assert "pkg:golang/example.com/part@v1.2.3" in found
    assert not [ref for ref in found if ref.startswith(("service:", "artifact:"))]


def test_another_image_is_not_taken_for_the_specs_own(project: Path) -> None:
    (project / "image.tar").write_bytes(handmade.archive([{"etc/os-release": OS, APK: database(BASE)}], name="other:2"))
    done = appos("sbom", "image.tar", cwd=project)
    assert done.status == 0
    assert "was not made from appos.yaml" in done.err
    document = json.loads(done.out)
    assert document["metadata"]["component"]["name"] == "other"
    assert set(by_ref(document)) == {MUSL, "system:alpine@3.19.9"}
    assert told(project, "-f", "appos.yaml")["metadata"]["component"]["name"] == "shop"


@pytest.mark.parametrize("method", ["zstd", "xz"])
def test_what_unpacks_without_end_takes_little_memory(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "LARGEST", 2**26)
    zeros = bytes(2**27)
    bomb = lzma.compress(zeros, preset=0) if method == "xz" else zstandard.ZstdCompressor().compress(zeros)
    del zeros
    sink = contents.Packed()
    tracemalloc.start()
    sink.update(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sink.value().unpacked is None
    assert peak < 2 * 2**26


def test_licences_are_expressions_or_names(project: Path) -> None:
    found = by_ref(told(project))
    assert found[REDIS]["licenses"] == [{"license": {"acknowledgement": "declared", "id": "BSD-3-Clause"}}]
    assert found[SUPERVISOR]["licenses"] == [{"license": {"acknowledgement": "declared", "name": "custom thing"}}]
    assert found[TERM]["licenses"][0]["license"]["id"] == "MIT"
    assert "licenses" not in found["pkg:golang/example.com/part@v1.2.3"]


def test_the_licences_are_listed(project: Path) -> None:
    done = running.process("sbom", "image.tar", "--format", "licences", cwd=project)
    assert done.status == 0
    assert done.out == (
        "LICENCE       COMPONENTS\n"
        "Apache-2.0      1  libssl3\n"
        "BSD-3-Clause    2  redis, stdlib\n"
        "BSD-derived     1  supervisor\n"
        "curl            1  curl\n"
        "custom thing    1  supervisor\n"
        "MIT             2  @x/term, musl\n"
        "NOASSERTION     2  example.com/box, example.com/part\n"
    )


def test_both_formats_tell_the_same(project: Path) -> None:
    first, second = told(project), told(project, "--format", "spdx")
    assert (first["specVersion"], second["spdxVersion"]) == ("1.6", "SPDX-2.3")
    assert sorted(purls(first)) == sorted(purls(second))
    assert len(second["packages"]) == len(first["components"]) + 1
    names = {package["SPDXID"]: package["name"] for package in second["packages"]}
    comments = {package["name"]: package["comment"] for package in second["packages"]}
    assert "service: redis" in comments["libssl3"].splitlines()
    linked = {
        (names.get(item["spdxElementId"]), item["relationshipType"], names.get(item["relatedSpdxElement"]))
        for item in second["relationships"]
    }
    assert {
        (None, "DESCRIBES", "shop"),
        ("shop", "CONTAINS", "musl"),
        ("redis", "DEPENDS_ON", "libssl3"),
        ("web", "DEPENDS_ON", "site"),
        ("site", "CONTAINS", "@x/term"),
        ("supervisor", "CONTAINS", "supervisor"),
    } <= linked
    assert [item["extractedText"] for item in second["hasExtractedLicensingInfos"]] == ["BSD-derived", "custom thing"]


def purls(document: Mapping[str, Any]) -> list[str]:
    if "components" in document:
        return [component["purl"] for component in document["components"] if "purl" in component]
    return [ref["referenceLocator"] for package in document["packages"] for ref in package.get("externalRefs", ())]


@pytest.mark.parametrize("form", ["cyclonedx", "spdx", "licences"])
def test_the_same_image_gives_the_same_bytes(project: Path, form: str) -> None:
    (project / "web" / "package-lock.json").write_text(json.dumps(ELSEWHERE))
    words = ("sbom", "image.tar", "--format", form)
    outputs = {
        running.process(*words, cwd=project, env={"PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": "C"}).out
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    }
    done = appos(*words, "--output", "bom", cwd=project)
    assert (done.status, done.out) == (0, "")
    assert outputs == {(project / "bom").read_text()}


def test_time_is_the_images_own_unless_somebody_says_another(project: Path) -> None:
    assert told(project)["metadata"]["timestamp"] == "2026-01-02T03:04:05+00:00"
    assert told(project, "--format", "spdx")["creationInfo"]["created"] == "2026-01-02T03:04:05Z"
    words = ("sbom", "image.tar", "--format", "spdx")
    later = running.process(*words, cwd=project, env={"SOURCE_DATE_EPOCH": "1700000000"})
    assert json.loads(later.out)["creationInfo"]["created"] == "2023-11-14T22:13:20Z"
    wrong = running.process(*words, cwd=project, env={"SOURCE_DATE_EPOCH": "today"})
    assert wrong.status == 3
    assert "SOURCE_DATE_EPOCH" in wrong.err


ADVISORIES = (
    scanner.Advisory("T-1", "Alpine:v3.19", "curl", "9"),
    scanner.Advisory("T-2", "Go", "example.com/part", "2.0.0"),
    scanner.Advisory("T-3", "Go", "stdlib", "1.22.13"),
    scanner.Advisory("T-4", "npm", "@x/term", "7.0.0"),
    scanner.Advisory("T-5", "PyPI", "supervisor", "4.2.5"),
    scanner.Advisory("T-6", "Alpine:v3.18", "redis", "9"),
)


@pytest.mark.parametrize("form", ["cyclonedx", "spdx"])
def test_a_public_scanner_reads_every_package_and_finds_what_concerns_it(project: Path, form: str) -> None:
    path = project / {"cyclonedx": "bom.cdx.json", "spdx": "bom.spdx.json"}[form]
    assert appos("sbom", "image.tar", "--format", form, "--output", str(path), cwd=project).status == 0
    found = scanner.scan(str(path), ADVISORIES, str(project / "advisories"))
    assert len(found) == len(purls(json.loads(path.read_text())))
    assert [package.ecosystem for package in found].count("Alpine:v3.19") == 5
    assert {name for package in found for name in package.advisories} == {"T-1", "T-2", "T-3", "T-4"}


DEBIAN = """\
Package: curl
Status: install ok installed
Architecture: amd64
Version: 1:7.88.1-10+deb12u5
Depends: libc6 (>= 2.34), debconf | cdebconf

Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc (2.36-9)
Version: 2.36-9+deb12u4

Package: libc6
Status: install ok installed
Architecture: i386
Source: glibc (2.36-9)
Version: 2.36-9+deb12u4

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
COPYRIGHT = (
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: LGPL-2.1+\n"
)


def test_a_debian_image(tmp_path: Path) -> None:
    files = {
        "etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
        "var/lib/dpkg/status": DEBIAN,
        "usr/share/doc/libc6/copyright": COPYRIGHT,
        "usr/share/doc/curl": "->libc6",
    }
    (tmp_path / "image.tar").write_bytes(handmade.archive([files]))
    document = told(tmp_path)
    libc = "pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch={}&distro=debian-12&upstream=glibc"
    curl = "pkg:deb/debian/curl@1:7.88.1-10%2Bdeb12u5?arch=amd64&distro=debian-12"
    assert sorted(purls(document)) == sorted([curl, libc.format("amd64"), libc.format("i386")])
    assert by_ref(document)[curl]["licenses"][0]["license"]["id"] == "LGPL-2.1-or-later"
    assert set(edges(document)[curl]) <= {libc.format("amd64"), libc.format("i386")} != set()
    assert len(purls(told(tmp_path, "--format", "spdx"))) == 3


NAMES = st.from_regex(r"[a-z0-9][a-z0-9+._-]{0,12}", fullmatch=True)
VERSIONS = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}[a-z]?(_git[0-9]{1,3})?-r[0-9]", fullmatch=True)
LICENCES = st.sampled_from(["MIT", "GPL-2.0-or-later AND MIT", "custom", "a b", "((", "MIT WITH x", "", "\x1b[31m"])


@given(st.dictionaries(NAMES, st.tuples(VERSIONS, LICENCES, st.lists(NAMES, max_size=3)), max_size=12))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_package_of_a_database_appears_once(
    tmp_path: Path, packages: dict[str, tuple[str, str, list[str]]]
) -> None:
    records = [record(name, version, L=text, D=" ".join(needs)) for name, (version, text, needs) in packages.items()]
    content = handmade.archive([{"etc/os-release": OS, APK: database(*records)}])
    (tmp_path / "image.tar").write_bytes(content)
    for form in ("cyclonedx", "spdx"):
        done = appos("sbom", "image.tar", "--format", form, cwd=tmp_path)
        assert done.status == 0, done.err
        document = json.loads(done.out)
        assert sorted(named(document)) == sorted((name, version) for name, (version, _, _) in packages.items())
    assert cyclonedx.problems(appos("sbom", "image.tar", cwd=tmp_path).out) == []


def named(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    if "components" in document:
        return [(part["name"], part["version"]) for part in document["components"] if "purl" in part]
    return [(part["name"], part["versionInfo"]) for part in document["packages"] if "externalRefs" in part]


@pytest.mark.parametrize(
    ("form", "library"),
    [
        ("cyclonedx", "cyclonedx"),
        ("cyclonedx", "packageurl"),
        ("cyclonedx", "jsonschema"),
        ("cyclonedx", "referencing"),
        ("spdx", "spdx_tools"),
        ("licences", "license_expression"),
    ],
)
def test_without_a_library_one_line_says_how_to_get_it(project: Path, form: str, library: str) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; from compiler.__main__ import run; sys.exit(run())"
    done = subprocess.run(
        [sys.executable, "-c", code, "sbom", "image.tar", "--format", form],
        cwd=project,
        env=running.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert library in done.stderr
    assert re.search(r"help: pip install 'appos-compile\[sbom\]'", done.stderr)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "image"),
        (b"no archive", "image"),
        (image()[:5000], "image"),
        (handmade.layer({"a": "b"}), "manifest.json"),
    ],
    ids=["empty", "text", "cut", "a layer"],
)
def test_what_is_no_image_is_refused(project: Path, content: bytes, message: str) -> None:
    (project / "image.tar").write_bytes(content)
    done = appos("sbom", "image.tar", cwd=project)
    assert (done.status, done.out) == (3, "")
    assert message in done.err


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"",
        b"[]",
        b"\xff",
        b'{\n<<<<<<< HEAD\n"lockfileVersion": 3\n=======\n"lockfileVersion": 2\n>>>>>>> x\n}\n',
        json.dumps(LOCK).encode("utf-16"),
    ],
    ids=["cut", "empty", "a list", "no text", "a merge", "UTF-16"],
)
def test_a_lock_file_that_is_none_is_named_with_what_to_do(project: Path, content: bytes) -> None:
    (project / "web" / "package-lock.json").write_bytes(content)
    done = appos("sbom", "image.tar", cwd=project)
    assert (done.status, done.out) == (3, "")
    assert "web/package-lock.json cannot be read" in done.err
    assert "help: npm install --package-lock-only" in done.err


def test_a_byte_order_mark_does_not_keep_a_lock_file_from_being_read(project: Path) -> None:
    plain = told(project)
    (project / "web" / "package-lock.json").write_text(json.dumps(LOCK), encoding="utf-8-sig")
    assert told(project) == plain


def test_npm_packages_from_elsewhere_hang_on_the_artifact_and_say_where_they_are_from(project: Path) -> None:
    (project / "web" / "package-lock.json").write_text(json.dumps(ELSEWHERE))
    document = told(project)
    git = f"pkg:npm/git?vcs_url=git%2Bssh://git%40example.com/git.git%40{COMMIT}"
    term = "pkg:npm/%40x/term@6.0.0?download_url=https://example.com/term.tgz"
    assert set(edges(document)["artifact:site"]) == {
        git,
        term,
        "pkg:npm/file@1.0.0?download_url=file:../file-1.0.0.tgz",
        "pkg:npm/odd@1.0.0?download_url=https://example.com/%25zz.tgz",
    }
    found = by_ref(document)
    assert "version" not in found[git]
    assert found[git]["externalReferences"] == [{"type": "vcs", "url": f"git+ssh://git@example.com/git.git@{COMMIT}"}]
    assert found[term]["externalReferences"] == [{"type": "distribution", "url": "https://example.com/term.tgz"}]

    second = told(project, "--format", "spdx")
    assert sorted(purls(document)) == sorted(purls(second))
    places = {package["name"]: package["downloadLocation"] for package in second["packages"]}
    assert places["git"] == f"git+ssh://git@example.com/git.git@{COMMIT}"
    assert places["odd"] == "NOASSERTION"


def test_a_spec_with_problems_is_told_as_ever(project: Path) -> None:
    (project / "appos.yaml").write_text("version: 1\n")
    done = appos("sbom", "image.tar", cwd=project)
    assert done.status == 2
    assert "error[" in done.err


def test_an_image_is_known_by_the_digest_that_it_was_taken_with(project: Path) -> None:
    digest = f"sha256:{'ab' * 32}"
    spec = (project / "appos.yaml").read_text()
    (project / "appos.yaml").write_text(spec.replace("alpine:3.19", f"alpine:3.19@{digest}"))
    document = told(project)
    assert facts(document["metadata"]["component"])["base-image"] == [f"alpine:3.19@{digest}"]
    text = f"FROM node:20-alpine@{digest} AS site\nFROM my.registry/alpine:3.19@{digest}\n"
    locked = Spec(result("appos").app, (), {}, local=False, dockerfile=text)
    assert locked.pinned("node:20-alpine") == f"node:20-alpine@{digest}"
    assert locked.pinned("alpine:3.19") == "alpine:3.19"


def test_categories_are_spelt_as_the_schema_of_spdx_has_them(project: Path) -> None:
    found = told(project, "--format", "spdx")
    references = [ref for package in found["packages"] for ref in package.get("externalRefs", ())]
    assert {ref["referenceCategory"] for ref in references} == {"PACKAGE-MANAGER"}


WORDS = st.text(st.characters(exclude_characters="\n"), max_size=12).map(str.encode) | st.binary(max_size=12).map(
    lambda data: data.replace(b"\n", b"")
)


@given(st.lists(st.tuples(st.sampled_from(b"P V A L o D p C F R i".split()), WORDS), max_size=20), WORDS, WORDS, WORDS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_an_image_the_document_is_valid(
    tmp_path: Path, lines: list[tuple[bytes, bytes]], identity: bytes, name: bytes, licence: bytes
) -> None:
    files = {
        "etc/os-release": b"ID=" + identity + b"\nVERSION_ID=" + name,
        APK: b"P:first\n" + b"".join(key + b":" + value + b"\n" for key, value in lines),
        "usr/lib/python3/dist-packages/x.dist-info/METADATA": b"Name: " + name + b"\nVersion: 1\nLicense: " + licence,
        "usr/share/doc/first/copyright": COPYRIGHT.encode() + licence,
    }
    (tmp_path / "image.tar").write_bytes(handmade.archive([files]))
    for form in ("cyclonedx", "spdx", "licences"):
        done = appos("sbom", "image.tar", "--format", form, cwd=tmp_path)
        assert done.status == 0, done.err
