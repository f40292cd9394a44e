"""incident.io's webhooks -> Update, signed as https://www.standardwebhooks.com describes.

https://docs.incident.io/integrations/webhooks and https://docs.incident.io/api-reference/incident-statuses-v1
Fields: https://api.incident.io/v1/openapiV3.json. An account's owner subscribes to the account's incidents and to the
updates of its status pages. No document says that a public status page of incident.io posts to its subscribers. Private
incidents, which come as ids only, and all other events are ignored.
An account's incident names no page: `?page=` does, else the Slack team is the page. A status page's incident has the
page's id. Its components have ids only, so they give the impact and are not named. An account names its own
severities: SEV0 and SEV1 are critical, SEV2 is major, SEV3 and higher numbers are minor, other names stay.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from flask import abort

from monitor.senders import statuspage
from monitor.senders.payload import JSONObject, mapping, records, text
from monitor.senders.translate import INCIDENT_IO_STATUSES, impact, incident_update, required, word
from monitor.settings import Settings, load
from monitor.updates.errors import NotAnUpdate, UnknownShape
from monitor.updates.impacts import RANK
from monitor.updates.update import Update

STATUS_UPDATED = "public_incident.incident_status_updated_v2"
EVENTS = ("public_incident.incident_created_v2", "public_incident.incident_updated_v2", STATUS_UPDATED)
SHARED = "status_page_incident.update_shared_v1"
KNOWN = ("investigating", "identified", "monitoring", "resolved")
# An account names its own statuses; each belongs to one of these categories.
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
_numbered = re.compile(r"sev_?(\d)")


def recognises(payload: JSONObject) -> bool:
    event = payload.get("event_type")
    return event == SHARED or event in EVENTS


def verify(config: Mapping[str, Any], headers: Mapping[str, str], body: bytes) -> None:
    """Abort with 401 if a secret is set and the headers do not sign this body, within five minutes of now."""
    webhook = config.get("WEBHOOK_SECRET_INCIDENTIO")
    if webhook is None:
        return
    try:
        webhook.verify(body, dict(headers), json_parse=False)
    # The library raises ValueErrors, too, on malformed signatures: binascii.Error and UnicodeDecodeError.
    except (load("standardwebhooks").WebhookVerificationError, ValueError):
        abort(401, "webhook-signature does not sign webhook-id, this body and a webhook-timestamp of the last minutes")


def read(payload: JSONObject, page: str | None = None) -> Update:
    """Return the update in a webhook's payload; raise NotAnUpdate or UnknownShape, as statuspage.read does."""
    if not recognises(payload):
        raise UnknownShape("event_type names no event that is read here")
    event = payload["event_type"]
    incident = _shared(mapping(payload.get(SHARED))) if event == SHARED else _of_account(event, payload.get(event))
    return statuspage.read({"incident": incident}, page)


def _of_account(event: str, given: object) -> JSONObject:
    """Return the incident in an event of an account."""
    path, incident, change = event, given, mapping(given)
    if event == STATUS_UPDATED:
        path, incident = f"{event}.incident", change.get("incident")
    if not isinstance(incident, dict):
        raise NotAnUpdate(f"{path} is missing or not an object")
    required(incident.get("id"), f"{path}.id")
    status = _status(mapping(incident.get("incident_status") or change.get("new_status")))
    at, message = incident.get("updated_at"), text(change.get("message"))
    body = message or text(incident.get("most_recent_update_message")) or incident.get("summary")
    return {
        "id": incident["id"],
        "page_id": text(incident.get("slack_team_id")) or "incident.io",
        "name": incident.get("name"),
        "status": status,
        "impact": _severity(word(mapping(incident.get("severity")).get("name"), {})),
        "created_at": incident.get("created_at"),
        "updated_at": at,
        "shortlink": incident.get("permalink"),
        "incident_updates": [incident_update(None, status, body, at)],
    }


def _status(given: JSONObject) -> str | None:
    name = word(given.get("name"), NAMES)
    return name if name in KNOWN else CATEGORIES.get(text(given.get("category")) or "", name)


def _severity(name: str | None) -> str | None:
    numbered = _numbered.match(name or "")
    return SEVERITIES.get(numbered[1], "minor") if numbered else name


def _shared(given: JSONObject) -> JSONObject:
    """Return the incident of which a status page shared an update."""
    incident, newest = mapping(given.get("status_page_incident")), mapping(given.get("update"))
    required(incident.get("id"), f"{SHARED}.status_page_incident.id")
    others = [update for update in records(incident.get("updates")) if update.get("id") != newest.get("id")]
    statuses = [one.get("component_status") for one in records(incident.get("component_impacts"))]
    impacts = [found for status in statuses if (found := impact(status, INCIDENT_IO_STATUSES)) in RANK]
    return {
        "id": incident["id"],
        "page_id": incident.get("status_page_id"),
        "name": incident.get("name"),
        "status": word(incident.get("incident_status"), INCIDENT_IO_STATUSES),
        "impact": min(impacts, key=RANK.__getitem__, default=None),
        "created_at": incident.get("published_at"),
        "updated_at": text(newest.get("published_at")) or incident.get("published_at"),
        "incident_updates": [_update(update) for update in (newest, *others) if update],
    }


def _update(given: JSONObject) -> JSONObject:
    status = word(given.get("incident_status"), INCIDENT_IO_STATUSES)
    return incident_update(given.get("id"), status, given.get("message"), given.get("published_at"))


def webhook_with_secret(value: str) -> object:
    """Return the Webhook that verifies with a secret, base64 with or without `whsec_` before it; raise ValueError."""
    encoded = value.strip().removeprefix("whsec_").rstrip("=")
    try:
        secret = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:  # not base64, or not ASCII
        raise ValueError("is not base64, such as whsec_MDEyMzQ1Njc4OQ==") from None
    if not secret:
        raise ValueError("is empty: give it a secret such as whsec_MDEyMzQ1Njc4OQ==, or unset it to check no signature")
    return load("standardwebhooks").Webhook(secret)


SETTINGS: Settings = {"WEBHOOK_SECRET_INCIDENTIO": webhook_with_secret}
