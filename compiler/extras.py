"""Raw text for an output -> what is wrong with it, as far as its format can be checked without its reader."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Finding = tuple[str, str]
"""What is wrong, and what to do."""

_INSTRUCTIONS = frozenset(
    (
        *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER"),
        *("ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
    )
)


def _dockerfile(point: str, text: str) -> Iterator[Finding]:
    continued = False
    first = ""
    for line in text.splitlines():
        words = line.split()
        if not continued and words and not words[0].startswith("#"):
            word = words[0].upper()
            first = first or word
            if word not in _INSTRUCTIONS:
                yield f'"{words[0]}" is no instruction of a Dockerfile', "a command begins with RUN"
            elif word == "FROM" and point != "stages":
                yield "FROM would begin another image", "put whole stages into stages"
        if not (continued and words and words[0].startswith("#")):
            continued = line.rstrip().endswith("\\")
    if continued:
        yield "the last line ends with a backslash and would swallow what follows", "remove the backslash"
    if point == "stages" and first and first not in ("FROM", "ARG"):
        yield "a stage begins with FROM", "begin with FROM image AS name"


# As in ngx_conf_read_token of nginx's ngx_conf_file.c: only where a word begins are quotes, # and } special.
_WORD = r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|#[^\n]*|["\'{};]|(?:\\.|\$\{|[^\s"\'{};#\\])(?:\\.|\$\{|[^\s{;\\])*'


def _nginx(_: str, text: str) -> Iterator[Finding]:
    depth, last = 0, ""
    for token in re.finditer(_WORD, text, re.DOTALL):
        word = token.group()
        if word.startswith("#"):
            continue
        if word in ('"', "'"):
            yield "a quotation is not closed", f"add the missing {word}"
            return
        depth += (word == "{") - (word == "}")
        if depth < 0:
            yield "there is a } too many", "remove it"
            return
        last = word
    if depth:
        yield "a block is not closed", "add the missing }"
    elif last and last not in (";", "}"):
        yield "the last directive does not end", "add the missing ;"


def _supervisord(point: str, text: str) -> Iterator[Finding]:
    import configparser

    parser = configparser.RawConfigParser(inline_comment_prefixes=(" ;", "\t;"), strict=True)
    try:
        parser.read_string(f"[supervisord]\n{text}" if point == "supervisord" else text)
    except configparser.MissingSectionHeaderError:
        yield "it does not begin with a section", "begin with a line such as [program:name]"
    except configparser.Error as error:
        yield f"it cannot be read: {str(error).splitlines()[0]}", "write key=value lines"
    else:
        if point == "supervisord" and len(parser.sections()) > 1:
            yield "a section begins here", "put sections into end"


_ASSIGNMENT = r"\s*(export\s+)?[A-Za-z_][A-Za-z0-9_.-]*\s*="


def _env(_: str, text: str) -> Iterator[Finding]:
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#") and not re.match(_ASSIGNMENT, line):
            yield f'"{line.strip()}" is not NAME=value', "write NAME=value"


def _shell(_: str, text: str) -> Iterator[Finding]:
    if text.rstrip().endswith("\\"):
        yield "the last line ends with a backslash and would swallow what follows", "remove the backslash"
    if re.search(r"^\s*exec\s+\S", text, re.MULTILINE) and not re.search(r"^\s*exec\s+[0-9]*[<>]", text, re.MULTILINE):
        yield "exec would replace entrypoint.sh, so that no service starts", "call the command without exec"


_CHECKS: dict[str, Callable[[str, str], Iterator[Finding]]] = {
    "Dockerfile": _dockerfile,
    "nginx.conf": _nginx,
    "supervisord.conf": _supervisord,
    ".env": _env,
    "entrypoint.sh": _shell,
}


def check_extra(output: str, point: str, text: str) -> Iterator[Finding]:
    """What is wrong with raw text for a point of an output."""
    check = _CHECKS.get(output)
    return check(point, text) if check else iter(())
