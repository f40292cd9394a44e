"""The rows of an incident in `incidents` and `components`, and documents as text."""

from __future__ import annotations

import orjson
import sqlalchemy as sql
from sqlalchemy import Connection

from monitor.history.query import names_of_components
from monitor.history.sql.insert import Row
from monitor.history.sql.tables import components
from monitor.updates.document import stored
from monitor.updates.impacts import impact_of
from monitor.updates.incident import Incident
from monitor.updates.times import microseconds


def row_of(number: int, incident: Incident) -> Row:
    """Return an incident's row in `incidents`."""
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
        "document": as_json(stored(incident)),
    }


def component_rows_of(number: int, incident: Incident) -> list[Row]:
    """Return an incident's rows in `components`."""
    created_at = microseconds(incident.created_at)
    return [{"component": name, "created_at": created_at, "number": number} for name in names_of_components(incident)]


def delete_components(connection: Connection, number: int, incident: Incident) -> None:
    """Delete an incident's rows in `components`."""
    rows = (
        components.c.component.in_(names_of_components(incident)),
        components.c.created_at == microseconds(incident.created_at),
        components.c.number == number,
    )
    connection.execute(sql.delete(components).where(*rows))


def as_json(value: object) -> str:
    """Return a document as text."""
    return orjson.dumps(value).decode()  # the json module takes a fifth of the time of `record`
