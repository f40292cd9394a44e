"""GET /openapi.json describes the routes: Schemathesis checks their answers, and each parameter is checked."""

import re
import subprocess
import sys

import pytest

from monitor.readers.openapi import PARAMETERS
from tests.conftest import incident

STREAMS = {"/stream", "/ws"}  # which never end


@pytest.fixture
def described(app):
    return app.get("/openapi.json").json


def test_every_route_is_described_in_a_sentence(app, described):
    rules = [rule for rule in app.application.url_map.iter_rules() if not rule.websocket]
    routes = {(method.lower(), rule.rule) for rule in rules for method in rule.methods - {"HEAD", "OPTIONS"}}
    operations = {(method, path): said for path, paths in described["paths"].items() for method, said in paths.items()}

    assert {(method, re.sub("{(.*)}", r"<path:\1>", path)) for method, path in operations} == routes
    assert [route for route, said in operations.items() if not said["summary"].endswith(".")] == []
    assert len({said["operationId"] for said in operations.values()}) == len(operations)


def test_the_parameters_that_a_route_describes_are_those_that_it_takes(app, described):
    for path, operations in described["paths"].items():
        if "get" not in operations or path in STREAMS or "unknown parameter" not in app.get(f"{path}?no-such=x").text:
            continue
        taken = {name for name in PARAMETERS if "unknown parameter" not in app.get(f"{path}?{name}=x").text}
        assert {said["name"] for said in operations["get"]["parameters"]} == taken, path


def test_the_read_token_guards_the_description(start):
    monitor = start(environment={"MONITOR_READ_TOKEN": "secret"})

    assert monitor.get("/openapi.json").status_code == 401
    assert monitor.get("/openapi.json?token=secret").json()["openapi"] == "3.1.0"


@pytest.mark.long
def test_schemathesis_finds_no_answer_that_is_not_described(start, tmp_path):
    monitor = start()
    monitor.post(incident())
    checks = "not_a_server_error status_code_conformance content_type_conformance response_schema_conformance"
    options = "--max-examples 5 --phases coverage,fuzzing --generation-deterministic --no-color".split()
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{monitor.url}/openapi.json", *options]
    # Streams never end, and /mcp speaks JSON-RPC, whose own schema says what it may answer.
    command += [
        "--exclude-path-regex",
        "^/(stream|ws|mcp)$",
        "--checks",
        f"{checks} unsupported_method".replace(" ", ","),
    ]

    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)

    assert ended.returncode == 0, ended.stdout[-5000:] + ended.stderr
    assert "Traceback" not in monitor.log()
