"""`GET /stream`: updates as Server-Sent Events, for `curl -N` and a browser's EventSource.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from socket import socket

from flask import Response, request

from monitor.history.query import Query, once, read
from monitor.outputs.live.arrivals import Event
from monitor.outputs.live.streams import SOCKET, Streams
from monitor.updates.errors import BadQuery

MILLISECONDS_TO_RETRY = 3000
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # else nginx holds events back
    "Connection": "close",
}


def answer(streams: Streams) -> Response:
    """Answer a request for a stream; raise BadQuery or Unavailable."""
    query, after = read_request()
    position, is_gap = streams.place(after)
    gap = f"event: gap\ndata: {json.dumps({'after': after})}\n\n" if is_gap else ""
    return Response(_written(streams, query, position, gap, request.environ.get(SOCKET)), headers=HEADERS)


def read_request() -> tuple[Query, int | None]:
    """Return the filters and the number to resume after, None for a new client; raise BadQuery."""
    arguments = request.args.to_dict(flat=False)
    since = once("since", arguments.pop("since")) if "since" in arguments else None
    for name in ("limit", "cursor"):
        if name in arguments:
            raise BadQuery(f"{name} is for /incidents: a stream has no pages")
    # A browser that reconnects sends both: its first `since` in the address, and the last event it has seen here.
    header = request.headers.get("Last-Event-ID")
    name, number = ("Last-Event-ID", header) if header else ("since", since)
    if number is not None and not re.fullmatch("[0-9]{1,18}", number):
        raise BadQuery(f"{name} is not the number of an event, nor 0 for all that is kept")
    return read(arguments), None if number is None else int(number)


def _written(streams: Streams, query: Query, position: int, gap: str, connection: socket | None) -> Iterator[bytes]:
    # With jitter, as all clients reconnect after a restart.
    retry = MILLISECONDS_TO_RETRY + random.randrange(MILLISECONDS_TO_RETRY)  # noqa: S311
    yield f": event_monitor\nretry: {retry}\nid: {position}\n\n{gap}".encode()
    for turn in streams.follow(position, connection):
        if isinstance(turn, bytes):
            continue  # a client of /stream has nothing to say
        # A browser remembers an id without data, so that after a reconnect no filtered event is read again.
        yield turn.encoded(query, _encode) if turn.events else f":\nid: {turn.last}\n\n".encode()


def _encode(event: Event) -> bytes:
    return f"id: {event.number}\ndata: {event.text}\n\n".encode()
