"""The server: gevent's pywsgi in one process and one thread, a greenlet for each connection, a clean stop."""

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

SECONDS_TO_STOP = 6  # for the requests under way and for the parts; printing and closing the history come after
SECONDS_TO_END = 9  # then the process ends, whatever hangs: hosts kill after 10 s and more
BACKLOG = 1024
MOST_BYTES = 64 * 1024 * 1024  # of request bodies under way, and as many of answers under way
SECONDS_BETWEEN_WARNINGS, SECONDS_BETWEEN_ACCEPTS = 60, 0.1


def serve(
    application: WSGIApplication,
    host: str,
    port: int,
    ready: Callable[[str], None],
    stopping: Callable[[], None],
) -> None:
    """Serve until SIGTERM, SIGHUP or Ctrl-C; call `ready` with the URL at the start, and `stopping` at the signal.

    Raise OSError or UnicodeError for a bad address.
    """
    host.encode("idna")  # raises here: the resolver's thread would print a traceback
    # The usual limit is 1,024 descriptors: 900 stalled clients and an outage's storm need more.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # Modules and histories hold no cycles. Full garbage collections of them would stop everything for 40 ms each.
    gc.collect()
    gc.freeze()
    # The collector counts allocations less frees. Full histories free nearly as much; at 5,000 a pause came to 30 ms.
    gc.set_threshold(1_000, 500, 10)
    server = Server((host, port), application)
    server.start()
    ready(f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}")
    _wait_for_a_signal()
    signal.setitimer(signal.ITIMER_REAL, SECONDS_TO_END)  # nobody handles SIGALRM: it ends the process
    parts = gevent.spawn(stopping)
    with gevent.Timeout(SECONDS_TO_STOP, False):
        server.stop_cleanly()
        parts.join()
    if server.connections:
        log.warning("stopped with %d connections under way", len(server.connections))


def _wait_for_a_signal() -> None:
    asked_to_stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
            gevent.signal_handler(number, asked_to_stop.set)
    asked_to_stop.wait()


class Server(WSGIServer):  # type: ignore[misc]
    """Serves a WSGI application on (host, port) until `stop_cleanly`."""

    def __init__(self, address: tuple[str, int], application: WSGIApplication) -> None:
        super().__init__(address, application, handler_class=Handler, log=None, error_log=None, backlog=BACKLOG)
        self.stopping = False
        self.bodies, self.answers = Budget(MOST_BYTES, "request bodies"), Budget(MOST_BYTES, "answers")
        self._warned_at: dict[str, float] = {}
        self.connections: set[Handler] = set()

    def handle(self, sock: Any, address: Any) -> None:
        try:
            handler = self.handler_class(sock, address, self)
            self.connections.add(handler)
            try:
                handler.handle()
            finally:
                self.connections.discard(handler)
        except (OSError, OverflowError):  # the client disconnected; the clock is past 2262, where Python's time ends
            pass
        except Exception as error:  # noqa: BLE001  # gevent would print a traceback
            log.error("a connection failed: %s: %s", type(error).__name__, error)

    def warn(self, text: str) -> None:
        """Log a warning at most once a minute: its cause may occur a thousand times a second."""
        now = monotonic()
        if now - self._warned_at.get(text, -SECONDS_BETWEEN_WARNINGS) >= SECONDS_BETWEEN_WARNINGS:
            self._warned_at[text] = now
            log.warning("%s", text)

    def do_read(self) -> Any:
        """Accept a connection; if that fails, as for want of descriptors, pause: gevent would print a traceback."""
        try:
            return super().do_read()
        except OSError as error:
            self.warn(f"no connection can be accepted: {error.strerror}")
            self.stop_accepting()
            self._timer = self.loop.timer(SECONDS_BETWEEN_ACCEPTS)
            self._timer.start(self._start_accepting_if_started)
            return None

    def stop_cleanly(self) -> None:
        """Take no new connections, and return when the requests under way are answered."""
        self.stopping = True
        for _ in range(BACKLOG):  # accept the connections in the kernel's queue first: a close would reset them
            if not (accepted := self.do_read()):
                break
            self.do_handle(*accepted)
        self.close()
        began = monotonic()
        while self.connections:
            for connection in list(self.connections):
                # The first request of a new connection may be on its way.
                if connection.is_idle and (not connection.is_new or monotonic() - began > 1):
                    connection.stop_reading()
            gevent.sleep(0.02)
