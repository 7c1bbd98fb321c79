"""An application -> its generated files: one Jinja environment, and one filter for each format a text goes into."""

from __future__ import annotations

import re
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from compiler import resources
from compiler.caches import cache_directories
from compiler.generated import GeneratedFile
from compiler.outputs import OUTPUTS
from compiler.values import Secret, Setting, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from jinja2 import Environment, Template

    from compiler import templating
    from compiler.model import App, Artifact, File, Route, SecretSource, Service

_NOTHING = "\x00"
"""Stands for a block that is empty; the line it stands on is dropped. No text of a spec can hold it."""

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+\Z")
"""What a shell, and an env file, takes as it is."""


def shell(text: str) -> str:
    """A word for sh: as it is where that is safe, else in single quotes, which hold anything but themselves.

    In double quotes with escapes where it has one of these, or a dollar sign, a backquote or a backslash: in single
    quotes those look like a mistake, to people as to shellcheck (SC2016, SC1003).
    """
    if _PLAIN.match(text):
        return text
    if any(character in text for character in "$`'\\"):
        return '"' + re.sub(r'([\\$`"])', r"\\\1", text) + '"'
    return f"'{text}'"


def shell_value(value: Value) -> str:
    """A word for sh with secrets and settings filled in when it runs."""
    pieces = []
    for piece in value:
        if isinstance(piece, Secret):
            pieces.append(f'"$(secret {piece.name})"')
        elif isinstance(piece, Setting):
            pieces.append(f'"${piece.name}"')
        else:
            pieces.append(shell(piece))
    return "".join(pieces) or "''"


def shell_export(value: Value, name: str) -> str:
    """Sets and exports a variable; in two commands where one that fails would go unnoticed."""
    if any(isinstance(piece, Secret) for piece in value):
        lines = [f"{name}={shell_value(value)}", f"export {name}"]
        if any(isinstance(piece, str) and re.search(r"[\"'\\]", piece) for piece in value):
            lines = ["# shellcheck disable=SC2089 # these quotes belong to the value", lines[0]]
            lines += ["# shellcheck disable=SC2090", f"export {name}"]
        return "\n    ".join(lines)
    return f"export {name}={shell_value(value)}"


def shell_words(words: Iterable[Value]) -> str:
    """A command for sh."""
    return " ".join(shell_value(word) for word in words)


def heredoc(file: File, service: Service) -> str:
    """The shell commands that write a configuration file; everything but references is taken literally."""
    content = file.content or ()
    references = any(not isinstance(piece, str) for piece in content)
    body = "".join(
        f"$(secret {piece.name})"
        if isinstance(piece, Secret)
        else f"${{{piece.name}}}"
        if isinstance(piece, Setting)
        else re.sub(r"([\\$`])", r"\\\1", piece)
        if references
        else piece
        for piece in content
    )
    end = "END"
    while f"\n{end}\n" in f"\n{body}":
        end += "_"
    target = (
        file.target.replace(f"{service.run}/", "$run/", 1) if file.target.startswith(f"{service.run}/") else file.target
    )
    quoted = f'"{target}"' if target.startswith("$run/") else shell(target)
    mode = "" if file.mode in ("0600", "600") else f"\n    chmod {file.mode} {quoted}"
    # A service that is started again could not write to a file that it may only read.
    before = "" if int(file.mode, 8) & 0o200 else f"rm -f {quoted}\n    "
    if not body.endswith("\n"):
        # A here-document would end in a line end that the content has not.
        return f"{before}(umask 077 && printf %s {shell_value(content)} >{quoted}){mode}"
    return f"{before}(umask 077 && cat >{quoted}) <<{end if references else shell_quoted(end)}\n{body}{end}{mode}"


def shell_quoted(text: str) -> str:
    """The text in single quotes."""
    return f"'{text}'"


def nginx(text: str) -> str:
    """A parameter for nginx; the dollar sign, which it cannot escape, is a variable of its own.

    Its name is short because nginx reads no parameter of more than 4,095 bytes.
    """
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "${d}")
    return f'"{text}"'


def regex(text: str) -> str:
    """A regular expression for just this path of a route; without backslashes, which quoting would double."""
    return re.sub(r"[.*+()]", r"[\g<0>]", text)


def dotenv(text: str) -> str:
    """A value for an env file as Compose reads it: single quotes hold all but themselves, double ones need escapes."""
    if not text or _PLAIN.match(text):
        return text
    if "'" not in text and "\n" not in text and "\\" not in text:
        return f"'{text}'"
    escaped = (
        text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("\n", "\\n").replace("\r", "\\r")
    )
    return f'"{escaped}"'


def dockerfile(text: str) -> str:
    """A value of ENV or LABEL, in double quotes unless it is plain.

    https://docs.docker.com/reference/dockerfile/#environment-replacement
    """
    if _PLAIN.match(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'


def run(command: str) -> str:
    """The rest of a RUN line: the shell command as it is where a Dockerfile leaves it alone, else the same as a list.

    What a Dockerfile does not leave alone: line ends, a trailing backslash, here-documents, a leading bracket or flag.
    """
    if re.search(r"[\r\n]|\\\s*$|<<|^\s*(\[|--|#)|^\s|\s$", command):
        return f"[{', '.join(map(json, ('/bin/sh', '-c', command)))}]"
    return command


_YAML_WORDS = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n"))
"""What readers of YAML 1.1 or 1.2 take for something else than a text, in any case."""


def yaml(name: str) -> str:
    """A name for YAML: as it is, in quotes where it would mean something else or has characters that names lack."""
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name) and name.lower() not in _YAML_WORDS else json(name)


def json(value: Any) -> str:
    """The value as JSON, which YAML and the list forms of a Dockerfile understand."""
    import json as library

    return library.dumps(value, ensure_ascii=False)


def duration(milliseconds: int) -> str:
    """``2s``, ``1500ms``: as Docker and Compose read it."""
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"


def healthcheck(commands: tuple[tuple[str, ...], ...]) -> str:
    """What follows CMD: a list; several commands are a line of shell in it."""
    if len(commands) == 1:
        return json(list(commands[0]))
    return json(["/bin/sh", "-c", _line(commands)])


def _line(commands: Iterable[Iterable[str]]) -> str:
    return " && ".join(" ".join(shell(word) for word in command) for command in commands)


def mebibytes(size: int) -> str:
    """A size for Compose, rounded up to what people read: ``64m``."""
    return f"{-(-size // 2**20)}m"


def compose_healthcheck(commands: tuple[tuple[str, ...], ...]) -> str:
    """The same for Compose, where every dollar sign is doubled: it would be a variable."""
    words = ["CMD", *commands[0]] if len(commands) == 1 else ["CMD-SHELL", _line(commands)]
    return json(words).replace("$", "$$")


def numbered(accounts: Iterable[str]) -> list[tuple[str, int]]:
    """Each account with a fixed number, derived from its name, so that it does not depend on what else there is.

    In 600..899: base images have numbers up to 406 (Alpine's utmp), packages count up from 100 or down from 999.
    Neighbours give way in the order of their names. Where all these are taken, the rest count up from 20000.
    """
    first, room = 600, 300
    taken: dict[int, str] = {}
    for name in accounts:
        full = len(taken) >= room
        number = 20_000 - room + len(taken) if full else first + zlib.crc32(name.encode()) % room
        while number in taken:
            number = first + (number - first + 1) % room
        taken[number] = name
    return [(name, number) for number, name in taken.items()]


def readers(app: App) -> list[tuple[SecretSource, list[Service]]]:
    """Each secret with the services that may read it."""
    allowed: dict[str, list[Service]] = {secret.name: [] for secret in app.secrets}
    for service in app.services:
        for name in service.sees:
            if name in allowed:
                allowed[name].append(service)
    return [(secret, allowed[secret.name]) for secret in app.secrets]


def upstreams(routes: Iterable[Route], app: App) -> list[Service]:
    """The services that routes lead to, each once."""
    wanted = {route.service for route in routes}
    return [service for service in app.services if service.name in wanted]


def run_as(template: tuple[str, ...], user: str) -> str:
    """The beginning of a command that runs the rest as another account."""
    return " ".join(shell(word.replace("{user}", user)) for word in template)


def all_pinned(packages: Iterable[str]) -> bool:
    """Whether each package names its version."""
    return all("=" in package for package in packages)


def download(family: str, url: str) -> str:
    """The command that fetches a URL to the file ``download``."""
    address = '"' + url.replace("$", "\\$").replace("`", "\\`").replace("{arch}", "${TARGETARCH}") + '"'
    return f"wget -q -O download {address}" if family == "alpine" else f"curl -fsSLg -o download {address}"


def is_prebuilt(artifact: Artifact, local: bool) -> bool:
    """Whether the Dockerfile takes the ready-made form: the local one if there is one, the other for want of any."""
    made = artifact.build or artifact.copy or artifact.fetch
    return bool(artifact.prebuilt) and (local or not made)


def settled_first(artifacts: Iterable[Artifact]) -> list[Artifact]:
    """What comes from elsewhere before what is built here, so that the layers that change most often come last."""
    return sorted(artifacts, key=lambda artifact: not (artifact.copy or artifact.fetch))


def scripts(app: App) -> list[str]:
    """The generated scripts of the image."""
    return [output.name for output in OUTPUTS if output.name.endswith(".sh") and _wanted(output.name, app)]


def hooks(app: App) -> list[str]:
    """The user's scripts, each once."""
    return list(dict.fromkeys((*app.first_start, *app.before_services)))


def basename(path: str) -> str:
    """The last part of a path."""
    return path.rpartition("/")[2]


def context(app: App, local: bool) -> list[str]:
    """The paths of the tree that a Dockerfile copies, sorted."""
    paths = {f"{app.output}/{name}" for name in scripts(app)}
    paths |= {f"{app.output}/{name}" for name in ("supervisord.conf", "nginx.conf") if _wanted(name, app)}
    for artifact in app.artifacts:
        if is_prebuilt(artifact, local):
            paths.add(artifact.prebuilt)
        elif artifact.build:
            paths.add(artifact.build.source)
    paths |= {file.source for service in app.services for file in service.files if file.source}
    if app.database:
        paths |= {path for path in (app.database.schema, app.database.migrations) if path}
    return sorted(paths | set(hooks(app)))


def labels(app: App) -> list[tuple[str, str]]:
    """The labels of the image, with the budget in bytes."""
    budgets = (
        ("org.appos-compile.budget", app.image.budget),
        ("org.appos-compile.budget-compressed", app.image.budget_compressed),
    )
    return [*app.image.labels, *((key, str(value)) for key, value in budgets if value is not None)]


def exposed(ports: Iterable[Any]) -> list[str]:
    """What EXPOSE says: each port of the container once, with its protocol."""
    return list(dict.fromkeys(f"{port.target}{'/udp' if port.protocol == 'udp' else ''}" for port in ports))


def bind(directory: str, app: App) -> str:
    """A directory of the host, relative to the Compose file, in the form that cannot be taken for a volume's name."""
    if directory.startswith("/"):
        return directory
    import posixpath

    path = posixpath.normpath(posixpath.join(app.context, directory))
    return path if path.startswith("../") else f"./{path}"


def workers(app: App) -> int:
    """Worker processes of the gateway: as many as the container may use processors, two unless it is said."""
    return max(1, -(-int(float(app.cpus) * 100) // 100)) if app.cpus else 2


def needs_dollar(app: App) -> bool:
    """Whether a text for nginx holds a dollar sign."""
    texts = [value for _, value in app.http.headers]
    for route in app.routes:
        texts += [value for _, value in (*route.headers, *route.request_headers)]
        texts += [route.redirect, route.root]
    return any("$" in text for text in texts)


def cache_control(seconds: int) -> str:
    """The Cache-Control of files that may change."""
    return f"max-age={seconds}" if seconds else "no-cache"


def block(text: str, columns: int = 0) -> str:
    """The text's lines indented, for a line of their own in the template; nothing for no text."""
    lines = [line for line in text.rstrip("\n").split("\n") if line != _NOTHING]
    if not any(lines):
        return _NOTHING
    return "\n".join(" " * columns + line if line else line for line in lines)


def raw(text: str, columns: int = 0) -> str:
    """Raw text of the spec, on lines of its own with a blank one before it."""
    return "\n" + block(text, columns) if text else _NOTHING


FILTERS: Mapping[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (
        *(
            all_pinned,
            basename,
            bind,
            block,
            cache_control,
            cache_directories,
            compose_healthcheck,
            context,
        ),
        *(
            dockerfile,
            dotenv,
            download,
            duration,
            exposed,
            healthcheck,
            heredoc,
            hooks,
            is_prebuilt,
            json,
            labels,
            mebibytes,
            needs_dollar,
        ),
        *(nginx, numbered, raw, readers, regex, run, run_as, scripts, settled_first, upstreams, workers, yaml),
    )
} | {"sh": shell, "sh_value": shell_value, "sh_words": shell_words, "sh_export": shell_export}

GLOBALS: Mapping[str, Any] = {"limit": 5, "window": 60}
"""How many unexpected ends of a service, within how many seconds, are too many."""


@lru_cache(maxsize=2)
def environment(*, own: bool = False) -> Environment:
    """Jinja's environment for the compiler's templates; for a user's ``own`` in a sandbox.

    Who compiles a spec need not have written it: in continuous integration, it comes from anybody's pull request.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    kind = Environment
    if own:
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        kind = ImmutableSandboxedEnvironment
    jinja = kind(
        loader=FunctionLoader(lambda name: resources.read("templates", name) if name in _names() else None),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # `{#` is the length of a variable in sh.
        comment_start_string="{*",
        comment_end_string="*}",
        autoescape=False,  # nothing here is HTML; each format has a filter of its own
        auto_reload=False,
    )
    jinja.filters.update(FILTERS)
    jinja.globals.update(GLOBALS)
    return jinja


@lru_cache(maxsize=1)
def _names() -> tuple[str, ...]:
    return resources.names("templates")


def digest() -> str:
    """The digest of all templates."""
    names = _names()
    return resources.digest(*names, *(resources.read("templates", name) for name in names))


@lru_cache(maxsize=1)
def compiled() -> templating.Environment | None:
    """The templates as they were compiled ahead, unless one has changed since."""
    try:
        from compiler import _templates, templating
    except ImportError:
        return None
    return templating.Environment(_templates.ROOTS, FILTERS, GLOBALS) if digest() == _templates.SOURCE else None


@lru_cache(maxsize=64)
def _template(name: str, text: str | None) -> Template | templating.Template:
    if text is not None:
        return environment(own=True).from_string(text)
    ahead = compiled()
    return (ahead.find(f"{name}.j2") if ahead else None) or environment().get_template(f"{name}.j2")


def _wanted(name: str, app: App) -> bool:
    return name not in app.disabled and any(output.name == name and output.needed(app) for output in OUTPUTS)


def render(app: App, templates: Mapping[str, str]) -> tuple[GeneratedFile, ...]:
    """Every file that the application needs; ``templates`` are the texts of the user's own, by path."""
    own = dict(app.templates)
    files = []
    for output in OUTPUTS:
        if _wanted(output.name, app):
            template = _template(output.name, templates[own[output.name]] if output.name in own else None)
            files.append(GeneratedFile(output.name, _tidy(template.render(app=app)), output.mode))
    return tuple(files)


def _tidy(text: str) -> str:
    """The text without the lines of empty blocks, with one newline at its end."""
    return re.sub(rf"^ *{_NOTHING}\n?", "", text, flags=re.MULTILINE).strip("\n") + "\n"
