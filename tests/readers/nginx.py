"""nginx configurations as nginx itself reads them, and nginx running with them on loopback.

The configuration is that of a container: here its absolute paths are moved into a private directory and its ports to
free ones, line by line, and nothing else about it changes.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from tests.readers import tools

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

START_SECONDS = 10
LOWEST_FREE_FOR_ALL = 1024
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

_PATH = re.compile(
    r"""(?mx)
    (?: ^ | [;{] )[ \t]*
    (?: pid | lock_file | error_log | access_log | include | root | alias | auth_basic_user_file | proxy_cache_path
      | ssl_\w+ | \w+_temp_path ) [ \t]+ ["']? (?= / (?! dev/ ) )
    | \b unix: (?= / )
    """
)
_LISTEN = re.compile(r"(?m)((?:^|[;{])[ \t]*listen[ \t]+(?:[\w.*]+:|\[[^]]*\]:)?)(\d+)\b")
_LOOPBACK = re.compile(r"(\b(?:127\.0\.0\.1|localhost|\[::1\]):)(\d+)\b")
_USER = re.compile(r"(?m)^user[ \t][^;]*;")
_LEVEL = re.compile(r" \[(?:warn|error|alert|crit|emerg|notice)\] ")
_DAEMON = re.compile(r"(?m)^daemon[ \t][^;]*;")


class Server(NamedTuple):
    """A running nginx: where each port of the configuration is now, the directory its paths are in, and its log."""

    ports: dict[int, int]
    root: str
    log: str


def check(path: str) -> list[str]:
    """What `nginx -t` warns of; RejectedError with its message if nginx would not start."""
    with tempfile.TemporaryDirectory() as root:
        text = _read(path)
        moved = {port: port + 20000 for port in _listens(text) if port < LOWEST_FREE_FOR_ALL and os.getuid() != 0}
        done = tools.call(_command(_prepare(text, root, moved), root, "-t"))
        if done.returncode != 0:
            raise tools.RejectedError(done.stderr.replace(root, ""))
        return [line.replace(root, "") for line in done.stderr.splitlines() if _LEVEL.search(line)]


def gixy(path: str) -> list[tools.Finding]:
    """The findings of gixy with its default settings, on a configuration that nginx accepts."""
    check(path)
    with tempfile.TemporaryDirectory() as root:
        moved = _write(_move_paths(_read(path), root), root)
        done = tools.call([tools.program("gixy"), "--format", "json", moved])
        if not done.stdout:
            raise tools.RejectedError(done.stderr)
        return [
            tools.Finding(item["plugin"], path, item["line"] or 0, item["reason"] or item["summary"])
            for item in json.loads(done.stdout)
        ]


@contextmanager
def serve(
    path: str, *, files: Mapping[str, str] | None = None, ports: Mapping[int, int] | None = None
) -> Iterator[Server]:
    """Runs nginx with the configuration; RejectedError with its log if it does not start.

    `files` are contents by their absolute path in the container; `ports` says where on this machine the test serves
    what the configuration expects on a loopback port. Each port that nginx listens on becomes a free one, named in the
    result.
    """
    with tempfile.TemporaryDirectory() as root:
        # the workers of an nginx started by root run as nobody
        os.chmod(root, 0o755)  # noqa: S103
        text = _read(path)
        listens = {port: _free_port() for port in _listens(text)}
        for name, content in (files or {}).items():
            _write(content, root, name)
        log = os.path.join(root, "log")
        command = _command(_prepare(text, root, {**listens, **(ports or {})}), root, "-g", "daemon off;")
        with open(log, "wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            _wait(process, listens.values(), log)
            yield Server(listens, root, log)
        finally:
            process.terminate()
            process.wait(tools.TIMEOUT_SECONDS)


def _command(conf: str, root: str, *arguments: str) -> list[str]:
    return [tools.program("nginx"), "-e", "stderr", "-p", root, "-c", conf, *arguments]


def _prepare(text: str, root: str, ports: Mapping[int, int]) -> str:
    """Writes the configuration so that it works on this machine, line by line as it was; returns its path."""
    text = _move_paths(text, root)
    text = _USER.sub(_worker_user(), text)
    text = _DAEMON.sub("", text)
    for pattern in (_LISTEN, _LOOPBACK):
        text = pattern.sub(lambda match: match[1] + str(ports.get(int(match[2]), match[2])), text)
    # What is not said stands in the compiled-in places of this machine's nginx, which may not be writable.
    http = "".join(f" {name}_temp_path {root}/{name};" for name in TEMPORARY if f"{name}_temp_path" not in text)
    http += "" if "access_log" in text else " access_log off;"
    text = re.sub(r"(?m)^http[ \t]*\{", lambda match: match[0] + http, text, count=1)
    return _write(text if re.search(r"(?m)^pid\s", text) else f"pid {root}/nginx.pid; {text}", root)


def _move_paths(text: str, root: str) -> str:
    etc = next(
        (path for path in (os.path.join(tools.CACHE, "root/etc/nginx"), "/etc/nginx") if os.path.isdir(path)), None
    )
    if etc is not None:
        shutil.copytree(etc, os.path.join(root, "etc/nginx"), symlinks=True, dirs_exist_ok=True)
    for match in _PATH.finditer(text):
        moved = re.match(r"[^\s;\"']*", text[match.end() :])
        os.makedirs(os.path.dirname(root + (moved[0] if moved else "")), exist_ok=True)
    return _PATH.sub(lambda match: match[0] + root, text)


def _worker_user() -> str:
    if os.getuid() != 0:
        return ""
    nobody = pwd.getpwnam("nobody")
    return f"user {nobody.pw_name} {grp.getgrgid(nobody.pw_gid).gr_name};"


def _listens(text: str) -> list[int]:
    return [int(match[2]) for match in _LISTEN.finditer(text)]


def _read(path: str) -> str:
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


def _write(text: str, root: str, name: str = "/etc/nginx/nginx.conf") -> str:
    path = root + name
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait(process: subprocess.Popen[bytes], ports: Iterable[int], log: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    for port in ports:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                raise tools.RejectedError(_read(log))
            time.sleep(0.01)
