"""Updates as they happen: `GET /stream`, Server-Sent Events, and `GET /ws`, the same over WebSocket.

Each update is one event: its number in the history, and the incident without its story. Both resume from a number,
take the filters of /incidents and count against MAX_STREAMS. Only /ws needs a library.
"""

from __future__ import annotations

from flask import Flask, Response

from monitor.outputs.live import sse
from monitor.outputs.live.arrivals import Arrivals
from monitor.outputs.live.streams import Streams
from monitor.pipeline import Sample, pipeline_of
from monitor.senders.pages import pages_of
from monitor.server.requests import load, require
from monitor.settings import Settings, whole_number

DEFAULT_STREAMS = 1000

SETTINGS: Settings = {"MAX_STREAMS": whole_number("streams", 1, 100_000)}


def init_app(app: Flask) -> None:
    """Add both routes."""
    pipeline = pipeline_of(app)
    streams = Streams(Arrivals(pipeline.history, pages_of(app)), app.config.get("MAX_STREAMS", DEFAULT_STREAMS))
    pipeline.stopping.append(streams.stop)
    pipeline.samples.append(lambda: [Sample("gauge", "streams_open", "Streams open.", {(): len(streams)})])

    @app.get("/stream")
    def stream() -> Response:
        """Stream updates as they happen.

        query: page, component, impact, status, id, since
        answers: text/event-stream
        """
        require(app.config.get("READ_TOKEN"))
        return sse.answer(streams)

    @app.get("/ws", websocket=True)
    @app.get("/ws")  # answers 426 to a plain GET
    def ws() -> Response:
        """Stream updates as they happen, over WebSocket.

        query: page, component, impact, status, id, since
        """
        require(app.config.get("READ_TOKEN"))
        answer: Response = load(f"{__name__}.websocket").answer(streams)
        return answer
