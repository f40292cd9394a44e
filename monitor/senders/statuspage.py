"""Statuspage webhook JSON -> Update.

Incidents, scheduled maintenances (an incident with impact "maintenance"), postmortems (an incident whose
status says so) and component updates, as documented and as really sent:
https://support.atlassian.com/statuspage/docs/enable-webhook-notifications/
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from html import escape

from monitor.senders.payload import JSONObject, identifier, mapping, records, text, word
from monitor.updates.errors import NotAnUpdate, UnknownShape
from monitor.updates.impacts import COMPONENT_IMPACTS, ENDED, in_words
from monitor.updates.text import cut_bytes, storable
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

# Stands in affected_components as if it were one (status.datadoghq.com).
NO_COMPONENT = "No components were affected by this update."

# Hosts in shortlinks and unsubscribe addresses that belong to a status page's maker, not to one page.
SHARED_HOSTS = frozenset(
    "stspg.io statuspage.io www.statuspage.io manage.statuspage.io dashboard.instatus.com instatus.com "
    "status.io app.status.io app.incident.io".split()
)

LONGEST_ADDRESS, LONGEST_LINK = 300, 2000  # of which a host is read; that a page may show as a link
_host = re.compile(r"https?://([a-z0-9.-]{1,253})(?=[/:?#]|$)", re.IGNORECASE)


def read(payload: JSONObject, page: str | None = None) -> Update:
    """Return the update in a webhook's payload; `page`, from the subscribed URL, names the page over all else.

    Raise NotAnUpdate where an incident has no id or no usable time, UnknownShape where there is nothing known.
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
    incident_id = identifier(incident.get("id"), "incident.id")
    if incident_id is None:
        raise NotAnUpdate("incident.id is missing or not a text")

    created_at, meta = instant(incident.get("created_at")), mapping(payload.get("meta"))
    entries = records(incident.get("incident_updates"))
    incident_updates = tuple([_incident_update(entry) for entry in entries])
    if len(entries) > 1 and _is_oldest_first(incident_updates, word(incident.get("status"))):
        entries, incident_updates = entries[::-1], incident_updates[::-1]
    newest = max(range(len(entries)), key=lambda i: _written_at(incident_updates[i])) if len(entries) > 1 else 0
    newest_entry = incident_updates[newest] if entries else None
    # created_at comes last: it is the same in every update of an incident, which would then look like one.
    updated_at = (
        instant(incident.get("updated_at"))
        or (newest_entry and newest_entry.time)
        or instant(meta.get("generated_at"))
        or created_at
    )
    if updated_at is None:
        raise NotAnUpdate("incident.updated_at is missing or not a time")

    name = (text(incident.get("name")) or f"Incident {incident_id}")[:LONGEST_NAME]
    status = word(incident.get("status"))
    page_id, page_name, is_named = _page(payload, incident.get("page_id"), incident.get("shortlink"), page)
    components = _components(incident.get("components"))
    if not components and entries:
        components = _components(entries[newest].get("affected_components"))
    # So few cannot pass the bound of a story.
    story, is_cut = (incident_updates, False) if len(entries) <= 8 else bounded(incident_updates)
    return Update(
        page_id=page_id,
        page=page_name,
        id=incident_id,
        updated_at=updated_at,
        name=name,
        message=_message(incident, name, status, newest_entry),
        status=status,
        impact=word(incident.get("impact")),
        created_at=created_at or updated_at,
        resolved_at=instant(incident.get("resolved_at")),
        scheduled_for=instant(incident.get("scheduled_for")),
        scheduled_until=instant(incident.get("scheduled_until")),
        shortlink=_link(incident.get("shortlink")),
        postmortem_body=_body(incident.get("postmortem_body")),
        components=components,
        incident_updates=story,
        is_cut=is_cut,
        unsubscribe=_link(meta.get("unsubscribe")),
        is_named=is_named,
        is_past=incident.get("backfilled") is True and status in ENDED,
    )


def _incident_update(entry: JSONObject) -> IncidentUpdate:
    return IncidentUpdate(
        id=(text(entry.get("id")) or "")[:LONGEST_NAME] or None,
        status=word(entry.get("status")),
        body=_body(entry.get("body")),
        created_at=instant(entry.get("created_at")),
        updated_at=instant(entry.get("updated_at")),
        display_at=instant(entry.get("display_at")),
    )


def _is_oldest_first(entries: Sequence[IncidentUpdate], status: str | None) -> bool:
    """Tell the order of a list by its ends: it decides between entries of one time."""
    first, last = entries[0], entries[-1]
    at_first, at_last = said_at(first), said_at(last)
    return at_first < at_last or (at_first == at_last and last.status == status != first.status)


def _written_at(entry: IncidentUpdate) -> float:
    """Return when an entry became news: one that is displayed at an earlier time was written later than that."""
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
            # affected_components calls the id `code` and the status `new_status`
            component_id = word(record.get("id")) or word(record.get("code"))
            status = word(record.get("status")) or word(record.get("new_status"))
            components.append(_component(component_id, name[:LONGEST_NAME], status))
    return tuple(components)


# The same few stand in thousands of updates, which are kept: one of each is quicker to make, to keep and to forget.
_component = lru_cache(maxsize=1024)(Component)


def _component_update(payload: JSONObject, page: str | None) -> Update:
    change, component = payload["component_update"], mapping(payload.get("component"))
    change_id = identifier(change.get("id"), "component_update.id")
    new_status = word(change.get("new_status")) or word(component.get("status"))
    if change_id is None or new_status is None:
        raise UnknownShape("component_update has no " + ("new_status" if change_id else "id"))
    updated_at = (
        instant(change.get("created_at"))
        or instant(component.get("updated_at"))
        or instant(mapping(payload.get("meta")).get("generated_at"))
    )
    if updated_at is None:
        raise NotAnUpdate("component_update.created_at is missing or not a time")

    component_id = word(change.get("component_id")) or word(component.get("id"))
    name = (text(component.get("name")) or f"Component {component_id or change_id}")[:LONGEST_NAME]
    old_status = word(change.get("old_status"))
    page_id, page_name, is_named = _page(payload, component.get("page_id"), None, page)
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
        unsubscribe=_link(mapping(payload.get("meta")).get("unsubscribe")),
        is_named=is_named,
    )


def _page(payload: JSONObject, page_id: object, shortlink: object, named: str | None) -> tuple[str, str, bool]:
    """Return what tells the page apart, its name, and whether somebody gave that: real payloads give an id only."""
    page = mapping(payload.get("page"))
    told_apart_by = word(page.get("id")) or word(page_id)
    given = text(named and storable(named)) or text(page.get("name"))
    name = (
        given
        or _own_host(page.get("url"))
        or _own_host(shortlink)
        or _own_host(mapping(payload.get("meta")).get("unsubscribe"))
        or told_apart_by
        or "Unknown page"
    )
    return (told_apart_by or name)[:LONGEST_NAME], name[:LONGEST_NAME], given is not None


@lru_cache(maxsize=1024)
def _host_of(address: str) -> str | None:
    match = _host.match(address)
    host = match[1].lower() if match else None
    return host if host not in SHARED_HOSTS else None


def _own_host(address: object) -> str | None:
    return _host_of(address[:LONGEST_ADDRESS]) if isinstance(address, str) else None


def _link(address: object) -> str | None:
    """Return an address that a page may show as a link: http or https, so never `javascript:`, and of some length."""
    link = text(address)
    return link if link and len(link) <= LONGEST_LINK and link.lower().startswith(("https://", "http://")) else None
