"""The dialects: each module here reads one more sender's webhooks, at `POST /webhook/<name of the module>`.

A dialect has `recognises(payload) -> bool`, true for a payload of its own shape wherever that was posted, in one or
two look-ups, as every webhook of Statuspage is asked; and `read(payload, page) -> Update`, as monitor/statuspage.py
has it. It may have `verify(config, headers, body)`, called before every `read`, which aborts with 401.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from flask import Flask, request

from monitor.senders.payload import JSONObject
from monitor.updates.update import Update


def init_app(app: Flask) -> None:
    """Serve every dialect at an address of its own, and read what it recognises at /webhook/statuspage too."""
    monitor = app.extensions["monitor"]
    for name in sorted(module.name for module in iter_modules(__path__)):
        dialect = _dialect(name)
        read = partial(_verified, app, dialect) if hasattr(dialect, "verify") else dialect.read
        app.add_url_rule(f"/webhook/{name}", f"webhook_{name}", partial(monitor.webhook, read), methods=["POST"])
        monitor.dialects.append((dialect.recognises, read))


def _dialect(name: str) -> ModuleType:
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as missing:
        # Any other error than this one, which would leave out all dialects in silence, as if they were deleted.
        raise ImportError(f"monitor/dialects/{name}.py needs {missing.name}") from None


def _verified(app: Flask, dialect: ModuleType, payload: JSONObject, page: str | None) -> Update:
    dialect.verify(app.config, request.headers, request.environ["event_monitor.body"])
    update: Update = dialect.read(payload, page)
    return update
