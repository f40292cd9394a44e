"""An incident is its newest update, with the whole story: fold updates into one, and give it out as JSON.

The JSON is Statuspage's own shape and names: https://developer.statuspage.io/#tag/incidents
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from monitor.senders import payload
from monitor.updates.update import Component, IncidentUpdate, Update, message, said_at

MOST_INCIDENT_UPDATES, LONGEST_TITLE = 1000, 1000

TIMES = ("created_at", "updated_at", "resolved_at", "scheduled_for", "scheduled_until")
ENDED = frozenset({"resolved", "postmortem", "completed"})


def fold(incident: Update | None, update: Update) -> Update:
    """Return the incident with one more of its updates, in whatever order they come.

    The state is that of the newest update, the story every entry that any of them brought, newest first.
    `created_at` stays what it was at first sight, so that an incident keeps its place in a listing.
    """
    entries = update.incident_updates
    if None in [entry.updated_at for entry in entries]:
        entries = tuple(_dated(entry, update.updated_at) for entry in entries)
    if incident is None:
        # The common case costs nothing: an incident's first update holds one entry.
        return (
            update
            if len(entries) < 2 and entries is update.incident_updates
            else replace(update, incident_updates=_story(entries))
        )
    newest = incident if update.updated_at < incident.updated_at else update
    story = _story(incident.incident_updates + entries)
    return replace(newest, created_at=incident.created_at, incident_updates=story)


def is_open(incident: Update) -> bool:
    """A component update is a change, neither open nor ended."""
    return not incident.is_component_update and incident.status not in ENDED


def _dated(entry: IncidentUpdate, updated_at: datetime) -> IncidentUpdate:
    """Give an entry without a time that of the update that brought it: the story is in the order of time."""
    return replace(entry, updated_at=entry.updated_at or entry.time or updated_at)


def _story(entries: Iterable[IncidentUpdate]) -> tuple[IncidentUpdate, ...]:
    """Return each entry once, as last edited."""
    story: dict[object, IncidentUpdate] = {}
    for entry in entries:
        known = story.get(identity_of(entry))
        if known is None or _edited(entry) > _edited(known):
            story[identity_of(entry)] = entry
    return tuple(sorted(story.values(), key=said_at, reverse=True)[:MOST_INCIDENT_UPDATES])


def identity_of(entry: IncidentUpdate) -> object:
    """Return what tells an entry of an incident apart: its id, or without one what it says and when."""
    return entry.id or (entry.status, entry.body, entry.display_at or entry.created_at)


def _edited(entry: IncidentUpdate) -> float:
    return entry.updated_at.timestamp() if entry.updated_at else 0.0


def ended_at(incident: Update) -> datetime | None:
    """Return when an incident ended, or None for one that is open."""
    return None if is_open(incident) else incident.resolved_at or incident.updated_at


def document(incident: Update) -> dict[str, Any]:
    """Return an incident as Statuspage's API gives it; one from a component update also says which change it was."""
    return _without_story(incident) | {
        "postmortem_body": incident.postmortem_body,
        "incident_updates": [
            {
                "id": entry.id,
                "status": entry.status,
                "body": entry.body,
                "created_at": iso(entry.created_at),
                "updated_at": iso(entry.updated_at),
                "display_at": iso(entry.display_at),
            }
            for entry in incident.incident_updates
        ],
    }


def summary(update: Update) -> dict[str, Any]:
    """Return one update by itself: the incident without its story, and the `message` as it is printed."""
    return _without_story(update) | {"name": update.name[:LONGEST_TITLE], "message": message(update)}


def _without_story(incident: Update) -> dict[str, Any]:
    served: dict[str, Any] = {
        "id": incident.id,
        "name": incident.name,
        "status": incident.status,
        "impact": incident.impact,
        "created_at": iso(incident.created_at),
        "updated_at": iso(incident.updated_at),
        "resolved_at": iso(incident.resolved_at),
        "scheduled_for": iso(incident.scheduled_for),
        "scheduled_until": iso(incident.scheduled_until),
        "shortlink": incident.shortlink,
        "page": {"id": incident.page_id, "name": incident.page},
        "components": [{"id": c.id, "name": c.name, "status": c.status} for c in incident.components],
    }
    if incident.is_component_update:
        served["component_update"] = {
            "id": incident.id,
            "component_id": incident.components[0].id,
            "old_status": incident.old_status,
            "new_status": incident.status,
            "created_at": iso(incident.updated_at),
        }
    return served


def alone(update: Update) -> Update:
    """Return one update by itself, without the story that it brought: its message is the newest of that."""
    if len(update.incident_updates) < 2 and not update.postmortem_body:
        return update
    return replace(update, incident_updates=(), postmortem_body=None)


def size_of(state: Update) -> int:
    """Return about how many characters an incident or an update keeps, and something for every object."""
    size = 200 + len(state.page) + len(state.name) + len(state.message)
    for text in (
        state.status, state.impact, state.shortlink, state.postmortem_body, state.old_status, state.unsubscribe
    ):  # fmt: skip
        size += len(text) if text else 0
    for component in state.components:
        size += 100 + len(component.name) + len(component.id or "") + len(component.status or "")
    for entry in state.incident_updates:
        size += 100 + len(entry.body or "") + len(entry.id or "") + len(entry.status or "")
    return size


def restore(served: dict[str, Any]) -> Update:
    """Return the incident of a document that also holds its `message`, or the update of a summary."""
    change = served.get("component_update")
    times: dict[str, Any] = {name: payload.time(served[name]) for name in TIMES}
    return Update(
        page_id=served["page"]["id"],
        page=served["page"]["name"],
        components=tuple([Component(**component) for component in served["components"]]),
        incident_updates=tuple([_entry(**entry) for entry in served.get("incident_updates", ())]),
        is_component_update=change is not None,
        old_status=change and change["old_status"],
        postmortem_body=served.get("postmortem_body"),
        **{name: served[name] for name in ("id", "name", "status", "impact", "shortlink", "message")},
        **times,
    )


def _entry(*, created_at: str, updated_at: str, display_at: str, **texts: str) -> IncidentUpdate:
    times = [payload.time(value) for value in (created_at, updated_at, display_at)]
    return IncidentUpdate(texts["id"], texts["status"], texts["body"], *times)


@lru_cache(maxsize=1024)  # an entry's three times are mostly one
def iso(instant: datetime | None) -> str | None:
    """Return an instant as Statuspage writes it: `2025-11-03T14:32:00.000Z`."""
    if instant is None:
        return None
    precision = "microseconds" if instant.microsecond % 1000 else "milliseconds"
    return instant.isoformat(timespec=precision)[:-6] + "Z"
