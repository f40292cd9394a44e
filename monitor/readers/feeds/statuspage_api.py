"""`GET /api/v2/summary.json` and `/api/v2/incidents.json`: all pages as one, in the shape of Statuspage's own API.

What reads a status page reads this one. Its components are the pages that are known, each with the status that its
worst open incident says; an incident's name begins with its page's, and its one component is that page. A field
that Statuspage always fills is filled. Shape: https://www.githubstatus.com/api (the same on every page of theirs)
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import gevent
from flask import Flask, Response, request

from monitor.history.contract import History, Page, Span
from monitor.history.query import IMPACTS, Query
from monitor.readers.feeds.answer import LARGEST, answer, asked, every, identity, link
from monitor.senders.statuspage import INCIDENT_STATUSES, MAINTENANCE_STATUSES
from monitor.server.requests import require
from monitor.updates.incident import document, is_open
from monitor.updates.maintenance import is_maintenance, window
from monitor.updates.text import one_line
from monitor.updates.update import LONGEST_PAGE, LONGEST_PRODUCT, NOTHING, Update

ID = "event_monitor"
MOST_INCIDENTS = 50  # as Statuspage gives
MOST_SEARCHED = 2_000
START = datetime(1970, 1, 1, tzinfo=UTC)

# From the least to the worst: an impact, and what a component and the whole page are then said to be.
STATES = {
    "none": ("operational", "All Systems Operational"),
    "maintenance": ("under_maintenance", "Service Under Maintenance"),
    "minor": ("degraded_performance", "Partially Degraded Service"),
    "major": ("partial_outage", "Partial System Outage"),
    "critical": ("major_outage", "Major Service Outage"),
}
WORST = list(STATES)


def init_app(app: Flask) -> None:
    """Add both addresses."""
    history: History = app.extensions["monitor"].history

    def answered(write: Any) -> Response:
        require(app.config.get("READ_TOKEN"))
        asked()
        # A proxy that ends TLS says so: https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/X-Forwarded-Proto
        scheme = "https" if request.headers.get("X-Forwarded-Proto") == "https" else request.scheme
        address = f"{scheme}://{request.host or 'localhost'}/"
        return answer(history, "application/json", lambda: write(history, address), address)

    @app.get("/api/v2/summary.json")
    def summary() -> Response:
        return answered(_summary)

    @app.get("/api/v2/incidents.json")
    def newest_incidents() -> Response:
        return answered(_incidents)


def _summary(history: History, address: str) -> str:
    """Write what is open, and what is to come; each list ends early once it holds a third of LARGEST."""
    pages = history.pages()
    impacts = _impacts(history.spans(datetime.now(UTC)))
    components = _components(pages, impacts)
    unresolved = [one for one in every(history, Query(status="open"), MOST_SEARCHED) if is_open(one)]
    incidents = (_incident(one, components, address) for one in unresolved if not is_maintenance(one))
    maintenances = sorted((one for one in unresolved if is_maintenance(one)), key=window)
    worst = max(impacts.values(), key=WORST.index, default="none")
    parts = {
        "page": json.dumps(_page(pages, address)),
        "components": _listed(components.values(), LARGEST // 3),
        "incidents": _listed(incidents, LARGEST // 3),
        "scheduled_maintenances": _listed((_scheduled(m, components, address) for m in maintenances), LARGEST // 3),
        "status": json.dumps({"indicator": worst, "description": STATES[worst][1]}),
    }
    return _object(parts)


def _incidents(history: History, address: str) -> str:
    """Write the newest incidents, open or not, newest first."""
    pages = history.pages()
    components = _components(pages, _impacts(history.spans(datetime.now(UTC))))
    those = (one for one in every(history, Query(), MOST_SEARCHED) if not one.is_component_update)
    newest = islice((one for one in those if not is_maintenance(one)), MOST_INCIDENTS)
    written = _listed((_incident(one, components, address) for one in newest), LARGEST)
    return _object({"page": json.dumps(_page(pages, address)), "incidents": written})


def _object(parts: dict[str, str]) -> str:
    return "{" + ", ".join(f"{json.dumps(name)}: {text}" for name, text in parts.items()) + "}\n"


def _listed(rows: Iterable[dict[str, Any]], most: int) -> str:
    written: list[str] = []
    size = 0
    for row in rows:
        written.append(json.dumps(row))
        size += len(written[-1])
        if size >= most:
            break
        if len(written) % 20 == 0:
            gevent.sleep(0)
    return f"[{', '.join(written)}]"


def _impacts(spans: Iterable[Span]) -> dict[str, str]:
    """Return the worst open impact of each page that has one; a maintenance counts while it runs."""
    worst: dict[str, str] = {}
    for span in spans:
        if span.ended_at is None and span.status != "scheduled":
            impact = "maintenance" if span.status in MAINTENANCE_STATUSES else _impact(span.impact)
            worst[span.page_id] = max(worst.get(span.page_id, "none"), impact, key=WORST.index)
    return worst


def _impact(impact: str | None) -> str:
    """Return a word of Statuspage's; an incident whose impact nobody told is not taken for none."""
    return impact if impact in IMPACTS else "minor"


def _page(pages: Iterable[Page], address: str) -> dict[str, Any]:
    updated_at = max((page.updated_at for page in pages), default=START)
    return {"id": ID, "name": ID, "url": address, "time_zone": "Etc/UTC", "updated_at": _iso(updated_at)}


def _components(pages: Iterable[Page], impacts: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {
        page.id: {
            "id": str(identity(page.id)),
            "name": _name(page.name, LONGEST_PAGE),
            "status": STATES[impacts.get(page.id, "none")][0],
            "created_at": _iso(page.updated_at),
            "updated_at": _iso(page.updated_at),
            "position": position,
            "description": None,
            "showcase": True,
            "start_date": None,
            "group_id": None,
            "page_id": ID,
            "group": False,
            "only_show_if_degraded": False,
        }
        for position, page in enumerate(pages, 1)
    }


def _incident(state: Update, components: dict[str, dict[str, Any]], address: str) -> dict[str, Any]:
    served, incident_id = document(state), str(identity(state.page_id, state.id))
    statuses = MAINTENANCE_STATUSES if is_maintenance(state) else INCIDENT_STATUSES

    def known(status: str | None, otherwise: str) -> str:
        return status if status is not None and status in statuses else otherwise

    status = known(state.status, statuses[0])
    monitoring = (
        one["display_at"] or one["created_at"] for one in served["incident_updates"] if one["status"] == "monitoring"
    )
    return {
        "id": incident_id,
        "name": f"{_name(state.page, LONGEST_PAGE)} - {_name(state.name, LONGEST_PRODUCT)}",
        "status": status,
        "created_at": served["created_at"],
        "updated_at": served["updated_at"],
        "monitoring_at": next(monitoring, None),
        "resolved_at": served["resolved_at"] or (None if is_open(state) else served["updated_at"]),
        "impact": "maintenance" if state.impact is None and is_maintenance(state) else _impact(state.impact),
        "shortlink": link(state) or address,
        "started_at": served["created_at"],
        "page_id": ID,
        "incident_updates": [
            _entry(entry, incident_id, known(entry["status"], status), served["updated_at"])
            for entry in served["incident_updates"]
        ],
        "components": [components[state.page_id]] if state.page_id in components else [],
    }


def _entry(entry: dict[str, Any], incident_id: str, status: str, updated_at: str) -> dict[str, Any]:
    said_at = entry["display_at"] or entry["created_at"] or entry["updated_at"] or updated_at
    return {
        "id": str(identity(incident_id, entry["id"] or "", "" if entry["id"] else f"{said_at} {entry['body']}")),
        "status": status,
        "body": entry["body"] or "",
        "incident_id": incident_id,
        "created_at": entry["created_at"] or said_at,
        "updated_at": entry["updated_at"] or said_at,
        "display_at": said_at,
        "affected_components": None,
        "deliver_notifications": True,
        "custom_tweet": None,
        "tweet_id": None,
    }


def _scheduled(state: Update, components: dict[str, dict[str, Any]], address: str) -> dict[str, Any]:
    begins_at, ends_at = window(state)
    return _incident(state, components, address) | {"scheduled_for": _iso(begins_at), "scheduled_until": _iso(ends_at)}


def _name(name: str, longest: int) -> str:
    return one_line(name, longest) or NOTHING


def _iso(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds")[:-6] + "Z"
