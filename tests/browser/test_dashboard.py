"""What somebody does with the dashboard while all is well."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.dashboard import Dashboard
    from tests.browser.flagship import Flagship

SERVICES = ["redis", "convex", "backend", "nginx"]


def test_loads_without_complaints_and_foreign_requests(dashboard: Dashboard) -> None:
    # Every list has been asked for more than once by then.
    dashboard.page.wait_for_timeout(6000)
    assert dashboard.complaints == []
    assert dashboard.foreign == []


def test_the_policy_is_strict(dashboard: Dashboard) -> None:
    for path in ("/", "/any/page/of/the/application"):
        response = dashboard.page.request.get(dashboard.url + path)
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_shows_four_services(dashboard: Dashboard) -> None:
    tiles = dashboard.page.locator("[data-service]")
    expect(tiles).to_have_count(len(SERVICES))
    for name in SERVICES:
        expect(dashboard.service(name)).to_contain_text(re.compile(r"running.*for\s*\d+ (s|min|h|d)", re.DOTALL))
    for name in ("redis", "convex"):
        expect(dashboard.service(name)).to_contain_text(re.compile(r"answers in\s*[\d.]+ ms"))
    expect(dashboard.page).to_have_title("Everything works · AppOS")
    expect(dashboard.page.locator("#favicon")).to_have_attribute("href", re.compile("/ok-"))


def test_updates_in_place(dashboard: Dashboard) -> None:
    dashboard.page.evaluate(
        """() => {
            window.replaced = 0;
            new MutationObserver((records) => {
                for (const { addedNodes, removedNodes } of records)
                    for (const node of [...addedNodes, ...removedNodes])
                        if (node.nodeType === Node.ELEMENT_NODE) window.replaced++;
            }).observe(document.body, { childList: true, subtree: true });
        }"""
    )
    uptime = dashboard.service("redis").locator("dd").first
    before = uptime.inner_text()
    expect(uptime).not_to_have_text(before, timeout=70_000)
    dashboard.page.wait_for_timeout(3000)
    assert dashboard.page.evaluate("window.replaced") == 0
    # Good news that goes on is no news.
    expect(dashboard.page.get_by_role("status")).to_be_empty()


def test_asks_nothing_while_nobody_looks(dashboard: Dashboard) -> None:
    asked: list[str] = []
    dashboard.page.on("request", lambda request: asked.append(request.url))
    dashboard.set_hidden(hidden=True)
    dashboard.page.wait_for_timeout(500)
    asked.clear()
    dashboard.page.wait_for_timeout(4000)
    assert asked == []
    dashboard.set_hidden(hidden=False)
    dashboard.page.wait_for_timeout(1000)
    assert f"{dashboard.url}/api/health" in asked


def test_enqueues_a_task_and_shows_its_result(dashboard: Dashboard) -> None:
    dashboard.mark()
    row = dashboard.enqueue("sum", "1 2 3.5")
    expect(row).to_have_attribute("data-state", "completed")
    expect(row.locator(".result")).to_have_text('{"sum":6.5}')
    dashboard.expect_no_reload()


def test_shows_a_task_at_work(dashboard: Dashboard) -> None:
    row = dashboard.enqueue("sleep", "3")
    expect(row).to_have_attribute("data-state", "active")
    expect(row).to_have_attribute("data-state", "completed")


def test_shows_retries_and_the_failure(dashboard: Dashboard) -> None:
    row = dashboard.enqueue("fail")
    expect(row).to_contain_text(re.compile(r"will retry.*retry \d of \d at \d\d:\d\d:\d\d", re.DOTALL))
    expect(row).to_have_attribute("data-state", "archived", timeout=30_000)
    expect(row).to_contain_text("failed")
    row.locator("summary").click()
    expect(row.locator("dl")).to_contain_text(re.compile("Error.*fails"))


def test_says_what_is_wrong_with_the_input(dashboard: Dashboard) -> None:
    tasks = dashboard.page.get_by_role("region", name="Tasks")
    before = dashboard.newest_task()
    tasks.get_by_role("combobox").select_option("sum")
    tasks.get_by_role("textbox").fill("one two")
    tasks.get_by_role("button", name="Enqueue").click()
    expect(tasks.get_by_role("alert")).to_have_text("Numbers look like this: 1 2 3.5")
    expect(tasks.get_by_role("textbox")).to_be_focused()
    assert dashboard.newest_task() == before


def test_a_setting_is_added_changed_deleted_and_brought_back(dashboard: Dashboard) -> None:
    key = "browser/test ?"
    settings = dashboard.page.get_by_role("region", name="Settings")
    row = dashboard.setting(key)
    settings.get_by_label("Key").fill(key)
    settings.get_by_label("Value", exact=True).fill("<b>first</b>")
    settings.get_by_role("button", name="Add").click()
    expect(row.locator(".value")).to_have_text("<b>first</b>")

    row.get_by_role("button", name="Edit").click()
    expect(row.get_by_role("textbox")).to_be_focused()
    row.get_by_role("textbox").fill("second")
    dashboard.page.keyboard.press("Shift+Enter")
    dashboard.page.keyboard.type("line")
    dashboard.page.keyboard.press("Enter")
    expect(row.locator(".value")).to_have_text("second\nline")
    expect(row.get_by_role("button", name="Edit")).to_be_focused()

    row.get_by_role("button", name="Delete").click()
    expect(row).to_contain_text("Deleted")
    row.get_by_role("button", name="Undo").click()
    expect(row.get_by_role("button", name="Delete")).to_be_focused()
    dashboard.open()
    expect(row.locator(".value")).to_have_text("second\nline")

    row.get_by_role("button", name="Delete").click()
    row.get_by_role("button", name="Dismiss").click()
    expect(row).to_have_count(0)
    dashboard.open()
    expect(settings.get_by_label("Key")).to_be_visible()
    expect(row).to_have_count(0)


def test_the_terminal_runs_a_command(dashboard: Dashboard, flagship: Flagship) -> None:
    terminal = dashboard.open_terminal(flagship.token())
    terminal.type("echo $((6 * 7)) is the answer")
    terminal.expect_line("42 is the answer")

    # What xterm.js does by <style> and style attributes works under the policy, too.
    terminal.type(r"printf '\033[38;2;255;120;0mORANGE\033[0m \033[44mBLUE\033[0m\n'")
    terminal.expect_line("ORANGE BLUE")
    assert terminal.colours_of("ORANGE").text == "rgb(255, 120, 0)"
    assert terminal.colours_of("BLUE").background == "rgb(141, 185, 238)"

    terminal.type("stty size")
    wide = int(terminal.expect_line(r"\d+ (\d+)")[1])
    dashboard.page.set_viewport_size({"width": 400, "height": 900})
    terminal.type("clear; stty size")
    terminal.expect_line(r"\d+ [1-5]\d")
    assert wide > 80

    assert dashboard.complaints == []
    assert dashboard.foreign == []


def test_the_terminal_says_how_the_shell_ended_and_opens_another(dashboard: Dashboard, flagship: Flagship) -> None:
    terminal = dashboard.open_terminal(flagship.token())
    terminal.type("exit 3")
    expect(terminal.state).to_have_text("The shell has ended with status 3")
    expect(terminal.region.get_by_role("button", name="Reconnect")).to_be_focused()
    dashboard.page.keyboard.press("Enter")
    expect(terminal.state).to_have_text("Connected")
    terminal.type("echo again$((1 + 1))")
    terminal.expect_line("again2")


def test_a_wrong_token_is_explained_and_forgotten(dashboard: Dashboard) -> None:
    region = dashboard.page.get_by_role("region", name="Terminal")
    expect(region).to_contain_text("docker exec appos cat /appos/data/.appos/secrets/terminal_token")
    region.get_by_label("Token").fill("not-the-token")
    region.get_by_role("button", name="Open terminal").click()
    expect(region.get_by_role("alert")).to_contain_text("The token was not accepted")
    expect(region.get_by_label("Token")).to_be_focused()
    assert dashboard.page.evaluate("sessionStorage.length + localStorage.length") == 0
    assert dashboard.page.context.cookies() == []


def test_the_token_is_kept_in_this_tab_alone(dashboard: Dashboard, browser: Browser, flagship: Flagship) -> None:
    dashboard.open_terminal(flagship.token())
    dashboard.open()
    expect(dashboard.page.get_by_label("Token")).to_have_value(flagship.token())
    assert dashboard.page.evaluate("localStorage.length") == 0
    other = browser.new_context().new_page()
    other.goto(dashboard.url)
    expect(other.get_by_label("Token")).to_have_value("")
    other.context.close()
