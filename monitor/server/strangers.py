"""Refuses what a foreign web page asks through the browser of whoever runs the monitor, before the app sees it.

A door on a loopback address without its token takes no name that somebody can rebind to this machine as its Host (421);
no POST and no WebSocket has another Origin than its Host (403).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask

from monitor.server.requests import HEADERS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger("event_monitor")


class Strangers:
    """A WSGI application before another; `host` is the address that is listened on."""

    def __init__(self, app: Flask, host: str) -> None:
        self._application: WSGIApplication = app
        self._may_read = not is_loopback(host) or "READ_TOKEN" in app.config
        self._may_post = not is_loopback(host) or "WEBHOOK_TOKEN" in app.config

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Refuse, or let the application answer."""
        host, origin, path = environ.get("HTTP_HOST", "localhost"), environ.get("HTTP_ORIGIN"), environ["PATH_INFO"]
        is_post = environ["REQUEST_METHOD"] == "POST"
        if origin is not None and (is_post or "HTTP_UPGRADE" in environ) and _host_of(origin) != host.lower():
            reason = "Origin is another host than Host: a web page posts to, and streams from, its own host alone"
            return _refuse(start_response, "403 Forbidden", reason)
        is_webhook = path.lstrip("/").startswith(("webhook/", "doorbell/"))  # as Werkzeug routes it
        if not (self._may_post if is_webhook else self._may_read) and path != "/health" and not _is_own(host):
            token = "MONITOR_WEBHOOK_TOKEN" if is_webhook else "MONITOR_READ_TOKEN"
            reason = f"Host is {host[:100]!a}, not localhost nor an IP address: set {token} to be asked under a name"
            return _refuse(start_response, "421 Misdirected Request", reason)
        return self._application(environ, start_response)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address to listen on."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@lru_cache(maxsize=64)
def _is_own(host: str) -> bool:
    """Tell a Host that no foreign web page can have: a name that was rebound to this machine stays in its Host."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
        return name == "localhost" or name.endswith(".localhost") or bool(ip_address(name))
    except ValueError:
        return False


def _host_of(origin: str) -> str:
    return origin.rpartition("://")[2].lower()


def _refuse(start_response: StartResponse, status: str, reason: str) -> Iterable[bytes]:
    log.warning("refused: %s: %s", status, reason)
    answer = json.dumps({"error": reason}).encode() + b"\n"
    size, kind = ("Content-Length", str(len(answer))), ("Content-Type", "application/json")
    start_response(status, [kind, size, ("Connection", "close"), *HEADERS.items()])
    return (answer,)
