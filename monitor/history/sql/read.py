"""What is read from the tables of a durable history: incidents, arrivals, pages, spans.

Every function takes a connection inside a transaction.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import orjson
from sqlalchemy import ColumnElement, Connection, and_, exists, or_, select, tuple_

from monitor.history.contract import LONG_AGO, MOST_SPANS, Arrival, Incident, Page, Span, microseconds
from monitor.history.query import Query
from monitor.history.sql.tables import arrivals, components, incidents, pages
from monitor.senders.statuspage import COMPONENT_STATUSES
from monitor.updates.incident import ENDED, restore
from monitor.updates.update import Update

MOST_PAGES = 10_000  # strangers could make pages without end


def state_of(document: str) -> Update:
    """Return the incident, or the update, of a stored document."""
    return restore(orjson.loads(document))


def incidents_of(connection: Connection, query: Query) -> list[Incident]:
    """Return the incidents that a query asks for, newest first."""
    created_at, number = incidents.c.created_at, incidents.c.number
    asked = select(number, created_at, incidents.c.document).order_by(created_at.desc(), number.desc())
    if query.id is not None:
        asked = asked.where(incidents.c.id == query.id)
    if query.page is not None:
        asked = asked.where(or_(incidents.c.page == query.page, incidents.c.page_id == query.page))
    if query.component is not None:
        its = (components.c.page_id == incidents.c.page_id, components.c.incident_id == incidents.c.id)
        asked = asked.where(exists().where(components.c.component == query.component, *its))
    if query.status is not None:
        asked = asked.where(_has_status(query.status))
    if query.impact is not None:
        asked = asked.where(incidents.c.impact == query.impact)
    if query.since is not None:
        asked = asked.where(incidents.c.updated_at >= microseconds(query.since))
    if query.before is not None:
        asked = asked.where(tuple_(created_at, number) < tuple_(*query.before))
    rows = connection.execute(asked.limit(query.limit))
    return [Incident(state_of(text), (created, at)) for at, created, text in rows]


def incident_of(connection: Connection, page_id: str, incident_id: str) -> Update | None:
    """Return one incident, or None."""
    of = incidents.c
    found = connection.scalar(select(of.document).where(of.id == incident_id, of.page_id == page_id))
    return None if found is None else state_of(found)


def _has_status(status: str) -> ColumnElement[bool]:
    if status == "open":
        return incidents.c.is_open.expression
    if status in ENDED or status in COMPONENT_STATUSES:
        return incidents.c.status == status
    return and_(incidents.c.is_open, incidents.c.status == status)  # as said, so that the index of the open ones serves


def arrivals_of(connection: Connection, after: int | None, limit: int) -> list[Arrival]:
    """Return updates in the order of their commits: the first past number `after`, or the last for None."""
    asked = select(arrivals.c.number, arrivals.c.document).limit(limit)
    if after is None:
        rows = list(connection.execute(asked.order_by(arrivals.c.number.desc())))[::-1]
    else:
        rows = list(connection.execute(asked.where(arrivals.c.number > after).order_by(arrivals.c.number)))
    return [Arrival(number, state_of(document)) for number, document in rows]


def pages_of(connection: Connection) -> list[Page]:
    """Return every page, by name, of very many the newest."""
    newest = connection.execute(select(pages).order_by(pages.c.received_at.desc()).limit(MOST_PAGES))
    return [
        Page(
            id=row.id,
            name=row.name,
            is_named=row.is_named,
            updates=row.updates,
            missed=row.missed,
            received_at=_instant(row.received_at),
            pushed_at=None if row.pushed_at is None else _instant(row.pushed_at),
            updated_at=_instant(row.updated_at),
            unsubscribe=row.unsubscribe,
        )
        for row in sorted(newest, key=lambda row: str(row.name))
    ]


def spans_of(connection: Connection, since: datetime) -> list[Span]:
    """Return what is open or ended since then, newest first."""
    of = incidents.c
    asked = select(of.page_id, of.page, of.impact, of.status, of.began_at, of.ended_at)
    asked = asked.where(or_(of.is_open, of.ended_at >= microseconds(since))).order_by(of.began_at.desc())
    rows = connection.execute(asked.limit(MOST_SPANS))
    return [
        Span(page_id, page, impact, status, _instant(began), None if ended is None else _instant(ended))
        for page_id, page, impact, status, began, ended in rows
    ]


def _instant(microseconds_since_1970: int) -> datetime:
    return LONG_AGO + timedelta(microseconds=microseconds_since_1970)
