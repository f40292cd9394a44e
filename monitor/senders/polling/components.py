"""The news in the components of a page: a status that no push, no poll and no open incident told.

The open incidents here say what is known of a component; without any, it is operational.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from monitor.senders import statuspage
from monitor.senders.payload import JSONObject, text
from monitor.senders.translate import component_update
from monitor.updates.impacts import COMPONENT_IMPACTS
from monitor.updates.incident import Incident
from monitor.updates.times import instant
from monitor.updates.update import LONGEST_NAME, MOST_COMPONENTS, Update


def changes(components: Iterable[JSONObject], open_here: Iterable[Incident], page: tuple[str, str]) -> list[Update]:
    """Return the changes of components to tell; `components` are as the page lists them, `page` is its id and name."""
    open_here = [incident for incident in open_here if not incident.is_upcoming]
    known = {incident.subject: incident for incident in open_here if incident.is_component_update}
    told = {name for one in open_here if not one.is_component_update for c in one.components for name in (c.id, c.name)}
    now, found = datetime.now(UTC), list[JSONObject]()
    for component in components:
        status, name = text(component.get("status")), text(component.get("name")) or ""
        component_id = text(component.get("id")) or name
        if status not in COMPONENT_IMPACTS or not name or len(component_id) > LONGEST_NAME:
            continue
        last = known.get(component_id)
        is_told = status != "operational" and not told.isdisjoint((component_id, name))
        if is_told or status == (last.status if last else "operational"):
            continue
        at = instant(component.get("updated_at"))
        if at is None or at > now or (last and at <= last.updated_at):
            # A change from before the last one would be late, end nothing, and be found at every poll.
            at = max(now, last.updated_at + timedelta(microseconds=1)) if last else now
        change = {"new_status": status, "old_status": last and last.status, "created_at": at.isoformat()}
        record = {"id": component_id, "name": name}
        payload = {"page": {"id": page[0], "name": page[1]}, "component_update": change, "component": record}
        found.append(component_update(payload, {}))
    return [replace(statuspage.read(payload), is_polled=True) for payload in found[:MOST_COMPONENTS]]
