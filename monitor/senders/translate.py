"""What dialects share: a sender's words, windows and component changes in Statuspage's words and shape.

A dialect makes Statuspage's payload of its sender's and gives it to statuspage.read, so that names, times, messages
and wrong types are treated alike, whoever sent them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

from monitor.senders.payload import JSONObject, identifier, mapping, text
from monitor.updates.errors import NotAnUpdate, UnknownShape
from monitor.updates.impacts import COMPONENT_IMPACTS
from monitor.updates.times import instant

_words = re.compile(r"\w+")


def word(value: object, words: Mapping[str, str]) -> str | None:
    """Return a sender's word as Statuspage's; one that `words` has not, in lower case with underscores."""
    said = "_".join(_words.findall((text(value) or "").lower()))
    return words.get(said, said) or None


def impact(value: object, words: Mapping[str, str]) -> str | None:
    """Return the impact that a component's status, in the sender's words, means."""
    return word(word(value, words), COMPONENT_IMPACTS)


def stage(at: datetime | None, start: datetime | None, end: datetime | None) -> str | None:
    """Return the status of a maintenance whose sender gives none: that of its window when the update was made."""
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


def component_update(payload: JSONObject, words: Mapping[str, str]) -> JSONObject:
    """Return Statuspage's payload of a component's change; its id, where there is none, is made of what it says.

    Raise NotAnUpdate without a component's id or a time, UnknownShape without a new status.
    """
    change, component = mapping(payload.get("component_update")), mapping(payload.get("component"))
    component_id = required(change.get("component_id") or component.get("id"), "component_update.component_id")
    new_status = word(change.get("new_status") or component.get("status"), words)
    if new_status is None:
        raise UnknownShape("component_update has no new_status")
    created_at = instant(change.get("created_at")) or instant(component.get("updated_at"))
    if created_at is None:
        raise NotAnUpdate("component_update.created_at is missing or not a time")
    # As JSON, in which no id can run into the next text; hashed, as it may be longer than an id.
    identity = json.dumps([component_id, created_at.isoformat(), new_status])
    return {
        "page": payload.get("page"),
        "meta": payload.get("meta"),
        "component_update": {
            "id": change.get("id") or sha256(identity.encode()).hexdigest()[:32],
            "component_id": component_id,
            "created_at": created_at.isoformat(),
            "new_status": new_status,
            "old_status": word(change.get("old_status") or component.get("previous_status"), words),
        },
        "component": component | {"id": component_id},
    }
