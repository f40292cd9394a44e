"""incident.io's webhooks -> Update, signed as https://www.standardwebhooks.com describes it.

https://docs.incident.io/integrations/webhooks and https://docs.incident.io/api-reference/incident-statuses-v1
These are the incidents of an account, as its owner subscribes to them; that a public status page of incident.io
posts to its subscribers is documented nowhere. Private incidents, which come as ids only, and follow-ups, actions
and post-mortem documents are ignored. There is no page in them: `?page=` names it, else the Slack team tells it apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.senders import statuspage
from monitor.senders.payload import JSONObject, NotAnUpdate, UnknownShape, mapping, text
from monitor.senders.translate import required, word
from monitor.updates.update import Update

EVENTS = (
    "public_incident.incident_created_v2",
    "public_incident.incident_updated_v2",
    "public_incident.incident_status_updated_v2",
)
KNOWN = ("investigating", "identified", "monitoring", "resolved")
# An account names its statuses itself; each is of one of these categories.
CATEGORIES = {
    "triage": "investigating",
    "live": "investigating",
    "learning": "resolved",
    "closed": "resolved",
    "declined": "resolved",
    "merged": "resolved",
    "canceled": "resolved",
}
NAMES = {"fixing": "identified"}


def recognises(payload: JSONObject) -> bool:
    return payload.get("event_type") in EVENTS


def verify(config: Mapping[str, Any], headers: Mapping[str, str], body: bytes) -> None:
    """Abort with 401 if there is a secret and the request is not signed with it."""
    signature = config.get("WEBHOOK_SECRET_INCIDENTIO")
    if signature is not None:
        signature.verify(headers, body)


def read(payload: JSONObject, page: str | None = None) -> Update:
    """Return the update in a webhook's payload; raise NotAnUpdate or UnknownShape, as statuspage.read does."""
    if not recognises(payload):
        raise UnknownShape("event_type is not that of a public incident")
    event = payload["event_type"]
    given = mapping(payload.get(event))
    incident = given.get("incident") if event == EVENTS[2] else payload.get(event)
    where = f"{event}.incident" if event == EVENTS[2] else event
    if not isinstance(incident, dict):
        raise NotAnUpdate(f"{where} is missing or not an object")
    required(incident.get("id"), f"{where}.id")

    status = _status(mapping(incident.get("incident_status") or given.get("new_status")))
    made = {
        "id": incident["id"],
        "page_id": text(incident.get("slack_team_id")) or "incident.io",
        "name": incident.get("name"),
        "status": status,
        "impact": word(mapping(incident.get("severity")).get("name"), {}),
        "created_at": incident.get("created_at"),
        "updated_at": incident.get("updated_at"),
        "shortlink": incident.get("permalink"),
        "incident_updates": [
            {
                "status": status,
                "body": text(given.get("message")) or incident.get("summary"),
                "created_at": incident.get("updated_at"),
            }
        ],
    }
    return statuspage.read({"incident": made}, page)


def _status(given: JSONObject) -> str | None:
    name = word(given.get("name"), NAMES)
    return name if name in KNOWN else CATEGORIES.get(text(given.get("category")) or "", name)
