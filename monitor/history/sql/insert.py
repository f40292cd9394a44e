"""Write rows in SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite

Row = dict[str, Any]
Known = Literal["refuse", "keep", "replace"]  # what becomes of a row whose primary key is known


def insert(connection: Connection, table: Table, rows: Sequence[Row], known: Known = "refuse") -> int:
    """Insert rows that have the same columns, all in one call of the driver; return how many were written."""
    if not rows:
        return 0
    return connection.exec_driver_sql(_insertion(connection.dialect, table, tuple(rows[0]), known), rows).rowcount


@lru_cache  # compiled for each row, SQLAlchemy takes as long as SQLite
def _insertion(dialect: Dialect, table: Table, columns: tuple[str, ...], known: Known) -> str:
    insertion = upsert(dialect.name, table).inline()
    if known == "keep":
        insertion = insertion.on_conflict_do_nothing()
    elif known == "replace":
        given = {name: insertion.excluded[name] for name in columns}
        insertion = insertion.on_conflict_do_update(index_elements=[*table.primary_key], set_=given)
    return str(insertion.compile(dialect=dialect, column_keys=columns))


def upsert(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Return an insertion to which an ON CONFLICT clause can be added."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
