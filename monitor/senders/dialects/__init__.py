"""The dialects: each module here reads one more sender's webhooks, at `POST /webhook/<name of the module>`.

A dialect has `recognises(payload) -> bool`, true for a payload of its own shape wherever that was posted, in one or
two look-ups, as every webhook of Statuspage is asked; and `read(payload, page) -> Update`, as senders/statuspage.py
has it. It may have `verify(config, headers, body)`, called before every `read`, which aborts with 401, and SETTINGS.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from flask import Flask

from monitor.senders.webhooks import Dialect, webhooks_of
from monitor.settings import Settings


def init_app(app: Flask) -> None:
    """Serve every dialect at an address of its own, and read what it recognises at /webhook/statuspage too."""
    webhooks = webhooks_of(app)
    for name, module in _modules().items():
        signed = {"verify": module.verify} if hasattr(module, "verify") else {}
        webhooks.add(Dialect(name, module.read, module.recognises, **signed))


def _modules() -> dict[str, ModuleType]:
    return {name: _module(name) for name in sorted(module.name for module in iter_modules(__path__))}


def _module(name: str) -> ModuleType:
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as missing:  # which would leave out all dialects in silence, as if they were deleted
        raise ImportError(f"{name}.py needs {missing.name}") from None


SETTINGS: Settings = {
    name: check for module in _modules().values() for name, check in getattr(module, "SETTINGS", {}).items()
}
