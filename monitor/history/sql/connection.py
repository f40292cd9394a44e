"""A connection to SQLite or PostgreSQL that never blocks the event loop."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from typing import TypeVar, cast

import gevent
from gevent.lock import RLock
from gevent.threadpool import ThreadPool
from gevent.util import wrap_errors
from sqlalchemy import URL, Connection, Engine, RootTransaction, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from monitor.history.sql.address import path_of

Outcome = TypeVar("Outcome")

OPEN_LOCK = 0x6576656E746D6F6F  # "eventmon" plus one; the advisory lock of is_alone
SECONDS_FOR_A_STATEMENT = 10  # also for a connection and for a lock; a sender waits 30 s for its answer


class DatabaseConnection:
    """One connection: opened when needed, used by one greenlet at a time, closed after a fault.

    psycopg waits without blocking other greenlets. SQLite blocks, so its reads and the commits of its writes, which
    wait for the disk, run in a thread. The statements of a write do not: each row would pass the GIL to and fro.
    """

    def __init__(self, url: URL, *, reading: bool = False) -> None:
        self.path = path_of(url)
        self._engine = _engine(url, reading)
        self._reading = reading
        self._connection: Connection | None = None
        self._file: tuple[int, int] | None = None  # the device and inode of the open file
        self._thread = ThreadPool(1) if self.path else None
        self._turn = RLock()
        self._open_lock: int | None = None  # the descriptor of a lock file
        self._is_counted = False  # among PostgreSQL's sessions that have the database open

    def run(self, transaction: Callable[[Connection], Outcome]) -> Outcome:
        """Run a transaction, commit it and return its result; raise TimeoutError if PostgreSQL does not answer."""
        seconds = SECONDS_FOR_A_STATEMENT + 2
        limit = gevent.Timeout(seconds if self._thread is None else None)
        with self._turn:
            try:
                with limit:
                    if self._reading:
                        return self._aside(lambda: self._whole(transaction))
                    begun = self._begin()
                    outcome = transaction(begun.connection)
                    self._aside(begun.commit)
                    return outcome
            except BaseException as fault:
                self.close()
                if fault is limit:
                    raise TimeoutError(f"no answer within {seconds} s") from None
                raise

    def _begin(self) -> RootTransaction:
        """Begin a transaction; wait for SQLite's lock here, as its busy handler would block the event loop."""
        if self._connection is None:
            if self.path and not self.path.exists() and self.path.parent.is_dir():
                # SQLite would create a file that others can read.
                os.close(os.open(self.path, os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = self._engine.connect()
            self._file = self._file_at_path()
            if self._is_counted:  # PostgreSQL unlocks when a connection ends, however that is
                _count(self._connection)
                self._connection.commit()
        elif self._file != self._file_at_path():  # otherwise updates would go into a file that nobody can open
            raise OSError(f"{self.path} was deleted or replaced")
        give_up = time.monotonic() + SECONDS_FOR_A_STATEMENT / 2
        while True:
            try:
                return self._connection.begin()
            except OperationalError as fault:
                if "locked" not in str(fault.orig) or time.monotonic() > give_up:
                    raise
            gevent.sleep(0.02)

    def _file_at_path(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat() if self.path else None
        except OSError:
            status = None
        return status and (status.st_dev, status.st_ino)

    def is_alone(self) -> bool:
        """Tell whether no other process has the database open; only processes that call this are seen."""
        if self.path is None:
            is_alone = self.run(lambda connection: _is_alone(connection, self._is_counted))
            self._is_counted = True
            return is_alone
        if self._open_lock is None:
            self._open_lock = os.open(f"{self.path}-open", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._open_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            fcntl.flock(self._open_lock, fcntl.LOCK_SH)
        return True

    def leave(self, last: Callable[[Connection], object]) -> None:
        """Count no longer as a process that has the database open; run `last` if there is no other such process."""
        if self.path is None:
            self.run(lambda connection: _leave(connection) and last(connection))
        elif self._open_lock is not None:
            descriptor, self._open_lock = self._open_lock, None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # of two that leave at once, one finds itself alone
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.run(last)
            except BlockingIOError:
                pass
            finally:
                os.close(descriptor)

    def _whole(self, transaction: Callable[[Connection], Outcome]) -> Outcome:
        with self._begin() as begun:
            return transaction(begun.connection)

    def _aside(self, call: Callable[[], Outcome]) -> Outcome:
        if self._thread is None:
            return call()
        outcome = self._thread.apply(wrap_errors(BaseException, call))  # gevent prints what is raised in a thread
        if isinstance(outcome, BaseException):
            raise outcome
        return cast("Outcome", outcome)

    def close(self) -> None:
        """Close the connection; the next run opens another, which alone sees what is on disk after an I/O error."""
        with self._turn:
            connection, self._connection = self._connection, None
            if connection is not None:
                self._aside(connection.invalidate)


def _count(connection: Connection) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_lock_shared({OPEN_LOCK})")


def _is_alone(connection: Connection, is_counted: bool) -> bool:
    """Try to lock exclusively what every process locks shared; ask first, so that of two starts one is alone."""
    is_alone = _try_lock(connection)
    if not is_counted:
        _count(connection)
    if is_alone:
        connection.exec_driver_sql(f"SELECT pg_advisory_unlock({OPEN_LOCK})")
    return is_alone


def _leave(connection: Connection) -> bool:
    """Unlock, and keep the exclusive lock, if there is no other, until the connection ends."""
    connection.exec_driver_sql(f"SELECT pg_advisory_unlock_shared({OPEN_LOCK})")
    return _try_lock(connection)


def _try_lock(connection: Connection) -> bool:
    is_ours: bool = connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({OPEN_LOCK})").scalar_one()
    return is_ours


def _engine(url: URL, reading: bool) -> Engine:
    if url.get_backend_name() == "postgresql":
        limit = SECONDS_FOR_A_STATEMENT * 1000
        options = f"-c statement_timeout={limit} -c lock_timeout={limit} -c idle_in_transaction_session_timeout={limit}"
        options = f"{url.query.get('options', '')} {options}".lstrip()  # connect_args replace what the URL says
        arguments = {"connect_timeout": SECONDS_FOR_A_STATEMENT, "options": options, "tcp_user_timeout": limit}
        arguments["client_encoding"] = "utf8"  # without it SQL_ASCII gives bytes, and `prepare` cannot refuse it
        return create_engine(url, poolclass=NullPool, connect_args=arguments)
    arguments = {"timeout": 0, "check_same_thread": False, "isolation_level": None}
    # Named parameters, as in psycopg: rows are dictionaries for both.
    engine = create_engine(url, poolclass=NullPool, connect_args=arguments, paramstyle="named")

    @event.listens_for(engine, "connect")
    def set_up(connection: DBAPIConnection, _record: object) -> None:
        # FULL: in four power cuts it lost nothing, NORMAL 114 to 807 updates each.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", f"query_only={int(reading)}"):
            connection.cursor().execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A deferred transaction gets SQLITE_BUSY at its first write, whatever the timeout.
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine
