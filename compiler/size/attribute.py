"""Whose each byte is: an image, the model of its spec and the text of its Dockerfile -> shares, and what is nobody's.

An engine counts the bytes of files in every layer, hidden by a later one or not, so each layer is looked at by itself: a
base layer is the base's, a layer that an instruction copied is whose path it is at, and in one that a command made, files
are the packages' by the package manager's own word. What packages make when they are installed is traced to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from compiler.image import packages as managers
from compiler.size import demand, traces
from compiler.size.report import COMPILER, NOBODY, SHARED, LayerSize, Owner, Part, Report, Share, Stray
from compiler.size.steps import EXTRA, origins, steps
from compiler.values import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from compiler.image.model import Entry, Image, Layer
    from compiler.image.packages import Package
    from compiler.model import App
    from compiler.size.report import Budget
    from compiler.size.steps import Origin


class Known(NamedTuple):
    """What an engine says of an image: bytes of each layer and of the whole, and how many layers are the base's."""

    layers: tuple[int, ...] = ()
    total: int | None = None
    base: int | None = None


class Piece(NamedTuple):
    """Bytes of one entry that one owner asked for."""

    owner: Owner
    kind: str
    name: str
    version: str
    shared: tuple[str, ...]
    entry: Entry
    uncompressed: int
    compressed: int


class Rule(NamedTuple):
    """What lies at a path, or below it, was put there by a copying instruction for somebody."""

    path: str
    owner: Owner
    kind: str
    name: str


ACCOUNTS = frozenset(
    f"/etc/{name}{end}" for name in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid") for end in ("", "-")
)


def report(image: Image, app: App, dockerfiles: Mapping[str, str], known: Known, budget: Budget | None) -> Report:
    """Everything about the size of an image; it must have been read with the look ``packages``.

    It was built from that one of the Dockerfiles, by the names of their flavours, which fits its history best.
    """
    candidates = {name: origins(steps(app, text), image.layers, known.base) for name, text in dockerfiles.items()}
    flavour = max(candidates, key=lambda name: sum(origin.step is not None for origin in candidates[name]))
    made_by = candidates[flavour]
    counted = [_counts_links(layer, known) for layer in image.layers]
    pieces = list(_pieces(image, app, made_by, counted))
    layers = tuple(_layers(image, pieces, made_by, known))
    shares = tuple(_shares(pieces, users(app)))
    strays = sorted(
        (Stray(piece.entry.path, piece.uncompressed, piece.entry.layer) for piece in pieces if piece.owner == NOBODY),
        key=lambda stray: (-stray.size, stray.path, stray.layer),
    )
    compressed = [layer.compressed for layer in image.layers]
    return Report(
        image=image.name,
        id=image.id,
        flavour=flavour,
        uncompressed=sum(share.uncompressed for share in shares),
        compressed=None if None in compressed else sum(size or 0 for size in compressed),
        engine=known.total,
        budget=budget,
        layers=layers,
        shares=shares,
        nobody=tuple(strays),
        measured=any(layer.measured for layer in image.layers),
    )


def _counts_links(layer: Layer, known: Known) -> bool:
    """Whether the engine counts symbolic links: Docker does in layers that it unpacked, not in those that it built."""
    if layer.index < len(known.layers):
        return known.layers[layer.index] != layer.contents
    return True


def _layers(image: Image, pieces: Iterable[Piece], made_by: Sequence[Origin], known: Known) -> Iterator[LayerSize]:
    sizes = [0] * len(image.layers)
    for piece in pieces:
        sizes[piece.entry.layer] += piece.uncompressed
    for layer, size, origin in zip(image.layers, sizes, made_by, strict=True):
        engine = known.layers[layer.index] if layer.index < len(known.layers) else None
        yield LayerSize(layer.index, layer.created_by, size, layer.compressed, engine, origin.base)


def _pieces(image: Image, app: App, made_by: Sequence[Origin], counted: Sequence[bool]) -> Iterator[Piece]:
    states = list(managers.databases(iter(image.layers)))
    base = [state for state, origin in zip(states, made_by, strict=True) if origin.base]
    in_base = {package.name: package for package in base[-1]} if base else {}
    wanted = demand.asked(app)
    rules = tuple(_rules(app))
    links = traces.directory_links(image)
    needed: dict[int, dict[str, tuple[Owner, ...]]] = {}
    for layer, origin, state, links_count in zip(image.layers, made_by, states, counted, strict=True):
        if id(state) not in needed:
            needed[id(state)] = demand.demand(wanted, state)
        found = traces.Traces(state, in_base, links, layer.entries)
        place = _Layer(origin, app, state, in_base, needed[id(state)], rules, found)
        for entry in layer.entries:
            size = entry.size if entry.kind == "file" or (entry.kind == "symlink" and links_count) else 0
            if size or entry.compressed:
                yield from place.pieces(entry, size)


class _Layer:
    """One layer, and everything that tells whose its entries are."""

    def __init__(
        self,
        origin: Origin,
        app: App,
        state: Sequence[Package],
        in_base: Mapping[str, Package],
        needed: Mapping[str, tuple[Owner, ...]],
        rules: Sequence[Rule],
        found: traces.Traces,
    ) -> None:
        self._origin = origin
        self._base = Owner("base", app.image.base)
        self._packages = {package.name: package for package in state}
        self._in_base = in_base
        self._needed = needed
        self._rules = rules
        self._trims = app.image.trim
        self._traces = found

    def pieces(self, entry: Entry, size: int) -> Iterator[Piece]:
        """Whose the bytes of an entry are; a package manager's list is divided among the packages on it."""
        if entry.path in (*managers.APK, managers.DPKG) and entry.kind == "file" and not self._origin.base:
            yield from self._listed(entry, size)
        else:
            owner, kind, name, version, shared = self._claim(entry, size)
            yield Piece(owner, kind, name, version, shared, entry, size, entry.compressed)

    def _claim(self, entry: Entry, size: int) -> tuple[Owner, str, str, str, tuple[str, ...]]:
        step = self._origin.step
        package = self._traces.package(entry)
        if self._origin.base:
            known = self._packages.get(package)
            return self._base, *(("package", known.name, known.version, ()) if known else ("files", "files", "", ()))
        if entry.path in ACCOUNTS:
            return COMPILER, "file", "accounts", "", ()
        if step and step.owner and step.owner != EXTRA:
            return step.owner, *step.part, "", ()
        copied = step is not None and step.word in ("COPY", "ADD")
        rule = self._rule(entry.path) if copied or step is None else None
        if rule:
            return rule.owner, rule.kind, rule.name, "", ()
        if package and not copied:
            return self._package(package)
        if self._trims and traces.written_by_trim(entry.path):
            return COMPILER, "file", "Python, trimmed", "", ()
        if step and step.owner == EXTRA:
            return EXTRA, "file", entry.path, "", ()
        if traces.of_manager(entry.path):
            return COMPILER, "file", "package lists", "", ()
        if not size:
            return COMPILER, "file", "directories", "", ()
        return NOBODY, "file", entry.path, "", ()

    def _rule(self, path: str) -> Rule | None:
        """The rule of the longest path that ``path`` lies at or below."""
        fitting = [rule for rule in self._rules if path == rule.path or path.startswith(f"{rule.path}/")]
        return max(fitting, key=lambda rule: len(rule.path), default=None)

    def _package(self, name: str) -> tuple[Owner, str, str, str, tuple[str, ...]]:
        package = self._packages[name]
        owners = self._needed.get(name, ())
        if not owners and self._origin.step and self._origin.step.owner == EXTRA:
            owners = (EXTRA,)
        if not owners and name in self._in_base:
            owners = (COMPILER,)
        if len(owners) == 1:
            return owners[0], "package", name, package.version, ()
        if owners:
            return SHARED, "package", name, package.version, tuple(map(str, owners))
        return NOBODY, "package", name, package.version, ()

    def _listed(self, entry: Entry, size: int) -> Iterator[Piece]:
        rest, packed, past = size, 0, 0
        for name, package in self._packages.items():
            if name in self._in_base or package.record > rest:
                continue
            rest, past = rest - package.record, past + package.record
            part = entry.compressed * past // size - packed
            packed += part
            owner, kind, called, version, shared = self._package(name)
            yield Piece(owner, kind, called, version, shared, entry, package.record, part)
        yield Piece(COMPILER, "file", "package lists", "", (), entry, rest, entry.compressed - packed)


def _rules(app: App) -> Iterator[Rule]:
    for artifact in app.artifacts:
        owner = Owner("artifact", artifact.name)
        yield Rule(artifact.install, owner, "artifact", artifact.install)
        if artifact.compress:
            stored = f"{app.share}/packed/{artifact.name}"
            yield Rule(stored, owner, "artifact", "stored compressed")
            yield Rule(f"{stored}.sum", owner, "artifact", "checksum")
    for service in app.services:
        for file in service.files:
            if file.source:
                yield Rule(file.target, Owner("service", service.name), "file", file.target)
    if app.database:
        yield Rule(f"{app.share}/schema.sql", demand.DATABASE, "file", "schema")
        yield Rule(f"{app.share}/migrations", demand.DATABASE, "file", "migrations")
    yield Rule(f"{app.library}/hooks", Owner("extra", "hooks"), "file", "hooks")
    yield Rule(app.library, COMPILER, "file", "scripts")
    yield Rule("/etc/supervisord.conf", COMPILER, "file", "configuration")
    yield Rule("/etc/nginx/nginx.conf", COMPILER, "file", "configuration")


def users(app: App) -> dict[Owner, str]:
    """The service that each service and each artifact is for: an artifact is for the one that runs it."""
    found = {Owner("service", service.name): service.name for service in app.services}
    for artifact in app.artifacts:
        for service in app.services:
            words = [plain(word) or "" for word in service.command]
            if any(word == artifact.install or word.startswith(f"{artifact.install}/") for word in words):
                found.setdefault(Owner("artifact", artifact.name), service.name)
    return found


def _shares(pieces: Iterable[Piece], used: Mapping[Owner, str]) -> Iterator[Share]:
    """The shares, largest first, nobody last."""
    parts: dict[Owner, dict[tuple[str, str, str, tuple[str, ...]], list[int]]] = {}
    counted: dict[tuple[Owner, str, str], set[tuple[int, str]]] = {}
    for piece in pieces:
        key = (piece.kind, piece.name, piece.version, piece.shared)
        sums = parts.setdefault(piece.owner, {}).setdefault(key, [0, 0])
        sums[0] += piece.uncompressed
        sums[1] += piece.compressed
        if piece.entry.kind in ("file", "symlink"):
            counted.setdefault((piece.owner, piece.kind, piece.name), set()).add((piece.entry.layer, piece.entry.path))
    found = [
        Share(
            owner,
            used.get(owner, ""),
            sum(sums[0] for sums in those.values()),
            sum(sums[1] for sums in those.values()),
            tuple(
                sorted(
                    (
                        Part(kind, name, version, *sums, len(counted.get((owner, kind, name), ())), shared)
                        for (kind, name, version, shared), sums in those.items()
                    ),
                    key=lambda part: (-part.uncompressed, -part.compressed, part.name),
                )
            ),
        )
        for owner, those in parts.items()
    ]
    yield from sorted(found, key=lambda share: (share.owner == NOBODY, -share.uncompressed, share.owner))
