"""The dashboard as somebody in front of it sees and uses it."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Error, expect

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Locator, Page, Request

WELL = "Everything works"

# A container may be starting while it is looked at.
STARTED_MS = 30_000


class Colours(NamedTuple):
    """The two colours of a piece of text, as the browser computed them."""

    text: str
    background: str


class Dashboard:
    """A page with the dashboard, and everything that went wrong on it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.on("request", self._requested)
        page.on("websocket", lambda socket: self._check_origin(socket.url.replace("ws", "http", 1)))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def _requested(self, request: Request) -> None:
        self._check_origin(request.url)

    def _check_origin(self, url: str) -> None:
        if urlsplit(url).scheme != "data" and urlsplit(url).netloc != urlsplit(self.url).netloc:
            self.foreign.append(url)

    def open(self) -> None:
        """Load the page and wait until it says that all is well and shows what has been queued."""
        self.page.goto(self.url)
        self.expect_headline(WELL)
        expect(self.page.locator("[data-task], #task-note:visible").first).to_be_visible()

    @property
    def headline(self) -> Locator:
        return self.page.get_by_role("heading", level=1)

    def expect_headline(self, text: str, *, timeout: float = STARTED_MS) -> None:
        expect(self.headline).to_have_text(text, timeout=timeout)

    def service(self, name: str) -> Locator:
        return self.page.locator(f"[data-service='{name}']")

    def problem(self, name: str) -> Locator:
        return self.page.locator(f".problem[data-key='{name}']")

    def setting(self, key: str) -> Locator:
        return self.page.locator(f"[data-setting='{key}']")

    def enqueue(self, kind: str, text: str | None = None) -> Locator:
        """Enqueue a task; its row in the list comes back."""
        tasks = self.page.get_by_role("region", name="Tasks")
        tasks.get_by_role("combobox").select_option(kind)
        if text is not None:
            tasks.get_by_role("textbox").fill(text)
        before = self.newest_task()
        tasks.get_by_role("button", name="Enqueue").click()
        row = self.page.locator("[data-task]").first
        expect(row).not_to_have_attribute("data-task", before)
        return self.page.locator(f"[data-task='{row.get_attribute('data-task')}']")

    def newest_task(self) -> str:
        rows = self.page.locator("[data-task]")
        return (rows.first.get_attribute("data-task") if rows.count() else None) or ""

    def wait_until_healthy(self) -> None:
        """Wait for the container, whatever the page says about it."""
        deadline = time.monotonic() + STARTED_MS / 1000
        while time.monotonic() < deadline:
            try:
                if self.page.request.get(f"{self.url}/api/health").ok:
                    return
            except Error:  # Nobody listens yet.
                pass
            self.page.wait_for_timeout(100)
        pytest.fail("the container does not become healthy")

    def open_terminal(self, token: str) -> Terminal:
        """Fill in the token and open the terminal."""
        region = self.page.get_by_role("region", name="Terminal")
        region.get_by_label("Token").fill(token)
        region.get_by_role("button", name="Open terminal").click()
        terminal = Terminal(region)
        expect(terminal.state).to_have_text("Connected")
        return terminal

    def mark(self) -> None:
        """Leave a mark that a reload would wipe out."""
        self.page.evaluate("window.unbroken = true")

    def expect_no_reload(self) -> None:
        assert self.page.evaluate("window.unbroken") is True

    def set_hidden(self, *, hidden: bool) -> None:
        """Hide the page behind another tab, as far as it can tell."""
        self.page.evaluate(
            """hidden => {
                Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
                document.dispatchEvent(new Event("visibilitychange"));
            }""",
            hidden,
        )

    def width_of_content(self) -> int:
        return int(self.page.evaluate("document.documentElement.scrollWidth"))

    def focused(self) -> str:
        """What has the focus, in a word or two."""
        return str(
            self.page.evaluate(
                "(() => { const e = document.activeElement;"
                " return e.getAttribute('aria-label') || e.id || e.textContent.trim() || e.tagName; })()"
            )
        )

    def focus_is_visible(self) -> bool:
        """Whether what has the focus, or the frame around it, has an outline."""
        return bool(
            self.page.evaluate(
                """() => [document.activeElement, document.activeElement.closest('.screen')].some((element) => {
                    if (!element) return false;
                    const style = getComputedStyle(element);
                    return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
                })"""
            )
        )


class Terminal:
    """The open terminal."""

    def __init__(self, region: Locator) -> None:
        self.region = region
        self.page = region.page
        self.state = region.locator("#terminal-state")
        self.rows = region.locator(".xterm-rows")

    def type(self, line: str) -> None:
        self.page.keyboard.type(line)
        self.page.keyboard.press("Enter")

    def expect_line(self, pattern: str) -> re.Match[str]:
        """Wait for a line of output that matches as a whole; a prompt stands before it if it was typed too early."""
        expression = re.compile(rf"^(?:.*[#$] )?{pattern}\s*$")
        line = self.rows.locator("> div").filter(has_text=expression).first
        expect(line).to_be_visible()
        match = expression.search(line.inner_text())
        assert match is not None
        return match

    def colours_of(self, text: str) -> Colours:
        """The colours of the cells that show ``text``."""
        span = self.rows.locator("span").filter(has_text=re.compile(f"^{text}$")).first
        colours: dict[str, Any] = span.evaluate(
            "(e) => ({text: getComputedStyle(e).color, background: getComputedStyle(e).backgroundColor})"
        )
        return Colours(**colours)
