"""The registry of pages: the name of each, how it is heard, and when it was last heard. Its rows are the history's.

A page is known by its id; names are for people. The name in MONITOR_PAGES wins. Without one the first name stays, so
that a page keeps its name within a stream: that of ?page=, of known_pages.json, of the payload, or the page's host.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from urllib.parse import urlsplit

from flask import Flask

from monitor.history.contract import History, Page
from monitor.history.query import Query
from monitor.senders import known_pages
from monitor.senders.known_pages import KnownPage as KnownPage
from monitor.senders.nearest import NearestNames
from monitor.server.turns import take_turns
from monitor.settings import Command, Settings
from monitor.updates.errors import NotAnUpdate, Unavailable
from monitor.updates.incident import AnyState, Incident
from monitor.updates.update import Update

log = logging.getLogger("event_monitor")

NOT_POLLED: dict[str, object] = {"read_by": None, "doorbell": None, "last_ring": None}
MOST_NAMES = 10_000  # strangers could name pages without end
INCIDENTS_AT_ONCE = 50  # read by one query, each with its whole story


class Pages:
    """The pages of one history. `names_given` grows with each new name: a name that was unknown may be known now."""

    def __init__(self, known: Iterable[KnownPage], history: History, bound: Collection[str] = ()) -> None:
        self._given = {page.url: page for page in known}
        self._spelled = {page.name.casefold(): page.name for page in self._given.values() if page.name}
        self._bound = set(map(self._as_given, bound))  # pages, by name or id, with a token of their own
        self._trusted = {page.id: page.name for page in self._given.values() if page.id and page.name}
        self._names = dict(self._trusted)
        named_hosts = [(urlsplit(url).hostname or "", page.name) for url, page in self._given.items()]
        times = Counter(host for host, _ in named_hosts)
        self._names_of_hosts = {host: name for host, name in named_hosts if times[host] == 1}
        self._urls = {page.id: page.url for page in self._given.values() if page.id}  # where each page is polled
        self._history = history
        self._is_loaded = False
        self._nearest = NearestNames()
        self._unheard: dict[str, Page] = {}  # by address: polled pages that have not answered yet
        self.names_given = 0
        self.polling_of: Callable[[str | None], dict[str, object]] = lambda _url: NOT_POLLED  # polling sets it

    def name_for(self, update: Update, named: str | None = None) -> Update:
        """Return the update under its page's name; `named` is the name in ?page=."""
        self._load_names()
        name = self._names.get(update.page_id) or self._first_name(update, named)
        return update if name is None or name == update.page else replace(update, page=name, is_named=True)

    def _first_name(self, update: Update, named: str | None) -> str | None:
        """Return the name for a page that has none yet; remember it, unless it is that of the page's host."""
        name = None if named else known_pages.name_of(update.page_id)
        if name is None and not update.is_named:
            return self._names_of_hosts.get(update.page)
        name = name or update.page
        if self._history.kept_in != "memory" and len(self._names) < MOST_NAMES:
            with suppress(Unavailable):
                self.known()  # another process may have given the page its name
        self.remember(update.page_id, name)
        return self._names.get(update.page_id, name)

    def bind_to(self, update: Update, page: str) -> Update:
        """Return the update as one of this page, whatever page its sender says it is of."""
        page = self._as_given(page)
        page_id = self._id_bound_to(page)
        name = self._trusted.get(page_id) or known_pages.name_of(page_id) or page
        return replace(update, page_id=page_id, page=name, is_named=True)

    def _as_given(self, name: str) -> str:
        """Return a page's name as MONITOR_PAGES spells it: case does not matter."""
        return self._spelled.get(name.casefold(), name)

    def _id_bound_to(self, page: str) -> str:
        """Return the id of the page, an id or a name, that a token speaks for.

        MONITOR_PAGES and polling come first, then earlier runs, then known_pages.json. Otherwise the name is the id.
        """
        self._load_names()
        for page_id, name in self._trusted.items():
            if page in (page_id, name):
                return page_id
        for page_id, name in self._names.items():
            if name == page != page_id:
                return page_id
        known = known_pages.named(page)
        return known.id if known and known.id else page

    def trust(self, known: KnownPage, own_id: str | None, own_name: str | None) -> str:
        """Name a polled page, by what MONITOR_PAGES or the page itself says; return its id.

        A page speaks for itself only: the id of another page raises NotAnUpdate, the name of another page is not taken.
        """
        self._load_names()
        if known.name and known.name in self._bound:
            page_id = self._id_bound_to(known.name)
        else:
            page_id = known.id or own_id or known.host
        if page_id in self._reserved(known) or self._urls.setdefault(page_id, known.url) != known.url:
            raise NotAnUpdate(f"goes by the id {page_id!a}, as another page does")
        name = known.name or self._names.get(page_id) or self._free_name(known, own_name or known.host)
        if self._trusted.get(page_id) != name:
            self._trusted[page_id] = self._names[page_id] = name
            self.names_given += 1
        return page_id

    def _reserved(self, known: KnownPage) -> set[str]:
        """Return what MONITOR_PAGES and tokens call the other pages."""
        given = {page.name for page in self._given.values() if page.name and page.url != known.url}
        return (given | self._bound) - {known.name, known.id}

    def _free_name(self, known: KnownPage, name: str) -> str:
        """Return the name that a page gives itself, or its host where another page goes by that name."""
        others = {other for page_id, other in self._names.items() if self._urls.get(page_id) != known.url}
        if name.casefold() not in map(str.casefold, others | self._reserved(known)):
            return name
        log.warning("polling: %s calls itself %a, as another page is called", known.url, name)
        return known.host

    def polled(self, known: KnownPage, page_id: str | None, problem: str | None) -> None:
        """Record how polling a page went: `page_id` is None until it answers; raise Unavailable."""
        if page_id is None:
            name = known.name or known.host
            self._unheard[known.url] = Page(known.id or known.host, name, url=known.url, problem=problem)
            return
        self._unheard.pop(known.url, None)
        self._load_names()
        name = self._names.get(page_id, known.host)
        polled_at = None if problem else datetime.now(UTC)
        self._history.note(page_id, name=name, url=known.url, polled_at=polled_at, problem=problem)

    def name_of(self, page_id: str) -> str | None:
        """Return the name of a page, if it has one."""
        return self._names.get(page_id)

    def remember(self, page_id: str, name: str) -> None:
        """Give a page this name, unless it has one."""
        if page_id not in self._names and len(self._names) < MOST_NAMES:
            self._names[page_id] = name
            self.names_given += 1

    def shown(self, state: AnyState) -> AnyState:
        """Return a state under its page's present name."""
        name = self._names.get(state.page_id, state.page)
        return state if name == state.page else replace(state, page=name)

    def newest(self, wanted: Query, most: int) -> Iterator[Incident]:
        """Yield up to `most` incidents that match, newest first, whatever the query's limit; raise Unavailable.

        `most` is a multiple of INCIDENTS_AT_ONCE. Each incident is shown under its page's present name.
        """
        wanted = replace(wanted, limit=INCIDENTS_AT_ONCE)
        for _ in range(0, most, INCIDENTS_AT_ONCE):
            found = self._history.incidents(wanted)
            yield from (self.shown(row.incident) for row in found)
            if len(found) < INCIDENTS_AT_ONCE:
                return
            wanted = replace(wanted, before=found[-1].place)
            take_turns()

    def known(self) -> list[Page]:
        """Return every page that was polled or pushed, sorted by name; raise Unavailable."""
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
        """Return the query with the ids of the pages whose id or name it asks for, in any case; raise Unavailable."""
        if query.page is None:
            return query
        wanted = query.page.casefold()
        names = chain(((page.id, page.name) for page in self.known()), self._names.items())
        ids = (page_id for page_id, name in names if wanted in (page_id.casefold(), name.casefold()))
        return replace(query, page_ids=frozenset(ids))

    def nearest(self, name: str, among: Iterable[str] | None = None) -> list[str]:
        """Return the names most like an unknown one, of pages or of `among`."""
        return self._nearest(name, self._names.values() if among is None else among)

    def _load_names(self) -> None:
        """Read the names of earlier runs, once."""
        if not self._is_loaded:
            with suppress(Unavailable):  # nothing can be recorded then, either
                self.known()


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


SETTINGS: Settings = {"PAGES": known_pages.parse}
COMMANDS = {"--pages": Command("list the pages that MONITOR_PAGES knows by name", known_pages.print_all)}
