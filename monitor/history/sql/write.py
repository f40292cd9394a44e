"""What is written to the tables of a history: updates are recorded, what is old is forgotten. read.py reads.

Every function takes a connection inside a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from html import escape
from typing import Any

import orjson
import sqlalchemy as sql
from sqlalchemy import ColumnElement, Connection, Dialect, Table, and_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from monitor.history.contract import MOST_ARRIVALS, MOST_QUEUED, Page
from monitor.history.query import names_of_components
from monitor.history.sql.read import arrivals_of, incident_in
from monitor.history.sql.tables import arrivals, components, incidents, is_open, lock, pages, queue, updates
from monitor.updates.document import stored, summary
from monitor.updates.impacts import impact_of
from monitor.updates.incident import Incident, ended, fold, is_news
from monitor.updates.times import from_microseconds, microseconds
from monitor.updates.update import Update

FORGOTTEN_AT_ONCE = 100
BATCHES_BETWEEN_TRIMS = 50
ARRIVED = "event_monitor"  # the channel on which PostgreSQL tells other processes that updates arrived

Delivery = tuple[Update, Sequence[str]]  # and the queues that it goes into
Identity = tuple[str, str]  # page and id
Row = dict[str, Any]


def record(connection: Connection, batch: int, given: Sequence[Delivery]) -> list[Incident | None]:
    """Record updates; return for each that is new its incident, else None."""
    if connection.dialect.name == "postgresql":
        lock(connection)
    new_keys = _insert_keys(connection, batch, [update for update, _ in given])
    numbers, known = _known(connection, {update.id for update, _ in given})
    states, outcomes = dict(known), list[Incident | None]()
    for update, _ in given:
        key, identity = _key(update), (update.page_id, update.id)
        before = states.get(identity)
        news = is_news(before, update, is_new_key=key in new_keys)
        new_keys.discard(key)  # the same update twice in one batch
        if news:
            states[identity] = fold(before, update)
        outcomes.append(states[identity] if news else None)
    _write(connection, numbers, known, states)
    outcomes = [
        incident and _with_ends(connection, update, incident)
        for (update, _), incident in zip(given, outcomes, strict=True)
    ]
    new = [(*delivery, incident) for delivery, incident in zip(given, outcomes, strict=True) if incident]
    _count(connection, [(update, incident is not None) for (update, _), incident in zip(given, outcomes, strict=True)])
    _arrive(connection, batch, [one for one in new if not one[0].is_past])
    return outcomes


def _key(update: Update) -> tuple[str, str, int]:
    return update.page_id, update.id, microseconds(update.updated_at)


def _insert_keys(connection: Connection, batch: int, given: Iterable[Update]) -> set[tuple[str, str, int]]:
    """Return the keys that were not there."""
    keys = {_key(update) for update in given}
    rows = [{"page_id": page_id, "id": at, "updated_at": time, "batch": batch} for page_id, at, time in keys]
    if _insert(connection, updates, rows, unless_known=True) == len(rows):
        return keys
    columns = (updates.c.page_id, updates.c.id, updates.c.updated_at)
    ours = select(*columns).where(tuple_(*columns).in_(list(keys)), updates.c.batch == batch)
    return {(page_id, at, time) for page_id, at, time in connection.execute(ours)}


def _known(connection: Connection, ids: set[str]) -> tuple[dict[Identity, int], dict[Identity, Incident]]:
    """Return the numbers and the states of the incidents that have these ids, on whichever page."""
    # By id alone, which the index begins with: SQLite scans the table for a list of pairs.
    rows = list(connection.execute(_rows_with_ids(connection.dialect.name), {"ids": list(ids)}))
    found = [(number, incident_in(text)) for number, text in rows]
    return (
        {(incident.page_id, incident.id): number for number, incident in found},
        {(incident.page_id, incident.id): incident for _, incident in found},
    )


@lru_cache  # of a list as such, SQLAlchemy would make another statement for each length
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
        last = connection.scalar(select(sql.func.max(incidents.c.number))) or 0
        numbers |= {identity: last + place for place, identity in enumerate(added, 1)}
        _insert(connection, incidents, [_row(numbers[identity], states[identity]) for identity in added])
    _update(connection, [_row(numbers[identity], states[identity]) for identity in changed])
    for identity in moved:
        connection.execute(
            sql.delete(components).where(
                components.c.component.in_(names_of_components(known[identity])),
                components.c.created_at == microseconds(known[identity].created_at),
                components.c.number == numbers[identity],
            )
        )
    named = [row for identity in added + moved for row in _component_rows(numbers[identity], states[identity])]
    if named:
        _insert(connection, components, named)


def _update(connection: Connection, rows: Sequence[Row]) -> None:
    if rows:
        which = incidents.c.number == sql.bindparam("its_number")
        connection.execute(sql.update(incidents).where(which), [row | {"its_number": row["number"]} for row in rows])


def _row(number: int, incident: Incident) -> Row:
    return {
        "number": number,
        "page_id": incident.page_id,
        "id": incident.id,
        "component": incident.subject if incident.is_component_update else None,
        "status": incident.status,
        "impact": impact_of(incident),
        "created_at": microseconds(incident.created_at),
        "updated_at": microseconds(incident.updated_at),
        "began_at": microseconds(incident.began_at),
        "ended_at": incident.ended_at and microseconds(incident.ended_at),
        "document": _json(stored(incident)),
    }


def _component_rows(number: int, incident: Incident) -> list[Row]:
    created_at = microseconds(incident.created_at)
    return [{"component": name, "created_at": created_at, "number": number} for name in names_of_components(incident)]


def _with_ends(connection: Connection, update: Update, incident: Incident) -> Incident:
    """End components' changes, at the component's next change or where a later incident update calls it operational;
    return the update's own incident as it is then.
    """
    if update.is_component_update:
        return _end_at_the_next(connection, incident)
    if well := [c.identity for c in update.components if c.status == "operational"]:
        row = (incidents.c.page_id == update.page_id, incidents.c.component.in_(well), is_open)
        earlier = incidents.c.updated_at < microseconds(update.updated_at)
        _end(connection, select(incidents.c.number, incidents.c.document).where(*row, earlier), update.updated_at)
    return incident


def _end_at_the_next(connection: Connection, change: Incident) -> Incident:
    """End the change before this one at this one, and this one at the one after it; return this one."""
    rows, order = incidents.c, tuple_(incidents.c.updated_at, incidents.c.number)
    same = and_(rows.page_id == change.page_id, rows.component == change.subject)
    place = select(rows.updated_at, rows.number).where(rows.id == change.id, rows.page_id == change.page_id)
    at, number = connection.execute(place).one()
    columns = select(rows.number, rows.document).where(same)
    before = columns.where(order < tuple_(at, number)).order_by(rows.updated_at.desc(), rows.number.desc()).limit(1)
    _end(connection, before, from_microseconds(at))
    after = select(rows.updated_at).where(same, order > tuple_(at, number)).order_by(rows.updated_at, rows.number)
    if (ends_at := connection.scalar(after.limit(1))) is None:
        return change
    return _end(connection, columns.where(rows.number == number), from_microseconds(ends_at))[0]


def _end(connection: Connection, those: sql.Select[Any], at: datetime) -> list[Incident]:
    rows = [(number, ended(incident_in(text), at)) for number, text in connection.execute(those)]
    _update(connection, [_row(number, change) for number, change in rows])
    return [change for _, change in rows]


def _count(connection: Connection, given: Iterable[tuple[Update, bool]]) -> None:
    counts: dict[str, Page] = {}
    for update, is_new in given:
        if is_new or not update.is_polled:
            counts.setdefault(update.page_id, Page(update.page_id, name=update.page)).count(update, is_new)
    if counts:
        rows = [{column.name: _plain(getattr(page, column.name)) for column in pages.c} for page in counts.values()]
        connection.execute(_add_to_counts(connection.dialect.name), rows)


@lru_cache
def _add_to_counts(dialect: str) -> sql.Executable:
    insertion = _upsert(dialect, pages)
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
    """Write down what polling a page came to."""
    insertion = _upsert(connection.dialect.name, pages)
    row = {column.name: _plain(getattr(page, column.name)) for column in pages.c}
    given = insertion.excluded
    changed = {
        "name": given.name,
        "is_named": given.is_named,
        "url": given.url,
        "problem": given.problem,
        "polled_at": sql.func.coalesce(given.polled_at, pages.c.polled_at),
    }
    connection.execute(insertion.on_conflict_do_update(index_elements=[pages.c.id], set_=changed), row)


def _arrive(connection: Connection, batch: int, new: Sequence[tuple[Update, Sequence[str], Incident]]) -> None:
    if not new:
        return
    # A message is HTML, as providers send it, wherever an Update is read.
    documents = [_json((said := summary(update)) | {"message": escape(said["message"])}) for update, _, _ in new]
    _insert(connection, arrivals, [{"batch": batch, "document": text} for text in documents])
    messages = [
        {"name": name, "page_id": update.page_id, "subject": update.subject, "attempts": 0, "document": text}
        for (update, names, incident), text in zip(new, documents, strict=True)
        for name in ([] if incident.is_ahead_of(update) else names)
    ]
    if messages:
        _insert(connection, queue, messages)
    if batch % BATCHES_BETWEEN_TRIMS == 0:  # a random number: now and then is enough
        newest = select(sql.func.max(arrivals.c.number)).scalar_subquery()
        connection.execute(sql.delete(arrivals).where(arrivals.c.number <= newest - MOST_ARRIVALS))
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"NOTIFY {ARRIVED}")


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
        keys = [tuple(row.values()) for row in _component_rows(number, incident)]
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


def _insert(connection: Connection, table: Table, rows: Sequence[Row], *, unless_known: bool = False) -> int:
    """Insert rows that have the same columns, by the driver's own way with many rows, and return how many."""
    statement = _insertion(connection.dialect, table, tuple(rows[0]), unless_known)
    return connection.exec_driver_sql(statement, rows).rowcount


@lru_cache  # SQLAlchemy's own work for each row takes as long as SQLite's
def _insertion(dialect: Dialect, table: Table, columns: tuple[str, ...], unless_known: bool) -> str:
    insertion = _upsert(dialect.name, table).inline()
    insertion = insertion.on_conflict_do_nothing() if unless_known else insertion
    return str(insertion.compile(dialect=dialect, column_keys=columns))


def _upsert(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Return an insertion that can be told what to do where the key is there already."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def _plain(value: object) -> object:
    return microseconds(value) if isinstance(value, datetime) else value


def _json(value: object) -> str:
    return orjson.dumps(value).decode()  # with json, a fifth of the time of a record
