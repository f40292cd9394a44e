"""What the feed, the calendar and the aggregate have in common: identities, links, stories, and answers of 304.

Nothing here writes, and nothing holds up the others for long: long readings go a hundred incidents at a time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit
from uuid import UUID, uuid5

import gevent
from flask import Response, request

from monitor.history import query
from monitor.history.contract import History
from monitor.history.query import BadQuery, Query
from monitor.senders.statuspage import LONGEST_LINK
from monitor.updates.text import one_line, plain
from monitor.updates.update import Update, in_words

LARGEST = 1024 * 1024  # an answer ends early here
LONGEST_BODY, LONGEST_STATUS = 20_000, 100  # characters of one text that are given out
AT_ONCE = 100
NAMESPACE = UUID("5b0c7b5e-0a0e-4f0c-9d6c-3f1f4b1f6a77")  # for ever: readers know what they have seen by it


def identity(*parts: str) -> UUID:
    """Return one UUID for the same texts, on every machine and after every restart.

    The texts are kept apart as JSON keeps them: no separator would be safe in a provider's ids.
    """
    return uuid5(NAMESPACE, json.dumps(parts))


def link(update: Update) -> str | None:
    """Return the update's own page as an address (RFC 3986), or None where a provider gave none that is one."""
    if update.shortlink is None or len(update.shortlink) > LONGEST_LINK:
        return None
    address = quote(update.shortlink.strip(), safe="!#$%&'()*+,/:;=?@[]~")
    try:
        parts = urlsplit(address)
        named, _ = parts.hostname, parts.port
    except ValueError:  # http://[ and the like
        return None
    return address if named and parts.scheme in ("http", "https") else None


def story(incident: Update, until: datetime | None = None) -> Iterator[tuple[str, list[str]]]:
    """Yield (`Investigating, 2025-11-03 14:32 UTC`, its lines of text) of what was said until then, newest first."""
    for entry in incident.incident_updates:
        if until is not None and entry.time is not None and entry.time > until:
            continue
        status = one_line(in_words(entry.status or ""), LONGEST_STATUS)
        said_at = f"{entry.time:%Y-%m-%d %H:%M} UTC" if entry.time else ""
        yield ", ".join(filter(None, (status, said_at))), paragraphs(entry.body or "")


def paragraphs(body: str) -> list[str]:
    """Return a provider's text, HTML or not, as lines that hold nothing but what may be shown."""
    lines = plain(body[:LONGEST_BODY]).splitlines()
    return [line for line in (one_line(line, LONGEST_BODY) for line in lines) if line]


def asked(*names: str) -> Query:
    """Return the request's query, in which only these parameters may be; raise BadQuery."""
    if unknown := sorted(set(request.args) - {*names, "token"}):
        raise BadQuery(f"unknown parameter {unknown[0]!a}")
    return query.read(request.args.to_dict(flat=False))


def every(history: History, of: Query, most: int) -> Iterator[Update]:
    """Yield the incidents that a query asks for, whatever its limit, newest first and about `most`; others are
    served in between; raise Unavailable.
    """
    of = replace(of, limit=AT_ONCE)
    for _ in range(0, most, AT_ONCE):
        found = history.incidents(of)
        yield from (incident.state for incident in found)
        if len(found) < AT_ONCE:
            return
        of = replace(of, before=found[-1].place)
        gevent.sleep(0)


def answer(history: History, content_type: str, write: Callable[[], str | bytes], *about: str) -> Response:
    """Answer with what `write` returns, or, without calling it, 304 to a reader that has it; raise Unavailable.

    All that is given out changes only when an update arrives, or with what the texts in `about` say.
    """
    newest = history.arrivals(None, 1)
    number = str(newest[0].number) if newest else ""
    response = Response(content_type=content_type)
    # Before it is written: what arrives meanwhile is then sent twice rather than never.
    response.set_etag(identity(number, request.path, *about).hex)
    received_at = max((page.received_at for page in history.pages()), default=None)
    # In whole seconds, a second update within the second would look like the first.
    if received_at is not None and received_at < datetime.now(UTC) - timedelta(seconds=2):
        response.last_modified = received_at
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request)
    if response.status_code != 304:
        response.set_data(write())
    return response
