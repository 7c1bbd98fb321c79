"""The command ``appos-compile sbom``: options -> exit status."""

from __future__ import annotations

import importlib.util
import os
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

from compiler import commands, pipeline
from compiler.errors import HostError, SpecError
from compiler.image import archive
from compiler.verify.trial import FLAVOURS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compiler.image.model import Image
    from compiler.pipeline import Result
    from compiler.sbom.inventory import Spec
    from compiler.sbom.model import Inventory
    from compiler.sbom.npm import Lock

FORMATS = ("cyclonedx", "spdx", "licences")
LIBRARIES = {"cyclonedx": "cyclonedx", "spdx": "spdx_tools", "licences": "license_expression"}
"""What each format needs to be there."""

TITLE = "org.opencontainers.image.title"
"""The label that every generated Dockerfile sets."""

INTERRUPTED = 130


class Options(NamedTuple):
    """The options of a bill of materials; ``given`` is whether somebody named the spec."""

    file: str
    color: str
    given: bool = False
    image: str = ""
    format: str = "cyclonedx"
    output: str = ""
    engine: str | None = None
    flavours: tuple[str, ...] = ()


def run(options: Options) -> int:
    """Write what an image is made of; return 0, or 2 for the spec. HostError: no library, no engine, no such image."""
    if importlib.util.find_spec(LIBRARIES[options.format]) is None or importlib.util.find_spec("packageurl") is None:
        raise HostError(
            f"the library that writes {options.format} is not installed", "pip install 'appos-compile[sbom]'"
        )
    result = None
    # An image can be described without the spec that it was made from.
    if not options.image or options.given or os.path.exists(options.file):
        try:
            result = pipeline.compile_spec(options.file)
        except SpecError as error:
            sys.stderr.write(
                commands.reported(error.problems, commands.Options(file=options.file, color=options.color))
            )
            return error.exit_code
    from compiler.size.command import write_text

    try:
        text = _text(options, result)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    if options.output:
        write_text(options.output, text)
    else:
        sys.stdout.write(text)
    return 0


def _text(options: Options, result: Result | None) -> str:
    from compiler.sbom import cyclonedx, spdx, table

    writers = {"cyclonedx": cyclonedx.document, "spdx": spdx.document, "licences": table.document}
    return writers[options.format](described(options, result))


def described(options: Options, result: Result | None) -> Inventory:
    """What is in the image that the options name."""
    from compiler.sbom import contents, inventory

    app = result.app if result else None
    packed = {f"{app.share}/packed/{artifact.name}": artifact.compress for artifact in app.packed} if app else {}
    looks = contents.looks(packed, all_files=bool(app and app.artifacts))
    image = _read(options, options.image or (app.image.reference if app else ""), archive.Options(looks))
    spec = _spec(options, result, image) if result and _made_from(result, options, image) else None
    return inventory.inventory(image, spec, _created(image))


def _made_from(result: Result, options: Options, image: Image) -> bool:
    """Whether the image is the spec's: by its label, or because somebody says so."""
    title = dict(result.app.image.labels).get(TITLE)
    if options.given or not options.image or image.labels.get(TITLE) == title:
        return True
    sys.stderr.write(
        f"note: {options.image} was not made from {options.file}, by its label: services and artifacts are left out\n"
        f"  = help: -f {options.file} says that it was\n"
    )
    return False


def _read(options: Options, name: str, how: archive.Options) -> Image:
    from compiler.size import display

    path = archive.local_path(name) if options.image else None
    live = sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    if path is not None:
        progress = display.Progress(name, None, live=live)
        try:
            return archive.read_path(path, "", how._replace(progress=progress))
        finally:
            progress.close()
    from compiler.image import source
    from compiler.verify import engine as engines

    engine = engines.find(options.engine)
    said = source.said(engine, name)
    if said is None:
        raise HostError(f"{engine.client} has no image {name}", "build it first, or name another image or an archive")
    progress = display.Progress(name, said.size, live=live)
    try:
        return source.read(engine, name, how._replace(progress=progress))
    finally:
        progress.close()


def _spec(options: Options, result: Result, image: Image) -> Spec:
    """How the image was made: from that one of the Dockerfiles which fits its history best, unless somebody said so."""
    from compiler.sbom.inventory import Spec
    from compiler.size.steps import origins, steps

    flavours = [flavour for flavour in FLAVOURS if not options.flavours or flavour.name in options.flavours]
    found = [
        (flavour, file.content, origins(steps(result.app, file.content), image.layers, None))
        for flavour in flavours
        for file in result.files
        if file.path == flavour.dockerfile
    ]
    if not found:
        # Switched off under outputs: the image was made from another one.
        return Spec(result.app, origins([], image.layers, 0), _locks(options, result), "local" in options.flavours)
    flavour, text, layers = max(found, key=lambda made: sum(origin.step is not None for origin in made[2]))
    return Spec(result.app, layers, _locks(options, result), flavour.name == "local", text)


def _locks(options: Options, result: Result) -> Mapping[str, tuple[str, Lock]]:
    """The lock files of npm beside the sources of artifacts."""
    from compiler.sbom import npm

    directory = os.path.dirname(options.file) or "."
    found = {}
    for artifact in result.app.artifacts:
        for name in npm.FILES if artifact.build else ():
            shown = os.path.normpath(os.path.join(artifact.build.source if artifact.build else "", name))
            path = os.path.join(directory, shown)
            if not os.path.isfile(path):
                continue
            try:
                if os.path.getsize(path) > npm.LARGEST:
                    raise ValueError("it is too large")  # noqa: TRY301 - one message for all
                with open(path, encoding="utf-8") as file:
                    found[artifact.name] = shown, npm.read(file.read())
            except (OSError, ValueError) as error:
                raise HostError(f"{path} cannot be read as npm's lock file: {error}") from None
            break
    return found


def _created(image: Image) -> datetime:
    """What SOURCE_DATE_EPOCH says, or when the image was made by its own word; otherwise the beginning of time."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch:
        try:
            return datetime.fromtimestamp(int(epoch), timezone.utc)
        except (ValueError, OverflowError, OSError):
            raise HostError(f"SOURCE_DATE_EPOCH is {epoch!r}, and should be a number of seconds") from None
    text = str(image.config.get("created") or "")[:19]
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return datetime.fromtimestamp(0, timezone.utc)
