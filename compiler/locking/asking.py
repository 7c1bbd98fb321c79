"""Questions that may hang -> their answers, or why there are none, within one limit for all of them together.

Neither a name server nor a peer that sends a byte now and then can be given a limit by the socket: each question has a
thread of its own, and nobody waits for one that is late.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from compiler.errors import CompileError, HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")
Name = TypeVar("Name")


class _Question(threading.Thread, Generic[T]):
    def __init__(self, ask: Callable[[], T]) -> None:
        super().__init__(daemon=True)
        self._ask = ask
        self.answer: T | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.answer = self._ask()
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits for the answer
            self.error = error


def at_once(names: Iterable[Name], ask: Callable[[Name], T], limit: float) -> dict[Name, T | HostError]:
    """The answer for each name, or what went wrong; all are asked at the same time."""
    end = time.monotonic() + limit
    asked: dict[Name, _Question[T]] = {name: _Question(_bound(ask, name)) for name in names}
    for question in asked.values():
        question.start()
    answers: dict[Name, T | HostError] = {}
    for name, question in asked.items():
        question.join(max(0.0, end - time.monotonic()))
        if question.is_alive():
            hint = "give it more time with --timeout; --offline asks the engine alone"
            answers[name] = HostError(f"there was no answer within {limit:.0f} seconds", hint)
        elif isinstance(question.error, HostError):
            answers[name] = question.error
        elif isinstance(question.error, CompileError):
            answers[name] = HostError(str(question.error))
        elif question.error is not None:
            raise question.error
        else:
            answers[name] = cast("T", question.answer)
    return answers


def _bound(ask: Callable[[Name], T], name: Name) -> Callable[[], T]:
    return lambda: ask(name)
