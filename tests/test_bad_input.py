"""What the compiler must survive: bad input of every kind has a clear error, the right status, and writes nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from compiler import load
from tests.running import Result, appos, command, contents, environment, process

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = "version: 1\nname: it\nimage: {base: alpine:3.22}\n"
WEB = "services:\n  web: {command: [/usr/local/bin/web], port: 8080, user: web}\n"
GATED = "services:\n  nginx: {preset: nginx}\n  web: {command: [/usr/local/bin/web], port: 8080, user: web}\n"
GOOD = HEAD + WEB
NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system or becomes another user: needs root")


def refused(run: Result, status: int, code: str = "") -> None:
    """The marks of a clear error: the status, words on stderr alone, and a place and code if the spec is at fault."""
    assert run.status == status, run
    assert run.out == ""
    assert run.err
    assert "Traceback" not in run.err
    assert "this is a bug" not in run.err
    if code:
        assert f"error[{code}]: " in run.err, run.err
        assert re.search(r"--> [^\n]+:[0-9]+:[0-9]+$", run.err, re.MULTILINE)


def compiled(text: str | bytes, directory: Path) -> Result:
    """Runs the command on a spec in a directory of its own, and sees that it left the directory alone if it failed."""
    (directory / "appos.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    before = contents(directory)
    run = process(cwd=directory)
    if run.status:
        assert contents(directory) == before
    return run


BOMB = "".join(f"x-{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(9))
YAML: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "E004"),
    "only comments": ("# nothing\n", "E004"),
    "two documents": (f"{GOOD}---\n{GOOD}", "E005"),
    "duplicate keys": (f"{GOOD}name: other\n", "E008"),
    "a key that is a list": (f"{GOOD}[a]: 1\n", "E009"),
    "a key that is a mapping": (f"{GOOD}{{a: 1}}: 1\n", "E009"),
    "an alias bomb": ("x-0: &a0 [1, 2, 3, 4]\n" + BOMB, "E012"),
    "nested 10,000 deep in brackets": (f"x-deep: {'[' * 10_000}", "E007"),
    "nested 10,000 deep in lines": ("".join(f"{' ' * n}a:\n" for n in range(2_000)), "E007"),
    "a file of 50 MB": (b"# comment\n" * 5_000_000, "E002"),
    "a file of 50 MB on one line": (b"name: " + b"x" * 50_000_000, "E002"),
    "tabs": (GOOD.replace("  web", "\tweb"), "E014"),
    "NUL": (GOOD.replace("name: it", "name: i\0t"), "E003"),
    "a control character": (GOOD.replace("name: it", "name: i\x1bt"), "E003"),
    "a right-to-left mark": (GOOD.replace("name: it", "name: i\u202et"), "E003"),
    "a zero-width space": (GOOD.replace("name: it", "name: i\u200bt"), "E003"),
    "invalid UTF-8": (GOOD.encode().replace(b"it", b"\xff\xfe\xfa"), "E001"),
    "Latin-1": (GOOD.replace("name: it", "name: ité").encode("latin-1"), "E001"),
    "UTF-16": (GOOD.encode("utf-16"), "E001"),
    "UTF-16 without a mark": (GOOD.encode("utf-16-le"), "E001"),
    "UTF-32": (GOOD.encode("utf-32"), "E001"),
    "a Python tag": (GOOD.replace("name: it", "name: !!python/object/apply:os.system [true]"), "E010"),
    "a tag of one's own": (GOOD.replace("name: it", "name: !secret it"), "E010"),
    "a list": ("- version: 1\n", "E006"),
    "a text": ("version 1\n", "E006"),
    "bytes of a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8, "E001"),
    "not closed": (f'{GOOD}description: "x\n', "E016"),
    "a merge of nothing": (f"{GOOD}<<: 5\n", "E013"),
    "an alias of nothing": (f"{GOOD}description: *x\n", "E011"),
}


@pytest.mark.parametrize("name", YAML)
def test_yaml_that_is_refused(name: str, tmp_path: Path) -> None:
    text, code = YAML[name]
    run = compiled(text, tmp_path)
    refused(run, 2, code)
    assert len(run.err) < 100_000


TAKEN = {
    "a byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "Windows line ends": GOOD.replace("\n", "\r\n").encode(),
    "old Macintosh line ends": GOOD.replace("\n", "\r").encode(),
    "no line end at the end": GOOD.rstrip("\n").encode(),
    "anchors and merges": (
        HEAD + "x-a: &a {port: 8080, user: web}\nservices:\n  web: {<<: *a, command: [/usr/local/bin/web]}\n"
    ).encode(),
    "a document start and end": f"---\n{GOOD}...\n".encode(),
    "keys that look like other things": (GOOD + "x-1: {1: a, on: b, 2024-01-01: c, null: d, 1.5: e}\n").encode(),
}


@pytest.mark.parametrize("name", TAKEN)
def test_yaml_as_people_write_it_compiles_to_the_same(name: str, tmp_path: Path) -> None:
    made = []
    for number, text in enumerate((GOOD.encode(), TAKEN[name])):
        directory = tmp_path / str(number)
        directory.mkdir()
        run = compiled(text, directory)
        assert (run.status, run.err) == (0, ""), run
        made.append(contents(directory / "build"))
    plain, other = made
    # The record of the run knows the spec's bytes, which differ.
    assert {k: v for k, v in plain.items() if "appos-compile" not in k} == {
        k: v for k, v in other.items() if "appos-compile" not in k
    }


NASTY = [
    "a\nb",
    "it's",
    'say "hi"',
    "a;b",
    "a # b",
    "a$b ${x",
    "`id`",
    "100%",
    "%(ENV_HOME)s",
    "{{ app }}",
    "{% raw %}",
    "back\\slash\\",
    "$(id)",
    "\u05d0\u05d1 right to left",
    "p\u0430yload with a Cyrillic letter",
    "x" * 65_536,
    "END\nEND",
    "--flag",
    "*",
    "../../etc/passwd",
    "null",
    "yes",
    " spaces ",
    "\U0001f600",
]
FIELDS = {
    "name": HEAD.replace("it", "VALUE") + WEB,
    "description": HEAD + "description: VALUE\n" + WEB,
    "output": HEAD + "output: VALUE\n" + WEB,
    "base": HEAD.replace("alpine:3.22", "VALUE") + WEB,
    "tag": HEAD.replace("3.22", "3.22, tag: VALUE") + WEB,
    "packages": HEAD.replace("3.22", "3.22, packages: [VALUE]") + WEB,
    "label": HEAD.replace("3.22", "3.22, labels: {a: VALUE}") + WEB,
    "timezone": HEAD.replace("3.22", "3.22, timezone: VALUE") + WEB,
    "command": HEAD + WEB.replace("/web]", "/web, VALUE]"),
    "user": HEAD + WEB.replace("user: web", "user: VALUE"),
    "directory": HEAD + WEB.replace("user", "directory: VALUE, user"),
    "environment": HEAD + WEB.replace("user", "environment: {A: VALUE}, user"),
    "variable": HEAD + WEB.replace("user", "environment: {VALUE: a}, user"),
    "ready": HEAD + WEB.replace("user", "ready: {http: VALUE}, user"),
    "file": HEAD + WEB.replace("user", "files: {f: {content: VALUE}}, user"),
    "file name": HEAD + WEB.replace("user", "files: {VALUE: {content: a}}, user"),
    "service": HEAD + "services:\n  VALUE: {command: [/usr/local/bin/web]}\n",
    "route": HEAD + GATED + "routes:\n  VALUE: {service: web}\n",
    "redirect": HEAD + GATED + "routes:\n  /a: {redirect: VALUE}\n",
    "header": HEAD + GATED + "routes:\n  /: {service: web, headers: {X-A: VALUE}}\n",
    "header name": HEAD + GATED + "routes:\n  /: {service: web, headers: {VALUE: a}}\n",
    "request header": HEAD + GATED + "routes:\n  /: {service: web, request_headers: {X-A: VALUE}}\n",
    "mount": HEAD + WEB + "volumes:\n  data: {mount: VALUE}\n",
    "bind": HEAD + WEB + "volumes:\n  data: {mount: /data, bind: VALUE}\n",
    "setting": HEAD + WEB + "settings:\n  A: {default: VALUE}\n",
    "setting's description": HEAD + WEB + "settings:\n  A: {default: a, description: VALUE}\n",
    "secret's description": HEAD + WEB + "volumes: {d: {mount: /d}}\nsecrets:\n  a: {description: VALUE}\n",
    "health": HEAD + WEB + "health: {http: VALUE}\n",
    "health command": HEAD + WEB + "health: {exec: [/check, VALUE]}\n",
    "install": HEAD + WEB + "artifacts:\n  a: {prebuilt: a, install: VALUE}\n",
    "prebuilt": HEAD + WEB + "artifacts:\n  a: {prebuilt: VALUE, install: /srv/a}\n",
    "hook": HEAD + WEB + "hooks: {before_services: [VALUE]}\n",
    "template": HEAD + WEB + "outputs: {.env: VALUE}\n",
    "reason": HEAD + WEB + "silence: [{code: W001, reason: VALUE}]\n",
}


@pytest.mark.parametrize("field", FIELDS)
def test_nasty_values_are_carried_or_refused(field: str, tmp_path: Path) -> None:
    # What is carried arrives exactly as it was written: test_properties reads it back with the real readers.
    for number, value in enumerate(NASTY):
        directory = tmp_path / str(number)
        directory.mkdir()
        spec = directory / "appos.yaml"
        spec.write_text(FIELDS[field].replace("VALUE", json.dumps(value, ensure_ascii=False)), "utf-8")
        run = appos(cwd=directory)
        assert run.status in (0, 2), (value[:40], run)
        assert "this is a bug" not in run.err
        if run.status:
            assert re.search(r"--> appos.yaml:[0-9]+:[0-9]+$", run.err, re.MULTILINE), (value[:40], run.err)
            assert list(directory.iterdir()) == [spec]


def routed(routes: str) -> str:
    """A spec with a gateway and these routes."""
    return f"{HEAD}{GATED}routes:\n{routes}"


MEANING = {
    "two services on one port": (GOOD + "  b: {command: [/b], port: 8080}\n", "E053"),
    "two published on one port": (
        GOOD + "ports: {a: {publish: 80, service: web}, b: {publish: 80, service: web}}\n",
        "E085",
    ),
    "a route to nothing": (routed("  /: {service: wbe}\n"), "E072"),
    "a route to no files": (routed("  /: {static: files}\n"), "E073"),
    "a route without an answer": (routed("  /: {}\n"), "E071"),
    "the same route twice": (routed("  /: {service: web}\n  /: {service: web}\n"), "E008"),
    "a route that climbs": (routed("  /a/../b/: {service: web}\n"), "E070"),
    "a route of the gateway's own": (routed("  /.auth/x: {service: web}\n"), "E070"),
    "a circle of two": (HEAD + "services: {a: {command: [/a], after: [b]}, b: {command: [/b], after: [a]}}\n", "E052"),
    "a circle of one": (HEAD + "services: {a: {command: [/a], after: [a]}}\n", "E052"),
    "a circle of 3,000": (
        HEAD + "services:\n" + "".join(f"  s{n}: {{command: [/a], after: [s{(n + 1) % 3000}]}}\n" for n in range(3000)),
        "E052",
    ),
    "an unknown service": (HEAD + "services: {a: {command: [/a], after: [bb]}, b: {command: [/b]}}\n", "E051"),
    "an unknown preset": (HEAD + "services: {a: {preset: rediss}}\n", "E040"),
    "an unknown secret": (GOOD.replace("user", "secrets: [x], user"), "E058"),
    "an unknown reference": (GOOD.replace("/web]", "/web, '${service.x.port}']"), "E044"),
    "an unknown key": (GOOD + "servces: {}\n", "E020"),
    "a volume inside another": (GOOD + "volumes: {a: {mount: /a}, b: {mount: /a/b}}\n", "E080"),
    "two volumes at one place": (GOOD + "volumes: {a: {mount: /a}, b: {mount: /a}}\n", "E080"),
    "a volume over the system": (GOOD + "volumes: {a: {mount: /usr}}\n", "E080"),
    "a mount with ..": (GOOD + "volumes: {a: {mount: /a/../etc}}\n", "E024"),
    "a mount that is relative": (GOOD + "volumes: {a: {mount: data}}\n", "E024"),
    "an artifact from above": (GOOD + "artifacts: {a: {prebuilt: ../a, install: /a}}\n", "E024"),
    "an output directory above": (GOOD + "output: ../build\n", "E024"),
    "an output directory at the root": (GOOD + "output: /build\n", "E024"),
    "a group of the base as a user": (GOOD.replace("user: web", "user: users"), "E047"),
    "port 0": (GOOD.replace("8080", "0"), "E026"),
    "port 70000": (GOOD.replace("8080", "70000"), "E026"),
    "port -1": (GOOD.replace("8080", "-1"), "E026"),
    "a port of 5,000 digits": (GOOD.replace("8080", "9" * 5000), "E022"),
    "a privileged port": (GOOD.replace("8080", "443"), "E054"),
    "a service's budget of 0": (GOOD.replace("3.22", "3.22, budget: {services: {web: 0B}}"), "E089"),
    "a budget of 0": (GOOD.replace("3.22", "3.22, budget: 0B"), "E089"),
    "a memory of 0": (GOOD.replace("user", "memory: 0B, user"), "E089"),
    "no processor": (GOOD + "limits: {cpus: '0'}\n", "E089"),
    "no time to answer": (GOOD + "health: {http: /, timeout: 0s}\n", "E089"),
    "no services": (HEAD + "services: {}\n", "E026"),
}


@pytest.mark.parametrize("name", MEANING)
def test_meaning_that_is_refused(name: str, tmp_path: Path) -> None:
    text, code = MEANING[name]
    refused(compiled(text, tmp_path), 2, code)


@pytest.mark.parametrize("user", ["daemon", "nobody", "root"])
def test_a_user_that_exists_in_the_base_is_not_created_again(user: str, tmp_path: Path) -> None:
    for number, base in enumerate(("alpine:3.22", "debian:bookworm-slim")):
        directory = tmp_path / str(number)
        directory.mkdir()
        run = compiled(GOOD.replace("user: web", f"user: {user}").replace("alpine:3.22", base), directory)
        assert (run.status, run.err) == (0, "")
        dockerfile = (directory / "build" / "Dockerfile").read_text()
        assert not re.search(rf"(adduser|useradd)[^\n&]* {user}\b", dockerfile)


class TestSpecFiles:
    """The spec is not there, or is no file that can be read."""

    def test_missing(self, tmp_path: Path) -> None:
        run = process(cwd=tmp_path)
        refused(run, 3)
        assert "appos.yaml" in run.err
        assert "help: " in run.err

    def test_a_directory(self, tmp_path: Path) -> None:
        (tmp_path / "appos.yaml").mkdir()
        refused(process(cwd=tmp_path), 3)

    def test_a_named_pipe(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "appos.yaml")
        refused(process(cwd=tmp_path), 3)

    @pytest.mark.parametrize("path", ["/dev/null", "/dev/zero", "/dev/stdin", ".", "x" * 5000, "a/b/c.yaml"])
    def test_no_file(self, path: str, tmp_path: Path) -> None:
        refused(process("-f", path, cwd=tmp_path), 3)

    def test_a_dangling_link(self, tmp_path: Path) -> None:
        (tmp_path / "appos.yaml").symlink_to("nowhere.yaml")
        refused(process(cwd=tmp_path), 3)

    @pytest.mark.parametrize("kind", ["fifo", "directory", "missing", "binary", "huge", "socket of the system"])
    def test_a_template_that_is_no_text(self, kind: str, tmp_path: Path) -> None:
        path = tmp_path / "template"
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "directory":
            path.mkdir()
        elif kind == "binary":
            path.write_bytes(bytes(range(256)))
        elif kind == "huge":
            path.write_bytes(b"x" * (2 << 20))
        elif kind == "socket of the system":
            path.symlink_to("/dev/zero")
        (tmp_path / "appos.yaml").write_text(GOOD.replace("user", "files: {f: {template: template}}, user"))
        refused(process(cwd=tmp_path), 2, "E043")
        assert not (tmp_path / "build").exists()


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Path]:
    """A directory that the user nobody can reach and write to, with a good spec."""
    # Who may not read the interpreter's files needs everything imported before.
    for name, text in {"good": GOOD, "bad": GOOD + "x: 1\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "appos.yaml").write_text(text)
        appos(cwd=tmp_path / name)
    import jinja2.ext  # noqa: F401 - needed where templates have changed since they were compiled

    with tempfile.TemporaryDirectory(prefix="appos-compile-", dir="/var/tmp") as name:
        directory = Path(name)
        (directory / "appos.yaml").write_text(GOOD)
        for path in (directory, directory / "appos.yaml"):
            os.chown(path, NOBODY, NOBODY)
        yield directory


def as_nobody(cwd: Path) -> Result:
    """Runs the command as the user nobody, for whom permissions count; the interpreter itself may be root's alone."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:  # pragma: no cover - another process
        status = 99
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            run = appos(cwd=cwd)
            os.write(writer, json.dumps(run).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader, "rb") as stream:
        said = stream.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0
    return Result(*json.loads(said))


@needs_root
class TestPermissions:
    """What the machine does not let us read or write."""

    def test_it_works_at_all(self, theirs: Path) -> None:
        assert as_nobody(cwd=theirs).status == 0

    def test_an_unreadable_spec(self, theirs: Path) -> None:
        (theirs / "appos.yaml").chmod(0)
        refused(as_nobody(cwd=theirs), 3)
        assert not (theirs / "build").exists()

    def test_an_unreadable_template(self, theirs: Path) -> None:
        (theirs / "appos.yaml").write_text(GOOD.replace("user", "files: {f: {template: template}}, user"))
        (theirs / "template").write_text("x")
        (theirs / "template").chmod(0)
        refused(as_nobody(cwd=theirs), 2, "E043")

    def test_an_unwritable_directory(self, theirs: Path) -> None:
        (theirs / "build").mkdir()
        (theirs / "build").chmod(0o555)
        refused(as_nobody(cwd=theirs), 3)
        assert list((theirs / "build").iterdir()) == []

    def test_an_unwritable_parent(self, theirs: Path) -> None:
        theirs.chmod(0o555)
        os.chown(theirs, 0, 0)
        refused(as_nobody(cwd=theirs), 3)


class TestOutputDirectory:
    """The output directory is something else, or lies where it must not."""

    def test_a_file_in_its_place(self, tmp_path: Path) -> None:
        (tmp_path / "appos.yaml").write_text(GOOD)
        (tmp_path / "build").write_text("mine")
        refused(process(cwd=tmp_path), 3)
        assert (tmp_path / "build").read_text() == "mine"

    def test_a_link_out_of_the_tree(self, tmp_path: Path) -> None:
        project, outside = tmp_path / "project", tmp_path / "outside"
        project.mkdir()
        outside.mkdir()
        (project / "appos.yaml").write_text(GOOD)
        (project / "build").symlink_to(outside)
        refused(process(cwd=project), 3)
        assert list(outside.iterdir()) == []

    def test_a_link_in_the_place_of_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "appos.yaml").write_text(GOOD)
        (tmp_path / "build").mkdir()
        (tmp_path / "precious").write_text("mine")
        (tmp_path / "build" / "Dockerfile").symlink_to("../precious")
        run = process(cwd=tmp_path)
        assert run.status in (1, 3)
        assert (tmp_path / "precious").read_text() == "mine"
        assert [path.name for path in (tmp_path / "build").iterdir()] == ["Dockerfile"]

    def test_a_directory_in_the_place_of_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "appos.yaml").write_text(GOOD)
        (tmp_path / "build" / "Dockerfile").mkdir(parents=True)
        run = process(cwd=tmp_path)
        assert run.status in (1, 3)
        assert [path.name for path in (tmp_path / "build").iterdir()] == ["Dockerfile"]

    @needs_root
    def test_a_full_disk(self, tmp_path: Path) -> None:
        (tmp_path / "appos.yaml").write_text(GOOD)
        build = tmp_path / "build"
        build.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", build], capture_output=True, check=False, timeout=60
        )
        if mounted.returncode:
            pytest.skip("this machine lets nobody mount")
        try:
            run = process(cwd=tmp_path)
            refused(run, 3)
            assert [path for path in build.iterdir() if path.stat().st_size] == []
        finally:
            subprocess.run(["umount", build], check=True, timeout=60)

    @needs_root
    def test_a_read_only_disk(self, tmp_path: Path) -> None:
        (tmp_path / "appos.yaml").write_text(GOOD)
        build = tmp_path / "build"
        build.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", build], capture_output=True, check=False, timeout=60
        )
        if mounted.returncode:
            pytest.skip("this machine lets nobody mount")
        try:
            refused(process(cwd=tmp_path), 3)
        finally:
            subprocess.run(["umount", build], check=True, timeout=60)


SURROUNDINGS = {
    "no home": {"HOME": "/nonexistent"},
    "C": {"LC_ALL": "C", "LANG": "C"},
    "POSIX without UTF-8 mode": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "Turkish": {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"},
    "no terminal": {"TERM": ""},
    "another time zone": {"TZ": "Pacific/Kiritimati"},
}


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_where_it_runs_changes_neither_files_nor_messages(name: str, tmp_path: Path) -> None:
    specs = {
        "good": GOOD + "description: Größe und \u0131I\n",
        "bad": GOOD + "Serv\u0131ces: {ÜBER: größe}\n\u0130MAGE: 1\n",
    }
    for kind, text in specs.items():
        runs = []
        for number, surroundings in enumerate(({}, SURROUNDINGS[name])):
            directory = tmp_path / f"{kind}{number}"
            directory.mkdir()
            (directory / "appos.yaml").write_text(text, "utf-8")
            run = process(cwd=directory, env=surroundings)
            assert run.status == (0 if kind == "good" else 2), run
            runs.append((run, contents(directory)))
        assert runs[0] == runs[1]


def test_without_any_standard_stream(tmp_path: Path) -> None:
    (tmp_path / "appos.yaml").write_text(GOOD + "x: 1\n")
    shell = shutil.which("sh") or "sh"
    line = " ".join(command())
    for closed in (">&-", "2>&-", "<&-", ">&- 2>&- <&-"):
        run = subprocess.run(
            [shell, "-c", f"{line} {closed}"],
            cwd=tmp_path,
            env=environment(),
            check=False,
            timeout=60,
            capture_output=True,
        )
        assert run.returncode == 2, (closed, run)
        assert not (tmp_path / "build").exists()


def test_the_largest_spec_that_is_read_is_answered(tmp_path: Path) -> None:
    many = "".join(f"  s{n}: {{command: [/usr/local/bin/web, '{n}'], after: [nobody]}}\n" for n in range(20_000))
    text = HEAD + "services:\n" + many
    assert len(text) < load.MAX_BYTES
    run = compiled(text, tmp_path)
    assert run.status == 2
