"""The dashboard in a browser, and the option that takes its pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.dashboard import Dashboard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.browser.flagship import Flagship


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", action="store_true", help="take the screenshots in docs/screenshots anew")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Not registered when pytest is started for all tests: it is an option of this directory's.
    if not config.getoption("--screenshots", default=False):
        pictures = [item for item in items if item.path.name == "test_screenshots.py"]
        config.hook.pytest_deselected(items=pictures)
        items[:] = [item for item in items if item not in pictures]


@pytest.fixture
def dashboard(browser: Browser, flagship: Flagship) -> Iterator[Dashboard]:
    """The dashboard, open, in a window of its own that nothing has been stored in."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    dashboard = Dashboard(context.new_page(), flagship.url)
    dashboard.open()
    yield dashboard
    context.close()
