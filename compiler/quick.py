"""The run in which nothing changed: arguments to an exit status, or None when the whole compiler has to look.

It imports next to nothing, since reading the libraries takes longer than all the work; any doubt at all ends in None.
"""

from __future__ import annotations

import os
import stat
import sys
from hashlib import sha256

from compiler import manifest, resources

# Importing typing or collections would cost as much as starting Python.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import hashlib
    from collections.abc import Iterator, Sequence

    Options = dict[str, str]

SPEC = "appos.yaml"
OUTPUT = "build"

APART = ("image/", "inspecting/", "sbom/", "verify/")
"""Packages that look at what was built, and that no output depends on."""

_FLAGS = {"--check": "--check", "-q": "--quiet", "--quiet": "--quiet"}
_VALUES = {"-f": "--file", "--file": "--file", "-o": "--output", "--output": "--output"}


class Inputs:
    """Everything the outputs depend on, as it is now: make one before reading the spec."""

    def __init__(self, spec: str) -> None:
        """Take the state of the compiler and of the spec."""
        self._spec = spec
        self._first = _contents(spec)
        self._lock = _contents(lock_of(spec))
        self._compiler = sha256()
        for name, path in _compiler_files():
            _add(self._compiler, name, _contents(path))

    def digest(self, sources: Sequence[str] = ()) -> str:
        """Digest of all input, with the files that the spec names (relative to it; that one is missing counts too).

        Empty, which means that nothing is known, if the spec cannot be read or has changed meanwhile, or if a name does
        not fit a manifest.
        """
        own = os.path.basename(self._spec)
        fits = all(map(str.isprintable, [own, *sources]))
        if not fits or self._first is None or self._first != _contents(self._spec):
            return ""
        if self._lock != _contents(lock_of(self._spec)):
            return ""
        whole = self._compiler.copy()
        _add(whole, own, self._first)  # with its name, which the outputs give as their source
        if self._lock is not None:
            _add(whole, os.path.basename(lock_of(self._spec)), self._lock)
        for name in sorted(set(sources)):
            _add(whole, name, _contents(os.path.join(os.path.dirname(self._spec), name)))
        return whole.hexdigest()


def up_to_date(spec: str, directory: str) -> manifest.Manifest | None:
    """Return the manifest of ``directory`` if a run would change nothing there, else None."""
    recorded = manifest.parse(_contents(os.path.join(directory, manifest.NAME)) or b"")
    if recorded.newer or recorded.writing or not recorded.files:
        return None
    digest = Inputs(spec).digest(recorded.sources)
    if not digest or recorded.inputs != [digest]:
        return None
    try:
        left = any(name.startswith(manifest.TEMPORARY) for name in os.listdir(directory))
        same = all(_stands(directory, path, entries) for path, entries in recorded.files.items())
    except OSError:
        return None
    return recorded if same and not left else None


def lock_of(spec: str) -> str:
    """Name the file with the pins of a spec: appos.lock beside appos.yaml."""
    stem, kind = os.path.splitext(spec)
    return (spec if kind == ".lock" else stem) + ".lock"


def placed(spec: str, warning: str) -> str:
    """Say where a recorded warning belongs: its own place is one of the spec, unless it begins with a name."""
    return f"{spec}:{warning}" if warning.partition(":")[0].isdigit() else os.path.join(os.path.dirname(spec), warning)


def parse_args(arguments: Sequence[str]) -> Options | None:
    """Read the plain everyday options; None for anything else, which the command line then reads itself."""
    options: Options = {}
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if argument in _FLAGS:
            key, value = _FLAGS[argument], "yes"
        elif name in _VALUES and (not equals or name.startswith("--")):
            key, value = _VALUES[name], value if equals else next(rest, "")
        else:
            return None
        if key in options or not value or value.startswith("-"):
            return None
        options[key] = value
    return options


def output_directory(spec: str) -> str:
    """Guess the directory that the spec's ``output`` names, by its plain form at the start of a line, else the default.

    ``run`` asks the manifest there whether the guess is right, so no YAML reader is needed.
    """
    name = OUTPUT
    for line in (_contents(spec) or b"").splitlines():
        if line.startswith(b"output:"):
            name = line[len(b"output:") :].partition(b" #")[0].strip(b" \t\"'").decode("utf-8", "replace")
    return os.path.join(os.path.dirname(spec), name)


def run(arguments: Sequence[str]) -> int | None:
    """Do a run in which nothing changes, and say so; None if there may be something to do, to say or to explain."""
    options = parse_args(arguments)
    if options is None:
        return None
    spec = options.get("--file", SPEC)
    try:
        directory = options.get("--output") or output_directory(spec)
        recorded = up_to_date(spec, directory)
        if recorded is None or not ("--output" in options or _is_default(recorded, spec, directory)):
            return None
        if "--quiet" not in options:
            print(sentence(directory, len(recorded.files)), flush=True)  # noqa: T201 - in the command line's place
        for warning in recorded.warnings:
            print(placed(spec, warning), file=sys.stderr, flush=True)  # noqa: T201 - the same
    except (OSError, ValueError):
        return None
    return 0


def sentence(directory: str, total: int) -> str:
    """Say that nothing changed, in the words of every kind of run."""
    return f"{directory.rstrip('/')}/: {total} file{'' if total == 1 else 's'} up to date"


def _is_default(recorded: manifest.Manifest, spec: str, directory: str) -> bool:
    parent = os.path.dirname(spec) or "."
    named = [os.path.normpath(os.path.join(parent, output)) for output in recorded.output]
    return named == [os.path.normpath(directory)] and not manifest.leads_out(directory, parent)


def _stands(directory: str, path: str, entries: Sequence[manifest.Entry]) -> bool:
    where = os.path.join(directory, path)
    status = os.lstat(where)
    if len(entries) != 1 or not stat.S_ISREG(status.st_mode):
        return False
    mode, digest, _ = entries[0]
    return mode == f"{stat.S_IMODE(status.st_mode):o}" and digest == sha256(_contents(where) or b"").hexdigest()


def _compiler_files() -> Iterator[tuple[str, str]]:
    """Name and path of every file of the compiler; the names are the same in a checkout and in a wheel."""
    package = os.path.dirname(os.path.abspath(__file__))
    for name in _walk(package):
        # One underscore marks what the build makes of schema and templates, which a checkout may not have.
        if name.endswith(".py") and (name.startswith("__") or not name.startswith(("_", *APART))):
            yield f"compiler/{name}", os.path.join(package, name)
    for data in ("schema", "templates"):
        top = resources.directory(data)
        for name in _walk(top):
            yield f"{data}/{name}", os.path.join(top, name)


def _walk(top: str) -> list[str]:
    found: list[str] = []
    for entry in os.scandir(top):
        if entry.is_dir():
            found += [f"{entry.name}/{path}" for path in _walk(entry.path)]
        else:
            found.append(entry.name)
    return sorted(found)


def _add(whole: hashlib._Hash, name: str, data: bytes | None) -> None:
    # Lengths keep one file's end apart from the next one's beginning.
    whole.update(f"{name}\n{-1 if data is None else len(data)}\n".encode() + (data or b""))


def _contents(path: str) -> bytes | None:
    # A FIFO or device instead of a file must not hold up the run: the compiler proper explains it.
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as stream:
            return stream.read() if stat.S_ISREG(os.fstat(stream.fileno()).st_mode) else None
    except OSError:
        return None
