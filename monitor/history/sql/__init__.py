"""The history in SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from monitor.settings import BadSetting, Settings, load, whole_number

if TYPE_CHECKING:
    from monitor.history.contract import History


def open(config: Mapping[str, Any], *, reading: bool = False) -> History | None:  # noqa: A001  # as a file is opened
    """Return the history in MONITOR_DATABASE_URL, or None if that is not set; raise BadSetting."""
    if "DATABASE_URL" not in config:
        if "KEEP_DAYS" in config:
            raise BadSetting("MONITOR_KEEP_DAYS needs MONITOR_DATABASE_URL: in memory, numbers are bounded, not days")
        return None
    try:
        kind = load(f"{__name__}.history").DatabaseHistory
        history: History = kind(config["DATABASE_URL"], config.get("KEEP_DAYS"), reading=reading)
    except ValueError as error:
        raise BadSetting(f"MONITOR_DATABASE_URL: {error}") from None
    return history


def url(value: str) -> str:
    """Check a database's URL."""
    load(f"{__name__}.address").parse_url(value)
    return value


SETTINGS: Settings = {"DATABASE_URL": url, "KEEP_DAYS": whole_number("days", 1, 36_500)}
