"""An engine and the flagship's container on it, for tests that need them; in continuous integration there must be."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from compiler.errors import HostError
from compiler.verify import engine as engines
from tests import lab
from tests.browsing import axe, browser
from tests.container import Container, running_flagship

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.terminal import TerminalReporter

    from compiler.verify.engine import Engine


__all__ = ("axe", "browser")
"""Here, since two browsers of one process would be in each other's way."""


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print what tests recorded as evidence: what was accepted, and by which figures."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    lines = [value for report in reports for name, value in report.user_properties if name == "evidence"]
    if lines:
        terminalreporter.section("evidence")
        for line in lines:
            terminalreporter.write_line(str(line))


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The engine that answers here, or the lab's; without any, the test is skipped, but in CI it fails."""
    started = lab.engine()
    if started:
        os.environ.update(started.environment)
    try:
        found = engines.find()
    except HostError as error:
        if os.environ.get("CI"):
            pytest.fail(f"{error.message}: make lab-engine says why")
        pytest.skip(f"{error.message}; make lab-engine starts one")
    lab.ensure_images()
    return found


@pytest.fixture(scope="session")
def flagship(engine: Engine) -> Iterator[Container]:
    """AppOS in production: built from the tree, running and healthy."""
    with running_flagship(engine) as container:
        yield container
