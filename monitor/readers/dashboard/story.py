"""An incident as a person reads it: its state in words, how long it took, and its story, newest entry first.

Everything a provider wrote comes out as text without control, bidirectional and zero-width characters, and bounded in
length, whatever the incident holds. What HTML means is the template's: it escapes all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

from monitor.senders.statuspage import LONGEST_LINK, MAINTENANCE_STATUSES
from monitor.updates.incident import ended_at, is_open
from monitor.updates.text import one_line, plain
from monitor.updates.update import LONGEST_PAGE, Update, in_words, message, product

# Worst first. The first word is also the name of its colour.
IMPACTS = {
    "critical": "Critical",
    "major": "Major",
    "minor": "Minor",
    "unstated": "Not stated",
    "none": "No impact",
    "maintenance": "Maintenance",
    "operational": "Operational",
}
WORST_FIRST = {impact: rank for rank, impact in enumerate(IMPACTS)}
COMPONENT_IMPACTS = {
    "major_outage": "critical",
    "partial_outage": "major",
    "degraded_performance": "minor",
    "under_maintenance": "maintenance",
    "operational": "operational",
}
LONGEST_TITLE, LONGEST_SAID, LONGEST_STATUS = 200, 300, 60
MOST_PARAGRAPHS = 50


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of a story is told: so many entries, and so many characters as the provider wrote them."""

    entries: int
    characters: int


BRIEF, WHOLE = Extent(20, 8_000), Extent(1_000, 200_000)


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was said, as paragraphs of text."""

    at: datetime | None
    status: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """One incident, maintenance or component; `key` is fit for an HTML id, `impact` is a name in IMPACTS.

    `lasted` says in words how long it took or has taken; `earlier` counts the entries that are not told.
    """

    key: str
    page_id: str
    page: str
    id: str
    title: str
    components: str
    impact: str
    status: str
    began_at: datetime
    ended_at: datetime | None
    until: datetime | None
    updated_at: datetime
    lasted: str
    said: str
    link: str | None
    entries: tuple[Entry, ...]
    earlier: int


def tell(state: Update, now: datetime, extent: Extent = BRIEF) -> Story:
    """Return an incident's story as it stands at `now`."""
    entries, earlier = _entries(state, extent)
    began_at = state.scheduled_for or state.created_at
    return Story(
        key=key_of(state),
        page_id=state.page_id,
        page=one_line(state.page, LONGEST_PAGE) or one_line(state.page_id, LONGEST_PAGE),
        id=state.id,
        title=one_line(state.name, LONGEST_TITLE) or one_line(state.id, LONGEST_TITLE),
        components=one_line(", ".join([component.name for component in state.components]), LONGEST_TITLE),
        impact=impact_of(state),
        status="" if state.is_component_update else words(state.status),
        began_at=began_at,
        ended_at=None if state.is_component_update else ended_at(state),
        until=state.scheduled_until,
        updated_at=state.updated_at,
        lasted=_lasted(state, began_at, now),
        said=one_line(message(state), LONGEST_SAID),
        link=link_of(state),
        entries=entries,
        earlier=earlier,
    )


def key_of(state: Update) -> str:
    """Return what tells an incident apart in a page, whatever its ids hold."""
    return "i" + blake2b(repr((state.page_id, state.id)).encode(), digest_size=8).hexdigest()


def link_of(state: Update) -> str | None:
    """Return the provider's own page of an incident, where its address can be a link: http or https."""
    link = state.shortlink
    is_web = link is not None and link.lower().startswith(("https://", "http://"))
    return link if is_web and link is not None and len(link) <= LONGEST_LINK and link.isprintable() else None


def impact_of(state: Update) -> str:
    """Return the name in IMPACTS of what an incident or a component's new status means to its users."""
    if state.is_component_update:
        return COMPONENT_IMPACTS.get(state.status or "", "unstated")
    return "maintenance" if state.status in MAINTENANCE_STATUSES else severity(state.impact)


def severity(impact: str | None) -> str:
    """Return a provider's word for an impact as a name in IMPACTS."""
    return impact if impact in WORST_FIRST and impact != "operational" else "unstated"


def about(update: Update) -> str:
    """Return what an update is about, in one line that fits a list."""
    return one_line(product(update), LONGEST_TITLE)


def words(status: str | None) -> str:
    """Return a status as a reader knows it, or nothing for none."""
    return one_line(in_words(status[:LONGEST_STATUS]), LONGEST_STATUS) if status else ""


def duration(span: timedelta) -> str:
    """Return a length of time in words, in its two largest units: `2 h 14 min`."""
    minutes = int(span.total_seconds()) // 60
    if minutes < 1:
        return "under a minute"
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days >= 10:
        return f"{days} days"
    units = ((days, "day" if days == 1 else "days"), (hours, "h"), (0 if days else minutes, "min"))
    return " ".join(f"{number} {unit}" for number, unit in units if number)


def _lasted(state: Update, began_at: datetime, now: datetime) -> str:
    if state.is_component_update:
        return f"for {duration(now - began_at)}"
    if not is_open(state):
        return f"took {duration((ended_at(state) or now) - began_at)}"
    if began_at > now:
        return f"in {duration(began_at - now)}"
    return f"{'due for' if state.status == 'scheduled' else 'for'} {duration(now - began_at)}"


def _entries(state: Update, extent: Extent) -> tuple[tuple[Entry, ...], int]:
    """Return the newest entries that fit, and how many do not.

    Counted as they were written: markup without any text takes time to read, too.
    """
    said = [(entry.time, words(entry.status), entry.body or "") for entry in state.incident_updates]
    if state.status == "postmortem" and state.postmortem_body:
        said = [(state.updated_at, "Postmortem", state.postmortem_body), *said]
    told, left = [], extent.characters
    for at, status, body in said[: extent.entries]:
        if left <= 0:
            break
        told.append(Entry(at, status, _paragraphs(body, left)))
        left -= len(body)
    return tuple(told), len(said) - len(told)


def _paragraphs(body: str, longest: int) -> tuple[str, ...]:
    text = plain(body[:longest]) + ("…" if len(body) > longest else "")
    lines = text.splitlines()
    lines = [*lines[:MOST_PARAGRAPHS], *[" ".join(lines[MOST_PARAGRAPHS:])]]
    return tuple([line for line in (one_line(line, longest + 1) for line in lines) if line])
