"""``--watch``: every kind of save is compiled, problems are told as they come and go, and Ctrl-C ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest

from compiler.watching import SETTLE
from tests.running import command, environment, terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SPEC = """\
version: 1
name: web
image: {base: alpine:3.24}
services:
  web: {preset: nginx, port: 80}
routes:
  /: {static: /srv/www}
ports:
  http: {publish: 8080, service: web}
"""
PATIENCE = 20
"""Seconds after which something that should have happened has not; machines that test may be slow."""


class Watcher:
    """A running ``--watch``, with what it has said so far."""

    def __init__(self, project: Path, running: subprocess.Popen[bytes]) -> None:
        self.project, self.running = project, running
        self._mark = 0

    @property
    def said(self) -> str:
        """Everything it said."""
        return (self.project / "said").read_text()

    @property
    def news(self) -> str:
        """What it said since ``fresh`` was called."""
        return self.said[self._mark :]

    def fresh(self) -> None:
        """Forget what was said until now."""
        self._mark = len(self.said)

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for something to become true."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"it did not happen; said since:\n{self.news}"
            assert self.running.poll() is None, f"it has ended:\n{self.said}"
            time.sleep(0.005)

    def quiet(self) -> None:
        """Wait until it has certainly noticed, and settled about, everything."""
        said = ""
        while said != self.said:
            said = self.said
            time.sleep(0.5)

    def port(self) -> str:
        """The published port in what is generated."""
        with suppress(OSError):
            for line in (self.project / "build" / ".env").read_text().splitlines():
                if line.startswith("HTTP_PORT="):
                    return line.removeprefix("HTTP_PORT=")
        return ""


@contextmanager
def _watching(project: Path, *arguments: str, wait: bool = True) -> Iterator[Watcher]:
    with (
        (project / "said").open("wb") as said,
        subprocess.Popen(
            command("--watch", *arguments),
            cwd=project,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        ) as running,
    ):
        watcher = Watcher(project, running)
        try:
            if wait:
                watcher.until(lambda: "Ctrl-C ends it" in watcher.said)
                watcher.fresh()
            yield watcher
            assert running.poll() is None, watcher.said
        finally:
            running.kill()
    assert "Traceback" not in watcher.said


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "appos.yaml").write_text(SPEC)
    return tmp_path


def _by_rename(spec: Path, text: str) -> None:
    fresh = spec.with_name("appos.yaml~")
    fresh.write_text(text)
    fresh.replace(spec)


def _by_delete_and_create(spec: Path, text: str) -> None:
    spec.unlink()
    time.sleep(0.04)
    spec.write_text(text)


def _by_truncate_then_write(spec: Path, text: str) -> None:
    with spec.open("w") as file:
        file.flush()
        time.sleep(0.04)
        file.write(text)


def _in_pieces(spec: Path, text: str) -> None:
    with spec.open("w") as file:
        for start in range(0, len(text), 25):
            file.write(text[start : start + 25])
            file.flush()
            time.sleep(0.01)


def _by_moving_aside(spec: Path, text: str) -> None:
    spec.rename(spec.with_name("appos.yaml.bak"))
    spec.write_text(text)


def _keeping_time_and_size(spec: Path, text: str) -> None:
    status = spec.stat()
    spec.write_text(text)
    os.utime(spec, ns=(status.st_atime_ns, status.st_mtime_ns))


SAVES = [
    *(_by_rename, _by_delete_and_create, _by_truncate_then_write, _in_pieces, _by_moving_aside, _keeping_time_and_size)
]


@pytest.mark.parametrize("save", SAVES)
def test_every_way_to_save_is_compiled_without_a_false_alarm(project: Path, save: Callable[[Path, str], None]) -> None:
    with _watching(project) as watcher:
        slow = False
        for port in ("8081", "8082", "8083"):
            start = time.monotonic()
            save(project / "appos.yaml", SPEC.replace("8080", port))
            slow = slow or time.monotonic() - start > SETTLE
            watcher.until(lambda port=port: watcher.port() == port)  # type: ignore[misc]
        watcher.quiet()
        assert watcher.port() == "8083"
        # On a machine so busy that a save took that long, it may well have been told about.
        if not slow:
            assert "error" not in watcher.news
            assert "no problems" not in watcher.news
        if save is not _in_pieces:
            assert watcher.news.count("updated build/.env +1 -1\n") == 3


def test_many_saves_at_once_end_with_the_last(project: Path) -> None:
    with _watching(project) as watcher:
        for port in range(9000, 9060):
            _by_rename(project / "appos.yaml", SPEC.replace("8080", str(port)))
        watcher.until(lambda: watcher.port() == "9059")
        watcher.quiet()
        assert watcher.port() == "9059"


def test_a_first_look_tells_what_was_done(project: Path) -> None:
    with _watching(project) as watcher:
        assert "created build/Dockerfile " in watcher.said
        assert watcher.said.endswith("watching appos.yaml; Ctrl-C ends it\n")
    with _watching(project) as watcher:
        assert "files up to date\n" in watcher.said
        watcher.quiet()
        assert watcher.news == ""


def test_problems_are_told_as_they_come_and_go(project: Path) -> None:
    spec = project / "appos.yaml"
    with _watching(project) as watcher:
        spec.write_text(SPEC.replace("publish", "publsh"))
        watcher.until(lambda: 'did you mean "publish"?' in watcher.news)
        watcher.quiet()
        assert watcher.news.count("error[") == 1
        assert "1 error\n" in watcher.news
        watcher.fresh()
        spec.write_text(SPEC.replace("publish", "publsh").replace("static", "statc"))
        watcher.until(lambda: "2 errors" in watcher.news)
        watcher.fresh()
        spec.write_text(SPEC.replace("8080", "8081"))
        watcher.until(lambda: "no problems any more\nupdated build/.env +1 -1\n" in watcher.news)
        watcher.quiet()
        assert "error" not in watcher.news


def test_the_same_problem_is_told_once(project: Path) -> None:
    spec = project / "appos.yaml"
    with _watching(project) as watcher:
        spec.write_text(SPEC.replace("publish", "publsh"))
        watcher.until(lambda: "1 error\n" in watcher.news)
        watcher.fresh()
        spec.write_text(SPEC.replace("publish", "publsh") + "# more\n")
        watcher.quiet()
        assert watcher.news == ""


def test_warnings_come_and_go(project: Path) -> None:
    spec = project / "appos.yaml"
    with _watching(project) as watcher:
        spec.write_text(SPEC.replace("3.24", "3.19"))
        watcher.until(lambda: "warning W001" in watcher.news)
        watcher.quiet()
        assert watcher.news.count("warning W001") == 1


def test_the_spec_is_not_there_yet(project: Path) -> None:
    (project / "appos.yaml").unlink()
    with _watching(project) as watcher:
        assert watcher.said.startswith("error: ")
        (project / "appos.yaml").write_text(SPEC)
        watcher.until(lambda: watcher.port() == "8080")
        watcher.until(lambda: "no problems any more\ncreated build/" in watcher.news)


def test_the_spec_goes_and_comes_back(project: Path) -> None:
    spec = project / "appos.yaml"
    with _watching(project) as watcher:
        spec.unlink()
        watcher.until(lambda: "error: " in watcher.news)
        watcher.fresh()
        spec.write_text(SPEC)
        watcher.until(lambda: "no problems any more\n" in watcher.news)


def test_an_output_edited_by_hand_is_told_and_what_undoes_it_too(project: Path) -> None:
    with _watching(project) as watcher:
        conf = project / "build" / "nginx.conf"
        generated = conf.read_text()
        conf.write_text(generated.replace("server_tokens off", "server_tokens on"))
        watcher.until(lambda: "build/nginx.conf was edited by hand" in watcher.news)
        watcher.fresh()
        (project / "appos.yaml").write_text(SPEC.replace("8080", "8081"))
        watcher.quiet()
        assert watcher.port() == "8080"
        conf.write_text(generated)
        watcher.until(lambda: watcher.port() == "8081")
        watcher.until(lambda: "no problems any more\n" in watcher.news)


def test_an_output_that_is_deleted_comes_back(project: Path) -> None:
    with _watching(project) as watcher:
        (project / "build" / ".env").unlink()
        watcher.until(lambda: watcher.port() == "8080")
        watcher.until(lambda: "created build/.env" in watcher.news)
        for path in (project / "build").iterdir():
            path.unlink()
        (project / "build").rmdir()
        watcher.until((project / "build" / "entrypoint.sh").exists)


def test_a_file_that_the_spec_names_is_watched_even_before_it_exists(project: Path) -> None:
    spec, file = project / "appos.yaml", project / "env.j2"
    with _watching(project) as watcher:
        spec.write_text(SPEC + "outputs: {.env: env.j2}\n")
        watcher.until(lambda: "error[E043]" in watcher.news)
        file.write_text("HTTP_PORT={{ 1 + }}\n")
        watcher.until(lambda: "error[E048]" in watcher.news)
        file.write_text("HTTP_PORT={{ 40 + 2 }}\n")
        watcher.until(lambda: watcher.port() == "42")
        file.write_text("HTTP_PORT=43\n")
        watcher.until(lambda: watcher.port() == "43")


def test_another_directory_and_another_spec(project: Path) -> None:
    (project / "sub").mkdir()
    (project / "appos.yaml").rename(project / "sub" / "my.yaml")
    with _watching(project, "-f", "sub/my.yaml", "-o", "build") as watcher:
        assert "watching sub/my.yaml; Ctrl-C ends it\n" in watcher.said
        (project / "sub" / "my.yaml").write_text(SPEC.replace("8080", "8081"))
        watcher.until(lambda: watcher.port() == "8081")


def test_quiet_tells_problems_only(project: Path) -> None:
    with _watching(project, "--quiet", wait=False) as watcher:
        watcher.until(lambda: watcher.port() == "8080")
        (project / "appos.yaml").write_text(SPEC.replace("8080", "8081"))
        watcher.until(lambda: watcher.port() == "8081")
        (project / "appos.yaml").write_text(SPEC.replace("publish", "publsh"))
        watcher.until(lambda: "error[" in watcher.said)
        assert watcher.said.startswith("error[")


def test_the_output_directory_cannot_be_written_for_a_while(project: Path) -> None:
    with _watching(project) as watcher:
        build = project / "build"
        build.rename(project / "aside")
        build.write_text("")
        watcher.until(lambda: "error: build" in watcher.news)
        build.unlink()
        watcher.until(lambda: "no problems any more\n" in watcher.news)
        assert watcher.port() == "8080"


@pytest.mark.parametrize("wrong", [False, True])
def test_ctrl_c_ends_it_with_status_0(project: Path, wrong: bool) -> None:
    with _watching(project) as watcher:
        if wrong:
            (project / "appos.yaml").write_text("wrong")
            watcher.until(lambda: "error" in watcher.news)
        watcher.running.send_signal(signal.SIGINT)
        assert watcher.running.wait(PATIENCE) == 0
        said = watcher.said
        watcher.running.poll = lambda: None  # type: ignore[method-assign] # it has ended, as it should
    assert "Traceback" not in said
    assert "KeyboardInterrupt" not in said


def test_on_a_terminal(project: Path) -> None:
    status, shown = terminal("--watch", cwd=project, answers=[("Ctrl-C ends it", "\x03")])
    assert status == 0
    assert "Traceback" not in shown


def test_it_rests_while_nothing_changes(project: Path) -> None:
    with _watching(project) as watcher:
        watcher.quiet()
        before = {path: path.stat().st_ctime_ns for path in (project / "build").iterdir()}
        watcher.quiet()
        assert {path: path.stat().st_ctime_ns for path in (project / "build").iterdir()} == before
        assert watcher.news == ""


def test_a_lock_that_comes_changes_and_goes_is_compiled(project: Path) -> None:
    lock, dockerfile = project / "appos.lock", project / "build" / "Dockerfile"
    with _watching(project) as watcher:
        for letter in "ab":
            lock.write_text(f"version: 1\nimages:\n  alpine:3.24: sha256:{letter * 64}\n")
            watcher.until(partial(_begins, dockerfile, f"alpine:3.24@sha256:{letter * 64}"))
        lock.unlink()
        watcher.until(partial(_begins, dockerfile, "alpine:3.24"))


def _begins(dockerfile: Path, image: str) -> bool:
    return f"FROM {image}\n" in dockerfile.read_text()
