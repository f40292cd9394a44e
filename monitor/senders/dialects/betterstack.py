"""Better Stack status pages' webhooks -> Update.

https://betterstack.com/docs/uptime/status-pages/subscribing-to-status-updates/subscribing-with-webhooks
Statuspage's envelope with an `event_type`: incident, maintenance or component_update. Incidents have neither status
nor impact, and `page.status_indicator` is the whole page's, so both stay unknown and such an incident stays open. Only
the name of component_update is documented. Its fields are read as Statuspage's, or as those of `component` (status,
previous_status, updated_at) that receivers describe.
"""

from __future__ import annotations

from monitor.senders import statuspage
from monitor.senders.payload import JSONObject
from monitor.senders.translate import component_update, required, stage, word
from monitor.updates.errors import NotAnUpdate, UnknownShape
from monitor.updates.times import instant
from monitor.updates.update import Update

EVENTS = ("incident", "maintenance", "component_update")
STATUSES = {
    "degraded": "degraded_performance",
    "downtime": "major_outage",
    "maintenance": "under_maintenance",
}


def recognises(payload: JSONObject) -> bool:
    return payload.get("event_type") in EVENTS


def read(payload: JSONObject, page: str | None = None) -> Update:
    """Return the update in a webhook's payload; raise NotAnUpdate or UnknownShape, as statuspage.read does."""
    if payload.get("maintenance") is not None:
        return statuspage.read(payload | {"incident": _maintenance(payload["maintenance"])}, page)
    if payload.get("event_type") == "component_update" or "component_update" in payload:
        return statuspage.read(component_update(payload, STATUSES), page)
    if payload.get("incident") is None:
        raise UnknownShape("neither incident nor maintenance nor component_update is in the payload")
    return statuspage.read(payload, page)


def _maintenance(maintenance: object) -> JSONObject:
    if not isinstance(maintenance, dict):
        raise NotAnUpdate("maintenance is not an object")
    required(maintenance.get("id"), "maintenance.id")
    start, end = maintenance.get("starts_at"), maintenance.get("ends_at")
    at = instant(maintenance.get("updated_at")) or instant(maintenance.get("created_at"))
    return {
        **maintenance,
        "status": word(maintenance.get("status"), {}) or stage(at, instant(start), instant(end)),
        "impact": "maintenance",
        "scheduled_for": start,
        "scheduled_until": end,
        "incident_updates": maintenance.get("maintenance_updates"),
    }
