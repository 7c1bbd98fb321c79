"""Requests as a client of the container makes them, to the byte: HTTP, streamed answers, and WebSockets."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket
import struct
import time
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TIMEOUT = 5.0
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What a server adds to the client's key: RFC 6455, section 1.3."""

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
MEDIUM, LONG = 126, 127
"""Lengths that say that the length follows in two bytes, or in eight: section 5.2."""


class Answer(NamedTuple):
    """An answer; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


class Request(NamedTuple):
    """What is asked. ``path`` goes out as it is: nothing is normalized."""

    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Pending:
    """A request that was sent; its answer may come. OSError where nobody takes it."""

    def __init__(self, address: tuple[str, int], asked: Request, timeout: float = TIMEOUT) -> None:
        self._method = asked.method
        self._socket = _sent(address, asked, timeout)
        self._answer: HTTPResponse | None = None

    def close(self) -> None:
        """Wait no longer."""
        if self._answer:
            self._answer.close()
        self._socket.close()

    def fileno(self) -> int:
        """For ``select``."""
        return self._socket.fileno()

    def send(self, data: bytes) -> None:
        """More of the request's body."""
        self._socket.sendall(data)

    def first(self) -> int:
        """The status that comes first, be it an interim one such as 100; nothing can be read after it."""
        with self._socket.makefile("rb") as file:
            status = file.readline(200)[9:12]
        if not status.isdigit():
            raise OSError(f"not an HTTP answer: {status!r}")
        return int(status)

    def head(self) -> HTTPResponse:
        """Return the answer as soon as its head is there."""
        self._answer = HTTPResponse(self._socket, method=self._method)
        try:
            self._answer.begin()
        except HTTPException as error:
            raise OSError(f"not an HTTP answer: {error!r}") from error
        return self._answer

    def answer(self) -> Answer:
        """Return the whole answer."""
        response = self.head()
        try:
            return Answer(response.status, headers_of(response), response.read())
        except HTTPException as error:
            raise OSError(f"the answer broke off: {error!r}") from error


def request(
    address: tuple[str, int],
    path: str = "/",
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Answer:
    """Return the answer to one request; OSError where there is none."""
    with contextlib.closing(Pending(address, Request(path, method, headers or {}, body))) as pending:
        return pending.answer()


def pieces(address: tuple[str, int], asked: Request) -> Iterator[tuple[float, bytes]]:
    """Yield each piece of an answer's body with the seconds since the request at which it arrived."""
    begun = time.monotonic()
    with contextlib.closing(Pending(address, asked)) as pending:
        response = pending.head()
        while piece := response.read1(65536):
            yield time.monotonic() - begun, piece


class WebSocket:
    """The client's end of a WebSocket; ConnectionError where the server does not agree to one."""

    def __init__(self, address: tuple[str, int], path: str, headers: Mapping[str, str] | None = None) -> None:
        key = base64.b64encode(os.urandom(16))
        wanted = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": key.decode(),
            "Sec-WebSocket-Version": "13",
        }
        self._socket = _sent(address, Request(path, headers=wanted | dict(headers or {})))
        # Frames may come in the same piece as the head, so what has read that goes on reading.
        self._answer = response = HTTPResponse(self._socket)
        try:
            response.begin()
        except (HTTPException, OSError) as error:
            self.close()
            raise ConnectionError(f"no HTTP answer: {error!r}") from error
        if response.status != HTTPStatus.SWITCHING_PROTOCOLS:
            self.close()
            raise ConnectionError(f"status {response.status} instead of 101")
        proof = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest()).decode()
        if response.getheader("sec-websocket-accept") != proof:
            self.close()
            raise ConnectionError("the server's Sec-WebSocket-Accept is not the one for this key")
        self._file = response.fp

    def send(self, text: str) -> None:
        """Send a text message of at most 65,535 bytes."""
        self._frame(TEXT, text.encode())

    def receive(self, timeout: float = TIMEOUT) -> str:
        """Return the next text message; pings are answered meanwhile."""
        self._socket.settimeout(timeout)
        while True:
            kind, payload = self._read()
            if kind == PING:
                self._frame(PONG, payload)
            elif kind == CLOSE:
                raise ConnectionError("the server closed the WebSocket")
            elif kind != PONG:
                return payload.decode()

    def fileno(self) -> int:
        """For ``select``."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close without ceremony."""
        with contextlib.suppress(OSError):
            self._answer.close()
            self._socket.close()

    def _frame(self, kind: int, payload: bytes) -> None:
        mask = os.urandom(4)
        size = (
            struct.pack("!B", 0x80 | len(payload))
            if len(payload) < MEDIUM
            else struct.pack("!BH", 0x80 | MEDIUM, len(payload))
        )
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
        self._socket.sendall(bytes([0x80 | kind]) + size + mask + masked)

    def _read(self) -> tuple[int, bytes]:
        first, second = self._exactly(2)
        size = second & 0x7F
        if size == MEDIUM:
            (size,) = struct.unpack("!H", self._exactly(2))
        elif size == LONG:
            (size,) = struct.unpack("!Q", self._exactly(8))
        return first & 0x0F, self._exactly(size)

    def _exactly(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise ConnectionError("the connection ended")
        return data


def headers_of(response: HTTPResponse) -> dict[str, str]:
    """The headers by their names in lower case; values of one that came more than once are joined."""
    found: dict[str, str] = {}
    for name, value in response.getheaders():
        found[name.lower()] = f"{found[name.lower()]}, {value}" if name.lower() in found else value
    return found


def _sent(address: tuple[str, int], asked: Request, timeout: float = TIMEOUT) -> socket.socket:
    """A connection on which the request was sent; a server that answers before it has read all is no error."""
    lines = {"Host": f"{address[0]}:{address[1]}", "Connection": "close"} | dict(asked.headers)
    if asked.body and "Content-Length" not in lines:
        lines |= {"Content-Length": str(len(asked.body))}
    head = f"{asked.method} {asked.path} HTTP/1.1\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in lines.items()
    )
    connection = socket.create_connection(address, timeout)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(head.encode() + b"\r\n" + asked.body)
    return connection
