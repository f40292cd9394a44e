"""Slow answers are made one at a time and shared: a crowd that asks for one thing costs as much as two requests."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from gevent.lock import BoundedSemaphore

from monitor.server.turns import take_turns
from monitor.updates.errors import Unavailable


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
