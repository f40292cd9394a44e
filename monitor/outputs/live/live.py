"""Updates as they happen: `GET /stream`, Server-Sent Events, for `curl -N` and a browser's EventSource.

One event for each update: `id:` its number in the history, `data:` the incident without its story. websocket.py gives
the same over WebSocket. Both resume from a number, take the filters of /incidents, and count against one bound.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import gevent
from flask import Flask, Response, jsonify, request

from monitor import settings
from monitor.history import query
from monitor.history.contract import History
from monitor.history.query import BadQuery
from monitor.outputs.live.event import Event
from monitor.outputs.live.stream import Stream, Streaming
from monitor.outputs.live.tail import SECONDS_TO_GATHER, Tail
from monitor.server.requests import require

MILLISECONDS_TO_RETRY = 3000
SECONDS_TO_SAY_FAREWELL = 2
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # or nginx would hold events back
    "Connection": "close",
}
SOCKET = "event_monitor.socket"  # where our own server puts a request's connection, in its environ


def init_app(app: Flask) -> None:
    monitor = app.extensions["monitor"]
    live = app.extensions["live"] = Live(monitor.history, app.config)
    monitor.outputs.append(live.tail.tell)
    monitor.stopping.append(live.stop)
    app.get("/stream")(live.stream)


class Live:
    """All open streams, of both kinds; `open` is their number."""

    def __init__(self, history: History, config: Mapping[str, Any]) -> None:
        self.tail = Tail(history, _listener(config.get("DATABASE_URL")))
        self._most, self._read_token = config.get("MAX_STREAMS", 1000), config.get("READ_TOKEN")
        self._streams: set[Stream] = set()
        self._is_stopping = False

    @property
    def open(self) -> int:
        return len(self._streams)

    def stream(self) -> Response:
        asked, after = self.asked()
        if request.method == "HEAD":
            return Response(headers=HEADERS)
        if full := self.full():
            return full
        events = Events(self.tail, asked, after, request.environ.get(SOCKET))
        return self.begin(Streaming(events, "200 OK", HEADERS))

    def asked(self) -> tuple[query.Query, int | None]:
        """Return the request's filters and the number that it resumes from; abort or raise BadQuery."""
        require(self._read_token)
        arguments = request.args.to_dict(flat=False)
        given = arguments.pop("since", None)
        for name in ("limit", "cursor"):
            if name in arguments:
                raise BadQuery(f"{name} is for /incidents: a stream has no pages")
        if given and len(given) > 1:
            raise BadQuery(f"parameter 'since' is given {len(given)} times")
        # A browser that comes back sends both: the address as it was, and the header with the last event it has seen.
        header = request.headers.get("Last-Event-ID")
        name, number = ("Last-Event-ID", header) if header else ("since", given[0] if given else None)
        if number is not None and not re.fullmatch("[0-9]{1,18}", number):
            raise BadQuery(f"{name} is not the number of an event, nor 0 for all that is kept")
        return query.read(arguments), None if number is None else int(number)

    def full(self) -> Response | None:
        """Return the refusal where there is no room for another stream."""
        if len(self._streams) < self._most and not self._is_stopping:
            return None
        reason = "the server stops" if self._is_stopping else f"{self._most} streams are open, as many as there may be"
        response = jsonify(error=reason)
        response.status_code, response.headers["Retry-After"] = 503, "5"
        return response

    def begin(self, response: Streaming) -> Response:
        """Open a response's stream, unless others have taken the room since it was seen."""
        if full := self.full():
            return full
        stream = response.source
        self._streams.add(stream)
        stream.closed = partial(self._streams.discard, stream)
        stream.open()
        return response

    def stop(self) -> None:
        """End every stream; those whose clients do not read are cut off after a while."""
        self._is_stopping = True
        gevent.sleep(2 * SECONDS_TO_GATHER)  # what has just come is told first
        for stream in list(self._streams):
            stream.stop()
        gevent.spawn_later(SECONDS_TO_SAY_FAREWELL, self._cut)

    def _cut(self) -> None:
        for stream in list(self._streams):
            stream.cut()


class Events(Stream):
    """A stream as https://html.spec.whatwg.org/multipage/server-sent-events.html has it."""

    @staticmethod
    def encode(event: Event) -> bytes:
        return f"id: {event.number}\ndata: {event.text}\n\n".encode()

    def greeting(self) -> bytes:
        # Not all at the same instant: after a restart thousands come back.
        retry = MILLISECONDS_TO_RETRY + random.randrange(MILLISECONDS_TO_RETRY)  # noqa: S311
        return f": event_monitor\nretry: {retry}\nid: {self.position}\n\n".encode()

    def gap(self, after: int) -> bytes:
        return f"event: gap\ndata: {json.dumps({'after': after})}\n\n".encode()

    def beat(self) -> bytes:
        # An id without data is no event, but is remembered: what was filtered out is not looked through again.
        return f":\nid: {self.position}\n\n".encode()

    def hear(self, heard: bytes) -> None:
        """Drop it: nothing is asked on this connection any more."""


def _listener(url: str | None) -> Any:
    """Return what hears of the updates of other processes: over PostgreSQL there is such a thing."""
    if url is None or settings.part("history.sql.connection").parse(url).get_backend_name() != "postgresql":
        return None
    return partial(settings.part("history.sql.listen").listen, url)
