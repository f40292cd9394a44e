"""What every route needs of a request: its body, its token, its address, an optional library."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from flask import abort, request
from werkzeug.wrappers import Request

from monitor.updates.errors import NotAnUpdate
from monitor.updates.text import one_line

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

LARGEST_BODY = 1024 * 1024  # bytes; JSON takes 20 to 29 times its size once it is parsed
LONGEST_HOST = 253  # characters; https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4
BODY = "event_monitor.body"  # the key in the environ of a body that was read
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}  # of every answer made for one request


def read_body(environ: WSGIEnvironment) -> bytes:
    """Return the body, also a second time; raise NotAnUpdate if it is malformed or truncated, abort with 413 or 415."""
    if BODY in environ:
        return environ[BODY]  # type: ignore[no-any-return]
    if (encoding := environ.get("HTTP_CONTENT_ENCODING", "identity").lower()) != "identity":
        abort(415, f"Content-Encoding is {encoding!a}: send the body as it is")  # 1 MB inflates to 1 GB
    stream, length = environ["wsgi.input"], environ.get("CONTENT_LENGTH")
    try:
        if length:
            body: bytes = stream.read(int(length)) if int(length) <= LARGEST_BODY else abort(413)
            if len(body) < int(length):
                raise EOFError
        else:
            body = stream.read(LARGEST_BODY + 1) if environ.get("wsgi.input_terminated") else b""
    except (EOFError, OSError, ValueError):
        raise NotAnUpdate("the body ended early or is not well chunked") from None
    environ[BODY] = body if len(body) <= LARGEST_BODY else abort(413)
    return body


def require(token: str | Mapping[str, str] | None, asking: Request | None = None) -> str | None:
    """Abort with 401 unless the request bears the token; compare in constant time. None lets everybody in.

    If each token speaks for a page, return the page of the token that the request bears.
    """
    if token is None:
        return None
    asking = asking or request
    scheme, _, credentials = asking.headers.get("Authorization", "").partition(" ")
    offered = credentials.strip().encode("latin-1") if scheme.lower() == "bearer" else b""
    offered = offered or asking.args.get("token", "").encode()
    pages = {token: None} if isinstance(token, str) else token
    # Bytes, as compare_digest raises on text that is not ASCII.
    matching = [known for known in pages if hmac.compare_digest(offered, known.encode(errors="surrogateescape"))]
    if not matching:
        abort(401, "the token is missing or wrong: give it as ?token= or as Authorization: Bearer")
    return pages[matching[0]]


def own_address() -> str:
    """Return the address that the client asked, without a path; a proxy that ends TLS says so in a header."""
    # https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/X-Forwarded-Proto
    scheme = "https" if request.headers.get("X-Forwarded-Proto") == "https" else request.scheme
    return f"{scheme}://{one_line(request.host, LONGEST_HOST) or 'localhost'}/"


def load(module: str) -> ModuleType:
    """Return the module of a part, at its first request; abort with 501 if a library that it needs is missing."""
    try:
        return import_module(module)
    except ModuleNotFoundError as missing:
        abort(501, f"{request.path} needs {missing.name}: pip install -r requirements-extras.txt")
