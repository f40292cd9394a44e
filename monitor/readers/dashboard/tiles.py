"""Tiles: the state of each page and its last 90 days, from the periods of its incidents.

A day, in UTC, has the worst impact of its incidents. A maintenance counts once it is under way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby

from markupsafe import Markup

from monitor.history.contract import IncidentPeriod, Page
from monitor.readers.dashboard.story import ago, span
from monitor.readers.pages import OPERATIONAL, UNKNOWN, state_of, states_of
from monitor.updates.impacts import IMPACTS, RANK
from monitor.updates.text import counted
from monitor.updates.times import LONG_AGO

DAYS, MOST_TILES = 90, 200
HEIGHTS = (10, 7, 4, 3, 2, 2)  # by rank, of 10: a day is three pixels wide, so height tells more than colour
QUIET = RANK["operational"]
SILENT, SILENT_AFTER = "silent", timedelta(days=7)
WORDS = IMPACTS | {UNKNOWN: "Unknown", SILENT: "No news"}
# Worst first. What is unknown, then what is silent, stands before what is well.
ORDER = RANK | {UNKNOWN: QUIET - 0.2, SILENT: QUIET - 0.1}
_RANKED = tuple(IMPACTS)


@dataclass(frozen=True, slots=True)
class Tile:
    """A page: `state` is that of GET /pages, or SILENT if it is operational and was not heard for SILENT_AFTER.

    `open` counts open incidents, maintenance excepted. `days` has the rank of each day, or is empty if all were quiet;
    `strip` is `days` as SVG paths, `summary` as a sentence. `heard` says when and how the page was last heard.
    """

    page: Page
    state: str
    open: int
    days: bytes
    strip: Markup
    summary: str
    heard: str

    @property
    def is_quiet(self) -> bool:
        """Tell whether no incident is open and the page can be reached."""
        return self.state in (OPERATIONAL, SILENT)


def first_day(now: datetime) -> date:
    """Return the first day of a strip that ends today."""
    return now.date() - timedelta(days=DAYS - 1)


def start_of(day: date) -> datetime:
    """Return the first instant of a day."""
    return datetime.combine(day, time(), UTC)


def tiles(pages: Iterable[Page], periods: Sequence[IncidentPeriod], now: datetime, most: int) -> list[Tile]:
    """Return at most `most` tiles, worst first, then by name; past that, pages heard longest ago are left out."""
    states, strips = states_of(periods), _strips(periods, now)
    count = Counter(
        period.page_id
        for period in periods
        if period.ended_at is None and not period.is_upcoming and period.impact != "maintenance"
    )

    def state(page: Page) -> str:
        found = state_of(page, states)
        return SILENT if found == OPERATIONAL and now - (page.heard_at or LONG_AGO) > SILENT_AFTER else found

    def tile(page: Page) -> Tile:
        days = bytes(strips.get(page.id, b""))
        return Tile(page, state(page), count[page.id], days, _paths(days), _summary(days), _heard(page, now))

    shown = sorted(pages, key=lambda page: (ORDER[state(page)], -page.received_at.timestamp()))[:most]
    return [tile(page) for page in sorted(shown, key=lambda page: (ORDER[state(page)], page.name.lower()))]


def days_of(tile: Tile, now: datetime) -> list[tuple[date, str, str]]:
    """Return each day of a tile: its date, its impact, and its impact in words."""
    ranks = tile.days or bytes([QUIET]) * DAYS
    dates = (first_day(now) + timedelta(days=number) for number in range(DAYS))
    words = [*[*IMPACTS.values()][:QUIET], "No incident known"]
    return [(day, _RANKED[rank], words[rank]) for day, rank in zip(dates, ranks, strict=True)]


def _heard(page: Page, now: datetime) -> str:
    ways = (("pushed", page.pushed_at), ("polled", page.polled_at))
    said = [f"{verb} {ago(at, now)}" for verb, at in ways if at] or ["not heard yet"]
    if page.lag_seconds is not None:
        said.append(f"last update took {span(page.lag_seconds)} to arrive")
    if page.pushed_at and page.missed:
        said.append(f"{counted(page.missed, 'update')} not pushed since")
    return ", ".join(said).capitalize()


def _strips(periods: Iterable[IncidentPeriod], now: datetime) -> dict[str, bytearray]:
    """Return the rank of each day, for each page that has a period in them."""
    strips: dict[str, bytearray] = {}
    begin = first_day(now)
    for period in sorted(periods, key=lambda period: -RANK[period.impact]):  # the worst is written last, and stays
        if period.is_upcoming:
            continue
        strip = strips.get(period.page_id) or strips.setdefault(period.page_id, bytearray([QUIET]) * DAYS)
        first = max(0, (period.began_at.date() - begin).days)
        last = min(DAYS - 1, ((period.ended_at or now).date() - begin).days)
        strip[first : last + 1] = bytes([RANK[period.impact]]) * (last + 1 - first)
    return strips


def _paths(days: bytes) -> Markup:
    """Return a path for each impact: an element for each day would take as long as the rest of the page."""
    drawn: dict[int, str] = {}
    first = 0
    for rank, run in groupby(days):
        length = len(list(run))
        if rank != QUIET:
            height = HEIGHTS[rank]
            drawn[rank] = drawn.get(rank, "") + f"M{first} {10 - height}h{length}v{height}h-{length}z"
        first += length
    paths = (f'<path class="{_RANKED[rank]}" d="{path}"/>' for rank, path in drawn.items())
    return Markup("".join(paths))  # noqa: S704  # made of our own words and numbers


def _summary(days: bytes) -> str:
    said = [
        f"{IMPACTS[_RANKED[rank]].lower()} on {counted(days.count(rank), 'day')}" for rank in sorted({*days} - {QUIET})
    ]
    return ", ".join(said).capitalize() if said else f"No incident known in {DAYS} days"
