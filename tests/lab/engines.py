"""The container engine: the one that this machine has, or Debian's, started beside it without installing anything."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import time
from typing import NamedTuple

from tests.lab import debian, server
from tests.lab.cache import CACHE, LabError, digest, end, lock, run, say, spawn

KINDS = ("26", "20")
"""The engines that the lab can start, by the first part of their version; the usual one first."""


class Engine(NamedTuple):
    """An engine that answers: its version, and the environment in which ``docker`` reaches it."""

    version: str
    environment: dict[str, str]

    def docker(self, *arguments: str, text: str | None = None) -> str:
        """What the command prints."""
        return run("docker", *arguments, env=self.environment, text=text)

    def gateway(self) -> str:
        """The address of this machine as containers see it."""
        template = "{{range .IPAM.Config}}{{.Gateway}} {{end}}"
        addresses = self.docker("network", "inspect", "bridge", "--format", template).split()
        return next(address for address in addresses if "." in address)


class Kind(NamedTuple):
    """An engine that the lab can start: what it is unpacked from, and its network."""

    packages: tuple[str, ...]
    bridge: str
    address: str


def _kind(name: str) -> Kind:
    """What makes an engine; its network is its own, even beside the same engine of another clone."""
    release = _clients() if name == KINDS[0] else debian.SOURCES
    own = digest(_home(name))
    return Kind((f"docker.io/{release}", f"tini/{release}"), f"appos{name}-{own[:6]}", f"172.30.{int(own[:2], 16)}.1")


def _clients() -> str:
    """The release that the clients come from, and the newer engine."""
    return debian.CLIENTS if debian.release() == debian.SOURCES else debian.release()


def usual(environment: dict[str, str] | None = None) -> Engine | None:
    """The engine that ``docker`` reaches in this environment, if it has what the project needs of it."""
    added = environment or {}
    if not shutil.which("docker", path=added.get("PATH")):
        return None
    try:
        version = run("docker", "version", "--format", "{{.Server.Version}}", env=added).strip()
        run("docker", "buildx", "version", env=added)
        composed = run("docker", "compose", "version", "--short", env=added).strip().lstrip("v")
    except LabError:
        return None
    if int(composed.split(".")[0]) < 2:
        return None
    reached = {name: os.environ[name] for name in ("DOCKER_HOST", "DOCKER_CONFIG", "PATH") if name in os.environ}
    return Engine(version, {**reached, **added})


def started(kind: str | None = None) -> Engine | None:
    """The engine of this kind, or of any, that the lab has started and that still answers."""
    for name in (kind,) if kind else KINDS:
        if os.path.isfile(os.path.join(_home(name), "env")):
            found = usual(_environment(name))
            if found:
                return found
    return None


def start(kind: str) -> Engine:
    """Start an engine, or find the one that was started earlier."""
    with lock(f"engine-{kind}"):
        return started(kind) or _start(kind)


def environment_file(kind: str) -> str:
    """The file that a shell sources to reach the engine of this kind."""
    return os.path.join(_home(kind), "env")


def _home(kind: str) -> str:
    return os.path.join(CACHE, "engine", kind)


def _runtime(kind: str) -> str:
    """Where its sockets are: their paths may not be long, and that of the repository may be."""
    return f"/run/appos-lab-{digest(_home(kind))[:8]}"


def _environment(kind: str) -> dict[str, str]:
    home = _home(kind)
    return {
        "DOCKER_HOST": f"unix://{_runtime(kind)}/docker.sock",
        "DOCKER_CONFIG": f"{home}/config",
        "PATH": f"{home}/bin:{os.environ['PATH']}",
    }


def _start(kind: str) -> Engine:
    if os.geteuid():
        raise LabError("no engine answers, and starting one takes root")
    home, runtime, settings = _home(kind), _runtime(kind), _kind(kind)
    os.makedirs(f"{home}/bin", exist_ok=True)
    os.makedirs(f"{home}/config/cli-plugins", exist_ok=True)
    os.makedirs(runtime, exist_ok=True)
    start = time.monotonic()
    daemon = debian.packages(*settings.packages)
    clients = debian.packages(*(f"{name}/{_clients()}" for name in ("docker-cli", "docker-buildx", "docker-compose")))
    tools = _tools()
    _link(f"{clients}/usr/bin/docker", f"{home}/bin/docker")
    for plugin in ("docker-buildx", "docker-compose"):
        _link(f"{clients}/usr/libexec/docker/cli-plugins/{plugin}", f"{home}/config/cli-plugins/{plugin}")
    for name in ("iptables", "ip6tables"):
        # Debian makes these names when it installs the package.
        _link(f"{tools}/usr/sbin/xtables-nft-multi", f"{tools}/usr/sbin/{name}")
    environment = {
        **os.environ,
        **debian.libraries(tools),
        "XTABLES_LIBDIR": f"{tools}/usr/lib/x86_64-linux-gnu/xtables",
        "PATH": _path(daemon, tools),
    }
    _bridge(settings, environment)
    with contextlib.suppress(FileNotFoundError):
        os.remove(f"{runtime}/pid")
    spawn(
        (
            *(f"{daemon}/usr/sbin/dockerd", "--data-root", os.environ.get("LAB_DATA", f"{home}/data")),
            *("--exec-root", f"{runtime}/exec", "--pidfile", f"{runtime}/pid"),
            *("--host", f"unix://{runtime}/docker.sock", "--bridge", settings.bridge, "--mtu", _mtu()),
        ),
        f"{home}/log",
        environment,
    )
    with open(f"{home}/env", "w", encoding="utf-8") as file:
        for name, value in _environment(kind).items():
            file.write(
                f"export {name}={shlex.quote(value) if name != 'PATH' else shlex.quote(f'{home}/bin') + ':$PATH'}\n"
            )
    for _ in range(300):
        found = usual(_environment(kind))
        if found:
            if os.path.isdir(os.path.join(CACHE, "repository")):
                server.serve(settings.address)
            say(f"engine {found.version} started in {time.monotonic() - start:.1f} s")
            return found
        time.sleep(0.1)
    with open(f"{home}/log", encoding="utf-8") as log:
        tail = "".join(log.readlines()[-8:])
    raise LabError(f"the engine does not start; the end of {home}/log:\n{tail}")


def _tools() -> str:
    """What an engine needs of its host, as this machine's own release has it."""
    return debian.programs("containerd", "runc", "iptables", "iproute2")


def _path(*roots: str) -> str:
    """Where programs are found: in unpacked packages, then on this machine."""
    folders = [f"{root}/{folder}" for root in roots for folder in ("usr/sbin", "usr/bin", "sbin", "bin")]
    return ":".join([*folders, os.environ["PATH"], "/usr/sbin", "/sbin"])


def _link(target: str, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.remove(name)
    os.symlink(target, name)


def _bridge(settings: Kind, environment: dict[str, str]) -> None:
    """Make the network of its own that lets it run beside another engine, whose bridge stays as it is."""
    if not os.path.isdir(f"/sys/class/net/{settings.bridge}"):
        run("ip", "link", "add", "name", settings.bridge, "type", "bridge", env=environment)
        run("ip", "address", "add", f"{settings.address}/24", "dev", settings.bridge, env=environment)
    run("ip", "link", "set", settings.bridge, "up", env=environment)


def _mtu() -> str:
    """The largest packet that leaves this machine: what containers send must fit as well."""
    sizes = []
    with open("/proc/net/route", encoding="ascii") as file:
        default = [line.split()[0] for line in file if line.split()[1] == "00000000"]
    for name in default:
        with open(f"/sys/class/net/{name}/mtu", encoding="ascii") as file:
            sizes.append(int(file.read()))
    return str(min(sizes, default=1500))


def stop(kind: str) -> bool:
    """Stop the engine of this kind and what serves it; whether there was one."""
    settings = _kind(kind)
    server.stop(settings.address)
    if not end(f"{_runtime(kind)}/pid", "dockerd"):
        return False
    run("ip", "link", "delete", settings.bridge, env={"PATH": _path(_tools())})
    shutil.rmtree(_runtime(kind), ignore_errors=True)
    return True
