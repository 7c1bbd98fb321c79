"""What the model says of requests, and that nginx says the same: of given paths, and of random ones on random specs."""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import assume, given

from compiler import pipeline
from compiler.verify import client, routing, stub
from compiler.verify.checks import routes
from compiler.verify.routing import Expected, Tree, answered_by
from tests.readers import nginx
from tests.strategies import Case, cases
from tests.test_properties import examples, given_secret, valid, written

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from compiler.model import App
    from compiler.verify.trial import Trial

SPEC = """
version: 1
name: model
image: {base: debian:bookworm-slim}
services:
  api: {command: [/bin/api], port: 8080}
  php: {preset: php-fpm, port: 9000}
  web: {preset: nginx}
routes:
  /: {static: /srv/site, spa: true, max_age: 10m}
  /docs/: {static: /srv/docs}
  /api/: {service: api}
  /api/deep/: {service: api, strip: true}
  /live/: {service: api, strip: true, websocket: true}
  /exact: {service: api}
  /forum/: {static: /srv/forum, service: php, script: index.php}
  /old/: {redirect: /new/, status: 301}
  /gone: {deny: true, status: 410}
ports: {http: {publish: 8000, service: web}}
"""

FILES = (
    *(
        "/srv/site/index.html",
        "/srv/site/a.txt",
        "/srv/site/assets/x.js",
        "/srv/site/.hidden",
        "/srv/site/sub/index.html",
    ),
    *("/srv/docs/index.html", "/srv/docs/sub/index.html", "/srv/docs/bare/b.txt", "/srv/docs/a b.txt"),
    *("/srv/docs/.well-known/x", "/srv/forum/style.css", "/srv/forum/other.php"),
)


def tree_of(files: tuple[str, ...] | Mapping[str, str]) -> Tree:
    parents = {os.path.dirname(file) for file in files}
    above = {"/".join(parent.split("/")[:depth]) for parent in parents for depth in range(2, parent.count("/") + 2)}
    return Tree(frozenset(files), frozenset(above))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    path: Path = tmp_path_factory.mktemp("model") / "appos.yaml"
    path.write_text(SPEC)
    return pipeline.compile_spec(str(path)).app


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/a/b?c=/../d", "/a/b"),
        ("/a//b/./c/../d", "/a/b/d"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/%61%2Fb%20c", "/a/b c"),
        ("/a/%2e%2e/b", "/b"),
        ("/%252e", "/%2e"),
        ("/a%3Fb", "/a?b"),
        ("/\u00e9", "/\u00c3\u00a9"),
        ("/..", None),
        ("/a/../../b", None),
        ("/%zz", None),
        ("/%", None),
        ("/a%00b", None),
        ("*", None),
    ],
)
def test_a_path_is_decoded_and_simplified_as_nginx_does_it(target: str, path: str | None) -> None:
    assert routing.normal(target) == path


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("/", ("file", 200, "/srv/site/index.html", "max-age=600")),
        ("/a.txt", ("file", 200, "/srv/site/a.txt", "max-age=600")),
        ("/deep/path", ("file", 200, "/srv/site/index.html", "no-cache")),
        ("/deep/missing.css", ("status", 404, "", "")),
        ("/sub", ("file", 200, "/srv/site/sub/index.html", "max-age=600")),
        ("/assets/x.js", ("file", 200, "/srv/site/assets/x.js", "public, max-age=31536000, immutable")),
        ("/assets/y", ("status", 404, "", "")),
        ("/.hidden", ("status", 404, "", "")),
        ("/docs", ("redirect", 308, "/docs/", "")),
        ("/docs?a=b", ("redirect", 308, "/docs/?a=b", "")),
        ("/docs?", ("redirect", 308, "/docs/", "")),
        ("/docs/", ("file", 200, "/srv/docs/index.html", "no-cache")),
        ("/docs/sub", ("redirect", 301, "/docs/sub/", "")),
        ("/docs/sub/", ("file", 200, "/srv/docs/sub/index.html", "no-cache")),
        ("/docs/bare/", ("status", 403, "", "")),
        ("/docs/missing", ("status", 404, "", "")),
        ("/docs/a%20b.txt", ("file", 200, "/srv/docs/a b.txt", "no-cache")),
        ("/docs/.well-known/x", ("file", 200, "/srv/docs/.well-known/x", "no-cache")),
        ("/docsx", ("file", 200, "/srv/site/index.html", "no-cache")),
        ("/api/x//y?q", ("service", 200, "/api/x//y?q", "")),
        ("/apix", ("file", 200, "/srv/site/index.html", "no-cache")),
        ("/API/", ("file", 200, "/srv/site/index.html", "no-cache")),
        ("/api/deep/a%20b?q", ("service", 200, "/a%20b?q", "")),
        ("/api/deep/../x", ("service", 200, "/api/deep/../x", "")),
        ("/live", ("service", 200, "/", "")),
        ("/exact", ("service", 200, "/exact", "")),
        ("/exact/", ("file", 200, "/srv/site/index.html", "no-cache")),
        ("/forum/style.css", ("file", 200, "/srv/forum/style.css", "no-cache")),
        ("/forum/other.php", ("script", 200, "/srv/forum/index.php", "")),
        ("/forum/topic/1", ("script", 200, "/srv/forum/index.php", "")),
        ("/forum/.env", ("status", 404, "", "")),
        ("/old/x", ("redirect", 301, "/new/", "")),
        ("/gone", ("status", 410, "", "")),
        ("/../x", ("status", 400, "", "")),
    ],
)
def test_who_answers_what(app: App, target: str, wanted: tuple[str, int, str, str]) -> None:
    found = answered_by(app, target, tree_of(FILES))
    assert (found.kind, found.status, found.value, found.cache) == wanted


def test_a_gateway_without_a_route_for_everything_answers_nothing_else(app: App) -> None:
    few = app._replace(routes=tuple(route for route in app.routes if route.match != "/"))
    assert answered_by(few, "/x") == Expected("status", 404)


def test_random_paths_are_many_each_once_and_the_same_every_time(app: App) -> None:
    paths = routing.random_paths(app, 500, tree_of(FILES))
    assert len(set(paths)) == len(paths) == 500
    assert paths == routing.random_paths(app, 500, tree_of(FILES))
    assert {route.match for route in app.routes} <= set(paths)


def test_a_route_that_others_leave_nothing_cannot_be_probed(app: App) -> None:
    route = next(route for route in app.routes if route.match == "/api/")
    others = tuple(route._replace(match=f"/api/{name}") for name in ("", "stub/", "zz/"))
    exact = tuple(route._replace(match=f"/api/{name}", prefix=False) for name in ("stub-probe",))
    assert routing.probe(app, route) == "/api/stub/probe"
    assert routing.probe(app._replace(routes=others[:1]), route) == "/api/stub/probe"
    assert routing.probe(app._replace(routes=(*others, *exact, route._replace(service="php"))), route) in (
        "/api/",
        None,
    )


@functools.cache
def stand_in(name: str, protocol: str) -> int:
    """The port of a stub in this process, which lives as long as that."""
    listener = stub.bound(0)
    answer = stub.answer_fastcgi if protocol == "fastcgi" else stub.answer_http
    threading.Thread(target=stub.listen, args=(answer, name, listener), daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


def content_of(app: App) -> dict[str, str]:
    """Files for every directory that is sent, each of another content."""
    names = ("index.html", "a.txt", "sub/index.html", "bare/b.txt", ".hidden", ".well-known/x", "a b.txt", "x.php")
    found = {}
    for route in app.routes:
        if route.root:
            for name in (*names, f"{route.assets}app.js") if route.prefix else (route.match[1:],):
                found[f"{route.root}/{name}"] = f"{route.root}/{name}"
    return found


@examples(40)
@given(case=cases())
def test_nginx_answers_random_paths_as_the_model_says(case: Case) -> None:
    assume("routes" in case.spec)
    made = valid(case)
    app = made.result.app
    assert app.gateway is not None
    content = content_of(app)
    files, accounts = dict(content), {}
    for route in app.routes:
        if route.auth and route.auth.secret:
            value = given_secret(made, route.auth.secret)
            user = route.auth.user
            files[f"{app.gateway.run}/accounts-{user}-{route.auth.secret}"] = f"{user}:{{PLAIN}}{value}\n"
            encoded = base64.b64encode(f"{user}:{value}".encode()).decode()
            accounts[route.match] = {"Authorization": f"Basic {encoded}"}
    ports = {
        service.port: stand_in(service.name, service.protocol)
        for service in app.services
        if service.port and not service.gateway
    }
    with (
        written({"nginx.conf": made.files["nginx.conf"]}) as directory,
        nginx.serve(os.path.join(directory, "nginx.conf"), files=files, ports=ports) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in content.items()}
        patch.setattr(routes, "_digests", lambda *_: digests)
        patch.setattr(routes, "PATHS", 100)
        tree = tree_of(content)
        trial = cast("Trial", SimpleNamespace(app=app))
        address = ("127.0.0.1", server.ports[app.gateway.port or 0])
        routes._compare(routes.Gate(trial, address, tree, tree.files, accounts))  # noqa: SLF001 - this is what is tested


# --- the stub, as the gateway meets it


def test_the_stub_repeats_what_it_is_asked() -> None:
    answer = client.request(("127.0.0.1", stand_in("one", "http")), "/a%20b?c", "POST", {"X-A": "b"}, b"12345")
    assert (answer.headers["x-stub"], answer.headers["x-stub-body"]) == ("one", "5")
    seen = routes.seen(answer)
    assert (seen.target, seen.headers["x-a"]) == ("/a%20b?c", ["b"])


def test_the_stub_speaks_websocket() -> None:
    opened = client.WebSocket(("127.0.0.1", stand_in("one", "http")), "/")
    for text in ("", "hello", "x" * 126, "y" * 60_000):
        opened.send(text)
        assert opened.receive() == f"one: {text}"
    opened.close()


def test_the_stub_answers_in_pieces() -> None:
    asked = client.Request("/", headers={"X-Stub-Do": "stream"})
    found = list(client.pieces(("127.0.0.1", stand_in("one", "http")), asked))
    assert b"".join(piece for _, piece in found).count(b"piece") == stub.PIECES
    assert found[-1][0] - found[0][0] > stub.PAUSE * (stub.PIECES - 1) * 0.9


def test_the_stub_reads_a_chunked_body() -> None:
    headers = {"Transfer-Encoding": "chunked"}
    address = ("127.0.0.1", stand_in("one", "http"))
    pending = client.Pending(address, client.Request("/", "POST", headers, b""))
    pending.send(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")
    assert pending.answer().headers["x-stub-body"] == "5"
    pending.close()


def test_parameters_of_fastcgi_may_be_long() -> None:
    long = b"v" * 300
    text = bytes([1, 1]) + b"ab" + bytes([2]) + (300 | 0x80000000).to_bytes(4, "big") + b"cd" + long
    assert stub.parameters(text) == {b"a": b"b", b"cd": long}


def test_the_stub_needs_nothing_that_the_supervisor_does_not_bring() -> None:
    import ast
    import inspect

    brought = {"base64", "contextlib", "hashlib", "os", "signal", "socket", "struct", "sys", "threading", "time"}
    imported: set[Any] = set()
    for node in ast.walk(ast.parse(inspect.getsource(stub))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    assert imported <= {*brought, "__future__", "collections.abc"}
