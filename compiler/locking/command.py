"""The command ``appos-compile lock``: options -> exit status."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from compiler import commands, load, pipeline
from compiler.errors import HostError, SpecError
from compiler.locking import asking, checking, formats, lockfile, reference, registry, renewing, stock, versions
from compiler.locking.renewing import FAILED, Key, Told
from compiler.locking.wanted import Wanted, wanted
from compiler.nearest import nearest
from compiler.quick import lock_of
from compiler.verify import engine as engines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from compiler.errors import Problem
    from compiler.load import Document
    from compiler.model import App
    from compiler.verify.engine import Engine

TIMEOUT = 60
"""Seconds for all the registries together."""
_IMAGE, _PATCH = "image", "patch"


class Options(NamedTuple):
    """The options of a lock; ``names`` are the pins to move, and ``update`` without any moves all."""

    file: str
    color: str = "auto"
    update: bool = False
    names: tuple[str, ...] = ()
    check: bool = False
    offline: bool = False
    format: str = "human"
    engine: str | None = None
    timeout: int = TIMEOUT


class UnknownNameError(Exception):
    """A name that pins nothing; the command line calls it a wrong argument."""


def run(options: Options) -> int:
    """Pin, or check the pins; return 0, 1 if there is something to move, 2 for the spec, 3 where nobody could tell."""
    try:
        document, app, problems = _read(options.file)
        lock = _existing(lock_of(options.file), replaced=options.update and not options.names)
    except SpecError as error:
        return commands.rejected(error, options.color)
    want = wanted(app)
    before = renewing.pins(lock)
    asked = _asked(options, want, before)
    session = _Session(app, want, options)
    told = {**_files(want), **_completed(session.images(asked), before)}
    # What is checked are the packages of the image as it is pinned, not of the one it would move to.
    told |= session.packages(asked, _digests(before, {} if options.check else told))
    if options.check:
        ended = _ended(document, problems)
        return _checked(options, list(checking.rows(before, want, told, session.patches, ended)), session.notes)
    fresh, rows = renewing.renewed(before, want, told)
    path = lock_of(options.file)
    text = lockfile.text(fresh, os.path.basename(options.file)).encode()
    failed = any(row.status == FAILED for row in rows)
    there = os.path.lexists(path)
    # A file that makes no sense is not replaced by half of what it may have had.
    useless = failed if there and lock is lockfile.EMPTY else not there and not renewing.pins(fresh)
    written = not useless and _write(path, text)
    compilation = commands.Options(file=options.file).command if written else ""
    report = formats.Report(path, rows, written, session.notes, compilation)
    sys.stdout.write(formats.FORMATS[options.format](report))
    return HostError.exit_code if failed else 0


def _read(file: str) -> tuple[Document, App, tuple[Problem, ...]]:
    """The spec and its model without pins; SpecError with its problems if there is an error among them."""
    document = load.load(file)
    app, problems, _ = pipeline.model(document, os.path.dirname(os.path.abspath(file)), pinned=False)
    if any(problem.severity == "error" for problem in problems):
        raise SpecError(problems)
    return document, app, problems


def _existing(path: str, *, replaced: bool) -> lockfile.Lock:
    """The pins that there are; a file that makes no sense is none only where all are to be found anew."""
    if not os.path.lexists(path):
        return lockfile.EMPTY
    try:
        return lockfile.parse(load.read(path), path)
    except SpecError:
        if replaced:
            return lockfile.EMPTY
        raise


def _asked(options: Options, want: Wanted, before: Mapping[Key, str]) -> frozenset[Key]:
    """The pins to ask for: those that are missing, and those to be moved; to check, all."""
    everything = renewing.keys(want)
    if options.check or (options.update and not options.names):
        return frozenset(everything)
    moved = {key for name in options.names for key in _named(name, everything)}
    return frozenset(key for key in everything if key in moved or key not in before)


def _named(name: str, everything: Sequence[Key]) -> list[Key]:
    """The pins that a name on the command line means: as the spec has it, else an image without its tag."""
    exact = [key for key in everything if name in (key[2], f"{key[1]}/{key[2]}")]
    found = exact or [key for key in everything if key[0] == "image" and _bare(key[2]) == name]
    if len({key[2] for key in found}) > 1:
        raise UnknownNameError(f'"{name}" may be {" or ".join(sorted(key[2] for key in found))}')
    if not found:
        near = nearest(name, [key[2] for key in everything])
        raise UnknownNameError(
            f'there is nothing called "{name}" to pin' + (f': did you mean "{near}"?' if near else "")
        )
    return found


def _bare(image: str) -> str:
    return reference.parse(image).repository.rpartition("/")[2]


def _files(want: Wanted) -> dict[Key, Told]:
    """The checksums of downloads, which the spec itself has."""
    return {("file", "", url): Told(checksum, "the spec") for url, checksum in want.files.items()}


def _completed(told: Mapping[Key, Told], before: Mapping[Key, str]) -> dict[Key, Told]:
    """Images with the versions of their pins where just the version could not be read: the same digest is no change."""
    return {
        key: answer._replace(value=old) if (old := before.get(key, "")).split(" ")[0] == answer.value else answer
        for key, answer in told.items()
    }


def _digests(before: Mapping[Key, str], told: Mapping[Key, Told]) -> dict[str, str]:
    """The digest to be of each image."""
    pins = {
        key: told[key].value if key in told and not told[key].error else before.get(key, "") for key in {*before, *told}
    }
    return {name: pin.split(" ")[0] for (kind, _, name), pin in pins.items() if kind == "image" and pin}


class _Session:
    """What is found out in one run, from the registries and from the engine."""

    def __init__(self, app: App, want: Wanted, options: Options) -> None:
        self.app, self.want, self.options = app, want, options
        self.patches: dict[str, str] = {}
        several = len(app.image.platforms) > 1 and any(want.packages.values())
        self.notes = ["versions of packages are those of the engine's own architecture"] if several else []
        self._reached: Engine | None = None
        self._unreached: HostError | None = None

    def images(self, asked: Iterable[Key]) -> dict[Key, Told]:
        """What the names of images stand for now."""
        names = sorted(name for kind, _, name in asked if kind == "image")
        if self.options.offline:
            return {("image", "", name): self._stocked(name) for name in names}
        patched = [
            name for name in names if self.options.check and versions.may_have_patches(reference.parse(name).tag)
        ]
        # Tags are a question of their own: a registry that lists none, or takes too long, leaves the digest known.
        questions = [*((_IMAGE, name) for name in names), *((_PATCH, name) for name in patched)]
        answers = asking.at_once(questions, self._registered, self.options.timeout)
        told: dict[Key, Told] = {}
        for name in names:
            answer, patch = answers[_IMAGE, name], answers.get((_PATCH, name))
            if isinstance(answer, HostError):
                told["image", "", name] = Told("", "", answer)
            elif isinstance(answer, registry.Found):
                told["image", "", name] = Told(str(answer.image), answer.host)
                self.notes += [f"{name}: {note}" for note in answer.notes]
                if isinstance(patch, HostError):
                    self.notes.append(f"{name}: nobody tells whether there is a newer patch: {patch.message}")
                elif isinstance(patch, str):
                    self.patches[name] = patch
        return told

    def _registered(self, question: tuple[str, str]) -> registry.Found | str | None:
        """An image as its registry has it, or the tag of a newer patch of it."""
        what, name = question
        at = reference.parse(name)
        if what == _PATCH:
            return versions.newest_patch(at.tag, registry.tags(at, os.environ))
        platform = self.app.image.platforms[0] if self.app.image.platforms else "linux/amd64"
        return registry.image(at, platform, os.environ)

    def _stocked(self, name: str) -> Told:
        try:
            return Told(str(stock.image(self._engine(), name)), "the engine, as it was last pulled")
        except HostError as error:
            return Told("", "", error)

    def packages(self, asked: Iterable[Key], digests: Mapping[str, str]) -> dict[Key, Told]:
        """What a build would install on each image now."""
        told: dict[Key, Told] = {}
        for image, names in self.want.packages.items():
            wanted_ = [name for name in names if ("package", image, name) in asked]
            if not wanted_:
                continue
            try:
                found = self._versions(image, wanted_, digests.get(image, ""))
            except HostError as error:
                told |= {("package", image, name): Told("", "", error) for name in wanted_}
                continue
            for name in wanted_:
                version = found.versions.get(name, "")
                missing = HostError(f"{found.source} have no version of it", "name it as it is called there")
                told["package", image, name] = Told(version, found.source, None if version else missing)
            virtual = [name for name in wanted_ if found.versions.get(name) == lockfile.VIRTUAL]
            if virtual:
                self.notes.append(
                    f"{', '.join(virtual)} on {image}: a name that other packages provide has no version to pin; "
                    "name one of those packages to have it pinned"
                )
        return told

    def _versions(self, image: str, names: Sequence[str], digest: str) -> stock.Versions:
        family = self.want.families[image]
        pinned = (f"{image}@{digest}",) if digest and not self.options.offline and "@" not in image else ()
        try:
            found = stock.packages(self._engine(), names, family, (*pinned, image))
        except HostError as error:
            if not self.options.offline or image != self.app.image.base or not self._reached:
                raise
            found = stock.built(self._reached, names, family, self.app.image.reference)
            self.notes.append(f"{error.message}; versions on {image} are {found.source}")
        if pinned and not found.source.endswith(pinned[0]):
            self.notes.append(f"the engine cannot get {pinned[0]}: versions are from the {image} that it has")
        return found

    def _engine(self) -> Engine:
        if self._unreached:
            raise self._unreached
        try:
            self._reached = self._reached or engines.find(self.options.engine)
        except HostError as error:
            self._unreached = error
            raise
        return self._reached


def _ended(document: Document, problems: Sequence[Problem]) -> dict[str, tuple[str, str]]:
    """The images past their end of life, as the compiler itself warns of them."""
    found = {}
    for problem in problems:
        if problem.code == "W001":
            value: Any = document.data
            for step in problem.path:
                value = value[step]
            found[str(value)] = (problem.message, problem.hint)
    return found


def _checked(options: Options, rows: list[renewing.Row], notes: Sequence[str]) -> int:
    path = lock_of(options.file)
    sys.stdout.write(formats.FORMATS[options.format](formats.Report(path, rows, written=False, notes=notes)))
    states = {row.status for row in rows} - {checking.CURRENT}
    if states - {checking.UNKNOWN}:
        return 1
    return HostError.exit_code if states else 0


def _write(path: str, text: bytes) -> bool:
    """Put the text there, all of it or nothing; whether it was another."""
    target = os.path.realpath(path)
    aside = f"{target}.{os.getpid()}.new"
    try:
        if os.path.isfile(target):
            with open(target, "rb") as file:
                if file.read() == text:
                    return False
        try:
            with open(aside, "xb") as file:
                file.write(text)
            os.replace(aside, target)
        except BaseException:
            if os.path.exists(aside):
                os.unlink(aside)
            raise
    except OSError as error:
        raise HostError(
            f"{path} cannot be written: {error.strerror}", "look at the permissions of its directory"
        ) from None
    return True
