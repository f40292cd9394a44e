"""What a history is: what has been seen, once per key, folded into incidents; asked by all who answer.

memory.py is the default, sql/ the same in SQLite or PostgreSQL. Times are aware datetimes in UTC. Every method but
`close` raises Unavailable while the history cannot be written or read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from monitor.history.query import Place, Query
from monitor.updates.impacts import impact_of
from monitor.updates.incident import Incident
from monitor.updates.times import LONG_AGO, microseconds
from monitor.updates.update import Update

MOST_ARRIVALS, MOST_PAGES, MOST_PERIODS, MOST_QUEUED = 10_000, 1_000, 20_000, 10_000


@dataclass(frozen=True, slots=True)
class ListedIncident:
    """One row of a listing: an incident with its whole story, and its place, which never changes."""

    incident: Incident
    place: Place


@dataclass(slots=True)
class Page:
    """A page that was heard of: how many new updates came of it, and when; `received_at` is by our own clock.

    `is_named` says that a person or the provider gave the name. `updated_at` is the latest of the updates' own times.
    `lag_seconds` is how long after its provider said it the last new update came. `pushed_at` is when it last pushed,
    `missed` counts the new updates since then that polling found. `url`, `polled_at` and `problem` are polling's: where
    it asks, when the page last answered, and why it does not.
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
        """When it last pushed or answered."""
        return max(filter(None, (self.pushed_at, self.polled_at)), default=None)

    def count(self, update: Update, is_new: bool) -> None:
        """Count an update of this page; one that was seen before still says that its page pushes."""
        now = datetime.now(UTC)
        if not update.is_polled:
            self.pushed_at, self.missed = now, 0
        if not is_new:
            return
        self.updates += 1
        self.received_at = now
        # Without an entry it is an end that polling concluded: no push would have said so.
        self.missed += update.is_polled and not update.is_past and bool(update.incident_updates)
        if update.is_named or not self.is_named:
            self.name, self.is_named = update.page, update.is_named
        self.updated_at = max(self.updated_at, update.updated_at)
        lag = update.lag
        self.lag_seconds = self.lag_seconds if lag is None else lag
        self.unsubscribe = update.unsubscribe or self.unsubscribe


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
    """An update without its story, and its number: the later it came, the higher, though not every number is given."""

    number: int
    update: Update


@dataclass(frozen=True, slots=True)
class Message:
    """An update that waits in a queue; `attempts` to hand it on have failed."""

    number: int
    update: Update
    attempts: int = 0


class Queue(Protocol):
    """What must be handed on for certain, in order, until it is `done`; bounded to the newest MOST_QUEUED."""

    dropped: int

    def first(self, limit: int) -> list[Message]:
        """Return the oldest messages, of each page and incident at most one."""

    def done(self, message: Message) -> None:
        """Forget a message; while that cannot be written down, it is not given out again."""

    def failed(self, message: Message) -> None:
        """Count an attempt for all messages of this incident."""

    def waiting(self) -> int:
        """Return how many messages wait."""


class Lease(Protocol):
    """The right to do what only one process of several does; it cannot be held by two."""

    def is_held(self) -> bool:
        """Tell whether this process holds it, after trying to get it; one that cannot be asked in time is lost."""

    def release(self) -> None:
        """Let another process have it."""


class History(Protocol):
    """What has been seen. `problem` says why updates cannot be recorded just now, or is None.

    `kept_in` says where it is: in memory, an absolute path, or a URL without its password.
    """

    problem: str | None
    kept_in: str

    def add(self, update: Update, queues: Sequence[str] = ()) -> Incident | None:
        """Record an update; return its incident once per key, None for an update seen before.

        What is new is put into these queues too, unless it is late or past.
        """

    def recovered(self) -> tuple[Incident, Update]:
        """Wait for an update that is recorded though its sender was told to send it again, or that an unclean end may
        have kept from being printed.
        """

    def incidents(self, query: Query) -> list[ListedIncident]:
        """Return at most `query.limit` incidents that match, newest first by created_at."""

    def incident(self, page_id: str, id: str) -> Incident | None:  # noqa: A002  # as in Update
        """Return one incident with its whole story, or None for one that is not known."""

    def arrivals(self, after: int | None, limit: int) -> list[Arrival]:
        """Return updates in the order of their arrival: the first past number `after`, or the last for None.

        What is past did not arrive. The newest MOST_ARRIVALS are kept.
        """

    def wait_for_arrivals(self, after: int, seconds: float) -> None:
        """Return once there may be an arrival past number `after`, at the latest after so many seconds."""

    def periods(self, since: datetime) -> list[IncidentPeriod]:
        """Return what is open or ended since then, newest first, at most MOST_PERIODS; not when all was well."""

    def pages(self) -> list[Page]:
        """Return the pages that were heard of, by name, of very many the newest."""

    def note(self, page_id: str, *, name: str, url: str, polled_at: datetime | None, problem: str | None) -> None:
        """Write down what polling a page came to; polled_at None leaves the last time as it is."""

    def queue(self, name: str) -> Queue:
        """Return a queue."""

    def forget_queues(self, but: Sequence[str]) -> int:
        """Forget what waits in every queue but these; return how many messages."""

    def lease(self, name: str) -> Lease:
        """Return a lease."""

    def close(self) -> None:
        """Let go of what is open; nothing is added afterwards."""


def place_of(incident: Incident, number: int) -> Place:
    """Return where an incident stands in a listing: by its created_at, then by the order of first sight."""
    return microseconds(incident.created_at), number


def period_of(incident: Incident) -> IncidentPeriod:
    """Return an incident's period."""
    return IncidentPeriod(
        incident.page_id, impact_of(incident), incident.began_at, incident.ended_at, incident.is_upcoming
    )
