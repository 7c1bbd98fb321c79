"""The pictures in the documentation, taken anew with ``--screenshots``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from playwright.sync_api import expect

from tests.browser.dashboard import Dashboard
from tests.browser.test_trouble import NOTICED_MS, stopped

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.flagship import Flagship
    from tests.browser.test_accessible import Scheme

DIRECTORY = Path(__file__).parents[2] / "docs" / "screenshots"

SETTINGS = {"backup.schedule": "0 3 * * *", "greeting": "Good morning", "site.name": "Our little shop"}


class Picture(NamedTuple):
    """A file and what the window is like in it."""

    name: str
    scheme: Scheme
    width: int
    height: int


PICTURES = [
    Picture("light", "light", 1280, 900),
    Picture("dark", "dark", 1280, 900),
    Picture("narrow", "light", 360, 780),
]


def test_screenshots(browser: Browser, dashboard: Dashboard, flagship: Flagship) -> None:
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    for key, value in SETTINGS.items():
        dashboard.page.request.put(f"{flagship.url}/api/settings/{key}", data={"value": value})
    for kind, text in (("sum", "1 2 3.5"), ("fail", None), ("echo", "Hello"), ("sleep", "2")):
        last = dashboard.enqueue(kind, text)
    expect(last).to_have_attribute("data-state", "completed")
    for picture in PICTURES:
        take(browser, flagship, picture)
    with stopped(flagship, "redis"):
        dashboard.expect_headline("Redis is stopped", timeout=NOTICED_MS)
        dashboard.page.screenshot(path=DIRECTORY / "redis-stopped.png")
    for key in SETTINGS:
        dashboard.page.request.delete(f"{flagship.url}/api/settings/{key}")


def take(browser: Browser, flagship: Flagship, picture: Picture) -> None:
    context = browser.new_context(
        viewport={"width": picture.width, "height": picture.height}, color_scheme=picture.scheme
    )
    dashboard = Dashboard(context.new_page(), flagship.url)
    dashboard.open()
    expect(dashboard.setting("site.name")).to_be_visible()
    dashboard.page.screenshot(path=DIRECTORY / f"{picture.name}.png")
    context.close()
