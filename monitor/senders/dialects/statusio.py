"""Status.io's webhooks -> Update.

https://kb.status.io/notifications/webhook/
A message is one flat object: an incident with `current_state`, or a maintenance with a window and no state, which gets
the status of its window. `current_status` is the worst status of what is affected and gives the impact. The document
shows one value of each; the others in STATUSES are the words of Status.io's own pages. `containers` (regions) are not
read, as only ids tell which component each belongs to.
"""

from __future__ import annotations

from monitor.senders import statuspage
from monitor.senders.payload import JSONObject, records, text
from monitor.senders.translate import impact, incident_update, required, required_time, stage, word
from monitor.updates.errors import UnknownShape
from monitor.updates.times import instant
from monitor.updates.update import Update

STATUSES = {
    "planned_maintenance": "under_maintenance",
    "partial_service_disruption": "partial_outage",
    "service_disruption": "major_outage",
    "security_event": "major_outage",  # Statuspage has no word for it
}


def recognises(payload: JSONObject) -> bool:
    return "status_page_url" in payload and "current_status" in payload


def read(payload: JSONObject, page: str | None = None) -> Update:
    """Return the update in a webhook's payload; raise NotAnUpdate or UnknownShape, as statuspage.read does."""
    if "current_status" not in payload:
        raise UnknownShape("current_status is not in the payload")
    required(payload.get("id"), "id")
    at, start = instant(payload.get("datetime")), instant(payload.get("datetime_start"))
    required_time(at or start, "datetime")
    status = word(payload.get("current_state"), {})
    is_maintenance = "maintenance_url" in payload or "datetime_end" in payload
    if is_maintenance:
        status = status or stage(at, start, instant(payload.get("datetime_end")))
    # A scheduled maintenance does not affect components yet.
    affected = None if status == "scheduled" else word(payload.get("current_status"), STATUSES)
    address, told_at = payload.get("status_page_url"), payload.get("datetime")
    incident = {
        "id": payload.get("id"),
        "page_id": address,
        "name": payload.get("title"),
        "status": status,
        "impact": "maintenance" if is_maintenance else impact(payload.get("current_status"), STATUSES),
        "created_at": payload.get("datetime_start"),
        "updated_at": told_at,
        "resolved_at": payload.get("datetime_resolve"),
        "scheduled_for": payload.get("datetime_start") if is_maintenance else None,
        "scheduled_until": payload.get("datetime_end"),
        "shortlink": text(payload.get("incident_url")) or payload.get("maintenance_url"),
        "components": [
            {"id": component.get("_id"), "name": component.get("name"), "status": affected}
            for component in records(payload.get("components"))
        ],
        "incident_updates": [incident_update(payload.get("message_id"), status, payload.get("details"), told_at)],
    }
    return statuspage.read({"page": {"url": address}, "incident": incident}, page)
