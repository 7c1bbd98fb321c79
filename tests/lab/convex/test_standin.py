"""The stand-in for the Convex backend keeps the contract that the container is built on."""

from __future__ import annotations

import http.client
import json
import os
import platform
import re
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.convex.make import make

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc",
    reason="the stand-in is a program for x86-64 and glibc",
)

SECRET = "0123456789abcdef" * 4
NO_DATA = ["--interface=127.0.0.1", "--port=0", "--site-proxy-port=0"]
LIMIT = 30


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("standin") / "convex-backend"
    make(str(path))
    return str(path)


class Backend:
    """A running stand-in on free ports."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.process = subprocess.Popen(
            [*command, *flags(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={"HOME": str(folder), "DISABLE_METRICS_ENDPOINT": "true"},
            cwd=folder,
        )
        assert self.process.stdout
        self.log = ""
        for line in self.process.stdout:
            self.log += line
            if ready := re.search(r"stand-in: \S+ ready on 127\.0\.0\.1:(\d+), site proxy on (\d+),", line):
                self.port, self.site_port = map(int, ready.groups())
                return
        pytest.fail(f"the stand-in did not start:\n{self.log}")

    def get(self, path: str, port: int | None = None) -> tuple[int, str]:
        with self.connected(port) as connection:
            connection.request("GET", path)
            return read(connection)

    def call(self, api: str, path: str, /, **args: Any) -> Any:
        with self.connected() as connection:
            connection.request("POST", f"/api/{api}", json.dumps({"path": path, "args": args, "format": "json"}))
            status, body = read(connection)
        assert status == 200
        return json.loads(body)

    def value(self, api: str, path: str, /, **args: Any) -> Any:
        answer = self.call(api, path, **args)
        assert answer["status"] == "success", answer
        return answer["value"]

    @contextmanager
    def connected(self, port: int | None = None) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=LIMIT)
        try:
            yield connection
        finally:
            connection.close()

    def end(self, number: signal.Signals) -> int:
        """Return the exit status after this signal; the log is complete then."""
        self.process.send_signal(number)
        self.log += self.process.communicate(timeout=LIMIT)[0]
        return self.process.returncode


def read(connection: http.client.HTTPConnection) -> tuple[int, str]:
    response = connection.getresponse()
    assert response.headers["Server"] == "convex stand-in"
    return response.status, response.read().decode()


def flags(folder: Path) -> list[str]:
    return [
        *NO_DATA,
        "--convex-origin=http://127.0.0.1:3210",
        "--convex-site=http://127.0.0.1:3211",
        "--instance-name=appos",
        f"--instance-secret={SECRET}",
        f"--local-storage={folder}/storage",
        "--disable-beacon",
        f"{folder}/db.sqlite3",
    ]


@contextmanager
def running(folder: Path, *command: str) -> Iterator[Backend]:
    backend = Backend(folder, *command)
    try:
        yield backend
    finally:
        backend.process.kill()
        backend.process.communicate()


def wait_until_refused(port: int) -> None:
    for _ in range(LIMIT * 100):
        try:
            socket.create_connection(("127.0.0.1", port), LIMIT).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.01)
    pytest.fail("connections are still accepted")


def ended(*command: str) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    return done.returncode, done.stdout + done.stderr


def test_says_what_it_is(binary: str) -> None:
    status, out = ended(binary, "--version")
    assert status == 0
    assert out.startswith("convex-local-backend stand-in ")
    assert ended(binary, "--help")[0] == 0


def test_is_as_large_as_the_real_one_and_ldd_reads_it(binary: str) -> None:
    assert 110e6 < os.path.getsize(binary) < 120e6
    status, out = ended("ldd", binary)
    assert status == 0
    assert "libc.so.6" in out
    assert "not found" not in out


def test_is_the_same_each_time(binary: str, tmp_path: Path) -> None:
    make(str(tmp_path / "again"))
    assert ended("cmp", binary, str(tmp_path / "again")) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 1, "--instance-secret is required"),
        (["--instance-name=appos"], 1, "--instance-secret is required"),
        (["--instance-name=appos", f"--instance-secret={SECRET.upper()}"], 1, "64 lower-case hexadecimal digits"),
        ([f"--instance-secret={SECRET}"], 2, "--instance-secret requires --instance-name"),
        (["--unheard-of"], 2, "unexpected argument '--unheard-of'"),
        (["-A"], 2, "unexpected argument '-A'"),
        (["one", "two"], 2, "unexpected argument 'two'"),
        (["--port"], 2, "a value is required for '--port'"),
        (["--port=1", "--port=2"], 2, "'--port' cannot be used multiple times"),
    ],
)
def test_refuses(binary: str, arguments: list[str], status: int, message: str) -> None:
    found, out = ended(binary, *arguments)
    assert message in out
    assert found == status


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        (["--convex-origin=http://127.0.0.1"], 2, "--convex-origin requires --convex-site"),
        (["--convex-origin=here", "--convex-site="], 1, "should start with https:// or http://"),
        (["--interface=::1"], 2, "invalid IPv4 address"),
        (["--port=65536"], 2, "invalid value '65536'"),
        (["/no/such/folder/db.sqlite3"], 1, "No such file or directory"),
    ],
)
def test_refuses_beside_a_secret(binary: str, tmp_path: Path, more: list[str], status: int, message: str) -> None:
    secret = ["--instance-name=appos", f"--instance-secret={SECRET}", f"--local-storage={tmp_path}/storage"]
    found, out = ended(binary, *secret, *more)
    assert message in out
    assert found == status


def test_answers_on_both_ports(binary: str, tmp_path: Path) -> None:
    with running(tmp_path, binary) as backend:
        assert backend.get("/version") == (200, "convex-local-backend stand-in")
        assert backend.get("/version", backend.site_port) == (200, "unknown")
        assert backend.get("/metrics")[0] == 404
        assert backend.get("/nothing")[0] == 404
        assert backend.get("/api/query")[0] == 405


def test_functions(binary: str, tmp_path: Path) -> None:
    with running(tmp_path, binary) as backend:
        ids = [backend.value("mutation", "activity:add", kind="test", text=str(index)) for index in range(3)]
        listed = backend.value("query", "activity:list")
        assert [(each["_id"], each["kind"], each["text"]) for each in listed] == [
            (ids[index], "test", str(index)) for index in (2, 1, 0)
        ]
        assert listed[0]["_creationTime"] > listed[1]["_creationTime"]
        assert backend.value("query", "activity:list", limit=1) == listed[:1]

        assert backend.value("query", "documents:get", key="settings") is None
        first = backend.value("mutation", "documents:put", key="settings", value={"a": [1, "é"]})
        assert backend.value("query", "documents:get", key="settings") == {"a": [1, "é"]}
        assert backend.value("mutation", "documents:put", key="settings", value=2) == first
        assert backend.value("query", "documents:get", key="settings") == 2


@pytest.mark.parametrize(
    ("call", "args", "message"),
    [
        ("query nothing:here", {}, "Could not find public query for 'nothing:here'"),
        ("query activity:add", {"kind": "", "text": ""}, "Could not find public query for 'activity:add'"),
        ("mutation activity:add", {"kind": ""}, "field `text` is missing or of a wrong type"),
        ("mutation activity:add", {"kind": "", "text": "", "more": 1}, "extra field `more`"),
        ("query activity:list", {"limit": -1}, "field `limit` is missing or of a wrong type"),
    ],
)
def test_a_call_that_fails(binary: str, tmp_path: Path, call: str, args: dict[str, object], message: str) -> None:
    with running(tmp_path, binary) as backend:
        answer = backend.call(*call.split(), **args)
        assert answer["status"] == "error"
        assert message in answer["errorMessage"]


@pytest.mark.parametrize(
    "body", ["", "[]", '{"args": {}}', '{"path": "a:b"}', '{"path": "a:b", "args": {}, "format": 1}']
)
def test_a_request_that_is_no_call(binary: str, tmp_path: Path, body: str) -> None:
    with running(tmp_path, binary) as backend, backend.connected() as connection:
        connection.request("POST", "/api/query", body)
        assert read(connection)[0] == 400


@pytest.mark.parametrize("path", ["/api/sync", "/api/1.31.0/sync"])
def test_a_web_socket_echoes(binary: str, tmp_path: Path, path: str) -> None:
    handshake = (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with (
        running(tmp_path, binary) as backend,
        socket.create_connection(("127.0.0.1", backend.port), LIMIT) as connection,
        connection.makefile("rb") as answers,
    ):
        connection.sendall(handshake.encode())
        assert answers.readline().startswith(b"HTTP/1.1 101 ")
        headers = list(iter(answers.readline, b"\r\n"))
        assert b"server: convex stand-in\r\n" in headers
        connection.sendall(b"\x81\x85\0\0\0\0hello")
        assert answers.read(7) == b"\x81\x05hello"
        # An open one must not hold up the end: it is closed as "going away".
        assert backend.end(signal.SIGINT) == 0
        assert answers.read(4)[2:] == (1001).to_bytes(2, "big")


def test_what_was_acknowledged_survives_sigkill(binary: str, tmp_path: Path) -> None:
    with running(tmp_path, binary) as backend:
        backend.value("mutation", "documents:put", key="kept", value="é")
        assert backend.end(signal.SIGKILL) == -signal.SIGKILL
    # What a process that was killed while it wrote may leave: half a line, ending within a letter.
    with open(tmp_path / "db.sqlite3", "ab") as file:
        file.write('{"table":"documents","key":"torn é'.encode()[:-1])
    with running(tmp_path, binary) as backend:
        assert "dropped a torn last line" in backend.log
        assert backend.value("query", "documents:get", key="kept") == "é"
        backend.value("mutation", "documents:put", key="next", value=1)
        backend.end(signal.SIGKILL)
    with running(tmp_path, binary) as backend:
        assert "torn" not in backend.log
        assert backend.value("query", "documents:get", key="kept") == "é"
        assert backend.value("query", "documents:get", key="next") == 1


def test_sigint_drains(binary: str, tmp_path: Path) -> None:
    with running(tmp_path, binary) as backend, backend.connected() as busy, backend.connected() as idle:
        idle.request("GET", "/version")
        assert read(idle)[0] == 200
        body = json.dumps({"path": "documents:put", "args": {"key": "late", "value": 1}})
        busy.putrequest("POST", "/api/mutation")
        busy.putheader("Content-Length", str(len(body)))
        busy.endheaders(body[:10].encode())
        assert backend.get("/version")[0] == 200

        backend.process.send_signal(signal.SIGINT)
        assert backend.process.stdout
        assert "draining" in backend.process.stdout.readline()
        wait_until_refused(backend.port)
        busy.send(body[10:].encode())
        assert json.loads(read(busy)[1])["status"] == "success"
        out, _ = backend.process.communicate(timeout=LIMIT)
        assert "stand-in: drained" in out
        assert backend.process.returncode == 0
    with running(tmp_path, binary) as backend:
        assert backend.value("query", "documents:get", key="late") == 1


def test_sigterm_ends_it_at_once(binary: str, tmp_path: Path) -> None:
    with running(tmp_path, binary) as backend:
        assert backend.end(signal.SIGTERM) == -signal.SIGTERM
        assert "drain" not in backend.log


def test_refuses_the_data_of_another_secret(binary: str, tmp_path: Path) -> None:
    with running(tmp_path, binary) as backend:
        backend.end(signal.SIGINT)
    command = [each.replace(SECRET, "f" * 64) for each in flags(tmp_path)]
    status, out = ended(binary, *command)
    assert "was made with another --instance-secret" in out
    assert status == 1


def test_refuses_data_that_is_damaged_or_in_use(binary: str, tmp_path: Path) -> None:
    with running(tmp_path, binary):
        status, out = ended(binary, *flags(tmp_path))
        assert "is in use by another process" in out
        assert status == 1
    (tmp_path / "db.sqlite3").write_text("SQLite format 3\n")
    status, out = ended(binary, *flags(tmp_path))
    assert "line 1 is damaged" in out
    assert status == 1


def test_refuses_a_port_that_is_taken(binary: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = [each.replace("--port=0", f"--port={port}") for each in flags(tmp_path)]
        status, out = ended(binary, *command)
    assert f"cannot listen on 127.0.0.1:{port}" in out
    assert status == 1


def test_a_full_volume_costs_only_the_mutations_it_has_no_room_for(binary: str, tmp_path: Path) -> None:
    # A limit on the size of files, with its signal ignored, fails writes as a full volume does: after a part of them.
    limited = ("sh", "-c", 'trap "" XFSZ; ulimit -f 8; exec "$@"', "sh", binary)
    with running(tmp_path, *limited) as backend:
        backend.value("mutation", "documents:put", key="first", value=1)
        answer = backend.call("mutation", "documents:put", key="large", value="x" * 8192)
        assert answer["status"] == "error"
        assert backend.value("query", "documents:get", key="large") is None
        backend.value("mutation", "documents:put", key="second", value=2)
        backend.end(signal.SIGKILL)
    with running(tmp_path, binary) as backend:
        assert "torn" not in backend.log
        assert [backend.value("query", "documents:get", key=key) for key in ("first", "second")] == [1, 2]


def test_shows_only_what_was_typed_and_leaves_nothing_behind(binary: str, tmp_path: Path) -> None:
    with running(tmp_path, binary) as backend:
        with open(f"/proc/{backend.process.pid}/cmdline", encoding="utf-8") as file:
            assert file.read().split("\0") == [binary, *flags(tmp_path), ""]
        assert sorted(os.listdir(tmp_path)) == ["db.sqlite3", "storage"]
