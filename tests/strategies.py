"""Random specs that are valid, over every field of the schema, and the texts they are written as."""

from __future__ import annotations

import json
import os
import random
import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from hypothesis import strategies as st

from compiler import load, pipeline, presets
from compiler.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Make = Callable[["Maker"], Any]
    Data = dict[str, Any]

OMIT: Any = object()
"""What a field's strategy answers where the field would be wrong."""


class Case(NamedTuple):
    """A valid spec as data, the files of the tree that it names as templates, and the seed of how it is written."""

    spec: Data
    tree: dict[str, str]
    style: int


# --- texts

PIECES = (
    *("'", '"', "\\", " ", "  ", "$", "$$", "${", "${x}", "$${x}", "$x", "$(id)", "`id`", "%", "%%", "%(ENV_X)s", "%s"),
    *("#", " #", ";", " ;", "; ", "{{ x }}", "{% x %}", "{# x #}", "{* x *}", "{", "}", "{}", "[", "]", "(", ")"),
    *("\n", "\n\n", "\t", "\r", "\r\n", "\\\n", "\nEND\n", "END", "\nEND_\n", "<<EOF", "<<", ">", "<", "|", "&", "&&"),
    *("~", "!", "*", "?", "-", "--", "-n", "=", ":", ": ", ",", "@", "^", "/", ".", "..", "\\n", "\\$", "\\\\", '\\"'),
    *("é", "ß", "日本", "😀", "👩\u200d💻", "e\u0301", "\xa0", "\u3000", "a", "B", "x y", "0", "null", "true", "1e3"),
)
_ALPHABET = st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"])
_CONTROLS = str.maketrans(dict.fromkeys("\n\r\t", " "))

TEXT = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=6).map("".join),
    st.sampled_from(["", "info", "a b", "-", "-x", "~", "~root", " a", "a ", "\n", "a\n", "\\", "a\\", "'", "END"]),
    st.text(_ALPHABET, max_size=8),
    st.tuples(st.sampled_from(PIECES), st.integers(100, 4000)).map(lambda pair: (pair[0] * pair[1])[:4000]),
)
LINE = TEXT.map(lambda text: text.translate(_CONTROLS))


def literal(text: str) -> str:
    """The text as it is written where references are replaced."""
    return text.replace("${", "$${")


# --- names; those that YAML or a shell might take for something else are among them

NAMES = ("app", "my-app", "a_b", "x1", "null", "true", "no", "on", "y", "n", "off", "yes", "false", "a-b_c")
SERVICES = (
    "api",
    "web",
    "null",
    "true",
    "y",
    "no",
    "job-1",
    "s_2",
    "x",
    "on",
    "worker-with-a-rather-long-name-of-40chr",
)
PROGRAMS = ("serve", "run-it", "x@y+z", "p.1", "log", "after", "A=1", "secret")
USERS = ("root", "app", "www", "_x", "a-b", "u_1", "y", "null")
ARTIFACTS = ("ui", "tool", "no", "lib_a")
VOLUMES = ("files", "null", "on", "kept-1")
MOUNTS = ("/mnt/data", "/srv/it", "/var/lib/x@1,a=b", "/opt/v+w.d")
SECRETS = ("token", "key_1", "null", "y")
SETTINGS = ("LOG_LEVEL", "null", "N", "no", "True", "_X", "lower", "MiXeD_1", "OFF", "E1")
VARIABLES = ("A", "LOG_LEVEL", "http_proxy", "_x", "TMPDIR", "LANG", "PS1", "y", "null", "CDPATH", "TERM", "A1", "PS4")
PORTS = ("http", "null", "dns-1", "y")
BUILD_VARIABLES = ("CGO_ENABLED", "NODE_ENV", "A", "path", "X_1")
HEADERS = (
    "X-A",
    "Strict-Transport-Security",
    "Content-Security-Policy",
    "x-frame-options",
    "X-B-1",
    "Permissions-Policy",
)
REQUEST_HEADERS = ("X-Real-Name", "Authorization", "X-Token", "x-b", "Host", "X-Forwarded-Proto", "Accept-Encoding")
ROUTES = (
    "/api/",
    "/api",
    "/live",
    "/a.b",
    "/a(b)*+,=:@!&~/",
    "/x/y/",
    "/assets/",
    "/static.d",
    "/-/",
    "/api/v1/",
    "/=",
)
ROOTS = ("/usr/share/www", "/srv/pages", "/opt/a+b,c=d@e.f")
DURATIONS = ("1ms", "999ms", "1500ms", "1s", "10s", "2m", "59m")
SIZES = ("1B", "999B", "64KB", "1MB", "1.5MB", "0.125MB", "100MiB", "4.35KB", "1.005MB", "2GiB")
SOURCES = ("conf", "a/b.conf", "etc/x-1/y_2.d", "./conf", "a/./b", "a@1/b+2", "x.-/--y", ".hidden/a")
PATHS = ("/opt/a", "/usr/local/bin/tool", "/srv/www", "/opt/x@1/y+2,z=3", "/a.b/c")
IMAGES = (
    "golang:1.22-alpine",
    "node:22-bookworm-slim",
    "ghcr.io/a/b:1.0",
    "debian:bookworm-slim",
    "alpine@sha256:" + "0" * 64,
)
BASES = {
    "alpine": ("alpine:3.19", "alpine", "alpine:3.22", "python:3.12-alpine", "alpine:3.21@sha256:" + "a" * 64),
    "debian": ("debian:bookworm-slim", "ubuntu:24.04", "node:22-bookworm-slim", "debian:13"),
}
ADDRESSES = ("127.0.0.1", "0.0.0.0", "::1", "::", "10.1.2.3")  # noqa: S104 - a value for the spec, nothing listens
TRUSTED = ("10.0.0.0/8", "127.0.0.1", "::1", "fd00::/8", "192.168.1.1")
COMMANDS = (
    *("npm ci", "go build -o main .", "echo 'a b' \"$HOME\" `id` $(id)", "printf '%s\\n' {a,b} | sort", "true # no"),
    *(
        "a \\\n  && b",
        "cat <<EOF\nx\nEOF",
        "echo \\",
        "[ -e x ]",
        "--flag",
        "# c",
        "x\ty",
        'a "b\\"c" \\$d',
        " x ",
        "a\r\nb",
    ),
    *(
        "echo '\\n' \\\\",
        "é 😀 \xa0",
        "if true; then\n  :\nfi",
        "\n",
        "echo a\n",
        "<<x",
        "@{{ x }}%%",
        "set -x;; y",
        "[",
    ),
)
DOCKERFILE_EXTRA = (
    "RUN echo 'a b' >/x\n",
    "ENV X_EXTRA=1 \\\n    Y_EXTRA=2",
    "# a comment\nRUN true",
    "LABEL x.y=b\n\n",
)


@cache
def usable_presets(family: str) -> tuple[str, ...]:
    """The presets that need nothing but a port on a base of this family."""
    usable = []
    for name in presets.names():
        spec = minimal(family) | {"services": {"x": {"preset": name, "port": 5000}}}
        try:
            pipeline.compile_document(load.parse(json.dumps(spec).encode(), "appos.yaml"), os.curdir)
        except SpecError:
            continue
        usable.append(name)
    return tuple(usable)


def minimal(family: str) -> Data:
    """The smallest spec."""
    return {"version": 1, "name": "app", "image": {"base": BASES[family][0]}, "services": {"x": {"command": ["x"]}}}


# --- the generator


class Maker:
    """Draws one spec: first what there is, so that fields can refer to it, then the fields."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.draw = draw
        self.tree: dict[str, str] = {}
        self.family = self.one(("alpine", "debian"))
        self.name = self.one(NAMES)
        self.mounts = dict(zip(self.some(VOLUMES, 0, 2), self.some(MOUNTS, 2, 2), strict=False))
        self.secrets = self.some(SECRETS, 0, 2)
        self.settings = self.some(SETTINGS, 0, 3)
        self.artifacts = dict(zip(self.some(ARTIFACTS, 0, 2), self.some(PATHS, 2, 2), strict=False))
        self.database = bool(self.mounts) and self.chance(4)
        self.services: dict[str, Data] = {}
        names = self.some(SERVICES, 1, 4)
        for number, name in enumerate(names):
            self.services[name] = self._outline(name, number, names)
        self.service = ""
        self.route: Data = {}
        self.targets: set[str] = set(self.artifacts.values())

    def _outline(self, name: str, number: int, names: Sequence[str]) -> Data:
        """What other parts of the spec need to know of a service."""
        preset = self.one(usable_presets(self.family)) if self.chance(4) else ""
        gateway = number == len(names) - 1 and self.chance(2)
        if gateway:
            preset = "nginx" if self.chance(2) else ""
        elif preset == "nginx":
            preset = ""
        once = number > 0 and not preset and not gateway and self.chance(6)
        protocol = self.one(("http", "http", "fastcgi", "tcp", "udp"))
        user = "root" if gateway else self.one(USERS)
        port = self.one((80, 443)) if user == "root" and not preset and self.chance(4) else 0
        port = 5000 + number if not port or any(s["port"] == port for s in self.services.values()) else port
        if not preset and not gateway and self.chance(4):
            port = None
        known = None if preset else protocol
        after = self.some(names[:number], 0, 2) if number else []
        return {"name": name, "preset": preset, "gateway": gateway, "once": once, "protocol": known, "port": port} | {
            "user": user,
            "after": after,
        }

    def one(self, values: Sequence[Any]) -> Any:
        """One of the values."""
        return self.draw(st.sampled_from(values))

    def chance(self, of: int) -> bool:
        """True once in so many times."""
        return bool(self.draw(st.integers(0, of - 1)) == of - 1)

    def number(self, low: int, high: int) -> int:
        """A whole number."""
        return int(self.draw(st.integers(low, high)))

    def some(self, values: Iterable[Any], low: int, high: int) -> list[Any]:
        """Some of the values, each once."""
        known = list(values)
        high = min(high, len(known))
        return list(
            self.draw(st.lists(st.sampled_from(known), min_size=min(low, high), max_size=high, unique=True))
            if known
            else []
        )

    def line(self, longest: int = 1000) -> str:
        """One line of nasty text."""
        return str(self.draw(LINE))[:longest]

    def header(self) -> str:
        """A value of a header: blanks at its ends are no part of one, and empty it means something else."""
        return self.line(1000).strip(" ") or "x"

    def value(self, *, secrets: bool = True, settings: bool = True) -> str:
        """A text in which references are replaced, with some."""
        text = literal(str(self.draw(TEXT)))
        if self.chance(2):
            kinds = [name for name in self.references() if not name.startswith("secret.") or secrets]
            kinds = [name for name in kinds if not name.startswith("setting.") or settings]
            # A dollar sign just before a reference would make it a literal one.
            text = f"{text.rstrip('$')}${{{self.one(kinds)}}}{literal(str(self.draw(TEXT)))}"
        return text

    def references(self) -> Iterator[str]:
        """The names that can be referred to."""
        yield "app.name"
        yield from (f"secret.{name}" for name in self.secrets)
        yield from (f"setting.{name}" for name in self.settings)
        yield from (f"volume.{name}" for name in self.mounts)
        yield from (f"artifact.{name}" for name in self.artifacts)
        if self.database:
            yield "database"
        if len(self.services) > 1:
            yield "services"
        for name, service in self.services.items():
            yield f"service.{name}.host"
            if service["port"]:
                yield from (f"service.{name}.port", f"service.{name}.address")
        if self.service:
            yield from ("self.name", "self.run", "self.host")
            if not self.services[self.service]["preset"]:
                yield "self.user"
            if self.services[self.service]["port"]:
                yield from ("self.port", "self.address")

    def fill(self, where: str, *needed: str) -> Data:
        """An object of the schema with the fields that are needed and some of the others, in any order."""
        made: Data = {}
        fields = FIELDS[where]
        for field in self.draw(st.permutations(list(fields))) if self.chance(3) else fields:
            if field in needed or self.chance(2):
                value = fields[field](self)
                if value is not OMIT:
                    made[field] = value
        if where in FREE and self.chance(8):
            made["x-note"] = self.one(({"a": [1, None]}, "text", True, self.line(100)))
        return made

    def free(self, path: str) -> bool:
        """Whether nothing was installed at the path yet; now something is."""
        known = path in self.targets
        self.targets.add(path)
        return not known


def _each(names: Iterable[str], make: Callable[[str], Data]) -> Data:
    """A mapping of these names; nothing for none."""
    made = {name: make(name) for name in names}
    return made or OMIT


def _service(m: Maker, name: str) -> Data:
    m.service = name
    made = m.fill(
        "service",
        *(("preset", "port") if m.services[name]["preset"] else ("command", "port", "user", "protocol", "gateway")),
        "after",
    )
    m.service = ""
    return made


def _routes(m: Maker) -> Any:
    if not any(service["gateway"] for service in m.services.values()):
        return OMIT
    return _each(("/", *m.some(ROUTES, 0, 5)), lambda match: _route(m, match))


def _route(m: Maker, match: str) -> Data:
    reachable = [s["name"] for s in m.services.values() if s["port"] and s["protocol"] == "http" and not s["gateway"]]
    scripted = [s["name"] for s in m.services.values() if s["port"] and s["protocol"] == "fastcgi" and not s["gateway"]]
    kinds = [
        "static",
        "redirect",
        "deny",
        *(["service"] * 3 if reachable else []),
        *(["script"] if scripted and match.endswith("/") else []),
    ]
    m.route = {"match": match, "kind": m.one(kinds), "reachable": reachable, "scripted": scripted}
    if m.route["kind"] == "service" and match.endswith("/") and m.chance(4):
        m.route["kind"] = "both"
    return m.fill("route", "static", "service", "redirect", "deny", "script")


def _in_route(make: Make, *kinds: str, prefix: bool = False) -> Make:
    """A field that only some kinds of routes have."""

    def made(m: Maker) -> Any:
        if m.route["kind"] not in kinds or (prefix and not m.route["match"].endswith("/")):
            return OMIT
        return make(m)

    return made


def _status(m: Maker) -> Any:
    if m.route["kind"] not in ("redirect", "deny"):
        return OMIT
    return m.one((301, 302, 303, 307, 308) if m.route["kind"] == "redirect" else (403, 404, 410))


def _auth(m: Maker) -> Any:
    asked = [s["name"] for s in m.services.values() if s["port"] and s["protocol"] == "http" and not s["gateway"]]
    choices = [*(["basic"] if m.secrets else []), *(["request"] if asked else [])]
    if not choices:
        return OMIT
    return m.fill("route.auth", m.one(choices)) or OMIT


def _one_auth(kind: str) -> Make:
    def made(m: Maker) -> Any:
        return OMIT if m.route.get("auth", kind) != kind else _chosen_auth(m, kind)

    return made


def _chosen_auth(m: Maker, kind: str) -> Any:
    asked = [s["name"] for s in m.services.values() if s["port"] and s["protocol"] == "http" and not s["gateway"]]
    if (kind == "basic" and not m.secrets) or (kind == "request" and not asked):
        return OMIT
    m.route["auth"] = kind
    return m.fill(f"route.auth.{kind}", "user", "secret", "service", "path")


def _files(m: Maker) -> Any:
    made = {}
    for name in m.some(("app.conf", "a+b", "-x", "@c.d"), 0, 2):
        made[name] = _file(m, "content", "template")
    for mount in m.some(m.mounts.values(), 0, 1):
        made[f"{mount}/{m.service}.conf"] = _file(m, "content")
    if m.chance(4) and m.free(f"/etc/{m.service}.conf"):
        made[f"/etc/{m.service}.conf"] = _file(m, "source")
    return made or OMIT


def _file(m: Maker, *kinds: str) -> Data:
    kind = m.one(kinds)
    made: Data = {kind: FIELDS["file"][kind](m)}
    if m.chance(2):
        made["mode"] = FIELDS["file"]["mode"](m)
    return made


def _content(m: Maker) -> str:
    lines = [m.value() for _ in range(m.number(0, 3))]
    return str(m.one(("\n", "\r\n", ""))).join(lines) + str(m.one(("", "\n", "\n\n")))


def _template(m: Maker) -> str:
    path = f"{m.one(('conf', 'etc/x'))}/{m.service}-{len(m.tree)}.tmpl"
    m.tree[path] = _content(m)
    return path


def _ready(m: Maker) -> Any:
    service = m.services[m.service]
    if service["once"]:
        return OMIT
    kind = m.one(("tcp", "exec", *(["http"] if service["port"] and service["protocol"] == "http" else [])))
    made = {kind: FIELDS["ready"][kind](m)}
    if m.chance(2):
        made["timeout"] = FIELDS["ready"]["timeout"](m)
    return made


def _alive(m: Maker) -> Any:
    service = m.services[m.service]
    if service["once"]:
        return OMIT
    if len(m.services) == 1:
        return False
    if m.chance(4):
        return m.chance(2)
    over_http = service["port"] and not service["preset"] and service["protocol"] == "http"
    m.route = {"question": m.one(("http", "http", "http", "tcp", "exec", "") if over_http else ("tcp", "exec", ""))}
    return m.fill("alive", m.route["question"]) or OMIT


def _question(kind: str, make: Make) -> Make:
    """A way to ask, of which there is one at most."""
    return lambda m: make(m) if m.route["question"] == kind else OMIT


def _verify(m: Maker) -> Any:
    return OMIT if m.services[m.service]["once"] else m.fill("verify")


def _command(m: Maker) -> Any:
    if m.services[m.service]["preset"]:
        return OMIT
    words = [m.value() for _ in range(m.number(0, 4))]
    return [m.one(PROGRAMS), *words, *m.some((0, 7, True, False), 0, 1)]


def _environment(m: Maker) -> Any:
    return {
        name: m.one((m.value(), m.number(-3, 10**9), True)) if m.chance(5) else m.value()
        for name in m.some(VARIABLES, 0, 4)
    }


def _of_service(field: str, *, preset: bool = False) -> Make:
    """A field of a service that was decided before."""

    def made(m: Maker) -> Any:
        service = m.services[m.service]
        return OMIT if (service["preset"] and not preset) or service[field] in (None, "", False) else service[field]

    return made


def _gateway(m: Maker) -> Any:
    service = m.services[m.service]
    return m.fill("service.gateway", "server", "user") if service["gateway"] and not service["preset"] else OMIT


def _data(m: Maker) -> Any:
    if m.services[m.service]["preset"]:
        return True
    return m.one((True, False, *(f"{mount}/{m.service}" for mount in m.mounts.values())))


def _artifact(m: Maker, name: str) -> Data:
    libc = m.one(("", "static", "glibc") if m.family == "debian" else ("", "static", "musl", "glibc"))
    m.route = {
        "artifact": name,
        "kind": m.one(("build", "from", "fetch", "prebuilt")),
        "libc": libc,
        "packed": m.one(("", "", "precompress", *(("zstd", "xz") if m.mounts else ()))),
    }
    needed = ("build", "from", "fetch", "prebuilt", "install", "libc", "libraries", "compress", "precompress")
    return m.fill("artifact", *needed)


def _in_artifact(make: Make, *kinds: str) -> Make:
    def made(m: Maker) -> Any:
        return make(m) if m.route["kind"] in kinds else OMIT

    return made


def _libc(m: Maker) -> Any:
    return m.route["libc"] or OMIT


def _libraries(m: Maker) -> Any:
    wanted = m.route["libc"] == "glibc" and m.family == "alpine"
    return m.one(("debian:bookworm-slim", "ubuntu:24.04", "ghcr.io/a/b:1")) if wanted else OMIT


def _fetch(m: Maker) -> Data:
    several = m.chance(2)
    m.route["several"], m.route["unpack"] = several, m.chance(2)
    return m.fill("fetch", "url", "sha256", "unpack")


def _url(m: Maker) -> str:
    arch = "_{arch}_linux" if m.route["several"] else ""
    return str(
        m.one(
            (
                "https://example.org/a{}.tar.gz",
                "http://[::1]:8080/x;y&z=(1)*!#a%20b{}",
                "https://e.org/{{x}}[1-2]{}",
                "https://e.org/a+b,c@d~e{}v1",
            )
        ).format(arch)
    )


def _sha256(m: Maker) -> Any:
    sums = {"amd64": "0" * 64, "arm64": "f" * 64}
    return {name: sums[name] for name in m.fill("fetch.sha256", *sums)} if m.route["several"] else sums["amd64"]


def _packages(m: Maker) -> list[str]:
    return m.some(("curl", "ca-certificates", "git=2.43.0-r0", "bash~5", "libstdc++", "g++>=13", "nginx@edge"), 0, 3)


def _removed(m: Maker) -> list[str]:
    return m.some(("/usr/share/doc", "/var/lib/x/*", "/etc/.pwd.lock", "/opt/w@1/a?.b=c,d", "/usr/*/man"), 0, 3)


def _trim(m: Maker) -> Any:
    """Not where another than the supervisor uses Python."""
    presets_of_python = ("gunicorn", "uvicorn")
    used = any(service["preset"] in presets_of_python for service in m.services.values())
    return OMIT if used or len(m.services) == 1 else m.chance(2)


def _compress(m: Maker) -> Any:
    """A single file that can be unpacked somewhere."""
    return m.route["packed"] if m.route["packed"] in ("zstd", "xz") else OMIT


def _unpacked_onto(m: Maker) -> Any:
    return m.one(list(m.mounts)) if m.route["packed"] in ("zstd", "xz") else OMIT


def _smoke(m: Maker) -> Any:
    return m.one((OMIT, ["--version"], ["/usr/local/bin/it's", "-c", "$HOME \\ '"]))


def _precompress(m: Maker) -> Any:
    return True if m.route["packed"] == "precompress" else m.one((False, OMIT))


def _fetch_path(m: Maker) -> Any:
    return m.one(SOURCES[:6]) if m.route["unpack"] else OMIT


def _health(m: Maker) -> Data:
    ask = [s for s in m.services.values() if s["port"] and s["protocol"] == "http"]
    kind = m.one(("exec", "none", *(["http"] if ask else [])))
    made = m.fill("health", *(() if kind == "none" else (kind,)))
    if kind != "exec":
        made.pop("exec", None)
    if kind != "http":
        made.pop("http", None)
    return made or OMIT


def _ports(m: Maker) -> Any:
    made = {}
    for number, name in enumerate(m.some(PORTS, 0, 3)):
        service = m.one(list(m.services))
        m.route = {"publish": 9000 + number, "service": service, "variable": f"PORT_{number}"}
        made[name] = m.fill("port_mapping", "publish", "service", *(() if m.services[service]["port"] else ("target",)))
    return made or OMIT


def _volumes(m: Maker) -> Any:
    made = {}
    for number, (name, mount) in enumerate(m.mounts.items()):
        m.route = {"mount": mount, "variable": f"VOLUME_{number}"}
        made[name] = m.fill("volume", "mount")
    return made or OMIT


def _directories(m: Maker) -> Any:
    inner = m.some(("a", "b/c", "d@1+2", "_e.f"), 0, 2)
    return _each(inner, lambda _: m.one(USERS) if m.chance(2) else m.fill("volume.directories", "owner"))


def _compose_service(m: Maker) -> Data:
    """Keys of the service; Compose itself fills in variables, so that dollar signs are doubled."""

    def text() -> str:
        return m.line(200).replace("$", "$$")

    pool: Data = {
        "hostname": "a-b",
        "labels": {m.line(50).replace("$", "") or "a": text(), "org.example": 1},
        "environment": {"EXTRA_1": text(), "EXTRA_2": None},
        "ports": ["127.0.0.1:9999:9999"],
        "command": [text(), "x"],
        "volumes": ["/etc/localtime:/etc/localtime:ro"],
        "cap_add": ["NET_RAW"],
        "restart": "no",
        "init": True,
        "mem_limit": 12345678,
        "dns": [],
        "tmpfs": ["/x"],
        "x-note": {"a b": [1, {"c": None}]},
    }
    return {key: pool[key] for key in m.some(list(pool), 1, 4)}


def _outputs(m: Maker) -> Any:
    made: Data = dict.fromkeys(m.some((".dockerignore", ".env", "docker-compose.yml"), 0, 1), False)
    if m.chance(3) and ".env" not in made:
        m.tree["own.env.j2"] = "# {{ app.name }}\nOWN=1\n"
        made[".env"] = "own.env.j2"
    if m.chance(4):
        made["Dockerfile"] = True
    return made or OMIT


def _pick(*values: Any) -> Make:
    return lambda m: m.one(values)


def _list(values: Sequence[Any], high: int = 3) -> Make:
    return lambda m: m.some(values, 0, high)


def _flag(m: Maker) -> bool:
    return m.chance(2)


FIELDS: dict[str, dict[str, Make]] = {
    "": {
        "version": lambda _: 1,
        "name": lambda m: m.name,
        "description": Maker.line,
        "output": _pick("build", "out/x", ".", "./b", "a.b/c-d", "x/--y"),
        "image": lambda m: m.fill("image", "base", "family"),
        "artifacts": lambda m: _each(m.artifacts, lambda name: _artifact(m, name)),
        "services": lambda m: _each(m.services, lambda name: _service(m, name)),
        "routes": _routes,
        "http": lambda m: m.fill("http"),
        "volumes": _volumes,
        "database": lambda m: m.fill("database", "file", "owner") if m.database else OMIT,
        "ports": _ports,
        "secrets": lambda m: _each(m.secrets, lambda name: _secret(m, name)),
        "settings": lambda m: _each(m.settings, lambda _: m.fill("setting")),
        "health": _health,
        "limits": lambda m: m.fill("limits"),
        "hooks": lambda m: m.fill("hooks"),
        "extra": lambda m: m.fill("extra"),
        "outputs": _outputs,
        "silence": lambda m: [m.fill("silence", "code", "reason") for _ in range(m.number(0, 2))],
    },
    "image": {
        "base": lambda m: m.one(BASES[m.family]),
        "family": lambda m: m.family,
        "name": _pick("a/b", "reg.example:5000/x/y-z", "app"),
        "tag": _pick("latest", "1.0", 3, "v1_2-x"),
        "packages": _packages,
        "labels": lambda m: {
            name: m.one((m.line(4000), 5, True))
            for name in m.some(("a", "org.opencontainers.image.title", "b-c.d"), 0, 3)
        },
        "remove": _removed,
        "timezone": _pick("Europe/Berlin", "UTC", "Etc/GMT+3"),
        "trim": _trim,
        "platforms": _list(("linux/amd64", "linux/arm64")),
        "budget": lambda m: m.fill("image.budget") or "100MB",
    },
    "image.budget": {
        "uncompressed": _pick(*SIZES),
        "compressed": _pick(*SIZES),
        "services": lambda m: {
            name: m.one(SIZES) if m.chance(2) else m.fill("image.budget.services") or "1MB"
            for name in m.some(m.services, 1, 2)
        },
    },
    "image.budget.services": {"uncompressed": _pick(*SIZES), "compressed": _pick(*SIZES)},
    "artifact": {
        "build": _in_artifact(lambda m: m.fill("build", "image", "source", "run", "output"), "build"),
        "from": _in_artifact(lambda m: m.fill("artifact.from", "image", "path"), "from"),
        "fetch": _in_artifact(_fetch, "fetch"),
        "prebuilt": _in_artifact(_pick(*SOURCES), "prebuilt", "build", "from"),
        "install": lambda m: m.artifacts[m.route["artifact"]],
        "owner": _pick(*USERS),
        "mode": _pick("755", "0644", "1777"),
        "libc": _libc,
        "libraries": _libraries,
        "precompress": _precompress,
        "compress": _compress,
        "volume": _unpacked_onto,
        "smoke": _smoke,
        "uninspected": _list(("prebuilds/*", "a+b/**/c.node", "x")),
    },
    "artifact.from": {"image": _pick(*IMAGES), "path": _pick(*PATHS)},
    "build": {
        "image": _pick(*IMAGES[:2]),
        "source": _pick(*SOURCES),
        "packages": _packages,
        "manifests": _list(("package.json", "a/b.lock", "go.sum")),
        "environment": lambda m: {name: m.one((m.line(4000), 1, False)) for name in m.some(BUILD_VARIABLES, 0, 3)},
        "prepare": _list(COMMANDS),
        "run": lambda m: m.some(COMMANDS, 1, 3),
        "cache": _list(("npm", "go", "pip", "cargo", "/root/.cache/x", "/a@b+c=d")),
        "output": _pick("main", "dist", "a/./b", "x+y@z"),
    },
    "fetch": {"url": _url, "sha256": _sha256, "unpack": lambda m: m.route["unpack"], "path": _fetch_path},
    "fetch.sha256": {"amd64": lambda _: "0" * 64, "arm64": lambda _: "f" * 64},
    "service": {
        "preset": _of_service("preset", preset=True),
        "command": _command,
        "user": _of_service("user"),
        "directory": _pick("/srv/work", "/opt/x@1/y+2"),
        "environment": _environment,
        "port": _of_service("port", preset=True),
        "protocol": _of_service("protocol"),
        "gateway": _gateway,
        "after": _of_service("after", preset=True),
        "ready": _ready,
        "alive": _alive,
        "stop": lambda m: m.fill("service.stop"),
        "restart": lambda m: OMIT if m.services[m.service]["once"] else m.one(("always", "on-failure", "never")),
        "once": lambda m: m.services[m.service]["once"],
        "critical": _flag,
        "memory": _pick("64MB", "1.5MB", "128MiB"),
        "data": _data,
        "secrets": lambda m: m.some(m.secrets, 0, 2),
        "files": _files,
        "packages": _packages,
        "remove": _removed,
        "capabilities": _list(("NET_BIND_SERVICE", "SYS_NICE", "CHOWN")),
        "writable": _list(("/var/cache/x", "/opt/w@1", "/var/log/y")),
        "accounts": _list(("www", "redis-x", "app")),
        "verify": _verify,
    },
    "service.gateway": {"server": lambda _: "nginx", "user": _pick("www", "root", "nginx")},
    "service.stop": {
        "signal": _pick("TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "WINCH"),
        "grace": _pick(*DURATIONS),
    },
    "ready": {
        "http": _pick("/", "/health", "/a?b=c&d=%20;e", "/(x)*!,:@~'".replace("'", "")),
        "tcp": _pick(5000, 1, 65535),
        "exec": lambda m: [m.one(PROGRAMS), *(m.value() for _ in range(m.number(0, 3)))],
        # Long enough for a program that is started by a test on a busy machine.
        "timeout": _pick("60500ms", "2m", "1h"),
    },
    "alive": {
        "http": _question("http", _pick("/livez", "/a?b=c&d=%20;e")),
        "tcp": _question("tcp", _pick(5000, 65535)),
        "exec": _question("exec", lambda m: [m.one(PROGRAMS), *(m.value() for _ in range(m.number(0, 3)))]),
        "every": _pick(*DURATIONS),
        "timeout": _pick(*DURATIONS),
        "failures": _pick(1, 3, 100),
    },
    "verify": {
        "write": lambda m: ["sh", "-c", m.value(secrets=False), *m.some((0, 7, True), 0, 1)],
        "read": lambda m: [m.one(PROGRAMS), m.value(secrets=False)],
        "damage": lambda m: m.some(("${self.run}/*.log", "/data/x y/[a-z]*", "/a"), 0, 3),
    },
    "file": {
        "content": _content,
        "template": _template,
        "source": _pick(*SOURCES[:6]),
        "mode": _pick("0600", "0644", "755", "0400", "1700"),
    },
    "route": {
        "static": _in_route(lambda m: m.one((*ROOTS, *m.artifacts)), "static", "script", "both"),
        "spa": _in_route(_flag, "static", prefix=True),
        "assets": _in_route(_pick("assets/", "a/b.c_d-e/"), "static", prefix=True),
        "max_age": _in_route(_pick("0s", "24h", *DURATIONS), "static", "both", "script"),
        "service": _in_route(
            lambda m: m.one(m.route["scripted" if m.route["kind"] == "script" else "reachable"]),
            "service",
            "script",
            "both",
        ),
        "script": _in_route(_pick("index.php", "a/b-c.php"), "script"),
        "strip": _in_route(_flag, "service", prefix=True),
        "websocket": _in_route(_flag, "service", "both"),
        "stream": _in_route(_flag, "service", "script", "both"),
        "timeout": _in_route(_pick(*DURATIONS), "service", "script", "both"),
        "max_body": _in_route(_pick("0B", *SIZES), "service", "script", "both"),
        "headers": lambda m: {name: m.one((m.header(), m.header(), "")) for name in m.some(HEADERS, 0, 3)},
        "request_headers": _in_route(
            lambda m: {name: m.header() for name in m.some(REQUEST_HEADERS, 0, 3)}, "service", "both"
        ),
        "redirect": _in_route(
            lambda m: (
                m.one(("https://example.org/", "http://e.org", *(("/to",) if m.route["match"] != "/" else ())))
                + _url_text(m)
            ),
            "redirect",
        ),
        "status": _status,
        "deny": lambda m: True if m.route["kind"] == "deny" else OMIT,
        "auth": _in_route(_auth, "static", "service", "both"),
    },
    "route.auth": {"basic": _one_auth("basic"), "request": _one_auth("request")},
    "route.auth.basic": {"user": _pick("admin", "a.b@c-d", "_"), "secret": lambda m: m.one(m.secrets)},
    "route.auth.request": {
        "service": lambda m: m.one(
            [s["name"] for s in m.services.values() if s["port"] and s["protocol"] == "http" and not s["gateway"]]
        ),
        "path": _pick("/", "/auth/check", "/a~b:c@d"),
    },
    "http": {
        "headers": lambda m: {name: m.header() for name in m.some(HEADERS, 0, 3)},
        "trusted": _list(TRUSTED),
        "max_body": _pick(*SIZES),
        "access_log": _flag,
        "dotfiles": _flag,
    },
    "volume": {
        "mount": lambda m: m.route["mount"],
        "bind": _pick("/host/dir", "./x", "../y/z", "plain", "./.hidden", "a@b+c"),
        "variable": lambda m: m.route["variable"],
        "owner": _pick(*USERS),
        "mode": _pick("0755", "700", "1777"),
        "directories": _directories,
    },
    "volume.directories": {"owner": _pick(*USERS), "mode": _pick("0700", "755")},
    "database": {
        "file": _pick("app.db", "x/y.sqlite", "d@1+2.db"),
        "volume": lambda m: m.one(list(m.mounts)),
        "owner": _pick(*USERS),
        "schema": _pick("schema.sql", "./db/s.sql"),
        "migrations": _pick("migrations", "db/m"),
    },
    "port_mapping": {
        "publish": lambda m: m.route["publish"],
        "service": lambda m: m.route["service"],
        "target": _pick(53, 5000, 65535),
        "protocol": _pick("tcp", "udp"),
        "address": _pick(*ADDRESSES),
        "variable": lambda m: m.route["variable"],
    },
    "secret": {
        "description": Maker.line,
        "format": _pick("hex", "alphanumeric", "any"),
        "length": lambda m: m.number(16, 256),
        "generate": _flag,
        "variable": lambda m: m.route["variable"],
        "permanent": _flag,
    },
    "setting": {"default": lambda m: m.one((m.draw(TEXT), m.draw(TEXT), 5, False)), "description": Maker.line},
    "health": {
        "http": _pick("/", "/api/health", "/a?b=c&d=%20;e"),
        "exec": lambda m: [m.one(PROGRAMS), *(m.value(secrets=False, settings=False) for _ in range(m.number(0, 3)))],
        "interval": _pick(*DURATIONS[2:]),
        "timeout": _pick(*DURATIONS[2:]),
        "start": _pick(*DURATIONS),
        "retries": lambda m: m.number(1, 100),
    },
    "limits": {"memory": _pick("64GB", "9GiB"), "pids": _pick(16, 512, 100000), "cpus": _pick(1, "1.5", "0.01", "512")},
    "hooks": {
        "first_start": lambda m: m.some(("hooks/a.sh", "h/b-1", "h/--c"), 0, 2) if m.mounts else OMIT,
        "before_services": _list(("hooks/a.sh", "x/d.sh", "./e")),
    },
    "extra": {
        "Dockerfile": lambda m: m.fill("extra.Dockerfile"),
        "dockerignore": lambda m: m.fill("extra.dockerignore"),
        "docker-compose.yml": lambda m: m.fill("extra.docker-compose.yml"),
        ".env": lambda m: m.fill("extra..env"),
        "supervisord.conf": lambda m: m.fill("extra.supervisord.conf") if len(m.services) > 1 else OMIT,
        "nginx.conf": lambda m: m.fill("extra.nginx.conf") if any(s["gateway"] for s in m.services.values()) else OMIT,
        "entrypoint.sh": lambda m: m.fill("extra.entrypoint.sh"),
    },
    "extra.Dockerfile": {
        "stages": _pick("FROM alpine:3.19 AS more\nRUN true\n", "FROM debian:bookworm-slim AS z"),
        "packages": _pick(*DOCKERFILE_EXTRA),
        "end": _pick(*DOCKERFILE_EXTRA),
    },
    "extra.dockerignore": {"end": _pick("**/*.tmp\n", "docs\n!docs/keep")},
    "extra.docker-compose.yml": {
        "service": _compose_service,
        "top": lambda m: {
            key: {
                "x-a": [m.line(50).replace("$", "$$")],
                "networks": {"default": {}},
                "volumes": {"more": {"driver": "local"}},
            }[key]
            for key in m.some(("x-a", "networks", "volumes"), 0, 2)
        },
    },
    "extra..env": {"end": _pick("MORE=1\n", "# note\nQ='a b'")},
    "extra.supervisord.conf": {
        "supervisord": _pick("loglevel=warn\n", "; note\nminfds=1024"),
        "end": _pick(
            "[program:more]\ncommand=/bin/true %%x\nautostart=false\n",
            "[group:g]\nprograms=more2\n[program:more2]\ncommand=/bin/cat",
        ),
    },
    "extra.nginx.conf": {
        "main": _pick("worker_priority 0;\n", "# note\nenv X;"),
        "http": _pick("map $uri $more {\n    default '}';\n}\n", "large_client_header_buffers 4 8k;"),
        "server": _pick("location = /more {\n    return 204;\n}\n", 'add_header X-More "a;b#c";'),
    },
    "extra.entrypoint.sh": {
        "start": _pick("export MORE='a b'\n", ": # note"),
        "end": _pick("echo 'a;b' >&2\n", "if true; then\n    :\nfi"),
    },
    "silence": {
        "code": _pick("W001", "W005", "W009"),
        "at": _pick("image.base", "services.api"),
        "reason": lambda m: f"ok: {m.line(100)}",
    },
}
"""Of each object of the schema, by its name, and of each of its fields, by its name, how to draw it."""

FREE = frozenset(
    (
        *(
            "",
            "image",
            "artifact",
            "build",
            "fetch",
            "service",
            "ready",
            "alive",
            "verify",
            "file",
            "route",
            "http",
            "volume",
            "database",
        ),
        *("port_mapping", "secret", "setting", "health", "limits", "hooks", "extra"),
    )
)
"""The objects that take any key that begins with ``x-``."""


def _url_text(m: Maker) -> str:
    return re.sub(r"[^!-~]", "", m.line(100))


def _secret(m: Maker, name: str) -> Data:
    m.route = {"variable": f"SECRET_{m.secrets.index(name)}"}
    return m.fill("secret")


@st.composite
def cases(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Case:
    """A valid spec."""
    maker = Maker(draw)
    needed = (
        "version",
        "name",
        "image",
        "services",
        "artifacts",
        "volumes",
        "database",
        "secrets",
        "settings",
        "routes",
    )
    spec = maker.fill("", *needed)
    return Case(spec, maker.tree, draw(st.integers(0, 2**16)))


# --- how a spec is written


class _Writer(yaml.CSafeDumper):
    """Writes each text in a style that is drawn for it."""

    random: random.Random
    inside = False

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        # libyaml folds other texts wrongly, which no reader can undo.
        folded = ">" if re.fullmatch(r"\S+( \S+)*", data) else "|"
        style = self.random.choice([None, None, "'", '"', "|", folded])
        plain = re.fullmatch(r"[A-Za-z/_][A-Za-z0-9/_.-]*", data) and data not in ("true", "false", "null")
        node = self.represent_scalar("tag:yaml.org,2002:str", data, style=style or (None if plain else "'"))
        assert isinstance(node, yaml.ScalarNode)
        return node

    def represent_any_mapping(self, data: dict[str, Any]) -> yaml.MappingNode:
        flow = self.inside and self.random.random() < 0.3
        self.inside = True
        return self.represent_mapping("tag:yaml.org,2002:map", data.items(), flow_style=flow)


_Writer.add_representer(str, _Writer.represent_str)
_Writer.add_representer(dict, _Writer.represent_any_mapping)


def write(spec: Data, style: int) -> bytes:
    """The spec as YAML, in a style of its own for each number: quotes, flow or block, comments, width; or as JSON."""
    chance = random.Random(style)  # noqa: S311 - repeatable is what it has to be
    if chance.random() < 0.2:
        return json.dumps(spec, ensure_ascii=False, indent=chance.choice([None, 1])).encode()
    writer = type("Writer", (_Writer,), {"random": chance})
    parts = []
    for key, value in spec.items():
        if chance.random() < 0.3:
            parts.append(chance.choice(["# note: a 'b' \"c\" {\n", "\n\n", "#\n"]))
        part = yaml.dump(
            {key: value},
            Dumper=writer,
            sort_keys=False,
            allow_unicode=True,
            width=chance.choice([20, 80, 100_000]),
            indent=chance.choice([2, 3, 4]),
            default_flow_style=False,
        )
        parts.append(re.sub(r"\n\.\.\.\n\Z", "\n", part))
    return ("\ufeff" * (chance.random() < 0.1) + "".join(parts)).encode()
