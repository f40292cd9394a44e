"""The server under silent, slow and many clients; its clean stop; and other servers that run the same app."""

import contextlib
import json
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.conftest import ROOT, Monitor, answer, dial, incident, posted, rest, until
from tests.endpoints import Endpoint
from tests.server.test_http import MEBIBYTE, most_memory

HEAD = b"POST /webhook/statuspage HTTP/1.1\r\nContent-Type: application/json\r\n"
HALF_SENT = {
    "nothing": b"",
    "half a request line": HEAD[:20],
    "half a head": HEAD,
    "half a body": HEAD + b"Content-Length: 500\r\n\r\n{",
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1f4\r\n{",
    "half a chunk size": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;",
}
BLOCK = "[2026-06-01 08:00:00] Product: Fabrikam - Sign-in\nStatus: Some people cannot sign in\n"
DEADLINE = 0.6
STALLED = HEAD + b"Content-Length: %d\r\n\r\n" % MEBIBYTE + b" " * (MEBIBYTE - 1)


def dial_many(monitor, number, sent):
    """Open so many connections; return them, and what closes them all at the end of a with statement."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.ExitStack() as opened:
        connections = [opened.enter_context(dial(monitor, sent)) for _ in range(number)]
        return connections, opened.pop_all()


# Health


def test_health_says_what_was_received(monitor):
    for body in (incident(), incident(), {"unheard-of": 1}, {}, b"{"):
        monitor.post(body)
    health = monitor.get("/health")

    found = health.json()
    assert (health.status_code, found["status"], found["problems"], found["stdout_dropped"]) == (200, "ok", {}, 0)
    assert found["received"] == {"accepted": 1, "duplicate": 1, "ignored": 1, "refused": 2}
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["version"])
    assert found["uptime_seconds"] in range(60)


def test_ready_says_that_updates_can_be_recorded(shared):
    ready = shared.get("/ready")

    assert (ready.status_code, ready.json()) == (200, {"ready": True, "problem": None})


# Many, slow and silent clients


def assert_others_are_answered_within_a_second(monitor):
    began = time.monotonic()
    assert monitor.get("/health").json()["status"] == "ok"
    asked = time.monotonic()
    assert monitor.post(incident(f"i{asked}")).json() == {"status": "accepted"}

    assert max(asked - began, time.monotonic() - asked) < 1


@pytest.mark.parametrize("sent", [HALF_SENT["half a head"], HALF_SENT["half a body"]])
def test_1000_half_sent_requests_hold_up_nobody(monitor, sent):
    _, opened = dial_many(monitor, 1000, sent)
    with opened:
        assert_others_are_answered_within_a_second(monitor)


def test_1000_stalled_bodies_hold_up_nobody_and_take_little_memory(monitor):
    connections, opened = dial_many(monitor, 1000, STALLED)
    with opened:
        refused = answer(connections[-1])
        assert_others_are_answered_within_a_second(monitor)

        assert most_memory(monitor) < 256 * MEBIBYTE
        assert (refused.status, refused.headers["Connection"]) == (503, "close")
        assert int(refused.headers["Retry-After"]) > 0
        assert json.loads(refused.text).keys() == {"error"}
    assert monitor.log().count("request bodies under way") == 1


def test_bodies_make_room_when_their_clients_leave(monitor):
    for _ in range(2):
        connections, opened = dial_many(monitor, 60, STALLED)
        with opened:
            connections[0].settimeout(0.2)
            with pytest.raises(TimeoutError):
                answer(connections[0])
    assert monitor.post(json.dumps(incident()).ljust(MEBIBYTE)).json() == {"status": "accepted"}


def test_a_connection_that_waits_for_its_next_request_holds_no_body(monitor):
    body = json.dumps(incident()).encode().ljust(MEBIBYTE)
    with contextlib.ExitStack() as opened:
        for _ in range(250):
            assert answer(opened.enter_context(dial(monitor, posted(body)))).status == 200

        assert most_memory(monitor) < 200 * MEBIBYTE


def test_a_body_of_300_000_chunks_holds_up_nobody(monitor):
    chunks = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 300_000
    _, opened = dial_many(monitor, 3, chunks)
    with opened:
        for _ in range(10):
            assert_others_are_answered_within_a_second(monitor)


@pytest.fixture
def with_a_mebibyte_to_read(monitor):
    """A monitor whose /incidents?limit=100 answers with a mebibyte."""
    for number in range(60):
        monitor.post(incident(f"big{number}", incident_updates=[{"id": "u1", "body": "x" * 20_000}]))
    return monitor


def test_1000_readers_of_large_answers_hold_up_no_webhook_and_take_little_memory(with_a_mebibyte_to_read):
    monitor = with_a_mebibyte_to_read
    _, opened = dial_many(monitor, 1000, b"GET /incidents?limit=100 HTTP/1.1\r\n\r\n" * 3)
    with opened:
        for _ in range(10):
            assert_others_are_answered_within_a_second(monitor)

        assert most_memory(monitor) < 256 * MEBIBYTE


def test_a_large_answer_for_which_there_is_no_room_is_503_and_a_small_one_is_sent(start):
    monitor = start(preamble=f"from monitor.server import serve; serve.MOST_BYTES = {100_000}")
    for number in range(10):
        monitor.post(incident(f"big{number}", incident_updates=[{"id": "u1", "body": "x" * 20_000}]))
    refused = monitor.get("/incidents")

    assert (refused.status_code, refused.json().keys()) == (503, {"error"})
    assert (refused.headers["Connection"], refused.headers["Retry-After"]) == ("close", "5")
    assert len(monitor.incidents("?limit=2")) == 2


def test_without_descriptors_the_log_says_so_once_and_what_is_freed_is_used(start):
    monitor = start(command_before=("sh", "-c", 'ulimit -n 60; exec "$@"', "sh"))
    _, opened = dial_many(monitor, 100, b"")
    with opened:
        until(lambda: "WARNING" in monitor.log())
        time.sleep(1)

    assert monitor.get("/health").status_code == 200
    assert monitor.log().count("\n") == 3
    assert "WARNING no connection can be accepted: Too many open files\n" in monitor.log()


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    """A monitor with a shorter deadline for a request."""
    shorter = f"from monitor.server import connection; connection.SECONDS_FOR_A_REQUEST = {DEADLINE}"
    running = Monitor(tmp_path_factory.mktemp("impatient"), preamble=shorter)
    yield running
    assert running.stop() == 0


def seconds_until_closed(connection, began, drip=b""):
    """Return how long after `began` the server closes a connection on which these bytes are sent again and again."""
    connection.settimeout(DEADLINE / 10)
    with contextlib.suppress(ConnectionError):
        while time.monotonic() - began < 10 * DEADLINE:
            connection.sendall(drip)
            with contextlib.suppress(TimeoutError):
                if not connection.recv(65536):
                    break
    return time.monotonic() - began


@pytest.mark.parametrize("drip", [b"", b"x"], ids=["silent", "dripping"])
@pytest.mark.parametrize("sent", HALF_SENT.values(), ids=HALF_SENT.keys())
def test_a_half_sent_request_is_closed_after_the_deadline(impatient, sent, drip):
    began = time.monotonic()
    with dial(impatient, sent) as connection:
        assert 0.9 * DEADLINE < seconds_until_closed(connection, began, drip) < 5 * DEADLINE


def test_a_connection_that_asks_for_nothing_more_is_closed_after_the_deadline(impatient):
    began = time.monotonic()
    with dial(impatient, posted(incident("idle"))) as connection:
        assert answer(connection).status == 200
        assert 0.9 * DEADLINE < seconds_until_closed(connection, began) < 5 * DEADLINE


def test_each_request_of_a_connection_has_the_whole_deadline(impatient):
    with dial(impatient) as connection:
        for number in range(3):
            time.sleep(0.7 * DEADLINE)
            connection.sendall(posted(incident(f"slow{number}")))
            assert answer(connection).status == 200


def test_clients_that_do_not_read_hold_up_nobody_and_are_closed(impatient):
    for number in range(60):
        impatient.post(incident(f"big{number}", incident_updates=[{"id": "u1", "body": "x" * 20_000}]))
    asked_again_and_again = b"GET /incidents HTTP/1.1\r\n\r\n" * 20
    connections, opened = dial_many(impatient, 20, asked_again_and_again)
    with opened:
        time.sleep(DEADLINE)
        began = time.monotonic()
        assert impatient.get("/health").status_code == 200
        assert time.monotonic() - began < 1

        time.sleep(2 * DEADLINE)
        assert all(rest(connection).count(b"HTTP/1.1 200 OK") < 20 for connection in connections)


@pytest.mark.parametrize("path", ["/health", "/incidents"], ids=["small", "large"])
def test_a_kept_connection_is_answered_without_delay(monitor, path):
    for number in range(20):
        monitor.post(incident(f"i{number}", incident_updates=[{"id": "u1", "body": "x" * 2000}]))
    taken = []
    with dial(monitor) as connection:
        for _ in range(31):
            began = time.monotonic()
            connection.sendall(f"GET {path} HTTP/1.1\r\n\r\n".encode())
            answer(connection)
            taken.append(time.monotonic() - began)

    assert statistics.median(taken) < 0.02


def test_200_identical_updates_at_once_are_printed_once(monitor):
    connections, opened = dial_many(monitor, 200, posted(incident())[:-1])
    with opened:
        for connection in connections:
            connection.sendall(b"}")
        answers = Counter(answer(connection).text for connection in connections)

    assert answers == {'{"status": "accepted"}\n': 1, '{"status": "duplicate"}\n': 199}
    assert monitor.printed(1) == BLOCK


# The stop


def is_refused(monitor):
    try:
        dial(monitor).close()
    except ConnectionError:  # refused, or reset: it came in the instant of the close
        return True
    return False


@pytest.mark.parametrize(
    "signals", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGHUP], [signal.SIGTERM, signal.SIGTERM]]
)
def test_50_requests_in_flight_are_answered_and_printed_before_the_stop(monitor, signals):
    with contextlib.ExitStack() as opened:
        connections = [opened.enter_context(dial(monitor, posted(incident(f"i{n}"))[:-1])) for n in range(50)]
        time.sleep(0.1)
        for number in signals:
            monitor.process.send_signal(number)
            until(lambda: is_refused(monitor))
        for connection in connections:
            connection.sendall(b"}")
        answers = [answer(connection) for connection in connections]

    assert [found.status for found in answers] == [200] * 50
    assert monitor.process.wait(10) == 0
    assert monitor.printed() == BLOCK * 50
    assert monitor.log().splitlines()[-1].endswith("INFO stopped")


def test_a_crowd_that_connects_at_the_stop_is_answered(monitor):
    def connect_until_refused(_):
        while True:
            try:
                connection = dial(monitor)
            except ConnectionError:
                return True
            with connection:
                try:
                    connection.sendall(b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n")
                    assert answer(connection).status == 200
                except ConnectionError:
                    return False

    with ThreadPoolExecutor(16) as pool:
        ends = pool.map(connect_until_refused, range(16))
        time.sleep(0.3)
        monitor.process.send_signal(signal.SIGTERM)

    # A connection of the instant between the last accept and the close is reset: none is usual, all were before.
    assert sum(ends) >= 12


def test_half_sent_requests_do_not_hold_up_the_stop(start):
    stopping = start(preamble="from monitor.server import serve as server; server.SECONDS_TO_STOP = 1")
    with contextlib.ExitStack() as opened:
        for sent in [*HALF_SENT.values()] * 10:
            opened.enter_context(dial(stopping, sent))

        assert stopping.stop(seconds=5) == 0


def test_idle_connections_do_not_hold_up_the_stop(monitor):
    connections, opened = dial_many(monitor, 20, b"GET /health HTTP/1.1\r\n\r\n")
    with opened:
        assert {answer(connection).status for connection in connections} == {200}
        assert monitor.stop(seconds=1) == 0


def test_the_end_of_a_terminal_does_not_stop_what_was_started_with_nohup(start):
    monitor = start(command_before=("nohup",))
    monitor.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)

    assert monitor.get("/health").status_code == 200


def test_clients_that_do_not_read_do_not_hold_up_the_stop_beyond_10_s(with_a_mebibyte_to_read):
    _, opened = dial_many(with_a_mebibyte_to_read, 100, b"GET /incidents?limit=100 HTTP/1.1\r\n\r\n" * 20)
    with opened:
        assert with_a_mebibyte_to_read.stop(seconds=10) == 0


@pytest.mark.optional
def test_a_slow_service_a_stalled_request_and_a_full_stdout_do_not_hold_up_the_stop_beyond_10_s(start):
    service = Endpoint()
    service.seconds = 30
    services = json.dumps([service.url.replace("http:", "json:")])
    reading, writing = socket.socketpair()
    monitor = start(environment={"MONITOR_NOTIFY": services}, stdout=writing)
    with reading, writing, dial(monitor, STALLED):
        for number in range(1000):
            monitor.post(incident(f"i{number}", name="x" * 200))

        assert monitor.get("/health").json()["problems"].keys() >= {"stdout"}
        assert monitor.stop(seconds=10) == 0
    service.stop()


def test_what_a_library_waits_for_at_the_exit_does_not_hold_up_the_end(start):
    monitor = start(preamble="import atexit, time; atexit.register(time.sleep, 60)")
    monitor.post(incident())

    assert monitor.stop(seconds=5) == 0
    assert monitor.printed() == BLOCK
    assert monitor.log().endswith(" INFO stopped\n")


def test_what_hangs_at_the_stop_is_ended(start):
    hangs = (
        "from monitor.history.memory import MemoryHistory; MemoryHistory.close = lambda _: __import__('time').sleep(60)"
    )
    monitor = start(preamble=f"from monitor.server import serve; serve.SECONDS_TO_END = 1; {hangs}")

    assert monitor.stop(seconds=5) == -signal.SIGALRM


# Other servers

SERVERS = {
    "gunicorn": ["-m", "gunicorn", "-k", "gevent", "--bind", "127.0.0.1:0", "event_monitor:app"],
    "flask": ["-m", "flask", "--app", "event_monitor", "run", "--port", "0"],
}


@pytest.mark.parametrize("server", SERVERS)
def test_other_servers_serve_and_print(tmp_path, server):
    out, err = tmp_path / "stdout", tmp_path / "stderr"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen([sys.executable, *SERVERS[server]], cwd=ROOT, stdout=stdout, stderr=stderr)
    try:
        url = until(lambda: re.search(r"http://127\.0\.0\.1:\d+", err.read_text()), 15)[0]
        answers = [requests.post(f"{url}/webhook/statuspage", json=incident(), timeout=5).json() for _ in range(2)]
        until(lambda: out.read_text().endswith(BLOCK))
    finally:
        process.terminate()
        process.wait(10)

    assert answers == [{"status": "accepted"}, {"status": "duplicate"}]
    assert out.read_text().count("Status: ") == 1
