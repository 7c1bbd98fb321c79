"""Images made by hand, for tests: files in layers -> an archive as ``docker image save`` writes it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Files = Mapping[str, "bytes | str | None"]


def layer(files: Files) -> bytes:
    """A layer; what begins with ``->`` is a symbolic link, None is removed."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for path, content in files.items():
            directory, _, name = path.strip("/").rpartition("/")
            info = tarfile.TarInfo(path.strip("/") if content is not None else f"{directory}/.wh.{name}".strip("/"))
            data = content.encode() if isinstance(content, str) else content or b""
            if data.startswith(b"->"):
                info.type, info.linkname, data = tarfile.SYMTYPE, data[2:].decode(), b""
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def archive(layers: Sequence[Files], name: str = "made:1", history: Sequence[str] = (), **config: Any) -> bytes:
    """An archive of one image; ``history`` says of each layer what made it."""
    made = [layer(files) for files in layers]
    digests = [hashlib.sha256(content).hexdigest() for content in made]
    described = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-01-02T03:04:05.678Z",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created_by": step} for step in history],
        **config,
    }
    text = json.dumps(described).encode()
    config_name = f"{hashlib.sha256(text).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [f"{digest}/layer.tar" for digest in digests]}]
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        parts = {f"{digest}/layer.tar": content for digest, content in zip(digests, made, strict=True)}
        for path, content in {**parts, config_name: text, "manifest.json": json.dumps(manifest).encode()}.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()
