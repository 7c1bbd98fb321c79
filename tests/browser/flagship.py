"""What these tests ask of the container that they are run against; the fixture ``flagship`` gives one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Flagship(Protocol):
    """A running AppOS."""

    @property
    def url(self) -> str:
        """Where it is published, without a path."""

    def exec(self, command: Sequence[str]) -> str:
        """Run a command in the container; what it prints comes back."""

    def restart(self) -> None:
        """Restart the container."""

    def token(self) -> str:
        """The token that opens the terminal."""
