"""Fixtures: a monitor as its users run it (a process, HTTP, stdout in a file), and payloads to post to it."""

import contextlib
import copy
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import requests
from playwright.sync_api import sync_playwright

from monitor.pipeline import pipeline_of
from monitor.updates.update import two_lines
from tests import postgresql as postgresql_server

ROOT = Path(__file__).parent.parent
PAYLOADS = Path(__file__).parent / "payloads"
CHROMIUM = shutil.which("chromium")
# As root, without a network and without a display.
CHROMIUM_ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
DIALECTS = sorted(path.stem for path in (ROOT / "monitor" / "senders" / "dialects").glob("[!_]*.py"))


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run the tests marked long, too, as CI does")


def pytest_configure(config):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup's would reach the monitors, which then do not stop at it
    config.addinivalue_line("markers", "long: takes long or wants the machine for itself, and runs with --long only")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--long"):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("long")])
        items[:] = [item for item in items if not item.get_closest_marker("long")]


def failed_if_skipped(report):
    """CI runs everything: a skip there is a failure."""
    if report.skipped and "CI" in os.environ:
        report.outcome, report.longrepr = "failed", f"CI must not skip: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport():
    return failed_if_skipped((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report():
    return failed_if_skipped((yield))


def payload(name):
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def incident(incident_id="i1", *, page=None, **fields):
    """A small valid payload; fields replace those of its incident, and None takes one away."""
    made = {
        "page": copy.deepcopy(page) if page is not None else {"id": "p1", "name": "Fabrikam"},
        "incident": {
            "id": incident_id,
            "name": "Sign-in errors",
            "status": "investigating",
            "impact": "minor",
            "updated_at": "2026-06-01T08:00:00Z",
            "components": [{"id": "c1", "name": "Sign-in", "status": "partial_outage"}],
            "incident_updates": [{"id": f"{incident_id}-u1", "body": "Some people cannot sign in"}],
        },
    }
    made["incident"].update(fields)
    made["incident"] = {name: value for name, value in made["incident"].items() if value is not None}
    return made


def with_clock(**settings):
    """What precedes a command whose wall clock libfaketime moves; the monotonic clock stays the machine's.

    Not faketime(1): a process that is killed leaves a semaphore, and the next with its number does not start.
    """
    found = [*Path("/usr/lib").glob("*/faketime/libfaketime.so.1")]
    assert found, "the clock cannot be moved: apt-get install faketime"
    given = {"LD_PRELOAD": found[0], "FAKETIME_DONT_FAKE_MONOTONIC": 1, "DONT_FAKE_MONOTONIC": 1}
    return ["env", *(f"{name}={value}" for name, value in (given | settings).items())]


def environment(url, **settings):
    return {"MONITOR_DATABASE_URL": url, **settings}


def until(condition, seconds=5):
    """Wait until condition() is true, and return what it gave; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (outcome := condition()):
        assert time.monotonic() < deadline, f"not so within {seconds} s: {condition}"
        time.sleep(0.01)
    return outcome


def preceded_by(preamble):
    """The command that runs event_monitor.py after some Python in the same process: a shorter deadline, say."""
    patched = "from gevent import monkey\nmonkey.patch_all()"  # first of all, as event_monitor.py does
    run = "import runpy\nrunpy.run_path('event_monitor.py', run_name='__main__')"
    return [sys.executable, "-c", f"import sys\n{patched}\n{preamble}\n{run}"]


class Monitor:
    """A running event_monitor process."""

    def __init__(self, directory, arguments=(), environment=None, stdout=None, preamble="", command_before=()):
        number = len(list(directory.iterdir()))
        self.stdout_file, self.stderr_file = directory / f"stdout{number}", directory / f"stderr{number}"
        command = [sys.executable, "event_monitor.py"]
        if preamble:
            command = preceded_by(preamble)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MONITOR_", "PORT"))}
        with self.stdout_file.open("wb") as out, self.stderr_file.open("wb") as err:
            self.process = subprocess.Popen(
                [*command_before, *command, "--port", "0", *arguments],
                cwd=ROOT,
                env=inherited | (environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=stdout or out,
                stderr=err,
                process_group=0,
            )
        self.url = until(lambda: self._url() or self.process.poll() is not None, 30)
        assert isinstance(self.url, str), self.log()
        self.port = int(self.url.rsplit(":", 1)[1])

    def _url(self):
        match = re.search(r"listening on (\S+)", self.log())
        return match and match[1]

    def log(self):
        return self.stderr_file.read_text()

    def post(self, body, path="/webhook/statuspage", **keywords):
        if isinstance(body, bytes | str):
            headers = {"Content-Type": "application/json"} | keywords.pop("headers", {})
            return requests.post(self.url + path, data=body, headers=headers, timeout=30, **keywords)
        return requests.post(self.url + path, json=body, timeout=30, **keywords)

    def get(self, path, **keywords):
        return requests.get(self.url + path, timeout=30, **keywords)

    def incidents(self, query=""):
        answer = self.get(f"/incidents{query}")
        assert answer.status_code == 200, answer.text
        return answer.json()["incidents"]

    def printed(self, blocks=None):
        """What stdout holds, once that is so many two-line blocks, or once it stays the same for a while."""
        if blocks is not None:
            until(lambda: self.stdout_file.read_bytes().count(b"\n") >= 2 * blocks)
        time.sleep(0.1)
        return self.stdout_file.read_bytes().decode()

    def stop(self, number=signal.SIGTERM, seconds=15):
        """Send a signal and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)

    def kill(self):
        """Kill what still runs, of a command that started the monitor for us too."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def start(tmp_path):
    """Start monitors with `start(arguments=…, environment=…, stdout=…, preamble=…)`; all are stopped at the end."""
    started = []

    def begin(*arguments, **keywords):
        monitor = Monitor(tmp_path, *arguments, **keywords)
        started.append(monitor)
        return monitor

    yield begin
    for monitor in started:
        monitor.kill()


@pytest.fixture
def monitor(start):
    """A monitor of this test's own, with the defaults."""
    return start()


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """One monitor for all tests that only post updates of their own to it and leave it as it was."""
    running = Monitor(tmp_path_factory.mktemp("shared"))
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log()


@pytest.fixture(scope="session")
def postgresql():
    """A running PostgreSQL server of this session's own."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        server = postgresql_server.Server(Path(directory) / "postgresql")
        yield server
        server.stop()


@pytest.fixture(scope="session")
def chromium():
    """One browser, Debian's: Playwright's own would have to be downloaded."""
    assert CHROMIUM, "chromium is missing: bash tests/set-up"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def browse(chromium):
    """Open addresses, each in a browser of its own, with `browse(address, color_scheme="dark", …)`.

    At the end, no page may have run what is not its own or have broken its own rules.
    """
    contexts, wrong = [], []

    def show(address, **options):
        context = chromium.new_context(**({"locale": "en-GB", "timezone_id": "Asia/Tokyo"} | options))
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(10_000)
        tab.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("console", lambda said: said.text.startswith("Failed to load resource:") or wrong.append(said.text))
        tab.goto(address)
        return tab

    yield show
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def file(tmp_path):
    return tmp_path / "files" / "monitor.db"


@pytest.fixture
def sqlite_url(file):
    file.parent.mkdir()
    return f"sqlite:///{file}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, sqlite_url):
    if request.param == "sqlite":
        return sqlite_url
    return request.getfixturevalue("postgresql").new_database("monitor_test")


@pytest.fixture
def page(request):
    """A page of this test's own: what the shared monitor prints and serves of it can be told apart."""
    name = f"Page {hash(request.node.nodeid) & 0xFFFFFFFFFFFF:012x}"
    return {"id": name.replace(" ", "-"), "name": name}


def blocks(monitor, text, number=1):
    """Return the two-line blocks with this text, once there are so many; all of stdout must be in pairs of lines."""

    def found():
        printed = monitor.stdout_file.read_bytes().decode().split("\n")[:-1]
        pairs = list(zip(printed[::2], printed[1::2], strict=False))
        assert all(first.startswith("[") and second.startswith("Status: ") for first, second in pairs)
        those = [f"{first}\n{second}\n" for first, second in pairs if text in first + second]
        return those if len(those) >= number else None

    those = until(found)
    for block in those:
        assert re.fullmatch(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] Product: .+ - .+\nStatus: .+\n", block), block
        assert block.replace("\n", "").isprintable(), block
    return those


def program():
    """The module event_monitor; the tests' own process stays without gevent's patches."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("gevent.monkey.patch_all", lambda: None)
        import event_monitor
    return event_monitor


class InProcess:
    """An app without a server: what its outputs get is in `printed`, as the two lines that stdout would show."""

    def __init__(self, settings=None):
        event_monitor = program()
        self.application = app = event_monitor.create_app(settings or {})
        self.printed = []
        self.updates = []
        pipeline_of(app).outputs[0] = self._print
        self._client = app.test_client()

    def _print(self, _incident, update):
        self.updates.append(update)
        self.printed.append(two_lines(update))

    def post(self, body, path="/webhook/statuspage", **keywords):
        data = body if isinstance(body, bytes | str) else json.dumps(body)
        return self._client.post(path, data=data, content_type="application/json", **keywords)

    def get(self, path, **keywords):
        return self._client.get(path, **keywords)

    def incidents(self, query=""):
        answer = self.get(f"/incidents{query}")
        assert answer.status_code == 200, answer.text
        return json.loads(answer.text)["incidents"]


@pytest.fixture
def app():
    """An app in the tests' own process, for what needs no server: ten times quicker than a process."""
    return InProcess()


def dial(monitor, sent=b"", seconds=5):
    """A connection of its own, for what no HTTP library sends."""
    connection = socket.create_connection(("127.0.0.1", monitor.port), seconds)
    connection.sendall(sent)
    return connection


def posted(body, *fields):
    """A POST as it goes over the wire."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = ["POST /webhook/statuspage HTTP/1.1", "Host: localhost", "Content-Type: application/json", *fields]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body


def answer(connection):
    """The next answer on a connection, read whole: a response with `status`, `headers` and `text`."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    response.text = response.read().decode()
    return response


def rest(connection):
    """All that still comes on a connection until the server closes it."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65536):
            received += data
    return received
