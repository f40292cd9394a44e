"""The registry of pages: what each is called, how it is heard, and when it last was; its rows are the history's.

A page is known by its id; names are for people. MONITOR_PAGES names a page over all else; then the first name stays,
so that no stream of updates changes it half-way: that of ?page=, of known_pages.json, of the payload, or its host.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from heapq import nlargest
from itertools import chain
from typing import TypeVar
from urllib.parse import urlsplit

from flask import Flask
from gevent.lock import BoundedSemaphore

from monitor.history.contract import History, Page
from monitor.history.query import Query
from monitor.senders import known_pages
from monitor.senders.known_pages import KnownPage as KnownPage
from monitor.server.turns import take_turns
from monitor.settings import Asked, Command, Settings
from monitor.updates.errors import NotAnUpdate, Unavailable
from monitor.updates.update import State, Update

log = logging.getLogger("event_monitor")
AnyState = TypeVar("AnyState", bound=State)

NO_DOORBELL: dict[str, object] = {"doorbell": None, "last_ring": None}
MOST_NAMES = 10_000  # strangers could name pages without end
MOST_COMPARED, LONGEST_COMPARED = 100, 40  # names, and characters of them, to find the nearest


class Pages:
    """The pages of one history. `names_given` counts the names: what was resolved before may be found now."""

    def __init__(self, known: Iterable[KnownPage], history: History, bound: Collection[str] = ()) -> None:
        self._given = {page.url: page for page in known}
        self._bound = set(bound)  # the pages that a token of their own speaks for
        self._trusted = {page.id: page.name for page in self._given.values() if page.id and page.name}
        self._names = dict(self._trusted)
        hosts = {page.url: urlsplit(page.url).hostname or "" for page in self._given.values()}
        shared = {host for host, times in Counter(hosts.values()).items() if times > 1}  # which tell no page apart
        self._of_hosts = {hosts[url]: page.name for url, page in self._given.items() if hosts[url] not in shared}
        self._urls = {page.id: page.url for page in self._given.values() if page.id}  # where each page is polled
        self._history = history
        self._is_loaded = False
        self._comparing = BoundedSemaphore()
        self._unheard: dict[str, Page] = {}  # by address: polled, and the page's id is not known yet
        self.names_given = 0
        self.read_by: dict[str, str] = {}  # by address: how this process polls a page
        self.doorbell_of: Callable[[str | None], dict[str, object]] = lambda _url: NO_DOORBELL  # polling's to fill

    def name_for(self, update: Update, named: str | None = None) -> Update:
        """Return the update under the name that its page goes by; `named` is the one in ?page=."""
        name = self._name(update.page_id)
        if name is None and not named and (name := known_pages.name_of(update.page_id)):
            self.remember(update.page_id, name)
        if name is None and not update.is_named:
            name = self._of_hosts.get(update.page)
        if name is None:
            if update.is_named:
                self.remember(update.page_id, update.page)
            return update
        return update if name == update.page else replace(update, page=name, is_named=True)

    def bind_to(self, update: Update, page: str) -> Update:
        """Return the update as one of this page, whatever page its sender says it is of."""
        page_id = self.id_bound_to(page)
        return replace(update, page_id=page_id, page=self._trusted.get(page_id, page), is_named=True)

    def id_bound_to(self, page: str) -> str:
        """Return the id of the page that a token speaks for.

        It is that of MONITOR_PAGES, or what polling the page gave, in an earlier run too, or that of known_pages.json;
        without any it is the name.
        """
        self._name(page)
        trusted = (page_id for page_id, name in self._trusted.items() if page in (page_id, name))
        earlier = (page_id for page_id, name in self._names.items() if name == page != page_id)
        known = known_pages.named(page)
        return next(chain(trusted, earlier), known.id if known and known.id else page)

    def trust(self, known: KnownPage, own_id: str | None, own_name: str | None) -> str:
        """Take its own id and name from a polled page; return the id that it goes by.

        It speaks for itself only: raise NotAnUpdate for an id that another page goes by; such a name is refused.
        """
        page_id = known.id or own_id or known.host
        if known.name and known.name in self._bound:
            page_id = self.id_bound_to(known.name)
        others = {page.name for page in self._given.values() if page.url != known.url} | self._bound
        others -= {known.name, known.id}
        goes_by = self._name(page_id)
        if page_id in others or self._urls.setdefault(page_id, known.url) != known.url:
            raise NotAnUpdate(f"goes by the id {page_id!a}, as another page does")
        name = known.name or goes_by or own_name or known.host
        others |= {other for other_id, other in self._names.items() if self._urls.get(other_id) != known.url}
        if not known.name and not goes_by and name.casefold() in {other.casefold() for other in others if other}:
            log.warning("polling: %s calls itself %a, as another page is called", known.url, name)
            name = known.host
        if self._trusted.get(page_id) != name:
            self._trusted[page_id] = self._names[page_id] = name
            self.names_given += 1
        return page_id

    def polled(self, known: KnownPage, page_id: str | None, problem: str | None) -> None:
        """Write down what polling a page came to; without an id it has not answered yet; raise Unavailable."""
        if page_id is None:
            page = Page(known.id or known.host, name=known.name or known.host, url=known.url, problem=problem)
            self._unheard[known.url] = page
            return
        self._unheard.pop(known.url, None)
        polled_at = None if problem else datetime.now(UTC)
        name = self._name(page_id) or known.host
        self._history.note(page_id, name=name, url=known.url, polled_at=polled_at, problem=problem)

    def name_of(self, page_id: str) -> str | None:
        """Return what a page goes by, if that is known."""
        return self._names.get(page_id)

    def remember(self, page_id: str, name: str) -> None:
        """Call a page by this name from now on, unless it has one already."""
        if page_id not in self._names and len(self._names) < MOST_NAMES:
            self._names[page_id] = name
            self.names_given += 1

    def shown(self, state: AnyState) -> AnyState:
        """Return a state under the name that its page goes by now."""
        name = self._names.get(state.page_id, state.page)
        return state if name == state.page else replace(state, page=name)

    def known(self) -> list[Page]:
        """Return every page that was heard of, under its name, by name; raise Unavailable."""
        pages = self._history.pages()
        for page in pages:
            if page.is_named:
                self.remember(page.id, page.name)
            page.name = self._names.get(page.id, page.name)
            if page.url in self._given:
                self._urls.setdefault(page.id, page.url)
        self._is_loaded = True
        heard = {page.url for page in pages}
        pages += [page for url, page in self._unheard.items() if url not in heard]
        return sorted(pages, key=lambda page: (page.name, page.id))

    def resolve(self, query: Query) -> Query:
        """Return the query with the ids of the pages that go by what it asks for, in any case; raise Unavailable."""
        if query.page is None:
            return query
        wanted = query.page.casefold()
        names = chain(((page.id, page.name) for page in self.known()), self._names.items())
        ids = (page_id for page_id, name in names if wanted in (page_id.casefold(), name.casefold()))
        return replace(query, page_ids=frozenset(ids))

    def nearest(self, name: str, among: Iterable[str] | None = None) -> list[str]:
        """Return the names that are most like this one, which nobody knows: those of pages, or `among` others.

        difflib would compare 10,000 long names for seconds: a crowd asks one at a time, of the likeliest, cut.
        """
        with self._comparing:
            take_turns()  # others are answered meanwhile
            known = self._names.values() if among is None else among
            names = {one.casefold()[:LONGEST_COMPARED]: one for one in known}
            wanted = name.casefold()[:LONGEST_COMPARED]
            likely = list(names)
            if len(likely) > MOST_COMPARED:
                pairs = {wanted[at : at + 2] for at in range(len(wanted) - 1)}
                likely = nlargest(MOST_COMPARED, likely, key=lambda one: sum(map(one.__contains__, pairs)))
            return [names[found] for found in get_close_matches(wanted, likely)]

    def _name(self, page_id: str) -> str | None:
        """Return what a page goes by, once the names that were given in earlier runs are known."""
        if not self._is_loaded:
            with suppress(Unavailable):  # then nothing is recorded just now, either
                self.known()
        return self._names.get(page_id)


def init_app(app: Flask, history: History) -> Pages:
    """Give the app its registry of pages."""
    tokens = app.config.get("WEBHOOK_TOKEN")
    bound = tokens.values() if isinstance(tokens, dict) else ()
    pages = app.extensions[__name__] = Pages(app.config.get("PAGES", ()), history, bound)
    return pages


def pages_of(app: Flask) -> Pages:
    """Return the app's registry of pages."""
    pages: Pages = app.extensions[__name__]
    return pages


def _print_known(_asked: Asked) -> int:
    sys.stdout.write(known_pages.listing())
    return 0


SETTINGS: Settings = {"PAGES": known_pages.parse}
COMMANDS = {"--pages": Command("list the pages that MONITOR_PAGES knows by name", _print_known)}
