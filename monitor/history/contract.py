"""The contract of a history: it records every update once and folds updates into the incidents that readers ask for.

memory.py is the default; sql/ does the same in SQLite or PostgreSQL. Times are aware datetimes in UTC. Every method but
`close` raises Unavailable while the history cannot be written or read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from monitor.history.query import Place, Query
from monitor.updates.incident import Incident
from monitor.updates.times import LONG_AGO
from monitor.updates.update import Update

MOST_ARRIVALS, MOST_PAGES, MOST_PERIODS, MOST_QUEUED = 10_000, 1_000, 20_000, 10_000


@dataclass(frozen=True, slots=True)
class ListedIncident:
    """One row of a listing: an incident with its whole story, and its place, which never changes."""

    incident: Incident
    place: Place


@dataclass(slots=True)
class Page:
    """A page, the number of its new `updates`, and when the last one came by our own clock (`received_at`).

    `is_named` says that a person or the provider gave the name. `updated_at` is the latest of the updates' own times.
    `lag_seconds` is how long after its provider said it the last new update came. `pushed_at` is when the page last
    pushed; `missed` counts the new updates that polling has found since. Polling sets `url` (the polled address),
    `polled_at` (when the page last answered) and `problem` (why it does not).
    """

    id: str
    name: str = ""
    is_named: bool = False
    updates: int = 0
    missed: int = 0
    received_at: datetime = LONG_AGO
    pushed_at: datetime | None = None
    updated_at: datetime = LONG_AGO
    lag_seconds: float | None = None
    unsubscribe: str | None = None
    url: str | None = None
    polled_at: datetime | None = None
    problem: str | None = None

    @property
    def heard_at(self) -> datetime | None:
        """When the page last pushed or answered."""
        return max(filter(None, (self.pushed_at, self.polled_at)), default=None)

    def count(self, update: Update, is_new: bool) -> None:
        """Count an update of this page; a push that was seen before still shows that the page pushes."""
        now = datetime.now(UTC)
        self.name = self.name or update.page
        if not update.is_polled:
            self.pushed_at, self.missed = now, 0
        if not is_new:
            return
        self.updates += 1
        self.received_at = now
        # Polling concluded an end that has no entry: no push would have said so.
        self.missed += update.is_polled and not update.is_past and bool(update.incident_updates)
        if update.is_named or not self.is_named:
            self.name, self.is_named = update.page, update.is_named
        self.updated_at = max(self.updated_at, update.updated_at)
        lag = update.lag
        self.lag_seconds = self.lag_seconds if lag is None else lag
        self.unsubscribe = update.unsubscribe or self.unsubscribe

    def note(self, name: str, url: str, polled_at: datetime | None, problem: str | None) -> None:
        """Note the result of polling the page; with polled_at None the last time stays."""
        self.name, self.is_named, self.url, self.problem = name, True, url, problem
        self.polled_at = polled_at or self.polled_at


@dataclass(frozen=True, slots=True)
class IncidentPeriod:
    """How long an incident, a maintenance or a component's change lasted; `ended_at` is None while it is open."""

    page_id: str
    impact: str
    began_at: datetime
    ended_at: datetime | None
    is_upcoming: bool


@dataclass(frozen=True, slots=True)
class Arrival:
    """An update without its story, and its number; numbers rise in the order of arrival, with gaps."""

    number: int
    update: Update


@dataclass(frozen=True, slots=True)
class Message:
    """An update that waits in a queue; so many `attempts` to hand it on have failed."""

    number: int
    update: Update
    attempts: int = 0


class Queue(Protocol):
    """Messages in their order, each kept until it is `done`; past MOST_QUEUED the oldest are `dropped` and counted."""

    dropped: int

    def first(self, limit: int) -> list[Message]:
        """Return the oldest messages, at most one for each incident."""

    def done(self, message: Message) -> None:
        """Forget a message; it is not given out again, even while the history cannot be written."""

    def failed(self, message: Message) -> None:
        """Count a failed attempt for every message of this incident."""

    def waiting(self) -> int:
        """Return how many messages wait."""


class Lease(Protocol):
    """The right to do what only one of several processes may do; two cannot hold it at once."""

    def is_held(self) -> bool:
        """Tell whether this process holds the lease, after trying to get it; without an answer in time it is lost."""

    def release(self) -> None:
        """Let another process take the lease."""


class History(Protocol):
    """All that was recorded; `kept_in` says where: `memory`, an absolute path, or a URL without its password."""

    kept_in: str

    @property
    def problem(self) -> str | None:
        """Why updates cannot be recorded just now, or None."""

    def add(self, update: Update, queues: Sequence[str] = ()) -> Incident | None:
        """Record an update; return its incident, or None for an update seen before.

        A new update also goes into these queues, unless it is late or past.
        """

    def recovered(self) -> tuple[Incident, Update]:
        """Wait for an update that was recorded but perhaps not printed; return it with its incident.

        Its sender was told to send it again, or the last end was unclean.
        """

    def incidents(self, query: Query) -> list[ListedIncident]:
        """Return at most `query.limit` incidents that match, newest first by created_at."""

    def incident(self, page_id: str, id: str) -> Incident | None:  # noqa: A002  # as in Update
        """Return one incident with its whole story, or None if it is not known."""

    def arrivals(self, after: int | None, limit: int) -> list[Arrival]:
        """Return updates in the order of their arrival: the first after number `after`, or the last for None.

        Past updates are left out. The newest MOST_ARRIVALS are kept.
        """

    def wait_for_arrivals(self, after: int, seconds: float) -> None:
        """Return once there may be an arrival after number `after`, at the latest after so many seconds."""

    def periods(self, since: datetime) -> list[IncidentPeriod]:
        """Return periods open or ended since then, newest first, at most MOST_PERIODS; none is operational."""

    def pages(self) -> list[Page]:
        """Return the newest MOST_PAGES pages, sorted by name."""

    def note(self, page_id: str, *, name: str, url: str, polled_at: datetime | None, problem: str | None) -> None:
        """Record the result of polling a page; with polled_at None the last time stays."""

    def queue(self, name: str) -> Queue:
        """Return a queue."""

    def forget_queues(self, but: Sequence[str]) -> int:
        """Forget the messages of every queue but these; return how many."""

    def lease(self, name: str) -> Lease:
        """Return a lease."""

    def close(self) -> None:
        """Close what is open; nothing is added afterwards."""
