"""Runs in a process of its own: a request as JSON comes in, what supervisor's own option reader made of it goes out."""

from __future__ import annotations

import json
import os
import pwd
import shlex
import signal
import sys
from typing import Any

from supervisor import datatypes, options

SERVER = ("nodaemon", "user", "logfile", "logfile_maxbytes", "pidfile", "loglevel", "silent", "minfds", "identifier")
RESTART = {datatypes.RestartUnconditionally: True, datatypes.RestartWhenExitUnexpected: "unexpected", False: False}
# Sections that supervisord reads itself; the others belong to its client or to plug-ins.
READ = ("supervisord", "program:", "eventlistener:", "fcgi-program:", "group:", "unix_http_server", "inet_http_server")


def imitate_users(users: list[str] | None) -> list[str]:
    """Makes the users of the container exist here, all or only those listed; out comes a list in which uid is index."""
    names = ["root"]

    def getpwnam(name: str) -> pwd.struct_passwd:
        if users is not None and name not in users:
            raise KeyError(name)
        if name not in names:
            names.append(name)
        return getpwuid(names.index(name))

    def getpwuid(uid: int) -> pwd.struct_passwd:
        return pwd.struct_passwd((names[uid] if uid < len(names) else str(uid), "x", uid, uid, "", "/", "/bin/sh"))

    pwd.getpwnam = getpwnam
    pwd.getpwuid = getpwuid
    return names


def imitate_directories(directories: list[str] | None) -> None:
    """Makes the directories of the container exist for this process: all, or only those listed."""
    is_directory = os.path.isdir

    def isdir(path: Any) -> bool:
        return is_directory(path) or directories is None or path in directories

    os.path.isdir = isdir  # type: ignore[assignment]  # a wider signature than any caller here needs


def watch_reads() -> tuple[list[Any], set[tuple[str, str]]]:
    """The parsers that will be made, and the (section, option) pairs that will be asked of them."""
    parsers: list[Any] = []
    asked: set[tuple[str, str]] = set()

    class Watched(options.UnhosedConfigParser):  # type: ignore[misc]  # supervisor has no type information
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            parsers.append(self)
            super().__init__(*args, **kwargs)

        def saneget(self, section: str, option: str, *args: Any, **kwargs: Any) -> Any:
            asked.add((section, option))
            return super().saneget(section, option, *args, **kwargs)

    options.UnhosedConfigParser = Watched
    return parsers, asked


def program(group: Any, config: Any, users: list[str]) -> dict[str, Any]:
    """Every setting of a program, as plain values."""
    settings = {name: getattr(config, name) for name in config.req_param_names + config.optional_param_names}
    settings = {name: "AUTO" if value is datatypes.Automatic else value for name, value in settings.items()}
    uid = settings.pop("uid")
    settings["user"] = users[uid] if uid is not None and uid < len(users) else uid
    settings["autorestart"] = RESTART[config.autorestart]
    settings["stopsignal"] = signal.Signals(config.stopsignal).name
    settings["group"] = group.name
    settings["argv"] = shlex.split(config.command)
    if hasattr(group, "pool_events"):
        settings["events"] = sorted(event.__name__ for event in group.pool_events)
    return settings


def main() -> None:
    """Answers one request."""
    request = json.load(sys.stdin)
    users = imitate_users(request["users"])
    imitate_directories(request["directories"])
    parsers, asked = watch_reads()
    server = options.ServerOptions()
    server.realize(["-c", request["path"]], progname="supervisord")
    reading = {
        "version": options.VERSION,
        "server": {
            **{name: getattr(server, name, None) for name in SERVER},
            "sockets": [
                {key: value for key, value in socket.items() if key not in {"family", "section"}}
                for socket in server.configroot.supervisord.server_configs
            ],
        },
        "programs": {
            config.name: program(group, config, users)
            for group in server.process_group_configs
            for config in group.process_configs
        },
        "ignored": sorted(
            f"{section}.{option}"
            for parser in parsers
            for section in parser.sections()
            if section.startswith(READ)
            for option in parser.options(section)
            if (section, option) not in asked
        ),
        "warnings": server.parse_criticals + server.parse_warnings,
    }
    json.dump(reading, sys.stdout)


main()
