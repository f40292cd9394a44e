"""AWS Health's events -> Update, from EventBridge (an API destination) or through SNS.

https://docs.aws.amazon.com/health/latest/ug/aws-health-events-eventbridge-schema.html
https://docs.aws.amazon.com/sns/latest/dg/http-notification-json.html (the event is the text `Message`)
Each `communicationId` is told once: its pages, its copy from the backup region and its copy in another account share
the id and `lastUpdatedTime`. AWS gives an event's stage, not its severity, so only planned changes (maintenance) and
notifications (none) have an impact. `affectedEntities` are the account's own resources and are not read.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from monitor.senders import statuspage
from monitor.senders.payload import JSONObject, decode, mapping, records, text
from monitor.senders.translate import hashed, incident_update, required, required_time
from monitor.updates.errors import NotAnUpdate, UnknownShape
from monitor.updates.impacts import in_words
from monitor.updates.times import instant
from monitor.updates.update import LONGEST_NAME, Update

PAGE = {"id": "aws-health", "name": "AWS Health"}
STATUSES = {"upcoming": "scheduled", "open": "investigating", "closed": "resolved"}
STATUSES_BY_CATEGORY = {
    "scheduledChange": {"upcoming": "scheduled", "open": "in_progress", "closed": "completed"},
    "accountNotification": {"closed": "resolved"},  # it is open as long as AWS shows it
}
IMPACTS = {"scheduledChange": "maintenance", "accountNotification": "none"}


def recognises(payload: JSONObject) -> bool:
    return payload.get("source") == "aws.health" or "TopicArn" in payload


def read(payload: JSONObject, page: str | None = None) -> Update:
    """Return the update in an event; raise NotAnUpdate or UnknownShape, as statuspage.read does."""
    event = _published(payload) if "TopicArn" in payload else payload
    if event.get("source") != "aws.health":
        raise UnknownShape("source is not aws.health")
    detail = mapping(event.get("detail"))
    arn = text(detail.get("eventArn")) or required(detail.get("eventArn"), "detail.eventArn")
    start, end = detail.get("startTime"), detail.get("endTime")
    category, stage = text(detail.get("eventTypeCategory")) or "", text(detail.get("statusCode")) or ""
    is_planned = category == "scheduledChange"
    status = STATUSES_BY_CATEGORY.get(category, STATUSES).get(stage)
    found = instant(detail.get("lastUpdatedTime")) or _earliest(event.get("time"), start)
    at = required_time(found, "detail.lastUpdatedTime").isoformat()
    incident = {
        "id": arn if len(arn) <= LONGEST_NAME else hashed(arn),
        "name": _name(detail),
        "status": status,
        "impact": IMPACTS.get(category),
        "created_at": None if is_planned else start,
        "updated_at": at,
        "resolved_at": end if status == "resolved" else None,
        "scheduled_for": start if is_planned else None,
        "scheduled_until": end if is_planned else None,
        "components": [_component(event, detail)],
        "incident_updates": [incident_update(detail.get("communicationId"), status, _description(detail), at)],
    }
    return statuspage.read({"page": PAGE, "incident": incident}, page)


def _published(message: JSONObject) -> JSONObject:
    if message.get("Type") != "Notification":
        raise UnknownShape("Type is not Notification")
    with suppress(NotAnUpdate):  # a topic may carry anything
        return decode((text(message.get("Message")) or "").encode())
    raise UnknownShape("Message is not an event's JSON")


def _earliest(*times: object) -> datetime | None:
    return min((at for at in map(instant, times) if at), default=None)


def _name(detail: JSONObject) -> str:
    """Return `EC2: Operational issue` for AWS_EC2_OPERATIONAL_ISSUE."""
    service, code = text(detail.get("service")) or "", text(detail.get("eventTypeCode")) or ""
    what = in_words(code.removeprefix("AWS_").removeprefix(f"{service}_"))
    return f"{service}: {what}" if service and what else service or what


def _component(event: JSONObject, detail: JSONObject) -> JSONObject:
    service, region = text(detail.get("service")), text(detail.get("eventRegion")) or text(event.get("region"))
    return {"id": service, "name": f"{service} ({region})" if service and region else service}


def _description(detail: JSONObject) -> str | None:
    descriptions = records(detail.get("eventDescription"))
    english = [given for given in descriptions if given.get("language") == "en_US"]
    return next((text(given.get("latestDescription")) for given in english + descriptions), None)
