"""All pages as a feed, as a calendar, and in the shape of Statuspage's API.

Of the modules here each writes one of them; answer.py has what they share. Libraries are loaded at the first request.
"""

from __future__ import annotations

import re
from functools import partial

from flask import Flask, Response, request

from monitor.pipeline import pipeline_of
from monitor.readers.feeds.answer import conditional_answer
from monitor.readers.shared_answer import SharedAnswer
from monitor.senders.pages import pages_of
from monitor.server.requests import load, own_address, require
from monitor.settings import Settings

WRITERS = {
    "/feed.atom": ("atom", "feed"),
    "/history.atom": ("atom", "past"),
    "/maintenance.ics": ("calendar", "maintenance"),
    "/api/v2/summary.json": ("statuspage_api", "summary"),
    "/api/v2/status.json": ("statuspage_api", "status"),
    "/api/v2/components.json": ("statuspage_api", "components"),
    "/api/v2/incidents.json": ("statuspage_api", "incidents"),
    "/api/v2/incidents/unresolved.json": ("statuspage_api", "unresolved"),
    "/api/v2/scheduled-maintenances.json": ("statuspage_api", "maintenances"),
    "/api/v2/scheduled-maintenances/upcoming.json": ("statuspage_api", "upcoming"),
    "/api/v2/scheduled-maintenances/active.json": ("statuspage_api", "active"),
}
# What a browser asks before it lets another site's page read with a token: https://fetch.spec.whatwg.org/#http-cors-protocol
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "Authorization, If-None-Match",
    "Access-Control-Max-Age": "86400",
}
SAID = {
    "feed": """Give the newest updates as an Atom feed.

    query: page, component, impact, status, id, since, limit
    answers: application/atom+xml
    """,
    "past": """Give the newest 50 incidents as an Atom feed, as Statuspage's own.

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
    origin = {"Access-Control-Allow-Origin": app.config["CORS"]} if "CORS" in app.config else {}

    def view() -> Response:
        require(app.config.get("READ_TOKEN"))
        module, name = WRITERS[request.path]
        writer = load(f"{__name__}.{module}")
        write = getattr(writer, name)
        body = shared[request.path].get((own_address(), request.full_path), lambda: write(history, pages))
        response = conditional_answer(body, writer.CONTENT_TYPE)
        response.headers.update(origin)
        return response

    for path, (_, name) in WRITERS.items():
        described = partial(view)
        described.__doc__ = SAID.get(name, f"Give {path.rsplit('/', 1)[1]} as Statuspage's API does, all pages as one.")
        app.add_url_rule(path, f"feeds_{name}", described)
        if origin:
            preflight = partial(Response, status=204, headers=PREFLIGHT | origin)
            app.add_url_rule(path, f"feeds_{name}_preflight", preflight, methods=["OPTIONS"])


def cors(value: str) -> str:
    """Check the origin of the pages that may read, or `*` for those of any."""
    if value != "*" and not re.fullmatch(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", value):
        raise ValueError(f"({value[:100]!a}) is neither * nor an origin such as https://www.example.com")
    return value


SETTINGS: Settings = {"CORS": cors}
