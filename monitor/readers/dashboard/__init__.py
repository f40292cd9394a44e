"""The web page: `GET /`, for a person, with the files under `/static`.

It is whole without JavaScript. The script (static/dashboard.js) fetches the same address again when `GET /stream` says
that an update came. Pages are made one at a time, and a page is made once for everybody until the next update.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from hashlib import blake2b
from pathlib import Path
from time import monotonic
from urllib.parse import urlencode

from flask import Flask, Response, current_app, request, send_from_directory
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from werkzeug.exceptions import Unauthorized

from monitor.history import query
from monitor.history.contract import History
from monitor.history.query import Query
from monitor.pipeline import pipeline_of
from monitor.readers.dashboard.content import shown
from monitor.readers.dashboard.story import FILTERS, Teller
from monitor.readers.dashboard.tiles import DAYS, WORDS
from monitor.readers.shared_answer import LARGEST_ANSWER, SharedAnswer, in_turns
from monitor.senders.pages import Pages, pages_of
from monitor.server.requests import own_address, require
from monitor.settings import Settings
from monitor.updates.errors import BadQuery, Unavailable
from monitor.updates.impacts import IMPACTS
from monitor.updates.times import FIRST_YEAR, LAST_YEAR
from monitor.updates.update import LONGEST_PAGE

SECONDS_KEPT, MOST_KEPT = 5, 10_000_000  # of pages, in bytes; the durations in them grow old
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

Given = dict[str, str]  # the parameters in the address that are not empty
Question = tuple[str, tuple[tuple[str, str], ...], Query, date | None]  # our own address, Given, and what it asks for


def init_app(app: Flask) -> None:
    """Add `GET /` and `GET /static/…`."""
    dashboard = Dashboard(app, pipeline_of(app).history, pages_of(app))
    app.get("/")(dashboard.page)
    app.get("/static/<path:filename>")(static_file)


def static_file(filename: str) -> Response:
    """Answer a file; with the version that the page puts in its address, a browser need not ask again.

    answers: text/css, text/javascript, image/svg+xml
    """
    response = send_from_directory(STATIC, filename)
    response.headers["X-Content-Type-Options"] = "nosniff"
    if "v" in request.args:
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


def title(value: str) -> str:
    """Check the title of the page."""
    if not value.strip() or len(value) > LONGEST_PAGE or not value.isprintable():
        raise ValueError(f"is not a text of 1 to {LONGEST_PAGE} characters, such as Example Inc. status")
    return value.strip()


SETTINGS: Settings = {"TITLE": title}


class Dashboard:
    """The page of one history and its registry of pages."""

    def __init__(self, app: Flask, history: History, pages: Pages) -> None:
        self._history, self._pages, self._token = history, pages, app.config.get("READ_TOKEN")
        self._shared = SharedAnswer()
        self._made: dict[Question, bytes] = {}
        self._made_for = 0, 0.0  # the newest arrival and the period of SECONDS_KEPT
        version = blake2b(b"".join(file.read_bytes() for file in sorted(STATIC.iterdir())), digest_size=4)
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        self._templates.filters.update(FILTERS)
        self._templates.globals.update(
            version=version.hexdigest(),
            program=app.config["VERSION"],
            title=app.config.get("TITLE", "event_monitor"),
            needs_token="WEBHOOK_TOKEN" in app.config,
            impacts=IMPACTS,
            words_of_states=WORDS,
            statuses=query.STATUSES,
            days=DAYS,
        )

    def page(self) -> Response:
        """Answer the page, or 401 with a form for the token, or 503 with the reason why nothing can be read now.

        query: page, component, impact, status, id, day, since, limit, cursor
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
        try:
            day = _day(arguments.pop("day", None))
            wanted = query.read(arguments)
        except BadQuery as reason:
            if not request.accept_mimetypes.accept_html:
                raise
            return Response(self._render("refused.html", given, reason=str(reason)), 400, HEADERS)
        try:
            question = own_address(), tuple(given.items()), wanted, day
            return Response(self._shared.get(question, lambda: self._kept(question)), 200, HEADERS)
        except Unavailable as reason:
            body = self._render("unavailable.html", given, reason=str(reason))
            return Response(body, 503, HEADERS | {"Retry-After": "5"})

    def _kept(self, question: Question) -> bytes:
        """Return a page that was made since the newest update and in the current 5 seconds, or a new one."""
        newest = self._history.arrivals(None, 1)
        now = newest[0].number if newest else 0, monotonic() // SECONDS_KEPT
        if self._made_for != now or sum(map(len, self._made.values())) > MOST_KEPT:
            self._made_for = now
            self._made.clear()
        if question not in self._made:
            self._made[question] = self._make(question)
        return self._made[question]

    def _make(self, question: Question) -> bytes:
        """Make a page; one that is too large is made again with a quarter of each list."""
        address, items, wanted, day = question
        given = dict(items)
        for share in (1, 4):
            template, found = shown(self._history, self._pages, given, wanted, day, share)
            webhook = address + "webhook/statuspage"
            body = self._render(template, given, tell=Teller(share), webhook=webhook, **found)
            if len(body) <= LARGEST_ANSWER:
                break
        return body

    def _render(self, template: str, given: Given, **context: object) -> bytes:
        """Return a page's HTML; a large one takes tens of milliseconds, so other requests get their turn in between."""
        # Every link repeats the token, but not one that no setting asks for.
        token = given.get("token", "") if self._token else ""

        def address(**changes: str) -> str:
            """Return the address of the dashboard with only these parameters and the token."""
            return "?" + urlencode(({"token": token} if token else {}) | changes)

        def narrowed(**changes: str) -> str:
            """Return the address of this page with these parameters changed."""
            return address(**{name: value for name, value in given.items() if name != "token"} | changes)

        context |= {"address": address, "narrowed": narrowed, "token": token, "given": given}
        context["served"] = {rule.rule for rule in current_app.url_map.iter_rules()}
        return "".join(in_turns(self._templates.get_template(template).generate(context))).encode()


def _day(values: list[str] | None) -> date | None:
    """Return the day that is asked for."""
    if values is None:
        return None
    with suppress(TypeError, ValueError):
        day = date.fromisoformat(*values)
        if FIRST_YEAR <= day.year <= LAST_YEAR:
            return day
    raise BadQuery("day is not one date such as 2025-11-03")
