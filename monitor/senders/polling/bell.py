"""The schedule of the polls that rings ask for, and their outcomes; doorbell.py takes the rings.

A ring polls at once, and again after 15, 60 and 180 s until a poll finds news. However many rings come, they poll the
page at most once in 10 s, and never during a pause that the page asked for. A ring does not delay the regular polls.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from math import inf
from time import monotonic

from gevent.event import Event

WAITS = (0.0, 15.0, 60.0, 180.0)  # seconds: a page's e-mail may come before its API, or a cache, has the same
SECONDS_BETWEEN = 10.0


class Bell:
    """The bell of one page: `is_rung` says that the current poll is for a ring, `told` counts its new updates."""

    def __init__(self) -> None:
        self.is_rung, self.told = False, 0
        self.rung_at: datetime | None = None
        self.found: str | None = None  # outcome of the last ring: polling, news, nothing, no_answer, paused
        self.outcomes: Counter[str] = Counter()
        self._due: list[float] = []
        self._next_poll, self._asked_at, self._paused_until = inf, -inf, -inf
        self._waiting, self._has_failed = 0, False
        self._rung = Event()

    def ring(self) -> None:
        """Ask for a poll."""
        self.rung_at, self._waiting = datetime.now(UTC), self._waiting + 1
        if monotonic() < self._paused_until:
            self._end("paused")
            return
        self.found = "polling"
        self._due = [monotonic() + wait for wait in WAITS]
        self._rung.set()

    def wait(self, seconds: float) -> None:
        """Return when the page is due: after so many seconds, or earlier for a ring."""
        now = monotonic()
        is_extra = self.is_rung and now >= self._paused_until
        self._next_poll = min(self._next_poll, now + seconds) if is_extra else now + seconds
        if self.is_rung and self.told:
            is_rung_again = len(self._due) == len(WAITS)
            self._end("news", self._due if is_rung_again else [])
        elif self.is_rung and self._waiting and not self._due:
            self._end("no_answer" if self._has_failed else "nothing")
        while (now := monotonic()) < (until := min(self._next_poll, self._ring_due())):
            self._rung.clear()
            self._rung.wait(until - now)
        self.is_rung, self._has_failed = self._ring_due() <= now, False
        if self.is_rung:
            self._asked_at = now
            self._due = [due for due in self._due if due > now]

    def failed(self, pause: float) -> None:
        """Note that the page gave no answer, and how many seconds of pause it asked for."""
        self._has_failed = True
        if pause:
            self._paused_until = monotonic() + pause
            if self._waiting or self._due:  # also for a ring that came while the last poll found news
                self._end("paused")

    def _ring_due(self) -> float:
        return max(self._due[0], self._asked_at + SECONDS_BETWEEN) if self._due else inf

    def _end(self, found: str, due: list[float] | None = None) -> None:
        self.found = found
        self.outcomes[found] += self._waiting
        self._waiting, self._due = 0, due or []
