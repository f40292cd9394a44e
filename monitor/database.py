"""What has been seen, in SQL: a SQLite file or a PostgreSQL database that several processes share.

Acknowledged means on disk: `add` returns only after the commit. Updates that arrive while one commit runs gather
and share the next. What fails is said in `problem`, logged once, and mended without a restart.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import gevent
from gevent.event import AsyncResult, Event
from gevent.lock import RLock
from gevent.threadpool import ThreadPool
from sqlalchemy import URL, Connection, Engine, RootTransaction, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from monitor import tables
from monitor.history import Incident, Unavailable
from monitor.query import Query
from monitor.update import Update

log = logging.getLogger("event_monitor")
Outcome = TypeVar("Outcome")

MOST_IN_A_BATCH = 500
PASSES_TO_GATHER = 5  # of the event loop
SECONDS_FOR_A_STATEMENT = 10  # and for a connection and a lock; a sender waits for 30
SECONDS_FOR_AN_ANSWER = 20
SECONDS_BETWEEN_PROBES = 1
SECONDS_BETWEEN_PRUNINGS = 600
MICROSECONDS_A_DAY = 24 * 60 * 60 * 1_000_000
FAULTS = (SQLAlchemyError, OSError, gevent.Timeout)


class DatabaseHistory:
    """A history over `url`; raise ValueError for a URL that is none, or for a database of a newer version.

    `late` gets an update that turned out to be new after its sender was told to send it again.
    """

    def __init__(self, url: str, keep_days: int | None = None) -> None:
        self.problem: str | None = None
        self.late: Callable[[Update], None] = lambda _: None
        self._keep_days = keep_days
        self._writing, self._reading = _Line(parse(url)), _Line(parse(url), reading=True)
        self._waiting: list[_Waiting] = []
        self._in_doubt: tuple[int, list[Update]] | None = None
        self._wake, self._opened = Event(), AsyncResult()
        self._next_pruning = time.monotonic()
        self._writer = gevent.spawn(self._write_for_ever)
        if isinstance(refusal := self._opened.get(), tables.NewerSchema):
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
        try:
            return self._reading.run(lambda connection: tables.page(connection, query))
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
            except (*FAULTS, tables.NewerSchema) as fault:
                self._fail(fault)
                gevent.sleep(SECONDS_BETWEEN_PROBES)

    def _recover(self) -> None:
        self._writing.run(tables.prepare)
        self._writing.run(tables.probe)
        if self._in_doubt:
            batch, updates = self._in_doubt
            for update in self._writing.run(lambda connection: tables.recorded(connection, batch, updates)):
                self.late(update)
            self._in_doubt = None
        if self.problem:
            log.warning("database: recovered")
        self.problem = None
        self._opened.set(None)

    def _fail(self, fault: BaseException) -> None:
        reason = _reason(fault)
        if self.problem is None and not (isinstance(fault, tables.NewerSchema) and not self._opened.ready()):
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
            outcomes = self._writing.run(lambda connection: tables.record(connection, number, updates))
        except BaseException:
            self._in_doubt = number, updates
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
        pruned = self._writing.run(lambda connection: tables.prune(connection, now, keep))
        # In small batches, updates in between.
        self._next_pruning = time.monotonic() + (SECONDS_BETWEEN_PRUNINGS if pruned < tables.PRUNED_AT_ONCE else 0.1)


class _Waiting:
    """An update whose sender waits for the commit, unless it was told to send again: then it is told `duplicate`."""

    def __init__(self, update: Update) -> None:
        self.update, self.outcome, self.is_abandoned = update, AsyncResult(), False


class _Line:
    """One connection, opened when it is needed, used by one at a time and closed after a fault.

    psycopg waits as gevent does. SQLite blocks, so what waits for the disk is done aside, in a thread: a read, and
    the commit of a write. Its statements stay here: row by row the interpreter would be handed to and fro.
    """

    def __init__(self, url: URL, *, reading: bool = False) -> None:
        self._engine = _engine(url, reading)
        self._reading = reading
        self._connection: Connection | None = None
        self._thread = ThreadPool(1) if url.get_backend_name() == "sqlite" else None
        self._turn = RLock()

    def run(self, transaction: Callable[[Connection], Outcome]) -> Outcome:
        """Run a transaction, off the event loop, and return what it returns once it is committed."""
        with self._turn, gevent.Timeout(None if self._thread is not None else SECONDS_FOR_A_STATEMENT + 2):
            try:
                if self._reading:
                    return self._aside(lambda: self._whole(transaction))
                begun = self._begin()
                outcome = transaction(begun.connection)
                self._aside(begun.commit)
            except BaseException:
                self.close()
                raise
            return outcome

    def _begin(self) -> RootTransaction:
        """Begin a transaction, waiting for SQLite's lock as a greenlet does, not in its busy handler."""
        self._connection = self._connection or self._engine.connect()
        give_up = time.monotonic() + SECONDS_FOR_A_STATEMENT / 2
        while True:
            try:
                return self._connection.begin()
            except OperationalError as fault:
                if "locked" not in str(fault.orig) or time.monotonic() > give_up:
                    raise
            gevent.sleep(0.02)

    def _whole(self, transaction: Callable[[Connection], Outcome]) -> Outcome:
        with self._begin() as begun:
            return transaction(begun.connection)

    def _aside(self, call: Callable[[], Outcome]) -> Outcome:
        if self._thread is None:
            return call()
        outcome, error = self._thread.apply(_outcome_of, (call,))
        if error is not None:
            raise error
        return cast("Outcome", outcome)

    def close(self) -> None:
        """Close the connection, the next run opens another: after an I/O error only that tells what is on disk."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._aside(lambda: _close(connection))


def _close(connection: Connection) -> None:
    connection.invalidate()
    connection.close()


def _outcome_of(call: Callable[[], object]) -> tuple[object, BaseException | None]:
    try:
        return call(), None
    except BaseException as error:  # noqa: BLE001  # gevent would print it before it passes it on
        return None, error


def parse(url: str) -> URL:
    """Return the URL of a SQLite file or of a PostgreSQL database, also as hosts spell it; raise ValueError."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError("is not a database URL such as sqlite:///monitor.db or postgresql://…") from None
    if parsed.drivername == "sqlite" and parsed.database and parsed.database != ":memory:":
        folder = Path(parsed.database.removeprefix("file:")).absolute().parent
        if not folder.is_dir():
            raise ValueError(f"names a file in the folder {folder}, which is not there")
        return parsed
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg") and parsed.host:
        return parsed.set(drivername="postgresql+psycopg")
    raise ValueError("names neither a SQLite file (sqlite:///monitor.db) nor PostgreSQL (postgresql://host/name)")


def _engine(url: URL, reading: bool) -> Engine:
    if url.get_backend_name() == "postgresql":
        limit = SECONDS_FOR_A_STATEMENT * 1000
        options = f"-c statement_timeout={limit} -c lock_timeout={limit} -c idle_in_transaction_session_timeout={limit}"
        arguments = {"connect_timeout": SECONDS_FOR_A_STATEMENT, "options": options, "tcp_user_timeout": limit}
        return create_engine(url, poolclass=NullPool, connect_args=arguments)
    arguments = {"timeout": 0, "check_same_thread": False, "isolation_level": None}
    engine = create_engine(url, poolclass=NullPool, connect_args=arguments)

    @event.listens_for(engine, "connect")
    def set_up(connection: DBAPIConnection, _record: object) -> None:
        # FULL: in four power cuts it lost nothing, NORMAL 114 to 807 updates each.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", f"query_only={int(reading)}"):
            connection.cursor().execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A deferred transaction that comes to write gets SQLITE_BUSY at once, whatever the timeout.
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _reason(fault: BaseException) -> str:
    """Return the driver's own sentence in one line: SQLAlchemy's holds the statement."""
    if isinstance(fault, gevent.Timeout):
        return f"no answer within {SECONDS_FOR_A_STATEMENT + 2} s"
    return " ".join(str(getattr(fault, "orig", None) or fault).split())[:300]
