"""Reads an image as a stream, once through: an engine's output, an archive, or a directory in the layout of OCI.

The formats: the image specification of OCI (image-layout.md, layer.md) and what ``docker image save`` has written since
2013. In a stream the list of layers comes last: each file is taken for what it begins like, and sorted in the end.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar

from compiler.errors import HostError
from compiler.image.layer import Scan, scan
from compiler.image.model import Image, Layer
from compiler.image.streams import GZIP, ZSTD, LayerError, unpacked
from compiler.image.tars import Forward, Header, contents
from compiler.report import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from compiler.image.model import Look
    from compiler.image.streams import Stream

T = TypeVar("T")

LARGEST_TEXT = 8 * 2**20
"""Bytes of a manifest or configuration; the largest that registries take is 4 MiB."""

MOST_TEXTS = 4096
MOST_LAYERS = 1024
"""Engines take 127."""

PREFIXES = ("oci:", "oci-archive:", "docker-archive:")
SUFFIXES = (".tar", ".tar.gz", ".tgz")
"""What no image's name ends in, and most archives' do."""


class ArchiveError(HostError):
    """What was given is no image that can be read; the message is a line, whatever names it tells."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(printable(message), hint)


class Options(NamedTuple):
    """How an image is read: ``compress`` measures plain layers by compressing; ``progress`` hears of each piece."""

    looks: Mapping[str, Look] = {}
    compress: bool = False
    progress: Callable[[int], None] = lambda _: None


class _Blobs:
    """What was found in a stream, by name: texts as they are, layers as they were read, and second names."""

    def __init__(self) -> None:
        self.texts: dict[str, bytes] = {}
        self.scans: dict[str, Scan] = {}
        self.aliases: dict[str, str] = {}

    def text(self, name: str) -> Any:
        try:
            return json.loads(self.texts[self.resolve(name)])
        except KeyError:
            raise ArchiveError(f"the image has no {name}", "is the archive complete?") from None
        except (ValueError, RecursionError):
            raise ArchiveError(f"{name} of the image is not JSON that can be read") from None

    def resolve(self, name: str) -> str:
        for _ in self.aliases:
            if name not in self.aliases:
                break
            name = self.aliases[name]
        return name


def local_path(given: str) -> str | None:
    """The file or directory that ``given`` names, or None where it is the name of an image.

    A directory whose name may be an image's, or a revision's, is meant only if there is an image in it.
    """
    for prefix in PREFIXES:
        if given.startswith(prefix):
            return given.removeprefix(prefix)
    named = given.startswith((".", "/")) or given.endswith(SUFFIXES)
    there = os.path.join(given, "index.json") if os.path.isdir(given) else given
    return given if named or os.path.exists(there) else None


def read_path(path: str, name: str, options: Options) -> Image:
    """The image of an archive or a directory; ``name`` chooses among several."""
    if not os.path.exists(path):
        raise ArchiveError(f"{path}: there is no such file")
    try:
        if os.path.isdir(path):
            return _image(_directory(path, options), name or path, chosen=name)
        with open(path, "rb") as stream:
            return read_stream(stream, name or path, options, chosen=name)
    except OSError as error:
        raise ArchiveError(f"{path}: {error.strerror or error}") from None


def read_stream(stream: IO[bytes], name: str, options: Options, chosen: str = "") -> Image:
    """The image of a tar stream; ``chosen`` is its name among several."""
    blobs = _Blobs()
    try:
        # It may be compressed as a whole; how far the reading has come is counted by what is in it.
        file = Forward(unpacked(stream, Options()))
        with tarfile.open(fileobj=file, mode="r:", tarinfo=Header) as tar:  # type: ignore[call-overload]
            for member, content in contents(tar, file):
                _member(member, content, blobs, options)
    except (LayerError, tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise ArchiveError(f"{name} cannot be read as an image: {error}", _WHAT) from None
    return _image(blobs, name, chosen=chosen)


_WHAT = "what `docker image save`, `podman save` or an OCI layout gives can be read"


class _Limited:
    """What belongs to one entry of the archive."""

    def __init__(self, content: Stream, size: int) -> None:
        self._content = content
        self._left = size

    def read(self, size: int, /) -> bytes:
        """The next bytes, none after the last."""
        piece = self._content.read(min(size, self._left))
        self._left -= len(piece)
        return piece


def _member(member: tarfile.TarInfo, content: Stream, blobs: _Blobs, options: Options) -> None:
    name = os.path.normpath(member.name).lstrip("/")
    if name.startswith(".."):
        raise LayerError(f"{member.name} leads out of the archive")
    if member.issym() or member.islnk():
        base = os.path.dirname(name) if member.issym() else ""
        blobs.aliases[name] = os.path.normpath(os.path.join(base, member.linkname))
    elif member.isreg():
        _blob(name, _Limited(content, member.size), member.size, blobs, options)


def _directory(path: str, options: Options) -> _Blobs:
    """Only what the index leads to: a directory may hold other images too."""
    blobs = _Blobs()
    _file(path, "index.json", blobs, options)
    seen: set[str] = set()
    waiting = _led_to(blobs.text("index.json"), path)
    while waiting:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        _file(path, place, blobs, options)
        if place in blobs.texts:
            waiting += _led_to(blobs.text(place), path)
    return blobs


def _led_to(found: Any, name: str) -> list[str]:
    """Where the files are that an index or a manifest names; what is neither names none."""
    if not isinstance(found, dict):
        return []
    with _sense(name):
        items = [*(found.get("manifests") or ()), *(found.get("layers") or ())]
        config = found.get("config")
        items += [config] if isinstance(config, dict) and "digest" in config else []
        return [_place(item["digest"]) for item in items]


def _file(directory: str, name: str, blobs: _Blobs, options: Options) -> None:
    path = os.path.join(directory, name)
    if os.path.isfile(path):
        with open(path, "rb") as stream:
            try:
                _blob(name, stream, os.path.getsize(path), blobs, options)
            except LayerError as error:
                raise ArchiveError(f"{directory} cannot be read as an image: {error}") from None


def _blob(name: str, content: Stream, size: int, blobs: _Blobs, options: Options) -> None:
    head = content.read(512)
    # Any name may come first in a layer, such as one that begins as JSON does.
    if head[257:262] == b"ustar" or head == bytes(512) or head[:2] == GZIP or head[:4] == ZSTD:
        if len(blobs.scans) >= MOST_LAYERS:
            raise LayerError(f"more than {MOST_LAYERS} layers")
        blobs.scans[name] = scan(name, head, content, options)
    elif head.lstrip()[:1] in (b"{", b"["):
        if size > LARGEST_TEXT or len(blobs.texts) >= MOST_TEXTS:
            raise LayerError(f"{name} is too large for a description of an image ({size} bytes)")
        blobs.texts[name] = head + content.read(size)
        options.progress(size)


def _place(digest: str) -> str:
    if not re.fullmatch(r"[a-z0-9+._-]+:[0-9a-zA-Z=_-]+", digest):
        raise ArchiveError(f"{digest!r} is not a digest")
    return "blobs/" + digest.replace(":", "/", 1)


def _image(blobs: _Blobs, name: str, chosen: str) -> Image:
    with _sense(name):
        made = _docker(blobs, chosen) if "manifest.json" in blobs.texts else _oci(blobs, chosen)
        config_name, layers, names = made
        config = blobs.text(config_name)
        image = Image(
            name=name,
            id=_digest(config_name),
            names=tuple(_a(str, tag) for tag in names),
            config=config,
            layers=tuple(_layers(blobs, config, layers)),
        )
        _a(dict, image.labels)
        return image


@contextmanager
def _sense(name: str) -> Iterator[None]:
    """What is written of an image is taken for what it should be; ArchiveError where it is something else."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ArchiveError(f"{name}: its description makes no sense ({error!r})") from None


def _a(kind: type[T], value: Any) -> T:
    """The value, if it is of this kind; TypeError otherwise."""
    if not isinstance(value, kind):
        raise TypeError(f"{value!r:.40} is no {kind.__name__}")
    return value


def _docker(blobs: _Blobs, chosen: str) -> tuple[str, list[str], list[str]]:
    images = blobs.text("manifest.json")
    found = [image for image in images if not chosen or chosen in (image.get("RepoTags") or ())]
    names = [tag for image in images for tag in image.get("RepoTags") or ["an image without a name"]]
    if len(found) != 1:
        raise ArchiveError(f"the archive has {len(images)} images: {', '.join(names)}", "save one image to a file")
    return found[0]["Config"], found[0]["Layers"], found[0].get("RepoTags") or []


def _oci(blobs: _Blobs, chosen: str) -> tuple[str, list[str], list[str]]:
    if "index.json" not in blobs.texts:
        raise ArchiveError("this is not an image: it has neither manifest.json nor index.json", _WHAT)
    manifest, names = _manifest(blobs, blobs.text("index.json"), chosen)
    return _place(manifest["config"]["digest"]), [_place(layer["digest"]) for layer in manifest["layers"]], names


def _manifest(blobs: _Blobs, index: Any, chosen: str) -> tuple[Any, list[str]]:
    """The manifest of an index, or of one that it leads to: this machine's architecture where there is a choice."""
    names: list[str] = []
    for _ in range(8):
        items = [item for item in index["manifests"] if (item.get("platform") or {}).get("os") != "unknown"]
        named = {_reference(item): item for item in items}
        items = [named[chosen]] if chosen in named else items
        own = [item for item in items if (item.get("platform") or {}).get("architecture") == architecture()]
        items = own if len(items) > 1 and own else items
        if len(items) != 1:
            raise ArchiveError(f"the archive has {len(items)} images", "save one image to a file")
        names += [_reference(items[0])] if _reference(items[0]) else []
        found = blobs.text(_place(items[0]["digest"]))
        if "manifests" not in found:
            return found, names
        index = found
    raise ArchiveError("the archive's index leads from one to the next without end")


def _reference(item: Mapping[str, Any]) -> str:
    notes = item.get("annotations") or {}
    return str(notes.get("io.containerd.image.name") or notes.get("org.opencontainers.image.ref.name") or "")


def architecture() -> str:
    """This machine's architecture as engines call it."""
    import platform

    machine = platform.machine().lower()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _digest(name: str) -> str:
    last = name.rpartition("/")[2].removesuffix(".json")
    return f"sha256:{last}" if re.fullmatch("[0-9a-f]{64}", last) else last


def _layers(blobs: _Blobs, config: Mapping[str, Any], names: Sequence[str]) -> Iterator[Layer]:
    diff_ids = config["rootfs"]["diff_ids"]
    if len(diff_ids) != len(names):
        raise ArchiveError(f"the image names {len(names)} layers and describes {len(diff_ids)}")
    texts = [step.get("created_by") for step in config.get("history") or () if not step.get("empty_layer")]
    said = ["" if text is None else _a(str, text) for text in texts]
    said = said if len(said) == len(names) else [""] * len(names)
    for index, (name, diff_id) in enumerate(zip(names, diff_ids, strict=True)):
        scanned = blobs.scans.get(blobs.resolve(name))
        if scanned is None:
            raise ArchiveError(f"layer {name} is not in the archive", "is the archive complete?")
        yield Layer(
            number=index,
            digest=_digest(name),
            diff_id=_a(str, diff_id),
            created_by=said[index],
            tar=scanned.tar,
            compressed=scanned.compressed,
            entries=tuple(entry._replace(layer=index) for entry in scanned.entries),
            found=scanned.found,
            measured=scanned.measured,
        )
