"""A report -> one self-contained page: a squarified treemap by who asked for the bytes, with the tables beside it.

The page has no script. The places of the tiles stand in its one style sheet, whose hash the page's own policy names, so
that nothing else can be run or fetched, whatever a name in an image says.

Squarified: Bruls, Huizing, van Wijk, Squarified Treemaps (2000).
"""

from __future__ import annotations

import base64
import hashlib
import os
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from compiler.report import printable
from compiler.size.amounts import changed, gone, grown, percent
from compiler.size.display import size as amount
from compiler.size.report import NOBODY, Budget, Limit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jinja2 import Template

    from compiler.size.report import Part, Report, Share

WIDE, NARROW = 1.5, 0.8
"""Width by height of the map, on a screen and on a phone; ``page.css`` has them too."""

SMALLEST = 1 / 2500
"""What part of the map a tile has at least; smaller ones of a share are drawn as one."""

LONGEST = 28
"""Characters of the longest label; a longer name is left to the tables."""

MOST_ROWS = 1000
"""Of the parts of one share; the rest are one row."""

TOO_LOW = """\
@container (max-height:1.7em){.title,.name{display:none}}
@container (max-height:3em){.first .name,.amount{display:none}}
@container (max-height:4.3em){.first .name + .amount{display:none}}
"""
"""Which lines are left out where; after the rules that let them in."""

LOOKS = 8
"""How many patterns ``page.css`` has."""


class Box(NamedTuple):
    """A rectangle."""

    left: float
    top: float
    width: float
    height: float


class Tile(NamedTuple):
    """A part in the map, or several small ones; ``row`` is the row of the table that it leads to."""

    name: str
    size: int
    row: str
    first: bool
    wide: Box
    narrow: Box

    @property
    def label(self) -> int:
        """How many characters wide what stands in it is."""
        return max(width(printable(self.short)), width(amount(self.size)))

    @property
    def short(self) -> str:
        """The name in the tile: the last part of a path."""
        return self.name.rpartition("/")[2] if self.name.startswith("/") else self.name


class Group(NamedTuple):
    """A share in the map and in the tables, with the number that stands for it where its name does not fit."""

    number: int
    look: str
    share: Share
    rows: tuple[tuple[str, Part], ...]
    rest: tuple[Part, ...]
    tiles: tuple[Tile, ...]
    wide: Box | None
    narrow: Box | None

    @property
    def label(self) -> int:
        """How many characters wide its name is, with its number before it."""
        return width(printable(self.share.owner.name)) + 3


def squarify(sizes: Sequence[int], box: Box) -> list[Box]:
    """A rectangle for each size, which fill the box; sizes are positive, and best sorted, largest first."""
    boxes: list[Box] = []
    rest, left = list(sizes), box
    while rest:
        area = left.width * left.height / sum(rest)
        side = min(left.width, left.height)
        count, best = 0, float("inf")
        for length in range(1, len(rest) + 1):
            worst = _worst([size * area for size in rest[:length]], side)
            if worst > best:
                break
            count, best = length, worst
        row, rest = rest[:count], rest[count:]
        depth = sum(row) * area / side if rest else max(left.width, left.height)
        placed, left = _row(row, left, depth)
        boxes += placed
    return boxes


def _worst(areas: Sequence[float], side: float) -> float:
    """How far from a square the worst of the rectangles of a row is."""
    total = sum(areas)
    return max(side * side * max(areas) / total**2, total**2 / (side * side * min(areas)))


def _row(sizes: Sequence[int], box: Box, depth: float) -> tuple[list[Box], Box]:
    """The rectangles along the shorter side, and the box that is left."""
    total, done, boxes = sum(sizes), 0, []
    upright = box.width >= box.height
    for size in sizes:
        if upright:
            height = box.height
            boxes.append(Box(box.left, box.top + height * done / total, depth, height * size / total))
        else:
            width = box.width
            boxes.append(Box(box.left + width * done / total, box.top, width * size / total, depth))
        done += size
    if upright:
        return boxes, Box(box.left + depth, box.top, box.width - depth, box.height)
    return boxes, Box(box.left, box.top + depth, box.width, box.height - depth)


def groups(report: Report) -> tuple[Group, ...]:
    """The shares, largest first, with their tiles; a share of no bytes has none."""
    shares = sorted(report.shares, key=lambda share: (-share.uncompressed, share.owner))
    seen = [share for share in shares if share.uncompressed > 0]
    sizes = [share.uncompressed for share in seen]
    wide = squarify(sizes, Box(0, 0, WIDE, 1)) if seen else []
    narrow = squarify(sizes, Box(0, 0, NARROW, 1)) if seen else []
    least = sum(sizes) * SMALLEST
    found = []
    for number, share in enumerate(shares, 1):
        parts = sorted(share.parts, key=lambda part: (-part.uncompressed, part.name))
        rows = tuple((f"p{number}-{index}", part) for index, part in enumerate(parts[:MOST_ROWS], 1))
        rest = tuple(parts[MOST_ROWS:])
        places = (wide[number - 1], narrow[number - 1]) if share.uncompressed > 0 else None
        named = [*rows, *((f"s{number}", part) for part in rest)]
        tiles = tuple(_tiles(f"s{number}", share, named, places, least)) if places else ()
        look = "nobody" if share.owner == NOBODY else f"k{(number - 1) % LOOKS}"
        found.append(Group(number, look, share, rows, rest, tiles, *(places or (None, None))))
    return tuple(found)


def _tiles(
    row: str, share: Share, rows: Sequence[tuple[str, Part]], places: tuple[Box, Box], least: float
) -> Iterator[Tile]:
    """The tiles of one share: what its parts do not account for, and its small ones, are one tile each."""
    shown = [(part.name, part.uncompressed, name) for name, part in rows if part.uncompressed >= least]
    small = [(part.name, part.uncompressed, name) for name, part in rows if 0 < part.uncompressed < least]
    if len(small) > 1:
        small = [(f"{len(small)} smaller ones", sum(size for _, size, _ in small), row)]
    rest = share.uncompressed - sum(size for _, size, _ in [*shown, *small])
    if rest > 0:
        small.append((share.owner.name, rest, row))
    drawn = sorted([*shown, *small], key=lambda tile: -tile[1])
    sizes = [size for _, size, _ in drawn]
    boxes = zip(*(squarify(sizes, place) for place in places), strict=True)
    for index, ((name, size, leads_to), (wide, narrow)) in enumerate(zip(drawn, boxes, strict=True)):
        yield Tile(name, size, leads_to, index == 0, wide, narrow)


class Bar(NamedTuple):
    """A budget and how much of it is used.

    ``pieces`` are an identifier, the look and the part of the whole bar of each share, ``limit`` where the budget ends.
    """

    name: str
    what: str
    used: int
    budget: int
    pieces: tuple[tuple[str, str, float], ...]

    @property
    def left(self) -> int:
        """What is left; below zero, what is too much."""
        return self.budget - self.used

    @property
    def limit(self) -> float:
        """Where the budget ends: what is over it lies beyond."""
        return 100 * self.budget / max(self.budget, self.used, 1)


def bars(report: Report, shown: Sequence[Group]) -> Iterator[Bar]:
    """A bar for each budget that there is: the image's, then the services'."""
    allowed = report.budget or Budget(None, None)
    rows = [("", Limit(allowed.uncompressed, allowed.compressed), list(shown))]
    for name, limit in allowed.services:
        rows.append((f" of service {name}", limit, [group for group in shown if group.share.service == name]))
    for index, (what, limit, those) in enumerate(rows):
        if limit.uncompressed is not None:
            parts = [(group, group.share.uncompressed) for group in those]
            yield _bar(f"u{index}", f"{what}, uncompressed", limit.uncompressed, parts)
        if limit.compressed is not None and report.compressed is not None:
            parts = [(group, group.share.compressed) for group in those]
            yield _bar(f"c{index}", f"{what}, compressed", limit.compressed, parts)


def _bar(name: str, what: str, budget: int, parts: Sequence[tuple[Group, int]]) -> Bar:
    used = sum(size for _, size in parts)
    whole = max(budget, used, 1)
    pieces = tuple((f"{name}-{group.number}", group.look, 100 * size / whole) for group, size in parts)
    return Bar(name, what, used, budget, pieces)


def page(report: Report) -> str:
    """The whole page."""
    shown = groups(report)
    limits = tuple(bars(report, shown))
    style = f"{_text('page.css')}\n{''.join(_places(shown, limits))}"
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return _template().render(report=report, groups=shown, bars=limits, style=style, digest=digest)


def _places(shown: Sequence[Group], limits: Sequence[Bar]) -> Iterator[str]:
    """The rules that put tiles and bars in their places; labels appear where they fit."""
    tiles = [(f"t{tile_id}", tile.wide, tile.narrow) for tile_id, tile in numbered(shown)]
    tiles += [(f"g{group.number}", group.wide, group.narrow) for group in shown if group.wide and group.narrow]
    yield from (_rule(name, wide, WIDE) for name, wide, _ in tiles)
    yield "@media (max-width: 44rem) {\n"
    yield from (_rule(name, narrow, NARROW) for name, _, narrow in tiles)
    yield "}\n"
    for bar in limits:
        yield from (f"#{name}{{width:{width:.4f}%}}\n" for name, _, width in bar.pieces)
        yield f"#{bar.name}{{left:{bar.limit:.4f}%}}\n"
    for length in sorted({tile.label for _, tile in numbered(shown)} | {group.label for group in shown}):
        if length <= LONGEST:
            yield f"@container (min-width:{length * 0.6 + 1:.2f}em){{.w{length}{{display:block}}}}\n"
    yield TOO_LOW


def _rule(name: str, box: Box, whole: float) -> str:
    left, width = 100 * box.left / whole, 100 * box.width / whole
    return f"#{name}{{left:{left:.5f}%;top:{100 * box.top:.5f}%;width:{width:.5f}%;height:{100 * box.height:.5f}%}}\n"


def numbered(shown: Sequence[Group]) -> Iterator[tuple[str, Tile]]:
    """Each tile with what makes its name in the page."""
    for group in shown:
        for index, tile in enumerate(group.tiles):
            yield f"{group.number}-{index}", tile


def width(text: str) -> int:
    """How many characters wide a text is: those of East Asia take two."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


@lru_cache(maxsize=1)
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    jinja = Environment(undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    jinja.filters |= {"amount": amount, "changed": changed, "percent": percent, "printable": printable}
    jinja.globals |= {"gone": gone, "grown": grown}
    return jinja.from_string(_text("page.html.j2"))


def _text(name: str) -> str:
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return file.read()
