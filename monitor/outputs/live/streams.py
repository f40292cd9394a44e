"""All open streams, of both kinds: their bound, their turns, their end.

A stream is a generator of what is written. It keeps its position in the arrivals and no queue; while its client does
not read, it holds one page and BYTES_IN_THE_KERNEL. It ends when its client leaves or falls behind the kept events, and
when the server stops.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from socket import SHUT_RDWR, SO_SNDBUF, SOL_SOCKET, socket
from time import monotonic

import gevent
from gevent.event import Event as Flag

from monitor.outputs.live.arrivals import SECONDS_TO_GATHER, Arrivals, EventPage, FellBehindError
from monitor.outputs.live.share import FairShare
from monitor.updates.errors import Unavailable
from monitor.updates.text import describe_error

log = logging.getLogger("event_monitor")

SOCKET = "event_monitor.socket"  # the key in the environ under which our own server puts a request's connection
SECONDS_BETWEEN_BEATS = 15
SECONDS_AFTER_A_FAULT = 1
SECONDS_TO_SAY_FAREWELL = 2
BYTES_IN_THE_KERNEL = 64 * 1024  # left to itself, Linux would hold 4 MiB for a client that does not read
BYTES_HEARD = 128  # of what a client sends, in one turn: twenty of the smallest frames, or a pong
WOKEN_AT_ONCE = 50  # streams, then others have their turn


class Streams:
    """The open streams, at most `most`."""

    def __init__(self, arrivals: Arrivals, most: int) -> None:
        self._arrivals, self._most, self._open = arrivals, most, set[Client]()
        self._is_stopping, self._share = False, FairShare()
        self._watcher: gevent.Greenlet | None = None

    def __len__(self) -> int:
        return len(self._open)

    def place(self, after: int | None) -> tuple[int, bool]:
        """Return what `Arrivals.place` does; raise Unavailable also during a stop, or where too many are open."""
        self._check_room()
        placed = self._arrivals.place(after)
        self._check_room()  # others may have opened while the history was read
        return placed

    def _check_room(self) -> None:
        if self._is_stopping:
            raise Unavailable("the server is stopping")
        if len(self._open) >= self._most:
            raise Unavailable(f"{self._most} streams are open, the limit")

    def follow(self, position: int, connection: socket | None) -> Iterator[EventPage | bytes]:
        """Yield pages of new events and bytes that the client sent, and an empty page every SECONDS_BETWEEN_BEATS."""
        client = Client(connection)
        self._open.add(client)
        if not self._watcher:
            self._watcher = gevent.spawn(self._watch)
        next_beat = monotonic() + SECONDS_BETWEEN_BEATS
        try:
            while not client.has_left:
                client.wake.clear()
                if client.is_heard or position < self._arrivals.newest:
                    with self._share.turn():
                        if turn := client.read() or self._page_after(position):
                            position = position if isinstance(turn, bytes) else turn.last
                            yield turn
                    if turn:
                        gevent.sleep(0)  # a client that is far behind does not keep the others waiting
                        continue
                if monotonic() >= next_beat:
                    next_beat = monotonic() + SECONDS_BETWEEN_BEATS
                    yield EventPage(position)
                elif self._is_stopping:
                    return
                else:
                    client.wake.wait(next_beat - monotonic())
        except FellBehindError:
            log.info("a stream was closed: its client reads too slowly")
        finally:
            client.close()
            self._open.remove(client)

    def stop(self) -> None:
        """End every stream after its last events; cut the connections of clients that do not read."""
        gevent.sleep(2 * SECONDS_TO_GATHER)  # for the updates that have just come
        self._is_stopping = True
        self._wake()
        gevent.spawn_later(SECONDS_TO_SAY_FAREWELL, self._cut)

    def _cut(self) -> None:
        for client in self._open:
            client.cut()

    def _page_after(self, position: int) -> EventPage | None:
        """Return the next page, or None for none just now; raise FellBehindError."""
        with suppress(Unavailable):  # the history has logged it
            return self._arrivals.after(position) if position < self._arrivals.newest else None
        return None

    def _watch(self) -> None:
        while self._open:
            try:
                if self._arrivals.wait():
                    self._wake()
            except Exception as error:  # noqa: BLE001  # streams stay open and go on after the fault
                if not isinstance(error, Unavailable):  # the history has logged it
                    log.error("streams: %s", describe_error(error))
                gevent.sleep(SECONDS_AFTER_A_FAULT)

    def _wake(self) -> None:
        for number, client in enumerate(list(self._open), 1):
            client.wake.set()
            if number % WOKEN_AT_ONCE == 0:
                gevent.sleep(0)


class Client:
    """The client of a stream; what it sends waits in the kernel until the stream's turn.

    Under another server, which gives no connection, the next write finds out that a client has left.
    """

    def __init__(self, connection: socket | None) -> None:
        self.wake, self.has_left, self.is_heard, self._connection = Flag(), False, False, connection
        if connection is not None:
            connection.setsockopt(SOL_SOCKET, SO_SNDBUF, BYTES_IN_THE_KERNEL)
            self._ear = gevent.get_hub().loop.io(connection.fileno(), 1)
            self._ear.start(self._notice)

    def _notice(self) -> None:
        self._ear.stop()
        self.is_heard = True
        self.wake.set()

    def read(self) -> bytes:
        """Return at most BYTES_HEARD of what the client has sent, empty for nothing."""
        if not self.is_heard or self._connection is None:
            return b""
        self.is_heard = False
        self._ear.start(self._notice)
        heard = b""
        with suppress(OSError):
            heard = os.read(self._connection.fileno(), BYTES_HEARD)
        self.has_left = not heard
        return heard

    def cut(self) -> None:
        """Shut the connection down, also where the client does not read."""
        if self._connection is not None:
            with suppress(OSError):  # it is gone already
                self._connection.shutdown(SHUT_RDWR)

    def close(self) -> None:
        """Stop listening; the server closes the connection."""
        if self._connection is not None:
            self._ear.stop()
            self._ear.close()
