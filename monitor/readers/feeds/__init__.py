"""All pages as Atom feeds, as a calendar, and in the shape of Statuspage's API.

Each module writes one of these; answer.py holds what they share. A module and its library load at its first request.
"""

from __future__ import annotations

import re
from functools import partial

from flask import Flask, Response, request

from monitor.pipeline import pipeline_of
from monitor.readers.shared_answer import SharedAnswer
from monitor.senders.pages import pages_of
from monitor.server.requests import load, own_address, require
from monitor.settings import Settings

HEADERS = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
# Each path, the module that writes its answer, and the answer's name there.
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
# A browser asks this before it sends a token from another site's page: https://fetch.spec.whatwg.org/#http-cors-protocol
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "Authorization, If-None-Match",
    "Access-Control-Max-Age": "86400",
}
# The docstrings of the views, from which readers/openapi.py describes the routes.
DOCSTRINGS = {
    "feed": """Give the newest updates as an Atom feed.

    query: page, component, impact, status, id, since, limit
    answers: application/atom+xml
    """,
    "past": """Give the newest 50 incidents as an Atom feed in the shape of Statuspage's own.

    answers: application/atom+xml
    """,
    "maintenance": """Give the maintenance windows of all pages as a calendar.

    query: page, component
    answers: text/calendar
    """,
    "summary": "Give what is open or planned as Statuspage's API does, all pages as one.",
    "incidents": "Give the newest 50 incidents, as Statuspage's API does.",
}


def init_app(app: Flask) -> None:
    """Add the routes."""
    history, pages = pipeline_of(app).history, pages_of(app)
    origin = {"Access-Control-Allow-Origin": app.config["CORS"]} if "CORS" in app.config else {}

    def answer(module: str, name: str, shared: SharedAnswer) -> Response:
        require(app.config.get("READ_TOKEN"))
        writer = load(f"{__name__}.{module}")
        body = shared.get((own_address(), request.full_path), lambda: writer.write(name, history, pages))
        response = Response(body, headers=HEADERS | origin, content_type=writer.CONTENT_TYPE)
        response.add_etag()
        response.make_conditional(request)
        return response

    for path, (module, name) in WRITERS.items():
        view = partial(answer, module, name, SharedAnswer())
        file = path.rsplit("/", 1)[1]
        view.__doc__ = DOCSTRINGS.get(name, f"Give {file} as Statuspage's API does, all pages as one.")
        app.add_url_rule(path, f"feeds_{name}", view)
        if origin:
            preflight = partial(Response, status=204, headers=PREFLIGHT | origin)
            app.add_url_rule(path, f"feeds_{name}_preflight", preflight, methods=["OPTIONS"])


def cors(value: str) -> str:
    """Check the one origin whose pages may read, or `*` for any origin."""
    if value != "*" and not re.fullmatch(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", value):
        raise ValueError(f"({value[:100]!a}) is neither * nor an origin such as https://www.example.com")
    return value


SETTINGS: Settings = {"CORS": cors}
