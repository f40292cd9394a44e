"""`GET /metrics`, for Prometheus; its library loads at the first request."""

from __future__ import annotations

from flask import Flask, Response, request

from monitor.pipeline import pipeline_of
from monitor.readers.shared_answer import SharedAnswer
from monitor.senders.pages import pages_of
from monitor.server.requests import HEADERS, load, require


def init_app(app: Flask) -> None:
    """Add `GET /metrics`."""
    pipeline, pages, shared = pipeline_of(app), pages_of(app), SharedAnswer()

    @app.get("/metrics")
    def metrics() -> Response:
        """Give the metrics for Prometheus.

        answers: text/plain, application/openmetrics-text
        """
        require(app.config.get("READ_TOKEN"))
        module = load(f"{__name__}.metrics")
        collector = module.Collector(pipeline, pages, app.config["VERSION"])
        encode, content_type = module.choose_encoder(request.headers.get("Accept", ""))
        body = shared.get(content_type, lambda: encode(collector))
        return Response(body, headers=HEADERS, content_type=content_type)
