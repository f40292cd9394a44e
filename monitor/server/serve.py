"""The server: gevent's pywsgi in process; one process, one thread, a greenlet per connection, a clean stop."""

from __future__ import annotations

import gc
import logging
import resource
import signal
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event
from gevent.pywsgi import WSGIServer

from monitor.server.body import Budget
from monitor.server.connection import Handler

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger("event_monitor")

SECONDS_TO_STOP = 6  # for what is under way and for the parts; printing and closing the history take their time, too
SECONDS_TO_END = 9  # whatever still hangs then, ends: hosts kill after 10 s and more
BACKLOG = 1024
MOST_BYTES = 64 * 1024 * 1024  # of bodies that are read, and as many of answers that are not
SECONDS_BETWEEN_WARNINGS, SECONDS_BETWEEN_ACCEPTS = 60, 0.1


def serve(
    application: WSGIApplication,
    host: str,
    port: int,
    ready: Callable[[str], None],
    stopping: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM, SIGHUP or Ctrl-C; tell `ready` the URL, and `stopping` when that comes.

    Raise OSError or UnicodeError for a bad address.
    """
    host.encode("idna")  # raises here, not in the resolver's thread, which would print it
    # Usually 1,024: 900 stalled clients and an outage's storm need more.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # Full collections of what start-up made and of the histories, which hold no cycles, would stop all for 40 ms each.
    gc.collect()
    gc.freeze()
    # Objects are counted less those freed: full histories free nearly as many, and at 5,000 a pause came to 30 ms.
    gc.set_threshold(1_000, 500, 10)
    server = Server((host, port), application)
    server.start()
    ready(f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}")
    _wait_for_a_signal()
    signal.setitimer(signal.ITIMER_REAL, SECONDS_TO_END)  # SIGALRM, which nobody handles, ends the process
    deadline = monotonic() + SECONDS_TO_STOP
    parts = gevent.spawn(stopping)
    server.stop_cleanly(SECONDS_TO_STOP)
    parts.join(max(0.0, deadline - monotonic()))


def _wait_for_a_signal() -> None:
    asked_to_stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            gevent.signal_handler(number, asked_to_stop.set)
    asked_to_stop.wait()


class Server(WSGIServer):  # type: ignore[misc]
    """Serves a WSGI application on (host, port) until `stop_cleanly`."""

    def __init__(self, address: tuple[str, int], application: WSGIApplication) -> None:
        super().__init__(address, application, handler_class=Handler, log=None, error_log=None, backlog=BACKLOG)
        self.stopping = False
        self.bodies, self.answers = Budget(MOST_BYTES, "request bodies"), Budget(MOST_BYTES, "answers")
        self._warned_at: dict[str, float] = {}
        self._connections: set[Handler] = set()

    def handle(self, sock: Any, address: Any) -> None:
        try:
            handler = self.handler_class(sock, address, self)
            self._connections.add(handler)
            try:
                handler.handle()
            finally:
                self._connections.discard(handler)
        except (OSError, OverflowError):  # the client went away; the clock is past 2262, when Python tells no time
            pass
        except Exception as error:  # noqa: BLE001  # gevent would print a traceback
            log.error("a connection failed: %s: %s", type(error).__name__, error)

    def warn(self, text: str) -> None:
        """Log what may happen a thousand times a second, once a minute."""
        now = monotonic()
        if now - self._warned_at.get(text, -SECONDS_BETWEEN_WARNINGS) >= SECONDS_BETWEEN_WARNINGS:
            self._warned_at[text] = now
            log.warning("%s", text)

    def do_read(self) -> Any:
        """Accept a connection; where that fails, as for want of descriptors, pause instead of printing a traceback."""
        try:
            return super().do_read()
        except OSError as error:
            self.warn(f"no connection can be accepted: {error.strerror}")
            self.stop_accepting()
            self._timer = self.loop.timer(SECONDS_BETWEEN_ACCEPTS)
            self._timer.start(self._start_accepting_if_started)
            return None

    def stop_cleanly(self, seconds: float) -> None:
        """Take no new connections, answer the requests under way, and return within so many seconds."""
        gevent.sleep(0.05)  # those waiting in the kernel's queue are accepted first: a close would reset them
        self.stopping = True
        self.close()
        began = monotonic()
        while self._connections and (waited := monotonic() - began) < seconds:
            for connection in list(self._connections):
                # A connection that has just come may have its first request on the way.
                if connection.is_idle and (connection.answered or waited > 1):
                    connection.stop_reading()
            gevent.sleep(0.02)
        if self._connections:
            log.warning("stopped with %d connections under way", len(self._connections))
