"""GET /maintenance.ics: maintenance windows as a calendar, read by `ical`, Home Assistant's library."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ical.calendar_stream import IcsCalendarStream

from tests.conftest import InProcess, incident

NOW = datetime.now(UTC).replace(microsecond=0)
HOSTILE = 'a\x00b\x1b[31m\u2028\u202e,;\\:"\nBEGIN:VEVENT\r\nUID:forged\r\n <script>\U0001f525' + "é" * 400


def read(monitor, query=""):
    """Return the calendar as `ical` reads it, after checking its lines against RFC 5545."""
    answer = monitor.get(f"/maintenance.ics{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/calendar; charset=utf-8"
    lines = answer.data.split(b"\r\n")
    assert all(len(line) <= 75 for line in lines)
    assert b"\n" not in b"".join(lines)
    return IcsCalendarStream.calendar_from_ics(answer.text)


def maintenance(incident_id="m1", begins=2, hours=2, **fields):
    """Return a maintenance that begins in `begins` days and lasts `hours`."""
    begins_at = NOW + timedelta(days=begins)
    given = {
        "status": "scheduled",
        "impact": "maintenance",
        "created_at": (NOW - timedelta(days=10)).isoformat(),
        "updated_at": (NOW - timedelta(days=9)).isoformat(),
        "scheduled_for": begins_at.isoformat(),
        "scheduled_until": (begins_at + timedelta(hours=hours)).isoformat(),
    }
    return incident(incident_id, **given | fields)


def test_a_maintenance_is_an_event_in_utc(app):
    app.post(maintenance(name="Database upgrade", shortlink="https://stspg.io/m1"))

    calendar = read(app)

    (event,) = calendar.events
    assert (event.dtstart, event.dtend) == (NOW + timedelta(days=2), NOW + timedelta(days=2, hours=2))
    assert event.summary == "Fabrikam - Database upgrade"
    assert event.description == "Scheduled\nSign-in\n\nSome people cannot sign in".replace(
        "\n\n", f"\n\n{NOW - timedelta(days=9):%Y-%m-%d %H:%M} UTC\n"
    )
    assert str(event.url) == "https://stspg.io/m1"
    assert event.status == "CONFIRMED"
    assert event.dtstamp == event.last_modified == NOW - timedelta(days=9)
    assert calendar.prodid == "-//event_monitor//EN"


def test_a_calendar_states_its_name_and_its_refresh_interval(app):
    app.post(maintenance())

    text = app.get("/maintenance.ics?page=Fabrikam").text

    assert "X-WR-CALNAME:Maintenance: Fabrikam\r\n" in text
    assert "REFRESH-INTERVAL;VALUE=DURATION:PT1H\r\n" in text


def test_a_rescheduled_window_keeps_its_uid_and_raises_its_sequence(app):
    app.post(maintenance())
    (before,) = read(app).events
    app.post(maintenance(begins=3, updated_at=NOW.isoformat()))

    (after,) = read(app).events

    assert after.uid == before.uid
    assert after.sequence > before.sequence
    assert after.dtstart - before.dtstart == timedelta(days=1)
    assert after.last_modified > before.last_modified


def test_uids_are_unique_across_pages_and_the_same_on_every_machine(app):
    for one in (app, another := InProcess()):
        for page, at in (("p1", "m1"), ("p2", "m1"), ("p", "1m1")):
            one.post(maintenance(at, page={"id": page, "name": "Fabrikam"}))

    assert len({event.uid for event in read(app).events}) == 3
    assert app.get("/maintenance.ics").data == another.get("/maintenance.ics").data


@pytest.mark.parametrize(
    ("fields", "hours"),
    [
        ({"scheduled_until": None}, 1),
        ({"scheduled_until": "rubbish"}, 1),
        ({"hours": -5}, 1),
        ({"begins": -1, "scheduled_until": None, "status": "completed", "updated_at": NOW.isoformat()}, 24),
    ],
)
def test_a_window_without_an_end_lasts_an_hour_or_until_it_ended(app, fields, hours):
    app.post(maintenance(**fields))

    (event,) = read(app).events

    assert event.dtend - event.dtstart == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("fields", "is_shown"),
    [
        ({"begins": -89, "status": "completed"}, True),
        ({"begins": -91, "status": "completed"}, False),
        ({"begins": -89, "status": "in_progress"}, True),
        ({"begins": -91, "status": "in_progress"}, False),
        ({"begins": 300, "updated_at": (NOW - timedelta(days=200)).isoformat()}, True),
        ({"impact": "none"}, True),
        ({"impact": "minor", "status": "completed", "begins": -1}, True),
        ({"scheduled_for": None, "scheduled_until": None}, True),
        ({"status": "identified", "impact": "minor", "scheduled_for": None, "scheduled_until": None}, False),
    ],
)
def test_maintenances_planned_under_way_or_ended_within_90_days_are_listed(app, fields, is_shown):
    app.post(maintenance(**fields))

    assert len(read(app).events) == is_shown


def test_a_canceled_maintenance_is_a_cancelled_event(app):
    app.post(maintenance())
    app.post(maintenance(status="canceled", updated_at=NOW.isoformat()))

    assert [event.status for event in read(app).events] == ["CANCELLED"]


def test_the_calendar_is_filtered_by_page_or_component_only(app):
    app.post(maintenance("m1"))
    app.post(maintenance("m2", page={"id": "p2", "name": "Adatum"}, components=[{"id": "c2", "name": "API"}]))

    assert [event.summary for event in read(app, "?page=Adatum").events] == ["Adatum - Sign-in errors"]
    assert [event.summary for event in read(app, "?component=API").events] == ["Adatum - Sign-in errors"]
    assert app.get("/maintenance.ics?status=open").status_code == 400


def test_for_an_unknown_page_the_calendar_is_empty_and_its_name_says_so(app):
    app.post(maintenance())

    text = app.get("/maintenance.ics?page=Fabricam").text.replace("\r\n ", "")

    assert "X-WR-CALNAME:Maintenance: Fabricam (page unknown; known: Fabrikam)" in text
    assert "VEVENT" not in text


@pytest.mark.parametrize("name", ["END:VCALENDAR", "a\r\nEND:VCALENDAR\r\n"])
def test_the_calendar_is_valid_whatever_the_query_contains(app, name):
    app.post(maintenance())
    app.post(maintenance(page={"id": name, "name": name}))

    found = [len(read(app, f"?{urlencode({asked: name})}").events) for asked in ("page", "component")]

    assert found == [1, 0]


@pytest.mark.parametrize("year", [1970, 2037, 2039, 2099])
@pytest.mark.parametrize("field", ["created_at", "updated_at", "scheduled_for", "scheduled_until"])
def test_the_calendar_is_valid_whatever_the_dates(app, field, year):
    app.post(maintenance(created_at="1970-01-01T00:00:00Z"))
    app.post(maintenance(**{"scheduled_until": None, "updated_at": NOW.isoformat(), field: f"{year}-12-31T23:59:59Z"}))

    assert len(read(app).events) == (field != "scheduled_for" or year > 1970)


def test_a_component_under_maintenance_is_not_an_event(app):
    change = {"id": "x", "created_at": NOW.isoformat(), "new_status": "under_maintenance"}
    app.post({"page": {"id": "p1"}, "component": {"id": "c", "name": "API"}, "component_update": change})

    assert read(app).events == []


def test_a_calendar_without_windows_is_valid(app):
    assert read(app).events == []
    assert "BEGIN:VTIMEZONE" in app.get("/maintenance.ics").text  # a calendar must have a component


def test_a_provider_cannot_forge_a_line_of_the_calendar(app):
    story = [{"id": "u", "body": HOSTILE, "status": HOSTILE}]
    app.post(maintenance(name=HOSTILE, status=HOSTILE, shortlink="https://x/\r\nUID:forged", incident_updates=story))

    (event,) = read(app).events

    assert event.uid != "forged"
    assert all(line.isprintable() for line in event.description.splitlines())


TEXT = st.text(max_size=40) | st.sampled_from(["\\", '";,:', "\r\n ", "\x7f", "\ud800", "https://x\n.y/", "é" * 300])


@given(TEXT, TEXT, TEXT, TEXT)
@settings(max_examples=60, deadline=None)
def test_the_calendar_is_valid_whatever_a_provider_writes(page, name, body, link):
    app = InProcess()
    told = {"shortlink": link, "incident_updates": [{"id": "u", "body": body}], "components": [{"name": name}]}
    app.post(maintenance(page={"id": page, "name": page}, name=name, **told))

    assert len(read(app).events) == 1


def test_a_calendar_is_valid_at_most_1_mib_and_lists_open_maintenances_first(app):
    told = {"name": "é" * 200, "shortlink": f"https://x/?{'&' * 1_900}", "incident_updates": [{"body": "é" * 3_000}]}
    for number in range(400):
        app.post(maintenance(f"m{number}", begins=-1, status="completed", **told))
    app.post(maintenance("open", created_at="2020-01-01T00:00:00Z", name="To come"))

    events = read(app).events

    assert 150 < len(events) < 400
    assert "Fabrikam - To come" in [event.summary for event in events]
    assert len(app.get("/maintenance.ics").data) <= 1024 * 1024
