"""`GET /pages`: every page that is known, how it is, and whether its subscription still lives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, jsonify

from monitor.history.contract import Page, Span
from monitor.readers.dashboard.story import WORST_FIRST, severity
from monitor.senders.statuspage import MAINTENANCE_STATUSES
from monitor.server.requests import require
from monitor.updates.incident import iso

if TYPE_CHECKING:
    from monitor.senders.polling.poller import Watched

Row = dict[str, Any]


def init_app(app: Flask) -> None:
    """Add `GET /pages`."""
    monitor = app.extensions["monitor"]
    history = monitor.history

    @app.get("/pages")
    def pages() -> Response:
        require(app.config.get("READ_TOKEN"))
        watched = app.extensions["reconcile"].watched if "reconcile" in app.extensions else ()
        known = [replace(page, name=monitor.names.of(page.id) or page.name) for page in history.pages()]
        return jsonify(pages=listed(known, history.spans(datetime.now(UTC)), watched))


def listed(known: Iterable[Page], spans: Iterable[Span], watched: Sequence[Watched]) -> list[Row]:
    """Return what is known of each page, by name; of one that is asked and has said nothing yet, too."""
    states: dict[str, str] = {}
    for span in spans:
        if span.ended_at is None and span.status != "scheduled":
            impact = "maintenance" if span.status in MAINTENANCE_STATUSES else severity(span.impact)
            states[span.page_id] = min(impact, states.get(span.page_id, impact), key=WORST_FIRST.__getitem__)
    asked = {page.id: page for page in watched if page.id is not None}
    rows = [_known(page, states.get(page.id, "operational")) | _asked(asked.get(page.id)) for page in known]
    listed = {row["id"] for row in rows}
    rows += [_silent(page) | _asked(page) for page in watched if page.id not in listed]
    for row in rows:
        if row["problem"] and row["state"] == "operational":
            row["state"] = "unknown"
    return sorted(rows, key=lambda row: str(row["name"]))


def _known(page: Page, state: str) -> Row:
    return {
        "id": page.id,
        "name": page.name,
        "state": state,
        "updates": page.updates,
        "updated_at": iso(page.updated_at),
        "received_at": iso(page.received_at),
        "pushed_at": iso(page.pushed_at),
        "missed": page.missed,
        "looks_dead": page.pushed_at is not None and page.missed > 0,
        "unsubscribe": page.unsubscribe,
    }


def _silent(page: Watched) -> Row:
    """Of a page that has no incidents, or has not answered."""
    return {
        "id": page.id or page.known.id,
        "name": page.known.name or page.known.host,
        "state": "operational",
        "updates": 0,
        "updated_at": None,
        "received_at": None,
        "pushed_at": None,
        "missed": 0,
        "looks_dead": False,
        "unsubscribe": None,
    }


def _asked(page: Watched | None) -> Row:
    if page is None:
        return {"url": None, "asked_at": None, "problem": None}
    return {"url": page.known.url, "asked_at": iso(page.asked_at), "problem": page.problem}
