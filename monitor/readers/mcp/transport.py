"""Streamable HTTP without sessions: a POST holds one JSON-RPC message, and its answer is one JSON object.

https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http, and for clients that begin
with `initialize` https://modelcontextprotocol.io/specification/2025-11-25/basic/transports. The server sends nothing
on its own: a GET, which would open a stream, is answered 405.
"""

from __future__ import annotations

import json

from flask import Flask, Response, abort, request

from monitor.readers.mcp.protocol import INVALID_REQUEST, PARSE_ERROR, Reply, failure, respond
from monitor.readers.mcp.tools import Tools
from monitor.server.requests import HEADERS, read_body

BATCHING = (None, "2025-03-26")  # the one revision with batches; clients without the header speak it
MOST_IN_A_BATCH = 10


def answer(app: Flask) -> Response:
    """Answer a POST to /mcp."""
    body = read_body(request.environ)
    if not request.is_json:
        abort(415, "Content-Type is not application/json")
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return _response(400, failure(None, PARSE_ERROR, "the body is not JSON"))
    tools = Tools(app)
    if not isinstance(message, list):
        return _response(*respond(message, request.headers, tools))
    if request.headers.get("MCP-Protocol-Version") not in BATCHING or not 0 < len(message) <= MOST_IN_A_BATCH:
        wrong = f"a batch needs revision 2025-03-26 and 1 to {MOST_IN_A_BATCH} messages"
        return _response(400, failure(None, INVALID_REQUEST, wrong))
    replies = [reply for _, reply in (respond(one, request.headers, tools) for one in message) if reply is not None]
    return _response(200, replies) if replies else _response(202, None)


def _response(status: int, reply: Reply | list[Reply] | None) -> Response:
    if reply is None:
        return Response(status=status, headers=HEADERS)
    body = json.dumps(reply, ensure_ascii=False).encode(errors="replace")  # an id may hold a lone surrogate
    return Response(body, status, HEADERS, mimetype="application/json")
