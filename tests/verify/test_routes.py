"""The checks of routes, on a container with every kind of route: they pass, and fail where its gateway is broken.

One container serves all of them. Its nginx.conf lies on the host, where each test spoils it and nginx reads it again.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import re
from typing import TYPE_CHECKING

import pytest

from compiler import pipeline, write
from compiler.verify import client, stub
from compiler.verify.checks import CHECKS, routes
from compiler.verify.result import FailedError
from compiler.verify.trial import FLAVOURS, Trial
from tests import lab
from tests.verify.twins import Twin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from compiler.verify.engine import Engine

SPEC = """
version: 1
name: gate
image: {base: 'debian:bookworm-slim'}
artifacts:
  program: {prebuilt: program.py, install: /usr/local/bin/program, mode: '0755'}
  site: {prebuilt: site, install: /srv/site, precompress: true}
services:
  api: {command: [/usr/local/bin/program, api=8080=http], user: app, port: 8080, ready: {tcp: 8080}}
  board: {command: [/usr/local/bin/program, board=8081=http], user: app, port: 8081, ready: {tcp: 8081}}
  guard: {command: [/usr/local/bin/program, guard=8082=http], user: app, port: 8082, ready: {tcp: 8082}}
  php:
    command: [/usr/local/bin/program, php=9000=fastcgi]
    user: app
    port: 9000
    protocol: fastcgi
    ready: {tcp: 9000}
  web: {preset: nginx, after: [api, board, guard, php]}
routes:
  /: {static: site, spa: true, max_age: 10m}
  /plain/: {static: site, headers: {X-Frame-Options: '', X-Plain: "it's $x"}}
  /api/: {service: api}
  /api/upload: {service: api, stream: true, max_body: 64KB}
  /tiny/: {service: api, max_body: 10KB, strip: true}
  /boundless/: {service: api, max_body: 0B}
  /exact: {service: board, request_headers: {X-Price: '$5; "or"', Host: inner.example}}
  /rooms/: {service: board, websocket: true, strip: true}
  /short: {service: board, websocket: true, timeout: 3s}
  /admin/: {service: api, strip: true, auth: {basic: {user: admin, secret: password}}}
  /files/: {static: site, auth: {basic: {user: reader, secret: password}}}
  /private/: {service: board, auth: {request: {service: guard, path: /verify}}}
  /forum/: {static: site, service: php, script: index.php, max_body: 2MB}
  /old/: {redirect: /new/}
  /away: {redirect: 'https://example.org/?a=b&c=$d#x', status: 302}
  /secret/: {deny: true}
  /gone: {deny: true, status: 410}
ports: {http: {publish: 9098, service: web}}
secrets: {password: {}}
"""

SITE = {
    "index.html": "<h1>index</h1>\n",
    "a.txt": "a\n",
    "sub/index.html": "sub\n",
    "assets/app-123.js": "x = 1;\n" * 900,
    ".hidden": "hidden\n",
    "index.php": "<?php\n",
}

PROGRAM = """

import sys
for thread in start(sys.argv[1:]):
    thread.start()
signal.pause()
"""
"""The stub as a service: it answers everything, so that the checks of the real services have something to ask."""

ROUTE_TWINS = (
    Twin("routes", "nginx.conf", r"alias /srv/site/;", "alias /usr/share/doc/;", "^403"),
    Twin("routes", "nginx.conf", r"try_files \$uri \$uri/index", "try_files /a.txt $uri/index", "^2 other bytes: 'a"),
    Twin("routes", "nginx.conf", r"gzip_static on", "gzip_static off", "compressed anew"),
    Twin("routes", "nginx.conf", r"rewrite \^ /index\.html break;", "return 404;", "^404"),
    Twin("routes", "nginx.conf", r'if \(\$uri ~ "[^"]*"\)', "if ($uri = x)", "^200"),
    Twin("routes", "nginx.conf", r", immutable", "", "Cache-Control: public, max-age=31536000$"),
    Twin("routes", "nginx.conf", r"max-age=600", "max-age=601", "max-age=601"),
    Twin(
        "routes", "nginx.conf", r"return 302 .*;",
        "return 302 https://example.org/;",
        "^Location: https://example.org/$",
    ),
    Twin("routes", "nginx.conf", r"return 410", "return 403", "^403"),
    Twin(
        "routes", "nginx.conf", r"location = /api \{\n +return 308 /api/\$is_args\$args;",
        "location = /api {\n            return 308 /api/;",
        "^Location: /api/$",
    ),
    Twin("routes", "nginx.conf", r"location ~ /\\\.\(\?!well-known/\)", "location ~ /nothing", "^200"),
    Twin("routes", "nginx.conf", r"add_header X-Content-Type-Options .*", "", "no such header"),
    Twin("routes", "nginx.conf", r'add_header X-Plain ".*"', 'add_header X-Plain "it"', "^it$"),
    Twin("routes", "nginx.conf", r"auth_basic .*", "", "^200"),
    Twin("routes", "nginx.conf", r"server 127\.0\.0\.1:8081", "server 127.0.0.1:9", "own 503"),
    Twin("forwarding", "nginx.conf", r"proxy_pass http://api", "proxy_pass http://board", "200 from board"),
    Twin("forwarding", "nginx.conf", r"location \^~ /api/", "location ^~ /apis/", "200: "),
    Twin("forwarding", "nginx.conf", r"location \^~ /api/", "location /api", "200 from api"),
    Twin("forwarding", "nginx.conf", r"rewrite .*/tiny.*;", "", "^/tiny/"),
    Twin("forwarding", "nginx.conf", r"SCRIPT_FILENAME .*;", "SCRIPT_FILENAME /srv/site/other.php;", "other.php run"),
    Twin("forwarding", "nginx.conf", r"proxy_set_header X-Real-IP .*", "", "203.0.113.9|no such header"),
    Twin(
        "forwarding", "nginx.conf", r"X-Forwarded-For \$remote_addr",
        "X-Forwarded-For $proxy_add_x_forwarded_for",
        r"203\.0\.113\.9, ",
    ),
    Twin("forwarding", "nginx.conf", r"Host \$upstream_host", "Host $host", "^verify.example$"),
    Twin("forwarding", "nginx.conf", r"proxy_set_header X-Price .*", "", "forged"),
    Twin("forwarding", "nginx.conf", r'proxy_set_header Connection ""', "proxy_set_header Connection close", "close"),
    Twin("forwarding", "nginx.conf", r"client_max_body_size 10000;", "client_max_body_size 9999;", "^413"),
    Twin("forwarding", "nginx.conf", r"client_max_body_size 10000;", "client_max_body_size 10001;", "^100$"),
    Twin("forwarding", "nginx.conf", r"client_max_body_size 0;", "", "^413$"),
    Twin("forwarding", "nginx.conf", r"proxy_set_header Upgrade .*", "", "status 200 instead of 101"),
    Twin(
        "forwarding", "nginx.conf", r'proxy_set_header Connection "";',
        "proxy_set_header Upgrade $http_upgrade;\n        proxy_set_header Connection $connection_upgrade;",
        "^101$",
    ),
    Twin("forwarding", "nginx.conf", r"proxy_buffering off", "proxy_buffering on", "pieces within 0"),
    Twin(
        "forwarding", "nginx.conf", r"proxy_request_buffering off",
        "proxy_request_buffering on",
        "wait in the gateway",
    ),
    Twin("forwarding", "nginx.conf", r"auth_request .*", "", "200 from board"),
    Twin("forwarding", "nginx.conf", r"8082/verify", "8082/other", "asked GET /other"),
    Twin("forwarding", "nginx.conf", r"add_header Retry-After .*", "", "Retry-After: None"),
    Twin("forwarding", "nginx.conf", r"error_page .*=503 @unavailable;", "", "^502"),
    Twin("silence", "nginx.conf", r"proxy_read_timeout 3600s;", "proxy_read_timeout 1s;", "it ended after 1"),
    Twin("silence", "nginx.conf", r"proxy_read_timeout 3s;", "", "it lived on"),
)  # fmt: skip
"""What is done to the gateway, and what the checks have to say of it."""


class Gateway:
    """The container, and its configuration on the host."""

    def __init__(self, trial: Trial, path: Path) -> None:
        self.trial = trial
        self.path = path
        self.sound = path.read_text()
        self.stubs = routes.Stubs(trial)
        self._number = 0

    def configure(self, text: str) -> None:
        """Have nginx read another configuration; it is in force when nginx says so."""
        self._number += 1
        mark = f"/.configuration-{self._number}"
        # In place: the container has mounted this very file.
        self.path.write_text(
            text.replace("server_name _;", f"server_name _;\n        location = {mark} {{ return 204; }}")
        )
        self.trial.told("nginx", "-t", "-q", user="0")
        self.trial.told("sh", "-c", f"kill -s HUP $(cat {self.trial.app.run}/web/nginx.pid)", user="0")
        asked = [False] * 3

        def new() -> bool:
            asked.append(client.request(self.trial.gateway, mark).status == 204)
            return all(asked[-3:])

        assert self.trial.until(new, 10), "nginx did not take the configuration"


@pytest.fixture(scope="module")
def gateway(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    lab.ensure_images(["debian:bookworm-slim"])
    directory: Path = tmp_path_factory.mktemp("gate")
    (directory / "appos.yaml").write_text(SPEC)
    source = inspect.getsource(stub).replace("    main()\n", "    pass\n")
    (directory / "program.py").write_text(f"#!/usr/bin/python3 -S\n{source}{PROGRAM}")
    for name, content in SITE.items():
        path = directory / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    result = pipeline.compile_spec(str(directory / "appos.yaml"))
    write.write(str(directory / result.app.output), result.files)
    conf = directory / "build" / "nginx.conf"
    live = directory / "live.conf"
    live.write_text(conf.read_text())
    trial = Trial(result.app, str(directory), engine, FLAVOURS[0])
    # Read by the trial as its own override, and kept through all of it: nothing is mounted in place of volumes.
    with open(trial._path, encoding="utf-8") as file:  # noqa: SLF001 - a trial mounts nothing but volumes
        project = json.load(file)
    project["services"]["gate"]["volumes"] = [f"{live}:/etc/nginx/nginx.conf:ro"]
    with open(trial._path, "w", encoding="utf-8") as file:  # noqa: SLF001 - likewise
        json.dump(project, file)
    try:
        trial.build()
        trial.boot()
        yield Gateway(trial, live)
    finally:
        trial.close()


@pytest.fixture(scope="module")
def stubbed(gateway: Gateway) -> Iterator[Gateway]:
    """With the services away for the time of many checks, as starting them takes longest."""
    names = [service.name for service in routes.routed(gateway.trial.app)]
    gateway.trial.supervisor("stop", *names)
    yield gateway
    gateway.stubs.end()
    gateway.trial.supervisor("start", *names)


def failure(gateway: Gateway, twin: Twin) -> FailedError:
    spoilt, count = re.subn(twin.old, twin.new.replace("\\", "\\\\"), gateway.sound)
    assert count, f"nginx.conf has no {twin.old!r}"
    gateway.configure(spoilt)
    with pytest.raises(FailedError) as caught:
        {check.name: check.run for check in CHECKS}[twin.check](gateway.trial)
    return caught.value


def of(*names: str) -> list[Twin]:
    return [twin for twin in ROUTE_TWINS if twin.check in names]


def test_the_sound_gateway_answers_every_route(gateway: Gateway) -> None:
    gateway.configure(gateway.sound)
    assert routes.answers(gateway.trial).startswith("17 routes (")


@pytest.mark.parametrize("twin", of("routes"), ids=lambda twin: twin.name)
def test_a_gateway_that_answers_wrongly_is_noticed(gateway: Gateway, twin: Twin) -> None:
    found = failure(gateway, twin)
    assert re.search(twin.message, found.came), found.came
    assert found.path


def test_the_sound_gateway_forwards_and_waits(gateway: Gateway) -> None:
    gateway.configure(gateway.sound)
    assert re.search(r"2 with WebSockets, 3 passed on .*; 200 random paths as", routes.forwarding(gateway.trial))
    assert "1 of them WebSockets" in routes.silence(gateway.trial)
    assert gateway.trial.fine()


@pytest.mark.parametrize("twin", of("forwarding", "silence"), ids=lambda twin: twin.name)
def test_a_gateway_that_forwards_wrongly_is_noticed(
    stubbed: Gateway, twin: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubbed.stubs.end()
    stubbed.stubs.begin()
    monkeypatch.setattr(routes, "stubs", lambda _: contextlib.nullcontext(stubbed.stubs))
    found = failure(stubbed, twin)
    assert re.search(twin.message, found.came), found.came
    assert found.path
