"""Any valid spec compiles, the same everywhere, and what it says arrives exactly where the files are read.

Each example is a random spec; every generated file goes through its real reader, the shell scripts and nginx are run.
`HYPOTHESIS_PROFILE=long` tries 2,000 specs in place of a few hundred.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from compiler import load, pipeline, values
from compiler.errors import SpecError
from tests.readers import compose, dockerfile, nginx, shell, supervisord, tools
from tests.strategies import PIECES, SETTINGS, TEXT, Case, cases, minimal, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from compiler.generated import GeneratedFile

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example, HealthCheck.filter_too_much]
settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=SLOW, database=None)
settings.register_profile("long", deadline=None, print_blob=True, suppress_health_check=SLOW)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "ci")
settings.load_profile(PROFILE)

DEFAULT_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
}


def examples(few: int) -> settings:
    """So many examples in CI; in the long run as many times more as make 2,000 of 80."""
    return settings(max_examples=few * (25 if PROFILE == "long" else 1))


class Compiled(NamedTuple):
    """A spec, what became of it, and its files by name."""

    spec: dict[str, Any]
    tree: dict[str, str]
    result: pipeline.Result
    files: dict[str, GeneratedFile]

    def said(self, service: str) -> dict[str, Any]:
        """What the spec says of a service."""
        fields: dict[str, Any] = self.spec["services"][service]
        return fields


def compiled(case: Case, *, raw: bytes | None = None) -> Compiled:
    """The case compiled as a user would; a spec that is refused although it was meant to be valid is no example."""
    document = load.parse(raw or write(case.spec, case.style), "appos.yaml")
    with tempfile.TemporaryDirectory() as directory:
        grow(directory, case.tree)
        result = pipeline.compile_document(document, directory)
    return Compiled(case.spec, case.tree, result, {file.path: file for file in result.files})


def valid(case: Case) -> Compiled:
    """The case compiled, if it is one of those few that the generator does not know to be wrong."""
    try:
        return compiled(case)
    except SpecError:
        assume(False)
        raise


def grow(directory: str, tree: Mapping[str, str]) -> None:
    """Writes files below a directory."""
    for name, content in tree.items():
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(content)


@contextmanager
def written(files: Mapping[str, GeneratedFile]) -> Iterator[str]:
    """The directory that the files were written to."""
    with tempfile.TemporaryDirectory() as directory:
        grow(directory, {name: file.content for name, file in files.items()})
        yield directory


def pieces(text: Any) -> list[str | tuple[str, str]]:
    """A text of the spec as the reference manual reads it: literal text, and (kind, name) of each reference."""
    text = {True: "true", False: "false"}[text] if isinstance(text, bool) else str(text)
    found: list[str | tuple[str, str]] = []
    rest = text
    while "${" in rest:
        before, rest = rest.split("${", 1)
        if before.endswith("$"):
            found.append(before[:-1] + "${")
            continue
        name, rest = rest.split("}", 1)
        kind, _, of = name.partition(".")
        found += [before, (kind, of)]
    return [*found, rest]


def meaning(
    text: Any, spec: Mapping[str, Any], service: str, secret: Mapping[str, str], setting: Mapping[str, str]
) -> str:
    """What arrives in the place of a text of the spec."""

    def of_service(name: str, field: str) -> str:
        said = spec["services"][name]
        address = f"127.0.0.1:{said.get('port')}"
        known = {"host": "127.0.0.1", "port": said.get("port"), "address": address, "name": name}
        return str({**known, "user": said.get("user", "root"), "run": f"/run/{spec['name']}/{name}"}[field])

    def one(kind: str, name: str) -> str:
        if kind == "service":
            return of_service(*name.split("."))
        if kind == "self":
            return of_service(service, name)
        if kind == "database":
            volumes = spec["volumes"]
            volume = volumes[spec["database"].get("volume", next(iter(volumes)))]
            return f"{volume['mount']}/{spec['database']['file']}"
        if kind in ("app", "services"):
            return {"app": str(spec["name"]), "services": f"/run/{spec['name']}/services"}[kind]
        if kind in ("volume", "artifact"):
            return str(spec[f"{kind}s"][name]["mount" if kind == "volume" else "install"])
        return secret[name] if kind == "secret" else setting[name]

    return "".join(piece if isinstance(piece, str) else one(*piece) for piece in pieces(text))


def defaults(spec: Mapping[str, Any]) -> dict[str, str]:
    """Each setting with its default."""
    return {name: "".join(map(str, [_scalar(s.get("default", ""))])) for name, s in spec.get("settings", {}).items()}


def _scalar(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


# --- every output and its reader


def accepted(result: pipeline.Result, directory: str, *, version: str = "") -> dict[str, Any]:
    """What each reader made of the files in the directory; RejectedError if one refuses its file."""
    read: dict[str, Any] = {}
    for file in result.files:
        path = os.path.join(directory, file.path)
        if file.path.startswith("Dockerfile") and "ignore" not in file.path:
            read[file.path] = dockerfile.read(path)
            dockerfile.check_floor(path)
        elif file.path.endswith(".sh"):
            shell.check(path)
        elif file.path == "nginx.conf":
            read[file.path] = nginx.check(path)
        elif file.path == "docker-compose.yml":
            read[file.path] = compose.read(path)
        elif file.path == "supervisord.conf" and version:
            read[file.path] = supervisord.read(path, version=version)
    return read


@examples(80)
@given(cases(), st.sampled_from([*supervisord.VERSIONS, "", ""]))
def test_every_reader_accepts_the_files_and_reads_what_the_spec_says(case: Case, version: str) -> None:
    made = valid(case)
    with written(made.files) as directory:
        read = accepted(made.result, directory, version=version)
    assert read.get("nginx.conf", []) == []
    for name in ("Dockerfile", "Dockerfile.local"):
        reads_the_image(made, read[name], local=name.endswith("local"))
    if "docker-compose.yml" in read:
        reads_the_compose_file(made, read["docker-compose.yml"])
    if "supervisord.conf" in read:
        reads_the_services(made, read["supervisord.conf"])


def reads_the_image(made: Compiled, read: dict[str, Any], *, local: bool) -> None:
    spec, config, commands = made.spec, read["config"], read["commands"]
    for key, value in spec["image"].get("labels", {}).items():
        assert config["Labels"][key] == _scalar(value)
    if spec.get("description") and "org.opencontainers.image.description" not in spec["image"].get("labels", {}):
        assert config["Labels"]["org.opencontainers.image.description"] == spec["description"]
    reads_the_artifacts(spec, commands, local=local)
    health = spec.get("health", {})
    if "exec" in health:
        words = [meaning(word, spec, "", {}, {}) for word in health["exec"]]
        assert config["Healthcheck"]["Test"] == ["CMD", *words]
    for field, name in (("interval", "Interval"), ("timeout", "Timeout")):
        # Where there is nothing to ask, there is no check.
        if field in health and "Healthcheck" in config:
            assert config["Healthcheck"][name] == values.milliseconds(health[field]) * 10**6
    if spec["image"].get("timezone"):
        assert f"TZ={spec['image']['timezone']}" in config["Env"]
    assert sorted(config.get("Volumes") or {}) == sorted(volume["mount"] for volume in spec.get("volumes", {}).values())


def reads_the_artifacts(spec: dict[str, Any], commands: list[dict[str, Any]], *, local: bool) -> None:
    for artifact in spec.get("artifacts", {}).values():
        build = artifact.get("build")
        if build is None or (local and "prebuilt" in artifact):
            continue
        environment = {f"{name}={_scalar(value)}" for name, value in build.get("environment", {}).items()}
        for command in (*build.get("prepare", ()), *build["run"]):
            run = [c for c in commands if c["args"] == ["/bin/sh", "-c", command] and environment <= set(c["env"])]
            assert run, f"{command!r} with {environment!r} is not among {[c['args'] for c in commands]!r}"
    for artifact in spec.get("artifacts", {}).values():
        if "fetch" in artifact and not (local and "prebuilt" in artifact):
            assert artifact["fetch"]["url"].replace("{arch}", "amd64") in {fetched(c["args"][2]) for c in commands}


FETCHERS = """\
note() { for url; do :; done; printf '%s' "$url" >&3; }
wget() { note "$@"; }
curl() { note "$@"; }
sha256sum() { :; }
"""


def fetched(command: str) -> str:
    """The URL that a command fetches."""
    if " download " not in command:
        return ""
    with tempfile.TemporaryDirectory() as directory:
        done = shell.run(
            "dash", f"{{ {FETCHERS}{command}\n}} 3>&1 >/dev/null", env={"TARGETARCH": "amd64"}, cwd=directory
        )
        return done.stdout


def reads_the_compose_file(made: Compiled, project: dict[str, Any]) -> None:
    spec, app = made.spec, made.result.app
    assert project["name"] == spec["name"]
    assert sorted(project["services"]) == [spec["name"]]
    service = project["services"][spec["name"]]
    extra = spec.get("extra", {}).get("docker-compose.yml", {}).get("service", {})
    assert service["container_name"] == spec["name"]
    assert service["image"] == app.image.reference
    for port in spec.get("ports", {}).values():
        target = port.get("target") or spec["services"][port["service"]]["port"]
        udp = port.get("protocol", "udp" if spec["services"][port["service"]].get("protocol") == "udp" else "tcp")
        published = {"target": target, "published": str(port["publish"]), "protocol": udp}
        address = {"host_ip": port["address"]} if "address" in port else {}
        assert any({**published, **address}.items() <= p.items() for p in service["ports"]), (port, service["ports"])
    for name, volume in spec.get("volumes", {}).items():
        mounted = next(v for v in service["volumes"] if v["target"] == volume["mount"])
        if "bind" in volume:
            assert mounted["type"] == "bind"
        else:
            assert (mounted["type"], mounted["source"]) == ("volume", name)
    health = spec.get("health", {})
    if "exec" in health:
        assert service["healthcheck"]["test"] == ["CMD", *(meaning(w, spec, "", {}, {}) for w in health["exec"])]
    environment = service.get("environment") or {}
    usual = spec.get("outputs", {}).get(".env") is None
    for name, default in defaults(spec).items():
        assert environment[name] == (default if usual else None)
    for secret in app.secrets:
        assert environment[secret.variable] == ("" if usual else None)
    reads_the_extra_keys(extra, service, environment)


def reads_the_extra_keys(extra: dict[str, Any], service: dict[str, Any], environment: dict[str, Any]) -> None:
    for key in ("hostname", "init", "restart"):
        if key in extra:
            assert service[key] == extra[key]
    for key, value in extra.get("environment", {}).items():
        assert environment[key] == (value if value is None else value.replace("$$", "$"))
    for key, value in extra.get("labels", {}).items():
        assert service["labels"][key] == str(value).replace("$$", "$")
    if "command" in extra:
        assert service["command"] == [word.replace("$$", "$") for word in extra["command"]]
    if "cap_add" in extra:
        assert set(extra["cap_add"]) <= set(service["cap_add"])


def reads_the_services(made: Compiled, read: dict[str, Any]) -> None:
    spec, app = made.spec, made.result.app
    programs = read["programs"]
    assert read["ignored"] == []
    for service in app.services:
        said, program = spec["services"][service.name], programs[service.name]
        assert program["argv"] == [f"/usr/local/lib/{spec['name']}/start-service.sh", service.name]
        assert "user" not in said or program["user"] == said["user"]
        if "signal" in said.get("stop", {}):
            assert program["stopsignal"] == f"SIG{said['stop']['signal']}"
        if "grace" in said.get("stop", {}):
            assert program["stopwaitsecs"] == max(1, -(-values.milliseconds(said["stop"]["grace"]) // 1000))
        if said.get("restart") and not said.get("once"):
            assert (
                program["autorestart"] == {"always": True, "on-failure": "unexpected", "never": False}[said["restart"]]
            )
        for other in said.get("after", ()):
            assert programs[other]["priority"] < program["priority"]
    assert len({programs[name]["priority"] for name in spec["services"]}) == len(spec["services"])


# --- what a started program gets

DUMP = """\
#!/bin/sh
PATH=/usr/bin:/bin
name=$$
case $(readlink "/proc/$$/fd/1") in /dev/null) name=ready.$$ ;; esac
cat "/proc/$$/cmdline" >"{box}/out/$name.argv"
cat "/proc/$$/environ" >"{box}/out/$name.environ"
pwd -P >"{box}/out/$name.directory"
# Nobody is asked for the readiness of a service that has ended.
case $name in ready.*) rm -f "{box}/asked" ;; esac
while [ -e "{box}/asked" ]; do sleep 0.01; done
"""
SHIMS = """\
chown() { :; }
find() { :; }
su() { :; }
setpriv() { :; }
id() { echo "${2:-root}"; }
zstdcat() { cat; }
xzcat() { cat; }
"""
"""What only root of a container can do, and unpacking; functions, since busybox prefers its own programs to PATH."""
GIVEN = {"any": "s'e\"c $r `e`t\\n%;#~!*", "alphanumeric": "Ab9_.-" * 3}


class Started(NamedTuple):
    """A program as it was started: its arguments after its own name, environment and directory."""

    arguments: list[str]
    environment: dict[str, str]
    directory: str


class Box:
    """A directory that stands for the container's: paths of its files are moved into it, and programs are recorded."""

    def __init__(self, root: str, paths: Sequence[str]) -> None:
        self.root = root
        # Longest first, so that a path does not hide one that begins with it.
        self._paths = re.compile(f"(?:{'|'.join(map(re.escape, sorted(paths, key=len, reverse=True)))})")
        self.make("out")
        self.make("bin")
        self._dump = DUMP.replace("{box}", root)

    def make(self, path: str) -> None:
        """Creates a directory of the box."""
        os.makedirs(os.path.join(self.root, path.lstrip("/")), exist_ok=True)

    def moved(self, text: str) -> str:
        """The text with the container's paths moved into the box."""
        return self._paths.sub(lambda match: self.root + match[0], text)

    def program(self, path: str, text: str = "") -> None:
        """Makes a program, one that records how it was started unless it is given."""
        path = path if path.startswith("/") else f"/bin/{path}"
        text = text if text.startswith("#!") else f"#!/bin/sh\n{text}\n" if text else self._dump
        grow(self.root, {path.lstrip("/"): text})
        os.chmod(self.root + path, 0o755)  # noqa: S103 - a program

    def run(self, sh: str, script: str, *arguments: str, environment: Mapping[str, str]) -> Started:
        """Runs a script until the program that it becomes has ended."""
        grow(self.root, {"script": self.moved(script)})
        # Not through pipes: what waits for readiness holds them open until this process is reaped.
        with open(f"{self.root}/log", "wb") as log:
            status = subprocess.run(
                [*shell.interpreter(sh), os.path.join(self.root, "script"), *arguments],
                env={**environment, "PATH": f"{self.root}/bin:/usr/bin:/bin"},
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=tools.TIMEOUT_SECONDS,
                check=False,
            ).returncode
        mains = [name for name in os.listdir(f"{self.root}/out") if re.fullmatch(r"\d+\.directory", name)]
        assert len(mains) == 1, f"{status} {self.read('log')}"
        return self._started(mains[0].removesuffix(".directory"))

    def ready(self) -> Started | None:
        """How the command that asks for readiness was started, if it was."""
        names = [name for name in os.listdir(f"{self.root}/out") if re.fullmatch(r"ready\.\d+\.directory", name)]
        return self._started(names[0].removesuffix(".directory")) if names else None

    def _started(self, name: str) -> Started:
        raw = [self.read(f"out/{name}.{part}") for part in ("argv", "environ", "directory")]
        environment = dict(entry.split("=", 1) for entry in raw[1].split("\0")[:-1])
        # The interpreter and the script come first.
        return Started(raw[0].split("\0")[2:-1], environment, raw[2].removesuffix("\n"))

    def read(self, path: str) -> str:
        """The content of a file of the box."""
        with open(
            os.path.join(self.root, path.lstrip("/")), encoding="utf-8", errors="surrogateescape", newline=""
        ) as file:
            return file.read()


@contextmanager
def box(made: Compiled) -> Iterator[Box]:
    name = made.spec["name"]
    paths = [
        f"/run/{name}",
        f"/usr/local/lib/{name}",
        f"/usr/local/share/{name}",
        *(v["mount"] for v in made.spec.get("volumes", {}).values()),
    ]
    paths += [f"    cd {directory}" for s in made.spec["services"].values() if (directory := s.get("directory"))]
    root = os.path.realpath(tempfile.mkdtemp())
    try:
        yield Box(root, [path for path in paths if not path.startswith("    cd ")])
    finally:
        shutil.rmtree(root, ignore_errors=True)


def given_secret(made: Compiled, name: str) -> str:
    source = next(secret for secret in made.result.app.secrets if secret.name == name)
    return GIVEN[source.format] if source.format != "hex" else ("0123456789abcdef" * 16)[: source.length]


@examples(60)
@given(cases(), st.sampled_from(shell.SHELLS))
def test_a_service_gets_its_arguments_environment_and_files(case: Case, sh: str) -> None:
    made = valid(case)
    for service in made.result.app.services:
        if "command" in made.said(service.name):
            with box(made) as sandbox:
                gets_what_the_spec_says(made, service.name, sandbox, sh)


def gets_what_the_spec_says(made: Compiled, name: str, sandbox: Box, sh: str) -> None:
    spec, said = made.spec, made.said(name)
    service = next(service for service in made.result.app.services if service.name == name)
    secrets = {secret.name: given_secret(made, secret.name) for secret in made.result.app.secrets}
    public = defaults(spec)
    script = made.files["start-service.sh"].content
    if "directory" in said:
        sandbox.make(said["directory"])
        script = script.replace(f"    cd {said['directory']}\n", f"    cd {sandbox.root}{said['directory']}\n")
    for volume in spec.get("volumes", {}).values():
        sandbox.make(volume["mount"])
    for other in spec["services"]:
        grow(
            sandbox.root,
            {
                f"run/{spec['name']}/{other}/ready": "",
                **{f"run/{spec['name']}/{name}/secrets/{k}": v for k, v in secrets.items()},
            },
        )
    sandbox.program(said["command"][0])
    asked = said.get("ready", {}).get("exec")
    if asked and made.result.app.watches(service):
        sandbox.program(asked[0])
        grow(sandbox.root, {"asked": ""})
    if made.result.app.watched:
        interpreter = tools.program(sh) + (" sh" if sh == "busybox" else "")
        watch = made.files["watch-service.sh"].content.replace("/bin/sh", interpreter, 1)
        sandbox.program(f"/usr/local/lib/{spec['name']}/watch-service.sh", sandbox.moved(watch))

    def arrives(text: Any) -> str:
        return sandbox.moved(meaning(text, spec, name, secrets, public))

    started = sandbox.run(sh, script, name, environment=public)
    assert started.arguments == [arrives(word) for word in said["command"][1:]]
    if "directory" in said:
        assert started.directory == sandbox.root + said["directory"]
    environment = {key: arrives(value) for key, value in said.get("environment", {}).items()}
    assert {key: started.environment.get(key) for key in environment} == environment
    assert set(started.environment) <= {"PATH", "HOME", "PWD", "OLDPWD", "SHLVL", "_", *public, *environment}
    finds_its_files(made, name, sandbox, arrives)
    if asked and made.result.app.watches(service):
        ready = sandbox.ready()
        assert ready is not None
        assert ready.arguments == [arrives(word) for word in asked[1:]]


def finds_its_files(made: Compiled, name: str, sandbox: Box, arrives: Callable[[Any], str]) -> None:
    for target, file in made.said(name).get("files", {}).items():
        if "source" not in file:
            path = target if target.startswith("/") else f"/run/{made.spec['name']}/{name}/{target}"
            content = file["content"] if "content" in file else made.tree[file["template"]].replace("\r\n", "\n")
            assert sandbox.read(path) == arrives(content)
            assert os.stat(sandbox.root + path).st_mode & 0o7777 == int(file.get("mode", "0600"), 8)


@examples(30)
@given(
    cases(), st.sampled_from(shell.SHELLS), st.booleans(), st.dictionaries(st.sampled_from(SETTINGS), TEXT, max_size=3)
)
def test_settings_and_secrets_reach_the_services(case: Case, sh: str, every: bool, told: dict[str, str]) -> None:
    made = valid(case)
    app, name = made.result.app, made.spec["name"]
    given_by_variable = {
        secret.variable: given_secret(made, secret.name) for secret in app.secrets if every or not secret.generate
    }
    with box(made) as sandbox:
        sandbox.program(f"/usr/local/lib/{name}/supervisord.py")
        sandbox.program(f"/usr/local/lib/{name}/start-service.sh")
        sandbox.program(f"/usr/local/lib/{name}/database.sh", "exit 0")
        for script in (*app.first_start, *app.before_services):
            sandbox.program(f"/usr/local/lib/{name}/hooks/{os.path.basename(script)}", "exit 0")
        for artifact in app.packed:
            checksum = hashlib.sha256(b"unpacked").hexdigest()
            sums = f"{checksum}  - {len('unpacked')} {checksum}  -\n"
            packed = f"usr/local/share/{name}/packed/{artifact.name}"
            grow(sandbox.root, {packed: "unpacked", f"{packed}.sum": sums})
        told = {key: value for key, value in told.items() if key in made.spec.get("settings", {})}
        started = sandbox.run(
            sh, SHIMS + made.files["entrypoint.sh"].content, environment={**told, **given_by_variable}
        )
        expected = {key: sandbox.moved(value) for key, value in defaults(made.spec).items()} | told
        assert {key: started.environment.get(key) for key in expected} == expected
        assert not {secret.variable for secret in app.secrets} & set(started.environment)
        for artifact in app.packed:
            assert sandbox.read(f"/run/{name}/programs/{artifact.name}") == "unpacked"
        if app.supervised:
            listed = [line.split(" ")[:2] for line in sandbox.read(f"/run/{name}/services").splitlines()]
            assert listed == [[service.name, "STOPPED"] for service in app.services]
        for service in app.services:
            for secret in app.secrets:
                path = f"/run/{name}/{service.name}/secrets/{secret.name}"
                wanted = secret.name in said_secrets(made, service.name)
                assert not wanted or os.path.exists(sandbox.root + path)
                if os.path.exists(sandbox.root + path):
                    content = sandbox.read(path)
                    if secret.variable in given_by_variable:
                        assert content == given_by_variable[secret.variable]
                    else:
                        assert re.fullmatch("[a-f0-9]*" if secret.format == "hex" else "[A-Za-z0-9]*", content)
                        assert len(content) == secret.length


def said_secrets(made: Compiled, name: str) -> set[str]:
    """The secrets that the spec says a service reads."""
    said = made.said(name)
    texts = [*said.get("command", ()), *said.get("environment", {}).values(), *said.get("ready", {}).get("exec", ())]
    alive = said.get("alive")
    texts += alive.get("exec", ()) if isinstance(alive, dict) else ()
    texts += [
        f["content"] if "content" in f else made.tree[f["template"]]
        for f in said.get("files", {}).values()
        if "source" not in f
    ]
    referred = {
        piece[1] for text in texts for piece in pieces(text) if isinstance(piece, tuple) and piece[0] == "secret"
    }
    asked = {r["auth"]["basic"]["secret"] for r in made.spec.get("routes", {}).values() if "basic" in r.get("auth", {})}
    gateway = made.result.app.gateway
    return referred | set(said.get("secrets", ())) | (asked if gateway and gateway.name == name else set())


# --- what the gateway's clients and services get


class Echo:
    """A server that answers each request with the head of it."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    @staticmethod
    def _answer(connection: socket.socket) -> None:
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                received = connection.recv(65536)
                if not received:
                    return
                head += received
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(head), head)
            )

    def close(self) -> None:
        """Stops serving."""
        self._socket.close()


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


class Answer(NamedTuple):
    """An answer: its status, its headers as they came, and its body."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def all(self, name: str) -> list[bytes]:
        """The values of a header, one for each time it was sent."""
        return [value for key, value in self.headers if key.lower() == name.lower().encode()]


def ask(port: int, path: str, *headers: str) -> Answer:
    """Asks for a path, byte by byte as it is."""
    request = "\r\n".join([f"GET {path} HTTP/1.1", "Host: it", "Connection: close", *headers, "", ""])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request.encode())
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    return answer(raw)


def answer(raw: bytes) -> Answer:
    """An HTTP message taken apart; of a header's value only the one blank after the colon is cut off."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    pairs = [(key, value.removeprefix(b" ")) for key, _, value in (line.partition(b":") for line in lines)]
    return Answer(int(first.split(b" ")[1]) if first.startswith(b"HTTP") else 0, pairs, body)


@examples(50)
@given(case=cases())
def test_the_gateway_answers_what_the_spec_says(case: Case, echo: Echo) -> None:
    assume("routes" in case.spec)
    made = valid(case)
    app, spec = made.result.app, made.spec
    assert app.gateway is not None
    secrets = {secret.name: given_secret(made, secret.name) for secret in app.secrets}
    files = {}
    for match, route in spec["routes"].items():
        if "static" in route:
            files[root_of(made, route) + ("/file.bin" if match.endswith("/") else match)] = "content"
        if "basic" in route.get("auth", {}):
            user, secret = route["auth"]["basic"]["user"], route["auth"]["basic"]["secret"]
            files[f"{app.gateway.run}/accounts-{user}-{secret}"] = f"{user}:{{PLAIN}}{secrets[secret]}\n"
    with written({"nginx.conf": made.files["nginx.conf"]}) as directory:
        ports = {
            s["port"]: echo.port for s in spec["services"].values() if s.get("port") and s["port"] != app.gateway.port
        }
        with nginx.serve(os.path.join(directory, "nginx.conf"), files=files, ports=ports) as server:
            for match in spec["routes"]:
                answers_a_route(made, match, server.ports[app.gateway.port or 0], secrets)


def root_of(made: Compiled, route: dict[str, Any]) -> str:
    artifacts = made.spec.get("artifacts", {})
    static = str(route["static"])
    return str(artifacts[static]["install"]) if static in artifacts else static


def answers_a_route(made: Compiled, match: str, port: int, secrets: Mapping[str, str]) -> None:
    route = made.spec["routes"][match]
    spoken = made.spec["services"][route["service"]].get("protocol", "http") if "service" in route else ""
    if spoken not in ("", "http"):
        return
    prefix = match.endswith("/")
    path = (
        f"{match}file.bin"
        if prefix and "static" in route and "service" not in route
        else f"{match}no-such-file"
        if prefix
        else match
    )
    auth = route.get("auth", {})
    headers = []
    if "basic" in auth and not route.get("deny") and "redirect" not in route:
        assert ask(port, path).status == 401
        account = f"{auth['basic']['user']}:{secrets[auth['basic']['secret']]}"
        headers = [f"Authorization: Basic {base64.b64encode(account.encode()).decode()}"]
    got = ask(port, path, *headers)
    wanted = {name.lower(): value for name, value in made.spec.get("http", {}).get("headers", DEFAULT_HEADERS).items()}
    wanted |= {name.lower(): value for name, value in route.get("headers", {}).items()}
    for name, value in wanted.items():
        assert got.all(name) == ([value.encode()] if value else []), (name, value)
    if route.get("deny"):
        assert got.status == route.get("status", 404)
    elif "redirect" in route:
        assert got.status == route.get("status", 308)
        assert got.all("Location") == [route["redirect"].encode()]
    elif "service" in route:
        assert got.status == 200
        target = got.body.split(b" ")[1].decode()
        assert target == ("/no-such-file" if route.get("strip") else path)
        passed = answer(got.body)
        for name, value in route.get("request_headers", {}).items():
            assert passed.all(name) == [value.encode()], (name, value)
    else:
        assert (got.status, got.body) == (200, b"content")


# --- what a build sees


@examples(25)
@given(cases())
def test_a_build_sees_what_its_dockerfile_copies_and_nothing_else(case: Case) -> None:
    made = valid(case)
    assume("dockerignore" not in made.spec.get("extra", {}))
    with written(made.files) as directory:
        for name in ("Dockerfile", "Dockerfile.local"):
            stages = dockerfile.read(os.path.join(directory, name))["stages"]
            copied = {
                os.path.normpath(source)
                for stage in stages
                for instruction in stage["instructions"]
                if instruction["name"] == "COPY" and not instruction["detail"]["From"]
                for source in instruction["detail"]["SourcePaths"]
            }
            tree = os.path.join(directory, "tree")
            never = [".git/HEAD", "node_modules/a.js", "x.log", ".env", "x/.git/HEAD", "x/a.log"]
            grow(tree, {f"{path}/{file}": "" for path in ("", "elsewhere", *copied) for file in (*never, "code.txt")})
            seen = dockerfile.context(tree, os.path.join(directory, f"{name}.dockerignore"))
            inside = {os.path.normpath(f"{path}/code.txt") for path in copied}
            assert {file for file in seen if file.endswith("code.txt")} >= inside
            assert all(any(file.startswith(f"{path}/") or path == "." for path in copied) for file in seen), (
                copied,
                seen,
            )
            assert not [file for file in seen if not file.endswith("code.txt")]
            shutil.rmtree(tree)


# --- the same bytes

WORKER = """\
import sys, os, json, hashlib, time
os.umask(0o077)
sys.path.insert(0, sys.argv[1])
from compiler import pipeline
for line in sys.stdin:
    files = pipeline.compile_spec(line.rstrip("\\n")).files
    print(json.dumps([(f.path, f.mode, hashlib.sha256(f.content.encode()).hexdigest()) for f in files]), flush=True)
"""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Callable[[str], list[list[Any]]]]:
    """Compiles a spec, by its path, in a process with another hash seed, locale, time zone, mask and directory."""
    environment = {"PYTHONHASHSEED": "4242", "LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Chatham", "PATH": os.defpath}
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, root],
        cwd="/",
        env={**environment, "PYTHONUTF8": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def compile_there(path: str) -> list[list[Any]]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(path + "\n")
        process.stdin.flush()
        digests: list[list[Any]] = json.loads(process.stdout.readline())
        return digests

    yield compile_there
    process.communicate(timeout=30)


@examples(40)
@given(case=cases())
def test_the_bytes_are_the_same_in_another_process(case: Case, elsewhere: Callable[[str], list[list[Any]]]) -> None:
    import hashlib

    made = valid(case)
    again = compiled(case)
    assert again.result.files == made.result.files
    with tempfile.TemporaryDirectory() as directory:
        grow(directory, case.tree)
        path = os.path.join(directory, "appos.yaml")
        with open(path, "wb") as file:
            file.write(write(case.spec, case.style))
        here = [[f.path, f.mode, hashlib.sha256(f.content.encode()).hexdigest()] for f in made.result.files]
        assert elsewhere(path) == here


NAMED = frozenset(
    {"artifacts", "services", "volumes", "ports", "secrets", "settings", "environment", "headers", "request_headers"}
    | {"files", "directories", "outputs"}
)
"""Mappings of names of the user's, which keep the order of the spec; in all others the order means nothing.

Nor is the order of the Compose file's own keys ours to change.

Among services that do not wait for each other the first one starts first; the first volume keeps the container's state;
the others are lists to read, which keep the order their author gave them.
"""


def shuffled(data: Any, draw: Callable[[Sequence[Any]], Sequence[Any]], key: str = "") -> Any:
    """The data with the keys of those mappings in another order in which it means nothing."""
    if isinstance(data, list):
        return [shuffled(item, draw) for item in data]
    if not isinstance(data, dict):
        return data
    if key == "docker-compose.yml":
        return data  # added as it is written
    keys = list(data) if key in NAMED else draw(list(data))
    return {name: shuffled(data[name], draw, "" if key in NAMED else name) for name in keys}


@examples(40)
@given(cases(), st.integers(0, 2**16), st.data())
def test_key_order_and_formatting_change_nothing(case: Case, style: int, data: st.DataObject) -> None:
    made = valid(case)
    other = shuffled(case.spec, lambda keys: data.draw(st.permutations(keys)))
    assert compiled(Case(other, case.tree, style)).result.files == made.result.files


def test_the_output_directory_changes_no_byte(tmp_path: Any) -> None:
    spec = tmp_path / "appos.yaml"
    spec.write_bytes(write(minimal("debian"), 1))
    contents = []
    for name in ("here", "there/deeper"):
        (tmp_path / name).mkdir(parents=True)
        command = [sys.executable, "-m", "compiler", "-f", str(spec), "-o", str(tmp_path / name)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": tools.ROOT}
        )
        assert done.returncode == 0, done.stderr
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]


# --- what is wrong is refused, with its place

JUNK: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [None, True, False, 0, -1, 1, 65536, 10**17, "", "a\n", " ", "null", "true", "0", "..", "/", "a b"]
    ),
    st.sampled_from(
        [[], {}, [None], [[]], {"a": 1}, "$", "${", "${x}", "${self.data}", "${setting.LOG_LEVEL}", "/data/a b"]
    ),
    st.sampled_from(PIECES),
    TEXT,
)


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Each place below the data."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield (*path, key)
        yield from places(value, (*path, key))


def mutate(spec: dict[str, Any], draw: Callable[[st.SearchStrategy[Any]], Any]) -> dict[str, Any]:
    """The spec with something wrong with it, most of the time."""
    spec = json.loads(json.dumps(spec))
    for _ in range(draw(st.integers(1, 2))):
        # What stands in raw text is its author's affair, as far as its format cannot be checked without its reader.
        everywhere = [place for place in places(spec) if place[0] != "extra"]
        *parents, key = draw(st.sampled_from(everywhere))
        holder: Any = spec
        for parent in parents:
            holder = holder[parent]
        action = draw(st.sampled_from(["replace", "replace", "rename", "remove", "copy", "move"]))
        if action == "replace":
            holder[key] = json.loads(json.dumps(draw(JUNK)))
        elif action == "remove":
            del holder[key]
        elif action == "rename" and isinstance(holder, dict):
            holder[str(draw(JUNK))] = holder.pop(key)
        elif action == "copy" and isinstance(holder, list):
            holder.append(holder[key])
        elif action == "move":
            other: Any = spec
            for step in draw(st.sampled_from(everywhere)):
                other = (
                    other[step]
                    if isinstance(other, (dict, list))
                    and (step in other if isinstance(other, dict) else step < len(other))
                    else other
                )
            holder[key] = json.loads(json.dumps(other))
        if not spec:
            break
    return spec


def refused_with_its_place(error: SpecError, text: str) -> None:
    lines = text.count("\n") + text.count("\r") + 1
    wrong = [problem for problem in error.problems if problem.severity == "error"]
    assert wrong
    for problem in wrong:
        assert problem.mark is not None, problem
        assert problem.mark.file == "appos.yaml", problem
        assert 1 <= problem.mark.line <= lines, problem
        assert problem.mark.column >= 1, problem


@examples(150)
@given(cases(), st.data())
def test_a_wrong_spec_is_refused_with_its_place_or_every_reader_accepts_it(case: Case, data: st.DataObject) -> None:
    spec = mutate(case.spec, data.draw)
    raw = write(spec, case.style)
    try:
        made = compiled(case._replace(spec=spec), raw=raw)
    except SpecError as error:
        refused_with_its_place(error, raw.decode())
        return
    with written(made.files) as directory:
        accepted(made.result, directory)


@examples(100)
@given(cases(), st.data())
def test_a_text_that_is_broken_is_refused_with_its_place(case: Case, data: st.DataObject) -> None:
    raw = bytearray(write(case.spec, case.style))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(raw)))
        end = min(len(raw), start + data.draw(st.integers(0, 8)))
        raw[start:end] = data.draw(st.one_of(st.binary(max_size=3), st.sampled_from(PIECES).map(str.encode)))
    try:
        compiled(case, raw=bytes(raw) or b"\n")
    except SpecError as error:
        refused_with_its_place(error, load.displayed(bytes(raw)))


# --- what these properties found, each as the smallest spec that showed it


def changed(**fields: Any) -> Case:
    """A small spec with a gateway, with these fields in place of its own."""
    services = {"web": {"command": ["serve"], "port": 5000}, "gate": {"preset": "nginx", "port": 5001}}
    return Case({**minimal("alpine"), "services": services, "routes": {"/": {"service": "web"}}, **fields}, {}, 0)


def one_service(**fields: Any) -> Case:
    """A spec of one service, with these fields."""
    return Case({**minimal("alpine"), "services": {"x": {"command": ["serve"], "port": 5000, **fields}}}, {}, 0)


@pytest.mark.parametrize(
    ("case", "code"),
    [
        # Compose read `y:/data` as a drive of Windows.
        (changed(volumes={"y": {"mount": "/data"}}), "E080"),
        # COPY took the path for a flag.
        (changed(artifacts={"a": {"prebuilt": "--link", "install": "/opt/a"}}), "E024"),
        # What is known only when the container starts became an empty word of the health check.
        (changed(settings={"A": {}}, health={"exec": ["check", "${setting.A}"]}), "E045"),
        # COPY took the image for the first stage.
        (changed(artifacts={"a": {"from": {"image": "0", "path": "/a"}, "install": "/opt/a"}}), "E063"),
        # nginx sent a second one of each, or broke the message.
        (changed(http={"headers": {"content-length": "1"}}), "E079"),
        (changed(routes={"/": {"service": "web", "request_headers": {"Transfer-Encoding": "x"}}}), "E079"),
        # HTTP drops these blanks.
        (changed(http={"headers": {"X-A": " a"}}), "E024"),
        (changed(routes={"/": {"redirect": "/" + "x" * 1000}}), "E026"),
        # The shell refuses to set the one and sets the other itself.
        (one_service(environment={"OPTIND": "a"}), "E086"),
        (one_service(environment={"PWD": "a"}), "E086"),
        # The program got its own variable in the place of the setting.
        (
            Case(
                one_service(command=["serve", "${setting.A}"], environment={"A": "b"}).spec | {"settings": {"A": {}}},
                {},
                0,
            ),
            "E086",
        ),
        # These ended in an exception of Python.
        (Case(minimal("alpine") | {"image": {"base": "alpine:3.22", "budget": {"x": "1MB"}}}, {}, 0), "E020"),
        (changed(volumes={"files": {"mount": "/data", "directories": {"a": {"owner": "root", "y": 1}}}}), "E020"),
    ],
)
def test_what_could_not_arrive_is_refused(case: Case, code: str) -> None:
    with pytest.raises(SpecError) as raised:
        compiled(case)
    assert code in {problem.code for problem in raised.value.problems}
    refused_with_its_place(raised.value, write(case.spec, case.style).decode())


def test_a_cache_directory_with_a_comma_is_refused() -> None:
    build = {"image": "golang:1.26-alpine", "source": "a", "run": ["x"], "output": "o", "cache": ["/a,b"]}
    with pytest.raises(SpecError):
        compiled(changed(artifacts={"a": {"build": build, "install": "/opt/a"}}))


def test_an_application_called_off_keeps_its_password(echo: Echo) -> None:
    auth = {"basic": {"user": "a", "secret": "token"}}
    made = compiled(changed(name="off", secrets={"token": {}}, routes={"/": {"service": "web", "auth": auth}}))
    with written(made.files) as directory:
        conf = os.path.join(directory, "nginx.conf")
        with nginx.serve(
            conf, files={"/run/off/gate/accounts-a-token": "a:{PLAIN}b\n"}, ports={5000: echo.port}
        ) as server:
            assert ask(server.ports[5001], "/").status == 401


@pytest.mark.parametrize("name", ["null", "true", "no", "on", "y"])
def test_names_that_yaml_has_another_meaning_for_stay_names(name: str) -> None:
    volumes = {"null": {"mount": "/data"}}
    made = compiled(
        Case({**minimal("alpine"), "name": name, "settings": {name: {"default": "x"}}, "volumes": volumes}, {}, 0)
    )
    with written(made.files) as directory:
        project = compose.read(os.path.join(directory, "docker-compose.yml"))
    assert project["services"][name]["environment"] == {name: "x"}
    assert list(project["volumes"]) == ["null"]


def test_an_empty_list_stays_one() -> None:
    extra: Any = {"docker-compose.yml": {"service": {"dns": [], "x-a": {}}}}
    assert "    dns: []\n    x-a: {}\n" in compiled(changed(extra=extra)).files["docker-compose.yml"].content


@pytest.mark.parametrize("sh", shell.SHELLS)
@pytest.mark.parametrize(
    "fields",
    [
        # A shell would take these for what they are called.
        {"command": ["log", "a"], "once": True},
        {"command": ["A=1", "a"], "once": True},
        {"ready": {"exec": ["secret", "a"]}, "secrets": ["token"]},
        # A here-document ends in a line end.
        {"files": {"a": {"content": "no line end"}, "b": {"content": "${secret.token}"}, "c": {"content": ""}}},
        {"files": {"a": {"content": "E®\n${self.name}\n"}, "b": {"content": "é\nEND®\n"}}},
        {"command": ["serve", "$${${self.name}}"]},
    ],
)
def test_a_service_gets_what_it_was_given(sh: str, fields: dict[str, Any]) -> None:
    spec = one_service(**fields).spec | {"secrets": {"token": {}}}
    if fields.get("once"):
        spec["services"]["y"] = {"command": ["serve"], "port": 5002}
    made = compiled(Case(spec, {}, 0))
    with box(made) as sandbox:
        gets_what_the_spec_says(made, "x", sandbox, sh)


def test_a_service_that_is_started_again_can_write_its_read_only_files() -> None:
    made = compiled(one_service(files={"a": {"content": "a\n", "mode": "0400"}}))
    assert 'rm -f "$run/a"\n' in made.files["start-service.sh"].content


def test_a_request_header_of_ones_own_is_sent_once(echo: Echo) -> None:
    made = compiled(changed(routes={"/": {"service": "web", "request_headers": {"host": "a", "X-Real-IP": "b"}}}))
    with (
        written(made.files) as directory,
        nginx.serve(os.path.join(directory, "nginx.conf"), ports={5000: echo.port}) as server,
    ):
        passed = answer(ask(server.ports[5001], "/").body)
    assert (passed.all("Host"), passed.all("X-Real-IP")) == ([b"a"], [b"b"])


def test_a_route_can_remove_every_header(echo: Echo) -> None:
    made = compiled(changed(http={"headers": {"X-A": "a"}}, routes={"/": {"service": "web", "headers": {"x-a": ""}}}))
    with (
        written(made.files) as directory,
        nginx.serve(os.path.join(directory, "nginx.conf"), ports={5000: echo.port}) as server,
    ):
        assert ask(server.ports[5001], "/").all("X-A") == []


def test_the_longest_header_of_dollar_signs_fits(echo: Echo) -> None:
    made = compiled(changed(http={"headers": {"X-A": "$" * 1000}}))
    with (
        written(made.files) as directory,
        nginx.serve(os.path.join(directory, "nginx.conf"), ports={5000: echo.port}) as server,
    ):
        assert ask(server.ports[5001], "/").all("X-A") == [b"$" * 1000]


def test_an_architecture_is_told_from_what_follows_it() -> None:
    sums = {"amd64": "0" * 64, "arm64": "1" * 64}
    fetch = {"url": "https://example.org/tool_{arch}_linux", "sha256": sums}
    made = compiled(changed(artifacts={"tool": {"fetch": fetch, "install": "/opt/tool"}}))
    with written(made.files) as directory:
        commands = dockerfile.read(os.path.join(directory, "Dockerfile"))["commands"]
    assert "https://example.org/tool_amd64_linux" in {fetched(command["args"][2]) for command in commands}


@pytest.mark.parametrize(("text", "size"), [("1.005MB", 1_005_000), ("4.35KB", 4350), ("0.125GiB", 2**27), ("0.1B", 0)])
def test_sizes_are_exact(text: str, size: int) -> None:
    assert values.size(text) == size
