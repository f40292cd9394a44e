"""The end of the history, for all who follow it: read once for each arrival, put into JSON once, kept for the slow.

`Tail` reads `history.arrivals` while anybody follows, woken by this process's own updates and, over PostgreSQL, by
those of others. A follower has nothing of its own here but a position: the number up to which it has been served.
So it can be handed from the stored arrivals to the newest ones, or come back later, without a miss or a repeat.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Callable
from time import monotonic
from typing import Protocol

import gevent
from gevent.event import Event as Flag

from monitor.history.contract import History, Unavailable
from monitor.history.query import Query
from monitor.outputs.live.event import Encode, Event, joined
from monitor.outputs.live.pace import Pace
from monitor.server.requests import where
from monitor.updates.update import Update

log = logging.getLogger("event_monitor")

MOST_EVENTS, MOST_CHARACTERS = 10_000, 8_000_000  # kept for followers that are behind
PAGE = 200  # events looked at in one go, then it is the turn of others
MOST_PAGES = 50  # read before anybody is told
STORED_PAGE = 30  # about event.MOST_AT_ONCE bytes
SECONDS_TO_GATHER = 0.05  # from one look to the next: under load several updates go out in one write
SECONDS_BETWEEN_LOOKS = 15  # where nobody tells: another process on the same SQLite file
SECONDS_AFTER_A_FAULT = 1
WOKEN_AT_ONCE = 50  # followers, then it is the turn of others


class Follower(Protocol):
    """What a tail asks of those who follow it; `position` is the number up to which this one has been served."""

    query: Query
    position: int

    def wake(self) -> None:
        """Look for more with `Tail.take`."""

    def lag(self) -> None:
        """Know that `position` is below `floor`."""


class Tail:
    """The newest events, all with numbers past `floor` up to `last`, and who follows them."""

    def __init__(self, history: History, listen: Callable[[Callable[[], None]], None] | None = None) -> None:
        """`listen`, if given, runs for as long as it is let, and calls what it is given after each arrival."""
        self.floor = self.last = self._newest = 0
        self._history, self._listen = history, listen
        self._events: list[Event] = []
        self._size = 0
        self._followers: dict[Query, set[Follower]] = {}
        self._taken: dict[tuple[int, Query, Encode], tuple[bytes, int]] = {}
        self._arrived, self._looked_at = Flag(), 0.0
        self._running: list[gevent.Greenlet] = []
        self.pace = Pace()

    def tell(self, _: Update) -> None:
        """Be woken by an update of this process: an output of the monitor."""
        if self._followers:
            self._arrived.set()

    def place(self, after: int | None) -> tuple[int, bool]:
        """Return the position of one who was served up to a number, or of one who is new, and whether it missed some.

        Number 0 asks for all that is kept. Raise Unavailable.
        """
        known = self._events[0].number - 1 if self._events else self.last
        if self._running and (after is None or known <= after <= self.last):
            return (self.last if after is None else after), False
        newest = self._history.arrivals(None, 1)
        self._newest = newest[0].number if newest else 0
        if after is None:
            return self._newest, False
        # A number past all is of another database, or of a memory that a restart has emptied.
        is_gap = after > self._newest or self._has_gap(after)
        return 0 if is_gap else after, is_gap

    def follow(self, follower: Follower) -> None:
        """Let a follower be woken by what matches its query, from its position on."""
        if not self._running:
            self._begin()
        self._followers.setdefault(follower.query, set()).add(follower)

    def leave(self, follower: Follower) -> None:
        """Forget a follower; without any, nothing is read."""
        group = self._followers[follower.query]
        group.discard(follower)
        if not group:
            del self._followers[follower.query]
        if not self._followers:
            gevent.killall(self._running, block=False)
            self._running = []

    def take(self, position: int, query: Query, encode: Encode) -> tuple[bytes, int]:
        """Return what matches past a position, at most about MOST_AT_ONCE bytes of it, and the position after it.

        The position must not be below `floor`. Followers at the same place with the same query share the bytes.
        """
        asked = position, query, encode
        if asked not in self._taken:
            if len(self._taken) > 100:
                self._taken.clear()
            begin = bisect_right(self._events, position, key=_number)
            self._taken[asked] = joined(self._events[begin : begin + PAGE], position, query, encode)
        return self._taken[asked]

    def stored(self, position: int) -> tuple[list[Event], bool]:
        """Return events past a position below `floor`, and whether some before them are lost; raise Unavailable."""
        events = [Event(arrival) for arrival in self._history.arrivals(position, STORED_PAGE)]
        return events, self._has_gap(position)

    def _has_gap(self, position: int) -> bool:
        oldest = self._history.arrivals(0, 1)  # asked after the page: what is forgotten in between is noticed
        return bool(position and oldest and oldest[0].number > position + 1)

    def _begin(self) -> None:
        self.floor = self.last = self._newest
        self._events, self._size = [], 0
        self._taken.clear()
        self._arrived.set()
        self._running = [gevent.spawn(self._run)]
        if self._listen:
            self._running.append(gevent.spawn(self._listen, self._arrived.set))

    def _run(self) -> None:
        while True:
            self._arrived.wait(SECONDS_BETWEEN_LOOKS)
            gevent.sleep(max(0, self._looked_at + SECONDS_TO_GATHER - monotonic()))
            self._arrived.clear()
            before = self.last
            try:
                self._read()
            except Exception as error:  # noqa: BLE001  # whoever follows stays, and is served once it is over
                if not isinstance(error, Unavailable):  # which the history has said in the log
                    log.error("streams: %s", where(error))
                gevent.sleep(SECONDS_AFTER_A_FAULT)
                self._arrived.set()
            if self.last > before:
                self._wake(before)

    def _read(self) -> None:
        """Read what has arrived, or so much of it that it is the turn of others; raise Unavailable."""
        self._looked_at = monotonic()
        for _ in range(MOST_PAGES):
            arrivals = self._history.arrivals(self.last, PAGE)
            if len(arrivals) == PAGE and self._has_gap(self.last):  # behind by more than the history keeps
                self._events, self._size, self.floor = [], 0, arrivals[0].number - 1
            if arrivals:
                self._keep([Event(arrival) for arrival in arrivals])
            if len(arrivals) < PAGE:
                return
            gevent.sleep(0)
        self._arrived.set()

    def _keep(self, events: list[Event]) -> None:
        self._events += events
        self._size += sum(event.size for event in events)
        self.last = events[-1].number
        self._taken.clear()
        dropped = 0
        while len(self._events) - dropped > MOST_EVENTS or self._size > MOST_CHARACTERS:
            self._size -= self._events[dropped].size
            dropped += 1
        if dropped:
            self.floor = self._events[dropped - 1].number
            del self._events[:dropped]

    def _wake(self, before: int) -> None:
        """Wake whom the events past `before` concern; who has been let go is not kept waiting either."""
        events = self._events[bisect_right(self._events, before, key=_number) :]
        woken = 0
        for query, group in list(self._followers.items()):
            concerns = any(query.matches(event.update) for event in events)
            for follower in list(group):
                if follower.position < self.floor:
                    follower.lag()
                elif not concerns and follower.position >= before:
                    follower.position = max(follower.position, self.last)  # it sleeps on
                else:
                    follower.wake()
                    woken += 1
                    if woken % WOKEN_AT_ONCE == 0:
                        gevent.sleep(0)


def _number(event: Event) -> int:
    return event.number
