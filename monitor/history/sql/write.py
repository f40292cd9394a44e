"""What is written to the tables of a history: updates are recorded. read.py reads, forget.py forgets.

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
from sqlalchemy import ColumnElement, Connection, and_, select, tuple_

from monitor.history.contract import MOST_ARRIVALS
from monitor.history.query import names_of_components
from monitor.history.sql.count import count
from monitor.history.sql.insert import Row, insert
from monitor.history.sql.read import incident_in
from monitor.history.sql.tables import arrivals, components, incidents, is_open, lock, queue, updates
from monitor.updates.document import stored, summary
from monitor.updates.impacts import impact_of
from monitor.updates.incident import Incident, ended, fold, is_news
from monitor.updates.times import from_microseconds, microseconds
from monitor.updates.update import Update

BATCHES_BETWEEN_TRIMS = 50
ARRIVED = "event_monitor"  # the channel on which PostgreSQL tells other processes that updates arrived

Delivery = tuple[Update, Sequence[str]]  # and the queues that it goes into
Identity = tuple[str, str]  # page and id


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
    count(connection, [(update, incident is not None) for (update, _), incident in zip(given, outcomes, strict=True)])
    _arrive(connection, batch, [one for one in new if not one[0].is_past])
    return outcomes


def _key(update: Update) -> tuple[str, str, int]:
    return update.page_id, update.id, microseconds(update.updated_at)


def _insert_keys(connection: Connection, batch: int, given: Iterable[Update]) -> set[tuple[str, str, int]]:
    """Return the keys that were not there."""
    keys = {_key(update) for update in given}
    rows = [{"page_id": page_id, "id": identity, "updated_at": at, "batch": batch} for page_id, identity, at in keys]
    if insert(connection, updates, rows, unless_known=True) == len(rows):
        return keys
    columns = (updates.c.page_id, updates.c.id, updates.c.updated_at)
    ours = select(*columns).where(tuple_(*columns).in_(list(keys)), updates.c.batch == batch)
    return {(page_id, identity, at) for page_id, identity, at in connection.execute(ours)}


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
        insert(connection, incidents, [_row(numbers[identity], states[identity]) for identity in added])
    _update(connection, [_row(numbers[identity], states[identity]) for identity in changed])
    for identity in moved:
        connection.execute(
            sql.delete(components).where(
                components.c.component.in_(names_of_components(known[identity])),
                components.c.created_at == microseconds(known[identity].created_at),
                components.c.number == numbers[identity],
            )
        )
    named = [row for identity in added + moved for row in component_rows(numbers[identity], states[identity])]
    if named:
        insert(connection, components, named)


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


def component_rows(number: int, incident: Incident) -> list[Row]:
    """Return an incident's rows among the components."""
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


def _arrive(connection: Connection, batch: int, new: Sequence[tuple[Update, Sequence[str], Incident]]) -> None:
    if not new:
        return
    # A message is HTML, as providers send it, wherever an Update is read.
    documents = [_json((said := summary(update)) | {"message": escape(said["message"])}) for update, _, _ in new]
    insert(connection, arrivals, [{"batch": batch, "document": text} for text in documents])
    messages = [
        {"name": name, "page_id": update.page_id, "subject": update.subject, "attempts": 0, "document": text}
        for (update, names, incident), text in zip(new, documents, strict=True)
        for name in ([] if incident.is_ahead_of(update) else names)
    ]
    if messages:
        insert(connection, queue, messages)
    if batch % BATCHES_BETWEEN_TRIMS == 0:  # a random number: now and then is enough
        newest = select(sql.func.max(arrivals.c.number)).scalar_subquery()
        connection.execute(sql.delete(arrivals).where(arrivals.c.number <= newest - MOST_ARRIVALS))
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"NOTIFY {ARRIVED}")


def _json(value: object) -> str:
    return orjson.dumps(value).decode()  # with json, a fifth of the time of a record
