"""Nothing that was acknowledged is lost when the container is killed, again and again, while it is written to."""

from __future__ import annotations

import json
import random
import threading
import time
from typing import TYPE_CHECKING

import pytest

from compiler.verify import client
from tests.container import Container, running_flagship

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compiler.verify.engine import Engine

KILLS = 20
WINDOW = 2.2
"""Seconds before a kill within which Redis may lose what it acknowledged: it writes before it answers, but not, for up
to two seconds and a tenth of its clock, while another thread is still busy with `appendfsync everysec`."""


@pytest.fixture
def container(engine: Engine) -> Iterator[Container]:
    with running_flagship(engine) as container:
        yield container


class Writer:
    """Writes numbers one after the other, and remembers which were acknowledged and when."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.settings: dict[str, float] = {}
        self.tasks: dict[str, float] = {}
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=loop) for loop in (self._write_settings, self._write_tasks)]
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def _write_settings(self) -> None:
        number = 0
        while not self.stopped.is_set():
            number += 1
            key = f"durable-{number % 500}"
            if self._told("PUT", f"/api/settings/{key}", {"value": str(number)}):
                self.settings[key] = number

    def _write_tasks(self) -> None:
        number = 0
        while not self.stopped.is_set():
            number += 1
            body = self._told("POST", "/api/tasks", {"type": "echo", "payload": {"number": number}})
            if body:
                self.tasks[json.loads(body)["id"]] = time.monotonic()
            time.sleep(0.05)

    def _told(self, method: str, path: str, body: object) -> str:
        try:
            answer = client.request(self.address, path, method, body=json.dumps(body).encode())
        except OSError:
            time.sleep(0.05)
            return ""
        return answer.text if answer.status < 300 else ""


def test_what_was_acknowledged_survives_twenty_kills(
    container: Container, record_property: Callable[[str, object], None]
) -> None:
    trial = container.trial
    chance = random.Random(20)  # noqa: S311 - to be had again
    writer = Writer(trial.gateway)
    kills: list[tuple[float, float]] = []
    back = []
    try:
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.2, 4))
            killed = time.monotonic()
            # To the engine this is a stop by hand, so that it leaves the start to us.
            trial.engine.call("kill", "--signal", "KILL", trial.container)
            kills.append((killed - WINDOW, time.monotonic()))
            trial.engine.tell("start", trial.container)
            trial.healthy()
            back.append(time.monotonic() - killed)
    finally:
        writer.stop()
    wanted = dict(writer.settings)
    settings = json.loads(client.request(trial.gateway, "/api/settings").text)["settings"]
    found = {row["key"]: int(row["value"]) for row in settings}
    lost = [f"{key}: {number} became {found.get(key)}" for key, number in wanted.items() if found.get(key, 0) < number]
    gone = {task for task in writer.tasks if client.request(trial.gateway, f"/api/tasks/{task}").status != 200}
    kept = {task for task, at in writer.tasks.items() if not any(begin <= at <= end for begin, end in kills)}
    lost += [f"task {task}" for task in sorted(gone & kept)]
    record_property(
        "evidence",
        f"{KILLS} kills: {len(wanted)} settings and {len(kept)} of {len(writer.tasks)} tasks promised, "
        f"{len(lost)} lost, and {len(gone - kept)} of the {WINDOW} s before a kill; "
        f"healthy again after {sorted(back)[len(back) // 2]:.1f} s, at most {max(back):.1f} s",
    )
    assert lost == []
    assert len(wanted) > KILLS
    assert len(kept) > KILLS
