"""The command ``appos-compile size``: options -> exit status."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from compiler import commands, pipeline, write
from compiler.errors import HostError, SpecError
from compiler.image import archive, model, packages
from compiler.size import attribute, budget, display, formats
from compiler.verify.trial import BUILD_SECONDS, FLAVOURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from compiler.image.model import Image
    from compiler.model import App
    from compiler.pipeline import Result
    from compiler.size.report import Report
    from compiler.verify.engine import Engine

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
    try:
        with _terminated():
            return _run(options, result)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED


def _run(options: Options, result: Result) -> int:
    report = measured(options, result, options.image)
    text = FORMATS[options.format](report)
    if options.output:
        write_text(options.output, text)
    else:
        sys.stdout.write(text)
    return 0


def measured(options: Options, result: Result, given: str) -> Report:
    """What an archive or an engine has under a name, and whose each byte is."""
    app = result.app
    name = given or app.image.reference
    looks = {packages.LOOK: model.keep(packages.wanted)}
    path = archive.local_path(given) if given else None
    live = sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    compress = options.compressed or app.image.budget_compressed is not None
    if path is not None:
        progress = display.Progress(name, None, live=live)
        try:
            image = archive.read_path(path, "", archive.Options(looks, compress, progress))
        finally:
            progress.close()
        return _attributed(image, result, attribute.Known(), options)
    from compiler.image import source
    from compiler.verify import engine as engines

    engine = engines.find(options.engine)
    if options.build:
        _build(engine, options, app, name)
    said = source.said(engine, name)
    if said is None:
        raise HostError(f"{engine.client} has no image {name}", "build it first: --build does")
    progress = display.Progress(name, said.size, live=live)
    try:
        image = source.read(engine, name, archive.Options(looks, compress, progress))
    finally:
        progress.close()
    base = source.said(engine, app.image.base)
    known = base is not None and base.diff_ids == said.diff_ids[: len(base.diff_ids)]
    return _attributed(
        image,
        result,
        attribute.Known(said.layers(image), said.size, len(base.diff_ids) if base and known else None),
        options,
    )


def _attributed(image: Image, result: Result, known: attribute.Known, options: Options) -> Report:
    names = [flavour.dockerfile for flavour in FLAVOURS if not options.flavours or flavour.name in options.flavours]
    texts = [file.content for name in names for file in result.files if file.path == name]
    return attribute.report(image, result.app, texts, known, budget.budget(result.app))


def _build(engine: Engine, options: Options, app: App, name: str) -> None:
    directory = os.path.dirname(options.file) or "."
    flavour = next(f for f in FLAVOURS if f.name in (options.flavours or ("production",)))
    output = os.path.join(directory, app.output)
    context = os.path.normpath(os.path.join(output, app.context))
    words = ("build", "-f", os.path.join(output, flavour.dockerfile), "-t", name, context)
    engine.tell(*words, timeout=BUILD_SECONDS)


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
