"""Instatus' webhooks -> Update.

https://instatus.com/help/webhooks
Incidents, maintenances and component updates. A status is one word in capitals. A component update has no id.
A maintenance has its `duration` in minutes. Webhooks document no start: it is `start`, as in Instatus' API
(https://instatus.com/help/api/maintenances), else the time of the update INPROGRESS; without either the window is
unknown. The header x-instatus-webhook-signature is the body's HMAC (SHA-256, hexadecimal) with the secret that Instatus
shows for the webhook.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from flask import abort

from monitor.senders import statuspage
from monitor.senders.payload import JSONObject, records, text
from monitor.senders.translate import component_update, impact, required, word
from monitor.settings import Settings, token
from monitor.updates.errors import NotAnUpdate, UnknownShape
from monitor.updates.times import instant
from monitor.updates.update import Update

INDICATORS = ("UP", "HASISSUES", "UNDERMAINTENANCE")  # Statuspage's are in lower case
WORDS = {
    "notstartedyet": "scheduled",
    "inprogress": "in_progress",
    "degradedperformance": "degraded_performance",
    "minoroutage": "partial_outage",  # Statuspage has none that is smaller
    "partialoutage": "partial_outage",
    "majoroutage": "major_outage",
    "undermaintenance": "under_maintenance",
}
LONGEST_DURATION = 60 * 24 * 366  # minutes


def recognises(payload: JSONObject) -> bool:
    page = payload.get("page")
    return isinstance(page, dict) and page.get("status_indicator") in INDICATORS


def verify(config: Mapping[str, Any], headers: Mapping[str, str], body: bytes) -> None:
    """Abort with 401 if a secret is set and the request is not signed with it."""
    secret = config.get("WEBHOOK_SECRET_INSTATUS")
    if secret is not None:
        signature = hmac.digest(secret.encode(errors="surrogateescape"), body, "sha256").hex().encode()
        if not hmac.compare_digest(headers.get("X-Instatus-Webhook-Signature", "").encode("latin-1"), signature):
            abort(401, "x-instatus-webhook-signature does not sign this body")


def read(payload: JSONObject, page: str | None = None) -> Update:
    """Return the update in a webhook's payload; raise NotAnUpdate or UnknownShape, as statuspage.read does."""
    for kind in ("incident", "maintenance"):
        if payload.get(kind) is not None:
            return statuspage.read(payload | {"incident": _incident(payload[kind], kind)}, page)
    if isinstance(payload.get("component_update"), dict):
        return statuspage.read(component_update(payload, WORDS), page)
    raise UnknownShape("neither incident nor maintenance nor component_update is in the payload")


def _incident(given: object, kind: str) -> JSONObject:
    if not isinstance(given, dict):
        raise NotAnUpdate(f"{kind} is not an object")
    required(given.get("id"), f"{kind}.id")
    entries = _in_statuspages_words(given.get(f"{kind}_updates"))
    incident = given | {
        "status": word(given.get("status"), WORDS),
        "impact": impact(given.get("impact"), WORDS),
        "shortlink": given.get("url"),
        "components": _in_statuspages_words(given.get("components")),
        "incident_updates": entries,
    }
    return incident if kind == "incident" else incident | {"impact": "maintenance"} | _window(given, entries)


def _in_statuspages_words(given: object) -> list[JSONObject]:
    return [record | {"status": word(record.get("status"), WORDS)} for record in records(given)]


def _window(maintenance: JSONObject, entries: list[JSONObject]) -> JSONObject:
    began = [at for entry in entries if entry["status"] == "in_progress" and (at := instant(entry.get("created_at")))]
    start = instant(maintenance.get("start")) or min(began, default=None)
    return {
        "scheduled_for": start and start.isoformat(),
        "scheduled_until": start and _end(start, text(maintenance.get("duration")) or ""),
    }


def _end(start: datetime, duration: str) -> str | None:
    minutes = int(duration) if duration.isascii() and duration.isdigit() and len(duration) < 7 else 0
    return (start + timedelta(minutes=minutes)).isoformat() if 0 < minutes <= LONGEST_DURATION else None


SETTINGS: Settings = {"WEBHOOK_SECRET_INSTATUS": token}
