"""A fair share of the thread for a crowd of greenlets, so that what must be answered at once is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import gevent
from gevent.lock import Semaphore

SHARE = 1 / 3  # of the time
BURST = 0.2  # seconds of work that may be done at once after a rest
SWITCH, LONGEST_TURN = 0.00003, 0.001  # seconds: what a turn costs beside itself; one longer was mostly waiting


class FairShare:
    """Together the crowd takes at most SHARE of the time, beyond a BURST, in the order of asking."""

    def __init__(self) -> None:
        self._due = 0.0  # when what was spent is made up for
        self._next = Semaphore()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and take it; several may be under way."""
        if self._due > monotonic() or self._next.locked():
            with self._next:
                gevent.sleep(max(0.0, self._due - monotonic()))
        began = monotonic()
        yield
        spent = SWITCH + min(monotonic() - began, LONGEST_TURN)
        self._due = max(self._due, monotonic() - BURST / SHARE) + spent / SHARE
