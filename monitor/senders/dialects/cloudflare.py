"""Cloudflare's notifications of its own incidents -> Update.

https://developers.cloudflare.com/notifications/reference/webhook-payload-schema/
That page documents the envelope and how the secret is sent, but not the `data` of an incident_alert, which is read as
a receiver documents it: https://github.com/LukeRoberson/Cloudflare-Plugin#readme. Notifications about an account, and
the test that Cloudflare posts when a webhook is saved, are ignored. Incidents have the ids of www.cloudflarestatus.com,
yet the notifications are a page of their own.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from flask import abort

from monitor.senders import statuspage
from monitor.senders.payload import JSONObject, mapping, text
from monitor.senders.translate import incident_update, required, word
from monitor.settings import Settings, token
from monitor.updates.errors import UnknownShape
from monitor.updates.update import Update

PAGE = {"id": "cloudflare-notifications", "name": "Cloudflare"}


def recognises(payload: JSONObject) -> bool:
    return payload.get("alert_type") == "incident_alert"


def verify(config: Mapping[str, Any], headers: Mapping[str, str], _body: bytes) -> None:
    """Abort with 401 if a secret is set and the request does not bear it."""
    secret = config.get("WEBHOOK_SECRET_CLOUDFLARE")
    offered = headers.get("Cf-Webhook-Auth", "").encode("latin-1")
    if secret is not None and not hmac.compare_digest(offered, secret.encode(errors="surrogateescape")):
        abort(401, "cf-webhook-auth is missing or wrong")


def read(payload: JSONObject, page: str | None = None) -> Update:
    """Return the update in a notification; raise NotAnUpdate or UnknownShape, as statuspage.read does."""
    if not recognises(payload):
        raise UnknownShape("alert_type is not incident_alert")
    data = mapping(payload.get("data"))
    incident_id = required(data.get("incident_id"), "data.incident_id")
    at = data.get("created_at") or _time_of(payload.get("ts"))
    status, body = _word(data.get("status"), "incident_status_"), text(data.get("message")) or payload.get("text")
    incident = {
        "id": incident_id,
        "name": data.get("incident_name"),
        "status": _word(data.get("incident_status"), "incident_status_"),
        "impact": _word(data.get("incident_impact"), "incident_impact_"),
        "created_at": data.get("incident_created_at"),
        "updated_at": at,
        "shortlink": f"https://www.cloudflarestatus.com/incidents/{quote(incident_id, safe='')}",
        "components": data.get("affected_components"),
        "incident_updates": [incident_update(data.get("id"), status, body, at)],
    }
    return statuspage.read({"page": PAGE, "incident": incident}, page)


def _word(value: object, prefix: str) -> str | None:
    said = word(value, {})
    return said and (said.removeprefix(prefix) or None)


def _time_of(seconds: object) -> str | None:
    given = text(seconds) or ""
    is_number = given.isascii() and given.isdigit() and len(given) <= 10
    return datetime.fromtimestamp(int(given), UTC).isoformat() if is_number else None


SETTINGS: Settings = {"WEBHOOK_SECRET_CLOUDFLARE": token}
