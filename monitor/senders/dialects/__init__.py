"""The dialects: each module here reads one sender's webhooks, at `POST /webhook/<name of the module>`.

A dialect has `read(payload, page) -> Update`, as in senders/statuspage.py, and `recognises(payload) -> bool`, true for
a payload of its shape at any address; that runs for every webhook, so it makes one or two look-ups. A dialect may have
`verify(config, headers, body)`, which runs before every `read` and aborts with 401, and SETTINGS.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from flask import Flask

from monitor.senders.webhooks import Dialect, webhooks_of
from monitor.settings import Settings


def init_app(app: Flask) -> None:
    """Serve every dialect at its own address and, where it recognises the payload, at /webhook/statuspage."""
    webhooks = webhooks_of(app)
    for name, module in _modules().items():
        webhooks.add(Dialect(name, module.read, module.recognises, getattr(module, "verify", None)))


def _modules() -> dict[str, ModuleType]:
    return {name: _module(name) for name in sorted(module.name for module in iter_modules(__path__))}


def _module(name: str) -> ModuleType:
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as missing:  # it would hide all dialects, like a deleted folder
        raise ImportError(f"{name}.py needs {missing.name}") from None


SETTINGS: Settings = {
    name: check for module in _modules().values() for name, check in getattr(module, "SETTINGS", {}).items()
}
