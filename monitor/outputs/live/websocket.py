"""Updates as they happen, over WebSocket: `GET /ws`, a JSON message each, with the `number` of its event in it.

What a client sends is read, answered where the protocol asks for it, and dropped.
"""

from __future__ import annotations

import json
import re
from time import monotonic
from typing import Any

from flask import Flask, Response, abort, jsonify, request
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import CloseConnection, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import ProtocolError, generate_accept_token

from monitor.outputs.live import stream
from monitor.outputs.live.event import Event
from monitor.outputs.live.live import SOCKET, Live
from monitor.outputs.live.stream import Stream, Streaming

SECONDS_FOR_A_PONG = 30
MOST_REPLIES = 1024  # bytes of pongs, that wait for a client to read them


def init_app(app: Flask) -> None:
    app.get("/ws")(Sockets(app.extensions["live"]).view)


class Sockets:
    """The route. Its bound, its filters and its numbers are those of /stream."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def view(self) -> Response:
        asked, after = self._live.asked()
        if (socket := request.environ.get(SOCKET)) is None:
            abort(501, "/ws needs the server of event_monitor.py; /stream is the same without a WebSocket")
        accepted = _accepted()
        if isinstance(accepted, Response):
            return accepted
        if full := self._live.full():
            return full
        headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accepted}
        messages = Messages(self._live.tail, asked, after, socket)
        response = Streaming(messages, "101 Switching Protocols", headers)
        del response.headers["Content-Type"]
        return self._live.begin(response)


def _accepted() -> str | Response:
    """Return the answer to the request's key, or a refusal: https://www.rfc-editor.org/rfc/rfc6455#section-4.2"""
    words = {word.strip().lower() for word in request.headers.get("Connection", "").split(",")}
    is_upgrade = "upgrade" in words and request.headers.get("Upgrade", "").lower() == "websocket"
    if not is_upgrade or request.headers.get("Sec-WebSocket-Version") != "13":
        refusal = jsonify(error="/ws is a WebSocket, version 13: ask to upgrade to it, or read /stream")
        refusal.status_code = 426
        refusal.headers.update({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"})
        return refusal
    key = request.headers.get("Sec-WebSocket-Key", "")
    if not re.fullmatch("[A-Za-z0-9+/]{22}==", key):
        abort(400, "Sec-WebSocket-Key is not 16 bytes in base64")
    return generate_accept_token(key.encode()).decode()


# No extension is ever agreed on, so a message is the same bytes for everyone; deflate would also take 300 KB a client.
_everyone = Connection(ConnectionType.SERVER)


class Messages(Stream):
    """A stream as text messages; wsproto has the frames."""

    def __init__(self, *arguments: Any) -> None:
        self._protocol = Connection(ConnectionType.SERVER)
        self._heard_at = monotonic()
        super().__init__(*arguments)

    @staticmethod
    def encode(event: Event) -> bytes:
        return _everyone.send(TextMessage(f'{{"number":{event.number},{event.text[1:]}'))

    def gap(self, after: int) -> bytes:
        return _everyone.send(TextMessage(json.dumps({"event": "gap", "after": after})))

    def greeting(self) -> bytes:
        return self._protocol.send(Ping())  # servers send the head with the first bytes

    def beat(self) -> bytes:
        if monotonic() - self._heard_at > stream.SECONDS_BETWEEN_COMMENTS + SECONDS_FOR_A_PONG:
            self.cut()
            return b""
        return self._protocol.send(Ping())

    def farewell(self) -> bytes:
        return self._close(CloseConnection(CloseReason.GOING_AWAY, "the server stops"))

    def hear(self, heard: bytes) -> None:
        self._heard_at = monotonic()
        if self._protocol.state is not ConnectionState.OPEN:
            return
        try:
            self._protocol.receive_data(heard)
            for event in self._protocol.events():
                if isinstance(event, CloseConnection):
                    self.say(self._close(event.response()))
                    self.end()
                elif isinstance(event, Ping) and len(self._said) < MOST_REPLIES:
                    self.say(self._protocol.send(event.response()))
        except ProtocolError as error:
            reason = getattr(error, "event_hint", None) or CloseConnection(CloseReason.PROTOCOL_ERROR)
            self.say(self._close(reason))
            self.end()

    def _close(self, reason: CloseConnection) -> bytes:
        is_closed = self._protocol.state not in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING)
        return b"" if is_closed else self._protocol.send(reason)
