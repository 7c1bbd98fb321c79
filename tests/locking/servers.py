"""A real registry on loopback, what it needs around it, and servers that misbehave in one way each."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import os
import socket
import ssl
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from tests.lab import debian
from tests.lab.cache import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

USER, PASSWORD = "tester", "open sesame"
HASHED = "$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW"
"""The password as htpasswd -B has it, the only form that this registry takes."""
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
TOKEN_ISSUER = "lock tests"  # noqa: S105 - a name


class Authority(NamedTuple):
    """A certificate authority of the test's own, and a server's certificate that it signed."""

    ca: Path
    certificate: Path
    key: Path


def program() -> str:
    """Debian's docker-registry, unpacked; without it the test is skipped, in CI it fails."""
    try:
        return os.path.join(debian.packages("docker-registry"), "usr/bin/docker-registry")
    except LabError as error:
        reason = f"no docker-registry: {error}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextlib.contextmanager
def registry(directory: Path, tls: Authority | None = None, **more: Any) -> Iterator[str]:
    """A registry that keeps its data in a directory; gives its HOST:PORT. ``more`` goes into its configuration."""
    binary = program()
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    served: dict[str, Any] = {"addr": f"127.0.0.1:{port}"}
    if tls:
        served["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
    storage = {"filesystem": {"rootdirectory": str(directory / "data")}, "delete": {"enabled": True}}
    configuration = {"version": "0.1", "log": {"level": "error"}, "storage": storage, "http": served, **more}
    (directory / "config.yml").write_text(yaml.safe_dump(configuration), "utf-8")
    with (directory / "log").open("wb") as log:
        running = subprocess.Popen(
            [binary, "serve", str(directory / "config.yml")],
            stdout=log,
            stderr=log,
            env={"PATH": os.defpath, "OTEL_TRACES_EXPORTER": "none"},
        )
    try:
        _await(port, running, directory / "log")
        yield f"127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait(20)


def _await(port: int, running: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        if running.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    pytest.fail(f"the registry does not start: {log.read_text()}")


def passwords(directory: Path) -> dict[str, Any]:
    """The part of a registry's configuration that lets in the tester alone."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "htpasswd").write_text(f"{USER}:{HASHED}\n", "utf-8")
    return {"auth": {"htpasswd": {"realm": "lock tests", "path": str(directory / "htpasswd")}}}


def authority(directory: Path) -> Authority:
    """Keys and certificates, made by openssl."""
    directory.mkdir(parents=True, exist_ok=True)

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True, timeout=60)

    curve = ("-newkey", "rsa:2048", "-nodes")
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=lock tests")
    openssl("req", *curve, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=127.0.0.1")
    (directory / "san").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n", "utf-8")
    signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "san")
    openssl("x509", "-req", "-in", "server.csr", "-out", "server.crt", *signing)
    return Authority(directory / "ca.crt", directory / "server.crt", directory / "server.key")


class Asked(NamedTuple):
    """A question that a stub was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Reply(NamedTuple):
    """What a stub answers; ``cut`` leaves out the end of the body, ``pause`` is the time before each byte."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {}
    cut: int = 0
    pause: float = 0


class Stub(http.server.ThreadingHTTPServer):
    """A server that answers as it is told to, and remembers what it was asked."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, answer: Callable[[Asked], Reply]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.asked: list[Asked] = []

    @property
    def host(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what some tests are about."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Stub

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = Asked(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        self.server.asked.append(asked)
        reply = Reply(200, b"{}") if self.path == "/v2/" else self.server.answer(asked)
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        body = reply.body[: len(reply.body) - reply.cut]
        for piece in [body[at : at + 1] for at in range(len(body))] if reply.pause else [body]:
            time.sleep(reply.pause)
            self.wfile.write(piece)
            self.wfile.flush()

    do_POST = do_GET  # noqa: N815 - the library's name

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def stub(answer: Callable[[Asked], Reply]) -> Iterator[Stub]:
    """A stub that serves as long as it is wanted."""
    with Stub(answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(10)


def tokens(own: Authority, service: str) -> Callable[[Asked], Reply]:
    """A token server for a real registry: whoever says the password may have what is asked for, others nothing."""

    def answer(asked: Asked) -> Reply:
        if asked.headers.get("authorization") != BASIC:
            return Reply(401, b'{"errors": []}')
        scopes = parse_qs(urlsplit(asked.path).query).get("scope", [])
        access = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        claims = {"iss": TOKEN_ISSUER, "sub": USER, "aud": service, "exp": now + 300, "nbf": now - 60, "iat": now}
        token = _signed({**claims, "jti": str(time.monotonic_ns()), "access": access}, own)
        return Reply(200, json.dumps({"token": token}).encode(), {"Content-Type": "application/json"})

    return answer


def _signed(claims: dict[str, Any], own: Authority) -> str:
    """A JSON web token (RFC 7515, RS256) with the certificate of its key."""
    certificate = ssl.PEM_cert_to_DER_cert(own.certificate.read_text("ascii"))
    header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(certificate).decode()]}
    text = ".".join(_url(json.dumps(part).encode()) for part in (header, claims))
    command = ["openssl", "dgst", "-sha256", "-sign", str(own.key)]
    signature = subprocess.run(command, input=text.encode(), capture_output=True, check=True, timeout=20).stdout
    return f"{text}.{_url(signature)}"


def _url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
