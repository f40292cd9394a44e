"""What is forgotten of a history: what ended long ago, and what waits in a queue past its bound.

Every function takes a connection inside a transaction.
"""

from __future__ import annotations

import sqlalchemy as sql
from sqlalchemy import Connection, select, tuple_

from monitor.history.contract import MOST_QUEUED
from monitor.history.sql.read import arrivals_of, incident_in
from monitor.history.sql.tables import arrivals, components, incidents, lock, pages, queue, updates
from monitor.history.sql.write import component_rows
from monitor.updates.times import microseconds

FORGOTTEN_AT_ONCE = 100


def trim(connection: Connection, name: str) -> int:
    """Forget the oldest messages of a queue past its bound; return how many."""
    newest = select(queue.c.number).where(queue.c.name == name).order_by(queue.c.number.desc())
    oldest = connection.scalar(newest.offset(MOST_QUEUED - 1).limit(1))
    if oldest is None:
        return 0
    return connection.execute(sql.delete(queue).where(queue.c.name == name, queue.c.number < oldest)).rowcount


def forget(connection: Connection, now: int, keep: int) -> int:
    """Forget a few of the incidents that ended and were last updated more than `keep` before `now`, with their updates,
    of the arrivals that are as old, and the pages of which nothing came since.

    Times are microseconds. Return how many: at most FORGOTTEN_AT_ONCE, as nothing else is written meanwhile.
    """
    lock(connection)
    # Counted from the newest update where that is older: a clock that jumps ahead must not empty the database.
    newest = connection.scalar(select(sql.func.max(pages.c.updated_at))) or 0
    upto = min(now, newest) - keep
    over = (incidents.c.ended_at < upto, incidents.c.updated_at < upto)
    those = select(incidents.c.number, incidents.c.document).where(*over).limit(FORGOTTEN_AT_ONCE)
    old = [(number, incident_in(text)) for number, text in connection.execute(those)]
    for number, incident in old:
        identity = (updates.c.page_id == incident.page_id, updates.c.id == incident.id)
        connection.execute(sql.delete(updates).where(*identity))
        named = tuple_(components.c.component, components.c.created_at, components.c.number)
        keys = [tuple(row.values()) for row in component_rows(number, incident)]
        connection.execute(sql.delete(components).where(named.in_(keys)))
    connection.execute(sql.delete(incidents).where(incidents.c.number.in_([number for number, _ in old])))
    kept = select(incidents.c.page_id).where(incidents.c.page_id == pages.c.id).exists()
    connection.execute(
        sql.delete(pages).where(pages.c.updated_at < upto, pages.c.received_at < upto, pages.c.url.is_(None), ~kept)
    )
    first = arrivals_of(connection, 0, FORGOTTEN_AT_ONCE + 1)[:-1]  # the last of all stays: numbers go on from it
    arrived = [one.number for one in first if microseconds(one.update.updated_at) < upto]
    connection.execute(sql.delete(arrivals).where(arrivals.c.number.in_(arrived)))
    return max(len(old), len(arrived))
