"""Put generated files into the output directory: all of them or none, and never over an edit made by hand."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from compiler import manifest
from compiler.directory import UNTOUCHED, create, created, host_errors, locked, read, refuse_outside, signals_deferred
from compiler.drift import Change, Plan, State, compare, content, outputs
from compiler.errors import CompileError, HostError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compiler.generated import GeneratedFile

__all__ = ["Change", "EditedError", "Plan", "plan", "write"]

RECORD_MODE = 0o644


class EditedError(CompileError):
    """Files were edited by hand (``plan.edited``); nothing was written."""

    exit_code = 1

    def __init__(self, plan: Plan) -> None:
        super().__init__("edited by hand: " + ", ".join(change.path for change in plan.edited))
        self.plan = plan


class _Step(NamedTuple):
    path: str
    content: bytes | None  # None: remove it
    mode: int


def plan(directory: str, files: Sequence[GeneratedFile], *, within: str | None = None) -> Plan:
    """Compare ``files`` with what stands in ``directory``, without changing anything.

    With ``within``, refuses a directory that symbolic links lead out of it. Raises ``HostError``.
    """
    with host_errors(directory):
        refuse_outside(directory, within)
        state = State({}, manifest.Manifest(), ())
        if os.path.lexists(directory):
            with locked(directory, exclusive=False) as fd:
                state = _scan(fd, directory, files)
        return compare(state, outputs(files, state))


def write(
    directory: str,
    files: Sequence[GeneratedFile],
    *,
    force: bool = False,
    within: str | None = None,
    origin: manifest.Origin | None = None,
) -> Plan:
    """Make ``directory`` hold exactly ``files``, record them and their ``origin``, and return what changed.

    Raises ``EditedError`` if files were edited by hand and ``force`` is not set, ``HostError`` if the machine stands in
    the way; both leave everything as it was. Edited files that are no longer generated stay, ``force`` or not.
    """
    with host_errors(directory):
        refuse_outside(directory, within)
        with created(directory), locked(directory, exclusive=True) as fd:
            state = _scan(fd, directory, files)
            wanted = outputs(files, state)
            result = compare(state, wanted)
            if result.edited and not force:
                raise EditedError(result)
            steps = _steps(state, wanted, result, origin or manifest.Origin())
            with signals_deferred():
                for name in state.stray:
                    os.unlink(name, dir_fd=fd)
                _carry_out(fd, directory, steps, state)
    return result


def _steps(state: State, wanted: Sequence[GeneratedFile], plan: Plan, origin: manifest.Origin) -> list[_Step]:
    """List what to do, in an order in which the manifest knows every file of its directory at any moment."""
    steps = [_Step(file.path, content(file), file.mode) for file in wanted]
    steps = [step for step in steps if state.found.get(step.path) != (step.content, step.mode)]
    steps += [_Step(change.path, None, 0) for change in plan.changes if change.kind == "removed"]
    files = {file.path: [manifest.entry(content(file), file.mode)] for file in wanted}
    if steps:
        known = state.recorded.writing
        writing = {path: [*known.get(path, ()), *files.get(path, ())] for path in {*known, *files}}
        begun = manifest.render(state.recorded.files, writing, manifest.Origin())
        steps.insert(0, _Step(manifest.NAME, begun, RECORD_MODE))
    record = manifest.render(files, {}, origin)
    if steps or state.found.get(manifest.NAME) != (record, RECORD_MODE):
        steps.append(_Step(manifest.NAME, record, RECORD_MODE))
    return steps


def _carry_out(fd: int, directory: str, steps: Sequence[_Step], state: State) -> None:
    """Write everything aside first, so that a full disk shows while nothing has changed; then only rename and remove.

    Nothing is forced to the disk: after a power cut, as after a kill, the next run generates the same files again.
    """
    aside = [f"{manifest.TEMPORARY}{number}" for number in range(len(steps))]
    done: list[str] = []
    try:
        for name, step in zip(aside, steps, strict=True):
            if step.content is not None:
                create(fd, name, step.content, step.mode)
        for name, step in zip(aside, steps, strict=True):
            if step.content is None:
                os.unlink(step.path, dir_fd=fd)
            else:
                os.rename(name, step.path, src_dir_fd=fd, dst_dir_fd=fd)
            done.append(step.path)
    except BaseException:
        for name in aside:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=fd)
        _undo(fd, directory, done, state)
        raise


def _undo(fd: int, directory: str, done: Sequence[str], state: State) -> None:
    try:
        for path in reversed(done):
            before = state.found.get(path)
            if before is None:
                os.unlink(path, dir_fd=fd)
            else:
                name = manifest.TEMPORARY + "undo"
                create(fd, name, before.raw, before.mode)
                os.rename(name, path, src_dir_fd=fd, dst_dir_fd=fd)
    except OSError as error:
        message = f"{directory}: {error.strerror}, with a part of the files written"
        raise HostError(message, "Mend that and run again: the next run finishes what this one began.") from error


def _scan(fd: int, directory: str, files: Sequence[GeneratedFile]) -> State:
    record = read(fd, directory, manifest.NAME)
    recorded = manifest.parse(record.raw if record else b"")
    if recorded.newer:
        where = os.path.join(directory, manifest.NAME)
        message = f"{where} was written by a newer appos-compile: its format is {recorded.newer}, not {manifest.FORMAT}"
        raise HostError(message, f"{UNTOUCHED} Update appos-compile.")
    wanted = outputs(files, State({}, recorded, ()))
    names = {manifest.NAME, *recorded.files, *recorded.writing, *(file.path for file in wanted)}
    found = {name: file for name in sorted(names) if (file := read(fd, directory, name))}
    stray = sorted(name for name in os.listdir(fd) if name.startswith(manifest.TEMPORARY))
    return State(found, recorded, stray)
