"""Generated files on their way into the output directory: real disks, real git, real refusals."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import compiler
from compiler import directory as place
from compiler import manifest
from compiler.errors import HostError
from compiler.generated import GeneratedFile
from compiler.write import EditedError, Plan, plan, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(compiler.__path__[0]).parent
NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system or becomes another user: needs root")


def _file(path: str, *lines: str, mode: int = 0o644) -> GeneratedFile:
    return GeneratedFile(path, "".join(f"{line}\n" for line in lines), mode)


LINES = [f"line {number}" for number in range(30)]
FILES = [
    _file("Dockerfile", *LINES),
    _file("entrypoint.sh", "#!/bin/sh", *LINES, mode=0o755),
    _file("nginx.conf", "server {", *LINES, "}"),
]


def _kinds(found: Plan) -> dict[str, str]:
    return {change.path: change.kind for change in found.changes}


def _tree(top: Path) -> dict[str, tuple[object, ...]]:
    """Everything under ``top`` that a run could have touched."""
    return {
        str(path.relative_to(top)): (path.read_bytes(), status.st_mode, status.st_ino, status.st_mtime_ns)
        for path in sorted(top.rglob("*"))
        if stat.S_ISREG((status := path.lstat()).st_mode)
    }


@pytest.fixture
def build(tmp_path: Path) -> Path:
    directory = tmp_path / "build"
    write(str(directory), FILES)
    return directory


@pytest.fixture(params=["022", "077", "000"])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(int(request.param, 8))
    yield
    os.umask(before)


class TestWriting:
    def test_the_first_run_creates_everything(self, tmp_path: Path) -> None:
        directory = tmp_path / "not" / "yet"
        assert plan(str(directory), FILES).total == 4
        assert not directory.parent.exists()

        done = write(f"{directory}/", FILES)

        assert _kinds(done) == dict.fromkeys([".gitattributes", "Dockerfile", "entrypoint.sh", "nginx.conf"], "created")
        assert (done.edited, done.kept, done.interrupted, done.total) == ((), (), False, 4)
        assert {path.name for path in directory.iterdir()} == {*_kinds(done), manifest.NAME}
        assert all((directory / file.path).read_bytes() == file.content.encode() for file in FILES)

    @pytest.mark.usefixtures("umask")
    def test_modes_do_not_depend_on_the_umask(self, tmp_path: Path) -> None:
        write(str(tmp_path / "a" / "b"), FILES)
        modes = {path.name: f"{path.stat().st_mode & 0o7777:o}" for path in tmp_path.rglob("*")}
        plain = dict.fromkeys([".gitattributes", manifest.NAME, "Dockerfile", "nginx.conf"], "644")
        assert modes == {"a": "755", "b": "755", "entrypoint.sh": "755", **plain}

    def test_a_second_run_touches_nothing(self, build: Path) -> None:
        before = _tree(build)
        assert plan(str(build), FILES).changes == write(str(build), FILES).changes == ()
        assert _tree(build) == before

    def test_only_what_changed_is_rewritten(self, build: Path) -> None:
        before = _tree(build)
        files = [FILES[0], FILES[1], _file("nginx.conf", "server {", "}")]
        assert _kinds(plan(str(build), files)) == {"nginx.conf": "updated"}
        done = write(str(build), files)
        change = done.changes[0]
        assert (change.before, change.after) == (FILES[2].content, "server {\n}\n")
        after = _tree(build)
        assert {path for path in after if after[path] != before[path]} == {"nginx.conf", manifest.NAME}

    def test_the_bytes_do_not_depend_on_what_was_there_before(self, tmp_path: Path, build: Path) -> None:
        write(str(build), FILES[:2])
        write(str(build), [_file("Dockerfile", "other"), _file("extra", "x")])
        write(str(build), FILES[::-1])
        write(str(tmp_path / "fresh"), FILES)
        assert {name: each[0] for name, each in _tree(build).items()} == {
            name: each[0] for name, each in _tree(tmp_path / "fresh").items()
        }

    def test_files_no_longer_generated_are_removed(self, build: Path) -> None:
        assert _kinds(plan(str(build), FILES[:2])) == {".gitattributes": "updated", "nginx.conf": "removed"}
        assert (build / "nginx.conf").exists()
        write(str(build), FILES[:2])
        assert not (build / "nginx.conf").exists()
        assert plan(str(build), FILES[:2]).changes == ()

    def test_a_missing_file_comes_back(self, build: Path) -> None:
        (build / "nginx.conf").unlink()
        assert _kinds(write(str(build), FILES)) == {"nginx.conf": "created"}

    def test_files_of_others_are_left_alone(self, build: Path) -> None:
        (build / "convex-backend").write_text("mine")
        (build / "sub").mkdir()
        write(str(build), FILES[:1])
        assert (build / "convex-backend").read_text() == "mine"
        assert (build / "sub").is_dir()

    def test_a_lost_executable_bit_is_a_change(self, build: Path) -> None:
        (build / "entrypoint.sh").chmod(0o644)
        found = plan(str(build), FILES)
        assert [change[1:] for change in found.changes] == [("mode", "644", "755")]
        write(str(build), FILES)
        assert (build / "entrypoint.sh").stat().st_mode & 0o7777 == 0o755

    def test_permissions_that_git_does_not_carry_are_no_change_but_mended(self, build: Path) -> None:
        for path in build.iterdir():
            path.chmod(path.stat().st_mode & 0o700)
        assert plan(str(build), FILES).changes == write(str(build), FILES).changes == ()
        assert {path.stat().st_mode & 0o7777 for path in build.iterdir()} == {0o644, 0o755}

    @pytest.mark.parametrize(
        "name", ["../x", "a/b", "/etc/x", "", "..", manifest.NAME, manifest.TEMPORARY + "x", ".gitattributes"]
    )
    def test_a_name_that_is_no_file_name_is_a_bug(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ValueError, match="not the name of an output"):
            write(str(tmp_path / "build"), [_file(name, "x")])
        assert list(tmp_path.iterdir()) == []


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


EDITS: dict[str, tuple[str, str]] = {
    "one character": ("line 7", "line 8"),
    "a line added": ("line 7\n", "line 7\nmine\n"),
    "a known line added": ("line 7\n", "line 7\nline 7\n"),
    "a line deleted": ("line 7\n", ""),
    "a blank at the end": ("line 7\n", "line 7 \n"),
    "no newline at the end": ("line 29\n", "line 29"),
    "a byte order mark": ("line 0\n", "\ufeffline 0\n"),
}
CHANGED = [_file("Dockerfile", *LINES, "new"), *FILES[1:]]


class TestEdits:
    @pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
    @pytest.mark.parametrize("files", [FILES, CHANGED], ids=["same spec", "changed spec"])
    def test_an_edit_stops_the_run_before_it_writes_anything(
        self, build: Path, edit: tuple[str, str], files: Sequence[GeneratedFile]
    ) -> None:
        _edit(build / "Dockerfile", *edit)
        (build / "nginx.conf").unlink()
        before = _tree(build)

        with pytest.raises(EditedError, match="Dockerfile") as caught:
            write(str(build), files)

        assert caught.value.exit_code == 1
        assert [change.path for change in caught.value.plan.edited] == ["Dockerfile"]
        assert caught.value.plan == plan(str(build), files)
        assert caught.value.plan.edited[0].before == (build / "Dockerfile").read_text()
        assert _tree(build) == before

        write(str(build), files, force=True)
        assert (build / "Dockerfile").read_text() == files[0].content
        assert plan(str(build), files).edited == ()

    def test_an_edit_that_is_what_would_be_written_is_none(self, build: Path) -> None:
        (build / "Dockerfile").write_text(CHANGED[0].content)
        assert plan(str(build), CHANGED).edited == ()
        write(str(build), CHANGED)

    def test_an_edited_file_no_longer_generated_stays_and_is_told_once(self, build: Path) -> None:
        _edit(build / "nginx.conf", "line 7", "mine")
        mine = (build / "nginx.conf").read_text()
        for force in (False, True):
            write(str(build), FILES, force=True)
            (build / "nginx.conf").write_text(mine)
            found = write(str(build), FILES[:2], force=force)
            assert ([change.path for change in found.kept], found.edited) == (["nginx.conf"], ())
            assert (build / "nginx.conf").read_text() == mine
            assert write(str(build), FILES[:2]) == Plan((), (), interrupted=False, total=3)

    def test_a_file_we_never_wrote_is_the_users(self, build: Path) -> None:
        (build / "supervisord.conf").write_text("mine\n")
        with pytest.raises(EditedError, match=r"supervisord\.conf"):
            write(str(build), [*FILES, _file("supervisord.conf", "ours")])

    @pytest.mark.parametrize("damage", [b"", None, b"\0\xff\n" * 9], ids=["empty", "deleted", "garbage"])
    def test_without_a_manifest_only_what_would_be_written_is_ours(self, build: Path, damage: bytes | None) -> None:
        (build / manifest.NAME).unlink()
        if damage is not None:
            (build / manifest.NAME).write_bytes(damage)
        with pytest.raises(EditedError, match="Dockerfile"):
            write(str(build), CHANGED)
        write(str(build), FILES)
        write(str(build), CHANGED)

    def test_a_manifest_cut_off_anywhere_overwrites_no_edit(self, build: Path) -> None:
        whole = (build / manifest.NAME).read_bytes()
        _edit(build / "Dockerfile", "line 7", "mine")
        for length in range(0, len(whole), 97):
            (build / manifest.NAME).write_bytes(whole[:length])
            with pytest.raises(EditedError):
                write(str(build), CHANGED)

    def test_a_manifest_of_a_later_version_is_refused(self, build: Path) -> None:
        _edit(build / manifest.NAME, "format 1", "format 2")
        before = _tree(build)
        for act in (plan, write):
            with pytest.raises(HostError, match="newer appos-compile") as caught:
                act(str(build), FILES)
            assert "Update" in caught.value.hint
        assert _tree(build) == before

    def test_a_made_up_manifest_removes_nothing_elsewhere(self, tmp_path: Path, build: Path) -> None:
        (tmp_path / "precious").write_text("x\n")
        mode, digest, lines = manifest.entry(b"x\n", 0o644)
        with (build / manifest.NAME).open("a") as stream:
            for name in ("../precious", f"{tmp_path}/precious"):
                stream.write(f"file {name} {mode} {digest} {lines}\n")
        write(str(build), FILES)
        assert (tmp_path / "precious").read_text() == "x\n"

    def test_attributes_of_the_user_are_left_alone(self, build: Path) -> None:
        _edit(build / ".gitattributes", "/Dockerfile", "mine")
        for files in (FILES, CHANGED, FILES[:1]):
            write(str(build), files, force=True)
        assert "mine" in (build / ".gitattributes").read_text()
        assert plan(str(build), FILES[:1]) == Plan((), (), interrupted=False, total=1)

    def test_crlf_is_no_edit_and_no_change_but_mended(self, build: Path) -> None:
        for path in build.iterdir():
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        assert plan(str(build), FILES) == write(str(build), FILES) == Plan((), (), interrupted=False, total=4)
        assert not any(b"\r" in path.read_bytes() for path in build.iterdir())

    def test_crlf_hides_no_edit(self, build: Path) -> None:
        _edit(build / "Dockerfile", "line 7", "mine")
        for path in build.iterdir():
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        assert [change.path for change in plan(str(build), FILES).edited] == ["Dockerfile"]


class Repository:
    """A git repository whose ``build`` is generated on several branches."""

    def __init__(self, top: Path) -> None:
        self.top, self.build = top, top / "build"
        top.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str, fails: bool = False) -> str:
        settings = ["user.name=a", "user.email=a@example.org", "commit.gpgsign=false", "core.hooksPath=/dev/null"]
        options = [word for setting in settings for word in ("-c", setting)]
        environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"}
        command = ["git", *options, *arguments]
        result = subprocess.run(command, cwd=self.top, env=environment, check=False, capture_output=True, text=True)
        assert (result.returncode != 0) == fails, result.stdout + result.stderr
        return result.stdout

    def compile(self, files: Sequence[GeneratedFile], spec: str) -> None:
        """What a user does: edit the spec, run, commit."""
        (self.top / "appos.yaml").write_text(spec)
        digest = manifest.entry(spec.encode(), 0)[1]
        write(str(self.build), files, origin=manifest.Origin(digest, "build", (), (f"1:1: {spec}",)))
        self.commit()

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "x")

    def branch(self, name: str) -> None:
        self.git("switch", "-q", "-c", name, "main")

    def switch(self, name: str) -> None:
        self.git("switch", "-q", name)


def _changed(*numbers: int, to: str = "changed") -> list[GeneratedFile]:
    lines = [f"{line} {to}" if number in numbers else line for number, line in enumerate(LINES)]
    return [_file("Dockerfile", *lines), *FILES[1:]]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repository")
    made.compile(FILES, "spec")
    return made


def _two_branches(repository: Repository, left: Sequence[GeneratedFile], right: Sequence[GeneratedFile]) -> None:
    repository.branch("left")
    repository.compile(left, "spec")
    repository.branch("right")
    repository.compile(right, "spec")
    repository.switch("left")


class TestGit:
    @pytest.mark.parametrize("autocrlf", ["true", "false", "input"])
    @pytest.mark.parametrize("attributes", [True, False])
    @pytest.mark.parametrize("umask", ["022", "077"], indirect=True)
    def test_a_fresh_clone_is_clean(
        self, tmp_path: Path, repository: Repository, autocrlf: str, *, attributes: bool, umask: None
    ) -> None:
        del umask
        if not attributes:
            (repository.build / ".gitattributes").write_text("# none\n")
            write(str(repository.build), FILES)
            repository.commit()
        repository.git("clone", "-q", "-c", f"core.autocrlf={autocrlf}", str(repository.top), str(tmp_path / "clone"))
        clone = tmp_path / "clone" / "build"
        converted = b"\r\n" in (clone / "entrypoint.sh").read_bytes()
        assert converted == (autocrlf == "true" and not attributes)
        found = plan(str(clone), FILES)
        assert (found.changes, found.edited, found.kept, found.interrupted) == ((), (), (), False)
        assert _kinds(write(str(clone), CHANGED)) == {"Dockerfile": "updated"}

    def test_branches_that_changed_different_places_merge_without_alarm(self, repository: Repository) -> None:
        _two_branches(repository, _changed(3), _changed(25))
        repository.git("merge", "-q", "right")
        assert plan(str(repository.build), _changed(3, 25)) == Plan((), (), interrupted=False, total=4)
        # the merge, read with a spec that came out differently
        assert _kinds(plan(str(repository.build), _changed(3, 25, 12))) == {"Dockerfile": "updated"}
        write(str(repository.build), _changed(3, 25, 12))
        write(str(repository.build), FILES)

    def test_branches_that_changed_different_files_merge_without_alarm(self, repository: Repository) -> None:
        more = [*FILES, _file("supervisord.conf", "x")]
        _two_branches(repository, _changed(3), more)
        repository.git("merge", "-q", "right")
        assert plan(str(repository.build), [*_changed(3), more[-1]]).edited == ()
        assert write(str(repository.build), FILES).edited == ()

    def test_new_files_on_both_sides_merge_without_conflict(self, repository: Repository) -> None:
        _two_branches(repository, [*FILES, _file("one", "1")], [*FILES, _file("two", "2")])
        repository.git("merge", "-q", "right")
        assert write(str(repository.build), [*FILES, _file("one", "1"), _file("two", "2")]).edited == ()
        assert (repository.build / ".gitattributes").read_text().count("eol=lf") == 7

    def test_a_conflict_between_generated_lines_is_solved_by_running_again(self, repository: Repository) -> None:
        _two_branches(repository, _changed(3, to="left"), _changed(3, to="right"))
        repository.git("merge", "-q", "right", fails=True)
        assert "<<<<<<<" in (repository.build / "Dockerfile").read_text()
        assert "<<<<<<<" not in (repository.build / manifest.NAME).read_text()
        assert _kinds(write(str(repository.build), _changed(3, to="both"))) == {"Dockerfile": "updated"}
        repository.commit()

    def test_conflict_markers_in_the_manifest_do_not_matter(self, repository: Repository) -> None:
        (repository.build / ".gitattributes").write_text("# no merge driver\n")
        repository.compile(FILES, "spec")
        _two_branches(repository, _changed(3), _changed(25))
        repository.git("merge", "-q", "right", fails=True)
        assert "<<<<<<<" in (repository.build / manifest.NAME).read_text()
        assert plan(str(repository.build), _changed(3, 25)).changes == ()
        assert _kinds(write(str(repository.build), FILES)) == {"Dockerfile": "updated"}

    def test_rebase_cherry_pick_and_revert_raise_no_alarm(self, repository: Repository) -> None:
        repository.branch("left")
        repository.compile(_changed(3), "spec")
        repository.compile(_changed(3, 9), "spec")
        repository.branch("right")
        repository.compile(_changed(25), "spec")
        repository.compile(_changed(25, 20), "spec")
        repository.git("rebase", "-q", "left")
        assert plan(str(repository.build), _changed(3, 9, 20, 25)).changes == ()
        assert plan(str(repository.build), FILES).edited == ()
        repository.git("revert", "--no-edit", "HEAD~2")
        assert plan(str(repository.build), _changed(3, 20, 25)).changes == ()
        assert plan(str(repository.build), FILES).edited == ()
        repository.switch("main")
        repository.compile(_changed(15), "spec")
        repository.git("cherry-pick", "left~1")
        assert plan(str(repository.build), _changed(3, 15)).changes == ()
        assert plan(str(repository.build), FILES).edited == ()

    @pytest.mark.parametrize("edit", ["line 15 of mine", "line 15\nmine"])
    @pytest.mark.parametrize("side", ["left", "right", "merged"])
    def test_an_edit_is_found_after_a_merge(self, repository: Repository, edit: str, side: str) -> None:
        _two_branches(repository, _changed(3), _changed(25))
        if side != "merged":
            repository.switch(side)
            _edit(repository.build / "Dockerfile", "line 15", edit)
            repository.commit()
            repository.switch("left")
        repository.git("merge", "-q", "right")
        if side == "merged":
            _edit(repository.build / "Dockerfile", "line 15", edit)
        assert [change.path for change in plan(str(repository.build), _changed(3, 25)).edited] == ["Dockerfile"]

    def test_an_edit_in_a_conflict_is_found(self, repository: Repository) -> None:
        _two_branches(repository, _changed(3, to="left"), _changed(3, to="right"))
        repository.git("merge", "-q", "right", fails=True)
        _edit(repository.build / "Dockerfile", "line 3 left", "line 3 mine")
        with pytest.raises(EditedError) as caught:
            write(str(repository.build), FILES)
        assert "<<<<<<<" in (caught.value.plan.edited[0].before or "")

    def test_a_run_leaves_the_tree_clean(self, repository: Repository) -> None:
        write(str(repository.build), CHANGED)
        repository.commit()
        (repository.build / "Dockerfile").write_bytes(CHANGED[0].content.replace("\n", "\r\n").encode())
        (repository.build / "nginx.conf").chmod(0o600)
        (repository.build / (manifest.TEMPORARY + "3")).touch()
        digest = manifest.parse((repository.build / manifest.NAME).read_bytes()).inputs
        assert digest == []
        write(str(repository.build), CHANGED)
        assert repository.git("status", "--porcelain") == ""


def _as_nobody(work: Callable[[], object]) -> str:
    """What ``work`` raises in a process of the user nobody: its message and hint, or nothing."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            work()
        except HostError as error:
            os.write(writer, f"{error.message}|{error.hint}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with open(reader) as stream:
        return stream.read()


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that other users can reach, unlike those of the test runner."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    target = tmp_path / "disk"
    target.mkdir()

    def mount(options: str) -> Path:
        result = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", target], check=False, capture_output=True, text=True
        )
        if result.returncode:
            pytest.skip(f"this system does not let us mount: {result.stderr.strip()}")
        return target

    yield mount
    if os.path.ismount(target):
        subprocess.run(["umount", target], check=True)


class TestRefusals:
    @needs_root
    @pytest.mark.parametrize("pages", range(4, 14))
    def test_a_full_disk_changes_nothing(self, tmpfs: Callable[[str], Path], pages: int) -> None:
        disk = tmpfs(f"size={pages * 4}k")
        build = disk / "build"
        files = [_file(name, *(f"{name} {number}" for number in range(500))) for name in ("a", "b", "c")]
        small = [_file(name, name) for name in ("a", "b", "old")]
        try:
            write(str(build), small)
        except HostError:
            assert list(disk.iterdir()) == []
            return
        before = _tree(disk)
        with pytest.raises(HostError, match="No space left") as caught:
            write(str(build), files)
        assert "Free some space" in caught.value.hint
        assert _tree(disk) == before
        assert plan(str(build), small) == Plan((), (), interrupted=False, total=4)

    @needs_root
    def test_a_read_only_disk(self, tmpfs: Callable[[str], Path]) -> None:
        disk = tmpfs("size=1m")
        write(str(disk / "build"), FILES)
        before = _tree(disk)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        assert write(str(disk / "build"), FILES).changes == ()
        assert _kinds(plan(str(disk / "build"), CHANGED)) == {"Dockerfile": "updated"}
        for directory in (disk / "build", disk / "other"):
            with pytest.raises(HostError, match="Read-only file system"):
                write(str(directory), CHANGED)
        assert _tree(disk) == before

    @needs_root
    def test_somebody_elses_directory(self, public: Path) -> None:
        build = public / "build"
        write(str(build), FILES)
        before = _tree(public)
        assert "Permission denied" in _as_nobody(lambda: write(str(build), CHANGED))
        assert "Permission denied" in _as_nobody(lambda: write(str(public / "new"), CHANGED))
        build.chmod(0o700)
        assert f"{build}: Permission denied" in _as_nobody(lambda: plan(str(build), FILES))
        build.chmod(0o755)
        (build / "nginx.conf").chmod(0o600)
        assert f"{build}/nginx.conf: Permission denied" in _as_nobody(lambda: plan(str(build), FILES))
        (build / "nginx.conf").chmod(0o644)
        assert {name: each[0] for name, each in _tree(public).items()} == {
            name: each[0] for name, each in before.items()
        }

    @needs_root
    def test_a_file_that_cannot_be_replaced_has_the_others_put_back(self, public: Path) -> None:
        build = public / "build"
        write(str(build), FILES)
        build.chmod(0o1777)  # as in /tmp, only the owner of a file may replace it
        for path in build.iterdir():
            if path.name != "nginx.conf":
                os.chown(path, NOBODY, NOBODY)
        files = [_file("Dockerfile", "x"), _file("added", "x"), _file("nginx.conf", "x")]
        before = {path.name: (path.read_bytes(), path.stat().st_mode) for path in build.iterdir()}
        said = _as_nobody(lambda: write(str(build), files))
        assert "Operation not permitted" in said
        assert "Nothing was changed" in said
        assert {path.name: (path.read_bytes(), path.stat().st_mode) for path in build.iterdir()} == before

    def test_another_run_at_work_is_waited_for_and_then_named(
        self, build: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(place, "LOCK_WAIT", 0.1)
        held = os.open(build, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        for act in (plan, write):
            with pytest.raises(HostError, match="another run is at work"):
                act(str(build), FILES)
        os.close(held)
        assert write(str(build), FILES).changes == ()

    @pytest.mark.parametrize("name", ["Dockerfile", manifest.NAME, ".gitattributes"])
    @pytest.mark.parametrize("kind", ["link", "dangling link", "directory", "FIFO", "socket"])
    def test_something_else_in_place_of_a_file(self, tmp_path: Path, build: Path, name: str, kind: str) -> None:
        outside = tmp_path / "outside"
        outside.write_text("precious")
        (build / name).unlink()
        if kind == "link":
            (build / name).symlink_to(outside)
        elif kind == "dangling link":
            (build / name).symlink_to(tmp_path / "made")
        elif kind == "directory":
            (build / name).mkdir()
        elif kind == "FIFO":
            os.mkfifo(build / name)
        else:
            os.mknod(build / name, 0o600 | 0o140000) if os.geteuid() == 0 else _socket(build, name)
        before = _tree(tmp_path)
        for force in (False, True):
            with pytest.raises(HostError, match=f"{name} is a .*, not a file"):
                write(str(build), CHANGED, force=force)
        with pytest.raises(HostError, match="not a file"):
            plan(str(build), FILES)
        assert _tree(tmp_path) == before
        assert not (tmp_path / "made").exists()

    @pytest.mark.parametrize("kind", ["file", "FIFO", "dangling link", "below a file"])
    def test_something_else_in_place_of_the_directory(self, tmp_path: Path, kind: str) -> None:
        target = tmp_path / "build"
        if kind == "FIFO":
            os.mkfifo(target)
        elif kind == "dangling link":
            target.symlink_to(tmp_path / "made")
        else:
            target.write_text("x")
        if kind == "below a file":
            target = target / "sub"
        for act in (plan, write):
            if (act, kind) == (plan, "below a file"):
                continue
            with pytest.raises(HostError, match="build"):
                act(str(target), FILES)
        assert [path.name for path in tmp_path.iterdir()] == ["build"]

    def test_a_default_directory_that_leads_out_of_the_tree(self, tmp_path: Path) -> None:
        project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
        project.mkdir()
        elsewhere.mkdir()
        (project / "build").symlink_to(elsewhere)
        for act in (plan, write):
            with pytest.raises(HostError, match="leads out of") as caught:
                act(str(project / "build"), FILES, within=str(project))
            assert "-o" in caught.value.hint
        assert list(elsewhere.iterdir()) == []
        write(str(project / "build"), FILES)
        assert len(list(elsewhere.iterdir())) == 5

    def test_a_link_that_stays_in_the_tree_is_followed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "build").symlink_to("real")
        monkeypatch.chdir(tmp_path)
        write("build", FILES, within=".")
        assert plan("real", FILES, within="").changes == ()

    def test_a_directory_swapped_for_a_link_meanwhile_redirects_nothing(self, tmp_path: Path, build: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        code = (
            "import os, sys; sys.path.insert(0, sys.argv[1])\n"
            "from compiler.generated import GeneratedFile; from compiler.write import write\n"
            "build, elsewhere = sys.argv[2:]; swapped = []\n"
            "def hook(event, arguments):\n"
            "    if event == 'open' and str(arguments[0]).startswith('.appos-compile.tmp.') and not swapped:\n"
            "        swapped.append(1); os.rename(build, build + '.moved'); os.symlink(elsewhere, build)\n"
            "sys.addaudithook(hook)\n"
            "write(build, [GeneratedFile('Dockerfile', 'x\\n', 0o644)])\n"
        )
        subprocess.run([sys.executable, "-c", code, ROOT, build, elsewhere], check=True)
        assert list(elsewhere.iterdir()) == []
        assert (tmp_path / "build.moved" / "Dockerfile").read_text() == "x\n"

    def test_the_message_is_in_plain_words(self, tmp_path: Path) -> None:
        (tmp_path / "build").write_text("x")
        with pytest.raises(HostError) as caught:
            write(str(tmp_path / "build"), FILES)
        assert caught.value.message == f"{tmp_path}/build: {os.strerror(errno.ENOTDIR)}"
        assert caught.value.hint.startswith("Nothing was changed. A file stands where a directory is needed")


def _socket(directory: Path, name: str) -> None:
    before = os.getcwd()
    os.chdir(directory)  # the path of a socket has a short limit
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(name)
    os.chdir(before)
