"""`GET /maintenance.ics`: the maintenance windows of all pages as one calendar (RFC 5545), for a phone to subscribe to.

It lists windows that are planned, under way, or ended within DAYS_SHOWN days. A rescheduled window keeps its UID and
raises its SEQUENCE, so that calendars move it. https://www.rfc-editor.org/rfc/rfc5545
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from icalendar import Calendar, Event, Timezone
from icalendar.enums import STATUS, TRANSP

from monitor.history.contract import History
from monitor.history.query import Query
from monitor.readers.feeds import answer
from monitor.readers.shared_answer import fitting
from monitor.senders.pages import Pages
from monitor.updates.impacts import in_words
from monitor.updates.incident import Incident
from monitor.updates.text import one_line
from monitor.updates.update import LONGEST_PRODUCT

CONTENT_TYPE = "text/calendar; charset=utf-8"
DAYS_SHOWN = 90
MOST_WINDOWS = 500  # of the open ones, and again of all
LONGEST_DESCRIPTION = 1_000  # characters
HIGHEST_REVISION = 2**31 - 1  # https://www.rfc-editor.org/rfc/rfc5545#section-3.3.8
END = b"END:VCALENDAR\r\n"


def write(_name: str, _history: History, pages: Pages) -> bytes:
    """Write the calendar."""
    wanted = answer.query_of_request(pages, "page", "component")
    title = answer.title_of(wanted, pages)
    calendar = Calendar.new(
        prodid="-//event_monitor//EN",
        uid=answer.stable_id("calendar", wanted.page or "", wanted.component or ""),
        name=f"Maintenance: {title}" if title else "Maintenance",  # as X-WR-CALNAME too
        refresh_interval=timedelta(hours=1),
    )
    calendar["REFRESH-INTERVAL"].params["VALUE"] = "DURATION"  # https://www.rfc-editor.org/rfc/rfc7986#section-5.7
    calendar.add("X-PUBLISHED-TTL", "PT1H")  # for Outlook
    # Each event by itself, as `fitting` lets other requests run in between: all of them take the library 0.5 s.
    events = (_event(window).to_ical() for window in _windows(pages, wanted))
    written = list(fitting(events, len, answer.LARGEST_LIST))
    # A calendar must have a component: https://www.rfc-editor.org/rfc/rfc5545#section-3.6
    written = written or [Timezone.from_tzid("UTC").to_ical()]
    return b"".join([calendar.to_ical().removesuffix(END), *written, END])


def _windows(pages: Pages, wanted: Query) -> Iterator[Incident]:
    """Yield each maintenance once, the open ones first: the bounds must not cut these."""
    since = datetime.now(UTC) - timedelta(days=DAYS_SHOWN)
    seen: set[tuple[str, str]] = set()
    for status, changed_since in (("open", None), (None, since)):
        query = replace(wanted, impact="maintenance", status=status, since=changed_since)
        for incident in pages.newest(query, MOST_WINDOWS):
            identity = incident.page_id, incident.id
            if identity not in seen and not incident.is_component_update and answer.window_of(incident)[1] >= since:
                seen.add(identity)
                yield incident


def _event(window: Incident) -> Event:
    begins_at, ends_at = answer.window_of(window)
    # Seconds from creation to the last change: rises with every change.
    revision = int((window.updated_at - window.created_at).total_seconds())
    return Event.new(
        uid=answer.stable_id(window.page_id, window.id),
        stamp=window.updated_at,
        created=window.created_at,
        last_modified=window.updated_at,
        sequence=min(max(revision, 0), HIGHEST_REVISION),
        start=begins_at,
        end=ends_at,
        summary=answer.name_of(window),
        description=_description(window),
        url=answer.link_of(window),
        status=STATUS.CANCELLED if (window.status or "").lower().startswith("cancel") else STATUS.CONFIRMED,
        transparency=TRANSP.TRANSPARENT,  # blocks nobody's time
    )


def _description(window: Incident) -> str:
    about = (in_words(window.status or ""), ", ".join(component.name for component in window.components))
    lines = [line for line in (one_line(text, LONGEST_PRODUCT) for text in about) if line]
    for heading, said in answer.story_of(window):
        lines += ["", heading, *said]
        if len(text := "\n".join(lines)) > LONGEST_DESCRIPTION:
            return text[: LONGEST_DESCRIPTION - 1] + "…"
    return "\n".join(lines)
