"""GET /incidents: how updates fold into an incident, filters, cursors, and text."""

import itertools
import time

import pytest

from tests.conftest import incident, payload

STORY = ("incident-created", "incident-identified", "incident-resolved", "incident-postmortem")


def of(page, name, **fields):
    made = payload(name) | {"page": page}
    made["incident"].update(fields)
    return made


def of_page(monitor, page, query=""):
    return monitor.incidents(f"?page={page['id']}{query}")


def walk(monitor, page, limit, between=lambda step: None):
    """Follow the cursors from the newest to the oldest; return the ids, page by page."""
    answers, cursor = [], ""
    while cursor is not None:
        answer = monitor.get(f"/incidents?page={page['id']}&limit={limit}{cursor and f'&cursor={cursor}'}")
        answers.append([found["id"] for found in answer.json()["incidents"]])
        assert len(answers[-1]) <= limit
        assert len(answers) < 100
        cursor = answer.json()["next_cursor"]
        between(len(answers))
    return answers


# An incident's state and story


@pytest.fixture(scope="module")
def in_order(shared):
    """Return the answer for an incident whose four updates arrived in order."""
    page = {"id": "in-order", "name": "In order"}
    for name in STORY:
        shared.post(of(page, name))
    (served,) = of_page(shared, page)
    return served


def test_the_answer_is_in_statuspages_shape_and_names(in_order):
    uploads = {"id": "cmp0uploads1", "name": "Uploads", "status": "operational"}
    web_app = {"id": "cmp0webapp12", "name": "Web app", "status": "operational"}

    assert in_order | {"incident_updates": []} == {
        "id": "inc0uploads1",
        "name": "Large uploads fail",
        "status": "postmortem",
        "impact": "major",
        "created_at": "2026-03-02T09:15:00.050Z",
        "updated_at": "2026-03-05T14:00:00.000Z",
        "resolved_at": "2026-03-02T10:05:00.900Z",
        "scheduled_for": None,
        "scheduled_until": None,
        "shortlink": "https://stspg.io/0f1e2d3c4b",
        "postmortem_body": "<p>A quota was set to 80&nbsp;% by mistake.</p><p>It is gone.</p>",
        "page": {"id": "in-order", "name": "In order"},
        "components": [uploads, web_app],
        "incident_updates": [],
    }


def test_the_story_is_newest_first_and_holds_each_entry_once(in_order):
    assert in_order["incident_updates"][0] == {
        "id": "upd3",
        "status": "resolved",
        "body": "Uploads work again.",
        "created_at": "2026-03-02T10:05:00.900Z",
        "updated_at": "2026-03-02T10:05:00.900Z",
        "display_at": "2026-03-02T10:05:00.900Z",
    }
    assert [entry["id"] for entry in in_order["incident_updates"]] == ["upd3", "upd2", "upd1"]


@pytest.mark.parametrize(
    "names", list(itertools.permutations(STORY))[1:], ids=lambda names: "-".join(n[9] for n in names)
)
def test_the_incident_is_the_same_in_whatever_order_its_updates_arrive(app, in_order, names):
    for name in names:
        assert app.post(of(in_order["page"], name)).json == {"status": "accepted"}

    assert app.incidents() == [in_order]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("identity", ["id", "time", "nothing"])
def test_every_entry_of_any_update_is_kept(app, order, identity):
    for number in order:
        entry = {"body": f"step {number}"}
        entry |= {"id": f"u{number}"} if identity == "id" else {}
        entry |= {"created_at": f"2026-06-01T08:0{number}:00Z"} if identity == "time" else {}
        made = incident(
            updated_at=f"2026-06-01T08:0{number}:30Z", created_at="2026-06-01T07:00Z", incident_updates=[entry]
        )
        app.post(made)

    assert [entry["body"] for entry in app.incidents()[0]["incident_updates"]] == ["step 2", "step 1", "step 0"]


def test_two_entries_with_the_same_text_at_different_times_are_both_kept(app):
    same = {"status": "monitoring", "body": "We continue to monitor."}
    entries = [same | {"created_at": at} for at in ("2026-06-01T08:20:00Z", "2026-06-01T08:00:00Z")]
    app.post(incident(updated_at="2026-06-01T08:20:00Z", incident_updates=entries))

    assert len(app.incidents()[0]["incident_updates"]) == 2


def test_a_repeated_entry_without_id_and_time_is_kept_once(app):
    first, second = {"body": "We look into it."}, {"body": "We found it."}
    app.post(incident(updated_at="2026-06-01T08:00:00Z", incident_updates=[first]))
    app.post(incident(updated_at="2026-06-01T08:20:00Z", incident_updates=[second, first]))

    assert sorted(entry["body"] for entry in app.incidents()[0]["incident_updates"]) == [
        "We found it.",
        "We look into it.",
    ]


def test_an_edited_entry_is_served_as_last_edited(app):
    old = {"id": "u", "body": "teh", "created_at": "2026-06-01T08:00:00Z", "updated_at": "2026-06-01T08:00:00Z"}
    new = old | {"body": "the", "updated_at": "2026-06-01T08:05:00Z"}
    app.post(incident(updated_at="2026-06-01T08:05:00Z", incident_updates=[new]))
    app.post(incident(updated_at="2026-06-01T08:00:00Z", incident_updates=[old]))

    assert [entry["body"] for entry in app.incidents()[0]["incident_updates"]] == ["the"]


def test_a_late_update_is_printed_but_does_not_change_the_state(app):
    app.post(of({"id": "p"}, "incident-resolved"))
    before = app.incidents()
    assert app.post(of({"id": "p"}, "incident-created")).json == {"status": "accepted"}

    assert len(app.printed) == 2
    assert app.incidents() == before
    assert before[0]["status"] == "resolved"


def test_the_first_update_after_downtime_restores_the_whole_story(app):
    app.post(of({"id": "p"}, "incident-resolved"))

    assert len(app.printed) == 1
    assert [entry["status"] for entry in app.incidents()[0]["incident_updates"]] == [
        "resolved",
        "identified",
        "investigating",
    ]


def test_a_backfilled_incident_is_listed_by_its_own_created_at(app):
    for number, day in enumerate((3, 1, 2)):
        at = f"2026-06-0{day}T08:00:00Z"
        app.post(incident(f"i{number}", created_at=at, updated_at="2026-06-09T08:00:00Z", backfilled=number == 2))

    assert [found["id"] for found in app.incidents()] == ["i0", "i2", "i1"]


def test_a_component_update_is_served_with_its_change(app):
    app.post(payload("component-update"))

    (found,) = app.incidents()
    assert (found["name"], found["status"], found["impact"]) == ("Uploads", "major_outage", "critical")
    assert found["component_update"] == {
        "id": "chg0uploads1",
        "component_id": "cmp0uploads1",
        "old_status": "operational",
        "new_status": "major_outage",
        "created_at": "2026-03-02T09:14:30.500Z",
    }


def test_the_same_id_on_two_pages_is_two_incidents(app):
    for page in ("p1", "p2"):
        app.post(incident(page={"id": page}))

    assert [found["page"]["id"] for found in app.incidents()] == ["p2", "p1"]


# Filters

FOUND = {
    "outage": {"status": "investigating", "impact": "major", "updated_at": "2026-06-03T08:00:00Z"},
    "over": {"status": "resolved", "impact": "minor", "updated_at": "2026-06-02T08:00:00Z", "components": []},
    "planned": {"status": "scheduled", "impact": "maintenance", "updated_at": "2026-06-01T08:00:00.500Z"},
}


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", ["change", "outage", "over", "planned"]),
        ("page=p1", ["outage", "over", "planned"]),
        ("page=Fabrikam", ["outage", "over", "planned"]),
        ("page=fabrikam", ["outage", "over", "planned"]),
        ("page=P1", ["outage", "over", "planned"]),
        ("page=", []),
        ("page=%00%ff", []),
        ("page=status.fabrikam.example", ["change"]),
        ("status=open", ["change", "outage", "planned"]),
        ("status=resolved", ["over"]),
        ("status=scheduled", ["planned"]),
        ("status=major_outage", ["change"]),
        ("status=completed", []),
        ("component=Sign-in", ["outage", "planned"]),
        ("component=c1", ["outage", "planned"]),
        ("component=UPLOADS", ["change"]),
        ("impact=maintenance", ["planned"]),
        ("impact=critical", ["change"]),
        ("impact=unstated", []),
        ("since=2026-06-02T08:00:00Z", ["change", "outage", "over"]),
        ("since=2026-06-02T08:00:00.001Z", ["change", "outage"]),
        ("since=2026-06-02T10:00:00%2B02:00", ["change", "outage", "over"]),
        ("since=2026-06-02T10:00:00+02:00", ["change", "outage", "over"]),
        ("since=2026-06-02", ["change", "outage", "over"]),
        ("limit=2", ["change", "outage"]),
        ("limit=500", ["change", "outage", "over", "planned"]),
        ("status=open&component=c1&impact=major&page=p1&since=2026-06-01&limit=1", ["outage"]),
    ],
)
def test_a_query_lists_the_matching_incidents_newest_first(app, query, ids):
    change = payload("component-update")
    change["component_update"] |= {"id": "change", "created_at": "2026-06-04T08:00:00Z"}
    for made in (
        incident("outage", **FOUND["outage"]),
        change,
        *(incident(i, **FOUND[i]) for i in ("planned", "over")),
    ):
        app.post(made)

    assert [found["id"] for found in app.incidents(f"?{query}")] == ids


@pytest.mark.parametrize(
    "bad", ["0", "-1", "501", "1000", "9" * 5_000, "1.5", "1e2", "", "+5", "%D9%A3", "ten", "%205"]
)
def test_a_bad_limit_is_refused(app, bad):
    refused(app, f"limit={bad}", "limit")


@pytest.mark.parametrize(
    "bad", ["", "1", "monday", "yesterday", "2026-13-01", "9999-12-31T23:59:59-23:59", "1" * 5_000]
)
def test_a_bad_since_is_refused(app, bad):
    refused(app, f"since={bad}", "since")


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "x",
        "1",
        "-",
        "1-",
        "1-2-3",
        "-1-2",
        "1-" + "9" * 5_000,
        "9" * 30 + "-1",
        "%00",
        "1-%D9%A3",
        "MTIz",
        "1-2%0A",
    ],
)
def test_a_bad_cursor_is_refused(app, bad):
    refused(app, f"cursor={bad}", "cursor")


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("status=closed", "status"),
        ("status=", "status"),
        ("status=OPEN", "status"),
        ("impact=huge", "impact"),
        ("colour=red", "colour"),
        ("%0A%1B=x", "\\n\\x1b"),
        ("Page=p1", "Page"),
        *((f"{name}={value}&{name}={value}", name) for name, value in {
            "page": "p1", "status": "open", "component": "c", "impact": "none", "since": "2026-06-01", "limit": "5",
            "cursor": "1-1",
        }.items()),
    ],
)  # fmt: skip
def test_an_unknown_bad_or_repeated_parameter_is_refused_and_named(app, query, named):
    refused(app, query, named)


def refused(app, query, named):
    began = time.perf_counter()
    answer = app.get(f"/incidents?{query}")

    assert (answer.status_code, list(answer.json)) == (400, ["error"])
    assert named in answer.json["error"]
    assert time.perf_counter() - began < 1


# Cursors


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_following_the_cursors_lists_each_incident_once_while_others_arrive(shared, page, limit):
    def post(incident_id, minute, created=8):
        at = f"2026-06-01T{created:02}:00:00Z"
        shared.post(incident(incident_id, page=page, created_at=at, updated_at=f"2026-06-01T20:{minute:02}:00Z"))

    def between(step):
        post(f"new{step}", 0, created=20)
        post(f"i{step % 7}", step)

    for number in range(7):
        post(f"i{number}", 0, created=8 + number // 3)  # some begin at the same instant
    seen = list(itertools.chain(*walk(shared, page, limit, between)))

    assert sorted(found for found in seen if found[0] == "i") == [f"i{number}" for number in range(7)]
    assert len(seen) == len(set(seen))


def test_the_last_cursor_is_null(shared, page):
    assert walk(shared, page, 2) == [[]]
    for number in range(3):
        shared.post(incident(f"i{number}", page=page))

    assert walk(shared, page, 2) == [["i2", "i1"], ["i0"]]


def test_an_answer_ends_at_about_1_mib_and_its_cursor_leads_to_the_rest(shared, page):
    largest, body = 1024 * 1024, "é" * 60_000  # 360 kB in the JSON of an answer
    for number in range(9):
        shared.post(incident(f"i{number}", page=page, incident_updates=[{"body": body}]))
    first = shared.get(f"/incidents?page={page['id']}")

    assert largest - 400_000 < len(first.content) < largest + 400_000
    assert list(itertools.chain(*walk(shared, page, 50))) == [f"i{number}" for number in range(8, -1, -1)]


# As text


def test_in_text_an_incident_is_its_two_lines(shared, page):
    shared.post(incident("i1", page=page))
    shared.post(incident("i2", page=page, components=[], incident_updates=[], updated_at="2026-06-01T09:00:00+01:00"))
    answer = shared.get(f"/incidents?page={page['id']}", headers={"Accept": "text/plain"})

    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.text == (
        f"[2026-06-01 08:00:00] Product: {page['name']} - Sign-in errors\nStatus: Investigating: Sign-in errors\n"
        f"[2026-06-01 08:00:00] Product: {page['name']} - Sign-in\nStatus: Some people cannot sign in\n"
    )


def test_in_text_too_an_answer_ends_at_1_mib(app):
    for number in range(300):
        body = {"body": "\U0001f525" * 1_000}
        app.post(incident(f"i{number}", incident_updates=[body]))

    found = app.get("/incidents?limit=500", headers={"Accept": "text/plain"})

    assert 1024 * 1024 - 5_000 < len(found.data) <= 1024 * 1024
    assert found.text.endswith("\n")


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html, */*", "application/json, text/plain;q=0.5"])
def test_a_client_that_does_not_prefer_text_gets_json(shared, accept):
    assert shared.get("/incidents?limit=1", headers={"Accept": accept}).headers["Content-Type"] == "application/json"


def test_as_text_a_page_that_nobody_knows_is_not_simply_quiet(app):
    app.post(incident(page={"id": "gh", "name": "GitHub"}))

    said = app.get("/incidents?status=open&page=Gihub", headers={"Accept": "text/plain"}).text

    assert said == "Gihub is no page that is known (nearest: GitHub)\n"
