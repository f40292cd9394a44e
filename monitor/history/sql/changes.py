"""Components' changes: when each ends. Every function takes a connection inside a transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sql
from sqlalchemy import Connection, and_, select, tuple_

from monitor.history.sql.insert import insert
from monitor.history.sql.read import incident_in
from monitor.history.sql.rows import row_of
from monitor.history.sql.tables import incidents, is_open
from monitor.updates.incident import Incident, ended
from monitor.updates.times import from_microseconds, microseconds
from monitor.updates.update import Update


def with_ends(connection: Connection, update: Update, incident: Incident) -> Incident:
    """Set the ends of components' changes that an update implies; return its incident, perhaps with an end.

    A change ends at the component's next change, or when a later update of an incident calls it operational.
    """
    if update.is_component_update:
        return _end_at_the_next(connection, incident)
    if well := [c.identity for c in update.components if c.status == "operational"]:
        row = (incidents.c.page_id == update.page_id, incidents.c.component.in_(well), is_open)
        at = min(update.updated_at, incident.updated_at)
        earlier = incidents.c.updated_at < microseconds(at)
        _end(connection, select(incidents.c.number, incidents.c.document).where(*row, earlier), at)
    return incident


def last_change(connection: Connection, update: Update) -> Incident | None:
    """Return the last change known of the component that a component's change is of."""
    rows = incidents.c
    changes = select(rows.document).where(rows.page_id == update.page_id, rows.component == update.subject)
    last = connection.scalar(changes.order_by(rows.updated_at.desc(), rows.number.desc()).limit(1))
    return incident_in(last) if last else None


def _end_at_the_next(connection: Connection, change: Incident) -> Incident:
    """End the component's previous change at this one, and this one at the next; return this one."""
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
    insert(connection, incidents, [row_of(number, change) for number, change in rows], "replace")
    return [change for _, change in rows]
