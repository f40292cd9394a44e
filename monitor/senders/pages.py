"""What pages are called: those that MONITOR_PAGES names, and the rest by the first name that they were seen under.

A page keeps its name for its id from then on, so that no stream of updates changes its name half-way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain
from urllib.parse import urlsplit

from monitor.history.contract import History, Unavailable
from monitor.senders.payload import LONGEST_ID, setting
from monitor.updates.update import LONGEST_PAGE, Update

MOST_NAMES = 10_000  # strangers could name pages without end
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class KnownPage:
    """A page of MONITOR_PAGES: the address of its front page without a path, and what is known of it beforehand."""

    url: str
    name: str | None = None
    id: str | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


class Names:
    """The names of pages by their ids; with a history in SQL, over restarts too."""

    def __init__(self, known: Iterable[KnownPage], history: History) -> None:
        known = list(known)
        self._trusted = {page.id: page.name for page in known if page.id and page.name}
        self._names = dict(self._trusted)
        self._of_hosts = {page.host: page.name for page in known if page.name}
        self._history = history
        self._is_loaded = False

    def named(self, update: Update) -> Update:
        """Return the update under the name that its page goes by."""
        name = self._names.get(update.page_id) if self._is_loaded else self._load(update.page_id)
        if name is None and not update.is_named:
            name = self._of_hosts.get(update.page)
        if name is None:
            if update.is_named:
                self.learn(update.page_id, update.page)
            return update
        return update if name == update.page else replace(update, page=name, is_named=True)

    def bound(self, update: Update, page: str) -> Update:
        """Return the update as one of this page, whatever page its sender says it is of.

        The page's id is that of MONITOR_PAGES, or what asking the page gave, in an earlier run too; without any it is
        the name.
        """
        if not self._is_loaded:
            self._load(page)
        trusted = (at for at, name in self._trusted.items() if page in (at, name))
        earlier = (at for at, name in self._names.items() if name == page != at)
        page_id = next(chain(trusted, earlier), page)
        return replace(update, page_id=page_id, page=self._trusted.get(page_id, page), is_named=True)

    def trust(self, page_id: str, name: str, named: str | None) -> None:
        """Take a page's id from itself, that was asked, and its name, unless it is `named` or goes by one already."""
        known = self._names.get(page_id) if self._is_loaded else self._load(page_id)
        self._trusted[page_id] = self._names[page_id] = named or known or name

    def of(self, page_id: str) -> str | None:
        """Return what a page goes by, if that is known."""
        return self._names.get(page_id)

    def learn(self, page_id: str, name: str) -> None:
        """Call a page by this name from now on, unless it has one already."""
        if len(self._names) < MOST_NAMES:
            self._names.setdefault(page_id, name)

    def _load(self, page_id: str) -> str | None:
        try:
            for page in self._history.pages():
                if page.is_named:
                    self.learn(page.id, page.name)
            self._is_loaded = True
        except Unavailable:  # then nothing is recorded just now, either
            pass
        return self._names.get(page_id)


def parse(value: str) -> tuple[KnownPage, ...]:
    """Return the pages in a JSON list of addresses, or of {"url", "name", "id"}; raise ValueError naming the entry."""
    entries = setting(value)
    if not isinstance(entries, list) or not entries:
        raise ValueError('is not a JSON list such as ["https://www.githubstatus.com"]')
    pages = tuple(_page(number, entry) for number, entry in enumerate(entries, 1))
    if len({page.url for page in pages}) < len(pages):
        raise ValueError("names a page twice")
    return pages


def _page(number: int, entry: object) -> KnownPage:
    given = {"url": entry} if isinstance(entry, str) else entry
    if not isinstance(given, dict) or "url" not in given or set(given) - {"url", "name", "id"}:
        raise ValueError(f'entry {number} is neither an address nor {{"url", "name", "id"}}')
    if wrong := [name for name, text in given.items() if not isinstance(text, str) or not text.strip()]:
        raise ValueError(f"entry {number}: {wrong[0]} is not a text")
    if len(given.get("name", "")) > LONGEST_PAGE or len(given.get("id", "")) > LONGEST_ID:
        raise ValueError(f"entry {number}: name is longer than {LONGEST_PAGE} or id than {LONGEST_ID} characters")
    return KnownPage(_address(number, given["url"]), given.get("name"), given.get("id"))


def _address(number: int, url: str) -> str:
    if "@" in url:
        raise ValueError(f"entry {number}: an address with a user or a password is not that of a page")  # not shown
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"entry {number}: {url!a} is not an address") from None
    host = (parts.hostname or "").lower()
    if not re.fullmatch(r"[a-z0-9.:-]{1,253}", host) or parts.path not in ("", "/") or parts.query:
        raise ValueError(f"entry {number}: {url!a} is not the address of a page, such as https://www.githubstatus.com")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in LOOPBACK):
        raise ValueError(f"entry {number}: {url!a} does not begin with https://")
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
