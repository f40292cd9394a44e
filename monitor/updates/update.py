"""Update: what one delivery, or one answer of a polled page, says about one incident, maintenance or component.

Times are aware datetimes in UTC. Texts hold no NUL and no lone surrogate, so that every store takes them, and are
bounded when an Update is made. Otherwise they are as the provider wrote them; `two_lines` makes them safe for a
terminal. Names are Statuspage's: https://developer.statuspage.io/#tag/incidents
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

from monitor.updates.impacts import ENDED, in_words
from monitor.updates.text import one_line, plain

LONGEST_NAME = 200  # characters of a name, a title, an id or a status
LONGEST_BODY, LONGEST_STORY = 32_768, 262_144  # bytes in UTF-8, of one entry and of a story
MOST_COMPONENTS, MOST_INCIDENT_UPDATES = 200, 1000
LONGEST_LAG = 86_400.0  # seconds; an older update is replayed or backfilled
LONGEST_PAGE, LONGEST_PRODUCT, LONGEST_MESSAGE = 100, 300, 1000  # characters in a line
NOTHING = "?"  # shown for a text without a printable character

Key = bytes


@dataclass(frozen=True, slots=True)
class Component:
    """A part of a page: `status` is Statuspage's word, such as major_outage."""

    id: str | None
    name: str
    status: str | None

    @property
    def identity(self) -> str:
        """Its id, or without one its name: unique within its page."""
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
        """When the provider said it: Statuspage sorts by display_at, which an editor may set."""
        return self.display_at or self.created_at or self.updated_at


def said_at(entry: IncidentUpdate) -> float:
    """Return an entry's time in seconds since 1970, for sorting; an entry without a time is the oldest."""
    return time.timestamp() if (time := entry.time) else 0.0


@dataclass(slots=True)
class State:
    """The fields that an Update and an Incident have in common.

    `page_id` identifies the page, `page` is its name for people. `status` and `impact` are Statuspage's words. In a
    component's change, `status` is the component's new status, `old_status` the previous one, and `impact` what the
    new one means. `is_cut` says that LONGEST_STORY or MOST_INCIDENT_UPDATES left entries out. Nobody changes a State
    once it is made; it is not frozen because a frozen one takes three times as long to make.
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
        """Tell whether an incident is not over yet, or a component is in this status and it is not operational."""
        if self.is_component_update:
            return self.status != "operational" and self.resolved_at is None
        return self.status not in ENDED

    @property
    def subject(self) -> str:
        """The id of the incident or of the component that changes, within its page."""
        return self.components[0].identity if self.is_component_update else self.id


@dataclass(slots=True)
class Update(State):
    """A State as a provider told it, with the facts about its delivery.

    `unsubscribe` is the address that ends the page's pushes. `is_named` says that a person or the provider gave the
    page its name, `is_polled` that polling found the update, `is_backlog` that it is older than the first poll of its
    page. An update that `is_past` is recorded but not announced.
    """

    unsubscribe: str | None = None
    is_named: bool = False
    is_polled: bool = False
    is_past: bool = False
    is_backlog: bool = False

    @property
    def lag(self) -> float | None:
        """Seconds since the provider said it, by the provider's clock; None if it did not come straight from there."""
        if self.is_past or self.is_backlog or (self.is_polled and not self.incident_updates):  # polling inferred it
            return None
        seconds = max(0.0, (datetime.now(UTC) - self.updated_at).total_seconds())
        return seconds if seconds < LONGEST_LAG else None

    @property
    def key(self) -> Key:
        """A digest of page, id and instant: the same for the same update. Lengths, as no separator is safe in ids."""
        text = f"{len(self.page_id)} {self.page_id}{len(self.id)} {self.id}{self.updated_at.timestamp().hex()}"
        return blake2b(text.encode(), digest_size=16).digest()


def two_lines(state: State) -> str:
    """Return the two printed lines of an update, each with its newline; neither is ever empty."""
    about = product(state)
    return f"[{str(state.updated_at)[:19]}] Product: {about}\nStatus: {message(state) or about}\n"


def product(state: State) -> str:
    """Return the page and the components, in one line: `OpenAI API - Chat Completions, Responses`."""
    about = one_line(", ".join([component.name for component in state.components]), LONGEST_PRODUCT)
    about = about or one_line(state.name, LONGEST_PRODUCT) or one_line(state.id, LONGEST_PRODUCT) or NOTHING
    return f"{page_name(state)} - {about}"


def page_name(state: State) -> str:
    """Return the name of a state's page, in one line."""
    return one_line(state.page, LONGEST_PAGE) or one_line(state.page_id, LONGEST_PAGE) or NOTHING


def message(state: State) -> str:
    """Return the message of an update as one line of text; empty if none of it is printable."""
    said = one_line(plain(state.message), LONGEST_MESSAGE)
    return said or one_line(headline(state.status, state.name), LONGEST_MESSAGE)


def headline(status: str | None, name: str) -> str:
    """Return the message to use if a provider wrote none: `Investigating: <title>`."""
    return f"{in_words(status)}: {name}" if status else name


def bounded(entries: Iterable[IncidentUpdate]) -> tuple[tuple[IncidentUpdate, ...], bool]:
    """Return the newest entries that fit into the bounds of a story, newest first, and whether others are left out."""
    newest_first = sorted(entries, key=said_at, reverse=True)
    kept, left = 0, LONGEST_STORY
    for entry in newest_first[:MOST_INCIDENT_UPDATES]:
        left -= len((entry.body or "").encode())
        if left < 0 and kept:
            break
        kept += 1
    return tuple(newest_first[:kept]), kept < len(newest_first)
