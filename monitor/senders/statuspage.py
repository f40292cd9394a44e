"""Statuspage webhook JSON -> Update, as documented and as really sent.

https://support.atlassian.com/statuspage/docs/enable-webhook-notifications/
Incidents, scheduled maintenances (incidents with the impact maintenance), postmortems (incidents with the status
postmortem) and component updates.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from html import escape

from monitor.senders.links import link, page_of
from monitor.senders.payload import JSONObject, identifier, mapping, records, text, word
from monitor.senders.translate import required, required_time
from monitor.updates.errors import NotAnUpdate, UnknownShape
from monitor.updates.impacts import COMPONENT_IMPACTS, ENDED, in_words
from monitor.updates.text import cut_bytes
from monitor.updates.times import instant
from monitor.updates.update import (
    LONGEST_BODY,
    LONGEST_NAME,
    MOST_COMPONENTS,
    Component,
    IncidentUpdate,
    Update,
    bounded,
    headline,
    said_at,
)

NO_COMPONENT = "No components were affected by this update."  # status.datadoghq.com lists it as a component
MOST_WRITTEN_OUT = 50  # incident updates; in longer stories only ISO 8601 times are read


def read(payload: JSONObject, page: str | None = None) -> Update:
    """Return the update in a webhook's payload; `page`, from the subscribed URL, overrides the payload's page name.

    Raise NotAnUpdate without an id or a usable time, UnknownShape without an incident and a component update.
    """
    if payload.get("incident") is not None:
        return _incident(payload, page)
    if isinstance(payload.get("component_update"), dict):
        return _component_update(payload, page)
    raise UnknownShape("neither incident nor component_update is in the payload")


def _incident(payload: JSONObject, page: str | None) -> Update:
    incident = payload["incident"]
    if not isinstance(incident, dict):
        raise NotAnUpdate("incident is not an object")
    incident_id = required(incident.get("id"), "incident.id")
    created_at, status = instant(incident.get("created_at")), word(incident.get("status"))
    meta = mapping(payload.get("meta"))
    entries, newest, record = _entries(incident, status)
    # created_at comes last: it is the same in every update of an incident, so all would look like one.
    told_at = newest.time if newest else None
    updated_at = instant(incident.get("updated_at")) or told_at or instant(meta.get("generated_at")) or created_at
    if updated_at is None:
        raise NotAnUpdate("incident.updated_at is missing or not a time")

    name = (text(incident.get("name")) or f"Incident {incident_id}")[:LONGEST_NAME]
    page_id, page_name, is_named = page_of(payload, incident.get("page_id"), incident.get("shortlink"), page)
    # 8 bodies never exceed the bound of a story.
    story, is_cut = (entries, False) if len(entries) <= 8 else bounded(entries)
    return Update(
        page_id=page_id,
        page=page_name,
        id=incident_id,
        updated_at=updated_at,
        name=name,
        message=_message(incident, name, status, newest),
        status=status,
        impact=word(incident.get("impact")),
        created_at=created_at or updated_at,
        resolved_at=instant(incident.get("resolved_at")),
        scheduled_for=instant(incident.get("scheduled_for")),
        scheduled_until=instant(incident.get("scheduled_until")),
        shortlink=link(incident.get("shortlink")),
        postmortem_body=_body(incident.get("postmortem_body")),
        components=_components(incident.get("components")) or _components(record.get("affected_components")),
        incident_updates=story,
        is_cut=is_cut,
        unsubscribe=link(meta.get("unsubscribe")),
        is_named=is_named,
        is_past=incident.get("backfilled") is True and status in ENDED,
    )


def _entries(
    incident: JSONObject, status: str | None
) -> tuple[tuple[IncidentUpdate, ...], IncidentUpdate | None, JSONObject]:
    """Return the incident updates, the newest of them, and the record of the newest."""
    listed = records(incident.get("incident_updates"))
    is_iso = len(listed) > MOST_WRITTEN_OUT
    entries = tuple([_incident_update(record, is_iso) for record in listed])
    if not entries:
        return (), None, {}
    if len(entries) == 1:  # the most common case
        return entries, entries[0], listed[0]
    if _is_oldest_first(entries, status):
        listed, entries = listed[::-1], entries[::-1]
    newest = max(range(len(entries)), key=lambda place: _written_at(entries[place]))
    return entries, entries[newest], listed[newest]


def _incident_update(entry: JSONObject, is_iso: bool) -> IncidentUpdate:
    return IncidentUpdate(
        id=(text(entry.get("id")) or "")[:LONGEST_NAME] or None,
        status=word(entry.get("status")),
        body=_body(entry.get("body")),
        created_at=instant(entry.get("created_at"), is_iso=is_iso),
        updated_at=instant(entry.get("updated_at"), is_iso=is_iso),
        display_at=instant(entry.get("display_at"), is_iso=is_iso),
    )


def _is_oldest_first(entries: Sequence[IncidentUpdate], status: str | None) -> bool:
    """Tell the order of a list by its ends; entries with equal times keep that order."""
    first, last = entries[0], entries[-1]
    at_first, at_last = said_at(first), said_at(last)
    return at_first < at_last or (at_first == at_last and last.status == status != first.status)


def _written_at(entry: IncidentUpdate) -> float:
    """Return when an entry became news: the later of its creation and its display, which an editor may backdate."""
    times = [at.timestamp() for at in (entry.display_at, entry.created_at) if at]
    return max(times, default=said_at(entry))


def _body(value: object) -> str | None:
    body = text(value)
    return body and cut_bytes(body, LONGEST_BODY)


def _message(incident: JSONObject, name: str, status: str | None, newest: IncidentUpdate | None) -> str:
    if newest and newest.body and (status != "postmortem" or newest.status == "postmortem"):
        return newest.body
    postmortem = _body(incident.get("postmortem_body")) if status == "postmortem" else None
    return postmortem or (newest and newest.body) or escape(headline(status, name), quote=False)


def _components(value: object) -> tuple[Component, ...]:
    components = []
    for record in records(value)[:MOST_COMPONENTS]:
        name = text(record.get("name"))
        if name and name != NO_COMPONENT:
            # affected_components has `code` for the id and `new_status` for the status.
            component_id = word(record.get("id")) or word(record.get("code"))
            status = word(record.get("status")) or word(record.get("new_status"))
            components.append(_component(component_id, name[:LONGEST_NAME], status))
    return tuple(components)


# Thousands of kept updates name the same few components: shared ones are quicker to make and take less memory.
_component = lru_cache(maxsize=1024)(Component)


def _component_update(payload: JSONObject, page: str | None) -> Update:
    change, component = payload["component_update"], mapping(payload.get("component"))
    meta = mapping(payload.get("meta"))
    change_id = identifier(change.get("id"), "component_update.id")
    new_status = word(change.get("new_status")) or word(component.get("status"))
    if change_id is None or new_status is None:
        raise UnknownShape("component_update has no " + ("new_status" if change_id else "id"))
    changed_at = instant(change.get("created_at")) or instant(component.get("updated_at"))
    updated_at = required_time(changed_at or instant(meta.get("generated_at")), "component_update.created_at")
    component_id = word(change.get("component_id")) or word(component.get("id"))
    name = (text(component.get("name")) or f"Component {component_id or change_id}")[:LONGEST_NAME]
    old_status = word(change.get("old_status"))
    page_id, page_name, is_named = page_of(payload, component.get("page_id"), None, page)
    return Update(
        page_id=page_id,
        page=page_name,
        id=change_id,
        updated_at=updated_at,
        name=name,
        message=in_words(new_status) + (f" (was {in_words(old_status)})" if old_status else ""),
        status=new_status,
        impact=COMPONENT_IMPACTS.get(new_status),
        created_at=updated_at,
        components=(Component(component_id, name, new_status),),
        is_component_update=True,
        old_status=old_status,
        unsubscribe=link(meta.get("unsubscribe")),
        is_named=is_named,
    )
