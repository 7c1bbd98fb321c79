"""What the gateway answers, in the order in which it matches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler import values as v
from compiler.model import Auth, Http, Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compiler.assemble.references import Data
    from compiler.model import Service

DEFAULT_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
}
SILENCE = 60
SILENCE_STREAMING = 3600


def routes(data: Data, services: Mapping[str, Service]) -> tuple[Route, ...]:
    """Exact routes first, then the longest prefixes: the order in which they match."""
    routes = data.get("routes", {})
    artifacts = {name: a["install"] for name, a in data.get("artifacts", {}).items()}
    made = []
    for match, route in routes.items():
        service = services.get(route.get("service", ""))
        streaming = route.get("websocket", False) or route.get("stream", False)
        static, assets = route.get("static", ""), route.get("assets", "assets/")
        made.append(
            Route(
                match=match,
                prefix=match.endswith("/"),
                root=artifacts.get(static, static),
                spa=route.get("spa", False),
                assets="" if match + assets in routes else assets,
                max_age=v.seconds(route.get("max_age", "0s")),
                service=service.name if service else "",
                upstream=service.address if service else "",
                protocol=service.protocol if service else "http",
                script=route.get("script", ""),
                strip=route.get("strip", False),
                websocket=route.get("websocket", False),
                stream=route.get("stream", False),
                timeout=max(1, v.seconds(route["timeout"]))
                if "timeout" in route
                else SILENCE_STREAMING
                if streaming
                else SILENCE,
                max_body=v.size(route.get("max_body") or data.get("http", {}).get("max_body", "1MB")),
                headers=_headers(route.get("headers", {}), data),
                request_headers=tuple(route.get("request_headers", {}).items()),
                redirect=route.get("redirect", ""),
                status=route.get("status", 404 if route.get("deny") else 308),
                deny=route.get("deny", False),
                auth=_auth(route.get("auth", {}), services),
                slashless=match.endswith("/") and match != "/" and match[:-1] not in routes,
                path=("routes", match),
            )
        )
    return tuple(sorted(made, key=lambda route: (route.prefix, -len(route.match), route.match)))


def _headers(own: Data, data: Data) -> tuple[tuple[str, str], ...]:
    """The headers of every answer with a route's own in their place, whatever the case; empty ones are left out."""
    merged = {
        name.lower(): (name, value) for name, value in data.get("http", {}).get("headers", DEFAULT_HEADERS).items()
    }
    merged |= {name.lower(): (name, value) for name, value in own.items()}
    return tuple((name, value) for name, value in merged.values() if value)


def _auth(data: Data, services: Mapping[str, Service]) -> Auth | None:
    basic, request = data.get("basic"), data.get("request")
    if basic:
        return Auth(basic["user"], basic["secret"], "", "")
    if request:
        service = services.get(request["service"])
        return Auth("", "", request["service"], f"{service.address}{request['path']}" if service else "")
    return None


def http(data: Data) -> Http:
    """What holds for all routes."""
    return Http(
        headers=tuple((name, value) for name, value in data.get("headers", DEFAULT_HEADERS).items() if value),
        trusted=tuple(data.get("trusted", ())),
        max_body=v.size(data.get("max_body", "1MB")),
        access_log=data.get("access_log", True),
        dotfiles=data.get("dotfiles", False),
    )
