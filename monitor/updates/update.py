"""Update: the one value that flows, from a sender's payload to the histories and the outputs.

Times are aware datetimes in UTC. Texts hold no NUL and no lone surrogate, so that every store takes
them; they are otherwise as the provider wrote them, and `lines` is what may be shown in a terminal.
Names are Statuspage's: https://developer.statuspage.io/#tag/incidents
None is changed once it is made, though not all are frozen: to make a frozen one takes three times as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from monitor.updates.text import one_line, plain

LONGEST_PAGE, LONGEST_PRODUCT, LONGEST_MESSAGE = 100, 300, 1000
NOTHING = "?"  # where nothing of a text may be shown

Key = tuple[str, str, datetime]


@dataclass(frozen=True, slots=True)
class Component:
    """A part of a page: `status` is Statuspage's word, such as major_outage."""

    id: str | None
    name: str
    status: str | None


@dataclass(slots=True)
class IncidentUpdate:
    """One entry of an incident's story."""

    id: str | None
    status: str | None
    body: str | None
    created_at: datetime | None
    updated_at: datetime | None
    display_at: datetime | None

    @property
    def time(self) -> datetime | None:
        """When it was said: Statuspage sorts by display_at, which an editor may set."""
        return self.display_at or self.created_at or self.updated_at


def said_at(entry: IncidentUpdate) -> float:
    """Return an entry's time for sorting, in seconds since 1970; one without a time is the oldest."""
    return time.timestamp() if (time := entry.time) else 0.0


@dataclass(slots=True)
class Update:
    """What one webhook said of one incident, maintenance or component.

    `page_id` tells pages apart, `page` names one to people. `status` and `impact` are Statuspage's words;
    of a component update `status` is the component's new one, `old_status` the one before. `unsubscribe` is where the
    page is told to push no more. `is_named` says that a person or the provider named the page so, `is_reconciled` that
    no push brought the update: the page was asked. What `is_past` then was over before: it is recorded and not told.
    """

    page_id: str
    page: str
    id: str
    created_at: datetime
    updated_at: datetime
    name: str
    message: str
    status: str | None = None
    impact: str | None = None
    resolved_at: datetime | None = None
    scheduled_for: datetime | None = None
    scheduled_until: datetime | None = None
    shortlink: str | None = None
    postmortem_body: str | None = None
    components: tuple[Component, ...] = ()
    incident_updates: tuple[IncidentUpdate, ...] = ()
    is_component_update: bool = False
    old_status: str | None = None
    unsubscribe: str | None = None
    is_named: bool = False
    is_reconciled: bool = False
    is_past: bool = False

    @property
    def key(self) -> Key:
        """What makes two updates one: a tuple, as no separator is safe in a provider's ids."""
        return (self.page_id, self.id, self.updated_at)


def subject(update: Update) -> str:
    """Return what an update is about, within its page: the id of an incident, or of a component that changes."""
    if not update.is_component_update:
        return update.id
    (component,) = update.components
    return component.id or component.name


def lines(update: Update) -> str:
    """Return the two lines of an update, each ended by a newline and neither empty, whatever a provider wrote."""
    about = product(update)
    return f"[{str(update.updated_at)[:19]}] Product: {about}\nStatus: {message(update) or about}\n"


def product(update: Update) -> str:
    """Return what an update is about, in one line: `OpenAI API - Chat Completions, Responses`."""
    page = one_line(update.page, LONGEST_PAGE) or one_line(update.page_id, LONGEST_PAGE) or NOTHING
    about = one_line(", ".join([component.name for component in update.components]), LONGEST_PRODUCT)
    about = about or one_line(update.name, LONGEST_PRODUCT) or one_line(update.id, LONGEST_PRODUCT) or NOTHING
    return f"{page} - {about}"


def message(update: Update) -> str:
    """Return what an update says, as one line of text; empty where nothing of it may be shown."""
    said = one_line(plain(update.message), LONGEST_MESSAGE)
    return said or one_line(headline(update.status, update.name), LONGEST_MESSAGE)


def headline(status: str | None, name: str) -> str:
    """Return what stands for a message where a provider wrote none: `Investigating: <title>`."""
    return f"{in_words(status)}: {name}" if status else name


def in_words(status: str) -> str:
    """Return a status as a sentence begins: `under_maintenance` -> `Under maintenance`."""
    return status.replace("_", " ").capitalize()
