"""The command ``appos-compile size``: options -> exit status."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from compiler import commands, pipeline
from compiler.errors import HostError, SpecError
from compiler.guard import INTERRUPTED, interruptible
from compiler.image import archive, model, packages
from compiler.size import advice, attribute, budget, compared, contents, display, formats, markdown, numbers, treemap
from compiler.size.steps import dockerfiles
from compiler.verify.trial import FLAVOURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from compiler.image.model import Image
    from compiler.model import App
    from compiler.pipeline import Result
    from compiler.size.numbers import Numbers
    from compiler.size.report import Report


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


FORMATS: Mapping[str, Callable[[Report], str]] = {
    "human": display.human,
    "json": formats.as_json,
    "markdown": markdown.text,
    "html": treemap.page,
}


def run(options: Options) -> int:
    """Measure an image; return 0, 1 if it is over its budget, 2 for the spec. HostError: no engine, no such image."""
    try:
        result = pipeline.compile_spec(options.file)
    except SpecError as error:
        return commands.rejected(error, options.color)
    if options.build and commands.stale(result, options.file):
        return 1
    try:
        with interruptible():
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
    file = os.path.normpath(os.path.join(directory, numbers.path(app)))
    if options.keep:
        # What cannot be read is not written over; better known before the image is read.
        _kept(file)
    report = _compared(options, result, measured(options, result, options.image), file)
    report = report._replace(over=budget.over(report))
    if options.keep:
        with suppress(OSError):
            os.makedirs(os.path.dirname(file), exist_ok=True)
        commands.deliver(numbers.render(_kept(file) | {report.flavour: numbers.of(report, app)}), file)
    short = options.check and options.format == "human"
    text = budget.verdict(report) if short else FORMATS[options.format](report)
    commands.deliver(text, options.output)
    if report.over and options.check and not (short and not options.output):
        sys.stderr.write(budget.verdict(report))
    return int(options.check and bool(report.over))


def _compared(options: Options, result: Result, report: Report, file: str) -> Report:
    """The report with what it is compared with: what was asked for, else the numbers kept last where it is checked."""
    app, reference = result.app, options.against
    directory = os.path.dirname(options.file) or "."
    if not reference:
        before = _kept_if_possible(file).get(report.flavour) if options.check else None
        name = numbers.path(app)
    elif archive.local_path(reference) is None and compared.revision(directory, reference):
        name, before = reference, compared.kept(directory, reference, numbers.path(app), report.flavour)
    else:
        name, before = reference, numbers.of(_other(options, result, directory), app)
    return report._replace(against=numbers.against(name, before, numbers.of(report, app))) if before else report


def _other(options: Options, result: Result, directory: str) -> Report:
    """The image to compare with; HostError says so where the name is no image's and no revision's either."""
    reference = options.against
    try:
        return measured(options._replace(build=False), result, reference)
    except HostError as error:
        if archive.local_path(reference) is not None:
            raise
        reason, hint = compared.unknown(directory)
        raise HostError(
            f"{reference} is neither a revision ({reason}) nor an image that can be read ({error.message})", hint
        ) from None


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
    texts = dockerfiles(result, options.flavours)
    if not texts:
        raise HostError("the spec switches the Dockerfile off, so nobody can tell what the image was made from")
    report = attribute.report(image, app, texts, known, budget.budget(app))
    return report._replace(advice=advice.advice(image, app, report))


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
    looks = {packages.LOOK: model.keep(packages.wanted), contents.LOOK: contents.look(advice.served(app))}
    lasting = options.format in ("markdown", "html")
    compress = options.compressed or lasting or budget.compresses(budget.budget(app))
    with display.progress(name, total) as progress:
        yield archive.Options(looks, compress, progress)


def _kept(file: str) -> dict[str, Numbers]:
    """The numbers of each flavour that were kept last; HostError if they are there and cannot be read."""
    try:
        with open(file, encoding="utf-8") as opened:
            return numbers.read(opened.read())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise HostError(f"{file}: {error.strerror or error}") from None
    except ValueError as error:
        hint = "finish the merge that left it so, or remove it: --keep writes it anew"
        raise HostError(f"the numbers kept in {file} cannot be read: {error}", hint) from None


def _kept_if_possible(file: str) -> dict[str, Numbers]:
    """The same, with a warning in place of the error: an image can be checked without knowing what grew."""
    try:
        return _kept(file)
    except HostError as error:
        sys.stderr.write(commands.refusal(error).replace("error:", "warning:", 1))
        return {}
