"""An arrival as streams give it out, and many of them as the bytes of one write."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from monitor.history.contract import Arrival
from monitor.history.query import Query
from monitor.updates.incident import alone, size_of, summary
from monitor.updates.update import Update

MOST_AT_ONCE = 16 * 1024  # bytes that a follower takes, and holds while its client does not read


class Event:
    """An arrival as it is given out: its number, its update without the story, and that as JSON, made when needed."""

    __slots__ = ("_text", "number", "size", "update")

    def __init__(self, arrival: Arrival) -> None:
        self.number = arrival.number
        self.update: Update = alone(arrival.update)  # a story would be kept for nothing
        self.size = 300 + size_of(self.update)
        self._text: str | None = None

    @property
    def text(self) -> str:
        if self._text is None:
            self._text = json.dumps(summary(self.update), separators=(",", ":"))
        return self._text


Encode = Callable[[Event], bytes]


def joined(events: Iterable[Event], position: int, query: Query, encode: Encode) -> tuple[bytes, int]:
    """Return those events that match, encoded, up to about MOST_AT_ONCE bytes, and the number of the last looked at."""
    parts: list[bytes] = []
    size = 0
    for event in events:
        position = event.number
        if query.matches(event.update):
            parts.append(encode(event))
            size += len(parts[-1])
            if size >= MOST_AT_ONCE:
                break
    return b"".join(parts), position
