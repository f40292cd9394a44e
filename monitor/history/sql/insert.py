"""Insert rows in SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite

Row = dict[str, Any]


def insert(connection: Connection, table: Table, rows: Sequence[Row], *, unless_known: bool = False) -> int:
    """Insert rows that have the same columns, all in one call of the driver; return how many were inserted."""
    statement = _insertion(connection.dialect, table, tuple(rows[0]), unless_known)
    return connection.exec_driver_sql(statement, rows).rowcount


@lru_cache  # compiled for each row, SQLAlchemy takes as long as SQLite
def _insertion(dialect: Dialect, table: Table, columns: tuple[str, ...], unless_known: bool) -> str:
    insertion = upsert(dialect.name, table).inline()
    insertion = insertion.on_conflict_do_nothing() if unless_known else insertion
    return str(insertion.compile(dialect=dialect, column_keys=columns))


def upsert(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Return an insertion to which an ON CONFLICT clause can be added."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
