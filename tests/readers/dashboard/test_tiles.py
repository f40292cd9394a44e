"""The tiles of the dashboard: the state of a page and its 90 days, from spans made for each test."""

from datetime import UTC, datetime, timedelta

import pytest

from monitor.history.contract import Page, Span
from monitor.readers.dashboard.tiles import MOST_TILES, start_of, tiles

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)


def page(page_id="p1", received=NOW):
    return Page(page_id, f"Page {page_id}", True, 1, 0, received, received, NOW, None)


def span(began, ended=None, impact="minor", status=None, page_id="p1"):
    return Span(page_id, f"Page {page_id}", impact, status or ("resolved" if ended else "investigating"), began, ended)


def day(number, hour=8):
    """An hour of the strip's day so many days ago."""
    return NOW.replace(hour=hour) - timedelta(days=number)


def strip(*spans):
    (tile,) = tiles([page()], spans, [], NOW)
    return [(run.first, run.days, run.impact) for run in tile.runs]


def test_a_day_is_as_bad_as_its_worst_incident():
    assert strip(
        span(day(5), day(3)), span(day(4), day(4, 9), "critical"), span(day(4), day(4, 10), "none")
    ) == [(84, 1, "minor"), (85, 1, "critical"), (86, 1, "minor")]  # fmt: skip


def test_a_day_begins_and_ends_in_utc():
    assert strip(span(day(2, 23), day(1, 0))) == [(87, 2, "minor")]
    assert strip(span(day(2, 0), day(2, 23))) == [(87, 1, "minor")]


def test_what_is_open_lasts_until_today_and_what_began_earlier_is_cut():
    assert strip(span(day(1))) == [(88, 2, "minor")]
    assert strip(span(day(400), day(88))) == [(0, 2, "minor")]
    assert strip(span(day(400), day(90))) == []


def test_a_maintenance_counts_while_it_is_under_way():
    for status, state in (("scheduled", "operational"), ("in_progress", "maintenance"), ("verifying", "maintenance")):
        (tile,) = tiles([page()], [span(day(1), impact="maintenance", status=status)], [], NOW)
        assert (tile.impact, tile.open) == (state, 0)
        assert len(tile.runs) == (status != "scheduled")


@pytest.mark.parametrize("impact", ["none", None, "enormous", "operational"])
def test_an_incident_of_another_impact_is_an_incident(impact):
    (tile,) = tiles([page()], [span(day(1), impact=impact)], [], NOW)

    assert tile.word.startswith("Incident")


def test_the_strip_is_said_in_a_sentence():
    busy, calm = tiles([page(), page("p2")], [span(day(1), impact="major"), span(day(9), day(9, 9))], [], NOW)

    assert busy.summary == "90 days: 2 major, 1 minor"
    assert calm.summary == "No incident in 90 days"
    assert [run.title for run in busy.runs] == ["21 Jun: Minor", "29 Jun to 30 Jun: Major"]


def test_of_many_pages_the_worst_and_the_latest_are_shown_worst_first():
    quiet = [page(f"q{number:03}", NOW - timedelta(days=number)) for number in range(MOST_TILES)]
    broken = [page("z1", NOW - timedelta(days=999)), page("z2", NOW - timedelta(days=999))]
    spans = [span(day(1), page_id="z1"), span(day(1), impact="critical", page_id="z2")]

    shown = [tile.page_id for tile in tiles(quiet + broken, spans, [("z1", "major")], NOW)]

    assert shown == ["z2", "z1", *[f"q{number:03}" for number in range(MOST_TILES - 2)]]


def test_a_strip_has_ninety_days_and_ends_today():
    assert (NOW.date() - start_of(NOW).date()).days == 89
