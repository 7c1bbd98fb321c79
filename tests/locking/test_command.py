"""The command, against a real registry and without an engine: what it writes, what it leaves, what it says."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from compiler.locking import settings
from tests.locking import images, servers
from tests.running import Result, appos

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST, SECOND = images.made({"GOLANG_VERSION": "1.22.5"}), images.made({"GOLANG_VERSION": "1.22.12"})
BASE, BASE_AGAIN = images.made(content="base"), images.made(content="base, again")
SPEC = """version: 1
name: shop
image: {base: REGISTRY/team/alpine:3.22}
artifacts:
  api:
    build: {image: 'REGISTRY/golang:1.22-alpine', source: api, run: [go build], output: main}
    install: /usr/local/bin/api
    libc: musl
services:
  api: {command: [/usr/local/bin/api], port: 8081}
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture
def host(shared: str) -> str:
    """A registry that has what the spec names, as it was at first."""
    images.push(f"http://{shared}", "golang:1.22-alpine", FIRST)
    images.push(f"http://{shared}", "team/alpine:3.22", BASE)
    return shared


@pytest.fixture
def tree(tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the spec; no engine can be found."""
    (tmp_path / "nothing").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    (tmp_path / "appos.yaml").write_text(SPEC.replace("REGISTRY", host), "utf-8")
    return tmp_path


def locked(tree: Path, *arguments: str) -> Result:
    return appos("lock", *arguments, cwd=tree)


def lines(tree: Path, name: str = "appos.lock") -> list[str]:
    return (tree / name).read_text("utf-8").splitlines()


def changed(before: list[str], after: list[str]) -> list[tuple[str, str]]:
    assert len(before) == len(after)
    return [(one, other) for one, other in zip(before, after, strict=True) if one != other]


def move(host: str) -> None:
    images.push(f"http://{host}", "golang:1.22-alpine", SECOND)
    images.push(f"http://{host}", "team/alpine:3.22", BASE_AGAIN)


def test_it_pins_what_the_spec_names(tree: Path, host: str) -> None:
    run = locked(tree)
    assert (run.status, run.err) == (0, "")
    assert run.out.splitlines()[0] == "appos.lock: 2 pinned"
    assert run.out.splitlines()[-1] == "Now run: appos-compile"
    assert lines(tree)[3:] == [
        "version: 1",
        "images:",
        f"  {host}/golang:1.22-alpine: {FIRST.digest} 1.22.5",
        f"  {host}/team/alpine:3.22: {BASE.digest}",
    ]


def test_locking_compiling_and_locking_again_changes_nothing(tree: Path, host: str) -> None:
    locked(tree)
    first = (tree / "appos.lock").read_bytes()
    assert appos(cwd=tree).status == 0
    built = (tree / "build" / "Dockerfile").read_bytes()
    assert f"FROM {host}/team/alpine:3.22@{BASE.digest}\n".encode() in built
    move(host)
    again = locked(tree)
    assert (again.status, again.out) == (0, "appos.lock: 2 kept\n")
    assert (tree / "appos.lock").read_bytes() == first
    assert appos("--check", cwd=tree).status == 0


def test_moving_one_pin_changes_one_line(tree: Path, host: str) -> None:
    locked(tree)
    appos(cwd=tree)
    before, built = lines(tree), lines(tree, "build/Dockerfile")
    move(host)
    run = locked(tree, "--update", "golang")
    assert run.status == 0
    assert "1.22.5) -> " in run.out
    name = f"  {host}/golang:1.22-alpine: "
    assert changed(before, lines(tree)) == [
        (f"{name}{FIRST.digest} 1.22.5", f"{name}{SECOND.digest} 1.22.12"),
    ]
    assert appos(cwd=tree).status == 0
    [(old, new)] = changed(built, lines(tree, "build/Dockerfile"))
    assert (FIRST.digest in old, SECOND.digest in new) == (True, True)


def test_without_a_name_all_are_moved(tree: Path, host: str) -> None:
    locked(tree)
    move(host)
    assert "2 moved" in locked(tree, "--update").out
    assert BASE_AGAIN.digest in lines(tree)[-1]
    assert locked(tree, "--update").out == "appos.lock: 2 kept\n"


def test_what_is_not_needed_any_more_goes(tree: Path, host: str) -> None:
    locked(tree)
    spec = tree / "appos.yaml"
    spec.write_text(spec.read_text("utf-8").replace("golang:1.22-alpine", "golang:1.26-alpine"), "utf-8")
    images.push(f"http://{host}", "golang:1.26-alpine", SECOND)
    run = locked(tree)
    assert run.out.startswith("appos.lock: 1 pinned, 1 kept, 1 removed\n")
    assert [line for line in lines(tree) if "golang" in line] == [
        f"  {host}/golang:1.26-alpine: {SECOND.digest} 1.22.12"
    ]


def test_the_check_tells_what_has_moved(tree: Path, host: str) -> None:
    locked(tree)
    fine = locked(tree, "--check")
    # Only the release that the builder is of is past its end, whatever its digest is.
    assert (fine.status, fine.out.splitlines()[0]) == (1, "appos.lock: 2 current, 1 past its end of life")
    move(host)
    before = (tree / "appos.lock").read_bytes()
    run = locked(tree, "--check", "--format", "json")
    assert run.status == 1
    report = json.loads(run.out)
    assert {(pin["name"], pin["status"]) for pin in report["pins"]} == {
        (f"{host}/golang:1.22-alpine", "out of date"),
        (f"{host}/golang:1.22-alpine", "past its end of life"),
        (f"{host}/team/alpine:3.22", "out of date"),
    }
    [golang] = [pin for pin in report["pins"] if pin["status"] == "out of date" and "golang" in pin["name"]]
    assert (golang["pinned"], golang["now"]) == (f"{FIRST.digest} 1.22.5", f"{SECOND.digest} 1.22.12")
    assert (tree / "appos.lock").read_bytes() == before


def test_the_check_is_content_with_what_is_current(tree: Path, host: str) -> None:
    spec = tree / "appos.yaml"
    spec.write_text(spec.read_text("utf-8").replace("golang:1.22", "golang:1.26"), "utf-8")
    images.push(f"http://{host}", "golang:1.26-alpine", SECOND)
    assert locked(tree, "--check").status == 1  # nothing is pinned yet
    locked(tree)
    assert (locked(tree, "--check").status, locked(tree, "--check").out) == (0, "appos.lock: 2 current\n")


def test_the_check_knows_a_newer_patch(tree: Path, host: str) -> None:
    spec = tree / "appos.yaml"
    text = spec.read_text("utf-8").replace("golang:1.22-alpine", "golang:1.26.1-alpine")
    spec.write_text(text, "utf-8")
    for tag in ("1.26.1-alpine", "1.26.2-alpine", "1.26.10-alpine", "1.26.11", "1.27.12-alpine"):
        images.push(f"http://{host}", f"golang:{tag}", SECOND)
    locked(tree)
    run = locked(tree, "--check")
    assert run.status == 1
    assert f"newer patch  {host}/golang:1.26.1-alpine 1.26.10-alpine" in run.out


def test_the_check_asks_a_mirror_for_newer_patches(tree: Path, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for tag in ("3.22.1", "3.22.2"):
        images.push(f"http://{host}", f"team/alpine:{tag}", BASE)
    gone = f"127.0.0.1:{servers.free_port()}"
    monkeypatch.setenv(settings.MIRRORS, f"{gone}={host}")
    spec = tree / "appos.yaml"
    spec.write_text(spec.read_text("utf-8").replace(f"{host}/team/alpine:3.22", f"{gone}/team/alpine:3.22.1"), "utf-8")
    assert locked(tree).status == 0
    run = locked(tree, "--check")
    assert f"newer patch           {gone}/team/alpine:3.22.1 3.22.2" in run.out
    assert "note: " not in run.out


@pytest.mark.parametrize("tags", [servers.Reply(403, b"{}"), servers.Reply(200, b"{" * 100, pause=1)])
def test_tags_that_are_not_told_hide_no_pin_that_has_moved(tree: Path, host: str, tags: servers.Reply) -> None:
    images.push(f"http://{host}", "team/alpine:3.22.1", BASE)

    def answer(asked: servers.Asked) -> servers.Reply:
        if "/tags/" in asked.path:
            return tags
        return servers.Reply(307, headers={"Location": f"http://{host}{asked.path}"})

    with servers.stub(answer) as server:
        spec = tree / "appos.yaml"
        name = f"{server.host}/team/alpine:3.22.1"
        spec.write_text(spec.read_text("utf-8").replace(f"{host}/team/alpine:3.22", name), "utf-8")
        assert locked(tree).status == 0
        images.push(f"http://{host}", "team/alpine:3.22.1", BASE_AGAIN)
        run = locked(tree, "--check", "--timeout", "4")
    assert run.status == 1
    assert re.search(rf"^  out of date +{name} ", run.out, re.MULTILINE)
    assert f"note: {name}: nobody tells whether there is a newer patch: " in run.out


def test_a_version_that_cannot_be_read_again_is_no_change(tree: Path, host: str) -> None:
    refusing = False

    def answer(asked: servers.Asked) -> servers.Reply:
        if "/blobs/" in asked.path and refusing:
            return servers.Reply(403)
        return servers.Reply(307, headers={"Location": f"http://{host}{asked.path}"})

    with servers.stub(answer) as server:
        spec = tree / "appos.yaml"
        spec.write_text(spec.read_text("utf-8").replace(host, server.host), "utf-8")
        locked(tree)
        before = lines(tree)
        refusing = True
        assert locked(tree, "--check").out.startswith("appos.lock: 2 current, ")
        run = locked(tree, "--update")
    assert (run.status, run.out.splitlines()[0]) == (0, "appos.lock: 2 kept")
    assert f"note: {server.host}/golang:1.22-alpine: its version cannot be read: " in run.out
    assert lines(tree) == before


def test_where_nobody_can_tell_the_pins_stay(tree: Path, host: str) -> None:
    locked(tree)
    before = (tree / "appos.lock").read_bytes()
    spec = tree / "appos.yaml"
    gone = f"127.0.0.1:{servers.free_port()}"
    spec.write_text(spec.read_text("utf-8") + "\n", "utf-8")
    (tree / "appos.lock").write_bytes(before.replace(host.encode(), gone.encode()))
    spec.write_text(spec.read_text("utf-8").replace(host, gone), "utf-8")
    run = locked(tree, "--update")
    assert run.status == 3
    assert f"  failed  {gone}/golang:1.22-alpine, {gone}/team/alpine:3.22: nothing listens at {gone}\n" in run.out
    assert (tree / "appos.lock").read_bytes() == before.replace(host.encode(), gone.encode())
    check = locked(tree, "--check")
    assert "2 unknown" in check.out


def test_without_an_engine_packages_are_not_pinned_and_that_is_said(tree: Path, host: str) -> None:
    spec = tree / "appos.yaml"
    spec.write_text(spec.read_text("utf-8").replace("3.22}", "3.22, packages: [curl]}"), "utf-8")
    run = locked(tree)
    assert run.status == 3
    assert f"failed  curl on {host}/team/alpine:3.22: no container engine answers" in run.out
    assert len([line for line in lines(tree) if "sha256:" in line]) == 2
    offline = locked(tree, "--offline", "--update")
    assert (offline.status, offline.out.splitlines()[0]) == (3, "appos.lock: 3 failed")


def test_a_mirror_that_is_of_no_use_is_mentioned(tree: Path, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.MIRRORS, f"{host}=127.0.0.1:{servers.free_port()}")
    run = locked(tree)
    assert run.status == 0
    assert run.out.count("note: ") == 2
    assert "was of no use: nothing listens at" in run.out


def test_a_slow_registry_ends_with_the_time_it_is_given(tree: Path, host: str) -> None:
    with servers.stub(lambda _: servers.Reply(200, b"{" * 100, pause=1)) as slow:
        spec = tree / "appos.yaml"
        spec.write_text(spec.read_text("utf-8").replace(f"{host}/golang", f"{slow.host}/golang"), "utf-8")
        run = locked(tree, "--timeout", "4")
    assert run.status == 3
    assert f"{slow.host}/golang:1.22-alpine: there was no answer within 4 seconds" in run.out
    # In the order of the names, which hold the ports of the two servers.
    assert sorted(run.out.splitlines()[0].partition(": ")[2].split(", ")) == ["1 failed", "1 pinned"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--update", "goland"), 'there is nothing called "goland" to pin'),
        (("golang",), "names go with --update"),
        (("--update", "--check"), "--update writes, --check does not"),
        (("--timeout", "0"), "not in the range"),
        (("--timeout", "3601"), "not in the range"),
        (("--timeout", "inf"), "not a valid integer"),
        (("--timeout", "1e30"), "not a valid integer"),
        (("--timeout", "nan"), "not a valid integer"),
        (("--format", "xml"), "is not one of"),
    ],
)
def test_arguments_that_make_no_sense(tree: Path, arguments: tuple[str, ...], said: str) -> None:
    run = locked(tree, *arguments)
    assert (run.status, run.out) == (64, "")
    assert said in run.err


def test_names_that_may_be_several(tree: Path, host: str) -> None:
    spec = tree / "appos.yaml"
    spec.write_text(spec.read_text("utf-8").replace("team/alpine:3.22", "golang:1.26-alpine"), "utf-8")
    run = locked(tree, "--update", "golang")
    assert run.status == 64
    assert f'"golang" may be {host}/golang:1.22-alpine or {host}/golang:1.26-alpine' in run.err


def test_a_lock_that_makes_no_sense_is_replaced_only_on_demand(tree: Path) -> None:
    (tree / "appos.lock").write_text("<<<<<<< ours\n", "utf-8")
    run = locked(tree)
    assert run.status == 2
    assert re.search(r"--> appos\.lock:1:1\b", run.err)
    broken = (tree / "appos.yaml").read_text("utf-8")
    (tree / "appos.yaml").write_text(re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{servers.free_port()}", broken), "utf-8")
    assert locked(tree, "--update").status == 3
    assert lines(tree) == ["<<<<<<< ours"]
    (tree / "appos.yaml").write_text(broken, "utf-8")
    assert locked(tree, "--update").status == 0
    assert len([line for line in lines(tree) if "sha256:" in line]) == 2


def test_a_spec_with_mistakes_is_not_locked(tree: Path) -> None:
    (tree / "appos.yaml").write_text("version: 1\n", "utf-8")
    run = locked(tree)
    assert run.status == 2
    assert not (tree / "appos.lock").exists()


def test_a_directory_that_may_not_be_written(tree: Path) -> None:
    (tree / "appos.lock").symlink_to("/proc/nothing/appos.lock")
    run = locked(tree)
    assert run.status == 3
    assert "cannot be" in run.err or "does not exist" in run.err
    assert sorted(path.name for path in tree.iterdir()) == ["appos.lock", "appos.yaml", "nothing"]


def test_downloads_are_listed_with_their_checksums(tree: Path) -> None:
    total = "d" * 64
    spec = tree / "appos.yaml"
    fetched = (
        f"  tool:\n    fetch: {{url: 'https://example.org/tool', sha256: {total}}}\n    install: /usr/local/bin/tool\n"
    )
    spec.write_text(spec.read_text("utf-8").replace("services:\n", f"{fetched}services:\n"), "utf-8")
    assert locked(tree).status == 0
    assert lines(tree)[-2:] == ["files:", f"  https://example.org/tool: sha256:{total}"]
    spec.write_text(spec.read_text("utf-8").replace(total, "e" * 64), "utf-8")
    assert "1 moved" in locked(tree).out
    assert lines(tree)[-1].endswith("e" * 64)
