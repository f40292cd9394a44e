"""Notifications reach Slack, PagerDuty and mail as they should, at least once, and hold up nothing."""

import contextlib
import json
import signal
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
import requests

from monitor.outputs.notify import SETTINGS, wording
from monitor.outputs.notify.setting import GOOD, GOOD_JSON, parse
from monitor.settings import BadSetting, checked
from monitor.updates.update import Component
from tests.conftest import ROOT, dial, environment, incident, payload, preceded_by, until
from tests.endpoints import Endpoint, Mailbox
from tests.history.test_history import update
from tests.test_command_line import CLEAN, run

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/"
OTHER_SLACK = "slack://T2JJ3T3L2/A2BRTD4JD/SIiajkdnlazkcOXrIdevi7FQ/"
PAGERDUTY = "pagerduty://INTEGRATIONKEY@APIKEY/monitor/status"
SECRETS = ("TIiajkdnlazkcOXrIdevi7FQ", "INTEGRATIONKEY", "APIKEY", "s3cret")
TO_SLACK, TO_PAGERDUTY = "/hooks.slack.com/services", "/events.pagerduty.com/v2/enqueue"

# Apprise's requests go to the endpoint, with their own host in the path, and without Apprise's own pauses.
POINTED_AT = """
import requests
from urllib.parse import urlsplit
from apprise.url import URLBase
URLBase.throttle = lambda *_, **__: None
def request(self, method, url, _request=requests.Session.request, **rest):
    parts = urlsplit(url)
    return _request(self, method, f"{ENDPOINT}/{parts.hostname}{parts.path}", **rest)
requests.Session.request = request
"""


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


def pointed_at(endpoint, more="", **constants):
    """Python that directs Apprise to an endpoint on this machine and shortens the pauses."""
    constants = {"FIRST_PAUSE": 0.2, "LONGEST_PAUSE": 0.4, "SECONDS_BETWEEN_LOOKS": 0.1} | constants
    settings = "".join(f"sending.{name} = {value}\n" for name, value in constants.items())
    return f"ENDPOINT = '{endpoint.url}'\n{POINTED_AT}\nfrom monitor.outputs.notify import sending\n{settings}\n{more}"


@pytest.fixture
def notifying(start, endpoint):
    """Start a monitor that notifies these services, all at the endpoint; `more` is Python that runs before it."""

    def begin(*services, constants=None, more="", **settings):
        settings = {"MONITOR_NOTIFY": json.dumps(services)} | settings
        return start(environment=settings, preamble=pointed_at(endpoint, more, **constants or {}))

    return begin


@pytest.fixture
def told(monkeypatch):
    """Tell a service of updates in this process; return (host and path, query, JSON) of each request that it got."""
    monkeypatch.setattr("apprise.url.URLBase.throttle", lambda *_, **__: None)

    def tell(service, *updates):
        server = Endpoint()
        server.text = "ok" if getattr(service.plugin, "mode", "") == "hook" else '{"ok": true, "requestId": "r-1"}'
        asked = []

        def request(self, method, url, _request=requests.Session.request, **rest):
            parts = urlsplit(url)
            asked.append((f"{parts.netloc}{parts.path}", rest.get("params")))
            return _request(self, method, server.url, **rest)

        with monkeypatch.context() as patched:
            patched.setattr(requests.Session, "request", request)
            assert [service.tell(update) for update in updates] == [None] * len(updates)
        server.stop()
        return [(*where, body) for where, (_, body) in zip(asked, server.taken, strict=True)]

    return tell


def texts(bodies):
    return [body["attachments"][0]["text"].split("\n")[0] for body in bodies]


def said(number, minute=0, **fields):
    entry = {"id": f"u{number}-{minute}", "body": f"step {number}.{minute}"}
    times = {"updated_at": f"2026-06-01T08:{minute:02}:00Z"}
    return incident(f"i{number}", **(times | {"incident_updates": [entry]} | fields))


def component_update(number, status, old_status, minute):
    made = payload("component-update")
    made["component_update"] |= {
        "id": f"c-{number}",
        "old_status": old_status,
        "new_status": status,
        "created_at": f"2026-06-01T08:{minute:02}:00Z",
    }
    return made


def test_slack_gets_what_matters_and_nothing_that_rings_or_formats(notifying, endpoint):
    body = "<!channel> &lt;!here&gt; &lt;@U123&gt; *bold* &lt;https://evil.example|click&gt; {{7*7}}"
    hostile = incident(
        name="Log-in fails <@U2>",
        page={"id": "p1", "name": "Fab <!everyone>"},
        components=[{"name": "Log-in <@U1>", "status": "major_outage"}],
        incident_updates=[{"body": body}],
        shortlink="https://stspg.io/x?a=1&b=2",
        created_at="2026-06-01T07:30:00Z",
    )
    notifying(SLACK).post(hostile)

    (sent,) = until(lambda: endpoint.bodies(TO_SLACK))
    (attachment,) = sent["attachments"]
    assert sent["mrkdwn"] is False
    assert sent["text"] == (
        "Fab ＜!everyone&gt;, minor: Log-in fails ＜＠U2&gt; (investigating, began 2026-06-01 07:30 UTC)"
    )
    assert (attachment["title"], attachment["title_link"]) == (
        "Log-in fails ＜＠U2&gt;",
        "https://stspg.io/x?a=1&b=2",
    )
    assert attachment["text"] == (
        "＜!here&gt; ＜＠U123&gt; *bold* ＜https://evil.example|click&gt; {{7*7}}\n"
        "Components: Log-in ＜＠U1&gt; (major outage)\nUpdated 2026-06-01 08:00 UTC"
    )
    assert "mrkdwn_in" not in attachment
    assert endpoint.taken[0][0] == f"{TO_SLACK}/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"


BEGAN = datetime(2026, 6, 1, 7, 30, tzinfo=UTC)
PLAN = {"scheduled_for": BEGAN, "scheduled_until": BEGAN + timedelta(hours=2)}


@pytest.mark.parametrize(
    ("given", "title"),
    [
        ({"impact": "critical"}, "Fabrikam, critical: Sign-in errors (investigating, began 2026-06-01 07:30 UTC)"),
        ({"impact": None}, "Fabrikam, investigating: Sign-in errors (began 2026-06-01 07:30 UTC)"),
        ({"impact": "none"}, "Fabrikam, investigating: Sign-in errors (began 2026-06-01 07:30 UTC)"),
        ({"impact": None, "status": None}, "Fabrikam, update: Sign-in errors (began 2026-06-01 07:30 UTC)"),
        ({"status": "resolved"}, "Fabrikam, resolved: Sign-in errors (minor, began 2026-06-01 07:30 UTC)"),
        (
            {"status": "scheduled"} | PLAN,
            "Fabrikam, maintenance: Sign-in errors (scheduled, 2026-06-01 07:30 to 2026-06-01 09:30 UTC)",
        ),
        (
            {"is_component_update": True, "status": "operational", "old_status": "major_outage"},
            "Fabrikam, operational: Sign-in errors (since 2026-06-01 07:30 UTC, was major outage)",
        ),
    ],
)
def test_a_title_says_what_how_bad_and_since_when(given, title):
    assert wording.title(update(name="Sign-in errors", created_at=BEGAN, **given)) == title


BAD_DAY = {
    "page": "GitHub",
    "name": "Incident with Actions - runners",
    "message": "Jobs on eu-west-1 fail. See https://docs.github.com/a_b - more follows!",
    "impact": "major",
    "created_at": BEGAN,
    "shortlink": "https://stspg.io/0-abc_d",
    "components": (Component("c1", "Actions", "partial_outage"), Component("c2", "Pages", None)),
}
TITLE = "GitHub, major: Incident with Actions - runners (investigating, began 2026-06-01 07:30 UTC)"
LINES = [BAD_DAY["message"], "Components: Actions (partial outage), Pages", "Updated 2026-06-01 08:00 UTC"]
WEBEX = "abcdefgh0123456789" * 5


@pytest.mark.parametrize("url", [SLACK, "slack://xoxb-1234-1234-abc124/%23general"])
def test_slack_shows_a_preview_and_a_title_that_opens_the_page(told, url):
    ((_, _, sent),) = told(parse(url)[0], update(**BAD_DAY))

    (attachment,) = sent["attachments"]
    assert sent["text"] == TITLE
    assert (attachment["title"], attachment["title_link"]) == (BAD_DAY["name"], BAD_DAY["shortlink"])
    assert attachment["text"] == "\n".join(LINES)


def test_slack_in_blocks_has_the_preview_too(told):
    ((_, _, sent),) = told(parse(f"{SLACK}?blocks=yes")[0], update(**BAD_DAY))

    header, section, _ = sent["attachments"][0]["blocks"]
    assert sent["text"] == header["text"]["text"] == TITLE
    assert section["text"]["text"].splitlines() == [*LINES, BAD_DAY["shortlink"]]


def test_a_test_message_is_sent_with_its_title(monkeypatch):
    for url in (SLACK, "workflow://teams.example/WORKFLOW/SIGNATURE", "opsgenie://APIKEYAPIKEY", "jira://APIKEYAPIKEY"):
        sent = []
        monkeypatch.setattr(requests.Session, "request", lambda *_, data=None, sent=sent, **__: sent.append(data))
        parse(url)[0].send("event_monitor: test message", "It works")
        assert "event_monitor: test message" in sent[0]


def test_teams_gets_a_card_of_plain_text_with_a_button_that_opens_the_page(told):
    ((_, _, sent),) = told(parse("workflow://teams.example/WORKFLOW/SIGNATURE")[0], update(**BAD_DAY))

    (attachment,) = sent["attachments"]
    card = attachment["content"]
    assert (sent["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    assert (card["type"], {block["type"] for block in card["body"]}) == ("AdaptiveCard", {"RichTextBlock"})
    assert [run["text"] for block in card["body"] for run in block["inlines"]] == [TITLE, *LINES]
    assert card["actions"] == [{"type": "Action.OpenUrl", "title": "Open", "url": BAD_DAY["shortlink"]}]


@pytest.mark.parametrize(
    ("url", "member"),
    [
        (f"wxteams://{WEBEX}", "text"),
        ("wxteams://bot_token/room1", "text"),
        ("gchat://space/key/token", "text"),
        ("rocket://webhook1234/token1234567890123456@rocket.example/%23general", "text"),
        ("goalert://goalert.example/12345678-1234-4234-8234-123456789012", "details"),
        ("ilert://INTEGRATIONKEY", "details"),
        ("incidentio://SOURCEID/TOKENTOKEN", "description"),
        ("squadcast://WEBHOOKID", "description"),
    ],
)
def test_text_is_sent_as_it_reads_without_the_backslashes_of_markdown(told, url, member):
    ((_, _, sent),) = told(parse(url)[0], update(**BAD_DAY))

    assert "markdown" not in sent
    read = sent[member].replace("*", "").splitlines()
    assert [line for line in read if line != TITLE] == [*LINES, BAD_DAY["shortlink"]]
    assert TITLE in json.dumps(sent).replace("*", "")


def test_a_tap_opens_the_page_of_the_update_that_was_told_last(told):
    service = parse("bark://bark.example/DEVICEKEY")[0]

    first, second = told(service, update(**BAD_DAY), update(1))

    assert (first[2]["title"], first[2]["url"]) == (TITLE, BAD_DAY["shortlink"])
    assert "url" not in second[2]


RINGING = ("@everyone", "@here", "@channel", "@all", "<@&", "<@", "<!", "<#", "mail@here")


@pytest.mark.parametrize(
    "url",
    [
        "discord://WebhookID0123456789/WebhookToken0123456789",
        "discord://WebhookID0123456789/WebhookToken0123456789?format=markdown",
        "mmost://mattermost.example/WebhookToken0123456789",
        SLACK,
    ],
)
def test_nobody_is_rung_by_what_a_provider_writes_and_a_link_holds_no_line_break(told, url):
    words = "@everyone @HERE, @channel (@all) &lt;@&amp;12&gt; &lt;@!34&gt; &lt;!channel&gt; &lt;#56&gt; mail@here"
    rude = update(
        page=f"Fab {words}", message=f"{words} ask help@example.com", shortlink="https://x.example/\n@everyone <!here>"
    )

    ((_, _, sent),) = told(parse(url)[0], rude)

    text = json.dumps(sent, ensure_ascii=False)
    assert not [word for word in RINGING if word.lower() in text.lower()]
    assert "＠everyone ＠HERE, ＠channel (＠all)" in text
    assert "help@example" in text
    assert text.replace("\\", "").count("https://x.example/%0A%40everyone%20%3C!here%3E") == 1


def test_pagerduty_has_one_incident_that_is_updated_and_resolved(notifying, endpoint):
    monitor = notifying(PAGERDUTY)
    monitor.post(incident(impact="critical", shortlink="https://stspg.io/x"))
    monitor.post(incident(impact="critical", updated_at="2026-06-01T09:00:00Z", status="monitoring"))
    monitor.post(incident(impact="none", updated_at="2026-06-01T10:00:00Z", status="resolved"))
    monitor.post(incident(page={"id": "p2", "name": "Adatum"}))

    sent = until(lambda: len(endpoint.taken) >= 4 and endpoint.bodies(TO_PAGERDUTY))
    first, second, third = [one for one in sent if one["dedup_key"] == sent[0]["dedup_key"]]
    (fourth,) = [one for one in sent if one["dedup_key"] != sent[0]["dedup_key"]]
    assert [one["event_action"] for one in (first, second, third)] == ["trigger", "trigger", "resolve"]
    assert fourth["event_action"] == "trigger"
    assert first["routing_key"] == "INTEGRATIONKEY"
    assert (first["payload"]["severity"], fourth["payload"]["severity"]) == ("critical", "warning")
    assert first["payload"]["summary"].startswith("Fabrikam, critical: Sign-in errors (investigating, began")
    assert first["links"] == [{"href": "https://stspg.io/x"}]
    assert set(third) == {"routing_key", "event_action", "dedup_key"}


def test_pagerduty_resolves_a_component_that_is_operational_again(notifying, endpoint):
    endpoint.status = 503
    monitor = notifying(PAGERDUTY)
    monitor.post(component_update(1, "major_outage", "operational", 0))
    until(lambda: endpoint.refused)
    monitor.post(component_update(2, "operational", "major_outage", 5))
    endpoint.status = 200

    first, second = until(lambda: len(endpoint.taken) >= 2 and endpoint.bodies(TO_PAGERDUTY))
    assert (first["event_action"], first["payload"]["severity"]) == ("trigger", "critical")
    assert (second["event_action"], second["dedup_key"]) == ("resolve", first["dedup_key"])


def test_what_comes_late_raises_nothing_and_resolves_nothing(notifying, endpoint):
    monitor = notifying(PAGERDUTY)
    monitor.post(said(1, 30, status="resolved"))
    monitor.post(said(1, 0))
    monitor.post(component_update(2, "operational", "major_outage", 30))
    monitor.post(component_update(1, "major_outage", "operational", 0))
    monitor.post(component_update(4, "major_outage", "operational", 50))
    monitor.post(component_update(3, "operational", "degraded_performance", 40))
    monitor.post(said(2))

    until(lambda: len(endpoint.taken) >= 4)
    time.sleep(0.5)
    sent = [(one["event_action"], one["dedup_key"]) for one in endpoint.bodies(TO_PAGERDUTY)]
    by_key = [[action for action, key in sent if key == one] for one in dict.fromkeys(key for _, key in sent)]
    assert sorted(by_key) == [["resolve"], ["resolve", "trigger"], ["trigger"]]


@pytest.mark.parametrize(
    "end",
    [
        {"components": [{"id": "c9", "name": "Something else", "status": "operational"}]},
        {"components": []},
        {"impact": "maintenance"},
        {"impact": "none"},
    ],
)
def test_what_pagerduty_was_told_of_is_resolved_whatever_the_filter_says_by_then(notifying, endpoint, end):
    monitor = notifying({"url": PAGERDUTY, "components": ["Sign-in"], "min_impact": "minor"})
    monitor.post(said(1))
    monitor.post(said(1, 30, status="resolved", **end))

    sent = until(lambda: len(endpoint.taken) >= 2 and endpoint.bodies(TO_PAGERDUTY))
    assert [one["event_action"] for one in sent] == ["trigger", "resolve"]
    assert sent[0]["dedup_key"] == sent[1]["dedup_key"]


@pytest.mark.parametrize(
    ("url", "host", "key", "action", "opens", "ends"),
    [
        ("firehydrant://TOKENTOKEN", "signals.firehydrant.com", "idempotency_key", "status", "OPEN", "CLOSED"),
        (
            "goalerts://goalert.example/ab12cd34-ab12-4c5d-8e9f-0123456789ab",
            "goalert",
            "dedup",
            "action",
            None,
            "close",
        ),
        ("ilert://il1api0123456789abcdef", "api.ilert.com", "alertKey", "eventType", "ALERT", "RESOLVE"),
        ("incidentio://SOURCE/TOKENTOKEN", "api.incident.io", "deduplication_key", "status", "firing", "resolved"),
        ("opsimates://APIKEY@opsimate.example", "opsimate", "id", "status", "firing", "resolved"),
        (PAGERDUTY, "events.pagerduty.com", "dedup_key", "event_action", "trigger", "resolve"),
        ("pagertree://int_123456789012", "api.pagertree.com", "id", "event_type", "create", "resolve"),
        ("signl4://SECRETSIGNL", "connect.signl4.com", "X-S4-ExternalID", "X-S4-Status", None, "resolved"),
        ("splunk://ROUTING@APIKEY123", "alert.victorops.com", "entity_id", "message_type", "WARNING", "RECOVERY"),
        (
            "squadcast://0123456789abcdef0123456789abcdef",
            "api.squadcast.com",
            "event_id",
            "status",
            "trigger",
            "resolve",
        ),
    ],
)
def test_a_service_with_incident_keys_has_one_for_each_incident_and_closes_it(
    told, url, host, key, action, opens, ends
):
    resolved = update(minute=9, status="resolved", impact="none")

    first, other, last = told(parse(url)[0], update(), update(1), resolved)

    assert first[0].startswith(host)
    assert first[2][key] == last[2][key] != other[2][key]
    assert [sent[2].get(action) for sent in (first, other, last)] == [opens, opens, ends]


@pytest.mark.parametrize("impact", [None, "none", "minor", "critical"])
@pytest.mark.parametrize(
    ("url", "alerts"),
    [
        ("opsgenie://APIKEYAPIKEY?region=eu", "api.eu.opsgenie.com/v2/alerts"),
        ("jira://APIKEYAPIKEY", "api.atlassian.com/jsm/ops/integration/v2/alerts"),
    ],
)
def test_opsgenie_and_jira_have_one_alert_for_each_incident_and_close_it(told, url, alerts, impact):
    service = parse(url)[0]

    first, other = told(service, update(impact=impact), update(1, impact=impact))
    (closed,) = told(parse(url)[0], update(minute=9, status="resolved", impact=impact))  # after a restart, that is

    assert (first[0], other[0]) == (alerts, alerts)
    assert first[2]["alias"] != other[2]["alias"]
    assert closed[:2] == (f"{alerts}/{first[2]['alias']}/close", {"identifierType": "alias"})


def test_a_mail_has_one_subject_line_and_plain_text_whatever_a_provider_writes(notifying, mailbox):
    url = f"mailto://127.0.0.1:{mailbox.port}/?from=monitor@example.com&to=oncall@example.com&format=text"
    forged = "Sign-in\r\nBcc: everyone@example.com\r\n\r\n<b>x</b>"
    notifying(url).post(incident(name=forged, incident_updates=[{"body": "Down &amp; <b>out</b>"}]))

    (message,) = until(lambda: mailbox.messages)
    assert message["Subject"] == (
        "Fabrikam, minor: Sign-in Bcc: everyone@example.com ＜b>x＜/b> (investigating, began 2026-06-01 08:00 UTC)"
    )
    assert message["Bcc"] is None
    assert message["To"].addresses[0].addr_spec == "oncall@example.com"
    text = message.get_body(("plain",)).get_content()
    assert text.replace("\r\n", "\n").strip() == "Down & out\nComponents: Sign-in (partial outage)"


def test_a_service_that_was_down_gets_every_message_later_once_and_in_order(notifying, endpoint):
    endpoint.status = 503
    monitor = notifying(SLACK)
    for minute in range(3):
        for number in range(4):
            monitor.post(said(number, minute))
    until(lambda: len(endpoint.refused) >= 8)

    endpoint.status = 200

    until(lambda: len(endpoint.taken) >= 12, 15)
    sent = texts(endpoint.bodies(TO_SLACK))
    assert sorted(sent) == sorted(f"step {number}.{minute}" for number in range(4) for minute in range(3))
    for number in range(4):
        assert [text for text in sent if text.startswith(f"step {number}.")] == [f"step {number}.{m}" for m in range(3)]
    assert monitor.log().count("it is tried again") == 4


def test_refused_messages_of_one_incident_starve_no_other(notifying, endpoint):
    endpoint.refuses = lambda body: "step 1." in json.dumps(body)
    monitor = notifying(SLACK, constants={"LONGEST_PAUSE": 60, "FIRST_PAUSE": 60})
    for second in range(250):
        monitor.post(said(1, updated_at=f"2026-06-01T08:{second // 60:02}:{second % 60:02}Z"))

    monitor.post(said(2))

    until(lambda: endpoint.taken)
    assert texts(endpoint.bodies(TO_SLACK)) == ["step 2.0"]
    assert len(endpoint.refused) == 1


def test_a_service_that_hangs_delays_neither_answers_nor_other_services(notifying, endpoint, mailbox):
    endpoint.seconds = 5
    mail = f"mailto://127.0.0.1:{mailbox.port}/?from=monitor@example.com&to=oncall@example.com"
    monitor = notifying(SLACK, mail)

    answers = [monitor.post(said(number)).elapsed.total_seconds() for number in range(10)]

    until(lambda: len(mailbox.messages) == 10, 4)
    assert max(answers) < 1
    assert monitor.get("/health").elapsed.total_seconds() < 1
    endpoint.seconds = 0


def test_a_stop_ends_within_10_s_with_a_slow_service_and_a_request_that_never_ends(notifying, endpoint):
    endpoint.seconds = 20
    monitor = notifying(SLACK)
    monitor.post(said(1))
    with dial(monitor, b"POST /webhook/statuspage HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"):
        time.sleep(0.5)
        began = time.monotonic()

        assert monitor.stop() == 0

        assert time.monotonic() - began < 10
    assert "Traceback" not in monitor.log()


def test_what_memory_can_send_at_a_stop_is_sent_and_the_rest_is_said(notifying, endpoint):
    endpoint.refuses = lambda body: "step 1." in json.dumps(body)
    endpoint.seconds = 0.2
    monitor = notifying(SLACK, constants={"FIRST_PAUSE": 60})
    for number in range(5):
        monitor.post(said(number))

    assert monitor.stop() == 0
    assert len(endpoint.taken) == 4
    assert "1 messages were not sent and are lost" in monitor.log()


def test_a_message_that_its_service_took_is_not_sent_again_while_the_database_cannot_be_written(
    notifying, endpoint, sqlite_url, file
):
    endpoint.seconds = 1
    monitor = notifying(SLACK, **environment(sqlite_url))
    monitor.post(said(1))
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        until(lambda: endpoint.taken)
        until(lambda: monitor.post(said(2)).status_code == 503, 20)
        time.sleep(5)
        while_unwritable = len(endpoint.taken)
        other.execute("ROLLBACK")

    until(lambda: monitor.post(said(1, 1)).status_code == 200, 20)
    until(lambda: len(endpoint.taken) > while_unwritable, 20)
    time.sleep(1)
    assert [text for text in texts(endpoint.bodies(TO_SLACK)) if "step 1" in text] == ["step 1.0", "step 1.1"]


LEASED = """
from monitor.history.memory_queue import OwnLease
from pathlib import Path
OwnLease.is_held = lambda _: not Path(FLAG).exists()
"""


def test_nothing_is_sent_once_the_lease_is_lost(notifying, endpoint, tmp_path):
    flag = tmp_path.parent / f"{tmp_path.name}-lost"
    endpoint.seconds = 0.2
    monitor = notifying(SLACK, more=f"FLAG = {str(flag)!r}\n{LEASED}")
    for number in range(20):
        monitor.post(said(number))
    until(lambda: len(endpoint.taken) >= 2)

    flag.touch()
    time.sleep(0.5)
    before = len(endpoint.taken)
    time.sleep(1)

    assert len(endpoint.taken) == before < 20
    flag.unlink()
    until(lambda: len(endpoint.taken) == 20, 10)


def test_the_outbox_works_with_a_sqlite_file_that_a_uri_names(notifying, endpoint, tmp_path):
    monitor = notifying(SLACK, **environment(f"sqlite:///file:{tmp_path}/monitor.db?mode=rwc&uri=true"))

    monitor.post(said(0))

    until(lambda: len(endpoint.taken) == 1)


def test_a_message_survives_a_kill_and_a_restart_with_a_database(notifying, endpoint, url):
    endpoint.status = 503
    settings = environment(url)
    first = notifying(SLACK, **settings)
    for number in range(5):
        first.post(said(number))
    first.stop(signal.SIGKILL)
    endpoint.status = 200

    second = notifying(SLACK, **settings)

    # The lease may run on; a message that is under way at the kill may come twice.
    until(lambda: {f"step {number}.0" for number in range(5)} == set(texts(endpoint.bodies(TO_SLACK))), 30)
    assert len(endpoint.taken) <= 6
    assert second.stop() == 0


def test_two_processes_on_one_postgresql_notify_once_and_the_other_takes_over(notifying, endpoint, postgresql):
    settings = environment(postgresql.new_database("monitor_notify"))
    servers = [notifying(SLACK, **settings) for _ in range(2)]

    with ThreadPoolExecutor(8) as senders:
        list(senders.map(lambda number: [server.post(said(number)) for server in servers], range(50)))
    until(lambda: len(endpoint.taken) >= 50, 15)
    time.sleep(1)
    servers[0].stop(signal.SIGKILL)
    servers[1].post(said(50))
    until(lambda: len(endpoint.taken) >= 51, 30)  # the lease of what was killed runs out first, in 15 s

    assert sorted(texts(endpoint.bodies(TO_SLACK))) == sorted(f"step {number}.0" for number in range(51))


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
    assert texts(endpoint.bodies(TO_SLACK)) == ["step 2.0"]


COUNTED = """
from monitor import pipeline
def init_app(app, history, _init_app=pipeline.init_app):
    line = _init_app(app, history)
    def samples():
        return {s.name: [[*labels, value] for labels, value in s.values.items()] for f in line.samples for s in f()}
    app.get("/samples")(samples)
    return line
pipeline.init_app = init_app
"""


def samples(monitor):
    found = monitor.get("/samples").json()
    return [found[name] for name in ("notifications", "outbox_messages", "outbox_oldest_seconds")]


def test_a_message_that_fails_for_a_day_is_given_up_with_a_line_and_the_next_goes_out(notifying, endpoint):
    endpoint.status = 503
    monitor = notifying(SLACK, constants={"MOST_ATTEMPTS": 3, "FIRST_PAUSE": 0.05}, more=COUNTED)
    monitor.post(said(1))
    until(lambda: "given up after 3 attempts" in monitor.log())
    endpoint.status = 200
    monitor.post(said(1, 1))

    until(lambda: endpoint.taken)
    assert len(endpoint.refused) == 3
    assert texts(endpoint.bodies(TO_SLACK)) == ["step 1.1"]
    until(lambda: samples(monitor)[1] == [["slack", 0]])
    assert {outcome: number for _, outcome, number in samples(monitor)[0]} == {
        "sent": 1,
        "failed": 3,
        "given_up": 1,
        "dropped": 0,
    }


def test_health_says_which_service_has_taken_nothing_for_long_until_it_does(notifying, endpoint):
    endpoint.status = 503
    monitor = notifying(SLACK, constants={"SECONDS_TO_WORRY": 0.5}, more=COUNTED)
    assert monitor.get("/health").json()["status"] == "ok"
    monitor.post(said(1))
    monitor.post(said(1, 1))

    until(lambda: monitor.get("/health").json()["status"] == "degraded")
    assert monitor.get("/health").json()["problems"] == {"notify": "slack has taken nothing for 0 minutes"}
    _, waiting, [[name, seconds]] = samples(monitor)
    assert (waiting, name) == ([["slack", 2]], "slack")
    assert seconds > 0.5
    endpoint.status = 200

    until(lambda: monitor.get("/health").json()["status"] == "ok")
    until(lambda: samples(monitor)[1:] == [[["slack", 0]], [["slack", 0]]])


def test_a_page_filter_waits_for_a_name_that_nobody_knows_yet(notifying, endpoint):
    monitor = notifying({"url": SLACK, "pages": ["fabRIKAM"]})
    monitor.post(said(1, page={"id": "p9"}))
    monitor.post(said(2, page={"id": "p9"}), "/webhook/statuspage?page=Fabrikam")
    monitor.post(said(3, page={"id": "p9"}))

    until(lambda: len(endpoint.taken) >= 2)
    time.sleep(0.3)
    assert texts(endpoint.bodies(TO_SLACK)) == ["step 2.0", "step 3.0"]


def service(**members):
    return parse(json.dumps([{"url": SLACK} | members]))[0]


def component(status, old_status, impact):
    return update(is_component_update=True, status=status, old_status=old_status, impact=impact)


AGAIN = component("operational", "partial_outage", "none")


@pytest.mark.parametrize(
    ("members", "given", "passes"),
    [
        ({}, update(), True),
        ({"pages": ["fabrikam"]}, update(), True),
        ({"pages": ["P1"]}, update(), True),
        ({"pages": ["Adatum"]}, update(), False),
        ({"components": ["SIGN-IN"]}, update(), True),
        ({"components": ["C1"]}, update(), True),
        ({"components": ["c2"]}, update(), False),
        ({"min_impact": "minor"}, update(), True),
        ({"min_impact": "major"}, update(), False),
        ({"min_impact": "major"}, update(impact=None), True),
        ({"min_impact": "major"}, update(impact="critical"), True),
        ({"min_impact": "critical"}, update(impact="maintenance"), True),
        ({"maintenance": False}, update(impact="maintenance"), False),
        ({"maintenance": False}, update(status="in_progress", impact="minor"), False),
        ({"maintenance": False}, update(), True),
        ({"min_impact": "major"}, AGAIN, True),
        ({"min_impact": "critical"}, AGAIN, False),
        ({"min_impact": "critical"}, component("degraded_performance", "major_outage", "minor"), True),
        ({"min_impact": "minor"}, component("operational", "operational", "none"), False),
        ({}, component("operational", "operational", "none"), True),
        ({"min_impact": "major"}, component("operational", None, "none"), True),
        ({"maintenance": False}, component("under_maintenance", "degraded_performance", "maintenance"), False),
        ({"maintenance": False}, component("operational", "under_maintenance", "none"), False),
        ({"min_impact": "major", "url": PAGERDUTY}, update(status="resolved"), True),
        ({"components": ["c1"], "url": PAGERDUTY}, update(components=()), False),
        ({"components": ["c2"], "url": PAGERDUTY}, update(status="resolved"), True),
        ({"pages": ["Adatum"], "url": PAGERDUTY}, update(status="resolved"), False),
        ({"components": ["c1"]}, update(status="resolved", components=()), False),
        ({"min_impact": "major"}, update(status="resolved"), False),
        ({"url": PAGERDUTY}, update(impact="maintenance"), False),
        ({"url": PAGERDUTY, "maintenance": True}, update(impact="maintenance"), True),
        ({"url": "opsgenie://APIKEYAPIKEY"}, update(impact="maintenance"), False),
    ],
)
def test_a_filter_lets_pass_what_it_should(members, given, passes):
    assert service(**members).takes(given) is passes


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("s3cret", "entry 1 is not a URL that Apprise takes"),
        (f"{SLACK}, nosuch://s3cret", "entry 2 ('nosuch') is not a URL that Apprise takes"),
        ("", "entry 1 is not a URL"),
        ("[", "is not JSON"),
        ("[]", "is not a list"),
        ('{"url": "x"}', "is not a list"),
        ("[1]", "entry 1 is neither"),
        (json.dumps([SLACK, {"pages": []}]), "entry 2 is neither"),
        (json.dumps([{"url": SLACK, "page": "x"}]), "entry 1 has the unknown member 'page'"),
        (json.dumps(["nosuch://s3cret"]), "entry 1 ('nosuch') is not a URL that Apprise takes"),
        (json.dumps(["s3cret"]), "is not a URL that Apprise takes"),
        (json.dumps([{"url": SLACK, "pages": "x"}]), "entry 1 (slack): pages is not a list"),
        (json.dumps([{"url": SLACK, "min_impact": "huge"}]), "entry 1 (slack): min_impact is not one of"),
        (json.dumps([{"url": SLACK, "min_impact": ["none"]}]), "entry 1 (slack): min_impact is not one of"),
        (json.dumps([{"url": SLACK, "maintenance": "no"}]), "entry 1 (slack): maintenance is not true or false"),
        (json.dumps([SLACK, SLACK]), "names a service twice"),
    ],
)
def test_a_setting_that_cannot_be_used_stops_the_start_and_shows_a_good_one_and_no_secret(value, complaint):
    with pytest.raises(BadSetting) as refusal:
        checked({"NOTIFY": value}, SETTINGS)

    assert str(refusal.value).startswith("MONITOR_NOTIFY ")
    assert complaint in str(refusal.value)
    is_json = value.strip().startswith(("[", "{"))
    assert str(refusal.value).endswith(f"; write it such as {GOOD_JSON if is_json else GOOD}")
    assert not any(secret in str(refusal.value) for secret in SECRETS)


@pytest.mark.parametrize("value", [f"{SLACK}, {PAGERDUTY},\n {OTHER_SLACK}", f" {SLACK} {PAGERDUTY}\t{OTHER_SLACK}\n"])
def test_services_may_be_listed_plainly_and_those_of_one_kind_are_told_apart(value):
    plain, in_json = parse(value), parse(json.dumps([SLACK, PAGERDUTY, OTHER_SLACK]))

    assert [found.name for found in plain] == ["slack", "pagerduty", "slack-2"]
    assert [found.key for found in plain] == [found.key for found in in_json]


def test_a_plain_list_keeps_the_commas_of_an_address():
    (mail,) = parse("mailto://127.0.0.1/?from=a@example.com&to=b@example.com,c@example.com")

    assert len(mail.plugin.targets) == 2


def test_no_secret_is_logged_or_answered_when_services_fail(notifying, endpoint):
    endpoint.status, endpoint.text = 403, "no such token: s3cretspiketoken0123456789abcdef0"
    spike = "spike://s3cretspiketoken0123456789abcdef"
    monitor = notifying(
        SLACK,
        PAGERDUTY,
        spike,
        "mailto://user:s3cret@example.com/?smtp=127.0.0.1&port=1",
        constants={"SECONDS_TO_WORRY": 0},
    )
    monitor.post(incident())
    until(lambda: monitor.log().count("it is tried again") == 4)

    said_in_all = monitor.log() + monitor.get("/health").text
    assert "spike" in monitor.get("/health").json()["problems"]["notify"]
    assert not any(secret in said_in_all for secret in SECRETS)
    assert "Traceback" not in monitor.log()


def test_test_notify_sends_one_message_to_each_and_reports(endpoint, mailbox):
    mail = f"mailto://127.0.0.1:{mailbox.port}/?from=monitor@example.com&to=oncall@example.com"

    def tried(*services):
        settings = CLEAN | ({"MONITOR_NOTIFY": json.dumps(services)} if services else {})
        command = [*preceded_by(pointed_at(endpoint)), "--test-notify"]
        return subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=20, check=False)

    unreachable = "mailto://127.0.0.1:1/?from=a@example.com&to=b@example.com"
    good, bad, unset = tried(SLACK, mail), tried(SLACK, unreachable), tried()

    assert (good.returncode, good.stdout) == (0, "slack: sent\nmailto: sent\n")
    assert (bad.returncode, bad.stdout.splitlines()[0]) == (1, "slack: sent")
    assert bad.stdout.splitlines()[1].startswith("mailto: failed: ")
    assert (unset.returncode, unset.stderr) == (2, "event_monitor: MONITOR_NOTIFY is not set\n")
    assert "test message" in mailbox.messages[0]["Subject"]


def replayed(since, *services, **settings):
    return run("--test-notify", "--since", since, MONITOR_NOTIFY=json.dumps(services), **settings)


def test_since_lists_what_each_service_would_have_been_told_and_sends_and_writes_nothing(start, endpoint, url):
    settings = environment(url)
    monitor = start(environment=settings)
    monitor.post(said(1, 10, impact="major"))
    monitor.post(said(1, 5, impact="major"))  # late
    monitor.post(said(2, 20))
    monitor.post(said(3, updated_at="2020-01-01T00:00:00Z", impact="major"))
    json_url = endpoint.url.replace("http", "json")

    alone = replayed("2026-01-01", json_url, {"url": SLACK, "min_impact": "major"}, **settings)
    monitor.stop()
    after = replayed("2026-01-01", json_url, **settings)

    assert (alone.returncode, alone.stderr) == (0, "")
    assert alone.stdout.splitlines() == [
        "json: 2 of 2 updates since 2026-01-01 00:00 UTC",
        "  2026-06-01 08:10  Fabrikam, major: Sign-in errors (investigating, began 2026-06-01 08:10 UTC)",
        "  2026-06-01 08:20  Fabrikam, minor: Sign-in errors (investigating, began 2026-06-01 08:20 UTC)",
        "slack: 1 of 2 updates since 2026-01-01 00:00 UTC",
        "  2026-06-01 08:10  Fabrikam, major: Sign-in errors (investigating, began 2026-06-01 08:10 UTC)",
    ]
    assert after.stdout.splitlines() == alone.stdout.splitlines()[:3]
    assert endpoint.taken == []
    assert "unclean" not in start(environment=settings).log()


@pytest.mark.parametrize(
    ("since", "settings", "said", "code"),
    [
        ("30d", {}, "nothing is kept: --since needs MONITOR_DATABASE_URL", 2),
        ("30", {}, "--since '30' is neither such as 30d", 2),
        ("1h", environment("sqlite:////dev/null"), "the history cannot be read", 1),
    ],
)
def test_a_trial_that_cannot_be_made_says_why(since, settings, said, code):
    tried = replayed(since, SLACK, **settings)

    assert (tried.returncode, tried.stdout) == (code, "")
    assert said in tried.stderr


def test_the_services_in_the_document_are_understood():
    example = (ROOT / "docs" / "notifications.md").read_text().split("export MONITOR_NOTIFY='")[1].split("'\n")[0]

    assert [found.name for found in parse(example)] == ["slack", "pagerduty", "mailtos"]
