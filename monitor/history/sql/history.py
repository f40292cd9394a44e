"""What has been seen, in SQL: a SQLite file or a PostgreSQL database that several processes share (see contract.py).

Acknowledged means on disk: `add` returns only after the commit. Updates that arrive while one commit runs gather
and share the next. What fails is said in `problem`, logged once, and mended without a restart.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeVar

import gevent
from gevent.event import AsyncResult, Event
from gevent.queue import Queue as Waiting
from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from monitor.history.contract import Arrival, IncidentPeriod, Lease, ListedIncident, Page
from monitor.history.query import Query
from monitor.history.sql import count, forget, read, write
from monitor.history.sql.connection import SECONDS_FOR_A_STATEMENT, DatabaseConnection, parse, shown
from monitor.history.sql.listen import Ear
from monitor.history.sql.queues import DatabaseQueue, FileLease, RowLease, forget_queues
from monitor.history.sql.tables import Refused, prepare, set_open
from monitor.updates.errors import Unavailable
from monitor.updates.incident import Incident
from monitor.updates.update import Update

log = logging.getLogger("event_monitor")

Found = TypeVar("Found")

MOST_IN_A_BATCH = 500
PASSES_TO_GATHER = 5  # of the event loop
SECONDS_FOR_AN_ANSWER = 20
SECONDS_BETWEEN_PROBES = 1
SECONDS_BETWEEN_FORGETTING = 600
MICROSECONDS_A_DAY = 24 * 60 * 60 * 1_000_000
FAULTS = (SQLAlchemyError, OSError, gevent.Timeout)  # of the database; what else fails is the update's fault


class DatabaseHistory:
    """A history over `url`; raise ValueError for a URL that is none, or a database that cannot be used at all.

    For `reading` the database is neither prepared nor ever written.
    """

    def __init__(self, url: str, keep_days: int | None = None, *, reading: bool = False) -> None:
        self.problem: str | None = None
        self._keep_days = keep_days
        self._url = parse(url)
        self.kept_in = shown(self._url)
        self._writing, self._reading = DatabaseConnection(self._url), DatabaseConnection(self._url, reading=True)
        self._waiting: list[_Waiting] = []
        self._in_doubt: int | None = None  # a batch whose commit has an unknown outcome
        self._recovered: Waiting[tuple[Incident, Update]] = Waiting()
        self._queues: dict[str, DatabaseQueue] = {}
        self._ear = Ear(self._url)
        self._wake, self._opened, self._is_open = Event(), AsyncResult(), False
        self._forget_at = time.monotonic()
        if reading:
            return
        self._writer = gevent.spawn(self._write_for_ever)
        if isinstance(refusal := self._opened.get(), Refused):
            raise ValueError(str(refusal))
        os.register_at_fork(before=self._disconnect)  # as of `gunicorn --preload`: no two processes share a connection

    def add(self, update: Update, queues: Sequence[str] = ()) -> Incident | None:
        """Record an update; return, after the commit, its incident once per key for all processes."""
        if self.problem:
            raise Unavailable(self.problem)
        waiting = _Waiting(update, queues)
        self._waiting.append(waiting)
        self._wake.set()
        try:
            incident: Incident | None = waiting.outcome.get(timeout=SECONDS_FOR_AN_ANSWER)
        except gevent.Timeout:
            waiting.is_abandoned = True
            raise Unavailable(f"no commit within {SECONDS_FOR_AN_ANSWER} s") from None
        return incident

    def recovered(self) -> tuple[Incident, Update]:
        told: tuple[Incident, Update] = self._recovered.get()
        return told

    def incidents(self, query: Query) -> list[ListedIncident]:
        found: list[ListedIncident] = []
        while True:
            more, goes_on = self.read(partial(read.incidents_of, query=query))
            found += more
            if goes_on is None:
                return found
            query = replace(query, before=goes_on, limit=query.limit - len(more))

    def incident(self, page_id: str, id: str) -> Incident | None:  # noqa: A002  # as in Update
        return self.read(lambda connection: read.incident_at(connection, page_id, id))

    def arrivals(self, after: int | None, limit: int) -> list[Arrival]:
        return self.read(lambda connection: read.arrivals_of(connection, after, limit))

    def wait_for_arrivals(self, after: int, seconds: float) -> None:
        """Return once any process recorded something, at the latest after so many seconds."""
        heard = self._ear.begin()
        newest = self.arrivals(None, 1)
        if not newest or newest[0].number <= after:
            heard.wait(seconds)

    def periods(self, since: datetime) -> list[IncidentPeriod]:
        return self.read(lambda connection: read.periods_of(connection, since))

    def pages(self) -> list[Page]:
        return self.read(read.pages_of)

    def note(self, page_id: str, *, name: str, url: str, polled_at: datetime | None, problem: str | None) -> None:
        page = Page(page_id, name=name, is_named=True, url=url, polled_at=polled_at, problem=problem)
        self.write(lambda connection: count.note(connection, page))

    def queue(self, name: str) -> DatabaseQueue:
        if name not in self._queues:
            self._queues[name] = DatabaseQueue(self, name)
        return self._queues[name]

    def forget_queues(self, but: Sequence[str]) -> int:
        return self.write(forget_queues(list(but)))

    def lease(self, name: str) -> Lease:
        path = self._writing.path
        return FileLease(f"{path}-{name}") if path else RowLease(self, name)

    def write(self, transaction: Callable[[Connection], Found]) -> Found:
        """Run a transaction on the one connection that writes."""
        try:
            return self._writing.run(transaction)
        except FAULTS as fault:
            raise Unavailable(_reason(fault)) from None

    def read(self, query: Callable[[Connection], Found]) -> Found:
        """Run a query."""
        try:
            try:
                return self._reading.run(query)
            except DBAPIError as fault:
                if not fault.connection_invalidated:
                    raise
                return self._reading.run(query)  # it was dropped since it was last used
        except FAULTS as fault:
            raise Unavailable(_reason(fault)) from None

    def close(self) -> None:
        """Stop writing and close both connections; SQLite then puts all into its one file."""
        self._writer.kill()
        if self.problem is None:
            with gevent.Timeout(SECONDS_BETWEEN_PROBES, False):
                self._writing.run(lambda connection: set_open(connection, False))
        self._disconnect()

    def _disconnect(self) -> None:
        self._ear.close()
        self._reading.close()
        self._writing.close()

    def _write_for_ever(self) -> None:
        while True:
            try:
                self._recover()
                while True:
                    self._wake.wait(self._seconds_to_forgetting())
                    self._wake.clear()
                    while self._waiting:
                        self._gather()
                        self._commit()
                    self._forget()
            except (Exception, gevent.Timeout) as fault:  # noqa: BLE001  # whatever it is, the next batch may pass
                self._fail(fault)
                gevent.sleep(SECONDS_BETWEEN_PROBES)

    def _recover(self) -> None:
        self._writing.run(prepare)
        was_open = self._writing.run(lambda connection: set_open(connection, True))
        if self._in_doubt is not None:
            self._tell_again(self._in_doubt)
        is_alone = self._writing.is_alone()  # else another goes on, and what was open is its
        if self._in_doubt is None and not self._is_open and was_open and is_alone:
            told = self._tell_again(None)
            log.warning("database: the last end was unclean; told again from its last commit: %d", told)
        self._in_doubt, self._is_open = None, True
        if self.problem:
            log.warning("database: recovered")
        self.problem = None
        self._opened.set(None)

    def _tell_again(self, batch: int | None) -> int:
        told = self._writing.run(lambda connection: read.told_in(connection, batch))
        for one in told:
            self._recovered.put(one)
        return len(told)

    def _fail(self, fault: BaseException) -> None:
        reason = _reason(fault)
        if self.problem is None and not (isinstance(fault, Refused) and not self._opened.ready()):
            log.error("database: %s; senders are told to send again", reason)
        self.problem = reason
        self._opened.set(fault)
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.outcome.set_exception(Unavailable(reason))

    def _gather(self) -> None:
        """Let requests that are already here join: a commit costs nearly as much for one update as for 30."""
        arrived = 0
        while arrived < len(self._waiting) < MOST_IN_A_BATCH:
            arrived = len(self._waiting)
            for _ in range(PASSES_TO_GATHER):
                gevent.sleep(0)

    def _commit(self) -> None:
        batch, self._waiting = self._waiting[:MOST_IN_A_BATCH], self._waiting[MOST_IN_A_BATCH:]
        try:
            self._record(batch)
        except (Exception, gevent.Timeout) as fault:
            if is_of_the_database(fault):
                self._waiting = batch + self._waiting  # to be told, by _fail
                raise
            self._record_one_by_one(batch)

    def _record(self, batch: Sequence[_Waiting]) -> None:
        number, given = random.getrandbits(62), [(one.update, one.queues) for one in batch]
        try:
            outcomes = self._writing.run(lambda connection: write.record(connection, number, given))
        except FAULTS:
            self._in_doubt = number
            raise
        for one, incident in zip(batch, outcomes, strict=True):
            if incident is not None and one.is_abandoned:
                self._recovered.put((incident, one.update))
            one.outcome.set(incident)
        if any(outcomes):
            self._ear.hear()

    def _record_one_by_one(self, batch: Sequence[_Waiting]) -> None:
        """Record what the database takes: an update that it refuses fails alone."""
        self._in_doubt = None  # nothing of the batch was committed
        for place, one in enumerate(batch):
            try:
                self._record([one])
            except (Exception, gevent.Timeout) as fault:
                if is_of_the_database(fault):
                    self._waiting = [*batch[place:], *self._waiting]
                    raise
                self._in_doubt = None
                log.error("database: refuses an update: %s", _reason(fault))
                one.outcome.set_exception(Unavailable(_reason(fault)))

    def _seconds_to_forgetting(self) -> float | None:
        return None if self._keep_days is None else max(0, self._forget_at - time.monotonic())

    def _forget(self) -> None:
        if self._keep_days is None or time.monotonic() < self._forget_at:
            return
        now, keep = time.time_ns() // 1000, self._keep_days * MICROSECONDS_A_DAY
        forgotten = self._writing.run(lambda connection: forget.forget(connection, now, keep))
        # In small batches, updates in between.
        is_all = forgotten < forget.FORGOTTEN_AT_ONCE
        self._forget_at = time.monotonic() + (SECONDS_BETWEEN_FORGETTING if is_all else 0.1)


class _Waiting:
    """An update whose sender waits for the commit, unless it was told to send again: then it is told `duplicate`."""

    def __init__(self, update: Update, queues: Sequence[str]) -> None:
        self.update, self.queues, self.outcome, self.is_abandoned = update, queues, AsyncResult(), False


def is_of_the_database(fault: BaseException) -> bool:
    """Tell a fault that the next update would meet, too, from one that this update brought about."""
    if isinstance(fault, (OperationalError, InterfaceError, OSError, gevent.Timeout, Refused)):
        return True
    return type(fault) is DatabaseError or getattr(fault, "connection_invalidated", False)


def _reason(fault: BaseException) -> str:
    """Return the driver's own sentence in one line: SQLAlchemy's holds the statement."""
    if isinstance(fault, gevent.Timeout):
        return f"no answer within {SECONDS_FOR_A_STATEMENT + 2} s"
    if not isinstance(fault, (*FAULTS, Refused)):
        return f"{type(fault).__name__}: {fault}"[:300]
    return " ".join(str(getattr(fault, "orig", None) or fault).split())[:300]
