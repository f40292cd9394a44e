"""`GET /pages`: every known page with its state, how it is heard, and whether its subscription still works."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, json

from monitor.history.contract import History, IncidentPeriod, Page
from monitor.readers.shared_answer import LARGEST_ANSWER, SharedAnswer, fitting
from monitor.senders.pages import Pages
from monitor.server.requests import HEADERS, require
from monitor.updates.impacts import RANK
from monitor.updates.times import LONG_AGO, iso

OPERATIONAL, UNKNOWN = "operational", "unknown"


def init_app(app: Flask, history: History, pages: Pages) -> None:
    """Add `GET /pages`."""
    shared = SharedAnswer()

    @app.get("/pages")
    def listed() -> Response:
        """List the known pages with their states."""
        require(app.config.get("READ_TOKEN"))
        body = shared.get("/pages", lambda: _listed(history, pages))
        return Response(body, headers=HEADERS, mimetype="application/json")


def _listed(history: History, pages: Pages) -> bytes:
    states = states_of(history.periods(datetime.now(UTC)))
    known = pages.known()
    made = (json.dumps(_row(page, state_of(page, states)) | pages.polling_of(page.url)) for page in known)
    rows = list(fitting(made, lambda row: len(row) + len(", "), LARGEST_ANSWER - 100))
    return f'{{"pages": [{", ".join(rows)}], "pages_left_out": {len(known) - len(rows)}}}\n'.encode()


def states_of(periods: Iterable[IncidentPeriod]) -> dict[str, str]:
    """Return the worst open impact of each page that has one; a maintenance counts once it is under way."""
    states: dict[str, str] = {}
    for period in periods:
        if period.ended_at is None and not period.is_upcoming:
            known = states.get(period.page_id, period.impact)
            states[period.page_id] = min(period.impact, known, key=RANK.__getitem__)
    return states


def state_of(page: Page, states: dict[str, str]) -> str:
    """Return a page's state: its worst open impact, else `unknown` if polling cannot reach it, else `operational`."""
    return states.get(page.id) or (UNKNOWN if page.problem else OPERATIONAL)


def _row(page: Page, state: str) -> dict[str, Any]:
    return {
        "id": page.id,
        "name": page.name,
        "state": state,
        "updates": page.updates,
        "updated_at": _iso(page.updated_at),
        "received_at": _iso(page.received_at),
        "lag_seconds": page.lag_seconds,
        "pushed_at": iso(page.pushed_at),
        "missed": page.missed,
        "looks_dead": page.pushed_at is not None and page.missed > 0,
        "unsubscribe": page.unsubscribe,
        "url": page.url,
        "polled_at": iso(page.polled_at),
        "problem": page.problem,
    }


def _iso(at: datetime) -> str | None:
    return None if at == LONG_AGO else iso(at)
