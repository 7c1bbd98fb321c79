"""Every fault is found in a container that does not get over it, and says so: no check that cannot fail."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from compiler import pipeline, write
from compiler.verify import trial
from compiler.verify.faults import FAULTS, ending, processes, storage, surroundings
from compiler.verify.running import Run, verify

if TYPE_CHECKING:
    from pathlib import Path

    from compiler.verify.engine import Engine
    from compiler.verify.result import Result
    from compiler.verify.running import Display

SPEC = """
version: 1
name: faulty
image: {base: 'debian:bookworm-slim'}
artifacts:
  store: {prebuilt: store.py, install: /usr/local/bin/store, mode: '0755'}
services:
  store:
    command: [/usr/local/bin/store]
    user: store
    port: 7000
    data: true
    ready: {http: /}
    stop: {grace: 2s}
    environment: {PORT: '${self.port}', DIRECTORY: '${self.data}', TOKEN: '${secret.token}'}
    memory: 32MB
    verify:
      write: [sh, -c, 'curl -fsS http://127.0.0.1:7000/write/$VALUE']
      read: [curl, -fsS, 'http://127.0.0.1:7000/read']
      damage: ['${self.data}/l*g']
  extra:
    command: [/usr/local/bin/store]
    user: extra
    port: 7001
    critical: false
    ready: {http: /}
    stop: {grace: 2s}
    environment: {PORT: '${self.port}', DIRECTORY: '${self.run}'}
    memory: 32MB
volumes: {data: {mount: /data}}
ports: {http: {publish: 7000, service: store}}
secrets: {token: {}}
health: {exec: [curl, -fsS, 'http://127.0.0.1:7000/'], start: 20s}
"""

SOLO = """
version: 1
name: solitary
image: {base: 'debian:bookworm-slim', packages: [python3]}
artifacts:
  store: {prebuilt: store.py, install: /usr/local/bin/store, mode: '0755'}
services:
  store:
    command: [/usr/local/bin/store]
    user: store
    port: 7000
    ready: {http: /}
    stop: {grace: 2s}
    environment: {PORT: '${self.port}', DIRECTORY: '/data/files'}
    memory: 32MB
volumes: {data: {mount: /data, owner: store, directories: {files: store}}}
ports: {http: {publish: 7000, service: store}}
health: {exec: [curl, -fsS, --max-time, '2', 'http://127.0.0.1:7000/'], interval: 1s, timeout: 2s, start: 20s}
"""
"""A container of one service, which is its first process."""

STORE = '''#!/usr/bin/python3
"""Keeps lines in a file. Main process and worker answer on one port, which they do not mind to share with strangers."""
import http.server
import os
import signal
import socket
import sys

LOG = os.environ["DIRECTORY"] + "/log"


def begin():
    """An unfinished last line was never acknowledged: it goes."""
    with open(LOG, "ab+") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\\n") + 1)


def write(value):
    with open(LOG, "r+b") as file:
        end = file.seek(0, 2)
        try:
            file.write(value.encode() + b"\\n")
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            file.truncate(end)
            raise
    return value


def read():
    with open(LOG) as file:
        return (file.read().split() or [""])[-1]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        words = self.path.split("/")
        try:
            body, status = write(words[2]) if words[1] == "write" else read() if words[1] == "read" else "ok", 200
        except OSError as error:
            body, status = str(error), 507
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()


begin()
server = Server(("127.0.0.1" if os.environ["PORT"] != "7000" else "0.0.0.0", int(os.environ["PORT"])), Handler)
worker = os.fork()
if worker:

    def end(*_):
        os.kill(worker, signal.SIGKILL)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
server.serve_forever()
'''


class Twin(NamedTuple):
    """A fault, the file that is spoilt and how, and patterns for what is expected then and what comes."""

    fault: str
    file: str
    old: str
    new: str
    expected: str
    came: str

    @property
    def name(self) -> str:
        """For the test's name."""
        return f"{self.fault}: {self.came}"


NO_POLICY = ("build/docker-compose.yml", "restart: unless-stopped", 'restart: "no"')
GIVEN_UP = ("build/supervisord.conf", "autorestart=true", "autorestart=false")
BACK = r"{} serves again within {} s, or the container ends with a clear last line"
CLEAR = r"a last line that says why"

TWINS = (
    Twin("killed", *GIVEN_UP, BACK.format("store", "1.5"), "its main process is gone"),
    Twin(
        "killed",
        "build/start-service.sh",
        r"^( +)while kill -s KILL .*$",
        r"\1:",
        "no process of the store that was killed",
        r"process \d+ \(/usr/bin/python3 /usr/local/bin/store\)",
    ),
    Twin(
        "killed",
        "build/start-service.sh",
        r"^set -eu$",
        "set -eu\nsleep 2",
        BACK.format("store", "1.5"),
        "its main process is gone",
    ),
    Twin(
        "stopped",
        "build/watch-service.sh",
        r'anew "is stopped"',
        "exit 0",
        BACK.format("store", "5.0"),
        "its processes are stopped",
    ),
    Twin("memory", *GIVEN_UP, BACK.format("store", "5.0"), "its main process is gone"),
    Twin("memory", "build/entrypoint.sh", r"^exec ", "echo 1000 >/proc/self/oom_score_adj\nexec ", CLEAR, ""),
    Twin(
        "looping",
        "build/listener.sh",
        r"-lt 5 \]",
        "-lt 500 ]",
        "the container ends when store ends again and again",
        "it goes on after 8 times",
    ),
    Twin(
        "looping", "build/listener.sh", r'^( +)log "\$1 \$2: ending the container"', r"\1:", CLEAR, "supervis|INFO|stop"
    ),
    Twin(
        "looping",
        "build/listener.sh",
        r"^critical=.*$",
        "critical=' store extra '",
        "a container that goes on when extra ends again and again",
        "it ended",
    ),
    Twin("looping", *NO_POLICY, "the restart policy starts the container again", "exited, restarted 0 times"),
    Twin(
        "port",
        "build/listener.sh",
        r"FATAL\*\) lost",
        "NEVER*) lost",
        "store on port 7000, or the end of the container",
        "store is FATAL and the container goes on",
    ),
    Twin(
        "damage",
        "store.py",
        r"file\.truncate\(file.read\(\).*$",
        r'file.read().endswith(b"\\n") or file.truncate(0)',
        "what store had acknowledged before its last write",
        "nothing",
    ),
    Twin(
        "damage",
        "store.py",
        r"^begin\(\)$",
        r'assert not os.path.exists(LOG) or open(LOG).read()[-1:] in ("", "\\n"), "half a line"\nbegin()',
        "healthy|running",
        "starting",
    ),
    Twin(
        "full",
        "store.py",
        r"^def write\(value\):$",
        "def write(value):\n    if not os.statvfs(LOG).f_bavail:\n        return value",
        r"[0-9a-f]{16} in store, which acknowledged it on a full volume",
        "[0-9a-f]{16}",
    ),
    Twin(
        "full",
        "store.py",
        r"^( +)words = .*$",
        r"\g<0>\n\1if not os.statvfs(LOG).f_bavail:\n\1    open('/tmp/full', 'w')\n"
        r"\1assert not os.path.exists('/tmp/full')",
        "healthy within 5 s, when there is room again",
        "running",
    ),
    Twin(
        "full",
        "build/entrypoint.sh",
        r'fail ".* cannot be written to.*$',
        "true",
        "no start, when the volume is full",
        "it runs",
    ),
    Twin(
        "readonly",
        "build/entrypoint.sh",
        r'fail ".* cannot be written to.*$',
        "exit 1",
        "a last line that says why, when the volume is read-only",
        "",
    ),
    Twin(
        "clock",
        "store.py",
        r"^begin\(\)$",
        "import time\nif os.path.exists(LOG) and os.stat(LOG).st_mtime > time.time(): os.remove(LOG)\nbegin()",
        r"[0-9a-f]{16} in store with files a year ahead",
        "nothing",
    ),
    Twin("crash", "build/entrypoint.sh", r'\[ -s "\$kept/\$1" \]', "false", "the secrets as they were", "others"),
    Twin(
        "crash", "build/entrypoint.sh", r'^( +)mv ("\$kept/\$1.new")', r"\1cp \2", "no half-written file", r"token\.new"
    ),
    Twin(
        "crash",
        "store.py",
        r"^LOG = .*$",
        'LOG = "/tmp/log" + os.environ["PORT"]',
        r"[0-9a-f]{16} in store after the container was killed",
        "nothing",
    ),
    Twin(
        "crash",
        "store.py",
        r"^begin\(\)$",
        'os.close(os.open(LOG + ".lock", os.O_CREAT | os.O_EXCL))\nbegin()',
        "healthy|running",
        "starting",
    ),
    Twin(
        "network",
        "store.py",
        r"^begin\(\)$",
        'begin()\nassert "eth0" in open("/proc/net/route").read(), "no network"',
        "healthy|running",
        "starting",
    ),
)


ALONE = (
    Twin("killed", *NO_POLICY, "the restart policy starts the container again", "exited, restarted 0 times"),
    Twin("memory", *NO_POLICY, "the restart policy starts the container again", "exited, restarted 0 times"),
    Twin("looping", *NO_POLICY, "the restart policy starts the container again", "exited, restarted 0 times"),
    Twin(
        "stopped",
        "build/docker-compose.yml",
        r"^( +)test: .*$",
        r'\1test: ["CMD", "true"]',
        r"unhealthy within \d+ s",
        "a health check that sees nothing",
    ),
)


class Silent:
    """Nobody looks on."""

    def flavour(self, *_: object) -> None: ...

    def begun(self, *_: object) -> None: ...

    def ended(self, *_: object) -> None: ...


def compiled(directory: Path, spec: str = SPEC) -> Any:
    """Put the spec and what it names into the directory; return the model."""
    (directory / "store.py").write_text(STORE)
    (directory / "appos.yaml").write_text(spec)
    result = pipeline.compile_spec(str(directory / "appos.yaml"))
    write.write(str(directory / result.app.output), result.files)
    return result.app


def results(directory: Path, engine: Engine, app: Any, *faults: str) -> tuple[Result, ...]:
    display: Display = Silent()
    outcome, _ = verify(Run(app, str(directory), engine, faults, faults=True, keep=False), trial.FLAVOURS[0], display)
    return outcome.results


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What never comes is not waited for as long as what may come on a busy machine."""
    monkeypatch.setattr(ending, "END_SECONDS", 3.0)
    monkeypatch.setattr(processes, "HELD", 12.0)
    monkeypatch.setattr(storage, "REFUSED", 5.0)
    monkeypatch.setattr(surroundings, "MOMENTS", 2)
    monkeypatch.setattr(trial, "RESTARTS", 1)


def fails(twin: Twin, engine: Engine, directory: Path, spec: str) -> None:
    app = compiled(directory, spec)
    path = directory / twin.file
    spoilt, count = re.subn(twin.old, twin.new, path.read_text(), flags=re.MULTILINE)
    assert count, f"{twin.file} has no {twin.old!r}"
    path.write_text(spoilt)
    *_, found = results(directory, engine, app, twin.fault)
    assert found.status == "failed", found.evidence
    assert re.search(twin.expected, found.expected), f"{found.expected}; came: {found.came}"
    assert re.search(twin.came, found.came), f"{found.expected}; came: {found.came}"


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.name)
def test_a_container_that_does_not_get_over_a_fault_fails(twin: Twin, engine: Engine, tmp_path: Path) -> None:
    fails(twin, engine, tmp_path, SPEC)


@pytest.mark.parametrize("twin", ALONE, ids=lambda twin: twin.name)
def test_so_does_a_container_of_one_service(twin: Twin, engine: Engine, tmp_path: Path) -> None:
    fails(twin, engine, tmp_path, SOLO)


@pytest.mark.parametrize("spec", [SPEC, SOLO], ids=["several services", "one service"])
def test_the_same_container_unspoilt_gets_over_all_of_them(spec: str, engine: Engine, tmp_path: Path) -> None:
    found = results(tmp_path, engine, compiled(tmp_path, spec), *(fault.name for fault in FAULTS))
    assert [(one.name, one.expected, one.came) for one in found if one.status == "failed"] == []


def test_no_fault_is_without_a_twin() -> None:
    assert {fault.name for fault in FAULTS} == {twin.fault for twin in TWINS}
