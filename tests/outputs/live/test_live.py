"""Live streams: every update reaches whoever follows, once, over cuts and restarts; the slow cost nothing."""

import contextlib
import http.client
import itertools
import json
import random
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.conftest import ROOT, Monitor, dial, incident, rest, until
from tests.test_core_alone import HIDDEN

QUICK = "from monitor.outputs.live import stream; stream.SECONDS_BETWEEN_COMMENTS = 0.2"
# So little is kept for those who follow that they are cut, and come back by way of the stored arrivals.
FORGETFUL = (
    "from monitor.outputs.live import event, tail; "
    "tail.MOST_EVENTS = 20; tail.STORED_PAGE = 3; event.MOST_AT_ONCE = 1000"
)


opened = contextlib.ExitStack()


class Reader:
    """A client of /stream: an iterator over its events, each as its fields, until the stream ends."""

    def __init__(self, monitor, path="/stream", seconds=5, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", monitor.port, timeout=seconds)
        connection.request("GET", path, headers=headers)
        self.response, self.last, self.lines = connection.getresponse(), headers.get("Last-Event-ID"), []
        opened.callback(self.response.close)
        opened.callback(connection.close)

    def __iter__(self):
        event = {}
        while line := self.response.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if name == "id":
                self.last = value
            if name:
                event[name] = value
                self.lines.append(line)
            elif line == "\n":
                if "data" in event:
                    yield event | {"data": json.loads(event["data"])}
                event = {}

    def take(self, number):
        events = iter(self)
        return [next(events) for _ in range(number)]

    def close(self):
        self.response.close()


def names(events):
    return [event["data"]["id"] for event in events]


def websocket(monitor, query=""):
    return opened.enter_context(connect(f"ws://127.0.0.1:{monitor.port}/ws{query}", proxy=None))


def unread(monitor):
    """A stream's connection, for a client that does what no library does."""
    return opened.enter_context(dial(monitor, b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"))


@pytest.fixture(autouse=True)
def _close_what_a_test_has_opened():
    yield
    opened.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """One monitor for the tests that leave it as it was."""
    monitor = Monitor(tmp_path_factory.mktemp("live"), preamble=QUICK)
    yield monitor
    assert monitor.stop() == 0
    assert "Traceback" not in monitor.log()


def test_an_update_is_an_event_with_its_number_as_it_happens(running):
    before = Reader(running)
    began = time.monotonic()
    for name in ("e1", "e2"):
        entries = [{"id": "u", "body": "<p>Sorry,\u2028 folks\n\n</p>"}]
        running.post(incident(name, name="x" * 2_000, incident_updates=entries))

    first, second = before.take(2)

    assert time.monotonic() - began < 1
    assert before.response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert before.response.headers["Cache-Control"] == "no-store"
    assert before.response.headers["X-Accel-Buffering"] == "no"
    assert int(first["id"]) < int(second["id"])
    assert first["data"]["page"] == {"id": "p1", "name": "Fabrikam"}
    assert (first["data"]["id"], first["data"]["message"]) == ("e1", "Sorry, folks")
    assert first["data"]["name"] == "x" * 1_000
    assert "incident_updates" not in first["data"]
    assert 3000 <= int(next(line for line in before.lines if line.startswith("retry"))[7:]) < 6000


def test_a_message_is_the_same_with_its_number_in_it(running):
    reader = Reader(running)
    with websocket(running) as socket:
        running.post(incident("m1"))
        message = json.loads(socket.recv(5))

    (event,) = reader.take(1)
    assert message == {"number": int(event["id"])} | event["data"]


def test_a_comment_comes_while_nothing_happens_and_says_how_far_one_is(running):
    reader = Reader(running, "/stream?page=nobody")
    running.post(incident("c1"))
    (event,) = Reader(running, "/stream?since=0&id=c1").take(1)

    lines = [reader.response.readline() for _ in range(13)]

    assert lines[0].startswith(b":")
    assert lines[-3:] == [b":\n", f"id: {event['id']}\n".encode(), b"\n"]


@pytest.mark.parametrize("history", ["memory", "sqlite", "postgresql"])
def test_a_client_that_is_cut_and_comes_back_gets_every_update_once(start, history, tmp_path, request):
    environment = {}
    if history == "sqlite":
        environment = {"MONITOR_DATABASE_URL": f"sqlite:///{tmp_path}/monitor.db"}
    if history == "postgresql":
        database = request.getfixturevalue("postgresql").new_database("monitor_resumed")
        environment = {"MONITOR_DATABASE_URL": database}
    monitor = start(environment=environment, preamble=FORGETFUL)
    posted = [f"r{number}" for number in range(250)]
    outcome, clients = {}, 6

    def follow(client):
        chance, last, got = random.Random(client), "0", []
        while len(got) < len(posted):
            reader = Reader(monitor, **({"Last-Event-ID": last}))
            for event in itertools.islice(reader, chance.randrange(1, 90)):
                got.append(event)
                last = event["id"]
                if len(got) == len(posted):
                    break
            reader.close()
        outcome[client] = got

    threads = [threading.Thread(target=follow, args=(client,), daemon=True) for client in range(clients)]
    for thread in threads:
        thread.start()
    with ThreadPoolExecutor(4) as senders, requests.Session() as session:
        address = monitor.url + "/webhook/statuspage"
        list(senders.map(lambda name: session.post(address, json=incident(name), timeout=10), posted))
    for thread in threads:
        thread.join(20)

    assert len(outcome) == clients
    for got in outcome.values():
        assert [event.get("event") for event in got] == [None] * len(posted)
        assert sorted(names(got)) == sorted(posted)
        assert [int(event["id"]) for event in got] == sorted(int(event["id"]) for event in got)


def test_a_websocket_resumes_from_a_number(running):
    with websocket(running, "?since=0&id=w1") as socket:
        for minute in (1, 2):
            running.post(incident("w1", updated_at=f"2026-06-01T08:0{minute}:00Z"))
        first, second = json.loads(socket.recv(5)), json.loads(socket.recv(5))

    with websocket(running, f"?since={first['number']}&id=w1") as socket:
        assert json.loads(socket.recv(5)) == second


@pytest.mark.parametrize("number", [5, 9 * 10**17])
def test_a_number_that_is_not_kept_is_a_gap_and_then_comes_all_that_is(running, number):
    running.post(incident("gap"))

    event, *_ = Reader(running, "/stream", **{"Last-Event-ID": str(number)}).take(2)
    assert (event["event"], event["data"]) == ("gap", {"after": number})
    oldest = Reader(running, "/stream?since=0").take(1)
    assert oldest[0].get("event") is None
    with websocket(running, f"?since={number}") as socket:
        assert json.loads(socket.recv(5)) == {"event": "gap", "after": number}
        assert json.loads(socket.recv(5))["number"] == int(oldest[0]["id"])


def test_a_restart_of_a_monitor_in_memory_is_a_gap(start):
    first = start()
    first.post(incident("before"))
    last = Reader(first, "/stream?since=0").take(1)[0]["id"]
    first.stop()
    second = start()

    reader = Reader(second, "/stream", **{"Last-Event-ID": last})
    second.post(incident("after"))

    gap, event = reader.take(2)
    assert (gap["event"], event["data"]["id"]) == ("gap", "after")
    assert int(event["id"]) > int(last)


@pytest.mark.parametrize(
    "query", ["id=f2", "page=Adatum", "page=p2", "component=Mail", "status=resolved", "impact=major"]
)
def test_both_take_the_filters_of_incidents(running, query):
    stamp = f"2026-06-0{random.randrange(2, 9)}T08:00:00.{random.randrange(10**6):06}Z"
    reader = Reader(running, f"/stream?{query}")
    with websocket(running, f"?{query}") as socket:
        running.post(incident("f1", updated_at=stamp))
        page, component = {"id": "p2", "name": "Adatum"}, {"id": "c2", "name": "Mail", "status": None}
        other = {"status": "resolved", "impact": "major", "components": [component]}
        running.post(incident("f2", page=page, updated_at=stamp, **other))

        assert names(reader.take(1)) == ["f2"]
        assert json.loads(socket.recv(5))["id"] == "f2"


@pytest.mark.parametrize("path", ["/stream", "/ws"])
@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=3", "limit"),
        ("cursor=1-1", "cursor"),
        ("status=odd", "status"),
        ("unheard=1", "unheard"),
        ("since=2026-06-01T08:00:00Z", "since"),
        ("since=-1", "since"),
        ("since=%D9%A1", "since"),
        ("since=" + 5000 * "9", "since"),
        ("since=1&since=2", "since"),
    ],
)
def test_a_query_that_cannot_be_followed_is_400_and_names_the_parameter(running, path, query, named):
    refused = running.get(f"{path}?{query}")

    assert (refused.status_code, list(refused.json())) == (400, ["error"])
    assert named in refused.json()["error"]


def test_a_garbage_last_event_id_is_400(running):
    refused = running.get("/stream", headers={"Last-Event-ID": "garbage"})

    assert refused.status_code == 400
    assert "Last-Event-ID" in refused.json()["error"]


def test_a_get_that_asks_for_no_websocket_is_told_so(running):
    upgrade = {"Connection": "keep-alive, Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    plain = running.get("/ws")
    keyless = running.get("/ws", headers=upgrade | {"Sec-WebSocket-Key": "short"})
    old = running.get("/ws", headers=upgrade | {"Sec-WebSocket-Version": "8"})

    assert (plain.status_code, plain.headers["Upgrade"], list(plain.json())) == (426, "websocket", ["error"])
    assert (keyless.status_code, list(keyless.json())) == (400, ["error"])
    assert (old.status_code, old.headers["Sec-WebSocket-Version"]) == (426, "13")
    assert requests.head(running.url + "/stream", timeout=5).headers["Content-Type"].startswith("text/event-stream")


def test_the_read_token_is_asked_for(start):
    monitor = start(environment={"MONITOR_READ_TOKEN": "s3cret"})

    assert monitor.get("/stream").status_code == monitor.get("/ws").status_code == 401
    assert Reader(monitor, "/stream?token=s3cret").response.status == 200
    with websocket(monitor, "?token=s3cret") as socket:
        monitor.post(incident())
        assert json.loads(socket.recv(5))["id"] == "i1"


def test_what_a_websocket_client_sends_is_answered_or_dropped(running):
    with websocket(running) as socket:
        socket.send("x" * 3_000_000)
        socket.send(b"\0" * 3_000_000)
        assert socket.ping().wait(5)
        running.post(incident("drop"))
        assert json.loads(socket.recv(5))["id"] == "drop"
        socket.close(1000)
        assert socket.close_code == 1000


def test_a_websocket_client_that_breaks_the_protocol_is_told_1002(running):
    head = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    with dial(running, f"{head}Sec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode()) as connection:
        until(lambda: b"\r\n\r\n" in connection.recv(4096))
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        received = rest(connection)

    assert b"\x88" in received
    assert (1002).to_bytes(2, "big") in received


def test_a_websocket_client_that_answers_no_ping_is_cut(start):
    monitor = start(preamble=f"{QUICK}; from monitor.outputs.live import websocket; websocket.SECONDS_FOR_A_PONG = 0.5")
    head = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    with dial(monitor, f"{head}Sec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode()) as silent, websocket(monitor) as well:
        assert rest(silent).startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        monitor.post(incident())
        assert json.loads(well.recv(5))["id"] == "i1"


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
    until(lambda: websocket(monitor), 1).close()


@pytest.mark.parametrize("number", ["0", "-1", "many", "1e3"])
def test_a_bound_that_is_no_number_stops_the_start(number):
    environment = {"MONITOR_MAX_STREAMS": number, "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "event_monitor.py"]
    refused = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert refused.returncode == 2
    assert refused.stderr.startswith("event_monitor: MONITOR_MAX_STREAMS is not a whole number")


def test_a_slow_reader_loses_its_connection_and_not_the_memory_of_the_server(start):
    monitor = start(preamble="from monitor.outputs.live import tail; tail.MOST_EVENTS = 100")
    quick, slow = Reader(monitor), [unread(monitor) for _ in range(20)]
    until(lambda: all(connection.recv(64) for connection in slow))
    before, number = resident(monitor), 700
    with ThreadPoolExecutor(1) as reading, requests.Session() as session:
        got = reading.submit(quick.take, number)
        for name in range(number):
            body = incident(f"s{name}", name="x" * 3000, incident_updates=[{"id": "u", "body": "y" * 900}])
            assert session.post(monitor.url + "/webhook/statuspage", json=body, timeout=5).elapsed.total_seconds() < 1
        assert names(got.result(10)) == [f"s{name}" for name in range(number)]

    until(lambda: monitor.log().count("reads too slowly") == len(slow))
    for connection in slow:
        assert not rest(connection).endswith(b"0\r\n\r\n")
    assert resident(monitor) - before < 20


def resident(monitor):
    """Megabytes."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{monitor.process.pid}/status").read_text())[1]) / 1024


def test_200_streams_end_cleanly_at_a_stop(start):
    monitor = start(preamble="from monitor.outputs.live import live; live.SECONDS_TO_SAY_FAREWELL = 0.5")
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


def test_an_update_of_one_process_reaches_the_streams_of_another_within_a_second(start, postgresql):
    settings = {"MONITOR_DATABASE_URL": postgresql.new_database("monitor_live")}
    one, other = start(environment=settings), start(environment=settings)
    reader = Reader(other)

    def next_one(name, seconds):
        began = time.monotonic()
        until(lambda: one.post(incident(name)).status_code == 200, seconds)
        assert names(reader.take(1)) == [name]
        assert time.monotonic() - began < seconds

    next_one("p1", 1)
    listening = "FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    assert postgresql.ask("monitor_live", f"SELECT count(pg_terminate_backend(pid)) {listening}") == 1
    until(lambda: postgresql.ask("monitor_live", f"SELECT count(*) {listening}") == 1)
    next_one("p2", 1)
    postgresql.stop()
    time.sleep(0.3)
    postgresql.start()
    next_one("p3", 8)
    reader.close()
    until(lambda: postgresql.ask("monitor_live", f"SELECT count(*) {listening}") == 0)


def test_an_update_of_another_process_on_the_same_sqlite_file_is_found(start, tmp_path):
    settings = {"MONITOR_DATABASE_URL": f"sqlite:///{tmp_path}/monitor.db"}
    look_often = "from monitor.outputs.live import tail; tail.SECONDS_BETWEEN_LOOKS = 0.2"
    one, other = start(environment=settings), start(environment=settings, preamble=look_often)
    reader = Reader(other)

    one.post(incident("q1"))

    assert names(reader.take(1)) == ["q1"]


def test_gunicorn_serves_the_stream_and_says_that_it_has_no_websocket(tmp_path):
    log = tmp_path / "log"
    command = [sys.executable, "-m", "gunicorn", "-k", "gevent", "--bind", "127.0.0.1:0", "event_monitor:app"]
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=stderr)
    try:
        found = until(lambda: re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text()), 10)
        gunicorn = type("Served", (), {"port": int(found[1])})
        reader = until(lambda: Reader(gunicorn))
        requests.post(f"{found[0]}/webhook/statuspage", json=incident("g1"), timeout=5)
        assert names(reader.take(1)) == ["g1"]
        refused = requests.get(f"{found[0]}/ws", timeout=5)
        assert (refused.status_code, "event_monitor.py" in refused.json()["error"]) == (501, True)
    finally:
        process.kill()
        process.wait()


def test_without_its_extra_the_websocket_says_what_to_install_and_the_stream_works(start, tmp_path):
    folder = tmp_path / "hidden"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HIDDEN.format(names={"wsproto"}))
    monitor = start(environment={"PYTHONPATH": str(folder)})
    refused = monitor.get("/ws")

    assert (refused.status_code, refused.json()) == (
        501,
        {"error": "/ws needs wsproto: pip install -r requirements-extras.txt"},
    )
    assert Reader(monitor).response.status == 200
