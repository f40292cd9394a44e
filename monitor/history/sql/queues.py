"""The queues and leases of a history in SQL: messages survive a kill, and one process at a time works a queue.

Processes on one SQLite file compete for a lock on a second file, which the kernel releases however its holder ends.
Over PostgreSQL a lease is a row that expires. Its holder stops before another process may take it, also when a failover
leaves the holder without an answer.
"""

from __future__ import annotations

import fcntl
import os
import random
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

import sqlalchemy as sql
from sqlalchemy import Connection

from monitor.history.contract import Message
from monitor.history.sql.forget import trim
from monitor.history.sql.insert import upsert
from monitor.history.sql.read import update_in
from monitor.history.sql.tables import leases, queue
from monitor.updates.errors import Unavailable

if TYPE_CHECKING:
    from monitor.history.sql.history import DatabaseHistory

SECONDS_OF_A_LEASE, SECONDS_TO_RENEW, SECONDS_HELD = 15, 4, 10  # the holder stops before its row expires
MESSAGES_BETWEEN_TRIMS = 100


class DatabaseQueue:
    """One queue. It never gives out a message that is done, even while the database cannot be written."""

    def __init__(self, database: DatabaseHistory, name: str) -> None:
        self.dropped = 0
        self._database, self._name = database, name
        self._done: set[int] = set()
        self._read = 0

    def first(self, limit: int) -> list[Message]:
        self._write_down()
        self._read += 1
        if self._read % MESSAGES_BETWEEN_TRIMS == 1:
            self.dropped += self._database.write(lambda connection: trim(connection, self._name))
        heads = sql.select(sql.func.min(queue.c.number)).where(queue.c.name == self._name)
        heads = heads.group_by(queue.c.page_id, queue.c.subject)
        columns = (queue.c.number, queue.c.document, queue.c.attempts)
        statement = sql.select(*columns).where(queue.c.number.in_(heads)).order_by(queue.c.number).limit(limit)
        rows = self._database.read(lambda connection: list(connection.execute(statement)))
        return [Message(number, update_in(document), attempts) for number, document, attempts in rows]

    def done(self, message: Message) -> None:
        """Delete a message, now or as soon as the database can be written."""
        self._done.add(message.number)
        with suppress(Unavailable):
            self._write_down()

    def failed(self, message: Message) -> None:
        its = (queue.c.page_id == message.update.page_id, queue.c.subject == message.update.subject)
        counted = sql.update(queue).where(queue.c.name == self._name, *its).values(attempts=queue.c.attempts + 1)
        self._database.write(lambda connection: connection.execute(counted))

    def waiting(self) -> int:
        statement = sql.select(sql.func.count()).where(queue.c.name == self._name)
        found: int = self._database.read(lambda connection: connection.execute(statement).scalar_one())
        return found - len(self._done)

    def _write_down(self) -> None:
        if done := list(self._done):
            deletion = sql.delete(queue).where(queue.c.number.in_(done))
            self._database.write(lambda connection: connection.execute(deletion))
            self._done.difference_update(done)


class FileLease:
    """A lock on a second file: closing a descriptor of the database's own file would drop SQLite's locks."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: int | None = None
        os.register_at_fork(after_in_child=self.release)

    def is_held(self) -> bool:
        """Tell whether this process holds the lock, after trying to get it."""
        if self._descriptor is None:
            try:
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self.release()
        return self._descriptor is not None

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class RowLease:
    """A row that says which process holds a lease, and until when by PostgreSQL's clock."""

    def __init__(self, database: DatabaseHistory, name: str) -> None:
        self._database, self._name = database, name
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._holder = random.getrandbits(62)
        self._held_until = self._renew_at = 0.0

    def is_held(self) -> bool:
        """Tell whether this process holds the lease; take or renew it when that is due."""
        asked_at = monotonic()
        if asked_at >= self._renew_at:
            with suppress(Unavailable):
                is_ours = self._database.write(self._take)
                self._held_until = asked_at + SECONDS_HELD if is_ours else 0.0
                self._renew_at = asked_at + SECONDS_TO_RENEW if is_ours else 0.0
        return monotonic() < self._held_until

    def release(self) -> None:
        self._held_until = 0.0
        ours = (leases.c.name == self._name, leases.c.holder == self._holder)
        with suppress(Unavailable):
            self._database.write(lambda connection: connection.execute(sql.delete(leases).where(*ours)))

    def _take(self, connection: Connection) -> bool:
        now = sql.cast(sql.extract("epoch", sql.func.clock_timestamp()), sql.BigInteger)
        row = upsert("postgresql", leases).values(name=self._name, holder=self._holder, until=now + SECONDS_OF_A_LEASE)
        # A row that was written while the server's clock was ahead expires, too.
        until = leases.c.until
        is_free = sql.or_(leases.c.holder == self._holder, until < now, until > now + 2 * SECONDS_OF_A_LEASE)
        changed = {"holder": row.excluded.holder, "until": row.excluded.until}
        row = row.on_conflict_do_update(index_elements=[leases.c.name], set_=changed, where=is_free)
        return connection.execute(row.returning(leases.c.holder)).first() is not None
