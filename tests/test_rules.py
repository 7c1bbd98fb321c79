"""What no schema can see: rules that are not shown by a spec of tests/invalid, and what they must leave alone."""

from __future__ import annotations

import re

import pytest

from compiler import load, pipeline
from compiler.errors import SpecError
from compiler.rules import storage
from tests.running import ROOT

HEAD = "version: 1\nname: it\nimage: {base: alpine:3.22}\n"
WEB = "services:\n  web: {command: [/usr/local/bin/web], port: 8080, user: web}\n"
GATED = "services:\n  nginx: {preset: nginx}\n  web: {command: [/usr/local/bin/web], port: 8080, user: web}\n"
PHP = "services:\n  nginx: {preset: nginx}\n  php: {command: [/usr/sbin/php], port: 9000, protocol: fastcgi}\n"
DATA = "volumes: {data: {mount: /data}}\n"
ZERO, ONE = "0" * 64, "1" * 64


def codes(text: str) -> list[str]:
    """The codes of all problems, warnings among them, sorted."""
    try:
        found = pipeline.compile_document(load.parse(text.encode(), "appos.yaml"), ".").warnings
    except SpecError as error:
        found = error.problems
    return sorted(problem.code for problem in found)


def service(fields: str) -> str:
    """A spec with one service with these fields too."""
    return HEAD + WEB.replace("user: web", f"user: web, {fields}")


def routed(routes: str, services: str = GATED) -> str:
    """A spec with a gateway and these routes."""
    return f"{HEAD}{services}routes: {{{routes}}}\n"


def artifact(fields: str, image: str = "") -> str:
    """A spec with one artifact."""
    return HEAD.replace("3.22", f"3.22{image}") + WEB + f"artifacts: {{a: {{{fields}}}}}\n"


def run(user: str, fields: str) -> str:
    """A spec whose service runs an artifact with these fields, as this account."""
    return (HEAD + WEB).replace("user: web", f"user: {user}") + (
        f"artifacts: {{web: {{prebuilt: web, install: /usr/local/bin/web, {fields}}}}}\n"
    )


def fetched(sums: str) -> str:
    """The fields of an artifact that is downloaded."""
    return f"install: /srv/a, fetch: {{url: 'https://example.org/a-{{arch}}', sha256: {sums}}}"


def two(image: str, command: str = "[/usr/local/bin/job]") -> str:
    """A spec with two services, with these fields of the image and this command of the second one."""
    return HEAD.replace("3.22", f"3.22{image}") + WEB + f"  job: {{command: {command}, user: job}}\n"


BOTH = f"{{amd64: '{ZERO}', arm64: '{ONE}'}}"

FINE = {
    "nothing special": HEAD + WEB,
    "a program that everybody may execute": run("web", "mode: '0711'"),
    "a program that its owner may execute": run("web", "mode: '0700', owner: web"),
    "a program that only root may execute, who runs it": run("root", "mode: '0700'"),
    "a script of its own that may be executed": service("files: {/opt/run: {source: run, mode: '0755'}}").replace(
        "/usr/local/bin/web", "/opt/run"
    ),
    "a program of another account that root runs": run("root", "mode: '0700', owner: nobody"),
    "a program that a group may execute, whose members nobody knows": run("web", "mode: '0710', owner: nobody"),
    "routes below each other": routed("/: {static: /srv/www}, /api/: {service: web}, /api/x: {service: web}"),
    "files and a service": routed("/: {static: /srv/www, service: web}"),
    "a trimmed Python beside another": two(", trim: true, packages: [pyramid]", "[/usr/bin/pythonic, python3]"),
    "a Python of its own": two(", trim: true", "[python, a.py]").replace("alpine:3.22", "python:3.13-alpine"),
    "a redirect elsewhere": routed("/: {service: web}, /a/: {redirect: /b/}, /c: {redirect: /c/}"),
    "a redirect to another site": routed("/: {redirect: 'https://example.org/'}"),
    "a route in the place of the hashed assets": routed("/: {static: /srv/www}, /assets/: {service: web}"),
    "a health check with a question": routed("/api/: {service: web}") + "health: {http: /api/health?deep=1}\n",
    "udp and tcp on one port": HEAD
    + "services: {a: {command: [/a], port: 53}, b: {command: [/b], port: 53, protocol: udp}}\n",
    "one port of the host on two addresses": HEAD
    + WEB
    + "ports: {a: {publish: 80, service: web, address: 127.0.0.1}, b: {publish: 80, service: web, address: '::1'}}\n",
    "a checksum for each platform": artifact(fetched(BOTH), ", platforms: [linux/amd64, linux/arm64]"),
    "static files in a directory of the system": artifact("prebuilt: a, install: /usr/share/nginx/html"),
    "an account of the base": HEAD + WEB.replace("user: web", "user: nobody"),
    "an owner that a package brings": HEAD
    + "services: {redis: {preset: redis}}\nvolumes: {data: {mount: /data, owner: redis}}\n",
    "a directory that is open to others": HEAD
    + "services: {a: {command: [/a], user: a, data: /data/x/y}, b: {command: [/b], user: b}}\n"
    + "volumes: {data: {mount: /data, directories: {x: {owner: b, mode: '0711'}}}}\n",
    "a hook in a directory": HEAD + WEB + "hooks: {before_services: [a/x.sh, b/y.sh]}\n",
    "half a second to stop": service("stop: {grace: 500ms}"),
    "an unused secret of a preset": HEAD + "services: {redis: {preset: redis}}\n" + DATA,
    "a password of the gateway": routed("/: {service: web, auth: {basic: {user: a, secret: b}}}")
    + DATA
    + "secrets: {b: {}}\n",
}

WRONG = {
    "a program that only root may execute, and another runs": (run("web", "mode: '0700'"), ["E075"]),
    "a script of its own that nobody may execute": (
        service("files: {/opt/run: {source: run}}").replace("/usr/local/bin/web", "/opt/run"),
        ["E075"],
    ),
    "a text in its run directory that nobody may execute": (
        service("files: {run.sh: {content: text}}").replace("/usr/local/bin/web", "'${self.run}/run.sh'"),
        ["E075"],
    ),
    "a program that another may execute": (run("web", "mode: '0700', owner: nobody"), ["E075"]),
    "a program that only its owner may not execute": (run("web", "mode: '0077', owner: web"), ["E075"]),
    "a program that nobody may execute": (run("root", "mode: '0644'"), ["E075"]),
    "an account that nobody has": (HEAD + WEB + "volumes: {data: {mount: /data, owner: wbe}}\n", ["W012"]),
    "an application called secrets": (HEAD.replace("it", "secrets") + WEB, ["E046"]),
    "an image name with a digest": (
        HEAD.replace("3.22}", f"3.22, name: 'it@sha256:{ZERO}'}}") + WEB,
        ["E066"],
    ),
    "an artifact called scratch": (artifact("prebuilt: a, install: /srv/a").replace("{a:", "{scratch:"), ["E063"]),
    "an artifact called like the base": (
        HEAD.replace("alpine:3.22", "alpine")
        + WEB
        + "artifacts: {alpine: {build: {image: 'golang:1.26', source: a, run: [b], output: c}, install: /srv/a}}\n",
        ["E063", "W002"],
    ),
    "a platform without a checksum": (
        artifact(fetched(f"{{amd64: '{ZERO}'}}"), ", platforms: [linux/amd64, linux/arm64]"),
        ["E065"],
    ),
    "an artifact under /tmp": (artifact("prebuilt: a, install: /tmp/a"), ["E061"]),
    "an artifact under a writable directory": (
        artifact("prebuilt: a, install: /srv/cache/a").replace("user: web", "user: web, writable: [/srv/cache]"),
        ["E061"],
    ),
    "an artifact among the scripts": (artifact("prebuilt: a, install: /usr/local/lib/it/a"), ["E063"]),
    "a directory that is compressed": (
        artifact("prebuilt: a, install: /srv/a, precompress: true, compress: xz") + DATA,
        ["E068"],
    ),
    "an artifact called like the stage of another": (
        HEAD
        + WEB
        + DATA
        + "artifacts: {a: {prebuilt: a, install: /srv/a, compress: xz}, a-packed: {prebuilt: b, install: /srv/b}}\n",
        ["E063"],
    ),
    "a file among the scripts": (service("files: {/usr/local/lib/it/start-service.sh: {source: a}}"), ["E063"]),
    "a file among the secrets": (
        service("files: {/data/.it/x: {content: a}}") + DATA,
        ["E055"],
    ),
    "a writable directory of the system": (service("writable: [/var]"), ["E080"]),
    "readiness over http that is not spoken": (service("protocol: tcp, ready: {http: /}"), ["E057"]),
    "a gateway that runs once": (
        routed("/: {service: web}").replace("preset: nginx", "preset: nginx, once: true"),
        ["E059"],
    ),
    "authentication of a redirect": (
        routed("/: {redirect: /a, auth: {basic: {user: a, secret: b}}}, /a: {service: web}")
        + DATA
        + "secrets: {b: {}}\n",
        ["E076"],
    ),
    "a websocket over fastcgi": (
        routed("/: {static: /srv/www, service: php, script: index.php, websocket: true}", PHP),
        ["E076", "W005"],
    ),
    "a status of another kind": (routed("/: {redirect: /a, status: 404}, /a: {service: web}"), ["E076"]),
    "three answers": (routed("/: {static: /srv/www, service: web, deny: true}"), ["E071"]),
    "a script for a service without": (routed("/: {static: /srv/www, service: web, script: a.php}"), ["E077"]),
    "a health check that is denied": (
        routed("/: {service: web}, /health: {deny: true}") + "health: {http: /health}\n",
        ["E088"],
    ),
    "two headers in a route": (
        routed("/: {service: web, request_headers: {A-B: a, a-b: b}}"),
        ["E079"],
    ),
    "a variable of Compose": (HEAD + WEB + "settings: {COMPOSE_FILE: {default: a}}\n", ["E086"]),
    "a variable of the shell": (HEAD + WEB + "settings: {PATH: {default: a}}\n", ["E086"]),
    "two owners of one directory": (
        HEAD
        + "services: {a: {command: [/a], user: a, data: /data/x}, b: {command: [/b], user: b, data: /data/x}}\n"
        + DATA,
        ["E081"],
    ),
    "a database in a directory of another": (
        HEAD
        + "services: {a: {command: [/a], user: a, data: /data/x}, b: {command: [/b], user: b}}\n"
        + DATA
        + "database: {file: x/b.db, owner: b}\n",
        ["E081"],
    ),
    "a database called like a directory": (
        service("data: /data/x") + DATA + "database: {file: x, owner: web}\n",
        ["E081"],
    ),
    "no time to become ready": (service("ready: {timeout: 0s}"), ["E089"]),
    "a day and more to become ready": (service("ready: {timeout: 25h}"), ["E089"]),
    "no time for a service to answer": (routed("/: {service: web, timeout: 0s}"), ["E089"]),
    "less memory than engines allow": (HEAD + WEB + "limits: {memory: 1MB}\n", ["E089"]),
    "a trimmed Python of a package": (two(", trim: true, packages: [py3-yaml]"), ["E069"]),
    "a trimmed Python of a shell": (two(", trim: true", "[sh, -c, 'cd /srv && python3 a.py']"), ["E069"]),
    "a trimmed Python of a script": (two(", trim: true", "[/srv/a.py]"), ["E069"]),
    "a trimmed Python of a hook": (two(", trim: true") + "hooks: {before_services: [hooks/a.py]}\n", ["E069"]),
    "a trimmed Python of a raw text": (
        two(", trim: true") + "extra: {Dockerfile: {packages: 'RUN pip install x'}}\n",
        ["E069"],
    ),
    "a trimmed Python asked for twice": (
        two(", trim: true", "[gunicorn, app:app], ready: {exec: [python3, ready.py]}"),
        ["E069"],
    ),
    "a trimmed Python of nobody": (HEAD.replace("3.22", "3.22, trim: true") + WEB, ["E067"]),
    "a warning silenced elsewhere": (
        HEAD.replace("3.22", "3.16") + WEB + "silence: [{code: W001, at: services, reason: planned}]\n",
        ["W001", "W010"],
    ),
}


@pytest.mark.parametrize("name", FINE)
def test_what_is_right_is_left_alone(name: str) -> None:
    assert codes(FINE[name]) == []


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_once(name: str) -> None:
    text, expected = WRONG[name]
    assert codes(text) == expected


def test_a_silenced_warning_is_not_told() -> None:
    text = HEAD.replace("3.22", "3.16") + WEB
    assert codes(text) == ["W001"]
    assert codes(text + "silence: [{code: W001, at: image.base, reason: planned}]\n") == []
    assert codes(text + "silence: [{code: W001, at: image, reason: planned}]\n") == []
    assert codes(text + "silence: [{code: W001, reason: planned}]\n") == []


def test_the_variables_of_the_scripts_are_known() -> None:
    # The other scripts are processes of their own: no service, and no command of one, inherits their environment.
    assigned = set()
    for name in ("entrypoint.sh", "start-service.sh", "watch-service.sh"):
        lines = (ROOT / "templates" / f"{name}.j2").read_text("utf-8").splitlines()
        text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
        text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "", text, flags=re.DOTALL)
        assigned |= set(re.findall(r"(?:^|[\s;(])([A-Za-z_][A-Za-z0-9_]*)=", text))
        assigned |= set(re.findall(r"\bfor (\w+) in\b", text))
        assigned |= {each for names in re.findall(r"\bread -r ((?:\w+ ?)+)", text) for each in names.split()}
    lower = {each for each in assigned if each.islower()}
    assert lower - {"_"} == storage.SCRIPTS
    assert assigned - lower <= storage.TAKEN | {"", "_"}
