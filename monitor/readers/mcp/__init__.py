"""`POST /mcp`: coding agents ask what is broken, by the Model Context Protocol.

protocol.py speaks JSON-RPC over HTTP, tools.py answers. They load at the first request.
"""

from __future__ import annotations

from flask import Flask, Response

from monitor.server.requests import load, require


def init_app(app: Flask) -> None:
    """Add `POST /mcp`."""

    @app.post("/mcp")
    def mcp() -> Response:
        """Answer a coding agent's JSON-RPC message, by the Model Context Protocol."""
        require(app.config.get("READ_TOKEN"))
        answer: Response = load(f"{__name__}.protocol").answer(app)
        return answer
