"""Forget what ended long ago, and messages past a queue's bound.

Every function takes a connection inside a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import time_ns

import sqlalchemy as sql
from sqlalchemy import Connection, select

from monitor.history.contract import MOST_QUEUED
from monitor.history.sql.read import arrivals_of, incident_in
from monitor.history.sql.rows import delete_components
from monitor.history.sql.tables import arrivals, incidents, lock, pages, queue, updates
from monitor.updates.times import microseconds

FORGOTTEN_AT_ONCE = 100
MICROSECONDS_A_DAY = 24 * 60 * 60 * 1_000_000


def trim(connection: Connection, name: str) -> int:
    """Delete the oldest messages of a queue that holds more than MOST_QUEUED; return how many."""
    newest = select(queue.c.number).where(queue.c.name == name).order_by(queue.c.number.desc())
    oldest = connection.scalar(newest.offset(MOST_QUEUED - 1).limit(1))
    if oldest is None:
        return 0
    return connection.execute(sql.delete(queue).where(queue.c.name == name, queue.c.number < oldest)).rowcount


def forget_queues(connection: Connection, but: Sequence[str]) -> int:
    """Delete the messages of every queue but these; return how many."""
    return connection.execute(sql.delete(queue).where(queue.c.name.not_in(but))).rowcount


def forget(connection: Connection, keep_days: int) -> int:
    """Delete a few incidents that ended and were last updated more than `keep_days` ago, with their updates.

    Also delete arrivals as old, and unpolled pages without incidents that sent nothing since. Return how many incidents
    or arrivals: at most FORGOTTEN_AT_ONCE, as no update is recorded meanwhile.
    """
    lock(connection)
    # From the newest update if that is older: a clock that jumps ahead must not empty the database.
    newest = connection.scalar(select(sql.func.max(pages.c.updated_at))) or 0
    upto = min(time_ns() // 1000, newest) - keep_days * MICROSECONDS_A_DAY
    over = (incidents.c.ended_at < upto, incidents.c.updated_at < upto)
    those = select(incidents.c.number, incidents.c.document).where(*over).limit(FORGOTTEN_AT_ONCE)
    old = [(number, incident_in(text)) for number, text in connection.execute(those)]
    for number, incident in old:
        identity = (updates.c.page_id == incident.page_id, updates.c.id == incident.id)
        connection.execute(sql.delete(updates).where(*identity))
        delete_components(connection, number, incident)
    connection.execute(sql.delete(incidents).where(incidents.c.number.in_([number for number, _ in old])))
    kept = select(incidents.c.page_id).where(incidents.c.page_id == pages.c.id).exists()
    connection.execute(
        sql.delete(pages).where(pages.c.updated_at < upto, pages.c.received_at < upto, pages.c.url.is_(None), ~kept)
    )
    first = arrivals_of(connection, 0, FORGOTTEN_AT_ONCE + 1)[:-1]  # the last stays: numbers continue from it
    arrived = [one.number for one in first if microseconds(one.update.updated_at) < upto]
    connection.execute(sql.delete(arrivals).where(arrivals.c.number.in_(arrived)))
    return max(len(old), len(arrived))
