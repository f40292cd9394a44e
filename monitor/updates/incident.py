"""Incident: the state of one incident, maintenance or component's change after all its updates, with its story.

An incident is open until its newest update says that it is over. A component's change stands for the time that the
component spends in a status. The history ends it (`ended`) at the component's next change; it is open until then,
unless its status is operational.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from time import time
from typing import TypeVar

from monitor.updates.impacts import ENDED, is_maintenance
from monitor.updates.update import IncidentUpdate, State, Update, bounded, said_at

AnyState = TypeVar("AnyState", bound=State)

SECONDS_AHEAD = 86_400  # an update further ahead of our clock is ordered by its arrival


@dataclass(slots=True)
class Incident(State):
    """A State after its newest update; `is_polled` says that polling found that update.

    `resolved_at` is the page's own word, or the instant of the component's next change. `ended_at` is when it ended.
    """

    is_polled: bool = False

    @property
    def began_at(self) -> datetime:
        """When it began; a maintenance begins when it is scheduled for."""
        return self.scheduled_for or self.created_at

    @property
    def is_upcoming(self) -> bool:
        """Tell whether this is a maintenance that is announced and has not begun."""
        return self.status == "scheduled" and is_maintenance(self)

    @property
    def ended_at(self) -> datetime | None:
        """When it ended, or None while open: the time of the first entry that says so, as a postmortem may follow."""
        if self.is_open:
            return None
        said = None
        for entry in self.incident_updates:  # newest first
            if entry.status not in ENDED:
                break
            said = entry.time or said
        known = [at for at in (self.resolved_at, said) if at and not _is_ahead(at)]
        return min(known, default=self.updated_at)

    def is_ahead_of(self, update: Update) -> bool:
        """Tell whether an update, already folded in, came late: what it says was over before it arrived."""
        return update.updated_at < self.updated_at or (self.is_component_update and self.resolved_at is not None)


_values = attrgetter(*[field.name for field in fields(State)], "is_polled")  # Incident's arguments, from an Update


def fold(incident: Incident | None, update: Update) -> Incident:
    """Return the incident after one more update; updates may arrive in any order.

    The state is that of the newest update. The story has every entry of every update, newest first. `created_at` stays
    that of the first update to arrive, so that an incident keeps its place in a listing.
    """
    new = Incident(*_values(update))
    if _is_ahead(update.updated_at):
        new.updated_at = datetime.now(UTC)
    if update.created_at > new.updated_at and _is_ahead(update.created_at):
        new.created_at = new.updated_at
    entries = update.incident_updates
    if None in [entry.updated_at for entry in entries]:
        at = update.updated_at  # for entries without a time, as the story is sorted by time
        entries = tuple([replace(entry, updated_at=entry.updated_at or entry.time or at) for entry in entries])
    if incident is None:
        if len(entries) > 1 or entries is not update.incident_updates:  # else nothing to do: the common case
            new.incident_updates, is_cut = _story(entries)
            new.is_cut = new.is_cut or is_cut
        return new
    # A state that was recorded while our clock was far ahead is older than every later arrival.
    is_late = new.updated_at < incident.updated_at and not _is_ahead(incident.updated_at)
    # Of two entries in the same second, the later arrival counts as newer.
    story, is_cut = _story(incident.incident_updates + entries if is_late else entries + incident.incident_updates)
    is_cut = is_cut or incident.is_cut or update.is_cut
    newest = incident if is_late else new
    folded = replace(newest, created_at=incident.created_at, incident_updates=story, is_cut=is_cut)
    if incident.is_component_update:
        folded.resolved_at = incident.resolved_at
    return folded


def _is_ahead(at: datetime) -> bool:
    return at.timestamp() > time() + SECONDS_AHEAD


def is_news(incident: Incident | None, update: Update, *, is_new_key: bool) -> bool:
    """Tell whether an update is to be announced, by its key and by the entries of its incident so far.

    A new key is news, unless polling told the same before the push arrived, or two processes polled at once and
    concluded the same end. A known key is news if its newest entry is unknown: another entry in the same second.
    """
    if incident is None:
        return is_new_key
    if not update.incident_updates:
        is_told = update.is_polled and incident.is_polled and update.message == incident.message
        return is_new_key and not (is_told and update.name == incident.name and _is_same(update, incident))
    newest = max(update.incident_updates, key=said_at)
    told = {identity_of(entry): (entry.status, entry.body) for entry in incident.incident_updates}
    if not is_new_key:
        return identity_of(newest) not in told
    if update.is_polled or not incident.is_polled or told.get(identity_of(newest)) != (newest.status, newest.body):
        return True
    # If the push is late, polling has told other entries since this one.
    return not (incident.is_ahead_of(update) or _is_same(update, incident))


def is_repeat(last: Incident | None, change: Update) -> bool:
    """Tell whether a component's change repeats what polling or a push told; `last` is the last change known.

    The ids of the two differ. The page gives both times, to some seconds, or the poll came up to an hour late. What
    polling finds before the last push comes from a cache.
    """
    if last is None or last.is_polled == change.is_polled:
        return False
    later = change.updated_at - last.updated_at
    if change.is_polled:
        return later <= timedelta()
    return change.status == last.status and timedelta(hours=-1) <= later <= timedelta(minutes=1)


def _is_same(update: Update, incident: Incident) -> bool:
    return _what_counts(update) == _what_counts(incident)


def _what_counts(state: State) -> tuple[str | None, str | None, set[tuple[str, str | None]]]:
    return state.status, state.impact, {(component.identity, component.status) for component in state.components}


def ended(change: Incident, at: datetime) -> Incident:
    """Return a component's change that ends at an instant, unless it ended before."""
    return replace(change, resolved_at=min(at, change.resolved_at or at))


def _story(entries: Iterable[IncidentUpdate]) -> tuple[tuple[IncidentUpdate, ...], bool]:
    """Return each entry once, as last edited, within the bounds of a story, and whether some are left out."""
    story: dict[object, IncidentUpdate] = {}
    for entry in entries:
        known = story.get(identity_of(entry))
        if known is None or _edited(entry) > _edited(known):
            story[identity_of(entry)] = entry
    return bounded(story.values())


def identity_of(entry: IncidentUpdate) -> object:
    """Return an entry's id, or without one what it says and when: unique within its incident."""
    return entry.id or (entry.status, entry.body, entry.display_at or entry.created_at)


def _edited(entry: IncidentUpdate) -> float:
    return entry.updated_at.timestamp() if entry.updated_at else 0.0


def without_story(state: AnyState) -> AnyState:
    """Return a state without its story and postmortem; its message has the newest entry."""
    if len(state.incident_updates) < 2 and not state.postmortem_body:
        return state
    return replace(state, incident_updates=(), postmortem_body=None)


def size_of(state: State) -> int:
    """Return about how many bytes a state takes in memory."""
    size = 400 + len(state.page) + len(state.name) + len(state.message)
    size += len(state.shortlink or "") + len(state.postmortem_body or "")
    for component in state.components:
        size += 100 + len(component.name)
    for entry in state.incident_updates:
        size += 200 + len(entry.body or "")
    return size
