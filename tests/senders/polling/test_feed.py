"""Atom and RSS: a page that has no API of Statuspage's is heard by its feed."""

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from html import escape

import pytest

from monitor.senders.pages import KnownPage
from monitor.senders.polling import client, feed, polled_page
from tests.conftest import ROOT, incident
from tests.senders.polling.played import Polling

REAL = ROOT.parent / "shared" / "payloads" / "real"
ATOM, RSS = "application/atom+xml", "application/rss+xml"


@pytest.fixture
def page(status_page):
    """A page without an API."""
    status_page.incidents = None
    return status_page


def named(address, kind=ATOM):
    html = f"<html><head><LINK title='x' href='{address}' type='{kind}' rel='alternate'></head></html>"
    return "text/html", html.encode()


def atom(*entries, title="Contoso Status"):
    body = "".join(
        f"<entry><title>{escape(one['title'])}</title><id>{one['id']}</id><link href='{one['link']}'/>"
        f"<updated>{one['updated']}</updated><content type='html'>{escape(one['html'])}</content></entry>"
        for one in entries
    )
    return ATOM, f"<feed xmlns='http://www.w3.org/2005/Atom'><title>{title}</title>{body}</feed>".encode()


def entry(html, title="Errors", number=1, updated="2026-06-01T08:30:00Z", **fields):
    link = f"https://status.example.com/incidents/i{number}aaaa"
    return {"title": title, "id": link, "link": link, "updated": updated, "html": html} | fields


def rss(*items):
    body = "".join(
        f"<item><title>{title}</title><link>http://status.aws.amazon.com/</link><pubDate>{format_datetime(at)}</pubDate>"
        f"<guid isPermaLink='false'>http://status.aws.amazon.com/#{where}_{int(at.timestamp())}</guid>"
        f"<description>{text}</description></item>"
        for title, where, at, text in items
    )
    return RSS, f"<rss version='2.0'><channel><title>Contoso</title>{body}</channel></rss>".encode()


def steps(*entries):
    """A story as Statuspage's and Instatus' feeds have it, given oldest first."""
    return " ".join(
        f"<p> <small>Jun <var data-var='date'> 1</var>, <var data-var='time'>08:{minute:02}</var> {zone}</small><br> "
        f"<strong>{status}</strong> - {text} </p>"
        for minute, status, text, zone in entries[::-1]
    )


def test_a_page_whose_html_names_a_feed_is_heard_by_it_and_says_so(page, caplog):
    caplog.set_level("INFO")
    page.files = {"/": named("/history.atom"), "/history.atom": atom(entry(steps((30, "Investigating", "one", "UTC"))))}
    app = Polling(page.url)

    assert app.poll() == 60

    assert app.printed == ["[2026-06-01 08:30:00] Product: Contoso - Errors\nStatus: one\n"]
    assert app.page("Contoso")["read_by"] == f"the feed {page.url}/history.atom"
    assert f"polling: {page.url} is read by the feed {page.url}/history.atom" in caplog.text


def test_a_feed_by_its_own_address_is_read(page):
    page.files = {"/": atom(entry(steps((30, "Identified", "one", "UTC"))))}
    app = Polling(page.url)

    app.poll()

    assert app.messages() == ["one"]


def test_how_a_page_is_asked_is_chosen_once(page):
    page.files = {"/": named("/f"), "/f": atom(entry(steps((30, "Identified", "one", "UTC"))))}
    app = Polling(page.url)
    app.poll()
    asked = len(page.asked)

    app.poll()

    assert [path for path, *_ in page.asked[asked:]] == ["/f"]


def test_each_step_of_a_story_in_a_feed_is_told_once_at_its_time(page):
    first = (10, "Investigating", "one", "UTC")
    page.files = {"/": atom(entry(steps(first), updated="2026-06-01T08:10:09Z"))}
    app = Polling(page.url)
    app.poll()
    story = steps(first, (20, "Identified", "two", "UTC"), (30, "Resolved", "three", "UTC"))
    page.files = {"/": atom(entry(story, updated="2026-06-01T08:30:09Z"))}

    app.poll()
    app.poll()

    assert app.messages() == ["one", "two", "three"]
    assert app.printed[1].startswith("[2026-06-01 08:20:00]")
    (found,) = app.incidents()
    assert (found["id"], found["status"], len(found["incident_updates"])) == ("i1aaaa", "resolved", 3)


def test_a_story_in_the_page_s_own_time_zone_is_read_by_the_entry_s_time(page):
    story = steps((10, "Investigating", "one", "PDT"), (30, "Monitoring", "two", "PDT"))
    page.files = {"/": atom(entry(story, updated="2026-06-01T15:30:12Z"))}
    app = Polling(page.url)

    app.poll()

    times = [step["display_at"] for step in app.incidents()[0]["incident_updates"]]
    assert times == ["2026-06-01T15:30:00.000Z", "2026-06-01T15:10:00.000Z"]


def test_the_history_of_a_real_statuspage_is_read(page):
    page.files = {"/": (ATOM, (REAL / "statuspage-history.atom").read_bytes())}
    app = Polling(page.url)

    app.poll()

    (found,) = app.incidents()
    assert (found["id"], found["status"], found["page"]["name"]) == ("t8fpw9vcshl9", "resolved", "Claude")
    assert [step["status"] for step in found["incident_updates"]] == ["resolved", "identified"]
    assert found["created_at"] == "2026-09-16T16:18:00.000Z"
    assert app.printed == []  # it was over when the page was first asked


def test_the_feed_of_incident_io_is_read(page):
    page.files = {"/": (ATOM, (REAL / "openai-feed.atom").read_bytes())}
    app = Polling(page.url)

    app.poll()

    found = app.incidents()[0]
    assert (found["id"], found["status"]) == ("01M3DCNWMW57HYK8FJ5FBFPA39", "resolved")
    assert [component["name"] for component in found["components"]][:2] == ["Codex Web", "CLI"]
    assert found["incident_updates"][0]["body"] == "All impacted services have now fully recovered."


def test_the_history_of_instatus_is_read(page):
    html = "<p><b>Type: Incident</b></p><p><strong>Affected Components:</strong> API, Web app</p>" + steps(
        (30, "Identified", "A fix is on its way.", "GMT+0")
    )
    page.files = {"/": atom(entry(html, link="https://contoso.instatus.com/incident/cm1abc", id="https://x/2"))}
    app = Polling(page.url)

    app.poll()

    assert app.printed == ["[2026-06-01 08:30:00] Product: Contoso - API, Web app\nStatus: A fix is on its way.\n"]
    assert app.incidents()[0]["id"] == "cm1abc"


def test_the_feed_of_google_cloud_is_read(page):
    html = (
        "<p> Incident began at <strong>2026-06-01 08:00</strong> <span>(all times are <strong>US/Pacific</strong>)."
        "</span></p><div><p>Errors.</p></div><hr><p>Affected products: Cloud Monitoring, Google Cloud Pub/Sub</p>"
    )
    page.files = {"/": atom(entry(html, "UPDATE: Global: Errors", updated=datetime.now(UTC).isoformat()))}
    app = Polling(page.url)
    app.poll()
    page.files = {"/": atom(entry(html + "Done.", "RESOLVED: Global: Errors", updated=datetime.now(UTC).isoformat()))}

    app.poll()

    assert app.printed[0].split("Product: ")[1].startswith("Contoso - Cloud Monitoring, Google Cloud Pub/Sub\n")
    (found,) = app.incidents()
    assert (found["name"], found["status"], len(app.printed)) == ("Global: Errors", "resolved", 2)


def test_an_incident_of_aws_is_told_item_by_item_and_ends(page):
    now = datetime.now(UTC).replace(microsecond=0)
    begin = ("Service degradation: Errors", "rds-us-east-1", now - timedelta(hours=1), "We look into it.")
    end = ("Service is operating normally: [RESOLVED] Errors", "rds-us-east-1", now, "It works again.")
    other = ("Informational message: Errors", "billingconsole", now, "See you.")
    page.files = {"/": rss(begin)}
    app = Polling(page.url)
    app.poll()
    assert app.page("Contoso")["state"] == "minor"
    page.files = {"/": rss(other, end, begin)}

    app.poll()

    assert sorted(app.messages()) == ["It works again.", "See you.", "We look into it."]
    (found,) = app.incidents("?component=rds us-east-1")
    assert (found["name"], found["status"], len(found["incident_updates"])) == ("Errors", "resolved", 2)
    assert [found["components"][0]["name"] for found in app.incidents("?status=open")] == ["billingconsole"]


def test_the_real_feed_of_aws_is_read_and_what_no_item_ended_is_not_open_for_ever(page):
    page.files = {"/": (RSS, (REAL / "aws-all.rss").read_bytes())}
    app = Polling(page.url)

    app.poll()

    (found,) = app.incidents()
    assert (found["name"], found["status"]) == ("Connectivity issues affecting some instances", "resolved")
    assert found["updated_at"] == "2023-02-10T23:48:00.000Z"
    assert found["components"] == [{"id": "rds us-east-1", "name": "rds us-east-1", "status": "operational"}]
    assert app.incidents("?status=open") == []


def test_what_says_in_brackets_that_it_is_over_is_over(page):
    page.files = {"/": atom(entry("We fixed it.", "[Resolved] Errors"))}
    app = Polling(page.url)

    app.poll()

    assert [(found["name"], found["status"]) for found in app.incidents()] == [("Errors", "resolved")]


def test_a_feed_is_found_where_its_maker_has_it_though_the_html_names_none(page):
    page.files = {"/feed.rss": rss(("Service disruption: Errors", "api", datetime.now(UTC), "We look into it."))}

    source, answer = polled_page.choose(KnownPage(page.url, platform="betterstack"), client.StatusPageClient("1"))

    assert source.how == f"the feed {page.url}/feed.rss"
    assert [found["name"] for found in answer.incidents] == ["Errors"]


def test_a_feed_over_a_mebibyte_is_refused(page):
    page.files = {"/": named("/f"), "/f": (ATOM, b"<feed>" + b" " * feed.LARGEST_FEED)}
    app = Polling(page.url)

    assert app.poll() == 300

    assert app.get("/pages").json["pages"][0]["problem"] == "answers more than 1048576 bytes"


@pytest.mark.parametrize(
    "body",
    [b"<feed>", b"<rss><channel>" + b"<item>" * 100_000, b"<feed" + b" a" * 400_000],
    ids=["empty", "deep", "no end"],
)
def test_a_feed_that_cannot_be_parsed_is_a_problem_of_its_page(page, body):
    page.files = {"/": named("/f"), "/f": (ATOM, body)}
    app = Polling(page.url)

    app.poll()

    assert app.printed == []
    assert "Traceback" not in str(app.get("/pages").json)


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+14:00", "yesterday"])
def test_an_entry_with_a_date_that_cannot_be_read_goes_by_its_other_date_and_hides_no_other(page, at):
    now = datetime.now(UTC).isoformat()
    odd, good = (
        f"<entry><id>{name}</id><title>{name}</title><updated>{updated}</updated><published>{now}</published>"
        f"<content>{name}</content></entry>"
        for name, updated in (("odd", at), ("good", now))
    )
    page.files = {"/": (ATOM, f'<feed xmlns="http://www.w3.org/2005/Atom"><title>X</title>{odd}{good}</feed>'.encode())}
    app = Polling(page.url)

    app.poll()

    assert sorted(app.messages()) == ["good", "odd"]


def test_a_feed_that_takes_too_long_is_given_up(page, monkeypatch):
    monkeypatch.setattr(feed, "SECONDS_TO_PARSE", 0.01)
    page.files = {"/": atom(entry(steps((30, "Identified", "one", "UTC"))))}
    app = Polling(page.url)

    app.poll()

    assert "has a feed that could not be parsed: TimeoutExpired" in app.get("/pages").json["pages"][0]["problem"]


def test_a_page_without_api_and_feed_says_so(page):
    page.files = {"/": ("text/html", b"<html><link rel=alternate type=application/rss+xml href=https://x.example/f>")}
    app = Polling(page.url)

    app.poll()

    assert app.get("/pages").json["pages"][0]["problem"] == "answers 404; its HTML names no feed, either"


def test_while_a_large_feed_is_parsed_webhooks_are_answered(start, page):
    story = steps((10, "Investigating", "one", "UTC"), (30, "Resolved", "two " * 700, "UTC"))
    page.files = {"/": atom(*[entry(story, number=number) for number in range(300)])}
    monitor = start(environment={"MONITOR_PAGES": json.dumps([page.url])})

    slowest = 0.0
    while "not polled yet" in monitor.get("/pages").text:
        began = time.monotonic()
        monitor.post(incident(f"i{began}"))
        slowest = max(slowest, time.monotonic() - began)

    assert len(page.files["/"][1]) > 900_000
    assert len(monitor.incidents("?page=Contoso&limit=200")) == 100
    assert slowest < 1
