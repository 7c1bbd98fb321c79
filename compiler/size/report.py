"""What is known about the size of an image: the data that every format shows."""

from __future__ import annotations

from typing import NamedTuple


class Owner(NamedTuple):
    """Who asked for something: ``kind`` is service, artifact, package, base, compiler, extra or nobody."""

    kind: str
    name: str

    def __str__(self) -> str:
        """How messages call it."""
        return self.name if self.kind in ("compiler", "package", "base", "nobody") else f"{self.kind} {self.name}"


COMPILER = Owner("compiler", "appos-compile")
IMAGE_PACKAGES = Owner("package", "image.packages")
SHARED = Owner("package", "shared")
NOBODY = Owner("nobody", "nobody")


class Part(NamedTuple):
    """What a share consists of: a package, files, libraries and so on; ``shared_with`` are all who ask for it."""

    kind: str
    name: str
    version: str
    uncompressed: int
    compressed: int
    files: int
    shared_with: tuple[str, ...] = ()


class Share(NamedTuple):
    """All that one of them asked for, with its parts, largest first; ``service`` is the one that it is for, if any."""

    owner: Owner
    service: str
    uncompressed: int
    compressed: int
    parts: tuple[Part, ...]


class Stray(NamedTuple):
    """A file that nobody asked for."""

    path: str
    size: int
    layer: int


class LayerSize(NamedTuple):
    """A layer in numbers; ``engine`` is the engine's own."""

    number: int
    created_by: str
    uncompressed: int
    compressed: int | None
    engine: int | None
    base: bool


class Limit(NamedTuple):
    """The largest sizes allowed, in bytes, as far as they are limited."""

    uncompressed: int | None
    compressed: int | None


class Budget(NamedTuple):
    """What the spec allows: of the image, and of services by name."""

    uncompressed: int | None
    compressed: int | None
    services: tuple[tuple[str, Limit], ...] = ()


class Change(NamedTuple):
    """What something took before and takes now, uncompressed: ``kind`` is share or package."""

    kind: str
    name: str
    before: int
    after: int


class Against(NamedTuple):
    """What an image is compared with, and everything that is not the same, what grew most first."""

    name: str
    uncompressed: int
    compressed: int | None
    changes: tuple[Change, ...]


class Over(NamedTuple):
    """Something that takes more than it may: ``what`` is the image or a service."""

    what: str
    form: str
    size: int
    budget: int


class Place(NamedTuple):
    """A file, or a package, with the bytes that it stands for."""

    path: str
    bytes: int


class Advice(NamedTuple):
    """What could be smaller: by so many bytes, at these places, of which only the largest are named."""

    kind: str
    bytes: int
    what: str
    todo: str
    places: tuple[Place, ...]
    more: int


class Report(NamedTuple):
    """The whole: what the image takes, and whose each byte is.

    ``flavour`` is production or local; ``measured`` says that the compressed size is an estimate, compressed here.
    """

    image: str
    id: str
    flavour: str
    uncompressed: int
    compressed: int | None
    engine: int | None
    budget: Budget | None
    layers: tuple[LayerSize, ...]
    shares: tuple[Share, ...]
    nobody: tuple[Stray, ...]
    advice: tuple[Advice, ...] = ()
    measured: bool = False
    over: tuple[Over, ...] = ()
    against: Against | None = None
