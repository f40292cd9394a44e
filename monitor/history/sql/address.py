"""The URL of a database: reading and checking it, and where it leads."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError


def parse_url(url: str) -> URL:
    """Return the URL of a SQLite file or of a PostgreSQL database (postgres:// is taken, too); raise ValueError."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: the port is no number, as after an @ in the password
        raise ValueError("is not a database URL such as sqlite:///monitor.db or postgresql://…") from None
    if parsed.drivername == "sqlite" and (file := path_of(parsed)):
        if not file.parent.is_dir():
            raise ValueError(f"names a file in the folder {file.parent}, which is not there")
        if file.is_dir():
            raise ValueError(f"names the folder {file}; name a file in it, such as sqlite:///{file / 'monitor.db'}")
        if parsed.query.get("mode") == "memory" or parsed.query.get("vfs") == "memdb":
            raise ValueError("keeps nothing in a file: leave it unset to keep the history in memory")
        if parsed.query and "uri" not in parsed.query:
            raise ValueError("has parameters, which SQLite takes with uri=true: sqlite:///file:NAME?mode=rw&uri=true")
        return parsed
    has_host = parsed.host or "host" in parsed.query  # the parameter may name the folder of a Unix socket
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg") and has_host:
        _check_options(parsed)
        return parsed.set(drivername="postgresql+psycopg")
    raise ValueError("names neither a SQLite file (sqlite:///monitor.db) nor PostgreSQL (postgresql://host/name)")


def shown(url: URL) -> str:
    """Return where a database is, without its password: the absolute path of a file, or a URL."""
    if path := path_of(url):
        return str(path.resolve())
    host = url.host or str(url.query["host"])
    return URL.create("postgresql", url.username, None, host, url.port, url.database).render_as_string()


def _check_options(url: URL) -> None:
    """Raise ValueError if psycopg is missing or does not know one of the URL's options."""
    try:
        conninfo = import_module("psycopg.conninfo")
    except ImportError as missing:  # psycopg, or the libpq that psycopg needs
        raise ValueError(f"needs psycopg: pip install -r requirements-extras.txt ({missing})") from None
    try:
        conninfo.make_conninfo(**url.query)
    except conninfo.e.ProgrammingError as refusal:
        raise ValueError(" ".join(str(refusal).split())) from None


def path_of(url: URL) -> Path | None:
    """Return the absolute path of a SQLite file, or None; SQLite takes URIs, too: https://www.sqlite.org/uri.html"""
    named = (url.drivername == "sqlite" and url.database) or ""
    if named.startswith("file:"):
        named = unquote(urlsplit(named).path)
    return Path(named).absolute() if named not in ("", ":memory:") else None
