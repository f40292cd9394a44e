"""The history in memory, the default. contract.py says what each method does."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict, defaultdict, deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count, islice
from time import time_ns

import gevent
from gevent.event import Event

from monitor.history.contract import (
    MOST_ARRIVALS,
    MOST_PAGES,
    MOST_PERIODS,
    Arrival,
    IncidentPeriod,
    ListedIncident,
    Page,
)
from monitor.history.memory_queue import MemoryQueue, OwnLease
from monitor.history.query import Query
from monitor.updates.impacts import impact_of
from monitor.updates.incident import Incident, ended, fold, is_news, is_repeat, size_of, without_story
from monitor.updates.times import microseconds
from monitor.updates.update import Key, Update

Identity = tuple[str, str]  # the ids of a page and of an incident
Row = tuple[int, int, Identity]  # a place, and the incident there
Known = tuple[Incident, Row, int]  # with about how many bytes it takes
Change = tuple[datetime, int, Identity]  # when a component changed, a number in the order of arrival, and the change


class MemoryHistory:
    """The newest keys, incidents and arrivals: all bounded in number, incidents and arrivals also in bytes."""

    problem: str | None = None
    kept_in = "memory"

    def __init__(self, *, most_keys: int = 100_000, most_incidents: int = 10_000, most_bytes: int = 50_000_000) -> None:
        self._most_keys, self._most_incidents, self._most_bytes = most_keys, most_incidents, most_bytes
        self._seen: set[Key] = set()
        self._oldest_seen: deque[Key] = deque()
        self._incidents: dict[Identity, Known] = {}
        self._rows: deque[Row] = deque()  # oldest first
        self._numbers, self._bytes = count(1), 0
        self._changes: defaultdict[Identity, list[Change]] = defaultdict(list)  # by page and component, oldest first
        self._arrivals: deque[tuple[int, Update, int]] = deque()  # number, update and size
        # The first number is the time, so that numbers rise across a restart, too.
        self._arrived, self._arrived_bytes = count(time_ns() // 1000), 0
        self._next_arrival, self._is_awaited = Event(), False
        self._pages: OrderedDict[str, Page] = OrderedDict()
        self._queues: dict[str, MemoryQueue] = {}

    def add(self, update: Update, queues: Sequence[str] = ()) -> Incident | None:
        """Record an update; an update whose key is no longer kept is new again."""
        identity = (update.page_id, update.id)
        known = self._incidents.get(identity)
        is_new = is_news(known and known[0], update, is_new_key=self._see(update.key))
        if update.is_component_update:
            is_new = is_new and not is_repeat(self._last_change(update), update)
        self._page(update.page_id).count(update, is_new)
        if not is_new:
            return None
        incident = self._record(update, identity, known)
        if not update.is_past:
            self._arrive(update)
            for name in () if incident.is_ahead_of(update) else queues:
                self.queue(name).put(update)
        while len(self._incidents) > self._most_incidents or self._bytes > self._most_bytes:
            self._forget(self._rows.popleft()[2])
        return incident

    def recovered(self) -> tuple[Incident, Update]:
        """Wait for ever: in memory an update is recorded, printed and answered at once."""
        while True:
            gevent.sleep(3600)

    def incidents(self, query: Query) -> list[ListedIncident]:
        after = 0 if query.before is None else len(self._rows) - bisect_left(self._rows, (*query.before, ("", "")))
        rows = (self._incidents[identity] for _, _, identity in islice(reversed(self._rows), after, None))
        found = (ListedIncident(incident, row[:2]) for incident, row, _ in rows if query.matches(incident))
        return list(islice(found, query.limit))

    def incident(self, page_id: str, id: str) -> Incident | None:  # noqa: A002  # as in Update
        known = self._incidents.get((page_id, id))
        return known[0] if known else None

    def arrivals(self, after: int | None, limit: int) -> list[Arrival]:
        if after is None:
            newest = [Arrival(number, update) for number, update, _ in islice(reversed(self._arrivals), limit)]
            return newest[::-1]
        later = bisect_left(self._arrivals, (after + 1,))
        return [Arrival(number, update) for number, update, _ in islice(self._arrivals, later, later + limit)]

    def wait_for_arrivals(self, after: int, seconds: float) -> None:
        if not self._arrivals or self._arrivals[-1][0] <= after:
            self._is_awaited = True
            self._next_arrival.wait(seconds)

    def periods(self, since: datetime) -> list[IncidentPeriod]:
        states = (self._incidents[identity][0] for _, _, identity in reversed(self._rows))
        lasting = (one for one in states if (one.ended_at or since) >= since and one.status != "operational")
        return [
            IncidentPeriod(one.page_id, impact_of(one), one.began_at, one.ended_at, one.is_upcoming)
            for one in islice(lasting, MOST_PERIODS)
        ]

    def pages(self) -> list[Page]:
        return sorted((replace(page) for page in self._pages.values()), key=lambda page: (page.name, page.id))

    def note(self, page_id: str, *, name: str, url: str, polled_at: datetime | None, problem: str | None) -> None:
        self._page(page_id).note(name, url, polled_at, problem)

    def queue(self, name: str) -> MemoryQueue:
        """Return a queue, which a restart empties."""
        return self._queues.setdefault(name, MemoryQueue())

    def forget_queues(self, but: Sequence[str]) -> int:  # noqa: ARG002
        """Forget nothing: a restart, which new settings need, empties every queue."""
        return 0

    def lease(self, name: str) -> OwnLease:  # noqa: ARG002
        """Return a lease that is always held: no other process sees this history."""
        return OwnLease()

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def _see(self, key: Key) -> bool:
        """Remember a key; return whether it is new."""
        if key in self._seen:
            return False
        self._seen.add(key)
        self._oldest_seen.append(key)
        if len(self._seen) > self._most_keys:
            self._seen.remove(self._oldest_seen.popleft())
        return True

    def _page(self, page_id: str) -> Page:
        """Return a page, now the newest, adding it if it is not known."""
        page = self._pages.setdefault(page_id, Page(page_id))
        self._pages.move_to_end(page_id)
        if len(self._pages) > MOST_PAGES:
            self._pages.popitem(last=False)
        return page

    def _record(self, update: Update, identity: Identity, known: Known | None) -> Incident:
        incident = fold(known and known[0], update)
        if known is None:
            row = (microseconds(incident.created_at), next(self._numbers), identity)
            if self._rows and row < self._rows[-1]:
                insort(self._rows, row)
            else:
                self._rows.append(row)
        else:
            row = known[1]
        subject = (incident.is_component_update, incident.subject)
        if known and known[0].is_component_update and (True, known[0].subject) != subject:
            self._unlist(known[0], identity)  # its sender gave the id again, to an incident or to another component
        if update.is_component_update and known is None:
            incident = self._changed(incident, identity)
        elif not update.is_component_update and self._changes:
            self._end_what_is_operational(update, min(update.updated_at, incident.updated_at))
        self._keep(incident, row, known[2] if known else 0)
        return incident

    def _keep(self, incident: Incident, row: Row, size_before: int) -> None:
        size = size_of(incident)
        self._bytes += size - size_before
        self._incidents[row[2]] = incident, row, size

    def _changed(self, change: Incident, identity: Identity) -> Incident:
        """End the component's previous change at this one; return this one, ended if a later one is known."""
        changes = self._changes[change.page_id, change.subject]
        place = (change.updated_at, next(self._numbers), identity)
        at = bisect_left(changes, place)
        if at:
            self._end(changes[at - 1][2], change.updated_at)
        changes.insert(at, place)
        return ended(change, changes[at + 1][0]) if at + 1 < len(changes) else change

    def _last_change(self, update: Update) -> Incident | None:
        changes = self._changes.get((update.page_id, update.subject))
        return self._incidents[changes[-1][2]][0] if changes else None

    def _end_what_is_operational(self, update: Update, at: datetime) -> None:
        for component in update.components:
            changes = self._changes.get((update.page_id, component.identity))
            if component.status != "operational" or not changes:
                continue
            changed_at, _, identity = changes[-1]
            if changed_at < at and self._incidents[identity][0].is_open:
                self._end(identity, at)

    def _end(self, identity: Identity, at: datetime) -> None:
        incident, row, size = self._incidents[identity]
        self._keep(ended(incident, at), row, size)

    def _forget(self, identity: Identity) -> None:
        incident, _, size = self._incidents.pop(identity)
        self._bytes -= size
        if incident.is_component_update:
            self._unlist(incident, identity)

    def _unlist(self, change: Incident, identity: Identity) -> None:
        component = change.page_id, change.subject
        self._changes[component] = [one for one in self._changes[component] if one[2] != identity]
        if not self._changes[component]:
            del self._changes[component]

    def _arrive(self, update: Update) -> None:
        update = without_story(update)
        size = size_of(update)
        self._arrivals.append((next(self._arrived), update, size))
        self._arrived_bytes += size
        while len(self._arrivals) > MOST_ARRIVALS or self._arrived_bytes > self._most_bytes // 2:
            self._arrived_bytes -= self._arrivals.popleft()[2]
        if self._is_awaited:
            awaited, self._next_arrival, self._is_awaited = self._next_arrival, Event(), False
            awaited.set()
