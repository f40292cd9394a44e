"""Webhooks of senders other than Statuspage are read, at their own address and at Statuspage's."""

import re
import sys

import pytest

from monitor.senders import dialects
from tests.conftest import DIALECTS, ROOT, InProcess, payload

BLOCKS = {
    "awshealth-issue": (
        "[2026-05-04 09:30:00] Product: AWS Health - SQS (eu-central-1)\n"
        "Status: Messages arrive late. We look into it.\n"
    ),
    "awshealth-sns": (
        "[2026-05-06 08:00:00] Product: AWS Health - RDS (eu-central-1)\n"
        "Status: Your instance gets a new operating system.\n"
    ),
    "azure-incident": (
        "[2026-04-02 13:20:36] Product: Azure - Virtual Machines (West Europe, North Europe), "
        "Azure Batch (West Europe)\nStatus: Impact: machines start late.\n"
    ),
    "azure-maintenance": (
        "[2026-04-07 10:00:00] Product: Azure - VPN Gateway (Sweden Central)\nStatus: A gateway restarts once.\n"
    ),
    "betterstack-incident": (
        "[2026-07-01 10:20:00] Product: status.contoso.example - Queue is stuck\nStatus: We restart the workers.\n"
    ),
    "betterstack-maintenance": (
        "[2026-07-05 08:30:00] Product: status.contoso.example - Larger disks\nStatus: Each node restarts once.\n"
    ),
    "betterstack-component": (
        "[2026-07-01 09:58:00] Product: status.contoso.example - Queue\nStatus: Major outage (was Operational)\n"
    ),
    "cloudflare-incident": (
        "[2026-06-11 07:40:00] Product: Cloudflare - Cache\nStatus: Purges are quick again, and we watch them.\n"
    ),
    "incidentio-incident": ("[2026-10-10 10:10:00] Product: T0WINGTIP - Checkout fails\nStatus: Cards are refused\n"),
    "incidentio-status": (
        "[2026-10-10 11:00:00] Product: T0WINGTIP - Checkout fails\nStatus: The bank's new certificate is in place\n"
    ),
    "incidentio-paused": (
        "[2026-10-11 12:00:00] Product: T0WINGTIP - Refunds are slow\nStatus: We wait for the bank\n"
    ),
    "incidentio-shared": (
        "[2026-10-12 08:30:00] Product: 01K5WINGTIPPAGE - Payouts are late\nStatus: A bank's batch is stuck.\n"
    ),
    "instatus-incident": (
        "[2026-08-03 06:20:00] Product: status.tailspin.example - Exports time out\nStatus: A queue is full.\n"
    ),
    "instatus-maintenance": (
        "[2026-08-05 01:00:00] Product: status.tailspin.example - New switches\nStatus: We have begun.\n"
    ),
    "instatus-component": ("[2026-08-03 06:05:00] Product: status.tailspin.example - Exports\nStatus: Major outage\n"),
    "statusgator-change": (
        "[2026-07-17 02:20:45] Product: Proseware - Proseware, Files: Uploads, Sharing\n"
        "Status: Uploads fail: One upload in ten is lost.\n"
    ),
    "statusio-incident": (
        "[2026-09-09 11:02:03] Product: status.litware.example - Mail\nStatus: Messages wait for up to an hour.\n"
    ),
    "statusio-maintenance": (
        "[2026-09-10 09:00:00] Product: status.litware.example - Mail\nStatus: We renew the certificates.\n"
    ),
}
# status, impact, scheduled_for, scheduled_until, status of the first component
SERVED = {
    "awshealth-issue": ("investigating", None, None, None, None),
    "awshealth-sns": ("scheduled", "maintenance", "2026-05-20T01:00", "2026-05-20T02:00", None),
    "azure-incident": ("investigating", "major", None, None, None),
    "azure-maintenance": ("scheduled", "maintenance", "2026-04-14T22:00", "2026-04-15T04:00", None),
    "betterstack-incident": (None, None, None, None, None),
    "betterstack-maintenance": ("scheduled", "maintenance", "2026-07-06T02:00", "2026-07-06T03:00", None),
    "betterstack-component": ("major_outage", "critical", None, None, "major_outage"),
    "cloudflare-incident": ("monitoring", "minor", None, None, None),
    "incidentio-incident": ("identified", "major", None, None, None),
    "incidentio-status": ("resolved", "major", None, None, None),
    "incidentio-paused": ("identified", "major", None, None, None),
    "incidentio-shared": ("identified", "critical", None, None, None),
    "instatus-incident": ("identified", "major", None, None, None),
    "instatus-maintenance": ("in_progress", "maintenance", "2026-08-05T01:00", "2026-08-05T02:30", None),
    "instatus-component": ("major_outage", "critical", None, None, "major_outage"),
    "statusgator-change": ("degraded_performance", "minor", None, None, "degraded_performance"),
    "statusio-incident": ("investigating", "major", None, None, "partial_outage"),
    "statusio-maintenance": ("scheduled", "maintenance", "2026-09-11T09:00", "2026-09-11T10:00", None),
}
# The path to each incident's id, which the answer names where the id is missing.
IDS = {
    "awshealth-issue": ("detail", "eventArn"),
    "azure-incident": ("data", "alertContext", "properties", "trackingId"),
    "azure-maintenance": ("data", "context", "activityLog", "properties", "trackingId"),
    "betterstack-incident": ("incident", "id"),
    "betterstack-maintenance": ("maintenance", "id"),
    "cloudflare-incident": ("data", "incident_id"),
    "incidentio-incident": ("public_incident.incident_created_v2", "id"),
    "incidentio-status": ("public_incident.incident_status_updated_v2", "incident", "id"),
    "incidentio-paused": ("public_incident.incident_status_updated_v2", "incident", "id"),
    "incidentio-shared": ("status_page_incident.update_shared_v1", "status_page_incident", "id"),
    "instatus-incident": ("incident", "id"),
    "instatus-maintenance": ("maintenance", "id"),
    "statusgator-change": ("monitor", "id"),
    "statusio-incident": ("id",),
    "statusio-maintenance": ("id",),
}


def own_address(name):
    return f"/webhook/{name.split('-')[0]}"


def without(made, path):
    """Remove a field."""
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


# One more dialect


def documented_example():
    return re.search(r"```python\n(.*?)```", (ROOT / "docs" / "dialects.md").read_text(), re.DOTALL)[1]


@pytest.fixture
def with_one_more(tmp_path, monkeypatch):
    """Add a file to the package for the length of a test."""
    (tmp_path / "adatum.py").write_text(documented_example())
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
