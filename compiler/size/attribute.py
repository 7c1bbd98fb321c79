"""Whose each byte is: an image, the model of its spec and the text of its Dockerfile -> shares, and what is nobody's.

An engine counts the bytes of files in every layer, hidden by a later one or not, so each layer is looked at by itself.
A base layer is the base's; in one that was copied it is the path that tells; in one that a command made, files are the
packages' by the package manager's own word, and what packages make when they are installed is traced to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from compiler.image import packages as managers
from compiler.image.model import Entry
from compiler.size import contents, demand, lists, traces
from compiler.size.report import COMPILER, NOBODY, SHARED, LayerSize, Owner, Part, Report, Share, Stray
from compiler.size.steps import EXTRA, fitting
from compiler.values import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from compiler.image.model import Image, Layer
    from compiler.image.packages import Package
    from compiler.model import App
    from compiler.size.report import Budget
    from compiler.size.steps import Origin


class Known(NamedTuple):
    """What an engine says of an image: bytes of each layer and of the whole, and how many layers are the base's."""

    layers: tuple[int, ...] = ()
    total: int | None = None
    base: int | None = None


class Claim(NamedTuple):
    """Who asked for something, and what part of the share it is; ``shared`` are all who ask where there are several."""

    owner: Owner
    kind: str
    name: str
    version: str = ""
    shared: tuple[str, ...] = ()


class Piece(NamedTuple):
    """Bytes of one entry, and whose they are."""

    claim: Claim
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
    flavour, made_by = fitting(app, dockerfiles, image.layers, known.base)
    counted = [_counts_links(layer, known) for layer in image.layers]
    pieces = list(_pieces(image, app, made_by, counted))
    layers = tuple(_layers(image, pieces, made_by, known))
    shares = tuple(_shares(pieces, users(app)))
    strays = sorted(
        (
            Stray(piece.entry.path, piece.uncompressed, piece.entry.layer)
            for piece in pieces
            if piece.claim.owner == NOBODY
        ),
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
    if layer.number < len(known.layers):
        return known.layers[layer.number] != layer.contents
    return True


def _layers(image: Image, pieces: Iterable[Piece], made_by: Sequence[Origin], known: Known) -> Iterator[LayerSize]:
    sizes = [0] * len(image.layers)
    for piece in pieces:
        sizes[piece.entry.layer] += piece.uncompressed
    for layer, size, origin in zip(image.layers, sizes, made_by, strict=True):
        engine = known.layers[layer.number] if layer.number < len(known.layers) else None
        yield LayerSize(layer.number, layer.created_by, size, layer.compressed, engine, origin.base)


def _pieces(image: Image, app: App, made_by: Sequence[Origin], counted: Sequence[bool]) -> Iterator[Piece]:
    states = list(managers.databases(iter(image.layers)))
    base = [state for state, origin in zip(states, made_by, strict=True) if origin.base]
    in_base = {package.name: package for package in base[-1]} if base else {}
    wanted = demand.asked(app)
    rules = tuple(_rules(app))
    links = traces.directory_links(image)
    needed: dict[int, dict[str, tuple[Owner, ...]]] = {}
    brought = _brought(made_by, states)
    for layer, origin, state, links_count in zip(image.layers, made_by, states, counted, strict=True):
        if id(state) not in needed:
            needed[id(state)] = demand.demand(wanted, state)
        place = _Layer(
            origin=origin,
            base=Owner("base", app.image.base),
            packages={package.name: package for package in state},
            in_base=in_base,
            needed=needed[id(state)],
            brought=brought,
            rules=rules,
            trims=app.image.trim,
            traced=traces.Traces(state, in_base, links, layer.entries),
            listed=_listed(layer, state),
        )
        if layer.compressed and not layer.entries:
            nothing = Entry(layer.number, "/", "other", 0, 0, 0, 0, "", layer.compressed)
            yield from place.pieces(nothing, 0)
        for entry in layer.entries:
            size = entry.size if entry.kind == "file" or (entry.kind == "symlink" and links_count) else 0
            if size or entry.compressed:
                yield from place.pieces(entry, size)


def _brought(made_by: Sequence[Origin], states: Sequence[Sequence[Package]]) -> dict[str, Owner]:
    """Whose the step was that first had each package: nobody's, unless all that it makes is somebody's."""
    found: dict[str, Owner] = {}
    for origin, state in zip(made_by, states, strict=True):
        owner = origin.step.owner if origin.step else None
        for package in state:
            found.setdefault(package.name, owner or NOBODY)
    return found


def _listed(layer: Layer, state: Sequence[Package]) -> dict[str, Sequence[tuple[tuple[str, ...], int]]]:
    """The records in each list of the package manager's, as names of packages and bytes."""
    texts = {path: found.text for path, found in layer.found.get(contents.LOOK, {}).items() if lists.form(path)}
    installed = [((package.name,), package.record) for package in state]
    return {**lists.records(texts), **dict.fromkeys((*managers.APK, managers.DPKG), installed)}


class _Layer(NamedTuple):
    """One layer, and everything that tells whose its entries are."""

    origin: Origin
    base: Owner
    packages: Mapping[str, Package]
    in_base: Mapping[str, Package]
    needed: Mapping[str, tuple[Owner, ...]]
    brought: Mapping[str, Owner]
    rules: Sequence[Rule]
    trims: bool
    traced: traces.Traces
    listed: Mapping[str, Sequence[tuple[tuple[str, ...], int]]]

    def pieces(self, entry: Entry, size: int) -> Iterator[Piece]:
        """Whose the bytes of an entry are; a package manager's list is divided among the packages on it."""
        if entry.path in self.listed and entry.kind == "file" and not self.origin.base:
            yield from self._divided(entry, size)
            return
        claim = self._inherited(entry) or self._copied(entry) or self._installed(entry) or self._left(entry, size)
        yield Piece(claim, entry, size, entry.compressed)

    def _inherited(self, entry: Entry) -> Claim | None:
        if not self.origin.base:
            return None
        package = self.packages.get(self.traced.package(entry))
        return (
            Claim(self.base, "package", package.name, package.version)
            if package
            else Claim(self.base, "files", "files")
        )

    def _copied(self, entry: Entry) -> Claim | None:
        """What an instruction put there for somebody: all of the layer is one's, or what lies at certain paths."""
        step = self.origin.step
        if entry.path in ACCOUNTS:
            return Claim(COMPILER, "file", "accounts")
        if step and step.owner and (step.owner != EXTRA or step.word != "RUN"):
            return Claim(step.owner, *step.part)
        if step and step.word == "RUN":
            return None
        fitting = [rule for rule in self.rules if entry.path == rule.path or entry.path.startswith(f"{rule.path}/")]
        nearest = max(fitting, key=lambda rule: len(rule.path), default=None)
        return Claim(nearest.owner, nearest.kind, nearest.name) if nearest else None

    def _installed(self, entry: Entry) -> Claim | None:
        """What a command installed."""
        if self.origin.step and self.origin.step.word != "RUN":
            return None
        package = self.traced.package(entry)
        if package:
            return self._package(package)
        if self.trims and traces.written_by_trim(entry.path):
            return Claim(COMPILER, "file", "Python, trimmed")
        return None

    def _left(self, entry: Entry, size: int) -> Claim:
        step = self.origin.step
        if step and step.owner:
            return Claim(step.owner, *step.part)
        if traces.of_manager(entry.path):
            return Claim(COMPILER, "file", "package lists")
        return Claim(NOBODY, "file", entry.path) if size else Claim(COMPILER, "file", "directories")

    def _package(self, name: str) -> Claim:
        owners = self.needed.get(name, ())
        step = self.origin.step
        if not owners:
            unasked = COMPILER if name in self.in_base else self.brought[name]
            owners = (step.owner if step and step.owner else unasked,)
        several = len(owners) > 1
        return Claim(
            SHARED if several else owners[0],
            "package",
            name,
            self.packages[name].version,
            tuple(map(str, owners)) if several else (),
        )

    def _divided(self, entry: Entry, size: int) -> Iterator[Piece]:
        parts: dict[str, int] = {}
        for names, count in self.listed[entry.path]:
            known = [name for name in names if name in self.packages]
            # What the base has a record of would be on the list without anything else.
            if known and not self.in_base.keys() & known:
                parts[known[0]] = parts.get(known[0], 0) + count
        rest, packed, past = size, 0, 0
        for name, count in parts.items():
            if count > rest:
                continue
            rest, past = rest - count, past + count
            part = entry.compressed * past // size - packed
            packed += part
            yield Piece(self._package(name), entry, count, part)
        yield Piece(Claim(COMPILER, "file", "package lists"), entry, rest, entry.compressed - packed)


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
    sums: dict[Claim, list[int]] = {}
    files: dict[Claim, set[tuple[int, str]]] = {}
    for piece in pieces:
        both = sums.setdefault(piece.claim, [0, 0])
        both[0] += piece.uncompressed
        both[1] += piece.compressed
        if piece.entry.kind in ("file", "symlink"):
            files.setdefault(piece.claim, set()).add((piece.entry.layer, piece.entry.path))
    parts: dict[Owner, list[Part]] = {}
    for claim, (uncompressed, compressed) in sums.items():
        count = len(files.get(claim, ()))
        part = Part(claim.kind, claim.name, claim.version, uncompressed, compressed, count, claim.shared)
        parts.setdefault(claim.owner, []).append(part)
    found = [
        Share(
            owner,
            used.get(owner, ""),
            sum(part.uncompressed for part in those),
            sum(part.compressed for part in those),
            tuple(sorted(those, key=lambda part: (-part.uncompressed, -part.compressed, part.name))),
        )
        for owner, those in parts.items()
    ]
    yield from sorted(found, key=lambda share: (share.owner == NOBODY, -share.uncompressed, share.owner))
