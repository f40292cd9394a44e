"""Answers that take long are made one at a time, and one serves all who waited for it: a crowd costs as much as two."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from gevent.lock import BoundedSemaphore

from monitor.server.turns import take_turns
from monitor.updates.errors import Unavailable


class SharedAnswer:
    """The newest answer; nobody gets one that was begun before they asked."""

    def __init__(self) -> None:
        self._turn = BoundedSemaphore()
        self._question: object = None
        self._began_at = 0.0
        self._answer: bytes | Unavailable = b""

    def get(self, question: object, make: Callable[[], bytes]) -> bytes:
        """Return what `make` makes of a question, or made of it while this one waited; raise Unavailable."""
        asked_at = monotonic()
        with self._turn:
            take_turns()  # the rest of a crowd asks meanwhile, and others are answered
            if self._question != question or self._began_at < asked_at:
                began_at, answer = monotonic(), _made(make)
                self._question, self._began_at, self._answer = question, began_at, answer
            answer = self._answer
        if isinstance(answer, Unavailable):
            raise Unavailable(str(answer))
        return answer


def _made(make: Callable[[], bytes]) -> bytes | Unavailable:
    """Return the answer, or why there is none, which is shared too: it may have taken its time."""
    try:
        return make()
    except Unavailable as error:
        return error
