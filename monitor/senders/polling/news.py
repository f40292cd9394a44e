"""The news in what a page lists, compared with what the history knows of it.

Each entry of an incident that was never told becomes an update at its own time, the newest at the incident's
`updated_at`, as in its push. An incident without such an entry, and with the same status, impact and components'
statuses, was only edited: it is recorded and not told. So is the past: incidents that had ended when their page was
first polled. A component's status is news if no push, no poll and no open incident told it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from html import escape

from monitor.history.contract import Page
from monitor.senders import statuspage
from monitor.senders.payload import JSONObject, text
from monitor.senders.translate import component_update
from monitor.updates.document import summary, update_of
from monitor.updates.impacts import COMPONENT_IMPACTS, ENDED, is_maintenance
from monitor.updates.incident import Incident, identity_of
from monitor.updates.times import instant
from monitor.updates.update import (
    LONGEST_NAME,
    MOST_COMPONENTS,
    IncidentUpdate,
    State,
    Update,
    headline,
    said_at,
)

GONE = "The page no longer lists this incident as open."
MARGIN = timedelta(hours=1)  # a page's clock is not ours, and an answer may come from a cache


@dataclass(frozen=True, slots=True)
class Baseline:
    """An unknown incident that ended by `until` is the past; `is_pushed` says that the page has pushed."""

    until: datetime
    is_pushed: bool

    @classmethod
    def of(cls, page: Page | None, at_start: Page | None) -> Baseline:
        """Return the baseline of a page, given its row in the history now and when the program started.

        Until an answer is recorded, the last push before the start counts: later pushes would hide what came between.
        """
        heard, at = (page, page.polled_at) if page and page.polled_at else (at_start, at_start and at_start.pushed_at)
        until = min(heard.updated_at, at - MARGIN) if heard and at else datetime.max.replace(tzinfo=UTC)
        return cls(until, page is not None and page.pushed_at is not None)


def news(state: Update, known: Incident | None, baseline: Baseline) -> list[Update]:
    """Return the updates to record of a listed incident, in order; `known` is the incident in the history."""
    newest = max(state.incident_updates, key=said_at, default=None)
    if known is None:
        if not state.is_open and (state.is_past or state.updated_at <= baseline.until):
            return [replace(state, is_past=True)]
        untold = [entry for entry in state.incident_updates if entry.time and entry.time > baseline.until]
        is_newer = is_news = True
    else:
        told = {identity_of(entry) for entry in known.incident_updates}
        untold = [entry for entry in state.incident_updates if identity_of(entry) not in told]
        if known.is_cut and known.incident_updates:  # older entries were told, and are no longer known
            untold = [entry for entry in untold if said_at(entry) > said_at(known.incident_updates[-1])]
        if state.is_open and known.message == GONE:  # the page lists it again: it lists no end that we concluded
            return [replace(state, updated_at=max(state.updated_at, datetime.now(UTC)))]
        is_newer = state.updated_at > known.updated_at
        is_news = newest in untold or (is_newer and _says(state) != _says(known))
    earlier = sorted((entry for entry in reversed(untold) if entry is not newest and entry.time), key=said_at)
    is_backlog = known is None and state.updated_at <= baseline.until
    last = [replace(state, is_past=not is_news, is_backlog=is_backlog)] if is_news or is_newer else []
    return [_at(state, entry) for entry in earlier] + last


def end_of(incident: Incident) -> Update:
    """Return an update that ends an incident, which its page deleted, or resolved without listing that."""
    now = datetime.now(UTC)
    last, status = update_of(summary(incident)), "completed" if is_maintenance(incident) else "resolved"
    return replace(last, status=status, message=GONE, updated_at=now, resolved_at=now, is_polled=True)


def changes(components: Iterable[JSONObject], open_here: Iterable[Incident], page: tuple[str, str]) -> list[Update]:
    """Return the changes to tell of the components that a page lists; `page` is its id and name.

    The open incidents here say what is known of a component; without any, it is operational.
    """
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


def _says(state: State) -> object:
    """Return what counts beside entries; after its end, an incident's components fail for other reasons."""
    components = {component.identity: component.status for component in state.components}
    return state.status, state.impact, state.is_open and components


def _at(state: Update, entry: IncidentUpdate) -> Update:
    """Return the update that a push of an earlier entry would have brought."""
    before = state.updated_at - timedelta(microseconds=1)  # whatever date an editor sets, the state stays the newest
    return replace(
        state,
        updated_at=min(entry.time or before, before),
        status=entry.status,
        message=entry.body or escape(headline(entry.status, state.name), quote=False),
        resolved_at=state.resolved_at if entry.status in ENDED else None,
        postmortem_body=None,
        incident_updates=(entry,),
        is_past=False,
    )
