"""A heartbeat: `GET MONITOR_HEARTBEAT` once a minute while all is well, for a monitor of cron jobs elsewhere.

Silence is the alarm: no heartbeat is sent while recording, printing, polling or sending fails, or once the process is
gone. The address holds a key, so no error and no line of the log shows it.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask

from monitor.pipeline import pipeline_of
from monitor.settings import Settings, load


def init_app(app: Flask) -> None:
    """Send the heartbeat that MONITOR_HEARTBEAT asks for until the server stops."""
    if url := app.config.get("HEARTBEAT"):
        load(f"{__name__}.beats").start(url, pipeline_of(app))
        pipeline_of(app).at_start.append("heartbeat: once a minute, while all is well")


def address(value: str) -> str:
    """Check the address of a heartbeat."""
    try:
        parts = urlsplit(value)
        is_address = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or "@" in parts.netloc or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("is not an address such as https://hc-ping.com/your-key")
    return value


SETTINGS: Settings = {"HEARTBEAT": address}
