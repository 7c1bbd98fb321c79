"""What names mean, and what package managers, configurations and lists of tags say."""

from __future__ import annotations

import pytest

from compiler.locking import reference, stock, versions
from compiler.locking.reference import is_loopback

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("alpine", ("docker.io", "library/alpine", "latest", "")),
        ("alpine:3.22", ("docker.io", "library/alpine", "3.22", "")),
        (f"alpine:3.22@{DIGEST}", ("docker.io", "library/alpine", "3.22", DIGEST)),
        ("grafana/grafana:11", ("docker.io", "grafana/grafana", "11", "")),
        ("docker.io/library/alpine:1", ("docker.io", "library/alpine", "1", "")),
        ("index.docker.io/alpine:1", ("docker.io", "library/alpine", "1", "")),
        ("ghcr.io/a/b/c:1", ("ghcr.io", "a/b/c", "1", "")),
        ("localhost/a", ("localhost", "a", "latest", "")),
        ("localhost:5000/a:1", ("localhost:5000", "a", "1", "")),
        ("127.0.0.1:5000/a", ("127.0.0.1:5000", "a", "latest", "")),
        ("registry:5000/a", ("registry:5000", "a", "latest", "")),
        ("team/a", ("docker.io", "team/a", "latest", "")),
    ],
)
def test_a_name_means_what_engines_take_it_for(name: str, parts: tuple[str, ...]) -> None:
    assert reference.parse(name) == parts


def test_what_is_this_machine() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.9.9.9:5000", "localhost:1", "[::1]:5000")] == [True] * 4
    others = ("10.0.0.1", "localhost.example", "127.0.0.1.example:5000", "128.0.0.1", "registry", "[fe80::1]:5000")
    assert [is_loopback(host) for host in others] == [False] * 6


def test_what_apk_would_install() -> None:
    older = """(1/3) Installing pcre (8.45-r3)
(2/3) Installing nginx (1.24.0-r15)
(3/3) Upgrading ca-certificates-bundle (20230506-r0 -> 20240226-r0)
OK: 10 MiB in 18 packages
ca-certificates-bundle-20230506-r0 x86_64 {ca-certificates} (MPL-2.0 AND MIT) [installed]
musl-1.2.4_git20230717-r4 x86_64 {musl} (MIT) [installed]
py3-foo-1.0-r1 x86_64 {py3-foo} (MIT) [installed]
"""
    names = ["nginx", "ca-certificates-bundle", "musl", "py3-foo", "nginx-mod", "none"]
    assert stock.read(older, names, "alpine") == {
        "nginx": "1.24.0-r15",
        "ca-certificates-bundle": "20240226-r0",
        "musl": "1.2.4_git20230717-r4",
        "py3-foo": "1.0-r1",
    }
    newer = "( 1/20) Installing curl (8.22.0-r0)\n(10/20) Installing nginx (1.28.0-r3)\n"
    assert stock.read(newer, ["nginx", "curl"], "alpine") == {"nginx": "1.28.0-r3", "curl": "8.22.0-r0"}


def test_what_apt_would_install() -> None:
    said = """Reading package lists...
Inst libcurl4 (7.88.1-10+deb12u15 Debian:12.15/oldstable [amd64])
Inst tzdata [2024a-0+deb12u1] (2025b-0+deb12u2 Debian:12.15/oldstable [all]) []
Inst libc6:i386 (2.36-9 Debian:12/stable [i386])
Inst libcap2-bin (1:2.66-4+deb12u3+b1 Debian:12.15/oldstable [amd64])
Conf libcurl4 (7.88.1-10+deb12u15 Debian:12.15/oldstable [amd64])
Have tzdata (2024a-0+deb12u1)
Have base-files (12.4+deb12u15)
"""
    assert stock.read(said, ["tzdata", "libcap2-bin", "base-files", "libcurl4", "none"], "debian") == {
        "tzdata": "2025b-0+deb12u2",
        "libcap2-bin": "1:2.66-4+deb12u3+b1",
        "base-files": "12.4+deb12u15",
        "libcurl4": "7.88.1-10+deb12u15",
    }


@pytest.mark.parametrize(
    ("repository", "config", "version"),
    [
        ("library/golang", {"config": {"Env": ["PATH=/x", "GOLANG_VERSION=1.26.3"]}}, "1.26.3"),
        ("team/my-tool", {"Config": {"Env": ["MY_TOOL_VERSION=v2"]}}, "v2"),
        ("library/node", {"config": {"Env": ["YARN_VERSION=1"], "Labels": None}}, ""),
        ("a", {"config": {"Env": None, "Labels": {"org.opencontainers.image.version": "7"}}}, "7"),
        ("a", {"config": {"Env": ["A_VERSION=1; rm"], "Labels": {"org.opencontainers.image.version": "8"}}}, "8"),
        ("a", {"config": {"Env": [1, None], "Labels": {"org.opencontainers.image.version": 8}}}, "8"),
        ("a", {"config": []}, ""),
        ("a", {}, ""),
    ],
)
def test_the_version_that_an_image_says_it_has(repository: str, config: dict[str, object], version: str) -> None:
    assert versions.of(repository, config) == version


@pytest.mark.parametrize(
    ("tag", "tags", "newest"),
    [
        ("3.19.1", ["3.19.0", "3.19.4", "3.19.10", "3.20.11", "3.19", "latest"], "3.19.10"),
        ("1.26.1-alpine", ["1.26.2", "1.26.3-alpine3.22", "1.26.2-alpine"], "1.26.2-alpine"),
        ("v1.2.3", ["1.2.9", "v1.2.4"], "v1.2.4"),
        ("3.19.4", ["3.19.4", "3.19.1"], None),
        ("3.19", ["3.19.1", "3.20"], None),
        ("latest", ["1.2.3"], None),
    ],
)
def test_the_newest_patch_is_one_of_the_same_kind(tag: str, tags: list[str], newest: str | None) -> None:
    assert versions.newest_patch(tag, tags) == newest
