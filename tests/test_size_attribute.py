"""Whose each byte is: attribution adds up to the image, and what is added goes to who asked for it, and nobody else."""

from __future__ import annotations

import re
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import load, pipeline
from compiler.image import archive, model, packages
from compiler.size import attribute, contents, demand
from compiler.size.report import COMPILER, IMAGE_PACKAGES, NOBODY, SHARED, Owner
from compiler.size.steps import steps
from tests import archives, small_images
from tests.archives import Item, Package

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from compiler.size.report import Report

SPEC = """
version: 1
name: small
image: {base: 'alpine:3.24', packages: [curl]}
artifacts:
  api: {prebuilt: bin/api, install: /usr/local/bin/api, libc: musl}
  tool:
    prebuilt: bin/tool
    install: /usr/local/bin/tool
    libc: glibc
    libraries: debian:bookworm-slim
    compress: zstd
services:
  redis: {preset: redis}
  api:
    command: [/usr/local/bin/api]
    user: api
    port: 8081
    after: [redis]
    files: {/etc/api.conf: {source: api.conf}}
  tool: {command: [/usr/local/bin/tool], user: api}
volumes: {data: {mount: /data}}
database: {file: app.db, schema: schema.sql, owner: api}
hooks: {first_start: [first.sh]}
extra:
  Dockerfile:
    packages: |
      RUN apk add --no-cache htop
    end: |
      COPY motd /etc/motd
"""
RESULT = pipeline.compile_document(load.parse(SPEC.encode(), "appos.yaml"), ".")
DOCKERFILE = next(file.content for file in RESULT.files if file.path == "Dockerfile")
STEPS = [step.text for step in steps(RESULT.app, DOCKERFILE)]

BASE = (Package("musl", {"/lib/ld-musl.so.1": 600}, provides="so:libc.so=1"), Package("busybox", {"/bin/busybox": 800}))
ASKED = (
    Package("redis", {"/usr/bin/redis-server": 3000}, depends="so:libssl.so so:libc.so"),
    Package("curl", {"/usr/bin/curl": 300}, depends="so:libssl.so so:libidn.so"),
    Package("libidn", {"/usr/lib/libidn.so": 200}, provides="so:libidn.so=2"),
    Package("libssl", {"/usr/lib/libssl.so": 900}, provides="so:libssl.so=3"),
    Package("sqlite", {"/usr/bin/sqlite3": 250}),
    Package("supervisor", {"/usr/bin/supervisord": 20, "/usr/lib/python3/s.py": 70}, depends="python3"),
    Package("python3", {"/usr/bin/python3": 2000}),
    Package("pyc", {}, install_if="python3"),
    Package("supervisor-pyc", {"/usr/lib/python3/s.pyc": 60}, install_if="pyc supervisor"),
    Package("zstd", {"/usr/bin/zstd": 870}),
)
HTOP = Package("htop", {"/usr/bin/htop": 111})

Layers = dict[str, list[Item]]


def usual() -> Layers:
    """The layers of an image that the spec compiles to, by their instructions; the base is the first."""
    made: Layers = {"": archives.packages(*BASE)}
    for text in STEPS:
        if "addgroup" in text:
            made[text] = [Item("/etc/passwd", b"api:x:1:1\n"), Item("/etc/group", b"api:x:1:\n")]
        elif "htop" in text:
            made[text] = [*archives.packages(HTOP, others=(*BASE, *ASKED)), Item("/etc/htoprc", b"hello")]
        elif "apk add" in text:
            made[text] = archives.packages(*ASKED, others=BASE)
        elif text.startswith("RUN"):
            made[text] = [Item("/run", kind=tarfile.DIRTYPE)]
        elif text == "COPY /closure/root/ /":
            made[text] = [Item("/lib64/libc.so.6", b"c" * 1900), Item("/etc/nsswitch.conf", b"hosts: files dns\n")]
        elif text == "COPY /packed/root/ /":
            made[text] = [
                Item("/usr/local/share/small/packed/tool", b"z" * 5000),
                Item("/usr/local/share/small/packed/tool.sum", b"s" * 64),
                Item("/usr/local/bin/tool", kind=tarfile.SYMTYPE, target="/run/small/programs/tool"),
            ]
        else:
            copied = (
                re.findall(rf"^COPY .*{text.split()[1]}.*", DOCKERFILE, re.MULTILINE)[:-1]
                if "/files/" in text
                else [text]
            )
            made[text] = [Item(name, b"f" * (100 + len(name))) for line in copied for name in _targets(line)]
    return made


def _targets(copy: str) -> list[str]:
    """Where in the image the files lie that an instruction copies, there or into the tree of a layer."""
    *sources, target = re.sub(r"/files/[^/]+/", "/", re.sub(r" --\S+", "", copy)).split()[1:]
    return [target + source.rpartition("/")[2] if target.endswith("/") else target for source in sources]


def report(directory: Path, layers: Layers, known: attribute.Known | None = None, **options: Any) -> Report:
    """The report of an image with these layers."""
    path = archives.save(directory / "image.tar", list(layers.values()), [f"{text} # buildkit" for text in layers])
    image = archive.read_path(str(path), "", archive.Options({packages.LOOK: model.keep(packages.wanted)}, **options))
    return attribute.report(image, RESULT.app, {"production": DOCKERFILE}, known or attribute.Known(), None)


def sizes(found: Report) -> dict[str, int]:
    """The bytes of each share."""
    return {str(share.owner): share.uncompressed for share in found.shares}


def total(layers: Layers) -> int:
    """What an engine says that has unpacked the layers."""
    files = sum(len(item.content) for items in layers.values() for item in items if item.kind == tarfile.REGTYPE)
    return files + sum(len(i.target) for items in layers.values() for i in items if i.kind == tarfile.SYMTYPE)


def part(found: Report, owner: Owner, name: str) -> int:
    """The bytes of a part of a share."""
    share = next(share for share in found.shares if share.owner == owner)
    return next(part.uncompressed for part in share.parts if part.name == name)


def test_everything_goes_to_who_asked_for_it(tmp_path: Path) -> None:
    layers = usual()
    found = report(tmp_path, layers)
    assert found.uncompressed == total(layers) == sum(layer.uncompressed for layer in found.layers)
    assert found.nobody == ()
    assert [layer.base for layer in found.layers] == [True] + [False] * len(STEPS)
    records = {package.name: len(package.record) for package in (*ASKED, HTOP)}
    twice = {name: size * (2 if name != "htop" else 1) for name, size in records.items()}
    assert part(found, Owner("service", "redis"), "redis") == 3000 + twice["redis"]
    assert part(found, Owner("artifact", "tool"), "zstd") == 870 + twice["zstd"]
    assert part(found, Owner("artifact", "tool"), "libraries") == 1900 + 17
    assert part(found, Owner("artifact", "tool"), "stored compressed") == 5000
    assert part(found, Owner("artifact", "api"), "/usr/local/bin/api") == 118
    assert part(found, Owner("service", "api"), "/etc/api.conf") == 113
    assert part(found, IMAGE_PACKAGES, "curl") == 300 + twice["curl"]
    assert part(found, IMAGE_PACKAGES, "libidn") == 200 + twice["libidn"]
    assert part(found, SHARED, "libssl") == 900 + twice["libssl"]
    assert part(found, COMPILER, "supervisor-pyc") == 60 + twice["supervisor-pyc"]
    assert part(found, COMPILER, "accounts") == 19
    assert part(found, Owner("extra", "database"), "sqlite") == 250 + twice["sqlite"]
    assert part(found, Owner("extra", "Dockerfile"), "htop") == 111 + twice["htop"]
    assert part(found, Owner("extra", "Dockerfile"), "RUN apk add --no-cache htop") == 5
    assert part(found, Owner("extra", "Dockerfile"), "COPY motd /etc/motd") == 109
    assert part(found, Owner("extra", "hooks"), "hooks") > 100
    shared = next(share for share in found.shares if share.owner == SHARED)
    assert {p.name: p.shared_with for p in shared.parts} == {"libssl": ("service redis", "image.packages")}
    users = {str(share.owner): share.service for share in found.shares}
    assert (users["artifact tool"], users["artifact api"], users["service redis"]) == ("tool", "api", "redis")


def test_what_nobody_asked_for_is_listed_file_by_file(tmp_path: Path) -> None:
    layers = usual()
    install = next(text for text in layers if "apk add" in text)
    layers[install] += [Item("/opt/stray", b"1" * 44), Item("/opt/larger", b"1" * 55)]
    layers["COPY something /else"] = [Item("/else", b"1" * 66)]
    found = report(tmp_path, layers)
    number = list(layers).index(install)
    assert [tuple(stray) for stray in found.nobody] == [
        ("/else", 66, len(layers) - 1),
        ("/opt/larger", 55, number),
        ("/opt/stray", 44, number),
    ]
    assert sizes(found)["nobody"] == 165
    assert found.shares[-1].owner == NOBODY
    assert found.uncompressed == total(layers)


@pytest.mark.parametrize("text", STEPS)
def test_a_file_more_moves_its_bytes_and_no_others(text: str, tmp_path: Path) -> None:
    before = report(tmp_path, usual())
    layers = usual()
    target = text.rpartition(" ")[2]
    name = {"/": "/usr/lib/libm.so", "small": ""}.get(target, f"{target.rstrip('/')}/more")
    name = "/usr/share/redis/more" if text.startswith("RUN") else name
    layers[text].append(Item(name, b"m" * 1234))
    after = report(tmp_path, layers)
    changes = {name: size - sizes(before).get(name, 0) for name, size in sizes(after).items()}
    assert sum(changes.values()) == 1234
    assert sorted(changes.values()) == [0] * (len(changes) - 1) + [1234]
    assert after.uncompressed == before.uncompressed + 1234


def test_a_package_more_moves_its_bytes_and_no_others(tmp_path: Path) -> None:
    before = report(tmp_path, usual())
    more = Package("libevent", {"/usr/lib/libevent.so": 4321}, provides="so:libevent.so=1")
    layers = usual()
    redis = ASKED[0]._replace(depends=f"{ASKED[0].depends} so:libevent.so")
    layers[next(text for text in layers if "apk add" in text)] = archives.packages(redis, *ASKED[1:], more, others=BASE)
    after = report(tmp_path, layers)
    changes = {name: size - sizes(before).get(name, 0) for name, size in sizes(after).items()}
    longer = len(redis.record) - len(ASKED[0].record)
    assert {name: size for name, size in changes.items() if size} == {
        "service redis": 4321 + len(more.record) + longer,
    }


def test_a_package_that_a_second_service_needs_is_shared_by_name(tmp_path: Path) -> None:
    layers = usual()
    redis = ASKED[0]._replace(depends="so:libidn.so")
    layers[next(text for text in layers if "apk add" in text)] = archives.packages(redis, *ASKED[1:], others=BASE)
    found = report(tmp_path, layers)
    shared = next(share for share in found.shares if share.owner == SHARED)
    assert {p.name: p.shared_with for p in shared.parts if p.name == "libidn"} == {
        "libidn": ("service redis", "image.packages")
    }


def test_symbolic_links_count_in_layers_where_the_engine_counts_them(tmp_path: Path) -> None:
    layers = usual()
    plain = [sum(len(i.content) for i in items) for items in layers.values()]
    packed = list(layers).index("COPY /packed/root/ /")
    link = len("/run/small/programs/tool")
    assert report(tmp_path, layers, attribute.Known(tuple(plain))).uncompressed == total(layers) - link
    plain[packed] += link
    assert report(tmp_path, layers, attribute.Known(tuple(plain))).uncompressed == total(layers)


def test_a_builder_with_other_words_for_its_layers_is_understood_by_their_number(tmp_path: Path) -> None:
    layers = usual()
    path = archives.save(
        tmp_path / "image.tar", list(layers.values()), [f"/bin/sh -c #(nop) {n}" for n in range(len(layers))]
    )
    image = archive.read_path(str(path), "", archive.Options({packages.LOOK: model.keep(packages.wanted)}))
    found = attribute.report(image, RESULT.app, {"production": DOCKERFILE}, attribute.Known(base=1), None)
    assert sizes(found) == sizes(report(tmp_path, layers))


# What `docker history --no-trunc` of Docker 26.1 with BuildKit 0.12 says of each; SHELL, ENV and ARG make no layer.
OWN_LINES = (
    ("RUN echo one   >/opt/1", "RUN /bin/sh -c echo one   >/opt/1 # buildkit"),
    ("ARG V=1\nENV W=2", ""),
    ('RUN echo "$V" >/opt/2', 'RUN |1 V=1 /bin/sh -c echo "$V" >/opt/2 # buildkit'),
    ("run --mount=type=cache,target=/x a && \\\n  # why\n  b", "RUN |1 V=1 /bin/sh -c a &&   b # buildkit"),
    ('SHELL ["/bin/ash", "-eo", "pipefail", "-c"]', ""),
    ("RUN echo | cat >/opt/3", "RUN |1 V=1 /bin/ash -eo pipefail -c echo | cat >/opt/3 # buildkit"),
    ('RUN ["/bin/sh", "-c", "echo \'a\'  >/opt/4"]', "RUN |1 V=1 /bin/sh -c echo 'a'  >/opt/4 # buildkit"),
    ("COPY motd /etc/motd-$V", "COPY motd /etc/motd-1 # buildkit"),
    ("COPY ['not JSON, /etc/", "COPY ['not JSON, /etc/ # buildkit"),
    ('COPY ["a b.txt","/opt/a b.txt"]', "COPY a b.txt /opt/a b.txt # buildkit"),
    ("COPY --chmod=0600 motd dir/x /opt/many/", "COPY --chmod=0600 motd dir/x /opt/many/ # buildkit"),
    ("ADD a.tar '/opt/$a'/\"b\"/\\$c-${NONE:-$V}", "ADD a.tar /opt/$a/b/$c-1 # buildkit"),
    ("WORKDIR /opt/work/$W/", "WORKDIR /opt/work/2"),
    ("WORKDIR relative", "WORKDIR /opt/work/2/relative"),
)


def with_lines(directory: Path, lines: Sequence[str], said: Sequence[str], shell: str = "/bin/sh -c") -> Report:
    """The report of an image whose spec has lines of its own, with a file of 7 bytes in each layer that they make."""
    extra = {"extra": {"Dockerfile": {"packages": "".join(f"{line}\n" for line in lines)}}}
    document = yaml.safe_dump(yaml.safe_load(SPEC) | extra).encode()
    result = pipeline.compile_document(load.parse(document, "appos.yaml"), ".")
    dockerfile = next(file.content for file in result.files if file.path == "Dockerfile")
    layers: list[list[Item]] = []
    history: list[str] = []
    before = "/bin/sh -c"
    for text, items in usual().items():
        if "htop" in text:
            layers += [[Item(f"/opt/{number}", b"7 bytes")] for number in range(len(said))]
            history += said
            before = f"|1 V=1 {shell}"
        elif "motd" not in text:
            layers.append(items)
            history.append(text.replace("RUN ", f"RUN {before} ") + " # buildkit")
    path = archives.save(directory / "image.tar", layers, history)
    image = archive.read_path(str(path), "", archive.Options({packages.LOOK: model.keep(packages.wanted)}))
    return attribute.report(image, result.app, {"production": dockerfile}, attribute.Known(), None)


@pytest.mark.parametrize(("line", "said"), [pair for pair in OWN_LINES if pair[1]])
def test_what_a_line_of_the_spec_makes_is_its_own(line: str, said: str, tmp_path: Path) -> None:
    before = [text for text, history in OWN_LINES if not history]
    shell = "/bin/ash -eo pipefail -c" if "/bin/ash" in said else "/bin/sh -c"
    lines = [text for text in before if not text.startswith("SHELL") or "/bin/ash" in said]
    without = {text: items for text, items in usual().items() if "htop" not in text and "motd" not in text}
    own = with_lines(tmp_path, [*lines, "WORKDIR /opt/work/2", line], ["WORKDIR /opt/work/2", said], shell)
    assert own.nobody == ()
    assert sizes(own)["extra Dockerfile"] == 14
    assert sizes(own) == {**sizes(report(tmp_path, without)), "extra Dockerfile": 14}


def test_lines_of_the_spec_are_told_from_each_other(tmp_path: Path) -> None:
    said = [text for _, text in OWN_LINES if text]
    found = with_lines(tmp_path, [line for line, _ in OWN_LINES], said, "/bin/ash -eo pipefail -c")
    assert found.nobody == ()
    share = next(share for share in found.shares if share.owner == Owner("extra", "Dockerfile"))
    assert [part.uncompressed for part in share.parts] == [7] * len(said)


def test_a_layer_between_two_that_are_known_is_made_by_the_step_between_those(tmp_path: Path) -> None:
    lines = ["RUN echo a", "RUN echo b", "RUN echo c"]
    said = ["RUN /bin/sh -c echo a", "something that nobody understands", "RUN /bin/sh -c echo c"]
    assert with_lines(tmp_path, lines, said).nobody == ()
    assert [stray.size for stray in with_lines(tmp_path, lines, [*said[:2], *said[1:]]).nobody] == [7, 7]


def test_what_packages_make_when_they_are_installed_is_theirs(tmp_path: Path) -> None:
    cron = Package("cron", {"/etc/init.d/crond": 10})
    layers = usual()
    install = next(text for text in layers if "apk add" in text)
    ssl = Package("ca-certificates", {"/usr/share/ca-certificates/a.crt": 40})
    curl = ASKED[1]._replace(depends="so:libssl.so so:libidn.so ca-certificates cron")
    layers[install] = [
        *archives.packages(ASKED[0], curl, *ASKED[2:], ssl, cron, others=BASE),
        Item("/etc/ssl/certs/ca-certificates.crt", b"bundle"),
        Item("/etc/runlevels/default/crond", kind=tarfile.SYMTYPE, target="/etc/init.d/crond"),
        Item("/usr/lib/python3/__pycache__/s.cpython-311.pyc", b"code"),
        Item("/lib/apk/db/triggers", b"hash trigger"),
    ]
    found = report(tmp_path, layers)
    assert found.nobody == ()
    grown = len("bundle")
    assert part(found, IMAGE_PACKAGES, "ca-certificates") == 40 + grown + len(ssl.record)
    assert part(found, IMAGE_PACKAGES, "cron") == 10 + len("/etc/init.d/crond") + len(cron.record)
    assert part(found, COMPILER, "supervisor") == 90 + 4 + 2 * len(ASKED[5].record)


def test_what_the_trigger_of_a_package_writes_anew_is_that_packages(tmp_path: Path) -> None:
    bundle = Package("ca-certificates-bundle", {"/etc/ssl/certs/ca-certificates.crt": 5000})
    certificates = Package("ca-certificates", {"/usr/share/ca-certificates/a.crt": 40})
    redis, curl, *rest = ASKED
    curl = curl._replace(depends=f"{curl.depends} ca-certificates-bundle")
    layers = usual()
    layers[""] = archives.packages(*BASE, bundle)
    install = next(text for text in layers if "apk add" in text)
    layers[install] = archives.packages(redis, curl, *rest, others=(*BASE, bundle))
    before = sizes(report(tmp_path, layers))
    more = redis._replace(depends=f"{redis.depends} ca-certificates")
    layers[install] = [
        *archives.packages(more, curl, *rest, certificates, others=(*BASE, bundle)),
        Item("/etc/ssl/certs/ca-certificates.crt", b"c" * 6000),
    ]
    records = len(more.record) - len(redis.record) + len(certificates.record)
    grown = before["service redis"] + 6000 + 40 + records
    assert sizes(report(tmp_path, layers)) == {**before, "service redis": grown}


DEBIAN = """
version: 1
name: small
image: {base: 'debian:bookworm-slim', packages: [PACKAGES]}
services: {a: {command: [/bin/a]}}
"""


def debian(installed: Mapping[str, Sequence[str]], made: Mapping[str, bytes], **scripts: str) -> small_images.Layer:
    """A layer in which packages of Debian's were installed, and what they made; a directory's path ends in a slash."""
    info = "/var/lib/dpkg/info"
    status = "".join(f"Package: {name}\nStatus: install ok installed\nVersion: 1\n\n" for name in installed)
    paths = {path for those in installed.values() for path in those}
    files: dict[str, bytes | small_images.File] = {
        **{
            f"{info}/{name}.list": "".join(f"{p.rstrip('/')}\n" for p in those).encode()
            for name, those in installed.items()
        },
        **{f"{info}/{name.replace('_', '-')}.postinst": text.encode() for name, text in scripts.items()},
        **{path: b"file" for path in paths if not path.endswith("/")},
        **made,
        "/var/lib/dpkg/status": status.encode(),
    }
    return [
        *small_images.layer(files),
        *(Item(path, kind=tarfile.DIRTYPE) for path in paths if path.endswith("/")),
    ]


def parts(directory: Path, wanted: str, *layers: small_images.Layer) -> dict[tuple[str, str], int]:
    """The bytes of each part of each share, of an image of Debian's with these packages in its spec."""
    base = debian({"base-files": []}, {"/var/lib/dpkg/triggers/File": b"/usr/lib base-files\n"})
    found = small_images.report(directory, DEBIAN.replace("PACKAGES", wanted), [base, *layers])
    return {(str(share.owner), part.name): part.uncompressed for share in found.shares for part in share.parts}


LISTS = {
    "/var/cache/debconf/config.dat": (
        b"Name: base-files/a\nTemplate: base-files/a\nOwners: base-files, MORE:amd64\n\n",
        b"Name: MORE/a\nTemplate: shared/a\nValue: a\nOwners: MORE:amd64\nFlags: seen\n\n",
    ),
    "/var/cache/debconf/passwords.dat": (b"", b"Name: MORE/password\nTemplate: MORE/password\nOwners: MORE\n\n"),
    "/var/cache/debconf/templates.dat": (
        b"Name: base-files/a\nDescription: Is it?\nOwners: base-files/a\n\n",
        b"Name: shared/text\nDescription: Is it?\\n\\nIt is.\nOwners: MORE/a\nType: note\n\n",
    ),
    "/var/lib/apt/extended_states": (
        b"Package: base-files\nArchitecture: amd64\nAuto-Installed: 1\n\n",
        b"Package: MORE\nArchitecture: amd64\nAuto-Installed: 1\n\n",
    ),
    "/var/lib/dpkg/triggers/File": (b"/usr/lib base-files\n", b"/usr/share/a b MORE/noawait\n"),
    "/var/lib/dpkg/triggers/update-a": (b"", b"MORE\n"),
}


def test_records_in_the_lists_of_the_package_manager_are_their_packages(tmp_path: Path) -> None:
    def lists(*names: bytes) -> dict[str, bytes]:
        return {
            path: own + b"".join(more.replace(b"MORE", name) for name in names) for path, (own, more) in LISTS.items()
        }

    before = parts(tmp_path, "one, two", debian({"base-files": [], "one": []}, lists(b"one")))
    after = parts(tmp_path, "one, two", debian({"base-files": [], "one": [], "two": []}, lists(b"one", b"two")))
    full = [contents.LARGEST_TEXT] * (contents.ROOM // contents.LARGEST_TEXT) + [1000] * 70 + [20] * 50
    scripts = {f"/etc/{number}": b"#" * size for number, size in enumerate(full)}
    crowded = parts(
        tmp_path, "one, two", small_images.layer(scripts), debian({"base-files": [], "one": []}, lists(b"one"))
    )
    assert {key: size for key, size in crowded.items() if key[0] != "nobody"} == before
    records = sum(len(more.replace(b"MORE", b"two")) for _, more in LISTS.values())
    status = len("Package: two\nStatus: install ok installed\nVersion: 1\n\n")
    assert after == {**before, ("image.packages", "two"): records + status}


def test_what_a_line_of_the_spec_installed_stays_its_own_on_lists_that_later_steps_write(tmp_path: Path) -> None:
    layers = usual()
    before = report(tmp_path, layers)
    later = [text for text in STEPS if text.startswith("RUN")][-1]
    assert "htop" not in later
    layers[later] += archives.packages(others=(*BASE, *ASKED, HTOP))
    after = report(tmp_path, layers)
    assert after.nobody == ()
    name = "extra Dockerfile"
    assert sizes(after)[name] == sizes(before)[name] + len(HTOP.record)


@pytest.mark.parametrize("flavour", ["production", "local"])
def test_the_flavour_is_that_whose_instructions_the_history_has(flavour: str, tmp_path: Path) -> None:
    files = {file.path: file.content for file in RESULT.files}
    texts = {"production": files["Dockerfile"], "local": files["Dockerfile"].replace("COPY motd", "COPY another")}
    said = ["", *(step.text for step in steps(RESULT.app, texts[flavour]))]
    path = archives.save(tmp_path / "image.tar", list(usual().values()), said)
    image = archive.read_path(str(path), "", archive.Options({packages.LOOK: model.keep(packages.wanted)}))
    assert attribute.report(image, RESULT.app, texts, attribute.Known(base=1), None).flavour == flavour


MADE_BY_PACKAGES: tuple[tuple[str, dict[str, list[str]]], ...] = (
    (
        "/var/cache/cracklib/cracklib_dict.pwd",
        {"one": ["/var/", "/var/cache/", "/var/cache/cracklib/"], "two": ["/var/", "/var/cache/", "/var/cache/two"]},
    ),
    ("/etc/ssh/key.pub", {"one": ["/etc/ssh/key"]}),
    ("/etc/ssh/key.old", {"one": ["/etc/ssh/key"]}),
    ("/etc/ssh/key.dpkg-old", {"one": ["/etc/ssh/key"]}),
    ("/etc/pam.d/common-auth", {"libpam-runtime": ["/etc/pam.d/"], "two": ["/etc/pam.d/"]}),
    ("/etc/default/exim4", {"exim4-base": ["/etc/default/"], "two": ["/etc/default/"]}),
    ("/var/lib/aspell/de.remove", {"aspell-de": ["/var/lib/aspell/"], "dictionaries-common": ["/var/lib/aspell/"]}),
    ("/var/cache/dictionaries-common/emacsen.el", {"dictionaries-common": []}),
    ("/usr/lib/ispell/american.hash", {"dictionaries-common": [], "ispell": ["/usr/lib/ispell/"]}),
    ("/etc/ufw/before6.rules", {"ufw": ["/etc/ufw/"], "two": ["/etc/ufw/"]}),
    ("/usr/share/applications/mimeinfo.cache", {"desktop-file-utils": []}),
    ("/etc/aliases", {"postfix": []}),
    ("/etc/xml/docbook-xml.xml", {"docbook-xml": ["/etc/xml/"], "xml-core": ["/etc/xml/"]}),
    ("/etc/xml/catalog.old", {"xml-core": ["/etc/xml/"], "docbook-xml": ["/etc/xml/"]}),
    ("/etc/sgml/docbook.cat", {"docbook": ["/etc/sgml/"], "sgml-base": ["/etc/sgml/"]}),
    ("/var/lib/sgml-base/supercatalog", {"sgml-base": []}),
)


@pytest.mark.parametrize(("path", "installed"), MADE_BY_PACKAGES)
def test_what_a_package_of_debians_makes_is_its_own(path: str, installed: dict[str, list[str]], tmp_path: Path) -> None:
    wanted = ", ".join(installed)
    before = parts(tmp_path, wanted, debian(installed, {}))
    after = parts(tmp_path, wanted, debian(installed, {path: b"made"}))
    owner = ("image.packages", next(iter(installed)))
    assert after == {**before, owner: before[owner] + 4}


def test_a_name_of_nothing_but_signs_of_copies_is_no_trouble(tmp_path: Path) -> None:
    name = f"/opt/{'~' * 4000}"
    assert parts(tmp_path, "one", debian({"one": []}, {name: b"1"}))["nobody", name] == 1


def test_what_update_alternatives_knows_of_a_link_is_of_what_it_leads_to(tmp_path: Path) -> None:
    installed = {"one": ["/usr/bin/one"]}
    link = Item("/etc/alternatives/tool", kind=tarfile.SYMTYPE, target="/usr/bin/one")
    before = parts(tmp_path, "one", [*debian(installed, {}), link])
    after = parts(tmp_path, "one", [*debian(installed, {"/var/lib/dpkg/alternatives/tool": b"manual"}), link])
    owner = ("image.packages", "one")
    assert after == {**before, owner: before[owner] + 6}


NAMES = st.sampled_from(
    ["a", "b", "c/d", "c/e", "etc/passwd", "usr/local/bin/api", "usr/lib/libssl.so", "lib/apk/db/installed"]
)


@st.composite
def entries(draw: st.DrawFn) -> Item:
    """An entry of any kind, anywhere."""
    name, kind = draw(NAMES), draw(st.sampled_from("fhsdwo"))
    directory, _, last = name.rpartition("/")
    if kind == "f":
        return Item(f"/{name}", draw(st.binary(max_size=3000)))
    if kind == "h":
        return Item(f"/{name}", kind=tarfile.LNKTYPE, target=draw(NAMES))
    if kind == "s":
        return Item(f"/{name}", kind=tarfile.SYMTYPE, target=draw(NAMES))
    if kind == "d":
        return Item(f"/{name}", kind=tarfile.DIRTYPE)
    return Item(f"/{directory}/.wh.{last}" if kind == "w" else f"/{directory}/.wh..wh..opq")


def _place(item: Item) -> str:
    """What an entry is about: a file and its removal in one layer would contradict each other."""
    return item.path.lstrip("/").replace(".wh.", "", 1)


@settings(max_examples=40, deadline=None)
@given(random=st.lists(st.lists(entries(), max_size=8, unique_by=_place), min_size=1, max_size=6))
def test_attribution_adds_up_to_any_image(
    random: Sequence[list[Item]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    layers = usual()
    for number, items in enumerate(random):
        layers[["RUN something", STEPS[number], f"COPY {number} /", ""][number % 4]] = items
    found = report(tmp_path_factory.mktemp("image"), layers, compress=True)
    assert sum(share.uncompressed for share in found.shares) == found.uncompressed == total(layers)
    assert sum(p.uncompressed for share in found.shares for p in share.parts) == found.uncompressed
    assert sum(p.compressed for share in found.shares for p in share.parts) == found.compressed
    assert sum(stray.size for stray in found.nobody) == sizes(found).get("nobody", 0)


def test_dependencies_are_followed_through_alternatives_and_circles() -> None:
    text = """Package: a
Status: install ok installed
Version: 1
Architecture: amd64
Depends: missing | c (>= 1), virtual:any

Package: c
Status: install ok installed
Version: 1
Pre-Depends: a

Package: d
Status: install ok installed
Version: 1
Provides: virtual (= 2)

Package: gone
Status: deinstall ok config-files
Version: 1
"""
    found = tuple(packages.dpkg(text, {"a": ["/.", "/usr", "/usr/a"]}))
    assert [package.name for package in found] == ["a", "c", "d"]
    assert found[0].files == ("/usr/a",)
    owner = Owner("service", "x")
    assert demand.demand({owner: ("a",)}, found) == {"a": (owner,), "c": (owner,), "d": (owner,)}
    assert demand.demand({owner: ("d",)}, found) == {"a": (), "c": (), "d": (owner,)}
