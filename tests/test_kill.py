"""Runs that are killed, interrupted, or many at once: no torn file, no false alarm, nothing left behind."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING

import pytest

from compiler import manifest
from compiler.generated import GeneratedFile
from compiler.write import plan, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Files = list[GeneratedFile]

KILLS = 200
CHANGING = ("open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.rmdir", "fcntl.flock", "os.listdir")
RENAMING = ("os.rename", "os.remove")


def _version(name: str) -> Files:
    """A set of files that has most names in common with the other versions, but no content."""
    files = [
        GeneratedFile(path, "".join(f"{name} {path} {number}\n" for number in range(size)), mode)
        for path, size, mode in (("Dockerfile", 40, 0o644), ("entrypoint.sh", 3000, 0o755), ("nginx.conf", 300, 0o644))
    ]
    files.append(GeneratedFile("same", "in every version\n", 0o644))
    files.append(GeneratedFile(f"only-{name}", f"{name}\n", 0o644))
    return files


ONE, TWO, THREE = _version("one"), _version("two"), _version("three")


def _child(work: Callable[[], object]) -> int:
    """Run ``work`` in a process of its own, which exits 0 if it returns and 1 if it raises."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except KeyboardInterrupt:
            pass
        except BaseException:  # noqa: BLE001 - nothing of the child may run on in the test runner
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def _wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _contents(directory: Path) -> dict[str, str]:
    own = (manifest.NAME, manifest.TEMPORARY, ".gitattributes")
    if not directory.exists():
        return {}
    return {path.name: path.read_text() for path in directory.iterdir() if not path.name.startswith(own)}


def _as_text(files: Files) -> dict[str, str]:
    return {file.path: file.content for file in files}


def _check_survivor(directory: Path, *versions: Files) -> bool:
    """Every file is wholly of one version and nobody is blamed for it; returns whether a run was found cut short."""
    known = [_as_text(files) for files in versions]
    for path, text in _contents(directory).items():
        assert text in [version.get(path) for version in known], f"{path} is torn"
    found = [plan(str(directory), files) for files in versions]
    for each in found:
        assert (each.edited, each.kept) == ((), ())
    whole = _contents(directory) in [{}, *known]
    assert whole or all(each.interrupted for each in found), "a mixture that nobody notices"
    return found[0].interrupted


def _check_mended(directory: Path, files: Files) -> None:
    """Running again makes it as if nothing had happened."""
    write(str(directory), files)
    assert _contents(directory) == _as_text(files)
    assert not [path for path in directory.iterdir() if path.name.startswith(manifest.TEMPORARY)]
    after = plan(str(directory), files)
    assert (after.changes, after.edited, after.kept, after.interrupted) == ((), (), (), False)
    fresh = directory.with_name("fresh")
    if not fresh.exists():
        write(str(fresh), files)
    for name in (manifest.NAME, ".gitattributes"):
        assert (directory / name).read_bytes() == (fresh / name).read_bytes()


def _at_step(number: int, act: Callable[[], object], events: tuple[str, ...] = CHANGING) -> Callable[[], bool]:
    """Have ``act`` called just before this process touches the disk for the ``number``-th time from now."""
    steps = 0

    def hook(event: str, _: tuple[object, ...]) -> None:
        nonlocal steps
        if event in events:
            steps += 1
            if steps == number:
                act()

    sys.addaudithook(hook)
    return lambda: steps < number


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("before", [[], ONE], ids=["first run", "later run"])
@pytest.mark.parametrize("then", [TWO, THREE], ids=["same again", "something else next"])
def test_killed_before_every_single_step(tmp_path: Path, before: Files, then: Files) -> None:
    interrupted = 0
    for number in range(1, 200):
        directory = tmp_path / str(number)
        if before:
            write(str(directory), before)

        def work(number: int = number, directory: Path = directory) -> None:
            _at_step(number, _kill)
            write(str(directory), TWO)

        status = _wait(_child(work))
        interrupted += _check_survivor(directory, before, TWO) if before else _check_survivor(directory, TWO)
        _check_mended(directory, then)
        if status == 0:
            break
        assert status == -signal.SIGKILL
    else:
        pytest.fail("the run never came to its end")
    assert interrupted > 10


def test_killed_while_it_mends_what_a_kill_left(tmp_path: Path) -> None:
    for first in range(1, 9):
        for second in range(1, 9):
            directory = tmp_path / f"{first}-{second}"
            write(str(directory), ONE)
            for number, files in ((first, TWO), (second, THREE)):

                def work(number: int = number, directory: Path = directory, files: Files = files) -> None:
                    _at_step(number, _kill, RENAMING)
                    write(str(directory), files)

                assert _wait(_child(work)) == -signal.SIGKILL
                _check_survivor(directory, ONE, TWO, THREE)
            _check_mended(directory, ONE)


def test_killed_at_random_moments(tmp_path: Path) -> None:
    directory = tmp_path / "build"
    write(str(directory), ONE)
    chance = random.SystemRandom()
    interrupted = killed = 0

    def work() -> None:
        while True:
            for files in (TWO, ONE):
                write(str(directory), files)

    # On a busy machine a child may not get as far as writing: there are as many again for those.
    for _ in range(KILLS * 2):
        if killed >= KILLS and interrupted > KILLS / 10:
            break
        pid = _child(work)
        time.sleep(chance.uniform(0.002, 0.03))
        os.kill(pid, signal.SIGKILL)
        killed += _wait(pid) == -signal.SIGKILL
        interrupted += _check_survivor(directory, ONE, TWO)
        _check_mended(directory, chance.choice([ONE, TWO]))
        (tmp_path / "fresh").rename(tmp_path / "old")
        _remove(tmp_path / "old")
    assert killed >= KILLS
    assert interrupted > KILLS / 10, "the kills missed the moment of writing"


def _remove(directory: Path) -> None:
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_asked_to_stop_at_every_single_step_it_writes_all_or_nothing(tmp_path: Path, number: signal.Signals) -> None:
    finished = unchanged = 0
    for step in range(1, 200):
        directory = tmp_path / str(step)
        write(str(directory), ONE)

        def work(step: int = step, directory: Path = directory) -> None:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for other in (signal.SIGTERM, signal.SIGHUP):  # whoever runs the tests may ignore them
                signal.signal(other, signal.SIG_DFL)
            pending = _at_step(step, lambda: os.kill(os.getpid(), number))
            write(str(directory), TWO)
            if pending():
                os._exit(7)

        status = _wait(_child(work))
        if status == 7:
            break
        assert not [path for path in directory.iterdir() if path.name.startswith(manifest.TEMPORARY)]
        contents = _contents(directory)
        assert contents in (_as_text(ONE), _as_text(TWO))
        finished += contents == _as_text(TWO)
        unchanged += contents == _as_text(ONE)
        for files in (ONE, TWO):
            found = plan(str(directory), files)
            assert (found.edited, found.kept, found.interrupted) == ((), (), False)
    else:
        pytest.fail("the run never came to its end")
    assert finished
    assert unchanged


def test_many_at_once_leave_one_version(tmp_path: Path) -> None:
    directory = tmp_path / "out" / "build"
    versions = [_version(f"number-{number}") for number in range(8)]

    def work(files: Files) -> None:
        for _ in range(5):
            write(str(directory), files)

    for status in [_wait(pid) for pid in [_child(lambda files=files: work(files)) for files in versions]]:  # type: ignore[misc]
        assert status == 0
    left = _contents(directory)
    assert left in [_as_text(files) for files in versions]
    files = next(files for files in versions if _as_text(files) == left)
    found = plan(str(directory), files)
    assert (found.changes, found.edited, found.interrupted) == ((), (), False)
    assert len(list(directory.iterdir())) == len(files) + 2


def test_a_check_beside_runs_never_sees_one_half_done(tmp_path: Path) -> None:
    directory = tmp_path / "build"
    write(str(directory), ONE)

    def work() -> None:
        while True:
            for files in (TWO, ONE):
                write(str(directory), files)

    pid = _child(work)
    try:
        for _ in range(100):
            found = plan(str(directory), ONE)
            assert (found.edited, found.interrupted) == ((), False)
            assert len(found.changes) in {0, 6}
    finally:
        os.kill(pid, signal.SIGKILL)
        _wait(pid)
