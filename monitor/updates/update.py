"""Update: what one delivery, or one answer of a polled page, said of one incident, maintenance or component.

Times are aware datetimes in UTC. Texts hold no NUL and no lone surrogate, so that every store takes them, and are
bounded where an Update is made (`bounded`); they are otherwise as the provider wrote them, and `two_lines` is what may
be shown in a terminal. Names are Statuspage's: https://developer.statuspage.io/#tag/incidents
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

from monitor.updates.impacts import ENDED, in_words
from monitor.updates.text import one_line, plain

LONGEST_NAME = 200  # characters of a name, a title, an id and a word
LONGEST_BODY, LONGEST_STORY = 32_768, 262_144  # bytes in UTF-8, of one entry and of all
MOST_COMPONENTS, MOST_INCIDENT_UPDATES = 200, 1000
LONGEST_LAG = 86_400.0  # seconds: what is older is played again, or filled in
LONGEST_PAGE, LONGEST_PRODUCT, LONGEST_MESSAGE = 100, 300, 1000  # characters in a line
NOTHING = "?"  # where nothing of a text may be shown

Key = bytes


@dataclass(frozen=True, slots=True)
class Component:
    """A part of a page: `status` is Statuspage's word, such as major_outage."""

    id: str | None
    name: str
    status: str | None

    @property
    def identity(self) -> str:
        """What tells a component apart within its page."""
        return self.id or self.name


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
class State:
    """What an Update and an Incident have in common.

    `page_id` tells pages apart, `page` names one to people. `status` and `impact` are Statuspage's words. Of a
    component's change `status` is the component's new one, `old_status` the one before, `impact` what the new one
    means. `is_cut` says that LONGEST_STORY or MOST_INCIDENT_UPDATES left entries out. Nothing is changed once
    it is made, though not all is frozen: to make a frozen one takes three times as long.
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
    is_cut: bool = False
    is_component_update: bool = False
    old_status: str | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether it goes on or is still to come; a component's change, until the next or where all is well."""
        if self.is_component_update:
            return self.status != "operational" and self.resolved_at is None
        return self.status not in ENDED

    @property
    def subject(self) -> str:
        """What this is about, within its page: the id of an incident, or of a component that changes."""
        return self.components[0].identity if self.is_component_update else self.id


@dataclass(slots=True)
class Update(State):
    """A State as it was told, with the facts about its delivery.

    `unsubscribe` is where the page is told to push no more. `is_named` says that a person or the provider named the
    page so, `is_polled` that no push brought the update, `is_backlog` that it was said before anybody listened. What
    `is_past` was over before: it is recorded and not told.
    """

    unsubscribe: str | None = None
    is_named: bool = False
    is_polled: bool = False
    is_past: bool = False
    is_backlog: bool = False

    @property
    def lag(self) -> float | None:
        """How many seconds ago it was said, by its provider's clock; None for what was not on its way."""
        if self.is_past or self.is_backlog or (self.is_polled and not self.incident_updates):  # polling concluded it
            return None
        seconds = max(0.0, (datetime.now(UTC) - self.updated_at).total_seconds())
        return seconds if seconds < LONGEST_LAG else None

    @property
    def key(self) -> Key:
        """What makes two updates one, as a digest: page, id and instant, kept apart, as no separator is safe in ids."""
        text = f"{len(self.page_id)} {self.page_id}{len(self.id)} {self.id}{self.updated_at.timestamp().hex()}"
        return blake2b(text.encode(), digest_size=16).digest()


def two_lines(state: State) -> str:
    """Return the two lines of an update, each ended by a newline and neither empty, whatever a provider wrote."""
    about = product(state)
    return f"[{str(state.updated_at)[:19]}] Product: {about}\nStatus: {message(state) or about}\n"


def product(state: State) -> str:
    """Return what an update is about, in one line: `OpenAI API - Chat Completions, Responses`."""
    about = one_line(", ".join([component.name for component in state.components]), LONGEST_PRODUCT)
    about = about or one_line(state.name, LONGEST_PRODUCT) or one_line(state.id, LONGEST_PRODUCT) or NOTHING
    return f"{page_name(state)} - {about}"


def page_name(state: State) -> str:
    """Return what a state's page is called, in one line."""
    return one_line(state.page, LONGEST_PAGE) or one_line(state.page_id, LONGEST_PAGE) or NOTHING


def message(state: State) -> str:
    """Return what an update says, as one line of text; empty where nothing of it may be shown."""
    said = one_line(plain(state.message), LONGEST_MESSAGE)
    return said or one_line(headline(state.status, state.name), LONGEST_MESSAGE)


def headline(status: str | None, name: str) -> str:
    """Return what stands for a message where a provider wrote none: `Investigating: <title>`."""
    return f"{in_words(status)}: {name}" if status else name


def bounded(entries: Iterable[IncidentUpdate]) -> tuple[tuple[IncidentUpdate, ...], bool]:
    """Return entries, newest first and within the bounds of a story, and whether the oldest are left out."""
    newest_first = sorted(entries, key=said_at, reverse=True)
    kept, left = 0, LONGEST_STORY
    for entry in newest_first[:MOST_INCIDENT_UPDATES]:
        left -= len((entry.body or "").encode())
        if left < 0 and kept:
            break
        kept += 1
    return tuple(newest_first[:kept]), kept < len(newest_first)
