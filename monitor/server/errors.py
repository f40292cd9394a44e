"""What is answered, and logged, in place of a view's own answer: ignored, refused, not just now, failed."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from monitor.server.requests import BODY, HEADERS, LARGEST_BODY
from monitor.updates.errors import BadQuery, NotAnUpdate, Unavailable, UnknownShape
from monitor.updates.text import describe_error, excerpt

log = logging.getLogger("event_monitor")
Answer = tuple[Response, int]

_token = re.compile(r"(token(?:=|%3d))(?! ).+", re.IGNORECASE)  # in an address, as whoever encodes its ? or = has it


class Errors:
    """The handlers of an app's errors; `count` takes the page and the outcome of what was received."""

    def __init__(self, count: Callable[[str, str], None]) -> None:
        self._count = count

    def init_app(self, app: Flask) -> None:
        """Handle the app's errors from now on."""
        app.register_error_handler(UnknownShape, self._ignore)
        app.register_error_handler(Unavailable, self._ask_again)
        for kind in (NotAnUpdate, BadQuery, HTTPException):
            app.register_error_handler(kind, self._refuse)
        app.register_error_handler(Exception, self._fail)

    def _ignore(self, reason: UnknownShape) -> Answer:
        """Answer 202: a sender that is refused ten times stops sending what would be read, too."""
        self._count(request.args.get("page", ""), "ignored")
        log.warning("ignored: %s: %s", reason, excerpt(request.environ[BODY]))
        return _answer(202, status="ignored", reason=str(reason))

    def _ask_again(self, reason: Unavailable) -> Answer:
        """Answer 503, not logged: the history says once what fails."""
        response, status = _answer(503, error=f"cannot be recorded or read just now: {reason}")
        response.headers["Retry-After"] = "5"
        return response, status

    def _refuse(self, error: HTTPException | ValueError) -> Answer:
        """Answer what is wrong and where, in JSON; log it with what was sent, so that nothing vanishes."""
        status, reason = 400, str(error)
        if isinstance(error, HTTPException):
            status, reason = error.code or 500, error.description or error.name
        if status == RequestEntityTooLarge.code:
            reason = f"the body is larger than {LARGEST_BODY} bytes"
        if request.method == "POST":
            self._count("", "refused")
        address, body = _token.sub(r"\1…", excerpt(request.path.encode())), excerpt(request.environ.get(BODY, b""))
        reason = f"nothing is served at {address}" if reason == NotFound.description else _token.sub(r"\1…", reason)
        log.warning("refused: %s %s: %d %s%s", request.method, address, status, reason, f": {body}" if body else "")
        response, status = _answer(status, error=reason)
        if request.method == "POST":
            # Where a body is refused, nobody knows where the next request begins.
            response.headers["Connection"] = "close"
        if isinstance(error, MethodNotAllowed):
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
        return response, status

    def _fail(self, error: Exception) -> Answer:
        log.error("%s", describe_error(error))
        return _answer(500, error="internal error; the log says more")


def _answer(code: int, **said: str) -> Answer:
    response = jsonify(**said)
    response.headers.update(HEADERS)
    return response, code
