"""What the dashboard says when something is wrong, and that it recovers by itself."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.dashboard import WELL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.browser.dashboard import Dashboard
    from tests.browser.flagship import Flagship

NOTICED_MS = 8000
RECOVERED_MS = 30_000


@contextmanager
def stopped(flagship: Flagship, service: str) -> Iterator[None]:
    """Within it, the service is stopped."""
    flagship.exec(["supervisorctl", "stop", service])
    try:
        yield
    finally:
        flagship.exec(["supervisorctl", "start", service])


def test_names_redis_when_it_is_stopped(dashboard: Dashboard, flagship: Flagship) -> None:
    dashboard.mark()
    with stopped(flagship, "redis"):
        dashboard.expect_headline("Redis is stopped", timeout=NOTICED_MS)
        problem = dashboard.problem("redis")
        expect(problem).to_contain_text(re.compile(r"Since\s*\d\d:\d\d:\d\d \(\d+ s\)"))
        expect(problem).to_contain_text("New tasks cannot be queued")
        expect(problem).to_contain_text("it stays stopped until somebody starts it")
        expect(problem.locator("code")).to_have_text("docker exec appos supervisorctl start redis")
        expect(dashboard.service("redis")).to_contain_text("stopped")
        for name in ("convex", "backend", "nginx"):
            expect(dashboard.service(name)).to_contain_text("running")
        expect(dashboard.page).to_have_title("Redis is stopped · AppOS")
        expect(dashboard.page.locator("#favicon")).to_have_attribute("href", re.compile("/trouble-"))
        expect(dashboard.page.get_by_role("status")).to_have_text("Redis is stopped")

        tasks = dashboard.page.get_by_role("region", name="Tasks")
        tasks.get_by_role("textbox").fill("kept")
        tasks.get_by_role("button", name="Enqueue").click()
        expect(tasks.get_by_role("alert")).to_contain_text("Not queued")
        expect(tasks.get_by_role("textbox")).to_have_value("kept")
    dashboard.expect_headline(WELL, timeout=RECOVERED_MS)
    expect(dashboard.page.locator(".problem")).to_have_count(0)
    expect(dashboard.enqueue("echo", "back").locator(".result")).to_have_text('{"text":"back"}')
    dashboard.expect_no_reload()


def test_tells_a_backend_that_is_away_from_a_container_that_is_away(dashboard: Dashboard, flagship: Flagship) -> None:
    dashboard.mark()
    with stopped(flagship, "backend"):
        dashboard.expect_headline("The backend does not answer", timeout=NOTICED_MS)
        expect(dashboard.problem("backend")).to_contain_text("This page and nginx work")
        expect(dashboard.service("redis")).to_contain_text("was running")
    dashboard.expect_headline(WELL, timeout=RECOVERED_MS)
    dashboard.expect_no_reload()


def test_recovers_when_the_network_comes_back(dashboard: Dashboard) -> None:
    dashboard.mark()
    dashboard.page.context.set_offline(offline=True)
    dashboard.expect_headline("AppOS does not answer", timeout=NOTICED_MS)
    expect(dashboard.problem("link")).to_contain_text("This page tries again by itself")
    expect(dashboard.page.get_by_text("Reconnecting", exact=True)).to_be_visible()
    dashboard.page.context.set_offline(offline=False)
    dashboard.expect_headline(WELL, timeout=NOTICED_MS)
    dashboard.expect_no_reload()


def test_names_several_services(dashboard: Dashboard, flagship: Flagship) -> None:
    with stopped(flagship, "convex"), stopped(flagship, "redis"):
        dashboard.expect_headline("Two things need attention: Redis, Convex", timeout=NOTICED_MS)
        expect(dashboard.problem("redis").get_by_role("heading")).to_have_text("Redis is stopped")
        expect(dashboard.problem("convex").get_by_role("heading")).to_have_text("Convex is stopped")
    dashboard.expect_headline(WELL, timeout=RECOVERED_MS)


def test_survives_a_restart_of_the_container(dashboard: Dashboard, flagship: Flagship) -> None:
    dashboard.mark()
    terminal = dashboard.open_terminal(flagship.token())
    flagship.restart()
    dashboard.wait_until_healthy()
    dashboard.expect_headline(WELL, timeout=RECOVERED_MS)
    expect(dashboard.page.get_by_text("Live", exact=True)).to_be_visible()

    row = dashboard.enqueue("echo", "after the restart")
    expect(row.locator(".result")).to_have_text('{"text":"after the restart"}')
    terminal.region.get_by_role("button", name="Reconnect").click()
    expect(terminal.state).to_have_text("Connected")
    terminal.type("echo here$((1 + 1))")
    terminal.expect_line("here2")
    dashboard.expect_no_reload()
