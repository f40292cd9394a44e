"""Statuspage's words for statuses and impacts, what they mean, and how impacts rank.

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

# The impact that a component's status has on its users.
COMPONENT_IMPACTS = {
    "operational": "none",
    "under_maintenance": "maintenance",
    "degraded_performance": "minor",
    "partial_outage": "major",
    "major_outage": "critical",
}
COMPONENT_STATUSES = tuple(COMPONENT_IMPACTS)
# The status of a page or a component whose worst open incident has this impact.
STATUS_OF_IMPACT = {impact: status for status, impact in COMPONENT_IMPACTS.items()} | {
    "unstated": "degraded_performance",
    "operational": "operational",
}

# Impacts in words, worst first; `operational` stands for no incident at all. Each name is also that of a colour.
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

# https://github.com/ulid/spec: incident.io's ids have this form, those of the other senders do not.
_ulid = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def impact_of(state: State) -> str:
    """Return one of IMPACTS: `maintenance` for planned work, `unstated` if the provider stated none."""
    if state.status == "operational":
        return "operational"
    if is_maintenance(state):
        return "maintenance"
    if state.impact == "none" and is_of_incident_io(state.id):
        return "unstated"  # its pages say `none` of outages, too
    return state.impact if state.impact in RANK and state.impact != "operational" else "unstated"


def is_maintenance(state: State) -> bool:
    """Tell whether this is planned work: by impact, status or schedule, as the page's owner may override the impact."""
    return state.impact == "maintenance" or state.scheduled_for is not None or state.status in MAINTENANCE_STATUSES


def is_of_incident_io(id: str) -> bool:  # noqa: A002
    """Tell whether incident.io made this id of a page or of an incident."""
    return _ulid.fullmatch(id) is not None


def in_words(status: str) -> str:
    """Return a status in words: `under_maintenance` -> `Under maintenance`."""
    return status.replace("_", " ").capitalize()
