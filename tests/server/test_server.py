"""The server under silent, slow and many clients; its clean stop; and other servers that run the same app."""

import contextlib
import re
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter

import pytest
import requests

from tests.conftest import ROOT, Monitor, answer, dial, incident, posted, rest, until

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
DEADLINE = 0.3


def dial_many(monitor, number, sent):
    """So many connections, closed together at the end of a with statement."""
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


@pytest.mark.parametrize("sent", [HALF_SENT["half a head"], HALF_SENT["half a body"]])
def test_900_half_sent_requests_hold_up_nobody(monitor, sent):
    _, opened = dial_many(monitor, 900, sent)
    with opened:
        began = time.monotonic()
        answers = monitor.get("/health").json()["status"], monitor.post(incident()).json()["status"]

        assert time.monotonic() - began < 1
        assert answers == ("ok", "accepted")


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    """A monitor with a shorter deadline for a request."""
    shorter = f"from monitor.server import connection; connection.SECONDS_FOR_A_REQUEST = {DEADLINE}"
    running = Monitor(tmp_path_factory.mktemp("impatient"), preamble=shorter)
    yield running
    assert running.stop() == 0


def seconds_until_closed(connection, drip=b""):
    """How long the server keeps a connection, on which these bytes are sent every now and then."""
    began = time.monotonic()
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
    with dial(impatient, sent) as connection:
        assert 0.9 * DEADLINE < seconds_until_closed(connection, drip) < 3 * DEADLINE


def test_a_connection_that_asks_for_nothing_more_is_closed_after_the_deadline(impatient):
    with dial(impatient, posted(incident("idle"))) as connection:
        assert answer(connection).status == 200
        assert 0.9 * DEADLINE < seconds_until_closed(connection) < 3 * DEADLINE


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
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]])
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
