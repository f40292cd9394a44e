"""One open stream: an iterable of bytes for a WSGI server, from a position in the tail to its end.

It holds a position, and a write's worth of bytes while its client does not read. It ends when its client goes away,
when what its client has not read is no longer kept, and when the server stops. How events look is said in live.py
and websocket.py.
"""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from socket import SHUT_RDWR, SO_SNDBUF, SOL_SOCKET
from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent
from flask import Response
from gevent.event import Event as Flag

from monitor.history.contract import Unavailable
from monitor.history.query import Query
from monitor.outputs.live.event import Event, joined
from monitor.outputs.live.tail import Tail

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger("event_monitor")

SECONDS_BETWEEN_COMMENTS = 15
SECONDS_AFTER_A_FAULT = 1
BYTES_IN_THE_KERNEL = 64 * 1024  # for each client; left to itself, Linux would hold 4 MiB for one that does not read


class Stream(ABC):
    """A follower of the tail. `socket` is the connection where the server hands it over, else None."""

    def __init__(self, tail: Tail, query: Query, after: int | None, socket: Any) -> None:
        """Raise Unavailable."""
        self.query, self._tail, self._socket = query, tail, socket
        self.position, is_gap = tail.place(after)
        self.closed: Callable[[], None] = lambda: None
        self._wake, self._is_over, self._is_stopping, self._is_current = Flag(), False, False, False
        self._next_beat = monotonic() + SECONDS_BETWEEN_COMMENTS
        self._said = self.greeting() + (self.gap(after or 0) if is_gap else b"")
        self._given_at = 0.0
        self._ear: Any = None

    @staticmethod
    @abstractmethod
    def encode(event: Event) -> bytes:
        """Return an event as this kind of stream has it."""

    @abstractmethod
    def gap(self, after: int) -> bytes:
        """Return what says that events past a number are missing before those that come."""

    @abstractmethod
    def beat(self) -> bytes:
        """Return what goes out when nothing else does: a client that has gone shows when it is written to."""

    def greeting(self) -> bytes:
        """Return what comes first."""
        return b""

    def farewell(self) -> bytes:
        """Return what comes last at a stop."""
        return b""

    @abstractmethod
    def hear(self, heard: bytes) -> None:
        """Take what the client has sent; must not block, as the event loop calls this."""

    def open(self) -> None:
        """Follow the tail, until `close`."""
        self._tail.follow(self)
        if self._socket is not None:
            self._socket.setsockopt(SOL_SOCKET, SO_SNDBUF, BYTES_IN_THE_KERNEL)
            self._ear = gevent.get_hub().loop.io(self._socket.fileno(), 1)
            self._ear.start(self._listen)

    def close(self) -> None:
        """Give everything back; a WSGI server calls this once the answer is over, however that came."""
        self._silence()
        self._tail.leave(self)
        self.closed()

    def wake(self) -> None:
        self._wake.set()

    def lag(self) -> None:
        """Let a client go that has not read what is no longer kept; one that reads stored events is not there yet."""
        if self._is_current and not self._is_over:
            log.info("a stream was closed: its client reads too slowly")
            self.cut()

    def say(self, said: bytes) -> None:
        """Send something of one's own, after what is being sent."""
        self._said += said
        self.wake()

    def end(self) -> None:
        """End once what has been said is sent."""
        self._is_over = True
        self.wake()

    def stop(self) -> None:
        """Take leave, as the server stops, once what has happened is sent."""
        self._is_stopping = True
        self.wake()

    def cut(self) -> None:
        """End now, also if the client does not read."""
        self.end()
        if self._socket is not None:
            with suppress(OSError):  # it is gone already
                self._socket.shutdown(SHUT_RDWR)

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> bytes:
        if self._given_at:
            self._tail.pace.spend(monotonic() - self._given_at)
            self._given_at = 0.0
        while True:
            self._wake.clear()
            said, self._said = self._said, b""
            if not said and not self._is_over:
                said = self._events() or self._beat()
            if said:
                self._given_at = monotonic()
                return said
            if self._is_over:
                raise StopIteration
            if self._is_stopping:
                self.say(self.farewell())
                self.end()
            self._wake.wait(self._next_beat - monotonic())

    def _beat(self) -> bytes:
        if (now := monotonic()) < self._next_beat:
            return b""
        self._next_beat = now + SECONDS_BETWEEN_COMMENTS
        return self.beat()

    def _events(self) -> bytes:
        """Return the next events as bytes, empty for none just now."""
        if self.position < self._tail.last:
            self._tail.pace.wait()
        before = None
        while before != self.position:
            before = self.position
            if before >= self._tail.floor:
                self._is_current = True
                said, self.position = self._tail.take(before, self.query, self.encode)
            elif self._is_current:
                self.lag()
                return b""
            else:
                said = self._stored()
            if said:
                return said
            if self.position < self._tail.last:
                gevent.sleep(0)  # much of it matches nothing: let others have their turn
        return b""

    def _stored(self) -> bytes:
        """Return the next of the stored events, and step towards the tail."""
        position = self.position
        try:
            events, is_gap = self._tail.stored(position)
        except Unavailable:  # the history has said so in the log
            self._wake.wait(SECONDS_AFTER_A_FAULT)
            return self._beat()
        said, self.position = joined(events, position, self.query, self.encode)
        if not events:
            self.position = self._tail.floor
        return (self.gap(position) if is_gap else b"") + said

    def _listen(self) -> None:
        """Read what the client sends; the end of it is the client's leaving."""
        try:
            heard = os.read(self._socket.fileno(), 4096)
        except BlockingIOError:
            return
        except OSError:
            heard = b""
        if heard:
            self.hear(heard)
        else:
            self._silence()
            self.end()

    def _silence(self) -> None:
        if self._ear is not None:
            self._ear.stop()
            self._ear.close()
            self._ear = None


class Streaming(Response):
    """The answer that is a stream; Werkzeug's own leaves the body out after 101."""

    automatically_set_content_length = False

    def __init__(self, stream: Stream, status: str, headers: dict[str, str]) -> None:
        super().__init__(status=status, headers=headers)
        self.source = stream

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Stream:
        start_response(self.status, self.get_wsgi_headers(environ).to_wsgi_list())
        return self.source
