"""The Model Context Protocol over streamable HTTP without sessions: JSON-RPC in a POST, its reply in the answer.

There are two kinds of clients. Newer ones state the revision in the `_meta` of every request
(https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning), older ones begin with `initialize`
(https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle). Both send what
https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http describes. The server sends
nothing on its own: a GET, which would open a stream, is answered 405.
"""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

from flask import Flask, Response, abort, request

from monitor.readers.mcp.tools import Tools
from monitor.server.requests import HEADERS, read_body

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022

STATELESS = ("2026-07-28",)
WITH_HANDSHAKE = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")  # newest first
SUPPORTED = [*STATELESS, *WITH_HANDSHAKE]
BATCHING = (None, "2025-03-26")  # the one revision with batches; clients without the header speak it
MOST_IN_A_BATCH = 10
META = "io.modelcontextprotocol/"
LONGEST_ID = 200
CACHED = {"ttlMs": 3_600_000, "cacheScope": "public"}  # every client gets the same tools
ENCODED, END = "=?base64?", "?="

Reply = dict[str, Any]


class Refused(Exception):
    """An error reply: its JSON-RPC code, its message, and the HTTP status."""

    def __init__(self, code: int, reason: str, status: int = 200, data: object = None) -> None:
        super().__init__(reason)
        self.code, self.status, self.data = code, status, data


def answer(app: Flask) -> Response:
    """Answer a POST to /mcp."""
    body = read_body(request.environ)
    if not request.is_json:
        abort(415, "Content-Type is not application/json")
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return _response(400, _failure(None, PARSE_ERROR, "the body is not JSON"))
    tools = Tools(app)
    if not isinstance(message, list):
        return _response(*_respond(message, tools))
    if request.headers.get("MCP-Protocol-Version") not in BATCHING or not 0 < len(message) <= MOST_IN_A_BATCH:
        wrong = f"a batch needs revision 2025-03-26 and 1 to {MOST_IN_A_BATCH} messages"
        return _response(400, _failure(None, INVALID_REQUEST, wrong))
    replies = [reply for _, reply in (_respond(one, tools) for one in message) if reply is not None]
    return _response(200, replies) if replies else _response(202, None)


def _response(status: int, reply: Reply | list[Reply] | None) -> Response:
    if reply is None:
        return Response(status=status, headers=HEADERS)
    body = json.dumps(reply, ensure_ascii=False).encode(errors="replace")  # an id may hold a lone surrogate
    return Response(body, status, HEADERS, mimetype="application/json")


def _respond(message: object, tools: Tools) -> tuple[int, Reply | None]:
    """Return the HTTP status and the reply to a message; notifications and responses get no reply, None."""
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        return 400, _failure(None, INVALID_REQUEST, "the message is not a JSON-RPC 2.0 object")
    method, id, params = message.get("method"), message.get("id"), message.get("params", {})  # noqa: A001  # its name
    if not isinstance(method, str):
        is_response = "result" in message or "error" in message
        return (202, None) if is_response else (400, _failure(None, INVALID_REQUEST, "method is missing"))
    if "id" not in message:
        return 202, None
    if not (isinstance(id, str) and len(id) <= LONGEST_ID) and (type(id) is not int or abs(id) >= 2**63):
        return 400, _failure(None, INVALID_REQUEST, f"id must be an integer or a text of up to {LONGEST_ID} characters")
    try:
        if not isinstance(params, dict):
            raise Refused(INVALID_PARAMS, "params is not an object", 400)
        return 200, {"jsonrpc": "2.0", "id": id, "result": _result(method, params, tools)}
    except Refused as refused:
        return refused.status, _failure(id, refused.code, str(refused), refused.data)


def _failure(id: str | int | None, code: int, reason: str, data: object = None) -> Reply:  # noqa: A002  # its name
    """Return an error reply; `id` is None if it could not be read."""
    error = {"code": code, "message": reason} | ({"data": data} if data is not None else {})
    return {"jsonrpc": "2.0"} | ({"id": id} if id is not None else {}) | {"error": error}


def _result(method: str, params: dict[str, Any], tools: Tools) -> Reply:
    meta = params["_meta"] if isinstance(params.get("_meta"), dict) else {}
    stated, header = meta.get(f"{META}protocolVersion"), request.headers.get("MCP-Protocol-Version")
    if stated is not None and header is not None and stated != header:
        raise Refused(HEADER_MISMATCH, "MCP-Protocol-Version differs between the header and _meta", 400)
    version = header if stated is None else stated
    about = {"capabilities": {"tools": {}}, "instructions": tools.instructions}
    if version is None or version in WITH_HANDSHAKE:
        wanted = params.get("protocolVersion")
        agreed = {"protocolVersion": wanted if wanted in WITH_HANDSHAKE else WITH_HANDSHAKE[0]}
        own = {"initialize": agreed | {"serverInfo": tools.identity} | about, "ping": {}}
        return _called(method, params, tools, own, 200)
    if version not in STATELESS:
        data = {"supported": SUPPORTED, "requested": str(version)[:LONGEST_ID]}
        raise Refused(UNSUPPORTED_VERSION, "Unsupported protocol version", 400, data)
    if stated is None or not isinstance(meta.get(f"{META}clientCapabilities"), dict):
        raise Refused(INVALID_PARAMS, f"_meta lacks {META}protocolVersion or {META}clientCapabilities", 400)
    _check_headers(method, params)
    result = _called(method, params, tools, {"server/discover": {"supportedVersions": SUPPORTED} | about}, 404)
    result |= {} if method == "tools/call" else CACHED
    return result | {"resultType": "complete", "_meta": {f"{META}serverInfo": tools.identity}}


def _called(method: str, params: dict[str, Any], tools: Tools, own: dict[str, Reply], unknown: int) -> Reply:
    """Return the result of a method; `own` are those of one kind of clients, `unknown` is the status of no method."""
    if method == "tools/list":
        return {"tools": tools.listed}
    if method != "tools/call":
        if method not in own:
            raise Refused(METHOD_NOT_FOUND, "Method not found", unknown)
        return own[method]
    name, arguments = params.get("name"), params.get("arguments", {})
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise Refused(INVALID_PARAMS, "name is not a text, or arguments is not an object")
    result = tools.call(name, arguments)
    if result is None:
        raise Refused(INVALID_PARAMS, f"Unknown tool: {name[:LONGEST_ID]}")
    return result


def _check_headers(method: str, params: dict[str, Any]) -> None:
    """Refuse a request whose headers differ from its body: a proxy may have let it pass by its headers."""
    if request.headers.get("MCP-Protocol-Version") is None or request.headers.get("Mcp-Method") != method:
        raise Refused(HEADER_MISMATCH, "MCP-Protocol-Version or Mcp-Method is missing or differs from the body", 400)
    if method == "tools/call" and _decoded(request.headers.get("Mcp-Name")) != params.get("name"):
        raise Refused(HEADER_MISMATCH, "Mcp-Name is missing or differs from the body", 400)


def _decoded(value: str | None) -> str | None:
    if value is None or not (value.startswith(ENCODED) and value.endswith(END)):
        return value
    try:
        return b64decode(value[len(ENCODED) : -len(END)], validate=True).decode()
    except ValueError:
        return None
