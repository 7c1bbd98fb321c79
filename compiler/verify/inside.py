"""What is going on inside a container, as /proc says it: its processes, their rights, and who listens where."""

from __future__ import annotations

import ipaddress
import re
import struct
from typing import NamedTuple

SCRIPT = r"""
for directory in /proc/[0-9]*; do
    pid=${directory#/proc/}
    [ "$pid" != "$$" ] || continue
    echo "@process $pid"
    cat "$directory/stat" "$directory/status" 2>/dev/null
    printf '@command '
    tr '\000\n' '\037 ' <"$directory/cmdline" 2>/dev/null
    echo
    ls -l "$directory/fd" 2>/dev/null | sed -n 's/.*socket:\[\([0-9]*\)\].*/@socket \1/p'
done
for table in tcp tcp6 udp udp6; do
    echo "@table $table"
    cat /proc/net/$table 2>/dev/null
done
"""
"""For the sh of any base image, run by root: one answer for everything, so that it fits together."""

_LISTENING = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}


FIELDS = 10
"""Of a line that describes a socket, up to its inode: proc(5)."""


class Process(NamedTuple):
    """One process; ``command`` are its words, ``started`` ticks since the machine's start."""

    pid: int
    parent: int
    group: int
    state: str
    started: int
    name: str
    command: tuple[str, ...]
    uid: int
    gid: int
    groups: tuple[int, ...]
    capabilities: int
    no_new_privileges: bool
    sockets: tuple[str, ...]


class Listener(NamedTuple):
    """A socket that waits for others; the processes that hold it."""

    protocol: str
    address: str
    port: int
    pids: tuple[int, ...]

    @property
    def loopback(self) -> bool:
        """Whether only the container itself gets there."""
        return ipaddress.ip_address(self.address).is_loopback


class View(NamedTuple):
    """All of it at one moment."""

    processes: tuple[Process, ...]
    listeners: tuple[Listener, ...]

    def tree(self, pid: int) -> tuple[Process, ...]:
        """Return the process, its descendants, and whatever else is in its group."""
        wanted = {pid}
        while True:
            more = {p.pid for p in self.processes if p.parent in wanted or p.pid in wanted or p.group == pid}
            if more == wanted:
                break
            wanted = more
        return tuple(p for p in self.processes if p.pid in wanted)


def parse(text: str) -> View:
    """Make a view of what the script prints."""
    parts = re.split(r"^@(process|table) (\S+)\n", text, flags=re.MULTILINE)
    rows = list(zip(parts[1::3], parts[2::3], parts[3::3], strict=True))
    processes = tuple(found for kind, name, body in rows if kind == "process" and (found := _process(int(name), body)))
    listeners = [
        listener for kind, name, body in rows if kind == "table" for listener in _listeners(name, body, processes)
    ]
    return View(processes, tuple(listeners))


def _process(pid: int, body: str) -> Process | None:
    stat = re.match(rf"{pid} \((.*)\) (\S) (\d+) (\d+) (.*)$", body, re.MULTILINE)
    # What has no groups has an empty line there.
    status = dict(re.findall(r"^(\w+):[ \t]*(.*)$", body, re.MULTILINE))
    if stat is None or "Uid" not in status:
        # It has ended meanwhile.
        return None
    command = re.search(r"^@command (.*)$", body, re.MULTILINE)
    return Process(
        pid,
        int(stat[3]),
        int(stat[4]),
        stat[2],
        int(stat[5].split()[16]),
        stat[1],
        tuple(command[1].rstrip("\037").split("\037")) if command and command[1] else (),
        int(status["Uid"].split()[1]),
        int(status["Gid"].split()[1]),
        tuple(int(group) for group in status.get("Groups", "").split()),
        int(status.get("CapEff", "0"), 16),
        status.get("NoNewPrivs") == "1",
        tuple(re.findall(r"^@socket (\d+)$", body, re.MULTILINE)),
    )


def _listeners(table: str, body: str, processes: tuple[Process, ...]) -> list[Listener]:
    found = []
    for line in body.splitlines():
        fields = line.split()
        if len(fields) < FIELDS or fields[3] != _LISTENING[table] or ":" not in fields[1]:
            continue
        address, port = fields[1].split(":")
        pids = tuple(process.pid for process in processes if fields[9] in process.sockets)
        found.append(Listener(table[:3], _address(address), int(port, 16), pids))
    return found


def _address(text: str) -> str:
    """The kernel prints each 32 bits of an address as a number of the machine's own byte order."""
    words = [int(text[place : place + 8], 16) for place in range(0, len(text), 8)]
    address = ipaddress.ip_address(b"".join(struct.pack("=I", word) for word in words))
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
