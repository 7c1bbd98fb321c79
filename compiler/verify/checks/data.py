"""What was written before is there after."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from compiler.verify.asking import as_service, stored
from compiler.verify.result import FailedError

if TYPE_CHECKING:
    from compiler.verify.trial import Trial

MARK = ".appos-compile-verify"


def write(trial: Trial) -> str:
    """Leave a value everywhere where the spec says that data lives; return the value."""
    value = secrets.token_hex(8)
    app = trial.app
    for volume in app.volumes:
        for directory in volume.directories:
            _tell(trial, f'printf %s "$1" >"$2/{MARK}" && sync', value, directory.target, user=directory.owner)
    if app.database:
        table = "CREATE TABLE IF NOT EXISTS appos_compile_verify (value TEXT)"
        _sqlite(trial, f"{table}; INSERT INTO appos_compile_verify VALUES ('{value}');")  # noqa: S608
    for service in app.services:
        if service.verify and service.verify.write:
            stored(trial, service, value)
    return value


def read(trial: Trial, value: str, when: str) -> str:
    """See that the value is everywhere; return where it was looked for."""
    app = trial.app
    places = []
    for volume in app.volumes:
        for directory in volume.directories:
            came = trial.run("cat", f"{directory.target}/{MARK}", user=directory.owner)
            _same(value, came.out, f"{directory.target} {when}", directory.path)
            places.append(directory.target)
    if app.database:
        found = _sqlite(trial, f"SELECT value FROM appos_compile_verify WHERE value = '{value}';")  # noqa: S608
        _same(value, found, f"{app.database.file} {when}", app.database.path)
        places.append(app.database.file)
    for service in app.services:
        if service.verify and service.verify.read:
            came = as_service(trial, service, service.verify.read, value)
            _same(value, came.out, f"{service.name} {when}", (*service.path, "verify", "read"))
            places.append(service.name)
    return ", ".join(places) or "the volume has nothing that the spec speaks of"


def restart(trial: Trial) -> str:
    """The engine's own restart."""
    value = write(trial)
    took = trial.restart()
    return f"{read(trial, value, 'after a restart')}; healthy again after {took:.1f} s"


def recreate(trial: Trial) -> str:
    """Another container on the same volumes."""
    value = write(trial)
    trial.down()
    took = trial.boot()
    return f"{read(trial, value, 'in a new container')}; healthy after {took:.1f} s"


def rebuild(trial: Trial) -> str:
    """Another image: the same Dockerfile, with a label more."""
    value = write(trial)
    before = trial.engine.inspect(trial.image)["Id"]
    trial.build("--label", f"org.appos-compile.verify.built={value}")
    after = trial.engine.inspect(trial.image)["Id"]
    if before == after:
        raise FailedError("another image", "the same one")
    trial.down()
    trial.boot()
    return read(trial, value, "with another image")


def bound(trial: Trial) -> str:
    """A directory of the host instead of each volume, made by somebody else and empty."""
    trial.down()
    for volume in trial.app.volumes:
        path = os.path.join(trial.temporary, f"bound-{volume.name}")
        os.mkdir(path, 0o755)
        trial.mount(volume.name, path)
    took = trial.boot()
    value = write(trial)
    evidence = read(trial, value, "in a directory of the host")
    _empty(trial)
    return f"{evidence}; healthy after {took:.1f} s"


def owners(trial: Trial) -> str:
    """A volume on which everything belongs to an account that the image does not know, as a restored backup has it."""
    value = write(trial)
    trial.down()
    mounts = [
        word for volume in trial.app.volumes for word in ("--volume", f"{_source(trial, volume.name)}:{volume.mount}")
    ]
    script = 'chown -R 4242:4242 "$@"'
    paths = [volume.mount for volume in trial.app.volumes]
    trial.engine.tell(
        "run", "--rm", "--user", "0", "--entrypoint", "sh", *mounts, trial.image, "-c", script, "sh", *paths, timeout=60
    )
    trial.up()
    if trial.app.user == "root":
        took = trial.healthy()
        evidence = read(trial, value, "after its owners were changed")
        # What can be read need not be writable again.
        write(trial)
        return f"mended: {evidence}; healthy after {took:.1f} s"
    # Who is not root cannot mend owners: it has to say so and end.
    ended = trial.until(lambda: trial.state()["Restarting"] or not trial.state()["Running"], 30)
    lines = [line for line in trial.logs() if "cannot be written" in line or "cannot be given" in line]
    trial.reset()
    if ended is None or not lines:
        raise FailedError("a clear refusal", "it runs on a volume that it cannot write to", trial.app.volumes[0].path)
    return f"refused: {lines[-1]}"


def _tell(trial: Trial, script: str, *words: str, user: str) -> None:
    trial.told("sh", "-c", script, "sh", *words, user=user)


def _sqlite(trial: Trial, statements: str) -> str:
    database = trial.app.database
    if database is None:
        return ""
    return trial.told("sqlite3", "-cmd", ".timeout 5000", database.file, statements, user=database.owner)


def _same(value: str, came: str, what: str, path: tuple[str | int, ...]) -> None:
    if value not in came.split():
        raise FailedError(f"{value} in {what}", came.strip() or "nothing", path)


def _source(trial: Trial, name: str) -> str:
    volume = next(volume for volume in trial.app.volumes if volume.name == name)
    return os.path.join(trial.temporary, name) if volume.bind else f"{trial.project}-{name}"


def _empty(trial: Trial) -> None:
    """Remove what the container's accounts wrote to directories of the host, while there is an account that may."""
    trial.run(
        "sh",
        "-c",
        'for path; do find "$path" -mindepth 1 -delete; done',
        "sh",
        *(volume.mount for volume in trial.app.volumes),
        user="0",
        privileged=True,
    )
    trial.reset()
