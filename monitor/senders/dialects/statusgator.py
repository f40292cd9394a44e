"""StatusGator's webhooks, version 3.0 -> Update.

https://support.statusgator.com/support/solutions/articles/47001278989-webhook-version-3-0
https://support.statusgator.com/support/solutions/articles/47001250579-understanding-monitor-statuses
A relay: each message names the service that it watches, which is the page here. A message tells that a monitor's status
changed and names no incident, so it is a component update, which the next one ends; the monitor is the component. The
components that changed with it follow by name, as they have no ids. An EarlyWarningSignal is a guess that no message
ends, so it is ignored.
"""

from __future__ import annotations

import json
from dataclasses import replace

from monitor.senders import statuspage
from monitor.senders.payload import JSONObject, mapping, records, text
from monitor.senders.translate import component_update, hashed, required, required_time, word
from monitor.updates.errors import UnknownShape
from monitor.updates.text import cut_bytes
from monitor.updates.times import instant
from monitor.updates.update import LONGEST_BODY, LONGEST_NAME, MOST_COMPONENTS, Component, Update

STATUSES = {
    "up": "operational",
    "warn": "degraded_performance",
    "down": "major_outage",
    "maintenance": "under_maintenance",
}


def recognises(payload: JSONObject) -> bool:
    return payload.get("type") in ("StatusChange", "EarlyWarningSignal") and "monitor" in payload


def read(payload: JSONObject, page: str | None = None) -> Update:
    """Return the update in a webhook's payload; raise NotAnUpdate or UnknownShape, as statuspage.read does."""
    if payload.get("type") != "StatusChange":
        raise UnknownShape("type is not StatusChange")
    monitor, service, at = mapping(payload.get("monitor")), mapping(payload.get("service")), payload.get("recorded_at")
    monitor_id = required(monitor.get("id"), "monitor.id")
    required_time(instant(at), "recorded_at")
    name = text(monitor.get("display_name")) or text(service.get("name"))
    said = [text(payload.get("message")), text(payload.get("details"))]
    changed = records(payload.get("component_status_changes"))
    change = {
        "id": hashed(json.dumps([monitor_id, at, payload.get("status"), *said, changed])),
        "created_at": at,
        "new_status": payload.get("status"),
        "old_status": payload.get("previous_status"),
    }
    made = {
        "page": {"id": text(service.get("id")) or monitor_id, "name": name, "url": service.get("status_page_url")},
        "component_update": change,
        "component": {"id": monitor_id, "name": name},
    }
    update = statuspage.read(component_update(made, STATUSES), page)
    message = ": ".join(dict.fromkeys(text for text in said if text)) or update.message
    components = (*update.components, *map(_component, changed[: MOST_COMPONENTS - 1]))
    return replace(update, message=cut_bytes(message, LONGEST_BODY), components=components)


def _component(change: JSONObject) -> Component:
    name, group = text(change.get("name")) or "?", text(change.get("group_name"))
    status = (word(change.get("current_status"), STATUSES) or "")[:LONGEST_NAME]
    return Component(None, (f"{group}: {name}" if group else name)[:LONGEST_NAME], status or None)
