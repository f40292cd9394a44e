"""Sending: a greenlet for each service sends its queue's messages, at least once and in order for each incident.

A failed message is retried for about a day, with growing pauses. Of several processes the one that holds the lease
sends.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from time import monotonic

import gevent
from gevent.event import Event
from gevent.lock import RLock

from monitor.history.contract import Message, Queue
from monitor.history.memory import MemoryHistory
from monitor.outputs.notify.services import Service
from monitor.pipeline import Labels, Pipeline, Sample
from monitor.senders.pages import Pages
from monitor.updates.errors import Unavailable
from monitor.updates.incident import Incident
from monitor.updates.update import Update

log = logging.getLogger("event_monitor")

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 600.0  # seconds; each pause is twice the one before
MOST_ATTEMPTS = 152  # about a day with these pauses; a count, as a clock may jump
MOST_AT_ONCE = 200  # incidents of a service that are looked at together
SECONDS_TO_GATHER = 0.2  # between looks at a queue, else in a storm every update would cause one
SECONDS_BETWEEN_LOOKS = 2.0  # at what another process wrote, and at the lease
SECONDS_TO_STOP, SECONDS_TO_FINISH = 3.0, 0.5  # after the stop, and after the server's last answer; the later counts
SECONDS_TO_WORRY = 300.0


class Notifier:
    """Queues each update for the services that take it, and runs a Sender for each service."""

    def __init__(self, services: Sequence[Service], pipeline: Pipeline, pages: Pages) -> None:
        self._history, self._pages = pipeline.history, pages
        self._lease, self._asking, self._is_tidy = self._history.lease("notify"), RLock(), False
        self._give_up_at = 0.0
        queues = {f"notify:{service.key}": service for service in services}
        self._senders = {
            name: Sender(service, self._history.queue(name), self._is_ours, pages) for name, service in queues.items()
        }
        self._greenlets = [gevent.spawn(sender.run) for sender in self._senders.values()]
        pipeline.wants.append(self._wanted)
        pipeline.outputs.append(self._wake)
        pipeline.stopping.append(self._stop)
        pipeline.closing.append(self._close)
        pipeline.samples.append(self._samples)
        pipeline.problems.append(self._problems)

    def _wanted(self, update: Update) -> list[str]:
        shown = self._pages.shown(update)
        return [name for name, sender in self._senders.items() if sender.service.takes(shown)]

    def _wake(self, _incident: Incident, update: Update) -> None:
        for name in self._wanted(update):
            self._senders[name].wake.set()

    def _is_ours(self) -> bool:
        """Tell whether this process holds the lease; raise Unavailable."""
        with self._asking:
            is_held = self._lease.is_held()
            if is_held and not self._is_tidy:
                if others := self._history.forget_queues(but=list(self._senders)):
                    log.warning("notify: %d messages for services no longer set are dropped", others)
                self._is_tidy = True
            return is_held

    def _stop(self) -> None:
        self._give_up_at = monotonic() + SECONDS_TO_STOP

    def _close(self) -> None:
        """Send for a moment more; the updates of the server's last answers are queued by now."""
        give_up_at = max(self._give_up_at, monotonic() + SECONDS_TO_FINISH)
        for sender in self._senders.values():
            sender.stop_at = give_up_at
            sender.wake.set()
        gevent.joinall(self._greenlets, timeout=give_up_at - monotonic())
        gevent.killall(self._greenlets, block=False)
        self._lease.release()
        is_lossy = isinstance(self._history, MemoryHistory)
        if is_lossy and (lost := sum(sender.queue.waiting() for sender in self._senders.values())):
            log.error("notify: %d messages were not sent and are lost", lost)

    def _samples(self) -> Iterator[Sample]:
        senders: dict[Labels, Sender] = {(sender.service.name,): sender for sender in self._senders.values()}
        counts = {(*name, outcome): n for name, sender in senders.items() for outcome, n in sender.outcomes.items()}
        counts |= {(*name, "dropped"): sender.queue.dropped for name, sender in senders.items()}
        yield Sample("counter", "notifications", "Messages to services.", counts, ("service", "outcome"))
        oldest = {name: sender.seconds_stuck for name, sender in senders.items()}
        yield Sample("gauge", "outbox_oldest_seconds", "For how long none could be sent.", oldest, ("service",))
        with suppress(Unavailable):
            waiting = {name: sender.queue.waiting() for name, sender in senders.items()}
            yield Sample("gauge", "outbox_messages", "Messages that wait.", waiting, ("service",))

    def _problems(self) -> dict[str, str | None]:
        found = dict.fromkeys(problem for sender in self._senders.values() if (problem := sender.problem))
        return {"notify": "; ".join(found) or None}


@dataclass(slots=True, eq=False)
class Sender:
    """Sends one service's queue.

    `is_ours` is asked before each message. `pauses` say when an incident's next attempt is due, by the monotonic clock.
    `head` is the number of the first waiting message, `since` when it became the first or when a message was last sent.
    """

    service: Service
    queue: Queue
    is_ours: Callable[[], bool]
    pages: Pages
    wake: Event = field(default_factory=Event)
    stop_at: float = inf
    outcomes: Counter[str] = field(default_factory=Counter)
    pauses: dict[tuple[str, str], float] = field(default_factory=dict)
    head: int | None = None
    since: float = 0.0
    unavailable: str | None = None

    @property
    def seconds_stuck(self) -> float:
        """For how long messages have waited and none could be sent."""
        return 0.0 if self.head is None else monotonic() - self.since

    @property
    def problem(self) -> str | None:
        """What is wrong, for /health."""
        if self.unavailable or self.seconds_stuck < SECONDS_TO_WORRY:
            return self.unavailable
        return f"{self.service.name} has taken nothing for {int(self.seconds_stuck / 60)} minutes"

    def run(self) -> None:
        """Send until a stop, and then what is due before `stop_at`."""
        while True:
            self.wake.clear()
            try:
                due, self.unavailable = self._send_due(), None
            except Unavailable as error:
                due, self.unavailable = inf, str(error)
            if due > self.stop_at:
                return
            gevent.sleep(SECONDS_TO_GATHER)
            self.wake.wait(max(0.0, min(due - monotonic(), SECONDS_BETWEEN_LOOKS)))

    def _send_due(self) -> float:
        """Send the messages that are due; return when the next is due."""
        is_ours = self.is_ours()
        heads = self.queue.first(MOST_AT_ONCE if is_ours else 1)
        first = heads[0].number if heads else None
        if first != self.head:
            self.head, self.since = first, monotonic()
        waiting = {(message.update.page_id, message.update.subject): message for message in heads}
        self.pauses = {incident: due for incident, due in self.pauses.items() if incident in waiting}
        for incident, message in waiting.items():
            if self.pauses.get(incident, 0.0) <= monotonic():
                if not self.is_ours():
                    return inf
                self._send(incident, message)
        return min((self.pauses.get(incident, 0.0) for incident in waiting), default=inf)

    def _send(self, incident: tuple[str, str], message: Message) -> None:
        try:
            reason = self.service.tell(self.pages.shown(message.update))
        except Exception as error:  # noqa: BLE001  # a plugin's bug holds up no other message
            reason = type(error).__name__
        name = self.service.name
        self.outcomes["failed" if reason else "sent"] += 1
        if reason and message.attempts + 1 < MOST_ATTEMPTS:
            if incident not in self.pauses:
                log.warning("notify: %s: %s; it is tried again for a day", name, reason)
            # With jitter, so that messages that failed together are not retried together.
            pause = min(FIRST_PAUSE * 2.0**message.attempts, LONGEST_PAUSE) * random.uniform(0.75, 1.25)  # noqa: S311
            self.pauses[incident] = monotonic() + pause
            self.queue.failed(message)
            return
        if reason:
            log.error("notify: %s: given up after %d attempts: %s", name, MOST_ATTEMPTS, reason)
            self.outcomes["given_up"] += 1
        else:
            self.since = monotonic()
        self.pauses.pop(incident, None)
        self.queue.done(message)
