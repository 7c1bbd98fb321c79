"""The page: areas are bytes, the tables have the same numbers, and nothing in a name is more than text."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.size import treemap
from compiler.size.report import Budget, Owner
from compiler.size.treemap import NARROW, WIDE, Box, squarify
from tests.size_reports import HOSTILE, hostile, part, report, share, usual

if TYPE_CHECKING:
    from collections.abc import Callable

    from compiler.size.report import Report

RULE = re.compile(r"#(\w[\w-]*)\{left:([\d.]+)%;top:([\d.]+)%;width:([\d.]+)%;height:([\d.]+)%\}")


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.style = ""
        self._in_style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._in_style = self._in_style and tag != "style"

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.style += data
        else:
            self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def boxes(text: str) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """The places of the tiles, on a screen and on a phone, in percent."""
    style = Page(text).style
    wide, _, narrow = style.rpartition("@media")
    found = [{name: [float(n) for n in numbers] for name, *numbers in RULE.findall(part)} for part in (wide, narrow)]
    return found[0], found[1]


def sizes(shown: Report) -> dict[str, int]:
    return {f"t{name}": tile.size for name, tile in treemap.numbered(treemap.groups(shown))}


@settings(deadline=None)
@given(st.lists(st.integers(1, 10**10), min_size=1, max_size=40), st.floats(0.2, 5), st.floats(0.2, 5))
def test_areas_are_sizes_and_fill_the_box_without_overlap(numbers: list[int], width: float, height: float) -> None:
    numbers.sort(reverse=True)
    whole = Box(1, 2, width, height)
    found = squarify(numbers, whole)
    total = sum(numbers)
    for number, box in zip(numbers, found, strict=True):
        assert box.width * box.height == pytest.approx(width * height * number / total, rel=1e-6)
        assert box.left >= 1 - 1e-9
        assert box.left + box.width <= 1 + width + 1e-9
        assert box.top + box.height <= 2 + height + 1e-9
    for one, other in combinations(found, 2):
        across = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
        down = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
        assert min(across, down) <= 1e-9


def test_equal_sizes_are_squares() -> None:
    for box in squarify([1] * 6, Box(0, 0, 3, 2)):
        assert box.width == pytest.approx(box.height)


def test_the_squarified_example_of_the_paper() -> None:
    found = squarify([6, 6, 4, 3, 2, 2, 1], Box(0, 0, 6, 4))
    assert [(round(box.width, 2), round(box.height, 2)) for box in found[:5]] == [
        (3, 2),
        (3, 2),
        (1.71, 2.33),
        (1.29, 2.33),
        (1.2, 1.67),
    ]


@pytest.mark.parametrize("made", [usual, hostile])
def test_the_areas_of_the_page_are_the_bytes(made: Callable[[], Report]) -> None:
    shown = made()
    numbers = sizes(shown)
    assert sum(numbers.values()) == shown.uncompressed
    for places in boxes(treemap.page(shown)):
        for name, size in numbers.items():
            _, _, width, height = places[name]
            assert width * height / 10_000 == pytest.approx(size / shown.uncompressed, abs=2e-6)


def test_tiles_lie_in_the_border_of_their_share() -> None:
    for places in boxes(treemap.page(usual())):
        for name, (left, top, width, height) in places.items():
            if name.startswith("t"):
                around = places[f"g{name[1:].partition('-')[0]}"]
                assert left >= around[0] - 1e-4
                assert top >= around[1] - 1e-4
                assert left + width <= around[0] + around[2] + 1e-4
                assert top + height <= around[1] + around[3] + 1e-4


def test_a_phone_has_tiles_of_another_shape() -> None:
    wide, narrow = boxes(treemap.page(usual()))
    assert wide.keys() == narrow.keys()
    assert wide != narrow
    assert f"aspect-ratio: {WIDE};" in treemap.page(usual())
    assert f"aspect-ratio: {NARROW};" in treemap.page(usual())


def test_parts_too_small_to_see_are_one_tile() -> None:
    owner = Owner("service", "a")
    shown = report(share(owner, part("large", 10**8), *(part(f"small{n}", 20) for n in range(9))))
    (group,) = treemap.groups(shown)
    assert [(tile.name, tile.size) for tile in group.tiles] == [("large", 10**8), ("9 smaller ones", 180)]


def test_of_very_many_parts_the_smallest_are_one_row() -> None:
    parts = [part(f"part{n}", 10_000 - n) for n in range(treemap.MOST_ROWS + 5)]
    shown = report(share(Owner("service", "a"), *parts))
    (group,) = treemap.groups(shown)
    assert (len(group.rows), len(group.rest)) == (treemap.MOST_ROWS, 5)
    assert sum(tile.size for tile in group.tiles) == shown.uncompressed
    page = Page(treemap.page(shown))
    assert "5 smaller ones" in page.texts
    ids = {row.get("id") for row in page.all("tr")}
    assert f"p1-{treemap.MOST_ROWS}" in ids
    assert f"p1-{treemap.MOST_ROWS + 1}" not in ids
    assert {link["href"].removeprefix("#") for link in page.all("a")} <= ids


def test_the_layers_are_a_table() -> None:
    text = " ".join(" ".join(Page(treemap.page(usual())).texts).split())
    assert "0 ADD base / # buildkit 69.2 MB 27.7 MB" in text


def test_what_changed_is_a_table() -> None:
    text = " ".join(" ".join(Page(treemap.page(usual())).texts).split())
    assert "What changed since main" in text
    assert "nginx package +1.67 MB 1 B 1.67 MB" in text


def test_bytes_that_no_part_has_are_a_tile() -> None:
    owner = Owner("service", "a")
    shown = report(share(owner, part("one", 100))._replace(uncompressed=150))
    (group,) = treemap.groups(shown)
    assert [(tile.name, tile.size) for tile in group.tiles] == [("one", 100), ("a", 50)]


def test_the_tables_have_every_share_and_part_with_its_bytes() -> None:
    shown = usual()
    page = Page(treemap.page(shown))
    values = [element["value"] for element in page.all("data")]
    for item in shown.shares:
        assert values.count(str(item.uncompressed)) >= 2
        for one in item.parts:
            assert str(one.uncompressed) in values
            assert str(one.compressed) in values
            assert any(one.name in text for text in page.texts)
    assert {str(-9000), str(2_000_000 + 3_310_000), "0"} <= set(values)


def test_every_tile_leads_to_a_row_and_says_what_it_is() -> None:
    page = Page(treemap.page(usual()))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    tiles = [link for link in page.all("a") if "aria-label" in link]
    assert all(link["href"].removeprefix("#") in ids for link in page.all("a"))
    assert "api, /usr/local/bin/api: 42.0 MB, 60.7 %" in {link["aria-label"] for link in tiles}


def test_what_is_left_and_what_is_over_is_said() -> None:
    text = " ".join(" ".join(Page(treemap.page(usual())).texts).split())
    assert "30.8 MB left of the budget of 100.0 MB, uncompressed" in text
    assert "7.69 MB over the budget of 20.0 MB, compressed" in text
    assert "970.0 kB over the budget of 2.00 MB of service redis, uncompressed" in text
    assert "2.93 MB left of the budget of 5.00 MB of service web, uncompressed" in text
    assert "72.0 kB left of the budget of 900.0 kB of service web, compressed" in text


def test_one_byte_over_is_over() -> None:
    shown = report(share(Owner("service", "a"), part("a", 1001)), budget=Budget(1000, None))
    assert "1 B over" in treemap.page(shown)
    assert "1 B over" not in treemap.page(shown._replace(budget=Budget(1001, None)))


def test_the_policy_allows_the_one_style_and_nothing_else() -> None:
    text = treemap.page(hostile())
    page = Page(text)
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    (policy,) = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert len(page.all("style")) == 1


@pytest.mark.parametrize("made", [usual, hostile])
def test_nothing_runs_and_nothing_is_fetched(made: Callable[[], Report]) -> None:
    page = Page(treemap.page(made()))
    assert {tag for tag, _ in page.elements}.isdisjoint(("script", "img", "iframe", "object", "embed", "form", "base"))
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    assert all(link["href"].startswith("#") for link in page.all("a"))
    assert not any(name.startswith("on") or name in ("style", "src") for _, found in page.elements for name in found)
    assert "url(" not in page.style
    assert "@import" not in page.style


def test_hostile_names_are_text() -> None:
    text = "\n".join(Page(treemap.page(hostile())).texts)
    for name in HOSTILE:
        if name.isprintable():
            assert name in text
    assert "\\u202egnp.exe\\x1b[31m\\x00" in text
    assert "\\udcff broken" in text
    treemap.page(hostile()).encode()


def test_without_compressed_sizes_there_is_no_column_for_them() -> None:
    shown = report(share(Owner("service", "a"), part("one", 100)), packed=False)
    assert "compressed</th>" not in treemap.page(shown).replace("uncompressed</th>", "")


def test_an_image_without_a_byte_has_a_page() -> None:
    assert "0 B" in treemap.page(report())


def test_the_same_report_gives_the_same_page() -> None:
    assert treemap.page(usual()) == treemap.page(usual())
