"""One image and the container made of it, under names, ports and volumes of their own; closing it removes them."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import tempfile
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from compiler.verify import inside
from compiler.verify.engine import EngineError
from compiler.verify.result import FailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from compiler.model import App, Port, SecretSource, Service
    from compiler.verify.engine import Done, Engine
    from compiler.verify.inside import View

BUILD_SECONDS = 3600
LABEL = "org.appos-compile.verify"
"""Marks the images that a run made, so that they can be told from everything else on an engine."""

PROJECT = "com.docker.compose.project"
"""Compose's own mark of containers, volumes and networks."""

LOG_LINES = 12

RESTARTS = 4
"""So many restarts while waiting for a healthy container say that there will be none."""


class Flavour(NamedTuple):
    """One of the images that a spec compiles to."""

    name: str
    dockerfile: str


FLAVOURS = (Flavour("production", "Dockerfile"), Flavour("local", "Dockerfile.local"))


class Trial:
    """The container under test. Nothing of it is shared with other runs, nor with the user's own container."""

    def __init__(self, app: App, directory: str, engine: Engine, flavour: Flavour) -> None:
        """``directory`` is the spec's own; names are made of the application's and some random digits."""
        self.app = app
        self.engine = engine
        self.flavour = flavour
        self.context = os.path.normpath(os.path.join(directory, app.output, app.context))
        self.output = os.path.join(directory, app.output)
        self.project = f"{app.name}-verify-{secrets.token_hex(3)}"
        self.container = self.project
        self.image = f"{app.name}-verify:{self.project.rsplit('-', 1)[1]}"
        self.temporary = tempfile.mkdtemp(prefix="appos-compile-verify-")
        self.ports: Mapping[str, int] = {port.name: _free_port(port.protocol) for port in app.ports}
        self.given = {secret.variable: _made(secret) for secret in app.secrets if not secret.generate}
        self.variables = self._variables()
        self.mounts: dict[str, str] = {}
        self.read_only = False
        """Whether what is mounted in place of volumes can only be read."""
        self._override()

    # --- making and removing

    def build(self, *words: str) -> None:
        """Build the image; EngineError with the builder's output."""
        dockerfile = os.path.join(self.output, self.flavour.dockerfile)
        words = (
            "build",
            "-f",
            dockerfile,
            "-t",
            self.image,
            "--label",
            f"{LABEL}={self.project}",
            *words,
            self.context,
        )
        self.engine.tell(*words, timeout=BUILD_SECONDS)

    def size(self) -> int:
        """Bytes of the image, uncompressed, as the engine counts them."""
        size: int = self.engine.inspect(self.image)["Size"]
        return size

    def up(self) -> None:
        """Create the container, and its volumes where they are not there."""
        self._compose("up", "--detach", "--no-build", timeout=300)

    def create(self) -> None:
        """Create the container without starting it."""
        self._compose("up", "--no-start", "--no-build", timeout=300)

    def stop(self) -> None:
        """Stop the container, which stays, in the time that its services may take."""
        limit = self.app.grace
        self.engine.tell("stop", "--time", str(limit), self.container, timeout=limit + 60)

    def restart(self) -> float:
        """The engine's own restart; return the seconds until the container is healthy again."""
        limit = self.app.grace
        self.engine.tell("restart", "--time", str(limit), self.container, timeout=limit + 60)
        return self.healthy()

    def boot(self) -> float:
        """``up``, and wait until the container is healthy; return the seconds from its start."""
        self.up()
        return self.healthy()

    def down(self, *, volumes: bool = False) -> None:
        """Stop and remove the container, and its volumes if wanted."""
        self._compose(
            "down", "--timeout", str(self.app.grace), *(("--volumes",) if volumes else ()), timeout=self.app.grace + 60
        )

    def reset(self) -> None:
        """A new container on new volumes, without waiting for the old one to stop in peace."""
        self.engine.call("rm", "--force", "--volumes", self.container)
        self.mounts, self.read_only = {}, False
        self._override()
        self._compose("down", "--volumes", "--timeout", "1", timeout=60)
        self.up()

    def close(self) -> None:
        """Remove everything that this trial made."""
        remove(self.engine, self.project)
        shutil.rmtree(self.temporary, ignore_errors=True)

    def mount(self, volume: str, source: str) -> None:
        """From the next start on, mount ``source``, a directory of the host or another volume, in its place."""
        self.mounts[volume] = source
        self._override()

    # --- asking

    def run(self, *words: str, user: str = "", privileged: bool = False, text: str = "", timeout: float = 30) -> Done:
        """Run a command in the container."""
        options = ["--interactive"] if text else []
        options += ["--user", user] if user else []
        options += ["--privileged"] if privileged else []
        return self.engine.call("exec", *options, self.container, *words, text=text, timeout=timeout)

    def told(self, *words: str, user: str = "", privileged: bool = False, text: str = "", timeout: float = 30) -> str:
        """Run a command in the container and return what it prints; EngineError if it fails."""
        done = self.run(*words, user=user, privileged=privileged, text=text, timeout=timeout)
        if done.status != 0:
            raise EngineError(words, done.err.strip() or done.out.strip() or f"status {done.status}")
        return done.out

    def background(self, *words: str, user: str = "") -> None:
        """Run a command in the container and leave it to itself."""
        self.engine.tell("exec", "--detach", *(("--user", user) if user else ()), self.container, *words)

    def view(self) -> View:
        """What is going on inside."""
        return inside.parse(self.told("sh", "-c", inside.SCRIPT, user="0", privileged=True))

    def state(self) -> Any:
        """The engine's word on the container: Running, ExitCode, Health, Pid, and how often it was restarted."""
        found = self.engine.inspect(self.container)
        return found["State"] | {"Restarts": found["RestartCount"]}

    def logs(self, since: str = "") -> list[str]:
        """Return the lines of the container's output."""
        done = self.engine.call("logs", *(("--since", since) if since else ()), self.container)
        return (done.out + done.err).splitlines()

    def tail(self, since: str = "") -> list[str]:
        """Return the last lines of the output, as many as a failure shows."""
        return self.logs(since)[-LOG_LINES:]

    def now(self) -> str:
        """The moment, for ``logs``."""
        return f"{time.time():.6f}"

    def process(self, service: Service) -> int:
        """The number of the service's main process, which leads its group; 0 where it has not started."""
        if not self.app.supervised:
            return 1
        done = self.run("cat", f"{service.run}/group", user="0")
        return int(done.out) if done.status == 0 and done.out.strip() else 0

    def owners(self, view: View) -> dict[int, Service]:
        """Whose each process is: of the service's own, and of those that watch it."""
        watcher = f"{self.app.library}/watch-service.sh"
        found: dict[int, Service] = {}
        for service in self.app.services:
            pids = {self.process(service)} | {
                process.pid
                for process in view.processes
                if watcher in process.command and service.name in process.command
            }
            found |= {process.pid: service for pid in pids - {0} for process in view.tree(pid)}
        return found

    def supervisor(self, *words: str) -> Done:
        """Tell or ask the supervisor."""
        return self.run("supervisorctl", *words, user="0", timeout=self.app.grace + 30)

    def states(self) -> dict[str, str]:
        """The state of each service as the supervisor has it; of a service alone, whether the container runs."""
        if not self.app.supervised:
            return {self.app.services[0].name: "RUNNING" if self.state()["Running"] else "EXITED"}
        lines = self.supervisor("status").out.splitlines()
        return {line.split()[0]: line.split()[1] for line in lines if len(line.split()) > 1}

    def fine(self) -> bool:
        """Whether the container runs, with every service in its declared state."""
        state = self.state()
        if not state["Running"] or state.get("Paused"):
            return False
        found = self.states()
        return all(found.get(s.name) == ("EXITED" if s.once else "RUNNING") for s in self.app.services)

    def address(self, port: Port) -> tuple[str, int]:
        """Where a published port is reached."""
        return self.engine.host, self.ports[port.name]

    @property
    def gateway(self) -> tuple[str, int]:
        """Where the gateway is reached from outside; FailedError where the spec publishes no port of it."""
        gateway = self.app.gateway
        for port in self.app.ports:
            if gateway and port.service == gateway.name and port.protocol == "tcp":
                return self.address(port)
        raise FailedError("a published port of the gateway", "the spec publishes none", ("ports",))

    # --- waiting

    def healthy(self, limit: float = 0) -> float:
        """Wait until the container is healthy; return the seconds it took. FailedError after ``limit`` seconds."""
        limit = limit or (self.app.health.start / 1000 or 60) + 10
        begun = time.monotonic()
        restarts = self.state()["Restarts"]
        while True:
            state = self.state()
            status = (state.get("Health") or {}).get("Status") or self._marked(state)
            took = time.monotonic() - begun
            if status == "healthy":
                return took
            if took > limit or state["Restarts"] - restarts >= RESTARTS:
                last = ((state.get("Health") or {}).get("Log") or [{}])[-1].get("Output", "").strip()
                raise FailedError(
                    f"healthy within {limit:.0f} s",
                    f"{state['Status']}, {status}" + (f"; the last health check said: {last}" if last else ""),
                    ("health",),
                    logs=self.tail(),
                    look="the log lines below, then: appos-compile verify --keep",
                )
            if not state["Running"] and state["Status"] == "exited" and took > self.app.grace:
                raise FailedError("a running container", f"it ended with status {state['ExitCode']}", logs=self.tail())
            time.sleep(0.1)

    def _marked(self, state: Any) -> str:
        """What stands for health where the image has no health check: every service has said that it is ready."""
        if not state["Running"]:
            return "starting"
        marks = [f"{service.run}/ready" for service in self.app.services if self.app.announces(service)]
        if not marks:
            return "healthy"
        return "starting" if self.run("ls", *marks, user="0").status else "healthy"

    def until(self, true: Callable[[], bool], limit: float) -> float | None:
        """Wait until ``true`` says so; return the seconds it took, or nothing after ``limit``."""
        begun = time.monotonic()
        while True:
            if true():
                return time.monotonic() - begun
            if time.monotonic() - begun > limit:
                return None
            time.sleep(0.02)

    # --- the Compose project

    def _compose(self, *words: str, timeout: float) -> str:
        files = ("-p", self.project, "-f", os.path.join(self.output, "docker-compose.yml"), "-f", self._path)
        return self.engine.composed(*files, *words, timeout=timeout, extra=self.variables)

    @property
    def _path(self) -> str:
        return os.path.join(self.temporary, "compose.json")

    def _variables(self) -> dict[str, str]:
        local = self.engine.host == "127.0.0.1"
        values = {"CONTAINER_NAME": self.container, "IMAGE_NAME": self.image} | self.given
        for port in self.app.ports:
            # An address that the spec gives stands in the file already.
            prefix = "127.0.0.1:" if local and not port.address else ""
            values[port.variable] = f"{prefix}{self.ports[port.name]}"
        for volume in self.app.volumes:
            if volume.bind:
                values[volume.variable] = os.path.join(self.temporary, volume.name)
        return values

    def _override(self) -> None:
        """What the Compose file says differently for this project: its volumes."""
        service: dict[str, Any] = {}
        if self.mounts:
            service["volumes"] = [
                {
                    "type": "bind" if source.startswith("/") else "volume",
                    "source": source,
                    "target": volume.mount,
                    "read_only": self.read_only,
                }
                for volume in self.app.volumes
                if (source := self.mounts.get(volume.name))
            ]
        volumes: dict[str, Any] = {
            volume.name: {"name": f"{self.project}-{volume.name}"} for volume in self.app.volumes if not volume.bind
        }
        volumes |= {source: {"external": True} for source in self.mounts.values() if not source.startswith("/")}
        project = {"services": {self.app.name: service}} | ({"volumes": volumes} if volumes else {})
        with open(self._path, "w", encoding="utf-8") as file:
            json.dump(project, file)


def remove(engine: Engine, project: str) -> list[str]:
    """Remove the container, volumes, network and images of a trial, and return their names."""
    gone = engine.call("ps", "--all", "--quiet", "--filter", f"label={PROJECT}={project}").out.split()
    engine.call("rm", "--force", "--volumes", project, *gone)
    for kind in ("volume", "network"):
        found = engine.call(kind, "ls", "--quiet", "--filter", f"label={PROJECT}={project}").out.split()
        for name in found:
            engine.call(kind, "rm", name)
        gone += found
    images = engine.call("images", "--quiet", "--filter", f"label={LABEL}={project}").out.split()
    for image in dict.fromkeys(images):
        engine.call("rmi", "--force", image)
    return gone + images


def _free_port(protocol: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _made(secret: SecretSource) -> str:
    """A value for a secret that must be given."""
    given = os.environ.get(secret.variable)
    return given or secrets.token_hex(max(secret.length, 2))[: secret.length]
