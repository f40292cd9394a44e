"""The news in an incident that a page lists, compared with what the history knows of it.

Each entry that was never told becomes an update at its own time, the newest at the incident's `updated_at`, as in its
push. An incident without such an entry, and with the same status, impact and components' statuses, was only edited: it
is recorded and not told. So is the past: incidents that had ended when their page was first polled.
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
