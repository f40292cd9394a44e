"""incident.io's webhooks -> Update, signed as https://www.standardwebhooks.com describes it.

https://docs.incident.io/integrations/webhooks and https://docs.incident.io/api-reference/incident-statuses-v1
The events' fields: https://api.incident.io/v1/openapiV3.json. They are the incidents of an account, and what its own
status pages tell of them, as its owner subscribes to them; that a public status page of incident.io posts to its
subscribers is documented nowhere. Private incidents, which come as ids only, and all other events are ignored.
An incident names no page: `?page=` does, else the Slack team tells it apart; a status page's has the page's id. Its
components have ids only, so what they suffer is the impact, and none is named. An account names its severities
itself: SEV0 and SEV1 are critical, SEV2 is major, SEV3 and what follows minor; others stay as they are.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from flask import abort

from monitor.senders import statuspage
from monitor.senders.payload import JSONObject, mapping, records, text
from monitor.senders.translate import impact, required, word
from monitor.settings import Settings, load
from monitor.updates.errors import NotAnUpdate, UnknownShape
from monitor.updates.impacts import RANK
from monitor.updates.update import Update

EVENTS = (
    "public_incident.incident_created_v2",
    "public_incident.incident_updated_v2",
    "public_incident.incident_status_updated_v2",
)
SHARED = "status_page_incident.update_shared_v1"
KNOWN = ("investigating", "identified", "monitoring", "resolved")
# An account names its statuses itself; each is of one of these categories.
CATEGORIES = {
    "triage": "investigating",
    "live": "investigating",
    "paused": "identified",  # Statuspage has no word for it
    "learning": "resolved",
    "closed": "resolved",
    "declined": "resolved",
    "merged": "resolved",
    "canceled": "resolved",
}
NAMES = {"fixing": "identified"}
SEVERITIES = {"0": "critical", "1": "critical", "2": "major"}
STATUSES = {  # of a status page's incidents, and of its components
    "maintenance_scheduled": "scheduled",
    "maintenance_in_progress": "in_progress",
    "maintenance_complete": "completed",
    "full_outage": "major_outage",
}
_numbered = re.compile(r"sev_?(\d)")


def recognises(payload: JSONObject) -> bool:
    event = payload.get("event_type")
    return event == SHARED or event in EVENTS


def verify(config: Mapping[str, Any], headers: Mapping[str, str], body: bytes) -> None:
    """Abort with 401 if there is a secret and the request is not signed with it."""
    signature = config.get("WEBHOOK_SECRET_INCIDENTIO")
    if signature is not None:
        signature.verify(headers, body)


def read(payload: JSONObject, page: str | None = None) -> Update:
    """Return the update in a webhook's payload; raise NotAnUpdate or UnknownShape, as statuspage.read does."""
    if not recognises(payload):
        raise UnknownShape("event_type is that of no incident which is read here")
    if payload["event_type"] == SHARED:
        return statuspage.read({"incident": _shared(mapping(payload.get(SHARED)))}, page)
    event = payload["event_type"]
    given = mapping(payload.get(event))
    incident = given.get("incident") if event == EVENTS[2] else payload.get(event)
    path = f"{event}.incident" if event == EVENTS[2] else event
    if not isinstance(incident, dict):
        raise NotAnUpdate(f"{path} is missing or not an object")
    required(incident.get("id"), f"{path}.id")

    status = _status(mapping(incident.get("incident_status") or given.get("new_status")))
    made = {
        "id": incident["id"],
        "page_id": text(incident.get("slack_team_id")) or "incident.io",
        "name": incident.get("name"),
        "status": status,
        "impact": _severity(word(mapping(incident.get("severity")).get("name"), {})),
        "created_at": incident.get("created_at"),
        "updated_at": incident.get("updated_at"),
        "shortlink": incident.get("permalink"),
        "incident_updates": [
            {
                "status": status,
                "body": text(given.get("message"))
                or text(incident.get("most_recent_update_message"))
                or incident.get("summary"),
                "created_at": incident.get("updated_at"),
            }
        ],
    }
    return statuspage.read({"incident": made}, page)


def _status(given: JSONObject) -> str | None:
    name = word(given.get("name"), NAMES)
    return name if name in KNOWN else CATEGORIES.get(text(given.get("category")) or "", name)


def _severity(name: str | None) -> str | None:
    numbered = _numbered.match(name or "")
    return SEVERITIES.get(numbered[1], "minor") if numbered else name


def _shared(given: JSONObject) -> JSONObject:
    """Return the incident that a status page shared an update of."""
    incident, newest = mapping(given.get("status_page_incident")), mapping(given.get("update"))
    required(incident.get("id"), f"{SHARED}.status_page_incident.id")
    others = [update for update in records(incident.get("updates")) if update.get("id") != newest.get("id")]
    impacts = [impact(one.get("component_status"), STATUSES) for one in records(incident.get("component_impacts"))]
    return {
        "id": incident["id"],
        "page_id": incident.get("status_page_id"),
        "name": incident.get("name"),
        "status": word(incident.get("incident_status"), STATUSES),
        "impact": min((one for one in impacts if one in RANK), key=RANK.__getitem__, default=None),
        "created_at": incident.get("published_at"),
        "updated_at": text(newest.get("published_at")) or incident.get("published_at"),
        "incident_updates": [
            {
                "id": update.get("id"),
                "status": word(update.get("incident_status"), STATUSES),
                "body": update.get("message"),
                "created_at": update.get("published_at"),
            }
            for update in (newest, *others)
            if update
        ],
    }


class Signature:
    """What a sender's signature is checked with; the secret shows in no text of it."""

    def __init__(self, secret: bytes) -> None:
        self._library = load("standardwebhooks")
        self._webhook = self._library.Webhook(secret)

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Abort with 401 unless the headers sign this body, and not longer than five minutes ago."""
        try:
            self._webhook.verify(body, dict(headers), json_parse=False)
        # ValueError: what the library lets out on malformed signatures, binascii.Error and UnicodeDecodeError with it.
        except (self._library.WebhookVerificationError, ValueError):
            abort(401, "webhook-id, webhook-timestamp and webhook-signature do not sign this body, or not just now")


def secret(value: str) -> Signature:
    """Return what checks with this secret, base64 with or without `whsec_` before it; raise ValueError."""
    encoded = value.strip().removeprefix("whsec_").rstrip("=")
    try:
        secret = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        raise ValueError("is not base64, such as whsec_MDEyMzQ1Njc4OQ==") from None
    if not secret:
        raise ValueError("is empty: give it a secret such as whsec_MDEyMzQ1Njc4OQ==, or unset it to check no signature")
    return Signature(secret)


SETTINGS: Settings = {"WEBHOOK_SECRET_INCIDENTIO": secret}
