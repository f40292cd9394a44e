"""`GET /ws`: the same as /stream over WebSocket, a JSON message for each update with its `number` in it.

wsproto reads and writes the frames: https://www.rfc-editor.org/rfc/rfc6455. A client is expected to send pings, pongs
and its close; everything else is dropped, and a client that sends much is closed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from socket import socket
from time import monotonic
from typing import TYPE_CHECKING

from flask import Response, abort, make_response, request
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import CloseConnection, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import generate_accept_token

from monitor.history.query import Query
from monitor.outputs.live.arrivals import Event
from monitor.outputs.live.sse import read_request
from monitor.outputs.live.streams import SECONDS_BETWEEN_BEATS, SOCKET, Streams

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SECONDS_FOR_A_PONG = 30
MOST_BYTES_HEARD = 16 * 1024  # between two pings


def answer(streams: Streams) -> Response:
    """Answer a request for a WebSocket; raise BadQuery or Unavailable."""
    query, after = read_request()
    if (connection := request.environ.get(SOCKET)) is None:
        abort(501, "/ws needs the server of event_monitor.py; /stream is the same without a WebSocket")
    is_upgrade = request.url_rule is not None and request.url_rule.websocket
    if not is_upgrade or request.headers.get("Sec-WebSocket-Version") != "13":
        needed = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        error = "/ws is a WebSocket, version 13: ask to upgrade to it, or read /stream"
        return make_response({"error": error}, 426, needed)
    key = request.headers.get("Sec-WebSocket-Key", "")
    if not re.fullmatch("[A-Za-z0-9+/]{22}==", key):
        abort(400, "Sec-WebSocket-Key is not 16 bytes in base64")
    accepted = generate_accept_token(key.encode()).decode()
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accepted}
    position, is_gap = streams.place(after)
    gap = json.dumps({"event": "gap", "after": after}) if is_gap else None
    return Upgraded(_written(streams, query, position, gap, connection), "101 Switching Protocols", headers)


def _written(streams: Streams, query: Query, position: int, gap: str | None, connection: socket) -> Iterator[bytes]:
    # Without extensions a message is the same bytes for every client; deflate would take 300 KB a client.
    protocol = Connection(ConnectionType.SERVER)
    heard_at, bytes_heard = monotonic(), 0
    yield protocol.send(TextMessage(gap) if gap else Ping())
    for turn in streams.follow(position, connection):
        if isinstance(turn, bytes):
            heard_at, bytes_heard = monotonic(), bytes_heard + len(turn)
            yield _reply(protocol, turn)
        elif turn.events:
            yield turn.encoded(query, _encode)
        elif monotonic() - heard_at > SECONDS_BETWEEN_BEATS + SECONDS_FOR_A_PONG:
            return
        else:
            bytes_heard = 0
            yield protocol.send(Ping())
        if protocol.state is not ConnectionState.OPEN:
            return
        if bytes_heard > MOST_BYTES_HEARD:
            yield protocol.send(CloseConnection(CloseReason.POLICY_VIOLATION, "more than 16 KiB between two pings"))
            return
    yield protocol.send(CloseConnection(CloseReason.GOING_AWAY, "the stream ends"))


def _reply(protocol: Connection, heard: bytes) -> bytes:
    """Return the answers to pings and to a close; drop the rest of what a client sends."""
    protocol.receive_data(heard)
    answered = (event for event in protocol.events() if isinstance(event, Ping | CloseConnection))
    return b"".join([protocol.send(event.response()) for event in answered])


def _encode(event: Event) -> bytes:
    return Connection(ConnectionType.SERVER).send(TextMessage(f'{{"number":{event.number},{event.text[1:]}'))


class Upgraded(Response):
    """A response whose body is the stream; Werkzeug's own sends no body after 101."""

    default_mimetype = None
    response: Iterator[bytes]

    def get_app_iter(self, environ: WSGIEnvironment) -> Iterator[bytes]:  # noqa: ARG002
        """Return the body; the server closes it."""
        return self.response
