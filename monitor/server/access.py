"""Access: refuses what a foreign web page sends through a browser on this machine, and warns of missing tokens.

Without the token for it, a loopback address takes only a Host that nobody can rebind to this machine, else it answers
421. A POST or a WebSocket whose Origin is not its Host is answered 403.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from functools import cache, lru_cache, partial
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask, Response

from monitor.server.requests import HEADERS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger("event_monitor")

TOKENS = {"WEBHOOK_TOKEN": "post updates", "READ_TOKEN": "read them"}
# https://www.rfc-editor.org/rfc/rfc7239 and the headers before it
PROXY_HEADERS = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO")


class Guard:
    """A WSGI application in front of the app; `host` is the address that the server listens on."""

    def __init__(self, app: Flask, host: str) -> None:
        """Warn of missing tokens if other machines reach `host`."""
        self._app: WSGIApplication = app
        self._local_only: set[str] = set()  # the tokens without which only a local Host is served
        if _is_loopback(host):
            self._local_only = TOKENS.keys() - app.config.keys()
        else:
            _warn(app, host)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Refuse the request, or let the app answer."""
        host, origin, path = environ.get("HTTP_HOST", "localhost"), environ.get("HTTP_ORIGIN"), environ["PATH_INFO"]
        is_foreign = origin is not None and origin.rpartition("://")[2].lower() != host.lower()
        if is_foreign and (environ["REQUEST_METHOD"] == "POST" or "HTTP_UPGRADE" in environ):
            reason = "Origin is another host than Host: a web page posts to, and streams from, its own host alone"
            return _refusal("403 Forbidden", reason)(environ, start_response)
        is_webhook = path.lstrip("/").startswith(("webhook/", "doorbell/"))  # as Werkzeug routes it
        token = "WEBHOOK_TOKEN" if is_webhook else "READ_TOKEN"
        if token in self._local_only and path != "/health" and not _is_local(host):
            reason = f"Host is {host[:100]!a}, not localhost nor an IP address: set MONITOR_{token} to use another name"
            return _refusal("421 Misdirected Request", reason)(environ, start_response)
        return self._app(environ, start_response)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@lru_cache(maxsize=64)
def _is_local(host: str) -> bool:
    """Tell whether no foreign web page can have this Host: a page whose name was rebound still sends its own name."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
        return name == "localhost" or name.endswith(".localhost") or bool(ip_address(name))
    except ValueError:
        return False


def _refusal(status: str, reason: str) -> Response:
    log.warning("refused: %s: %s", status, reason)
    body = json.dumps({"error": reason}) + "\n"
    return Response(body, status, {**HEADERS, "Connection": "close"}, content_type="application/json")


def init_app(app: Flask) -> None:
    """Warn of missing tokens at the first request that comes through a proxy."""
    if app.config.keys() >= TOKENS.keys():
        return
    inner = app.wsgi_app
    warn_once = cache(partial(_warn, app, "the proxy that requests come through"))

    def watch(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not environ.keys().isdisjoint(PROXY_HEADERS):
            warn_once()
        return inner(environ, start_response)

    app.wsgi_app = watch  # type: ignore[method-assign]


def _warn(app: Flask, reached: str) -> None:
    for name, right in TOKENS.items():
        if name not in app.config:
            log.warning("MONITOR_%s is not set: whoever reaches %s may %s", name, reached, right)
