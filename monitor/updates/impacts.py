"""The words for statuses and impacts, once: Statuspage's, what they mean, and how they rank.

https://support.atlassian.com/statuspage/docs/top-level-status-and-incident-impact-calculations/
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.updates.update import State

INCIDENT_STATUSES = ("investigating", "identified", "monitoring", "resolved", "postmortem")
MAINTENANCE_STATUSES = ("scheduled", "in_progress", "verifying", "completed")
ENDED = frozenset({"resolved", "postmortem", "completed"})

# What a component's status means to its users.
COMPONENT_IMPACTS = {
    "operational": "none",
    "under_maintenance": "maintenance",
    "degraded_performance": "minor",
    "partial_outage": "major",
    "major_outage": "critical",
}
COMPONENT_STATUSES = tuple(COMPONENT_IMPACTS)
# The status of a page, or of a component, whose worst open incident has this impact.
STATUS_OF_IMPACT = {impact: status for status, impact in COMPONENT_IMPACTS.items()} | {
    "unstated": "degraded_performance",
    "operational": "operational",
}

# Worst first: each impact, and `operational` for what has none, in words. A name is also that of its colour.
IMPACTS = {
    "critical": "Critical",
    "major": "Major",
    "minor": "Minor",
    "unstated": "Not stated",
    "maintenance": "Maintenance",
    "none": "No impact",
    "operational": "Operational",
}
RANK = {impact: rank for rank, impact in enumerate(IMPACTS)}  # 0 is the worst


# https://github.com/ulid/spec: such are the ids of incident.io, and of no other sender that is read here.
_ulid = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def impact_of(state: State) -> str:
    """Return one of IMPACTS: `maintenance` for what is planned, `unstated` where nobody told."""
    if state.status == "operational":
        return "operational"
    if is_maintenance(state):
        return "maintenance"
    if state.impact == "none" and is_of_incident_io(state.id):
        return "unstated"  # its pages say so of outages, too
    return state.impact if state.impact in RANK and state.impact != "operational" else "unstated"


def is_maintenance(state: State) -> bool:
    """Tell planned work by its impact, its status, or its being scheduled: an owner may override the impact."""
    return state.impact == "maintenance" or state.scheduled_for is not None or state.status in MAINTENANCE_STATUSES


def is_of_incident_io(id: str) -> bool:  # noqa: A002
    """Tell an id that incident.io made, of a page or of an incident."""
    return _ulid.fullmatch(id) is not None


def in_words(status: str) -> str:
    """Return a status as a sentence begins: `under_maintenance` -> `Under maintenance`."""
    return status.replace("_", " ").capitalize()
