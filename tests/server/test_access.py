"""What a foreign web page may not do through a browser on the monitor's machine."""

import http.client
import json

import pytest

from tests.conftest import Monitor, incident

UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket"}


@pytest.fixture(scope="module")
def open_to(tmp_path_factory):
    """Start a monitor with these tokens and arguments, or return the one that runs already."""
    running = {}

    def monitor(*tokens, arguments=()):
        key = tokens, arguments
        if key not in running:
            environment = {f"MONITOR_{name}_TOKEN": f"s3cret-{name}" for name in tokens}
            running[key] = Monitor(tmp_path_factory.mktemp("monitor"), arguments, environment)
        return running[key]

    yield monitor
    for one in running.values():
        one.stop()


def ask(monitor, method, path, **fields):
    """Send a request with these header fields, as a browser does; return the status and the JSON of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", monitor.port, timeout=5)
    fields = {name.replace("_", "-"): value for name, value in fields.items()}
    body = json.dumps(incident()) if method == "POST" else None
    connection.request(method, path, body, {"Content-Type": "application/json"} | fields)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if answer.getheader("Content-Type") == "application/json" else {}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:5000", "localhost.evil.example", "127.0.0.1.evil", "["])
def test_a_name_that_may_be_rebound_to_this_machine_reads_and_posts_nothing(open_to, host):
    monitor = open_to()

    for method, path, token in [
        ("GET", "/incidents", "MONITOR_READ_TOKEN"),
        ("GET", "/", "MONITOR_READ_TOKEN"),
        ("POST", "/mcp", "MONITOR_READ_TOKEN"),
        ("POST", "/webhook/statuspage", "MONITOR_WEBHOOK_TOKEN"),
    ]:
        status, refusal = ask(monitor, method, path, Host=host, Origin=f"http://{host}")
        assert (status, token in refusal["error"]) == (421, True)
    assert ask(monitor, "GET", "/health", Host=host)[0] == 200
    assert monitor.printed() == ""


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "monitor.localhost", "localhost.", "127.0.0.1", "[::1]:5000"]
)
def test_a_name_that_nobody_can_rebind_is_let_in(open_to, host):
    assert ask(open_to(), "GET", "/incidents", Host=host)[0] == 200


def test_each_door_is_guarded_by_its_own_token(open_to):
    both, reading = open_to("READ", "WEBHOOK"), open_to("READ")
    fields = {"Host": "monitor.example", "Origin": "https://monitor.example"}

    assert ask(both, "GET", "/incidents", Authorization="Bearer s3cret-READ", **fields)[0] == 200
    assert ask(both, "POST", "/webhook/statuspage", Authorization="Bearer s3cret-WEBHOOK", **fields)[0] == 200
    assert ask(reading, "GET", "/incidents", Authorization="Bearer s3cret-READ", **fields)[0] == 200
    for path in ("/webhook/statuspage", "//webhook/statuspage", "/doorbell/GitHub", "///doorbell/GitHub"):
        assert ask(reading, "POST", path, **fields)[0] == 421


@pytest.mark.parametrize("path", ["/webhook/statuspage", "/mcp", "/health", "/no/such/address"])
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:6000", "http://localhost.evil:5000"]
)
def test_no_post_has_a_foreign_origin(open_to, path, origin):
    for monitor in (open_to(), open_to(arguments=("--host", "0.0.0.0"))):
        status, refusal = ask(monitor, "POST", path, Host="localhost:5000", Origin=origin)

        assert (status, "Origin" in refusal["error"]) == (403, True)
        assert monitor.printed() == ""


def test_no_websocket_has_a_foreign_origin(open_to):
    fields = UPGRADE | {"Host": "localhost:5000", "Origin": "https://evil.example"}

    assert ask(open_to("READ"), "GET", "/ws?token=s3cret-READ", **fields)[0] == 403


def test_on_a_public_address_any_name_serves(open_to):
    monitor = open_to(arguments=("--host", "0.0.0.0"))

    assert ask(monitor, "GET", "/incidents", Host="monitor.example", Origin="https://monitor.example")[0] == 200
    assert ask(monitor, "POST", "/mcp", Host="monitor.example", Origin="https://monitor.example")[0] == 400


def test_a_wrapper_around_the_app_sees_every_request_also_after_the_first_through_a_proxy(app):
    inner, seen = app.application.wsgi_app, []
    app.application.wsgi_app = lambda environ, start_response: seen.append(1) or inner(environ, start_response)

    for fields in ({}, {"X-Forwarded-For": "192.0.2.1"}, {}):
        app.get("/health", headers=fields)

    assert len(seen) == 3
