"""Payloads of Statuspage, and of senders like it, are read and printed."""

import pytest

from monitor.pipeline import pipeline_of
from tests.conftest import blocks, incident, payload, until

BLOCKS = {
    "incident-created": (
        "[2026-03-02 09:15:00] Product: status.fabrikam.example - Uploads, Web app\n"
        "Status: Uploads of files over 50 MB fail with a 504.\n"
    ),
    "incident-identified": (
        "[2026-03-02 09:31:10] Product: status.fabrikam.example - Uploads, Web app\n"
        "Status: A storage node is out of space; we are moving its data.\n"
    ),
    "incident-resolved": (
        "[2026-03-02 10:05:01] Product: status.fabrikam.example - Uploads, Web app\nStatus: Uploads work again.\n"
    ),
    "incident-postmortem": (
        "[2026-03-05 14:00:00] Product: status.fabrikam.example - Uploads, Web app\n"
        "Status: A quota was set to 80 % by mistake. It is gone.\n"
    ),
    "maintenance-scheduled": (
        "[2026-04-01 12:00:00] Product: status.fabrikam.example - Database upgrade\n"
        "Status: The database will be read-only for about ten minutes.\n"
    ),
    "component-update": (
        "[2026-03-02 09:14:30] Product: status.fabrikam.example - Uploads\nStatus: Major outage (was Operational)\n"
    ),
    "no-components": (
        "[2026-05-06 21:02:11] Product: status.fabrikam.example - Elevated latency in eu-west\n"
        "Status: Some requests take longer than 2 s.\n"
    ),
    "betterstack-incident": (
        "[2026-07-01 10:20:00] Product: status.contoso.example - Queue is stuck\nStatus: We restart the workers.\n"
    ),
    "minimal": "[2026-06-01 08:00:00] Product: Fabrikam - Sign-in\nStatus: Some people cannot sign in\n",
}


def test_stdout_holds_the_two_lines_of_each_update_and_nothing_else(monitor):
    answers = [monitor.post(payload(name)) for name in BLOCKS]

    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {"status": "accepted"})] * len(BLOCKS)
    assert monitor.printed(len(BLOCKS)) == "".join(BLOCKS.values())


@pytest.mark.parametrize("name", BLOCKS)
def test_a_repeated_update_is_printed_once(app, name):
    app.post(payload(name))

    assert app.post(payload(name)).json == {"status": "duplicate"}
    assert app.printed == [BLOCKS[name]]


# The message


def entry(body, at, **fields):
    return {"body": body, "created_at": at, **fields}


FIRST, SECOND = (entry(f"{n} of two", "2026-06-01T07:30:00Z", status=s) for n, s in ((1, "new"), (2, "investigating")))
OLD, NEW = entry("old", "2026-06-01T07:00:00Z"), entry("new", "2026-06-01T07:30:00Z")
POSTMORTEM = {"status": "postmortem", "postmortem_body": "<p>Why</p>"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"incident_updates": [NEW, OLD]}, "new"),
        ({"incident_updates": [OLD, NEW]}, "new"),
        ({"incident_updates": [OLD | {"display_at": "2026-06-01T07:45:00Z"}, NEW]}, "old"),
        ({"incident_updates": [OLD | {"created_at": "2026-06-01T02:45:00-05:00"}, NEW]}, "old"),
        ({"incident_updates": [SECOND, FIRST, OLD]}, "2 of two"),
        ({"incident_updates": [OLD, FIRST, SECOND]}, "2 of two"),
        ({"incident_updates": [SECOND, FIRST]}, "2 of two"),
        ({"incident_updates": [FIRST, SECOND]}, "2 of two"),
        ({"incident_updates": [OLD | {"body": ""}]}, "Investigating: Sign-in errors"),
        ({"incident_updates": [OLD | {"body": None}]}, "Investigating: Sign-in errors"),
        ({"incident_updates": [OLD | {"body": " \n"}]}, "Investigating: Sign-in errors"),
        ({"incident_updates": [OLD | {"body": "<p><br></p>"}]}, "Investigating: Sign-in errors"),
        ({"incident_updates": []}, "Investigating: Sign-in errors"),
        ({"incident_updates": None}, "Investigating: Sign-in errors"),
        ({"incident_updates": [], "status": "in_progress"}, "In progress: Sign-in errors"),
        ({"incident_updates": [], "name": "List<T> & 'Map<K>' fail"}, "Investigating: List<T> & 'Map<K>' fail"),
        ({"incident_updates": [], "status": None}, "Sign-in errors"),
        ({**POSTMORTEM, "incident_updates": [NEW]}, "Why"),
        ({**POSTMORTEM, "incident_updates": []}, "Why"),
        ({**POSTMORTEM, "incident_updates": [NEW | {"status": "postmortem", "body": None}]}, "Why"),
        ({**POSTMORTEM, "status": "resolved", "incident_updates": [NEW]}, "new"),
    ],
)
def test_the_message_is_the_newest_entry_by_its_own_time(app, fields, message):
    assert app.post(incident(**fields)).status_code == 200

    assert app.printed[0].endswith(f"\nStatus: {message}\n")


def test_a_new_entry_that_is_displayed_at_an_earlier_time_is_told(app):
    app.post(incident(updated_at="2026-06-01T07:30:00Z", incident_updates=[NEW]))
    backdated = entry("written later", "2026-06-01T07:40:00Z", display_at="2026-06-01T07:10:00Z")

    app.post(incident(updated_at="2026-06-01T07:40:00Z", incident_updates=[NEW, backdated]))

    assert app.printed[1].endswith("\nStatus: written later\n")


def test_a_backfilled_incident_that_is_over_is_recorded_and_told_to_nobody(app):
    answers = [
        app.post(incident("over", status="resolved", backfilled=True)),
        app.post(incident("open", backfilled=True)),
    ]

    assert [answer.json["status"] for answer in answers] == ["accepted", "accepted"]
    assert {found["id"] for found in app.incidents()} == {"over", "open"}
    assert len(app.printed) == 1
    assert [arrival.update.id for arrival in pipeline_of(app.application).history.arrivals(None, 9)] == ["open"]


@pytest.mark.parametrize(
    ("html", "message"),
    [
        ("<p>One.</p><p>Two.</p>", "One. Two."),
        ("One<br>two<br/>three", "One two three"),
        ("<ul><li>One</li><li>two</li></ul>", "One two"),
        ("un<b>believ</b>able", "unbelievable"),
        ('See <a href="https://x.example">our page</a>.', "See our page."),
        ("80&nbsp;% of R&amp;D &lt;eu&gt; &eacute;&#8211;&#x41;", "80 % of R&D <eu> é–A"),
        ("latency < 5 ms & rising", "latency < 5 ms & rising"),
        ("  white\n\n space \t folds ", "white space folds"),
        ("{{7*7}} & <@U1>", "{{7*7}} & <@U1>"),
        ("Pages with a <script> tag fail to load", "Pages with a tag fail to load"),
        ("before <!-- not shown --> after", "before after"),
    ],
)
def test_html_becomes_text(app, html, message):
    app.post(incident(incident_updates=[{"body": html}]))

    assert app.printed[0].endswith(f"\nStatus: {message}\n")


# The product


NONE_AFFECTED = {"name": "No components were affected by this update."}


@pytest.mark.parametrize(
    ("components", "affected", "product"),
    [
        ([{"name": "A"}, {"name": "B"}], [{"name": "C"}], "A, B"),
        (None, [{"name": "C", "code": "c"}, {"name": "D"}], "C, D"),
        ([], [{"name": "C"}], "C"),
        (None, [NONE_AFFECTED], "Sign-in errors"),
        (None, [NONE_AFFECTED, {"name": "C"}], "C"),
        (None, None, "Sign-in errors"),
        ([{"id": "nameless"}, {"name": " "}], None, "Sign-in errors"),
    ],
)
def test_the_product_is_the_components_or_else_the_title(app, components, affected, product):
    entries = [NEW | {"affected_components": affected}, OLD | {"affected_components": [{"name": "older"}]}]
    app.post(incident(components=components, incident_updates=entries))

    assert app.printed[0].startswith(f"[2026-06-01 08:00:00] Product: Fabrikam - {product}\n")


SHORTLINK, UNSUBSCRIBE = "https://short.example/x", "http://unsubscribe.example/?x=1"


@pytest.mark.parametrize(
    ("page", "shortlink", "unsubscribe", "query", "name"),
    [
        ({"name": "Named"}, SHORTLINK, UNSUBSCRIBE, "?page=GitHub", "GitHub"),
        ({"name": "Named"}, SHORTLINK, UNSUBSCRIBE, "?page=Caf%C3%A9+One", "Café One"),
        ({"name": "Named"}, SHORTLINK, UNSUBSCRIBE, "?page=", "Named"),
        ({"name": "Named"}, SHORTLINK, UNSUBSCRIBE, "?page=%20", "Named"),
        ({"name": "Named", "url": "https://url.example"}, SHORTLINK, UNSUBSCRIBE, "", "Named"),
        ({"name": " ", "url": "https://URL.example:8443/x"}, SHORTLINK, UNSUBSCRIBE, "", "url.example"),
        ({}, SHORTLINK, UNSUBSCRIBE, "", "short.example"),
        ({}, "https://stspg.io/x", UNSUBSCRIBE, "", "unsubscribe.example"),
        ({}, "HTTP://STSPG.IO", UNSUBSCRIBE, "", "unsubscribe.example"),
        ({}, None, "https://acme.statuspage.io/?x", "", "acme.statuspage.io"),
        ({"url": "https://www.statuspage.io"}, "http://stspg.io/x", "https://manage.statuspage.io/x", "", "p9"),
        ({}, "no address", "javascript:alert(1)", "", "p9"),
    ],
)
def test_the_page_is_named_by_the_first_of_four_rules(app, page, shortlink, unsubscribe, query, name):
    made = incident(page={"id": "p9"} | page, shortlink=shortlink) | {"meta": {"unsubscribe": unsubscribe}}
    app.post(made, f"/webhook/statuspage{query}")

    assert app.printed[0].startswith(f"[2026-06-01 08:00:00] Product: {name} - Sign-in\n")
    assert app.incidents()[0]["page"] == {"id": "p9", "name": name}


def test_a_page_named_in_the_url_holds_nothing_that_a_store_refuses(app):
    app.post(incident(page={"x": 1}), "/webhook/statuspage?page=Fab%00%ED%A0%80rikam")

    assert not set("\0\ud800") & set(app.incidents()[0]["page"]["name"] + app.incidents()[0]["page"]["id"])


# Component updates


def component_update(page=None, **fields):
    change = {"id": "x1", "component_id": "c1", "created_at": "2026-06-01T08:00:00Z", "new_status": "partial_outage"}
    change = {name: value for name, value in (change | fields).items() if value is not None}
    return {"page": page or {"id": "p1", "name": "Fabrikam"}, "component": {"name": "API"}, "component_update": change}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("operational", "degraded_performance", "Degraded performance (was Operational)"),
        ("major_outage", "under_maintenance", "Under maintenance (was Major outage)"),
        (None, "partial_outage", "Partial outage"),
        ("", "operational", "Operational"),
    ],
)
def test_a_component_update_says_the_new_status_and_the_old_one_where_known(app, old, new, message):
    app.post(component_update(old_status=old, new_status=new))

    assert app.printed == [f"[2026-06-01 08:00:00] Product: Fabrikam - API\nStatus: {message}\n"]


# Duplicates


def one_update(identity="i1", page="p1", at="2026-06-01T08:00:00Z"):
    return incident(identity, page={"id": page, "name": "Fabrikam"}, updated_at=at)


@pytest.mark.parametrize(
    "at",
    ["2026-06-01T02:00:00-06:00", "2026-06-01T13:30:00+05:30", "2026-06-01T08:00:00.000Z", "2026-06-01 08:00:00"],
)
def test_the_same_instant_in_another_offset_is_a_duplicate(app, at):
    app.post(one_update())

    assert app.post(one_update(at=at)).json == {"status": "duplicate"}


@pytest.mark.parametrize("at", ["2026-06-01T08:00:00+01:00", "2026-06-01T08:00:00.001Z", "2026-06-01T08:00:01Z"])
def test_another_instant_is_another_update(app, at):
    app.post(one_update())

    assert app.post(one_update(at=at)).json == {"status": "accepted"}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (one_update("i1", "p1"), one_update("i1", "p2")),
        (one_update(1), one_update(True)),
        (one_update("I1"), one_update("i1")),
        (one_update("1"), one_update("01")),
        *((one_update(f"b{s}c", "a"), one_update("c", f"a{s}b")) for s in ("|", ":", "/", "-", ",", "\x1f", "\\", " ")),
        (component_update(id="x1"), component_update(id="x2")),
        (component_update(), component_update(created_at="2026-06-01T08:00:01Z")),
        (component_update(), component_update(page={"id": "p2"})),
    ],
)
def test_updates_that_differ_as_text_are_two(app, first, second):
    app.post(first)

    assert app.post(second).json == {"status": "accepted"}


def test_the_ids_1_as_a_number_and_as_a_text_are_one(app):
    app.post(one_update(1))

    assert app.post(one_update("1")).json == {"status": "duplicate"}


# Refused or ignored


TIMELESS = {"updated_at": None, "incident_updates": [{"body": "x"}]}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ([], "object"),
        ({}, "empty"),
        ({"incident": []}, "incident is not an object"),
        ({"incident": {}}, "incident.id"),
        *(
            (incident() | {"incident": incident()["incident"] | {"id": bad}}, "incident.id")
            for bad in (None, "", [], {})
        ),
        (incident("i" * 201), "incident.id"),
        (incident(**TIMELESS), "incident.updated_at"),
        (incident(**TIMELESS | {"updated_at": "yesterday"}), "incident.updated_at"),
        (component_update(created_at="monday"), "component_update.created_at"),
    ],
)
def test_what_cannot_be_read_is_refused_naming_the_field(app, body, named):
    answer = app.post(body)

    assert (answer.status_code, app.printed) == (400, [])
    assert named in answer.json["error"]


# Instatus: a maintenance in an envelope of its own, and a component update without an id.
INSTATUS_MAINTENANCE = {
    "page": {"id": "n1", "url": "https://northwind.instatus.com"},
    "maintenance": {"id": "m1", "name": "Move", "status": "NOTSTARTEDYET", "updated_at": "2026-06-01T08:00:00Z"},
}


@pytest.mark.parametrize(
    "body",
    [
        {"hello": "world"},
        {"incident": None},
        {"page": {"id": "p1"}},
        {"component_update": None},
        {"component_update": "down"},
        INSTATUS_MAINTENANCE,
        component_update(id=None, new_status="DEGRADEDPERFORMANCE"),
        component_update(new_status=None),
    ],
)
def test_an_unknown_shape_is_ignored_with_the_reason(app, body):
    answer = app.post(body)

    assert (answer.status_code, answer.json["status"], app.printed) == (202, "ignored", [])
    assert answer.json["reason"]


def test_what_is_ignored_or_refused_is_logged_escaped(shared, page):
    shared.post({"unheard-of": f"{page['id']}\x1b\n"})
    shared.post({"incident": {"name": f"{page['name']}\x1b\n"}})

    def logged():
        return [line for line in shared.log().splitlines() if page["id"] in line or page["name"] in line]

    until(lambda: len(logged()) == 2)
    assert [line.split()[2].rstrip(":") for line in logged()] == ["ignored", "refused"]
    assert all(line.isprintable() for line in logged())


def test_a_good_update_after_a_bad_one_is_printed(shared, page):
    assert shared.post({}).status_code == 400
    shared.post(incident(page=page))

    assert len(blocks(shared, page["name"])) == 1
