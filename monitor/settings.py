"""Settings: what the environment may say, checked before anything starts.

They are Flask's config, read by `from_prefixed_env("MONITOR")`; a text stays text: a token of digits is no number.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from flask import Config

from monitor.history.contract import History
from monitor.history.memory import MemoryHistory
from monitor.senders.pages import KnownPage
from monitor.senders.pages import parse as parse_pages
from monitor.senders.payload import setting


class BadSetting(ValueError):
    """A setting that cannot be used; the text names it in one line and never holds a secret."""


def token(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty: give it a text, or unset it to let everyone in")
    return value


def webhook_token(value: str) -> str | dict[str, str]:
    """Return the token, or of a JSON object the page that each token may speak for."""
    if not value.lstrip().startswith("{"):
        return token(value)
    try:
        pages = setting(value)
    except ValueError as error:
        raise ValueError(f"begins like a JSON object of tokens and pages and {error}") from None
    if not pages or not all(isinstance(page, str) and page.strip() and key.strip() for key, page in pages.items()):
        raise ValueError('is not a JSON object such as {"a token": "GitHub"}, without empty texts')
    return dict(pages)


def database_url(value: str) -> str:
    part("history.sql.connection").parse(value)
    return value


def notify(value: str) -> object:
    """Return the services, monitor/services.py's; raise ValueError naming the entry."""
    return part("outputs.notify.services").parse(value)


def signature(value: str) -> object:
    """Return what checks signatures with this secret, monitor/signature.py's; raise ValueError without showing it."""
    return part("senders.signature").parse(value)


def days(value: str) -> int:
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= 36500):
        raise ValueError("is not a whole number of days from 1")
    return int(value)


def pages(value: str) -> tuple[KnownPage, ...]:
    """Return the pages; raise ValueError naming the entry, or what asking them needs."""
    known = parse_pages(value)
    if find_spec("monitor.senders.polling.poller"):
        part("senders.polling.poller")
    return known


def minutes(value: str) -> int:
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= 1440):
        raise ValueError("is not a whole number of minutes from 1 to 1440")
    return int(value)


def streams(value: str) -> int:
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= 100_000):
        raise ValueError("is not a whole number of streams from 1 to 100000")
    return int(value)


def part(name: str) -> ModuleType:
    """Return an optional part of this package; raise ValueError where what it needs is not installed."""
    try:
        return import_module(f"monitor.{name}")
    except ModuleNotFoundError as missing:
        raise ValueError(f"needs {missing.name}: pip install -r requirements-extras.txt") from None


# Every setting but HOST, which is the command line's, with what checks it; README.md has the same list.
SETTINGS: dict[str, Callable[[str], object]] = {
    "WEBHOOK_TOKEN": webhook_token,
    "WEBHOOK_SECRET_INCIDENTIO": signature,
    "READ_TOKEN": token,
    "DATABASE_URL": database_url,
    "KEEP_DAYS": days,
    "PAGES": pages,
    "RECONCILE_MINUTES": minutes,
    "NOTIFY": notify,
    "MAX_STREAMS": streams,
}


def names() -> str:
    return ", ".join(f"MONITOR_{name}" for name in SETTINGS)


def from_environment() -> dict[str, object]:
    """Return the settings in the environment, named without MONITOR_; raise BadSetting."""
    config = Config("")
    config.from_prefixed_env("MONITOR", loads=str)
    config.pop("HOST", None)
    if "DATABASE_URL" in os.environ:  # as hosts set it
        config.setdefault("DATABASE_URL", os.environ["DATABASE_URL"])
    return checked(config)


def checked(given: Mapping[str, object]) -> dict[str, object]:
    """Return the settings as they are used; raise BadSetting for an unknown name or a bad value."""
    # Flask makes a dict of a name with two underscores.
    if unknown := [name for name, value in given.items() if name not in SETTINGS or isinstance(value, dict)]:
        raise BadSetting(f"MONITOR_{unknown[0]} is not a setting or not written so; there are MONITOR_HOST, {names()}")
    values: dict[str, object] = {}
    for name, value in given.items():
        try:
            values[name] = SETTINGS[name](str(value))
        except ValueError as error:
            raise BadSetting(f"MONITOR_{name} {error}") from None
    return values


def history(config: Mapping[str, Any]) -> History:
    """Return the history that the settings ask for, in memory or in SQL; raise BadSetting."""
    if "DATABASE_URL" not in config:
        if "KEEP_DAYS" in config:
            raise BadSetting("MONITOR_KEEP_DAYS needs MONITOR_DATABASE_URL: in memory, numbers are bounded, not days")
        return MemoryHistory()
    try:
        durable: History = part("history.sql.history").DatabaseHistory(config["DATABASE_URL"], config.get("KEEP_DAYS"))
    except ValueError as error:
        raise BadSetting(f"MONITOR_DATABASE_URL: {error}") from None
    return durable
