"""What the server answers and logs when a view raises: ignored, refused, unavailable, failed."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import partial

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from monitor.server.requests import BODY, HEADERS, LARGEST_BODY
from monitor.updates.errors import BadQuery, NotAnUpdate, Unavailable, UnknownShape
from monitor.updates.text import describe_error, excerpt

log = logging.getLogger("event_monitor")
Count = Callable[[str, str], None]

_token = re.compile(r"(token(?:=|%3d))(?! ).+", re.IGNORECASE)  # in an address, also with its `?` or `=` encoded


def init_app(app: Flask, count: Count) -> None:
    """Handle the app's errors; `count` takes the page and the outcome of what was received."""
    app.register_error_handler(UnknownShape, partial(_ignore, count))
    app.register_error_handler(Unavailable, _ask_again)
    for kind in (NotAnUpdate, BadQuery, HTTPException):
        app.register_error_handler(kind, partial(_refuse, count))
    app.register_error_handler(Exception, _fail)


def _ignore(count: Count, reason: UnknownShape) -> Response:
    """Answer 202: a sender that is refused ten times stops sending, also what could be read."""
    count(request.args.get("page", ""), "ignored")
    log.warning("ignored: %s: %s", reason, excerpt(request.environ[BODY]))
    return _answer(202, status="ignored", reason=str(reason))


def _ask_again(reason: Unavailable) -> Response:
    """Answer 503. The history logs once what fails."""
    response = _answer(503, error=f"cannot be recorded or read just now: {reason}")
    response.headers["Retry-After"] = "5"
    return response


def _refuse(count: Count, error: HTTPException | ValueError) -> Response:
    """Answer what is wrong and where, in JSON; log it with what was sent, so that nothing vanishes."""
    status, reason = 400, str(error)
    if isinstance(error, HTTPException):
        status, reason = error.code or 500, error.description or error.name
    if status == RequestEntityTooLarge.code:
        reason = f"the body is larger than {LARGEST_BODY} bytes"
    allowed = sorted(getattr(error, "valid_methods", None) or ())
    if allowed:
        reason = f"{request.method} is not allowed here, only {' and '.join(allowed)}"
    address, body = _token.sub(r"\1…", excerpt(request.path.encode())), excerpt(request.environ.get(BODY, b""))
    reason = f"nothing is served at {address}" if reason == NotFound.description else _token.sub(r"\1…", reason)
    log.warning("refused: %s %s: %d %s%s", request.method, address, status, reason, f": {body}" if body else "")
    response = _answer(status, error=reason)
    if request.method == "POST":
        count("", "refused")
        response.headers["Connection"] = "close"  # if the body was not read, nobody knows where the next request begins
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(allowed)
    return response


def _fail(error: Exception) -> Response:
    log.error("%s", describe_error(error))
    return _answer(500, error="internal error; the log says more")


def _answer(code: int, **said: str) -> Response:
    response = jsonify(**said)
    response.status_code = code
    response.headers.update(HEADERS)
    return response
