"""The outbox in the history's database: the commit that records an update writes its messages, which outlast a kill.

Of several processes on one database one sends. What says which is let go by the kernel or by PostgreSQL when that
process ends, however it ends, and needs no clock.
"""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from collections.abc import Sequence

import psycopg
import sqlalchemy as sql
from sqlalchemy import URL, Connection

from monitor.history.sql.history import DatabaseHistory
from monitor.history.sql.read import state_of
from monitor.history.sql.tables import ADVISORY_LOCK, outbox
from monitor.outputs.notify.outbox import AT_ONCE, Message

SENDER_LOCK = ADVISORY_LOCK + 1


class DurableOutbox:
    """The outbox of a history in SQL. Written through the history's one connection: SQLite must have no second."""

    def __init__(self, history: DatabaseHistory) -> None:
        self.dropped: Counter[str] = Counter()
        self._history = history
        is_file = history.url.get_backend_name() == "sqlite"
        self._turn = _FileLock(history.url) if is_file else _AdvisoryLock(history.url)

    def is_ours(self) -> bool:
        return self._turn.is_held()

    def first(self, service: str) -> list[Message]:
        columns = (outbox.c.number, outbox.c.document, outbox.c.attempts)
        asked = sql.select(*columns).where(outbox.c.service == service).order_by(outbox.c.number).limit(AT_ONCE)
        rows = self._history.read(lambda connection: list(connection.execute(asked)))
        return [Message(number, service, state_of(document), attempts) for number, document, attempts in rows]

    def done(self, message: Message) -> None:
        self._run(sql.delete(outbox).where(outbox.c.number == message.number))

    def failed(self, message: Message) -> None:
        page_id, incident_id = message.incident
        same = (outbox.c.service == message.service, outbox.c.page_id == page_id, outbox.c.incident_id == incident_id)
        self._run(sql.update(outbox).where(*same).values(attempts=outbox.c.attempts + 1))

    def waiting(self) -> dict[str, int]:
        asked = sql.select(outbox.c.service, sql.func.count()).group_by(outbox.c.service)
        return {row[0]: row[1] for row in self._history.read(lambda connection: list(connection.execute(asked)))}

    def forget_others(self, services: Sequence[str]) -> int:
        return self._run(sql.delete(outbox).where(outbox.c.service.not_in(services)))

    def _run(self, statement: sql.Executable) -> int:
        def run(connection: Connection) -> int:
            return connection.execute(statement).rowcount

        return self._history.write(run)


class _FileLock:
    """A lock on a file beside SQLite's: closing a descriptor of its own file would drop SQLite's locks."""

    def __init__(self, url: URL) -> None:
        self._path = f"{url.database}-sender"
        self._descriptor: int | None = None

    def is_held(self) -> bool:
        if self._descriptor is not None:
            return True
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True


class _AdvisoryLock:
    """A lock of a PostgreSQL session of its own: https://www.postgresql.org/docs/current/explicit-locking.html"""

    def __init__(self, url: URL) -> None:
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection: psycopg.Connection | None = None
        self._has = False

    def is_held(self) -> bool:
        """Ask each time: with its connection the lock is gone, too."""
        try:
            if self._connection is None:
                self._connection, self._has = psycopg.connect(self._address, autocommit=True, connect_timeout=10), False
            asked = "SELECT true" if self._has else f"SELECT pg_try_advisory_lock({SENDER_LOCK})"
            row = self._connection.execute(asked).fetchone()
            self._has = bool(row and row[0])
        except psycopg.Error:
            if self._connection is not None:
                self._connection.close()
            self._connection, self._has = None, False
        return self._has
