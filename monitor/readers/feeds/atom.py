"""`GET /feed.atom`, for feed readers: the newest updates of all pages, or those that the query asks for.

One entry an update, not one an incident: readers show an entry once and seldom notice that it changed. An entry's
id is made of the update's key, so it is the same after a restart and on every instance; what is in it does not
change. Atom: https://www.rfc-editor.org/rfc/rfc4287
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from io import StringIO
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape as in_xml

import gevent
from feedgenerator import Atom1Feed
from flask import Flask, Response, request
from markupsafe import escape

from monitor.history.contract import MOST_ARRIVALS, History
from monitor.history.query import IMPACTS, Query
from monitor.readers.feeds.answer import LARGEST, answer, asked, every, identity, link, paragraphs, story
from monitor.server.requests import require
from monitor.updates.text import one_line
from monitor.updates.update import LONGEST_PAGE, NOTHING, Update, message, product

PARAMETERS = ("id", "page", "component", "status", "impact", "since", "limit")
LONGEST_TITLE, LONGEST_STORY = 200, 50_000  # characters
ELEMENTS = 700  # bytes of an entry, about, beside its title and its content
SEARCHED_AT_ONCE = 500  # updates
MOST_INCIDENTS = 500  # looked through for the stories of what is given out

Identity = tuple[str, str]  # page and id


def init_app(app: Flask) -> None:
    """Add `GET /feed.atom`."""
    history: History = app.extensions["monitor"].history

    @app.get("/feed.atom")
    def feed() -> Response:
        require(app.config.get("READ_TOKEN"))
        of = asked(*PARAMETERS)
        filters = {name: request.args[name] for name in PARAMETERS if name in request.args}
        return answer(
            history, Atom1Feed.content_type, lambda: _write(history, of, filters), *filters, *filters.values()
        )


def _write(history: History, of: Query, filters: dict[str, str]) -> str:
    """Return the feed; its addresses are relative, as only the reader knows by which name it came here."""
    about = one_line(", ".join(filters.values()), LONGEST_TITLE)
    asking = f"?{urlencode(filters)}" if filters else ""  # never with the token
    written = _Feed(
        title=f"event_monitor: {about}" if about else "event_monitor",
        link=f"incidents{asking}",
        description="",
        author_name="event_monitor",
        feed_url=f"feed.atom{asking}",
        feed_guid=identity("feed", asking).urn,
    )
    size = 0
    updates = _newest(history, of)
    for item in _items(updates, _incidents(history, of, updates)):
        written.add_item(**item)
        size += ELEMENTS + len(in_xml(item["title"] + item["content"]).encode())
        if size >= LARGEST:
            break
        gevent.sleep(0)  # a long story takes 2 ms
    document = StringIO()
    written.write(document, "utf-8")
    return document.getvalue()


class _Feed(Atom1Feed):  # type: ignore[misc]  # it has no types
    def latest_post_date(self) -> datetime:
        """Return when the feed was updated: one without entries never was."""
        return max((item["updateddate"] for item in self.items), default=datetime(1970, 1, 1, tzinfo=UTC))

    def write_items(self, handler: Any) -> None:
        """Write the entries as the library does, with others answered in between."""
        for item in self.items:
            handler.startElement("entry", self.item_attributes(item))
            self.add_item_elements(handler, item)
            handler.endElement("entry")
            gevent.sleep(0)


def _newest(history: History, of: Query) -> list[Update]:
    """Return the updates that match, newest first by their own time, from among those that arrived last.

    By their own time, as a page that is seen for the first time may bring a year's past at once.
    """
    if not (last := history.arrivals(None, 1)):
        return []
    found: list[Update] = []
    newest = last[0].number
    oldest = history.arrivals(max(newest - MOST_ARRIVALS, 0), 1)[0].number
    # Backwards: an hour's updates are found at once, however many are kept.
    for upto in range(newest, oldest - 1, -SEARCHED_AT_ONCE):
        arrived = history.arrivals(max(upto - SEARCHED_AT_ONCE, 0), SEARCHED_AT_ONCE)
        found += [one.update for one in reversed(arrived) if one.number <= upto and of.matches(one.update)]
        if len(found) >= of.limit:
            break
        gevent.sleep(0)
    return sorted(found, key=lambda update: update.updated_at, reverse=True)[: of.limit]


def _incidents(history: History, of: Query, updates: Iterable[Update]) -> dict[Identity, Update]:
    """Return the incidents of these updates, of which arrivals in SQL hold no story."""
    wanted = {(update.page_id, update.id) for update in updates if not update.is_component_update}
    found: dict[Identity, Update] = {}
    if wanted:
        since = min(update.updated_at for update in updates)
        for incident in every(history, Query(id=of.id, since=since), MOST_INCIDENTS):
            found[incident.page_id, incident.id] = incident
            if wanted <= found.keys():
                break
    return found


def _items(updates: Iterable[Update], incidents: dict[Identity, Update]) -> Iterator[dict[str, Any]]:
    for update in updates:
        title, page = f"{product(update)}: {message(update)}", one_line(update.page, LONGEST_PAGE)
        own = urlencode({"id": update.id, "page": update.page_id})
        yield {
            "unique_id": identity(update.page_id, update.id, update.updated_at.isoformat()).urn,
            "title": one_line(title, LONGEST_TITLE),
            "link": link(update) or f"incidents?{own}",
            "description": None,
            "content": _content(update, incidents.get((update.page_id, update.id), update)),
            "pubdate": update.updated_at,
            "updateddate": update.updated_at,
            "author_name": page or NOTHING,
            "categories": [update.impact] if update.impact in IMPACTS else [],
        }


def _content(update: Update, incident: Update) -> str:
    """Return the story as it was told when the update came, as HTML in which nothing is the provider's."""
    told = [(update.name, paragraphs(update.message))]
    entries = list(story(incident, update.updated_at))
    if entries and one_line(" ".join(entries[0][1]), len(message(update)) or 1) == message(update):
        told = [(update.name, [])]
    written, size = [], 0
    for heading, lines in told + entries:
        body = "<br>".join(str(escape(line)) for line in lines)
        written.append(f"<p><b>{escape(one_line(heading, LONGEST_TITLE))}</b>{'<br>' if body else ''}{body}</p>")
        size += len(written[-1])
        if size > LONGEST_STORY:
            written.append("<p>…</p>")
            break
    return "".join(written)
