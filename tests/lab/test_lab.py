"""The parts of the lab that need neither an engine nor a network."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from tests import lab
from tests.lab import alpine, cache, machine, server

if TYPE_CHECKING:
    from pathlib import Path

made: list[str] = []


@cache.step
def greeting(out: str, name: str) -> None:
    """Give a file, and remember that it was made."""
    made.append(name)
    with open(os.path.join(out, "text"), "w", encoding="utf-8") as file:
        file.write(name)
    if name == "nobody":
        raise cache.LabError("there is nobody to greet")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "CACHE", str(tmp_path))
    monkeypatch.setattr(server, "CACHE", str(tmp_path))
    made.clear()


def test_a_step_is_done_once_for_the_same_arguments() -> None:
    assert greeting("you") == greeting("you") != greeting("me")
    assert made == ["you", "me"]


def test_a_step_is_done_once_by_threads_that_want_it_at_once() -> None:
    threads = [threading.Thread(target=greeting, args=("you",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["you"]


def test_a_step_that_fails_leaves_no_result() -> None:
    for _ in range(2):
        with pytest.raises(cache.LabError):
            greeting("nobody")
    assert made == ["nobody", "nobody"]


def test_a_failed_command_says_what_it_printed() -> None:
    with pytest.raises(cache.LabError, match=r"(?s)exit status 3.*no such thing"):
        cache.run("sh", "-c", "echo no such thing; exit 3")


def test_accounts_of_the_virtual_machine_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "passwd"
    path.write_text("root:x:0:0::/root:/bin/sh\nquicksand:x:1000:1000::/:/bin/sh\n")
    alpine.without_accounts(str(path))
    assert path.read_text() == "root:x:0:0::/root:/bin/sh\n"


def test_authorities_are_those_that_the_distribution_has_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----"
    for name in ("known", "own"):
        (tmp_path / f"{name}.crt").write_text(certificate.format(name))
    bundle = tmp_path / "bundle"
    bundle.write_text("\n".join(certificate.format(name) for name in ("known", "own")))
    monkeypatch.setattr(machine, "BUNDLE", str(bundle))
    monkeypatch.setattr(machine, "DISTRIBUTED", str(tmp_path / "known.crt"))
    assert machine.authorities.__wrapped__() == certificate.format("own") + "\n"


def test_the_server_serves_what_is_published_and_stops(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text").write_text(name)
    server.publish(str(tmp_path / "old"))
    server.publish(str(tmp_path / "new"))
    url = server.serve("127.0.0.1")
    assert cache.run("curl", "--silent", "--noproxy", "*", f"{url}/text") == "new"
    assert server.serve("127.0.0.1") == url
    server.stop("127.0.0.1")
    with pytest.raises(cache.LabError, match="exit status 7"):
        cache.run("curl", "--silent", "--noproxy", "*", f"{url}/text")


def test_lab_off_makes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB", "off")
    lab.ensure_images(["alpine:3.19"])
