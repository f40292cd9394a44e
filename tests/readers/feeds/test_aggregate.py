"""GET /api/v2/summary.json and the rest: what reads a Statuspage page reads this one."""

import json
import os
import re
import subprocess
import sys

import jsonschema
import pytest
import requests

from monitor.senders.pages import KnownPage, pages_of
from monitor.settings import BadSetting
from tests.conftest import ROOT, InProcess, incident

READER = ROOT / "tests" / "postman" / "read_statuspage.mjs"

# Statuspage's public API as its pages document it (https://www.githubstatus.com/api), with what
# https://www.mongodb.com/docs/api/doc/cloud-status/operation/operation-getstatussummary names as required.
TEXT, TIME = {"type": "string", "minLength": 1}, {"type": "string", "format": "date-time", "pattern": "T.*Z$"}
SAID = ["investigating", "identified", "monitoring", "resolved", "postmortem"]
PLANNED = ["scheduled", "in_progress", "verifying", "completed"]
STATUSES = ["operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance"]
IMPACTS = ["none", "minor", "major", "critical", "maintenance"]


def an_object(**properties):
    return {"type": "object", "properties": properties, "required": list(properties)}


def some(of):
    return {"type": "array", "items": of}


def or_null(of):
    return {"anyOf": [of, {"type": "null"}]}


PAGE = an_object(id=TEXT, name=TEXT, url={"type": "string", "format": "uri"}, time_zone=TEXT, updated_at=TIME)
COMPONENT = an_object(
    id=TEXT,
    name=TEXT,
    status={"enum": STATUSES},
    created_at=TIME,
    updated_at=TIME,
    position={"type": "integer"},
    description=or_null(TEXT),
    showcase={"type": "boolean"},
    group_id=or_null(TEXT),
    page_id=TEXT,
    group={"type": "boolean"},
    only_show_if_degraded={"type": "boolean"},
)
ENTRY = an_object(
    id=TEXT,
    status={"enum": SAID + PLANNED},
    body={"type": "string"},
    incident_id=TEXT,
    created_at=TIME,
    updated_at=TIME,
    display_at=TIME,
)
BOTH = {
    "id": TEXT,
    "name": TEXT,
    "created_at": TIME,
    "updated_at": TIME,
    "monitoring_at": or_null(TIME),
    "resolved_at": or_null(TIME),
    "impact": {"enum": IMPACTS},
    "shortlink": {"type": "string", "format": "uri"},
    "started_at": TIME,
    "page_id": TEXT,
    "incident_updates": some(ENTRY),
    "components": some(COMPONENT),
}
INCIDENT = an_object(status={"enum": SAID}, **BOTH)
MAINTENANCE = an_object(
    status={"enum": PLANNED},
    scheduled_for=TIME,
    scheduled_until=TIME,
    **BOTH,
)
SUMMARY = an_object(
    page=PAGE,
    components=some(COMPONENT),
    incidents=some(INCIDENT),
    scheduled_maintenances=some(MAINTENANCE),
    status=an_object(indicator={"enum": IMPACTS}, description=TEXT),
)
INCIDENTS = an_object(page=PAGE, incidents=some(INCIDENT))


PATHS = {
    "/api/v2/summary.json": SUMMARY,
    "/api/v2/status.json": an_object(page=PAGE, status=SUMMARY["properties"]["status"]),
    "/api/v2/components.json": an_object(page=PAGE, components=some(COMPONENT)),
    "/api/v2/incidents.json": INCIDENTS,
    "/api/v2/incidents/unresolved.json": INCIDENTS,
    "/api/v2/scheduled-maintenances.json": an_object(page=PAGE, scheduled_maintenances=some(MAINTENANCE)),
    "/api/v2/scheduled-maintenances/upcoming.json": an_object(page=PAGE, scheduled_maintenances=some(MAINTENANCE)),
    "/api/v2/scheduled-maintenances/active.json": an_object(page=PAGE, scheduled_maintenances=some(MAINTENANCE)),
}


def asked(monitor, path, schema):
    answer = monitor.get(path)
    assert answer.status_code == 200, answer.text
    found = json.loads(answer.text)
    jsonschema.validate(found, schema, format_checker=jsonschema.FormatChecker())
    return found


def summary(monitor):
    return asked(monitor, "/api/v2/summary.json", SUMMARY)


def incidents(monitor):
    return asked(monitor, "/api/v2/incidents.json", INCIDENTS)["incidents"]


def of(page, incident_id="i1", **fields):
    return incident(incident_id, page={"id": page, "name": page.title()}, **fields)


def test_the_components_are_the_pages_with_the_worst_of_what_is_open(app):
    app.post(of("adatum", "i1", impact="minor"))
    app.post(of("adatum", "i2", impact="critical"))
    app.post(of("adatum", "i3", impact="major"))
    app.post(of("fabrikam", "i1", impact="critical"))
    app.post(of("fabrikam", "i1", impact="critical", status="resolved", updated_at="2026-06-01T09:00:00Z"))

    found = summary(app)

    assert [(one["name"], one["status"]) for one in found["components"]] == [
        ("Adatum", "major_outage"),
        ("Fabrikam", "operational"),
    ]
    assert found["status"] == {"indicator": "critical", "description": "Major Service Outage"}


@pytest.mark.parametrize(
    ("fields", "component", "description"),
    [
        ({"impact": "none"}, "operational", "All Systems Operational"),
        ({"impact": "minor"}, "degraded_performance", "Partially Degraded Service"),
        ({"impact": "major"}, "partial_outage", "Partial System Outage"),
        ({"impact": None}, "degraded_performance", "Partially Degraded Service"),
        ({"impact": "surprising", "status": "odd"}, "degraded_performance", "Partially Degraded Service"),
        ({"impact": "maintenance", "status": "scheduled"}, "operational", "All Systems Operational"),
        ({"impact": "maintenance", "status": "in_progress"}, "under_maintenance", "Service Under Maintenance"),
        ({"impact": "none", "status": "in_progress"}, "under_maintenance", "Service Under Maintenance"),
        ({"impact": "minor", "status": "verifying"}, "under_maintenance", "Service Under Maintenance"),
    ],
)
def test_every_impact_has_its_words(app, fields, component, description):
    app.post(of("fabrikam", **fields))

    found = summary(app)

    assert found["components"][0]["status"] == component
    assert found["status"]["description"] == description


def change(number, status, at="2026-06-02T08:00:00Z"):
    component = {"id": "c", "name": "API"}
    changed = {"id": f"x{number}", "created_at": at, "new_status": status, "component_id": "c"}
    return {"page": {"id": "fabrikam", "name": "Fabrikam"}, "component": component, "component_update": changed}


def test_an_outage_of_a_component_is_the_same_here_as_among_the_pages_and_the_incidents(app):
    app.post(change(1, "major_outage"))

    found = summary(app)

    assert (found["components"][0]["status"], found["status"]["indicator"]) == ("major_outage", "critical")
    assert app.get("/pages").json["pages"][0]["state"] == "critical"
    assert [one["impact"] for one in app.incidents("?status=open")] == ["critical"]

    app.post(change(2, "operational", "2026-06-02T09:00:00Z"))

    found = summary(app)
    assert (found["components"][0]["status"], found["status"]["indicator"]) == ("operational", "none")
    assert app.get("/pages").json["pages"][0]["state"] == "operational"


def test_a_page_that_cannot_be_polled_is_not_said_to_be_well(app):
    app.post(of("fabrikam", status="resolved"))
    pages_of(app.application).polled(KnownPage("https://fabrikam.example"), "fabrikam", "HTTP 503")

    found = summary(app)

    assert [(one["status"], one["description"]) for one in found["components"]] == [
        ("degraded_performance", "HTTP 503")
    ]
    assert found["status"]["indicator"] == "minor"


def test_before_anything_came_all_is_operational(app):
    found = summary(app)

    assert found["status"] == {"indicator": "none", "description": "All Systems Operational"}
    assert (found["components"], found["incidents"], found["scheduled_maintenances"]) == ([], [], [])


def test_the_summary_holds_what_is_open_and_maintenances_apart_soonest_first(app):
    app.post(of("fabrikam", "open", name="Sign-in errors"))
    app.post(of("fabrikam", "over", status="resolved"))
    later = {"scheduled_for": "2026-12-03T08:00:00Z", "scheduled_until": "2026-12-03T09:30:00Z"}
    app.post(of("adatum", "m1", name="Later", impact="maintenance", status="scheduled", **later))
    app.post(of("adatum", "m2", name="Sooner", status="verifying", scheduled_for="2026-12-01T08:00:00Z"))
    app.post(of("adatum", "m3", impact="maintenance", status="completed", scheduled_for="2026-05-01T08:00:00Z"))

    found = summary(app)

    (unresolved,) = found["incidents"]
    assert unresolved["name"] == "Fabrikam - Sign-in errors"
    assert unresolved["components"] == [found["components"][1]]
    sooner, last = found["scheduled_maintenances"]
    assert (sooner["name"], last["name"]) == ("Adatum - Sooner", "Adatum - Later")
    assert last["scheduled_until"] == "2026-12-03T09:30:00.000Z"
    assert sooner["scheduled_until"] == "2026-12-01T09:00:00.000Z"


def test_incidents_are_the_newest_50_open_or_not_without_maintenances_and_component_updates(app):
    for number in range(120):
        kind = {"impact": "maintenance"} if number % 2 else {"status": "resolved" if number % 4 else "identified"}
        app.post(
            of(
                "fabrikam",
                f"i{number}",
                name=f"n{number}",
                created_at=f"2026-06-01T{number // 60:02d}:{number % 60:02d}:00Z",
                **kind,
            )
        )
    app.post(change(1, "major_outage"))

    found = incidents(app)

    assert [one["name"] for one in found] == [f"Fabrikam - n{number}" for number in range(118, 18, -2)]
    assert {one["status"] for one in found} == {"resolved", "identified"}
    assert all(one["resolved_at"] for one in found if one["status"] == "resolved")


def test_ids_are_unique_over_pages_and_point_at_their_incident(app):
    for page in ("p1", "p2"):
        app.post(of(page))
    app.post(of("p", "1i1", incident_updates=[{"body": "one"}, {"body": "two"}]))

    found = incidents(app)

    assert len({one["id"] for one in found}) == 3
    entries = [(entry["id"], entry["incident_id"] == one["id"]) for one in found for entry in one["incident_updates"]]
    assert len({at for at, _ in entries}) == len(entries) == 4
    assert all(own for _, own in entries)


@pytest.mark.parametrize("hostile", ["\x00\x1b[31m\u202e", " ", "x" * 100_000, "\ud800<script>"])
def test_whatever_a_provider_writes_the_shape_stays(app, hostile):
    story = [{"id": hostile, "status": hostile, "body": hostile, "created_at": hostile}]
    page = {"id": hostile, "name": hostile}
    names = {"name": hostile, "status": hostile, "impact": hostile, "shortlink": hostile}
    app.post(incident("i", page=page, incident_updates=story, **names))

    found = summary(app)

    assert len(found["incidents"]) == len(incidents(app)) == len(found["components"]) == 1
    assert len(found["components"][0]["name"]) <= 100


def test_an_answer_is_whole_and_at_most_a_mebibyte(app):
    story = [{"id": f"u{number}", "body": "é" * 2_000} for number in range(30)]
    for number in range(60):
        page = {"id": f"p{number}", "name": "\U0001f525" * 200}
        app.post(incident(f"i{number}", page=page, incident_updates=story))
        app.post(incident(f"m{number}", page=page, incident_updates=story, status="scheduled"))

    summary(app)
    found = incidents(app)

    assert len(app.get("/api/v2/summary.json").data) <= 1024 * 1024
    assert 512 * 1024 < len(app.get("/api/v2/incidents.json").data) <= 1024 * 1024
    assert len(found) < 50


def test_a_long_story_is_told_by_its_newest_entries(app):
    story = [{"body": f"{n} {'x' * 3_000}", "created_at": f"2026-06-01T08:{n:02d}:00Z"} for n in range(30)]
    app.post(of("fabrikam", incident_updates=story))

    entries = summary(app)["incidents"][0]["incident_updates"]

    assert [entry["body"][:3] for entry in entries] == [f"{n} {'x' * (3 - len(str(n)) - 1)}" for n in range(29, 4, -1)]
    assert {len(entry["body"].encode()) for entry in entries} == {2_000}


def test_its_own_address_is_the_one_it_was_asked_by(app):
    asked_by = {"Host": "monitor.example", "X-Forwarded-Proto": "https"}

    assert app.get("/api/v2/summary.json", headers=asked_by).json["page"]["url"] == "https://monitor.example/"


def test_an_unknown_parameter_is_400(app):
    assert app.get("/api/v2/summary.json?page=Fabrikam").status_code == 400


def names(app, path):
    found = asked(app, path, PATHS[path])
    return [one["name"] for one in next(value for key, value in found.items() if key not in ("page", "status"))]


def test_each_address_lists_what_its_name_says(app):
    app.post(of("fabrikam", "open", name="Open"))
    app.post(of("fabrikam", "over", name="Over", status="resolved", created_at="2026-05-01T08:00:00Z"))
    planned = {"impact": "maintenance", "scheduled_for": "2026-12-03T08:00:00Z"}
    app.post(of("fabrikam", "m1", name="Later", status="scheduled", **planned))
    app.post(of("fabrikam", "m2", name="Soon", status="scheduled", **planned | {"scheduled_for": "2026-12-01T08:00Z"}))
    app.post(of("fabrikam", "m3", name="Now", status="in_progress", **planned))
    app.post(of("fabrikam", "m4", name="Done", status="completed", created_at="2026-05-01T08:00:00Z", **planned))
    app.post(change(1, "major_outage"))

    listed = {path: names(app, path) for path in PATHS if path not in ("/api/v2/summary.json", "/api/v2/status.json")}

    assert listed == {
        "/api/v2/components.json": ["Fabrikam"],
        "/api/v2/incidents.json": ["Fabrikam - Open", "Fabrikam - Over"],
        "/api/v2/incidents/unresolved.json": ["Fabrikam - Open"],
        "/api/v2/scheduled-maintenances.json": [f"Fabrikam - {name}" for name in ("Now", "Soon", "Later", "Done")],
        "/api/v2/scheduled-maintenances/upcoming.json": ["Fabrikam - Soon", "Fabrikam - Later"],
        "/api/v2/scheduled-maintenances/active.json": ["Fabrikam - Now"],
    }
    status = asked(app, "/api/v2/status.json", PATHS["/api/v2/status.json"])["status"]
    assert status == summary(app)["status"] == {"indicator": "critical", "description": "Major Service Outage"}


@pytest.mark.parametrize("path", [*PATHS, "/history.atom"])
def test_head_is_answered_as_get_without_the_body(monitor, path):
    get, head = monitor.get(path), requests.head(monitor.url + path, timeout=5)

    assert (head.status_code, head.content) == (200, b"")
    kept = ("Content-Type", "Content-Length", "ETag")
    assert [head.headers[name] for name in kept] == [get.headers[name] for name in kept]


@pytest.mark.parametrize("origin", ["*", "https://www.example.com"])
def test_another_sites_page_may_read_where_cors_names_it(origin):
    app = InProcess({"CORS": origin, "READ_TOKEN": "secret"})
    preflight = {"Origin": "https://www.example.com", "Access-Control-Request-Headers": "authorization"}

    for path in (*PATHS, "/history.atom", "/feed.atom", "/maintenance.ics"):
        allowed = app._client.options(path, headers=preflight)
        read = app.get(path, headers={"Authorization": "Bearer secret"})

        assert (allowed.status_code, allowed.data) == (204, b"")
        assert "Authorization" in allowed.headers["Access-Control-Allow-Headers"]
        for answer in (allowed, read):
            assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert app.get("/api/v2/status.json").status_code == 401


def test_without_cors_no_other_sites_page_may_read(app):
    assert "Access-Control-Allow-Origin" not in app.get("/api/v2/status.json").headers
    assert app._client.options("/api/v2/status.json").status_code == 405


@pytest.mark.parametrize("origin", ["", "example.com", "https://example.com/", "https://example.com/x", "null", "*, *"])
def test_a_cors_that_names_no_origin_is_refused(origin):
    with pytest.raises(BadSetting, match=r"MONITOR_CORS .*https://www\.example\.com"):
        InProcess({"CORS": origin})


def test_the_npm_client_reads_all_of_it(monitor):
    if not (READER.parent / "node_modules" / "statuspage.io").exists():
        pytest.fail("statuspage.io is not installed: npm install --prefix tests/postman", pytrace=False)
    monitor.post(of("fabrikam", impact="major", name="Sign-in errors"))
    monitor.post(of("adatum", impact="maintenance", status="scheduled", scheduled_for="2026-12-03T08:00:00Z"))

    printed = subprocess.run(["node", READER, monitor.url], check=True, capture_output=True, text=True).stdout

    read = json.loads(printed)
    assert read["status"]["indicator"] == read["worst"]["indicator"] == "major"
    assert read["components"] == read["pages"] == ["Adatum", "Fabrikam"]
    assert read["incidents"] == read["newest"] == read["unresolved"] == ["Fabrikam - Sign-in errors"]
    assert read["maintenances"] == read["upcoming"] == ["Adatum - Sign-in errors"]


def test_the_prometheus_exporter_for_statuspages_reads_it(monitor, tmp_path):
    monitor.post(of("fabrikam", impact="major", name="Sign-in errors"))
    services = {"ours": {"url": f"{monitor.url}/api/v2/summary.json", "name": "Ours"}}
    (tmp_path / "services.json").write_text(json.dumps(services))

    command = [sys.executable, "-m", "statuspage_prometheus_exporter.status_monitoring"]
    settings = os.environ | {"RUN_MODE": "once", "METRICS_TEXTFILE_PATH": "read.prom"}
    subprocess.run(command, cwd=tmp_path, env=settings, check=True, capture_output=True, timeout=60)

    read = (tmp_path / "read.prom").read_text()
    assert re.search(r'^statuspage_component_status\{.*component_name="Fabrikam".*\} 0', read, re.MULTILINE), read
    assert "Fabrikam - Sign-in errors" in read


WIDGET = "node_modules/@statuspage/status-widget/dist/index.js"


def test_atlassians_status_widget_shows_it_in_another_sites_page_where_cors_allows(start, browse, tmp_path):
    script = READER.parent / WIDGET
    if not script.exists():
        pytest.fail("the widget is not installed: npm install --prefix tests/postman", pytrace=False)
    monitor = start(environment={"MONITOR_CORS": "*"})
    monitor.post(of("fabrikam", impact="major", name="Sign-in errors"))
    page = f'<statuspage-widget src="{monitor.url}"></statuspage-widget><script>var parcelRequire</script>'  # it forgot
    (tmp_path / "elsewhere.html").write_text(f'{page}<script src="{script.as_uri()}"></script>')

    tab = browse((tmp_path / "elsewhere.html").as_uri())

    tab.get_by_text("Partial System Outage").wait_for()
