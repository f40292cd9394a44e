"""event_monitor: receive status page webhooks, print each incident update once, and answer who asks.

Start reading here: the app and its routes, then the command line. One value flows, from a sender's payload
(monitor/statuspage.py) through the history (monitor/history.py) to the outputs, of which stdout is the first.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()  # first of all: what is imported below must find the cooperative socket, select and time

import logging
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from flask import Flask, Response, jsonify, request

from monitor import command_line, parts, settings
from monitor.history import query
from monitor.history.contract import History
from monitor.readers import incidents as listing
from monitor.senders import statuspage
from monitor.senders.pages import Names
from monitor.senders.payload import JSONObject
from monitor.server.errors import Errors
from monitor.server.printer import Printer, log_to_stderr
from monitor.server.requests import LARGEST_BODY, App, Prepared, receive, require, where
from monitor.server.serve import serve
from monitor.updates.update import Update, lines

__version__ = "1.0.0"

OUTCOMES = ("accepted", "duplicate", "ignored", "refused")
MOST_COUNTED = 500  # of page, outcome and source

log = logging.getLogger("event_monitor")
Answer = Response | tuple[Response, int]
Read = Callable[[JSONObject, str | None], Update]


def create_app(given: Mapping[str, object] | None = None) -> Flask:
    """Return the app with these settings (names without MONITOR_), or with the environment's; raise BadSetting."""
    app = App("event_monitor", static_folder=None)
    app.config.update(settings.from_environment() if given is None else settings.checked(given))
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # its answer would be empty, and not JSON
    app.json.sort_keys = False  # type: ignore[attr-defined]
    # A sender takes a redirect for a failure, so no address answers with one.
    app.url_map.strict_slashes = app.url_map.merge_slashes = False

    stdout = Printer("stdout", sys.__stdout__.fileno() if sys.__stdout__ else None, log.warning)
    monitor = Monitor(app.config, settings.history(app.config), stdout)
    app.extensions["monitor"] = monitor
    app.post("/webhook/statuspage")(monitor.webhook_statuspage)
    app.get("/health")(monitor.health)
    app.get("/ready")(monitor.ready)
    app.get("/incidents")(monitor.incidents)
    Errors(monitor.count).answer(app)
    parts.attach(app)
    return app


class Monitor:
    """The routes, and what they work with: the history, the outputs, and the count of what was received.

    An optional part finds this in `app.extensions["monitor"]`; what it appends to `outputs` gets every new update,
    what it appends to `stopping` is called once the server is asked to stop, before the last answers are sent. Of
    `dialects` the first that recognises a payload posted to /webhook/statuspage reads it in Statuspage's place.
    """

    def __init__(self, config: Mapping[str, Any], history: History, stdout: Printer) -> None:
        self.history, self.stdout = history, stdout
        history.late = self.announce
        self.names = Names(config.get("PAGES", ()), history)
        self.outputs: list[Callable[[Update], None]] = [lambda update: stdout.write(lines(update))]
        self.version = __version__
        self.stopping: list[Callable[[], None]] = []
        self.dialects: list[tuple[Callable[[JSONObject], bool], Read]] = []
        self.received: Counter[tuple[str, str, str]] = Counter()  # by page, outcome and source
        self._webhook_token, self._read_token = config.get("WEBHOOK_TOKEN"), config.get("READ_TOKEN")
        self._accepted, self._duplicate = Prepared(status="accepted"), Prepared(status="duplicate")
        self._started = monotonic()

    def webhook_statuspage(self) -> Response:
        return self.webhook(self._read)

    def webhook(self, read: Read) -> Response:
        """Receive a webhook whose payload `read` turns into an update."""
        page = require(self._webhook_token)
        payload = receive()
        named = request.args.get("page") if request.environ["QUERY_STRING"] else None
        return self.take(read(payload, page or named), page)

    def _read(self, payload: JSONObject, page: str | None) -> Update:
        for recognises, read in self.dialects:
            if recognises(payload):
                return read(payload, page)
        return statuspage.read(payload, page)

    def take(self, update: Update, page: str | None = None) -> Response:
        """Record an update and, if it is new, hand it to every output; it can speak only for `page`, if given."""
        update = self.names.named(update) if page is None else self.names.bound(update, page)
        return self._accepted if self.record(update, "push") else self._duplicate

    def record(self, update: Update, source: str) -> bool:
        """Record an update and, if it is new, hand it to every output; return whether it is new; raise Unavailable."""
        is_new = self.history.add(update)
        self.count(update.page, "accepted" if is_new else "duplicate", source)
        if is_new:
            self.announce(update)
        return is_new

    def count(self, page: str, outcome: str, source: str = "push") -> None:
        """Count what was received; pages past a bound, which strangers could name without end, together."""
        if (page, outcome, source) not in self.received and len(self.received) >= MOST_COUNTED:
            page = "other"
        self.received[page, outcome, source] += 1

    def announce(self, update: Update) -> None:
        """Hand a new update to every output, unless it was over before anybody asked."""
        for output in () if update.is_past else self.outputs:
            try:
                output(update)
            except Exception as error:  # noqa: BLE001  # an output hinders neither the others nor the answer
                log.error("output failed: %s", where(error))

    def stop(self) -> None:
        """Tell every part that the server stops."""
        for stop in self.stopping:
            stop()

    def health(self) -> Response:
        """Answer 200 while the process serves: hosts restart on anything else, and a restart mends no database."""
        found = {"history": self.history.problem, "stdout": self.stdout.problem}
        problems = {part: problem for part, problem in found.items() if problem}
        received = {outcome: sum(n for (_, o, _), n in self.received.items() if o == outcome) for outcome in OUTCOMES}
        return jsonify(
            status="degraded" if problems else "ok",
            problems=problems,
            version=__version__,
            uptime_seconds=int(monotonic() - self._started),
            received=received,
            stdout_dropped=self.stdout.dropped,
        )

    def ready(self) -> Answer:
        require(self._read_token)
        problem = self.history.problem
        return jsonify(ready=problem is None, problem=problem), 503 if problem else 200

    def incidents(self) -> Response:
        require(self._read_token)
        asked = query.read(request.args.to_dict(flat=False))
        found = self.history.incidents(asked)
        if request.accept_mimetypes.best_match(["application/json", "text/plain"]) == "text/plain":
            return Response(listing.as_text(found), mimetype="text/plain")
        return Response(listing.as_json(found, asked.limit), mimetype="application/json")


def main() -> int:
    """Run the server until SIGTERM or Ctrl-C; return the exit code."""
    arguments = command_line.arguments()
    stderr = log_to_stderr()
    app = _app_of_the_environment()
    monitor: Monitor = app.extensions["monitor"]
    if arguments.test_notify:
        return int(settings.part("outputs.notify.sending").test(app))
    if "WEBHOOK_TOKEN" not in app.config and arguments.host not in ("127.0.0.1", "::1", "localhost"):
        log.warning("MONITOR_WEBHOOK_TOKEN is not set: whoever reaches %s may post updates", arguments.host)
    try:
        serve(app, arguments.host, arguments.port, lambda url: log.info("listening on %s", url), monitor.stop)
    except (OSError, UnicodeError) as error:  # UnicodeError: a host that is no name at all
        log.error("cannot listen on %s port %d: %s", arguments.host, arguments.port, getattr(error, "strerror", error))
        stderr.drain(1)
        return 1
    monitor.history.close()
    monitor.stdout.drain(1)
    log.info("stopped")
    stderr.drain(1)
    return 0


def _app_of_the_environment() -> Flask:
    try:
        return create_app()
    except settings.BadSetting as problem:
        command_line.exit_2(str(problem))


if __name__ == "__main__":
    sys.exit(main())
app = _app_of_the_environment()
