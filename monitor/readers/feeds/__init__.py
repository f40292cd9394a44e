"""All pages as a feed, as a calendar, and in the shape of Statuspage's API.

Of the modules here each writes one of them; answer.py has what they share. Libraries are loaded at the first request.
"""

from __future__ import annotations

from functools import partial

from flask import Flask, Response, request

from monitor.pipeline import pipeline_of
from monitor.readers.feeds.answer import conditional_answer, own_address
from monitor.readers.shared_answer import SharedAnswer
from monitor.senders.pages import pages_of
from monitor.server.requests import load, require

WRITERS = {
    "/feed.atom": ("atom", "feed"),
    "/maintenance.ics": ("calendar", "maintenance"),
    "/api/v2/summary.json": ("statuspage_api", "summary"),
    "/api/v2/incidents.json": ("statuspage_api", "incidents"),
}
SAID = {
    "feed": """Give the newest updates as an Atom feed.

    query: page, component, impact, status, id, since, limit
    answers: application/atom+xml
    """,
    "maintenance": """Give every page's maintenance windows as a calendar.

    query: page, component
    answers: text/calendar
    """,
    "summary": "Give what is open and planned, all pages as one, as Statuspage's API does.",
    "incidents": "Give the newest 50 incidents, as Statuspage's API does.",
}


def init_app(app: Flask) -> None:
    """Add the addresses."""
    history, pages = pipeline_of(app).history, pages_of(app)
    shared = {path: SharedAnswer() for path in WRITERS}

    def view() -> Response:
        require(app.config.get("READ_TOKEN"))
        module, name = WRITERS[request.path]
        writer = load(f"{__name__}.{module}")
        write = getattr(writer, name)
        body = shared[request.path].get((own_address(), request.full_path), lambda: write(history, pages))
        return conditional_answer(body, writer.CONTENT_TYPE)

    for path, (_, name) in WRITERS.items():
        described = partial(view)
        described.__doc__ = SAID[name]
        app.add_url_rule(path, f"feeds_{name}", described)
