"""What has been seen, in memory and bounded: the default history. database.py does the same over SQL."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from datetime import datetime
from itertools import count, islice
from time import time_ns

from monitor.history.contract import (
    MOST_ARRIVALS,
    MOST_PAGES,
    MOST_SPANS,
    Arrival,
    Incident,
    Page,
    Span,
    Tally,
    place_of,
    span_of,
)
from monitor.history.query import Query
from monitor.updates.incident import ended_at, fold, size_of
from monitor.updates.update import Key, Update

Identity = tuple[str, str]  # page and id
Row = tuple[int, int, Identity]  # a place and who stands there


class MemoryHistory:
    """The newest keys and the newest incidents, bounded in number, the incidents also in the size of their texts."""

    problem: str | None = None
    late: Callable[[Update], None]

    def __init__(
        self, *, most_keys: int = 100_000, most_incidents: int = 10_000, most_characters: int = 50_000_000
    ) -> None:
        self._most_keys, self._most_incidents, self._most_characters = most_keys, most_incidents, most_characters
        self._seen: set[Key] = set()
        self._oldest_seen: deque[Key] = deque()
        self._incidents: dict[Identity, tuple[Update, Row, int]] = {}
        self._rows: deque[Row] = deque()  # oldest first
        self._numbers = count(1)
        self._characters = 0
        # Begun at the time, so that numbers rise over a restart too.
        self._arrivals: deque[tuple[int, Update, int]] = deque()
        self._arrived, self._arrived_characters = count(time_ns() // 1000), 0
        self._pages: dict[str, Tally] = {}

    def add(self, update: Update) -> bool:
        """Record an update; return True once per key while the key is among the newest 100,000."""
        key = update.key
        if key in self._seen:
            return False
        self._seen.add(key)
        self._oldest_seen.append(key)
        if len(self._seen) > self._most_keys:
            self._seen.remove(self._oldest_seen.popleft())
        self._arrive(update, self._record(update))
        while len(self._incidents) > self._most_incidents or self._characters > self._most_characters:
            _, _, size = self._incidents.pop(self._rows.popleft()[2])
            self._characters -= size
        return True

    def incidents(self, query: Query) -> list[Incident]:
        """Return at most `query.limit` incidents that match, newest first by created_at."""
        after = 0 if query.before is None else len(self._rows) - bisect_left(self._rows, (*query.before, ("", "")))
        rows = (self._incidents[identity] for _, _, identity in islice(reversed(self._rows), after, None))
        found = (Incident(state, row[:2]) for state, row, _ in rows if query.matches(state))
        return list(islice(found, query.limit))

    def incident(self, page_id: str, id: str) -> Update | None:  # noqa: A002  # as in Update
        """Return one incident with its whole story, or None for one that is not known."""
        known = self._incidents.get((page_id, id))
        return known[0] if known else None

    def arrivals(self, after: int | None, limit: int) -> list[Arrival]:
        """Return updates in the order of their arrival: the first past number `after`, or the last for None."""
        if after is None:
            newest = [Arrival(number, update) for number, update, _ in islice(reversed(self._arrivals), limit)]
            return newest[::-1]
        later = bisect_left(self._arrivals, (after + 1,))
        return [Arrival(number, update) for number, update, _ in islice(self._arrivals, later, later + limit)]

    def pages(self) -> list[Page]:
        """Return the newest MOST_PAGES pages that updates came of, by name."""
        return sorted((tally.page() for tally in self._pages.values()), key=lambda page: page.name)

    def spans(self, since: datetime) -> list[Span]:
        """Return what is open or ended since then, newest first, without component updates."""
        states = (self._incidents[identity][0] for _, _, identity in reversed(self._rows))
        asked = (state for state in states if not state.is_component_update and (ended_at(state) or since) >= since)
        return [span_of(state) for state in islice(asked, MOST_SPANS)]

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def _arrive(self, update: Update, size: int) -> None:
        if not update.is_past:
            self._arrivals.append((next(self._arrived), update, size))
            self._arrived_characters += size
        while len(self._arrivals) > MOST_ARRIVALS or self._arrived_characters > self._most_characters // 5:
            self._arrived_characters -= self._arrivals.popleft()[2]
        self._pages[update.page_id] = tally = self._pages.pop(update.page_id, None) or Tally(update.page_id)
        tally.add(update)
        if len(self._pages) > MOST_PAGES:
            del self._pages[next(iter(self._pages))]

    def _record(self, update: Update) -> int:
        identity = (update.page_id, update.id)
        known = self._incidents.get(identity)
        if known is None:
            state = fold(None, update)
            row = (*place_of(state, next(self._numbers)), identity)
            if self._rows and row < self._rows[-1]:
                insort(self._rows, row)
            else:
                self._rows.append(row)
        else:
            state, row = fold(known[0], update), known[1]
            self._characters -= known[2]
        size = size_of(state)
        self._characters += size
        self._incidents[identity] = state, row, size
        return size
