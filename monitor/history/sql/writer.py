"""The writer of a history in SQL: one greenlet that commits updates in batches and outlives faults of the database.

`add` returns only after the commit. Updates that arrive during one commit share the next. A fault is logged once and
stands in `problem` until the database works again.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import gevent
from gevent.event import AsyncResult, Event
from gevent.queue import Queue
from sqlalchemy.exc import DatabaseError, InterfaceError, InternalError, OperationalError, SQLAlchemyError

from monitor.history.sql import forget, read, write
from monitor.history.sql.connection import DatabaseConnection
from monitor.history.sql.tables import Refused, prepare, set_open
from monitor.updates.errors import Unavailable
from monitor.updates.incident import Incident
from monitor.updates.update import Update

log = logging.getLogger("event_monitor")

MOST_IN_A_BATCH = 500
PASSES_TO_GATHER = 5  # of the event loop
SECONDS_FOR_AN_ANSWER = 20
SECONDS_BETWEEN_PROBES = 1
SECONDS_BETWEEN_FORGETTING = 600
FAULTS = (SQLAlchemyError, OSError, Refused)  # raised by the database or its driver


@dataclass(slots=True, eq=False)
class _Waiting:
    """An update whose sender waits for the commit; once abandoned, the sender was told to send it again."""

    update: Update
    queues: Sequence[str]
    outcome: AsyncResult = field(default_factory=AsyncResult)
    is_abandoned: bool = False


class Writer:
    """Records updates over one connection; calls `recorded` after each commit of a new update."""

    def __init__(self, connection: DatabaseConnection, keep_days: int | None, recorded: Callable[[], None]) -> None:
        self.problem: str | None = None
        self.recovered: Queue[tuple[Incident, Update]] = Queue()
        self._connection, self._keep_days, self._recorded = connection, keep_days, recorded
        self._waiting: list[_Waiting] = []
        self._wake = Event()
        self._in_doubt: int | None = None  # a batch whose commit has an unknown outcome
        self._has_opened = False
        self._forget_at = time.monotonic()

    def start(self) -> None:
        """Prepare the database and begin to write; raise ValueError for a database that cannot be used at all."""
        try:
            self._recover()
        except Refused as refusal:
            raise ValueError(str(refusal)) from None
        except Exception as fault:  # noqa: BLE001  # as in _write_for_ever
            self._fail(fault)
        self._greenlet = gevent.spawn(self._write_for_ever)

    def add(self, update: Update, queues: Sequence[str]) -> Incident | None:
        """Record an update; return its incident after the commit, or None for an update seen before."""
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

    def stop(self) -> None:
        """Stop writing; the last process to stop notes in the database that the end is clean."""
        self._greenlet.kill()
        if self.problem is None:
            with suppress(*FAULTS), gevent.Timeout(SECONDS_BETWEEN_PROBES, False):  # then it ends unclean
                self._connection.leave(lambda connection: set_open(connection, False))

    def _write_for_ever(self) -> None:
        while True:
            try:
                if self.problem is not None:
                    gevent.sleep(SECONDS_BETWEEN_PROBES)
                    self._recover()
                self._wake.wait(self._forget())
                self._wake.clear()
                while self._waiting:
                    self._gather()
                    self._record(self._waiting[:MOST_IN_A_BATCH])
            except Exception as fault:  # noqa: BLE001  # whatever it is, the next batch may pass
                self._fail(fault)

    def _recover(self) -> None:
        self._connection.run(prepare)
        was_open = self._connection.run(lambda connection: set_open(connection, True))
        is_alone = self._connection.is_alone()
        ended_unclean = was_open and is_alone and not self._has_opened  # not alone: another process has it open
        if ended_unclean or self._in_doubt is not None:
            told = self._connection.run(lambda connection: read.told_in(connection, self._in_doubt))
            for one in told:
                self.recovered.put(one)
            if ended_unclean:
                log.warning("database: the last end was unclean; told again from its last commit: %d", len(told))
        self._in_doubt, self._has_opened = None, True
        if self.problem:
            log.warning("database: recovered")
        self.problem = None

    def _fail(self, fault: Exception) -> None:
        if self.problem is None:
            log.error("database: %s; senders are told to send again", reason(fault))
        self.problem = reason(fault)
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.outcome.set_exception(Unavailable(self.problem))

    def _gather(self) -> None:
        """Let requests that are already here join: a commit costs nearly as much for one update as for 30."""
        arrived = 0
        while arrived < len(self._waiting) < MOST_IN_A_BATCH:
            arrived = len(self._waiting)
            for _ in range(PASSES_TO_GATHER):
                gevent.sleep(0)

    def _record(self, batch: Sequence[_Waiting], *, is_first_try: bool = True) -> None:
        """Commit the first of the waiting updates; an update that the database refuses twice fails alone."""
        number, given = random.getrandbits(62), [(one.update, one.queues) for one in batch]
        try:
            outcomes = self._connection.run(lambda connection: write.record(connection, number, given))
        except Exception as fault:
            if is_of_the_database(fault):
                self._in_doubt = number
                raise
            if is_first_try:  # one by one, over a new connection
                for one in batch:
                    self._record([one], is_first_try=False)
                return
            log.error("database: refuses an update: %s", reason(fault))
            self._waiting.remove(batch[0])
            batch[0].outcome.set_exception(Unavailable(reason(fault)))
            return
        del self._waiting[: len(batch)]
        for one, incident in zip(batch, outcomes, strict=True):
            if incident is not None and one.is_abandoned:  # its sender will send it again, as a duplicate
                self.recovered.put((incident, one.update))
            one.outcome.set(incident)
        if any(outcomes):
            self._recorded()

    def _forget(self) -> float | None:
        """Forget a few old incidents if it is time; return the seconds until it is time again, or None for never."""
        if self._keep_days is None:
            return None
        if time.monotonic() >= self._forget_at:
            forgotten = self._connection.run(partial(forget.forget, keep_days=self._keep_days))
            # The rest follows in small batches, with updates in between.
            is_all = forgotten < forget.FORGOTTEN_AT_ONCE
            self._forget_at = time.monotonic() + (SECONDS_BETWEEN_FORGETTING if is_all else 0.1)
        return max(0, self._forget_at - time.monotonic())


def is_of_the_database(fault: Exception) -> bool:
    """Tell whether the next update would meet this fault, too; otherwise the update caused it."""
    if isinstance(fault, (OperationalError, InterfaceError, InternalError, OSError, Refused)):
        return True
    return type(fault) is DatabaseError or getattr(fault, "connection_invalidated", False)


def reason(fault: Exception) -> str:
    """Return a fault in one line: the driver's own sentence, as SQLAlchemy's text holds the whole statement."""
    if not isinstance(fault, FAULTS):
        return f"{type(fault).__name__}: {fault}"[:300]
    return " ".join(str(getattr(fault, "orig", None) or fault).split())[:300]
