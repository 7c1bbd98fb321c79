"""What is measured inside a container: how soon a killed service serves again, and who takes how much memory."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.container_side import Side

NEVER = 30
"""Seconds after which a service is given up."""

REST = 5
"""Seconds of doing nothing in which processor time is counted."""


class Service(NamedTuple):
    """A service as both containers have it: its main process, and a command that succeeds when it serves."""

    name: str
    process: str
    ready: str


_GET = "wget -q -Y off -T 2 -O /dev/null http://127.0.0.1"
SERVICES = (
    Service("redis", "redis-server", 'test "$(redis-cli -p 6379 ping 2>/dev/null)" = PONG'),
    Service("convex", "convex-backend", f"{_GET}:3210/version"),
    Service("backend", "appos-backend", f"{_GET}:8080/api/health"),
    # A right answer is not enough: workers without a master give it too.
    Service("nginx", "nginx", f"{_GET}:80/ && own_workers"),
)
PAYLOAD = ("convex", "backend")
"""What is not the container's own affair."""

_BACK = r"""
name=$1

# look PID: sets $comm, $state and $parent, or fails.
look() {
    { read -r comm <"/proc/$1/comm" && read -r _ _ state parent _ <"/proc/$1/stat"; } 2>/dev/null
}

# find_main: sets $main to the service's main process: one whose parent is another program.
find_main() {
    main=
    for directory in /proc/[0-9]*; do
        pid=${directory#/proc/}
        look "$pid" && [ "$comm" = "$name" ] && [ "$state" != Z ] || continue
        above=$parent
        if look "$above" && [ "$comm" = "$name" ]; then continue; fi
        main=$pid
        [ "$main" = "$killed" ] || return 0
    done
    [ -n "$main" ]
}

# own_workers: whether there are processes of that name below the main one, and none anywhere else.
own_workers() {
    master=
    for directory in /proc/[0-9]*; do
        if grep -q '^nginx: master' "$directory/cmdline" 2>/dev/null; then master=${directory#/proc/}; fi
    done
    [ -n "$master" ] && [ "$master" != "$killed" ] || return
    workers=0
    for directory in /proc/[0-9]*; do
        pid=${directory#/proc/}
        look "$pid" && [ "$comm" = nginx ] && [ "$pid" != "$master" ] && [ "$state" != Z ] || continue
        [ "$parent" = "$master" ] || return
        workers=$((workers + 1))
    done
    [ "$workers" -gt 0 ]
}

# The client takes an empty password for one.
REDISCLI_AUTH=$(cat /appos/data/.appos/secrets/redis_password 2>/dev/null)
if [ -n "$REDISCLI_AUTH" ]; then export REDISCLI_AUTH; else unset REDISCLI_AUTH; fi

ready() { READY; }

hundredths() {
    read -r now _ </proc/uptime
    now=${now%.*}${now#*.}
}

killed=
find_main || { echo 'not there'; exit 0; }
killed=$main
hundredths
start=$now
kill -s KILL "$killed"
while :; do
    if find_main && [ "$main" != "$killed" ] && ready; then
        hundredths
        echo "back $((now - start))"
        exit 0
    fi
    hundredths
    [ $((now - start)) -lt LIMIT ] || { echo never; exit 0; }
    sleep 0.02
done
"""


def back(side: Side, service: Service) -> float:
    """Kill a service with SIGKILL; return the seconds until it serves again, counted inside; infinity for never."""
    script = _BACK.replace("READY", service.ready).replace("LIMIT", str(NEVER * 100))
    said = side.run("sh", "-c", script, "sh", service.process, timeout=NEVER + 30).strip()
    if said == "never":
        return math.inf
    found = re.fullmatch(r"back (\d+)", said)
    if not found:
        raise RuntimeError(f"{side.name}: {service.name}: {said or 'the container has ended'}")
    return int(found[1]) / 100


# --- memory and processor

_MEMORY = r"""
for directory in /proc/[0-9]*; do
    cat "$directory/stat" && grep -E '^(Rss|Pss):' "$directory/smaps_rollup"
done 2>/dev/null
"""


class Memory(NamedTuple):
    """MiB: what a tree of processes has in memory, and its part of it where others share a page."""

    rss: float
    pss: float


OWN = "supervisor"
"""The supervisor and everything that belongs to no service."""


def memory(side: Side) -> dict[str, Memory]:
    """The memory of each service's processes, and of the rest."""
    parents, names, sizes = {}, {}, {}
    pattern = r"^(\d+) \((.*)\) \S (\d+) .*\nRss:\s*(\d+) kB\nPss:\s*(\d+) kB$"
    for pid, name, parent, rss, pss in re.findall(pattern, side.run("sh", "-c", _MEMORY), re.MULTILINE):
        parents[int(pid)], names[int(pid)] = int(parent), name
        sizes[int(pid)] = Memory(int(rss) / 1024, int(pss) / 1024)
    processes = {service.process: service.name for service in SERVICES}
    found = {service.name: Memory(0, 0) for service in SERVICES} | {OWN: Memory(0, 0)}
    for pid, size in sizes.items():
        line = tuple(_line(pid, parents))
        # What an exec or a health check started is no child of process 1.
        if line[-1] == 1:
            owner = next((processes[names[other]] for other in line if names[other] in processes), OWN)
            found[owner] = Memory(found[owner].rss + size.rss, found[owner].pss + size.pss)
    return found


def _line(pid: int, parents: Mapping[int, int]) -> Iterator[int]:
    """A process, its parent, and so on."""
    while pid in parents:
        yield pid
        pid = parents[pid]


_USED = r"""
used() {
    if [ -e /sys/fs/cgroup/cpu.stat ]; then
        sed -n 's/^usage_usec //p' /sys/fs/cgroup/cpu.stat
    else
        echo $(($(cat /sys/fs/cgroup/cpuacct/cpuacct.usage) / 1000))
    fi
}
before=$(used)
sleep REST
echo $(($(used) - before))
"""


def processor(side: Side) -> float:
    """Milliseconds of processor time that the container takes each second while nobody asks it anything."""
    said = side.run("sh", "-c", _USED.replace("REST", str(REST))).strip()
    return int(said) / 1000 / REST if said.isdigit() else math.nan
