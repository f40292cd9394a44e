"""Slow answers are made one at a time and shared: a crowd that asks for one thing costs as much as two requests.

A long answer is made in turns with other requests, and ends before LARGEST_ANSWER.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import TypeVar

from gevent.lock import BoundedSemaphore

from monitor.server.turns import take_turns
from monitor.updates.errors import Unavailable

Item = TypeVar("Item")

LARGEST_ANSWER = 1024 * 1024  # bytes
SECONDS_BETWEEN_TURNS = 0.001  # a webhook takes a few turns


def in_turns(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items as they are made; let other requests be answered in between."""
    turn = monotonic()
    for item in items:
        yield item
        if monotonic() - turn > SECONDS_BETWEEN_TURNS:
            take_turns()
            turn = monotonic()


def fitting(items: Iterable[Item], size_of: Callable[[Item], int], most: int) -> Iterator[Item]:
    """Yield the first items, in turns: at least one, and no more than fit into `most` bytes."""
    for number, item in enumerate(in_turns(items)):
        most -= size_of(item)
        if number and most < 0:
            return
        yield item


class SharedAnswer:
    """Keep the newest answer. Nobody gets an answer that was begun before they asked."""

    def __init__(self) -> None:
        self._turn = BoundedSemaphore()
        self._question: object = None
        self._began_at = 0.0
        self._answer: bytes | Unavailable = b""

    def get(self, question: object, make: Callable[[], bytes]) -> bytes:
        """Return what `make` returns, or what it returned to another request for this question; raise Unavailable."""
        asked_at = monotonic()
        with self._turn:
            take_turns()  # the rest of a crowd asks meanwhile, and others are answered
            if self._question != question or self._began_at < asked_at:
                began_at = monotonic()
                try:
                    answer: bytes | Unavailable = make()
                except Unavailable as error:  # shared too: it may have taken long
                    answer = error
                self._question, self._began_at, self._answer = question, began_at, answer
            answer = self._answer
        if isinstance(answer, Unavailable):
            raise Unavailable(str(answer))
        return answer
