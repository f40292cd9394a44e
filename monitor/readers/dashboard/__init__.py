"""The web page: `GET /`, for a person, with the files under `/static`.

It is whole without JavaScript; the script (static/dashboard.js) asks for the same address again when `GET /stream` says
that an update came. A page is made once for all who ask for it until the next update, and one at a time.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from time import monotonic
from urllib.parse import urlencode

from flask import Flask, Response, request, send_from_directory
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from werkzeug.exceptions import Unauthorized

from monitor.history import query
from monitor.history.contract import History
from monitor.history.query import Query
from monitor.pipeline import pipeline_of
from monitor.readers.dashboard.content import choices, listing, overview, take_turns
from monitor.readers.dashboard.story import FILTERS, Teller
from monitor.readers.incidents import unknown
from monitor.senders.pages import Pages, pages_of
from monitor.server.requests import require
from monitor.updates.errors import Unavailable
from monitor.updates.impacts import IMPACTS

SECONDS_TO_KEEP, MOST_KEPT = 5, 10_000_000  # of made pages, in bytes; the durations in them grow old
SECONDS_BETWEEN_TURNS = 0.005
LISTING = {"id", "status", "since", "limit", "cursor"}  # what asks for one, not for the overview
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the token may be in the address
    "Cache-Control": "no-store",
    "Vary": "Accept",
}
HERE = Path(__file__).parent
STATIC = HERE / "static"

Given = dict[str, str]  # the parameters in the address that say something


def init_app(app: Flask) -> None:
    """Add `GET /` and `GET /static/…`."""
    dashboard = Dashboard(pipeline_of(app).history, pages_of(app), app.config.get("READ_TOKEN"))
    app.get("/")(dashboard.page)
    app.get("/static/<path:filename>")(static_file)


def static_file(filename: str) -> Response:
    """Answer a file; the page names each with its version, and one that is asked for without is looked at again.

    answers: text/css, text/javascript, image/svg+xml
    """
    response = send_from_directory(STATIC, filename)
    response.headers["X-Content-Type-Options"] = "nosniff"
    if "v" in request.args:
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


class Dashboard:
    """The page of one history and its registry of pages."""

    def __init__(self, history: History, pages: Pages, token: str | None) -> None:
        self._history, self._pages, self._token = history, pages, token
        self._one_at_a_time = Lock()
        # What was made, after which arrival, and when by the monotonic clock; the longest unasked first.
        self._kept: dict[tuple[tuple[str, str], ...], tuple[bytes, int, float]] = {}
        version = blake2b(b"".join(file.read_bytes() for file in sorted(STATIC.iterdir())), digest_size=4)
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        self._templates.filters.update(FILTERS)
        self._templates.globals.update(version=version.hexdigest(), impacts=IMPACTS, statuses=query.STATUSES)

    def page(self) -> Response:
        """Answer the page, or with 401 a form for the token, or with 503 why nothing can be read just now.

        query: page, component, impact, status, id, since, limit, cursor
        answers: text/html
        """
        arguments = {name: values for name, values in request.args.to_dict(flat=False).items() if values != [""]}
        given = {name: values[0] for name, values in arguments.items()}
        try:
            require(self._token)
        except Unauthorized:
            if not request.accept_mimetypes.accept_html:
                raise
            return Response(self._render("token.html", given), 401, HEADERS)
        asked = query.read(arguments)
        try:
            with self._one_at_a_time:
                return Response(self._page(given, asked), 200, HEADERS)
        except Unavailable as reason:
            body = self._render("unavailable.html", given, reason=str(reason))
            return Response(body, 503, HEADERS | {"Retry-After": "5"})

    def _page(self, given: Given, asked: Query) -> bytes:
        """Return a page as it is kept, or made anew."""
        newest = self._history.arrivals(None, 1)
        number = newest[0].number if newest else 0
        key = tuple(sorted(given.items()))
        body, made_after, made_at = self._kept.pop(key, (b"", 0, 0.0))
        if not body or made_after != number or monotonic() - made_at > SECONDS_TO_KEEP:
            body, made_at = self._make(given, asked), monotonic()
        self._kept[key] = body, number, made_at
        while len(self._kept) > 1 and sum(len(kept) for kept, _, _ in self._kept.values()) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return body

    def _make(self, given: Given, asked: Query) -> bytes:
        now, asked, known = datetime.now(UTC), self._pages.resolve(asked), self._pages.known()
        if found := unknown(asked, self._pages):
            template = "unknown.html"
        elif LISTING & given.keys():
            template, found = "listing.html", listing(self._history, self._pages, asked)
        else:
            template, found = "overview.html", overview(self._history, self._pages, known, asked, now)
        return self._render(template, given, now=now, asked=asked, choices=choices(known, asked), **found)

    def _render(self, template: str, given: Given, **context: object) -> bytes:
        """Return a page's HTML; a large one takes tens of milliseconds, so others get their turn in between."""
        # Every link has the token, so one that nobody asked for stays out.
        token = given.get("token", "") if self._token else ""

        def address(**changes: str) -> str:
            """Return the address of this page with these parameters and no other but the token."""
            return "?" + urlencode(({"token": token} if token else {}) | changes)

        def narrowed(**changes: str) -> str:
            """Return the address of this page with these parameters in place of those it has."""
            return address(**{name: value for name, value in given.items() if name != "token"} | changes)

        context |= {"address": address, "narrowed": narrowed, "token": token, "given": given, "tell": Teller()}
        parts, turn = [], monotonic()
        for part in self._templates.get_template(template).generate(context):
            parts.append(part)
            if monotonic() - turn > SECONDS_BETWEEN_TURNS:
                take_turns()
                turn = monotonic()
        return "".join(parts).encode()
