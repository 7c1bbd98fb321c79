"""What looks after the services of a container: the supervisor that reacts at once, the list of states, the watch."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.compiled import result
from tests.containers import Container, running, starter, until
from tests.readers import shell, supervisord, tools

if TYPE_CHECKING:
    from collections.abc import Iterator

# --- the supervisor

LAUNCHER = next(file.content for file in result("appos").files if file.path == "supervisord.py")
SLOW = (
    "from supervisor import poller; wait = poller.PollPoller.poll; "
    "poller.PollPoller.poll = lambda self, timeout: wait(self, timeout * 3600)"
)
"""A supervisor that looks once an hour: whatever happens all the same, something has woken it for."""
PROGRAM = """\
#!/bin/sh
trap 'kill $!; echo $1 >>stopped; exit' TERM
ls /proc/self/fd >$1.descriptors
sleep 3600 &
echo $$ >>$1
wait
"""
CONFIGURATION = """\
[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile=pid
directory={directory}
[unix_http_server]
file={directory}/socket
username=local
password=local
[supervisorctl]
serverurl=unix://{directory}/socket
username=local
password=local
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
NAMES = ("a", "b", "c", "d")


class Supervisor(NamedTuple):
    """A supervisor that runs, with four programs."""

    directory: Path
    process: subprocess.Popen[bytes]
    packages: tuple[str, ...]

    def starts(self, name: str) -> list[int]:
        """The process of each start of a program."""
        path = self.directory / name
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    def started(self, times: int) -> None:
        """Waits until each program has been started so many times."""
        until(lambda: all(len(self.starts(name)) == times for name in NAMES), f"start {times}")

    def ctl(self, *words: str) -> str:
        """What supervisorctl prints."""
        starting = (
            f"import sys; sys.path[:0] = {list(self.packages)}; from supervisor.supervisorctl import main; main()"
        )
        command = [sys.executable, "-W", "ignore", "-c", starting, "-c", str(self.directory / "conf"), *words]
        return tools.call(command).stdout


@pytest.fixture(params=supervisord.VERSIONS)
def slow(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Supervisor]:
    """The generated launcher, with a supervisor that looks once an hour."""
    packages = (tools.cached("supervisor42"),) if request.param == "4.2.5" else ()
    program, launcher = tmp_path / "program", tmp_path / "supervisord.py"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    launcher.write_text(LAUNCHER)
    sections = (
        f"[program:{name}]\ncommand={program} {name}\npriority={number}\nstartsecs=0\nautorestart=true\n"
        for number, name in enumerate(NAMES)
    )
    (tmp_path / "conf").write_text(CONFIGURATION.format(directory=tmp_path) + "".join(sections))
    process = subprocess.Popen(
        [*starter(launcher, *packages, first=SLOW), "-c", str(tmp_path / "conf")],
        stdout=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    running_slowly = Supervisor(tmp_path, process, packages)
    try:
        yield running_slowly
    finally:
        process.kill()
        process.wait()
        for pid in (pid for name in NAMES for pid in running_slowly.starts(name)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def test_programs_start_and_come_back_at_once(slow: Supervisor) -> None:
    slow.started(1)
    for name in NAMES:
        os.killpg(slow.starts(name)[0], signal.SIGKILL)
    slow.started(2)


def test_programs_stop_one_after_another_at_once(slow: Supervisor) -> None:
    slow.started(1)
    slow.process.terminate()
    assert slow.process.wait(60) == 0
    assert (slow.directory / "stopped").read_text().split() == list(reversed(NAMES))


def test_programs_inherit_nothing_but_the_standard_descriptors(slow: Supervisor) -> None:
    slow.started(1)
    for name in NAMES:
        # The fourth is the directory that is listed.
        assert (slow.directory / f"{name}.descriptors").read_text().split() == ["0", "1", "2", "3"]


def test_supervisorctl_works_and_a_reload_changes_nothing(slow: Supervisor) -> None:
    slow.started(1)
    assert [line.split()[:2] for line in slow.ctl("status").splitlines()] == [[name, "RUNNING"] for name in NAMES]
    for name in NAMES:
        assert "stopped" in slow.ctl("stop", name)
        assert "started" in slow.ctl("start", name)
    slow.started(2)
    slow.process.send_signal(signal.SIGHUP)
    slow.started(3)
    slow.process.send_signal(signal.SIGHUP)
    slow.started(4)
    for name in NAMES:
        os.killpg(slow.starts(name)[-1], signal.SIGKILL)
    slow.started(5)


# --- the list of states

EVENT = "ver:3.0 server:supervisor serial:1 pool:listener poolserial:1 eventname:PROCESS_STATE_{state} len:{length}\n"


def events(*told: str) -> str:
    """What supervisord writes to its listener: for each ``NAME STATE [WORDS]`` an event."""
    texts = []
    for event in told:
        name, state, *more = event.split(" ")
        body = " ".join((f"processname:{name}", f"groupname:{name}", "from_state:RUNNING", *more))
        texts.append(EVENT.format(state=state, length=len(body)) + body)
    return "".join(texts)


def listen(sh: str, directory: Path, told: str) -> subprocess.CompletedProcess[str]:
    """Runs the flagship's listener, whose parent says so when it is asked to end and, as Python, ignores SIGPIPE."""
    (directory / "services").write_text("redis STOPPED 5\nconvex STOPPED 5\nbackend STOPPED 5\nnginx STOPPED 5\n")
    script = next(file.content for file in result("appos").files if file.path == "listener.sh")
    (directory / "listener.sh").write_text(script.replace("/run/appos/services", str(directory / "services")))
    (directory / "events").write_text(told)
    parent = 'trap "" PIPE; trap "echo asked to end >&2" TERM; PATH=".:$PATH" "$@" <events; :'
    return tools.call(
        ["/bin/sh", "-c", parent, "parent", *shell.interpreter(sh), str(directory / "listener.sh")], cwd=str(directory)
    )


@pytest.mark.parametrize("sh", shell.SHELLS)
def test_the_list_says_what_each_service_does_and_since_when(sh: str, tmp_path: Path) -> None:
    told = events(
        "redis STARTING tries:0", "redis RUNNING pid:7", "listener RUNNING pid:6", "nginx EXITED expected:1 pid:9"
    )
    done = listen(sh, tmp_path, told)
    assert done.stdout == "READY\n" + "RESULT 2\nOKREADY\n" * 4
    assert done.stderr == ""
    lines = [line.split(" ") for line in (tmp_path / "services").read_text().splitlines()]
    assert [(name, state) for name, state, _ in lines] == [
        ("redis", "RUNNING"),
        ("convex", "STOPPED"),
        ("backend", "STOPPED"),
        ("nginx", "EXITED"),
    ]
    assert [since == "5" for _, _, since in lines] == [False, True, True, False]
    assert (tmp_path / "services").stat().st_mode & 0o777 == 0o644
    assert not (tmp_path / "services.new").exists()


@pytest.mark.parametrize("sh", shell.SHELLS)
def test_a_service_that_is_lost_ends_the_container(sh: str, tmp_path: Path) -> None:
    assert "asked to end" not in listen(sh, tmp_path, events(*["redis EXITED expected:0 pid:1"] * 4)).stderr
    assert (
        "redis ended 5 times" in (often := listen(sh, tmp_path, events(*["redis EXITED expected:0 pid:1"] * 5))).stderr
    )
    assert "asked to end" in often.stderr
    given_up = listen(sh, tmp_path, events("convex FATAL"))
    assert given_up.stderr == "appos: convex did not start: ending the container\nasked to end\n"
    assert "convex FATAL " in (tmp_path / "services").read_text()


@pytest.mark.parametrize("sh", shell.SHELLS)
def test_a_list_that_cannot_be_written_is_told_and_keeps_nobody_from_ending_the_container(
    sh: str, tmp_path: Path
) -> None:
    (tmp_path / "services.new").mkdir()
    done = listen(sh, tmp_path, events("redis RUNNING pid:7", "redis FATAL"))
    assert done.stdout == "READY\n" + "RESULT 2\nOKREADY\n" * 2
    assert "the state RUNNING of redis cannot be written down" in done.stderr
    assert "asked to end" in done.stderr


def test_a_listener_that_is_stopped_while_it_asks_for_the_time_leaves_no_line_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "date").write_text(f'#!/bin/sh\nkill -s KILL "$PPID"\nsleep 0.1\nexec {shutil.which("date")} "$@"\n')
    (tmp_path / "date").chmod(0o755)
    done = listen("dash", tmp_path, events("redis RUNNING pid:7"))
    assert done.stdout == "READY\n"
    assert "roken pipe" not in done.stderr


# --- the watch

SPEC = """\
services:
  asked:
    command:
      - sh
      - -c
      - trap 'test -e /data/there || sleep 4; echo finished its work; exit' TERM; while :; do sleep 0.1; done
    ready: {exec: [test, -e, /data/there]}
    alive: {exec: [test, -e, /data/there], every: 1s, failures: 2}
    stop: {grace: 30s}
  silent:
    command: [sh, -c, 'sleep 3600; :']
  left-alone:
    command: [sleep, '3600']
    alive: false
"""


@pytest.fixture(params=shell.SHELLS)
def container(request: pytest.FixtureRequest) -> Iterator[Container]:
    """A container with three services."""
    with running(SPEC, request.param) as started:
        yield started


def test_a_service_is_ready_when_its_command_says_so(container: Container) -> None:
    until(lambda: container.group("asked"), "it is started")
    assert not container.path("/run/box/asked/ready").exists()
    container.path("/data/there").touch()
    container.ready("asked", "silent", "left-alone")
    assert list(container.states) == ["asked", "silent", "left-alone"]
    assert min(state.since for state in container.states.values()) > 0


def test_a_service_that_is_stopped_by_a_signal_is_started_anew(container: Container) -> None:
    container.path("/data/there").touch()
    container.ready("asked", "silent", "left-alone")
    groups = {name: container.group(name) for name in ("asked", "silent")}
    for group in groups.values():
        os.killpg(group, signal.SIGSTOP)
    until(lambda: all(container.group(name) != group for name, group in groups.items()), container.log)
    container.ready("asked", "silent")
    for name in groups:
        assert f"box: {name}: is stopped: starting it anew" in container.log


def test_a_child_of_a_service_that_is_stopped_counts_too(container: Container) -> None:
    container.path("/data/there").touch()
    container.ready("silent")
    group = container.group("silent")
    children = Path(f"/proc/{group}/task/{group}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGSTOP)
    until(lambda: container.group("silent") != group, f"it is back\n{container.log}")


def test_a_service_that_does_not_answer_is_started_anew(container: Container) -> None:
    container.path("/data/there").touch()
    container.ready("asked", "silent")
    group, other = container.group("asked"), container.group("silent")
    container.path("/data/there").unlink()
    until(lambda: container.group("asked") != group, f"it is back\n{container.log}")
    assert "box: asked: does not answer: starting it anew" in container.log
    container.path("/data/there").touch()
    container.ready("asked")
    assert container.group("silent") == other


def test_a_service_that_is_being_stopped_may_finish_its_work(container: Container) -> None:
    container.path("/data/there").touch()
    container.ready("asked")
    container.path("/data/there").unlink()
    assert "asked: stopped" in container.ctl("stop", "asked")
    until(lambda: "finished its work" in container.log, container.log)
    assert "starting it anew" not in container.log


def test_nobody_looks_where_the_spec_says_so_and_the_watch_ends_with_its_service(container: Container) -> None:
    container.path("/data/there").touch()
    container.ready("asked", "silent", "left-alone")

    def watches() -> list[str]:
        return sorted(words.split()[-2] for words in container.processes() if "/watch-service.sh" in words)

    until(lambda: watches() == ["asked", "silent"], str(container.processes()))
    os.killpg(container.group("silent"), signal.SIGKILL)
    container.ctl("stop", "silent")
    until(lambda: watches() == ["asked"], str(container.processes()))
    container.process.terminate()
    assert container.process.wait(60) == 0
    until(lambda: not watches(), str(container.processes()))
