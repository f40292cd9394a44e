"""`GET /maintenance.ics`: every provider's maintenance windows as one calendar, to subscribe to from a phone.

Those that are to come, that run, and that ended within DAYS_SHOWN days. A window that is moved keeps its UID and
raises its SEQUENCE, so that it moves in the calendar. iCalendar: https://www.rfc-editor.org/rfc/rfc5545
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import gevent
from flask import Flask, Response, request
from icalendar import Calendar, Event, Timezone
from icalendar.enums import STATUS, TRANSP

from monitor.history.contract import History
from monitor.history.query import Query
from monitor.readers.feeds.answer import LARGEST, answer, asked, every, identity, link, story
from monitor.server.requests import require
from monitor.updates.maintenance import is_maintenance, window
from monitor.updates.text import one_line
from monitor.updates.update import LONGEST_PAGE, LONGEST_PRODUCT, NOTHING, Update, in_words

DAYS_SHOWN = 90
MOST_INCIDENTS = 2_000  # looked through, each time
MOST_WINDOWS = 1_000
LONGEST_DESCRIPTION = 2_000  # characters
REFRESH = timedelta(hours=1)
PARAMETERS = ("page", "component")


def init_app(app: Flask) -> None:
    """Add `GET /maintenance.ics`."""
    history: History = app.extensions["monitor"].history

    @app.get("/maintenance.ics")
    def maintenance() -> Response:
        require(app.config.get("READ_TOKEN"))
        of = asked(*PARAMETERS)
        since = datetime.now(UTC) - timedelta(days=DAYS_SHOWN)
        filters = [request.args.get(name, "") for name in PARAMETERS]
        return answer(
            history,
            "text/calendar; charset=utf-8",
            lambda: _write(_windows(history, of, since), *filters),
            str(since.date()),
            *filters,
        )


def _windows(history: History, of: Query, since: datetime) -> Iterator[Update]:
    """Yield each maintenance once, the open ones first: these must not be missing."""
    seen = set()
    for status, impact, after in (("open", None, None), ("completed", None, since), (None, "maintenance", since)):
        query = Query(page=of.page, component=of.component, status=status, impact=impact, since=after)
        for incident in every(history, query, MOST_INCIDENTS):
            at = incident.page_id, incident.id
            if is_maintenance(incident) and at not in seen and window(incident)[1] >= since:
                seen.add(at)
                yield incident
            if len(seen) >= MOST_WINDOWS:
                return


def _write(windows: Iterator[Update], *filters: str) -> bytes:
    about = one_line(", ".join(filter(None, filters)), LONGEST_PAGE)
    calendar = Calendar.new(
        prodid="-//event_monitor//EN",
        uid=identity("calendar", *filters),
        name=f"Maintenance: {about}" if about else "Maintenance",  # as X-WR-CALNAME too
        refresh_interval=REFRESH,
    )
    calendar["REFRESH-INTERVAL"].params["VALUE"] = "DURATION"  # https://www.rfc-editor.org/rfc/rfc7986#section-5.7
    calendar.add("X-PUBLISHED-TTL", "PT1H")  # what Outlook reads
    head, end = calendar.to_ical().split(b"END:VCALENDAR")
    events: list[bytes] = []
    size = 0
    # One by one, with others answered in between: the library takes as long as half a second for all of them.
    for maintenance in windows:
        events.append(_event(maintenance).to_ical())
        size += len(events[-1])
        if size >= LARGEST:
            break
        gevent.sleep(0)
    # A calendar must hold something: https://www.rfc-editor.org/rfc/rfc5545#section-3.6
    return b"".join([head, *(events or [Timezone.from_tzid("UTC").to_ical()]), b"END:VCALENDAR", end])


def _event(maintenance: Update) -> Event:
    begins_at, ends_at = window(maintenance)
    page = one_line(maintenance.page, LONGEST_PAGE) or NOTHING
    name = one_line(maintenance.name, LONGEST_PRODUCT) or NOTHING
    status = (maintenance.status or "").lower()
    # Seconds from its first sight to its last change: rises with every change, which LAST-MODIFIED tells too.
    revision = max(0, int((maintenance.updated_at - maintenance.created_at).total_seconds()))
    return Event.new(
        uid=identity(maintenance.page_id, maintenance.id),
        stamp=maintenance.updated_at,
        created=maintenance.created_at,
        last_modified=maintenance.updated_at,
        sequence=revision,
        start=begins_at,
        end=ends_at,
        summary=f"{page} - {name}",
        description=_description(maintenance),
        url=link(maintenance),
        status=STATUS.CANCELLED if status.startswith("cancel") else STATUS.CONFIRMED,
        transparency=TRANSP.TRANSPARENT,  # nobody is busy meanwhile
    )


def _description(maintenance: Update) -> str:
    about = [one_line(in_words(maintenance.status or ""), LONGEST_PRODUCT)]
    about.append(one_line(", ".join(component.name for component in maintenance.components), LONGEST_PRODUCT))
    lines = [line for line in about if line]
    size = 0
    for heading, said in story(maintenance):
        lines += ["", heading, *said]
        size += sum(map(len, said))
        if size > LONGEST_DESCRIPTION:
            break
    text = "\n".join(lines)
    return text if len(text) <= LONGEST_DESCRIPTION else text[: LONGEST_DESCRIPTION - 1] + "…"
