"""Registries that are slow, refuse, lie, lead elsewhere, break off or are not there: never believed or waited for."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.errors import HostError
from compiler.locking import asking, registry, settings, transport
from compiler.locking.reference import parse
from tests.locking import images, servers
from tests.locking.servers import Asked, Reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOOD = images.made({"TOOL_VERSION": "1.2.3"})


def served(asked: Asked) -> Reply:
    """What a registry that works answers."""
    name = asked.path.rpartition("/")[2]
    if "/manifests/" in asked.path:
        return Reply(200, GOOD.body, {"Content-Type": GOOD.kind, "Docker-Content-Digest": GOOD.digest})
    blob = next((blob for blob in GOOD.blobs if images.digest(blob) == name), None)
    return Reply(200, blob) if blob else Reply(404, b"{}")


def found(host: str) -> registry.Found:
    return registry.image(parse(f"{host}/tool:1"), "linux/amd64", os.environ)


def refused(answer: Callable[[Asked], Reply]) -> str:
    """What is said of a registry that answers so, without its address."""
    with servers.stub(answer) as server, pytest.raises(HostError) as caught:
        found(server.host)
    assert caught.value.hint
    return caught.value.message.replace(server.host, "HOST")


def manifests(**changed: Any) -> Callable[[Asked], Reply]:
    """A registry that works but for the answer with the manifest."""
    return lambda asked: served(asked)._replace(**changed) if "/manifests/" in asked.path else served(asked)


def test_the_stub_itself_is_a_registry() -> None:
    with servers.stub(served) as server:
        assert found(server.host).image == (GOOD.digest, "1.2.3")


def test_a_digest_that_is_a_lie() -> None:
    lie = "sha256:" + "0" * 64
    message = refused(manifests(headers={"Docker-Content-Digest": lie}))
    assert message == f"HOST does not send what it says it sends: tool:1 has the digest {GOOD.digest}, not {lie}"


def test_a_configuration_that_is_another() -> None:
    message = refused(lambda asked: served(asked) if "/manifests/" in asked.path else Reply(200, b'{"config": {}}'))
    assert message.startswith("HOST does not send what it says it sends")


@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_configuration_that_is_not_to_be_had_leaves_the_digest(status: int) -> None:
    def answer(asked: Asked) -> Reply:
        return served(asked) if "/manifests/" in asked.path else Reply(status, headers={"Retry-After": "0"})

    with servers.stub(answer) as server:
        told = found(server.host)
    assert told.image == (GOOD.digest, "")
    assert [note.startswith("its version cannot be read: ") for note in told.notes] == [True]


@pytest.mark.parametrize(
    "listed",
    [
        [],
        [1, None, {"digest": 5}],
        [{"digest": GOOD.digest, "platform": {"os": "unknown", "architecture": "unknown"}}],
    ],
)
def test_an_index_without_an_image(listed: list[object]) -> None:
    message = refused(manifests(body=json.dumps({"manifests": listed}).encode(), headers={}))
    assert message == "HOST has an index without any image under tool:1"


def test_an_index_of_indexes() -> None:
    inner = images.made(architectures=("amd64",))
    outer = json.dumps({"mediaType": images.INDEX, "manifests": [{"digest": inner.digest}]}).encode()

    def answer(asked: Asked) -> Reply:
        return Reply(200, outer if asked.path.endswith("/1") else inner.body)

    assert refused(answer) == "HOST has no image under tool:1, but something else"


def test_a_manifest_that_is_another_than_its_index_names() -> None:
    image = images.made(architectures=("amd64",))

    def answer(asked: Asked) -> Reply:
        body = image.body if asked.path.endswith("/1") else GOOD.body
        return Reply(200, body, {"Docker-Content-Digest": images.digest(body)})

    assert "not " + images.digest(image.manifests[0]) in refused(answer)


def test_an_answer_that_breaks_off() -> None:
    assert refused(manifests(cut=7)) == "HOST broke off in the middle of its answer"


def test_an_answer_without_end() -> None:
    huge = b" " * (transport.LIMIT + 1)
    assert refused(manifests(body=huge, headers={})) == "HOST answers with more than 4 MiB"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"[" * 100_000, b"\xff\xfe", b'{"config": 1}', b"{}"])
def test_an_answer_that_is_no_manifest(body: bytes) -> None:
    message = refused(manifests(body=body, headers={}))
    expected = "no image under" if body.startswith(b"{") else "something that is no JSON object"
    assert expected in message


def test_a_server_error_is_asked_again_and_then_told() -> None:
    with servers.stub(lambda _: Reply(503, headers={"Retry-After": "0"})) as server:
        with pytest.raises(HostError, match="answers with status 503"):
            found(server.host)
        assert len(server.asked) == transport.TRIES + 1  # the first asked how the server speaks


def test_a_server_that_recovers() -> None:
    states = iter([500, 429, 200])

    def answer(asked: Asked) -> Reply:
        status = next(states, 200)
        return served(asked) if status == 200 else Reply(status, headers={"Retry-After": "0"})

    with servers.stub(answer) as server:
        assert found(server.host).image.digest == GOOD.digest


def test_nobody_waits_for_an_hour() -> None:
    start = time.monotonic()
    assert refused(lambda _: Reply(429, headers={"Retry-After": "3600"})) == "HOST asks to wait for 3600 seconds"
    assert time.monotonic() - start < 5


def test_a_rate_limit_that_stays() -> None:
    assert refused(lambda _: Reply(429, headers={"Retry-After": "0"})) == "HOST has been asked too often"


def test_a_slow_server_is_told_not_waited_for() -> None:
    with servers.stub(manifests(pause=0.2)) as server:
        start = time.monotonic()
        answers = asking.at_once(["tool"], lambda _: found(server.host), 1)
        assert time.monotonic() - start < 3
    error = answers["tool"]
    assert isinstance(error, HostError)
    assert error.message == "there was no answer within 1 seconds"


def test_the_others_are_answered_all_the_same() -> None:
    with servers.stub(manifests(pause=0.2)) as slow, servers.stub(served) as quick:
        answers = asking.at_once([slow.host, quick.host], found, 1)
        assert isinstance(answers[slow.host], HostError)
        assert isinstance(answers[quick.host], registry.Found)


def login_for(home: Path, host: str) -> None:
    (home / ".docker").mkdir()
    auth = servers.BASIC.removeprefix("Basic ")
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}), "utf-8")


def guarded(asked: Asked) -> Reply:
    if asked.headers.get("authorization") != servers.BASIC:
        return Reply(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
    return served(asked)


def test_a_login_does_not_follow_to_another_host(home: Path) -> None:
    with servers.stub(served) as other:

        def answer(asked: Asked) -> Reply:
            reply = guarded(asked)
            return (
                Reply(307, headers={"Location": f"http://{other.host}{asked.path}"}) if reply.status == 200 else reply
            )

        with servers.stub(answer) as server:
            login_for(home, server.host)
            assert found(server.host).image.digest == GOOD.digest
            assert any("authorization" in asked.headers for asked in server.asked)
        assert len(other.asked) == 2
        assert not any("authorization" in asked.headers for asked in other.asked)


def test_a_login_is_not_given_before_it_is_asked_for(home: Path) -> None:
    with servers.stub(served) as server:
        login_for(home, server.host)
        found(server.host)
        assert not any("authorization" in asked.headers for asked in server.asked)


@pytest.mark.parametrize(
    "place", ["ftp://127.0.0.1/x", "file:///etc/passwd", "/v2/tool/manifests/1", "//[x", "//a:99999999/"]
)
def test_a_redirection_that_leads_nowhere(place: str) -> None:
    assert "HOST" in refused(lambda _: Reply(302, headers={"Location": place}))


@pytest.mark.parametrize(
    "realm", ["http://realm.invalid/token", "file:///etc/passwd", "", "https://", "realm", "/realm"]
)
def test_a_token_is_not_fetched_from_anywhere(realm: str, home: Path) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}
    with servers.stub(lambda _: Reply(401, headers=challenge)) as server:
        login_for(home, server.host)
        with pytest.raises(HostError, match="asks for a token of a place that is none"):
            found(server.host)


@pytest.mark.parametrize(
    "challenge",
    [
        'Bearer realm="REALM",service="x"',
        'Bearer realm="REALM",service="x", Basic realm="R"',
        'Basic realm="Say, Bearer realm=1, please", Bearer realm="REALM", service="x"',
        'Negotiate YWJj==, Basic, bearer service = x , realm = "REALM"',
    ],
)
def test_one_header_may_offer_several_proofs(challenge: str) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path.startswith("/token?service=x&"):
            return Reply(200, b'{"token": "xyz"}')
        if asked.headers.get("authorization") == "Bearer xyz":
            return served(asked)
        offered = challenge.replace("REALM", f"http://{asked.headers['host']}/token")
        return Reply(401, headers={"WWW-Authenticate": offered})

    with servers.stub(answer) as server:
        assert found(server.host).image.digest == GOOD.digest


@pytest.mark.parametrize(
    ("realm", "trusted"),
    [("registry.lan:5000", True), ("tokens.lan", True), ("registry.lan:5001", False), ("a@registry.lan:5000", False)],
)
def test_a_token_without_encryption_is_fetched_only_where_that_was_allowed(
    realm: str, trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def proxy(asked: Asked) -> Reply:
        place = urlsplit(asked.path)
        if place.path == "/token":
            return Reply(200, b'{"token": "xyz"}')
        if asked.headers.get("authorization") == "Bearer xyz":
            return served(asked._replace(path=place.path))
        return Reply(401, headers={"WWW-Authenticate": f'Bearer realm="http://{realm}/token"'})

    with servers.stub(proxy) as server:
        monkeypatch.setenv("http_proxy", f"http://{server.host}")
        monkeypatch.setenv(settings.INSECURE, "registry.lan:5000 tokens.lan")
        if trusted:
            assert found("registry.lan:5000").image.digest == GOOD.digest
        else:
            with pytest.raises(HostError, match="asks for a token of a place that is none"):
                found("registry.lan:5000")
        assert any(urlsplit(asked.path).path == "/token" for asked in server.asked) == trusted


@pytest.mark.parametrize("token", [{}, {"token": 1}, {"token": ""}, {"token": "a\r\nHost: b"}])
def test_a_token_that_is_none(token: object) -> None:
    with servers.stub(lambda _: Reply(200, json.dumps(token).encode())) as realm:
        challenge = {"WWW-Authenticate": f'Bearer realm="http://{realm.host}/"'}
        assert "gives no token" in refused(lambda _: Reply(401, headers=challenge))


def test_an_identity_token_is_exchanged(home: Path) -> None:
    def exchange(asked: Asked) -> Reply:
        ok = asked.method == "POST" and b"refresh_token=abc" in asked.body and b"grant_type=refresh_token" in asked.body
        return Reply(200, b'{"access_token": "xyz"}') if ok else Reply(400)

    with servers.stub(exchange) as realm:

        def answer(asked: Asked) -> Reply:
            if asked.headers.get("authorization") == "Bearer xyz":
                return served(asked)
            return Reply(401, headers={"WWW-Authenticate": f'Bearer realm="http://{realm.host}/t",service="s"'})

        with servers.stub(answer) as server:
            (home / ".docker").mkdir()
            config = {"auths": {server.host: {"identitytoken": "abc"}}}
            (home / ".docker" / "config.json").write_text(json.dumps(config), "utf-8")
            assert found(server.host).image.digest == GOOD.digest


def test_nobody_there() -> None:
    host = f"127.0.0.1:{servers.free_port()}"
    with pytest.raises(HostError, match=f"nothing listens at {host}"):
        found(host)


def test_a_name_that_nobody_knows() -> None:
    with pytest.raises(HostError, match=r"the name registry\.invalid is not known"):
        found("registry.invalid")


def test_no_login_over_a_connection_that_is_not_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    # Only loopback, and what is named, may do without TLS: everything else is asked by https and nothing else.
    assert settings.endpoints("registry.lan:5000", {})[-1].scheme == "https"
    assert settings.endpoints("registry.lan:5000", {settings.INSECURE: "registry.lan:5000"})[-1].scheme == "http"
    assert settings.endpoints("docker.io", {})[-1] == ("registry-1.docker.io", "https", False)
    monkeypatch.setenv(settings.INSECURE, "other.lan")
    assert settings.endpoints("registry.lan", os.environ)[-1].scheme == "https"


def test_logins_that_make_no_sense(home: Path) -> None:
    with servers.stub(guarded) as server:
        (home / ".docker").mkdir()
        for text in ("{", "[]", '{"auths": 1}', '{"auths": {"HOST": {"auth": "%"}}}', '{"auths": {"HOST": 3}}'):
            (home / ".docker" / "config.json").write_text(text.replace("HOST", server.host), "utf-8")
            with pytest.raises(HostError):
                found(server.host)


@given(st.text(max_size=60))
def test_no_challenge_breaks_the_reader(text: str) -> None:
    for scheme, parameters in registry._challenges([text, f"Bearer {text}", f'Basic realm="{text}"']).items():  # noqa: SLF001 - what a registry may say, without a server for each
        assert scheme == scheme.lower()
        assert isinstance(parameters, dict)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda each: (
            st.lists(each)
            | st.dictionaries(st.sampled_from(["manifests", "digest", "platform", "os", "architecture"]), each)
        ),
        max_leaves=12,
    )
)
def test_no_index_breaks_the_reader(index: object) -> None:
    chosen = registry._chosen({"manifests": index}, "linux/amd64")  # noqa: SLF001 - likewise
    assert chosen is None or chosen.startswith("sha256:")
