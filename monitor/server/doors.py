"""Open doors: what may be posted or read without a token is warned of where strangers are likely to come, once."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger("event_monitor")

TOKENS = {"WEBHOOK_TOKEN": "post updates", "READ_TOKEN": "read them"}
# https://www.rfc-editor.org/rfc/rfc7239 and what came before it
OF_A_PROXY = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO")


def warn(app: Flask, reached: str) -> None:
    """Say which tokens are not set, where something that strangers reach is listened on."""
    for name, what in TOKENS.items():
        if name not in app.config:
            log.warning("MONITOR_%s is not set: whoever reaches %s may %s", name, reached, what)


def init_app(app: Flask) -> None:
    """Warn at the first request that came through a proxy, if a token is not set; then get out of the way."""
    if all(name in app.config for name in TOKENS):
        return
    inner = app.wsgi_app

    def watch(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not environ.keys().isdisjoint(OF_A_PROXY):
            app.wsgi_app = inner  # type: ignore[method-assign]
            warn(app, "the proxy that requests come through")
        return inner(environ, start_response)

    app.wsgi_app = watch  # type: ignore[method-assign]
