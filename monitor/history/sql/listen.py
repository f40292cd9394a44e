"""Hear that updates arrived: in this process, and over PostgreSQL in any other, by LISTEN on a connection of its own.

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


class Ear:
    """Wakes who waits for arrivals; over PostgreSQL it listens once somebody does."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._next = Event()
        self._listener: gevent.Greenlet | None = None

    def begin(self) -> Event:
        """Return what is set at the next arrival; get it before looking for what is there already."""
        if self._listener is None and self._url.get_backend_name() == "postgresql":
            self._listener = gevent.spawn(self._listen)
        return self._next

    def hear(self) -> None:
        """Wake who waits."""
        heard, self._next = self._next, Event()
        heard.set()

    def close(self) -> None:
        """Stop listening, until somebody waits again."""
        if self._listener is not None:
            self._listener.kill()
            self._listener = None

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
                    self.hear()  # nobody listened until now
                    while True:
                        wait_read(connection.fileno())
                        for _ in connection.notifies(timeout=0):
                            self.hear()
            except (psycopg.Error, OSError):  # the history says in the log what fails
                pass
            gevent.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
            pause = min(2 * pause, LONGEST_PAUSE)
