"""Poll every page of MONITOR_PAGES, and record its news as a push is recorded, so that each update is printed once.

A page with an open incident is polled every minute; a page that does not answer is polled less and less often. Of the
processes that share a history, the holder of the lease polls, and any process whose doorbell is rung.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import gevent
from gevent.lock import BoundedSemaphore

from monitor.history.contract import Page
from monitor.history.query import Query
from monitor.pipeline import Pipeline
from monitor.senders.pages import KnownPage, Pages
from monitor.senders.payload import JSONObject
from monitor.senders.polling.client import NoAnswer, StatusPageClient
from monitor.senders.polling.news import Baseline, changes, end_of, news
from monitor.senders.polling.polled_page import PolledPage, choose
from monitor.senders.polling.source import Answer, update_of
from monitor.server.turns import take_turns
from monitor.updates.errors import NotAnUpdate, Unavailable
from monitor.updates.impacts import is_maintenance
from monitor.updates.incident import Incident, without_story
from monitor.updates.text import describe_error
from monitor.updates.update import Update

log = logging.getLogger("event_monitor")

MOST_AT_ONCE = 20  # pages that are polled at the same time
SECONDS_WHILE_OPEN, SECONDS_WITHOUT_LEASE, SECONDS_WITHOUT_HISTORY, LONGEST_PAUSE = 60.0, 30.0, 60.0, 3600.0
SECONDS_OF_LEASE = 5.0  # a lease that is not renewed runs out
MOST_OPEN = 2_000  # an answer holds up to 1,000 components, and its incidents
TIME_TO_BE_LISTED = timedelta(minutes=10)  # an answer may come from a cache


class Poller:
    """Polls each page every `seconds`, with jitter, and at most MOST_AT_ONCE pages at a time."""

    def __init__(self, known: list[KnownPage], seconds: float, pipeline: Pipeline, pages: Pages, version: str) -> None:
        self.polled = [PolledPage(page, StatusPageClient(version)) for page in known]
        self._seconds, self._pipeline, self._history, self._pages = seconds, pipeline, pipeline.history, pages
        for page in self.polled:
            pages.polled(page.known, None, page.problem)
        self._at_start: dict[str, Page] | None = None
        with suppress(Unavailable):  # then the first poll reads it
            self._read_history()
        self._lease = self._history.lease("polling")
        self._turns = BoundedSemaphore(MOST_AT_ONCE)
        # The first polls start at 50 a second: an answer takes milliseconds of the one thread.
        greenlets = [gevent.spawn_later(n / 50, self._poll_for_ever, page) for n, page in enumerate(self.polled)]
        greenlets.append(gevent.spawn(self._keep_lease))
        pipeline.stopping.append(lambda: gevent.killall(greenlets, block=False))
        pipeline.closing.append(self._lease.release)
        pipeline.problems.append(lambda: {"polling": self._problem()})

    def _problem(self) -> str | None:
        """Return what is wrong with polling as such: one page that does not answer is that page's problem."""
        if not all(page.failures for page in self.polled):
            return None
        return f"no page of MONITOR_PAGES answers: {self.polled[0].known.url} {self.polled[0].problem}"

    def _poll_for_ever(self, page: PolledPage) -> None:
        while True:
            with nullcontext() if page.bell.is_rung else self._turns:
                seconds = self.poll(page)
            page.bell.wait(seconds * random.uniform(0.9, 1.1))  # noqa: S311  # so that pages do not bunch up

    def _keep_lease(self) -> None:
        while True:
            gevent.sleep(SECONDS_OF_LEASE)
            self._lease.is_held()

    def poll(self, page: PolledPage) -> float:
        """Poll a page once and record its answer; return the seconds until the next poll."""
        try:
            if not (page.bell.is_rung or self._lease.is_held()):
                page.failures = 0  # whether the page answers, the process that polls it knows
                return SECONDS_WITHOUT_LEASE
            page.bell.told, page.baseline = 0, None
            seconds = self._take(page)
        except (NoAnswer, NotAnUpdate) as reason:
            return self._fail(page, str(reason), getattr(reason, "retry_after", 0.0))
        except Unavailable:  # the history logs it, once
            return min(SECONDS_WITHOUT_HISTORY, self._seconds)
        except Exception as error:  # noqa: BLE001  # the page is polled again: its next answer may differ
            return self._fail(page, f"was not understood: {describe_error(error)}")
        if page.failures:
            log.warning("polling: %s answers again", page.known.url)
        page.problem, page.failures = None, 0
        return seconds

    def _fail(self, page: PolledPage, problem: str, retry_after: float = 0.0) -> float:
        if page.problem != problem:
            log.warning("polling: %s %s", page.known.url, problem)
        page.problem, page.failures = problem, max(1, page.failures + (not page.bell.is_rung))
        with suppress(Unavailable):
            self._pages.polled(page.known, page.id or None, problem)
        pause = min(self._seconds * 2.0 ** min(page.failures - 1, 20), max(LONGEST_PAUSE, self._seconds))
        pause = max(pause, retry_after / 0.9)  # the jitter must not shorten it
        page.bell.failed(pause * 0.9 if retry_after else 0.0)
        return pause

    def _take(self, page: PolledPage) -> float:
        if self._at_start is None or not page.id:
            self._read_history()
        answer = self._ask(page)
        before, page.id = page.id, self._pages.trust(page.known, answer.id, answer.name)
        if before not in ("", page.id):
            log.warning("polling: %s goes by the id %a and no longer by %a", page.known.url, page.id, before)
            self._end_all(page, before)
        self._record(page, answer.incidents)
        open_here = self._open_here(page.id)
        self._end_unlisted(page, answer, open_here)
        name = self._pages.name_of(page.id) or page.id
        self._tell(page, page.settled(changes(answer.components, open_here, (page.id, name))))
        page.client.keep()
        self._pages.polled(page.known, page.id, None)
        if page.bell.told and self._baseline(page).is_pushed:
            log.warning("polling: %s had %d updates that were not pushed", page.known.url, page.bell.told)
        is_open = page.waiting or not all(incident.is_upcoming for incident in open_here)
        return min(SECONDS_WHILE_OPEN, self._seconds) if is_open else self._seconds

    def _open_here(self, page_id: str) -> list[Incident]:
        """Return all open incidents of a page: a component's change missing here would be told at every poll."""
        query = Query(page_ids=frozenset((page_id,)), status="open")
        return [without_story(incident) for incident in self._pages.newest(query, MOST_OPEN)]

    def _ask(self, page: PolledPage) -> Answer:
        if page.source is not None:
            return page.source.ask()
        page.source, answer = choose(page.known, page.client)
        log.info("polling: %s is read by %s", page.known.url, page.source.how)
        return answer

    def _read_history(self) -> None:
        """Keep the pages as they are at the start; give polled pages the ids that the history has by address."""
        pages = sorted(self._history.pages(), key=lambda page: page.polled_at or page.received_at)
        if self._at_start is None:
            self._at_start = {page.id: page for page in pages}
        ids = {page.url: page.id for page in pages}
        for page in self.polled:
            page.id = page.id or ids.get(page.known.url, "")

    def _baseline(self, page: PolledPage) -> Baseline:
        """Return the baseline of a page as it was before this poll recorded anything.

        The history copies and sorts all pages for it, so a poll without news does not ask.
        """
        if page.baseline is None:
            now = next((known for known in self._history.pages() if known.id == page.id), None)
            page.baseline = Baseline.of(now, (self._at_start or {}).get(page.id))
        return page.baseline

    def _record(self, page: PolledPage, incidents: Sequence[JSONObject]) -> None:
        name = self._pages.name_of(page.id) or page.id
        for incident in incidents:
            take_turns()  # 50 incidents take tens of milliseconds: webhooks are answered meanwhile
            try:
                state = update_of(incident, page.id, name)
            except NotAnUpdate as reason:
                log.warning("polling: %s: an incident is left out: %s", page.known.url, reason)
                continue
            known = self._history.incident(state.page_id, state.id)
            if known and "components" not in incident:  # the source of components did not answer; filters need them
                state = replace(state, components=known.components)
            self._tell(page, news(state, known, self._baseline(page)))

    def _tell(self, page: PolledPage, updates: Iterable[Update]) -> None:
        for update in updates:
            if update.is_past:
                self._history.add(update)
            else:
                page.bell.told += self._pipeline.record(update, "doorbell" if page.bell.is_rung else "poll")

    def _end_all(self, page: PolledPage, page_id: str) -> None:
        """End what is open under an id by which the page no longer goes: no answer will."""
        open_there = self._open_here(page_id)
        self._tell(page, [end_of(one) for one in open_there if not one.is_component_update])
        well: list[JSONObject] = [
            {"id": one.subject, "name": one.components[0].name, "status": "operational"}
            for one in open_there
            if one.is_component_update
        ]
        self._tell(page, changes(well, open_there, (page_id, self._pages.name_of(page_id) or page_id)))

    def _end_unlisted(self, page: PolledPage, answer: Answer, open_here: Sequence[Incident]) -> None:
        """End the incidents that are open here but that the page deleted, or resolved behind 50 newer ones."""
        unlisted = [one for one in open_here if not (one.is_component_update or one.id in answer.ids)]
        if not unlisted or page.source is None:
            return
        more, now = page.source.more(unlisted), datetime.now(UTC)
        self._record(page, more.incidents)
        for incident in unlisted:
            is_planned = is_maintenance(incident)
            is_whole = ("scheduled_maintenances" if is_planned else "incidents") in more.whole
            # No list of all open incidents: one that is newer than the oldest listed incident was deleted.
            is_newer = not is_planned and incident.created_at >= (more.oldest or now)
            is_gone = incident.id not in more.ids and (is_whole or is_newer)
            if is_gone and now - incident.updated_at > TIME_TO_BE_LISTED:
                log.warning("polling: %s no longer lists %a, which was open", page.known.url, incident.id)
                self._pipeline.record(end_of(incident), "poll")
