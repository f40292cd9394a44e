"""Read incidents, arrivals, pages and periods from the tables of a history.

Every function takes a connection inside a transaction and reads a bounded number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Row, Select, case, select, tuple_, union_all

from monitor.history.contract import MOST_PAGES, MOST_PERIODS, Arrival, IncidentPeriod, ListedIncident, Page
from monitor.history.query import Place, Query
from monitor.history.sql.tables import arrivals, components, incidents, is_open, pages
from monitor.updates.document import incident_of, update_of
from monitor.updates.incident import Incident
from monitor.updates.times import from_microseconds, microseconds
from monitor.updates.update import Update

ROWS_AT_ONCE = 5_000  # read for a filter without an index, before other reads get their turn

_rows = incidents.c
_columns = (_rows.number, _rows.created_at, _rows.document)


def incident_in(document: str) -> Incident:
    """Return the incident of a stored document."""
    return incident_of(orjson.loads(document))


def update_in(document: str) -> Update:
    """Return the update of a stored document."""
    return update_of(orjson.loads(document))


def incidents_of(connection: Connection, query: Query) -> tuple[list[ListedIncident], Place | None]:
    """Return incidents that match a query, newest first, and the place to go on from if more rows must be read."""
    filters = _filters(query)
    scanned: Place | None = None
    statement: Select[Any] = select(*_columns).where(*filters)
    if query.component is not None:
        named = components.c
        statement = statement.join_from(components, incidents, named.number == _rows.number)
        statement = statement.where(named.component == query.component.casefold())
        statement = _newest_first(statement, named, query.before)
    else:
        statement = _newest_first(statement, _rows, query.before)
        if filters and not _has_index(query):
            inner = _newest_first(select(_rows.number, _rows.created_at), _rows, query.before)
            if last := connection.execute(inner.offset(ROWS_AT_ONCE - 1).limit(1)).first():
                scanned = (last.created_at, last.number)
                statement = statement.where(tuple_(_rows.created_at, _rows.number) >= tuple_(*scanned))
    found = [
        ListedIncident(incident_in(text), (created_at, number))
        for number, created_at, text in connection.execute(statement.limit(query.limit))
    ]
    return found, None if len(found) == query.limit else scanned


def _newest_first(statement: Select[Any], columns: Any, before: Place | None) -> Select[Any]:
    if before is not None:
        statement = statement.where(tuple_(columns.created_at, columns.number) < tuple_(*before))
    return statement.order_by(columns.created_at.desc(), columns.number.desc())


def _has_index(query: Query) -> bool:
    return query.status == "open" or query.id is not None or (query.page_ids is not None and len(query.page_ids) < 2)


def _filters(query: Query) -> list[ColumnElement[bool]]:
    filters: list[ColumnElement[bool]] = []
    if query.id is not None:
        filters.append(_rows.id == query.id)
    if query.page_ids is not None:
        ids = list(query.page_ids)
        filters.append(_rows.page_id == ids[0] if len(ids) == 1 else _rows.page_id.in_(ids))
    if query.status is not None:
        filters.append(is_open if query.status == "open" else _rows.status == query.status)
    if query.impact is not None:
        filters.append(_rows.impact == query.impact)
    if query.since is not None:
        filters.append(_rows.updated_at >= microseconds(query.since))
    return filters


def incident_at(connection: Connection, page_id: str, incident_id: str) -> Incident | None:
    """Return one incident, or None."""
    found = connection.scalar(select(_rows.document).where(_rows.id == incident_id, _rows.page_id == page_id))
    return None if found is None else incident_in(found)


def arrivals_of(connection: Connection, after: int | None, limit: int) -> list[Arrival]:
    """Return updates in the order of their commits: the first after number `after`, or the last for None."""
    statement = select(arrivals.c.number, arrivals.c.document).limit(limit)
    if after is None:
        rows = list(connection.execute(statement.order_by(arrivals.c.number.desc())))[::-1]
    else:
        rows = list(connection.execute(statement.where(arrivals.c.number > after).order_by(arrivals.c.number)))
    return [Arrival(number, update_in(document)) for number, document in rows]


def told_in(connection: Connection, batch: int | None) -> Sequence[tuple[Incident, Update]]:
    """Return the updates of a commit, or of the last one for None, each with its incident as it is now."""
    newest = select(arrivals.c.batch, arrivals.c.document).order_by(arrivals.c.number.desc()).limit(1_000)
    rows = list(connection.execute(newest))[::-1]
    batch = rows[-1].batch if rows and batch is None else batch
    updates = [update_in(row.document) for row in rows if row.batch == batch]
    found = [(incident_at(connection, update.page_id, update.id), update) for update in updates]
    return [(incident, update) for incident, update in found if incident]


def pages_of(connection: Connection) -> list[Page]:
    """Return the newest MOST_PAGES pages, sorted by name."""
    heard_at = case((pages.c.polled_at > pages.c.received_at, pages.c.polled_at), else_=pages.c.received_at)
    newest = connection.execute(select(pages).order_by(heard_at.desc()).limit(MOST_PAGES))
    return sorted(map(page_in, newest), key=lambda page: (page.name, page.id))


def page_in(row: Row[Any]) -> Page:
    """Return the page of a stored row."""
    values = dict(row._mapping)
    for name in ("received_at", "pushed_at", "updated_at", "polled_at"):
        values[name] = None if values[name] is None else from_microseconds(values[name])
    return Page(**values)


def periods_of(connection: Connection, since: datetime) -> list[IncidentPeriod]:
    """Return the periods that are open or ended since then, newest first."""
    statement = select(_rows.page_id, _rows.impact, _rows.status, _rows.began_at, _rows.ended_at)
    statement = statement.where(_rows.impact != "operational")
    ended = statement.where(_rows.ended_at.is_not(None), _rows.ended_at >= microseconds(since))
    both = union_all(statement.where(is_open), ended).subquery()  # SQLite would scan the table for an OR
    rows = connection.execute(select(both).order_by(both.c.began_at.desc()).limit(MOST_PERIODS))
    return [
        IncidentPeriod(
            page_id,
            impact,
            from_microseconds(began),
            None if ended is None else from_microseconds(ended),
            status == "scheduled" and impact == "maintenance",
        )
        for page_id, impact, status, began, ended in rows
    ]
