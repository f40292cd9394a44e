"""`/ws`: the same over WebSocket, and what the protocol asks for."""

import contextlib
import json
import time

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.conftest import incident, rest, until
from tests.outputs.live.clients import Reader, opened, upgraded, websocket
from tests.outputs.live.conftest import QUICK


def test_a_message_is_the_same_with_its_number_in_it(running):
    reader = Reader(running)
    with websocket(running) as socket:
        running.post(incident("m1"))
        message = json.loads(socket.recv(5))

    (event,) = reader.take(1)
    assert message == {"number": int(event["id"])} | event["data"]


def test_a_websocket_resumes_from_a_number(running):
    with websocket(running, "?since=0&id=w1") as socket:
        for minute in (1, 2):
            running.post(incident("w1", updated_at=f"2026-06-01T08:0{minute}:00Z"))
        first, second = json.loads(socket.recv(5)), json.loads(socket.recv(5))

    with websocket(running, f"?since={first['number']}&id=w1") as socket:
        assert json.loads(socket.recv(5)) == second


def test_a_get_that_asks_for_no_websocket_is_told_so(running):
    upgrade = {"Connection": "keep-alive, Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    plain = running.get("/ws")
    keyless = running.get("/ws", headers=upgrade | {"Sec-WebSocket-Key": "short"})
    old = running.get("/ws", headers=upgrade | {"Sec-WebSocket-Version": "8"})

    assert (plain.status_code, plain.headers["Upgrade"], list(plain.json())) == (426, "websocket", ["error"])
    assert (keyless.status_code, list(keyless.json())) == (400, ["error"])
    assert (old.status_code, old.headers["Sec-WebSocket-Version"]) == (426, "13")
    assert requests.head(running.url + "/stream", timeout=5).headers["Content-Type"].startswith("text/event-stream")


def test_the_little_that_a_websocket_client_sends_is_answered_or_dropped(running):
    with websocket(running) as socket:
        socket.send("x" * 1_000)
        socket.send(b"\0" * 1_000)
        assert socket.ping().wait(1)
        running.post(incident("drop"))
        assert json.loads(socket.recv(5))["id"] == "drop"
        began = time.monotonic()
        socket.close(1000)
        assert socket.close_code == 1000
        assert time.monotonic() - began < 1


def test_a_websocket_client_that_sends_much_is_told_1008(running):
    with websocket(running) as socket:
        with contextlib.suppress(ConnectionClosed):
            socket.send("x" * 100_000)
        with pytest.raises(ConnectionClosed):
            [socket.recv(5) for _ in range(100)]
        assert socket.close_code == 1008


def test_a_websocket_client_that_breaks_the_protocol_is_told_1002(running):
    connection = upgraded(running)
    until(lambda: b"\r\n\r\n" in connection.recv(4096))
    connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
    received = rest(connection)

    assert b"\x88" in received
    assert (1002).to_bytes(2, "big") in received


def test_a_websocket_client_that_answers_no_ping_is_cut(start):
    monitor = start(preamble=f"{QUICK}; from monitor.outputs.live import websocket; websocket.SECONDS_FOR_A_PONG = 0.5")
    silent = upgraded(monitor)
    with websocket(monitor) as well:
        assert rest(silent).startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        monitor.post(incident())
        assert json.loads(well.recv(5))["id"] == "i1"


def test_a_websocket_takes_no_foreign_origin(running):
    own = connect(f"ws://127.0.0.1:{running.port}/ws", proxy=None, origin=f"http://127.0.0.1:{running.port}")
    opened.enter_context(own)

    for origin in ("http://elsewhere.example", f"http://127.0.0.1.example:{running.port}", "http://127.0.0.1", "null"):
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://127.0.0.1:{running.port}/ws", proxy=None, origin=origin)
        assert refused.value.response.status_code == 403
        assert "Origin" in json.loads(refused.value.response.body)["error"]
