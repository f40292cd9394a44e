"""Ask each page in turn for its incidents, and record what is found.

What is found goes down the road of a push: the same key, so that nothing is told twice, whichever came first. A page
that does not answer is asked less and less often, and nobody knows how it is.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore

from monitor.history.contract import LONG_AGO, Unavailable
from monitor.senders import statuspage
from monitor.senders.pages import KnownPage
from monitor.senders.payload import JSONObject, NotAnUpdate, UnknownShape, mapping, records, text, time
from monitor.senders.polling.client import Asking, NoAnswer
from monitor.senders.polling.news import Before, missed
from monitor.server.requests import where
from monitor.updates.update import Update

log = logging.getLogger("event_monitor")

MOST_AT_ONCE = 20  # pages that are asked at the same time
SECONDS_BETWEEN_PAGES = 0.02  # asking takes milliseconds of the one thread: webhooks are answered in between
LONGEST_PAUSE = 3600.0  # seconds
SECONDS_OF_GRACE = 60.0  # a push may be on its way


@dataclass(slots=True)
class Watched:
    """A page that is asked. `problem` says why nobody knows how it is; `id` is None until it has answered once.

    `seen` are the ids and times of the incidents in its last answer, less those that are left to the next, `oldest`
    is when the first of them began.
    """

    known: KnownPage
    asking: Asking
    id: str | None = None
    asked_at: datetime | None = None
    problem: str | None = "not asked yet"
    failures: int = 0
    seen: set[tuple[str | None, str | None]] = field(default_factory=set)
    oldest: datetime | None = None


class Rounds:
    """Asks each page every `seconds`, with jitter; of all pages a few at a time."""

    def __init__(self, pages: Iterable[KnownPage], seconds: float, monitor: Any) -> None:
        self.watched = [Watched(page, Asking(page.url, monitor.version)) for page in pages]
        self._seconds, self._monitor = seconds, monitor
        self._turn, self._next = BoundedSemaphore(MOST_AT_ONCE), BoundedSemaphore(1)
        self._greenlets = [gevent.spawn(self._ask_for_ever, page) for page in self.watched]

    def stop(self) -> None:
        """Ask no more."""
        gevent.killall(self._greenlets, block=False)

    def _ask_for_ever(self, page: Watched) -> None:
        while True:
            with self._turn:
                with self._next:
                    gevent.sleep(SECONDS_BETWEEN_PAGES)
                seconds = self.ask(page)
            gevent.sleep(seconds * random.uniform(0.9, 1.1))  # noqa: S311  # 200 pages shall not fall together

    def ask(self, page: Watched) -> float:
        """Ask a page once, record what it says, and return in how many seconds it is to be asked again."""
        try:
            answer = page.asking.ask()
            is_all_taken = answer is None or self._take(page, answer)
        except NoAnswer as reason:
            return self._fail(page, reason)
        except Unavailable:  # the history says so, once
            page.asking.forget()
            return min(SECONDS_OF_GRACE, self._seconds)
        except Exception as error:  # noqa: BLE001  # what nobody foresaw: later the page says something else
            page.asking.forget()
            return self._fail(page, NoAnswer(f"was not understood: {where(error)}"))
        if page.failures:
            log.warning("reconcile: %s answers again", page.known.url)
        page.problem, page.failures, page.asked_at = None, 0, datetime.now(UTC)
        if is_all_taken:
            return self._seconds
        page.asking.forget()
        return min(SECONDS_OF_GRACE, self._seconds)

    def _fail(self, page: Watched, reason: NoAnswer) -> float:
        if page.problem != str(reason):
            log.warning("reconcile: %s %s", page.known.url, reason)
        page.problem = str(reason)
        pause = min(self._seconds * 2.0 ** min(page.failures, 20), max(LONGEST_PAUSE, self._seconds))
        page.failures += 1
        return max(pause, reason.retry_after / 0.9)

    def _take(self, page: Watched, answer: JSONObject) -> bool:
        """Record what an answer holds; return False if some of it is left to the next; raise Unavailable."""
        names, given, incidents = self._monitor.names, mapping(answer.get("page")), records(answer["incidents"])
        page_id = page.known.id or text(given.get("id")) or page.known.host
        name = text(given.get("name")) or page.known.host
        names.trust(page_id, name[: statuspage.LONGEST_NAME], page.known.name)
        said = given | {"id": page_id, "name": names.of(page_id)}
        before = Before.of(self._monitor.history, page_id, page.oldest)
        told, seen, left = 0, set(), 0
        for incident in reversed(incidents):  # they come newest first
            identity = text(incident.get("id")), text(incident.get("updated_at"))
            if identity not in page.seen:
                gevent.sleep(0)  # 50 incidents take tens of milliseconds: webhooks are answered in between
                state = _state(page, {"page": said, "incident": incident})
                if state and before.is_pushed and abs(_age(state.updated_at)) < SECONDS_OF_GRACE:
                    left += 1
                    continue
                told += self._record(state, before) if state else 0
            seen.add(identity)
        began = [at for incident in incidents if (at := time(incident.get("created_at")))]
        page.id, page.seen, page.oldest = page_id, seen, min(began, default=LONG_AGO)
        if told and before.is_pushed:
            log.warning("reconcile: %s said %d that no push brought", page.known.url, told)
        return left == 0

    def _record(self, state: Update, before: Before) -> int:
        """Record what is news of an incident; return how many updates were told; raise Unavailable."""
        known = self._monitor.history.incident(state.page_id, state.id)
        told = 0
        for update in missed(state, known, before):
            if update.is_past:
                self._monitor.history.add(update)
            else:
                told += self._monitor.record(update, "reconcile")
        return told


def _state(page: Watched, payload: JSONObject) -> Update | None:
    try:
        return statuspage.read(payload)
    except (NotAnUpdate, UnknownShape) as reason:
        log.warning("reconcile: %s: an incident is left out: %s", page.known.url, reason)
        return None


def _age(instant: datetime) -> float:
    return (datetime.now(UTC) - instant).total_seconds()
