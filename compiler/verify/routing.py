"""What the model says of a request: who answers it, with what, and what a service is given. Pure; nothing is asked."""

from __future__ import annotations

import hashlib
import random
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiler.model import App, Route

INDEX = "index.html"
ENCODED = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
"""What nginx refuses in a path: a percent sign without its digits, and a NUL."""

HIDDEN = re.compile(r"/\.(?!well-known/)")
ASSET_AGE = 31536000


class Tree(NamedTuple):
    """Files and directories of the image, by their absolute paths."""

    files: frozenset[str] = frozenset()
    directories: frozenset[str] = frozenset()


NOTHING = Tree()


class Expected(NamedTuple):
    """One answer: ``kind`` is status, redirect, file, service or script.

    ``value`` is the Location of a redirect, the path of a file in the image, the target that a service is asked for, or
    the script that is run. ``cache`` is the Cache-Control that the gateway gives a file. ``own`` says whether the
    route's headers and account apply, as they do not to the redirection to its path with a slash.
    """

    kind: str
    status: int
    value: str = ""
    route: Route | None = None
    cache: str = ""
    own: bool = True


def normal(target: str) -> str | None:
    """The path of a target as routes are compared with it, a character for each byte; None if it is refused.

    Without its query, decoded once, without ``.``, ``..`` and double slashes.
    """
    raw = target.partition("?")[0].partition("#")[0]
    if not raw.startswith("/") or ENCODED.search(raw):
        return None
    names = unquote_to_bytes(raw.encode()).decode("latin-1").split("/")[1:]
    kept: list[str] = []
    for name in names:
        if name == ".." and not kept:
            return None
        if name == "..":
            kept.pop()
        elif name not in ("", "."):
            kept.append(name)
    ends = "/" if names[-1] in ("", ".", "..") and kept else ""
    return f"/{'/'.join(kept)}{ends}"


def query(target: str) -> str:
    """The query of a target with its question mark, or nothing."""
    return "?" + target.partition("?")[2] if "?" in target else ""


def place(app: App, path: str) -> tuple[Route | None, str]:
    """The route that a normal path belongs to, and how: ``exact``, ``slashless``, ``assets``, ``prefix`` or nothing."""
    for route in app.routes:
        if not route.prefix and route.match == path:
            return route, "exact"
        if route.slashless and route.match[:-1] == path:
            return route, "slashless"
    if any(route.auth and route.auth.service and path == f"/.auth{route.match}" for route in app.routes):
        return None, ""
    prefixes = [route for route in app.routes if route.prefix and path.startswith(route.match)]
    found = [(len(route.match), route, "prefix") for route in prefixes]
    found += [
        (len(route.match + route.assets), route, "assets")
        for route in prefixes
        if has_assets(route) and path.startswith(route.match + route.assets)
    ]
    return max(found, key=lambda row: row[0])[1:] if found else (None, "")


def has_assets(route: Route) -> bool:
    """Whether a directory below the route is kept by browsers for a year."""
    return bool(route.root and not route.service and route.prefix and route.assets)


def answered_by(app: App, target: str, tree: Tree = NOTHING) -> Expected:
    """Who answers a GET request for a target of somebody who may, where the image has the files of ``tree``."""
    path = normal(target)
    if path is None:
        return Expected("status", 400)
    route, how = place(app, path)
    if route is None:
        # What the gateway itself answers, for those who watch it.
        alive = app.gateway is not None and app.gateway.alive is not None and path == f"/.{app.name}/alive"
        return Expected("status", 204 if alive else 404)
    if how == "slashless" and not route.websocket:
        return Expected("redirect", 308, route.match + _asked(target), route, own=False)
    if route.deny or route.redirect:
        return Expected("redirect" if route.redirect else "status", route.status, route.redirect, route)
    if not route.root:
        return _service(route, target, path, how)
    return _static(app, route, target, how, tree)


def _asked(target: str) -> str:
    """The query as nginx repeats it, which drops a question mark that nothing follows."""
    return query(target) if len(query(target)) > 1 else ""


def _service(route: Route, target: str, path: str, how: str) -> Expected:
    if route.protocol == "fastcgi":
        return Expected("script", 200, f"{route.root}/{route.script}", route)
    if not route.strip:
        return Expected("service", 200, target, route)
    rest = "/" if how == "slashless" else path[len(route.match) - 1 :]
    return Expected("service", 200, _encoded(rest) + query(target), route)


def same_target(route: Route, wanted: str, came: str) -> bool:
    """Whether a service was asked for what it should be; a stripped path may be encoded in more than one way."""
    if not route.strip:
        return wanted == came
    first, second = (unquote_to_bytes(text.partition("?")[0].encode()) for text in (wanted, came))
    return first == second and _asked(wanted) == _asked(came)


def _static(app: App, route: Route, target: str, how: str, tree: Tree) -> Expected:
    """What a route with files answers; whatever is no file, its service does, if it has one."""
    path = normal(target) or "/"
    cache = f"max-age={route.max_age}" if route.max_age else "no-cache"
    file = path_in_image(route, path)
    if route.prefix and not app.http.dotfiles and HIDDEN.search(path):
        return Expected("status", 404, "", route)
    if route.service and (file not in tree.files or (route.script and path.endswith(".php"))):
        return _service(route, target, path, how)
    if file in tree.files:
        kept = f"public, max-age={ASSET_AGE}, immutable" if how == "assets" else cache
        return Expected("file", 200, file, route, kept)
    if how == "prefix" and route.spa:
        return _page(route, path, file, tree, cache)
    if how == "prefix" and file.rstrip("/") in tree.directories:
        return _directory(app, route, target, tree)
    return Expected("status", 404, "", route)


def _directory(app: App, route: Route, target: str, tree: Tree) -> Expected:
    """What a directory comes to: first to the path with a slash, then to its page; it is never listed."""
    path = normal(target) or "/"
    if not path.endswith("/"):
        return Expected("redirect", 301, f"{_encoded(path)}/{_asked(target)}", route)
    if f"{path_in_image(route, path)}{INDEX}" not in tree.files:
        return Expected("status", 403, "", route)
    # The gateway asks itself again, so that another route may be the one for that name.
    return answered_by(app, _encoded(path + INDEX) + query(target), tree)


def _page(route: Route, path: str, file: str, tree: Tree, cache: str) -> Expected:
    """What an application that has its routes in the browser gets for a path that is no file."""
    index = f"{file.rstrip('/')}/{INDEX}"
    if index in tree.files:
        return Expected("file", 200, index, route, cache)
    if not re.search(r"\.[^/]+$", path) and f"{route.root}/{INDEX}" in tree.files:
        return Expected("file", 200, f"{route.root}/{INDEX}", route, "no-cache")
    return Expected("status", 404, "", route)


def _encoded(path: str) -> str:
    """A path with a character for each byte, as it stands in a request."""
    return quote_from_bytes(path.encode("latin-1"))


def path_in_image(route: Route, path: str) -> str:
    """The file that a normal path of a static route names, whether or not there is one."""
    return f"{route.root}/{path[len(route.match) :]}" if route.prefix else f"{route.root}{path}"


def path_of_file(route: Route, file: str) -> str:
    """The path at which a prefix route sends a file of its directory, encoded."""
    return route.match + _encoded(file[len(route.root) + 1 :])


def inside(route: Route, name: str = "stub/probe") -> str:
    """A path that belongs to the route."""
    return f"{route.match}{name}" if route.prefix else route.match


def probe(app: App, route: Route) -> str | None:
    """A path that this route answers, and by its service if it has one; None where other routes leave it nothing."""
    for name in ("stub/probe", "stub-probe", "", "zz/zz"):
        path = inside(route, name)
        if place(app, path) == (route, "prefix" if route.prefix else "exact"):
            return path
    return None


# --- paths that nobody thought of

ODD = (
    "", "x", "/", "//", ".", "..", "/.", "/..", "/../x", "/./x", "%2e%2e/", "%2F", "%2e", "%20", "%3F", "%3fx=1",
    "%23", "%25", "%2525", "+", "a+b", "a%2Bb", "?", "?a=b&c=%20d", "?x=/../y", "??", "a b", "\u00e9", "%C3%A9",
    "%ff", "~", ";v=1", ":8", "@", "!$&'()*,=", "[x]", "|", "^", "`", "\\", "%5c", "%5C..%5c", "%zz", "%", "%0a",
    "%0d%0aX:y", "x/y/z", "x//y", "x/./y", "x/../y", "x.js", "x.css", "x.php", "x.php/y", "index.html", "index.php",
    ".env", ".git/config", ".well-known/x", "x.", ".x/y", "a.b/c", "/.hidden", "favicon.ico",
)  # fmt: skip
"""Ends of paths in which servers have been found to differ."""


def random_paths(app: App, count: int, tree: Tree = NOTHING) -> tuple[str, ...]:
    """Targets around the routes and files of an application, each once; the same ones for the same application."""
    seed = hashlib.sha256(repr([route.match for route in app.routes]).encode()).digest()
    chance = random.Random(seed)  # noqa: S311 - to be repeatable is the purpose
    found: dict[str, None] = {}
    for path in _paths(app, tree, chance):
        if " " not in path:
            found.setdefault(path)
        if len(found) == count:
            break
    return tuple(found)


def _paths(app: App, tree: Tree, chance: random.Random) -> Iterator[str]:
    stems = [route.match for route in app.routes] + [
        route.match + route.assets for route in app.routes if has_assets(route)
    ]
    files = [
        path_of_file(route, file)
        for route in app.routes
        if route.root and route.prefix
        for file in sorted(tree.files)
        if file.startswith(f"{route.root}/")
    ]
    # Every route has its turn before chance has it.
    for stem in (*stems, *(stem[:-1] for stem in stems if len(stem) > 1)):
        yield stem
        yield stem + chance.choice(ODD)
    for _ in range(5000):
        yield _changed(chance.choice(chance.choice((files or stems, stems, stems, stems))), chance)


def _changed(path: str, chance: random.Random) -> str:
    """The path with one or two of the changes that tell servers apart."""
    for _ in range(chance.choice((1, 1, 2))):
        path = chance.choice(_CHANGES)(path, chance)
    return path if path.startswith("/") else f"/{path}"


def _doubled(path: str, chance: random.Random) -> str:
    places = [index for index, character in enumerate(path) if character == "/"]
    index = chance.choice(places) if places else 0
    return f"{path[:index]}/{path[index:]}"


def _one_encoded(path: str, chance: random.Random) -> str:
    letters = [index for index, character in enumerate(path) if character.isascii() and character not in "/?%"]
    if not letters:
        return path
    index = chance.choice(letters)
    # Within an encoded character, this would be another one.
    if "%" in path[max(index - 2, 0) : index]:
        return path
    return f"{path[:index]}%{ord(path[index]):02X}{path[index + 1 :]}"


_CHANGES = (
    lambda path, chance: path + chance.choice(ODD),
    lambda path, chance: path + chance.choice(ODD),
    lambda path, chance: path.rstrip("/") + chance.choice(ODD),
    lambda path, _: path[:-1] or "/",
    lambda path, chance: chance.choice((path.upper, path.swapcase))(),
    lambda path, chance: f"{path}{chance.choice(ODD)}/{chance.choice(ODD)}",
    lambda path, chance: chance.choice(("/x/..", "/./", "/%2e/", "/x/../", "//")) + path,
    _doubled,
    _one_encoded,
)
