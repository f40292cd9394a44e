"""`GET /feed.atom`, for feed readers: the newest updates of all pages, or those that the query asks for; and
`GET /history.atom` for what reads Statuspage's own feed, of which an entry is an incident.

In the first an entry is an update: readers show an entry once and seldom notice that it changed. Its id is made of the
update's key, so it is the same after a restart and on every instance; its content stays, too.
Atom: https://www.rfc-editor.org/rfc/rfc4287
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice, starmap
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape as in_xml

from feedgenerator import Atom1Feed
from markupsafe import escape

from monitor.history.contract import MOST_ARRIVALS, History
from monitor.history.query import Query
from monitor.readers.feeds import answer
from monitor.readers.incidents import newest
from monitor.senders.pages import Pages
from monitor.server.turns import take_turns
from monitor.updates.impacts import impact_of, in_words
from monitor.updates.incident import Incident
from monitor.updates.text import lines_of, one_line
from monitor.updates.times import LONG_AGO
from monitor.updates.update import (
    LONGEST_BODY,
    LONGEST_NAME,
    NOTHING,
    IncidentUpdate,
    State,
    Update,
    message,
    page_name,
    product,
)

CONTENT_TYPE = Atom1Feed.content_type
PARAMETERS = ("id", "page", "component", "status", "impact", "since", "limit")
LONGEST_STORY = 50_000  # characters
ELEMENTS = 700  # bytes of an entry beside its texts
SEARCHED_AT_ONCE = 500  # updates
MOST_INCIDENTS, MOST_SEARCHED = 50, 500  # of /history.atom


def feed(history: History, pages: Pages) -> bytes:
    """Write the feed; its addresses are relative, as only the reader knows by which name it came here."""
    wanted = answer.query_of_request(pages, *PARAMETERS)
    title, filters = answer.title_of(wanted, pages), urlencode(answer.filters_of_request())
    asking = f"?{filters}" if filters else ""
    about = {"link": f"incidents{asking}", "feed_url": f"feed.atom{asking}"}
    about["title"] = f"event_monitor: {title}" if title else "event_monitor"
    about["feed_guid"] = answer.stable_id("feed", asking).urn
    return _written(about, _entries(history, pages, _newest(history, wanted)))


def past(history: History, pages: Pages) -> bytes:
    """Write the newest incidents, each with its story in Statuspage's markup, as https://www.githubstatus.com/history.atom."""
    wanted = answer.query_of_request(pages)
    about = {"title": "event_monitor Status - Incident History", "link": ".", "feed_url": "history.atom"}
    about["feed_guid"] = answer.stable_id("history").urn
    those = (one for one in newest(history, wanted, MOST_SEARCHED) if not one.is_component_update)
    return _written(about, (_entry_of_history(pages.shown(one)) for one in islice(those, MOST_INCIDENTS)))


def _written(about: dict[str, str], entries: Iterable[dict[str, Any]]) -> bytes:
    written = Atom1Feed(description="", author_name="event_monitor", **about)
    for entry in answer.fitting(entries, _size_of):
        written.add_item(**entry)
    if not written.num_items():
        written.latest_post_date = lambda: LONG_AGO  # else it is now, and each answer another
    document: str = written.writeString("utf-8")
    return document.encode()


def _entry_of_history(incident: Incident) -> dict[str, Any]:
    return {
        "unique_id": answer.stable_id(incident.page_id, incident.id).urn,
        "title": one_line(f"{incident.page} - {incident.name}", LONGEST_NAME) or NOTHING,
        "link": answer.link_of(incident) or f"incidents?{urlencode({'id': incident.id, 'page': incident.page_id})}",
        "description": None,
        "content": _cut(map(_paragraph, incident.incident_updates)),
        "pubdate": incident.created_at,
        "updateddate": incident.updated_at,
        "author_name": page_name(incident),
    }


def _paragraph(entry: IncidentUpdate) -> str:
    said = "<br>".join(str(escape(line)) for line in lines_of(entry.body or "", LONGEST_BODY))
    at = f"<small>{entry.time:%b <var data-var='date'>%d</var>, <var data-var='time'>%H:%M</var>} UTC</small><br>"
    status = escape(one_line(in_words(entry.status or ""), LONGEST_NAME))
    return f"<p>{at if entry.time else ''}<strong>{status}</strong> - {said}</p>"


def _newest(history: History, wanted: Query) -> list[Update]:
    """Return the updates that match, newest first by their own time, from among those that arrived last.

    By their own time, as a page that is seen for the first time may bring a year's past at once.
    """
    if not (last := history.arrivals(None, 1)):
        return []
    found: list[Update] = []
    newest = last[0].number
    oldest = history.arrivals(max(newest - MOST_ARRIVALS, 0), 1)[0].number
    # Backwards: an hour's updates are found at once, however many are kept.
    for highest in range(newest, oldest - 1, -SEARCHED_AT_ONCE):
        arrived = history.arrivals(max(highest - SEARCHED_AT_ONCE, 0), SEARCHED_AT_ONCE)
        found += [one.update for one in reversed(arrived) if one.number <= highest and wanted.matches(one.update)]
        if len(found) >= wanted.limit:
            break
        take_turns()
    return sorted(found, key=lambda update: update.updated_at, reverse=True)[: wanted.limit]


def _entries(history: History, pages: Pages, updates: Iterable[Update]) -> Iterator[dict[str, Any]]:
    incidents: dict[tuple[str, str], State] = {}  # arrivals hold no story
    for update in map(pages.shown, updates):
        identity = update.page_id, update.id
        if identity not in incidents:
            incidents[identity] = history.incident(*identity) or update
        yield {
            "unique_id": answer.stable_id(*identity, update.updated_at.isoformat()).urn,
            "title": one_line(f"{product(update)}: {message(update)}", LONGEST_NAME),
            "link": answer.link_of(update) or f"incidents?{urlencode({'id': update.id, 'page': update.page_id})}",
            "description": None,
            "content": _content(update, incidents[identity]),
            "pubdate": update.updated_at,
            "updateddate": update.updated_at,
            "author_name": page_name(update),
            "categories": [impact_of(update)],
        }


def _size_of(entry: dict[str, Any]) -> int:
    texts = (entry[name] for name in ("title", "link", "content", "author_name"))
    return ELEMENTS + sum(len(in_xml(text).encode()) for text in texts)


def _content(update: Update, incident: State) -> str:
    """Return the story as it was told when the update came, as HTML in which nothing is the provider's."""
    entries = list(answer.story_of(incident, update.updated_at))
    said = message(update)
    is_told = bool(entries) and one_line(" ".join(entries[0][1]), len(said) or 1) == said
    first = update.name, [] if is_told else lines_of(update.message, LONGEST_BODY)
    return _cut(starmap(_told, [first, *entries]))


def _told(heading: str, lines: list[str]) -> str:
    body = "<br>".join(str(escape(line)) for line in lines)
    return f"<p><b>{escape(one_line(heading, LONGEST_NAME))}</b>{'<br>' if body else ''}{body}</p>"


def _cut(paragraphs: Iterable[str]) -> str:
    """Return the first paragraphs, LONGEST_STORY together."""
    written: list[str] = []
    size = 0
    for paragraph in paragraphs:
        written.append(paragraph)
        size += len(paragraph)
        if size > LONGEST_STORY:
            written.append("<p>…</p>")
            break
    return "".join(written)
