"""What is said to the tables of a durable history: record updates, give a page of incidents, forget old ones.

Every function takes a connection inside a transaction.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sql
from sqlalchemy import Column, ColumnElement, Connection, Table, and_, exists, or_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from monitor.history import Incident, microseconds
from monitor.incident import ENDED, document, fold, is_open, restore
from monitor.query import Query
from monitor.schema import components, incidents, lock, updates
from monitor.statuspage import COMPONENT_STATUSES
from monitor.update import Update

PRUNED_AT_ONCE = 200


def record(connection: Connection, batch: int, given: Sequence[Update]) -> list[bool]:
    """Record updates; return for each whether it is new."""
    if connection.dialect.name == "postgresql":
        lock(connection)
    rows = {
        (u.page_id, u.id, microseconds(u.updated_at)): {
            "page_id": u.page_id,
            "id": u.id,
            "updated_at": microseconds(u.updated_at),
            "batch": batch,
        }
        for u in given
    }
    upsert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(updates)
    key = (updates.c.page_id, updates.c.id, updates.c.updated_at)
    unseen = connection.execute(upsert.on_conflict_do_nothing().returning(*key), list(rows.values()))
    new = {tuple(row) for row in unseen}
    outcomes = []
    for one in given:
        key_of_one = (one.page_id, one.id, microseconds(one.updated_at))
        outcomes.append(key_of_one in new)
        new.discard(key_of_one)  # the same update twice in one batch
    _fold(connection, [u for u, is_new in zip(given, outcomes, strict=True) if is_new])
    return outcomes


def recorded(connection: Connection, batch: int, given: Sequence[Update]) -> list[Update]:
    """Return those updates that this batch recorded, after a commit whose outcome nobody heard."""
    keys = [(u.page_id, u.id, microseconds(u.updated_at)) for u in given]
    key = tuple_(updates.c.page_id, updates.c.id, updates.c.updated_at)
    found = connection.execute(
        select(updates.c.page_id, updates.c.id, updates.c.updated_at).where(key.in_(keys), updates.c.batch == batch)
    )
    ours = {tuple(row) for row in found}
    return [u for u, k in zip(given, keys, strict=True) if k in ours]


def _fold(connection: Connection, new: Sequence[Update]) -> None:
    ids = {u.id for u in new}
    if not ids:
        return
    # By id alone, which the index begins with: SQLite scans the table for a list of pairs.
    asked = select(incidents.c.document).where(incidents.c.id.in_(ids))
    known = {(state.page_id, state.id): state for state in map(_state, connection.scalars(asked))}
    states: dict[tuple[str, str], Update] = {}
    for u in new:
        at = (u.page_id, u.id)
        states[at] = fold(states.get(at) or known.get(at), u)
    added = [at for at in states if at not in known]
    changed = [at for at in states if at in known]
    moved = [at for at in changed if states[at].components != known[at].components]
    if added:
        connection.execute(sql.insert(incidents), [_row(states[at]) for at in added])
    if changed:
        rows = [_row(states[at]) | {"of_page": at[0], "of_id": at[1]} for at in changed]
        connection.execute(sql.update(incidents).where(_is(incidents.c.page_id, incidents.c.id)), rows)
    if moved:
        _delete(connection, components, components.c.incident_id, moved)
    names = [
        {"page_id": at[0], "incident_id": at[1], "component": name}
        for at in added + moved
        for name in {n for component in states[at].components for n in (component.name, component.id) if n}
    ]
    if names:
        connection.execute(sql.insert(components), names)


def _is(page_id: Column[Any], identity: Column[Any]) -> ColumnElement[bool]:
    return and_(page_id == sql.bindparam("of_page"), identity == sql.bindparam("of_id"))


def _delete(connection: Connection, table: Table, identity: Column[Any], those: Sequence[tuple[str, str]]) -> None:
    rows = [{"of_page": page_id, "of_id": incident_id} for page_id, incident_id in those]
    connection.execute(sql.delete(table).where(_is(table.c.page_id, identity)), rows)


def _state(document: str) -> Update:
    return restore(json.loads(document))


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
        "document": json.dumps(document(state) | {"message": state.message}),
    }


def page(connection: Connection, query: Query) -> list[Incident]:
    """Return the incidents that a query asks for, newest first."""
    created_at, number = incidents.c.created_at, incidents.c.number
    asked = select(number, created_at, incidents.c.document).order_by(created_at.desc(), number.desc())
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
    return [Incident(_state(text), (created, at)) for at, created, text in rows]


def _has_status(status: str) -> ColumnElement[bool]:
    if status == "open":
        return incidents.c.is_open.expression
    if status in ENDED or status in COMPONENT_STATUSES:
        return incidents.c.status == status
    return and_(incidents.c.is_open, incidents.c.status == status)  # as said, so that the index of the open ones serves


def prune(connection: Connection, now: int, keep: int) -> int:
    """Forget a few of the incidents that were last updated more than `keep` before `now`, with their updates.

    Times are microseconds. Return how many: at most PRUNED_AT_ONCE, as nothing else is written meanwhile.
    """
    lock(connection)
    # Counted from the newest update where that is older: a clock that jumps ahead must not empty the database.
    newest = connection.scalar(select(sql.func.max(incidents.c.updated_at))) or 0
    old = select(incidents.c.page_id, incidents.c.id).where(incidents.c.updated_at < min(now, newest) - keep)
    identities = [
        (page_id, at) for page_id, at in connection.execute(old.order_by(incidents.c.updated_at).limit(PRUNED_AT_ONCE))
    ]
    if identities:
        for table, identity in (
            (updates, updates.c.id),
            (components, components.c.incident_id),
            (incidents, incidents.c.id),
        ):
            _delete(connection, table, identity, identities)
    return len(identities)
