"""A browser of the system's, without anything that would leave this machine by itself."""

from __future__ import annotations

import shutil
from importlib import resources
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.browser.dashboard import Dashboard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.browser.flagship import Flagship

FLAGS = [
    # The sandbox needs what containers and CI machines do not give; the only page opened is our own.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", action="store_true", help="take the screenshots in docs/screenshots anew")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Not registered when pytest is started for all tests: it is an option of this directory's.
    if not config.getoption("--screenshots", default=False):
        pictures = [item for item in items if item.path.name == "test_screenshots.py"]
        config.hook.pytest_deselected(items=pictures)
        items[:] = [item for item in items if item not in pictures]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "no Chromium: install the package chromium"
    expect.set_options(timeout=10_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def dashboard(browser: Browser, flagship: Flagship) -> Iterator[Dashboard]:
    """The dashboard, open, in a window of its own that nothing has been stored in."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    dashboard = Dashboard(context.new_page(), flagship.url)
    dashboard.open()
    yield dashboard
    context.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    return resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
