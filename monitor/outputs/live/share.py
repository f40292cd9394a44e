"""A bound on the share of the thread that a crowd of greenlets takes, so that webhooks are answered meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import gevent
from gevent.lock import Semaphore

SHARE = 1 / 3  # of the time
BURST = 0.2  # seconds of work that may be done at once after a rest
SWITCH = 0.00003  # seconds that a turn costs beside its own work
LONGEST_TURN = 0.001  # seconds; a longer turn mostly waited


class FairShare:
    """All turns together take at most SHARE of the time after a BURST; turns come in the order of asking."""

    def __init__(self) -> None:
        self._due = 0.0  # when the next turn may begin
        self._next = Semaphore()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and take it; several turns may overlap."""
        if self._due > monotonic() or self._next.locked():
            with self._next:
                gevent.sleep(max(0.0, self._due - monotonic()))
        began = monotonic()
        yield
        spent = SWITCH + min(monotonic() - began, LONGEST_TURN)
        self._due = max(self._due, monotonic() - BURST / SHARE) + spent / SHARE
