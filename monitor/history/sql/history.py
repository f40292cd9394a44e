"""What has been seen, in SQL: a SQLite file or a PostgreSQL database that several processes share.

Acknowledged means on disk: `add` returns only after the commit. Updates that arrive while one commit runs gather
and share the next. What fails is said in `problem`, logged once, and mended without a restart.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

import gevent
from gevent.event import AsyncResult, Event
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from monitor.history.contract import Arrival, Incident, Page, Span, Unavailable
from monitor.history.query import Query
from monitor.history.sql import read as reading
from monitor.history.sql import write as statements
from monitor.history.sql.connection import SECONDS_FOR_A_STATEMENT, Line, parse
from monitor.history.sql.tables import NewerSchema, prepare, probe
from monitor.updates.update import Update

log = logging.getLogger("event_monitor")

Found = TypeVar("Found")

MOST_IN_A_BATCH = 500
PASSES_TO_GATHER = 5  # of the event loop
SECONDS_FOR_AN_ANSWER = 20
SECONDS_BETWEEN_PROBES = 1
SECONDS_BETWEEN_PRUNINGS = 600
MICROSECONDS_A_DAY = 24 * 60 * 60 * 1_000_000
FAULTS = (SQLAlchemyError, OSError, gevent.Timeout)


class DatabaseHistory:
    """A history over `url`; raise ValueError for a URL that is none, or for a database of a newer version.

    `late` gets an update that turned out to be new after its sender was told to send it again. `services` tells
    whom an update is to be sent to: a message for each is put in the outbox by the commit that records the update.
    """

    def __init__(self, url: str, keep_days: int | None = None) -> None:
        self.problem: str | None = None
        self.late: Callable[[Update], None] = lambda _: None
        self.services: Callable[[Update], Sequence[str]] = lambda _: ()
        self._keep_days = keep_days
        self.url = parse(url)
        self._writing, self._reading = Line(self.url), Line(self.url, reading=True)
        self._waiting: list[_Waiting] = []
        self._in_doubt: tuple[int, list[Update]] | None = None
        self._wake, self._opened = Event(), AsyncResult()
        self._next_pruning = time.monotonic()
        self._writer = gevent.spawn(self._write_for_ever)
        if isinstance(refusal := self._opened.get(), NewerSchema):
            raise ValueError(str(refusal))

    def add(self, update: Update) -> bool:
        """Record an update; return, after the commit, True once per key for all processes; raise Unavailable."""
        if self.problem:
            raise Unavailable(self.problem)
        waiting = _Waiting(update)
        self._waiting.append(waiting)
        self._wake.set()
        try:
            is_new: bool = waiting.outcome.get(timeout=SECONDS_FOR_AN_ANSWER)
        except gevent.Timeout:
            waiting.is_abandoned = True
            raise Unavailable(f"no commit within {SECONDS_FOR_AN_ANSWER} s") from None
        return is_new

    def incidents(self, query: Query) -> list[Incident]:
        """Return at most `query.limit` incidents that match, newest first by created_at; raise Unavailable."""
        return self.read(lambda connection: reading.incidents_of(connection, query))

    def incident(self, page_id: str, id: str) -> Update | None:  # noqa: A002  # as in Update
        """Return one incident with its whole story, or None for one that is not known; raise Unavailable."""
        return self.read(lambda connection: reading.incident_of(connection, page_id, id))

    def arrivals(self, after: int | None, limit: int) -> list[Arrival]:
        """Return updates in the order of their commits: the first past number `after`, or the last for None."""
        return self.read(lambda connection: reading.arrivals_of(connection, after, limit))

    def pages(self) -> list[Page]:
        """Return every page that updates came of, by name; raise Unavailable."""
        return self.read(reading.pages_of)

    def spans(self, since: datetime) -> list[Span]:
        """Return what is open or ended since then, newest first; raise Unavailable."""
        return self.read(lambda connection: reading.spans_of(connection, since))

    def write(self, transaction: Callable[[Connection], Found]) -> Found:
        """Run a transaction of somebody else's on the one connection that writes; raise Unavailable."""
        try:
            return self._writing.run(transaction)
        except FAULTS as fault:
            raise Unavailable(_reason(fault)) from None

    def read(self, asked: Callable[[Connection], Found]) -> Found:
        """Run a query of somebody else's; raise Unavailable."""
        try:
            try:
                return self._reading.run(asked)
            except DBAPIError as fault:
                if not fault.connection_invalidated:
                    raise
                return self._reading.run(asked)  # it was dropped since it was last used
        except FAULTS as fault:
            raise Unavailable(_reason(fault)) from None

    def close(self) -> None:
        """Stop writing and close both connections; SQLite then puts all into its one file."""
        self._writer.kill()
        self._reading.close()
        self._writing.close()

    def _write_for_ever(self) -> None:
        while True:
            try:
                self._recover()
                while True:
                    self._wake.wait(self._seconds_to_pruning())
                    self._wake.clear()
                    while self._waiting:
                        self._gather()
                        self._commit()
                    self._prune()
            except (Exception, gevent.Timeout) as fault:  # noqa: BLE001  # whatever it is, the next batch may pass
                self._fail(fault)
                gevent.sleep(SECONDS_BETWEEN_PROBES)

    def _recover(self) -> None:
        self._writing.run(prepare)
        self._writing.run(probe)
        if self._in_doubt:
            batch, updates = self._in_doubt
            for update in self._writing.run(lambda connection: statements.recorded(connection, batch, updates)):
                self.late(update)
            self._in_doubt = None
        if self.problem:
            log.warning("database: recovered")
        self.problem = None
        self._opened.set(None)

    def _fail(self, fault: BaseException) -> None:
        reason = _reason(fault)
        if self.problem is None and not (isinstance(fault, NewerSchema) and not self._opened.ready()):
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
        number, updates = random.getrandbits(62), [waiting.update for waiting in batch]
        try:
            outcomes = self._writing.run(
                lambda connection: statements.record(connection, number, updates, self.services)
            )
        except BaseException as fault:
            self._in_doubt = (number, updates) if isinstance(fault, FAULTS) else None  # else it was not committed
            self._waiting = batch + self._waiting  # to be told, by _fail
            raise
        for waiting, is_new in zip(batch, outcomes, strict=True):
            if is_new and waiting.is_abandoned:
                self.late(waiting.update)
            waiting.outcome.set(is_new)

    def _seconds_to_pruning(self) -> float | None:
        return None if self._keep_days is None else max(0, self._next_pruning - time.monotonic())

    def _prune(self) -> None:
        if self._keep_days is None or time.monotonic() < self._next_pruning:
            return
        now, keep = time.time_ns() // 1000, self._keep_days * MICROSECONDS_A_DAY
        pruned = self._writing.run(lambda connection: statements.prune(connection, now, keep))
        # In small batches, updates in between.
        self._next_pruning = time.monotonic() + (
            SECONDS_BETWEEN_PRUNINGS if pruned < statements.PRUNED_AT_ONCE else 0.1
        )


class _Waiting:
    """An update whose sender waits for the commit, unless it was told to send again: then it is told `duplicate`."""

    def __init__(self, update: Update) -> None:
        self.update, self.outcome, self.is_abandoned = update, AsyncResult(), False


def _reason(fault: BaseException) -> str:
    """Return the driver's own sentence in one line: SQLAlchemy's holds the statement."""
    if isinstance(fault, gevent.Timeout):
        return f"no answer within {SECONDS_FOR_A_STATEMENT + 2} s"
    if not isinstance(fault, (*FAULTS, NewerSchema)):
        return f"{type(fault).__name__}: {fault}"[:300]
    return " ".join(str(getattr(fault, "orig", None) or fault).split())[:300]
