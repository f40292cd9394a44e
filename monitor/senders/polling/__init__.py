"""Polling: ask the pages of MONITOR_PAGES for their incidents regularly, since not every page can push.

poller.py schedules polls and records answers. A source is a file (statuspage_api.py, feed.py), client.py speaks HTTP,
news.py finds what is new. doorbell.py takes rings, bell.py schedules their polls, addresses.py makes their addresses.
"""

from __future__ import annotations

from flask import Flask

from monitor.pipeline import pipeline_of
from monitor.senders.pages import pages_of
from monitor.senders.polling import addresses, doorbell
from monitor.settings import BadSetting, Command, Settings, load_for, whole_number
from monitor.updates.text import counted

DEFAULT_MINUTES = 5


def init_app(app: Flask) -> None:
    """Poll the pages of MONITOR_PAGES, if it is set, until the server stops; raise BadSetting."""
    if "PAGES" not in app.config:
        if "POLL_MINUTES" in app.config:
            raise BadSetting("MONITOR_POLL_MINUTES needs MONITOR_PAGES, which says what to poll")
        doorbell.init_app(app, ())
        return
    poller = load_for("MONITOR_PAGES", f"{__name__}.poller")
    pages, minutes = app.config["PAGES"], app.config.get("POLL_MINUTES", DEFAULT_MINUTES)
    polling = poller.Poller(pages, 60.0 * minutes, pipeline_of(app), pages_of(app), app.config["VERSION"])
    app.extensions[__name__] = polling
    doorbell.init_app(app, polling.polled)
    pipeline_of(app).at_start.append(f"polling: {counted(len(pages), 'page')}, every {counted(minutes, 'minute')}")


SETTINGS: Settings = {"POLL_MINUTES": whole_number("minutes", 1, 1440)}
COMMANDS = {
    "--doorbell": Command(
        "print the address that makes the monitor poll PAGE at once, or that of each page in MONITOR_PAGES",
        addresses.print_addresses,
        metavar="PAGE",
    )
}
