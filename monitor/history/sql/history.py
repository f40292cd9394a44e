"""The history in SQL: a SQLite file, or a PostgreSQL database that several processes share (see contract.py)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from monitor.history.contract import Arrival, IncidentPeriod, Lease, ListedIncident, Page
from monitor.history.query import Query
from monitor.history.sql import forget, read, write
from monitor.history.sql.address import parse_url, path_of, shown
from monitor.history.sql.connection import DatabaseConnection
from monitor.history.sql.listen import ArrivalListener
from monitor.history.sql.queues import DatabaseQueue, FileLease, RowLease
from monitor.history.sql.writer import FAULTS, Writer, reason
from monitor.updates.errors import Unavailable
from monitor.updates.incident import Incident
from monitor.updates.update import Update

Found = TypeVar("Found")


class DatabaseHistory:
    """A history at `url`; raise ValueError for a URL that is none, or for a database that cannot be used at all.

    With `reading`, the database is neither prepared nor ever written.
    """

    def __init__(self, url: str, keep_days: int | None = None, *, reading: bool = False) -> None:
        parsed = parse_url(url)
        if reading and (file := path_of(parsed)) and not file.exists():
            raise ValueError(f"names the file {file}, which is not there")
        self.kept_in = shown(parsed)
        self._writing, self._reading = DatabaseConnection(parsed), DatabaseConnection(parsed, reading=True)
        self._listener = ArrivalListener(parsed)
        self._writer = Writer(self._writing, keep_days, self._listener.wake)
        self._queues: dict[str, DatabaseQueue] = {}
        if not reading:
            self._writer.start()
            # Before `gunicorn --preload` forks its workers: no two processes share a connection.
            os.register_at_fork(before=self._disconnect)

    @property
    def problem(self) -> str | None:
        return self._writer.problem

    def add(self, update: Update, queues: Sequence[str] = ()) -> Incident | None:
        """Record an update; return, after the commit, its incident once per key for all processes."""
        return self._writer.add(update, queues)

    def recovered(self) -> tuple[Incident, Update]:
        told: tuple[Incident, Update] = self._writer.recovered.get()
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
        """Return once any process has recorded an update past number `after`, at the latest after so many seconds."""
        arrived = self._listener.next_arrival()
        newest = self.arrivals(None, 1)
        if not newest or newest[0].number <= after:
            arrived.wait(seconds)

    def periods(self, since: datetime) -> list[IncidentPeriod]:
        return self.read(lambda connection: read.periods_of(connection, since))

    def pages(self) -> list[Page]:
        return self.read(read.pages_of)

    def note(self, page_id: str, *, name: str, url: str, polled_at: datetime | None, problem: str | None) -> None:
        noted = partial(Page.note, name=name, url=url, polled_at=polled_at, problem=problem)
        self.write(lambda connection: write.change_page(connection, page_id, noted))

    def queue(self, name: str) -> DatabaseQueue:
        return self._queues.setdefault(name, DatabaseQueue(self, name))

    def forget_queues(self, but: Sequence[str]) -> int:
        return self.write(lambda connection: forget.forget_queues(connection, but))

    def lease(self, name: str) -> Lease:
        path = self._writing.path
        return FileLease(f"{path}-{name}") if path else RowLease(self, name)

    def write(self, transaction: Callable[[Connection], Found]) -> Found:
        """Run a transaction on the one connection that writes."""
        try:
            return self._writing.run(transaction)
        except FAULTS as fault:
            raise Unavailable(reason(fault)) from None

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
            raise Unavailable(reason(fault)) from None

    def close(self) -> None:
        """Stop writing and close the connections; SQLite then moves everything into its one file."""
        self._writer.stop()
        self._disconnect()

    def _disconnect(self) -> None:
        self._listener.close()
        self._reading.close()
        self._writing.close()
