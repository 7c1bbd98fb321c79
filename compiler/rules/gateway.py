"""The routes: what each says, that somebody answers it, and that the health check gets an answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from compiler.rules.processes import address

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from compiler.errors import Problem
    from compiler.model import App, Path, Route
    from compiler.rules.context import Context

REDIRECTS = (301, 302, 303, 307, 308)
DENIALS = (403, 404, 410)

_ROUTE = r"/[A-Za-z0-9._~!&()*+,=:@/-]*"
_DOTS = r"(^|/)\.\.?(/|$)"
_DIRECTORY = r"(/[A-Za-z0-9_@+.,=-]+)+"

_GOES_WITH: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("spa", ("static",)),
    ("assets", ("static",)),
    ("max_age", ("static",)),
    ("strip", ("service",)),
    ("websocket", ("service",)),
    ("stream", ("service",)),
    ("timeout", ("service",)),
    ("max_body", ("service",)),
    ("request_headers", ("service",)),
    ("script", ("service",)),
    ("status", ("redirect", "deny")),
    ("auth", ("static", "service")),
)


def routes(ctx: Context) -> Iterator[Problem]:
    """There is one gateway if there are routes, and each route can be answered."""
    gateways = sorted((s for s in ctx.app.services if s.gateway), key=lambda s: ctx.line((*s.path, "preset")))
    for second in gateways[1:]:
        message = f'"{second.name}" is a second gateway'
        yield ctx.key("E074", second.path, message, "keep one", (gateways[0].path, "the first one"))
    gateway = ctx.app.gateway
    if ctx.app.routes and not gateway:
        message = "there are routes, but no gateway that could answer them"
        yield ctx.key("E074", ("routes",), message, "add a service with preset: nginx")
    if gateway and not gateway.port:
        yield ctx.key("E074", gateway.path, f'the gateway "{gateway.name}" has no port', "add port: 80")
    if gateway and not ctx.app.routes:
        message = f'"{gateway.name}" has nothing to answer: there are no routes'
        yield ctx.key("W007", gateway.path, message, "add routes")
    for route in ctx.app.routes:
        yield from _route(ctx, route)
    for index, text in enumerate(ctx.app.http.trusted):
        yield from address(ctx, ("http", "trusted", index), text)
    yield from _headers(ctx, ctx.data.get("http", {}), ("http",))


def _route(ctx: Context, route: Route) -> Iterator[Problem]:
    path, data = route.path, ctx.data["routes"][route.match]
    if not re.fullmatch(_ROUTE, route.match) or "//" in route.match or re.search(_DOTS, route.match):
        hint = "a route begins with / and has letters, digits and . _ ~ ! & ( ) * + , = : @ -, without // or .."
        if re.fullmatch(_ROUTE, f"/{route.match}"):
            hint = f"write /{route.match}"
        yield ctx.key("E070", path, f'"{route.match}" cannot be a route', hint)
    if route.match.startswith("/.auth"):
        message = "routes that begin with /.auth are the gateway's own"
        yield ctx.key("E070", path, message, "choose another path")
    actions = [key for key in ("static", "service", "redirect", "deny") if data.get(key)]
    surplus = actions[2:] if actions[:2] == ["static", "service"] else actions[1:]
    if not actions:
        yield ctx.key("E071", path, f'nobody answers "{route.match}"', "add static, service, redirect or deny")
    elif surplus:
        message = f'"{route.match}" has both {actions[0]} and {surplus[0]}'
        other = ((*path, actions[0]), f"{actions[0]} stands here")
        yield ctx.key("E071", (*path, surplus[0]), message, "keep one of them", other)
    else:
        for part in (_fields, _passed_on, _status):
            yield from part(ctx, route, data)
    yield from _answered(ctx, data, path)
    yield from _authenticated(ctx, route)
    yield from _headers(ctx, data, path)


def _answered(ctx: Context, data: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    artifacts = ctx.data.get("artifacts", {})
    static = data.get("static", "")
    if static and static not in artifacts and not re.fullmatch(_DIRECTORY, static):
        hint = ctx.near(static, artifacts, "declare it under artifacts, or write an absolute path")
        yield ctx.at("E073", (*path, "static"), f'there is no artifact "{static}"', hint)
    if "service" not in data:
        return
    service = ctx.services.get(data["service"])
    place: Path = (*path, "service")
    if service is None:
        behind = [name for name, other in ctx.services.items() if not other.gateway]
        yield ctx.unknown("E072", place, "service", data["service"], behind)
    elif service.gateway:
        yield ctx.at("E072", place, f'"{service.name}" is the gateway itself', "name a service behind it")
    elif not service.port:
        message = f'"{service.name}" has no port that requests could be sent to'
        yield ctx.at("E072", place, message, f"add port: to the service {service.name}")
    elif service.protocol not in ("http", "fastcgi"):
        message = f'"{service.name}" speaks {service.protocol}, which the gateway cannot pass on'
        yield ctx.at("E072", place, message, "publish its port instead")
    elif service.protocol == "fastcgi" and not ("static" in data and "script" in data):
        message = f'"{service.name}" speaks fastcgi: the gateway must know which script it runs'
        yield ctx.key("E077", path, message, "add static: with its directory and script: index.php")
    elif service.protocol != "fastcgi" and "script" in data:
        message = f'"{service.name}" speaks {service.protocol} and runs no scripts'
        yield ctx.key("E077", (*path, "script"), message, "remove script")


def _authenticated(ctx: Context, route: Route) -> Iterator[Problem]:
    path, auth = route.path, route.auth
    if auth and auth.secret:
        yield from ctx.secret((*path, "auth", "basic", "secret"), auth.secret)
    if auth and auth.service:
        place: Path = (*path, "auth", "request", "service")
        service = ctx.services.get(auth.service)
        if service is None:
            yield ctx.unknown("E072", place, "service", auth.service, ctx.services)
        elif not service.port:
            message = f'"{service.name}" has no port that could be asked'
            yield ctx.at("E072", place, message, f"add port: to the service {service.name}")
    if route.websocket and route.service and not auth:
        message = f'anybody who reaches the gateway can open the WebSocket "{route.match}"'
        yield ctx.key("W005", path, message, "add auth, or silence this if the service itself asks who it is")


def _fields(ctx: Context, route: Route, data: Mapping[str, Any]) -> Iterator[Problem]:
    path = route.path
    for field, wanted in _GOES_WITH:
        if field in data and not any(data.get(key) for key in wanted):
            message = f"{field} means nothing without {' or '.join(wanted)}"
            if field == "auth" and route.redirect:
                message = "a redirect is answered before anybody is asked who they are"
            yield ctx.key("E076", (*path, field), message, f"remove {field}")
    if route.spa and route.root and route.service:
        message = "what is no file goes to the service, so there is nothing left for spa"
        yield ctx.key("E076", (*path, "spa"), message, "remove spa or service")
    everything = route.spa or "assets" in data or (route.root and route.service)
    if route.root and everything and not route.prefix:
        word = "spa" if route.spa else "assets" if "assets" in data else "service"
        message = f'"{route.match}" matches exactly one path, so {word} has nothing to do'
        yield ctx.key("E076", (*path, word), message, f"write {route.match}/ to match everything below it")


def _passed_on(ctx: Context, route: Route, data: Mapping[str, Any]) -> Iterator[Problem]:
    path = route.path
    for field in ("strip", "websocket"):
        if route.service and route.protocol == "fastcgi" and data.get(field):
            message = f"{field} means nothing for a service that speaks fastcgi"
            yield ctx.key("E076", (*path, field), message, f"remove {field}")
    if route.strip and route.service and not route.prefix:
        message = "only a path that ends in / is a prefix that can be stripped"
        yield ctx.key("E076", (*path, "strip"), message, f"write {route.match}/ as the route, or remove strip")
    elif route.strip and route.root and route.protocol != "fastcgi":
        message = "a route with static and service passes the path on as it is"
        yield ctx.key("E076", (*path, "strip"), message, "remove strip")


def _status(ctx: Context, route: Route, data: Mapping[str, Any]) -> Iterator[Problem]:
    path = route.path
    allowed = REDIRECTS if route.redirect else DENIALS
    if "status" in data and (route.redirect or route.deny) and route.status not in allowed:
        message = f"{route.status} is not a status of a {'redirect' if route.redirect else 'denial'}"
        yield ctx.at("E076", (*path, "status"), message, f"one of {', '.join(map(str, allowed))}")
    target = route.redirect.partition("?")[0].partition("#")[0]
    if target and answering(ctx.app, target) is route:
        message = f'"{route.match}" redirects to itself, again and again'
        yield ctx.at("E078", (*path, "redirect"), message, "redirect to a path of another route")


FRAMING = frozenset(("connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"))
"""Headers that say how a message goes over one connection. https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1"""

ANSWER = frozenset(("content-encoding", "content-type", "date", "location", "server"))
"""Headers that nginx gives every answer that needs them: one more would be the second."""


def _headers(ctx: Context, data: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    for field in ("headers", "request_headers"):
        seen: dict[str, str] = {}
        for name in data.get(field, ()):
            first = seen.setdefault(name.lower(), name)
            if first != name:
                message = f"{name} and {first} are the same header: their names are compared without case"
                other = ((*path, field, first), "the other one")
                yield ctx.key("E079", (*path, field, name), message, "remove one of them", other)
            if name.lower() in (FRAMING if field == "request_headers" else FRAMING | ANSWER):
                yield ctx.key("E079", (*path, field, name), f"the gateway sets {name} itself", "remove it")


def answering(app: App, path: str) -> Route | None:
    """The route that answers a path: the exact one, else the longest prefix."""
    exact = next((route for route in app.routes if not route.prefix and route.match == path), None)
    fitting = [route for route in app.routes if route.prefix and path.startswith(route.match)]
    return exact or max(fitting, key=lambda route: len(route.match), default=None)


def health(ctx: Context) -> Iterator[Problem]:
    """The health check asks one thing, and somebody answers it with success."""
    yield from ctx.one_of("E088", ("health",), "the health check", ("http", "exec"))
    asked = ctx.data.get("health", {}).get("http")
    place: Path = ("health", "http")
    if asked is None:
        return
    if not any(service.port and service.protocol == "http" for service in ctx.app.services):
        yield ctx.key(
            "E088", place, "no service has a port that could be asked", "add port: to the service that answers"
        )
    elif ctx.app.gateway and ctx.app.routes:
        route = answering(ctx.app, asked.partition("?")[0])
        if route is None:
            yield ctx.at("E088", place, f"no route answers {asked}", "add a route for it, or ask a path that has one")
        elif route.auth or route.deny or route.redirect:
            what = "asks for a login" if route.auth else "denies it" if route.deny else "redirects it"
            message = f'the route "{route.match}" {what}, so the health check never succeeds'
            hint = f'add a route "{asked}" that answers'
            yield ctx.at("E088", place, message, hint, (route.path, "the route"))
