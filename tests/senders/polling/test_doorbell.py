"""A doorbell polls its page at once, whatever rings it; its token does nothing else."""

import json
import math
import re
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
import requests

from monitor.pipeline import pipeline_of
from monitor.senders.polling import bell
from tests.conftest import ROOT, InProcess, environment, incident, until
from tests.status_page import StatusPage

NEWS = incident(created_at="2026-06-01T08:00:00Z", resolved_at=None)["incident"]
SHORT = "from monitor.senders.polling import bell\nbell.WAITS, bell.SECONDS_BETWEEN = (0, 0.5, 1, 1.5), 0.4"
PAGES = [
    {"url": "https://status.adatum.example", "name": "Adatum", "id": "adatum-id"},
    {"url": "https://status.contoso.example"},
]


@pytest.fixture
def status_page():
    served = StatusPage()
    yield served
    served.stop()


@pytest.fixture
def app():
    return with_settings(WEBHOOK_TOKEN="secret")


def with_settings(**settings):
    app = InProcess({"PAGES": json.dumps(PAGES)} | settings)
    for stop in pipeline_of(app.application).stopping:  # the pages are not there
        stop()
    return app


def ring(app, page="Adatum", token="secret", body=b"", **keywords):
    return app.application.test_client().post(f"/doorbell/{page}?token={token}", data=body, **keywords)


def addresses(page="", **settings):
    """What --doorbell prints: the address of each doorbell."""
    environment = {"MONITOR_PAGES": json.dumps(PAGES), **{f"MONITOR_{name}": text for name, text in settings.items()}}
    command = [sys.executable, "event_monitor.py", "--doorbell", *([page] if page else [])]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def last_ring(app):
    rings = {page["name"]: page["last_ring"] for page in app.get("/pages").json["pages"]}
    return rings["Adatum"]


def polls(status_page):
    return sum(path == "/api/v2/incidents.json" for path, *_ in status_page.asked)


def polling(start, status_page, **keywords):
    """A monitor that has polled the page once, and rings it with `ring()`."""
    pages = json.dumps([{"url": status_page.url, "name": "Fabrikam"}])
    settings = {"MONITOR_PAGES": pages} | keywords.pop("environment", {})
    monitor = start(environment=settings, preamble=SHORT, **keywords)
    until(lambda: polls(status_page) >= 1)
    until(lambda: [page for page in monitor.get("/pages").json()["pages"] if page["problem"] != "not polled yet"])
    monitor.ring = lambda: requests.post(f"{monitor.url}/doorbell/Fabrikam", timeout=5)
    monitor.last_ring = lambda: monitor.get("/pages").json()["pages"][0]["last_ring"]
    return monitor


# Who may ring


@pytest.mark.parametrize("page", ["Adatum", "ADATUM", "status.adatum.example", "adatum-id", "status.contoso.example"])
def test_a_page_is_rung_by_its_name_host_or_id_in_any_case(app, page):
    answer = ring(app, page)

    assert (answer.status_code, answer.json) == (202, {"status": "polling"})


def test_a_page_that_is_not_polled_is_404_and_a_wrong_token_is_401(app):
    unknown = ring(app, "Fabrikam")

    assert (unknown.status_code, unknown.json) == (404, {"error": "no page 'Fabrikam' is polled: see MONITOR_PAGES"})
    assert ring(app, "Fabrikam", "wrong").status_code == 401
    assert ring(app, "Adatum", "wrong").status_code == 401
    assert InProcess({}).post(b"", "/doorbell/Adatum").status_code == 404


def test_without_a_webhook_token_none_is_asked():
    assert ring(with_settings(), token="").status_code == 202
    assert addresses().stdout.split() == [
        "https://YOUR-HOST/doorbell/Adatum",
        "https://YOUR-HOST/doorbell/status.contoso.example",
    ]


def test_the_token_that_is_printed_rings_its_page_and_does_nothing_else(app):
    printed = addresses("adatum", WEBHOOK_TOKEN="secret").stdout
    path, _, token = printed.strip().removeprefix("https://YOUR-HOST").partition("?token=")

    assert path == "/doorbell/Adatum"
    assert ring(app, token=token).status_code == 202
    assert ring(app, "status.contoso.example", token).status_code == 401
    assert app.post(incident(), f"/webhook/statuspage?token={token}").status_code == 401
    assert "secret" not in printed


def test_a_token_that_speaks_for_another_page_does_not_ring():
    tokens = json.dumps({"secret-a": "Adatum", "secret-f": "Fabrikam"})
    app = with_settings(WEBHOOK_TOKEN=tokens)
    (adatum, contoso) = (line.partition("?token=")[2] for line in addresses(WEBHOOK_TOKEN=tokens).stdout.split())

    assert [ring(app, token=token).status_code for token in ("secret-a", adatum, "secret-f")] == [202, 202, 401]
    assert ring(app, "status.contoso.example", contoso).status_code == 202


def test_an_address_that_cannot_be_printed_is_said_in_one_line():
    unknown, bad = addresses("Fabrikam"), addresses(PAGES="[")

    assert (unknown.returncode, bad.returncode) == (2, 2)
    assert unknown.stderr == (
        "event_monitor: --doorbell: no page 'Fabrikam' is in MONITOR_PAGES,"
        " which names Adatum, status.contoso.example\n"
    )
    assert bad.stderr.startswith("event_monitor: MONITOR_PAGES is not JSON: write MONITOR_PAGES=")


# What rings, as its sender documents it

POSTMARK = {  # https://postmarkapp.com/developer/webhooks/inbound-webhook
    "FromName": "OpenAI status",
    "MessageStream": "inbound",
    "From": "noreply@status.openai.com",
    "FromFull": {"Email": "noreply@status.openai.com", "Name": "OpenAI status", "MailboxHash": ""},
    "ToFull": [{"Email": "1a2b+openai@inbound.postmarkapp.com", "Name": "", "MailboxHash": "openai"}],
    "Subject": "Elevated error rates",
    "TextBody": 'We are investigating. {"type": "url_verification", "challenge": "no"}',
    "Headers": [{"Name": "X-Spam-Status", "Value": "No"}],
    "Attachments": [],
}
MAILGUN = {  # https://documentation.mailgun.com/docs/mailgun/user-manual/receive-forward-store/receive-http
    "recipient": "openai@in.example.com",
    "sender": "bounces@status.openai.com",
    "from": "OpenAI status <noreply@status.openai.com>",
    "subject": "Elevated error rates",
    "body-plain": "We are investigating.",
    "timestamp": "1780300800",
    "token": "5" * 50,
    "signature": "a" * 64,
}
SENDGRID = {  # https://www.twilio.com/docs/sendgrid/for-developers/parsing-email/setting-up-the-inbound-parse-webhook
    "headers": "Received: by mx.sendgrid.net",
    "envelope": '{"to":["openai@in.example.com"],"from":"bounces@status.openai.com"}',
    "subject": "Elevated error rates",
    "text": "We are investigating.",
    "charsets": '{"text":"utf-8"}',
    "SPF": "pass",
}
SLACK = {  # https://docs.slack.dev/apis/events-api
    "token": "z26uFbvR1xHJEdHE1OQiO6t8",
    "team_id": "T061EG9RZ",
    "type": "event_callback",
    "event": {"type": "message", "channel": "C061EG9SL", "text": "Elevated error rates", "ts": "1780300800.000100"},
    "event_id": "Ev9UQ52YNA",
    "event_time": 1780300800,
}
GOOGLE_CLOUD = {  # https://cloud.google.com/monitoring/support/notification-options#webhooks
    "version": "1.2",
    "incident": {"incident_id": "0.abc", "state": "open", "policy_name": "Service health", "started_at": 1780300800},
}
SNS = {  # https://docs.aws.amazon.com/sns/latest/dg/http-notification-json.html
    "Type": "Notification",
    "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
    "TopicArn": "arn:aws:sns:us-west-2:123456789012:status",
    "Message": "Elevated error rates",
}
CONFIRMATION = SNS | {  # https://docs.aws.amazon.com/sns/latest/dg/http-subscription-confirmation-json.html
    "Type": "SubscriptionConfirmation",
    "Token": "2336412f37",
    "SubscribeURL": "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription"
    "&TopicArn=arn:aws:sns:us-west-2:123456789012:status&Token=2336412f37",
}


def sns(body, kind):
    return {"body": json.dumps(body), "content_type": "text/plain; charset=UTF-8"} | {
        "headers": {"x-amz-sns-message-type": kind}
    }


@pytest.mark.parametrize(
    "sent",
    [
        {"body": json.dumps(POSTMARK), "content_type": "application/json"},
        {"body": MAILGUN, "content_type": "application/x-www-form-urlencoded"},
        {"body": SENDGRID, "content_type": "multipart/form-data"},
        {},
        {"body": json.dumps(SLACK), "content_type": "application/json"},
        {"body": json.dumps(GOOGLE_CLOUD), "content_type": "application/json"},
        sns(SNS, "Notification"),
        {"body": b"\xff" * 1024 * 1024, "headers": {"Content-Encoding": "gzip"}},
    ],
    ids=["Postmark", "Mailgun", "SendGrid", "Email Worker", "Slack", "Google Cloud", "SNS", "1 MiB of anything"],
)
def test_whatever_rings_is_not_read(app, sent):
    answer = ring(app, **sent)

    assert (answer.status_code, answer.json) == (202, {"status": "polling"})
    assert last_ring(app)["found"] == "polling"


def test_more_than_a_mebibyte_is_413(app):
    assert ring(app, body=b"x" * (1024 * 1024 + 1)).status_code == 413
    assert last_ring(app) is None


def test_a_sender_that_takes_200_alone_for_success_is_answered_so(app):
    answer = app.post(b"", "/doorbell/Adatum?token=secret&answer=200")

    assert (answer.status_code, answer.json) == (200, {"status": "polling"})


def test_the_challenge_of_slack_is_echoed_to_who_has_the_token(app):
    challenge = {"token": "Jhj5dZrVaK7ZwHHjRyZWjbDl", "challenge": "3eZbrw1aBm2rZgRN", "type": "url_verification"}
    asked = {"body": json.dumps(challenge), "content_type": "application/json"}

    assert ring(app, **asked).json == {"challenge": "3eZbrw1aBm2rZgRN"}
    assert ring(app, token="wrong", **asked).status_code == 401


@pytest.fixture
def visited(monkeypatch):
    """The addresses that would be visited: nobody but Amazon can answer there."""
    addresses = []

    def get(address, **_):
        addresses.append(address)
        response = requests.Response()
        response.status_code, response.raw = 200, None
        response.close = lambda: None
        return response

    monkeypatch.setattr(requests, "get", get)
    return addresses


def test_a_subscription_of_sns_is_confirmed_with_the_right_token_only(app, visited):
    sent = sns(CONFIRMATION, "SubscriptionConfirmation")

    assert ring(app, token="wrong", **sent).status_code == 401
    assert ring(with_settings(), token="", **sent).status_code == 403
    assert visited == []
    assert ring(app, **sent).json == {"status": "confirming"}
    assert visited == [
        CONFIRMATION["SubscribeURL"].replace(
            "arn:aws:sns:us-west-2:123456789012:", "arn%3Aaws%3Asns%3Aus-west-2%3A123456789012%3A"
        )
    ]


@pytest.mark.parametrize(
    "address",
    [
        "http://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&Token=1",
        "https://sns.us-west-2.amazonaws.com/?Action=Publish&Token=1",
        "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&Action=Publish",
        "https://sns.us-west-2.amazonaws.com.example/?Action=ConfirmSubscription",
        "https://sns.us-west-2.amazonaws.com@example.com/?Action=ConfirmSubscription",
        "https://me@sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription",
        "https://sns.us-west-2.amazonaws.com:22/?Action=ConfirmSubscription",
        "https://169.254.169.254/?Action=ConfirmSubscription",
        "https://sns.a/b.amazonaws.com/?Action=ConfirmSubscription",
        "https://[::1",
        7,
        None,
    ],
)
def test_no_other_address_in_a_payload_is_visited(app, visited, address):
    answer = ring(app, **sns(CONFIRMATION | {"SubscribeURL": address}, "SubscriptionConfirmation"))

    assert (answer.status_code, visited) == (400, [])


# What a ring does


def test_what_a_page_says_is_printed_within_a_second_of_the_ring(start, status_page):
    monitor = polling(start, status_page)
    now = datetime.now(UTC).isoformat()
    status_page.incidents = [incident(created_at=now, updated_at=now, resolved_at=None)["incident"]]

    rung_at = time.monotonic()
    monitor.ring()
    printed = until(monitor.stdout_file.read_text)
    seconds = time.monotonic() - rung_at

    assert re.sub(r"[0-9]", "0", printed[:22]) == "[0000-00-00 00:00:00] "
    assert printed[22:] == "Product: Fabrikam - Sign-in\nStatus: Some people cannot sign in\n"
    assert seconds < 1
    until(lambda: monitor.last_ring()["found"] == "news")
    sample = 'event_monitor_doorbell_rings_total{outcome="news",page="Fabrikam"} 1.0'
    metrics = monitor.get("/metrics").text
    assert sample in metrics
    assert 'event_monitor_lag_seconds{page="Fabrikam",source="doorbell"}' in metrics
    assert monitor.get("/pages").json()["pages"][0]["doorbell"] == "/doorbell/Fabrikam"


def test_a_page_that_says_it_later_is_polled_again_until_it_does(start, status_page):
    monitor = polling(start, status_page)

    monitor.ring()
    until(lambda: polls(status_page) == 2)
    status_page.incidents = [NEWS]
    monitor.printed(1)
    until(lambda: monitor.last_ring()["found"] == "news")
    time.sleep(1.5)

    assert polls(status_page) == 3


def test_a_page_that_says_nothing_new_is_polled_four_times(start, status_page):
    monitor = polling(start, status_page)

    monitor.ring()
    until(lambda: monitor.last_ring()["found"] == "nothing")
    time.sleep(0.6)

    assert polls(status_page) == 1 + 4


def test_however_many_ring_the_page_is_polled_once_in_ten_seconds(start, status_page):
    monitor = polling(start, status_page)

    began = time.monotonic()
    while (taken := time.monotonic() - began) < 1.2:
        assert monitor.ring().status_code == 202

    assert 2 <= polls(status_page) <= 1 + 1 + math.ceil(taken / 0.4)


@pytest.mark.parametrize(
    "answer",
    [(429, {}, b""), (403, {}, b"<html>"), (503, {"Retry-After": "120"}, b"")],
    ids=["429", "403", "Retry-After"],
)
def test_no_ring_shortens_a_pause_that_the_page_asked_for(start, status_page, answer):
    status_page.answers = [answer]
    monitor = polling(start, status_page)

    assert monitor.ring().status_code == 202
    time.sleep(1)

    assert polls(status_page) == 1
    assert monitor.last_ring()["found"] == "paused"


def test_a_page_that_failed_without_asking_for_a_pause_is_polled(start, status_page):
    status_page.answers = [(500, {}, b"")] * 2
    monitor = polling(start, status_page)
    status_page.incidents = [NEWS]

    monitor.ring()

    assert "Sign-in" in monitor.printed(1)


def test_of_several_processes_the_one_that_is_rung_polls(start, status_page, sqlite_url):
    first = polling(start, status_page, environment=environment(sqlite_url))
    second = start(
        environment={"MONITOR_PAGES": json.dumps([{"url": status_page.url, "name": "Fabrikam"}])}
        | environment(sqlite_url)
    )
    time.sleep(0.5)
    assert polls(status_page) == 1
    status_page.incidents = [NEWS]

    requests.post(f"{second.url}/doorbell/Fabrikam", timeout=5)

    assert "Sign-in" in second.printed(1)
    first.ring()
    time.sleep(0.5)
    assert first.printed() == ""


def test_a_ring_beside_news_leaves_a_page_alone_that_asks_for_a_pause(monkeypatch):
    monkeypatch.setattr(bell, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(bell, "WAITS", (0.0, 0.05, 0.1))
    rung = bell.Bell()
    rung.ring()
    rung.wait(60)
    rung.ring()  # while the page is polled, and says news
    rung.told += 1
    rung.wait(60)
    rung.failed(0.5)
    began = time.monotonic()

    rung.wait(0.6)

    assert time.monotonic() - began > 0.5
