"""What is news in an incident that a page lists, beside what is known of it.

Each entry that was never told is an update of its own, at its own time; the newest is the incident's, at `updated_at`,
as in its push. What brings no such entry, nor another status, impact or status of a component, was only edited: it is
recorded and not told. So is the past: what had ended when its page was polled for the first time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from html import escape

from monitor.history.contract import Page
from monitor.updates.document import summary, update_of
from monitor.updates.impacts import ENDED, is_maintenance
from monitor.updates.incident import Incident, identity_of
from monitor.updates.update import IncidentUpdate, State, Update, headline, said_at

MARGIN = timedelta(hours=1)  # a page's clock is not ours, and an answer may come out of a cache


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is not known and ended up to `until` is the past; `is_pushed` says that pushes of the page come."""

    until: datetime
    is_pushed: bool

    @classmethod
    def of(cls, page: Page | None, at_start: Page | None) -> Baseline:
        """Return that of a page as the history has it now, and had it when the program started.

        Until an answer is recorded, the last push before the start counts: later ones hide what they woke us from.
        """
        heard, at = (page, page.polled_at) if page and page.polled_at else (at_start, at_start and at_start.pushed_at)
        until = min(heard.updated_at, at - MARGIN) if heard and at else datetime.max.replace(tzinfo=UTC)
        return cls(until, page is not None and page.pushed_at is not None)


def news(state: Update, known: Incident | None, baseline: Baseline) -> list[Update]:
    """Return the updates to record of an incident as its page lists it, in their order; `known` is our own record."""
    newest = max(state.incident_updates, key=said_at, default=None)
    if known is None:
        if not state.is_open and (state.is_past or state.updated_at <= baseline.until):
            return [replace(state, is_past=True)]
        untold = [entry for entry in state.incident_updates if entry.time and entry.time > baseline.until]
        is_newer = is_news = True
    else:
        told = {identity_of(entry) for entry in known.incident_updates}
        untold = [entry for entry in state.incident_updates if identity_of(entry) not in told]
        is_newer = state.updated_at > known.updated_at
        is_news = newest in untold or (is_newer and _says(state) != _says(known))
    earlier = sorted((entry for entry in reversed(untold) if entry is not newest and entry.time), key=said_at)
    is_backlog = known is None and state.updated_at <= baseline.until
    last = [replace(state, is_past=not is_news, is_backlog=is_backlog)] if is_news or is_newer else []
    return [_at(state, entry) for entry in earlier] + last


def end_of(incident: Incident) -> Update:
    """Return the end of an incident that its page deleted, or resolved where nobody saw it."""
    now, message = datetime.now(UTC), "The page no longer lists this incident as open."
    last, status = update_of(summary(incident)), "completed" if is_maintenance(incident) else "resolved"
    return replace(last, status=status, message=message, updated_at=now, resolved_at=now, is_polled=True)


def _says(state: State) -> object:
    """Return what an incident says beside its entries; once it is over, its components fail for other reasons."""
    components = {component.identity: component.status for component in state.components}
    return state.status, state.impact, state.is_open and components


def _at(state: Update, entry: IncidentUpdate) -> Update:
    """Return the update that the push of an earlier entry would have been."""
    before = state.updated_at - timedelta(microseconds=1)  # the state stays the newest, whatever an editor dates
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
