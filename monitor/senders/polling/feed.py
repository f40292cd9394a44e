"""Atom and RSS: the feed of a page without Statuspage's API, at a given address or at one that the page's HTML names.

feedparser would block the server for 100 ms, so parse.py runs in a process of its own, with bounds of time and size.
It prints incidents in Statuspage's shape, which are read like those of an API.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from html import unescape
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from gevent.lock import BoundedSemaphore

from monitor.senders.pages import KnownPage
from monitor.senders.payload import decode, records, text
from monitor.senders.polling.client import NoAnswer, StatusPageClient
from monitor.senders.polling.source import Answer
from monitor.updates.errors import NotAnUpdate
from monitor.updates.incident import Incident
from monitor.updates.times import LONG_AGO, instant

LARGEST_FEED, LARGEST_PAGE = 1024 * 1024, 1024 * 1024  # bytes
SECONDS_TO_PARSE = 20
ACCEPT = "application/atom+xml, application/rss+xml, application/xml;q=0.9, */*;q=0.5"
# The path of the feed by maker: the HTML of a page may not name it.
# https://betterstack.com/docs/uptime/status-pages/subscribing-to-status-updates/subscribing-to-rss
FEEDS = {"betterstack": "/feed.rss", "instatus": "/history.atom", "statusio": "/pages/{}/rss"}
PARSE = [sys.executable, "-P", str(Path(__file__).with_name("parse.py"))]

_one_at_a_time = BoundedSemaphore(1)  # of two cores one stays for the server
_feed = re.compile(rb"<(?:\w{1,20}:)?(?:feed|rss|RDF)[\s>]")
_link = re.compile(r"<link\s[^<>]{1,1000}>", re.IGNORECASE)
_href = re.compile(r"""\shref\s*=\s*["']?([^"'\s>]{1,500})""", re.IGNORECASE)


def parse(body: bytes) -> Answer:
    """Return the title and the incidents of a feed, parsed in a process of its own; raise NoAnswer."""
    if find_spec("feedparser") is None:
        raise NoAnswer("has a feed, which needs feedparser: pip install -r requirements-extras.txt")
    try:
        with _one_at_a_time:
            run = subprocess.run(PARSE, input=body, capture_output=True, timeout=SECONDS_TO_PARSE)  # noqa: S603, PLW1510
    except (subprocess.TimeoutExpired, OSError) as error:
        raise NoAnswer(f"has a feed that could not be parsed: {type(error).__name__}") from None
    try:
        found = decode(run.stdout)
    except NotAnUpdate:
        raise NoAnswer("has a feed that could not be parsed") from None
    incidents = records(found.get("incidents"))[::-1]
    ids = frozenset(incident["id"] for incident in incidents)
    return Answer(None, text(found.get("title")), incidents, ids, instant(found.get("oldest")) or LONG_AGO)


class Feed:
    """Polls a page's feed."""

    def __init__(self, known: KnownPage, client: StatusPageClient, address: str) -> None:
        self.how = f"the feed {address}"
        self._client, self._address = client, address
        parts = urlsplit(known.url)
        page_id = known.id or f"{parts.hostname}{parts.path.rstrip('/')}"  # pages may share a host
        self._last = Answer(page_id, None, (), frozenset(), LONG_AGO)  # without its incidents, to save memory

    def ask(self) -> Answer:
        """Ask for what changed; raise NoAnswer."""
        self._client.begin()
        body = self._client.get(self._address, ACCEPT, LARGEST_FEED)
        if body is None:
            return self._last
        found = replace(parse(body), id=self._last.id)
        self._last = replace(found, incidents=())
        return found

    def more(self, unlisted: Sequence[Incident]) -> Answer:  # noqa: ARG002
        """Return the last answer again: a feed is one list."""
        return self._last


def feed_of(known: KnownPage, client: StatusPageClient) -> str | None:
    """Return the address of a page's feed: the page itself, the one that its HTML names on its host, or its maker's."""
    with suppress(NoAnswer):
        body = client.get(known.url, f"text/html, {ACCEPT}", LARGEST_PAGE) or b""
        if _feed.search(body[:4096]):
            return known.url
        for link in _link.findall(body.decode(errors="replace")):
            named = _href.search(link)
            if named and "alternate" in link.lower() and re.search(r"application/(?:atom|rss)\+xml", link.lower()):
                address = urljoin(known.url + "/", unescape(named[1]))
                with suppress(ValueError):
                    if urlsplit(address)[:2] == urlsplit(known.url)[:2]:
                        return address
    path = FEEDS.get(known.platform or "", "").format(known.id)
    return known.url.rstrip("/") + path if path else None
