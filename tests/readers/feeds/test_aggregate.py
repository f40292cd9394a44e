"""GET /api/v2/summary.json and the rest: clients of a Statuspage read this one, too."""

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

# The schema of Statuspage's public API (https://www.githubstatus.com/api), with the required fields of
# https://www.mongodb.com/docs/api/doc/cloud-status/operation/operation-getstatussummary
TEXT, TIME = {"type": "string", "minLength": 1}, {"type": "string", "format": "date-time", "pattern": "T.*Z$"}
SAID = ["investigating", "identified", "monitoring", "resolved", "postmortem"]
PLANNED = ["scheduled", "in_progress", "verifying", "completed"]
STATUSES = ["operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance"]
IMPACTS = ["none", "minor", "major", "critical", "maintenance"]


def object_of(**properties):
    return {"type": "object", "properties": properties, "required": list(properties)}


def array_of(items):
    return {"type": "array", "items": items}


def or_null(schema):
    return {"anyOf": [schema, {"type": "null"}]}


PAGE = object_of(id=TEXT, name=TEXT, url={"type": "string", "format": "uri"}, time_zone=TEXT, updated_at=TIME)
COMPONENT = object_of(
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
ENTRY = object_of(
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
    "incident_updates": array_of(ENTRY),
    "components": array_of(COMPONENT),
}
INCIDENT = object_of(status={"enum": SAID}, **BOTH)
MAINTENANCE = object_of(
    status={"enum": PLANNED},
    scheduled_for=TIME,
    scheduled_until=TIME,
    **BOTH,
)
SUMMARY = object_of(
    page=PAGE,
    components=array_of(COMPONENT),
    incidents=array_of(INCIDENT),
    scheduled_maintenances=array_of(MAINTENANCE),
    status=object_of(indicator={"enum": IMPACTS}, description=TEXT),
)
INCIDENTS = object_of(page=PAGE, incidents=array_of(INCIDENT))


PATHS = {
    "/api/v2/summary.json": SUMMARY,
    "/api/v2/status.json": object_of(page=PAGE, status=SUMMARY["properties"]["status"]),
    "/api/v2/components.json": object_of(page=PAGE, components=array_of(COMPONENT)),
    "/api/v2/incidents.json": INCIDENTS,
    "/api/v2/incidents/unresolved.json": INCIDENTS,
    "/api/v2/scheduled-maintenances.json": object_of(page=PAGE, scheduled_maintenances=array_of(MAINTENANCE)),
    "/api/v2/scheduled-maintenances/upcoming.json": object_of(page=PAGE, scheduled_maintenances=array_of(MAINTENANCE)),
    "/api/v2/scheduled-maintenances/active.json": object_of(page=PAGE, scheduled_maintenances=array_of(MAINTENANCE)),
}


def checked(monitor, path, schema):
    answer = monitor.get(path)
    assert answer.status_code == 200, answer.text
    found = json.loads(answer.text)
    jsonschema.validate(found, schema, format_checker=jsonschema.FormatChecker())
    return found


def summary(monitor):
    return checked(monitor, "/api/v2/summary.json", SUMMARY)


def incidents(monitor):
    return checked(monitor, "/api/v2/incidents.json", INCIDENTS)["incidents"]


def on(page, incident_id="i1", **fields):
    return incident(incident_id, page={"id": page, "name": page.title()}, **fields)


def test_each_page_is_a_component_with_the_status_of_its_worst_open_incident(app):
    app.post(on("adatum", "i1", impact="minor"))
    app.post(on("adatum", "i2", impact="critical"))
    app.post(on("adatum", "i3", impact="major"))
    app.post(on("fabrikam", "i1", impact="critical"))
    app.post(on("fabrikam", "i1", impact="critical", status="resolved", updated_at="2026-06-01T09:00:00Z"))

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
def test_every_impact_sets_a_component_status_and_a_description(app, fields, component, description):
    app.post(on("fabrikam", **fields))

    found = summary(app)

    assert found["components"][0]["status"] == component
    assert found["status"]["description"] == description


def change(number, status, at="2026-06-02T08:00:00Z"):
    component = {"id": "c", "name": "API"}
    changed = {"id": f"x{number}", "created_at": at, "new_status": status, "component_id": "c"}
    return {"page": {"id": "fabrikam", "name": "Fabrikam"}, "component": component, "component_update": changed}


def test_a_component_outage_has_the_same_impact_here_as_in_pages_and_incidents(app):
    app.post(change(1, "major_outage"))

    found = summary(app)

    assert (found["components"][0]["status"], found["status"]["indicator"]) == ("major_outage", "critical")
    assert app.get("/pages").json["pages"][0]["state"] == "critical"
    assert [one["impact"] for one in app.incidents("?status=open")] == ["critical"]

    app.post(change(2, "operational", "2026-06-02T09:00:00Z"))

    found = summary(app)
    assert (found["components"][0]["status"], found["status"]["indicator"]) == ("operational", "none")
    assert app.get("/pages").json["pages"][0]["state"] == "operational"


def test_a_page_that_cannot_be_polled_is_not_operational(app):
    app.post(on("fabrikam", status="resolved"))
    pages_of(app.application).polled(KnownPage("https://fabrikam.example"), "fabrikam", "HTTP 503")

    found = summary(app)

    assert [(one["status"], one["description"]) for one in found["components"]] == [
        ("degraded_performance", "HTTP 503")
    ]
    assert found["status"]["indicator"] == "minor"


def test_without_any_update_everything_is_operational(app):
    found = summary(app)

    assert found["status"] == {"indicator": "none", "description": "All Systems Operational"}
    assert (found["components"], found["incidents"], found["scheduled_maintenances"]) == ([], [], [])


def test_the_summary_lists_open_incidents_and_apart_from_them_planned_maintenances_soonest_first(app):
    app.post(on("fabrikam", "open", name="Sign-in errors"))
    app.post(on("fabrikam", "over", status="resolved"))
    later = {"scheduled_for": "2026-12-03T08:00:00Z", "scheduled_until": "2026-12-03T09:30:00Z"}
    app.post(on("adatum", "m1", name="Later", impact="maintenance", status="scheduled", **later))
    app.post(on("adatum", "m2", name="Sooner", status="verifying", scheduled_for="2026-12-01T08:00:00Z"))
    app.post(on("adatum", "m3", impact="maintenance", status="completed", scheduled_for="2026-05-01T08:00:00Z"))

    found = summary(app)

    (unresolved,) = found["incidents"]
    assert unresolved["name"] == "Fabrikam - Sign-in errors"
    assert unresolved["components"] == [found["components"][1]]
    sooner, last = found["scheduled_maintenances"]
    assert (sooner["name"], last["name"]) == ("Adatum - Sooner", "Adatum - Later")
    assert last["scheduled_until"] == "2026-12-03T09:30:00.000Z"
    assert sooner["scheduled_until"] == "2026-12-01T09:00:00.000Z"


def test_incidents_lists_the_newest_50_open_or_ended_without_maintenances_and_component_updates(app):
    for number in range(120):
        kind = {"impact": "maintenance"} if number % 2 else {"status": "resolved" if number % 4 else "identified"}
        app.post(
            on(
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


def test_ids_are_unique_across_pages_and_entries_name_their_incident(app):
    for page in ("p1", "p2"):
        app.post(on(page))
    app.post(on("p", "1i1", incident_updates=[{"body": "one"}, {"body": "two"}]))

    found = incidents(app)

    assert len({one["id"] for one in found}) == 3
    entries = [(entry["id"], entry["incident_id"] == one["id"]) for one in found for entry in one["incident_updates"]]
    assert len({at for at, _ in entries}) == len(entries) == 4
    assert all(own for _, own in entries)


@pytest.mark.parametrize("hostile", ["\x00\x1b[31m\u202e", " ", "x" * 100_000, "\ud800<script>"])
def test_hostile_text_of_a_provider_does_not_change_the_shape(app, hostile):
    story = [{"id": hostile, "status": hostile, "body": hostile, "created_at": hostile}]
    page = {"id": hostile, "name": hostile}
    names = {"name": hostile, "status": hostile, "impact": hostile, "shortlink": hostile}
    app.post(incident("i", page=page, incident_updates=story, **names))

    found = summary(app)

    assert len(found["incidents"]) == len(incidents(app)) == len(found["components"]) == 1
    assert len(found["components"][0]["name"]) <= 100


def test_an_answer_is_valid_json_and_at_most_1_mib(app):
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


def test_a_long_story_is_cut_to_its_newest_25_entries(app):
    story = [{"body": f"{n} {'x' * 3_000}", "created_at": f"2026-06-01T08:{n:02d}:00Z"} for n in range(30)]
    app.post(on("fabrikam", incident_updates=story))

    entries = summary(app)["incidents"][0]["incident_updates"]

    assert [entry["body"][:3] for entry in entries] == [f"{n} {'x' * (3 - len(str(n)) - 1)}" for n in range(29, 4, -1)]
    assert {len(entry["body"].encode()) for entry in entries} == {2_000}


def test_the_url_of_the_page_is_the_one_the_client_requested(app):
    forwarded = {"Host": "monitor.example", "X-Forwarded-Proto": "https"}

    assert app.get("/api/v2/summary.json", headers=forwarded).json["page"]["url"] == "https://monitor.example/"


def test_an_unknown_parameter_is_400(app):
    assert app.get("/api/v2/summary.json?page=Fabrikam").status_code == 400


def names(app, path):
    found = checked(app, path, PATHS[path])
    return [one["name"] for one in next(value for key, value in found.items() if key not in ("page", "status"))]


def test_each_path_lists_what_its_name_says(app):
    app.post(on("fabrikam", "open", name="Open"))
    app.post(on("fabrikam", "over", name="Over", status="resolved", created_at="2026-05-01T08:00:00Z"))
    planned = {"impact": "maintenance", "scheduled_for": "2026-12-03T08:00:00Z"}
    app.post(on("fabrikam", "m1", name="Later", status="scheduled", **planned))
    app.post(on("fabrikam", "m2", name="Soon", status="scheduled", **planned | {"scheduled_for": "2026-12-01T08:00Z"}))
    app.post(on("fabrikam", "m3", name="Now", status="in_progress", **planned))
    app.post(on("fabrikam", "m4", name="Done", status="completed", created_at="2026-05-01T08:00:00Z", **planned))
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
    status = checked(app, "/api/v2/status.json", PATHS["/api/v2/status.json"])["status"]
    assert status == summary(app)["status"] == {"indicator": "critical", "description": "Major Service Outage"}


def test_a_maintenance_with_the_status_of_an_incident_is_under_way_or_completed(app):
    app.post(on("fabrikam", "m1", name="Now", status="investigating", impact="maintenance"))
    app.post(on("fabrikam", "m2", name="Done", status="resolved", impact="maintenance"))

    assert names(app, "/api/v2/scheduled-maintenances/active.json") == ["Fabrikam - Now"]
    assert names(app, "/api/v2/scheduled-maintenances/upcoming.json") == []
    listed = app.get("/api/v2/scheduled-maintenances.json").json["scheduled_maintenances"]
    assert {row["status"] for row in listed} == {"in_progress", "completed"}


@pytest.mark.parametrize("path", [*PATHS, "/history.atom"])
def test_head_is_answered_like_get_without_the_body(monitor, path):
    get, head = monitor.get(path), requests.head(monitor.url + path, timeout=5)

    assert (head.status_code, head.content) == (200, b"")
    kept = ("Content-Type", "Content-Length", "ETag")
    assert [head.headers[name] for name in kept] == [get.headers[name] for name in kept]


@pytest.mark.parametrize("origin", ["*", "https://www.example.com"])
def test_pages_of_the_origin_in_cors_may_read_with_a_token(origin):
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


def test_without_cors_no_page_of_another_origin_may_read(app):
    assert "Access-Control-Allow-Origin" not in app.get("/api/v2/status.json").headers
    assert app._client.options("/api/v2/status.json").status_code == 405


@pytest.mark.parametrize("origin", ["", "example.com", "https://example.com/", "https://example.com/x", "null", "*, *"])
def test_a_cors_that_is_not_one_origin_is_refused(origin):
    with pytest.raises(BadSetting, match=r"MONITOR_CORS .*https://www\.example\.com"):
        InProcess({"CORS": origin})


def test_the_npm_client_statuspage_io_reads_every_list(monitor):
    if not (READER.parent / "node_modules" / "statuspage.io").exists():
        pytest.fail("statuspage.io is not installed: npm install --prefix tests/postman", pytrace=False)
    monitor.post(on("fabrikam", impact="major", name="Sign-in errors"))
    monitor.post(on("adatum", impact="maintenance", status="scheduled", scheduled_for="2026-12-03T08:00:00Z"))

    printed = subprocess.run(["node", READER, monitor.url], check=True, capture_output=True, text=True).stdout

    read = json.loads(printed)
    assert read["status"]["indicator"] == read["worst"]["indicator"] == "major"
    assert read["components"] == read["pages"] == ["Adatum", "Fabrikam"]
    assert read["incidents"] == read["newest"] == read["unresolved"] == ["Fabrikam - Sign-in errors"]
    assert read["maintenances"] == read["upcoming"] == ["Adatum - Sign-in errors"]


def test_the_prometheus_exporter_for_statuspages_reads_the_summary(monitor, tmp_path):
    monitor.post(on("fabrikam", impact="major", name="Sign-in errors"))
    services = {"ours": {"url": f"{monitor.url}/api/v2/summary.json", "name": "Ours"}}
    (tmp_path / "services.json").write_text(json.dumps(services))

    command = [sys.executable, "-m", "statuspage_prometheus_exporter.status_monitoring"]
    settings = os.environ | {"RUN_MODE": "once", "METRICS_TEXTFILE_PATH": "read.prom"}
    subprocess.run(command, cwd=tmp_path, env=settings, check=True, capture_output=True, timeout=60)

    read = (tmp_path / "read.prom").read_text()
    assert re.search(r'^statuspage_component_status\{.*component_name="Fabrikam".*\} 0', read, re.MULTILINE), read
    assert "Fabrikam - Sign-in errors" in read


WIDGET = "node_modules/@statuspage/status-widget/dist/index.js"


def test_atlassians_status_widget_works_in_a_page_of_an_origin_that_cors_allows(start, browse, tmp_path):
    script = READER.parent / WIDGET
    if not script.exists():
        pytest.fail("the widget is not installed: npm install --prefix tests/postman", pytrace=False)
    monitor = start(environment={"MONITOR_CORS": "*"})
    monitor.post(on("fabrikam", impact="major", name="Sign-in errors"))
    # The widget uses parcelRequire without declaring it.
    page = f'<statuspage-widget src="{monitor.url}"></statuspage-widget><script>var parcelRequire</script>'
    (tmp_path / "elsewhere.html").write_text(f'{page}<script src="{script.as_uri()}"></script>')

    tab = browse((tmp_path / "elsewhere.html").as_uri())

    tab.get_by_text("Partial System Outage").wait_for()
