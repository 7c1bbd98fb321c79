"""Commands that the spec declares for a service, run in the container as the service would run them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.quoting import shell, shell_export, shell_words
from compiler.verify.result import FailedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from compiler.model import Service
    from compiler.values import Value
    from compiler.verify.engine import Done
    from compiler.verify.trial import Trial


def as_service(trial: Trial, service: Service, command: Iterable[Value], value: str = "") -> Done:
    """Run a command as the service's user, with its environment and secrets, and with VALUE in its environment."""
    lines = ["set -eu", f"run={shell(service.run)}", 'secret() { cat "$run/secrets/$1"; }', 'export HOME="$run"']
    lines += [shell_export(content, name) for name, content in service.environment]
    lines += [f"export VALUE={shell(value)}", f"exec {shell_words(command)}"]
    return trial.run("sh", "-c", "\n".join(lines), user=service.user, timeout=60)


def stored(trial: Trial, service: Service, value: str) -> None:
    """Have the service store a value as its ``verify.write`` says; FailedError where it does not acknowledge it."""
    done = as_service(trial, service, service.verify.write if service.verify else (), value)
    if done.status != 0:
        came = done.err.strip() or f"status {done.status}"
        raise FailedError("a write that succeeds", came, (*service.path, "verify", "write"))
