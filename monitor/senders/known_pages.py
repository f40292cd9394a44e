"""Well-known pages (known_pages.json), which `--pages` lists, and MONITOR_PAGES -> KnownPage.

The file is read at the first look-up of a name or an id. A known id does not prove who sent an update: anybody can
write any id.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from urllib.parse import urlsplit

from monitor.settings import Asked, from_json, is_json
from monitor.updates.update import LONGEST_NAME, LONGEST_PAGE

LOOPBACK = ("127.0.0.1", "::1", "localhost")
FIELDS = {"url", "name", "id", "feed"}  # of a JSON entry of MONITOR_PAGES
EXAMPLE = 'MONITOR_PAGES="OpenAI, GitHub, https://status.example.com"'
MOST_NEAREST = 3
_host = re.compile(r"(?=.{1,253}$)(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*\.?|[0-9a-f.]*:[0-9a-f:.]+)")  # a name or IPv6

# Platforms that push webhooks (AWS and Azure to an account of theirs), and platforms with an API or a feed.
PUSH = frozenset("statuspage betterstack instatus statusio aws azure".split())
POLL = frozenset("statuspage incidentio betterstack instatus statusio".split())


@dataclass(frozen=True, slots=True)
class KnownPage:
    """A page of MONITOR_PAGES or known_pages.json.

    `url` has a path where pages share a host. `platform` is the page's software. `feed` is the address of its feed.
    """

    url: str
    name: str | None = None
    id: str | None = None
    platform: str | None = None
    feed: str | None = None
    aliases: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """The host and the path of its address."""
        parts = urlsplit(self.url)
        return f"{parts.hostname or ''}{parts.path}"


@cache
def every() -> tuple[KnownPage, ...]:
    """Return the pages in known_pages.json."""
    entries = json.loads(files(__package__).joinpath("known_pages.json").read_bytes())
    return tuple(KnownPage(**entry | {"aliases": tuple(entry.get("aliases", ()))}) for entry in entries)


@cache
def _names() -> dict[str, KnownPage]:
    return {name.casefold(): page for page in every() for name in (page.name or "", *page.aliases)}


@cache
def _ids() -> dict[str, str]:
    times = Counter(page.id for page in every())
    return {page.id: page.name for page in every() if page.id and page.name and times[page.id] == 1}


def named(name: str) -> KnownPage | None:
    """Return the page with a name or an alias, in any case."""
    return _names().get(name.casefold())


def name_of(page_id: str) -> str | None:
    """Return the name of the page with this id; None where two pages share the id."""
    return _ids().get(page_id)


def nearest(name: str) -> list[str]:
    """Return the known names most like an unknown one; names that contain it come first."""
    wanted, names = name.casefold(), _names()
    found = [known for known in names if wanted in known] + get_close_matches(wanted, names, MOST_NEAREST)
    return list(dict.fromkeys(names[known].name or known for known in found))[:MOST_NEAREST]


def parse(value: str) -> tuple[KnownPage, ...]:
    """Read MONITOR_PAGES, names and addresses in a plain list or in JSON; raise ValueError naming the entry."""
    entries: object = value.strip().removesuffix(",").split(",")
    if is_json(value):
        try:
            entries = from_json(value)
        except ValueError as error:
            raise ValueError(f"{error}: write {EXAMPLE}") from None
    if not isinstance(entries, list) or not entries:
        raise ValueError('is not a JSON list such as ["https://www.githubstatus.com"]')
    pages = tuple(_page(number, entry) for number, entry in enumerate(entries, 1))
    urls = [page.url for page in pages]
    if twice := [url for url in urls if urls.count(url) > 1]:
        raise ValueError(f"names a page twice, {twice[0]}: write {EXAMPLE}")
    return pages


def _page(number: int, entry: object) -> KnownPage:
    if isinstance(entry, str):
        return _address_or_name(number, entry.strip())
    if not isinstance(entry, dict) or "url" not in entry or set(entry) - FIELDS:
        raise ValueError(
            f'entry {number} is neither an address nor an object with "url", and "name", "id", "feed" if wanted'
        )
    if wrong := [name for name, text in entry.items() if not isinstance(text, str) or not text.strip()]:
        raise ValueError(f"entry {number}: {wrong[0]} is not a text")
    if len(entry.get("name", "")) > LONGEST_PAGE or len(entry.get("id", "")) > LONGEST_NAME:
        raise ValueError(f"entry {number}: name is longer than {LONGEST_PAGE} or id than {LONGEST_NAME} characters")
    page = _of_address(_address(number, entry["url"]))
    feed = _address(number, entry["feed"], may_have_query=True) if "feed" in entry else page.feed
    return KnownPage(page.url, entry.get("name"), entry.get("id"), page.platform, feed)


def _address_or_name(number: int, entry: str) -> KnownPage:
    if "://" in entry:
        return _of_address(_address(number, entry))
    if page := named(entry):
        return page
    near = f"; nearest are {', '.join(nearest(entry))}" if entry and nearest(entry) else ""
    raise ValueError(f"entry {number}: no page {entry[:LONGEST_PAGE]!a} is known{near}: write {EXAMPLE}")


def _of_address(url: str) -> KnownPage:
    """Return the page at an address, with its known platform and feed; the page itself gives its name and id."""
    known = next((page for page in every() if page.url == url), KnownPage(url))
    return KnownPage(url, platform=known.platform, feed=known.feed)


def _address(number: int, url: str, *, may_have_query: bool = False) -> str:
    if "@" in url:  # its password stays out of the error
        raise ValueError(f"entry {number}: an address with a user or a password is not that of a page")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"entry {number}: {url!a} is not an address") from None
    host, query = parts.hostname or "", f"?{parts.query}" if parts.query else ""
    is_plain = _host.fullmatch(host) and re.fullmatch(r"[\w./~%+:;=,-]*", parts.path, re.ASCII)
    if port == 0 or not is_plain or (query and not may_have_query):
        raise ValueError(f"entry {number}: {url!a} is not the address of a page, such as https://www.githubstatus.com")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in LOOPBACK):
        raise ValueError(f"entry {number}: {url!a} does not begin with https://")
    path = "" if parts.path == "/" and not query else parts.path
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}{path}{query}"


def _how_heard(page: KnownPage) -> str:
    polled = "poll" if page.feed or page.platform in POLL else "poll where its HTML names a feed"
    return ", ".join([*(["push"] if page.platform in PUSH else []), "doorbell", polled])


def print_all(_asked: Asked) -> int:
    """Print the pages in known_pages.json, one a line: its names, how it is heard, its address."""
    for page in every():
        names = ", ".join([page.name or "", *page.aliases])
        sys.stdout.write(f"{names:<42}  {_how_heard(page):<42}  {page.url}\n")
    return 0
