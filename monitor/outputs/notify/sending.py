"""Notifications: each new update goes to the services of MONITOR_NOTIFY that want it, out of the request's way.

At least once: a message waits in an outbox until its service took it. Order is kept for each service and incident, one
greenlet a service, so that none waits for another. What fails is tried again with growing pauses for about a day.
"""

from __future__ import annotations

import logging
import random
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

import gevent
from flask import Flask
from gevent.event import Event

from monitor.history.contract import Unavailable
from monitor.outputs.notify.outbox import MemoryOutbox, Message, Outbox
from monitor.settings import part
from monitor.updates.update import Update

if TYPE_CHECKING:
    from monitor.outputs.notify.services import Service

log = logging.getLogger("event_monitor")

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 600.0  # seconds, doubled each time in between
MOST_ATTEMPTS = 152  # with these pauses, about a day; counted, as a clock may jump
SECONDS_BETWEEN_LOOKS = 2.0  # for messages that another process wrote, and for whose turn it is
SECONDS_TO_STOP = 3.0


def init_app(app: Flask) -> None:
    """Send new updates to the services of MONITOR_NOTIFY, if that is set."""
    services: Sequence[Service] = app.config.get("NOTIFY", ())
    if not services:
        return
    monitor = app.extensions["monitor"]
    if "DATABASE_URL" in app.config:
        outbox: Outbox = part("outputs.notify.durable_outbox").DurableOutbox(monitor.history)
        monitor.history.services = lambda update: [service.key for service in services if service.takes(update)]
    else:
        outbox = MemoryOutbox()
    notifier = app.extensions["notify"] = Notifier(services, outbox)
    monitor.outputs.append(notifier.take)
    monitor.stopping.append(notifier.stop)


class Notifier:
    """Sends what is in the outbox. `sent` counts by service and outcome: sent, failed, given_up, dropped."""

    def __init__(self, services: Sequence[Service], outbox: Outbox) -> None:
        self._services, self._outbox = services, outbox
        self._sent: Counter[tuple[str, str]] = Counter()
        self._wake = {service.key: Event() for service in services}
        self._since: dict[str, float] = {}
        self._is_ours = False
        self._greenlets = [gevent.spawn(self._watch), *(gevent.spawn(self._send_for_ever, s) for s in services)]

    @property
    def sent(self) -> Counter[tuple[str, str]]:
        dropped = {(s.name, "dropped"): self._outbox.dropped[s.key] for s in self._services}
        return self._sent + Counter(dropped)

    def waiting(self) -> dict[str, tuple[int, float]]:
        """Return for each service how many messages wait, and for how many seconds none could be sent."""
        try:
            numbers = self._outbox.waiting()
        except Unavailable:
            return {}
        now = monotonic()
        return {s.name: (numbers.get(s.key, 0), now - self._since.get(s.key, now)) for s in self._services}

    def take(self, update: Update) -> None:
        """Wake the services that want an update; into memory's outbox it is put here, in SQL it is there already."""
        for service in self._services:
            if service.takes(update):
                if isinstance(self._outbox, MemoryOutbox):
                    self._outbox.put(service.key, update)
                self._wake[service.key].set()

    def stop(self) -> None:
        """Stop sending; what waits in memory has a moment left, in SQL it waits for the next start."""
        if isinstance(self._outbox, MemoryOutbox):
            give_up = monotonic() + SECONDS_TO_STOP
            while any(self._outbox.waiting().values()) and monotonic() < give_up:
                gevent.sleep(0.05)
            if lost := sum(self._outbox.waiting().values()):
                log.error("notify: %d messages were not sent and are lost", lost)
        gevent.killall(self._greenlets, block=False)

    def _watch(self) -> None:
        is_known = False
        while True:
            try:
                self._is_ours = self._outbox.is_ours()
                if self._is_ours and not is_known:
                    if others := self._outbox.forget_others([service.key for service in self._services]):
                        log.warning("notify: %d messages for services no longer set are dropped", others)
                    is_known = True
                    for wake in self._wake.values():
                        wake.set()
            except Unavailable:
                pass  # the history says so, once
            gevent.sleep(SECONDS_BETWEEN_LOOKS)

    def _send_for_ever(self, service: Service) -> None:
        pauses: dict[tuple[str, str], float] = {}  # when an incident's next attempt is due, by the monotonic clock
        wake = self._wake[service.key]
        while True:
            wake.clear()
            try:
                due = self._send_due(service, pauses) if self._is_ours else None
            except Unavailable:
                due = None
            now = monotonic()
            seconds = SECONDS_BETWEEN_LOOKS if due is None else min(max(0, due - now), SECONDS_BETWEEN_LOOKS)
            wake.wait(seconds)

    def _send_due(self, service: Service, pauses: dict[tuple[str, str], float]) -> float | None:
        """Send what is due; return when the next is, or None if nothing waits."""
        messages = self._outbox.first(service.key)
        if not messages:
            pauses.clear()
            self._since.pop(service.key, None)
            return None
        self._since.setdefault(service.key, monotonic())
        heads: dict[tuple[str, str], Message] = {}
        for message in messages:
            heads.setdefault(message.incident, message)
        for incident, message in heads.items():
            if self._is_ours and pauses.get(incident, 0) <= monotonic():
                if self._send(service, message):
                    pauses.pop(incident, None)
                else:
                    pauses[incident] = monotonic() + _pause(message.attempts)
        return min(pauses.get(incident, 0) for incident in heads)

    def _send(self, service: Service, message: Message) -> bool:
        """Send a message; return whether it needs no more attempt."""
        reason = service.tell(message.update)
        if reason is None:
            self._outbox.done(message)
            self._sent[service.name, "sent"] += 1
            self._since[service.key] = monotonic()
            return True
        self._sent[service.name, "failed"] += 1
        if message.attempts == 0:
            log.warning("notify: %s: %s; it is tried again for a day", service.name, reason)
        if message.attempts + 1 < MOST_ATTEMPTS:
            self._outbox.failed(message)
            return False
        log.error("notify: %s: given up after %d attempts: %s", service.name, MOST_ATTEMPTS, reason)
        self._outbox.done(message)
        self._sent[service.name, "given_up"] += 1
        return True


def _pause(attempts: int) -> float:
    """Return seconds until the next attempt, with jitter: those that failed together shall not come back together."""
    return min(FIRST_PAUSE * 2.0 ** min(attempts, 20), LONGEST_PAUSE) * random.uniform(0.75, 1.25)  # noqa: S311


def test(app: Flask) -> int:
    """Send a test message to each service, print what came of it, and return the exit code."""
    services: Sequence[Service] = app.config.get("NOTIFY", ())
    if not services:
        print("event_monitor: MONITOR_NOTIFY is not set", file=sys.stderr)
        return 2
    title, body = "event_monitor: test message", f"If you read this, it works. {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    outcomes = [
        (service.name, service.send(title, body, part("outputs.notify.services").NotifyType.INFO))
        for service in services
    ]
    for name, reason in outcomes:
        print(f"{name}: sent" if reason is None else f"{name}: failed: {reason}")
    return 1 if any(reason for _, reason in outcomes) else 0
