"""A page keeps its first name; MONITOR_PAGES sets names in advance; a token may belong to one page."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from monitor.senders.known_pages import parse
from monitor.senders.pages import SETTINGS
from monitor.settings import SETTINGS as CORE
from monitor.settings import BadSetting, checked
from tests.conftest import InProcess, environment, incident

UNNAMED = {"id": "p1"}


def app_with(**settings):
    return InProcess(settings)


def post(app, incident_id, page, *, named=None, minute=0, token=None, **fields):
    query = "&".join(f"{name}={value}" for name, value in (("page", named), ("token", token)) if value)
    body = incident(incident_id, page=page, updated_at=f"2026-06-01T08:{minute:02}:00Z", **fields)
    return app.post(body, f"/webhook/statuspage?{query}")


@pytest.mark.parametrize("character", ["x", "\N{COLLISION SYMBOL}"])
def test_a_list_of_pages_ends_at_1_mib_and_says_how_many_are_left_out(app, character):
    for number in range(600):
        page = {"id": f"p{number}", "name": f"{number} {character * 190}"}
        unsubscribe = {"unsubscribe": f"https://status.example/{'x' * 1900}"}
        app.post(incident(page=page) | {"meta": unsubscribe})

    read = app.get("/pages")

    assert len(read.data) <= 1024 * 1024
    assert len(read.json["pages"]) > 200
    assert len(read.json["pages"]) + read.json["pages_left_out"] == 600


def names(app):
    return [printed.split("Product: ")[1].split(" - ")[0] for printed in app.printed]


def test_a_page_keeps_the_name_that_it_was_first_seen_under(app):
    post(app, "i1", UNNAMED, named="GitHub")
    post(app, "i1", UNNAMED, minute=1)
    post(app, "i1", {"id": "p1", "name": "GitHub Status"}, minute=2)
    post(app, "i1", UNNAMED, named="Other", minute=3)
    post(app, "i1", {"id": "p2"}, minute=4)

    assert names(app) == ["GitHub"] * 4 + ["p2"]
    assert {found["page"]["name"] for found in app.incidents()} == {"GitHub", "p2"}


def test_a_page_first_seen_without_a_name_takes_the_first_name_given(app):
    post(app, "i1", UNNAMED)
    post(app, "i1", UNNAMED, named="GitHub", minute=1)
    post(app, "i1", UNNAMED, minute=2)

    assert names(app) == ["p1", "GitHub", "GitHub"]


def test_with_a_database_a_name_survives_a_restart(start, url):
    first = start(environment=environment(url))
    first.post(incident("i1", page=UNNAMED), "/webhook/statuspage?page=GitHub")
    first.stop()

    second = start(environment=environment(url))
    second.post(incident("i2", page=UNNAMED))

    assert "Product: GitHub - Sign-in" in second.printed(1)


def test_a_bound_page_has_the_id_that_an_earlier_run_found(start, url):
    first = start(environment=environment(url))
    first.post(incident("i1", page={"id": "kctbh9vrtdwd", "name": "GitHub"}))
    first.stop()

    second = start(environment=environment(url, MONITOR_WEBHOOK_TOKEN=json.dumps({"secret-g": "GitHub"})))
    again = second.post(incident("i1", page=UNNAMED), "/webhook/statuspage?token=secret-g")

    assert again.json() == {"status": "duplicate"}


def test_monitor_pages_names_pages_by_id_and_by_host():
    app = app_with(
        PAGES=json.dumps(
            [
                {"url": "https://www.githubstatus.com", "name": "GitHub", "id": "p1"},
                {"url": "https://status.fabrikam.example/", "name": "Fabrikam"},
            ]
        )
    )

    post(app, "i1", {"id": "p1", "name": "Anything"}, named="Else")
    post(app, "i2", {"id": "p9", "url": "https://status.fabrikam.example/x"})

    assert names(app) == ["GitHub", "Fabrikam"]


def test_the_length_of_a_page_name_is_bounded(app):
    post(app, "i1", {"id": "p9", "name": "x" * 900_000})

    (found,) = app.incidents()
    assert found["page"] == {"id": "p9", "name": "x" * 200}


def test_the_number_of_page_names_is_bounded(app, monkeypatch):
    monkeypatch.setattr("monitor.senders.pages.MOST_NAMES", 3)
    for number in range(5):
        post(app, "i1", {"id": f"p{number}"}, named=f"Page{number}")
    for number in range(5):
        post(app, "i2", {"id": f"p{number}", "url": f"https://host{number}.example"})

    assert names(app)[5:] == ["Page0", "Page1", "Page2", "host3.example", "host4.example"]


def test_updates_under_the_token_of_a_page_belong_to_that_page():
    app = app_with(WEBHOOK_TOKEN=json.dumps({"secret-g": "GitHub", "secret-o": "OpenAI"}))

    assert post(app, "i1", {"id": "p-openai", "name": "OpenAI"}, token="secret-o").status_code == 200
    forged = post(
        app, "i1", {"id": "p-openai", "name": "OpenAI"}, named="OpenAI", token="secret-g", status="resolved", minute=9
    )

    assert forged.status_code == 200
    assert names(app) == ["OpenAI", "GitHub"]
    assert {(i["page"]["id"], i["status"]) for i in app.incidents()} == {
        ("01JMDK9XYNY6RXSED6SDWW50WY", "investigating"),
        ("kctbh9vrtdwd", "resolved"),
    }


@pytest.mark.parametrize("token", [None, "wrong", "GitHub", "s\u00e9cret"])
def test_a_missing_or_wrong_token_is_401(token):
    app = app_with(WEBHOOK_TOKEN=json.dumps({"secret-g": "GitHub"}))

    answer = post(app, "i1", UNNAMED, token=token)

    assert answer.status_code == 401
    assert "token is missing or wrong" in answer.json["error"]


def test_a_bound_page_has_the_id_that_is_configured_for_its_name():
    app = app_with(
        WEBHOOK_TOKEN=json.dumps({"secret-g": "GitHub"}),
        PAGES=json.dumps([{"url": "https://www.githubstatus.com", "name": "GitHub", "id": "kctbh9vrtdwd"}]),
    )

    post(app, "i1", UNNAMED, token="secret-g")

    assert app.incidents()[0]["page"] == {"id": "kctbh9vrtdwd", "name": "GitHub"}


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("[GitHub]", "is not JSON"),
        ("[]", "is not a JSON list"),
        ('{"url": "https://a.example"}', "is not a JSON list"),
        ("[1]", "entry 1 is neither"),
        ('["https://a.example", {"name": "x"}]', "entry 2 is neither"),
        ('[{"url": "https://a.example", "nmae": "x"}]', "entry 1 is neither"),
        ('[{"url": "https://a.example", "name": ""}]', "entry 1: name is not a text"),
        ('["http://a.example"]', "does not begin with https://"),
        ('["ftp://a.example"]', "does not begin with https://"),
        ('["https://user:pass@a.example"]', "a user or a password"),
        ('["https://a.example/history?x=1"]', "is not the address of a page"),
        ("https://a..example", "is not the address of a page"),
        ("http://localhost:0", "is not the address of a page"),
        ('["https://a.example:99999"]', "is not an address"),
        ('["https://a.example", "https://a.example/"]', "names a page twice"),
    ],
)
def test_a_bad_monitor_pages_stops_the_start(value, complaint):
    with pytest.raises(BadSetting, match=f"^MONITOR_PAGES .*{re.escape(complaint)}"):
        checked({"PAGES": value}, SETTINGS)


@pytest.mark.parametrize("value", ["{", "{}", '{"a": ""}', '{"a": 1}', '{" ": "GitHub"}'])
def test_bad_webhook_tokens_stop_the_start_and_are_not_shown(value):
    with pytest.raises(BadSetting, match=r"^MONITOR_WEBHOOK_TOKEN .*JSON object") as refusal:
        checked({"WEBHOOK_TOKEN": value}, CORE)
    assert '"a"' not in str(refusal.value)


def test_a_page_may_be_a_plain_address_and_on_loopback_without_tls():
    found = parse('["https://A.example/", {"url": "http://127.0.0.1:8080", "name": "Local"}, "http://[::1]:81"]')

    assert [(page.url, page.host, page.name) for page in found] == [
        ("https://a.example", "a.example", None),
        ("http://127.0.0.1:8080", "127.0.0.1", "Local"),
        ("http://[::1]:81", "::1", None),
    ]


def test_the_lag_of_the_last_update_survives_a_restart_and_past_updates_have_none(start, url):
    first = start(environment=environment(url))
    first.post(incident(updated_at=(datetime.now(UTC) - timedelta(seconds=90)).isoformat()))
    assert 90 <= first.get("/pages").json()["pages"][0]["lag_seconds"] < 120
    assert "last update took 1 min to arrive" in first.get("/").text
    first.stop()

    (page,) = start(environment=environment(url)).get("/pages").json()["pages"]

    assert 90 <= page["lag_seconds"] < 120
