"""What a history is: what has been seen, asked by the routes and the optional parts alike.

`add` says whether an update is new, the other methods read. memory.py is the default, database.py the same over SQL.
Times are aware datetimes in UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from monitor.history.query import Place, Query
from monitor.updates.incident import ended_at
from monitor.updates.update import Update

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
MOST_ARRIVALS, MOST_PAGES, MOST_SPANS = 10_000, 1_000, 20_000


@dataclass(frozen=True, slots=True)
class Incident:
    """One row of a listing: an incident's state with its whole story, and its place, which never changes."""

    state: Update
    place: Place


@dataclass(frozen=True, slots=True)
class Page:
    """A page that updates came of, so many of them, the last new one at `received_at` by our own clock.

    `is_named` says that a person or the provider gave the name. `updated_at` is the latest of the updates' own times.
    `pushed_at` is when the last new one was pushed, if one was; `missed` of those since then were found by asking.
    """

    id: str
    name: str
    is_named: bool
    updates: int
    missed: int
    received_at: datetime
    pushed_at: datetime | None
    updated_at: datetime
    unsubscribe: str | None


@dataclass(frozen=True, slots=True)
class Span:
    """How long an incident or a maintenance lasted, without its story; `ended_at` is None while it is open."""

    page_id: str
    page: str
    impact: str | None
    status: str | None
    began_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Arrival:
    """An update and its number: the later it came, the higher, though not every number is given."""

    number: int
    update: Update


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

    def incident(self, page_id: str, id: str) -> Update | None:  # noqa: A002  # as in Update
        """Return one incident with its whole story, or None for one that is not known; raise Unavailable."""

    def arrivals(self, after: int | None, limit: int) -> list[Arrival]:
        """Return updates in the order of their arrival: the first past number `after`, or the last for None.

        What is past did not arrive. The newest MOST_ARRIVALS are kept, without their stories in SQL; raise Unavailable.
        """

    def pages(self) -> list[Page]:
        """Return every page that updates came of, by name; raise Unavailable."""

    def spans(self, since: datetime) -> list[Span]:
        """Return what is open or ended since then, at most MOST_SPANS of the newest, newest first; no component
        updates, as these have no end; raise Unavailable.
        """

    def close(self) -> None:
        """Let go of what is open; nothing is added afterwards."""


def place_of(state: Update, number: int) -> Place:
    """Return where an incident stands in a listing: by its created_at, then by the order of first sight."""
    return microseconds(state.created_at), number


def microseconds(instant: datetime) -> int:
    """Return an instant as microseconds since 1970."""
    return round(instant.timestamp() * 1_000_000)


def span_of(incident: Update) -> Span:
    """Return an incident's span: a maintenance begins when it is scheduled for."""
    began_at = incident.scheduled_for or incident.created_at
    return Span(incident.page_id, incident.page, incident.impact, incident.status, began_at, ended_at(incident))


class Tally:
    """Counts the new updates of a page as they come: a Page in the making."""

    __slots__ = (
        "is_named",
        "missed",
        "name",
        "page_id",
        "pushed_at",
        "received_at",
        "unsubscribe",
        "updated_at",
        "updates",
    )

    def __init__(self, page_id: str) -> None:
        self.page_id, self.name, self.is_named, self.updates, self.missed = page_id, "", False, 0, 0
        self.pushed_at: datetime | None = None
        self.received_at = self.updated_at = LONG_AGO
        self.unsubscribe: str | None = None

    def add(self, update: Update) -> None:
        self.updates += 1
        self.received_at = datetime.now(UTC)
        if update.is_reconciled:
            self.missed += not update.is_past
        else:
            self.pushed_at, self.missed = self.received_at, 0
        if update.is_named or not self.is_named:
            self.name, self.is_named = update.page, update.is_named
        if update.updated_at > self.updated_at:
            self.updated_at = update.updated_at
        if update.unsubscribe:
            self.unsubscribe = update.unsubscribe

    def page(self) -> Page:
        return Page(
            id=self.page_id,
            name=self.name,
            is_named=self.is_named,
            updates=self.updates,
            missed=self.missed,
            received_at=self.received_at,
            pushed_at=self.pushed_at,
            updated_at=self.updated_at,
            unsubscribe=self.unsubscribe,
        )
