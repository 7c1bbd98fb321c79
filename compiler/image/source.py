"""An image on an engine: its name -> a stream of what the engine saves, and what the engine itself says of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from compiler.errors import HostError
from compiler.image import archive
from compiler.verify import engine as engines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiler.image.archive import Options
    from compiler.image.model import Image
    from compiler.verify.engine import Engine


PIPE = 2**20
"""Bytes that wait between the engine and us: as many as Linux lets anyone have."""


class Said(NamedTuple):
    """What an engine says: its number for the image, and for each step of its history; the layers' names."""

    size: int
    history: tuple[int, ...]
    diff_ids: tuple[str, ...]

    def layers(self, image: Image) -> tuple[int, ...]:
        """The engine's number for each layer, as far as it tells: most steps of a history make none."""
        steps = image.config.get("history") or ()
        if len(steps) != len(self.history):
            return ()
        sizes = [size for step, size in zip(steps, self.history, strict=True) if not step.get("empty_layer")]
        return tuple(sizes) if len(sizes) == len(image.layers) else ()


def said(engine: Engine, name: str) -> Said | None:
    """What the engine says of an image; None if it does not have it. HostError where it says nothing."""
    try:
        done = engine.call("image", "inspect", name)
        if done.status != 0:
            return None
        sizes = engine.call("image", "history", "--human=false", "--format", "{{.Size}}", name)
    except engines.EngineError as error:
        raise HostError(str(error), "see that `docker info` answers") from None
    found: Any = json.loads(done.out)[0]
    diff_ids = tuple((found.get("RootFS") or {}).get("Layers") or ())
    words = sizes.out.split()[::-1]
    history = tuple(map(int, words)) if all(word.isdigit() for word in words) else ()
    return Said(int(found.get("Size") or 0), history, diff_ids)


def read(engine: Engine, name: str, options: Options) -> Image:
    """The image, read while the engine saves it; HostError if that ends badly."""
    words = (engine.client, "image", "save", name)
    with tempfile.TemporaryFile() as errors, _running(words, subprocess.PIPE, errors) as process:
        stream = process.stdout
        assert stream is not None  # noqa: S101 - it was asked for
        try:
            image = archive.read_stream(stream, name, options)
            while stream.read(2**20):
                pass
        except archive.ArchiveError:
            stream.close()
            # What the client says is why there is nothing to read.
            if process.wait() in (0, -signal.SIGPIPE):
                raise
            image = None
        if process.wait() == 0 and image:
            return image
        errors.seek(0)
        told = errors.read(2**16).decode("utf-8", "replace").strip() or f"status {process.returncode}"
        raise HostError(f"{engine.client} image save {name}: {told}")


def build(engine: Engine, dockerfile: str, context: str, name: str) -> None:
    """Build an image; HostError with the end of the builder's output if that fails."""
    words = (engine.client, "build", "-f", dockerfile, "-t", name, context)
    with tempfile.TemporaryFile() as output, _running(words, output, output) as process:
        if process.wait():
            output.seek(max(0, output.seek(0, os.SEEK_END) - 2**13))
            told = output.read().decode("utf-8", "replace").strip()
            raise HostError(f"{dockerfile} cannot be built:\n{told}")


@contextmanager
def _running(words: tuple[str, ...], output: IO[bytes] | int, errors: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The client at work; it is gone afterwards with all that it started, however that ends."""
    process = subprocess.Popen(  # noqa: S603 - the engine's client, told what to do word by word
        words,
        stdin=subprocess.DEVNULL,
        stdout=output,
        pipesize=PIPE if output == subprocess.PIPE else -1,
        stderr=errors,
        env=engines.environment(),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdout:
            process.stdout.close()
