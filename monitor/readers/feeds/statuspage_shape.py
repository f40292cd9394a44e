"""Statuspage's shape (https://www.githubstatus.com/api): the page, its components, an incident or a maintenance.

The page stands for all pages, and each of these is a component of it; the worst open incident or component of a page
sets that component's status. An incident's name begins with its page's name, and its one component is its page.
Fields that Statuspage always fills are always filled.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from monitor.history.contract import Page
from monitor.readers.feeds import answer
from monitor.readers.pages import state_of
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

ID = "event_monitor"
MOST_ENTRIES, LONGEST_BODY = 25, 2_000  # incident updates of an incident; bytes of one

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


def indicator_of(impact: str) -> str:
    """Return one of Statuspage's impacts for an impact or for a page's state."""
    return INDICATORS.get(impact, impact)


def page_of(known: Iterable[Page]) -> Row:
    """Return the page that stands for all pages."""
    updated_at = max((page.updated_at for page in known), default=LONG_AGO)
    return {"id": ID, "name": ID, "url": own_address(), "time_zone": "Etc/UTC", "updated_at": iso(updated_at)}


def components_of(known: Iterable[Page], states: dict[str, str]) -> dict[str, Row]:
    """Return the pages as components, by page id."""
    return {
        page.id: {
            "id": str(answer.stable_id(page.id)),
            "name": one_line(page.name, LONGEST_PAGE) or NOTHING,
            "status": STATUS_OF_IMPACT[indicator_of(state_of(page, states))],
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


def row_of(incident: Incident, component: Row | None) -> Row:
    """Return an incident or a maintenance, whose page is this component."""
    incident_id = str(answer.stable_id(incident.page_id, incident.id))
    statuses = MAINTENANCE_STATUSES if is_maintenance(incident) else INCIDENT_STATUSES
    other = statuses[0] if not is_maintenance(incident) else "in_progress" if incident.is_open else "completed"
    status = incident.status if incident.status in statuses else other
    entries = incident.incident_updates[:MOST_ENTRIES]
    begins_at, ends_at = answer.window_of(incident)
    planned = {"scheduled_for": iso(begins_at), "scheduled_until": iso(ends_at)} if is_maintenance(incident) else {}
    return planned | {
        "id": incident_id,
        "name": answer.name_of(incident),
        "status": status,
        "created_at": iso(incident.created_at),
        "updated_at": iso(incident.updated_at),
        "monitoring_at": next((iso(entry.time) for entry in entries if entry.status == "monitoring"), None),
        "resolved_at": iso(incident.ended_at),
        "impact": indicator_of(impact_of(incident)),
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
