"""Archives of images: every layout is read alike, and none that is broken or malicious does any harm."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import sys
import tarfile
import tempfile
import tracemalloc
import zlib
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.errors import HostError
from compiler.image import archive, layer, model, streams, tars
from compiler.image.archive import ArchiveError, Options
from tests import archives
from tests.archives import Item

if TYPE_CHECKING:
    from collections.abc import Callable

    from compiler.image.model import Image

LAYOUTS = ("old", "new", "oci", "plain")

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda content: gzip.compress(content, mtime=0),
    "zstd": zstandard.ZstdCompressor().compress,
}

LAYERS = (
    [
        Item("/etc", kind=tarfile.DIRTYPE),
        Item("/etc/a", b"12345"),
        Item("/etc/b", kind=tarfile.LNKTYPE, target="etc/a"),
    ],
    [
        Item("/etc/.wh.a"),
        Item("/etc/c", kind=tarfile.SYMTYPE, target="b"),
        Item("/data/.wh..wh..opq"),
        Item("/x", b"7" * 700),
    ],
    [Item("/x", b"9")],
)


def read(path: Path, *, compress: bool = False) -> Image:
    """The image of an archive, with the content of every file that is called x."""
    return archive.read_path(str(path), "", Options({"x": model.keep(lambda e: e.path == "/x")}, compress))


def _seen(image: Image) -> list[tuple[int, str, str, int, str]]:
    return [(entry.layer, entry.path, entry.kind, entry.size, entry.target) for entry in image.entries]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read_alike(layout: str, tmp_path: Path) -> None:
    image = read(archives.save(tmp_path / "image.tar", LAYERS, ["one", "two", "three"], layout))
    assert _seen(image) == [
        (0, "/etc", "directory", 0, ""),
        (0, "/etc/a", "file", 5, ""),
        (0, "/etc/b", "hardlink", 0, "/etc/a"),
        (1, "/etc/a", "whiteout", 0, ""),
        (1, "/etc/c", "symlink", 1, "b"),
        (1, "/data", "opaque", 0, ""),
        (1, "/x", "file", 700, ""),
        (2, "/x", "file", 1, ""),
    ]
    assert [layer.created_by for layer in image.layers] == ["one", "two", "three"]
    assert [layer.found.get("x") for layer in image.layers] == [None, {"/x": b"7" * 700}, {"/x": b"9"}]
    assert image.names == ("small:1",)
    assert image.architecture == "amd64"


def test_a_directory_in_the_layout_of_oci_and_a_compressed_archive_are_read_alike(tmp_path: Path) -> None:
    files = archives.blobs([archives.layer(items) for items in LAYERS], ["one", "two", "three"], "oci")
    archives.lay_out(tmp_path / "layout", files)
    packed = tmp_path / "image.tar.gz"
    for pack in (*PACKERS.values(), lzma.compress, bz2.compress):
        packed.write_bytes(pack(archives.tar(files)))
        assert _seen(read(tmp_path / "layout")) == _seen(read(packed))
    assert archive.local_path(f"oci:{tmp_path / 'layout'}") == str(tmp_path / "layout")


def test_a_directory_is_meant_by_its_path_or_if_it_holds_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    archives.lay_out(tmp_path / "image", {"index.json": b"{}"})
    archives.lay_out(tmp_path / "v1", {"readme": b"no image"})
    assert [archive.local_path(name) for name in ("image", "v1", "./v1", "v2", "oci:v1")] == [
        *("image", None, "./v1", None, "v1")
    ]


def test_layers_that_are_one_file_in_the_archive_are_two_layers(tmp_path: Path) -> None:
    image = read(archives.save(tmp_path / "image.tar", [LAYERS[2], LAYERS[2]], layout="old"))
    assert [entry.layer for entry in image.entries] == [0, 1]


def test_the_compressed_size_is_the_archives_own_and_divided_without_a_rest(tmp_path: Path) -> None:
    image = read(archives.save(tmp_path / "image.tar", LAYERS, layout="oci"))
    for found, items in zip(image.layers, LAYERS, strict=True):
        assert found.compressed == len(gzip.compress(archives.layer(items), mtime=0))
        assert found.compressed == sum(entry.compressed for entry in found.entries)
        assert not found.measured


def test_a_plain_layer_is_measured_by_compressing_it_where_that_is_wanted(tmp_path: Path) -> None:
    path = archives.save(tmp_path / "image.tar", LAYERS)
    assert [layer.compressed for layer in read(path).layers] == [None] * 3
    for found, items in zip(read(path, compress=True).layers, LAYERS, strict=True):
        assert found.measured
        assert found.compressed == sum(entry.compressed for entry in found.entries)
        assert found.compressed == pytest.approx(len(gzip.compress(archives.layer(items), 6)), abs=30)


def test_what_a_container_sees_is_what_later_layers_have_left(tmp_path: Path) -> None:
    image = read(
        archives.save(
            tmp_path / "image.tar",
            [
                [Item("/a", kind=tarfile.DIRTYPE), Item("/a/1", b"1"), Item("/a/2", b"2"), Item("/b/1", b"1")],
                [Item("/a/.wh.1"), Item("/b", b"now a file"), Item("/c", b"3")],
                [Item("/a/.wh..wh..opq"), Item("/a/3", b"3")],
            ],
        )
    )
    assert sorted(model.visible(image)) == ["/a", "/a/3", "/b", "/c"]


def _oci(content: bytes) -> bytes:
    """An archive whose only layer is not what it should be."""
    return archives.tar(archives.blobs([content], ["one"], "plain"))


def _lying(**changes: object) -> bytes:
    """A layer with a header that says something else than what follows."""
    info = tarfile.TarInfo("x")
    for name, value in changes.items():
        setattr(info, name, value)
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(512)


def _negative() -> bytes:
    header = bytearray(tarfile.TarInfo("x").tobuf())
    header[124:136] = b"\xff" * 12
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(1024)


def _greedy(packed: bytes) -> bytes:
    """The same in xz, with a dictionary of 4 GiB by the header of its block."""
    block = packed[12:16] + bytes([40]) + packed[17:20]
    return packed[:12] + block + zlib.crc32(block).to_bytes(4, "little") + packed[24:]


GOOD = archives.layer(LAYERS[1])
BROKEN = {
    "nothing": b"",
    "a text": b"this is no archive, however long it may be" * 100,
    "an archive of something else": archives.tar({"readme": b"hello"}),
    "an archive that was cut off": archives.tar(archives.blobs([GOOD], ["one"], "new"))[:-9000],
    "no configuration": archives.tar({"manifest.json": b'[{"Config": "c", "Layers": []}]'}),
    "a manifest that is no JSON": archives.tar({"manifest.json": b"[{]"}),
    "a manifest that is something else": archives.tar({"manifest.json": b'["a"]', "index.json": b"{}"}),
    "an index that leads to itself": archives.tar({"index.json": b'{"manifests": [{"digest": "sha256:../../etc"}]}'}),
    "several images": archives.tar(
        {"manifest.json": b'[{"Config": "c", "Layers": []}, {"Config": "d", "Layers": []}]'}
    ),
    "a layer that leads out": _oci(archives.layer([Item("../../etc/passwd", b"root")])),
    "a layer that leads out in the middle": _oci(archives.layer([Item("a/../../../etc/passwd", b"root")])),
    "a layer that was cut off": _oci(archives.layer([Item("x", b"1" * 9000)])[:2048]),
    "a layer that says more than it has": _oci(_lying(size=10**12)),
    "a layer with a size beyond all measure": _oci(_lying(size=2**80)),
    "a layer with an endless name": _oci(_lying(size=2**30, type=tarfile.GNUTYPE_LONGNAME)),
    "a layer with a name of many directories": _oci(archives.layer([Item("a/" * 5000 + "a", b"1")])),
    "a layer with a damaged header": _oci(archives.layer([Item("x", b"1" * 512)])[:1024] + b"damaged" * 200),
    "a layer with a negative size": _oci(_negative()),
    "a layer that is compressed and cut off": _oci(gzip.compress(GOOD)[:-12]),
    "a layer that is compressed and broken": _oci(gzip.compress(GOOD)[:30] + b"broken" * 300),
    "a layer that begins like zstd": _oci(b"\x28\xb5\x2f\xfd" + b"broken" * 300),
    "a layer that is compressed with zstd and cut off": _oci(zstandard.ZstdCompressor().compress(GOOD)[:-12]),
    "an archive that is compressed and cut off": gzip.compress(_oci(GOOD))[:300],
    "an archive that is compressed with xz and broken": lzma.compress(_oci(GOOD))[:100] + b"broken" * 300,
    "an archive that is compressed with bzip2 and broken": bz2.compress(_oci(GOOD))[:100] + b"broken" * 300,
    "an archive that takes too much memory to unpack": _greedy(lzma.compress(_oci(b""))),
    "a layer that is no tar": _oci(b"no tar" * 300),
    "a manifest without an end": archives.tar({"manifest.json": b"[" * 10**5}),
    "a layer with a name that is two lines": archives.tar(
        {"manifest.json": b'[{"Config": "c", "Layers": ["a\\nb"]}]', "c": b'{"rootfs": {"diff_ids": ["d"]}}'}
    ),
    "a name that leads out of the archive": archives.tar({"../manifest.json": b"[]"}),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_cannot_be_read_is_said_in_a_line(what: str, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(BROKEN[what])
    with pytest.raises(ArchiveError) as caught:
        read(path)
    assert caught.value.exit_code == 3
    assert "\n" not in caught.value.message


INDEX = b'{"manifests": [{"digest": "sha256:%s"}]}' % (b"a" * 64)
LAID_OUT_BADLY = {
    "a list": {"index.json": b"[1]"},
    "a number of manifests": {"index.json": b'{"manifests": 5}'},
    "a digest that is a number": {"index.json": b'[{"digest": 5}]'},
    "a digest in an index that is a number": {"index.json": b'{"manifests": [{"digest": 5}]}'},
    "an index without an end": {"index.json": b'{"manifests": ' + b"[" * 10**5},
    "a manifest that is a list": {"index.json": INDEX, f"blobs/sha256/{'a' * 64}": b"[1]"},
    "a manifest with a layer that is a number": {"index.json": INDEX, f"blobs/sha256/{'a' * 64}": b'{"layers": [5]}'},
    "a manifest that is damaged zstd": {"index.json": INDEX, f"blobs/sha256/{'a' * 64}": b"\x28\xb5\x2f\xfd" * 300},
    "nothing": {},
}


@pytest.mark.parametrize("what", LAID_OUT_BADLY)
def test_a_directory_that_cannot_be_read_is_said_in_a_line(what: str, tmp_path: Path) -> None:
    archives.lay_out(tmp_path, LAID_OUT_BADLY[what])
    with pytest.raises(ArchiveError) as caught:
        read(tmp_path)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("said", [None, 5, ["RUN"], {}])
def test_a_step_that_is_no_text_is_refused_unless_it_is_left_out(said: Any, tmp_path: Path) -> None:
    path = archives.save(tmp_path / "image.tar", LAYERS[:1], [said])
    if said is None:
        assert [found.created_by for found in read(path).layers] == [""]
    else:
        with pytest.raises(ArchiveError):
            read(path)


@pytest.mark.parametrize("first", ["[id].js", "{id}.js"])
def test_a_layer_may_begin_with_a_name_that_looks_like_json(first: str, tmp_path: Path) -> None:
    image = read(archives.save(tmp_path / "image.tar", [[Item(first, b"1" * 5000)]]))
    assert [(entry.path, entry.size) for entry in image.entries] == [(f"/{first}", 5000)]


def test_a_stream_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(streams, "LARGEST", 10**6)
    path = tmp_path / "image.tar"
    for content in (
        archives.layer([Item("x", bytes(2 * 10**6))]),
        gzip.compress(archives.layer([Item("x", bytes(2 * 10**6))])),
    ):
        path.write_bytes(_oci(content))
        with pytest.raises(ArchiveError, match=r"more than|cannot have"):
            read(path)


def test_entries_and_layers_without_number_are_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(layer, "MOST_ENTRIES", 2)
    with pytest.raises(ArchiveError, match="entries"):
        read(archives.save(tmp_path / "image.tar", LAYERS))
    monkeypatch.undo()
    monkeypatch.setattr(archive, "MOST_LAYERS", 2)
    with pytest.raises(ArchiveError, match="layers"):
        read(archives.save(tmp_path / "image.tar", LAYERS))


def test_zstd_takes_a_library_which_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("compression.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, name, None)
    path = tmp_path / "image.tar"
    path.write_bytes(_oci(b"\x28\xb5\x2f\xfd" + bytes(600)))
    with pytest.raises(HostError, match="zstd"):
        read(path)


ZEROS = 2**27


@pytest.mark.parametrize(
    ("pack", "whole"),
    [
        *((pack, whole) for pack in PACKERS.values() for whole in (False, True)),
        (partial(lzma.compress, preset=0), True),
        (bz2.compress, True),
    ],
)
def test_what_is_small_and_unpacks_to_a_lot_takes_little_memory(
    pack: Callable[[bytes], bytes], whole: bool, tmp_path: Path
) -> None:
    path = tmp_path / "image.tar"
    content = archives.layer([Item("/zeros", bytes(ZEROS)), Item("/x", b"1")])
    path.write_bytes(pack(_oci(content)) if whole else _oci(pack(content)))
    tracemalloc.start()
    try:
        image = read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [entry.size for entry in image.entries] == [ZEROS, 1]
    assert peak < ZEROS * 3 // 4


def noise(size: int) -> bytes:
    """Bytes that cannot be compressed, the same every time."""
    return hashlib.shake_128(b"noise").digest(size)


class Drops:
    """A stream that gives a few bytes at a time, so that a member may begin anywhere in them."""

    def __init__(self, content: bytes) -> None:
        self._stream = io.BytesIO(content)

    def read(self, size: int, /) -> bytes:
        return self._stream.read(min(size, 3))


@pytest.mark.parametrize("method", PACKERS)
def test_a_layer_may_be_compressed_in_parts_and_end_in_padding(method: str) -> None:
    content = archives.layer([Item("/a", noise(5000)), Item("/x", b"1")])
    parts = [PACKERS[method](content[start : start + 700]) for start in range(0, len(content), 700)]
    packed = b"".join(parts) + bytes(1000)
    found = layer.scan("layer", packed[:512], Drops(packed[512:]), Options())
    assert (found.tar, found.compressed) == (len(content), len(packed))
    assert [entry.size for entry in found.entries] == [5000, 1]
    assert sum(entry.compressed for entry in found.entries) == len(packed)


@pytest.mark.parametrize("method", PACKERS)
def test_what_compresses_well_has_little_of_the_compressed_size(method: str, tmp_path: Path) -> None:
    one, other = noise(10**6), noise(10**6)[::-1]
    path = tmp_path / "image.tar"
    path.write_bytes(
        _oci(PACKERS[method](archives.layer([Item("/one", one), Item("/z", bytes(10**7)), Item("/other", other)])))
    )
    first, zeros, last = (entry.compressed for entry in read(path).entries)
    assert zeros < 5 * 10**4
    assert first == pytest.approx(10**6, abs=5 * 10**4)
    assert last == pytest.approx(10**6, abs=5 * 10**4)


def test_a_path_that_comes_twice_in_a_layer_counts_once(tmp_path: Path) -> None:
    image = read(archives.save(tmp_path / "image.tar", [[Item("/x", b"first"), Item("/x", b"12")]]))
    assert image.layers[0].contents == 2


@settings(max_examples=400)
@given(data=st.data())
def test_headers_are_read_as_tarfile_reads_them(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT]))
    more = 3 * (form == tarfile.GNU_FORMAT)
    texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=24)
    ends = st.sampled_from(["", "a" * 99 + "/"]), st.sampled_from(["", "/"])
    info = tarfile.TarInfo(data.draw(ends[0]) + data.draw(texts) + data.draw(ends[1]))
    types = st.sampled_from(tars.USUAL_TYPES) | st.sampled_from([*tarfile.SUPPORTED_TYPES, b"?"])
    info.linkname, info.type = data.draw(texts), data.draw(types)
    info.size, info.mode = data.draw(st.integers(0, 2 ** (33 + more) - 1)), data.draw(st.integers(0, 0o7777))
    info.uid, info.gid = (data.draw(st.integers(0, 2 ** (21 + more) - 1)) for _ in range(2))
    header = bytearray(info.tobuf(form)[-512:])  # type: ignore[arg-type]
    # Times, names of accounts and numbers of devices are not read, so that damage there goes unseen.
    read_ones = st.sampled_from([place for place in range(512) if not (136 <= place < 148 or 265 <= place < 345)])
    for _ in range(data.draw(st.integers(0, 3))):
        header[data.draw(read_ones)] = data.draw(st.sampled_from(b"\0 /017_-+\x80\xff"))
    if data.draw(st.booleans()):
        header[148:156] = b"%06o\0 " % (sum(header) - sum(header[148:156]) + 8 * 32)
    known = tarfile.HeaderError, streams.LayerError
    try:
        wanted = tars.checked(tarfile.TarInfo.frombuf(bytes(header), "utf-8", "surrogateescape"))
    except known:
        with pytest.raises(known):
            tars.Header.frombuf(bytes(header), "utf-8", "surrogateescape")
        return
    with suppress(streams.LayerError):  # what stands for a long name and the like is held to less
        found = tars.Header.frombuf(bytes(header), "utf-8", "surrogateescape")
        for field in ("name", "type", "linkname", "size", "mode", "uid", "gid"):
            assert getattr(found, field) == getattr(wanted, field)


@settings(max_examples=60)
@given(data=st.data())
def test_no_broken_archive_is_a_bug(data: st.DataObject) -> None:
    content = bytearray(archives.tar(archives.blobs([archives.layer(items) for items in LAYERS], ["?"] * 3, "oci")))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    with suppress(HostError):
        image = archive.read_stream(io.BytesIO(bytes(content)), "image", Options())
        assert all(entry.size >= 0 and entry.path.startswith("/") for entry in image.entries)


JSON = st.recursive(
    st.sampled_from([None, True, -1, 0, 1.5, float("inf"), "", "a", "a\n", "sha256:a", "../x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["digest", "layers", "x"]), inner),
    max_leaves=4,
)


def _changed(data: st.DataObject, value: Any) -> Any:
    """The value with something else in a place of it."""
    if not value or not isinstance(value, dict | list) or data.draw(st.integers(0, 4)) == 0:
        return data.draw(JSON)
    if isinstance(value, list):
        index = data.draw(st.integers(0, len(value) - 1))
        return [*value[:index], _changed(data, value[index]), *value[index + 1 :]]
    key = data.draw(st.sampled_from(sorted(value)))
    return value | {key: _changed(data, value[key])}


def _read_as_far_as_possible(path: Path) -> Image | ArchiveError:
    try:
        return read(path)
    except ArchiveError as error:
        return error


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_description_of_another_shape_is_a_bug(data: st.DataObject) -> None:
    files = archives.blobs([archives.layer(LAYERS[1])] * 2, ["?"] * 2, data.draw(st.sampled_from(LAYOUTS)))
    texts = [name for name, content in files.items() if content[:1] in (b"{", b"[")]
    for name in data.draw(st.lists(st.sampled_from(texts), min_size=1, max_size=2)):
        changed = _changed(data, json.loads(files[name]))
        # What is no object or list is not even taken for a description.
        files[name] = json.dumps(changed if isinstance(changed, dict | list) else [changed]).encode()
    with tempfile.TemporaryDirectory() as directory:
        archives.lay_out(Path(directory, "layout"), files)
        Path(directory, "image.tar").write_bytes(archives.tar(files))
        for name in ("layout", "image.tar"):
            found = _read_as_far_as_possible(Path(directory, name))
            if isinstance(found, ArchiveError):
                assert "\n" not in found.message
                continue
            of_layers = [text for layer in found.layers for text in (layer.digest, layer.diff_id, layer.created_by)]
            assert all(isinstance(text, str) for text in (*found.names, found.id, *of_layers))
            assert found.labels.get("x") is None
