"""Notifications reach Slack, PagerDuty and mail as they should, at least once, and hold up nothing."""

import json
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from monitor.outputs.notify.outbox import MemoryOutbox
from monitor.outputs.notify.services import parse
from monitor.settings import BadSetting, checked
from tests.conftest import ROOT, environment, incident, payload, preceded_by, until
from tests.endpoints import Endpoint, Mailbox
from tests.history.test_history import update
from tests.test_command_line import CLEAN

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/"
OTHER_SLACK = "slack://T2JJ3T3L2/A2BRTD4JD/SIiajkdnlazkcOXrIdevi7FQ/"
PAGERDUTY = "pagerduty://INTEGRATIONKEY@APIKEY/monitor/status"
SECRETS = ("TIiajkdnlazkcOXrIdevi7FQ", "INTEGRATIONKEY", "APIKEY", "s3cret")


@pytest.fixture
def endpoint():
    server = Endpoint()
    yield server
    server.stop()


@pytest.fixture
def mailbox():
    server = Mailbox()
    yield server
    server.stop()


def pointed_at(endpoint, **constants):
    """What makes Apprise's Slack and PagerDuty speak to an endpoint here, and the pauses short."""
    constants = {"FIRST_PAUSE": 0.2, "LONGEST_PAUSE": 0.4, "SECONDS_BETWEEN_LOOKS": 0.1} | constants
    lines = [
        "from apprise.plugins import slack, pagerduty, email",
        "for plugin in (slack.NotifySlack, pagerduty.NotifyPagerDuty, email.NotifyEmail):",
        "    plugin.request_rate_per_sec = 0",
        f"slack.NotifySlack.webhook_url = '{endpoint.url}/slack'",
        f"for region in pagerduty.PAGERDUTY_API_LOOKUP: pagerduty.PAGERDUTY_API_LOOKUP[region] = '{endpoint.url}/pd'",
        "from monitor.outputs.notify import sending as notify",
        *(f"notify.{name} = {value}" for name, value in constants.items()),
    ]
    return "\n".join(lines)


@pytest.fixture
def notifying(start, endpoint):
    """Start a monitor that notifies these services, Slack's and PagerDuty's of them at the endpoint."""

    def begin(*services, constants=None, **settings):
        settings |= {"MONITOR_NOTIFY": json.dumps(services)}
        return start(environment=settings, preamble=pointed_at(endpoint, **constants or {}))

    return begin


def texts(bodies):
    return [body["attachments"][0]["text"].split("\n")[0] for body in bodies]


def said(number, minute=0):
    entry = {"id": f"u{number}-{minute}", "body": f"step {number}.{minute}"}
    return incident(f"i{number}", updated_at=f"2026-06-01T08:{minute:02}:00Z", incident_updates=[entry])


def test_slack_gets_what_matters_and_nothing_that_pings_or_formats(notifying, endpoint):
    body = "<!channel> &lt;!here&gt; &lt;@U123&gt; *bold* &lt;https://evil.example|click&gt; {{7*7}}"
    hostile = incident(
        name="x",
        page={"id": "p1", "name": "Fab <!everyone>"},
        components=[{"name": "Sign-in <@U1>"}],
        incident_updates=[{"body": body}],
        shortlink="https://stspg.io/x?a=1&b=2",
        created_at="2026-06-01T07:30:00Z",
    )
    notifying(SLACK).post(hostile)

    (sent,) = until(lambda: endpoint.bodies("/slack"))
    attachment = sent["attachments"][0]
    assert sent["mrkdwn"] is False
    assert attachment["title"] == "Fab &lt;!everyone&gt; - Sign-in &lt;@U1&gt;: Investigating, minor"
    assert attachment["text"] == (
        "&lt;!here&gt; &lt;@U123&gt; *bold* &lt;https://evil.example|click&gt; {{7*7}}\n"
        "2026-06-01 08:00 UTC, began 2026-06-01 07:30 UTC\nhttps://stspg.io/x?a=1&amp;b=2"
    )
    assert "http" not in json.dumps(sent).replace(attachment["text"].replace("\n", "\\n"), "")
    assert endpoint.taken[0][0] == "/slack/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"


def test_pagerduty_has_one_incident_that_is_updated_and_resolved(notifying, endpoint):
    monitor = notifying(PAGERDUTY)
    monitor.post(incident(impact="critical", shortlink="https://stspg.io/x"))
    monitor.post(incident(impact="critical", updated_at="2026-06-01T09:00:00Z", status="monitoring"))
    monitor.post(incident(impact="none", updated_at="2026-06-01T10:00:00Z", status="resolved"))
    monitor.post(incident(page={"id": "p2", "name": "Adatum"}))

    sent = until(lambda: len(endpoint.taken) >= 4 and endpoint.bodies("/pd"))
    first, second, third = [one for one in sent if one["dedup_key"] == sent[0]["dedup_key"]]
    (fourth,) = [one for one in sent if one["dedup_key"] != sent[0]["dedup_key"]]
    assert [one["event_action"] for one in (first, second, third)] == ["trigger", "trigger", "resolve"]
    assert fourth["event_action"] == "trigger"
    assert first["routing_key"] == "INTEGRATIONKEY"
    assert (first["payload"]["severity"], fourth["payload"]["severity"]) == ("critical", "warning")
    assert first["payload"]["summary"].startswith("Fabrikam - Sign-in: Investigating, critical")
    assert first["links"] == [{"href": "https://stspg.io/x"}]
    assert set(third) == {"routing_key", "event_action", "dedup_key"}


@pytest.mark.parametrize("database", [False, True])
def test_pagerduty_resolves_a_component_that_is_operational_again(notifying, endpoint, sqlite_url, database):
    endpoint.status = 503
    monitor = notifying(PAGERDUTY, **environment(sqlite_url) if database else {})
    down = payload("component-update")
    down["component_update"] |= {"old_status": "operational", "new_status": "major_outage"}
    again = json.loads(json.dumps(down))
    again["component_update"] |= {"id": "c-2", "old_status": "major_outage", "new_status": "operational"}
    monitor.post(down)
    until(lambda: endpoint.refused)
    monitor.post(again)
    endpoint.status = 200

    first, second = until(lambda: len(endpoint.taken) >= 2 and endpoint.bodies("/pd"))
    assert (first["event_action"], first["payload"]["severity"]) == ("trigger", "critical")
    assert (second["event_action"], second["dedup_key"]) == ("resolve", first["dedup_key"])


def test_a_mail_has_one_subject_line_and_plain_text_whatever_a_provider_writes(notifying, mailbox):
    url = f"mailto://127.0.0.1:{mailbox.port}/?from=monitor@example.com&to=oncall@example.com&format=text"
    forged = "Sign-in\r\nBcc: everyone@example.com\r\n\r\n<b>x</b>"
    notifying(url).post(incident(components=[{"name": forged}], incident_updates=[{"body": "Down &amp; <b>out</b>"}]))

    (message,) = until(lambda: mailbox.messages)
    assert message["Subject"] == "Fabrikam - Sign-in Bcc: everyone@example.com <b>x</b>: Investigating, minor"
    assert message["Bcc"] is None
    assert message["To"].addresses[0].addr_spec == "oncall@example.com"
    text = message.get_body(("plain",)).get_content()
    assert text.replace("\r\n", "\n").strip() == "Down & out\n2026-06-01 08:00 UTC"


def test_a_service_that_was_down_gets_every_message_later_once_and_in_order(notifying, endpoint):
    endpoint.status = 503
    monitor = notifying(SLACK)
    for minute in range(3):
        for number in range(4):
            monitor.post(said(number, minute))
    until(lambda: len(endpoint.refused) >= 8)

    endpoint.status = 200

    until(lambda: len(endpoint.taken) >= 12, 15)
    sent = texts(endpoint.bodies("/slack"))
    assert sorted(sent) == sorted(f"step {number}.{minute}" for number in range(4) for minute in range(3))
    for number in range(4):
        assert [text for text in sent if text.startswith(f"step {number}.")] == [f"step {number}.{m}" for m in range(3)]
    assert monitor.log().count("it is tried again") == 4


def test_a_service_that_hangs_delays_neither_answers_nor_other_services(notifying, endpoint, mailbox):
    endpoint.seconds = 5
    mail = f"mailto://127.0.0.1:{mailbox.port}/?from=monitor@example.com&to=oncall@example.com"
    monitor = notifying(SLACK, mail)

    answers = [monitor.post(said(number)).elapsed.total_seconds() for number in range(10)]

    until(lambda: len(mailbox.messages) == 10, 4)
    assert max(answers) < 1
    assert monitor.get("/health").elapsed.total_seconds() < 1
    endpoint.seconds = 0


def test_a_message_survives_a_kill_and_a_restart_with_a_database(notifying, endpoint, url):
    endpoint.status = 503
    settings = environment(url)
    first = notifying(SLACK, **settings)
    for number in range(5):
        first.post(said(number))
    first.stop(signal.SIGKILL)
    endpoint.status = 200

    second = notifying(SLACK, **settings)

    until(lambda: len(endpoint.taken) >= 5, 15)
    assert sorted(texts(endpoint.bodies("/slack"))) == [f"step {number}.0" for number in range(5)]
    until(lambda: 'event_monitor_outbox_messages{service="slack"} 0.0' in second.get("/metrics").text)


def test_two_processes_on_one_postgresql_notify_once_and_the_other_takes_over(notifying, endpoint, postgresql):
    settings = environment(postgresql.new_database("monitor_notify"))
    servers = [notifying(SLACK, **settings) for _ in range(2)]

    with ThreadPoolExecutor(8) as senders:
        list(senders.map(lambda number: [server.post(said(number)) for server in servers], range(50)))
    until(lambda: 'event_monitor_outbox_messages{service="slack"} 0.0' in servers[1].get("/metrics").text, 15)
    servers[0].stop(signal.SIGKILL)
    servers[1].post(said(50))
    until(lambda: len(endpoint.taken) >= 51, 15)

    assert sorted(texts(endpoint.bodies("/slack"))) == sorted(f"step {number}.0" for number in range(51))


def test_messages_for_a_service_that_is_no_longer_set_are_dropped_with_a_line(notifying, endpoint, sqlite_url):
    endpoint.status = 503
    first = notifying(SLACK, **environment(sqlite_url))
    first.post(said(1))
    until(lambda: endpoint.refused)
    first.stop()
    endpoint.status = 200

    second = notifying(OTHER_SLACK, **environment(sqlite_url))

    until(lambda: "1 messages for services no longer set are dropped" in second.log())
    second.post(said(2))
    until(lambda: endpoint.taken)
    assert texts(endpoint.bodies("/slack")) == ["step 2.0"]


def test_a_message_that_fails_for_a_day_is_given_up_with_a_line_and_the_next_goes_out(notifying, endpoint):
    endpoint.status = 503
    monitor = notifying(SLACK, constants={"MOST_ATTEMPTS": 3, "FIRST_PAUSE": 0.05})
    monitor.post(said(1))
    until(lambda: "given up after 3 attempts" in monitor.log())
    endpoint.status = 200
    monitor.post(said(1, 1))

    until(lambda: endpoint.taken)
    assert len(endpoint.refused) == 3
    assert texts(endpoint.bodies("/slack")) == ["step 1.1"]
    text = monitor.get("/metrics").text
    assert 'event_monitor_notifications_total{outcome="given_up",service="slack"} 1.0' in text
    assert 'event_monitor_notifications_total{outcome="failed",service="slack"} 3.0' in text


def test_what_memory_cannot_send_at_a_stop_is_said(notifying, endpoint):
    endpoint.status = 503
    monitor = notifying(SLACK, constants={"SECONDS_TO_STOP": 0.2})
    monitor.post(said(1))
    until(lambda: endpoint.refused)

    assert monitor.stop() == 0
    assert "1 messages were not sent and are lost" in monitor.log()


def test_memory_keeps_a_bounded_number_of_messages_and_counts_the_rest(monkeypatch):
    monkeypatch.setattr("monitor.outputs.notify.outbox.MOST_IN_MEMORY", 3)
    outbox = MemoryOutbox()
    for number in range(5):
        outbox.put("a", update(number))
    outbox.put("b", update(9))

    assert [message.update.id for message in outbox.first("a")] == ["i2", "i3", "i4"]
    assert outbox.dropped == {"a": 2}
    assert outbox.waiting() == {"a": 3, "b": 1}


def test_memory_keeps_messages_of_a_bounded_size(monkeypatch):
    monkeypatch.setattr("monitor.outputs.notify.outbox.MOST_CHARACTERS", 100_000)
    outbox = MemoryOutbox()
    for number in range(20):
        outbox.put("a", update(number, message="x" * 30_000, incident_updates=update().incident_updates * 2_000))
    kept = outbox.first("a")
    for message in kept:
        outbox.done(message)
    for number in range(5):
        outbox.put("a", update(number))

    assert [message.update.id for message in kept] == ["i17", "i18", "i19"]
    assert (outbox.dropped, outbox.waiting()) == ({"a": 17}, {"a": 5})


def service(**members):
    return parse(json.dumps([{"url": SLACK} | members]))[0]


COMPONENT = update(is_component_update=True, status="operational", old_status="partial_outage", impact=None)


@pytest.mark.parametrize(
    ("members", "given", "passes"),
    [
        ({}, update(), True),
        ({"pages": ["Fabrikam"]}, update(), True),
        ({"pages": ["p1"]}, update(), True),
        ({"pages": ["Adatum"]}, update(), False),
        ({"components": ["Sign-in"]}, update(), True),
        ({"components": ["c1"]}, update(), True),
        ({"components": ["c2"]}, update(), False),
        ({"min_impact": "minor"}, update(), True),
        ({"min_impact": "major"}, update(), False),
        ({"min_impact": "major"}, update(impact=None), True),
        ({"min_impact": "major"}, update(impact="critical"), True),
        ({"min_impact": "critical"}, update(impact="maintenance"), True),
        ({"maintenance": False}, update(impact="maintenance"), False),
        ({"maintenance": False}, update(), True),
        ({"min_impact": "major"}, COMPONENT, True),
        ({"min_impact": "critical"}, COMPONENT, False),
        ({"min_impact": "major", "url": PAGERDUTY}, update(status="resolved"), True),
        ({"components": ["c1"], "url": PAGERDUTY}, update(status="resolved", components=()), True),
        ({"components": ["c1"], "url": PAGERDUTY}, update(components=()), False),
        ({"components": ["c2"], "url": PAGERDUTY}, update(status="resolved"), False),
        ({"components": ["c1"]}, update(status="resolved", components=()), False),
        ({"min_impact": "major"}, update(status="resolved"), False),
        ({"url": PAGERDUTY}, update(impact="maintenance"), False),
        ({"url": PAGERDUTY, "maintenance": True}, update(impact="maintenance"), True),
    ],
)
def test_a_filter_lets_pass_what_it_should(members, given, passes):
    assert service(**members).takes(given) is passes


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("slack://x", "is not JSON"),
        ("[]", "is not a JSON list"),
        ('{"url": "x"}', "is not a JSON list"),
        ("[1]", "entry 1 is neither"),
        (json.dumps([SLACK, {"pages": []}]), "entry 2 is neither"),
        (json.dumps([{"url": SLACK, "page": "x"}]), "entry 1 has the unknown member 'page'"),
        (json.dumps(["nosuch://s3cret"]), "entry 1 ('nosuch') is not a URL that Apprise takes"),
        (json.dumps(["s3cret"]), "is not a URL that Apprise takes"),
        (json.dumps([{"url": SLACK, "pages": "x"}]), "entry 1 (slack): pages is not a list"),
        (json.dumps([{"url": SLACK, "min_impact": "huge"}]), "entry 1 (slack): min_impact is none of"),
        (json.dumps([{"url": SLACK, "maintenance": "no"}]), "entry 1 (slack): maintenance is neither"),
        (json.dumps([SLACK, SLACK]), "names a service twice"),
    ],
)
def test_a_setting_that_cannot_be_used_stops_the_start_and_shows_no_secret(value, complaint):
    with pytest.raises(BadSetting) as refusal:
        checked({"NOTIFY": value})

    assert str(refusal.value).startswith("MONITOR_NOTIFY ")
    assert complaint in str(refusal.value)
    assert not any(secret in str(refusal.value) for secret in SECRETS)


def test_services_of_one_kind_are_told_apart():
    assert [s.name for s in parse(json.dumps([SLACK, PAGERDUTY, OTHER_SLACK]))] == ["slack", "pagerduty", "slack-2"]


def test_no_secret_is_logged_when_services_fail(notifying, endpoint):
    endpoint.status = 403
    monitor = notifying(SLACK, PAGERDUTY, "mailto://user:s3cret@example.com/?smtp=127.0.0.1&port=1")
    monitor.post(incident())
    until(lambda: monitor.log().count("it is tried again") == 3)

    assert not any(secret in monitor.log() for secret in SECRETS)
    assert "Traceback" not in monitor.log()


def test_test_notify_sends_one_message_to_each_and_reports(endpoint, mailbox):
    mail = f"mailto://127.0.0.1:{mailbox.port}/?from=monitor@example.com&to=oncall@example.com"

    def run(*services):
        settings = CLEAN | ({"MONITOR_NOTIFY": json.dumps(services)} if services else {})
        command = [*preceded_by(pointed_at(endpoint)), "--test-notify"]
        return subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=20, check=False)

    good, bad, unset = run(SLACK, mail), run(SLACK, "mailto://127.0.0.1:1/?from=a@example.com&to=b@example.com"), run()

    assert (good.returncode, good.stdout) == (0, "slack: sent\nmailto: sent\n")
    assert (bad.returncode, bad.stdout.splitlines()[0]) == (1, "slack: sent")
    assert bad.stdout.splitlines()[1].startswith("mailto: failed: ")
    assert (unset.returncode, unset.stderr) == (2, "event_monitor: MONITOR_NOTIFY is not set\n")
    assert "test message" in mailbox.messages[0]["Subject"]


def test_the_services_in_readme_are_understood():
    example = (ROOT / "README.md").read_text().split("export MONITOR_NOTIFY='")[1].split("'\n")[0]

    assert [found.name for found in parse(example)] == ["slack", "pagerduty", "mailtos"]
