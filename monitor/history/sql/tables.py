"""The tables of a history, the same in SQLite and PostgreSQL, and the version of them that a database has.

Times are microseconds since 1970, which both databases compare and index alike. An incident's document holds its
story. Every function takes a connection inside a transaction.
"""

from __future__ import annotations

import sqlalchemy as sql
from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, Table, Text

VERSION = 1
ADVISORY_LOCK = 0x6576656E746D6F6E  # "eventmon"

_number = BigInteger().with_variant(Integer, "sqlite")
metadata = sql.MetaData()
schema = Table(
    "event_monitor_schema",
    metadata,
    Column("version", Integer, nullable=False),
    Column("is_open", Boolean, nullable=False),  # true at a start: the last end was unclean
)
updates = Table(
    "updates",
    metadata,
    Column("page_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("updated_at", BigInteger, primary_key=True, autoincrement=False),
    Column("batch", BigInteger, nullable=False),  # the commit that recorded the update
    sqlite_with_rowid=False,
)
incidents = Table(
    "incidents",
    metadata,
    Column("number", _number, primary_key=True, autoincrement=False),
    Column("page_id", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("component", Text),  # only of a component's change
    Column("status", Text),
    Column("impact", Text, nullable=False),  # as impact_of gives it
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("began_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("document", Text, nullable=False),
    Index("incidents_identity", "id", "page_id", unique=True),
    Index("incidents_by_created_at", "created_at", "number"),
    Index("incidents_by_page", "page_id", "created_at", "number"),
)
# Partial indexes: few incidents are open, and few rows are components' changes.
is_open, _ended = incidents.c.ended_at.is_(None), incidents.c.ended_at.is_not(None)
_change = incidents.c.component.is_not(None)
Index("incidents_open", incidents.c.created_at, incidents.c.number, sqlite_where=is_open, postgresql_where=is_open)
Index("incidents_ended", incidents.c.ended_at, sqlite_where=_ended, postgresql_where=_ended)
_of_component = (incidents.c.page_id, incidents.c.component, incidents.c.updated_at, incidents.c.number)
Index("incidents_of_component", *_of_component, sqlite_where=_change, postgresql_where=_change)
# The casefolded names and ids by which incidents are found, a row for each.
components = Table(
    "components",
    metadata,
    Column("component", Text, primary_key=True),
    Column("created_at", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
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
    Column("lag_seconds", Float),
    Column("unsubscribe", Text),
    Column("url", Text),
    Column("polled_at", BigInteger),
    Column("problem", Text),
)
# The newest updates in the order of their commits, for clients that reconnect.
arrivals = Table(
    "arrivals",
    metadata,
    Column("number", _number, primary_key=True),
    Column("batch", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)
# The messages that wait in queues.
queue = Table(
    "queue",
    metadata,
    Column("number", _number, primary_key=True),
    Column("name", Text, nullable=False),
    Column("page_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("document", Text, nullable=False),
    Index("queue_by_name", "name", "number"),
)
leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
)


class Refused(Exception):
    """The database cannot be used; the text says why."""


def prepare(connection: sql.Connection) -> None:
    """Create missing tables; raise Refused for a database of another version or without UTF-8."""
    if connection.dialect.name == "postgresql":
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding != "UTF8":  # others refuse an emoji, or store bytes that nobody can read
            raise Refused(f"the database's encoding is {encoding} and must be UTF8: CREATE DATABASE … ENCODING 'UTF8'")
        # Otherwise two processes that start at once would both create the tables.
        connection.execute(sql.select(sql.func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    if not sql.inspect(connection).has_table(schema.name):
        metadata.create_all(connection)
        connection.execute(sql.insert(schema).values(version=VERSION, is_open=False))
    lock(connection)


def lock(connection: sql.Connection) -> None:
    """Let only one transaction of all processes write; raise Refused for a database of another version.

    SQLite has a lock of its own (BEGIN IMMEDIATE). In PostgreSQL two processes that fold the same incident would
    overwrite each other, or deadlock.
    """
    found: int = connection.execute(sql.select(schema.c.version).with_for_update()).scalar_one()
    if found != VERSION:
        raise Refused(f"the database has version {found} and this program knows {VERSION}: update the program")


def set_open(connection: sql.Connection, is_open: bool) -> bool:
    """Write whether the history is open; return what was written before.

    At the start this is the first write, which fails on a full or read-only disk.
    """
    was_open: bool = connection.execute(sql.select(schema.c.is_open)).scalar_one()
    connection.execute(sql.update(schema).values(is_open=is_open))
    return was_open
