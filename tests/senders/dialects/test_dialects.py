"""What other senders than Statuspage post is read, at an address of its own and at Statuspage's."""

import base64
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from monitor.senders import dialects
from tests.conftest import DIALECTS, ROOT, InProcess, payload
from tests.test_core_alone import HIDDEN, extras

BLOCKS = {
    "betterstack-incident": (
        "[2026-07-01 10:20:00] Product: status.contoso.example - Queue is stuck\nStatus: We restart the workers.\n"
    ),
    "betterstack-maintenance": (
        "[2026-07-05 08:30:00] Product: status.contoso.example - Larger disks\nStatus: Each node restarts once.\n"
    ),
    "betterstack-component": (
        "[2026-07-01 09:58:00] Product: status.contoso.example - Queue\nStatus: Major outage (was Operational)\n"
    ),
    "incidentio-incident": ("[2026-10-10 10:10:00] Product: T0WINGTIP - Checkout fails\nStatus: Cards are refused\n"),
    "incidentio-status": (
        "[2026-10-10 11:00:00] Product: T0WINGTIP - Checkout fails\nStatus: The bank's new certificate is in place\n"
    ),
    "instatus-incident": (
        "[2026-08-03 06:20:00] Product: status.tailspin.example - Exports time out\nStatus: A queue is full.\n"
    ),
    "instatus-maintenance": (
        "[2026-08-05 01:00:00] Product: status.tailspin.example - New switches\nStatus: We have begun.\n"
    ),
    "instatus-component": ("[2026-08-03 06:05:00] Product: status.tailspin.example - Exports\nStatus: Major outage\n"),
    "statusio-incident": (
        "[2026-09-09 11:02:03] Product: status.litware.example - Mail\nStatus: Messages wait for up to an hour.\n"
    ),
    "statusio-maintenance": (
        "[2026-09-10 09:00:00] Product: status.litware.example - Mail\nStatus: We renew the certificates.\n"
    ),
}
# status, impact, scheduled_for, scheduled_until, status of the first component
SERVED = {
    "betterstack-incident": (None, None, None, None, None),
    "betterstack-maintenance": ("scheduled", "maintenance", "2026-07-06T02:00", "2026-07-06T03:00", None),
    "betterstack-component": ("major_outage", None, None, None, "major_outage"),
    "incidentio-incident": ("identified", "major", None, None, None),
    "incidentio-status": ("resolved", "major", None, None, None),
    "instatus-incident": ("identified", "major", None, None, None),
    "instatus-maintenance": ("in_progress", "maintenance", "2026-08-05T01:00", "2026-08-05T02:30", None),
    "instatus-component": ("major_outage", None, None, None, "major_outage"),
    "statusio-incident": ("investigating", "major", None, None, "partial_outage"),
    "statusio-maintenance": ("scheduled", "maintenance", "2026-09-11T09:00", "2026-09-11T10:00", None),
}
# What each dialect's incident is without its id, and the field that the answer names.
IDS = {
    "betterstack-incident": ("incident", "id"),
    "betterstack-maintenance": ("maintenance", "id"),
    "incidentio-incident": ("public_incident.incident_created_v2", "id"),
    "incidentio-status": ("public_incident.incident_status_updated_v2", "incident", "id"),
    "instatus-incident": ("incident", "id"),
    "instatus-maintenance": ("maintenance", "id"),
    "statusio-incident": ("id",),
    "statusio-maintenance": ("id",),
}


def own_address(name):
    return f"/webhook/{name.split('-')[0]}"


def without(made, path):
    """Take a field away."""
    inner = made
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return made


def test_every_dialect_has_payloads_here():
    assert {name.split("-")[0] for name in BLOCKS} == set(DIALECTS)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_webhook_is_printed_once_whichever_address_it_comes_to(app, name):
    answers = [app.post(payload(name), path) for path in (own_address(name), "/webhook/statuspage", own_address(name))]

    assert [(answer.status_code, answer.json["status"]) for answer in answers] == [
        (200, "accepted"), (200, "duplicate"), (200, "duplicate"),
    ]  # fmt: skip
    assert app.printed == [BLOCKS[name]]


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("path", ["own", "/webhook/statuspage"])
def test_an_incident_is_served_in_statuspages_words(app, name, path):
    app.post(payload(name), own_address(name) if path == "own" else path)
    (incident,) = app.incidents()

    starts, ends = incident["scheduled_for"], incident["scheduled_until"]
    component = incident["components"][0]["status"] if incident["components"] else None
    served = incident["status"], incident["impact"], starts and starts[:16], ends and ends[:16], component
    assert served == SERVED[name]
    assert all(entry["status"] is None or entry["status"].islower() for entry in incident["incident_updates"])


def test_the_messages_of_one_incident_are_folded_into_its_story(app):
    first, second = payload("statusio-incident"), payload("statusio-incident")
    second |= {"message_id": "60d3", "datetime": "2026-09-09T12:00:00Z", "datetime_resolve": "2026-09-09T12:00:00Z"}
    second |= {"current_state": "Resolved", "current_status": "Operational", "details": "Mail flows again."}
    for made in (second, first):
        app.post(made, "/webhook/statusio")
    (incident,) = app.incidents()

    assert (incident["status"], incident["resolved_at"]) == ("resolved", "2026-09-09T12:00:00.000Z")
    assert incident["components"][0]["status"] == "operational"
    assert [(entry["id"], entry["status"]) for entry in incident["incident_updates"]] == [
        ("60d3", "resolved"), ("60d1", "investigating"),
    ]  # fmt: skip
    assert app.incidents("?status=open") == []


@pytest.mark.parametrize(
    ("said", "status"),
    [("NOTSTARTEDYET", "scheduled"), ("COMPLETED", "completed"), ("Waiting for parts", "waiting_for_parts")],
)
def test_a_word_that_statuspage_has_not_is_kept_in_its_way_of_writing(app, said, status):
    made = payload("instatus-maintenance")
    made["maintenance"]["status"] = said
    app.post(made, "/webhook/instatus")

    assert app.incidents()[0]["status"] == status


@pytest.mark.parametrize("minutes", [None, "", "-5", "1.5", "soon", "٦٠", "9" * 5_000, 60, "60"])
def test_a_maintenance_of_instatus_ends_after_its_minutes_if_they_are_known(app, minutes):
    made = payload("instatus-maintenance")
    made["maintenance"] |= {"start": "2026-08-05T00:30:00Z", "duration": minutes}
    app.post(made, "/webhook/instatus")
    (incident,) = app.incidents()

    assert incident["scheduled_for"] == "2026-08-05T00:30:00.000Z"
    assert incident["scheduled_until"] == ("2026-08-05T01:30:00.000Z" if minutes in (60, "60") else None)


@pytest.mark.parametrize(
    "change", [{"created_at": "2026-08-03T06:06:00Z"}, {"new_status": "OPERATIONAL"}, {"component_id": "clx0imports"}]
)
def test_component_updates_without_an_id_are_told_apart_by_what_they_say(app, change):
    made = payload("instatus-component")
    app.post(made, "/webhook/instatus")
    made["component_update"] |= change

    assert app.post(made, "/webhook/instatus").json == {"status": "accepted"}
    assert len({incident["id"] for incident in app.incidents()}) == 2


@pytest.mark.parametrize(
    ("at", "status"),
    [
        ("2026-07-06T01:59:59Z", "scheduled"),
        ("2026-07-06T02:00:00Z", "in_progress"),
        ("2026-07-06T03:00:00Z", "completed"),
    ],
)
def test_a_maintenance_without_a_status_has_that_of_its_window(app, at, status):
    made = payload("betterstack-maintenance")
    made["maintenance"]["updated_at"] = at
    app.post(made, "/webhook/betterstack")

    assert app.incidents()[0]["status"] == status


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("path", ["own", "/webhook/statuspage"])
def test_an_incident_without_an_id_is_refused_by_the_name_of_the_field(app, name, path):
    answer = app.post(without(payload(name), IDS[name]), own_address(name) if path == "own" else path)

    assert answer.status_code == 400
    assert answer.json == {"error": f"{'.'.join(IDS[name])} is missing or not a text"}


def test_a_component_update_without_a_components_id_is_refused_by_the_name_of_the_field(app):
    made = without(without(payload("instatus-component"), ("component_update", "component_id")), ("component", "id"))
    answer = app.post(made, "/webhook/instatus")

    assert (answer.status_code, answer.json["error"]) == (
        400, "component_update.component_id is missing or not a text",
    )  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_shape_that_is_not_known_is_ignored(app, dialect):
    answer = app.post({"what": "else"}, f"/webhook/{dialect}")

    assert (answer.status_code, answer.json["status"]) == (202, "ignored")
    assert app.printed == []


@pytest.mark.parametrize("name", BLOCKS)
def test_the_token_and_the_name_in_the_address_hold_for_every_dialect(name):
    app = InProcess({"WEBHOOK_TOKEN": "s3cret"})
    refused = app.post(payload(name), f"{own_address(name)}?page=Adatum")
    accepted = app.post(payload(name), f"{own_address(name)}?page=Adatum&token=s3cret")

    assert (refused.status_code, accepted.status_code) == (401, 200)
    assert "] Product: Adatum - " in app.printed[0]


def test_a_token_of_a_page_speaks_for_that_page_in_every_dialect():
    app = InProcess({"WEBHOOK_TOKEN": '{"s3cret": "Adatum"}'})
    app.post(payload("statusio-incident"), "/webhook/statusio?page=Other&token=s3cret")

    assert app.incidents()[0]["page"] == {"id": "Adatum", "name": "Adatum"}


# incident.io's signature

SECRET = base64.b64encode(b"a secret of 24 characters").decode()
BODY = ROOT.joinpath("tests", "payloads", "incidentio-incident.json").read_bytes()


def signature(body=BODY, secret=SECRET, at=None, message="msg_1"):
    at = at or datetime.now(tz=UTC)
    return {
        "webhook-id": message,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message, at, body.decode()),
    }


@pytest.fixture(scope="module")
def signed():
    return InProcess({"WEBHOOK_SECRET_INCIDENTIO": f"whsec_{SECRET}"})


@pytest.mark.parametrize("path", ["/webhook/incidentio", "/webhook/statuspage"])
def test_what_is_signed_is_accepted(path):
    app = InProcess({"WEBHOOK_SECRET_INCIDENTIO": SECRET})

    assert app.post(BODY, path, headers=signature()).json == {"status": "accepted"}
    assert app.printed == [BLOCKS["incidentio-incident"]]


TIMESTAMPS = ["soon", "nan", "inf", "1e999", "-1", "9" * 400, "ÿ", ""]
SIGNATURES = ["v1", "v1,a", "v1,ÿ", "v1,=", "v1,,", ",", " ", "v2,YQ==", "v1a," + "Y" * 5_000, "ÿ"]


# Made when the test runs: a signature is good for five minutes.
@pytest.mark.parametrize("path", ["/webhook/incidentio", "/webhook/statuspage"])
@pytest.mark.parametrize(
    "headers",
    [
        dict,
        lambda: without(signature(), ["webhook-id"]),
        lambda: without(signature(), ["webhook-timestamp"]),
        lambda: without(signature(), ["webhook-signature"]),
        lambda: signature(BODY + b" "),
        lambda: signature(secret=base64.b64encode(b"another secret").decode()),
        lambda: signature(at=datetime.now(tz=UTC) - timedelta(minutes=6)),
        lambda: signature(at=datetime.now(tz=UTC) + timedelta(minutes=6)),
        lambda: signature() | {"webhook-id": "msg_2"},
        lambda: signature() | {"webhook-id": "ÿ"},
        *(lambda value=value: signature() | {"webhook-timestamp": value} for value in TIMESTAMPS),
        *(lambda value=value: signature() | {"webhook-signature": value} for value in SIGNATURES),
    ],
)
def test_what_is_not_well_signed_is_refused_and_nothing_more(signed, path, headers):
    signed.printed.clear()
    answer = signed.post(BODY, path, headers=headers())

    assert answer.status_code == 401, answer.text
    assert SECRET not in answer.text
    assert signed.printed == []


def test_a_body_that_is_no_utf_8_is_refused_with_a_signature_too(signed):
    assert signed.post(b'{"event_type": "\xff"}', "/webhook/incidentio", headers=signature()).status_code == 400


def test_the_signature_asks_nothing_of_what_others_send(signed):
    for name in ("statusio-incident", "instatus-incident", "minimal"):
        assert signed.post(payload(name), "/webhook/statuspage").json == {"status": "accepted"}


@pytest.mark.parametrize("secret", ["", " ", "whsec_", "not base64!", "s3cr\u00e9t-", "YWJj-_", "YWJjY"])
def test_a_secret_that_cannot_be_one_stops_the_start_and_is_not_shown(secret):
    refused = start({"MONITOR_WEBHOOK_SECRET_INCIDENTIO": secret})

    assert refused.returncode == 2
    assert refused.stderr.startswith("event_monitor: MONITOR_WEBHOOK_SECRET_INCIDENTIO is ")
    assert refused.stderr.count("\n") == 1
    assert secret in ("", " ", "whsec_") or secret not in refused.stderr


def test_a_secret_is_taken_with_and_without_its_prefix_and_its_padding():
    for secret in ("whsec_YQ==", "YQ==", "whsec_YQ", "YQ"):
        app = InProcess({"WEBHOOK_SECRET_INCIDENTIO": secret})

        assert app.post(BODY, "/webhook/incidentio", headers=signature(secret="YQ==")).status_code == 200


def test_a_secret_without_the_extra_says_how_to_install_it(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HIDDEN.format(names=extras()))
    refused = start({"PYTHONPATH": str(tmp_path), "MONITOR_WEBHOOK_SECRET_INCIDENTIO": SECRET})

    assert refused.returncode == 2
    assert refused.stderr == (
        "event_monitor: MONITOR_WEBHOOK_SECRET_INCIDENTIO needs standardwebhooks: "
        "pip install -r requirements-extras.txt\n"
    )


def start(environment):
    command = [sys.executable, "event_monitor.py", "--port", "0"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=30)


# One more dialect


def example_in_readme():
    section = (ROOT / "README.md").read_text().split("\n## Add a dialect\n")[1].split("\n## ")[0]
    return re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]


@pytest.fixture
def with_one_more(tmp_path, monkeypatch):
    """Drop a file into the package, for as long as the test lasts."""
    (tmp_path / "adatum.py").write_text(example_in_readme())
    monkeypatch.setattr(dialects, "__path__", [*dialects.__path__, str(tmp_path)])
    yield tmp_path
    sys.modules.pop("monitor.senders.dialects.adatum", None)


@pytest.mark.parametrize("path", ["/webhook/adatum", "/webhook/statuspage"])
def test_a_file_dropped_into_the_package_is_a_dialect(with_one_more, path):
    made = {"alarm": {"key": "k1", "title": "Disk full", "state": "FIRING", "at": "2026-11-01T10:00:00Z"}}
    app = InProcess()

    assert app.post(made, path).json == {"status": "accepted"}
    assert app.printed == ["[2026-11-01 10:00:00] Product: Adatum - Disk full\nStatus: Investigating: Disk full\n"]
    assert app.post({"alarm": {"at": "2026-11-01T10:00:00Z"}}, path).json == {
        "error": "alarm.key is missing or not a text"
    }


def test_a_dialect_that_cannot_be_loaded_stops_the_start_and_leaves_out_no_other_in_silence(with_one_more):
    (with_one_more / "adatum.py").write_text("import nothing_of_this_name")

    with pytest.raises(ImportError, match=r"adatum\.py needs nothing_of_this_name"):
        InProcess()
