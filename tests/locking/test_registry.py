"""Debian's docker-registry on loopback: plain, with a password, with a token, with TLS, and as a mirror."""

from __future__ import annotations

import base64
import json
import os
import ssl
import stat
from typing import TYPE_CHECKING

import pytest

from compiler.errors import HostError
from compiler.locking import registry, settings
from compiler.locking.reference import parse
from tests.locking import images, servers
from tests.locking.servers import BASIC, PASSWORD, USER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from compiler.locking.registry import Found


def found(name: str, platform: str = "linux/amd64") -> Found:
    return registry.image(parse(name), platform, os.environ)


def logged_in(home: Path, host: str, password: str = PASSWORD) -> None:
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    (home / ".docker").mkdir(exist_ok=True)
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}), "utf-8")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("guarded")
    with servers.registry(directory, **servers.passwords(directory)) as host:
        images.push(f"http://{host}", "private/tool:1", images.made(), BASIC)
        yield host


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory, authority: servers.Authority) -> Iterator[str]:
    with servers.registry(tmp_path_factory.mktemp("encrypted"), tls=authority) as host:
        context = ssl.create_default_context(cafile=str(authority.ca))
        images.push(f"https://{host}", "tool:1", images.made(), context=context)
        yield host


def test_the_digest_is_that_of_what_was_pushed(plain: str) -> None:
    image = images.made({"GOLANG_VERSION": "1.22.5", "PATH": "/bin"})
    images.push(f"http://{plain}", "library/golang:1.22", image)
    told = found(f"{plain}/library/golang:1.22")
    assert told.image == (image.digest, "1.22.5")
    assert (told.host, told.notes) == (plain, ())


def test_of_several_architectures_the_index_is_pinned(plain: str) -> None:
    image = images.made({"NODE_VERSION": "20.1.0"}, architectures=("arm64", "amd64"))
    images.push(f"http://{plain}", "node:20", image)
    assert found(f"{plain}/node:20").image == (image.digest, "20.1.0")
    assert found(f"{plain}/node:20", "linux/arm64").image == (image.digest, "20.1.0-arm64")
    assert found(f"{plain}/node:20", "linux/riscv64").image.digest == image.digest


def test_a_label_tells_the_version_too(plain: str) -> None:
    image = images.made(labels={"org.opencontainers.image.version": "3.19.1"})
    images.push(f"http://{plain}", "alpine:3.19", image)
    assert found(f"{plain}/alpine:3.19").image == (image.digest, "3.19.1")


def test_the_tags_are_listed_page_by_page(plain: str) -> None:
    for number in range(3):
        images.push(f"http://{plain}", f"many:1.0.{number}", images.made())
    assert sorted(registry.tags(parse(f"{plain}/many:1.0.0"), os.environ)) == ["1.0.0", "1.0.1", "1.0.2"]


@pytest.mark.parametrize("name", ["nothing:1", "many:none", "deep/er/name:1"])
def test_what_is_not_there_is_said(plain: str, name: str) -> None:
    with pytest.raises(HostError, match=f"{plain} has no {name}$"):
        found(f"{plain}/{name}")


def test_a_login_is_taken_from_where_docker_login_left_it(guarded: str, home: Path) -> None:
    with pytest.raises(HostError, match="does not let us have private/tool:1") as caught:
        found(f"{guarded}/private/tool:1")
    assert f"docker login {guarded}" in caught.value.hint
    logged_in(home, guarded)
    assert found(f"{guarded}/private/tool:1").image.digest == images.made().digest


@pytest.mark.parametrize(
    "key",
    ["http://HOST", "https://HOST/", "https://HOST/v2/", "HOST/private", "HOST/private/tool", "https://HOST/v1/"],
)
def test_a_login_is_found_as_docker_and_podman_call_it(guarded: str, home: Path, key: str) -> None:
    logged_in(home, key.replace("HOST", guarded))
    assert found(f"{guarded}/private/tool:1").image.digest == images.made().digest


@pytest.mark.parametrize("key", ["HOST/priv", "HOST/private/tool/more", "https://HOST.example/", "HOSTNAME"])
def test_a_login_for_something_else_is_not_given(guarded: str, home: Path, key: str) -> None:
    logged_in(home, key.replace("HOST", guarded))
    with pytest.raises(HostError, match="does not let us have private/tool:1"):
        found(f"{guarded}/private/tool:1")


def test_the_login_for_the_smallest_part_of_a_registry_counts(guarded: str, home: Path) -> None:
    right = {"auth": BASIC.removeprefix("Basic ")}
    wrong = {"auth": base64.b64encode(b"tester:wrong").decode()}
    (home / ".docker").mkdir()
    auths = {guarded: wrong, f"{guarded}/private": wrong, f"{guarded}/private/tool": right}
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": auths}), "utf-8")
    assert found(f"{guarded}/private/tool:1").image.digest == images.made().digest


def test_a_login_may_be_written_in_plain_words(guarded: str, home: Path) -> None:
    (home / ".docker").mkdir()
    auths = {f"https://{guarded}": {}, guarded: {"auth": "", "username": USER, "password": PASSWORD}}
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": auths}), "utf-8")
    assert found(f"{guarded}/private/tool:1").image.digest == images.made().digest


def test_a_wrong_password_is_refused_and_not_printed(guarded: str, home: Path) -> None:
    logged_in(home, guarded, "hunter2")
    with pytest.raises(HostError) as caught:
        found(f"{guarded}/private/tool:1")
    assert "does not let us have" in caught.value.message
    assert "hunter2" not in caught.value.message + caught.value.hint + str(caught.value)


def test_another_configuration_and_podmans_file(
    guarded: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged_in(home, guarded)
    for name, place in (("DOCKER_CONFIG", tmp_path / "docker"), ("XDG_RUNTIME_DIR", tmp_path / "run")):
        file = place / "config.json" if name == "DOCKER_CONFIG" else place / "containers" / "auth.json"
        file.parent.mkdir(parents=True)
        file.write_text((home / ".docker" / "config.json").read_text("utf-8"), "utf-8")
    (home / ".docker" / "config.json").unlink()
    with pytest.raises(HostError):
        found(f"{guarded}/private/tool:1")
    for name, value in (("DOCKER_CONFIG", tmp_path / "docker"), ("XDG_RUNTIME_DIR", tmp_path / "run")):
        with monkeypatch.context() as patch:
            patch.setenv(name, str(value))
            assert found(f"{guarded}/private/tool:1").image.digest == images.made().digest


@pytest.mark.parametrize("key", ["credsStore", "credHelpers"])
def test_a_credential_helper_is_asked(
    guarded: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    helper = tmp_path / "docker-credential-lab"
    answer = json.dumps({"ServerURL": guarded, "Username": USER, "Secret": PASSWORD})
    helper.write_text(f"#!/bin/sh\nread -r server\n[ \"$server\" = {guarded} ] || exit 1\necho '{answer}'\n", "utf-8")
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    (home / ".docker").mkdir()
    value = "lab" if key == "credsStore" else {guarded: "lab"}
    (home / ".docker" / "config.json").write_text(json.dumps({key: value}), "utf-8")
    with pytest.raises(HostError, match="docker-credential-lab is not installed"):
        found(f"{guarded}/private/tool:1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert found(f"{guarded}/private/tool:1").image.digest == images.made().digest
    helper.write_text(f"#!/bin/sh\necho '{answer}'; echo {PASSWORD} >&2; exit 1\n", "utf-8")
    with pytest.raises(HostError, match="failed with status 1") as caught:
        found(f"{guarded}/private/tool:1")
    assert PASSWORD not in str(caught.value) + caught.value.hint


def test_a_token_is_fetched_where_the_registry_says(tmp_path: Path, home: Path, authority: servers.Authority) -> None:
    with servers.stub(servers.tokens(authority, "lock")) as realm:
        auth = {
            "token": {
                "realm": f"http://{realm.host}/token?account=lock",
                "service": "lock",
                "issuer": servers.TOKEN_ISSUER,
                "rootcertbundle": str(authority.certificate),
            }
        }
        with servers.registry(tmp_path / "registry", auth=auth) as host:
            with pytest.raises(HostError, match="does not let us have team/tool:1"):
                found(f"{host}/team/tool:1")
            logged_in(home, host)
            # The token lets us in, but there is nothing yet: that is another answer than being refused.
            with pytest.raises(HostError, match="has no team/tool:1"):
                found(f"{host}/team/tool:1")
        assert {asked.path for asked in realm.asked} == {
            "/token?account=lock&service=lock&scope=repository%3Ateam%2Ftool%3Apull"
        }


def test_a_certificate_that_nobody_knows_is_refused(encrypted: str) -> None:
    with pytest.raises(HostError, match=f"the certificate of {encrypted} is not trusted") as caught:
        found(f"{encrypted}/tool:1")
    assert f"certs.d/{encrypted}/ca.crt" in caught.value.hint


def test_an_authority_beside_the_engines_own(encrypted: str, authority: servers.Authority, home: Path) -> None:
    place = home / ".docker" / "certs.d" / encrypted
    place.mkdir(parents=True)
    (place / "ca.crt").write_bytes(authority.ca.read_bytes())
    assert found(f"{encrypted}/tool:1").image.digest == images.made().digest


def test_an_authority_in_the_environment(
    encrypted: str, authority: servers.Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
    assert found(f"{encrypted}/tool:1").image.digest == images.made().digest
    # The certificate is for 127.0.0.1 and localhost, and for no other name of this machine.
    other = encrypted.replace("127.0.0.1", "127.0.0.2")
    with pytest.raises(HostError):
        found(f"{other}/tool:1")


def test_a_mirror_is_asked_first(plain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = images.made(content="mirrored")
    images.push(f"http://{plain}", "library/mirrored:1", image)
    with servers.registry(tmp_path, proxy={"remoteurl": f"http://{plain}"}) as mirror:
        monkeypatch.setenv(settings.MIRRORS, f"ghcr.io=nowhere.invalid docker.io={mirror}")
        told = found("mirrored:1")
    assert (told.image.digest, told.host, told.notes) == (image.digest, mirror, ())


def test_where_the_mirror_is_of_no_use_the_registry_is_asked(plain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = images.made(content="origin")
    images.push(f"http://{plain}", "origin:1", image)
    monkeypatch.setenv(settings.MIRRORS, f"{plain}=127.0.0.1:{servers.free_port()}")
    told = found(f"{plain}/origin:1")
    assert (told.image.digest, told.host) == (image.digest, plain)
    assert "nothing listens at" in told.notes[0]


@pytest.mark.parametrize(
    "value",
    [
        *("docker.io", "=x", "docker.io=", "docker.io=ftp://x", "docker.io=http://a@b", "docker.io=b/c"),
        *("docker.io=[::1", "docker.io=b:c", "docker.io=b:99999", "docker.io=b:0"),
    ],
)
def test_a_mirror_that_is_none(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.MIRRORS, value)
    with pytest.raises(HostError, match=settings.MIRRORS):
        found("alpine:3.19")
