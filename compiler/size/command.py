"""The command ``appos-compile size``: options -> exit status."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from compiler import commands, pipeline, write
from compiler.errors import HostError, SpecError
from compiler.image import archive, model, packages
from compiler.size import attribute, budget, compared, display, formats, numbers
from compiler.verify.trial import FLAVOURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from compiler.image.model import Image
    from compiler.model import App
    from compiler.pipeline import Result
    from compiler.size.report import Report

INTERRUPTED = 130


class Options(NamedTuple):
    """The options of a measurement."""

    file: str
    color: str
    image: str = ""
    build: bool = False
    flavours: tuple[str, ...] = ()
    check: bool = False
    against: str = ""
    keep: bool = False
    compressed: bool = False
    format: str = "human"
    output: str = ""
    engine: str | None = None


FORMATS: Mapping[str, Callable[[Report], str]] = {"human": display.human, "json": formats.as_json}


def run(options: Options) -> int:
    """Measure an image; return 0, 1 if it is over its budget, 2 for the spec. HostError: no engine, no such image."""
    compilation = commands.Options(file=options.file, color=options.color)
    try:
        result = pipeline.compile_spec(options.file)
    except SpecError as error:
        sys.stderr.write(commands.reported(error.problems, compilation))
        return error.exit_code
    directory = os.path.dirname(options.file) or "."
    plan = write.plan(os.path.join(directory, result.app.output), result.files, within=directory)
    if options.build and (plan.changes or plan.edited or plan.interrupted):
        sys.stderr.write(
            f"error: {result.app.output} is not what {options.file} compiles to\n"
            f"  = help: run {compilation.command} first\n"
        )
        return 1
    try:
        with _terminated():
            return _run(options, result)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED


def _run(options: Options, result: Result) -> int:
    app = result.app
    if options.check and budget.budget(app) is None:
        sys.stderr.write(
            f"error: {options.file} has no budget to check\n  = help: add one, such as image: {{budget: 100MB}}\n"
        )
        return SpecError.exit_code
    directory = os.path.dirname(options.file) or "."
    file = os.path.join(directory, numbers.path(app))
    report = _compared(options, result, measured(options, result, options.image), file)
    report = report._replace(over=budget.over(report))
    if options.keep:
        with suppress(OSError):
            os.makedirs(os.path.dirname(file), exist_ok=True)
        earlier = numbers.parse(_text(file))
        write_text(file, numbers.render(earlier | {report.flavour: numbers.of(report, app)}))
    short = options.check and options.format == "human"
    text = budget.verdict(report) if short else FORMATS[options.format](report)
    if options.output:
        write_text(options.output, text)
    else:
        sys.stdout.write(text)
    if report.over and options.check and not (short and not options.output):
        sys.stderr.write(budget.verdict(report))
    return int(options.check and bool(report.over))


def _compared(options: Options, result: Result, report: Report, file: str) -> Report:
    """The report with what it is compared with: what was asked for, else the numbers kept last where it is checked."""
    app, reference = result.app, options.against
    directory = os.path.dirname(options.file) or "."
    if not reference:
        before = numbers.parse(_text(file)).get(report.flavour) if options.check else None
        name = numbers.path(app)
    elif archive.local_path(reference) is None and compared.revision(directory, reference):
        name, before = reference, compared.kept(directory, reference, numbers.path(app), report.flavour)
    else:
        other = measured(options._replace(build=False), result, reference)
        name, before = reference, numbers.of(other, app)
    return report._replace(against=numbers.against(name, before, numbers.of(report, app))) if before else report


def measured(options: Options, result: Result, given: str) -> Report:
    """What an archive or an engine has under a name, and whose each byte is."""
    app = result.app
    name = given or app.image.reference
    path = archive.local_path(given) if given else None
    if path is None:
        image, known = _from_engine(options, app, name)
    else:
        with _reading(options, app, name, os.path.getsize(path) if os.path.isfile(path) else None) as how:
            image, known = archive.read_path(path, "", how), attribute.Known()
    flavours = [flavour for flavour in FLAVOURS if not options.flavours or flavour.name in options.flavours]
    texts = {f.name: file.content for f in flavours for file in result.files if file.path == f.dockerfile}
    if not texts:
        raise HostError("the spec switches the Dockerfile off, so nobody can tell what the image was made from")
    return attribute.report(image, app, texts, known, budget.budget(app))


def _from_engine(options: Options, app: App, name: str) -> tuple[Image, attribute.Known]:
    from compiler.image import source
    from compiler.verify import engine as engines

    engine = engines.find(options.engine)
    if options.build:
        directory = os.path.dirname(options.file) or "."
        flavour = next(f for f in FLAVOURS if f.name in (options.flavours or ("production",)))
        output = os.path.join(directory, app.output)
        context = os.path.normpath(os.path.join(output, app.context))
        source.build(engine, os.path.join(output, flavour.dockerfile), context, name)
    said = source.said(engine, name)
    if said is None:
        raise HostError(f"{os.path.basename(engine.client)} has no image {name}", "build it first: --build does")
    with _reading(options, app, name, said.size) as how:
        image = source.read(engine, name, how)
    base = source.said(engine, app.image.base)
    below = base.diff_ids if base else ()
    lowest = len(below) if below and below == said.diff_ids[: len(below)] else None
    return image, attribute.Known(said.layers(image), said.size, lowest)


@contextmanager
def _reading(options: Options, app: App, name: str, total: int | None) -> Iterator[archive.Options]:
    """How to read an image, with a line on the terminal that says how far it has come."""
    live = sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    progress = display.Progress(name, total, live=live)
    looks = {packages.LOOK: model.keep(packages.wanted)}
    compress = options.compressed or budget.compresses(budget.budget(app))
    try:
        yield archive.Options(looks, compress, progress)
    finally:
        progress.close()


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError):
        return ""


def write_text(path: str, text: str) -> None:
    """Write a report to a file; HostError if that cannot be done."""
    try:
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise HostError(f"{path}: {error.strerror or error}") from None


@contextmanager
def _terminated() -> Iterator[None]:
    """A termination ends the client just as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
