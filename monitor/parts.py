"""The optional parts: each is a file beside the core that hangs itself on the app, where all that it needs is there."""

from __future__ import annotations

from importlib import import_module

from flask import Flask, abort

# Each part, and the address that says what is missing where the part cannot be loaded.
PARTS = {
    "outputs.live.live": "/stream",
    "outputs.live.websocket": "/ws",
    "outputs.notify.sending": None,
    "senders.polling.reconcile": None,
    "readers.pages": "/pages",
    "senders.dialects": None,  # before metrics, which times every /webhook/
    "readers.metrics.metrics": "/metrics",
    "readers.dashboard.dashboard": "/",
    "readers.feeds.atom": "/feed.atom",
    "readers.feeds.calendar": "/maintenance.ics",
    "readers.feeds.statuspage_api": None,
}


def attach(app: Flask) -> None:
    """Call `init_app(app)` of every part; one whose file was deleted is left out."""
    for name, address in PARTS.items():
        try:
            import_module(f"monitor.{name}").init_app(app)
        except ModuleNotFoundError as missing:
            if address is not None and not str(missing.name).startswith("monitor."):
                app.add_url_rule(address, f"{name} is missing", _Missing(address, missing.name))


class _Missing:
    def __init__(self, address: str, needed: str | None) -> None:
        self._reason = f"{address} needs {needed}: pip install -r requirements-extras.txt"

    def __call__(self) -> str:
        abort(501, self._reason)
