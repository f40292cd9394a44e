"""`--status` in a shell prints the monitor's verdict; its exit code is a gate for a pipeline."""

import json
import os
import re
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.conftest import ROOT, incident
from tests.test_command_line import run

GITHUB, OPENAI = {"id": "gh1", "name": "GitHub"}, {"id": "oa1", "name": "OpenAI, Inc."}


@pytest.fixture
def told(shared):
    """Return a monitor with a major incident at GitHub, a minor one at OpenAI, and a resolved one at Contoso."""
    shared.post(incident("gate1", page=GITHUB, impact="major"))
    shared.post(incident("gate2", page=OPENAI, impact="minor"))
    shared.post(incident("gate3", page={"id": "ct1", "name": "Contoso"}, status="resolved"))
    return shared


@pytest.mark.parametrize(
    ("arguments", "code", "begins"),
    [
        (["--needs", "Contoso"], 0, "ok: "),
        (["--needs", "GitHub"], 1, "trouble: GitHub - Sign-in errors (major since "),
        (["--needs", "Contoso", "--needs", "OpenAI, Inc./Sign-in"], 1, "trouble: OpenAI, Inc. - "),
        (["--needs", "OpenAI, Inc.", "--fail-on", "major"], 0, "trouble: OpenAI, Inc. - "),
        (["--needs", "GitHub", "--fail-on", "major"], 1, "trouble: GitHub - "),
        (["--needs", "Fabrikam & Söhne"], 2, "unknown: Fabrikam & Söhne is no page that is known"),
        (["--needs", "Fabricom", "--needs", "OpenAI, Inc.", "--fail-on", "major"], 2, "unknown: Fabricom is no page"),
        ([], 1, "trouble: "),
    ],
)
def test_the_verdict_is_printed_in_one_line_and_is_the_exit_code(told, arguments, code, begins):
    asked = run("--status", told.url, *arguments, PYTHONIOENCODING="utf-8")

    assert (asked.returncode, asked.stderr, asked.stdout.count("\n")) == (code, "", 1)
    assert asked.stdout.startswith(begins)


def test_without_a_url_the_monitor_on_this_machine_is_asked_without_a_proxy(told):
    asked = run("--status", "--needs", "Contoso", PORT=str(told.port), http_proxy="http://127.0.0.1:9")

    assert (asked.returncode, asked.stdout[:4]) == (0, "ok: ")


def test_the_read_token_comes_from_the_environment(start):
    monitor = start(environment={"MONITOR_READ_TOKEN": "r"})
    monitor.post(incident("i1", status="resolved"))

    with_token, without = run("--status", monitor.url, MONITOR_READ_TOKEN="r"), run("--status", monitor.url)

    assert (with_token.returncode, with_token.stdout[:4]) == (0, "ok: ")
    assert (without.returncode, without.stdout, without.stderr.count("\n")) == (2, "", 1)
    assert "the monitor answered 401: MONITOR_READ_TOKEN is not its token" in without.stderr


def test_the_command_starts_no_app_and_opens_no_database(told, sqlite_url, file):
    asked = run(
        "--status",
        told.url,
        "--needs",
        "Contoso",
        MONITOR_DATABASE_URL=sqlite_url,
        MONITOR_NO_SETTING="x",
        MONITOR_PORT="tcp://10.0.0.1:80",
    )

    assert (asked.returncode, file.exists()) == (0, False)


@pytest.mark.parametrize("arguments", [["--fail-on", "bad"], ["--needs", ""]])
def test_a_refusal_is_unknown_and_says_why(told, arguments):
    asked = run("--status", told.url, *arguments)

    assert (asked.returncode, asked.stdout, asked.stderr.count("\n")) == (2, "", 1)
    assert "the monitor answered 400: " in asked.stderr


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com",
        "monitor",
        "http://h:99999",
        "http://[",
        "http://me:secret-of-mine@h",
        "http://h?token=secret-of-mine",
    ],
)
def test_a_url_that_is_not_a_monitors_is_unknown_and_not_printed(url):
    asked = run("--status", url)

    assert (asked.returncode, asked.stdout, asked.stderr.count("\n")) == (2, "", 1)
    assert "secret-of-mine" not in asked.stderr


def test_a_monitor_that_cannot_be_reached_is_unknown():
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    asked = run("--status", f"http://127.0.0.1:{port}")

    assert (asked.returncode, asked.stdout) == (2, "")
    assert asked.stderr == "event_monitor: cannot ask the monitor: Connection refused\n"


def test_needs_without_status_is_refused():
    refused = run("--needs", "GitHub")

    assert (refused.returncode, refused.stderr) == (2, "event_monitor: --needs goes with --status\n")


@pytest.fixture
def other():
    """Return a server that is not a monitor: it gives the answer in `answer` and keeps its requests in `asked`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = server.answer
            server.asked.append((self.path.partition("?")[0], self.headers.get("Authorization")))
            if self.path.startswith("/status"):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.url = [], f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b"<html>\n\x1b[31mSign in"),
        (503, {"Content-Type": "text/plain"}, b"no healthy upstream"),
        (503, {}, json.dumps({"error": "cannot be read"}).encode()),
        (200, {}, b""),
    ],
)
def test_an_answer_that_is_not_a_monitors_is_unknown(other, answer):
    other.answer = answer
    asked = run("--status", other.url)

    assert (asked.returncode, asked.stdout, asked.stderr.count("\n")) == (2, "", 1)
    assert asked.stderr.rstrip("\n").isprintable()


def test_the_token_does_not_follow_a_redirect(other):
    other.answer = (302, {"Location": "/elsewhere"}, b"")
    asked = run("--status", other.url, MONITOR_READ_TOKEN="r")

    assert asked.returncode == 2
    assert other.asked == [("/status", "Bearer r"), ("/elsewhere", None)]


def test_the_shell_code_in_docs_has_the_same_exit_codes(start):
    (script,) = re.findall(r"```sh\n(said=.*?)```", (ROOT / "docs" / "ci.md").read_text(), re.DOTALL)
    monitor = start(environment={"MONITOR_READ_TOKEN": "r"})
    script = script.replace("https://YOUR-HOST", monitor.url)

    def told(minute, status):
        for page in (GITHUB, {"id": "oa2", "name": "OpenAI"}):
            body = incident("i1", page=page, components=[{"name": "Actions"}], status=status, impact="major")
            body["incident"]["updated_at"] = f"2026-06-01T08:{minute}:00Z"
            monitor.post(body)

    def code():
        environment = {"PATH": os.environ["PATH"], "MONITOR_READ_TOKEN": "r"}
        return subprocess.run(["bash", "-c", script], env=environment, check=False, capture_output=True).returncode

    codes = [code()]
    for minute, status in (("00", "investigating"), ("01", "resolved")):
        told(minute, status)
        codes.append(code())

    assert codes == [2, 1, 0]
