"""Containers that are broken on purpose: each check with a fault that it exists for, and what it has to say of it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from compiler import pipeline, write

if TYPE_CHECKING:
    from compiler.model import App

SMALL = Path(__file__).parent / "small"


class Twin(NamedTuple):
    """A check, the generated file that is spoilt and how, and the message: a pattern for what the check says came.

    ``also`` spoils further files, where one alone would only keep the container from starting.
    """

    check: str
    file: str
    old: str
    new: str
    message: str
    also: tuple[tuple[str, str, str], ...] = ()

    @property
    def name(self) -> str:
        """For the test's name."""
        words = re.sub(r"\s+", " ", self.new.strip() or f"without {self.old}").strip()
        return f"{self.check}, {words[:50]}"


TWINS = (
    Twin("build", "Dockerfile", "^STOPSIGNAL", "RUN exit 3\nSTOPSIGNAL", "exit code: 3"),
    Twin("healthy", "docker-compose.yml", "/api/health", "/nowhere", "unhealthy; the last health check said: .*404"),
    Twin("states", "supervisord.conf", r"(user=extra)", "user=extra\nautostart=false", "STOPPED"),
    Twin(
        "accounts",
        "supervisord.conf",
        "user=extra",
        "user=app",
        r"process \d+ \(.*\) runs as \d+",
        (("entrypoint.sh", "hand_over extra extra", "hand_over extra app"),),
    ),
    Twin("order", "start-service.sh", "    after api\n", "", r"\d\.\d{3} s before"),
    Twin("listeners", "start-service.sh", "PORT=8081", "PORT=8081 ADDRESS=0.0.0.0", r"0\.0\.0\.0:8081/tcp"),
    Twin("listeners", "start-service.sh", "PORT=8081", "PORT=8082", r"127\.0\.0\.1:8082/tcp"),
    Twin("published", "docker-compose.yml", r"( +)ports:", '    ports:\n      - "127.0.0.1::8080"', "8080/tcp"),
    Twin("confinement", "docker-compose.yml", "- KILL", "- KILL\n      - NET_RAW", "CHOWN KILL NET_RAW SETGID SETUID"),
    Twin("confinement", "docker-compose.yml", "read_only: true", "read_only: false", "a file was written to /usr"),
    Twin(
        "confinement", "docker-compose.yml", "no-new-privileges:true", "seccomp=unconfined", r"process \d+ \(.*\) may"
    ),
    Twin("confinement", "docker-compose.yml", "    mem_limit: .*\n", "", "0"),
    Twin("confinement", "docker-compose.yml", "pids_limit: 512", "pids_limit: 513", "513"),
    Twin(
        "written",
        "docker-compose.yml",
        "read_only: true",
        "read_only: false",
        "/var/trace",
        (("entrypoint.sh", "^# Database", "echo x >/var/trace"),),
    ),
    Twin("secrets", "entrypoint.sh", "^unset TOKEN", 'echo "$TOKEN$secret"\nunset TOKEN', "it is there"),
    Twin("secrets", "entrypoint.sh", "^unset secret", 'export SPARE="$secret"\nunset secret', "that of "),
    Twin(
        "secrets",
        "start-service.sh",
        "exec /usr/local/bin/service\n    ;;\nextra",
        'exec /usr/local/bin/service "$TOKEN"\n    ;;\nextra',
        "that of api",
    ),
    Twin("secrets", "entrypoint.sh", "umask 077", "umask 022", "root 644"),
    Twin(
        "secrets", "entrypoint.sh", r"secret=\$\(LC_ALL=C .*", "secret=abcdefghijklmnopqrstuvwxyzabcdef", "the same one"
    ),
    Twin("restart", "database.sh", "^set -eu", "set -eu\nrm -f /data/files/.a*", "nothing"),
    Twin("recreate", "docker-compose.yml", r"    volumes:\n.*:/data\n", "", "nothing"),
    Twin("rebuild", "docker-compose.yml", r"    volumes:\n.*:/data\n", "", "nothing"),
    Twin(
        "bound",
        "entrypoint.sh",
        "^own /data .*",
        "",
        "restarting",
        (("Dockerfile", "^VOLUME", "RUN install -d -o root -g app -m 1775 /data\nVOLUME"),),
    ),
    Twin("owners", "entrypoint.sh", "^ *adopt /data/files", "own /data/files", "Permission denied"),
    Twin("stop", "start-service.sh", "exec /usr/local/bin/service", "trap '' TERM; /usr/local/bin/service", "SIGKILL"),
    Twin("stop", "supervisord.conf", "priority=20", "priority=5", "web, api, extra"),
)


def compiled(directory: Path) -> App:
    """Compile the small spec, or whichever lies there, in a directory of its own, with all that it names."""
    if not (directory / "appos.yaml").exists():
        shutil.copytree(SMALL, directory, dirs_exist_ok=True)
    result = pipeline.compile_spec(str(directory / "appos.yaml"))
    write.write(str(directory / result.app.output), result.files)
    return result.app


def spoil(directory: Path, twin: Twin) -> None:
    """Put the fault into the generated file; the text it replaces has to be there."""
    for name, old, new in ((twin.file, twin.old, twin.new), *twin.also):
        path = directory / "build" / name
        spoilt, count = re.subn(old, new.replace("\\", "\\\\"), path.read_text(), flags=re.MULTILINE)
        assert count, f"{name} has no {old!r}"
        path.write_text(spoilt)
