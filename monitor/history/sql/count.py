"""Write rows of `pages`: the counts and times of a page's updates, and the result of its last poll.

Every function takes a connection inside a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

import sqlalchemy as sql
from sqlalchemy import Connection

from monitor.history.contract import Page
from monitor.history.sql.insert import Row, upsert
from monitor.history.sql.tables import pages
from monitor.updates.times import microseconds
from monitor.updates.update import Update


def count(connection: Connection, given: Iterable[tuple[Update, bool]]) -> None:
    """Count updates for their pages; each comes with whether it is new."""
    counts: dict[str, Page] = {}
    for update, is_new in given:
        if is_new or not update.is_polled:
            counts.setdefault(update.page_id, Page(update.page_id, name=update.page)).count(update, is_new)
    if counts:
        rows = [_row(page) for page in counts.values()]
        connection.execute(_add_to_counts(connection.dialect.name), rows)


@lru_cache
def _add_to_counts(dialect: str) -> sql.Executable:
    insertion = upsert(dialect, pages)
    given, known = insertion.excluded, pages.c
    was_pushed, is_new = given.pushed_at.is_not(None), given.updates > 0
    keeps_name = sql.or_(sql.not_(is_new), sql.and_(known.is_named, sql.not_(given.is_named)))
    changed = {
        "name": sql.case((keeps_name, known.name), else_=given.name),
        "is_named": sql.or_(known.is_named, given.is_named),
        "updates": known.updates + given.updates,
        "missed": sql.case((was_pushed, given.missed), else_=known.missed + given.missed),
        "received_at": sql.case((is_new, given.received_at), else_=known.received_at),
        "pushed_at": sql.func.coalesce(given.pushed_at, known.pushed_at),
        "updated_at": sql.case((given.updated_at > known.updated_at, given.updated_at), else_=known.updated_at),
        "lag_seconds": sql.func.coalesce(given.lag_seconds, known.lag_seconds),
        "unsubscribe": sql.func.coalesce(given.unsubscribe, known.unsubscribe),
    }
    return insertion.on_conflict_do_update(index_elements=[pages.c.id], set_=changed)


def note(connection: Connection, page: Page) -> None:
    """Write the result of polling a page."""
    insertion = upsert(connection.dialect.name, pages)
    given = insertion.excluded
    changed = {
        "name": given.name,
        "is_named": given.is_named,
        "url": given.url,
        "problem": given.problem,
        "polled_at": sql.func.coalesce(given.polled_at, pages.c.polled_at),
    }
    connection.execute(insertion.on_conflict_do_update(index_elements=[pages.c.id], set_=changed), _row(page))


def _row(page: Page) -> Row:
    values = {column.name: getattr(page, column.name) for column in pages.c}
    return {name: microseconds(at) if isinstance(at, datetime) else at for name, at in values.items()}
