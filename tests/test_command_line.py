"""The command line and the environment, accepted and refused; and a wall clock that jumps."""

import ast
import contextlib
import os
import re
import socket
import subprocess
import sys
import time

import pytest
import requests

from tests.conftest import ROOT, answer, dial, incident, posted, program, until, with_clock

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("MONITOR_", "PORT", "DATABASE"))}


def run(*arguments, **environment):
    """Run the program until it ends by itself; fail after 10 s."""
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


def test_version_is_said_in_one_line():
    shown = run("--version")

    assert (shown.returncode, shown.stderr) == (0, "")
    assert re.fullmatch(r"event_monitor \d+\.\d+\.\d+\n", shown.stdout)


OLD = "import runpy, sys; sys.version_info = (3, 10, 9, 'final', 0); runpy.run_path('event_monitor.py')"


@pytest.mark.parametrize(
    ("python", "needed"),
    [
        (["-c", OLD], "Python 3.11 or newer; this is 3.10"),
        (["-S", "event_monitor.py"], "flask: pip install -r requirements.txt"),  # without site-packages
    ],
)
def test_an_old_python_or_a_missing_library_is_said_in_one_line(python, needed):
    refused = subprocess.run(
        [sys.executable, *python], cwd=ROOT, env=CLEAN, capture_output=True, text=True, timeout=10, check=False
    )

    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == f"event_monitor: needs {needed}\n"


def test_an_old_python_can_read_the_program_as_far_as_it_says_so():
    tree = ast.parse((ROOT / "event_monitor.py").read_text(), feature_version=(3, 6))

    assert not [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]


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
        (
            [],
            {"PORT": "http"},
            "'http' is not a port from 0 to 65535, such as 5000 (--port, else MONITOR_PORT, else PORT)",
        ),
        ([], {"PORT": ""}, "port"),
        ([], {"MONITOR_HOST": ""}, "--host, else MONITOR_HOST, is empty"),
        (["--host", " "], {}, "--host"),
        ([], {"MONITOR_WEBHOOK_TOKEN": ""}, "MONITOR_WEBHOOK_TOKEN"),
        ([], {"MONITOR_READ_TOKEN": " "}, "MONITOR_READ_TOKEN"),
        ([], {"MONITOR_PAGES": "[GitHub]"}, "MONITOR_PAGES is not JSON: write MONITOR_PAGES="),
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


def test_a_reader_that_has_enough_of_a_list_ends_it_without_a_traceback():
    command = f"(sleep 0.5; {sys.executable} event_monitor.py --pages) | true"
    shell = subprocess.run(command, cwd=ROOT, env=CLEAN, shell=True, capture_output=True, timeout=10, check=True)

    assert shell.stderr == b""


@pytest.mark.parametrize("given", ["arguments", "environment"])
def test_a_port_in_use_is_said_in_one_line(taken, given):
    refused = run("--port", str(taken)) if given == "arguments" else run(PORT=str(taken))

    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert re.search(
        f"cannot listen on .*127.0.0.1.* port {taken}: Address already in use; choose another by --port\n",
        refused.stderr,
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "x" * 300, "ä..ö"])
def test_an_address_that_cannot_be_had_is_said_in_one_line(host):
    refused = run("--host", host, "--port", "0", MONITOR_WEBHOOK_TOKEN="x", MONITOR_READ_TOKEN="x")

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
    said = [line.partition(" INFO ")[2] for line in monitor.log().splitlines()]
    assert said == ["history: in memory", f"listening on {monitor.url}", "stopped"]


def test_the_start_says_where_the_history_is_what_is_polled_and_who_is_told(start, tmp_path):
    file = tmp_path / "monitor.db"
    settings = {
        "MONITOR_DATABASE_URL": f"sqlite:///{os.path.relpath(file, ROOT)}",
        "MONITOR_PAGES": '["http://127.0.0.1:1", "http://127.0.0.1:2"]',
        "MONITOR_NOTIFY": '["json://127.0.0.1:1/secret-of-mine"]',
        "MONITOR_HEARTBEAT": "http://127.0.0.1:1/secret-of-mine",
    }
    log = start(environment=settings).log()

    said = ("history: in", "notifications: to json", "heartbeat: once a minute", "polling: 2 pages, every 5 minutes")
    assert [line for line in said if f" INFO {line}" not in log] == []
    assert f"history: in {tmp_path.resolve()}/monitor.db\n" in log
    assert "secret-of-mine" not in log


def test_the_start_says_where_a_postgresql_is_without_its_password(start, postgresql):
    url = postgresql.new_database("monitor_where")

    log = start(environment={"MONITOR_DATABASE_URL": url}).log()

    assert f"history: in {url.replace(':s3cret', '')}\n" in log
    assert "s3cret" not in log


BOTH = {"MONITOR_WEBHOOK_TOKEN", "MONITOR_READ_TOKEN"}


@pytest.mark.parametrize("given", [set(), {"MONITOR_WEBHOOK_TOKEN"}, BOTH])
def test_a_missing_token_is_warned_of_on_a_public_address(start, given):
    monitor = start(["--host", "0.0.0.0"], dict.fromkeys(given, "x"))

    assert set(re.findall(r"WARNING (\w+) is not set", monitor.log())) == BOTH - given


@pytest.mark.parametrize("given", [set(), {"MONITOR_WEBHOOK_TOKEN"}, BOTH])
@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto"])
def test_a_missing_token_is_warned_of_once_where_requests_come_through_a_proxy(start, given, header):
    monitor = start(environment=dict.fromkeys(given, "x"))
    monitor.get("/health")
    assert "is not set" not in monitor.log()

    for _ in range(2):
        monitor.get("/health", headers={header: "for=192.0.2.1"})
    monitor.stop()

    assert sorted(re.findall(r"WARNING (\w+) is not set", monitor.log())) == sorted(BOTH - given)


@pytest.mark.parametrize("name", program().SETTINGS)
def test_a_bad_value_is_answered_with_a_good_one(name):
    check = program().SETTINGS[name]
    refused = {"WEBHOOK_TOKEN": "{", "PAGES": "[]"}.get(name, "")

    with pytest.raises(ValueError, match=r"such as .|from \d+ to \d+"):
        check(refused)


def test_the_port_may_stand_in_the_environment_where_that_of_the_host_stands_too(taken):
    refused = run(MONITOR_PORT=str(taken), PORT="1")

    assert f"port {taken}: Address already in use" in refused.stderr


# The clock


@pytest.fixture
def clock(start, tmp_path):
    """A monitor with a wall clock of its own, and a function that sets it; the monotonic clock is the machine's."""
    rate = tmp_path / "clock"
    rate.write_text("+0")
    faked = with_clock(FAKETIME_TIMESTAMP_FILE=rate, FAKETIME_NO_CACHE=1)
    return start(command_before=faked), rate.write_text


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
