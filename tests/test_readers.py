"""A reader that cannot fail proves nothing: each accepts a good sample, says what it read, and rejects a broken one."""

from __future__ import annotations

import json
import os
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.readers import compose, dockerfile, nginx, scanner, schemas, shell, sqlite, supervisord, tools

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[[str, str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, text: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


# --- Dockerfile

DOCKERFILE = """\
ARG VERSION=3.19
FROM golang:1.22-alpine AS build
WORKDIR /src
RUN --mount=type=cache,target=/root/.cache go build -o /main .

FROM alpine:${VERSION}
ENV GREETING="it's 5 \\$ #1"
COPY --from=build --chmod=0755 /main /usr/local/bin/main
USER 65534
HEALTHCHECK --interval=1s CMD ["wget", "-q", "http://127.0.0.1/"]
ENTRYPOINT ["/usr/local/bin/main"]
"""


def test_buildkit_reads_stages_values_and_commands(write: Write) -> None:
    read = dockerfile.read(write("Dockerfile", DOCKERFILE))

    assert [(stage["name"], stage["base"]) for stage in read["stages"]] == [
        ("build", "golang:1.22-alpine"),
        ("", "alpine:${VERSION}"),
    ]
    assert any(source.endswith("/library/alpine:3.19") for source in read["sources"])
    assert "GREETING=it's 5 $ #1" in read["config"]["Env"]
    assert read["config"]["Healthcheck"]["Test"] == ["CMD", "wget", "-q", "http://127.0.0.1/"]
    assert [(run["args"], run["caches"]) for run in read["commands"]] == [
        (["/bin/sh", "-c", "go build -o /main ."], ["/root/.cache"])
    ]
    assert read["checks"] == []
    assert read["syntax"] == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM alpine:3.19\nFETCH x\n", "unknown instruction"),
        ("FROM alpine:3.19\nCOPY --form=build a b\n", "unknown flag"),
        ("FROM alpine:3.19\nCOPY --from=a/../b c d\n", "invalid"),
        ("FROM alpine:3.19\nENV A=${\n", "missing '}'"),
    ],
)
def test_buildkit_rejects(write: Write, text: str, message: str) -> None:
    with pytest.raises(tools.RejectedError, match=message):
        dockerfile.read(write("Dockerfile", text))


def test_buildkit_checks_find_a_secret_in_the_environment(write: Write) -> None:
    read = dockerfile.read(write("Dockerfile", "FROM alpine:3.19\nENV API_PASSWORD=x\n"))
    assert [(check["rule"], check["line"]) for check in read["checks"]] == [("SecretsUsedInArgOrEnv", 2)]


def test_docker_20_10_reads_the_floor(write: Write) -> None:
    dockerfile.check_floor(write("Dockerfile", DOCKERFILE))


@pytest.mark.parametrize(
    "newer",
    [
        "FROM alpine:3.19\nRUN <<EOF\necho hello\nEOF\n",
        "FROM alpine:3.19\nCOPY --link a b\n",
        "FROM alpine:3.19\nHEALTHCHECK --start-interval=1s CMD true\n",
        "FROM alpine:3.19\nARG A=b\nENV B=${A#b}\n",
        "# syntax=docker/dockerfile:1\nFROM alpine:3.19\n",
    ],
)
def test_docker_20_10_rejects_what_is_newer(write: Write, newer: str) -> None:
    with pytest.raises(tools.RejectedError):
        dockerfile.check_floor(write("Dockerfile", newer))


def test_hadolint_finds_and_excuses(write: Write) -> None:
    assert dockerfile.hadolint(write("Dockerfile", DOCKERFILE)) == []

    bad = "FROM alpine:3.19\nRUN apk add curl\n"
    assert [(found.rule, found.line) for found in dockerfile.hadolint(write("Dockerfile", bad))] == [
        ("DL3018", 2),
        ("DL3019", 2),
    ]
    excused = write("Dockerfile", bad.replace("RUN", "# hadolint ignore=DL3018,DL3019\nRUN"))
    assert dockerfile.hadolint(excused) == []
    assert len(dockerfile.hadolint(excused, pragmas=False)) == 2


def test_hadolint_rejects_what_it_cannot_parse(write: Write) -> None:
    with pytest.raises(tools.RejectedError):
        dockerfile.hadolint(write("Dockerfile", "FROM alpine:3.19\nCOPY --chmod= =\nFETCH\n"))


def test_checkov_finds_the_missing_user_and_nothing_in_a_good_file(write: Write, tmp_path: Path) -> None:
    write("good/Dockerfile", DOCKERFILE)
    write("bad/Dockerfile.local", "FROM alpine:3.19\nHEALTHCHECK CMD true\n")
    assert [(found.rule, found.file) for found in dockerfile.checkov(str(tmp_path))] == [
        ("CKV_DOCKER_3", "bad/Dockerfile.local")
    ]


def test_an_ignore_file_keeps_and_drops_as_buildkit_walks(write: Write, tmp_path: Path) -> None:
    for name in ("a.log", "app/main.go", "app/b.log", "app/keep.log", ".git/config", "node_modules/x/y.js"):
        write(f"tree/{name}", "")
    ignore = write("Dockerfile.dockerignore", "**/*.log\n!app/keep.log\n.git\n**/node_modules\n")
    assert dockerfile.context(str(tmp_path / "tree"), ignore) == ["app/keep.log", "app/main.go"]


def test_a_malformed_ignore_pattern_is_rejected(write: Write, tmp_path: Path) -> None:
    write("tree/a", "")
    with pytest.raises(tools.RejectedError, match="syntax error in pattern"):
        dockerfile.context(str(tmp_path / "tree"), write("Dockerfile.dockerignore", "[a\n"))


# --- Compose

COMPOSE = """\
services:
  it:
    image: ${IMAGE}:1
    ports: ["127.0.0.1:${PORT:-9091}:80"]
    environment:
      LITERAL: "5 $$ and #"
"""


def test_compose_fills_in_the_env_file(write: Write) -> None:
    path = write("docker-compose.yml", COMPOSE)
    write(".env", "IMAGE=appos\n")
    service = compose.read(path, environ={"PORT": "80"})["services"]["it"]
    assert service["image"] == "appos:1"
    assert service["ports"][0]["published"] == "80"
    assert service["environment"] == {"LITERAL": "5 $ and #"}
    assert schemas.compose_problems(path) == []


@pytest.mark.parametrize(
    "text",
    [
        "services:\n  it:\n    image: [a]\n",
        "services:\n  it:\n    image: a\n    memlimit: 1\n",
        "services:\n  it:\n    image: ${A\n",
        "services: [\n",
    ],
)
def test_compose_rejects(write: Write, text: str) -> None:
    with pytest.raises(tools.RejectedError):
        compose.read(write("docker-compose.yml", text))


def test_the_schema_of_compose_finds_an_unknown_key(write: Write) -> None:
    problems = schemas.compose_problems(write("c.yml", "services:\n  it:\n    image: a\n    memlimit: 1\n"))
    assert len(problems) == 1
    assert "memlimit" in problems[0]


def test_a_dotenv_file_is_read_as_compose_does() -> None:
    text = 'PLAIN=a b # comment\nSINGLE=\'$HOME # "x"\'\nDOUBLE="a\\n${PLAIN}"\nEMPTY=\n'
    assert compose.dotenv(text, ["PLAIN", "SINGLE", "DOUBLE", "EMPTY", "ABSENT"]) == {
        "PLAIN": "a b",
        "SINGLE": '$HOME # "x"',
        "DOUBLE": "a\na b",
        "EMPTY": "",
        "ABSENT": None,
    }


def test_a_broken_dotenv_file_is_rejected() -> None:
    with pytest.raises(tools.RejectedError):
        compose.dotenv('A="x\n', ["A"])


# --- supervisord

SUPERVISORD = """\
[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
stopwaitsecs=3

[unix_http_server]
file=/run/it/supervisor.sock

[program:web]
command=/usr/bin/web "a b" %(ENV_PORT)s 100%%
user=web
environment=A="x;y",B="it's"
priority=20
stopsignal=INT
stdout_logfile=/dev/stdout
stdout_logfile_maxbytes=0

[eventlistener:exit]
command=/usr/bin/exit-listener
events=PROCESS_STATE_FATAL
"""


@pytest.mark.parametrize("version", supervisord.VERSIONS)
def test_supervisord_reads_programs(write: Write, version: str) -> None:
    read = supervisord.read(write("supervisord.conf", SUPERVISORD), version=version, environ={"PORT": "8080"})
    assert sorted(read["programs"]) == ["exit", "web"]
    web = read["programs"]["web"]
    assert web["argv"] == ["/usr/bin/web", "a b", "8080", "100%"]
    assert web["environment"] == {"A": "x;y", "B": "it's"}
    assert (web["user"], web["priority"], web["stopsignal"], web["stopwaitsecs"]) == ("web", 20, "SIGINT", 10)
    assert read["programs"]["exit"]["events"] == ["ProcessStateFatalEvent"]
    assert read["server"]["nodaemon"] is True
    assert read["server"]["sockets"][0]["file"] == "/run/it/supervisor.sock"
    assert read["ignored"] == ["supervisord.stopwaitsecs"]


@pytest.mark.parametrize("version", supervisord.VERSIONS)
@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("priority=20", "priority=first", "invalid literal"),
        ("stopsignal=INT", "stopsignal=NOW", "not a valid signal"),
        ("%(ENV_PORT)s", "%(ENV_ABSENT)s", "ENV_ABSENT"),
        ("100%%", "100%", "incomplete|format|expand"),
        ('A="x;y",B="it\'s"', "A", "Unexpected end of key/value pairs"),
        ("user=web", "user=stranger", "Invalid user name"),
        ("logfile=/dev/null", "logfile=/run/absent/log", "does not exist"),
        ("[supervisord]\n", "", "no section headers"),
    ],
)
def test_supervisord_rejects(write: Write, version: str, before: str, after: str, message: str) -> None:
    path = write("supervisord.conf", SUPERVISORD.replace(before, after))
    with pytest.raises(tools.RejectedError, match=message):
        supervisord.read(
            path, version=version, environ={"PORT": "8080"}, users=["root", "web"], directories=["/run/it"]
        )


# --- nginx

NGINX = """\
user nginx;
worker_processes 1;
pid /run/nginx/nginx.pid;
worker_rlimit_nofile 1024;
error_log /dev/stderr;

events {
    worker_connections 512;
}

http {
    include /etc/nginx/mime.types;
    server_tokens off;
    access_log /dev/stdout;
    client_body_temp_path /tmp/nginx/body;

    server {
        listen 80;
        root /usr/share/nginx/html;

        location /api/ {
            proxy_pass http://127.0.0.1:8080;
        }
    }
}
"""


def test_nginx_accepts(write: Write) -> None:
    assert nginx.check(write("nginx.conf", NGINX)) == []


def test_nginx_warns(write: Write) -> None:
    doubled = NGINX.replace(
        "location /api/ {", "include /etc/nginx/mime.types; gzip on; gzip_types text/html; location /api/ {"
    )
    assert "duplicate MIME type" in "".join(nginx.check(write("nginx.conf", doubled)))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("server_tokens off;", "server_tokens off", 'in "server_tokens" directive'),
        ("server_tokens", "server_token", "unknown directive"),
        ("listen 80;", "listen 99999;", "invalid port"),
        ("/etc/nginx/mime.types", "/etc/nginx/absent.types", "No such file"),
        ("proxy_pass http://127.0.0.1:8080;", "proxy_pass http://a b;", "invalid number of arguments"),
        ("listen 80;", "listen 80; location /api/ { return 404; }", "duplicate location"),
    ],
)
def test_nginx_rejects(write: Write, before: str, after: str, message: str) -> None:
    with pytest.raises(tools.RejectedError, match=message):
        nginx.check(write("nginx.conf", NGINX.replace(before, after)))


def test_gixy_finds_a_traversal_and_nothing_in_a_good_file(write: Write) -> None:
    assert nginx.gixy(write("nginx.conf", NGINX)) == []
    bad = NGINX.replace("location /api/ {", "location /files { alias /srv/files/; }\n        location /api/ {")
    assert [found.rule for found in nginx.gixy(write("nginx.conf", bad))] == ["alias_traversal"]


def test_nginx_serves_files_and_passes_on(write: Write) -> None:
    class Backend(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"backend {self.path}".encode())

        def log_message(self, *_: object) -> None:
            pass

    files = {"/usr/share/nginx/html/index.html": "<p>hello</p>"}
    with HTTPServer(("127.0.0.1", 0), Backend) as backend:
        threading.Thread(target=backend.serve_forever, daemon=True).start()
        with nginx.serve(write("nginx.conf", NGINX), files=files, ports={8080: backend.server_port}) as server:
            assert _get(server.ports[80], "/") == (200, "<p>hello</p>")
            assert _get(server.ports[80], "/api/health") == (200, "backend /api/health")
            assert _get(server.ports[80], "/absent")[0] == 404
        backend.shutdown()
    assert not os.path.exists(server.root)


def test_nginx_that_cannot_start_is_rejected(write: Write) -> None:
    broken = write("nginx.conf", NGINX.replace("worker_processes 1", "worker_processes no"))
    with pytest.raises(tools.RejectedError, match="invalid value"), nginx.serve(broken):
        pass


def _get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


# --- shell, SQL, SARIF


def test_shells_accept_and_reject(write: Write) -> None:
    shell.check(write("good.sh", '#!/bin/sh\nset -eu\nexec "$@"\n'))
    with pytest.raises(tools.RejectedError, match=r"(?i)syntax error"):
        shell.check(write("bad.sh", "#!/bin/sh\nif true; then\n"))


@pytest.mark.parametrize("name", shell.SHELLS)
def test_shells_run(name: str) -> None:
    done = shell.run(name, 'printf "%s|" "$VALUE" "$@"; exit 3', "a b", "$c", env={"VALUE": "it's `x`"})
    assert (done.stdout, done.returncode) == ("it's `x`|a b|$c|", 3)


def test_shellcheck_finds(write: Write) -> None:
    good = write("good.sh", '#!/bin/sh\nexec "$1"\n')
    bad = write("bad.sh", "#!/bin/sh\ncat $1\n")
    assert shell.shellcheck(good) == []
    assert [(found.rule, found.file, found.line) for found in shell.shellcheck(good, bad)] == [("SC2086", bad, 2)]


def test_sqlite_reads_tables() -> None:
    assert sqlite.tables("CREATE TABLE apps (id INTEGER PRIMARY KEY, name TEXT NOT NULL);") == {"apps": ["id", "name"]}


def test_sqlite_rejects() -> None:
    with pytest.raises(tools.RejectedError, match="syntax error"):
        sqlite.tables("CREATE TABEL apps (id);")


def test_the_schema_of_sarif_accepts_and_finds() -> None:
    run = {"tool": {"driver": {"name": "it"}}, "results": [{"message": {"text": "no"}, "level": "error"}]}
    assert schemas.sarif_problems(json.dumps({"version": "2.1.0", "runs": [run]})) == []
    problems = schemas.sarif_problems(json.dumps({"version": "2.1.0", "runs": [{"results": []}]}))
    assert len(problems) == 1
    assert "'tool' is a required property" in problems[0]


# --- when there is none


def test_a_missing_reader_fails_in_ci_and_skips_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-reader is not installed"):
        tools.program("no-such-reader")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="no-such-reader is not installed"):
        tools.program("no-such-reader")


# --- Bills of materials

BOM = """\
{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [
  {"type": "library", "name": "box", "version": "1.2.3", "purl": "pkg:npm/box@1.2.3"},
  {"type": "library", "name": "lid", "version": "2.0.0", "purl": "pkg:npm/lid@2.0.0"}
]}
"""


def test_the_scanner_names_packages_and_what_concerns_them(write: Write, tmp_path: Path) -> None:
    advisories = [scanner.Advisory("T-1", "npm", "box", "1.2.4"), scanner.Advisory("T-2", "npm", "lid", "2.0.0")]
    assert scanner.scan(write("bom.cdx.json", BOM), advisories, str(tmp_path / "advisories")) == [
        scanner.Package("npm", "box", "1.2.3", ("T-1",)),
        scanner.Package("npm", "lid", "2.0.0"),
    ]


def test_the_scanner_rejects_what_is_no_document(write: Write, tmp_path: Path) -> None:
    with pytest.raises(tools.RejectedError, match="unexpected end"):
        scanner.scan(write("bom.cdx.json", BOM[:40]), (), str(tmp_path / "advisories"))
