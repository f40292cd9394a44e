"""What is written to the tables of a durable history: record updates, forget old ones. reading.py reads.

Every function takes a connection inside a transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from html import escape
from typing import Any

import orjson
import sqlalchemy as sql
from sqlalchemy import ColumnElement, Connection, Table, and_, select, tuple_

from monitor.history.contract import MOST_ARRIVALS, Tally, microseconds
from monitor.history.sql.insertion import insert, upsert
from monitor.history.sql.read import arrivals_of, state_of
from monitor.history.sql.tables import arrivals, components, incidents, lock, outbox, pages, updates
from monitor.updates.incident import document, ended_at, fold, is_open, summary
from monitor.updates.update import Update, subject

PRUNED_AT_ONCE = 100
ARRIVED = "event_monitor"  # the channel on which PostgreSQL tells other processes that updates arrived


def _none(_: Update) -> Sequence[str]:
    return ()


def record(
    connection: Connection, batch: int, given: Sequence[Update], services: Callable[[Update], Sequence[str]] = _none
) -> list[bool]:
    """Record updates, a message for each service that an update goes to, and return for each whether it is new."""
    if connection.dialect.name == "postgresql":
        lock(connection)
    keys = [_key(u) for u in given]
    rows = [{"page_id": page_id, "id": at, "updated_at": time, "batch": batch} for page_id, at, time in set(keys)]
    is_all_new = insert(connection, updates, rows, unless_known=True) == len(rows)
    new = set(keys) if is_all_new else {_key(u) for u in recorded(connection, batch, given)}
    outcomes = []
    for key in keys:
        outcomes.append(key in new)
        new.discard(key)  # the same update twice in one batch
    if new_ones := [u for u, is_new in zip(given, outcomes, strict=True) if is_new]:
        _fold(connection, new_ones)
        _arrive(connection, batch, new_ones, services)
    return outcomes


def recorded(connection: Connection, batch: int, given: Sequence[Update]) -> list[Update]:
    """Return those updates that this batch recorded."""
    keys = [_key(u) for u in given]
    key = tuple_(updates.c.page_id, updates.c.id, updates.c.updated_at)
    found = connection.execute(
        select(updates.c.page_id, updates.c.id, updates.c.updated_at).where(key.in_(keys), updates.c.batch == batch)
    )
    ours = {tuple(row) for row in found}
    return [u for u, k in zip(given, keys, strict=True) if k in ours]


def _key(update: Update) -> tuple[str, str, int]:
    return update.page_id, update.id, microseconds(update.updated_at)


def _fold(connection: Connection, new: Sequence[Update]) -> None:
    ids = {u.id for u in new}
    # By id alone, which the index begins with: SQLite scans the table for a list of pairs.
    asked = connection.scalars(_documents_of(connection.dialect.name), {"ids": list(ids)})
    known = {(state.page_id, state.id): state for state in map(state_of, asked)}
    states: dict[tuple[str, str], Update] = {}
    for u in new:
        at = (u.page_id, u.id)
        states[at] = fold(states.get(at) or known.get(at), u)
    added = [at for at in states if at not in known]
    changed = [at for at in states if at in known]
    moved = [at for at in changed if states[at].components != known[at].components]
    if added:
        insert(connection, incidents, [_row(states[at]) for at in added])
    if changed:
        rows = [_row(states[at]) | _of({"page_id": at[0], "id": at[1]}) for at in changed]
        connection.execute(sql.update(incidents).where(_is(incidents, ("page_id", "id"))), rows)
    _delete(connection, components, [row for at in moved for row in _component_rows(known[at])])
    if rows := [row for at in added + moved for row in _component_rows(states[at])]:
        insert(connection, components, rows, unless_known=True)


@lru_cache  # of a list as such, SQLAlchemy would make another statement for each length
def _documents_of(dialect: str) -> sql.Select[Any]:
    """Return the query for the documents of the incidents in `ids`, a list."""
    if dialect == "postgresql":
        is_asked: ColumnElement[bool] = incidents.c.id == sql.any_(sql.bindparam("ids", type_=sql.ARRAY(sql.Text)))
    else:
        elements = sql.func.json_each(sql.bindparam("ids", type_=sql.JSON)).table_valued("value")
        is_asked = incidents.c.id.in_(select(elements.c.value))
    return select(incidents.c.document).where(is_asked)


def _arrive(
    connection: Connection, batch: int, new: Sequence[Update], services: Callable[[Update], Sequence[str]]
) -> None:
    _count(connection, new)
    if not (new := [u for u in new if not u.is_past]):
        return
    # A message is HTML, as providers send it, wherever an Update is read.
    rows = [{"document": _json((said := summary(u)) | {"message": escape(said["message"])})} for u in new]
    insert(connection, arrivals, rows)
    if batch % 50 == 0:  # a random number: now and then is enough
        newest = select(sql.func.max(arrivals.c.number)).scalar_subquery()
        connection.execute(sql.delete(arrivals).where(arrivals.c.number <= newest - MOST_ARRIVALS))
    messages = [
        {"service": service, "page_id": u.page_id, "incident_id": subject(u), "attempts": 0, **row}
        for u, row in zip(new, rows, strict=True)
        for service in services(u)
    ]
    if messages:
        insert(connection, outbox, messages)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"NOTIFY {ARRIVED}")


def _count(connection: Connection, new: Sequence[Update]) -> None:
    tallies = {page_id: Tally(page_id) for page_id in {u.page_id for u in new}}
    for u in new:
        tallies[u.page_id].add(u)
    rows = [
        {column.name: _plain(getattr(tally.page(), column.name)) for column in pages.c} for tally in tallies.values()
    ]
    connection.execute(_add_to_tallies(connection.dialect.name), rows)


@lru_cache
def _add_to_tallies(dialect: str) -> sql.Executable:
    insertion = upsert(dialect, pages)
    given, known = insertion.excluded, pages.c
    was_pushed = given.pushed_at.is_not(None)
    changed = {
        "name": sql.case((sql.and_(known.is_named, sql.not_(given.is_named)), known.name), else_=given.name),
        "is_named": sql.or_(known.is_named, given.is_named),
        "updates": known.updates + given.updates,
        "missed": sql.case((was_pushed, given.missed), else_=known.missed + given.missed),
        "received_at": given.received_at,
        "pushed_at": sql.func.coalesce(given.pushed_at, known.pushed_at),
        "updated_at": sql.case((given.updated_at > known.updated_at, given.updated_at), else_=known.updated_at),
        "unsubscribe": sql.func.coalesce(given.unsubscribe, known.unsubscribe),
    }
    return insertion.on_conflict_do_update(index_elements=[pages.c.id], set_=changed)


def _plain(value: object) -> object:
    return microseconds(value) if isinstance(value, datetime) else value


def _delete(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Delete the rows of a table that have the same columns as these."""
    if rows:
        connection.execute(sql.delete(table).where(_is(table, rows[0])), [_of(row) for row in rows])


def _is(table: Table, columns: Iterable[str]) -> ColumnElement[bool]:
    return and_(*[table.c[name] == sql.bindparam(f"of_{name}") for name in columns])


def _of(row: dict[str, Any]) -> dict[str, Any]:
    return {f"of_{name}": value for name, value in row.items()}


def _component_rows(state: Update) -> list[dict[str, Any]]:
    names = {name for component in state.components for name in (component.name, component.id) if name}
    return [{"component": name, "page_id": state.page_id, "incident_id": state.id} for name in names]


def _row(state: Update) -> dict[str, Any]:
    return {
        "page_id": state.page_id,
        "id": state.id,
        "page": state.page,
        "status": state.status,
        "impact": state.impact,
        "is_open": is_open(state),
        "created_at": microseconds(state.created_at),
        "updated_at": microseconds(state.updated_at),
        "began_at": microseconds(state.scheduled_for or state.created_at),
        "ended_at": None if state.is_component_update or not (ended := ended_at(state)) else microseconds(ended),
        "document": _json(document(state) | {"message": state.message}),
    }


def _json(value: object) -> str:
    return orjson.dumps(value).decode()  # with json, a fifth of the time of a record


def prune(connection: Connection, now: int, keep: int) -> int:
    """Forget a few of the incidents that were last updated more than `keep` before `now`, with their updates, of the
    arrivals that are as old, and the pages of which nothing came since.

    Times are microseconds. Return how many: at most PRUNED_AT_ONCE, as nothing else is written meanwhile.
    """
    lock(connection)
    # Counted from the newest update where that is older: a clock that jumps ahead must not empty the database.
    newest = connection.scalar(select(sql.func.max(incidents.c.updated_at))) or 0
    upto = min(now, newest) - keep
    old = select(incidents.c.document).where(incidents.c.updated_at < upto)
    asked = old.order_by(incidents.c.updated_at).limit(PRUNED_AT_ONCE)
    states = [state_of(document) for document in connection.scalars(asked)]
    identities = [{"page_id": state.page_id, "id": state.id} for state in states]
    _delete(connection, updates, identities)
    _delete(connection, components, [row for state in states for row in _component_rows(state)])
    _delete(connection, incidents, identities)
    connection.execute(sql.delete(pages).where(pages.c.updated_at < upto, pages.c.received_at < upto))
    first = arrivals_of(connection, 0, PRUNED_AT_ONCE + 1)[:-1]  # the last of all stays: numbers go on from it
    arrived = [{"number": one.number} for one in first if microseconds(one.update.updated_at) < upto]
    _delete(connection, arrivals, arrived)
    return max(len(states), len(arrived))
