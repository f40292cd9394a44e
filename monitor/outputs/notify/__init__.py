"""Notifications: the services of MONITOR_NOTIFY get, in the background, each new update that passes their filter."""

from __future__ import annotations

from flask import Flask

from monitor.pipeline import pipeline_of
from monitor.senders.pages import pages_of
from monitor.settings import Asked, Command, Settings, load, load_for


def init_app(app: Flask) -> None:
    """Send new updates to the services of MONITOR_NOTIFY, if that is set."""
    if services := app.config.get("NOTIFY"):
        load(f"{__name__}.sending").Notifier(services, pipeline_of(app), pages_of(app))
        pipeline_of(app).at_start.append(f"notifications: to {', '.join(service.name for service in services)}")


def test(asked: Asked) -> int:
    """Send a test message to each service, or list what it would have been told; return the exit code."""
    config = asked.read()  # first: it says what a set MONITOR_NOTIFY needs
    code: int = load_for("--test-notify", f"{__name__}.trial").test(config, asked.given["--since"])
    return code


SETTINGS: Settings = {"NOTIFY": lambda value: load(f"{__name__}.setting").parse(value)}
COMMANDS = {
    "--test-notify": Command(
        "send a test message to each service and end",
        test,
        {"--since": "with --test-notify: send nothing; list what each would have been told since, such as 30d"},
    )
}
