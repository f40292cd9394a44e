"""The tiles of the dashboard: the state of a page and its 90 days, from the incidents that were posted."""

import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from monitor.readers.dashboard.tiles import MOST_TILES
from monitor.updates.impacts import IMPACTS
from tests.conftest import incident

TILE = re.compile(r'<li class="(\w+)" id="t\w+">\s*<h3><a [^>]*>([^<]*)</a></h3>(.*?)</li>', re.DOTALL)
PATH = re.compile(r'<path class="(\w+)" d="([^"]+)"/>')
IMPACT = dict(enumerate(IMPACTS))


@pytest.fixture(autouse=True)
def no_midnight_between_a_post_and_its_answer():
    """Begin no test in the last seconds of a day."""
    now = datetime.now(UTC)
    if now.hour == 23 and now.minute == 59 and now.second >= 50:
        time.sleep(60 - now.second)


def day(number, hour=8):
    """Return an hour of the day that is `number` days ago."""
    return datetime.now(UTC).replace(hour=hour) - timedelta(days=number)


def post(app, incident_id, began, over=None, impact="minor", status=None, **fields):
    status = status or ("resolved" if over else "investigating")
    times = {"created_at": began.isoformat(), "updated_at": (over or began).isoformat()}
    app.post(incident(incident_id, status=status, impact=impact, **times, **fields))


def tiles(app):
    """Return each tile's class, name and the rest of its HTML."""
    return TILE.findall(app.get("/").text)


def text(html):
    return " ".join(re.sub("<svg.*</svg>|<[^>]*>", " ", html, flags=re.DOTALL).split())


def drawn(html):
    """Return the runs of equal days that are not quiet: first day, number of days, impact, height."""
    runs = [
        (int(first), int(days), impact, int(height))
        for impact, path in PATH.findall(html)
        for first, days, height in re.findall(r"M(\d+) \d+h(\d+)v(\d+)h-\d+z", path)
    ]
    return sorted(runs)


def strip(app):
    ((_, _, html),) = tiles(app)
    found = [run[:3] for run in drawn(html)]
    said = re.search('data-days="(\\d{90})"', html)
    for first, days, impact in found:
        assert {IMPACT[int(rank)] for rank in said[1][first : first + days]} == {impact}
    return found


def test_a_day_is_as_bad_as_its_worst_incident_whatever_the_order(app):
    post(app, "a", day(5), day(3))
    post(app, "b", day(4), day(4, 9), "critical")
    post(app, "c", day(4), day(4, 10), "none")

    assert strip(app) == [(84, 1, "minor"), (85, 1, "critical"), (86, 1, "minor")]


@pytest.mark.parametrize(
    ("began", "over", "days"),
    [
        ((2, 23), (1, 0), [(87, 2, "minor")]),
        ((2, 0), (2, 23), [(87, 1, "minor")]),
        ((1, 8), None, [(88, 2, "minor")]),
        ((400, 8), (88, 8), [(0, 2, "minor")]),
        ((400, 8), (90, 8), []),
    ],
)
def test_a_day_begins_and_ends_in_utc_and_the_strip_today(app, began, over, days):
    post(app, "a", day(*began), over and day(*over))

    assert strip(app) == days


@pytest.mark.parametrize(
    ("status", "state"), [("scheduled", "operational"), ("in_progress", "maintenance"), ("verifying", "maintenance")]
)
def test_a_maintenance_counts_while_it_is_under_way(app, status, state):
    post(app, "a", day(1), impact="maintenance", status=status, scheduled_for=day(1).isoformat())
    post(app, "b", day(1), impact="maintenance", status=status, scheduled_for=day(1).isoformat())

    ((shown, _, html),) = tiles(app)

    assert shown == state
    assert "incidents" not in html
    assert len(strip(app)) == (status != "scheduled")


@pytest.mark.parametrize("impact", ["none", None, "enormous", "operational"])
def test_an_incident_of_another_impact_is_an_incident(app, impact):
    post(app, "a", day(1), impact=impact)

    ((_, _, html),) = tiles(app)

    assert text(html).startswith("Incident")


def test_the_strip_is_said_in_a_sentence_and_the_worse_is_taller(app):
    post(app, "b", day(9), day(9, 9))
    post(app, "a", day(2), impact="major")
    post(app, "c", day(200), day(200, 9), page={"id": "p2", "name": "Calm"})

    (_, _, busy), (_, _, calm) = tiles(app)

    assert [run[2:] for run in drawn(busy)] == [("minor", 4), ("major", 7)]
    assert text(busy) == "Major 90 days ago Today Major on 3 days, minor on 1 day Pushed just now"
    assert text(calm) == "Operational 90 days ago Today No incident known in 90 days Pushed just now"


def test_of_many_pages_the_worst_and_the_latest_are_shown_worst_first(app):
    post(app, "a", day(1), page={"id": "z1", "name": "z1"})
    post(app, "b", day(1), impact="critical", page={"id": "z2", "name": "z2"})
    for number in range(MOST_TILES):
        post(app, "c", day(1), day(1), page={"id": f"q{number:03}", "name": f"q{number:03}"})

    assert [name for _, name, _ in tiles(app)] == ["z2", "z1", *[f"q{number:03}" for number in range(2, MOST_TILES)]]
