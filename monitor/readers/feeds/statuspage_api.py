"""`GET /api/v2/summary.json` and `/api/v2/incidents.json`: all pages as one, in the shape of Statuspage's own API.

What reads a status page reads this one. Its components are the pages that are known, each with the status that the
worst of its open incidents and components says; an incident's name begins with its page's, and its one component is
that page. A field that Statuspage always fills is filled. Shape: https://www.githubstatus.com/api (the same on every
page of theirs)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from monitor.history.contract import History, Page
from monitor.history.query import Query
from monitor.readers.feeds import answer
from monitor.readers.pages import state_of, states_of
from monitor.senders.pages import Pages
from monitor.updates.impacts import (
    INCIDENT_STATUSES,
    MAINTENANCE_STATUSES,
    STATUS_OF_IMPACT,
    impact_of,
    is_maintenance,
)
from monitor.updates.incident import Incident
from monitor.updates.text import cut_bytes, one_line
from monitor.updates.times import LONG_AGO, iso
from monitor.updates.update import LONGEST_PAGE, LONGEST_PRODUCT, NOTHING, IncidentUpdate

CONTENT_TYPE = "application/json"
ID = "event_monitor"
MOST_INCIDENTS = 50  # as Statuspage gives
MOST_SEARCHED = 2_000
MOST_ENTRIES, LONGEST_BODY = 25, 2_000  # of an incident; bytes of one

# The worst first: an impact as Statuspage's API has it, and what the whole page is then said to be.
DESCRIPTIONS = {
    "critical": "Major Service Outage",
    "major": "Partial System Outage",
    "minor": "Partially Degraded Service",
    "maintenance": "Service Under Maintenance",
    "none": "All Systems Operational",
}
# What it has no word for: an impact that nobody told, and a page that cannot be polled, are not taken for none.
INDICATORS = {"unstated": "minor", "unknown": "minor", "operational": "none"}
Row = dict[str, Any]


def summary(history: History, pages: Pages) -> bytes:
    """Write what is open, and what is to come."""
    answer.query_of_request(pages)
    known, states = pages.known(), states_of(history.periods(datetime.now(UTC)))
    components = _components(known, states)
    indicators = [_indicator(state) for state in (*states.values(), *(state_of(page, states) for page in known))]
    worst = min(indicators, key=list(DESCRIPTIONS).index, default="none")
    those_open = (
        one for one in answer.all_incidents(history, Query(status="open"), MOST_SEARCHED) if not is_maintenance(one)
    )
    planned = answer.all_incidents(history, Query(status="open", impact="maintenance"), MOST_INCIDENTS)
    maintenances = sorted(_rows(planned, pages, components), key=lambda row: str(row["scheduled_for"]))
    return _json(
        page=_page(known),
        components=list(answer.fitting(components.values(), _size_of, answer.LARGEST_LIST // 2)),
        incidents=list(answer.fitting(_rows(those_open, pages, components), _size_of, answer.LARGEST_LIST // 4)),
        scheduled_maintenances=list(answer.fitting(maintenances, _size_of, answer.LARGEST_LIST // 5)),
        status={"indicator": worst, "description": DESCRIPTIONS[worst]},
    )


def incidents(history: History, pages: Pages) -> bytes:
    """Write the newest incidents, open or not, newest first."""
    answer.query_of_request(pages)
    known = pages.known()
    components = _components(known, states_of(history.periods(datetime.now(UTC))))
    those = (one for one in answer.all_incidents(history, Query(), MOST_SEARCHED) if not is_maintenance(one))
    rows = islice(_rows(those, pages, components), MOST_INCIDENTS)
    return _json(page=_page(known), incidents=list(answer.fitting(rows, _size_of)))


def _json(**parts: object) -> bytes:
    return f"{json.dumps(parts)}\n".encode()


def _size_of(row: Row) -> int:
    return len(json.dumps(row)) + len(", ")


def _indicator(impact: str) -> str:
    return INDICATORS.get(impact, impact)


def _page(known: Iterable[Page]) -> Row:
    updated_at = max((page.updated_at for page in known), default=LONG_AGO)
    return {"id": ID, "name": ID, "url": answer.own_address(), "time_zone": "Etc/UTC", "updated_at": iso(updated_at)}


def _components(known: Iterable[Page], states: dict[str, str]) -> dict[str, Row]:
    return {
        page.id: {
            "id": str(answer.stable_id(page.id)),
            "name": _shown(page.name, LONGEST_PAGE),
            "status": STATUS_OF_IMPACT[_indicator(state_of(page, states))],
            "created_at": iso(page.updated_at),
            "updated_at": iso(page.updated_at),
            "position": position,
            "description": one_line(page.problem or "", LONGEST_PRODUCT) or None,
            "showcase": True,
            "start_date": None,
            "group_id": None,
            "page_id": ID,
            "group": False,
            "only_show_if_degraded": False,
        }
        for position, page in enumerate(known, 1)
    }


def _rows(those: Iterable[Incident], pages: Pages, components: dict[str, Row]) -> Iterator[Row]:
    """Yield incidents; a component's change is told by the status of its page."""
    return (_row(pages.shown(one), components.get(one.page_id)) for one in those if not one.is_component_update)


def _row(incident: Incident, component: Row | None) -> Row:
    incident_id = str(answer.stable_id(incident.page_id, incident.id))
    statuses = MAINTENANCE_STATUSES if is_maintenance(incident) else INCIDENT_STATUSES
    status = incident.status if incident.status in statuses else statuses[0]
    entries = incident.incident_updates[:MOST_ENTRIES]
    begins_at, ends_at = answer.window_of(incident)
    planned = {"scheduled_for": iso(begins_at), "scheduled_until": iso(ends_at)} if is_maintenance(incident) else {}
    return planned | {
        "id": incident_id,
        "name": f"{_shown(incident.page, LONGEST_PAGE)} - {_shown(incident.name, LONGEST_PRODUCT)}",
        "status": status,
        "created_at": iso(incident.created_at),
        "updated_at": iso(incident.updated_at),
        "monitoring_at": next((iso(entry.time) for entry in entries if entry.status == "monitoring"), None),
        "resolved_at": iso(incident.ended_at),
        "impact": _indicator(impact_of(incident)),
        "shortlink": answer.link_of(incident) or answer.own_address(),
        "started_at": iso(incident.created_at),
        "page_id": ID,
        "incident_updates": [
            _entry(entry, incident_id, entry.status if entry.status in statuses else status, incident.updated_at)
            for entry in entries
        ],
        "components": [component] if component else [],
    }


def _entry(entry: IncidentUpdate, incident_id: str, status: str | None, updated_at: datetime) -> Row:
    said_at, body = iso(entry.time or updated_at), entry.body or ""
    return {
        "id": str(answer.stable_id(incident_id, entry.id or "", "" if entry.id else f"{said_at} {body}")),
        "status": status,
        "body": cut_bytes(body, LONGEST_BODY),
        "incident_id": incident_id,
        "created_at": iso(entry.created_at) or said_at,
        "updated_at": iso(entry.updated_at) or said_at,
        "display_at": said_at,
        "affected_components": None,
        "deliver_notifications": True,
        "custom_tweet": None,
        "tweet_id": None,
    }


def _shown(name: str, longest: int) -> str:
    return one_line(name, longest) or NOTHING
