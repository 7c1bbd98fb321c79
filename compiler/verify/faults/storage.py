"""What can happen to the data's place: files that lost their end, no room, no right to write."""

from __future__ import annotations

import re
import secrets
import time
from typing import TYPE_CHECKING

from compiler.verify.asking import as_service, stored
from compiler.verify.checks import data
from compiler.verify.faults.ending import clear_line, ended, restarts, up
from compiler.verify.faults.serving import LOST_MORE
from compiler.verify.faults.volumes import outside, small, sources
from compiler.verify.result import FailedError

if TYPE_CHECKING:
    from compiler.model import App, Path, Service
    from compiler.verify.faults.volumes import Small
    from compiler.verify.trial import Trial

CUT = 7
"""Bytes that a damaged file loses: less than any record, so that the last one is there in part."""

WINDOW = 1.1
"""Seconds after which an acknowledged write is on the disk: Redis's everysec, and a little."""

NOTICE = 3.0
"""Seconds that a full volume stays full: long enough for every service to run into it."""

DAMAGE = r"""
set -eu
size=$1
shift
newest=
for file; do
    [ -f "$file" ] && [ -s "$file" ] || continue
    [ -n "$newest" ] && [ "$newest" -nt "$file" ] || newest=$file
done
[ -n "$newest" ] || exit 3
bytes=$(wc -c <"$newest")
keep=$((bytes > size ? bytes - size : 0))
head -c "$keep" "$newest" >"$newest.cut"
cat "$newest.cut" >"$newest"
rm -f "$newest.cut"
echo "$newest"
"""
"""Cuts the newest of the files; by writing to it, so that its owner and mode stay."""

_PLAIN = re.compile(r"[^A-Za-z0-9/._*?\[\]-]")
"""What a shell has to take as it is, in a pattern."""

REFUSED = 20.0
"""Seconds within which a start is refused."""

POLICY = 60.0
"""Seconds that the restart policy of an engine waits at most before it starts a container again."""

REFUSAL = r"\S.*"
"""What a refusal says is its own affair, so long as it is the last line and one of ours."""


def damaged(app: App) -> bool:
    """Whether the spec says what can be damaged."""
    return any(service.verify and service.verify.damage for service in app.services)


def damage(trial: Trial) -> str:
    """The newest of a service's files has lost its last bytes, as after a crash of the machine."""
    wanted = [service for service in trial.app.services if service.verify and service.verify.damage]
    return ", ".join(_damaged(trial, service) for service in wanted)


def full(trial: Trial) -> str:
    """No room on any volume while the services run, room again, and a start without room."""
    with small(trial) as volumes:
        value = data.write(trial)
        running = _filled(trial, volumes)
        took = _freed(trial, volumes)
        data.read(trial, value, "after the volume was full")
        kept = _written_without_room(trial, volumes)
        value = data.write(trial)
        time.sleep(WINDOW)
        volumes.fill()
        trial.engine.tell("kill", trial.container)
        line = _refused(trial, "the volume is full")
        restarted = _freed(trial, volumes)
        data.read(trial, value, "after a start on a full volume")
    return (
        f"{running}, {kept}, {took:.1f} s after there was room; start: {line}, {restarted:.1f} s after there was room"
    )


def readonly(trial: Trial) -> str:
    """The volumes can only be read, as after an error of the disk: the container says so and ends."""
    names = sources(trial)
    trial.down()
    trial.read_only = True
    for volume, source in names.items():
        trial.mount(volume, source)
    try:
        trial.create()
        return f"refused: {_refused(trial, 'the volume is read-only')}"
    finally:
        trial.reset()


def _damaged(trial: Trial, service: Service) -> str:
    path: Path = (*service.path, "verify")
    verify = service.verify
    if verify is None or not (verify.write and verify.read):
        raise FailedError("how to write and read, for what is damaged", "nothing", path)
    # The last write may be what is cut off. The one before it may have been replaced by it, if it is there.
    first, second = (_written(trial, service) for _ in range(2))
    time.sleep(WINDOW)
    trial.stop()
    # Patterns are the shell's to fill in; the model has seen to it that there is nothing else in them.
    patterns = " ".join(_PLAIN.sub(r"\\\g<0>", pattern) for pattern in verify.damage)
    done = outside(trial, f'set -- {patterns}\nset -- {CUT} "$@"\n{DAMAGE}')
    if done.status != 0:
        came = done.err.strip() or f"none at {', '.join(verify.damage)}"
        raise FailedError(f"a file of {service.name} to damage", came, (*path, "damage"))
    since = trial.now()
    trial.engine.tell("start", trial.container)
    took = trial.healthy()
    read = as_service(trial, service, verify.read, first).out.split()
    if first not in read and second not in read:
        raise FailedError(
            f"what {service.name} had acknowledged before its last write",
            " ".join(read) or "nothing",
            (*path, "damage"),
            logs=trial.tail(since),
            look=f"how {service.name} is told to treat a file that ends in the middle",
        )
    return f"{done.out.strip()}, healthy after {took:.1f} s"


def _written(trial: Trial, service: Service) -> str:
    value = secrets.token_hex(8)
    stored(trial, service, value)
    return value


def _filled(trial: Trial, volumes: Small) -> str:
    """Fill the volumes under the running services: they go on, or say that they cannot; return which."""
    since, count = trial.now(), restarts(trial)
    volumes.fill()
    trial.until(lambda: ended(trial, count), NOTICE)
    if ended(trial, count):
        line = clear_line(trial, since)
        if not line:
            last = (trial.logs(since) or ["nothing"])[-1]
            raise FailedError("a last line that says why the container ends", last, _volume(trial))
        return f"on a full volume the container ended: {line}"
    return f"on a full volume it is {trial.state().get('Health', {}).get('Status', 'running')}"


def _written_without_room(trial: Trial, volumes: Small) -> str:
    """What a service acknowledges on a full volume is there when there is room again; most will not acknowledge it."""
    volumes.fill()
    said = {}
    for service in trial.app.services:
        if service.verify and service.verify.write:
            value = secrets.token_hex(8)
            done = as_service(trial, service, service.verify.write, value)
            said[service] = value if done.status == 0 else ""
    _freed(trial, volumes)
    for service, value in said.items():
        if value and service.verify:
            came = as_service(trial, service, service.verify.read, value).out.strip()
            if value not in came.split():
                expected = f"{value} in {service.name}, which acknowledged it on a full volume"
                raise FailedError(expected, came or "nothing", (*service.path, "verify"))
    words = [f"{service.name} {'acknowledges' if value else 'refuses'} writes" for service, value in said.items()]
    return ", ".join(words) or "no service says how to write"


def _freed(trial: Trial, volumes: Small) -> float:
    """Make room; return after how many seconds the container was healthy."""
    limit = LOST_MORE if up(trial) and not restarts(trial) else POLICY + max(trial.app.health.start / 1000, LOST_MORE)
    volumes.free()
    took = trial.until(lambda: _serves(trial), limit)
    if took is None:
        state = trial.state()
        came = f"{state['Status']} {state.get('Health', {}).get('Status', '')}".strip()
        expected = f"healthy within {limit:.0f} s, when there is room again"
        raise FailedError(expected, came, _volume(trial), logs=trial.tail())
    return took


def _serves(trial: Trial) -> bool:
    """By the health check's own commands: the engine asks only now and then."""
    return up(trial) and all(trial.run(*command, user="0").status == 0 for command in trial.app.health.commands)


def _refused(trial: Trial, when: str) -> str:
    """Start the container, which has to end at once; return its last line, which has to be one of its own scripts'."""
    since = trial.now()
    trial.engine.tell("start", trial.container)
    if trial.until(lambda: not up(trial), REFUSED) is None:
        raise FailedError(f"no start, when {when}", "it runs", _volume(trial), logs=trial.tail(since))
    last = (trial.logs(since) or ["nothing"])[-1]
    line = clear_line(trial, since, REFUSAL)
    if not line or line != last:
        raise FailedError(f"a last line that says why, when {when}", last, _volume(trial))
    return line.removeprefix(f"{trial.app.name}: ")


def _volume(trial: Trial) -> Path:
    return trial.app.volumes[0].path
