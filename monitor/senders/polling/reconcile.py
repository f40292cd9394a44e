"""A net under the push, for the pages of MONITOR_PAGES: they are asked for their incidents, now and then.

rounds.py asks and records, asking.py speaks HTTP, missed.py says what of an answer is news. Without MONITOR_PAGES none
of them is loaded, and nobody is asked.
"""

from __future__ import annotations

from flask import Flask

from monitor.settings import BadSetting, part

DEFAULT_MINUTES = 5


def init_app(app: Flask) -> None:
    """Ask the pages of MONITOR_PAGES, if there are some, from now on until the server stops; raise BadSetting."""
    if "PAGES" not in app.config:
        if "RECONCILE_MINUTES" in app.config:
            raise BadSetting("MONITOR_RECONCILE_MINUTES needs MONITOR_PAGES, which says whom to ask")
        return
    monitor, minutes = app.extensions["monitor"], app.config.get("RECONCILE_MINUTES", DEFAULT_MINUTES)
    rounds = app.extensions["reconcile"] = part("senders.polling.poller").Rounds(
        app.config["PAGES"], 60.0 * minutes, monitor
    )
    monitor.stopping.append(rounds.stop)
