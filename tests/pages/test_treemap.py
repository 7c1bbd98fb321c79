"""The page of `size --format html` in a browser: as a file, in both schemes, on a phone, by keyboard, on paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest
from playwright.sync_api import expect

from compiler.size import treemap
from tests.browser.test_accessible import SCHEMES, findings
from tests.size_reports import hostile, usual

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from compiler.size.report import Report

WIDTHS = [1280, 360]


BOTH = pytest.mark.parametrize("opened", [usual, hostile], indirect=True)


class Opened(NamedTuple):
    """A page, and what it asked for and said since it was opened."""

    page: Page
    address: str
    requests: list[str]
    messages: list[str]


@pytest.fixture(params=[usual])
def opened(request: pytest.FixtureRequest, browser: Browser, tmp_path: Path) -> Iterator[Opened]:
    """The page of a report, opened from the disk."""
    made: Callable[[], Report] = request.param
    file = tmp_path / "size.html"
    file.write_text(treemap.page(made()), encoding="utf-8")
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    found = Opened(context.new_page(), file.as_uri(), [], [])
    found.page.on("request", lambda asked: found.requests.append(asked.url))
    found.page.on("console", lambda message: found.messages.append(message.text))
    found.page.on("pageerror", lambda error: found.messages.append(str(error)))
    found.page.on("dialog", lambda dialog: found.messages.append(dialog.message))
    found.page.goto(found.address)
    yield found
    context.close()


@BOTH
def test_it_asks_for_nothing_and_says_nothing(opened: Opened) -> None:
    opened.page.reload()
    opened.page.locator(".tile").first.hover()
    assert opened.requests == [opened.address] * 2
    assert opened.messages == []


def test_its_style_is_applied(opened: Opened) -> None:
    # Where the policy does not name the hash of the style sheet, the map has no height.
    box = opened.page.locator(".map").bounding_box()
    assert box is not None
    assert box["width"] / box["height"] == pytest.approx(treemap.WIDE, rel=0.02)


def test_axe_finds_nothing_serious(browser: Browser, opened: Opened, axe: str) -> None:
    found = []
    # axe is a script, which the page's policy rightly forbids.
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    page.goto(opened.address)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            found += findings(page, axe)
    context.close()
    assert found == []


@BOTH
def test_on_a_screen_the_table_stands_beside_the_map(opened: Opened) -> None:
    table, drawn = opened.page.locator("table").first.bounding_box(), opened.page.locator(".map").bounding_box()
    assert table is not None
    assert drawn is not None
    assert table["x"] + table["width"] < drawn["x"]
    assert drawn["x"] + drawn["width"] <= 1280
    assert abs(table["y"] - drawn["y"]) < 5


@BOTH
def test_on_a_phone_the_table_comes_first_and_nothing_is_wider(opened: Opened) -> None:
    opened.page.set_viewport_size({"width": 360, "height": 780})
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 360
    table, drawn = opened.page.locator("table").first.bounding_box(), opened.page.locator(".map").bounding_box()
    assert table is not None
    assert drawn is not None
    assert table["y"] + table["height"] <= drawn["y"]


@pytest.mark.parametrize("width", WIDTHS)
def test_tiles_are_as_large_as_their_bytes(opened: Opened, width: int) -> None:
    opened.page.set_viewport_size({"width": width, "height": 900})
    areas = opened.page.evaluate("""
        [...document.querySelectorAll('.tile')].map(tile => {
            const box = tile.getBoundingClientRect();
            return box.width * box.height;
        })
    """)
    frame = opened.page.evaluate("""(() => {
        const map = document.querySelector('.map');
        return map.clientWidth * map.clientHeight;
    })()""")
    assert sum(areas) == pytest.approx(frame, rel=0.005)


@BOTH
@pytest.mark.parametrize("width", WIDTHS)
def test_a_label_that_is_shown_is_whole(opened: Opened, width: int) -> None:
    opened.page.set_viewport_size({"width": width, "height": 900})
    cut = opened.page.evaluate("""
        [...document.querySelectorAll('.key, .title, .name, .amount')].filter(label => {
            const box = label.closest('.box').getBoundingClientRect(), own = label.getBoundingClientRect();
            return own.width > 0 && (label.scrollWidth > label.clientWidth || own.bottom > box.bottom + 1);
        }).map(label => label.textContent)
    """)
    shown = opened.page.locator(".name:visible, .amount:visible, .title:visible, .key:visible").count()
    assert cut == []
    assert shown > 0


def test_every_tile_can_be_reached_by_keyboard_and_leads_to_its_row(opened: Opened) -> None:
    page = opened.page
    tiles = page.locator(".tile").count()
    focused: Callable[[], str] = lambda: page.evaluate("document.activeElement.id")  # noqa: E731 - of the page, at that time
    while not focused().startswith("t"):
        page.keyboard.press("Tab")
    seen = set()
    for _ in range(tiles):
        seen.add(focused())
        page.keyboard.press("Tab")
    assert len(seen) == tiles
    page.locator(".tile").first.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    tip = page.locator(".tile").first.locator(".tip")
    expect(tip).to_be_visible()
    expect(tip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("tr:target")).to_be_in_viewport()


def test_shares_differ_without_colour(opened: Opened) -> None:
    patterns = opened.page.evaluate("""
        [...document.querySelectorAll('.tile')].map(tile => {
            const style = getComputedStyle(tile);
            return style.backgroundImage + style.backgroundSize;
        })
    """)
    assert len(set(patterns)) == 8


def test_on_paper_the_tables_are_whole_and_the_tips_are_gone(opened: Opened) -> None:
    opened.page.emulate_media(media="print")
    opened.page.set_viewport_size({"width": 794, "height": 1123})
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 794
    opened.page.locator(".tile").first.hover()
    expect(opened.page.locator(".tile").first.locator(".tip")).to_be_hidden()
    assert len(opened.page.pdf()) > 10_000
