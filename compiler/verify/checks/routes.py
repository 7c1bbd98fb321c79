"""Routes: each is answered by whom the spec declares, and services are given what they should be."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import inspect
import ipaddress
import select
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from compiler.verify import client, routing, stub
from compiler.verify.client import Pending, Request, WebSocket
from compiler.verify.engine import EngineError
from compiler.verify.result import FailedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from compiler.model import App, Route, Service
    from compiler.verify.client import Answer
    from compiler.verify.routing import Expected, Tree
    from compiler.verify.trial import Trial

PATHS = 200
"""How many paths that nobody thought of are asked for."""

PATIENCE = 10
"""Seconds that a service may take to begin an answer."""

SENT_WHOLE = 4_000_000
"""The largest body that is sent; of a larger one the gateway only hears the length."""

BOUNDLESS = 10**10
IDLE = 62
"""Seconds, a little more than nginx waits for whom nothing else was said about."""

SLACK = 3
LONG_MESSAGE = "x" * 60_000
FORGED = "203.0.113.9"
HOST = "verify.example:8443"
TEMPORARY = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
FRAMING = ("connection", "keep-alive", "te", "upgrade", "transfer-encoding", "expect")
"""What concerns one connection only, and must not be passed on. https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1"""

_FILES = r"""
for root; do
    find -L "$root" -type d 2>/dev/null | sed 's/^/d /'
    find -L "$root" -type f 2>/dev/null | sed 's/^/f /'
    find -L "$root" -type f -size -4096 2>/dev/null | sed 's/^/s /'
done
"""
"""Directories, files, and the files below 2 MiB, which can be compared."""


class Gate(NamedTuple):
    """The gateway under test, and what is known of what lies behind it."""

    trial: Trial
    address: tuple[str, int]
    tree: Tree
    small: frozenset[str]
    accounts: Mapping[str, Mapping[str, str]]
    """The headers with which somebody may use a route, by its match."""

    def expected(self, target: str) -> Expected:
        """What the model says."""
        return routing.answered_by(self.trial.app, target, self.tree)

    def ask(self, route: Route | None, target: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask as somebody who may."""
        return client.request(self.address, target, "GET", {**self.may(route), **(headers or {})})

    def may(self, route: Route | None) -> Mapping[str, str]:
        """What a request needs to be let in."""
        return self.accounts.get(route.match, {}) if route else {}

    def failed(self, route: Route | None, expected: str, came: str, *fields: str) -> FailedError:
        """The error that names the route's line, or that of one of its fields."""
        where = f"location {route.match}" if route else "the locations"
        look = f"{where} in {self.trial.app.output}/nginx.conf, and the gateway's lines in the log"
        return FailedError(expected, came, (*route.path, *fields) if route else ("routes",), look=look)


def routed(app: App) -> tuple[Service, ...]:
    """The services that the gateway asks, in the order of their start."""
    wanted = {route.service for route in app.routes} | {route.auth.service for route in app.routes if route.auth}
    return tuple(service for service in app.services if service.name in wanted)


def published(app: App) -> bool:
    """Whether there are routes that can be asked from outside."""
    return bool(app.routes) and app.gateway is not None and app.gateway.name in {port.service for port in app.ports}


def forwards(app: App) -> bool:
    """Whether some of them lead to services."""
    return published(app) and bool(routed(app))


def waits(app: App) -> bool:
    """Whether a route says for how long its service may be silent, or is one where that is an hour."""
    return published(app) and any(route.service and route.timeout != IDLE - 2 for route in app.routes)


# --- the check of the real services


def answers(trial: Trial) -> str:
    """Files are the image's, byte by byte; services answer; who may not is refused; nothing else is there."""
    gate = _gate(trial)
    plan = [(target, gate.expected(target)) for route in trial.app.routes for target in _targets(gate, route)]
    digests = _digests(trial, (expected.value for _, expected in plan if expected.kind == "file"))
    for target, expected in plan:
        if expected.kind in ("service", "script"):
            _available(gate, expected, target)
        else:
            answer = gate.ask(expected.route, target)
            _holds(gate, target, expected, answer, digests)
            if expected.kind == "file" and f"{expected.value}.gz" in gate.tree.files:
                _compressed(gate, target, expected, answer)
        _refused(gate, target, expected)
    files = sum(expected.kind == "file" for _, expected in plan)
    return f"{_counted(trial.app)}; {len(plan)} requests, {files} of them answered with the image's files, byte by byte"


def _targets(gate: Gate, route: Route) -> Iterator[str]:
    """What a route is asked for: its own path, what is below it, and what is not there."""
    yield route.match
    if route.slashless:
        yield f"{route.match[:-1]}?a=b%20c"
    if route.prefix:
        yield f"{route.match}verify/deep/path"
    if not route.root:
        return
    if route.prefix:
        yield from (f"{route.match}{name}" for name in ("verify-missing.css", ".env", ".git/config", "x/.git/config"))
        yield from (f"{route.match}{route.assets}verify-missing.js",) if routing.has_assets(route) else ()
    files = sorted(file for file in gate.small if file.startswith(f"{route.root}/") and route.prefix)
    kept = [file for file in files if routing.has_assets(route) and file.startswith(f"{route.root}/{route.assets}")]
    hidden = [file for file in files if routing.HIDDEN.search(file)]
    twins = [file for file in files if f"{file}.gz" in gate.tree.files]
    for some in (kept, hidden, twins, files):
        yield from (routing.path_of_file(route, file) for file in some[:3])


def _available(gate: Gate, expected: Expected, target: str) -> None:
    """Whether the real service begins an answer; a stream need not end."""
    route = expected.route
    asked = Request(target, headers=gate.may(route))
    with contextlib.closing(Pending(gate.address, asked, PATIENCE)) as pending:
        try:
            response = pending.head()
        except TimeoutError:
            if route and (route.websocket or route.stream):
                return
            raise gate.failed(route, f"an answer to {target} within {PATIENCE} s", "silence", "service") from None
        if response.status in TEMPORARY and _of_the_gateway(response.read(1000)):
            raise gate.failed(
                route, f"an answer of {_whose(route)} to {target}", f"the gateway's own {response.status}", "service"
            )
        _headers(gate, expected, target, client.headers_of(response), alone=False)


def _of_the_gateway(body: bytes) -> bool:
    """Whether an answer is what the gateway says of a service that is away."""
    return b'"unavailable"' in body or b"<center>nginx" in body


def _whose(route: Route | None) -> str:
    return route.service if route else "a service"


def _holds(gate: Gate, target: str, expected: Expected, answer: Answer, digests: Mapping[str, str]) -> None:
    """Whether an answer of the gateway itself is the expected one."""
    route = expected.route
    if answer.status != expected.status or "x-stub" in answer.headers:
        raise gate.failed(route, f"{expected.status} for {target}{_why(expected)}", _told(answer))
    if expected.kind == "redirect" and unquote(answer.headers.get("location", "")) != unquote(expected.value):
        came = f"Location: {answer.headers.get('location')}"
        raise gate.failed(route, f"Location: {expected.value} for {target}", came)
    if expected.kind == "file" and expected.value in digests:
        came = hashlib.sha256(answer.body).hexdigest()
        if came != digests[expected.value]:
            begin = f"{len(answer.body)} other bytes: {answer.text[:60]!r}"
            raise gate.failed(route, f"the bytes of {expected.value} for {target}", begin)
    _headers(gate, expected, target, answer.headers, alone=True)
    if expected.kind == "file" and not _has(route, "cache-control"):
        came = answer.headers.get("cache-control", "none")
        if came != expected.cache:
            field = "assets" if "immutable" in expected.cache else "max_age"
            raise gate.failed(route, f"Cache-Control: {expected.cache} for {target}", f"Cache-Control: {came}", field)


def _why(expected: Expected) -> str:
    return f" ({expected.value})" if expected.kind in ("file", "redirect") else ""


def _told(answer: Answer) -> str:
    who = answer.headers.get("x-stub")
    return f"{answer.status}" + (f" from {who}" if who else "") + f": {answer.text[:100].strip()!r}"


def _has(route: Route | None, name: str) -> bool:
    return route is not None and name in {header.lower() for header, _ in route.headers}


def _headers(gate: Gate, expected: Expected, target: str, came: Mapping[str, str], *, alone: bool) -> None:
    """Whether the headers of the spec are there, each once if nobody else sends it, and those taken away are not."""
    route = expected.route
    everywhere = gate.trial.app.http.headers
    wanted = route.headers if route is not None and expected.own else everywhere
    for name, value in wanted:
        sent = came.get(name.lower())
        # http.client reads headers as Latin-1.
        said = value.encode().decode("latin-1")
        if sent is None or (sent != said if alone else said not in sent):
            path = ("headers", name) if route and (name, value) not in everywhere else ()
            raise gate.failed(
                route if path else None, f"{name}: {value} for {target}", f"{sent or 'no such header'}", *path
            )
    gone = {name.lower() for name, _ in everywhere} - {name.lower() for name, _ in wanted}
    for name in sorted(gone & set(came) if alone else ()):
        raise gate.failed(route, f"no {name} for {target}", came[name], "headers")


def _compressed(gate: Gate, target: str, expected: Expected, plain: Answer) -> None:
    """Whether those who accept it are sent the file that was compressed when the image was built."""
    answer = gate.ask(expected.route, target, {"Accept-Encoding": "gzip"})
    if answer.headers.get("content-encoding") != "gzip":
        raise gate.failed(expected.route, f"{expected.value}.gz for {target}, if gzip is accepted", _told(answer))
    digest = _digests(gate.trial, [f"{expected.value}.gz"])[f"{expected.value}.gz"]
    if hashlib.sha256(answer.body).hexdigest() != digest:
        came = f"{len(answer.body)} bytes that were compressed anew"
        raise gate.failed(expected.route, f"the bytes of {expected.value}.gz for {target}", came)
    if gzip.decompress(answer.body) != plain.body:
        raise gate.failed(expected.route, f"the same content in {expected.value}.gz", "another one")
    if "accept-encoding" not in answer.headers.get("vary", "").lower():
        raise gate.failed(
            expected.route, f"Vary: Accept-Encoding for {target}", answer.headers.get("vary", "no such header")
        )


def _refused(gate: Gate, target: str, expected: Expected) -> None:
    """Whether somebody without the account, or with another password, gets nothing of it."""
    route = expected.route
    if route is None or route.auth is None or not route.auth.secret or not expected.own:
        return
    wrong = _basic(route.auth.user, "wrong")
    for what, headers in (("nobody in particular", {}), ("a wrong password", wrong)):
        answer = client.request(gate.address, target, "GET", headers)
        # Where there is nothing, that may be said to everybody.
        fine = (HTTPStatus.UNAUTHORIZED, *((expected.status,) if expected.kind == "status" else ()))
        if answer.status not in fine:
            raise gate.failed(route, f"401 for {target} from {what}", _told(answer), "auth")
        if answer.status == HTTPStatus.UNAUTHORIZED and not answer.headers.get("www-authenticate", "").startswith(
            "Basic "
        ):
            came = answer.headers.get("www-authenticate", "no such header")
            raise gate.failed(route, f"WWW-Authenticate: Basic for {target}", came, "auth")


# --- the check of what is passed on, with stubs in place of the services


def forwarding(trial: Trial) -> str:
    """Every routed service is replaced by a stub that says what it was given."""
    gate = _gate(trial)
    with stubs(trial) as standing:
        asked = _compare(gate)
        sockets = streams = 0
        for route, path in _probes(trial.app):
            _who(gate, route, path)
            _client(gate, route, path)
            _given(gate, route, path)
            _limit(gate, route, path)
            if route.protocol == "http":
                _upgraded(gate, route, path)
                sockets += route.websocket
            if route.stream or route.websocket:
                _streamed(gate, route, path)
                streams += 1
        for route in trial.app.routes:
            if route.auth and route.auth.service:
                _admitted(gate, route)
        standing.end()
        for route, path in _probes(trial.app):
            _unavailable(gate, route, path)
    leads = sum(bool(route.service) for route in trial.app.routes)
    found = f"{leads} routes to {', '.join(service.name for service in routed(trial.app))}"
    found += f", {sockets} with WebSockets, {streams} passed on piece by piece; "
    return found + (
        f"{asked} random paths as the model says" if asked else "no random paths, as nginx.conf has extra text"
    )


class Stubs:
    """A process in the container that answers on the ports of all services that the gateway asks."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._services = routed(trial.app)
        self._number = ""

    def begin(self) -> None:
        """Listen; the ports have to be free, or to become free soon."""
        words = [f"{service.name}={service.port}={service.protocol}" for service in self._services]
        python = self._trial.app.image.family.python
        done = self._trial.run(python, "-I", "-S", "-c", inspect.getsource(stub), *words, user="0")
        self._number = done.out.strip()
        if not self._number:
            raise EngineError((python,), f"no stub could stand in for services: {done.err.strip()[-500:]}")

    def end(self) -> None:
        """Leave the ports to whoever wants them."""
        if self._number:
            self._trial.run("sh", "-c", 'kill -s KILL "$1" 2>/dev/null', "sh", self._number, user="0")
        self._number = ""


@contextlib.contextmanager
def stubs(trial: Trial) -> Iterator[Stubs]:
    """Stubs in place of all services that the gateway asks, which run again in the end."""
    names = [service.name for service in routed(trial.app)]
    found = Stubs(trial)
    trial.supervisor("stop", *names[::-1])
    try:
        found.begin()
        yield found
    finally:
        found.end()
        # All at once: each start waits until the service has lived for a second.
        each = 'for name; do supervisorctl start "$name" & done; wait'
        trial.run("sh", "-c", each, "sh", *names, user="0", timeout=60 + trial.app.grace)
    trial.healthy()


def _probes(app: App) -> list[tuple[Route, str]]:
    """Each route to a service with a path that it answers; routes that others leave nothing are left out."""
    return [(route, path) for route in app.routes if route.service and (path := routing.probe(app, route))]


def _compare(gate: Gate) -> int:
    """Hold what nginx answers at random paths against what the model says; extra text may say otherwise."""
    if gate.trial.app.text("nginx.conf", "server"):
        return 0
    plan = [(target, gate.expected(target)) for target in routing.random_paths(gate.trial.app, PATHS, gate.tree)]
    plan = [row for row in plan if row[1].kind != "file" or row[1].value in gate.small]
    digests = _digests(gate.trial, (expected.value for _, expected in plan if expected.kind == "file"))
    for target, expected in plan:
        answer = gate.ask(expected.route, target)
        if expected.kind in ("service", "script"):
            _reached(gate, expected, target, answer)
        else:
            _holds(gate, target, expected, answer, digests)
    return len(plan)


class Seen(NamedTuple):
    """What a stub was given; names of headers in lower case."""

    target: str
    headers: Mapping[str, Sequence[str]]
    script: str


def seen(answer: Answer) -> Seen:
    """Read what a stub repeats: the head of an HTTP request, or the parameters of a FastCGI one."""
    lines = answer.body.decode("utf-8", "surrogateescape").split("\r\n")
    first, pairs = lines[0].split(" "), [line.partition(": ")[::2] for line in lines if ": " in line]
    headers: dict[str, list[str]] = {}
    if first[-1].startswith("HTTP/"):
        for name, value in pairs:
            headers.setdefault(name.lower(), []).append(value)
        return Seen(first[1], headers, "")
    given = dict(pairs)
    for name, value in pairs:
        if name.startswith("HTTP_"):
            headers[name[5:].lower().replace("_", "-")] = [value]
    return Seen(given.get("REQUEST_URI", ""), headers, given.get("SCRIPT_FILENAME", ""))


def _reached(gate: Gate, expected: Expected, target: str, answer: Answer) -> None:
    """Whether the right service was asked for the right thing."""
    route = expected.route
    if route is None or answer.headers.get("x-stub") != route.service:
        raise gate.failed(route, f"{_whose(route)} asked for {target}", _told(answer), "service")
    came = seen(answer)
    if expected.kind == "script":
        if (came.script, came.target) != (expected.value, target):
            told = f"{came.script} run for {came.target}"
            raise gate.failed(route, f"{expected.value} run for {target}", told, "script")
    elif not routing.same_target(route, expected.value, came.target):
        field = ("strip",) if route.strip else ()
        raise gate.failed(route, f"{route.service} asked for {expected.value} at {target}", came.target, *field)
    _headers(gate, expected, target, answer.headers, alone=True)


def _who(gate: Gate, route: Route, path: str) -> None:
    """The service, with the path as it was or without the prefix, and with the query as it was."""
    target = f"{path}?a=b%20c&d=%2F..%2f&e"
    _reached(gate, gate.expected(target), target, gate.ask(route, target))


def _client(gate: Gate, route: Route, path: str) -> None:
    """Who asks, by which name and in which way, is what the gateway saw, whatever the client claims."""
    app = gate.trial.app
    own = {name.lower() for name, _ in route.request_headers}
    plain = seen(gate.ask(route, path)).headers
    claims = {"X-Forwarded-For": FORGED, "X-Real-IP": FORGED, "X-Forwarded-Host": "forged.example"}
    claims |= {"X-Forwarded-Proto": "https", "Host": HOST}
    claimed = seen(gate.ask(route, path, claims)).headers
    peer = plain.get("x-real-ip", [""])[-1]
    if route.protocol == "http" and "x-real-ip" not in own and not _is_address(peer):
        raise gate.failed(route, f"X-Real-IP with the client's address for {route.service}", peer or "no such header")
    believed = _is_address(peer) and _trusted(app, peer)
    address = FORGED if believed else peer
    wanted = {
        "host": HOST,
        "x-forwarded-host": HOST,
        "x-real-ip": address,
        "x-forwarded-for": address,
        "x-forwarded-proto": "https" if believed else "http",
    }
    for name, value in wanted.items():
        if name in own:
            continue
        came = claimed.get(name, [])
        # FastCGI tells these things by other names; a forged one is one too many all the same.
        absent = route.protocol == "fastcgi" and name != "host" and not came
        # What stands in front may have had others before it.
        told = [text.rpartition(", ")[2] if name == "x-forwarded-for" and app.http.trusted else text for text in came]
        if not absent and told != [value]:
            raise gate.failed(route, f"{name}: {value} for {route.service}, whatever the client claims", _listed(came))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _trusted(app: App, address: str) -> bool:
    return any(
        ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False) for network in app.http.trusted
    )


def _listed(values: Iterable[str]) -> str:
    return " and ".join(values) or "no such header"


def _given(gate: Gate, route: Route, path: str) -> None:
    """The headers that the spec sets for the service, once and whatever the client sends; nothing of a connection."""
    claims = {name: "forged" for name, _ in route.request_headers if name.lower() != "host"}
    came = seen(gate.ask(route, path, {**claims, "TE": "trailers", "Keep-Alive": "timeout=9"})).headers
    for name, value in route.request_headers:
        if came.get(name.lower()) != [value]:
            told = _listed(came.get(name.lower(), ()))
            raise gate.failed(route, f"{name}: {value} for {route.service}", told, "request_headers", name)
    for name in FRAMING if route.protocol == "http" else ():
        if name in came:
            raise gate.failed(
                route, f"no {name} for {route.service}, as it concerns one connection only", _listed(came[name])
            )


def _limit(gate: Gate, route: Route, path: str) -> None:
    """A body of ``max_body`` bytes reaches the service whole; one byte more, and the gateway refuses it."""
    limit = route.max_body
    sized = {**gate.may(route), "Expect": "100-continue"}
    if 0 < limit <= SENT_WHOLE:
        answer = client.request(gate.address, path, "POST", gate.may(route), bytes(limit))
        if (answer.status, answer.headers.get("x-stub-body")) != (HTTPStatus.OK, str(limit)):
            raise gate.failed(route, f"{limit} bytes sent to {path} reach {route.service}", _told(answer), "max_body")
    else:
        status = _first(gate, Request(path, "POST", {**sized, "Content-Length": str(limit or BOUNDLESS)}))
        if status != HTTPStatus.CONTINUE:
            raise gate.failed(route, f"{limit or BOUNDLESS} bytes allowed at {path}", str(status), "max_body")
    if limit:
        status = _first(gate, Request(path, "POST", {**sized, "Content-Length": str(limit + 1)}))
        if status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise gate.failed(route, f"413 for {limit + 1} bytes at {path}", str(status), "max_body")


def _first(gate: Gate, asked: Request) -> int:
    with contextlib.closing(Pending(gate.address, asked)) as pending:
        return pending.first()


def _upgraded(gate: Gate, route: Route, path: str) -> None:
    """A WebSocket where there is to be one, and no upgrade anywhere else."""
    paths = (path, route.match[:-1]) if route.websocket and route.slashless else (path,)
    for target in paths:
        try:
            opened = WebSocket(gate.address, target, gate.may(route))
        except ConnectionError as error:
            if route.websocket:
                raise gate.failed(route, f"a WebSocket at {target}", str(error), "websocket") from error
            continue
        with contextlib.closing(opened):
            if not route.websocket:
                raise gate.failed(
                    route, f"no WebSocket at {target}, as the route does not declare one", "101", "service"
                )
            _echoes(gate, route, opened)


def _echoes(gate: Gate, route: Route, opened: WebSocket) -> None:
    for text in ("hello", LONG_MESSAGE):
        opened.send(text)
        try:
            came = opened.receive()
        except OSError as error:
            raise gate.failed(route, f"a WebSocket that echoes {len(text)} bytes", str(error), "websocket") from error
        if came != f"{route.service}: {text}":
            raise gate.failed(route, f"{route.service}'s echo of {len(text)} bytes", came[:100], "websocket")


def _streamed(gate: Gate, route: Route, path: str) -> None:
    """Pieces arrive when they were sent, compressed or not, and an upload's as well where the route says so."""
    headers = {**gate.may(route), "X-Stub-Do": "stream", "Accept-Encoding": "gzip"}
    field = "stream" if route.stream else "websocket"
    times = [at for at, _ in client.pieces(gate.address, Request(path, headers=headers))]
    least = stub.PAUSE * (stub.PIECES - 1) * 0.7
    if not times or times[-1] - times[0] < least:
        came = f"{len(times)} pieces within {times[-1] - times[0] if times else 0:.2f} s"
        expected = f"{stub.PIECES} pieces of an answer over {stub.PAUSE * (stub.PIECES - 1):.1f} s at {path}"
        raise gate.failed(route, expected, came, field)
    if route.stream and route.protocol == "http":
        begin = {**gate.may(route), "X-Stub-Do": "upload", "Content-Length": "10"}
        with contextlib.closing(Pending(gate.address, Request(path, "POST", begin, b"12345"))) as pending:
            try:
                pending.head()
            except TimeoutError:
                expected = f"the first bytes of an upload to {path} reach {route.service} before the last"
                raise gate.failed(route, expected, "they wait in the gateway", field) from None
            pending.send(b"67890")


def _admitted(gate: Gate, route: Route) -> None:
    """The service that decides is asked, for what and how, and its word holds."""
    auth, path = route.auth, routing.probe(gate.trial.app, route)
    if auth is None or path is None:
        return
    for status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        answer = gate.ask(None, path, {"X-Stub-Do": f"refuse={status.value}"})
        if answer.status != status:
            raise gate.failed(route, f"{status.value} for {path} where {auth.service} says so", _told(answer), "auth")
        told = answer.headers.get("www-authenticate", "")
        asked = f"Stub {auth.service}, asked GET /{auth.upstream.partition('/')[2]} HTTP/1.1, for GET {path}"
        if status == HTTPStatus.UNAUTHORIZED and told != asked:
            raise gate.failed(
                route, f"WWW-Authenticate as {auth.service} says it: {asked}", told or "none", "auth", "request"
            )
    answer = gate.ask(None, path, {"X-Stub-Do": "refuse=500"})
    if answer.status < HTTPStatus.BAD_REQUEST:
        raise gate.failed(route, f"no answer of {path} where {auth.service} fails", _told(answer), "auth")


def _unavailable(gate: Gate, route: Route, path: str) -> None:
    """A service that is away is said to be so, in a way that programs understand."""
    answer = gate.ask(route, path)
    expected = f"503, application/json and Retry-After for {path} while {route.service} is away"
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
        raise gate.failed(route, expected, _told(answer), "service")
    if kind != "application/json" or not answer.headers.get("retry-after", "").isdigit():
        came = f"Content-Type: {kind}, Retry-After: {answer.headers.get('retry-after')}"
        raise gate.failed(route, expected, came, "service")
    for name, value in gate.trial.app.http.headers:
        if answer.headers.get(name.lower()) != value.encode().decode("latin-1"):
            raise gate.failed(None, f"{name}: {value} in the 503 for {path}", answer.headers.get(name.lower(), "none"))


# --- the check of silence


class Silent(NamedTuple):
    """A request, or a WebSocket, on which nobody says anything."""

    route: Route
    path: str
    begun: float
    connection: Pending | WebSocket

    @property
    def lasts(self) -> bool:
        """Whether it may be silent for longer than is waited here."""
        return self.route.timeout > IDLE

    @property
    def name(self) -> str:
        """For messages."""
        return f"a silent {'WebSocket' if isinstance(self.connection, WebSocket) else 'request'} at {self.path}"


def silence(trial: Trial) -> str:
    """Silent requests and WebSockets on all routes at once: each ends when its time is over, or lives on."""
    gate = _gate(trial)
    with stubs(trial), contextlib.ExitStack() as stack:
        silent = [_opened(stack, one) for one in _silent(gate)]
        lived = _outlived(gate, silent)
        for one in lived:
            if isinstance(one.connection, WebSocket):
                _echoes(gate, one.route, one.connection)
    sockets = sum(isinstance(one.connection, WebSocket) for one in lived)
    cut = len(silent) - len(lived)
    return (
        f"{cut} silent connections ended when their time was over, {len(lived)} lived on, {sockets} of them WebSockets"
    )


def _silent(gate: Gate) -> Iterator[Silent]:
    for route, path in _probes(gate.trial.app):
        asked = Request(path, headers={**gate.may(route), "X-Stub-Do": "silent"})
        yield Silent(route, path, time.monotonic(), Pending(gate.address, asked))
        if route.websocket:
            yield Silent(route, path, time.monotonic(), WebSocket(gate.address, path, gate.may(route)))


def _opened(stack: contextlib.ExitStack, one: Silent) -> Silent:
    stack.enter_context(contextlib.closing(one.connection))
    return one


def _outlived(gate: Gate, silent: Sequence[Silent]) -> list[Silent]:
    """Those that are alive in the end; FailedError as soon as one ends before its time, or lives beyond it."""
    waiting = {one.connection.fileno(): one for one in silent}
    times = [one.begun + (IDLE if one.lasts else one.route.timeout + SLACK) for one in silent]
    while waiting and (now := time.monotonic()) < max(times):
        for number in select.select(list(waiting), [], [], max(min(at for at in times if at > now) - now, 0))[0]:
            one = waiting.pop(number)
            _ended(gate, one, time.monotonic() - one.begun)
        for one in waiting.values():
            if not one.lasts and time.monotonic() - one.begun > one.route.timeout + SLACK:
                expected = f"{one.name} that ends after {one.route.timeout} s"
                raise gate.failed(one.route, expected, "it lived on", "timeout")
    return list(waiting.values())


def _ended(gate: Gate, one: Silent, took: float) -> None:
    """Whether it was time, and the end that the client is told of."""
    if one.lasts or took < one.route.timeout - 0.5:
        expected = f"{one.name} that lives for {min(one.route.timeout, IDLE)} s"
        raise gate.failed(one.route, expected, f"it ended after {took:.1f} s")
    if isinstance(one.connection, Pending):
        answer = one.connection.answer()
        if answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
            expected = f"503 at {one.path} after {one.route.timeout} s of silence"
            raise gate.failed(one.route, expected, _told(answer), "timeout")


# --- what all of them need


def _gate(trial: Trial) -> Gate:
    roots = sorted({route.root for route in trial.app.routes if route.root})
    lines = trial.told("sh", "-c", _FILES, "sh", *roots, user="0", privileged=True).splitlines() if roots else []
    listed = {kind: frozenset(_bytewise(line[2:]) for line in lines if line[0] == kind) for kind in "dfs"}
    tree = routing.Tree(listed["f"], listed["d"])
    accounts = {route.match: _account(trial, route) for route in trial.app.routes if route.auth and route.auth.secret}
    return Gate(trial, trial.gateway, tree, listed["s"], accounts)


def _bytewise(name: str) -> str:
    """A file's name with a character for each byte, as nginx compares it."""
    return name.encode().decode("latin-1")


def _digests(trial: Trial, files: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of files of the image, computed there."""
    wanted = sorted({file.encode("latin-1").decode() for file in files})
    if not wanted:
        return {}
    lines = trial.told("sha256sum", "--", *wanted, user="0", privileged=True, timeout=60).splitlines()
    # A name with a backslash or a line end is marked by a backslash.
    return {_bytewise(name): line.lstrip("\\")[:64] for name, line in zip(wanted, lines, strict=True)}


def _account(trial: Trial, route: Route) -> Mapping[str, str]:
    """The header of the account that the route declares."""
    gateway, auth = trial.app.gateway, route.auth
    if gateway is None or auth is None:
        return {}
    password = trial.told("cat", f"{gateway.run}/secrets/{auth.secret}", user="0", privileged=True).strip()
    return _basic(auth.user, password)


def _basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def _counted(app: App) -> str:
    """How many routes there are, of which kinds."""
    kinds = [
        "denied" if route.deny else "redirected" if route.redirect else "to services" if route.service else "static"
        for route in app.routes
    ]
    each = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    return f"{len(kinds)} routes ({each})"
