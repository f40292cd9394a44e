"""States to JSON documents, in Statuspage's own shape and names, and back.

https://developer.statuspage.io/#tag/incidents
"""

from __future__ import annotations

from typing import Any

from monitor.updates.incident import Incident
from monitor.updates.times import from_iso, iso
from monitor.updates.update import Component, IncidentUpdate, State, Update, message

TIMES = ("created_at", "updated_at", "resolved_at", "scheduled_for", "scheduled_until")
TEXTS = ("id", "name", "status", "impact", "shortlink")
Document = dict[str, Any]


def document(incident: Incident) -> Document:
    """Return an incident as Statuspage's API does, with `is_cut` if its story was too long to keep whole.

    A component's change also has `component_update`.
    """
    served = _without_story(incident) | {
        "resolved_at": iso(incident.ended_at),
        "postmortem_body": incident.postmortem_body,
        "incident_updates": [
            {
                "id": entry.id,
                "status": entry.status,
                "body": entry.body,
                "created_at": iso(entry.created_at),
                "updated_at": iso(entry.updated_at),
                "display_at": iso(entry.display_at),
            }
            for entry in incident.incident_updates
        ],
    }
    return served | {"is_cut": True} if incident.is_cut else served


def summary(state: State) -> Document:
    """Return one update: the incident without its story, and its `message` as it is printed."""
    return _without_story(state) | {"message": message(state)}


def _without_story(state: State) -> Document:
    served: Document = {
        "id": state.id,
        "name": state.name,
        "status": state.status,
        "impact": state.impact,
        "created_at": iso(state.created_at),
        "updated_at": iso(state.updated_at),
        "resolved_at": iso(state.resolved_at),
        "scheduled_for": iso(state.scheduled_for),
        "scheduled_until": iso(state.scheduled_until),
        "shortlink": state.shortlink,
        "page": {"id": state.page_id, "name": state.page},
        "components": [{"id": c.id, "name": c.name, "status": c.status} for c in state.components],
    }
    if state.is_component_update:
        served["component_update"] = {
            "id": state.id,
            "component_id": state.components[0].id,
            "old_status": state.old_status,
            "new_status": state.status,
            "created_at": iso(state.created_at),
        }
    return served


def stored(incident: Incident) -> Document:
    """Return the document that `incident_of` turns back into the incident."""
    own = {"resolved_at": iso(incident.resolved_at), "message": incident.message, "is_polled": incident.is_polled}
    return document(incident) | own


def incident_of(served: Document) -> Incident:
    """Return the incident of a stored document."""
    return Incident(**_fields(served), is_polled=served["is_polled"])


def update_of(served: Document) -> Update:
    """Return the update of a summary."""
    return Update(**_fields(served))


def _fields(served: Document) -> Document:
    change = served.get("component_update")
    return {
        "page_id": served["page"]["id"],
        "page": served["page"]["name"],
        "message": served["message"],
        "postmortem_body": served.get("postmortem_body"),
        "components": tuple([Component(**component) for component in served["components"]]),
        "incident_updates": tuple([_entry(**entry) for entry in served.get("incident_updates", ())]),
        "is_cut": served.get("is_cut", False),
        "is_component_update": change is not None,
        "old_status": change and change["old_status"],
        **{name: served[name] for name in TEXTS},
        **{name: from_iso(served[name]) for name in TIMES},
    }


def _entry(*, created_at: str, updated_at: str, display_at: str, **texts: str) -> IncidentUpdate:
    times = [from_iso(value) for value in (created_at, updated_at, display_at)]
    return IncidentUpdate(texts["id"], texts["status"], texts["body"], *times)
