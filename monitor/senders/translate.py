"""Shared by the dialects: a sender's words, windows and component changes in Statuspage's words and shape.

A dialect makes Statuspage's payload of its sender's and gives it to statuspage.read, so that names, times, messages
and wrong types are treated alike for every sender.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

from monitor.senders.payload import JSONObject, identifier, mapping, text
from monitor.updates.errors import NotAnUpdate
from monitor.updates.impacts import COMPONENT_IMPACTS
from monitor.updates.times import instant

# The words of incident.io's status pages, for incidents and components, that differ from Statuspage's.
INCIDENT_IO_STATUSES = {
    "maintenance_scheduled": "scheduled",
    "maintenance_in_progress": "in_progress",
    "maintenance_complete": "completed",
    "full_outage": "major_outage",
}
_words = re.compile(r"\w+")


def word(value: object, words: Mapping[str, str]) -> str | None:
    """Return Statuspage's word for a sender's; a word that `words` lacks stays, in lower case with underscores."""
    said = "_".join(_words.findall((text(value) or "").lower()))
    return words.get(said, said) or None


def impact(value: object, words: Mapping[str, str]) -> str | None:
    """Return the impact of a component's status, which is in the sender's words."""
    return word(word(value, words), COMPONENT_IMPACTS)


def stage(at: datetime | None, start: datetime | None, end: datetime | None) -> str | None:
    """Return the status of a maintenance by its window, at the time of an update that gives no status."""
    if at is None or start is None:
        return None
    if at < start:
        return "scheduled"
    return "completed" if end is not None and end <= at else "in_progress"


def required(value: object, field: str) -> str:
    """Return an id as text; raise NotAnUpdate naming its field."""
    found = identifier(value, field)
    if found is None:
        raise NotAnUpdate(f"{field} is missing or not a text")
    return found


def required_time(found: datetime | None, field: str) -> datetime:
    """Return the time that was read; raise NotAnUpdate naming its field where there is none."""
    if found is None:
        raise NotAnUpdate(f"{field} is missing or not a time")
    return found


def hashed(said: str) -> str:
    """Return a text's hash as an id of 32 characters, for a record whose id is absent or too long."""
    return sha256(said.encode()).hexdigest()[:32]


def incident_update(update_id: object, status: str | None, body: object, created_at: object) -> JSONObject:
    """Return an incident update of Statuspage's payload."""
    return {"id": update_id, "status": status, "body": body, "created_at": created_at}


def component_update(payload: JSONObject, words: Mapping[str, str]) -> JSONObject:
    """Return a component update in Statuspage's words; its id is a hash of its content.

    Raise NotAnUpdate without a component's id.
    """
    change, component = mapping(payload.get("component_update")), mapping(payload.get("component"))
    component_id = required(change.get("component_id") or component.get("id"), "component_update.component_id")
    new_status = word(change.get("new_status") or component.get("status"), words)
    old_status = word(change.get("old_status") or component.get("previous_status"), words)
    at = instant(change.get("created_at")) or instant(component.get("updated_at"))
    # JSON keeps the texts apart. The sender's own id may be a number that an incident has, too.
    content = [component_id, at and at.isoformat(), new_status, *filter(None, [change.get("id")])]
    change = change | {
        "id": hashed(json.dumps(content)),
        "component_id": component_id,
        "new_status": new_status,
        "old_status": old_status,
    }
    return {name: payload.get(name) for name in ("page", "meta", "component")} | {"component_update": change}
