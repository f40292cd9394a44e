"""One polled page: its state between polls, and the choice of how to read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

from monitor.senders.pages import KnownPage
from monitor.senders.polling.bell import Bell
from monitor.senders.polling.client import NoAnswer, NotThere, StatusPageClient
from monitor.senders.polling.feed import Feed, feed_of
from monitor.senders.polling.news import Baseline
from monitor.senders.polling.source import Answer, Source
from monitor.senders.polling.statuspage_api import StatuspageApi
from monitor.updates.errors import NotAnUpdate
from monitor.updates.update import Update

SECONDS_TO_SETTLE = 45.0


@dataclass(slots=True, eq=False)
class PolledPage:
    """A page that is polled; `id` is empty until it has answered in this run or an earlier one.

    `baseline` is that of the current poll, and set when it is needed.
    """

    known: KnownPage
    client: StatusPageClient
    source: Source | None = None
    id: str = ""
    baseline: Baseline | None = None
    problem: str | None = "not polled yet"
    failures: int = 0
    bell: Bell = field(default_factory=Bell)
    waiting: dict[tuple[str, str | None], float] = field(default_factory=dict)

    def settled(self, changes: list[Update]) -> list[Update]:
        """Return the changes of components that the page has listed for SECONDS_TO_SETTLE.

        A push of the same change has an id of its own and would be printed too; an answer may come from a cache.
        """
        now = monotonic()
        self.waiting = {key: self.waiting.get(key, now) for key in ((one.subject, one.status) for one in changes)}
        return [one for one in changes if now - self.waiting[one.subject, one.status] >= SECONDS_TO_SETTLE]


def choose(known: KnownPage, client: StatusPageClient) -> tuple[Source, Answer]:
    """Return the source to poll, an API or else a feed, and its first answer; raise NoAnswer, NotAnUpdate."""
    address = known.feed if known.platform not in (None, "statuspage", "incidentio") else None
    if address is None:
        api = StatuspageApi(known, client)
        try:
            return api, api.ask()
        except (NotThere, NotAnUpdate) as reason:
            address = known.feed or feed_of(known, client)
            if address is None:
                raise NoAnswer(f"{reason}; its HTML names no feed, either") from None
    feed = Feed(known, client, address)
    return feed, feed.ask()
