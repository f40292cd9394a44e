"""The command line and the environment: what is understood, what is refused, and what the clock may do meanwhile."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from tests.conftest import ROOT, answer, dial, incident, posted, until

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("MONITOR_", "PORT", "DATABASE"))}


def run(*arguments, **environment):
    """Run the program until it ends by itself."""
    command = [sys.executable, "event_monitor.py", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=CLEAN | environment, capture_output=True, text=True, timeout=10, check=False
    )


@pytest.fixture
def taken():
    """A port that something else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_help_names_the_options_and_the_settings():
    shown = run("--help")

    assert (shown.returncode, shown.stderr) == (0, "")
    for name in ("--host", "--port", "PORT", "MONITOR_HOST", "MONITOR_WEBHOOK_TOKEN", "MONITOR_READ_TOKEN"):
        assert name in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "environment", "named"),
    [
        (["--port", "http"], {}, "--port"),
        (["--port", "65536"], {}, "65536"),
        (["--port", "５０００"], {}, "--port"),
        (["--port", "9" * 5000], {}, "--port"),
        (["--port"], {}, "--port"),
        (["--no-such-option"], {}, "--no-such-option"),
        (["5000"], {}, "5000"),
        ([], {"PORT": "http"}, "http"),
        ([], {"PORT": ""}, "port"),
        ([], {"MONITOR_WEBHOOK_TOKEN": ""}, "MONITOR_WEBHOOK_TOKEN"),
        ([], {"MONITOR_READ_TOKEN": " "}, "MONITOR_READ_TOKEN"),
        ([], {"MONITOR_PAGES": "[GitHub]"}, "MONITOR_PAGES is not JSON"),
        (
            [],
            {"MONITOR_PAGES": "OpenAI, GitHib"},
            "MONITOR_PAGES entry 2: no page 'GitHib' is known; nearest are GitHub",
        ),
        ([], {"MONITOR_WEBHOOK_TOKN": "secret-of-mine"}, "MONITOR_WEBHOOK_TOKN"),
        ([], {"MONITOR_webhook_token": "secret-of-mine"}, "MONITOR_webhook_token"),
        ([], {"MONITOR_READ_TOKEN__X": "secret-of-mine"}, "MONITOR_READ_TOKEN"),
        ([], {"MONITOR_PAGES": "[" * 60_000}, "MONITOR_PAGES is not JSON"),
        ([], {"MONITOR_PAGES": '["https://me:secret-of-mine@example.com"]'}, "MONITOR_PAGES entry 1"),
        ([], {"MONITOR_PAGES": '[{"url": "https://example.com", "name": "\\ud800"}]'}, "cannot be stored"),
        ([], {"MONITOR_PAGES": '[{"url": "https://example.com", "name": "\udce9"}]'}, "cannot be stored"),
        ([], {"MONITOR_WEBHOOK_TOKEN": '{"a":' * 20_000}, "MONITOR_WEBHOOK_TOKEN"),
        ([], {"MONITOR_WEBHOOK_TOKEN": '{"\\ud800": "GitHub"}'}, "cannot be stored"),
        ([], {"MONITOR_NOTIFY": "[" * 60_000}, "MONITOR_NOTIFY is not JSON"),
        ([], {"MONITOR_DATABASE_URL": "postgresql://me:pa@ss:secret-of-mine@h/db"}, "MONITOR_DATABASE_URL"),
        ([], {"MONITOR_DATABASE_URL": "postgresql://h/db?sslmod=require"}, "sslmod"),
        ([], {"MONITOR_DATABASE_URL": "sqlite:///monitor.db?mode=ro"}, "uri=true"),
    ],
)
def test_what_is_not_understood_is_said_in_one_line(arguments, environment, named):
    refused = run(*arguments, **environment)

    assert (refused.returncode, refused.stdout) == (2, "")
    assert re.fullmatch(r"event_monitor: [^\n]+\n", refused.stderr)
    assert named in refused.stderr
    assert "secret-of-mine" not in refused.stderr


@pytest.mark.parametrize("given", ["arguments", "environment"])
def test_a_port_in_use_is_said_in_one_line(taken, given):
    refused = run("--port", str(taken)) if given == "arguments" else run(PORT=str(taken))

    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert re.search(f"cannot listen on .*127.0.0.1.* port {taken}: Address already in use", refused.stderr)


@pytest.mark.parametrize("host", ["192.0.2.1", "x" * 300, "ä..ö"])
def test_an_address_that_cannot_be_had_is_said_in_one_line(host):
    refused = run("--host", host, "--port", "0", MONITOR_WEBHOOK_TOKEN="x")

    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert "cannot listen on" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "url"),
    [
        ([], {}, r"http://127\.0\.0\.1:\d+"),
        ([], {"MONITOR_HOST": "127.0.0.2"}, r"http://127\.0\.0\.2:\d+"),
        ([], {"HOST": "192.0.2.1"}, r"http://127\.0\.0\.1:\d+"),
        (["--host", "127.0.0.3"], {"MONITOR_HOST": "127.0.0.2"}, r"http://127\.0\.0\.3:\d+"),
        ([], {"PORT": "1"}, r"http://127\.0\.0\.1:\d{4,5}"),
        (["--host", "::1"], {}, r"http://\[::1\]:\d+"),
    ],
)
def test_it_listens_where_it_is_told_and_says_so(start, arguments, environment, url):
    monitor = start(arguments, environment)

    assert re.fullmatch(url, monitor.url)
    assert monitor.get("/health").status_code == 200


def test_a_run_logs_its_start_and_its_stop_and_prints_nothing(monitor):
    assert monitor.stop() == 0
    assert monitor.printed() == ""
    assert re.fullmatch(r"\S+Z INFO listening on \S+\n\S+Z INFO stopped\n", monitor.log())


@pytest.mark.parametrize(("environment", "warned"), [({}, True), ({"MONITOR_WEBHOOK_TOKEN": "x"}, False)])
def test_an_open_webhook_on_a_public_address_is_warned_of(start, environment, warned):
    monitor = start(["--host", "127.0.0.2"], environment)

    assert ("MONITOR_WEBHOOK_TOKEN is not set" in monitor.log()) is warned


# The clock


@pytest.fixture
def clock(start, tmp_path):
    """A monitor under a clock of its own, and a function that sets it; only the wall clock jumps."""
    found = [*Path("/usr/lib").glob("*/faketime/libfaketime.so.1")]
    assert found, "the clock cannot be moved: apt-get install faketime"
    rate = tmp_path / "clock"
    rate.write_text("+0")
    faked = {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(rate),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    return start(environment=faked), rate.write_text


@pytest.mark.parametrize("jump", ["+1h", "-1h", "+200y", "-50y"])
def test_a_clock_that_jumps_loses_and_doubles_nothing(clock, jump):
    monitor, set_clock = clock
    monitor.post(incident("before"))
    with dial(monitor, posted(incident("meanwhile"))[:-1]) as connection:
        set_clock(jump)
        time.sleep(0.05)
        connection.sendall(b"}")
        assert answer(connection).status == 200
    again, after = monitor.post(incident("before")), monitor.post(incident("after"))

    assert (again.json(), after.json()) == ({"status": "duplicate"}, {"status": "accepted"})
    assert monitor.printed(3).count("\n") == 6
    assert len(monitor.incidents()) == 3


def test_a_clock_that_jumps_changes_neither_uptime_nor_health(clock):
    monitor, set_clock = clock
    set_clock("+200y")
    until(lambda: int(monitor.get("/health").headers["Date"].split()[3]) > 2200)

    health = monitor.get("/health").json()
    assert (health["status"], health["uptime_seconds"] < 60) == ("ok", True)
    assert monitor.stop() == 0


def test_a_clock_400_years_ahead_loses_nothing_once_it_is_back(clock):
    monitor, set_clock = clock
    monitor.post(incident("before"))
    set_clock("+400y")
    with contextlib.suppress(requests.ConnectionError):  # Python's own clock ends in 2262
        monitor.post(incident("meanwhile"))
    set_clock("+0")
    again, after = monitor.post(incident("before")), monitor.post(incident("after"))

    assert (again.json(), after.json()) == ({"status": "duplicate"}, {"status": "accepted"})
    assert "Traceback" not in monitor.log()
