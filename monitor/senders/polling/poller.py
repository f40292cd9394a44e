"""Poll each page now and then, and record what is news as a push is, so that nothing is told twice.

Of several processes on one history, one polls. A page that does not answer is polled less and less often.
"""

from __future__ import annotations

import logging
import random
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import gevent
from gevent.lock import BoundedSemaphore

from monitor.history.contract import Page
from monitor.history.query import Query
from monitor.pipeline import Pipeline
from monitor.senders.pages import KnownPage, Pages
from monitor.senders.payload import JSONObject
from monitor.senders.polling.client import Conditions, NoAnswer, StatusPageClient
from monitor.senders.polling.news import Baseline, end_of, news
from monitor.senders.polling.statuspage_api import Answer, newest, unresolved, update_of
from monitor.updates.errors import NotAnUpdate, Unavailable
from monitor.updates.impacts import is_maintenance
from monitor.updates.incident import Incident
from monitor.updates.text import describe_error

log = logging.getLogger("event_monitor")

MOST_AT_ONCE = 20  # pages that are polled at the same time
SECONDS_WITHOUT_LEASE, SECONDS_WITHOUT_HISTORY, LONGEST_PAUSE = 30.0, 60.0, 3600.0
SECONDS_OF_LEASE = 5.0  # one that is not asked for runs out
TIME_TO_BE_LISTED = timedelta(minutes=10)  # an answer may come out of a cache


@dataclass(slots=True, eq=False)
class PolledPage:
    """A page that is polled; `id` is empty until it has answered, `conditions` ask only for what it did not say yet."""

    known: KnownPage
    client: StatusPageClient
    id: str = ""
    problem: str | None = "not polled yet"
    failures: int = 0
    conditions: Conditions = field(default_factory=dict)


class Poller:
    """Polls each page every `seconds`, with jitter; of all pages a few at a time."""

    def __init__(self, known: list[KnownPage], seconds: float, pipeline: Pipeline, pages: Pages, version: str) -> None:
        self.polled = [PolledPage(page, StatusPageClient(page.url, version)) for page in known]
        self._seconds, self._pipeline, self._history, self._pages = seconds, pipeline, pipeline.history, pages
        for page in self.polled:
            pages.polled(page.known, None, page.problem)
        self._at_start: dict[str, Page] | None = None
        with suppress(Unavailable):  # then it is read at the first poll
            self._known()
        self._lease = self._history.lease("polling")
        self._turns = BoundedSemaphore(MOST_AT_ONCE)
        # 50 pages a second: an answer takes milliseconds of the one thread.
        greenlets = [gevent.spawn_later(n / 50, self._poll_for_ever, page) for n, page in enumerate(self.polled)]
        greenlets.append(gevent.spawn(self._keep_lease))
        pipeline.stopping.append(lambda: gevent.killall(greenlets, block=False))
        pipeline.closing.append(self._lease.release)

    def _poll_for_ever(self, page: PolledPage) -> None:
        while True:
            with self._turns:
                seconds = self.poll(page)
            gevent.sleep(seconds * random.uniform(0.9, 1.1))  # noqa: S311  # 200 pages shall not fall together

    def _keep_lease(self) -> None:
        while True:
            gevent.sleep(SECONDS_OF_LEASE)
            self._lease.is_held()

    def poll(self, page: PolledPage) -> float:
        """Poll a page once, record what it says, and return in how many seconds it is to be polled again."""
        try:
            if not self._lease.is_held():
                return SECONDS_WITHOUT_LEASE
            self._take(page)
        except (NoAnswer, NotAnUpdate) as reason:
            return self._fail(page, str(reason), getattr(reason, "retry_after", 0.0))
        except Unavailable:  # the history says so, once
            return min(SECONDS_WITHOUT_HISTORY, self._seconds)
        except Exception as error:  # noqa: BLE001  # what nobody foresaw: later the page says something else
            return self._fail(page, f"was not understood: {describe_error(error)}")
        if page.failures:
            log.warning("polling: %s answers again", page.known.url)
        page.problem, page.failures = None, 0
        return self._seconds

    def _fail(self, page: PolledPage, problem: str, retry_after: float = 0.0) -> float:
        if page.problem != problem:
            log.warning("polling: %s %s", page.known.url, problem)
        page.problem, page.failures = problem, page.failures + 1
        with suppress(Unavailable):
            self._pages.polled(page.known, page.id or None, problem)
        pause = min(self._seconds * 2.0 ** min(page.failures - 1, 20), max(LONGEST_PAUSE, self._seconds))
        return max(pause, retry_after / 0.9)  # which the jitter shall not shorten

    def _take(self, page: PolledPage) -> None:
        known = self._known()
        if answer := newest(page.client, page.conditions):
            page.id = self._pages.trust(page.known, answer.id, answer.name)
            baseline = Baseline.of(known.get(page.id), (self._at_start or {}).get(page.id))
            self._record(page, answer.incidents, baseline)
            page.conditions = {} if self._end_unlisted(page, answer, baseline) else answer.conditions
        self._pages.polled(page.known, page.id, None)

    def _known(self) -> dict[str, Page]:
        """Return the history's pages by id, of which a polled page has that of its address; raise Unavailable."""
        pages = sorted(self._history.pages(), key=lambda page: page.polled_at or page.received_at)
        known, ids = {page.id: page for page in pages}, {page.url: page.id for page in pages}
        self._at_start = known if self._at_start is None else self._at_start
        for page in self.polled:
            page.id = page.id or ids.get(page.known.url, "")
        return known

    def _record(self, page: PolledPage, incidents: list[JSONObject], baseline: Baseline) -> None:
        told, name = 0, self._pages.name_of(page.id) or page.id
        for incident in incidents:
            gevent.sleep(0)  # 50 incidents take tens of milliseconds: webhooks are answered in between
            try:
                state = update_of(incident, page.id, name)
            except NotAnUpdate as reason:
                log.warning("polling: %s: an incident is left out: %s", page.known.url, reason)
                continue
            for update in news(state, self._history.incident(state.page_id, state.id), baseline):
                if update.is_past:
                    self._history.add(update)
                else:
                    told += self._pipeline.record(update, "poll")
        if told and baseline.is_pushed:
            log.warning("polling: %s said %d that no push had brought", page.known.url, told)

    def _end_unlisted(self, page: PolledPage, answer: Answer, baseline: Baseline) -> bool:
        """End what is open here and not there: its page deleted it, or resolved it behind 50 newer ones.

        Return whether there is such: then the page's next answer counts, though it be the same.
        """
        query = Query(page_ids=frozenset((page.id,)), status="open", limit=200)
        unlisted = [row.incident for row in self._history.incidents(query) if _is_unlisted(row.incident, answer)]
        open_there, now = unresolved(page.client) if unlisted else None, datetime.now(UTC)
        if open_there:
            self._record(page, open_there.incidents, baseline)
        for incident in unlisted:
            # Where nothing lists what is open, what is newer than the oldest in the answer was deleted.
            is_newer = incident.created_at > (answer.oldest or now)
            is_gone = incident.id not in open_there.ids if open_there else is_newer
            if is_gone and now - incident.updated_at > TIME_TO_BE_LISTED:
                log.warning("polling: %s no longer lists %a, which was open", page.known.url, incident.id)
                self._pipeline.record(end_of(incident), "poll")
        return bool(unlisted)


def _is_unlisted(incident: Incident, answer: Answer) -> bool:
    """Tell an incident that an answer lacks; components and maintenances stand in lists of their own."""
    return not (incident.is_component_update or is_maintenance(incident) or incident.id in answer.ids)
