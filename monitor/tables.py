"""The tables of a durable history and what is said to them: SQLAlchemy Core, SQLite or PostgreSQL.

Times are microseconds since 1970, which both compare and index alike; an incident's story is its document.
Every function takes a connection inside a transaction.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    inspect,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from monitor.history import Incident, microseconds
from monitor.incident import ENDED, document, fold, is_open, restore
from monitor.query import Query
from monitor.statuspage import COMPONENT_STATUSES
from monitor.update import Update

VERSION = 1
# Statements that turn version n into n + 1, run in one transaction: {1: ("ALTER TABLE …",)}
MIGRATIONS: dict[int, tuple[str, ...]] = {}
ADVISORY_LOCK = 0x6576656E746D6F6E  # "eventmon"
PRUNED_AT_ONCE = 200

metadata = MetaData()
schema = Table("event_monitor_schema", metadata, Column("version", Integer, nullable=False))
updates = Table(
    "updates",
    metadata,
    Column("page_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("updated_at", BigInteger, primary_key=True, autoincrement=False),
    Column("batch", BigInteger, nullable=False),  # whose commit recorded it: asked when a commit's outcome is unknown
    sqlite_with_rowid=False,
)
incidents = Table(
    "incidents",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("page_id", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("page", Text, nullable=False),
    Column("status", Text),
    Column("impact", Text),
    Column("is_open", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
    Index("incidents_identity", "id", "page_id", unique=True),
    Index("incidents_by_created_at", "created_at", "number"),
    Index("incidents_by_page", "page", "created_at", "number"),
    Index("incidents_by_page_id", "page_id", "created_at", "number"),
    Index("incidents_by_updated_at", "updated_at"),
)
# The few that are open, among all that ended.
_open = incidents.c.is_open
Index("incidents_open", incidents.c.created_at, incidents.c.number, sqlite_where=_open, postgresql_where=_open)
components = Table(
    "incident_components",
    metadata,
    Column("page_id", Text, primary_key=True),
    Column("incident_id", Text, primary_key=True),
    Column("component", Text, primary_key=True),  # its name, and in a row of its own its id
    Index("incident_components_by_component", "component"),
    sqlite_with_rowid=False,
)


class NewerSchema(Exception):
    """The database was made by a newer version of this program."""


def prepare(connection: Connection) -> None:
    """Make the tables where there are none, carry an older schema forward, refuse a newer one."""
    if connection.dialect.name == "postgresql":  # two processes that start at once would both find no tables
        connection.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    if not inspect(connection).has_table(schema.name):
        metadata.create_all(connection)
        connection.execute(insert(schema).values(version=VERSION))
    found = lock(connection)
    for version in range(found, VERSION):
        for statement in MIGRATIONS[version]:
            connection.exec_driver_sql(statement)
    connection.execute(update(schema).values(version=VERSION))


def lock(connection: Connection) -> int:
    """Let one transaction at a time write, in all processes, and return the schema's version; raise NewerSchema.

    SQLite has such a lock of its own (BEGIN IMMEDIATE). In PostgreSQL two processes that fold the same incident
    would otherwise overwrite each other, or deadlock.
    """
    found: int = connection.execute(select(schema.c.version).with_for_update()).scalar_one()
    if found > VERSION:
        raise NewerSchema(f"the schema has version {found} and this program knows {VERSION}: update the program")
    return found


def probe(connection: Connection) -> None:
    """Write something that changes nothing: a full or read-only disk does not show before."""
    connection.execute(update(schema).values(version=schema.c.version))


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
        connection.execute(insert(incidents), [_row(states[at]) for at in added])
    if changed:
        rows = [_row(states[at]) | {"of_page": at[0], "of_id": at[1]} for at in changed]
        connection.execute(update(incidents).where(_is(incidents.c.page_id, incidents.c.id)), rows)
    if moved:
        _delete(connection, components, components.c.incident_id, moved)
    names = [
        {"page_id": at[0], "incident_id": at[1], "component": name}
        for at in added + moved
        for name in {n for component in states[at].components for n in (component.name, component.id) if n}
    ]
    if names:
        connection.execute(insert(components), names)


def _is(page_id: Column[Any], identity: Column[Any]) -> ColumnElement[bool]:
    return and_(page_id == bindparam("of_page"), identity == bindparam("of_id"))


def _delete(connection: Connection, table: Table, identity: Column[Any], those: Sequence[tuple[str, str]]) -> None:
    rows = [{"of_page": page_id, "of_id": incident_id} for page_id, incident_id in those]
    connection.execute(delete(table).where(_is(table.c.page_id, identity)), rows)


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
    newest = connection.scalar(select(func.max(incidents.c.updated_at))) or 0
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
