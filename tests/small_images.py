"""Small images, by the paths of their files, and what the command reports of them and advises; no engine is needed."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING, NamedTuple

from compiler import pipeline
from compiler.image import archive, model, packages
from compiler.size import advice, attribute, contents
from tests import archives
from tests.archives import Item

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from compiler.size.report import Advice, Report

Layer = list[Item]


class File(NamedTuple):
    """A file in a layer."""

    content: bytes
    mode: int = 0o644


def layer(
    files: Mapping[str, bytes | File], links: Mapping[str, str] | None = None, symlinks: Mapping[str, str] | None = None
) -> Layer:
    """A layer; the name of a file that it deletes begins with .wh., as images have it; ``links`` are hard links."""
    given = {path: file if isinstance(file, File) else File(file) for path, file in files.items()}
    return [
        *(Item(path, file.content, mode=file.mode) for path, file in given.items()),
        *(Item(path, kind=tarfile.LNKTYPE, target=target.lstrip("/")) for path, target in (links or {}).items()),
        *(Item(path, kind=tarfile.SYMTYPE, target=target) for path, target in (symlinks or {}).items()),
    ]


def report(directory: Path, spec: str, layers: Sequence[Layer], *, compress: bool = False) -> Report:
    """The report of these layers, the first of which is the base, held against a spec; with its advice."""
    file = directory / "appos.yaml"
    file.write_text(spec)
    result = pipeline.compile_spec(str(file))
    looks = {packages.LOOK: model.keep(packages.wanted), contents.LOOK: contents.look(advice.served(result.app))}
    saved = archives.save(directory / "image.tar", layers)
    image = archive.read_path(str(saved), "", archive.Options(looks, compress=compress))
    texts = {"production": next(file.content for file in result.files if file.path == "Dockerfile")}
    found = attribute.report(image, result.app, texts, attribute.Known(base=1), None)
    return found._replace(advice=advice.advice(image, result.app, found))


def advised(directory: Path, spec: str, layers: Sequence[Layer], *, compress: bool = False) -> dict[str, Advice]:
    """The advice of a report, by kind."""
    return {item.kind: item for item in report(directory, spec, layers, compress=compress).advice}
