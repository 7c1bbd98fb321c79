"""Volumes, from outside the container: what lies on them, and small ones that can be filled."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from compiler.verify.trial import LABEL, PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiler.verify.engine import Done
    from compiler.verify.trial import Trial

SIZE = "512m"
"""Room for the data of an empty application of any kind: MariaDB's log alone takes 96 MB."""

FILL = r"""
for path; do
    for size in 1048576 4096 1; do dd if=/dev/zero of="$path/.full-$size" bs=$size 2>/dev/null; done
done
"""
FREE = 'for path; do rm -f "$path"/.full-*; done'
HOLD = "exec sleep 600"


def sources(trial: Trial) -> dict[str, str]:
    """What is mounted at each volume's place: the name of an engine's volume, or a directory of the host."""
    mounts = {m["Destination"]: m.get("Name") or m["Source"] for m in trial.engine.inspect(trial.container)["Mounts"]}
    return {volume.name: mounts[volume.mount] for volume in trial.app.volumes}


def outside(trial: Trial, script: str, *words: str) -> Done:
    """Run a shell script as root on the container's volumes, whether it runs or not."""
    options = ("--rm", "--volumes-from", trial.container, "--user", "0", "--network", "none", "--entrypoint", "sh")
    return trial.engine.call("run", *options, *_marks(trial), trial.image, "-c", script, "sh", *words, timeout=60)


class Small:
    """Volumes that are soon full. A helper keeps them mounted while the container is down: they live in memory."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._paths = [volume.mount for volume in trial.app.volumes]
        self.helper = f"{trial.project}-helper"
        self.names = {volume.name: f"{trial.project}-small-{volume.name}" for volume in trial.app.volumes}

    def make(self) -> None:
        """Start the container on them, and the helper beside it."""
        trial = self._trial
        options = ("-o", "type=tmpfs", "-o", "device=tmpfs", "-o", f"o=size={SIZE}", "--driver", "local")
        trial.down(volumes=True)
        for volume, name in self.names.items():
            trial.engine.tell("volume", "create", *options, *_marks(trial), name)
            trial.mount(volume, name)
        trial.up()
        options = ("--volumes-from", trial.container, "--user", "0", "--network", "none", "--entrypoint", "sh")
        words = ("--detach", "--name", self.helper, *_marks(trial), trial.image, "-c", HOLD)
        trial.engine.tell("run", *options, *words)
        trial.healthy()

    def fill(self) -> None:
        """Leave no room at all."""
        self._tell(FILL)

    def free(self) -> None:
        """Give the room back."""
        self._tell(FREE)

    def remove(self) -> None:
        """Take the container off them, and remove them."""
        self._trial.reset()
        self._trial.engine.call("rm", "--force", self.helper)
        for name in self.names.values():
            self._trial.engine.call("volume", "rm", "--force", name)

    def _tell(self, script: str) -> None:
        self._trial.engine.call("exec", self.helper, "sh", "-c", script, "sh", *self._paths)


@contextmanager
def small(trial: Trial) -> Iterator[Small]:
    """The container on volumes that can be filled; a new one on new volumes afterwards."""
    volumes = Small(trial)
    try:
        volumes.make()
        yield volumes
    finally:
        volumes.remove()


def _marks(trial: Trial) -> tuple[str, ...]:
    """By these the run finds what it made, however it ended."""
    return ("--label", f"{LABEL}={trial.project}", "--label", f"{PROJECT}={trial.project}")
