"""What the feed, the calendar and the aggregate share: query, bounds, stable ids, links, stories, answers of 304."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import TypeVar
from urllib.parse import quote, urlsplit
from uuid import UUID, uuid5

from flask import Response, request

from monitor.history import query
from monitor.history.query import Query
from monitor.senders.links import LONGEST_LINK
from monitor.senders.pages import Pages
from monitor.server.turns import take_turns
from monitor.updates.impacts import in_words
from monitor.updates.incident import Incident
from monitor.updates.text import lines_of, one_line
from monitor.updates.update import LONGEST_BODY, LONGEST_NAME, State

Item = TypeVar("Item")

LARGEST_LIST = 960 * 1024  # bytes of what is listed; an answer, which may hold the query three times, is 1 MiB
USUAL_MAINTENANCE = timedelta(hours=1)  # where nobody says how long
NAMESPACE = UUID("5b0c7b5e-0a0e-4f0c-9d6c-3f1f4b1f6a77")  # for ever: readers know what they have seen by it


def query_of_request(pages: Pages, *parameters: str) -> Query:
    """Return the request's query, in which only these parameters may be; raise BadQuery."""
    query.check_known(request.args, parameters)
    return pages.resolve(query.read(request.args.to_dict(flat=False)))


def filters_of_request() -> dict[str, str]:
    """Return the request's parameters but the token, which is no part of what is asked and is never given out."""
    return {name: text for name, text in request.args.items() if name != "token"}


def title_of(wanted: Query, pages: Pages) -> str:
    """Return what is asked for, as a title: ` (page unknown; known: GitHub)` where nobody knows the page."""
    title = one_line(", ".join(filters_of_request().values()), LONGEST_NAME)
    if wanted.page is None or wanted.page_ids:
        return title
    nearest = one_line(", ".join(pages.nearest(wanted.page)), LONGEST_NAME)
    return f"{title} (page unknown{'; known: ' if nearest else ''}{nearest})"


def fitting(items: Iterable[Item], size_of: Callable[[Item], int], most: int = LARGEST_LIST) -> Iterator[Item]:
    """Yield the first items, those that hold at most so many bytes together; others are answered in between."""
    for item in items:
        most -= size_of(item)
        if most < 0:
            return
        yield item
        take_turns()


def stable_id(*parts: str) -> UUID:
    """Return one UUID for the same texts, on every machine and after every restart.

    The texts are kept apart as JSON keeps them: no separator would be safe in a provider's ids.
    """
    return uuid5(NAMESPACE, json.dumps(parts))


def link_of(state: State) -> str | None:
    """Return a state's own page as an address (RFC 3986), or None where a provider gave none that is one."""
    address = quote((state.shortlink or "").strip(), safe="!#$%&'()*+,/:;=?@[]~")
    try:
        parts = urlsplit(address)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # http://[ and the like
        return None
    return address if is_address and len(address) <= LONGEST_LINK else None


def window_of(maintenance: Incident) -> tuple[datetime, datetime]:
    """Return when a maintenance begins and ends, as planned, else as it was; the end is after the beginning."""
    begins_at = maintenance.began_at
    for end in (maintenance.scheduled_until, maintenance.ended_at):
        if end is not None and end > begins_at:
            return begins_at, end
    return begins_at, begins_at + USUAL_MAINTENANCE


def story_of(state: State, until: datetime | None = None) -> Iterator[tuple[str, list[str]]]:
    """Yield (`Investigating, 2025-11-03 14:32 UTC`, its lines of text) of what was said until then, newest first."""
    for entry in state.incident_updates:
        if until is not None and entry.time is not None and entry.time > until:
            continue
        said_at = f"{entry.time:%Y-%m-%d %H:%M} UTC" if entry.time else ""
        status = one_line(in_words(entry.status or ""), LONGEST_NAME)
        yield ", ".join(filter(None, (status, said_at))), lines_of(entry.body or "", LONGEST_BODY)


def conditional_answer(body: bytes, content_type: str) -> Response:
    """Answer with a body, or 304 to a reader that has the same."""
    response = Response(body, content_type=content_type)
    response.headers.update({"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"})
    response.add_etag()
    response.make_conditional(request)
    return response
