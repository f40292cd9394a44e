"""Azure Service Health's alerts, as an action group's webhook posts them -> Update.

https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-payload-samples (the common alert schema)
https://learn.microsoft.com/azure/azure-monitor/alerts/activity-log-alerts-webhook (the one before it)
https://learn.microsoft.com/azure/service-health/service-health-notifications-properties (stages, levels, types)
Other alerts of Azure Monitor use the same schemas and are ignored. The level says what is affected: a part of Azure's
management (Informational), some services or regions (Warning), many (Error). An advisory affects nothing.
"""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import quote

from monitor.senders import statuspage
from monitor.senders.payload import JSONObject, decode, mapping, records, text
from monitor.senders.translate import incident_update, required, required_time, stage, word
from monitor.updates.errors import NotAnUpdate, UnknownShape
from monitor.updates.times import instant
from monitor.updates.update import Update

PAGE = {"id": "azure-service-health", "name": "Azure"}
COMMON, ACTIVITY_LOG = "azureMonitorCommonAlertSchema", "Microsoft.Insights/activityLogs"
STAGES = {
    "active": "investigating",
    "planned": "scheduled",
    "rescheduled": "scheduled",
    "inprogress": "in_progress",
    "complete": "resolved",
    "canceled": "resolved",
    "rca": "postmortem",
}
LEVELS = {  # the common alert schema has them as numbers
    "critical": "critical",
    "error": "critical",
    "warning": "major",
    "informational": "minor",
    "1": "critical",
    "2": "critical",
    "3": "major",
    "4": "minor",
}
ADVISORIES = ("actionrequired", "informational", "information", "billing")


def recognises(payload: JSONObject) -> bool:
    return payload.get("schemaId") in (COMMON, ACTIVITY_LOG)


def read(payload: JSONObject, page: str | None = None) -> Update:
    """Return the update in an alert; raise NotAnUpdate or UnknownShape, as statuspage.read does."""
    path, event, subscription = _event(payload)
    given = mapping(event.get("properties"))
    tracking_id = required(given.get("trackingId"), f"{path}.properties.trackingId")
    kind = word(given.get("incidentType"), {})
    is_planned, is_advisory = kind == "maintenance", kind in ADVISORIES
    at, start, end = event.get("eventTimestamp"), given.get("impactStartTime"), given.get("impactMitigationTime")
    told_at = required_time(instant(at), f"{path}.eventTimestamp")
    status = word(given.get("stage") or event.get("status"), STAGES)
    if is_planned and status in ("investigating", "resolved"):
        status = "completed" if status == "resolved" else stage(told_at, instant(start), instant(end))
    if is_advisory and status == "investigating":  # an advisory is only ever Active
        status = None
    impact = "maintenance" if is_planned else "none" if is_advisory else LEVELS.get(word(event.get("level"), {}) or "")
    body = text(given.get("communication")) or given.get("defaultLanguageContent")
    incident = {
        "id": tracking_id,
        "name": given.get("title"),
        "status": status,
        "impact": impact,
        "created_at": None if is_planned else start,
        "updated_at": at,
        "resolved_at": end if status in ("resolved", "postmortem") else None,
        "scheduled_for": start if is_planned else None,
        "scheduled_until": end if is_planned else None,
        "shortlink": f"https://app.azure.com/h/{quote(tracking_id, safe='')}/{subscription[:3]}{subscription[-3:]}",
        "components": _components(given),
        "incident_updates": [incident_update(given.get("communicationId"), status, body, at)],
    }
    return statuspage.read({"page": PAGE, "incident": incident}, page)


def _event(payload: JSONObject) -> tuple[str, JSONObject, str]:
    """Return the path of Service Health's event, the event, and its subscription; raise UnknownShape."""
    data = mapping(payload.get("data"))
    essentials, log = mapping(data.get("essentials")), mapping(mapping(data.get("context")).get("activityLog"))
    if payload.get("schemaId") == COMMON and word(essentials.get("monitoringService"), {}) == "servicehealth":
        targets = essentials.get("alertTargetIDs")
        target = (text(targets[0]) if isinstance(targets, list) and targets else None) or ""
        return "data.alertContext", mapping(data.get("alertContext")), target.removeprefix("/subscriptions/")
    if payload.get("schemaId") == ACTIVITY_LOG and word(log.get("eventSource"), {}) == "servicehealth":
        return "data.context.activityLog", log, text(log.get("subscriptionId")) or ""
    raise UnknownShape("the alert is not one of Azure Service Health")


def _components(given: JSONObject) -> list[JSONObject]:
    services = given.get("impactedServices")  # documented as JSON in a text; Azure sends a list, too
    if isinstance(services, str):
        with suppress(NotAnUpdate):
            services = decode(f'{{"services": {services}}}'.encode()).get("services")
    return [
        {"id": service.get("ServiceName"), "name": _name_with_regions(service)} for service in records(services)
    ] or [{"name": given.get("service")}]


def _name_with_regions(service: JSONObject) -> str | None:
    name = text(service.get("ServiceName"))
    regions = [region for one in records(service.get("ImpactedRegions")) if (region := text(one.get("RegionName")))]
    return f"{name} ({', '.join(regions)})" if name and regions else name
