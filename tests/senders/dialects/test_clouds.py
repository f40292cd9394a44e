"""AWS Health, Azure, Cloudflare, StatusGator and incident.io are read as their documents say."""

import json

import pytest

from tests.conftest import payload

SNS = {"x-amz-sns-message-type": "Notification"}


def post_as_sns(app, made, headers=SNS, path="/webhook/awshealth"):
    client = app.application.test_client()
    return client.post(path, data=json.dumps(made), content_type="text/plain; charset=UTF-8", headers=headers)


def published(event):
    return payload("awshealth-sns") | {"Message": event if isinstance(event, str) else json.dumps(event)}


def changed(name, path, /, **fields):
    made = payload(name)
    inner = made
    for step in path:
        inner = inner[step]
    inner.update(fields)
    return made


# AWS Health


@pytest.mark.parametrize("path", ["/webhook/awshealth", "/webhook/statuspage"])
def test_sns_posts_an_event_as_text_plain_with_a_header_of_its_own(app, path):
    assert post_as_sns(app, payload("awshealth-sns"), {}, path).status_code == 400
    assert post_as_sns(app, payload("awshealth-sns"), path=path).json == {"status": "accepted"}
    assert post_as_sns(app, payload("awshealth-issue"), path=path).json == {"status": "accepted"}  # raw delivery


def test_the_header_of_sns_makes_no_form_an_update(app):
    form = app.application.test_client().post(
        "/webhook/awshealth",
        data=json.dumps(payload("awshealth-issue")),
        content_type="application/x-www-form-urlencoded",
        headers=SNS,
    )

    assert form.status_code == 400


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
@pytest.mark.parametrize("path", ["/webhook/awshealth", "/webhook/statuspage"])
def test_what_sns_asks_is_ignored(app, kind, path):
    made = payload("awshealth-sns") | {"Type": kind, "Message": "You have chosen to subscribe", "Token": "t"}
    answer = post_as_sns(app, made, {"x-amz-sns-message-type": kind}, path)

    assert (answer.status_code, answer.json["status"]) == (202, "ignored")


@pytest.mark.parametrize("message", ["Hello", "", "{}", "[1]", {"source": "aws.ec2"}, {"AlarmName": "CPU"}])
def test_another_message_of_a_topic_is_ignored(app, message):
    answer = post_as_sns(app, published(message))

    assert (answer.status_code, answer.json["status"]) == (202, "ignored")


def test_an_event_is_told_once_for_each_communication_whichever_way_it_comes(app):
    first = payload("awshealth-issue")
    again = [
        changed("awshealth-issue", ["detail"], page="2", totalPages="2", affectedEntities=[{"entityValue": "queue"}]),
        changed("awshealth-issue", [], region="us-west-2", time="2026-05-04T09:33:00Z", id="another"),  # the backup
        changed("awshealth-issue", [], account="444455556666"),
        published(first),
    ]
    second = changed("awshealth-issue", ["detail"], communicationId="aa00bb11cc22-2")  # in the same second

    assert app.post(first).json == {"status": "accepted"}
    assert [post_as_sns(app, made).json["status"] for made in again] == ["duplicate"] * len(again)
    assert app.post(second).json == {"status": "accepted"}


def test_an_event_that_is_closed_is_over_at_its_end(app):
    app.post(payload("awshealth-issue"))
    over = {"statusCode": "closed", "communicationId": "aa00bb11cc22-2"}
    times = {"lastUpdatedTime": "Mon, 4 May 2026 11:05:00 GMT", "endTime": "Mon, 4 May 2026 10:50:00 GMT"}
    app.post(changed("awshealth-issue", ["detail"], **over, **times))
    (incident,) = app.incidents()

    assert (incident["name"], incident["status"]) == ("SQS: Operational issue", "resolved")
    assert incident["created_at"] == "2026-05-04T09:10:00.000Z"
    assert incident["resolved_at"] == "2026-05-04T10:50:00.000Z"
    assert len(incident["incident_updates"]) == 2


@pytest.mark.parametrize(
    ("category", "code", "status", "impact"),
    [
        ("issue", "open", "investigating", None),
        ("investigation", "open", "investigating", None),
        ("accountNotification", "open", None, "none"),
        ("accountNotification", "closed", "resolved", "none"),
        ("scheduledChange", "open", "in_progress", "maintenance"),
        ("scheduledChange", "closed", "completed", "maintenance"),
    ],
)
def test_the_category_of_an_event_says_what_its_status_means(app, category, code, status, impact):
    app.post(changed("awshealth-issue", ["detail"], eventTypeCategory=category, statusCode=code))
    (incident,) = app.incidents()

    assert (incident["status"], incident["impact"]) == (status, impact)


def test_an_arn_that_is_longer_than_an_id_still_tells_events_apart(app):
    for end in ("1", "2", "1"):
        app.post(changed("awshealth-issue", ["detail"], eventArn=f"arn:{'x' * 300}{end}"))

    assert len(app.incidents()) == 2


def test_without_the_time_of_an_update_the_one_that_is_past_counts(app):
    made = changed("awshealth-issue", ["detail"], lastUpdatedTime=None, startTime="Wed, 20 May 2026 01:00:00 GMT")
    app.post(made)

    assert app.incidents()[0]["updated_at"] == "2026-05-04T09:31:05.000Z"
    assert app.post(changed("awshealth-issue", ["detail"], lastUpdatedTime=None) | {"time": None}).status_code == 200
    without = changed("awshealth-issue", ["detail"], lastUpdatedTime=None, startTime=None) | {"time": None}
    assert app.post(without).json == {"error": "detail.lastUpdatedTime is missing or not a time"}


# Azure Service Health

LOG = ["data", "context", "activityLog"]


@pytest.mark.parametrize(
    ("kind", "stage", "status"),
    [
        ("Incident", "Active", "investigating"),
        ("Incident", "Resolved", "resolved"),
        ("Incident", "RCA", "postmortem"),
        ("Security", "Active", "investigating"),
        ("Maintenance", "Active", "scheduled"),
        ("Maintenance", "Rescheduled", "scheduled"),
        ("Maintenance", "InProgress", "in_progress"),
        ("Maintenance", "Complete", "completed"),
        ("Maintenance", "Canceled", "completed"),
        ("ActionRequired", "Active", None),
        ("Informational", "Active", None),
    ],
)
def test_the_stage_of_an_azure_event_is_said_in_statuspages_words(app, kind, stage, status):
    app.post(changed("azure-maintenance", [*LOG, "properties"], incidentType=kind, stage=stage))

    assert app.incidents()[0]["status"] == status


@pytest.mark.parametrize(
    ("level", "impact"),
    [("Critical", "critical"), ("Error", "critical"), (2, "critical"), (3, "major"), (4, "minor"), ("?", None)],
)
def test_the_level_of_an_azure_event_is_its_impact(app, level, impact):
    app.post(changed("azure-incident", ["data", "alertContext"], level=level))

    assert app.incidents()[0]["impact"] == impact


@pytest.mark.parametrize(
    ("services", "names"),
    [
        ([{"ServiceName": "Batch", "ImpactedRegions": [{"RegionName": "Global"}]}], ["Batch (Global)"]),
        ('[{"ServiceName": "Batch"}]', ["Batch"]),
        ("[{", ["Virtual Machines"]),
        (None, ["Virtual Machines"]),
    ],
)
def test_the_services_of_an_azure_event_are_read_from_text_and_from_json(app, services, names):
    app.post(changed("azure-incident", ["data", "alertContext", "properties"], impactedServices=services))

    assert [component["name"] for component in app.incidents()[0]["components"]] == names


@pytest.mark.parametrize("service", ["Platform", "ResourceHealth", "Log Analytics", None])
def test_another_alert_of_azure_is_ignored(app, service):
    alert = app.post(changed("azure-incident", ["data", "essentials"], monitoringService=service))
    log = app.post(changed("azure-maintenance", LOG, eventSource=service))

    assert [answer.json["status"] for answer in (alert, log)] == ["ignored", "ignored"]


def test_an_azure_event_links_to_service_health(app):
    for name in ("azure-incident", "azure-maintenance"):
        app.post(payload(name))

    assert {incident["shortlink"] for incident in app.incidents()} == {
        "https://app.azure.com/h/CNT0-SO1/aaab22", "https://app.azure.com/h/CNT0-SO2/aaab22",
    }  # fmt: skip


# Cloudflare


def test_the_test_of_cloudflares_webhooks_and_its_other_notifications_are_ignored(app):
    for made in ({"text": "Hello World!"}, payload("cloudflare-incident") | {"alert_type": "workers_alert"}):
        for path in ("/webhook/cloudflare", "/webhook/statuspage"):
            assert app.post(made, path).json["status"] == "ignored"


@pytest.mark.parametrize(("ts", "status"), [(1781163605, 200), ("9" * 5_000, 400), ("soon", 400), (9999999999, 400)])
def test_a_notification_without_a_time_has_that_of_its_sending(app, ts, status):
    answer = app.post(changed("cloudflare-incident", ["data"], created_at=None, incident_created_at=None) | {"ts": ts})

    assert answer.status_code == status
    if status == 200:
        assert app.incidents()[0]["updated_at"] == "2026-06-11T07:40:05.000Z"


# StatusGator


def test_the_next_change_of_a_monitor_ends_the_one_before(app):
    app.post(payload("statusgator-change"))
    app.post(payload("statusgator-change") | {"recorded_at": "2026-07-17T03:00:00Z", "status": "up"})
    now, before = app.incidents()

    assert (now["status"], before["resolved_at"]) == ("operational", "2026-07-17T03:00:00.000Z")
    assert app.incidents("?status=open") == []


def test_a_change_is_found_by_a_component_that_changed_with_it(app):
    app.post(payload("statusgator-change"))

    assert len(app.incidents("?component=Sharing")) == 1
    assert app.incidents()[0]["components"] == [
        {"id": "MonProseware", "name": "Proseware", "status": "degraded_performance"},
        {"id": None, "name": "Files: Uploads", "status": "degraded_performance"},
        {"id": None, "name": "Sharing", "status": "major_outage"},
    ]


def test_two_changes_of_one_second_are_both_told(app):
    app.post(payload("statusgator-change"))

    assert app.post(payload("statusgator-change") | {"details": "One in five."}).json == {"status": "accepted"}


def test_a_monitor_of_no_service_is_a_page_by_itself(app):
    made = payload("statusgator-change") | {"message": None, "details": None, "component_status_changes": None}
    del made["service"]
    app.post(made, "/webhook/statusgator?page=Ours")

    assert app.printed == [
        "[2026-07-17 02:20:45] Product: Ours - Proseware\nStatus: Degraded performance (was Operational)\n"
    ]


def test_an_early_warning_and_a_change_without_a_time_are_no_updates(app):
    early = payload("statusgator-change") | {"type": "EarlyWarningSignal", "summary": "Service outage"}

    assert app.post(early).json["status"] == "ignored"
    assert app.post(payload("statusgator-change") | {"recorded_at": "soon"}).json == {
        "error": "recorded_at is missing or not a time"
    }


# incident.io


@pytest.mark.parametrize(
    ("severity", "impact"),
    [("SEV0", "critical"), ("SEV1", "critical"), ("sev-2", "major"), ("SEV 3", "minor"), ("SEV5", "minor"),
     ("Major", "major"), ("Annoying", "annoying")],
)  # fmt: skip
def test_a_numbered_severity_is_an_impact(app, severity, impact):
    app.post(changed("incidentio-incident", ["public_incident.incident_created_v2", "severity"], name=severity))

    assert app.incidents()[0]["impact"] == impact


def test_what_a_status_page_shared_is_an_incident_of_that_page_with_its_story(app):
    app.post(payload("incidentio-shared"))
    (incident,) = app.incidents()

    assert incident["page"]["id"] == "01K5WINGTIPPAGE"
    assert [(entry["id"], entry["status"]) for entry in incident["incident_updates"]] == [
        ("01K5U2", "identified"), ("01K5U1", "investigating"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "status"),
    [("maintenance_scheduled", "scheduled"), ("maintenance_in_progress", "in_progress"),
     ("maintenance_complete", "completed"), ("resolved", "resolved")],
)  # fmt: skip
def test_the_status_of_what_a_status_page_shared_is_said_in_statuspages_words(app, said, status):
    where = ["status_page_incident.update_shared_v1", "status_page_incident"]
    app.post(changed("incidentio-shared", where, incident_status=said))

    assert app.incidents()[0]["status"] == status


# All of them


@pytest.mark.parametrize(
    "path", ["/webhook/awshealth", "/webhook/azure", "/webhook/cloudflare", "/webhook/statusgator"]
)
def test_what_is_no_json_and_an_empty_object_are_refused(app, path):
    assert [app.post(body, path).status_code for body in ("{}", "no JSON", "")] == [400, 400, 400]
