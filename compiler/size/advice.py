"""An image and whose its bytes are -> what could be smaller, by how much, where it lies, and what to do about it.

Each kind is a function in one table. It says what the measurement shows and no more: of a package that nothing seems to
use, what was searched for its name. No file is counted twice within a kind; two kinds may speak of the same file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from compiler.image import packages as managers
from compiler.image.model import visible
from compiler.size import contents, demand, traces
from compiler.size.attribute import ACCOUNTS
from compiler.size.report import COMPILER, IMAGE_PACKAGES, NOBODY, Advice, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from compiler.image.model import Entry, Image
    from compiler.image.packages import Package
    from compiler.model import App
    from compiler.size.contents import Content
    from compiler.size.report import Report

LEAST = 50_000
"""Bytes from which on something is worth a word."""

SHOWN = 5
"""How many places are named."""

WELL = 0.6
"""What part of its size something that compresses well is left with."""


class Ground(NamedTuple):
    """What the advice stands on: what a container sees, the files in it, what is installed, and the files of that."""

    image: Image
    app: App
    report: Report
    seen: Mapping[str, Entry]
    files: Mapping[str, Entry]
    packages: Sequence[Package]
    owned: frozenset[str]

    def content(self, entry: Entry) -> Content | None:
        """What was found in a file."""
        found: Content | None = self.image.layers[entry.layer].found.get(contents.LOOK, {}).get(entry.path)
        return found

    def upgradable(self, entry: Entry) -> bool:
        """Whether a file is a package's in the base, and no configuration, which is there to be written anew."""
        base = self.report.layers[entry.layer].base
        return base and entry.path in self.owned and not entry.path.startswith("/etc/")

    def of(self, path: str) -> str:
        """Whom to ask about a file: the artifact, or nobody known."""
        fitting = [a for a in self.app.artifacts if path == a.install or path.startswith(f"{a.install}/")]
        return max(fitting, key=lambda a: len(a.install)).name if fitting else ""


def advice(image: Image, app: App, report: Report) -> tuple[Advice, ...]:
    """Everything that is worth a word, largest first; the image was read with the looks of packages and contents."""
    seen = visible(image)
    files = {path: entry for path, entry in seen.items() if entry.kind == "file"}
    states = list(managers.databases(iter(image.layers)))
    installed = states[-1] if states else ()
    owned = frozenset(path for package in installed for path in package.files)
    ground = Ground(image, app, report, seen, files, installed, owned)
    found = [item for kind in KINDS for item in kind(ground) if item.bytes >= LEAST]
    return tuple(sorted(found, key=lambda item: (-item.bytes, item.kind)))


def _advice(kind: str, what: str, todo: str, places: Iterable[Place]) -> Iterator[Advice]:
    """One piece of advice about some places; none about none. ``what`` may name their number."""
    ordered = sorted((place for place in places if place.bytes), key=lambda place: (-place.bytes, place.path))
    if ordered:
        total = sum(place.bytes for place in ordered)
        said = what.format(n=_files(len(ordered)))
        yield Advice(kind, total, said, todo, tuple(ordered[:SHOWN]), max(0, len(ordered) - SHOWN))


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def repeated(ground: Ground) -> Iterator[Advice]:
    """The same content at several paths."""
    same: dict[tuple[bytes, int], list[str]] = {}
    for path, entry in ground.files.items():
        content = ground.content(entry)
        # Data and configurations are written to: those that are equal are not equal for long.
        if content and content.digest and not path.startswith(("/var/", "/etc/")):
            same.setdefault((content.digest, entry.size), []).append(path)
    places = []
    for (_, count), paths in same.items():
        first, *others = sorted(paths)
        places += [Place(f"{path} (the same as {first})", count) for path in others]
    yield from _advice(
        "repeated",
        "in {n} whose content is in the image at another path, too",
        "keep one and make the others links to it (ln -s) in the step that makes them",
        places,
    )


def hidden(ground: Ground) -> Iterator[Advice]:
    """What a later layer deletes or replaces, and the image has all the same."""
    linked = {(e.layer, e.target) for e in ground.seen.values() if e.kind == "hardlink"}
    deleted, replaced, upgraded = [], [], []
    for entry in ground.image.entries:
        seen = ground.seen.get(entry.path)
        if entry.kind != "file" or not entry.size or entry == seen or (entry.layer, entry.path) in linked:
            continue
        if traces.of_manager(entry.path) or entry.path in ACCOUNTS:
            continue  # every installation writes these anew
        where = f"{entry.path} (layer {entry.layer})"
        if seen is None:
            deleted.append(Place(where, entry.size))
        elif ground.upgradable(entry):
            upgraded.append(Place(entry.path, entry.size))
        else:
            replaced.append(Place(f"{where[:-1]}, in layer {seen.layer}{_again(ground, entry, seen)})", entry.size))
    yield from _advice(
        "deleted",
        "in {n} that a later layer deletes: they stay in the image below it",
        "delete them in the step that makes them; what the base brings only another base avoids",
        deleted,
    )
    yield from _advice(
        "replaced",
        "in {n} that a later layer writes anew: the image has both",
        "write them once; where only mode or owner change, COPY has --chmod and --chown",
        replaced,
    )
    yield from _advice(
        "upgraded",
        "in {n} of the base's packages that are installed again: those of the base stay in the image below",
        "move to a newer base, which has them as they should be",
        upgraded,
    )


def _again(ground: Ground, entry: Entry, seen: Entry) -> str:
    """What is known of the content that came in an entry's place: of small files, often nothing."""
    before, after = ground.content(entry), ground.content(seen)
    if (entry.kind, entry.size) != (seen.kind, seen.size):
        return " other content"
    if not (before and after and before.digest and after.digest):
        return ""
    return " the same content again" if before.digest == after.digest else " other content"


def initial_data(ground: Ground) -> Iterator[Advice]:
    """What packages made in /var/lib when they were installed, such as a first database, outside of every volume."""
    mounts = tuple(f"{volume.mount}/" for volume in ground.app.volumes)
    made: dict[str, int] = {}
    for path, entry in ground.files.items():
        own = ground.report.layers[entry.layer].base or ground.of(path) or path in ground.owned
        if path.startswith("/var/lib/") and not (own or path.startswith(mounts) or traces.of_manager(path)):
            directory = "/".join(path.split("/")[:4])
            made[directory] = made.get(directory, 0) + entry.size
    yield from _advice(
        "initial-data",
        "of data in /var/lib that installing packages made, and that is on no volume",
        "name it in image.remove, if the services keep their data elsewhere",
        [Place(directory, count) for directory, count in made.items()],
    )


class Pattern(NamedTuple):
    """Files that are told by where they are; ``trimmed`` is the beginning of those that image.trim removes."""

    kind: str
    paths: re.Pattern[str]
    what: str
    todo: str
    trimmed: str = ""


PATTERNS = (
    Pattern(
        "caches",
        re.compile(
            r"/var/cache/(?!cracklib/|fontconfig/|ldconfig/|man/|debconf/(?!.*-old$))|/var/lib/apt/lists/|/etc/apk/cache/"
            r"|/(var/)?tmp/"
            r"|/(root|home/[^/]+)/\.(cache|npm|m2/repository|gradle/caches|cargo/registry|composer/cache)/"
            r"|(/root)?/go/pkg/mod/cache/|/usr/local/share/\.cache/"
        ),
        "in {n} of caches and temporary directories",
        "delete them in the step that makes them, or keep them out of the image: apk add --no-cache, pip install "
        "--no-cache-dir, a cache mount for the rest",
    ),
    Pattern(
        "documentation",
        re.compile(r"/usr/(local/)?(share/)?(man|doc|info|gtk-doc|lintian)/(?!(.*/)?(copyright|LICEN[CS]E)[^/]*$)"),
        "in {n} of manuals and documentation; licences are not counted",
        "delete them in the step that installs them",
        "/usr/share/",
    ),
    Pattern(
        "locales",
        re.compile(r"/usr/(local/)?share/(locale|i18n)/|/usr/lib/locale/(?!C\.)"),
        "in {n} of translations and locales",
        "delete those that nothing is set to (LANG, LC_ALL) in the step that installs them",
        "/usr/share/locale/",
    ),
    Pattern(
        "tests",
        re.compile(r"/.*/(site-packages|dist-packages|node_modules|python3(\.\d+)?)/(.*/)?(tests?|__tests__)/"),
        "in {n} of libraries' own tests",
        "delete them in the step that installs the libraries",
    ),
    Pattern(
        "building",
        re.compile(r"/.*\.(a|la|o)$|/usr/(local/)?include/|/.*/pkgconfig/.*\.pc$|/.*/cmake/.*\.cmake$"),
        "in {n} that only compilers and linkers read: static libraries, headers",
        "build in a stage of its own (artifacts.*.build) and install packages without -dev in the image",
    ),
    Pattern(
        "source-maps",
        re.compile(r"/.*\.(js|mjs|cjs|css)\.map$"),
        "in {n} of source maps, which only debuggers read",
        "leave them out of the build, or keep them where errors are analysed",
    ),
)


def patterns(ground: Ground) -> Iterator[Advice]:
    """What its path says about a file."""
    for pattern in PATTERNS:
        places = [Place(path, entry.size) for path, entry in ground.files.items() if pattern.paths.match(path)]
        trims = pattern.trimmed and not ground.app.image.trim
        trims = trims and any(place.path.startswith(pattern.trimmed) for place in places)
        todo = f"{pattern.todo}; image.trim does in {pattern.trimmed.rstrip('/')}" if trims else pattern.todo
        yield from _advice(pattern.kind, pattern.what, todo, places)


_CODE = re.compile(
    r"(?P<directory>.*/)__pycache__/(?P<module>[^/]+?)\.cpython-(?P<version>\d+)(?P<level>\.opt-\d)?\.pyc$"
)


def byte_code(ground: Ground) -> Iterator[Advice]:
    """Byte-code that no Python of the image loads: another version's, without its source, or for -O; then the rest."""
    versions = {
        f"{found[1]}{found[2]}"
        for path, entry in ground.seen.items()
        if entry.kind != "directory" and (found := re.search(r"/(?:lib)?python(\d)\.(\d+)(?:\.so.*)?$", path))
    }
    unread, read = [], []
    for path, entry in ground.files.items():
        found = _CODE.match(path)
        if not found:
            continue
        if found["version"] not in versions:
            why = "no such Python in the image"
        elif f"{found['directory']}{found['module']}.py" not in ground.seen:
            why = "its source is not there"
        elif found["level"]:
            why = "read with python -O only"
        else:
            read.append(Place(path, entry.size))
            continue
        unread.append(Place(f"{path} ({why})", entry.size))
    yield from _advice(
        "unread-byte-code",
        "in {n} of byte-code that Python does not read",
        "delete them in the step that makes them, or set PYTHONDONTWRITEBYTECODE=1 there",
        unread,
    )
    if not ground.app.image.trim:
        yield from _advice(
            "byte-code",
            "in {n} of byte-code whose source is there, too: it only makes starting faster",
            "keep it for what is imported at every start and delete the rest; for supervisor, image.trim does that",
            read,
        )


def python(ground: Ground) -> Iterator[Advice]:
    """Python's own library, where only supervisor needs Python."""
    own = [share for share in ground.report.shares if share.owner == COMPILER]
    mine = {part.name for share in own for part in share.parts if part.kind == "package"}
    owned = {path for package in ground.packages if package.name in mine for path in package.files}
    library = re.compile(r"/usr/lib/python3(\.\d+)?/(?!(site|dist)-packages/)")
    places = [Place(p, e.size) for p, e in ground.files.items() if library.match(p) and p in owned]
    if not ground.app.image.trim:
        yield from _advice(
            "python",
            "in {n} of Python's library, which is there for supervisor alone",
            "set image.trim: it leaves what supervisor imports, about a quarter",
            places,
        )


def unstripped(ground: Ground) -> Iterator[Advice]:
    """Executables and libraries with symbols and debugging data."""
    places = []
    for path, entry in ground.files.items():
        content = ground.content(entry)
        if content and content.symbols:
            name = ground.of(path)
            places.append(Place(f"{path} (artifact {name})" if name else path, content.symbols))
    yield from _advice(
        "unstripped",
        "of symbols and debugging data in {n}",
        'strip them in the build: go build -ldflags="-w -s", strip = true in a Cargo profile, strip --strip-unneeded',
        places,
    )


def compressible(ground: Ground) -> Iterator[Advice]:
    """Large executables that could be stored compressed."""
    places = []
    for artifact in ground.app.artifacts if ground.app.volumes else ():
        entry = ground.files.get(artifact.install)
        content = ground.content(entry) if entry and not artifact.compress else None
        if entry and content and 0 < content.packed <= WELL:
            places.append(Place(f"{entry.path} (artifact {artifact.name})", int(entry.size * (1 - content.packed))))
    yield from _advice(
        "compressible",
        "or so, by storing {n} compressed: samples of it lose that much in gzip",
        "set artifacts.*.compress to zstd or xz, which do better than gzip; the first start unpacks it onto the volume",
        places,
    )


def served(app: App) -> tuple[str, ...]:
    """Where the files lie that the gateway sends as they are, for the look ``contents``."""
    roots = {route.root for route in app.routes if route.root}
    fitting = [a for a in app.artifacts if any(f"{root}/".startswith(f"{a.install}/") for root in roots)]
    return tuple(f"{artifact.install}/" for artifact in fitting if not artifact.precompress)


def uncompressed_assets(ground: Ground) -> Iterator[Advice]:
    """Text that the gateway sends, and has to compress for each client; and copies made in advance that do not pay."""
    places = [
        Place(path, entry.size - content.gzipped)
        for path, entry in ground.files.items()
        if (content := ground.content(entry)) and 0 < content.gzipped < entry.size and f"{path}.gz" not in ground.files
    ]
    yield from _advice(
        "precompress",
        "less for a client to load, at the price of a larger image: {n} that gzip makes smaller are served as they are",
        "set artifacts.*.precompress, or say why not in a comment",
        places,
    )
    copies = []
    for path, entry in ground.files.items():
        original = ground.files.get(path.rpartition(".")[0]) if path.endswith((".gz", ".br", ".zst")) else None
        if original and entry.size > original.size * 0.9:
            copies.append(Place(path, entry.size))
    yield from _advice(
        "compressed-in-vain",
        "in {n} that were compressed in advance and are hardly smaller than what they are made of",
        "compress only what gets smaller: text, not pictures, fonts or archives",
        copies,
    )


def unwanted(ground: Ground) -> Iterator[Advice]:
    """Installed packages that nobody asks for, directly or not."""
    places = [
        Place(f"{part.name} {part.version}".strip(), part.uncompressed)
        for share in ground.report.shares
        if share.owner == NOBODY
        for part in share.parts
        if part.kind == "package"
    ]
    yield from _advice(
        "unwanted",
        f"in {len(places)} package{'s' * (len(places) != 1)} that neither the spec nor another package asks for",
        "remove them in the step that installs them",
        places,
    )


_PROGRAMS = re.compile(r"/(usr/(local/)?)?s?bin/(?P<name>[^/]+)$")
_DATA = re.compile(
    r"/(?!usr/(share/(man|doc|info|licenses|locale|bash-completion|zsh|fish)/|lib/|s?bin/)|lib/|s?bin/|etc/)"
)


def unused(ground: Ground) -> Iterator[Advice]:
    """Packages that only image.packages asks for, and whose programs nothing names."""
    wanted = demand.asked(ground.app)
    asked = wanted.get(IMAGE_PACKAGES, ())
    needed = demand.demand(wanted, ground.packages)
    known = {package.name: package for package in ground.packages}
    added = [share for share in ground.report.shares if share.owner.kind != "base"]
    sizes = {part.name: part.uncompressed for share in added for part in share.parts if part.kind == "package"}
    words = _words(ground)
    places = []
    for name in sorted(set(asked) & known.keys()):
        programs = {found["name"] for path in known[name].files if (found := _PROGRAMS.search(path))}
        if not programs or programs & words or any(_DATA.match(path) for path in known[name].files):
            continue
        without = demand.demand({**wanted, IMAGE_PACKAGES: [n for n in asked if n != name]}, ground.packages)
        freed = [other for other in sizes if needed.get(other) and not without[other]]
        if name in freed:
            along = f" with {', '.join(other for other in freed if other != name)}" if len(freed) > 1 else ""
            places.append(Place(f"{name}{along}", sum(sizes[other] for other in freed)))
    yield from _advice(
        "unused",
        "in packages of image.packages whose programs neither the spec nor a script or configuration names;"
        " compiled programs were not searched",
        "remove them from image.packages, unless somebody runs them by hand",
        places,
    )


def _words(ground: Ground) -> set[str]:
    """Every word of the spec's own commands and texts, and of the scripts and configurations that no package brings."""
    app = ground.app
    said = [repr((s.command, s.environment, s.files, s.ready, s.alive, s.verify)) for s in app.services]
    said += [repr((app.health, app.settings, app.before_services, app.first_start))]
    said += [extra.text for extra in app.extra if (extra.output, extra.point) != ("Dockerfile", "packages")]
    for path, entry in ground.files.items():
        content = ground.content(entry)
        if content and content.text and path not in ground.owned and not traces.of_manager(path):
            said.append(content.text.decode("utf-8", "replace"))
    return {word for text in said for word in re.findall(r"[\w.+-]+", text)}


KINDS: tuple[Callable[[Ground], Iterator[Advice]], ...] = (
    repeated,
    hidden,
    initial_data,
    patterns,
    byte_code,
    python,
    unstripped,
    compressible,
    uncompressed_assets,
    unwanted,
    unused,
)
