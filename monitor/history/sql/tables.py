"""The tables of a durable history, in SQLite or PostgreSQL, and how one version of them becomes the next.

Times are microseconds since 1970, which both compare and index alike; an incident's story is in its document.
Every function takes a connection inside a transaction.
"""

from __future__ import annotations

import sqlalchemy as sql
from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text

VERSION = 3
# Statements that turn version n into n + 1, run in one transaction; new tables are there before they run.
MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: (
        "ALTER TABLE incidents ADD COLUMN began_at BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE incidents ADD COLUMN ended_at BIGINT",
        "UPDATE incidents SET began_at = created_at",
        "UPDATE incidents SET ended_at = updated_at WHERE status IN ('resolved', 'postmortem', 'completed')",
        "CREATE INDEX incidents_ended ON incidents (ended_at) WHERE ended_at IS NOT NULL",
        "INSERT INTO pages (id, name, is_named, updates, missed, received_at, pushed_at, updated_at)"
        " SELECT page_id, max(page), false, count(*), 0, max(updated_at), max(updated_at), max(updated_at)"
        " FROM incidents GROUP BY page_id",
    ),
    2: (
        "INSERT INTO components (component, page_id, incident_id)"
        " SELECT component, page_id, incident_id FROM incident_components",
        "DROP TABLE incident_components",
    ),
}
ADVISORY_LOCK = 0x6576656E746D6F6E  # "eventmon"

metadata = sql.MetaData()
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
    Column("began_at", BigInteger, nullable=False),  # scheduled_for, or created_at
    Column("ended_at", BigInteger),  # no component update ends
    Column("document", Text, nullable=False),
    Index("incidents_identity", "id", "page_id", unique=True),
    Index("incidents_by_created_at", "created_at", "number"),
    Index("incidents_by_page", "page", "created_at", "number"),
    Index("incidents_by_page_id", "page_id", "created_at", "number"),
    Index("incidents_by_updated_at", "updated_at"),
)
# The few that are open, among all that ended.
_open, _ended = incidents.c.is_open, incidents.c.ended_at.is_not(None)
Index("incidents_open", incidents.c.created_at, incidents.c.number, sqlite_where=_open, postgresql_where=_open)
Index("incidents_ended", incidents.c.ended_at, sqlite_where=_ended, postgresql_where=_ended)
components = Table(
    "components",
    metadata,
    Column("component", Text, primary_key=True),  # its name, and in a row of its own its id
    Column("page_id", Text, primary_key=True),
    Column("incident_id", Text, primary_key=True),
    sqlite_with_rowid=False,
)
pages = Table(
    "pages",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("is_named", Boolean, nullable=False),
    Column("updates", BigInteger, nullable=False),
    Column("missed", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("pushed_at", BigInteger),
    Column("updated_at", BigInteger, nullable=False),
    Column("unsubscribe", Text),
)
# The newest updates in the order of their commits, for readers that come back.
arrivals = Table(
    "arrivals",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("document", Text, nullable=False),
)
# What is still to be sent, a row for each message.
outbox = Table(
    "outbox",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("service", Text, nullable=False),
    Column("page_id", Text, nullable=False),
    Column("incident_id", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("document", Text, nullable=False),
    Index("outbox_by_service", "service", "number"),
)


class NewerSchema(Exception):
    """The database was made by a newer version of this program."""


def prepare(connection: sql.Connection) -> None:
    """Make the tables where there are none, carry an older schema forward, refuse a newer one."""
    if connection.dialect.name == "postgresql":  # two processes that start at once would both find no tables
        connection.execute(sql.select(sql.func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    if not sql.inspect(connection).has_table(schema.name):
        metadata.create_all(connection)
        connection.execute(sql.insert(schema).values(version=VERSION))
    found = lock(connection)
    if found < VERSION:
        metadata.create_all(connection)
    for version in range(found, VERSION):
        for statement in MIGRATIONS[version]:
            connection.exec_driver_sql(statement)
    connection.execute(sql.update(schema).values(version=VERSION))


def lock(connection: sql.Connection) -> int:
    """Let one transaction at a time write, in all processes, and return the schema's version; raise NewerSchema.

    SQLite has such a lock of its own (BEGIN IMMEDIATE). In PostgreSQL two processes that fold the same incident
    would otherwise overwrite each other, or deadlock.
    """
    found: int = connection.execute(sql.select(schema.c.version).with_for_update()).scalar_one()
    if found > VERSION:
        raise NewerSchema(f"the schema has version {found} and this program knows {VERSION}: update the program")
    return found


def probe(connection: sql.Connection) -> None:
    """Write something that changes nothing: a full or read-only disk does not show before."""
    connection.execute(sql.update(schema).values(version=schema.c.version))
