"""Files edited by hand: nothing is written, and what the message proposes keeps the edit."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

from tests.running import Result, appos, contents, flagship

if TYPE_CHECKING:
    from pathlib import Path

MINIMAL = """
version: 1
name: web
image: {base: alpine:3.24}
services:
  web: {preset: nginx, port: 80}
routes:
  /: {static: /srv/www}
ports:
  http: {publish: 8080, service: web}
"""


class Edit(NamedTuple):
    """One edit: ``old`` becomes ``new`` in a file of the flagship."""

    output: str
    old: str
    new: str


def _before(output: str, line: str, added: str) -> Edit:
    return Edit(output, line, added + line)


def _after(output: str, line: str, added: str) -> Edit:
    return Edit(output, line, line + added)


def _end(output: str, added: str) -> Edit:
    return Edit(output, "", added)


PING = "        location = /ping {\n            return 204;\n        }\n"

ADDITIONS = {
    "nginx main": _before("nginx.conf", "events {", "timer_resolution 100ms;\n"),
    "nginx main, with a comment": _before("nginx.conf", "events {", "# faster\ntimer_resolution 100ms;\n"),
    "nginx http": _before("nginx.conf", "    sendfile on;\n", "    client_header_timeout 10s;\n"),
    "nginx http, a block": _before(
        "nginx.conf", "\n    server {", '\n    map $uri $kind {\n        default page;\n        "~[.]" file;\n    }\n'
    ),
    "nginx server": _before("nginx.conf", "        location = /terminal {", "        etag off;\n"),
    "nginx server, a location": _before("nginx.conf", "        location = /terminal {", PING),
    "nginx server, a location with a blank line after it": _before(
        "nginx.conf", "        location = /terminal {", PING + "\n"
    ),
    "nginx server, a location at the end": _before("nginx.conf", "    }\n}\n", "\n" + PING),
    "Dockerfile, at the end": _before("Dockerfile", "ENTRYPOINT", "COPY motd /etc/motd\n"),
    "Dockerfile, among the copies": _before("Dockerfile", "COPY --from=image.files", "RUN touch /etc/marker\n"),
    "Dockerfile, after the packages": _before("Dockerfile", "COPY --from=dashboard", "RUN adduser -D -H tester\n"),
    "Dockerfile, a stage": _before(
        "Dockerfile", "\n# The image\n", "\nFROM alpine:3.24 AS tool\nRUN apk add --no-cache jq=1.8\n"
    ),
    "Dockerfile, an argument": _before("Dockerfile", "\n# dashboard: built", "ARG VERSION=1\n"),
    "Dockerfile, a long command": _before(
        "Dockerfile", "ENTRYPOINT", "RUN set -e; \\\n    touch /a; \\\n    touch /b\n"
    ),
    "Dockerfile.local, at the end": _before("Dockerfile.local", "ENTRYPOINT", "COPY motd /etc/motd\n"),
    "supervisord, its own section": _after("supervisord.conf", "logfile_maxbytes=0\n", "minfds=4096\n"),
    "supervisord, a section at the end": _end(
        "supervisord.conf", "\n[program:extra]\ncommand=/bin/extra\npriority=5\n"
    ),
    "supervisord, a section in the middle": _before(
        "supervisord.conf", "[program:backend]", "[program:extra]\ncommand=/bin/extra --flag\nautorestart=false\n\n"
    ),
    "entrypoint, at the start": _before("entrypoint.sh", "fail() {", "export MALLOC_ARENA_MAX=2\n"),
    "entrypoint, at the end": _before("entrypoint.sh", "exec /usr/local/lib", 'echo "almost there: $HOME"\n'),
    "entrypoint, a function at the end": _before(
        "entrypoint.sh", "exec /usr/local/lib", "warm_up() {\n    touch /run/appos/warm\n}\nwarm_up\n"
    ),
    ".env, at the end": _end(".env", "COMPOSE_PROFILES=debug\n"),
    ".env, in the middle": _before(".env", "CONTAINER_NAME=", "EDITOR='a $b # c'\n"),
    ".env, with a comment": _end(".env", "\n# for Compose\nCOMPOSE_PROFILES=debug\n"),
    "dockerignore, at the end": _end("Dockerfile.dockerignore", "!motd\n"),
    "dockerignore, in the middle": _before("Dockerfile.dockerignore", "**/.env", "**/*.tmp\n"),
    "the other dockerignore": _end("Dockerfile.local.dockerignore", "!motd\n!other # name\n"),
    "the plain dockerignore": _end(".dockerignore", "secrets/\n"),
}

COMPOSE = {
    "a key": _before("docker-compose.yml", "    tmpfs:\n", "    shm_size: 256m\n"),
    "a mapping": _before("docker-compose.yml", "    tmpfs:\n", "    sysctls:\n      net.core.somaxconn: 1024\n"),
    "another value": Edit("docker-compose.yml", "restart: unless-stopped", "restart: 'no'"),
    "a port": _after("docker-compose.yml", "    ports:\n", '      - "127.0.0.1:9000:3210"\n'),
    "a tmpfs": _after("docker-compose.yml", "    tmpfs:\n", "      - /var/x:size=1m\n"),
    "a capability": _after("docker-compose.yml", "    cap_add:\n", "      - NET_ADMIN\n"),
    "an option": _after("docker-compose.yml", "    security_opt:\n", "      - apparmor:mine\n"),
    "a mount": _after("docker-compose.yml", "    volumes:\n", "      - /srv/x:/x:ro\n"),
    "a variable": _after("docker-compose.yml", "    environment:\n", "      DEBUG: '1'\n"),
    "the log": Edit("docker-compose.yml", "max-size: 10m", "max-size: 50m"),
}

KEYS = {
    "a published port": (Edit(".env", "HTTP_PORT=9091", "HTTP_PORT=80"), "ports.http.publish", "publish: 9091"),
    "a setting": (Edit(".env", "LOG_LEVEL=info", "LOG_LEVEL=debug"), "settings.LOG_LEVEL.default", "default: info"),
    "the image's name": (Edit(".env", "IMAGE_NAME=appos:", "IMAGE_NAME=mine:"), "image.name", None),
    "where the volume is": (Edit(".env", "APPOS_DATA_PATH=", "APPOS_DATA_PATH=/srv/"), "volumes.data.bind", None),
    "the base": (Edit("Dockerfile", "FROM alpine:3.19", "FROM alpine:3.24"), "image.base", "base: alpine:3.19"),
    "the base, for development": (
        Edit("Dockerfile.local", "FROM alpine:3.19", "FROM alpine:3.24"),
        "image.base",
        "base:",
    ),
    "a builder": (
        Edit("Dockerfile", "node:20-", "node:24-"),
        "artifacts.dashboard.build.image",
        "image: node:20-alpine",
    ),
    "a builder's packages": (
        Edit("Dockerfile", "add --no-cache gcc", "add --no-cache g++"),
        "artifacts.backend.build.packages",
        "packages: [gcc",
    ),
    "a preparing command": (
        Edit("Dockerfile", "npm ci", "npm ci --verbose"),
        "artifacts.dashboard.build.prepare",
        "prepare: [npm ci]",
    ),
    "a building command": (
        Edit("Dockerfile", "npm run build", "npm run all"),
        "artifacts.dashboard.build.run",
        "run: [npm run",
    ),
    "a builder's variable": (
        Edit("Dockerfile", "CGO_ENABLED=", "CGO_ENABLED=0"),
        "artifacts.backend.build.environment",
        "environment: {CGO",
    ),
    "the packages": (
        Edit("Dockerfile", "ca-certificates curl nginx", "ca-certificates nginx"),
        "image.packages",
        "packages: [ca-",
    ),
    "a label": (Edit("Dockerfile", "Apache-2.0", "MIT"), "image.labels", None),
    "the health check": (Edit("Dockerfile", "--interval=2s", "--interval=9s"), "health", "health: {"),
    "where an artifact goes": (
        Edit("Dockerfile", "COPY --from=dashboard /build/dist", "COPY --from=dashboard /build/out"),
        "artifacts.dashboard",
        None,
    ),
    "a signal": (Edit("supervisord.conf", "stopsignal=INT", "stopsignal=TERM"), "services.convex.stop.signal", None),
    "a grace time": (
        Edit("supervisord.conf", "stopwaitsecs=12", "stopwaitsecs=60"),
        "services.backend.stop.grace",
        "grace: 12s",
    ),
    "an account": (Edit("supervisord.conf", "user=appos", "user=root"), "services.backend.user", "user: appos"),
    "the largest body": (
        Edit("nginx.conf", "client_max_body_size 1000000", "client_max_body_size 9m"),
        "http.max_body",
        None,
    ),
    "a time limit": (
        Edit("nginx.conf", "proxy_read_timeout 3600s", "proxy_read_timeout 10s"),
        "routes./terminal.timeout",
        None,
    ),
    "the gateway's port": (Edit("nginx.conf", "listen 80 ", "listen 81 "), "services.nginx.port", "port: 80"),
    "a service's port": (
        Edit("nginx.conf", "server 127.0.0.1:8080;", "server 127.0.0.1:8081;"),
        "services.backend.port",
        "port: 8080",
    ),
    "processes": (Edit("docker-compose.yml", "pids_limit: 512", "pids_limit: 99"), "limits.pids", None),
    "memory": (Edit("docker-compose.yml", "mem_limit: ", "mem_limit: 9"), "limits.memory", None),
    "the health check in Compose": (Edit("docker-compose.yml", "retries: 3", "retries: 9"), "health", "health: {"),
}

NEITHER = {
    "a changed directive": Edit("nginx.conf", "keepalive_timeout 65s;", "keepalive_timeout 5s;"),
    "a removed line": Edit("entrypoint.sh", "umask 022\n", ""),
    "a changed script": Edit("start-service.sh", "set -eu", "set -eux"),
    "a line inside of a function": _after("entrypoint.sh", "fail() {\n", "    date\n"),
    "a line after the last command": _end("entrypoint.sh", "echo never\n"),
    "a line in a program's section": _after("supervisord.conf", "[program:redis]\n", "nice=5\n"),
    "a line within a command": _after("Dockerfile", "appos appos \\\n", "    && true \\\n"),
    "a comment in Compose": _before("docker-compose.yml", "    tmpfs:\n", "    # mine\n"),
    "Compose that is no YAML any more": _before("docker-compose.yml", "    tmpfs:\n", "  : [\n"),
    "a key that is gone from Compose": Edit("docker-compose.yml", "    read_only: true\n", ""),
    "no newline at the end": Edit(".env", "CONVEX_INSTANCE_SECRET=\n", "CONVEX_INSTANCE_SECRET="),
    "nothing left": Edit("nginx.conf", "*", ""),
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("flagship")
    flagship(directory)
    assert appos(cwd=directory).status == 0
    return directory


@pytest.fixture
def project(compiled: Path, tmp_path: Path) -> Path:
    for name, (content, mode) in contents(compiled).items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
    return tmp_path


def _edit(project: Path, edit: Edit) -> None:
    path = project / "build" / edit.output
    text = path.read_text()
    if edit.old == "*":
        changed = edit.new
    elif edit.old:
        at = text.rindex(edit.old) if edit.old == "    }\n}\n" else text.index(edit.old)
        changed = text[:at] + edit.new + text[at + len(edit.old) :]
    else:
        changed = text + edit.new
    assert changed != text
    path.write_text(changed)


def _refused(project: Path, edit: Edit, *arguments: str) -> Result:
    """The run after an edit, which wrote nothing and shows what it found."""
    _edit(project, edit)
    before = contents(project)
    result = appos(*arguments, cwd=project)
    assert result.status == 1
    assert contents(project) == before
    assert f"error: build/{edit.output} was edited by hand; nothing was written\n" in result.err
    assert f"+++ build/{edit.output}\n" in result.err
    assert "To drop the edit: appos-compile --force\n" in result.err
    return result


def _proposals(message: str) -> list[Any]:
    """The pieces of YAML that a message wants to be put into the spec."""
    blocks = re.findall(r"put this into \S+:\n((?:(?:  .*)?\n)+)", message)
    return [yaml.safe_load(textwrap.dedent(block)) for block in blocks]


def _merged(ours: Any, theirs: Any) -> Any:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return {**ours, **{key: _merged(ours.get(key), value) for key, value in theirs.items()}}
    return theirs


def _keep(project: Path, message: str) -> None:
    """Do as the message says, then give the edit up."""
    spec = project / "appos.yaml"
    data = yaml.safe_load(spec.read_text())
    proposals = _proposals(message)
    assert proposals, message
    for proposal in proposals:
        data = _merged(data, proposal)
    spec.write_text(yaml.safe_dump(data, sort_keys=False))
    result = appos("--force", cwd=project)
    assert result.status == 0, result.err
    assert appos(cwd=project).out.endswith("files up to date\n")


@pytest.mark.parametrize("name", ADDITIONS)
def test_the_proposed_escape_hatch_keeps_what_was_added(project: Path, name: str) -> None:
    edit = ADDITIONS[name]
    path = project / "build" / edit.output
    generated = path.read_text().splitlines()
    result = _refused(project, edit)
    added = [line.strip() for line in edit.new.replace(edit.old, "", 1).splitlines() if line.strip()]
    assert all(f"+{line}" in re.sub(r"^\+ +", "+", result.err, flags=re.MULTILINE) for line in added)
    assert "outputs:" not in result.err
    _keep(project, result.err)
    after = [line.strip() for line in path.read_text().splitlines()]
    start = next(i for i, line in enumerate(after) if line == added[0] and after[i : i + len(added)] == added)
    rest = after[:start] + after[start + len(added) :]
    assert [line for line in rest if line] == [line.strip() for line in generated if line.strip()]


@pytest.mark.parametrize("name", COMPOSE)
def test_the_proposed_escape_hatch_keeps_what_compose_reads(project: Path, name: str) -> None:
    edit = COMPOSE[name]
    result = _refused(project, edit)
    path = project / "build" / edit.output
    edited = yaml.safe_load(path.read_text())
    _keep(project, result.err)
    kept = yaml.safe_load(path.read_text())
    assert {**kept, "services": None} == {**edited, "services": None}
    assert {k: _sorted(v) for k, v in kept["services"]["appos"].items()} == {
        k: _sorted(v) for k, v in edited["services"]["appos"].items()
    }


def _sorted(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value


def test_keys_at_the_top_of_compose(project: Path) -> None:
    networks = "\nnetworks:\n  front:\n    external: true\n"
    result = _refused(project, _end("docker-compose.yml", networks))
    assert _proposals(result.err) == [{"extra": {"docker-compose.yml": {"top": yaml.safe_load(networks)}}}]
    _keep(project, result.err)
    kept = yaml.safe_load((project / "build" / "docker-compose.yml").read_text())
    assert kept["networks"] == {"front": {"external": True}}


def test_another_volume_at_the_top_of_compose(project: Path) -> None:
    result = _refused(project, _after("docker-compose.yml", "\nvolumes:\n", "  cache:\n    name: cache\n"))
    _keep(project, result.err)
    kept = yaml.safe_load((project / "build" / "docker-compose.yml").read_text())
    assert kept["volumes"] == {"data": {"name": "appos-data"}, "cache": {"name": "cache"}}


@pytest.mark.parametrize("name", KEYS)
def test_a_changed_line_leads_to_the_key_that_makes_it(project: Path, name: str) -> None:
    edit, key, written = KEYS[name]
    result = _refused(project, edit)
    advice = next(line for line in result.err.splitlines() if line.startswith("To keep line "))
    edited = (project / "build" / edit.output).read_text().splitlines()
    number = int(advice.split()[3].rstrip(","))
    if edit.output != "docker-compose.yml":
        assert edit.new.split("\n")[0] in edited[number - 1]
    assert f" {key}, which makes it" in advice
    if written:
        line, column = map(int, re.findall(r"appos\.yaml:(\d+):(\d+)$", advice)[0])
        at = (project / "appos.yaml").read_text().splitlines()[line - 1]
        assert written in at
        assert at[column - 1 :].startswith((written.partition(": ")[2], "{", "[")) or at.strip().startswith("- ")


@pytest.mark.parametrize(
    ("edit", "advice"),
    [
        (
            Edit(".env", "REDIS_PASSWORD=", "REDIS_PASSWORD=x"),
            "give REDIS_PASSWORD in the environment or in /run/secrets",
        ),
        (Edit(".env", "CONTAINER_NAME=appos", "CONTAINER_NAME=mine"), "set CONTAINER_NAME in the environment"),
    ],
)
def test_what_belongs_into_no_committed_file(project: Path, edit: Edit, advice: str) -> None:
    result = _refused(project, edit)
    assert advice in result.err
    assert not _proposals(result.err)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("COPY --chmod=0755 bin/api /files/api/", "COPY --chmod=0700 bin/api /files/api/"),
        ("COPY --from=image.files /files/api/ /", "COPY --from=image.files /files/other/ /"),
    ],
)
def test_a_file_leads_to_its_artifact_in_the_tree_and_in_the_image(tmp_path: Path, old: str, new: str) -> None:
    (tmp_path / "appos.yaml").write_text(
        "version: 1\nname: small\nimage: {base: 'alpine:3.24'}\n"
        "artifacts:\n  api: {prebuilt: bin/api, install: /usr/local/bin/api, mode: '0755'}\n"
        "services: {api: {command: [/usr/local/bin/api], user: api}}\n"
    )
    assert appos(cwd=tmp_path).status == 0
    advice = next(
        line
        for line in _refused(tmp_path, Edit("Dockerfile", old, new)).err.splitlines()
        if line.startswith("To keep line ")
    )
    assert " artifacts.api" in advice


@pytest.mark.parametrize("name", NEITHER)
def test_an_edit_that_no_key_makes_is_kept_by_a_template(project: Path, name: str) -> None:
    edit = NEITHER[name]
    path = project / "build" / edit.output
    generated = path.read_text()
    result = _refused(project, edit)
    edited = path.read_text()
    copy = next(line for line in result.err.splitlines() if line.startswith("  appos-compile template "))
    assert copy == f"  appos-compile template {edit.output} >{edit.output}.j2"
    assert _proposals(result.err)[-1] == {"outputs": {edit.output: f"{edit.output}.j2"}}
    # The copy alone changes nothing ...
    printed = appos("template", edit.output, cwd=project)
    assert (printed.status, printed.err) == (0, "")
    (project / f"{edit.output}.j2").write_text(printed.out)
    _keep(project, result.err)
    assert path.read_text() == generated
    # ... and holds the line that was edited, or what makes it; here the whole file is put in its place.
    (project / f"{edit.output}.j2").write_text("{% raw %}" + edited.rstrip("\n") + "\n{% endraw %}")
    assert appos(cwd=project).status == 0
    assert path.read_text() == edited.rstrip("\n") + "\n"


def test_all_that_can_be_said_is_said_of_one_file(project: Path) -> None:
    _edit(project, NEITHER["a changed directive"])
    _edit(project, ADDITIONS["nginx server, a location"])
    result = _refused(project, KEYS["the gateway's port"][0])
    assert "To keep line " in result.err
    assert "To keep what was added, put this into appos.yaml:\n  extra:\n" in result.err
    assert "To keep the rest, use a template of your own." in result.err


def test_every_edited_file_is_named_and_no_other_is_written(project: Path) -> None:
    (project / "build" / "Dockerfile").unlink()
    for name in ("nginx server", ".env, at the end", "entrypoint, at the end"):
        _edit(project, ADDITIONS[name])
    before = contents(project)
    result = appos(cwd=project)
    assert (result.status, contents(project)) == (1, before)
    assert re.findall(r"error: (\S+) was edited", result.err) == [
        "build/.env",
        "build/entrypoint.sh",
        "build/nginx.conf",
    ]
    assert "To drop these edits: appos-compile --force\n" in result.err


def test_an_added_line_beside_a_changed_one_is_an_addition(project: Path) -> None:
    result = _refused(project, Edit(".env", "HTTP_PORT=9091", "EXTRA=1\nHTTP_PORT=80\nMORE=2"))
    assert "ports.http.publish" in result.err
    assert _proposals(result.err) == [{"extra": {".env": {"end": "EXTRA=1\nMORE=2\n"}}}]


def test_what_the_spec_adds_already_is_part_of_the_proposal(project: Path) -> None:
    spec = project / "appos.yaml"
    spec.write_text(
        spec.read_text()
        + "\nextra:\n  nginx.conf: {server: 'location = /one { return 201; }'}\n"
        + "  docker-compose.yml: {service: {tmpfs: [/var/one], environment: {ONE: '1'}}, top: {x-one: {a: 1}}}\n"
    )
    assert appos(cwd=project).status == 0
    _edit(project, ADDITIONS["nginx server, a location"])
    _edit(project, COMPOSE["a tmpfs"])
    _edit(project, COMPOSE["a variable"])
    _edit(project, Edit("docker-compose.yml", '  "a": 1\n', '  "a": 1\n  "b": 2\n'))
    result = appos(cwd=project)
    assert "in place of what stands at extra.nginx.conf.server now.\n" in result.err
    assert "in place of what stands at extra.docker-compose.yml.service.tmpfs now.\n" in result.err
    _keep(project, result.err)
    assert "location = /one { return 201; }" in (project / "build" / "nginx.conf").read_text()
    assert "location = /ping {" in (project / "build" / "nginx.conf").read_text()
    compose = yaml.safe_load((project / "build" / "docker-compose.yml").read_text())
    assert {"/var/one", "/var/x:size=1m"} < set(compose["services"]["appos"]["tmpfs"])
    assert compose["services"]["appos"]["environment"].items() >= {"ONE": "1", "DEBUG": "1"}.items()
    assert compose["x-one"] == {"a": 1, "b": 2}


def test_a_change_of_what_an_escape_hatch_holds_is_made_there(project: Path) -> None:
    spec = project / "appos.yaml"
    hatch = "\nextra:\n  nginx.conf:\n    server: |\n      location = /one {\n          return 201;\n      }\n"
    spec.write_text(spec.read_text() + hatch)
    assert appos(cwd=project).status == 0
    result = _refused(project, Edit("nginx.conf", "return 201;", "return 202;"))
    assert _proposals(result.err) == [{"extra": {"nginx.conf": {"server": "location = /one {\n    return 202;\n}\n"}}}]
    _keep(project, result.err)
    assert "return 202;" in (project / "build" / "nginx.conf").read_text()


def test_a_file_that_comes_from_a_template_of_the_users_own(project: Path) -> None:
    (project / "my").mkdir()
    (project / "my" / "nginx.conf.j2").write_text(appos("template", "nginx.conf", cwd=project).out)
    spec = project / "appos.yaml"
    spec.write_text(spec.read_text() + "\noutputs: {nginx.conf: my/nginx.conf.j2}\n")
    assert appos(cwd=project).status == 0
    result = _refused(project, ADDITIONS["nginx server"])
    assert "To keep it, make the edit in your template my/nginx.conf.j2" in result.err


@pytest.mark.parametrize("output", [".env", "nginx.conf", "docker-compose.yml"])
def test_conflict_markers_are_told_apart_from_edits(project: Path, output: str) -> None:
    markers = "<<<<<<< HEAD\nA=1\n=======\nA=2\n>>>>>>> other\n"
    result = _refused(project, Edit(output, "", markers))
    assert "conflict markers" in result.err
    assert not _proposals(result.err)


def test_the_commands_in_the_message_repeat_the_options(project: Path) -> None:
    (project / "sub dir").mkdir()
    (project / "appos.yaml").rename(project / "sub dir" / "my.yaml")
    (project / "schema").rename(project / "sub dir" / "schema")
    arguments = ("-f", "sub dir/my.yaml", "-o", "build")
    assert appos(*arguments, "--force", cwd=project).status == 0
    _edit(project, NEITHER["a changed directive"])
    result = appos(*arguments, cwd=project)
    assert "To drop the edit: appos-compile -f 'sub dir/my.yaml' -o build --force\n" in result.err
    assert "  appos-compile template nginx.conf >'sub dir/nginx.conf.j2'\n" in result.err


def test_a_long_edit_is_cut_short(project: Path) -> None:
    result = _refused(project, _end(".env", "".join(f"V{i}={i}\n" for i in range(1000))))
    assert re.search(r"\n\.\.\. and \d+ lines more\n", result.err)


def test_what_a_terminal_would_act_on_is_shown_as_an_escape(project: Path) -> None:
    result = _refused(project, _end(".env", "X=\x1b[31mred\u202e\n"))
    assert "+X=\\x1b[31mred\\u202e\n" in result.err


def test_a_file_of_somebody_elses_is_not_taken_for_an_edit_nor_overwritten(tmp_path: Path) -> None:
    (tmp_path / "appos.yaml").write_text(MINIMAL)
    (tmp_path / ".env").write_text("MINE=1\n")
    before = contents(tmp_path)
    for arguments in (["-o", "."], ["-o", ".", "--check"]):
        result = appos(*arguments, cwd=tmp_path)
        assert (result.status, contents(tmp_path)) == (1, before)
        assert result.err == (
            "error: ./.env was there before, and is not ours; nothing was written\n"
            "  = help: move it away, overwrite it with --force, or write elsewhere with -o\n"
        )
    assert appos("-o", ".", "--force", cwd=tmp_path).status == 0


def test_force_drops_the_edit_and_says_so(project: Path) -> None:
    before = contents(project)
    _edit(project, ADDITIONS["nginx server"])
    result = appos("--force", cwd=project)
    assert (result.status, contents(project)) == (0, before)
    assert "overwrote build/nginx.conf +0 -1, edited by hand\n" in result.out


def test_a_file_moved_aside_is_generated_anew(project: Path) -> None:
    before = contents(project)
    _edit(project, ADDITIONS["nginx server"])
    (project / "build" / "nginx.conf").rename(project / "mine.conf")
    assert appos(cwd=project).status == 0
    (project / "mine.conf").unlink()
    assert contents(project) == before


@pytest.mark.parametrize("arguments", [["--check"], ["--diff"], ["--check", "--diff"], ["--check", "-q"]])
def test_a_look_tells_the_same_as_a_run(project: Path, arguments: list[str]) -> None:
    _edit(project, ADDITIONS["nginx server"])
    run = appos(cwd=project)
    look = appos(*arguments, cwd=project)
    assert look.status == (1 if "--check" in arguments else 0)
    assert look.err == run.err
    assert look.out == "edited by hand: build/nginx.conf +1 -0\n"


@pytest.mark.parametrize("output", ["json", "sarif", "github"])
def test_a_program_that_reads_the_report_is_told_too(project: Path, output: str) -> None:
    _edit(project, ADDITIONS["nginx server"])
    result = appos("--format", output, cwd=project)
    assert result.status == 1
    assert "build/nginx.conf was edited by hand" in result.err
    assert ("::error file=build/nginx.conf,line=1,col=1,title=edited by hand::" in result.out) == (output == "github")


@pytest.mark.parametrize("output", ["Dockerfile", "nginx.conf", "entrypoint.sh", "docker-compose.yml", ".env"])
def test_a_single_service_can_be_edited_too(tmp_path: Path, output: str) -> None:
    (tmp_path / "appos.yaml").write_text(MINIMAL)
    assert appos(cwd=tmp_path).status == 0
    path = tmp_path / "build" / output
    path.write_text(path.read_text() + "X=1\n")
    result = appos(cwd=tmp_path)
    assert result.status == 1
    assert f"build/{output} was edited by hand" in result.err
