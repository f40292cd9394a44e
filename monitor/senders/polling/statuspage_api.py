"""Statuspage's API, which incident.io and others speak too: a page's newest incidents, each with its whole story.

https://status.atlassian.com/api/v2/#incidents. Each is read as a push is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from monitor.senders import statuspage
from monitor.senders.payload import JSONObject, mapping, records, text, word
from monitor.senders.polling.client import Conditions, NoAnswer, StatusPageClient
from monitor.updates.errors import NotAnUpdate
from monitor.updates.times import instant
from monitor.updates.update import Update

NEWEST = "/api/v2/incidents.json"  # 50, open or not
UNRESOLVED = "/api/v2/incidents/unresolved.json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page says of itself, and its incidents, oldest first; `conditions` ask for what differs from that."""

    id: str | None
    name: str | None
    incidents: list[JSONObject]
    ids: frozenset[str]  # of all incidents
    oldest: datetime | None  # when the first of them began
    conditions: Conditions


def newest(client: StatusPageClient, conditions: Conditions) -> Answer | None:
    """Return the newest incidents, open or not, or None if nothing changed; raise NoAnswer, NotAnUpdate."""
    answer, conditions = client.get(NEWEST, conditions)
    return None if answer is None else _read(answer, conditions)


def unresolved(client: StatusPageClient) -> Answer | None:
    """Return what is open, or None for a page that does not list it."""
    try:
        return _read(client.get(UNRESOLVED, {})[0] or {}, {})
    except (NoAnswer, NotAnUpdate):
        return None


def update_of(incident: JSONObject, page_id: str, page: str) -> Update:
    """Return an incident as an update, past if it was over when it was filled in; raise NotAnUpdate."""
    update = statuspage.read({"page": {"id": page_id, "name": page}, "incident": incident})
    return replace(update, is_polled=True, is_past=incident.get("backfilled") is True and not update.is_open)


def _read(answer: JSONObject, conditions: Conditions) -> Answer:
    listed, page = answer.get("incidents"), mapping(answer.get("page"))
    if not isinstance(listed, list):
        raise NotAnUpdate("answers no list of incidents: it may have no API of Statuspage's")
    every = [mapping(incident) for incident in listed]
    ids = frozenset(incident_id for incident in every if (incident_id := text(incident.get("id"))))
    oldest = min((at for incident in every if (at := instant(incident.get("created_at")))), default=None)
    return Answer(word(page.get("id")), word(page.get("name")), records(listed)[::-1], ids, oldest, conditions)
