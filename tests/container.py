"""A running container for tests: what they ask of it, without knowing how it was made."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from compiler.verify.trial import FLAVOURS, Trial
from tests.compiled import ROOT, result

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from compiler.verify.engine import Engine


class Container:
    """A container that runs."""

    def __init__(self, trial: Trial) -> None:
        """``trial`` was started, and is closed by whoever did so."""
        self.trial = trial

    @property
    def url(self) -> str:
        """Where the gateway is published, without a path."""
        host, port = self.trial.gateway
        return f"http://{host}:{port}"

    def exec(self, command: Sequence[str]) -> str:
        """Run a command as root; what it prints comes back, however it ends."""
        return self.trial.run(*command, user="0", timeout=120).out

    def restart(self) -> None:
        """Restart the container, and wait until it is healthy."""
        self.trial.restart()

    def token(self) -> str:
        """The token that opens the terminal."""
        return self.exec(["cat", f"{self.trial.app.state}/secrets/terminal_token"]).strip()


@contextmanager
def running_flagship(engine: Engine) -> Iterator[Container]:
    """The flagship in production: built from the tree, running and healthy; everything of it goes afterwards."""
    trial = Trial(result("appos").app, str(ROOT), engine, FLAVOURS[0])
    try:
        trial.build()
        trial.boot()
        yield Container(trial)
    finally:
        trial.close()
