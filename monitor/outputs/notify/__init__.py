"""Notifications: each new update goes to the services of MONITOR_NOTIFY that want it, out of the request's way."""

from __future__ import annotations

from flask import Flask

from monitor.pipeline import pipeline_of
from monitor.senders.pages import pages_of
from monitor.settings import Command, Settings, load


def init_app(app: Flask) -> None:
    """Send new updates to the services of MONITOR_NOTIFY, if that is set."""
    if services := app.config.get("NOTIFY"):
        load(f"{__name__}.sending").Notifier(services, pipeline_of(app), pages_of(app))
        pipeline_of(app).at_start.append(f"notifications: to {', '.join(service.name for service in services)}")


def test(app: Flask) -> int:
    """Send a test message to each service, print what came of it, and return the exit code."""
    code: int = load(f"{__name__}.sending").test(app.config.get("NOTIFY", ()))
    return code


SETTINGS: Settings = {"NOTIFY": lambda value: load(f"{__name__}.setting").parse(value)}
COMMANDS = {"--test-notify": Command("send a test message to each service and end", test)}
