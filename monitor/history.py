"""What has been seen, in memory and bounded: the default history.

`add` says whether an update is new, `incidents` answers a query. database.py does the same over SQL.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
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


class Unavailable(Exception):
    """The history cannot be written or read just now; the text says why. The sender shall send again."""


class History(Protocol):
    """What the routes need of a history.

    `problem` says why updates cannot be recorded just now, or is None. `late` is called with an update that turned
    out to be recorded, and new, after its sender was told to send it again.
    """

    problem: str | None
    late: Callable[[Update], None]

    def add(self, update: Update) -> bool:
        """Record an update; return True once per key, False for one seen before; raise Unavailable."""

    def incidents(self, query: Query) -> list[Incident]:
        """Return at most `query.limit` incidents that match, newest first by created_at; raise Unavailable."""

    def close(self) -> None:
        """Let go of what is open; nothing is added afterwards."""


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

    def add(self, update: Update) -> bool:
        """Record an update; return True once per key while the key is among the newest 100,000."""
        key = update.key
        if key in self._seen:
            return False
        self._seen.add(key)
        self._oldest_seen.append(key)
        if len(self._seen) > self._most_keys:
            self._seen.remove(self._oldest_seen.popleft())
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

    def close(self) -> None:
        """Do nothing: nothing is open."""

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
        size = _size(state)
        self._characters += size
        self._incidents[identity] = state, row, size


def place_of(state: Update, number: int) -> Place:
    """Return where an incident stands in a listing: by its created_at, then by the order of first sight."""
    return microseconds(state.created_at), number


def microseconds(instant: datetime) -> int:
    """Return an instant as microseconds since 1970."""
    return round(instant.timestamp() * 1_000_000)


def _size(state: Update) -> int:
    """Return about how many characters an incident keeps, and something for every object."""
    size = 200 + len(state.page) + len(state.name) + len(state.message)
    for text in (state.status, state.impact, state.shortlink, state.postmortem_body, state.old_status):
        size += len(text) if text else 0
    for component in state.components:
        size += 100 + len(component.name) + len(component.id or "") + len(component.status or "")
    for entry in state.incident_updates:
        size += 100 + len(entry.body or "") + len(entry.id or "") + len(entry.status or "")
    return size
