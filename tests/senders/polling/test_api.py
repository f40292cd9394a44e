"""Statuspage's API whole: maintenances, components, what is open beyond the newest 50; and incident.io beside it."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from monitor.senders.polling import polled_page, statuspage_api
from tests.conftest import ROOT, payload
from tests.senders.polling.played import Polling, ago, component, entry, summary, told

REAL = ROOT.parent / "shared" / "payloads" / "real"
FEED = "/feed.atom"


def real(name):
    return json.loads((REAL / name).read_text())


def maintenance(*entries, **fields):
    hours = timedelta(hours=1)
    window = {"scheduled_for": datetime.now(UTC) + hours, "scheduled_until": datetime.now(UTC) + 2 * hours}
    window = {name: at.isoformat() for name, at in window.items()}
    return told("m1", *entries, name="Moving house", impact="maintenance", **window | fields)


@pytest.fixture
def openai(status_page):
    """status.openai.com as it answered, with its feed and its proxy, before and after an incident ended."""
    first = real("openai-incidents-1.json")
    status_page.page, status_page.incidents = first["page"], first["incidents"]
    status_page.files[FEED] = "application/atom+xml", (REAL / "openai-feed.atom").read_bytes()
    status_page.files["/proxy/127.0.0.1"] = "application/json", (REAL / "openai-proxy.json").read_bytes()
    return status_page


@pytest.fixture
def at_once(monkeypatch):
    """A change of a component is told at once."""
    monkeypatch.setattr(polled_page, "SECONDS_TO_SETTLE", 0)


# Maintenances


def test_a_maintenance_is_told_when_it_is_planned_and_when_it_is_completed(status_page):
    planned = maintenance(ago(30, "scheduled"))
    status_page.summary = summary(maintenances=[planned])
    app = Polling(status_page.url)
    assert app.poll() == 300  # what is ahead is not open yet
    status_page.summary = summary()
    status_page.maintenances = [maintenance(ago(30, "scheduled"), ago(5, "completed"))]

    app.poll()
    app.poll()

    assert app.messages() == ["30 minutes ago", "5 minutes ago"]
    assert app.incidents()[0]["status"] == "completed"


def test_a_page_without_a_summary_is_asked_for_its_maintenances(status_page):
    status_page.maintenances = [maintenance(ago(30, "in_progress"))]
    app = Polling(status_page.url)

    app.poll()

    assert app.messages() == ["30 minutes ago"]
    assert app.page()["state"] == "maintenance"


def test_a_maintenance_that_its_page_deleted_ends(status_page):
    status_page.summary = summary(maintenances=[maintenance(ago(30, "in_progress"))])
    app = Polling(status_page.url)
    app.poll()
    status_page.summary, status_page.maintenances = summary(), []

    app.poll()

    assert app.messages()[1:] == ["The page no longer lists this incident as open."]
    assert app.incidents()[0]["status"] == "completed"


# What is open beyond the newest 50


def test_what_is_open_behind_fifty_newer_ones_is_told_and_ends(status_page):
    status_page.incidents = [told(f"i{number}", ago(60 + number, "resolved")) for number in range(50)]
    status_page.summary = summary(incidents=[told("old", ago(900))])
    app = Polling(status_page.url)
    app.poll()
    status_page.summary = summary()

    app.poll()

    assert app.messages() == ["900 minutes ago", "The page no longer lists this incident as open."]
    assert "/api/v2/incidents/unresolved.json" not in [path for path, *_ in status_page.asked]


# Components


@pytest.mark.usefixtures("at_once")
def test_a_component_that_is_down_without_an_incident_is_told_once_and_when_it_works_again(status_page):
    status_page.summary = summary(component("major_outage"), component("major_outage", id="g1", group=True))
    app = Polling(status_page.url)
    app.poll()
    app.poll()
    assert app.page()["state"] == "critical"
    status_page.summary = summary(component("operational", 1))

    app.poll()
    app.poll()

    assert app.messages() == ["Major outage", "Operational (was Major outage)"]
    assert app.page()["state"] == "operational"


@pytest.mark.usefixtures("at_once")
def test_of_very_many_components_that_are_down_each_is_told_once(status_page):
    down = [component("major_outage", id=f"c{number}", name=f"Component {number}") for number in range(450)]
    status_page.summary = summary(*down)
    app = Polling(status_page.url)
    for _ in range(5):
        app.poll()

    names = [printed.partition("\n")[0].partition(" - ")[2] for printed in app.printed]

    assert sorted(names) == sorted(one["name"] for one in down)


@pytest.mark.usefixtures("at_once")
def test_a_component_that_an_open_incident_names_is_no_news(status_page):
    down = component("partial_outage")
    status_page.incidents = [told("i1", entry(1), components=[down])]
    status_page.summary = summary(down, incidents=status_page.incidents)
    app = Polling(status_page.url)

    app.poll()

    assert app.messages() == ["step 1"]


@pytest.mark.usefixtures("at_once")
def test_a_status_that_a_push_told_is_no_news(status_page):
    change = payload("component-update") | {"page": {"id": "p4g3"}}
    changed = change["component_update"]
    status_page.summary = summary(component(changed["new_status"], id=changed["component_id"]))
    app = Polling(status_page.url)
    app.post(change)

    app.poll()

    assert len(app.printed) == 1


@pytest.mark.usefixtures("at_once")
def test_a_component_works_again_though_our_clock_is_behind_that_of_its_page(status_page):
    app = Polling(status_page.url)
    change = payload("component-update") | {"page": {"id": "p4g3"}}
    change["component_update"]["created_at"] = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
    app.post(change)
    status_page.summary = summary(component("operational", id=change["component_update"]["component_id"]))
    for _ in range(3):
        app.poll()

    assert len(app.printed) == 2
    assert app.page()["state"] == "operational"


def test_a_component_is_told_once_its_page_has_said_so_for_a_while(status_page, monkeypatch):
    status_page.summary = summary(component("major_outage"))
    app = Polling(status_page.url)
    assert app.poll() == 60
    app.poll()
    assert app.messages() == []
    monkeypatch.setattr(polled_page, "SECONDS_TO_SETTLE", 0)

    app.poll()

    assert app.messages() == ["Major outage"]


def test_a_component_that_is_said_down_out_of_a_cache_after_its_incident_ended_is_not_told(status_page):
    down = component("partial_outage")
    status_page.incidents = [told("i1", ago(30), components=[down])]
    status_page.summary = summary(down, incidents=status_page.incidents)
    app = Polling(status_page.url)
    app.poll()
    well = component("operational", 1)
    status_page.incidents = [told("i1", ago(30), ago(1, "resolved"), components=[well])]
    app.poll()
    status_page.summary = summary(well)

    app.poll()

    assert app.messages() == ["30 minutes ago", "1 minutes ago"]


# As few requests as possible, and CDNs


def test_what_has_not_changed_is_not_sent_and_what_is_not_there_not_asked_for_again(status_page):
    status_page.incidents, status_page.summary = [told("i1", entry(1, "resolved"))], summary(component("operational"))
    app = Polling(status_page.url)
    app.poll()
    sent = status_page.sent

    app.poll()

    assert status_page.sent == sent
    assert len(status_page.asked) == 4
    assert all("If-None-Match" in headers for _, headers, _ in status_page.asked[2:])


@pytest.mark.usefixtures("at_once")
def test_what_could_not_be_recorded_is_asked_for_again(status_page, monkeypatch):
    status_page.summary = summary(component("major_outage"))
    app = Polling(status_page.url)
    with monkeypatch.context() as patched:
        patched.setattr("monitor.senders.polling.poller.changes", lambda *_: 1 / 0)
        app.poll()

    app.poll()

    assert app.messages() == ["Major outage"]


@pytest.mark.parametrize("status", [403, 405])
def test_a_challenge_of_a_cdn_says_so(status_page, status):
    status_page.answers = [(status, {"Content-Type": "text/html"}, b"<html>Are you human?</html>")]
    app = Polling(status_page.url)

    app.poll()

    problem = app.get("/pages").json["pages"][0]["problem"]
    assert problem == f"answers {status} with a page for people: a CDN takes us for a robot"


def test_behind_a_challenge_the_page_is_asked_at_statuspage_io(status_page, other_page, monkeypatch):
    monkeypatch.setattr(statuspage_api, "WITHOUT_A_CDN", f"{other_page.url}/{{}}")
    status_page.answers = [(403, {"Content-Type": "text/html"}, b"<html>")] * 9
    body = json.dumps({"page": {"id": "abcdef012345"}, "incidents": [told("i1", entry(1))]}).encode()
    other_page.files["/abcdef012345/api/v2/incidents.json"] = "application/json", body
    app = Polling({"url": status_page.url, "id": "abcdef012345", "name": "Contoso"})

    app.poll()
    app.poll()

    assert app.messages() == ["step 1"]
    assert len(status_page.polls) == 1
    assert app.page("Contoso")["problem"] is None


# incident.io


def test_openai_is_heard_with_its_components_and_links(openai):
    app = Polling(openai.url)
    app.poll()
    second = real("openai-incidents-2.json")
    openai.page, openai.incidents = second["page"], second["incidents"]
    proxy = real("openai-proxy.json")
    proxy["summary"] |= {"affected_components": [], "ongoing_incidents": []}
    openai.files["/proxy/127.0.0.1"] = "application/json", json.dumps(proxy).encode()

    app.poll()
    app.poll()

    assert [printed.split("Product: ")[1].splitlines()[0] for printed in app.printed] == [
        "OpenAI - Codex Web",
        *["OpenAI - Codex Web, CLI, VS Code extension, Codex API"] * 4,
    ]
    assert app.messages()[0].startswith("We have identified that users are experiencing elevated errors")
    assert app.messages()[-1] == "All impacted services have now fully recovered."
    (found,) = app.incidents("?component=codex web&id=01M3DCNWMW57HYK8FJ5FBFPA39")
    assert found["shortlink"] == "https://status.openai.com//incidents/01M3DCNWMW57HYK8FJ5FBFPA39"
    assert found["components"][0] == {"id": "01JVCV8YSWZFRSM1G5CVP253SK", "name": "Codex Web", "status": "operational"}
    assert app.page("OpenAI")["state"] == "operational"


@pytest.mark.usefixtures("at_once")
def test_openai_is_heard_though_its_feed_and_its_proxy_vanish(openai):
    app = Polling(openai.url)
    app.poll()
    openai.incidents = real("openai-incidents-2.json")["incidents"]
    openai.files = {FEED: ("text/html", b"<html>oops")}

    app.poll()

    assert len(app.printed) == 5
    assert all("Product: OpenAI - Codex Web" in printed for printed in app.printed)


def test_openai_is_heard_without_feed_and_proxy(openai):
    openai.files = {}
    app = Polling(openai.url)

    app.poll()

    assert app.printed[0].splitlines()[0] == "[2026-09-25 23:03:04] Product: OpenAI - Issues with Codex"


def test_two_components_of_one_name_are_told_apart_by_their_groups(openai):
    proxy = real("openai-proxy.json")
    proxy["summary"]["components"][2]["name"] = "Codex Web"
    openai.files["/proxy/127.0.0.1"] = "application/json", json.dumps(proxy).encode()
    app = Polling(openai.url)

    app.poll()

    assert app.printed[0].splitlines()[0].endswith("OpenAI - Codex Codex Web")


def test_an_impact_of_none_on_incident_io_counts_as_not_given_and_stays_as_it_was_said(openai):
    openai.incidents[0]["impact"] = "none"
    app = Polling(openai.url)

    app.poll()

    assert app.page("OpenAI")["state"] == "unstated"
    assert [found["impact"] for found in app.incidents("?impact=unstated&status=open")] == ["none"]
    assert app.incidents("?impact=none") == []
