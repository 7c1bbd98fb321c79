"""The command ``appos-compile inspect``: options -> exit status."""

from __future__ import annotations

import json
import os
import platform
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from compiler import assemble, commands, libraries, load, pipeline, report, resources
from compiler.errors import Problem, SpecError
from compiler.inspecting import facts as reading
from compiler.inspecting import rules, targets
from compiler.inspecting.facts import Facts
from compiler.inspecting.images import Base, Root, is_plain, release_of
from compiler.inspecting.trees import Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from compiler.inspecting.images import Image
    from compiler.inspecting.rules import Finding
    from compiler.inspecting.targets import Target
    from compiler.model import App

MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386"}
"""What Linux calls a processor, and what platforms call it, where these differ."""

FORMATS = ("human", "json")


class Options(NamedTuple):
    """The options of an inspection."""

    file: str
    color: str
    paths: tuple[str, ...] = ()
    base: str = ""
    platform: str = ""
    root: str = ""
    format: str = "human"


class Inspected(NamedTuple):
    """A file, what it is, and what is wrong with it."""

    target: Target
    facts: Facts
    findings: tuple[Finding, ...]


def run(options: Options) -> int:
    """Inspect what is named, or what the spec takes ready-made; return 0, 1 for findings, 2 for the spec.

    HostError where something cannot be read; ValueError for options that make no sense, in words for the user.
    """
    app = None
    where = options.base or options.root
    if not options.paths if where else (not options.paths or os.path.exists(options.file)):
        try:
            app = pipeline.compile_spec(options.file).app
        except SpecError as error:
            return commands.rejected(error, options.color)
    if not app and not options.base and not options.root:
        raise ValueError(
            f"there is no {options.file} to say where the file goes: add --base, such as alpine:3.19, or --root"
        )
    found = list(_inspected(_targets(options, app), options, app))
    if options.format == "json":
        sys.stdout.write(_json(found))
    else:
        _human(found, options, app)
    return int(any(one.findings for one in found))


def _targets(options: Options, app: App | None) -> Iterable[Target]:
    if not app:
        return targets.named(options.paths)
    ready = list(targets.ready_made(app, os.path.dirname(options.file) or "."))
    if not options.paths:
        return ready
    known = {os.path.realpath(target.file): target for target in ready}
    return [known.get(os.path.realpath(target.file), target) for target in targets.named(options.paths)]


def _inspected(wanted: Iterable[Target], options: Options, app: App | None) -> Iterator[Inspected]:
    for target in wanted:
        if not os.path.exists(target.file):
            yield Inspected(target, Facts(target.shown, "other", "nothing"), (rules.missing(target.shown),))
            continue
        facts = reading.read(target.file, target.shown)
        findings: list[Finding] = []
        for image in _images(facts, target, options, app):
            # What an image lacks is looked for beside the file as it lies here.
            seen = facts._replace(path=os.path.realpath(target.file))
            findings += (finding._replace(path=target.shown) for finding in rules.check(seen, image, target.expected))
        yield Inspected(target, facts, tuple(dict.fromkeys(findings)))


def _images(facts: Facts, target: Target, options: Options, app: App | None) -> Iterator[Image]:
    """What the file has to run on: one image, or one for each platform that nothing else is made for."""
    directory = os.path.dirname(options.file) or "."
    tree = Tree(installed=tuple(targets.installed(app, directory)) if app else (), beside=target.beside)
    base = _base(options.base or (app.image.base if app else ""), app, target)
    if options.root:
        root = Root(options.root, base, tree)
        if options.platform:
            root.machine = machine(options.platform)
        yield root
        return
    if not base:
        return
    artifact = target.artifact
    platforms = [machine(name) for name in app.image.platforms] if app and not options.platform else []
    if artifact and (artifact.build or artifact.copy or artifact.fetch) and facts.machine in platforms:
        # What stands in for a build is there for the machine of whoever builds.
        platforms = [facts.machine]
    for name in platforms or [machine(options.platform) if options.platform else _own()]:
        yield base._replace(machine=name, tree=tree)


def _base(name: str, app: App | None, target: Target) -> Base | None:
    if not name:
        return None
    families = _data("families.yaml")
    family = app.image.family.name if app and name == app.image.base else assemble.family_of(name, families)
    if family is None:
        raise ValueError(f"whether {name} is made from Alpine, Debian or Ubuntu cannot be told from its name")
    known, libc = libraries.known(family), families[family]["libc"]
    artifact = target.artifact
    closure = artifact.libraries if artifact and artifact.libc == "glibc" != libc else ""
    # What a user's own lines in the Dockerfile put there, nobody knows.
    own = app and "Dockerfile" in (*(extra.output for extra in app.extra), *(name for name, _ in app.templates))
    plain = is_plain(name, families[family]["images"]) and not own
    packages = app.packages if app else ()
    return Base(name, family, libc, "", known, release_of(name, known), packages, closure, plain=plain)


def _data(name: str) -> Any:
    return load.parse(resources.read("schema", name).encode(), f"schema/{name}").data


def machine(name: str) -> str:
    """The processor of a platform such as linux/amd64; ValueError where it is none for Linux."""
    system, _, processor = name.partition("/")
    if system != "linux" or not processor:
        raise ValueError(f"{name} is no platform: write linux/amd64, or linux/arm64")
    return processor.partition("/")[0]


def _own() -> str:
    return MACHINES.get(platform.machine(), platform.machine())


def _human(found: Sequence[Inspected], options: Options, app: App | None) -> None:
    if not found:
        missing = ", ".join(artifact.prebuilt for artifact in app.artifacts if artifact.prebuilt) if app else ""
        sys.stdout.write(f"nothing to inspect: {missing or 'no ready-made file'} is not there\n")
    for one in found:
        if not one.findings:
            sys.stdout.write(f"ok  {report.printable(one.target.shown)}: {report.printable(described(one.facts))}\n")
    sys.stdout.flush()
    problems = [
        Problem(finding.code, f"{finding.path}: {finding.message}", one.target.mark, finding.hint)
        for one in found
        for finding in one.findings
    ]
    sys.stderr.write(commands.reported(problems, commands.Options(file=options.file, color=options.color)))


def described(facts: Facts) -> str:
    """What a file is, in a line."""
    if facts.kind == "script":
        return f"script for {facts.interpreter} {facts.argument}".rstrip()
    if facts.kind == "other":
        return facts.look
    libc = {"": "no C library", "static": "static"}.get(facts.libc, facts.libc)
    parts = [facts.kind, facts.machine, libc]
    parts += [f"needs {', '.join(facts.needed)}"] if facts.needed else []
    return ", ".join(parts)


def _json(found: Sequence[Inspected]) -> str:
    return json.dumps([_item(one) for one in found], indent=2) + "\n"


def _item(one: Inspected) -> dict[str, Any]:
    facts, mark = one.facts, one.target.mark
    return {
        "file": one.target.shown,
        "kind": facts.kind,
        "machine": facts.machine or None,
        "libc": facts.libc or None,
        "interpreter": facts.interpreter or None,
        "needed": list(facts.needed),
        "versions": [f"{need.library}: {need.version}" for need in facts.needs],
        "spec": {"file": mark.file, "line": mark.line, "column": mark.column} if mark else None,
        "problems": [
            {"code": finding.code, "severity": "error", "message": finding.message, "hint": finding.hint}
            for finding in one.findings
        ],
    }
