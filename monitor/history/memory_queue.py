"""The queues and leases of the history in memory: a restart empties them, and no other process sees them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from itertools import count

from monitor.history.contract import MOST_QUEUED, Message
from monitor.updates.incident import size_of, without_story
from monitor.updates.update import Update


class MemoryQueue:
    """Messages in their order; past the bounds the oldest are dropped and counted."""

    MOST_BYTES = 20_000_000

    def __init__(self) -> None:
        self.dropped = 0
        self._messages: OrderedDict[int, Message] = OrderedDict()
        self._numbers, self._bytes = count(1), 0

    def put(self, update: Update) -> None:
        """Add a message at the end."""
        number = next(self._numbers)
        self._messages[number] = message = Message(number, without_story(update))
        self._bytes += size_of(message.update)
        while len(self._messages) > MOST_QUEUED or self._bytes > self.MOST_BYTES:
            self.done(next(iter(self._messages.values())))
            self.dropped += 1

    def first(self, limit: int) -> list[Message]:
        heads: dict[tuple[str, str], Message] = {}
        for message in self._messages.values():
            heads.setdefault(_incident_of(message), message)
            if len(heads) >= limit:
                break
        return list(heads.values())

    def done(self, message: Message) -> None:
        if self._messages.pop(message.number, None):
            self._bytes -= size_of(message.update)

    def failed(self, message: Message) -> None:
        incident = _incident_of(message)
        for number, other in self._messages.items():
            if _incident_of(other) == incident:
                self._messages[number] = replace(other, attempts=other.attempts + 1)

    def waiting(self) -> int:
        return len(self._messages)


def _incident_of(message: Message) -> tuple[str, str]:
    return message.update.page_id, message.update.subject


class OwnLease:
    """A lease that no other process can hold."""

    def is_held(self) -> bool:
        """Return True."""
        return True

    def release(self) -> None:
        """Do nothing."""
