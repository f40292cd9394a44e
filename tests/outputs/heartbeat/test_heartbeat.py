"""The heartbeat is sent while all is well, and only then; its address is a secret."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.conftest import incident, until
from tests.test_command_line import run

KEY = "/ping/secret-of-mine?status=up"
QUICKLY = "import monitor.outputs.heartbeat.beats as beats\nbeats.SECONDS = beats.SECONDS_BEFORE_THE_FIRST = 0.1"


@pytest.fixture
def watcher():
    """A monitor of cron jobs: it keeps the method and path of each request in `beats`, and answers with `status`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.beats.append((self.command, self.path))
            self.send_response(server.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"OK")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.beats, server.status = [], 200
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def more_beats(watcher):
    before = len(watcher.beats)
    return until(lambda: len(watcher.beats) > before + 1)


def silent(watcher, seconds=1.0):
    before = len(watcher.beats)
    time.sleep(seconds)
    return len(watcher.beats) <= before + 1  # one may have been under way


def beating(start, watcher, **keywords):
    return start(environment={"MONITOR_HEARTBEAT": watcher.url + KEY}, preamble=QUICKLY, **keywords)


def test_it_is_sent_while_all_is_well_until_the_server_stops(start, watcher):
    monitor = beating(start, watcher)
    assert more_beats(watcher)
    assert monitor.stop() == 0

    assert set(watcher.beats) == {("GET", KEY)}
    assert silent(watcher)


def test_it_is_silent_while_something_is_wrong(start, watcher):
    with open("/dev/full", "wb") as full:
        monitor = beating(start, watcher, stdout=full)
    assert more_beats(watcher)
    monitor.post(incident("i1"))
    until(lambda: monitor.get("/health").json()["status"] == "degraded")

    assert silent(watcher)


def test_one_that_fails_is_logged_once_and_tried_on_without_showing_its_address(start, watcher):
    watcher.status = 500
    monitor = beating(start, watcher)
    assert more_beats(watcher)
    assert more_beats(watcher)
    watcher.status = 200
    until(lambda: "accepted again" in monitor.log())

    assert monitor.log().count("heartbeat: it answered 500; tried again every minute\n") == 1
    assert monitor.get("/health").json()["status"] == "ok"
    assert "secret-of-mine" not in monitor.log()


def test_one_that_cannot_be_reached_says_why_without_showing_its_address(start):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    monitor = start(environment={"MONITOR_HEARTBEAT": f"http://127.0.0.1:{port}{KEY}"}, preamble=QUICKLY)

    until(lambda: "heartbeat: it cannot be reached: Connection refused" in monitor.log())
    assert "secret-of-mine" not in monitor.log()


def test_one_that_is_not_answered_holds_up_neither_webhooks_nor_the_stop(start):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"http://127.0.0.1:{mute.getsockname()[1]}{KEY}"
        monitor = start(environment={"MONITOR_HEARTBEAT": address}, preamble=QUICKLY)
        connection, _ = mute.accept()
        began = time.monotonic()

        with connection:
            assert monitor.post(incident("i1")).json() == {"status": "accepted"}
            assert (monitor.stop(), time.monotonic() - began < 5) == (0, True)
        assert "Traceback" not in monitor.log()


@pytest.mark.parametrize(
    "address",
    [
        "ftp://example.com/secret-of-mine",
        "file:///secret-of-mine",
        "secret-of-mine",
        "http://",
        "https://me:secret-of-mine@example.com/",
        "https://example.com:99999/secret-of-mine",
        "https://[/secret-of-mine",
        "https://example.com/secret of mine\n",
    ],
)
def test_what_is_no_address_is_refused_and_not_shown(address):
    refused = run(MONITOR_HEARTBEAT=address)

    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert refused.stderr.startswith("event_monitor: MONITOR_HEARTBEAT is not an address such as https://")
    assert "secret" not in refused.stderr


def test_without_the_setting_nothing_is_sent(start, watcher):
    start(preamble=QUICKLY)

    assert silent(watcher)
    assert watcher.beats == []
