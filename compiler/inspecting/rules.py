"""The facts of a file and an image -> what keeps the file from running there, each with a code and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from compiler.inspecting import facts as reading
from compiler.inspecting import scripts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiler.inspecting.facts import Facts
    from compiler.inspecting.images import Image

LIBRARIES = 500
"""Libraries that are looked at for one file."""

SHOWN = 3
"""Symbols that a message names."""


NO_PROGRAMS = {
    "object": "an object file that was not linked",
    "core": "the memory of a program that crashed",
    "other": "",
}
"""Kinds of files that nobody can execute, and what they are where the file itself does not tell."""


class Finding(NamedTuple):
    """Something that is wrong with a file, in the user's words."""

    code: str
    path: str
    message: str
    hint: str


class Expected(NamedTuple):
    """What the spec, or who asks, says of a file."""

    run: bool = True
    """Whether it is to be executed, not only kept or loaded."""
    libc: str = ""
    mode: str = ""
    """The mode that the spec gives it."""
    barred: tuple[str, ...] = ()
    """Accounts whose services run it, and that may not read it."""
    where: str = "the artifact"
    alone: bool = True
    """Whether this one file is all of it, so that what is said of the artifact is said of the file."""


def missing(path: str) -> Finding:
    """What is wrong where there is no file."""
    hint = "correct the command, or what the artifact brings"
    return Finding("B123", path, "a service runs it, and it is not there", hint)


def check(facts: Facts, image: Image, expected: Expected) -> Iterator[Finding]:
    """Everything that is wrong with a file for an image."""
    unfit = _form(facts, expected) or _platform(facts, image)
    if unfit:
        yield unfit
    elif facts.kind in ("executable", "library"):
        yield from _linked(facts, image, expected)
        yield from _run(facts, expected)
    elif facts.kind == "script" and expected.run:
        yield from _script(facts, image)
        yield from _run(facts, expected)


def _form(facts: Facts, expected: Expected) -> Finding | None:
    """Whether it is whole, and what it should be."""
    code, message, hint = "", "", ""
    if facts.truncated:
        code, message = "B102", f"its end is missing: {facts.truncated}"
        hint = "get it again, and compare its checksum"
    elif facts.damage:
        code, message = "B103", f"it is damaged: {facts.damage}"
        hint = "get or build it again, and compare its checksum"
    elif facts.kind in NO_PROGRAMS and expected.run:
        code, message = "B101", f"it is no executable, but {NO_PROGRAMS[facts.kind] or facts.look}"
        hint = facts.advice or "get it again, and look at what came"
        hint += "" if expected.alone else "; where nothing runs it, name it under uninspected"
    return Finding(code, facts.path, message, hint) if code else None


def _platform(facts: Facts, image: Image) -> Finding | None:
    """Whether it is for the system and the processor of the image."""
    if facts.kind not in ("executable", "library"):
        return None
    if facts.system != "linux":
        message = f"it is for {facts.system}, not for Linux"
        return Finding("B105", facts.path, message, "take or build the one for Linux")
    if facts.machine != image.machine:
        message = f"it is for {facts.machine}, and the image is for {image.machine}"
        return Finding("B104", facts.path, message, f"take or build the one for linux/{image.machine}")
    return None


def _run(facts: Facts, expected: Expected) -> Iterator[Finding]:
    if not expected.run or facts.kind == "library":
        return
    mode = int(expected.mode, 8) if expected.mode else 0o755 if facts.run else 0o644
    if not mode & 0o111:
        hint = f"write mode: '0755' in {expected.where}"
        if not expected.mode:
            hint = f"chmod +x it, or add mode: '0755' to {expected.where}"
        yield Finding("B122", facts.path, "nobody may execute it: the run bit is missing", hint)
    elif facts.kind == "script" and expected.barred:
        message = f"{expected.barred[0]}, whose service runs it, may not read it, as its interpreter has to"
        yield Finding("B122", facts.path, message, f"write mode: '0755' in {expected.where}")


def _script(facts: Facts, image: Image) -> Iterator[Finding]:
    if facts.carriage_return:
        message = "its lines end as on Windows, so that the kernel looks for an interpreter whose name ends in a CR"
        yield Finding("B121", facts.path, message, "save it with the line endings of Unix, as git does with eol=lf")
    wanted = facts.interpreter
    if not wanted:
        yield Finding("B120", facts.path, "its first line names no interpreter", "write #!/bin/sh, or what runs it")
        return
    if not wanted.startswith("/"):
        hint = f"write #!/usr/bin/env {wanted.rpartition('/')[2]}"
        yield Finding("B120", facts.path, f"its interpreter {wanted} is no absolute path", hint)
        return
    if image.program(wanted) is False:
        yield _absent(facts, wanted, image)
    elif wanted.endswith("/env"):
        yield from _env(facts, image)


def _absent(facts: Facts, name: str, image: Image) -> Finding:
    bare = name.rpartition("/")[2]
    package = image.package(bare)
    hint = f"add {package} to image.packages" if package else "install it, or write the script for another"
    if image.program(bare):
        hint = f"write #!/usr/bin/env {bare}" if bare != "env" else "write #!/usr/bin/env"
    return Finding("B120", facts.path, f"{image.name} has no program {name}, which its first line names", hint)


def _env(facts: Facts, image: Image) -> Iterator[Finding]:
    """The kernel gives env one argument, whatever it holds, and only some take it apart."""
    argument = facts.argument.replace("\r", "")
    program, split = scripts.started(argument)
    splits = image.splits(facts.interpreter)
    several = not split and bool(argument.split()[1:])
    direct = "write the path of the interpreter, which may have one argument, instead of env"
    message, hint = "", ""
    if split and splits is False:
        message = f"env in {image.name} has no -S, which its first line asks for"
        hint = f"add coreutils to image.packages, or {direct}"
    elif several and program is not None:
        message = f'env takes "{argument}" for one word, and finds no such program'
        hint = direct if splits is False else f"write #!/usr/bin/env -S {argument}"
    elif program == "":
        message = f"env finds no program in its first line: {argument or 'there is nothing more in it'}"
        hint = "write the name of the interpreter after env"
    if message:
        yield Finding("B120", facts.path, message, hint)
    elif program and image.program(program) is False:
        yield _absent(facts, program, image)


def _linked(facts: Facts, image: Image, expected: Expected) -> Iterator[Finding]:
    def found(code: str, message: str, hint: str) -> Finding:
        return Finding(code, facts.path, message, hint)

    loader = image.program(facts.interpreter) if facts.interpreter else None
    if facts.libc == "glibc" and image.libc == "musl" and expected.libc != "glibc" and not loader:
        # Libraries come along with a single program only.
        declared = expected.alone and facts.kind == "executable"
        hint = (
            f"add libc: glibc to {expected.where}, which brings its libraries along, or build it for musl"
            if declared
            else "take or build the one for musl; where nothing loads it on this base, name it under uninspected"
        )
        yield found("B110", f"it is linked against glibc, and {image.name} has musl", hint)
    elif facts.libc == "musl" and image.libc == "glibc" and not loader:
        hint = "build it for glibc or statically, or use an Alpine base"
        yield found("B111", f"it is linked against musl, and {image.name} has glibc", hint)
    elif expected.libc and facts.libc not in ("", "static", expected.libc):
        hint = f"write libc: {facts.libc}, or build it as it says there"
        yield found("B112", f"it is linked against {facts.libc}, and {expected.where} says libc: {expected.libc}", hint)
    elif facts.interpreter and loader is False:
        hint = "install what has it, or build for the C library that the image has"
        yield found("B113", f"its loader {facts.interpreter} is not in {image.name}", hint)
    else:
        yield from _libraries(facts, image)


def _libraries(facts: Facts, image: Image) -> Iterator[Finding]:
    """Whether every library is there, theirs too, with every symbol version that is asked of it."""
    there: dict[str, Facts | str | None] = {}
    waiting: list[tuple[Facts, ...]] = [(facts,)]
    while waiting and len(there) < LIBRARIES:
        chain = waiting.pop(0)
        wanting = chain[0]
        by = "" if wanting is facts else f", which {wanting.soname or wanting.path} needs,"
        for name in wanting.needed:
            if name in there:
                continue
            # A library that says nothing of its C library has that of the program.
            asking = (wanting._replace(libc=wanting.libc or facts.libc), *chain[1:])
            there[name] = found = image.library(name, asking)
            if found is None:
                package = image.package(name)
                hint = (
                    f"add {package} to image.packages"
                    if package
                    else "install the package that has it, or link statically"
                )
                yield Finding("B114", facts.path, f"its library {name}{by} is not in {image.name}", hint)
            elif found and not isinstance(found, str) and found.path != facts.path:
                waiting.append((found, *chain))
        yield from _versions(wanting, facts, there, image)
    if not any(found == "" or found is None for found in there.values()):
        yield from _symbols(facts, [found for found in there.values() if found and not isinstance(found, str)], image)


def _versions(wanting: Facts, facts: Facts, there: dict[str, Facts | str | None], image: Image) -> Iterator[Finding]:
    missing: dict[str, list[str]] = {}
    for need in wanting.needs:
        library = there.get(need.library)
        if need.weak or library is None:
            continue
        offered = (
            image.offers(need.library, need.version) if isinstance(library, str) else need.version in library.versions
        )
        if offered is False:
            missing.setdefault(need.library, []).append(need.version)
    for name, versions in missing.items():
        by = "" if wanting is facts else f" by {wanting.soname or wanting.path}"
        hint = "build it on an older system, or use a newer base"
        yield Finding(
            "B115",
            facts.path,
            f"{', '.join(versions)} is wanted{by} of {name}, and the one in {image.name} has it not",
            hint,
        )


def _symbols(facts: Facts, libraries: list[Facts], image: Image) -> Iterator[Finding]:
    """Without versions, what counts are the symbols themselves."""
    if not facts.wanted:
        return
    missing = facts.wanted
    for library in libraries:
        left = reading.lacking(library.path, missing)
        if left is None:
            return
        missing = left
    if missing:
        named = ", ".join(missing[:SHOWN]) + (f" and {len(missing) - SHOWN} more" if missing[SHOWN:] else "")
        hint = "build it on the release that the image has, or use a newer base"
        yield Finding("B116", facts.path, f"{named} is in no library of {image.name}", hint)
