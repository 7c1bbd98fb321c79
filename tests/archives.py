"""Image archives made of nothing: layers of a few entries, in each of the layouts that engines write."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path


class Item(NamedTuple):
    """An entry of a layer: a file, unless ``kind`` is one of tarfile's other types."""

    path: str
    content: bytes = b""
    kind: bytes = tarfile.REGTYPE
    target: str = ""
    mode: int = 0o644


class Package(NamedTuple):
    """A package of Alpine's, with the sizes of its files by their paths."""

    name: str
    files: Mapping[str, int]
    depends: str = ""
    provides: str = ""
    install_if: str = ""

    @property
    def record(self) -> str:
        """Its entry in the list of what is installed."""
        lines = [f"P:{self.name}", "V:1-r0", f"D:{self.depends}", f"p:{self.provides}", f"i:{self.install_if}"]
        for path in self.files:
            directory, _, name = path.lstrip("/").rpartition("/")
            lines += [f"F:{directory}", f"R:{name}"]
        return "\n".join(lines) + "\n\n"


def packages(*installed: Package, others: Iterable[Package] = ()) -> list[Item]:
    """The entries that the installation of packages leaves beside ``others``, which were there before."""
    files = [Item(path, b"p" * size) for package in installed for path, size in package.files.items()]
    listed = "".join(package.record for package in (*others, *installed))
    return [*files, Item("/lib/apk/db/installed", listed.encode())]


def layer(items: Iterable[Item]) -> bytes:
    """The tar of a layer."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for item in items:
            info = tarfile.TarInfo(item.path.lstrip("/"))
            info.type, info.size, info.linkname, info.mode = item.kind, len(item.content), item.target, item.mode
            tar.addfile(info, io.BytesIO(item.content))
    return out.getvalue()


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _config(layers: Sequence[bytes], said: Sequence[str]) -> bytes:
    history = [{"created_by": text} for text in said] + [{"created_by": "CMD", "empty_layer": True}]
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{_sum(content)}" for content in layers]}
    return json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs, "history": history}).encode()


def blobs(layers: Sequence[bytes], said: Sequence[str], layout: str, name: str = "small:1") -> dict[str, bytes | str]:
    """The files of an archive by their names, a text for the target of a link.

    ``layout`` is old (docker save until 24), new (since 25), oci (compressed, as in registries), or plain (oci, not
    compressed).
    """
    config = _config(layers, said)
    if layout == "old":
        found: dict[str, bytes | str] = {}
        places: list[str] = []
        for number, content in enumerate(layers):
            same = layers.index(content)
            found[f"{number}/layer.tar"] = content if same == number else f"../{same}/layer.tar"
            places.append(f"{number}/layer.tar")
        found[f"{_sum(config)}.json"] = config
        manifest = [{"Config": f"{_sum(config)}.json", "RepoTags": [name], "Layers": places}]
        return found | {"manifest.json": json.dumps(manifest).encode()}
    stored = [gzip.compress(content, mtime=0) if layout == "oci" else content for content in layers]
    described = {
        "schemaVersion": 2,
        "config": {"digest": f"sha256:{_sum(config)}", "size": len(config)},
        "layers": [{"digest": f"sha256:{_sum(content)}", "size": len(content)} for content in stored],
    }
    text = json.dumps(described).encode()
    index = {"manifests": [{"digest": f"sha256:{_sum(text)}", "annotations": {"io.containerd.image.name": name}}]}
    found = {f"blobs/sha256/{_sum(content)}": content for content in (*stored, config, text)}
    if layout == "new":
        places = [f"blobs/sha256/{_sum(content)}" for content in stored]
        manifest = [{"Config": f"blobs/sha256/{_sum(config)}", "RepoTags": [name], "Layers": places}]
        found["manifest.json"] = json.dumps(manifest).encode()
    return found | {"index.json": json.dumps(index).encode(), "oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}


def tar(files: Mapping[str, bytes | str]) -> bytes:
    """An archive of files; a text is the target of a link."""
    items = [
        Item(name, kind=tarfile.SYMTYPE, target=content) if isinstance(content, str) else Item(name, content)
        for name, content in files.items()
    ]
    return layer(items)


def lay_out(directory: Path, files: Mapping[str, bytes | str]) -> None:
    """The same files as a directory."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)


def save(path: Path, layers: Sequence[Iterable[Item]], said: Sequence[str] = (), layout: str = "new") -> Path:
    """Write an archive with these layers, each with what the history says of it."""
    tars = [layer(items) for items in layers]
    path.write_bytes(tar(blobs(tars, said or ["?"] * len(tars), layout)))
    return path
