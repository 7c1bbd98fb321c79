"""Advice: each kind is found where there is something, with its bytes, and silent where there is nothing."""

from __future__ import annotations

import gzip
import random
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.image.model import Entry
from compiler.size import contents
from tests.small_images import File, Layer, advised, layer

if TYPE_CHECKING:
    from pathlib import Path

    from compiler.size.report import Advice

SPEC = """\
version: 1
name: small
image: {base: alpine:3.24, packages: [PACKAGES], trim: TRIM}
artifacts:
  tool: {prebuilt: tool, install: /usr/local/bin/tool, libc: static}
  site: {prebuilt: site, install: /srv/www, precompress: PRECOMPRESS}
services:
  tool: {command: [/usr/local/bin/tool, ARGUMENT], port: 8080}
  web: {preset: nginx}
routes:
  /: {static: site}
volumes: {data: {mount: /data}}
ports: {http: {publish: 8080, service: web}}
"""
SIZE = 100_000


def spec(packages: str = "", *, argument: str = "serve", trim: bool = False, precompress: bool = False) -> str:
    text = SPEC.replace("PACKAGES", packages).replace("ARGUMENT", argument)
    return text.replace("TRIM", str(trim).lower()).replace("PRECOMPRESS", str(precompress).lower())


def noise(size: int = SIZE, seed: int = 1) -> bytes:
    """Bytes that neither repeat nor compress."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - nothing is kept secret with it


def advice(tmp_path: Path, *layers: Layer, text: str = "", compress: bool = False) -> dict[str, Advice]:
    return advised(tmp_path, text or spec(), [layer({"/etc/base": b"base"}), *layers], compress=compress)


def paths(item: Advice) -> list[str]:
    return [place.path.split(" ")[0] for place in item.places]


def test_the_same_content_at_two_paths_is_told_once_with_its_bytes(tmp_path: Path) -> None:
    found = advice(tmp_path, layer({"/opt/a": noise(), "/opt/other": noise(seed=2)}), layer({"/opt/b": noise()}))
    assert found["repeated"].bytes == SIZE
    assert [place.path for place in found["repeated"].places] == ["/opt/b (the same as /opt/a)"]


def test_different_contents_and_links_are_not_repeated(tmp_path: Path) -> None:
    content = {"/opt/a": noise(), "/opt/b": noise(seed=2), "/opt/c": noise()[:-1] + b"x"}
    assert "repeated" not in advice(tmp_path, layer(content, links={"/opt/d": "/opt/a"}))


def test_what_a_later_layer_deletes_or_replaces_is_still_paid_for(tmp_path: Path) -> None:
    found = advice(
        tmp_path,
        layer(
            {
                "/opt/gone": noise(),
                "/opt/tree/file": noise(seed=2),
                "/opt/new": noise(seed=3),
                "/opt/same": noise(seed=4),
            }
        ),
        layer({"/opt/.wh.gone": b"", "/opt/.wh.tree": b"", "/opt/new": b"small", "/opt/same": noise(seed=4)}),
    )
    assert found["deleted"].bytes == 2 * SIZE
    assert sorted(paths(found["deleted"])) == ["/opt/gone", "/opt/tree/file"]
    assert found["replaced"].bytes == 2 * SIZE
    assert {place.path for place in found["replaced"].places} == {
        "/opt/new (layer 1, in layer 2 other content)",
        "/opt/same (layer 1, in layer 2 the same content again)",
    }


def test_of_small_files_that_are_replaced_only_what_is_known_is_said(tmp_path: Path) -> None:
    names = [f"/opt/{number}" for number in range(20)]
    before = layer({**{name: noise(4000) for name in names}, "/opt/less": noise(4001)})
    found = advice(tmp_path, before, layer({**{name: noise(4000) for name in names}, "/opt/less": b"small"}))[
        "replaced"
    ]
    assert found.bytes == 84_001
    assert {place.path for place in found.places} == {
        "/opt/less (layer 1, in layer 2 other content)",
        *(f"{name} (layer 1, in layer 2)" for name in ("/opt/0", "/opt/1", "/opt/10", "/opt/11")),
    }


def test_image_trim_is_advised_for_what_it_removes(tmp_path: Path) -> None:
    files = {"/usr/share/locale/de/a.mo": noise(), "/usr/share/man/man1/a.1": noise(seed=2)}
    others = {"/usr/share/i18n/charmaps/a": noise(seed=3), "/usr/local/share/man/man1/a.1": noise(seed=4)}
    for kind, place in ("locales", "/usr/share/locale"), ("documentation", "/usr/share"):
        assert advice(tmp_path, layer({**files, **others}))[kind].todo.endswith(f"; image.trim does in {place}")
        assert "image.trim" not in advice(tmp_path, layer(others))[kind].todo
        assert "image.trim" not in advice(tmp_path, layer({**files, **others}), text=spec(trim=True))[kind].todo


def test_a_file_in_whose_place_a_link_was_put_is_replaced(tmp_path: Path) -> None:
    found = advice(tmp_path, layer({"/opt/a": noise()}), layer({}, symlinks={"/opt/a": "/opt/b"}))
    assert (found["replaced"].bytes, "deleted" in found) == (SIZE, False)


def test_what_no_later_layer_touches_is_not_told(tmp_path: Path) -> None:
    found = advice(tmp_path, layer({"/opt/a": noise()}), layer({"/opt/b": noise(seed=2)}))
    assert not {"deleted", "replaced"} & found.keys()


def test_a_deleted_name_of_a_content_that_has_another_is_not_told(tmp_path: Path) -> None:
    linked = layer({"/opt/a": noise()}, links={"/opt/b": "/opt/a"})
    assert "deleted" not in advice(tmp_path, linked, layer({"/opt/.wh.a": b""}))


def test_equal_files_that_are_written_to_are_not_repeated(tmp_path: Path) -> None:
    files: dict[str, bytes | File] = {"/var/lib/db/1": noise(), "/var/lib/db/2": noise(), "/etc/db/1": noise()}
    assert "repeated" not in advice(tmp_path, layer(files))


@pytest.mark.parametrize(
    ("kind", "path", "other"),
    [
        ("caches", "/var/cache/apk/APKINDEX.1.tar.gz", "/var/cache/fontconfig/1.cache-7"),
        ("caches", "/var/cache/apt/pkgcache.bin", "/var/cache/cracklib/cracklib_dict.pwd"),
        ("caches", "/var/lib/apt/lists/deb_dists_main", "/var/lib/apt/extended"),
        ("caches", "/root/.cache/pip/http/1", "/root/.config/1"),
        ("caches", "/tmp/left", "/opt/tmp/left"),  # noqa: S108 - a path in an image
        ("caches", "/root/go/pkg/mod/cache/download/1", "/root/go/bin/1"),
        ("documentation", "/usr/share/man/man1/a.1.gz", "/usr/share/manuscripts/a"),
        ("documentation", "/usr/share/doc/a/README", "/usr/share/doc/a/copyright"),
        ("locales", "/usr/share/locale/de/LC_MESSAGES/a.mo", "/usr/share/locales"),
        ("locales", "/usr/lib/locale/locale-archive", "/usr/lib/locale/C.utf8/LC_CTYPE"),
        ("tests", "/usr/lib/python3.12/site-packages/a/tests/test_a.py", "/opt/tests/test_a.py"),
        ("tests", "/srv/app/node_modules/a/test/a.js", "/srv/app/test/a.js"),
        ("building", "/usr/lib/liba.a", "/usr/lib/liba.so"),
        ("building", "/usr/include/a.h", "/opt/include/a.txt"),
        ("source-maps", "/srv/app/a.js.map", "/srv/app/a.map"),
    ],
)
def test_a_path_tells_what_a_file_is(tmp_path: Path, kind: str, path: str, other: str) -> None:
    found = advice(tmp_path, layer({path: noise()}))
    assert (found[kind].bytes, paths(found[kind])) == (SIZE, [path])
    assert kind not in advice(tmp_path, layer({other: noise()}))


def test_little_is_not_worth_a_word(tmp_path: Path) -> None:
    assert advice(tmp_path, layer({"/var/cache/left": noise(1000), "/usr/share/man/a": noise(1000)})) == {}


PYTHON: dict[str, bytes | File] = {
    "/usr/bin/python3.12": File(b"\x7fELF", 0o755),
    "/usr/lib/python3.12/a.py": b"pass\n",
}
CODE = "/usr/lib/python3.12/__pycache__/a.cpython-312"


@pytest.mark.parametrize(
    "path",
    [
        f"{CODE}.opt-1.pyc",
        "/usr/lib/python3.12/__pycache__/gone.cpython-312.pyc",
        "/usr/lib/python3.12/__pycache__/a.cpython-39.pyc",
    ],
)
def test_byte_code_that_is_never_read_is_told(tmp_path: Path, path: str) -> None:
    found = advice(tmp_path, layer({**PYTHON, f"{CODE}.pyc": noise(), path: noise(seed=2)}))
    assert (found["unread-byte-code"].bytes, paths(found["unread-byte-code"])) == (SIZE, [path])


def test_byte_code_that_is_read_is_told_as_that_unless_the_image_is_trimmed(tmp_path: Path) -> None:
    read = layer({**PYTHON, f"{CODE}.pyc": noise()})
    found = advice(tmp_path, read)
    assert "unread-byte-code" not in found
    assert (found["byte-code"].bytes, paths(found["byte-code"])) == (SIZE, [f"{CODE}.pyc"])
    assert "byte-code" not in advice(tmp_path, read, text=spec(trim=True))
    assert "byte-code" not in advice(tmp_path, layer(PYTHON))


def package(name: str, *files: str, needs: str = "") -> str:
    lines = [f"P:{name}", "V:1-r0", "A:x86_64", "I:1", f"D:{needs}"]
    for file in files:
        directory, _, last = file.strip("/").rpartition("/")
        lines += [f"F:{directory}", f"R:{last}"]
    return "\n".join(lines)


def installed(*records: str, content: bytes | None = None, also: dict[str, bytes | File] | None = None) -> Layer:
    """A layer with these packages, each of whose files has the same size."""
    files: dict[str, bytes | File] = dict(also or {})
    for number, record in enumerate(records):
        directory = ""
        for line in record.splitlines():
            if line.startswith("F:"):
                directory = line[2:]
            elif line.startswith("R:"):
                files[f"/{directory}/{line[2:]}"] = File(noise(seed=number + 50) if content is None else content, 0o755)
    return layer({**files, "/lib/apk/db/installed": "".join(f"{record}\n\n" for record in records).encode()})


def test_packages_of_the_base_that_are_installed_again_are_told_as_that(tmp_path: Path) -> None:
    old, new = package("perl", "/usr/bin/perl"), package("perl", "/usr/bin/perl").replace("1-r0", "2-r0")
    base = installed(old, content=noise(seed=1))
    found = advised(tmp_path, spec("perl"), [base, installed(new, content=noise(seed=2))])
    assert (found["upgraded"].bytes, paths(found["upgraded"])) == (SIZE, ["/usr/bin/perl"])
    assert "replaced" not in found
    assert "upgraded" not in advised(tmp_path, spec("perl"), [base, layer({"/opt/a": noise()})])


def test_data_that_packages_made_is_told_by_directory(tmp_path: Path) -> None:
    mine = package("database", "/usr/bin/database", "/var/lib/listed")
    made: dict[str, bytes | File] = {
        "/var/lib/database/main/1": noise(seed=1),
        "/var/lib/database/main/2": noise(seed=2),
    }
    found = advice(tmp_path, installed(mine, also=made), text=spec("database"))["initial-data"]
    assert [(place.path, place.bytes) for place in found.places] == [("/var/lib/database", 2 * SIZE)]


def test_data_of_the_base_of_packages_of_the_manager_and_on_volumes_is_not_told(tmp_path: Path) -> None:
    mine = package("database", "/usr/bin/database", "/var/lib/listed")
    kept: dict[str, bytes | File] = {"/var/lib/dpkg/triggers/a": noise(), "/var/lib/elsewhere/a": noise()}
    text = spec("database").replace("mount: /data", "mount: /var/lib/elsewhere")
    base = layer({"/var/lib/base/a": noise()})
    assert "initial-data" not in advised(tmp_path, text, [base, installed(mine, also=kept)])


LIBRARY = "/usr/lib/python3.12/a.py"
SUPERVISOR = (
    package("supervisor", "/usr/bin/supervisord", needs="python3"),
    package("python3", LIBRARY),
)


def test_python_for_supervisor_alone_is_told(tmp_path: Path) -> None:
    found = advice(tmp_path, installed(*SUPERVISOR))
    assert (found["python"].bytes, paths(found["python"])) == (SIZE, [LIBRARY])


def test_python_that_is_trimmed_or_that_others_need_is_not_told(tmp_path: Path) -> None:
    assert "python" not in advice(tmp_path, installed(*SUPERVISOR), text=spec(trim=True))
    other = package("yt-dlp", "/usr/bin/yt-dlp", needs="python3")
    assert "python" not in advice(tmp_path, installed(*SUPERVISOR, other), text=spec("yt-dlp"))


def elf(sections: list[tuple[bytes, int, int, int]], *, order: str = "<", wide: bool = True) -> bytes:
    """An executable of these sections: name, type, flags, size; as the System V ABI has it."""
    names = b"\0" + b"\0".join(name for name, *_ in sections) + b"\0.shstrtab\0"
    start = 64 if wide else 52
    layout = f"{order}IIQQQQIIQQ" if wide else f"{order}10I"
    body, headers = b"", [struct.pack(layout, *[0] * 10)]
    for name, kind, flags, size in sections:
        link = len(headers) + 1 if kind == 2 else 0
        headers.append(struct.pack(layout, names.index(name), kind, flags, 0, start + len(body), size, link, 0, 1, 0))
        body += noise(size, seed=kind)
    where = names.index(b".shstrtab")
    headers.append(struct.pack(layout, where, 3, 0, 0, start + len(body), len(names), 0, 0, 1, 0))
    body += names
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    table = start + len(body)
    ends = (start, 0, 0, len(headers[0]), len(headers), len(headers) - 1)
    form = f"{order}HHIQQQIHHHHHH" if wide else f"{order}HHIIIIIHHHHHH"
    return ident + struct.pack(form, 2, 62, 1, 0, 0, table, 0, *ends) + body + b"".join(headers)


TEXT, DEBUG, SYMBOLS, STRINGS = (
    (b".text", 1, 6, 300_000),
    (b".debug_info", 1, 0, SIZE),
    (b".symtab", 2, 0, 4800),
    (b".strtab", 3, 0, 700),
)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("wide", [True, False])
def test_symbols_and_debugging_data_are_told_to_the_byte(tmp_path: Path, order: str, *, wide: bool) -> None:
    program = File(elf([TEXT, DEBUG, SYMBOLS, STRINGS], order=order, wide=wide), 0o755)
    found = advice(tmp_path, layer({"/usr/local/bin/tool": program}))["unstripped"]
    assert found.bytes == SIZE + 4800 + 700
    assert [place.path for place in found.places] == ["/usr/local/bin/tool (artifact tool)"]


def test_a_stripped_program_is_not_told(tmp_path: Path) -> None:
    program = File(elf([TEXT, (b".comment", 1, 0, SIZE), (b".dynstr", 3, 2, SIZE)]), 0o755)
    assert "unstripped" not in advice(tmp_path, layer({"/usr/local/bin/tool": program}))


def test_headers_that_lie_are_no_trouble(tmp_path: Path) -> None:
    whole = elf([TEXT, DEBUG, SYMBOLS, STRINGS])
    chance = random.Random(7)  # noqa: S311 - likewise
    files: dict[str, bytes | File] = {"/opt/short": whole[:40], "/opt/cut": whole[:-30]}
    for number in range(40):
        broken = bytearray(whole)
        for _ in range(8):
            broken[chance.choice([*range(64), *range(len(whole) - 400, len(whole))])] = chance.randrange(256)
        files[f"/opt/{number}"] = bytes(broken)
    found = advice(tmp_path, layer(files))
    assert all(place.bytes <= len(whole) for item in found.values() for place in item.places)


@settings(deadline=None)
@given(st.binary(max_size=64), st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=30))
def test_no_header_makes_it_fail_or_count_more_than_there_is(head: bytes, changes: list[tuple[int, int]]) -> None:
    broken = bytearray(elf([TEXT, DEBUG, SYMBOLS, STRINGS]))
    broken[4 : 4 + len(head)] = head
    for place, value in changes:
        broken[-1 - place if place % 2 else place % 64] = value
    sink = contents.look()(Entry(0, "/opt/a", "file", len(broken), 0o755, 0, 0, ""))
    assert sink is not None
    for start in range(0, len(broken), 2**18):
        sink.update(bytes(broken[start : start + 2**18]))
    assert 0 <= sink.value().symbols <= len(broken)


LARGE = 20 * 10**6


def test_a_large_program_that_compresses_well_is_told(tmp_path: Path) -> None:
    half = (noise(2**16) + bytes(2**16)) * (LARGE // 2**17 + 1)
    found = advice(tmp_path, layer({"/usr/local/bin/tool": File(half, 0o755)}))["compressible"]
    assert found.bytes == pytest.approx(len(half) / 2, rel=0.05)
    assert [place.path for place in found.places] == ["/usr/local/bin/tool (artifact tool)"]


def test_a_program_that_is_small_or_does_not_compress_or_is_nobodys_is_not_told(tmp_path: Path) -> None:
    small, dense = File(bytes(LARGE // 2), 0o755), File(noise(LARGE), 0o755)
    for files in (
        {"/usr/local/bin/tool": small},
        {"/usr/local/bin/tool": dense},
        {"/opt/x": File(bytes(LARGE), 0o755)},
    ):
        assert "compressible" not in advice(tmp_path, layer(files))


def test_texts_that_are_served_uncompressed_are_told_with_what_gzip_saves(tmp_path: Path) -> None:
    page, script = b"<p>text</p>\n" * 20_000, noise(2000).hex().encode()
    files = {"/srv/www/index.html": page, "/srv/www/small.js": script, "/srv/www/tiny.js": b"x" * 1024}
    others = {"/srv/www/picture.png": bytes(SIZE), "/opt/index.html": page}
    found = advice(tmp_path, layer({**files, **others}))["precompress"]
    assert {place.path: place.bytes for place in found.places} == {
        path: len(files[path]) - len(gzip.compress(files[path], 9))
        for path in ("/srv/www/index.html", "/srv/www/small.js")
    }
    assert found == advice(tmp_path, layer({**files, **others}), compress=True)["precompress"]
    assert "precompress" not in advice(tmp_path, layer(files), text=spec(precompress=True))
    assert "precompress" not in advice(
        tmp_path, layer({"/srv/www/index.html": page, "/srv/www/index.html.gz": b"small"})
    )


def test_texts_are_compressed_up_to_a_bound(tmp_path: Path) -> None:
    half = bytes(contents.MOST_COMPRESSED // 2)
    found = advice(tmp_path, layer({f"/srv/www/{number}.txt": half for number in range(3)}))["precompress"]
    assert len(found.places) == 2


def test_copies_that_compression_did_not_make_smaller_are_told(tmp_path: Path) -> None:
    files = layer({"/srv/www/a.png": noise(), "/srv/www/a.png.gz": noise(SIZE + 20, seed=2)})
    assert paths(advice(tmp_path, files)["compressed-in-vain"]) == ["/srv/www/a.png.gz"]
    assert "compressed-in-vain" not in advice(
        tmp_path, layer({"/srv/www/a.js": noise(), "/srv/www/a.js.gz": noise(SIZE // 2, 2)})
    )


def test_a_package_that_nobody_asks_for_is_told(tmp_path: Path) -> None:
    found = advice(tmp_path, installed(package("stray", "/usr/bin/stray")))["unwanted"]
    assert (found.what, paths(found)) == ("in 1 package that neither the spec nor another package asks for", ["stray"])
    assert found.bytes > SIZE
    assert "unwanted" not in advice(tmp_path, installed(package("tool", "/usr/bin/tool")), text=spec("tool"))


CURL = package("curl", "/usr/bin/curl", needs="libcurl"), package("libcurl", "/usr/lib/libcurl.so.4")


def test_a_package_whose_programs_nothing_names_is_told_with_what_comes_along(tmp_path: Path) -> None:
    found = advice(tmp_path, installed(*CURL), text=spec("curl"))["unused"]
    assert [place.path for place in found.places] == ["curl with libcurl"]
    assert found.bytes > 2 * SIZE


def test_a_package_that_something_names_or_needs_is_not_told(tmp_path: Path) -> None:
    assert "unused" not in advice(tmp_path, installed(*CURL), text=spec("curl", argument="/usr/bin/curl"))
    script: dict[str, bytes | File] = {"/opt/fetch": File(b"#!/bin/sh\nexec curl -s http://127.0.0.1/\n", 0o755)}
    assert "unused" not in advice(tmp_path, installed(*CURL, also=script), text=spec("curl"))
    needed = package("fetcher", "/usr/lib/fetcher.so", needs="curl")
    assert "unused" not in advice(tmp_path, installed(*CURL, needed), text=spec("curl, fetcher"))
    data = package("curl", "/usr/bin/curl", "/usr/share/curl/bundle.pem")
    assert "unused" not in advice(tmp_path, installed(data), text=spec("curl"))


def test_the_largest_advice_comes_first_and_the_largest_places_are_named(tmp_path: Path) -> None:
    files: dict[str, bytes] = {f"/var/cache/{number}": noise(SIZE + number, seed=number) for number in range(9)}
    found = list(advice(tmp_path, layer({**files, "/usr/share/man/a": noise(seed=99)})).values())
    assert [item.kind for item in found] == ["caches", "documentation"]
    assert paths(found[0]) == ["/var/cache/8", "/var/cache/7", "/var/cache/6", "/var/cache/5", "/var/cache/4"]
    assert found[0].more == 4
