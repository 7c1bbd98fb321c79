"""The command ``appos-compile sbom``: options -> exit status."""

from __future__ import annotations

import importlib
import os
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

from compiler import commands, pipeline
from compiler.errors import HostError, SpecError
from compiler.guard import INTERRUPTED
from compiler.image import archive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compiler.image.model import Image
    from compiler.pipeline import Result
    from compiler.sbom.inventory import Spec
    from compiler.sbom.model import Inventory
    from compiler.sbom.npm import Lock

FORMATS = ("cyclonedx", "spdx", "licences")
LIBRARIES = {
    "cyclonedx": ("packageurl", "cyclonedx", "jsonschema.validators", "referencing.jsonschema"),
    "spdx": ("packageurl", "spdx_tools"),
    "licences": ("packageurl", "license_expression"),
}
"""What each format needs to be there; CycloneDX asks for the last two only when a document is checked."""

TITLE = "org.opencontainers.image.title"
"""The label that every generated Dockerfile sets."""


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
    try:
        for library in LIBRARIES[options.format]:
            importlib.import_module(library)
    except ImportError as error:
        raise HostError(
            f"a library that writes {options.format} is not installed: {error}", "pip install 'appos-compile[sbom]'"
        ) from None
    result = None
    # An image can be described without the spec that it was made from.
    if not options.image or options.given or os.path.exists(options.file):
        try:
            result = pipeline.compile_spec(options.file)
        except SpecError as error:
            return commands.rejected(error, options.color)
    try:
        text = _text(options, result)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    commands.deliver(text, options.output)
    return 0


def _text(options: Options, result: Result | None) -> str:
    from compiler.sbom import cyclonedx, spdx, table

    writers = {"cyclonedx": cyclonedx.document, "spdx": spdx.document, "licences": table.document}
    return writers[options.format](described(options, result))


def described(options: Options, result: Result | None) -> Inventory:
    """What is in the image that the options name."""
    from compiler.sbom import contents, inventory

    app = result.app if result else None
    packed = {f"{app.share}/packed/{artifact.name}" for artifact in app.packed} if app else set()
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
    if path is not None:
        with display.progress(name, None) as progress:
            return archive.read_path(path, "", how._replace(progress=progress))
    from compiler.image import source
    from compiler.verify import engine as engines

    engine = engines.find(options.engine)
    said = source.said(engine, name)
    if said is None:
        raise HostError(f"{engine.client} has no image {name}", "build it first, or name another image or an archive")
    with display.progress(name, said.size) as progress:
        return source.read(engine, name, how._replace(progress=progress))


def _spec(options: Options, result: Result, image: Image) -> Spec:
    """How the image was made: from that one of the Dockerfiles which fits its history best, unless somebody said so."""
    from compiler.sbom.inventory import Spec
    from compiler.size.steps import dockerfiles, fitting, origins

    texts = dockerfiles(result, options.flavours)
    if not texts:
        # Switched off under outputs: the image was made from another one.
        return Spec(result.app, origins([], image.layers, 0), _locks(options, result), "local" in options.flavours)
    flavour, layers = fitting(result.app, texts, image.layers, None)
    return Spec(result.app, layers, _locks(options, result), flavour == "local", texts[flavour])


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
                # Editors on Windows put a byte-order mark first, which npm passes over.
                with open(path, encoding="utf-8-sig") as file:
                    found[artifact.name] = shown, npm.read(file.read())
            except OSError as error:
                raise HostError(f"{path} cannot be read: {error.strerror or error}") from None
            except ValueError as error:
                raise HostError(
                    f"{path} cannot be read as npm's lock file: {error}",
                    "npm install --package-lock-only, called beside it, writes it anew; also after conflicts",
                ) from None
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
