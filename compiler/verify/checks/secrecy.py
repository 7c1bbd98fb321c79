"""Secrets: made once, kept where they belong, and seen by nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.values import Secret
from compiler.verify.result import FailedError

if TYPE_CHECKING:
    from compiler.model import SecretSource
    from compiler.verify.trial import Trial

_ENVIRONMENTS = r"""
for directory in /proc/[0-9]*; do
    printf '@%s ' "${directory#/proc/}"
    tr '\000\n' '  ' <"$directory/environ" 2>/dev/null
    echo
done
"""


def secrecy(trial: Trial) -> str:
    """Looks for the values themselves in everything that others can see."""
    values = _values(trial)
    views = _seen(trial)
    for name, value in values.items():
        for where, text in views.items():
            if value in text:
                raise FailedError(f"nothing of the secret {name} in {where}", "it is there", ("secrets", name))
    _processes(trial, values)
    _files(trial, values)
    before = _kept(trial)
    trial.restart()
    if _kept(trial) != before:
        raise FailedError("the same secrets after a restart", "others", ("secrets",))
    trial.reset()
    trial.healthy()
    for name, value in _kept(trial).items():
        if before.get(name) == value:
            raise FailedError(
                f"another value of {name} on another volume", "the same one: it is no secret", ("secrets", name)
            )
    return f"{', '.join(values)}: not in {', '.join(views)}, nor with services that may not see it; new on a new volume"


def _values(trial: Trial) -> dict[str, str]:
    """The values as services were given them; those that nobody uses, as they are kept."""
    found = dict(_kept(trial))
    for secret in trial.app.secrets:
        if not secret.generate:
            found[secret.name] = trial.given[secret.variable]
    for service in trial.app.services:
        for name in service.sees:
            found.setdefault(
                name, trial.told("cat", f"{service.run}/secrets/{name}", user="0", privileged=True).strip()
            )
    return found


def _kept(trial: Trial) -> dict[str, str]:
    if not trial.app.state:
        return {}
    made = [secret for secret in trial.app.secrets if secret.generate]
    return {secret.name: trial.told("cat", _place(trial, secret), user="0", privileged=True).strip() for secret in made}


def _place(trial: Trial, secret: SecretSource) -> str:
    return f"{trial.app.state}/secrets/{secret.name}"


def _seen(trial: Trial) -> dict[str, str]:
    return {
        "the image": trial.engine.tell("image", "inspect", trial.image),
        "its history": trial.engine.tell("history", "--no-trunc", trial.image),
        "inspect": "" if trial.given else trial.engine.tell("inspect", trial.container),
        "the log": "\n".join(trial.logs()),
    }


def _processes(trial: Trial, values: dict[str, str]) -> None:
    """Command lines and environments, of all processes but those whose service declares the secret just there."""
    view = trial.view()
    environments = dict(
        line[1:].split(" ", 1)
        for line in trial.told("sh", "-c", _ENVIRONMENTS, user="0", privileged=True).splitlines()
        if line.startswith("@") and " " in line
    )
    owners = trial.owners(view)
    for process in view.processes:
        service = owners.get(process.pid)
        spoken = {
            piece.name for text in (service.command if service else ()) for piece in text if isinstance(piece, Secret)
        }
        sees = set(service.sees) if service else set()
        whose = service.name if service else process.name
        for name, value in values.items():
            if name not in spoken and any(value in word for word in process.command):
                raise FailedError(
                    f"no command line with the secret {name}",
                    f"that of {whose}, process {process.pid}",
                    ("secrets", name),
                )
            if name not in sees and process.parent != 0 and value in environments.get(str(process.pid), ""):
                raise FailedError(f"no {name} in an environment but its users'", f"that of {whose}", ("secrets", name))


def _files(trial: Trial, values: dict[str, str]) -> None:
    """Modes and owners: what is kept is root's alone, what was handed out is its service's alone."""
    app = trial.app
    for secret in app.secrets:
        if secret.generate and app.state:
            came = trial.told("stat", "-c", "%U %a", _place(trial, secret), user="0", privileged=True).strip()
            if came != f"{app.user} 600":
                raise FailedError(f"{_place(trial, secret)} {app.user} 600", came, ("secrets", secret.name))
    for service in app.services:
        for name in values:
            for other in app.services:
                if name in other.sees and service.user not in (other.user, "root"):
                    path = f"{other.run}/secrets/{name}"
                    if trial.run("cat", path, user=service.user).status == 0:
                        raise FailedError(f"{service.name} cannot read {path}", "it can", (*service.path, "user"))
