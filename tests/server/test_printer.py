"""stdout when nobody reads it, when its reader goes away, and when it is closed: no answer ever waits for it."""

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import time

import pytest
import requests

from monitor.server.printer import Printer
from tests.conftest import ROOT, incident, until

ONE_PAGE = 4096


def post_long(monitor, number, prefix=""):
    """Post so many updates of 700 characters and more; return their blocks and the seconds of the slowest answer."""
    slowest, messages = 0.0, [f"{prefix}{i} {'x' * 700}" for i in range(number)]
    for message in messages:
        began = time.monotonic()
        posted = monitor.post(incident(message[:25], incident_updates=[{"id": "u1", "body": message}]))
        slowest = max(slowest, time.monotonic() - began)
        assert posted.json() == {"status": "accepted"}
    return [f"[2026-06-01 08:00:00] Product: Fabrikam - Sign-in\nStatus: {each}\n" for each in messages], slowest


def problem(monitor):
    """What /health says about stdout; it answers 200 in any case."""
    health = monitor.get("/health")
    found = health.json()
    assert (health.status_code, found["status"]) == (200, "degraded" if found["problems"] else "ok")
    return found["problems"].get("stdout")


def logged(monitor):
    return [line for line in monitor.log().splitlines() if "stdout" in line]


@pytest.fixture
def pipe(request):
    """The two descriptors of a pipe that holds one memory page, or of a terminal."""
    if getattr(request, "param", "pipe") == "terminal":
        reading, writing = os.openpty()
    else:
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, ONE_PAGE)
    yield reading, writing
    for descriptor in (reading, writing):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def read_all(reading):
    """Read a pipe until it stays empty for 0.2 s."""
    os.set_blocking(reading, False)
    text, empty_since = b"", time.monotonic()
    while time.monotonic() - empty_since < 0.2:
        with contextlib.suppress(BlockingIOError):
            text, empty_since = text + os.read(reading, 65536), time.monotonic()
        time.sleep(0.005)
    return text.decode().replace("\r\n", "\n")


# Somebody reads


@pytest.mark.parametrize("pipe", ["pipe", "terminal"], indirect=True)
def test_an_update_is_printed_before_its_sender_is_answered(start, pipe):
    monitor = start(stdout=pipe[1])
    os.set_blocking(pipe[0], False)

    for _ in range(10):
        (expected,), _ = post_long(monitor, 1, f"{time.monotonic_ns()}")
        assert os.read(pipe[0], ONE_PAGE).decode().replace("\r\n", "\n") == expected


def test_an_update_is_in_the_file_before_its_sender_is_answered(monitor):
    for number in range(1, 11):
        monitor.post(incident(f"i{number}"))
        assert monitor.stdout_file.read_bytes().count(b"\n") == 2 * number


# Nobody reads


PIPE_OR_TERMINAL = pytest.mark.parametrize("pipe", ["pipe", "terminal"], indirect=True)


@PIPE_OR_TERMINAL
def test_a_stdout_that_nobody_reads_holds_up_no_answer(start, pipe):
    monitor = start(stdout=pipe[1])
    _, slowest = post_long(monitor, 40)

    assert slowest < 0.5
    assert len(monitor.incidents()) == 40


@PIPE_OR_TERMINAL
def test_health_says_that_nobody_reads_until_somebody_reads_what_waited_in_its_order(start, pipe):
    monitor = start(stdout=pipe[1])
    expected, _ = post_long(monitor, 40)

    assert until(lambda: problem(monitor)) == "its reader does not read"
    assert read_all(pipe[0]) == "".join(expected)
    assert problem(monitor) is None
    assert len(logged(monitor)) == 2


def test_what_the_queue_cannot_hold_is_dropped_counted_and_logged(start, pipe):
    monitor = start(stdout=pipe[1], preamble="from monitor.server import printer; printer.MOST_WAITING = 20")
    expected, _ = post_long(monitor, 60)
    until(lambda: problem(monitor))

    dropped = monitor.get("/health").json()["stdout_dropped"]
    assert 10 < dropped < 50
    assert read_all(pipe[0]) == "".join(expected[: 60 - dropped])
    assert [line for line in logged(monitor) if "20 texts wait, further ones are dropped and counted" in line]
    assert f"{dropped} dropped" in logged(monitor)[-1]
    assert len(monitor.incidents("?limit=60")) == 60


def test_a_stdout_that_nobody_reads_does_not_hold_up_the_stop(start, pipe):
    monitor = start(stdout=pipe[1])
    post_long(monitor, 20)

    assert monitor.stop(seconds=5) == 0


# Nobody can read


def test_a_reader_that_went_away_is_logged_once(start, pipe):
    monitor = start(stdout=pipe[1])
    os.close(pipe[0])
    _, slowest = post_long(monitor, 30)

    assert slowest < 0.5
    assert until(lambda: problem(monitor)) == "its reader went away"
    assert len(logged(monitor)) == 1
    assert monitor.get("/health").json()["stdout_dropped"] == 30
    assert len(monitor.incidents()) == 30


def test_a_descriptor_that_is_closed_or_a_terminal_without_a_name_ends_nothing(monkeypatch):
    told = []
    reading, writing = os.pipe()
    os.close(writing)
    Printer("stdout", writing, told.append).write("x")
    os.close(reading)
    terminal, other = os.openpty()
    monkeypatch.setattr(os, "ttyname", lambda _: os.stat("/no/such/name"))  # as after `docker exec`

    Printer("stderr", other, told.append).write("y")

    assert told == ["stdout: its reader went away; what would be printed is dropped and counted"]
    assert os.read(terminal, 10) == b"y"


def test_a_stdout_closed_from_the_start_is_logged_once(start):
    monitor = start(command_before=("sh", "-c", 'exec "$@" >&-', "sh"))
    _, slowest = post_long(monitor, 30)

    assert slowest < 0.5
    assert problem(monitor) == "it is closed"
    assert len(logged(monitor)) == 1
    assert len(monitor.incidents()) == 30
    assert monitor.stop() == 0


def test_a_full_disk_holds_up_neither_an_answer_nor_the_stop(start):
    with open("/dev/full", "wb") as full:
        monitor = start(stdout=full)
    _, slowest = post_long(monitor, 30)

    assert slowest < 0.5
    assert until(lambda: problem(monitor)) == "No space left on device"
    assert len(logged(monitor)) == 1
    assert len(monitor.incidents()) == 30
    assert monitor.stop(seconds=5) == 0


# The log


@pytest.fixture
def unread_log(pipe):
    """The URL and the process of a monitor whose stderr is a full pipe from the start."""
    os.set_blocking(pipe[1], False)
    with contextlib.suppress(BlockingIOError):
        while os.write(pipe[1], b"x" * ONE_PAGE):
            pass
    os.set_blocking(pipe[1], True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "event_monitor.py", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=pipe[1])
    yield f"http://127.0.0.1:{port}", process
    process.kill()
    process.wait()


def answers(url):
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(f"{url}/health", timeout=5)


def test_a_log_that_nobody_reads_holds_up_neither_an_answer_nor_the_stop(unread_log):
    url, process = unread_log
    until(lambda: answers(url))
    began = time.monotonic()
    for _ in range(50):
        assert requests.post(f"{url}/webhook/statuspage", data="x" * 900, timeout=5).status_code == 400

    assert time.monotonic() - began < 5
    process.terminate()
    assert process.wait(5) == 0


def test_stdout_carries_nothing_but_updates(monitor):
    expected, _ = post_long(monitor, 2)
    for body in ({}, {"unheard-of": 1}, b"\xff"):
        monitor.post(body)
    monitor.get("/nowhere")

    assert monitor.stop() == 0
    assert monitor.printed() == "".join(expected)
