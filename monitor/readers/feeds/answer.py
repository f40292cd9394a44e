"""Shared by the feeds, the calendar and Statuspage's API: the query, a bound, stable ids, links, windows, stories."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from urllib.parse import quote, urlsplit
from uuid import UUID, uuid5

from flask import request

from monitor.history import query
from monitor.history.query import Query
from monitor.senders.links import LONGEST_LINK
from monitor.senders.pages import Pages
from monitor.updates.impacts import in_words
from monitor.updates.incident import Incident
from monitor.updates.text import lines_of, one_line
from monitor.updates.update import LONGEST_BODY, LONGEST_NAME, LONGEST_PAGE, LONGEST_PRODUCT, NOTHING, State

LARGEST_LIST = 960 * 1024  # bytes of listed items; an answer may hold the query three times and stays under 1 MiB
DEFAULT_DURATION = timedelta(hours=1)  # of a maintenance without an end
NAMESPACE = UUID("5b0c7b5e-0a0e-4f0c-9d6c-3f1f4b1f6a77")  # never changes: readers recognise entries by their ids


def query_of_request(pages: Pages, *parameters: str) -> Query:
    """Return the request's query; raise BadQuery for a parameter that is not one of these, or a bad value."""
    query.check_known(request.args, parameters)
    return pages.resolve(query.read(request.args.to_dict(flat=False)))


def filters_of_request() -> dict[str, str]:
    """Return the request's parameters without the token, which no answer may contain."""
    return {name: text for name, text in request.args.items() if name != "token"}


def title_of(wanted: Query, pages: Pages) -> str:
    """Return the filters as a title; it ends with ` (page unknown; known: GitHub)` if the page is unknown."""
    title = one_line(", ".join(filters_of_request().values()), LONGEST_NAME)
    if (page := wanted.unknown_page) is None:
        return title
    nearest = one_line(", ".join(pages.nearest(page)), LONGEST_NAME)
    return f"{title} (page unknown{'; known: ' if nearest else ''}{nearest})"


def stable_id(*parts: str) -> UUID:
    """Return the same UUID for the same texts, on every machine and after every restart.

    JSON separates the texts: a provider's id may contain any other separator.
    """
    return uuid5(NAMESPACE, json.dumps(parts))


def name_of(incident: Incident) -> str:
    """Return `<page> - <incident>` in one line."""
    page, name = one_line(incident.page, LONGEST_PAGE), one_line(incident.name, LONGEST_PRODUCT)
    return f"{page or NOTHING} - {name or NOTHING}"


def link_of(state: State) -> str | None:
    """Return a state's shortlink as a URL (RFC 3986), or None if it is missing, too long or not a URL."""
    url = quote((state.shortlink or "").strip(), safe="!#$%&'()*+,/:;=?@[]~")
    with suppress(ValueError):  # from `http://[`, or a port past 65535
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and len(url) <= LONGEST_LINK:
            return url
    return None


def window_of(maintenance: Incident) -> tuple[datetime, datetime]:
    """Return a maintenance's begin and end: the planned end, else the actual one, else DEFAULT_DURATION later."""
    begins_at, ends = maintenance.began_at, (maintenance.scheduled_until, maintenance.ended_at)
    return begins_at, next((end for end in ends if end and end > begins_at), begins_at + DEFAULT_DURATION)


def story_of(state: State, until: datetime | None = None) -> Iterator[tuple[str, list[str]]]:
    """Yield (`Investigating, 2025-11-03 14:32 UTC`, lines of text) for each entry up to `until`, newest first."""
    for entry in state.incident_updates:
        if until is not None and entry.time is not None and entry.time > until:
            continue
        said_at = f"{entry.time:%Y-%m-%d %H:%M} UTC" if entry.time else ""
        status = one_line(in_words(entry.status or ""), LONGEST_NAME)
        yield ", ".join(filter(None, (status, said_at))), lines_of(entry.body or "", LONGEST_BODY)
