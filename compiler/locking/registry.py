"""A registry, as the distribution specification has it: the name of an image -> its digest, its version, its tags.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md; tokens as in
https://distribution.github.io/distribution/spec/auth/token/.
"""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

from compiler.errors import HostError
from compiler.locking import credentials, settings, transport, versions
from compiler.locking.lockfile import DIGEST, Image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from compiler.locking.reference import Reference
    from compiler.locking.settings import Endpoint
    from compiler.locking.transport import Answer

T = TypeVar("T")

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
ACCEPT = ", ".join((*INDEXES, *MANIFESTS))
PAGES = 50
"""Pages of tags that are read: an image of many years has some thousand tags."""
_CHALLENGE = re.compile(
    r"(?:^|,)\s*(?P<scheme>[A-Za-z][\w-]*)(?![\w-]|\s*=)"
    r'|(?P<name>[A-Za-z_]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s,"]+))'
)
"""The name of a scheme, or a parameter of the one before; one header may have several schemes (RFC 9110, 11.6.1)."""


class Found(NamedTuple):
    """An image at a registry, with the host that told, and what else is worth saying."""

    image: Image
    host: str
    notes: tuple[str, ...] = ()


def image(reference: Reference, platform: str, environment: Mapping[str, str]) -> Found:
    """What a tag stands for now; asked of the mirrors first, and of the registry where they do not tell."""
    (pin, unread), host, notes = _first(reference, environment, lambda server: server.image(platform))
    return Found(pin, host, (*notes, *unread))


def tags(reference: Reference, environment: Mapping[str, str]) -> tuple[str, ...]:
    """The tags of a repository; asked of the mirrors first, and of the registry where they do not list them."""
    return _first(reference, environment, lambda server: server.tags())[0]


def _first(
    reference: Reference, environment: Mapping[str, str], ask: Callable[[_Server], T]
) -> tuple[T, str, tuple[str, ...]]:
    """The first answer, with the host that gave it, and why the mirrors before it gave none."""
    notes: list[str] = []
    for endpoint in settings.endpoints(reference.registry, environment):
        try:
            answer = ask(_Server(endpoint, reference, environment))
        except HostError as error:
            if not endpoint.mirror:
                raise
            notes.append(f"the mirror {endpoint.host} was of no use: {error.message}")
        else:
            return answer, endpoint.host, tuple(notes)
    raise AssertionError  # pragma: no cover - the last endpoint is no mirror


class _Server:
    """One server that may have the image, and the token it gave."""

    def __init__(self, endpoint: Endpoint, reference: Reference, environment: Mapping[str, str]) -> None:
        self.host, self.reference, self.environment = endpoint.host, reference, environment
        self.base = f"{endpoint.scheme or self._scheme()}://{self.host}/v2/{reference.repository}/"
        self.authorization = ""

    def _scheme(self) -> str:
        """How this machine's own server speaks: one with TLS does not understand a question without it."""
        try:
            answer = transport.ask(f"http://{self.host}/v2/", {})
        except HostError:
            return "https"
        return "https" if answer.status == 400 else "http"  # noqa: PLR2004 - Go's answer to HTTP on a TLS port

    def image(self, platform: str) -> tuple[Image, tuple[str, ...]]:
        """Digest and version behind the tag, and why there is no version if it could not be read."""
        digest, kind, manifest = self._manifest(self.reference.digest or self.reference.tag)
        if kind in INDEXES:
            chosen = _chosen(manifest, platform)
            if chosen is None:
                raise HostError(f"{self.host} has an index without any image under {self._name}", "check the name")
            _, kind, manifest = self._manifest(chosen)
        config = manifest.get("config")
        if not isinstance(config, dict) or not DIGEST.fullmatch(str(config.get("digest"))):
            raise HostError(f"{self.host} has no image under {self._name}, but something else", "check the name")
        try:
            answer = self._get(f"blobs/{config['digest']}", "*/*")
        except HostError as error:
            # The version is for reading alone: what is pinned is the digest, which was held against the content.
            return Image(digest), (f"its version cannot be read: {error.message}",)
        self._checked(answer, config["digest"])
        return Image(digest, versions.of(self.reference.repository, _object(answer.body, self.host))), ()

    def tags(self) -> tuple[str, ...]:
        """Every tag of the repository."""
        found: list[str] = []
        path = "tags/list?n=1000"
        for _ in range(PAGES):
            answer = self._get(path, "application/json")
            listed = _object(answer.body, self.host).get("tags") or []
            found += [tag for tag in listed if isinstance(tag, str)] if isinstance(listed, list) else []
            link = re.match(r'\s*<([^>]*)>\s*;\s*rel="?next"?', answer.headers.get("Link", ""))
            if not link:
                break
            path = transport.joined(self.base, link[1])
            if urlsplit(path)[:2] != urlsplit(self.base)[:2]:
                break
        return tuple(found)

    @property
    def _name(self) -> str:
        tag = f"@{self.reference.digest}" if self.reference.digest else f":{self.reference.tag}"
        return f"{self.reference.repository}{tag}"

    def _manifest(self, name: str) -> tuple[str, str, dict[str, Any]]:
        """The digest, kind and content of a manifest; what the registry says of the digest must be true."""
        answer = self._get(f"manifests/{name}", ACCEPT)
        said = answer.headers.get("Docker-Content-Digest", "").strip()
        digest = self._checked(answer, said if said.startswith("sha256:") else "")
        if DIGEST.fullmatch(name):
            self._checked(answer, name)
        manifest = _object(answer.body, self.host)
        kind = str(manifest.get("mediaType") or answer.headers.get_content_type())
        if kind not in (*INDEXES, *MANIFESTS):
            kind = INDEXES[0] if isinstance(manifest.get("manifests"), list) else MANIFESTS[0]
        return digest, kind, manifest

    def _checked(self, answer: Answer, digest: str) -> str:
        """The digest of what was read, which must be the one that was asked for or told."""
        found = f"sha256:{sha256(answer.body).hexdigest()}"
        if digest and found != digest:
            raise HostError(
                f"{self.host} does not send what it says it sends: {self._name} has the digest {found}, not {digest}",
                "it is refused: the registry, a mirror or a proxy in between is broken, or lies",
            )
        return found

    def _get(self, path: str, accept: str) -> Answer:
        url = urljoin(self.base, path)
        headers = {"Accept": accept}
        answer = transport.ask(url, self._signed(headers))
        if answer.status == 401:  # noqa: PLR2004 - who are you?
            self._authorize(answer)
            answer = transport.ask(url, self._signed(headers))
        if answer.status != 200:  # noqa: PLR2004 - fine
            raise self._refusal(answer)
        return answer

    def _signed(self, headers: dict[str, str]) -> dict[str, str]:
        return {**headers, "Authorization": self.authorization} if self.authorization else headers

    def _refusal(self, answer: Answer) -> HostError:
        if answer.status == 404:  # noqa: PLR2004 - not there
            return HostError(f"{self.host} has no {self._name}", "check the name and the tag")
        if answer.status in (401, 403):
            return HostError(
                f"{self.host} does not let us have {self._name}",
                f"there may be no such image; or log in: docker login {self.reference.registry}",
            )
        if answer.status == 429:  # noqa: PLR2004 - too many
            return HostError(f"{self.host} has been asked too often", "try again later, or log in: docker login")
        return HostError(f"{self.host} answers with status {answer.status} for {self._name}", "try again later")

    def _authorize(self, answer: Answer) -> None:
        """Do what the registry asks for to know who we are; a login goes to nobody but those it names over TLS."""
        challenges = _challenges(answer.headers.get_all("WWW-Authenticate") or [])
        login = credentials.login(self.host, self.reference.repository, self.environment)
        if "bearer" in challenges:
            self.authorization = f"Bearer {self._token(challenges['bearer'], login)}"
        elif "basic" in challenges and login and not login.identity:
            self.authorization = login.basic
        else:
            raise self._refusal(answer)

    def _token(self, asked: Mapping[str, str], login: credentials.Login | None) -> str:
        realm = urlsplit(transport.joined(self.base, asked.get("realm", "")))
        # The registry's own host gets the login in no other way than it would get it itself.
        known = realm.netloc == self.host or settings.may_be_plain(realm.netloc, self.environment)
        plain = realm.scheme == "http" and self.base.startswith("http:") and known
        if "//" not in asked.get("realm", "") or not realm.hostname or not (realm.scheme == "https" or plain):
            raise HostError(f"{self.host} asks for a token of a place that is none", "it must be an https URL")
        scope = asked.get("scope") or f"repository:{self.reference.repository}:pull"
        query = {"service": asked["service"]} if asked.get("service") else {}
        url = realm._replace(fragment="").geturl()
        if login and login.identity:
            form = {**query, "scope": scope, "grant_type": "refresh_token", "client_id": "appos-compile"}
            body = urlencode({**form, "refresh_token": login.identity}).encode()
            answer = transport.ask(url, {"Content-Type": "application/x-www-form-urlencoded"}, method="POST", data=body)
        else:
            joined = f"{url}{'&' if realm.query else '?'}{urlencode({**query, 'scope': scope})}"
            answer = transport.ask(joined, {"Authorization": login.basic} if login else {})
        if answer.status != 200:  # noqa: PLR2004 - fine
            raise self._refusal(answer)
        given = _object(answer.body, realm.netloc)
        token = given.get("token") or given.get("access_token")
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise HostError(f"{realm.netloc} gives no token", "try again later")
        return token


def _challenges(headers: list[str]) -> dict[str, dict[str, str]]:
    """What a server accepts as proof, by the name of the scheme in small letters."""
    found: dict[str, dict[str, str]] = {}
    for header in headers:
        parameters: dict[str, str] = {}
        for match in _CHALLENGE.finditer(header):
            if match["scheme"]:
                parameters = {}
                found.setdefault(match["scheme"].lower(), parameters)
            else:
                parameters[match["name"].lower()] = match["quoted"] or match["bare"] or ""
    return found


def _chosen(index: Mapping[str, Any], platform: str) -> str | None:
    """The digest of the manifest for a platform, else of the first that is for any."""
    listed = index.get("manifests")
    system, _, architecture = platform.partition("/")
    fitting: list[tuple[bool, str]] = []
    for entry in listed if isinstance(listed, list) else ():
        if not isinstance(entry, dict) or not DIGEST.fullmatch(str(entry.get("digest"))):
            continue
        named = entry.get("platform")
        has = named if isinstance(named, dict) else {}
        if has.get("os") == "unknown":
            continue
        same = (has.get("os"), has.get("architecture")) == (system, architecture)
        fitting.append((not same, str(entry["digest"])))
    return min(fitting, key=lambda each: each[0])[1] if fitting else None


def _object(body: bytes, host: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise HostError(
            f"{host} answers with something that is no JSON object", "check the address and any proxy in between"
        )
    return found
