"""`GET /feed.atom` and `GET /history.atom`: Atom feeds, https://www.rfc-editor.org/rfc/rfc4287.

An entry of `/feed.atom` is an update, as feed readers show an entry once and seldom notice a change. Its id derives
from the update's key, so id and content are the same after a restart and on every instance.
An entry of `/history.atom` is an incident with its story, as in Statuspage's own feed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice, starmap
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape as in_xml

from feedgenerator import Atom1Feed
from markupsafe import escape

from monitor.history.contract import MOST_ARRIVALS, History
from monitor.history.query import Query
from monitor.readers.feeds import answer
from monitor.readers.shared_answer import fitting
from monitor.senders.pages import Pages
from monitor.server.turns import take_turns
from monitor.updates.impacts import impact_of, in_words
from monitor.updates.incident import Incident
from monitor.updates.text import lines_of, one_line
from monitor.updates.times import LONG_AGO
from monitor.updates.update import (
    LONGEST_BODY,
    LONGEST_NAME,
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

Entry = dict[str, Any]


def write(name: str, history: History, pages: Pages) -> bytes:
    """Write `feed` or `past`; links are relative, as only the client knows by which address it reached this server."""
    about, entries = _feed(history, pages) if name == "feed" else _past(pages)
    feed = Atom1Feed(description="", author_name="event_monitor", **about)
    for entry in fitting(entries, _size_of, answer.LARGEST_LIST):
        feed.add_item(**entry)
    if not feed.num_items():
        feed.latest_post_date = lambda: LONG_AGO  # its default, now, would change the ETag with every answer
    document: str = feed.writeString("utf-8")
    return document.encode()


def _feed(history: History, pages: Pages) -> tuple[dict[str, str], Iterator[Entry]]:
    wanted = answer.query_of_request(pages, *PARAMETERS)
    title, filters = answer.title_of(wanted, pages), urlencode(answer.filters_of_request())
    query = f"?{filters}" if filters else ""
    about = {"link": f"incidents{query}", "feed_url": f"feed.atom{query}"}
    about["title"] = f"event_monitor: {title}" if title else "event_monitor"
    about["feed_guid"] = answer.stable_id("feed", query).urn
    return about, _entries_of_updates(history, pages, _newest(history, wanted))


def _past(pages: Pages) -> tuple[dict[str, str], Iterator[Entry]]:
    found = pages.newest(answer.query_of_request(pages), MOST_SEARCHED)
    incidents = (incident for incident in found if not incident.is_component_update)
    about = {"title": "event_monitor Status - Incident History", "link": ".", "feed_url": "history.atom"}
    about["feed_guid"] = answer.stable_id("history").urn
    return about, map(_entry_of_incident, islice(incidents, MOST_INCIDENTS))


def _entry_of_incident(incident: Incident) -> Entry:
    """Return an incident in Statuspage's markup, as https://www.githubstatus.com/history.atom has it."""
    content = _cut(map(_paragraph, incident.incident_updates))
    return _entry(incident, f"{incident.page} - {incident.name}", content) | {"pubdate": incident.created_at}


def _paragraph(entry: IncidentUpdate) -> str:
    body = "<br>".join(str(escape(line)) for line in lines_of(entry.body or "", LONGEST_BODY))
    at = f"<small>{entry.time:%b <var data-var='date'>%d</var>, <var data-var='time'>%H:%M</var>} UTC</small><br>"
    status = escape(one_line(in_words(entry.status or ""), LONGEST_NAME))
    return f"<p>{at if entry.time else ''}<strong>{status}</strong> - {body}</p>"


def _newest(history: History, wanted: Query) -> list[Update]:
    """Return the matching updates among the last arrivals, newest first by their own time.

    Their own time counts, as the first poll of a page may bring a year's updates at once.
    """
    if not (last := history.arrivals(None, 1)):
        return []
    found: list[Update] = []
    newest = last[0].number
    oldest = history.arrivals(max(newest - MOST_ARRIVALS, 0), 1)[0].number
    # Backwards, so that the newest updates are found at once, however many are kept.
    for highest in range(newest, oldest - 1, -SEARCHED_AT_ONCE):
        arrived = history.arrivals(max(highest - SEARCHED_AT_ONCE, 0), SEARCHED_AT_ONCE)
        found += [one.update for one in reversed(arrived) if one.number <= highest and wanted.matches(one.update)]
        if len(found) >= wanted.limit:
            break
        take_turns()
    return sorted(found, key=lambda update: update.updated_at, reverse=True)[: wanted.limit]


def _entries_of_updates(history: History, pages: Pages, updates: Iterable[Update]) -> Iterator[Entry]:
    incident_of = cache(history.incident)
    for update in map(pages.shown, updates):
        content = _content(update, incident_of(update.page_id, update.id) or update)  # an arrival has no story
        title = f"{product(update)}: {message(update)}"
        entry = _entry(update, title, content, update.updated_at.isoformat(), message(update))  # two may share a second
        yield entry | {"categories": [impact_of(update)]}


def _entry(state: State, title: str, content: str, *instant: str) -> Entry:
    return {
        "unique_id": answer.stable_id(state.page_id, state.id, *instant).urn,
        "title": one_line(title, LONGEST_NAME),
        "link": answer.link_of(state) or f"incidents?{urlencode({'id': state.id, 'page': state.page_id})}",
        "description": None,
        "content": content,
        "pubdate": state.updated_at,
        "updateddate": state.updated_at,
        "author_name": page_name(state),
    }


def _size_of(entry: Entry) -> int:
    texts = (entry[name] for name in ("title", "link", "content", "author_name"))
    return ELEMENTS + sum(len(in_xml(text).encode()) for text in texts)


def _content(update: Update, incident: State) -> str:
    """Return the story as of this update, as HTML in which no markup is the provider's."""
    entries = list(answer.story_of(incident, update.updated_at))
    said = message(update)
    is_told = bool(entries) and one_line(" ".join(entries[0][1]), len(said) or 1) == said
    first = update.name, [] if is_told else lines_of(update.message, LONGEST_BODY)
    return _cut(starmap(_told, [first, *entries]))


def _told(heading: str, lines: list[str]) -> str:
    body = "<br>".join(str(escape(line)) for line in lines)
    return f"<p><b>{escape(one_line(heading, LONGEST_NAME))}</b>{'<br>' if body else ''}{body}</p>"


def _cut(paragraphs: Iterable[str]) -> str:
    """Return the first paragraphs: the one that passes LONGEST_STORY is the last."""
    written: list[str] = []
    size = 0
    for paragraph in paragraphs:
        written.append(paragraph)
        size += len(paragraph)
        if size > LONGEST_STORY:
            written.append("<p>…</p>")
            break
    return "".join(written)
