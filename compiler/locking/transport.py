"""One question to a server by HTTP -> its whole answer, or a HostError that says why there is none.

The standard library's client with all that it does by itself left out: a redirection goes where it leads without the
login, an answer has a limit, and one that is cut off is none.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from compiler import __version__
from compiler.errors import HostError
from compiler.locking import settings
from compiler.locking.reference import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message

LIMIT = 4 * 1024 * 1024
"""Bytes of the largest answer: what the specification has registries accept as a manifest."""

TIMEOUT = 15
"""Seconds without a byte."""
REDIRECTIONS = 5
TRIES = 4
PATIENCE = 20
"""Seconds that a server may ask us to wait before the next try."""
BUSY = (429, 500, 502, 503, 504)
_REDIRECTED = (301, 302, 303, 307, 308)


class Answer(NamedTuple):
    """What a server said; header names in any case."""

    status: int
    headers: Message
    body: bytes
    url: str


class _AsItIs(urllib.request.HTTPErrorProcessor):
    """Every answer is an answer: neither a redirection nor an error is acted upon here."""

    def http_response(self, request: Any, response: Any) -> Any:  # noqa: ARG002 - the library's signature
        return response

    https_response = http_response


def ask(url: str, headers: Mapping[str, str], *, method: str = "GET", data: bytes | None = None) -> Answer:
    """Ask, follow where the answer leads, and ask again later where the server is too busy.

    ``headers`` go to the server of the URL alone: elsewhere the login in them is left out.
    """
    for number in range(TRIES):
        last = number == TRIES - 1
        try:
            answer = _followed(url, headers, method, data)
        except _LostError as error:
            if last:
                raise HostError(str(error), "try again later; --offline asks the engine alone") from None
            time.sleep(0.2 * 2**number)
            continue
        if answer.status not in BUSY or last:
            return answer
        pause = _pause(answer, number)
        if pause > PATIENCE:
            host = urlsplit(url).netloc
            raise HostError(f"{host} asks to wait for {pause:.0f} seconds", "try again later, or log in: docker login")
        time.sleep(pause)
    raise AssertionError  # pragma: no cover - the last try returns or raises


def joined(url: str, place: str) -> str:
    """Where a server leads, which may be anything; HostError where it is no URL."""
    try:
        there = urljoin(url, place)
        urlsplit(there).port  # noqa: B018 - a number that is no port is found out only when it is asked for
    except ValueError:
        raise HostError(f"{urlsplit(url).netloc} leads to a place that is no URL", "ask who runs it") from None
    return there


class _LostError(Exception):
    """The connection broke: the next one may not."""


def _pause(answer: Answer, number: int) -> float:
    said = str(answer.headers.get("Retry-After", "")).strip()
    if said.isdigit():
        return float(said[:9])
    return 0.5 * float(2**number)


def _followed(url: str, headers: Mapping[str, str], method: str, data: bytes | None) -> Answer:
    for _ in range(REDIRECTIONS + 1):
        answer = _once(url, headers, method, data)
        place = answer.headers.get("Location", "")
        if answer.status not in _REDIRECTED or not place:
            return answer
        there = joined(url, place)
        before, after = urlsplit(url), urlsplit(there)
        if after.scheme not in ("http", "https") or (before.scheme == "https" and after.scheme == "http"):
            raise HostError(
                f"{before.netloc} leads from an encrypted connection to one that is not", "nothing was asked there"
            )
        if data is not None:
            raise HostError(f"{before.netloc} leads a login elsewhere", "nothing was sent there")
        if (before.scheme, before.netloc) != (after.scheme, after.netloc):
            headers = {name: value for name, value in headers.items() if name != "Authorization"}
        url = there
    raise HostError(f"{urlsplit(url).netloc} leads from one place to the next without end", "ask who runs it")


def _once(url: str, headers: Mapping[str, str], method: str, data: bytes | None) -> Answer:
    place = urlsplit(url)
    host = place.netloc
    handlers: list[urllib.request.BaseHandler] = [_AsItIs()]
    if place.scheme == "https":
        handlers.append(urllib.request.HTTPSHandler(context=settings.trust(host)))
    if is_loopback(host):
        handlers.append(urllib.request.ProxyHandler({}))
    said = {"User-Agent": f"appos-compile/{__version__}", "Accept-Encoding": "identity", **headers}
    try:
        # The scheme is one of two: this function's callers make the URL, and redirections are looked at.
        request = urllib.request.Request(url, data, said, method=method)  # noqa: S310
        with urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT) as response:
            return Answer(response.status, response.headers, b"" if method == "HEAD" else _body(response, host), url)
    except urllib.error.URLError as error:
        raise _reason(error.reason, host) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _reason(error, host) from None


def _body(response: Any, host: str) -> bytes:
    declared = response.headers.get("Content-Length", "")
    parts: list[bytes] = []
    size = 0
    while chunk := response.read(65536):
        size += len(chunk)
        if size > LIMIT:
            raise HostError(f"{host} answers with more than {LIMIT >> 20} MiB", "that is no manifest: it was not read")
        parts.append(chunk)
    if declared.isdigit() and size < int(declared):
        raise _LostError(f"{host} broke off in the middle of its answer")
    return b"".join(parts)


_ALONE = "--offline asks the engine alone"
_REASONS: tuple[tuple[type[BaseException], str, str], ...] = (
    (
        ssl.SSLCertVerificationError,
        "the certificate of {host} is not trusted: {error.verify_message}",
        f"put the authority that signed it at {settings.CERTIFICATES[-1]}/{{host}}/ca.crt, or in SSL_CERT_FILE",
    ),
    (
        ssl.SSLError,
        "{host} speaks no TLS that fits: {error.reason}",
        f"a registry without encryption has to be named in {settings.INSECURE}",
    ),
    (socket.gaierror, "the name {host} is not known", f"check the name and the network; {_ALONE}"),
    (ConnectionRefusedError, "nothing listens at {host}", f"check the address; {_ALONE}"),
    (TimeoutError, f"{{host}} gave no answer for {TIMEOUT} seconds", f"try again later; {_ALONE}"),
)
"""What went wrong, in words, and what may help; the first that fits counts."""


def _reason(error: Any, host: str) -> Exception:
    """The error as we tell it; what may be better the next time is told apart."""
    for kind, message, hint in _REASONS:
        if isinstance(error, kind):
            return HostError(message.format(host=host, error=error), hint.format(host=host))
    if isinstance(error, (ConnectionError, http.client.IncompleteRead)):
        return _LostError(f"{host} broke the connection off")
    if isinstance(error, http.client.HTTPException):
        return HostError(f"{host} does not speak HTTP", "check the address")
    return HostError(f"{host} cannot be asked: {getattr(error, 'strerror', None) or error}", "check the network")
