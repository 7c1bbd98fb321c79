"""Texts of a spec -> what a format makes the same text of again: a filter for each place that a text goes into."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from compiler.values import Secret, Setting, Value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from compiler.model import File, Service

NOTHING = "\x00"
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


_LIKE_END = re.compile(r"^E(N(D_*)?)?[^\x00-\x7f]", re.MULTILINE)
"""A line that begins like the end of a here-document: dash 0.5.12 loses the byte after that, if it is not ASCII."""


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
    if not body.endswith("\n") or _LIKE_END.search(body):
        # A here-document would end in a line end that the content has not, or lose a byte of it.
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


def download(family: str, url: str) -> str:
    """The command that fetches a URL to the file ``download``."""
    address = '"' + url.replace("$", "\\$").replace("`", "\\`").replace("{arch}", "${TARGETARCH}") + '"'
    return f"wget -q -O download {address}" if family == "alpine" else f"curl -fsSLg -o download {address}"


def cache_control(seconds: int) -> str:
    """The Cache-Control of files that may change."""
    return f"max-age={seconds}" if seconds else "no-cache"


def block(text: str, columns: int = 0) -> str:
    """The text's lines indented, for a line of their own in the template; nothing for no text."""
    lines = [line for line in text.rstrip("\n").split("\n") if line != NOTHING]
    if not any(lines):
        return NOTHING
    return "\n".join(" " * columns + line if line else line for line in lines)


def raw(text: str, columns: int = 0) -> str:
    """Raw text of the spec, on lines of its own with a blank one before it."""
    return "\n" + block(text, columns) if text else NOTHING
