"""The optional parts: each is a file beside the core that hangs itself on the app, where all that it needs is there."""

from __future__ import annotations

from importlib import import_module

from flask import Flask, abort

# Each part, and the address that says what is missing where the part cannot be loaded.
PARTS = {
    "live": "/stream",
    "websocket": "/ws",
    "notify": None,
    "reconcile": None,
    "page_list": "/pages",
    "dialects": None,  # before metrics, which times every /webhook/
    "metrics": "/metrics",
    "dashboard": "/",
    "feeds": "/feed.atom",
    "calendar": "/maintenance.ics",
    "aggregate": None,
}


def attach(app: Flask) -> None:
    """Call `init_app(app)` of every part; one whose file was deleted is left out."""
    for name, address in PARTS.items():
        try:
            import_module(f"monitor.{name}").init_app(app)
        except ModuleNotFoundError as missing:
            if address is not None and missing.name != f"monitor.{name}":
                app.add_url_rule(address, f"{name} is missing", _Missing(address, missing.name))


class _Missing:
    def __init__(self, address: str, needed: str | None) -> None:
        self._reason = f"{address} needs {needed}: pip install -r requirements-extras.txt"

    def __call__(self) -> str:
        abort(501, self._reason)
