"""Record updates in the tables of a history. Every function takes a connection inside a transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache, partial
from html import escape
from typing import Any

import sqlalchemy as sql
from sqlalchemy import ColumnElement, Connection, select, tuple_

from monitor.history.contract import MOST_ARRIVALS, Page
from monitor.history.sql.changes import last_change, with_ends
from monitor.history.sql.insert import insert
from monitor.history.sql.read import incident_in, page_in
from monitor.history.sql.rows import as_json, component_rows_of, delete_components, row_of
from monitor.history.sql.tables import arrivals, components, incidents, lock, pages, queue, updates
from monitor.updates.document import summary
from monitor.updates.incident import Incident, fold, is_news, is_repeat
from monitor.updates.times import microseconds
from monitor.updates.update import Update

BATCHES_BETWEEN_TRIMS = 50
ARRIVED = "event_monitor"  # the channel on which PostgreSQL notifies other processes of arrivals

# Made once: SQLAlchemy takes longer to make a statement than SQLite to run it.
_last_number = select(sql.func.max(incidents.c.number))
_pages_with_ids = select(pages).where(pages.c.id.in_(sql.bindparam("ids", expanding=True)))

Delivery = tuple[Update, Sequence[str]]  # an update and the queues that it goes into
Identity = tuple[str, str]  # the ids of a page and of an incident
Key = tuple[str, str, int]  # with updated_at in microseconds
ChangePage = Callable[[Page], None]


def record(connection: Connection, batch: int, given: Sequence[Delivery]) -> list[Incident | None]:
    """Record updates in their order; return for each its incident if the update is new, otherwise None."""
    if connection.dialect.name == "postgresql":
        lock(connection)
    keys = [(update.page_id, update.id, microseconds(update.updated_at)) for update, _ in given]
    new_keys = _insert_keys(connection, batch, set(keys))
    numbers, known = _known(connection, {update.id for update, _ in given})
    states, outcomes = dict(known), list[Incident | None]()
    changes: dict[Identity, Incident | None] = {}  # the last of each page and component, in this batch too
    for (update, _), key in zip(given, keys, strict=True):
        identity, component = key[:2], (update.page_id, update.subject)
        before = states.get(identity)
        news = is_news(before, update, is_new_key=key in new_keys)
        if news and update.is_component_update:
            if component not in changes:
                changes[component] = last_change(connection, update)
            news = not is_repeat(changes[component], update)
        new_keys.discard(key)  # the same update may stand twice in one batch
        if news:
            states[identity] = fold(before, update)
        if news and update.is_component_update:
            last = changes[component]
            changes[component] = last if last and last.updated_at > update.updated_at else states[identity]
        outcomes.append(states[identity] if news else None)
    _write(connection, numbers, known, states)
    recorded = [
        (update, queues, incident and with_ends(connection, update, incident))
        for (update, queues), incident in zip(given, outcomes, strict=True)
    ]
    counts = [
        (update.page_id, partial(Page.count, update=update, is_new=incident is not None))
        for update, _, incident in recorded
        if incident or not update.is_polled
    ]
    _change_pages(connection, counts)
    new = [(update, queues, incident) for update, queues, incident in recorded if incident and not update.is_past]
    _arrive(connection, batch, new)
    return [incident for _, _, incident in recorded]


def _insert_keys(connection: Connection, batch: int, keys: set[Key]) -> set[Key]:
    """Insert the keys of updates; return those that are new."""
    rows = [{"page_id": page_id, "id": identity, "updated_at": at, "batch": batch} for page_id, identity, at in keys]
    if insert(connection, updates, rows, "keep") == len(rows):
        return keys
    columns = (updates.c.page_id, updates.c.id, updates.c.updated_at)
    ours = select(*columns).where(tuple_(*columns).in_(list(keys)), updates.c.batch == batch)
    return {(page_id, identity, at) for page_id, identity, at in connection.execute(ours)}


def _known(connection: Connection, ids: set[str]) -> tuple[dict[Identity, int], dict[Identity, Incident]]:
    """Return the numbers and the states of the incidents that have these ids, on any page."""
    # By id alone, the index's first column: SQLite scans the table for a list of pairs.
    numbers, states = dict[Identity, int](), dict[Identity, Incident]()
    for number, text in connection.execute(_rows_with_ids(connection.dialect.name), {"ids": list(ids)}):
        incident = incident_in(text)
        identity = (incident.page_id, incident.id)
        numbers[identity], states[identity] = number, incident
    return numbers, states


@lru_cache  # for a plain list SQLAlchemy compiles one statement for each length
def _rows_with_ids(dialect: str) -> sql.Select[Any]:
    if dialect == "postgresql":
        is_asked: ColumnElement[bool] = incidents.c.id == sql.any_(sql.bindparam("ids", type_=sql.ARRAY(sql.Text)))
    else:
        elements = sql.func.json_each(sql.bindparam("ids", type_=sql.JSON)).table_valued("value")
        is_asked = incidents.c.id.in_(select(elements.c.value))
    return select(incidents.c.number, incidents.c.document).where(is_asked)


def _write(
    connection: Connection,
    numbers: dict[Identity, int],
    known: dict[Identity, Incident],
    states: dict[Identity, Incident],
) -> None:
    added = [identity for identity in states if identity not in known]
    changed = [identity for identity in known if states[identity] is not known[identity]]
    moved = [identity for identity in changed if states[identity].components != known[identity].components]
    if added:
        last = connection.scalar(_last_number) or 0
        numbers |= {identity: last + place for place, identity in enumerate(added, 1)}
    insert(connection, incidents, [row_of(numbers[identity], states[identity]) for identity in added])
    insert(connection, incidents, [row_of(numbers[identity], states[identity]) for identity in changed], "replace")
    for identity in moved:
        delete_components(connection, numbers[identity], known[identity])
    named = [row for identity in added + moved for row in component_rows_of(numbers[identity], states[identity])]
    insert(connection, components, named)


def change_page(connection: Connection, page_id: str, change: ChangePage) -> None:
    """Change a page; add it if it is not known."""
    lock(connection)
    _change_pages(connection, [(page_id, change)])


def _change_pages(connection: Connection, changes: Sequence[tuple[str, ChangePage]]) -> None:
    ids = list({page_id for page_id, _ in changes})
    found = {row.id: page_in(row) for row in connection.execute(_pages_with_ids, {"ids": ids})}
    for page_id, change in changes:
        change(found.setdefault(page_id, Page(page_id)))
    rows = [{column.name: getattr(page, column.name) for column in pages.c} for page in found.values()]
    for row in rows:
        row |= {name: microseconds(at) for name, at in row.items() if isinstance(at, datetime)}
    insert(connection, pages, rows, "replace")


def _arrive(connection: Connection, batch: int, new: Sequence[tuple[Update, Sequence[str], Incident]]) -> None:
    if not new:
        return
    # summary() gives plain text, and an Update's message is HTML.
    documents = [as_json((said := summary(update)) | {"message": escape(said["message"])}) for update, _, _ in new]
    insert(connection, arrivals, [{"batch": batch, "document": text} for text in documents])
    messages = [
        {"name": name, "page_id": update.page_id, "subject": update.subject, "attempts": 0, "document": text}
        for (update, names, incident), text in zip(new, documents, strict=True)
        for name in ([] if incident.is_ahead_of(update) else names)
    ]
    insert(connection, queue, messages)
    if batch % BATCHES_BETWEEN_TRIMS == 0:  # a batch's number is random
        newest = select(sql.func.max(arrivals.c.number)).scalar_subquery()
        connection.execute(sql.delete(arrivals).where(arrivals.c.number <= newest - MOST_ARRIVALS))
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"NOTIFY {ARRIVED}")
