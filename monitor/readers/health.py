"""`GET /health` and `GET /ready`: whether the process serves, and whether updates can be recorded."""

from __future__ import annotations

from time import monotonic

from flask import Flask, Response, jsonify

from monitor.pipeline import OUTCOMES, Pipeline
from monitor.server.printer import Printer
from monitor.server.requests import HEADERS, require


def init_app(app: Flask, pipeline: Pipeline, stdout: Printer) -> None:
    """Add `GET /health` and `GET /ready`."""
    started = monotonic()

    @app.get("/health")
    def health() -> Response:
        """Answer 200 while the process serves: hosts restart on anything else, and a restart mends no database."""
        problems = pipeline.what_is_wrong()
        received = {name: sum(n for key, n in pipeline.received.items() if key[1] == name) for name in OUTCOMES}
        return jsonify(
            status="degraded" if problems else "ok",
            problems=problems,
            version=app.config["VERSION"],
            uptime_seconds=int(monotonic() - started),
            received=received,
            stdout_dropped=stdout.dropped,
        )

    @app.get("/ready")
    def ready() -> tuple[Response, int, dict[str, str]]:
        """Tell whether updates can be recorded."""
        require(app.config.get("READ_TOKEN"))
        problem = pipeline.history.problem
        return jsonify(ready=problem is None, problem=problem), 503 if problem else 200, HEADERS
