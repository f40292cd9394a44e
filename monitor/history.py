"""What has been seen, in memory and bounded: the default history.

`add` says whether an update is new, `incidents` answers a query. database.py does the same over SQL.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass
from itertools import count, islice
from typing import Protocol

from monitor.incident import fold
from monitor.query import Place, Query
from monitor.update import Key, Update

Identity = tuple[str, str]  # page and id
Row = tuple[int, int, Identity]  # a place and who stands there


@dataclass(frozen=True, slots=True)
class Incident:
    """One row of a listing: an incident's state with its whole story, and its place, which never changes."""

    state: Update
    place: Place


class History(Protocol):
    """What the routes need of a history; `problem` says why updates cannot be recorded just now, or is None."""

    problem: str | None

    def add(self, update: Update) -> bool:
        """Record an update; return True once per key, False for one seen before."""

    def incidents(self, query: Query) -> list[Incident]:
        """Return at most `query.limit` incidents that match, newest first by created_at."""


class MemoryHistory:
    """The newest keys and the newest incidents, bounded in number, the incidents also in the size of their texts."""

    problem: str | None = None

    def __init__(
        self, *, most_keys: int = 100_000, most_incidents: int = 10_000, most_characters: int = 50_000_000
    ) -> None:
        self._most_keys, self._most_incidents, self._most_characters = most_keys, most_incidents, most_characters
        self._seen: dict[Key, None] = {}
        self._incidents: dict[Identity, tuple[Update, Row, int]] = {}
        self._rows: deque[Row] = deque()  # oldest first
        self._numbers = count(1)
        self._characters = 0

    def add(self, update: Update) -> bool:
        """Record an update; return True once per key while the key is among the newest 100,000."""
        key = update.key
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > self._most_keys:
            del self._seen[next(iter(self._seen))]
        self._record(update)
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

    def _record(self, update: Update) -> None:
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
        size = len(state.name) + sum([len(entry.body or "") for entry in state.incident_updates])
        size += sum([len(component.name) for component in state.components])
        self._characters += size
        self._incidents[identity] = state, row, size


def place_of(state: Update, number: int) -> Place:
    """Return where an incident stands in a listing: by its created_at, then by the order of first sight."""
    return int(state.created_at.timestamp() * 1_000_000), number
