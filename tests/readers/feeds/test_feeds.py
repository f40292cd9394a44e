"""GET /feed.atom: each update is an entry; the feed is valid for any feed reader, whatever a provider writes."""

import re
import subprocess
import sys
from urllib.parse import urlencode

import feedparser
import psycopg
import pytest
import rnc2rng
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from monitor.pipeline import pipeline_of
from monitor.senders.pages import KnownPage, pages_of
from tests.conftest import ROOT, InProcess, environment, incident, with_clock
from tests.test_core_alone import HIDDEN

PATHS = ("/feed.atom", "/maintenance.ics", "/api/v2/summary.json", "/api/v2/incidents.json")
LINK = f"https://example.com/?{'&' * 1_900}"
HOSTILE = "a\x00b\x1b[31m\x85\u2028\u202e\ufffe\uffff]]>&amp;<script>alert(1)</script>\r\n\U0001f525\u0301" + "x" * 400


def schema():
    grammar = rnc2rng.dumps(rnc2rng.load(str(ROOT / "tests" / "readers" / "feeds" / "atom.rnc")))
    return etree.RelaxNG(etree.fromstring(grammar.replace('xmlns:local=""', "").encode()))


SCHEMA = schema()


def read(monitor, query="", path="/feed.atom"):
    """Return the feed as feedparser reads it, after checking it against the schema of RFC 4287."""
    answer = monitor.get(f"{path}{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/atom+xml; charset=utf-8"
    assert SCHEMA.validate(etree.fromstring(answer.text.encode())), SCHEMA.error_log
    found = feedparser.parse(answer.text.encode(), sanitize_html=False)
    assert not found.bozo, found.bozo_exception
    return found


def titles(monitor, query=""):
    return [entry.title for entry in read(monitor, query).entries]


def entry(number, body, at, status="investigating"):
    return {"id": f"u{number}", "status": status, "body": body, "created_at": at, "updated_at": at, "display_at": at}


def test_each_update_is_an_entry_with_the_story_up_to_that_update(app):
    first = entry(1, "Some <b>people</b> cannot sign in\nWe look into it", "2026-06-01T07:58:00Z")
    second = entry(2, "It works again", "2026-06-01T08:58:00Z", "resolved")
    app.post(incident(shortlink="https://stspg.io/1", incident_updates=[first]))
    app.post(incident(status="resolved", updated_at="2026-06-01T09:00:00Z", incident_updates=[second, first]))

    feed = read(app)

    resolved, investigating = feed.entries
    assert [one.title for one in feed.entries] == [
        "Fabrikam - Sign-in: It works again",
        "Fabrikam - Sign-in: Some people cannot sign in We look into it",
    ]
    assert (investigating.published, investigating.updated) == ("2026-06-01T08:00:00+00:00",) * 2
    assert feed.feed.updated == resolved.updated == "2026-06-01T09:00:00+00:00"
    assert investigating.link == "https://stspg.io/1"
    assert investigating.author == "Fabrikam"
    assert resolved.content[0].value == (
        "<p><b>Sign-in errors</b></p><p><b>Resolved, 2026-06-01 08:58 UTC</b><br />It works again</p>"
        "<p><b>Investigating, 2026-06-01 07:58 UTC</b><br />Some people cannot sign in<br />We look into it</p>"
    )
    assert "It works again" not in investigating.content[0].value


def test_each_incident_is_an_entry_of_the_history_with_its_story_in_statuspages_markup(app):
    first = entry(1, "Some <b>people</b> cannot sign in", "2026-06-01T07:58:00Z")
    second = entry(2, "<script>Works</script>", "2026-06-01T08:58:00Z", "resolved")
    link = "https://stspg.io/1"
    app.post(incident(incident_updates=[first]))
    ended = {"status": "resolved", "updated_at": "2026-06-01T09:00:00Z", "shortlink": link}
    app.post(incident(incident_updates=[second, first], **ended))
    app.post(incident("i2", name=HOSTILE, page={"id": HOSTILE}, status=HOSTILE, updated_at="2026-05-01T09:00:00Z"))

    one, hostile = read(app, path="/history.atom").entries

    assert (one.title, one.link, one.updated) == (
        "Fabrikam - Sign-in errors",
        link,
        "2026-06-01T09:00:00+00:00",
    )
    at = "<small>Jun <var data-var='date'>01</var>, <var data-var='time'>{}</var> UTC</small><br>"
    assert one.content[0].value == (
        f"<p>{at.format('08:58')}<strong>Resolved</strong> - Works</p>"
        f"<p>{at.format('07:58')}<strong>Investigating</strong> - Some people cannot sign in</p>"
    ).replace("'", '"').replace("<br>", "<br />")
    assert hostile.title.isprintable()


def test_without_any_update_the_history_is_empty_and_valid(app):
    assert read(app, path="/history.atom").entries == []


def test_a_component_update_is_an_entry_too(app):
    change = {"id": "x1", "component_id": "c1", "created_at": "2026-06-01T08:00:00Z", "old_status": "operational"}
    component = {"id": "c1", "name": "API"}
    app.post(
        {"page": {"id": "p1"}, "component": component, "component_update": change | {"new_status": "major_outage"}}
    )

    assert titles(app) == ["p1 - API: Major outage (was Operational)"]


def test_without_any_update_the_feed_is_empty_and_valid(app):
    assert read(app).entries == []


def test_ids_are_unique_across_pages_whatever_the_providers_ids_contain(app):
    for page, at in (("p1", "i1"), ("p2", "i1"), ("p", "1/i1"), ("p/1", "i1"), ('p","', "i1"), ("p", '","i1')):
        app.post(incident(at, page={"id": page, "name": "Fabrikam"}))
    app.post(incident("i1", updated_at="2026-06-01T09:00:00Z"))
    app.post(
        incident("i1", updated_at="2026-06-01T09:00:00Z", incident_updates=[{"id": "u2", "body": "The same second"}])
    )

    ids = [one.id for one in read(app).entries]

    assert len(set(ids)) == len(ids) == 8
    assert all(re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", one) for one in ids)


def test_ids_and_content_are_the_same_after_a_restart(start, url):
    first = start(environment=environment(url))
    story = [entry(1, "Some people cannot sign in", "2026-06-01T07:58:00Z")]
    first.post(incident(incident_updates=story))
    first.post(
        incident(
            updated_at="2026-06-01T09:00:00Z", incident_updates=[*story, entry(2, "Still", "2026-06-01T08:58:00Z")]
        )
    )
    before = first.get("/feed.atom")
    first.stop()

    after = start(environment=environment(url)).get("/feed.atom")

    assert before.text == after.text
    assert before.headers["ETag"] == after.headers["ETag"]
    assert after.text.count("Some people cannot sign in") == 3  # once in a title, twice in stories


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("page=Adatum", ["Adatum - API"]),
        ("page=adatum", ["Adatum - API"]),
        ("page=p2", ["Adatum - API"]),
        ("component=API", ["Adatum - API"]),
        ("impact=critical", ["Adatum - API"]),
        ("status=resolved", ["Fabrikam - Sign-in"]),
        ("status=open", ["Adatum - API", "Fabrikam - Sign-in"]),
        ("id=i2", ["Adatum - API"]),
        ("since=2026-06-01T08:30:00Z", ["Adatum - API", "Fabrikam - Sign-in"]),
        ("limit=1", ["Adatum - API"]),
        ("page=nobody", []),
    ],
)
def test_the_feed_takes_the_filters_of_incidents(app, query, found):
    app.post(incident("i1"))
    app.post(incident("i1", status="resolved", updated_at="2026-06-01T09:00:00Z"))
    other = {"page": {"id": "p2", "name": "Adatum"}, "components": [{"id": "c2", "name": "API"}], "impact": "critical"}
    app.post(incident("i2", updated_at="2026-06-01T10:00:00Z", **other))

    feed = read(app, f"?{query}")

    assert [one.title.split(":")[0] for one in feed.entries] == found
    assert f"feed.atom?{query.replace(':', '%3A')}" in [link.href for link in feed.feed.links]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "status=x", "impact=x", "since=monday", "cursor=1-1", "what=1", "page=a&page=b"]
)
def test_a_bad_query_is_400(app, query):
    answer = app.get(f"/feed.atom?{query}")

    assert answer.status_code == 400
    assert "error" in answer.json


def test_for_an_unknown_page_the_feed_is_empty_and_its_title_says_so_until_the_page_is_known(app):
    app.post(incident())
    before = read(app, "?page=Fabricam").feed

    app.post(incident(page={"id": "p2", "name": "Fabricam"}))
    after = read(app, "?page=FABRICAM")

    assert before.title == "event_monitor: Fabricam (page unknown; known: Fabrikam)"
    assert (after.feed.title, len(after.entries)) == ("event_monitor: FABRICAM", 1)


def test_each_query_has_its_own_feed_id_and_no_feed_contains_the_token(start):
    monitor = start(environment={"MONITOR_READ_TOKEN": "secret"})

    feeds = [monitor.get(f"/feed.atom?{query}token=secret") for query in ("", "page=a&")]

    assert len({feedparser.parse(feed.text).feed.id for feed in feeds}) == 2
    assert not any("secret" in feed.text for feed in feeds)


def test_the_update_of_a_quiet_page_is_found_among_many_newer_ones(app):
    app.post(incident("quiet", page={"id": "p0", "name": "Adatum"}))
    for number in range(1_600):
        app.post(incident(f"i{number}"))

    assert titles(app, "?page=Adatum") == ["Adatum - Sign-in: Some people cannot sign in"]
    assert len(titles(app)) == 50


def test_many_old_updates_that_arrive_at_once_do_not_displace_a_new_one(app):
    app.post(incident("new"))
    for number in range(100):
        app.post(
            incident(
                f"i{number}", page={"id": "p2", "name": "Adatum"}, updated_at=f"2025-01-01T00:00:{number % 60:02d}Z"
            )
        )

    assert titles(app)[0] == "Fabrikam - Sign-in: Some people cannot sign in"


@pytest.mark.parametrize("path", PATHS)
def test_a_client_with_the_current_etag_gets_304_until_the_answer_changes(app, path):
    app.post(incident())
    answer = app.get(path)

    again = app.get(path, headers={"If-None-Match": answer.headers["ETag"]})

    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == answer.headers["ETag"]
    assert again.headers["Cache-Control"] == answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    app.post(incident("i2"))
    app.post(incident("i3", status="scheduled", scheduled_for="2099-12-31T23:59:59Z"))
    changed = app.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != answer.headers["ETag"]


def test_a_new_page_without_an_update_changes_the_etag(app):
    app.post(incident())
    answer = app.get("/api/v2/summary.json")
    pages_of(app.application).polled(KnownPage("https://adatum.example"), "p2", None)

    changed = app.get("/api/v2/summary.json", headers={"If-None-Match": answer.headers["ETag"]})

    assert [component["name"] for component in changed.json["components"]] == ["Fabrikam", "adatum.example"]


@pytest.mark.long
@pytest.mark.parametrize("path", PATHS)
def test_a_webhook_is_answered_within_a_second_while_300_clients_ask_at_once(seconds_beside_a_crowd, path):
    assert max(seconds_beside_a_crowd(path)) < 1


def test_a_clock_past_2106_breaks_nothing(start):
    monitor = start(command_before=with_clock(FAKETIME="+200y"))
    monitor.post(incident())

    assert [monitor.get(path).status_code for path in PATHS] == [200] * 4


@pytest.mark.parametrize("link", ["javascript:alert(1)", "http://[", "https://", "x", 'https://stspg.io/"<a b>\x00'])
def test_a_shortlink_that_is_not_a_url_is_no_link(app, link):
    app.post(incident(shortlink=link))

    (entry,) = read(app).entries

    assert entry.link in ("incidents?id=i1&page=p1", "https://stspg.io/%22%3Ca%20b%3E%EF%BF%BD")


def test_a_provider_cannot_put_markup_or_control_characters_into_the_feed(app):
    page = {"id": HOSTILE[:100], "name": HOSTILE}
    story = [entry(1, HOSTILE, "2026-06-01T08:00:00Z", HOSTILE)]
    app.post(incident(page=page, name=HOSTILE, impact=HOSTILE, shortlink=HOSTILE, incident_updates=story))

    (one,) = read(app).entries

    tags = re.findall("<[^>]*>", one.content[0].value)
    assert set(tags) == {"<p>", "</p>", "<b>", "</b>", "<br />"}
    assert one.title.isprintable()
    assert len(one.title) <= 200


TEXT = st.text(max_size=40) | st.sampled_from(
    ["<b>", "&", "&#0;", "]]>", "\x1b", "\ud800", "https://x\n.y/", "1" * 3000]
)


@given(TEXT, TEXT, TEXT, TEXT, TEXT)
@settings(max_examples=60, deadline=None)
def test_the_feed_is_valid_whatever_a_provider_writes(page, name, body, link, status):
    app = InProcess()
    told = {"shortlink": link, "status": status, "incident_updates": [{"id": "u", "body": body, "status": status}]}
    app.post(incident("i", page={"id": page, "name": page}, name=name, components=[{"name": name}], **told))

    assert len(read(app).entries) == 1


def test_a_feed_is_valid_and_at_most_1_mib(app):
    for number in range(100):
        app.post(incident(f"i{number}", incident_updates=[{"id": "u", "body": "&<" * 10_000}], shortlink=LINK))

    found = read(app, f"?limit=500&page={'x' * 4000}").entries, read(app, "?limit=500").entries
    size = len(app.get("/feed.atom?limit=500").data)

    assert 512 * 1024 <= size <= 1024 * 1024
    assert (len(found[0]), 3 <= len(found[1]) < 100) == (0, True)


@pytest.mark.parametrize("path", PATHS)
def test_the_read_token_guards_every_path(app, path):
    app.application.config["READ_TOKEN"] = "secret"

    assert app.get(path).status_code == 401
    assert app.get(f"{path}?token=secret").status_code == 200
    assert app.get(path, headers={"Authorization": "Bearer secret"}).status_code == 200


def test_a_history_that_cannot_be_read_is_503(start, postgresql):
    monitor = start(environment=environment(postgresql.new_database("monitor_feeds")))
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.execute("ALTER DATABASE monitor_feeds ALLOW_CONNECTIONS false")
    postgresql.disconnect("monitor_feeds")

    answers = [monitor.get(path) for path in PATHS]

    assert [(answer.status_code, answer.headers["Retry-After"]) for answer in answers] == [(503, "5")] * 4


def test_without_a_library_its_path_says_what_to_install(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HIDDEN.format(names={"feedgenerator", "icalendar"}))
    ask = "import event_monitor, sys; print(event_monitor.app.test_client().get(sys.argv[1]).text)"

    said = [
        subprocess.run(
            [sys.executable, "-c", ask, path],
            cwd=ROOT,
            env={"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for path in PATHS[:3]
    ]

    needs = '{"error":"%s needs %s: pip install -r requirements-extras.txt"}\n\n'
    assert said[0] == needs % ("/feed.atom", "feedgenerator")
    assert said[1] == needs % ("/maintenance.ics", "icalendar")
    assert said[2].startswith('{"page": ')


def test_a_filter_that_matches_nothing_reads_each_arrival_once(app, monkeypatch):
    for number in range(3):
        app.post(incident(f"i{number}"))
    history, read = pipeline_of(app.application).history, []
    arrivals = history.arrivals
    monkeypatch.setattr(history, "arrivals", lambda after, limit: read.extend(found := arrivals(after, limit)) or found)

    feed = app.get("/feed.atom?component=nobody").text

    assert "<entry>" not in feed
    assert len(read) <= 3 + 2  # the newest and the oldest say where to begin and to end


def test_the_feed_is_filtered_by_a_page_name_with_any_characters(app):
    app.post(incident(page={"id": "p", "name": "A&B +ü <x>"}))

    assert len(read(app, f"?{urlencode({'page': 'A&B +ü <x>'})}").entries) == 1
