"""The history's arrivals for all streams: read once, encoded as JSON once, in pages that the streams share.

A stream keeps only its position here, the number of the last event it was sent, and asks for the page after that.
Events carry the names that their status pages have now.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from time import monotonic

import gevent
from gevent.lock import Semaphore

from monitor.history.contract import History
from monitor.history.query import Query
from monitor.senders.pages import Pages
from monitor.updates.document import summary
from monitor.updates.update import Update

LARGEST_EVENT = 16 * 1024  # bytes; a page of several events is no larger, as a client that does not read holds one
BYTES_AROUND = 64  # an event's number and its frame
ARRIVALS_IN_A_PAGE, PAGES_KEPT, FILTERS_KEPT = 50, 64, 16
SECONDS_TO_GATHER = 0.05  # from one look to the next: under load several updates go out in one write
SECONDS_BETWEEN_LOOKS = 15  # where nobody tells: another process on the same SQLite file


class FellBehindError(Exception):
    """What comes after a position is no longer kept."""


@dataclass(frozen=True, slots=True)
class Event:
    """An update for streams: its number, its JSON, and the fields that filters read."""

    number: int
    text: str
    update: Update

    def passes(self, query: Query) -> bool:
        """Tell whether the update passes the filters; its page may have got the name that is asked for since."""
        name = query.page and query.page.casefold()
        is_page = not name or name in (self.update.page_id.casefold(), self.update.page.casefold())
        return is_page and query.matches(self.update)


Encode = Callable[[Event], bytes]


@dataclass(frozen=True, slots=True)
class EventPage:
    """The events after some position, up to number `last`."""

    last: int
    events: tuple[Event, ...] = ()
    _encoded: dict[tuple[Query, Encode], bytes] = field(default_factory=dict)

    def encoded(self, query: Query, encode: Encode) -> bytes:
        """Return the events that pass the filters, encoded once for all streams with the same filters."""
        if (query, encode) not in self._encoded:
            if len(self._encoded) >= FILTERS_KEPT:
                self._encoded.clear()
            self._encoded[query, encode] = b"".join([encode(event) for event in self.events if event.passes(query)])
        return self._encoded[query, encode]


class Arrivals:
    """The history's arrivals up to number `newest`, the last that was looked at."""

    def __init__(self, history: History, pages: Pages) -> None:
        self.newest = 0
        self._history, self._pages = history, pages
        self._page = lru_cache(PAGES_KEPT)(self._read)
        self._one_reads, self._looked_at = Semaphore(), 0.0

    def place(self, after: int | None) -> tuple[int, bool]:
        """Return the position of a client that has seen number `after`, and whether updates after that are lost.

        None is a new client; 0 asks for all that is kept. Raise Unavailable.
        """
        if not self.newest:
            self._pages.known()  # loads the names that earlier runs gave
        newest = self._newest()
        if after is None:
            return newest, False
        # A number past `newest` comes from another database, or from a memory that a restart has emptied.
        is_lost = after > newest or self._is_lost(after)
        return 0 if is_lost else after, is_lost

    def wait(self) -> bool:
        """Wait a while for more; return whether there is; raise Unavailable."""
        self._history.wait_for_arrivals(self.newest, SECONDS_BETWEEN_LOOKS)
        gevent.sleep(max(0.0, self._looked_at + SECONDS_TO_GATHER - monotonic()))
        self._looked_at = monotonic()
        before, self.newest = self.newest, self._newest()
        return self.newest > before

    def after(self, position: int) -> EventPage:
        """Return the page after a position below `newest`; raise FellBehindError or Unavailable."""
        with self._one_reads:  # the others then find the page in the cache
            return self._page(position, self._pages.names_given)

    def _read(self, position: int, _names_given: int) -> EventPage:
        """Read a page for the cache, whose key has the count of names, as events show the names of that moment."""
        arrivals = self._history.arrivals(position, ARRIVALS_IN_A_PAGE)
        if self._is_lost(position):
            raise FellBehindError
        events: list[Event] = []
        size = 0
        for arrival in arrivals:
            update = self._pages.shown(arrival.update)
            text = _text(update)
            size += BYTES_AROUND + len(text.encode())
            if events and size > LARGEST_EVENT:
                break
            events.append(Event(arrival.number, text, replace(update, message="", incident_updates=())))
        return EventPage(events[-1].number if events else self.newest, tuple(events))

    def _newest(self) -> int:
        newest = self._history.arrivals(None, 1)
        return newest[0].number if newest else 0

    def _is_lost(self, after: int) -> bool:
        """Tell whether arrivals past a number are no longer kept; asked after they were read, so none is missed."""
        oldest = self._history.arrivals(0, 1)
        return bool(after and oldest and oldest[0].number > after + 1)


def _text(update: Update) -> str:
    """Return an update as JSON; an update that is too large for an event loses its last components."""
    served = summary(update)
    components, kept = served["components"], len(served["components"])
    while True:
        text = json.dumps(served, separators=(",", ":"), ensure_ascii=False)
        if kept == 0 or len(text.encode()) <= LARGEST_EVENT - BYTES_AROUND:
            return text
        kept = kept * 3 // 4
        served |= {"components": components[:kept], "omitted_components": len(components) - kept}
