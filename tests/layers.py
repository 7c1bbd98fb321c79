"""Two images of one commit, layer by layer: what differs in them, each difference by its name."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from compiler.verify.engine import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiler.verify.engine import Engine

PAX_TIMES = ("mtime", "atime", "ctime")


class Entry(NamedTuple):
    """A file of a layer."""

    kind: str
    mode: int
    time: float
    owner: tuple[int, int, str, str]
    link: str
    content: str
    attributes: tuple[tuple[str, str], ...]


class Layer(NamedTuple):
    """What a layer holds, in its order."""

    entries: dict[str, Entry]


def of(engine: Engine, image: str) -> list[Layer]:
    """The layers of an image of the engine."""
    with tempfile.TemporaryFile() as file:
        subprocess.run([engine.client, "save", image], stdout=file, check=True, env=environment())
        file.seek(0)
        with tarfile.open(fileobj=file) as archive:
            manifest = json.loads(_read(archive, "manifest.json"))[0]
            return [_layer(archive, name) for name in manifest["Layers"]]


def differences(first: list[Layer], second: list[Layer]) -> list[str]:
    """What differs between two images, a line each."""
    found = [] if len(first) == len(second) else [f"{len(first)} layers and {len(second)}"]
    for number, (one, other) in enumerate(zip(first, second, strict=False)):
        found += [f"layer {number}: {line}" for line in _compared(one.entries, other.entries)]
    return found


def _compared(one: dict[str, Entry], other: dict[str, Entry]) -> Iterator[str]:
    for name in sorted(one.keys() ^ other.keys()):
        yield f"{name}: only in the {'first' if name in one else 'second'}"
    shared = [name for name in one if name in other]
    if shared != [name for name in other if name in one]:
        yield "the same files in another order"
    for name in shared:
        for field, came, expected in zip(Entry._fields, other[name], one[name], strict=True):
            if came != expected:
                yield f"{name}: {field} is {came!r}, and was {expected!r}"


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file
    return file.read()


def _layer(archive: tarfile.TarFile, name: str) -> Layer:
    entries = {}
    with tarfile.open(fileobj=archive.extractfile(name)) as layer:
        for member in layer:
            file = layer.extractfile(member) if member.isreg() else None
            entries[member.name] = Entry(
                kind=member.type.decode(),
                mode=member.mode,
                time=member.mtime,
                owner=(member.uid, member.gid, member.uname, member.gname),
                link=member.linkname,
                content=hashlib.sha256(file.read()).hexdigest() if file else "",
                attributes=tuple(sorted((k, v) for k, v in member.pax_headers.items() if k not in PAX_TIMES)),
            )
    return Layer(entries)
