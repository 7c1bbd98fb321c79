"""How long `size` takes for an image of 1 GB, and its memory: of an archive, and of an engine where one answers."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import statistics
import subprocess
import tarfile
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.processes import COMMAND, Case, once
from compiler.errors import HostError
from compiler.verify import engine

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "bench-size:1"
TOTAL = 10**9
"""Bytes of all files: a third in small ones, the rest in large ones, as in images that grew."""

SMALL, LARGE = 12_000, 20_000_000
RUNS = 5

SPEC = """version: 1
name: bench-size
image: {base: 'alpine:3.22'}
services: {redis: {preset: redis}}
volumes: {data: {mount: /data}}
"""


class Measured(NamedTuple):
    """The median of some runs in seconds, and the most bytes of memory that any of them had."""

    what: str
    seconds: float
    peak: int


def measured(directory: str) -> Iterator[Measured]:
    """Measure in a directory that has room for twice the image."""
    spec, archive = os.path.join(directory, "size.yaml"), os.path.join(directory, "image.tar")
    with open(spec, "w", encoding="utf-8") as file:
        file.write(SPEC)
    _write(archive)
    yield _runs("an archive", spec, archive)
    try:
        client = engine.find().client
    except HostError:
        return
    subprocess.run((client, "load", "--quiet", "--input", archive), check=True, capture_output=True)
    try:
        yield _runs("an engine", spec, NAME)
    finally:
        subprocess.run((client, "image", "rm", NAME), check=True, capture_output=True)


def _runs(what: str, spec: str, image: str) -> Measured:
    case = Case((COMMAND, "size", "--file", spec, image))
    once(case)
    runs = [once(case) for _ in range(RUNS)]
    return Measured(what, statistics.median(run.seconds for run in runs), max(run.peak for run in runs))


def _write(path: str) -> None:
    """An archive as engines load it, with the same files in every run."""
    layers = [f"{path}.{size}" for size in (SMALL, LARGE)]
    count = TOTAL // 3 // SMALL
    sums = [_layer(layers[0], SMALL, count), _layer(layers[1], LARGE, (TOTAL - count * SMALL) // LARGE)]
    config = json.dumps({
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{total}" for total in sums]},
        "history": [{"created_by": "COPY . /"} for _ in layers],
    })  # fmt: skip
    manifest = [{"Config": "config.json", "RepoTags": [NAME], "Layers": [f"{total}.tar" for total in sums]}]
    with tarfile.open(path, "w") as tar:
        for layer, total in zip(layers, sums, strict=True):
            tar.add(layer, f"{total}.tar")
            os.remove(layer)
        for name, text in {"config.json": config, "manifest.json": json.dumps(manifest)}.items():
            _add(tar, name, text.encode())


def _layer(path: str, size: int, count: int) -> str:
    """A layer of so many files of about the same size, 100 to a directory; its checksum."""
    draw = random.Random(size)  # noqa: S311 - the same bytes every time
    with tarfile.open(path, "w") as tar:
        for number in range(count):
            _add(tar, f"srv/{size}/{number // 100}/{number}", draw.randbytes(size))
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(2**20):
            total.update(piece)
    return total.hexdigest()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
