"""Whoever uses the dashboard: by keyboard, with a screen reader, in the dark, on a small phone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from playwright.sync_api import expect

from tests.browser.dashboard import Dashboard
from tests.browser.test_trouble import NOTICED_MS, stopped

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.browser.flagship import Flagship

    Scheme = Literal["light", "dark"]

SCHEMES: list[Scheme] = ["light", "dark"]
WIDTHS = [1280, 360]
SMALLEST = 320


def findings(page: Page, axe: str) -> list[str]:
    """What axe finds serious or critical."""
    page.evaluate(axe)
    result = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {node['html']}: {node['failureSummary']}"
        for violation in result["violations"]
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_serious(
    dashboard: Dashboard, flagship: Flagship, axe: str, scheme: Scheme, width: int
) -> None:
    page = dashboard.page
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    row = dashboard.enqueue("fail")
    row.locator("summary").click()
    dashboard.open_terminal(flagship.token()).type("ls --color=always /")
    expect(row).to_have_attribute("data-state", "archived", timeout=30_000)
    assert findings(page, axe) == []


def test_axe_finds_nothing_serious_in_trouble(dashboard: Dashboard, flagship: Flagship, axe: str) -> None:
    page = dashboard.page
    found = []
    with stopped(flagship, "redis"):
        dashboard.expect_headline("Redis is stopped", timeout=NOTICED_MS)
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                found += findings(page, axe)
    assert found == []


def test_nothing_is_wider_than_the_smallest_phone(dashboard: Dashboard, flagship: Flagship) -> None:
    dashboard.page.set_viewport_size({"width": SMALLEST, "height": 600})
    dashboard.open_terminal(flagship.token())
    assert dashboard.width_of_content() == SMALLEST
    with stopped(flagship, "redis"):
        dashboard.expect_headline("Redis is stopped", timeout=NOTICED_MS)
        assert dashboard.width_of_content() == SMALLEST


def test_text_of_twice_the_size_fits(browser: Browser, flagship: Flagship) -> None:
    # What zooming to 200 % does to a window of 1280 by 900.
    context = browser.new_context(viewport={"width": 640, "height": 450}, device_scale_factor=2)
    dashboard = Dashboard(context.new_page(), flagship.url)
    dashboard.open()
    assert dashboard.width_of_content() == 640
    context.close()


def test_everything_can_be_done_by_keyboard(dashboard: Dashboard, flagship: Flagship) -> None:
    press, write = dashboard.page.keyboard.press, dashboard.page.keyboard.type
    press("Tab")
    expect(dashboard.page.get_by_role("link", name="Skip to content")).to_be_in_viewport()
    press("Enter")
    press("Tab")

    tab_to(dashboard, "task-type")
    write("sum")
    press("Tab")
    press("Control+A")
    write("20 22")
    before = dashboard.newest_task()
    press("Enter")
    row = dashboard.page.locator("[data-task]").first
    expect(row).not_to_have_attribute("data-task", before)
    expect(row.locator(".result")).to_have_text('{"sum":42}')

    tab_to(dashboard, "setting-key")
    write("keyboard")
    press("Tab")
    write("only")
    press("Enter")
    expect(dashboard.setting("keyboard").locator(".value")).to_have_text("only")
    tab_to(dashboard, "Delete keyboard", backwards=True)
    press("Enter")
    expect(dashboard.page.get_by_role("button", name="Undo deleting keyboard")).to_be_focused()
    tab_to(dashboard, "Dismiss keyboard")
    press("Enter")

    tab_to(dashboard, "terminal-token")
    write(flagship.token())
    press("Enter")
    region = dashboard.page.get_by_role("region", name="Terminal")
    expect(region.locator("#terminal-state")).to_have_text("Connected")
    assert dashboard.focus_is_visible()
    press("F6")
    expect(region.get_by_role("button", name="Close")).to_be_focused()
    press("Enter")
    expect(region.get_by_role("button", name="Open terminal")).to_be_focused()


def tab_to(dashboard: Dashboard, name: str, *, backwards: bool = False) -> None:
    """Press Tab until ``name`` has the focus; every stop on the way shows that it has it."""
    passed = []
    for _ in range(80):
        if dashboard.focused() == name:
            return
        dashboard.page.keyboard.press("Shift+Tab" if backwards else "Tab")
        passed.append(dashboard.focused())
        assert dashboard.focus_is_visible(), f"nobody can see that {passed[-1]} has the focus"
    pytest.fail(f"Tab does not reach {name}, but {passed}")
