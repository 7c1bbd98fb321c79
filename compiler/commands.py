"""What the commands do: options -> output and exit status. Nothing here knows how options are written."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from compiler import __version__, hatch, load, pipeline, quick, report, resources, write
from compiler.errors import HostError, SpecError
from compiler.manifest import Origin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compiler.drift import Change, Plan
    from compiler.errors import Problem

FINE, STALE = 0, 1


class Options(NamedTuple):
    """The options of a compilation."""

    file: str = quick.SPEC
    output: str | None = None
    check: bool = False
    diff: bool = False
    watch: bool = False
    format: str = "human"
    quiet: bool = False
    color: bool = False
    force: bool = False
    strict: bool = False


class Outcome(NamedTuple):
    """What one run came to: its exit status, what goes to stdout and to stderr, and the files that were read."""

    status: int
    out: str
    err: str
    inputs: tuple[str, ...]


def run(options: Options) -> int:
    """Compiles once and says what came of it; the exit status is that of the command."""
    outcome = attempt(options)
    sys.stdout.write(outcome.out)
    sys.stdout.flush()
    sys.stderr.write(outcome.err)
    return outcome.status


def attempt(options: Options) -> Outcome:
    """Compiles once, writing to the output directory and nowhere else."""
    try:
        return _compile(options)
    except SpecError as error:
        text = reported(error.problems, options)
        human = options.format == "human"
        return Outcome(error.exit_code, "" if human else text, text if human else "", ())
    except HostError as error:
        hint = f"\n  = help: {error.hint}" if error.hint else ""
        return Outcome(error.exit_code, "" if options.format == "human" else reported((), options), f"error: {error.message}{hint}\n", ())


def directory_of(options: Options, output: str) -> str:
    """Where the files go: where ``-o`` says, otherwise beside the spec."""
    return options.output or os.path.join(os.path.dirname(options.file), output)


def _compile(options: Options) -> Outcome:
    inputs = quick.Inputs(options.file)
    result = pipeline.compile_spec(options.file)
    if options.strict and result.warnings:
        raise SpecError(result.warnings)
    directory = directory_of(options, result.app.output)
    within = None if options.output else os.path.dirname(options.file) or "."
    warnings = tuple(_brief(warning) for warning in result.warnings)
    dry = options.check or options.diff
    if dry:
        plan = write.plan(directory, result.files, within=within)
    else:
        origin = Origin(inputs.digest(result.inputs), result.app.output, result.inputs, warnings)
        try:
            plan = write.write(directory, result.files, force=options.force, within=within, origin=origin)
        except write.EditedError as error:
            told = hatch.edited(directory, error.plan, options.file, color=options.color)
            return Outcome(error.exit_code, "" if options.format == "human" else reported(result.warnings, options), told, result.inputs)
    human = options.format == "human"
    out = "" if options.quiet and not options.diff else "".join(_told(plan, directory, options, [e.output + "/" + e.point for e in result.app.extra]))
    noted = "".join(f"{options.file}:{warning}\n" for warning in warnings)
    status = STALE if dry and (plan.changes or plan.edited or plan.interrupted) and options.check else FINE
    return Outcome(
        status,
        out if human else reported(result.warnings, options),
        noted if human else "" if not status else out,
        result.inputs,
    )


def _brief(problem: Problem) -> str:
    place = f"{problem.mark.line}:{problem.mark.column}" if problem.mark else "1:1"
    hint = f" ({problem.hint})" if problem.hint else ""
    return report.printable(f"{place}: {problem.severity} {problem.code}: {problem.message}{hint}")


def reported(problems: Sequence[Problem], options: Options) -> str:
    """The problems, sorted by place, in the wanted format."""
    ordered = sorted(problems, key=lambda p: (p.mark.file, p.mark.line, p.mark.column, p.code) if p.mark else ("", 0, 0, p.code))
    titles = codes() if options.format == "sarif" else {}
    request = report.Request(ordered, _sources(ordered), {code: entry["title"] for code, entry in titles.items()}, __version__, options.color)
    return report.REPORTERS[options.format](request)


def _sources(problems: Sequence[Problem]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name in {mark.file for p in problems for mark in (p.mark, *(r.mark for r in p.related)) if mark}:
        try:
            texts[name] = resources.read(*name.split("/")) if name.startswith("schema/") else load.displayed(load.read(name))
        except (OSError, HostError):
            continue
    return texts


def codes() -> Mapping[str, Mapping[str, str]]:
    """The explanations of all codes, by code."""
    document = load.parse(resources.read("schema", "codes.yaml").encode(), "schema/codes.yaml")
    entries: Mapping[str, Mapping[str, str]] = document.data
    return entries


def _told(plan: Plan, directory: str, options: Options, hatches: Sequence[str]) -> list[str]:
    lines = []
    if plan.interrupted:
        lines.append(f"{directory}: an earlier run was interrupted{'' if options.check or options.diff else '; this one has finished its work'}\n")
    verb = {"created": "created", "updated": "updated", "removed": "removed", "mode": "mode of"}
    for change in plan.changes:
        added, removed = _counts(change)
        numbers = f" +{added} -{removed}" if change.kind != "mode" else f" {change.before} -> {change.after}"
        lines.append(f"{'would be ' if options.check or options.diff else ''}{verb[change.kind]} {os.path.join(directory, change.path)}{numbers}\n")
        if options.diff:
            lines.append(hatch.difference(change, os.path.join(directory, change.path), color=options.color))
    if options.check or options.diff:
        for change in plan.edited:
            lines.append(f"edited by hand {os.path.join(directory, change.path)}\n")
            if options.diff:
                lines.append(hatch.difference(change, os.path.join(directory, change.path), color=options.color))
    lines += [f"kept {os.path.join(directory, change.path)}: it is no longer generated, but was edited by hand\n" for change in plan.kept]
    if not lines:
        lines.append(quick.sentence(directory, plan.total) + "\n")
    elif options.check:
        command = "appos-compile" if options.file == quick.SPEC else f"appos-compile -f {options.file}"
        lines.append(f"out of date: run {command} and commit what it writes\n")
    if hatches and plan.changes:
        lines.append(f"escape hatches in use: {', '.join(sorted(hatches))}\n")
    return lines


def _counts(change: Change) -> tuple[int, int]:
    """Lines added and removed."""
    if change.kind == "mode":
        return 0, 0
    from difflib import SequenceMatcher

    before, after = (change.before or "").splitlines(), (change.after or "").splitlines()
    if not before or not after:
        return len(after), len(before)
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    kept = sum(block.size for block in blocks)
    return len(after) - kept, len(before) - kept


def watch(options: Options) -> int:
    """Compiles now and whenever the spec or a file it names changes, until Ctrl-C."""
    import time

    seen: object = None
    inputs: tuple[str, ...] = ()
    said = ""
    try:
        while True:
            state = [_stamp(path) for path in (options.file, *(os.path.join(os.path.dirname(options.file), path) for path in inputs))]
            if state != seen:
                seen = state
                outcome = attempt(options)
                inputs = outcome.inputs or inputs
                told = outcome.out + outcome.err
                if said and outcome.status == FINE and "error" in said:
                    sys.stdout.write("no problems any more\n")
                if told != said:
                    sys.stdout.write(told)
                    sys.stdout.flush()
                said = told
                state = [_stamp(path) for path in (options.file, *(os.path.join(os.path.dirname(options.file), path) for path in inputs))]
                seen = state
            time.sleep(INTERVAL)
    except KeyboardInterrupt:
        return FINE


INTERVAL = 0.01
"""Seconds between two looks at the files: a stat costs microseconds, and every platform has it."""


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
