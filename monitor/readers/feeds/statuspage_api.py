"""`GET /api/v2/summary.json` and the rest of Statuspage's API: all pages as one status page.

Clients of a Statuspage can read it unchanged (https://www.githubstatus.com/api). Each page is a component; the worst
open incident or component of a page sets its status. An incident's name begins with its page's name, and its one
component is its page. Fields that Statuspage always fills are always filled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from monitor.history.contract import History, Page
from monitor.history.query import Query
from monitor.readers.feeds import answer
from monitor.readers.pages import state_of, states_of
from monitor.readers.shared_answer import fitting
from monitor.senders.pages import Pages
from monitor.server.requests import own_address
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
MOST_LISTED = 50  # as Statuspage lists
MOST_SEARCHED = 2_000
MOST_ENTRIES, LONGEST_BODY = 25, 2_000  # incident updates of an incident; bytes of one
ID = "event_monitor"
OPEN, MAINTENANCES = Query(status="open"), Query(impact="maintenance")

# The worst first: Statuspage's impacts, and its description of a page whose worst impact this is.
DESCRIPTIONS = {
    "critical": "Major Service Outage",
    "major": "Partial System Outage",
    "minor": "Partially Degraded Service",
    "maintenance": "Service Under Maintenance",
    "none": "All Systems Operational",
}
# Statuspage has no word for these. An unstated impact, or a page that cannot be polled, does not count as none.
INDICATORS = {"unstated": "minor", "unknown": "minor", "operational": "none"}
Row = dict[str, Any]

# The parts of each answer beside the page.
ANSWERS: dict[str, Callable[[_AllPages], Row]] = {
    "summary": lambda found: {
        "components": _fitting(found.components.values(), 2),
        "incidents": _fitting(found.rows(OPEN), 4),
        "scheduled_maintenances": _fitting(found.planned(), 5),
        "status": found.status,
    },
    "status": lambda found: {"status": found.status},
    "components": lambda found: {"components": _fitting(found.components.values())},
    "incidents": lambda found: {"incidents": _fitting(islice(found.rows(Query()), MOST_LISTED))},
    "unresolved": lambda found: {"incidents": _fitting(found.rows(OPEN))},
    "maintenances": lambda found: {"scheduled_maintenances": _fitting(islice(found.rows(MAINTENANCES), MOST_LISTED))},
    "upcoming": lambda found: {"scheduled_maintenances": _fitting(found.planned({"scheduled"}))},
    "active": lambda found: {"scheduled_maintenances": _fitting(found.planned({"in_progress", "verifying"}))},
}


def write(name: str, history: History, pages: Pages) -> bytes:
    """Write one of ANSWERS."""
    answer.query_of_request(pages)
    found = _AllPages(history, pages)
    return f"{json.dumps({'page': found.page} | ANSWERS[name](found))}\n".encode()


class _AllPages:
    """All pages as one `page`: its `components`, each a page under that page's id, and its `status`."""

    def __init__(self, history: History, pages: Pages) -> None:
        known = pages.known()
        states = states_of(history.periods(datetime.now(UTC)))
        impacts = [*states.values(), *(state_of(page, states) for page in known)]
        worst = min(map(_indicator, impacts), key=list(DESCRIPTIONS).index, default="none")
        updated_at = iso(max((page.updated_at for page in known), default=LONG_AGO))
        self._pages = pages
        self.page = {"id": ID, "name": ID, "url": own_address(), "time_zone": "Etc/UTC", "updated_at": updated_at}
        self.status: Row = {"indicator": worst, "description": DESCRIPTIONS[worst]}
        self.components: dict[str, Row] = {
            page.id: _component(n, page, state_of(page, states)) for n, page in enumerate(known, 1)
        }

    def rows(self, query: Query) -> Iterator[Row]:
        """Yield maintenances if the query asks for these, else incidents, newest first.

        A component's change is left out: the status of its page's component tells it.
        """
        for incident in self._pages.newest(query, MOST_SEARCHED):
            is_wanted = is_maintenance(incident) == (query.impact == "maintenance")
            if is_wanted and not incident.is_component_update:
                yield _row(incident, self.components.get(incident.page_id))

    def planned(self, statuses: Container[str] = MAINTENANCE_STATUSES) -> list[Row]:
        """Return the maintenances that are not over and have one of these statuses, the soonest first."""
        rows = islice(self.rows(replace(MAINTENANCES, status="open")), MOST_LISTED)
        return sorted((row for row in rows if row["status"] in statuses), key=lambda row: str(row["scheduled_for"]))


def _fitting(rows: Iterable[Row], share: int = 1) -> list[Row]:
    """Return the first rows that fit into 1/`share` of an answer's bytes."""
    return list(fitting(rows, lambda row: len(json.dumps(row)) + len(", "), answer.LARGEST_LIST // share))


def _indicator(impact: str) -> str:
    """Return one of Statuspage's impacts for an impact or for a page's state."""
    return INDICATORS.get(impact, impact)


def _component(position: int, page: Page, state: str) -> Row:
    """Return a page as a component."""
    return {
        "id": str(answer.stable_id(page.id)),
        "name": one_line(page.name, LONGEST_PAGE) or NOTHING,
        "status": STATUS_OF_IMPACT[_indicator(state)],
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


def _row(incident: Incident, component: Row | None) -> Row:
    """Return an incident or a maintenance, whose page is this component."""
    incident_id = str(answer.stable_id(incident.page_id, incident.id))
    is_planned = is_maintenance(incident)
    statuses = MAINTENANCE_STATUSES if is_planned else INCIDENT_STATUSES
    under_way = "in_progress" if is_planned else "investigating"
    other = "completed" if is_planned and not incident.is_open else under_way
    status = incident.status if incident.status in statuses else other
    entries = incident.incident_updates[:MOST_ENTRIES]
    begins_at, ends_at = answer.window_of(incident)
    planned = {"scheduled_for": iso(begins_at), "scheduled_until": iso(ends_at)} if is_planned else {}
    return planned | {
        "id": incident_id,
        "name": answer.name_of(incident),
        "status": status,
        "created_at": iso(incident.created_at),
        "updated_at": iso(incident.updated_at),
        "monitoring_at": next((iso(entry.time) for entry in entries if entry.status == "monitoring"), None),
        "resolved_at": iso(incident.ended_at),
        "impact": _indicator(impact_of(incident)),
        "shortlink": answer.link_of(incident) or own_address(),
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
