"""What is still to be sent, in order, until a service took it: in memory, bounded; durable_outbox.py has it in SQL.

A message is given out again until it is `done`: at least once. One that fails counts an attempt for all messages of its
service and incident, so that those behind it do not wait another day.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import Protocol

from monitor.updates.incident import alone, size_of
from monitor.updates.update import Update, subject

log = logging.getLogger("event_monitor")

MOST_IN_MEMORY, MOST_CHARACTERS = 10_000, 20_000_000  # for each service
AT_ONCE = 200  # messages of a service looked at together


@dataclass(frozen=True, slots=True)
class Message:
    """An update on its way to a service, given by the service's key; `attempts` have failed."""

    number: int
    service: str
    update: Update
    attempts: int = 0

    @property
    def incident(self) -> tuple[str, str]:
        """The page and incident, or component, within which order is kept."""
        return self.update.page_id, subject(self.update)


class Outbox(Protocol):
    """What the senders need; every method may raise Unavailable."""

    dropped: Counter[str]

    def is_ours(self) -> bool:
        """Tell whether this process is the one that sends."""

    def first(self, service: str) -> list[Message]:
        """Return a service's oldest messages, at most AT_ONCE."""

    def done(self, message: Message) -> None:
        """Forget a message."""

    def failed(self, message: Message) -> None:
        """Count an attempt for all messages of this service and incident."""

    def waiting(self) -> dict[str, int]:
        """Return how many messages wait for each service."""

    def forget_others(self, services: Sequence[str]) -> int:
        """Forget what waits for services that are not among these; return how many messages."""


class MemoryOutbox:
    """An outbox that a restart empties; past its bounds a service's oldest message goes, counted in `dropped`."""

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self._messages: defaultdict[str, OrderedDict[int, Message]] = defaultdict(OrderedDict)
        self._characters: Counter[str] = Counter()
        self._numbers = count(1)

    def put(self, service: str, update: Update) -> None:
        messages = self._messages[service]
        number = next(self._numbers)
        messages[number] = message = Message(number, service, alone(update))
        self._characters[service] += size_of(message.update)
        while len(messages) > MOST_IN_MEMORY or self._characters[service] > MOST_CHARACTERS:
            self.done(next(iter(messages.values())))
            self.dropped[service] += 1

    def is_ours(self) -> bool:
        return True

    def first(self, service: str) -> list[Message]:
        return list(islice(self._messages[service].values(), AT_ONCE))

    def done(self, message: Message) -> None:
        if self._messages[message.service].pop(message.number, None):
            self._characters[message.service] -= size_of(message.update)

    def failed(self, message: Message) -> None:
        messages = self._messages[message.service]
        for number, other in messages.items():
            if other.incident == message.incident:
                messages[number] = replace(other, attempts=other.attempts + 1)

    def waiting(self) -> dict[str, int]:
        return {service: len(messages) for service, messages in self._messages.items()}

    def forget_others(self, _services: Sequence[str]) -> int:
        return 0
