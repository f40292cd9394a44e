"""Hear from PostgreSQL that updates arrived, whichever process received them: LISTEN, on a connection of its own."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import NoReturn

import gevent
import psycopg

from monitor.history.sql.connection import SECONDS_FOR_A_STATEMENT, parse
from monitor.history.sql.write import ARRIVED

log = logging.getLogger("event_monitor")

SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 5.0  # seconds, from a lost connection to the next try
# A server that went away without a word is noticed within a minute.
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-KEEPALIVES
KEPT_ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}


def listen(url: str, arrived: Callable[[], None]) -> NoReturn:
    """Call `arrived` after each commit that recorded an update, and when the connection is there, until killed."""
    parsed = parse(url)
    arguments, keywords = parsed.get_dialect()().create_connect_args(parsed)
    settings = {**keywords, **KEPT_ALIVE, "connect_timeout": SECONDS_FOR_A_STATEMENT, "autocommit": True}
    pause = SHORTEST_PAUSE
    while True:
        try:
            with psycopg.connect(*arguments, **settings) as connection:
                connection.execute(f"LISTEN {ARRIVED}".encode())
                pause = SHORTEST_PAUSE
                arrived()  # nobody listened until now
                for _ in connection.notifies():
                    arrived()
        except (psycopg.Error, OSError):  # the history says in the log what fails
            pass
        gevent.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
        pause = min(2 * pause, LONGEST_PAUSE)
