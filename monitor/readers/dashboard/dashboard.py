"""The web page: `GET /`, for a person, with the files under `/static`.

It is whole without JavaScript; the script (static/dashboard.js) asks for the same address again when `GET /stream` says
that an update came. A page is made once for all who ask for it until the next update, and one at a time.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any
from urllib.parse import urlencode

import gevent
from flask import Blueprint, Flask, Response, request, send_from_directory
from jinja2 import StrictUndefined
from werkzeug.exceptions import Unauthorized

from monitor.history import query
from monitor.history.contract import History, Unavailable
from monitor.history.query import Query
from monitor.readers.dashboard.overview import listing, overview
from monitor.readers.dashboard.reported import Reported
from monitor.readers.dashboard.story import IMPACTS, words
from monitor.server.requests import require
from monitor.updates.text import one_line
from monitor.updates.update import LONGEST_PAGE

SECONDS_TO_KEEP, MOST_KEPT = 5, 10_000_000  # of made pages, in bytes; the durations in them grow old
PARTS_BETWEEN_TURNS = 500
LONGEST_VALUE = 200
FILTERS = ("page", "component", "impact", "status")
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the token may be in the address
    "Cache-Control": "no-store",
    "Vary": "Accept-Encoding, Accept",
}
STATIC = Path(__file__).parent / "static"


def init_app(app: Flask) -> None:
    app.jinja_options = app.jinja_options | {"trim_blocks": True, "lstrip_blocks": True, "undefined": StrictUndefined}
    blueprint = Blueprint("dashboard", __name__, template_folder="templates")
    blueprint.add_app_template_filter(_in_utc, "in_utc")
    blueprint.add_app_template_filter(_iso, "iso")
    dashboard = Dashboard(app, app.extensions["monitor"].history)
    blueprint.get("/")(dashboard.page)
    blueprint.get("/static/<path:filename>")(_static)
    app.register_blueprint(blueprint)


@dataclass(frozen=True, slots=True)
class Made:
    """A page as it was made at `at` (monotonic), after arrival `number`."""

    number: int
    at: float
    body: bytes
    compressed: bytes


class Dashboard:
    """The page of one app and its history."""

    def __init__(self, app: Flask, history: History) -> None:
        self._app, self._history, self._reported = app, history, Reported(history)
        self._token = app.config.get("READ_TOKEN")
        self._version = blake2b(b"".join(file.read_bytes() for file in sorted(STATIC.iterdir())), digest_size=4)
        self._one_at_a_time = Lock()
        self._made: dict[tuple[str, ...], Made] = {}

    def page(self) -> Response:
        given = {name: values for name, values in request.args.to_dict(flat=False).items() if values != [""]}
        try:
            require(self._token)
        except Unauthorized:
            if not request.accept_mimetypes.accept_html:
                raise
            return self._answer(self._render("token.html", given, filters=given), 401)
        asked = query.read(given)
        try:
            with self._one_at_a_time:
                made = self._kept(given, asked)
        except Unavailable as reason:
            response = self._answer(self._render("unavailable.html", given, reason=str(reason)), 503)
            response.headers["Retry-After"] = "5"
            return response
        if not request.accept_encodings.quality("gzip"):
            return self._answer(made.body)
        response = self._answer(made.compressed)
        response.headers["Content-Encoding"] = "gzip"
        return response

    def _answer(self, body: bytes, status: int = 200) -> Response:
        return Response(body, status, headers=HEADERS)

    def _kept(self, given: dict[str, list[str]], asked: Query) -> Made:
        newest = self._history.arrivals(None, 1)
        number = newest[0].number if newest else 0
        key = tuple(f"{name}={values[0]}" for name, values in sorted(given.items()))
        made = self._made.get(key)
        if made and made.number == number and monotonic() - made.at < SECONDS_TO_KEEP:
            return made
        body = self._make(given, asked)
        self._made.pop(key, None)
        made = self._made[key] = Made(number, monotonic(), body, gzip.compress(body, 1))
        while len(self._made) > 1 and sum(len(kept.body) for kept in self._made.values()) > MOST_KEPT:
            del self._made[next(iter(self._made))]
        return made

    def _make(self, given: dict[str, list[str]], asked: Query) -> bytes:
        now = datetime.now(UTC)
        found: dict[str, Any] = {"overview": None, "listing": None}
        if given.keys() & {"id", "status", "since", "limit", "cursor"}:
            found["listing"] = listing(self._history, asked, now)
        else:
            found["overview"] = overview(self._history, asked, self._reported, self._silent(), now)
        return self._render(
            "overview.html" if found["overview"] else "listing.html", given, now=now, asked=asked, **found,
            pages=_choices(self._history),
        )  # fmt: skip

    def _silent(self) -> set[str]:
        """Return the ids of the pages that are asked and do not answer."""
        rounds = self._app.extensions.get("reconcile")
        return {page.id for page in rounds.watched if page.problem and page.id} if rounds else set()

    def _render(self, template: str, given: dict[str, list[str]], **context: Any) -> bytes:
        """Return a page's HTML; a large one takes tens of milliseconds, so others get their turn in between."""
        token = given.get("token", [""])[0]
        values = {name: given.get(name, [""])[0] for name in FILTERS}

        def address(**changes: str | None) -> str:
            """Return the address of this page with these parameters and no other but the token."""
            parameters = {"token": token or None} | changes
            return "?" + urlencode({name: value for name, value in parameters.items() if value})

        def narrowed(**changes: str | None) -> str:
            """Return the address of this page with these parameters in place of those it has."""
            return address(**{name: value[0] for name, value in given.items() if name != "token"} | changes)

        context |= {"address": address, "narrowed": narrowed, "token": token, "values": values}
        context |= {"version": self._version.hexdigest(), "impacts": IMPACTS, "query": query, "words": words}
        parts = []
        for part in self._app.jinja_env.get_template(template).generate(context):
            parts.append(part)
            if len(parts) % PARTS_BETWEEN_TURNS == 0:
                gevent.sleep(0)
        return "".join(parts).encode()


def _choices(history: History) -> list[tuple[str, str]]:
    """Return for each page what it is asked for by, and its name to be read.

    That is its name, or its id where a form could not send the name as it is.
    """
    return [(_fit(page.name) or _fit(page.id), one_line(page.name, LONGEST_PAGE)) for page in history.pages()]


def _fit(name: str) -> str:
    return name if len(name) <= LONGEST_VALUE and name.isprintable() else ""


def _static(filename: str) -> Response:
    response = send_from_directory(STATIC, filename)
    response.headers["X-Content-Type-Options"] = "nosniff"
    # The page names each file with its version; one that is asked for without is looked at again, by its ETag.
    if "v" in request.args:
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


def _in_utc(instant: datetime) -> str:
    return f"{instant.day} {instant:%b %Y, %H:%M}"


def _iso(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"
