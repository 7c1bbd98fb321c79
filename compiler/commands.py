"""What the commands do: options -> output and exit status. Nothing here knows how options are written."""

from __future__ import annotations

import os
import sys
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from compiler import __version__, hatch, load, pipeline, quick, report, resources, write
from compiler.errors import HostError, Mark, Problem, SpecError
from compiler.manifest import Origin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TextIO

    from compiler.drift import Change, Plan
    from compiler.pipeline import Result

FINE, STALE = 0, 1

LARGE = 1000
"""Lines beyond which what changed is counted without regard to order: comparing in order could take minutes."""

_DONE = {"created": "created", "updated": "updated", "removed": "removed", "mode": "changed the mode of"}
_TO_DO = {"created": "missing", "updated": "out of date", "removed": "no longer generated", "mode": "wrong mode"}


class Options(NamedTuple):
    """The options of a compilation."""

    file: str = quick.SPEC
    output: str | None = None
    check: bool = False
    diff: bool = False
    watch: bool = False
    format: str = "human"
    quiet: bool = False
    color: str = "auto"
    force: bool = False
    strict: bool = False

    @property
    def dry(self) -> bool:
        """Whether nothing is to be written."""
        return self.check or self.diff

    @property
    def command(self) -> str:
        """The command that writes what these options compile, for messages that propose it."""
        words = ["appos-compile"]
        words += ["-f", self.file] if self.file != quick.SPEC else []
        words += ["-o", self.output] if self.output else []
        if len(words) == 1:
            return words[0]
        import shlex

        return shlex.join(words)


class Outcome(NamedTuple):
    """What one run came to: its exit status, what goes to stdout and to stderr, and what a watcher wants to know."""

    status: int
    out: str
    err: str
    inputs: tuple[str, ...] = ()
    """Other files that were read, relative to the spec."""
    wrote: bool = False
    directory: str = ""


def run(options: Options) -> int:
    """Compile once and say what came of it; return the exit status of the command."""
    from compiler.guard import complain

    outcome = attempt(options)
    try:
        sys.stdout.write(outcome.out)
        sys.stdout.flush()
    except OSError:
        # The reader's going away, or a full disk behind stdout, does not change what the spec is worth.
        complain(outcome.err)
        if outcome.status:
            return outcome.status
        raise
    complain(outcome.err)
    return outcome.status


def attempt(options: Options) -> Outcome:
    """Compile once, writing to the output directory and nowhere else."""
    try:
        return _compile(options)
    except SpecError as error:
        text = reported(error.problems, options)
        if options.format == "human":
            return Outcome(error.exit_code, "", text, error.inputs)
        return Outcome(error.exit_code, text, "", error.inputs)
    except HostError as error:
        problem = Problem("error", error.message, None, error.hint)
        return Outcome(error.exit_code, _machine((), (problem,), options), refusal(error))


def rejected(error: SpecError, color: str) -> int:
    """Say what is wrong with a spec; return the exit status."""
    from compiler.guard import complain

    complain(reported(error.problems, Options(color=color)))
    return error.exit_code


def stale(result: Result, file: str) -> bool:
    """Whether the outputs are not what the spec compiles to; if so, says what to do."""
    from compiler.guard import complain

    directory = os.path.dirname(file) or "."
    plan = write.plan(os.path.join(directory, result.app.output), result.files, within=directory)
    found = bool(plan.changes or plan.edited or plan.interrupted)
    if found:
        command = Options(file=file).command
        complain(f"error: {result.app.output} is not what {file} compiles to\n  = help: run {command} first\n")
    return found


def deliver(text: str, path: str) -> None:
    """Write a report to a file, or to stdout where none is named; HostError if the file cannot be written."""
    if not path:
        sys.stdout.write(text)
        return
    # A name in an image may be any bytes; those that are no UTF-8 are shown as on stdout.
    content = text.encode("utf-8", "backslashreplace")
    try:
        with open(path, "wb") as file:
            file.write(content)
    except OSError as error:
        raise HostError(f"{path}: {error.strerror or error}") from None


def refusal(error: HostError) -> str:
    """Return the message of an error that is not the spec's."""
    hint = f"  = help: {error.hint}\n" if error.hint else ""
    return f"error: {error.message}\n{hint}"


def nothing_found(arguments: Sequence[str]) -> str:
    """Return the empty report of a run that came to nothing, if the arguments ask for one that a program reads."""
    words = [word for argument in arguments for word in argument.split("=", 1)]
    wanted = words[words.index("--format") + 1 :][:1] if "--format" in words else []
    return reported((), Options(format=wanted[0])) if wanted in (["json"], ["sarif"]) else ""


def colored(wanted: str, stream: TextIO) -> bool:
    """Whether to use colours: ``auto`` is for a terminal that can, unless NO_COLOR speaks against it (no-color.org)."""
    if wanted != "auto":
        return wanted == "always"
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") not in ("", "dumb")


def directory_of(options: Options, output: str) -> str:
    """Where the files go: where ``-o`` says, otherwise beside the spec."""
    return options.output or os.path.join(os.path.dirname(options.file), output)


def _compile(options: Options) -> Outcome:
    inputs = quick.Inputs(options.file)
    result = pipeline.compile_spec(options.file)
    if options.strict and result.warnings:
        text = reported(result.warnings, options)
        human = options.format == "human"
        told = "error: these are errors because of --strict\n"
        return Outcome(SpecError.exit_code, "" if human else text, text + told if human else told, result.inputs)
    directory = directory_of(options, result.app.output)
    within = None if options.output else os.path.dirname(options.file) or "."
    warnings = tuple(_brief(warning, options.file) for warning in result.warnings)
    try:
        if options.dry:
            plan = write.plan(directory, result.files, within=within)
        else:
            origin = Origin(inputs.digest(result.inputs), result.app.output, result.inputs, warnings)
            plan = write.write(directory, result.files, force=options.force, within=within, origin=origin)
    except write.EditedError as error:
        plan, wrote = error.plan, False
    else:
        wrote = not options.dry and bool(plan.changes or plan.edited or plan.interrupted)
    stopped = bool(plan.edited) and not options.force
    drifted = options.check and bool(plan.changes or plan.edited or plan.interrupted)
    status = STALE if drifted or (stopped and not options.dry) else FINE
    told = "" if stopped and not options.dry else "".join(_told(plan, directory, options))
    if wrote and result.app.extra:
        told += f"escape hatches in use: {', '.join(f'{e.output}/{e.point}' for e in result.app.extra)}\n"
    noted = "".join(f"{quick.placed(options.file, warning)}\n" for warning in warnings)
    edits = hatch.edited(directory, plan, result.app, options) if stopped else ""
    if options.format == "human":
        quiet = options.quiet and not status and not options.diff
        return Outcome(status, "" if quiet else told, noted + edits, result.inputs, wrote, directory)
    stale = _annotations(plan, directory, options) if status else ()
    return Outcome(
        status,
        _machine(result.warnings, stale, options),
        (told if status else "") + edits,
        result.inputs,
        wrote,
        directory,
    )


def _machine(problems: Sequence[Problem], others: Sequence[Problem], options: Options) -> str:
    """The report for a program; what is no problem of the spec has no code, so only annotations tell of it."""
    if options.format == "human":
        return ""
    return reported(problems, options) + (report.github(others) if options.format == "github" else "")


def _annotations(plan: Plan, directory: str, options: Options) -> list[Problem]:
    """What a code host shows at files that are not what the spec compiles to."""
    edited = {change.path for change in plan.edited}
    return [
        Problem(
            "edited by hand" if change.path in edited else _TO_DO[change.kind],
            f"{change.path} is not what {options.file} compiles to",
            Mark(os.path.join(directory, change.path), 1, 1),
            f"{options.command} tells how to keep the edit"
            if change.path in edited
            else f"run {options.command} and commit what it writes",
        )
        for change in sorted((*plan.changes, *plan.edited))
    ]


def _brief(problem: Problem, spec: str) -> str:
    place = f"{problem.mark.line}:{problem.mark.column}" if problem.mark else "1:1"
    if problem.mark and problem.mark.file == quick.lock_of(spec):
        place = f"{os.path.basename(problem.mark.file)}:{place}"
    hint = f" ({problem.hint})" if problem.hint else ""
    return report.printable(f"{place}: {problem.severity} {problem.code}: {problem.message}{hint}")


def reported(problems: Sequence[Problem], options: Options) -> str:
    """Return the problems, sorted by place, in the wanted format."""
    ordered = sorted(
        problems, key=lambda p: (p.mark.file, p.mark.line, p.mark.column, p.code) if p.mark else ("", 0, 0, p.code)
    )
    human = options.format == "human"
    request = report.Request(
        ordered,
        _sources(ordered) if human else {},
        {code: entry["title"] for code, entry in codes().items()} if options.format == "sarif" else {},
        __version__,
        colored(options.color, sys.stderr) if human else False,
    )
    return report.REPORTERS[options.format](request)


def _sources(problems: Sequence[Problem]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name in {mark.file for p in problems for mark in (p.mark, *(r.mark for r in p.related)) if mark}:
        try:
            own = name.startswith("schema/") and not os.path.exists(name)
            texts[name] = resources.read(*name.split("/")) if own else load.displayed(load.read(name))
        except (OSError, HostError):
            continue
    return texts


def codes() -> Mapping[str, Mapping[str, str]]:
    """Return the explanations of all codes, by code."""
    document = load.parse(resources.read("schema", "codes.yaml").encode(), "schema/codes.yaml")
    entries: Mapping[str, Mapping[str, str]] = document.data
    return entries


def findings() -> Mapping[str, Mapping[str, str]]:
    """Return the explanations of what inspections find, by code."""
    document = load.parse(resources.read("schema", "inspection.yaml").encode(), "schema/inspection.yaml")
    entries: Mapping[str, Mapping[str, str]] = document.data
    return entries


def _told(plan: Plan, directory: str, options: Options) -> list[str]:
    """The lines that say what was done, or what there is to do."""
    lines = []
    if plan.interrupted:
        end = "" if options.dry else "; this one has finished its work"
        lines.append(f"{directory}: an earlier run was interrupted{end}\n")
    for change in plan.changes:
        name = os.path.join(directory, change.path)
        what = f"{_TO_DO[change.kind]}: {name}" if options.dry else f"{_DONE[change.kind]} {name}"
        lines.append(f"{what} {_numbers(change)}\n")
        if options.diff and change.kind != "mode":
            lines.append(hatch.difference(change, name, color=colored(options.color, sys.stdout)))
    if options.force and not options.dry:
        lines += [f"overwrote {os.path.join(directory, c.path)} {_numbers(c)}, edited by hand\n" for c in plan.edited]
    elif options.dry:
        for c in plan.edited:
            edit = c._replace(before=c.after, after=c.before)
            lines.append(f"edited by hand: {os.path.join(directory, c.path)} {_numbers(edit)}\n")
    lines += [
        f"kept {os.path.join(directory, c.path)}: it is no longer generated, but was edited by hand\n"
        for c in plan.kept
    ]
    if not lines:
        lines.append(quick.sentence(directory, plan.total) + "\n")
    elif options.check and (plan.changes or plan.interrupted) and not plan.edited:
        lines.append(f"To mend it: run {options.command} and commit what it writes\n")
    return lines


def _numbers(change: Change) -> str:
    """Lines added and removed, or the modes."""
    if change.kind == "mode":
        return f"{change.before} -> {change.after}"
    before, after = (change.before or "").splitlines(), (change.after or "").splitlines()
    for _ in range(2):
        # What both begin with, then what both end with: a large file with a small change is quickly compared.
        same = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False))))
        before, after = before[same:][::-1], after[same:][::-1]
    if not before or not after:
        kept = 0
    elif max(len(before), len(after)) > LARGE:
        from collections import Counter

        kept = sum((Counter(before) & Counter(after)).values())
    else:
        from difflib import SequenceMatcher

        matcher = SequenceMatcher(None, before, after, autojunk=False)
        kept = sum(block.size for block in matcher.get_matching_blocks())
    return f"+{len(after) - kept} -{len(before) - kept}"
