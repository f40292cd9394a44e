"""Many streams, floods and clients that do not read cost the server little, and a stop ends them all."""

import contextlib
import itertools
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from websockets.exceptions import ConnectionClosed

from tests.conftest import incident, rest, until
from tests.outputs.live.clients import Reader, names, resident, unread, upgraded, websocket
from tests.outputs.live.conftest import SMALL_PAGES
from tests.test_command_line import run


@pytest.mark.long
@pytest.mark.parametrize(
    "frame", [b"\x89\x80mask", b"\x82\x80mask", b"\x02\x81maskx"], ids=["ping", "empty", "endless"]
)
def test_200_websockets_of_tiny_frames_hold_nobody_up(start, frame):
    monitor, flood = start(), frame * 5_000
    before, clients = resident(monitor), [upgraded(monitor) for _ in range(200)]
    assert all(client.recv(4096).startswith(b"HTTP/1.1 101") for client in clients)
    is_over = threading.Event()

    def send(some):
        for client in some:
            client.setblocking(False)
        while not is_over.is_set():
            for client in some:
                with contextlib.suppress(OSError):
                    client.send(flood)
            time.sleep(0.01)

    senders = [threading.Thread(target=send, args=(clients[number::2],), daemon=True) for number in range(2)]
    for sender in senders:
        sender.start()
    for number in range(30):
        assert monitor.post(incident(f"t{number}")).elapsed.total_seconds() < 1
        assert monitor.get("/health").elapsed.total_seconds() < 1
    is_over.set()
    for sender in senders:
        sender.join()

    assert resident(monitor) < min(256, before + 60)
    assert monitor.post(incident("after")).status_code == 200


def test_more_streams_than_may_be_open_are_told_to_come_later_and_a_client_that_leaves_makes_room(start):
    monitor = start(environment={"MONITOR_MAX_STREAMS": "2"})
    reader = Reader(monitor)
    with websocket(monitor):
        refused = monitor.get("/stream")
        assert (refused.status_code, list(refused.json())) == (503, ["error"])
        assert refused.headers["Retry-After"]
        assert monitor.get("/stream?limit=1").status_code == 400

    reader.close()
    until(lambda: Reader(monitor).response.status == 200, 1)
    until(lambda: b" 101 " in upgraded(monitor).recv(64), 1)


@pytest.mark.parametrize("number", ["0", "-1", "many", "1e3"])
def test_a_bound_that_is_no_number_stops_the_start(number):
    refused = run(MONITOR_MAX_STREAMS=number)

    assert refused.returncode == 2
    assert refused.stderr.startswith("event_monitor: MONITOR_MAX_STREAMS is not a whole number")


def test_a_client_that_has_fallen_behind_what_is_kept_is_closed(start):
    monitor = start(preamble=f"{SMALL_PAGES}; from monitor.history import memory; memory.MOST_ARRIVALS = 100")
    quick, slow = Reader(monitor), [unread(monitor) for _ in range(20)]
    until(lambda: all(connection.recv(64) for connection in slow))
    number = 700
    with ThreadPoolExecutor(1) as reading, requests.Session() as session:
        got = reading.submit(quick.take, number)
        for name in range(number):
            body = incident(f"s{name}", name="x" * 200, incident_updates=[{"id": "u", "body": "y" * 900}])
            assert session.post(monitor.url + "/webhook/statuspage", json=body, timeout=5).elapsed.total_seconds() < 1
        assert names(got.result(10)) == [f"s{name}" for name in range(number)]

    for connection in slow:
        assert b'"s699"' not in rest(connection)
    until(lambda: monitor.log().count("reads too slowly") == len(slow))


def test_a_client_that_does_not_read_costs_no_more_than_its_place(start):
    monitor, most_components = start(), [{"name": f"{number} {'ü' * 190}"} for number in range(200)]

    def flood():
        with requests.Session() as session:
            for _ in range(300):
                stamp = f"2026-06-01T08:00:00.{next(stamps):06}Z"
                entries = [{"id": "u", "body": "y" * 32_000}]
                body = incident("big", updated_at=stamp, components=most_components, incident_updates=entries)
                session.post(monitor.url + "/webhook/statuspage", json=body, timeout=5)

    stamps = itertools.count()
    with contextlib.closing(Reader(monitor)) as reader, ThreadPoolExecutor(1) as reading:
        got = reading.submit(reader.take, 300)
        flood()
        event = got.result(20)[0]
    before = resident(monitor)
    stuck = [unread(monitor) for _ in range(150)] + [upgraded(monitor) for _ in range(150)]
    until(lambda: all(connection.recv(64) for connection in stuck))
    flood()

    assert len(json.dumps(event["data"], ensure_ascii=False, separators=(",", ":")).encode()) < 16 * 1024
    assert event["data"]["omitted_components"] == 200 - len(event["data"]["components"]) > 0
    assert resident(monitor) - before < 300 * 64 / 1024 + 10


def test_200_streams_end_cleanly_at_a_stop(start):
    monitor = start(preamble="from monitor.outputs.live import streams; streams.SECONDS_TO_SAY_FAREWELL = 0.5")
    streams = [unread(monitor) for _ in range(180)]
    sockets = [websocket(monitor) for _ in range(20)]
    monitor.post(incident("last"))
    until(lambda: sockets[-1].recv(5))

    began = time.monotonic()
    assert monitor.stop() == 0
    assert time.monotonic() - began < 3
    for stream in streams:
        received = rest(stream)
        assert b'"id":"last"' in received
        assert received.endswith(b"\r\n0\r\n\r\n")
    for socket in sockets:
        with pytest.raises(ConnectionClosed):
            [socket.recv(5) for _ in range(3)]
        assert socket.close_code == 1001
    assert "under way" not in monitor.log()


def test_a_stream_that_nobody_reads_does_not_hold_up_the_stop(start):
    monitor = start()
    stuck = unread(monitor)
    until(lambda: stuck.recv(64))
    for number in range(150):
        monitor.post(incident(f"n{number}", name="x" * 60_000))

    began = time.monotonic()
    assert monitor.stop() == 0
    assert time.monotonic() - began < 5
