"""Tell when updates arrive: in this process, and over PostgreSQL in any other, by LISTEN on a connection of its own.

https://www.postgresql.org/docs/current/sql-listen.html
"""

from __future__ import annotations

import random
from importlib import import_module
from typing import NoReturn

import gevent
from gevent.event import Event
from gevent.socket import wait_read
from sqlalchemy import URL

from monitor.history.sql.connection import SECONDS_FOR_A_STATEMENT
from monitor.history.sql.write import ARRIVED

SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 5.0  # seconds, from a lost connection to the next try
# A server that went away without a word is noticed within a minute.
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-KEEPALIVES
KEPT_ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}


class ArrivalListener:
    """Wakes everyone who waits for arrivals; it connects to PostgreSQL when the first one waits."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._next = Event()
        self._greenlet: gevent.Greenlet | None = None

    def next_arrival(self) -> Event:
        """Return an event that the next arrival sets; call this before looking for what has arrived already."""
        if self._greenlet is None and self._url.get_backend_name() == "postgresql":
            self._greenlet = gevent.spawn(self._listen)
        return self._next

    def wake(self) -> None:
        """Wake everyone who waits."""
        arrived, self._next = self._next, Event()
        arrived.set()

    def close(self) -> None:
        """Stop listening, until somebody waits again."""
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None

    def _listen(self) -> NoReturn:
        psycopg = import_module("psycopg")
        arguments, keywords = self._url.get_dialect()().create_connect_args(self._url)
        settings = {**keywords, **KEPT_ALIVE, "connect_timeout": SECONDS_FOR_A_STATEMENT, "autocommit": True}
        pause = SHORTEST_PAUSE
        while True:
            try:
                with psycopg.connect(*arguments, **settings) as connection:
                    connection.execute(f"LISTEN {ARRIVED}".encode())
                    pause = SHORTEST_PAUSE
                    self.wake()  # updates may have arrived while nobody listened
                    while True:
                        wait_read(connection.fileno())
                        for _ in connection.notifies(timeout=0):
                            self.wake()
            except (psycopg.Error, OSError):  # the writer logs what fails
                pass
            gevent.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
            pause = min(2 * pause, LONGEST_PAUSE)
