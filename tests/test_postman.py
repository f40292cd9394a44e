"""The Postman collection, run by newman against a live monitor."""

import json
import re
import subprocess

import pytest

from tests.conftest import ROOT

POSTMAN = ROOT / "tests" / "postman"
NEWMAN = POSTMAN / "node_modules" / ".bin" / "newman"
COLLECTION = POSTMAN / "event_monitor.postman_collection.json"

LIFE = """\
[2026-03-02 09:15:00] Product: Fabrikam - Uploads, Web app
Status: Uploads of files over 50 MB fail with a 504.
[2026-03-02 09:31:10] Product: Fabrikam - Uploads, Web app
Status: A storage node is out of space; we are moving its data.
[2026-03-02 09:52:40] Product: Fabrikam - Uploads, Web app
Status: The data is moved; we watch the error rate.
[2026-03-02 10:05:01] Product: Fabrikam - Uploads, Web app
Status: Uploads work again.
[2026-03-05 14:00:00] Product: Fabrikam - Uploads, Web app
Status: A quota was set to 80 % by mistake. It is gone.
"""


def folders():
    return json.loads(COLLECTION.read_text())["item"]


def newman(report, *options, **variables):
    """Run the collection and return the exit code and newman's own account of the run."""
    if not NEWMAN.exists():
        pytest.fail("newman is not installed: npm install --prefix tests/postman", pytrace=False)
    given = [argument for name, value in variables.items() for argument in ("--env-var", f"{name}={value}")]
    command = [NEWMAN, "run", COLLECTION, *options, *given, "--reporters", "json", "--reporter-json-export", report]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert report.exists(), ended.stdout + ended.stderr
    return ended.returncode, json.loads(report.read_text())["run"]


def failures(run):
    return [f"{failure['source']['name']}: {failure['error']['message']}" for failure in run["failures"]]


@pytest.mark.parametrize(
    ("token", "read_token"), [("", ""), ("of+senders/=&#", "of readers")], ids=["without tokens", "with tokens"]
)
def test_the_collection_is_green_twice_in_a_row_on_one_monitor(start, tmp_path_factory, token, read_token):
    reports = tmp_path_factory.mktemp("newman")
    given = {"MONITOR_WEBHOOK_TOKEN": token, "MONITOR_READ_TOKEN": read_token}
    monitor = start(environment={name: value for name, value in given.items() if value})
    requests_in_collection = sum(len(folder["item"]) for folder in folders())

    for number in (1, 2):
        code, run = newman(reports / f"{number}.json", baseUrl=monitor.url, token=token, readToken=read_token)

        assert failures(run) == []
        assert code == 0
        assert run["stats"]["requests"]["total"] == requests_in_collection
        assert run["stats"]["assertions"]["total"] >= 2 * requests_in_collection
        assert run["stats"]["assertions"]["pending"] == 0

    accepted = monitor.get("/health").json()["received"]["accepted"]
    printed = monitor.printed(accepted)
    assert printed.count(LIFE) == 2
    assert printed.count("\n") == 2 * accepted


def test_the_collection_fails_where_the_server_refuses_its_token(start, tmp_path_factory):
    monitor = start(environment={"MONITOR_WEBHOOK_TOKEN": "another"})

    report = tmp_path_factory.mktemp("newman") / "report.json"
    code, run = newman(report, "--folder", "Life of an incident", baseUrl=monitor.url, token="wrong")

    assert code == 1
    assert any(failure.startswith("1 Investigating: ") for failure in failures(run))
    assert monitor.printed() == ""


def documented():
    """The blocks of shell commands in POSTMAN_TESTING.md, each with the text before it."""
    text = (ROOT / "POSTMAN_TESTING.md").read_text()
    return re.findall(r"\n\n((?:[^\n]+\n)+)\n```sh\n(.*?)```", text, re.DOTALL)


def test_the_documented_newman_command_passes(start, tmp_path):
    monitor = start()
    install, command = documented()[0][1].split("\n", 1)

    ended = subprocess.run(
        command.replace("http://127.0.0.1:5000", monitor.url), shell=True, cwd=ROOT, capture_output=True, check=False
    )

    assert install == "npm install --prefix tests/postman"
    assert install in (ROOT / "tests" / "set-up").read_text()
    assert ended.returncode == 0, ended.stdout.decode()


def test_the_documented_curl_commands_are_answered_as_documented(start):
    monitor = start()

    for said, commands in documented()[1:]:
        ran = subprocess.run(
            ["bash", "-euc", commands.replace("http://127.0.0.1:5000", monitor.url)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        expected = re.findall(r"`(accepted|duplicate)`|\b(\d{3})\b", said)
        answered = re.findall(r'{"status": "(accepted|duplicate)"}|^HTTP/1.1 (?!100)(\d{3})', ran, re.MULTILINE)
        assert answered == expected


def test_every_request_has_a_test_of_its_own_and_every_folder_stands_in_the_document():
    document = (ROOT / "POSTMAN_TESTING.md").read_text()

    for folder in folders():
        assert f"| {folder['name']} |" in document
        for request in folder["item"]:
            tests = [line for e in request["event"] if e["listen"] == "test" for line in e["script"]["exec"]]
            assert any("to.have.status(" in line for line in tests), request["name"]
