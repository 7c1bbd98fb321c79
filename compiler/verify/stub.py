"""What stands in for services, so that it can be told exactly what the gateway passes on to them.

The text of this module runs inside the container, on the supervisor's interpreter, and imports nothing that the
supervisor does not. Each argument is ``NAME=PORT=PROTOCOL``. The stub prints the number of the process that stays
behind, when it listens on all ports.

An answer names the service in ``X-Stub`` and repeats the head of the request, of FastCGI its parameters;
``X-Stub-Body`` is the length of the request's body. ``X-Stub-Do`` of a request asks for something else: ``stream``,
``upload``, ``silent``, or ``refuse=STATUS`` where the gateway only asks whether somebody may.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import signal
import socket
import struct
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Served = Callable[[str, socket.socket], None]

PIECES = 4
PAUSE = 0.3
LIFE = 900
"""Seconds after which a stub ends that nobody ended."""

PATIENCE = 5
"""Seconds in which a port must become free that its service has just left."""

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE = 8
STARTED, ENDED, PARAMETERS, INPUT, OUTPUT = 1, 3, 4, 5, 6
"""Kinds of FastCGI records. https://fastcgi-archives.github.io/FastCGI_Specification.html"""


class Reader:
    """Takes a connection's bytes in the pieces that a protocol has; EOFError where they end."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._kept = b""

    def until(self, end: bytes) -> bytes:
        """Return everything before ``end``."""
        while end not in self._kept:
            self._more()
        found, _, self._kept = self._kept.partition(end)
        return found

    def some(self) -> bytes:
        """Return whatever comes next, at least a byte."""
        if not self._kept:
            self._more()
        found, self._kept = self._kept, b""
        return found

    def exactly(self, count: int) -> bytes:
        """Return ``count`` bytes."""
        while len(self._kept) < count:
            self._more()
        found, self._kept = self._kept[:count], self._kept[count:]
        return found

    def _more(self) -> None:
        received = self._connection.recv(65536)
        if not received:
            raise EOFError
        self._kept += received


def answer_http(name: str, connection: socket.socket) -> None:
    """Answer one request."""
    reader = Reader(connection)
    head = reader.until(b"\r\n\r\n")
    lines = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
    headers = {key.strip().lower().decode("latin-1"): value.strip().decode("latin-1") for key, _, value in lines}
    wanted = headers.get("x-stub-do", "")
    if headers.get("upgrade", "").lower() == "websocket":
        echo_messages(name, connection, reader, headers.get("sec-websocket-key", ""))
    elif wanted.startswith("refuse=") and "x-original-uri" in headers:
        status = wanted.partition("=")[2]
        asked = head.split(b"\r\n")[0].decode("latin-1")
        # The one header of a refusal that the gateway passes on.
        told = f"Stub {name}, asked {asked}, for {headers.get('x-original-method')} {headers['x-original-uri']}"
        tell(connection, f"HTTP/1.1 {status} No\r\nWWW-Authenticate: {told}\r\nContent-Length: 0\r\n")
    elif wanted == "silent":
        reader.until(b"nothing that anybody sends")
    elif wanted == "stream":
        tell(connection, f"HTTP/1.1 200 OK\r\nX-Stub: {name}\r\nContent-Type: text/plain\r\n")
        in_pieces(connection.sendall)
    elif wanted == "upload":
        count = len(reader.some())
        tell(connection, f"HTTP/1.1 200 OK\r\nX-Stub: {name}\r\nContent-Type: text/plain\r\n")
        connection.sendall(b"%d\n" % count)
        reader.exactly(int(headers.get("content-length", "0")) - count)
        connection.sendall(b"all\n")
    else:
        count = body(reader, headers)
        kind = f"HTTP/1.1 200 OK\r\nX-Stub: {name}\r\nX-Stub-Body: {count}\r\nContent-Type: text/plain"
        tell(connection, f"{kind}\r\nContent-Length: {len(head)}\r\n")
        connection.sendall(head)


def tell(connection: socket.socket, head: str) -> None:
    """Send a head; an answer without a length ends with its connection."""
    connection.sendall(f"{head}Connection: close\r\n\r\n".encode())


def in_pieces(send: Callable[[bytes], object]) -> None:
    """Send an answer as something that goes on and on does."""
    for number in range(PIECES):
        if number:
            time.sleep(PAUSE)
        send(b"piece %d\n" % number)


def body(reader: Reader, headers: dict[str, str]) -> int:
    """Read a request's body; return its length."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        left = count = int(headers.get("content-length", "0"))
        while left:
            left -= len(reader.exactly(min(left, 65536)))
        return count
    count = 0
    while size := int(reader.until(b"\r\n").split(b";")[0], 16):
        count += len(reader.exactly(size + 2)) - 2
    reader.until(b"\r\n")
    return count


def echo_messages(name: str, connection: socket.socket, reader: Reader, key: str) -> None:
    """Agree to a WebSocket, and send every message back after the service's name."""
    proof = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()  # noqa: S324 - what RFC 6455 demands
    connection.sendall(
        f"HTTP/1.1 101 Switching Protocols\r\nX-Stub: {name}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {proof}\r\n\r\n".encode()
    )
    while True:
        first, second = reader.exactly(2)
        size = second & 0x7F
        if size == 126:  # noqa: PLR2004 - RFC 6455, section 5.2
            (size,) = struct.unpack("!H", reader.exactly(2))
        mask = reader.exactly(4)
        payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(reader.exactly(size)))
        if first & 0x0F == CLOSE:
            return
        payload = f"{name}: ".encode() + payload
        length = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + struct.pack("!H", len(payload))  # noqa: PLR2004 - likewise
        connection.sendall(bytes([first]) + length + payload)


def answer_fastcgi(name: str, connection: socket.socket) -> None:
    """Answer one request of the FastCGI responder role."""
    reader = Reader(connection)
    given, count, number = b"", 0, 0
    while True:
        _, kind, number, size, padding = struct.unpack("!BBHHBx", reader.exactly(8))
        content = reader.exactly(size)
        reader.exactly(padding)
        if kind == PARAMETERS:
            given += content
        elif kind == INPUT and size:
            count += size
        elif kind == INPUT:
            break
    found = parameters(given)
    wanted = found.get(b"HTTP_X_STUB_DO", b"").decode()
    if wanted == "silent":
        reader.until(b"nothing that anybody sends")

    def send(content: bytes, kind: int = OUTPUT) -> None:
        connection.sendall(struct.pack("!BBHHBx", 1, kind, number, len(content), 0) + content)

    send(f"Status: 200 OK\r\nX-Stub: {name}\r\nX-Stub-Body: {count}\r\nContent-Type: text/plain\r\n\r\n".encode())
    if wanted == "stream":
        in_pieces(send)
    else:
        send(b"".join(b"%s: %s\r\n" % pair for pair in found.items()))
    send(b"")
    send(bytes(8), ENDED)


def parameters(text: bytes) -> dict[bytes, bytes]:
    """Names and values as FastCGI writes them: both lengths, then both."""
    found = {}
    place = 0
    while place < len(text):
        sizes = []
        for _ in range(2):
            size, width = text[place], 1
            if size & 0x80:
                size, width = struct.unpack_from("!I", text, place)[0] & 0x7FFFFFFF, 4
            sizes.append(size)
            place += width
        name = text[place : place + sizes[0]]
        found[name] = text[place + sizes[0] : place + sum(sizes)]
        place += sum(sizes)
    return found


def one(serve: Served, name: str, connection: socket.socket) -> None:
    """Serve one connection; whatever the other end does is its own affair."""
    with connection, contextlib.suppress(OSError, EOFError, ValueError):
        serve(name, connection)


def listen(serve: Served, name: str, listener: socket.socket) -> None:
    """Serve every connection."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=one, args=(serve, name, connection), daemon=True).start()


def bound(port: int) -> socket.socket:
    """A listener on loopback, as soon as the port is free."""
    limit = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_server(("127.0.0.1", port), backlog=64)
        except OSError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.05)


def start(words: list[str]) -> list[threading.Thread]:
    """Listen for all services, and return the threads that will serve them."""
    rows = [word.split("=") for word in words]
    return [
        threading.Thread(
            target=listen,
            args=(answer_fastcgi if protocol == "fastcgi" else answer_http, name, bound(int(port))),
            daemon=True,
        )
        for name, port, protocol in rows
    ]


def main() -> None:
    """Listen, say under which number, and go on in the background."""
    threads = start(sys.argv[1:])
    number = os.fork()
    if number:
        sys.stdout.write(f"{number}\n")
        return
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    signal.alarm(LIFE)
    for thread in threads:
        thread.start()
    signal.pause()


if __name__ == "__main__":
    main()
