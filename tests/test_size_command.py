"""The command size on archives: what it prints, what it holds an image to, what it compares and keeps; no engine."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from compiler import load, pipeline
from compiler.errors import HostError
from compiler.image import source
from compiler.size import numbers
from compiler.size.steps import steps
from compiler.verify.engine import Engine
from tests import archives
from tests.archives import Item, Package
from tests.running import appos, process

if TYPE_CHECKING:
    from pathlib import Path

SPEC = """version: 1
name: small
image: {base: 'alpine:3.24', packages: [curl]%s}
artifacts:
  api: {prebuilt: bin/api, install: /usr/local/bin/api, libc: musl}
services:
  api: {command: [/usr/local/bin/api], user: api, port: 8081}
  redis: {preset: redis}
volumes: {data: {mount: /data}}
"""
BASE = (Package("musl", {"/lib/ld-musl.so.1": 600}),)
ASKED = (
    Package("curl", {"/usr/bin/curl": 3000}),
    Package("redis", {"/usr/bin/redis-server": 20000}),
    Package("supervisor", {"/usr/bin/supervisord": 4000}),
)


def spec(directory: Path, budget: str = "", text: str = SPEC) -> None:
    """Write the spec with a budget."""
    (directory / "appos.yaml").write_text(text % (f", budget: {budget}" if budget else ""))


def image(directory: Path, name: str = "image.tar", api: int = 50000, layout: str = "new") -> int:
    """Write the archive of an image in which the api has so many bytes; return the bytes of it all."""
    result = pipeline.compile_document(load.parse((SPEC % "").encode(), "appos.yaml"), ".")
    texts = [s.text for s in steps(result.app, next(f.content for f in result.files if f.path == "Dockerfile"))]
    layers = {"": archives.packages(*BASE)}
    for text in texts:
        if "apk add" in text:
            layers[text] = archives.packages(*ASKED, others=BASE)
        elif text.startswith("RUN"):
            layers[text] = [Item("/etc/passwd", b"api:x\n")]
        elif text == "COPY /files/api/ /":
            layers[text] = [Item("/usr/local/bin/api", b"a" * api)]
        else:
            layers[text] = [Item(f"{result.app.library}/entrypoint.sh", b"script")]
    archives.save(directory / name, list(layers.values()), list(layers), layout)
    return sum(len(item.content) for items in layers.values() for item in items)


def as_json(directory: Path, *arguments: str) -> Any:
    """What the command says as JSON."""
    return json.loads(appos("size", *arguments, "--format", "json", cwd=directory).out)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A spec without a budget, and an image of it."""
    spec(tmp_path)
    image(tmp_path)
    return tmp_path


def test_every_byte_is_in_a_share_and_in_a_part(project: Path) -> None:
    found = as_json(project, "image.tar")
    assert found["uncompressed"] == image(project)
    assert found["uncompressed"] == sum(share["uncompressed"] for share in found["shares"])
    assert found["uncompressed"] == sum(part["uncompressed"] for share in found["shares"] for part in share["parts"])
    assert found["uncompressed"] == sum(layer["uncompressed"] for layer in found["layers"])
    assert (found["nobody"], found["compressed"], found["engine"], found["budget"]) == ([], None, None, None)
    names = [(share["kind"], share["name"], share["service"]) for share in found["shares"]]
    assert names[:2] == [("artifact", "api", "api"), ("service", "redis", "redis")]


def test_people_see_the_largest_first(project: Path) -> None:
    lines = appos("size", "image.tar", cwd=project).out.splitlines()
    names = [
        line.split("B", 1)[1].strip()
        for line in lines
        if line.startswith("  ") and "kB" in line and "bytes" not in line
    ]
    assert names[:4] == ["artifact api", "/usr/local/bin/api", "service redis", "redis 1-r0"]


@pytest.mark.parametrize(("spare", "status"), [(0, 0), (1, 0), (-1, 1)])
def test_exactly_the_budget_is_fine_and_a_byte_more_is_not(spare: int, status: int, project: Path) -> None:
    total = image(project)
    spec(project, f"{total + spare}B")
    found = appos("size", "image.tar", "--check", cwd=project)
    assert (found.status, found.err) == (status, "")
    if status:
        lines = found.out.splitlines()
        assert lines[0] == f"over budget by 1 byte: the image takes {total:,} bytes uncompressed, of {total - 1:,}"
        assert lines[1].startswith("culprit: artifact api, 50,000 bytes")
        sizes = [int(line.split()[0].replace(",", "")) for line in lines if line[15:17] == "  " and line[17:18] != " "]
        assert sizes == sorted(sizes, reverse=True)
        assert len(sizes) == len(as_json(project, "image.tar")["shares"])
    else:
        assert found.out.startswith("fine: ")


def test_the_compressed_budget_is_checked_too(project: Path) -> None:
    image(project, layout="oci")
    spec(project)
    size = as_json(project, "image.tar")["compressed"]
    spec(project, f"{{compressed: {size}B}}")
    assert appos("size", "image.tar", "--check", cwd=project).status == 0
    spec(project, f"{{compressed: {size - 1}B}}")
    assert "compressed" in appos("size", "image.tar", "--check", cwd=project).out
    assert appos("size", "image.tar", "--check", cwd=project).status == 1
    spec(project)
    measured = as_json(project, "image.tar", "--compressed")
    assert sum(share["compressed"] for share in measured["shares"]) == measured["compressed"]
    assert not measured["compressed_estimated"]
    image(project)
    assert as_json(project, "image.tar", "--compressed")["compressed_estimated"]


def test_a_service_has_a_budget_of_its_own_with_the_artifact_that_it_runs(project: Path) -> None:
    spec(project, "{uncompressed: 1MB, services: {api: 50000B, redis: {uncompressed: 10000B}}}")
    found = appos("size", "image.tar", "--check", cwd=project)
    assert found.status == 1
    assert "service redis takes" in found.out.splitlines()[0]
    assert found.out.splitlines()[1].startswith("culprit: service redis")
    assert "service api" not in found.out.splitlines()[0]
    spec(project, "{services: {api: 49999B}}")
    assert (
        "service api takes 50,000 bytes uncompressed, of 49,999"
        in appos("size", "image.tar", "--check", cwd=project).out
    )


def test_a_service_that_does_not_exist_has_no_budget(project: Path) -> None:
    spec(project, "{services: {reids: 1MB}}")
    found = appos("size", "image.tar", cwd=project)
    assert found.status == 2
    assert "E130" in found.err
    assert 'did you mean "redis"?' in found.err


def test_without_a_budget_there_is_nothing_to_check(project: Path) -> None:
    found = appos("size", "image.tar", "--check", cwd=project)
    assert (found.status, found.out) == (2, "")
    assert "no budget to check" in found.err


def test_what_grew_since_another_image_comes_first(project: Path) -> None:
    image(project, "old.tar", api=49000)
    total = image(project)
    spec(project, f"{total - 1}B")
    lines = appos("size", "image.tar", "--check", "--against", "old.tar", cwd=project).out.splitlines()
    assert lines[1].startswith("culprit: artifact api")
    assert lines[2] == "since old.tar: +1,000 bytes uncompressed"
    assert lines[3].split() == ["+1,000", "artifact", "api", "(49,000", "->", "50,000)"]
    found = as_json(project, "image.tar", "--against", "old.tar")["against"]
    assert found["changes"] == [{"kind": "share", "name": "artifact api", "before": 49000, "after": 50000}]


def git(directory: Path, *words: str) -> None:
    """Run git as nobody in particular."""
    who = ("-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *words], cwd=directory, check=True, capture_output=True)


def test_numbers_are_kept_and_compared_with_those_of_a_revision(project: Path) -> None:
    git(project, "init", "-q", "-b", "trunk")
    total = image(project, api=40000)
    assert appos("size", "image.tar", "--keep", cwd=project).status == 0
    kept = (project / "build" / "size.json").read_bytes()
    assert appos("size", "image.tar", "--keep", cwd=project).status == 0
    assert (project / "build" / "size.json").read_bytes() == kept
    git(project, "add", "build/size.json")
    git(project, "commit", "-q", "-m", "measured")
    image(project)
    found = as_json(project, "image.tar", "--against", "trunk")
    assert found["against"]["uncompressed"] == total
    assert found["against"]["changes"][0]["after"] - found["against"]["changes"][0]["before"] == 10000
    spec(project, f"{total}B")
    checked = appos("size", "image.tar", "--check", cwd=project)
    assert "since build/size.json: +10,000 bytes" in checked.out
    missing = appos("size", "image.tar", "--against", "HEAD", "--local", cwd=project)
    assert missing.status == 3
    assert "no numbers of the local image" in missing.err
    git(project, "rm", "-q", "--cached", "build/size.json")
    git(project, "commit", "-q", "-m", "gone")
    gone = appos("size", "image.tar", "--against", "HEAD", cwd=project)
    assert gone.status == 3
    assert "--keep" in gone.err


def test_numbers_that_are_kept_are_no_stranger_in_the_output(project: Path) -> None:
    spec(project, "1MB")
    assert appos(cwd=project).status == 0
    appos("size", "image.tar", "--keep", cwd=project)
    assert appos("--check", cwd=project).status == 0
    assert (project / "build" / "size.json").exists()
    for name in ("Dockerfile.dockerignore", "Dockerfile.local.dockerignore", ".dockerignore"):
        lines = (project / "build" / name).read_text().splitlines()
        assert "build/size.json" in lines
        assert "!build/size.json" not in lines


def warning(directory: Path) -> str:
    """The compiler's warning about the budget, if it has one."""
    return next((line for line in appos(cwd=directory).err.splitlines() if "W030" in line), "")


def test_the_compiler_warns_when_what_was_measured_and_added_is_over_the_budget(project: Path) -> None:
    total = image(project)
    appos("size", "image.tar", "--keep", cwd=project)
    spec(project, f"{total}B")
    assert not warning(project)
    spec(project, f"{total - 1}B")
    assert f"the production image takes {total:,} bytes, of {total - 1:,}" in warning(project)
    # From then on the fast path says the same.
    assert warning(project) == warning(project) != ""
    spec(project, "20MB", SPEC.replace("[curl]", "[curl, python3]"))
    assert "python3 24,851,251" in warning(project)
    assert f"at least {total + 24851251:,} bytes" in warning(project)
    spec(project, "40MB", SPEC.replace("[curl]", "[curl, python3]"))
    assert not warning(project)


def test_what_is_taken_out_of_the_spec_is_taken_off_what_was_measured(project: Path) -> None:
    total = image(project)
    appos("size", "image.tar", "--keep", cwd=project)
    less = SPEC.replace("  redis: {preset: redis}\n", "").replace("volumes: {data: {mount: /data}}\n", "")
    spec(project, f"{total - 20001}B", less)
    assert not warning(project)
    spec(project, f"{total - 20001}B")
    assert warning(project)


def test_a_new_measurement_is_heeded_at_once(project: Path) -> None:
    total = image(project)
    appos("size", "image.tar", "--keep", cwd=project)
    spec(project, f"{total - 1}B")
    assert warning(project)
    image(project, api=49999)
    appos("size", "image.tar", "--keep", cwd=project)
    assert not warning(project)


KEPT = '{"version": 1, "production": {"base": "alpine:3.24", "uncompressed": %s, "compressed": null, %s}}'
REST = '"shares": {}, "packages": {}, "asked": {}'
SENSELESS = {
    "nothing": "",
    "an end": "{",
    "a list": "[]",
    "no version": "{}",
    "another version": '{"version": 2}',
    "no numbers": '{"version": 1, "production": {}}',
    "a merge": "<<<<<<< HEAD",
    "no end": '{"version":' + "[" * 10**5,
    "infinity": KEPT % ("1e999", REST),
    "less than nothing": KEPT % ("-1", REST),
    "too many digits to write": KEPT % ("9" * 4300, '"shares": {}, "packages": {"curl": 1}, "asked": {"x": ["y"]}'),
    "a text": KEPT % ('"many"', REST),
}


@pytest.mark.parametrize("what", SENSELESS)
def test_numbers_that_make_no_sense_say_nothing(what: str, project: Path) -> None:
    assert numbers.parse(SENSELESS[what]) == {}
    (project / "build").mkdir()
    (project / "build" / "size.json").write_text(SENSELESS[what])
    spec(project, "1B")
    assert appos(cwd=project).status == 0
    assert not warning(project)


@pytest.mark.parametrize("what", SENSELESS)
def test_numbers_that_make_no_sense_are_told_and_not_written_over(what: str, project: Path) -> None:
    file = project / "build" / "size.json"
    file.parent.mkdir()
    file.write_text(SENSELESS[what])
    spec(project, "1MB")
    checked = appos("size", "image.tar", "--check", cwd=project)
    assert checked.status == 0
    assert checked.err.startswith("warning: the numbers kept in build/size.json cannot be read: ")
    kept = appos("size", "image.tar", "--keep", cwd=project)
    assert (kept.status, kept.out) == (3, "")
    assert "build/size.json cannot be read" in kept.err
    assert file.read_text() == SENSELESS[what]
    assert appos("size", "image.tar", cwd=project).err == ""
    file.unlink()
    assert appos("size", "image.tar", "--keep", cwd=project).status == 0


def test_numbers_of_a_revision_that_make_no_sense_are_told(project: Path) -> None:
    git(project, "init", "-q", "-b", "trunk")
    (project / "build").mkdir()
    (project / "build" / "size.json").write_text("<<<<<<< HEAD")
    git(project, "add", "build/size.json")
    git(project, "commit", "-q", "-m", "merged badly")
    found = appos("size", "image.tar", "--against", "trunk", cwd=project)
    assert found.status == 3
    assert "build/size.json of trunk cannot be read" in found.err


def test_a_report_can_go_to_a_file(project: Path) -> None:
    spec(project, "1B")
    found = appos("size", "image.tar", "--check", "--format", "json", "-o", "report.json", cwd=project)
    assert (found.status, found.out) == (1, "")
    assert "culprit: artifact api" in found.err
    assert json.loads((project / "report.json").read_text())["over"][0]["budget"] == 1
    assert appos("size", "image.tar", "-o", "no/such/place", cwd=project).status == 3


@pytest.mark.parametrize("form", ["human", "json", "markdown", "html"])
def test_a_name_that_is_no_utf_8_goes_to_a_file_as_to_the_terminal(form: str, project: Path) -> None:
    archives.save(project / "odd.tar", [[Item("/odd-\udcff\udcfe", b"o" * 90000)]])
    shown = appos("size", "odd.tar", "--format", form, cwd=project)
    written = appos("size", "odd.tar", "--format", form, "-o", "report", cwd=project)
    assert (shown.status, written.status, written.out, written.err) == (0, 0, "", "")
    text = (project / "report").read_text(encoding="utf-8")
    assert text == shown.out
    if form == "json":
        assert json.loads(text)["nobody"][0]["path"] == "/odd-\udcff\udcfe"


def test_names_in_an_image_can_neither_forge_a_line_nor_move_the_cursor(project: Path) -> None:
    spec(project, "1B")
    archives.save(project / "old.tar", [archives.packages(Package("c\x1b[2Jurl", {"/usr/bin/curl": 3000}))])
    files = [Item("/a\n  1.00 GB  service forged", b"o" * 90000), Item("/b\x1b[31m\x07\u202e", b"o" * 80000)]
    archives.save(project / "odd.tar", [[*files, *archives.packages(Package("x\x1b[2Jyz", {"/usr/bin/xyz": 1}))]])
    for arguments in ((), ("--check",), ("--against", "old.tar"), ("--check", "--against", "old.tar")):
        out = appos("size", "odd.tar", *arguments, cwd=project).out
        assert not [line for line in out.splitlines() if line.strip().startswith("1.00 GB")]
        assert all(character == "\n" or character.isprintable() for character in out)
    shown = appos("size", "odd.tar", cwd=project).out
    assert r"/a\n  1.00 GB  service forged" in shown
    assert r"/b\x1b[31m\x07\u202e" in shown


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("docker-archive:missing",), 3, "there is no such file"),
        (("missing.tar",), 3, "there is no such file"),
        (("./missing",), 3, "there is no such file"),
        (("appos.yaml",), 3, "cannot be read as an image"),
        (("image.tar", "--engine", "lxc"), 64, "lxc"),
        (("--", "--help"), 64, "'--help' begins with -"),
        (("--", "-x.tar"), 64, "'./-x.tar'"),
        (("image.tar", "--against=--help"), 64, "'--help' begins with -"),
        (("image.tar", "--build"), 64, "image.tar is an archive"),
        (("image.tar", "-f", "missing.yaml"), 3, "missing.yaml"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: tuple[str, ...], status: int, said: str, project: Path) -> None:
    found = appos("size", *arguments, cwd=project)
    assert (found.status, found.out) == (status, "")
    assert said in found.err


def test_a_reference_that_is_neither_a_revision_nor_an_image_is_called_so(project: Path) -> None:
    arguments = ("size", "image.tar", "--against", "orgin/trunk")
    said = "error: orgin/trunk is neither a revision (%s"
    outside = appos(*arguments, cwd=project)
    assert (outside.status, outside.out) == (3, "")
    assert outside.err.startswith(said % "not a git repository")
    git(project, "init", "-q", "-b", "trunk")
    inside = appos(*arguments, cwd=project)
    assert inside.err.startswith(said % "git knows none of that name) nor an image that can be read (")
    assert "git fetch" in inside.err
    # Neither git nor an engine's client is on the path.
    without = process(*arguments, cwd=project, env={"PATH": str(project)})
    assert without.err.startswith(said % "git is not installed")


def test_a_directory_is_not_taken_for_the_revision_whose_name_it_has(project: Path) -> None:
    git(project, "init", "-q", "-b", "trunk")
    assert appos("size", "image.tar", "--keep", cwd=project).status == 0
    git(project, "add", "build/size.json")
    git(project, "commit", "-q", "-m", "measured")
    (project / "trunk").mkdir()
    assert appos("size", "image.tar", "--against", "trunk", cwd=project).status == 0
    refused = appos("size", "image.tar", "--against", "./trunk", cwd=project)
    assert refused.status == 3
    assert "index.json" in refused.err


def test_an_engine_that_is_away_is_said(project: Path) -> None:
    # No client is on the path, so none can be asked.
    found = process("size", cwd=project, env={"PATH": str(project)})
    assert found.status == 3
    assert "no container engine answers" in found.err


def test_nothing_of_it_is_loaded_where_nothing_changed(project: Path) -> None:
    spec(project, "1MB")
    image(project)
    appos("size", "image.tar", "--keep", cwd=project)
    appos(cwd=project)
    code = (
        "import sys; sys.argv = ['appos-compile']; from compiler import __main__; __main__.main(); "
        "print([name for name in sys.modules if name.startswith(('compiler.size', 'compiler.image', 'json'))])"
    )
    done = subprocess.run(
        [__import__("sys").executable, "-c", code], cwd=project, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_engine_that_says_nothing_is_the_environments_affair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = tmp_path / "docker"
    client.write_text("#!/bin/sh\nexec sleep 60\n")
    client.chmod(0o755)
    # Not two minutes, as outside of tests.
    monkeypatch.setattr(Engine.call, "__kwdefaults__", {"timeout": 0.2, "text": "", "extra": None})
    with pytest.raises(HostError, match="no answer within"):
        source.said(Engine(str(client), (), "26", "127.0.0.1"), "shop:1")
