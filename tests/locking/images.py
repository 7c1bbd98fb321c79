"""Small images made by hand, and their way into a registry by plain HTTP."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import urllib.request
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


class Made(NamedTuple):
    """An image: the digest of what its tag names, that with its type, and everything it consists of."""

    digest: str
    kind: str
    body: bytes
    manifests: tuple[bytes, ...]
    blobs: tuple[bytes, ...]


def digest(content: bytes) -> str:
    """The digest as registries write it."""
    return f"sha256:{sha256(content).hexdigest()}"


def made(
    environment: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    architectures: tuple[str, ...] = (),
    content: str = "hello",
) -> Made:
    """An image; for several architectures it has an index, in which each has its name in the environment."""
    archives = [_archive(content)]
    manifests: list[bytes] = []
    blobs = list(archives)
    for architecture in architectures or ("amd64",):
        variables = [f"{name}={value}" for name, value in (environment or {}).items()]
        if architectures and architecture != "amd64":
            variables = [f"{each}-{architecture}" for each in variables]
        config = _json(
            {
                "architecture": architecture,
                "os": "linux",
                "config": {"Env": variables, "Labels": labels or {}},
                "rootfs": {"type": "layers", "diff_ids": [digest(gzip.decompress(archives[0]))]},
            }
        )
        blobs.append(config)
        layers = [{"mediaType": LAYER, **_described(archive)} for archive in archives]
        manifests.append(
            _json(
                {
                    "schemaVersion": 2,
                    "mediaType": MANIFEST,
                    "config": {"mediaType": CONFIG, **_described(config)},
                    "layers": layers,
                }
            )
        )
    if not architectures:
        return Made(digest(manifests[0]), MANIFEST, manifests[0], (), tuple(blobs))
    entries = [
        {"mediaType": MANIFEST, **_described(manifest), "platform": {"os": "linux", "architecture": architecture}}
        for architecture, manifest in zip(architectures, manifests, strict=True)
    ]
    index = _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    return Made(digest(index), INDEX, index, tuple(manifests), tuple(blobs))


def push(base: str, name: str, image: Made, login: str = "", context: ssl.SSLContext | None = None) -> None:
    """Puts an image under ``REPOSITORY:TAG`` into the registry at ``base``."""
    repository, _, tag = name.rpartition(":")
    headers = {"Authorization": login} if login else {}
    top = f"{base}/v2/{repository}/"

    def send(method: str, url: str, body: bytes, kind: str = "application/octet-stream") -> str:
        request = urllib.request.Request(url, body, {**headers, "Content-Type": kind}, method=method)  # noqa: S310 - loopback
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), *([urllib.request.HTTPSHandler(context=context)] if context else [])
        )
        with opener.open(request, timeout=20) as answer:
            return urljoin(url, str(answer.headers.get("Location", "")))

    for blob in image.blobs:
        place = send("POST", f"{top}blobs/uploads/", b"")
        send("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest(blob)}", blob)
    for manifest in image.manifests:
        send("PUT", f"{top}manifests/{digest(manifest)}", manifest, MANIFEST)
    send("PUT", f"{top}manifests/{tag}", image.body, image.kind)


def _archive(content: str) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        data = content.encode()
        entry = tarfile.TarInfo("content")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(whole.getvalue(), mtime=0)


def _described(content: bytes) -> dict[str, Any]:
    return {"digest": digest(content), "size": len(content)}


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
