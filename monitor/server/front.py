"""The front: answers webhooks before Flask does. Flask's own work takes as long as all the rest of a webhook.

A request that the front does not answer goes on to Flask with its body and its error, so that nothing is read or
recorded twice. The front steps aside whenever the app has functions to run before, after or around a request.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from itertools import accumulate
from operator import attrgetter
from time import perf_counter
from typing import TYPE_CHECKING

from flask import Flask, signals

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ERROR = "event_monitor.error"  # the key in the environ of the error that Flask's handlers answer
BUCKETS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)  # seconds
_receivers = attrgetter("receivers")

Take = Callable[["WSGIEnvironment"], bytes]


class Front:
    """A WSGI application before Flask; `takes` has the paths whose POST it answers, each with the function for it."""

    def __init__(self, app: Flask) -> None:
        self.takes: dict[str, Take] = {}
        self.seconds, self._counts = 0.0, [0] * (len(BUCKETS) + 1)
        self._app, self._flask = app, app.wsgi_app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer, or let Flask answer."""
        take = self.takes.get(environ["PATH_INFO"]) if environ["REQUEST_METHOD"] == "POST" else None
        if take is None:
            return self._flask(environ, start_response)
        began = perf_counter()
        try:
            if self._is_hooked():
                return self._flask(environ, start_response)
            return self._answer(take, environ, start_response)
        finally:
            took = perf_counter() - began
            self.seconds += took
            self._counts[bisect_left(BUCKETS, took)] += 1

    def _answer(self, take: Take, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            answer = take(environ)
        except Exception as error:  # noqa: BLE001  # Flask's handlers answer it
            environ[ERROR] = error
            return self._flask(environ, start_response)
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
        return (answer,)

    def counts(self) -> dict[tuple[str, ...], float]:
        """Return for each bucket of a Prometheus histogram how many requests took at most so many seconds."""
        limits = [(str(limit),) for limit in (*BUCKETS, "+Inf")]
        return dict(zip(limits, accumulate(self._counts), strict=True))

    def _is_hooked(self) -> bool:
        app = self._app
        return (
            any(app.before_request_funcs.values())
            or any(app.after_request_funcs.values())
            or any(app.teardown_request_funcs.values())
            or any(app.url_value_preprocessors.values())
            or bool(app.teardown_appcontext_funcs)
            or any(map(_receivers, SIGNALS))
        )


SIGNALS = (
    signals.request_started,
    signals.request_finished,
    signals.request_tearing_down,
    signals.got_request_exception,
    signals.appcontext_pushed,
    signals.appcontext_popped,
    signals.appcontext_tearing_down,
)


def init_app(app: Flask) -> Front:
    """Put the front before the app."""
    front = Front(app)
    app.wsgi_app = front  # type: ignore[method-assign]
    return front
