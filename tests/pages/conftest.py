"""The browser of tests/browser, for pages that are files: no engine is needed."""

from __future__ import annotations

from tests.browser.conftest import axe, browser

__all__ = ("axe", "browser")
