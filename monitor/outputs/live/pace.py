"""A pace for many greenlets: together they take at most a share of the thread's time, beyond a burst.

So what must be answered at once is, whatever the crowd has to do.
"""

from __future__ import annotations

from time import monotonic

import gevent
from gevent.lock import Semaphore

SHARE = 0.2  # of the time
BURST = 0.1  # seconds of work that may be done at once after a rest
MOST_SECONDS = 0.001  # a turn that took longer was mostly waiting


class Pace:
    """Each calls `wait` before its turn, and `spend` after it."""

    def __init__(self) -> None:
        self._due = 0.0  # when what was spent is made up for
        self._turn = Semaphore()

    def wait(self) -> None:
        """Wait until the crowd may go on, in the order of asking."""
        if self._due > monotonic() or self._turn.locked():
            with self._turn:
                gevent.sleep(max(0.0, self._due - monotonic()))

    def spend(self, seconds: float) -> None:
        """Count a turn."""
        self._due = max(self._due, monotonic() - BURST / SHARE) + min(seconds, MOST_SECONDS) / SHARE
