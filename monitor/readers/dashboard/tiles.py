"""The state of each page and its last 90 days, from the periods of its incidents: one tile a page.

A day is as bad as the worst of it, in UTC. A maintenance counts once it is under way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import blake2b
from itertools import groupby

from markupsafe import Markup

from monitor.history.contract import IncidentPeriod, Page
from monitor.readers.dashboard.story import ago, span
from monitor.readers.pages import OPERATIONAL, state_of, states_of
from monitor.updates.impacts import IMPACTS, RANK
from monitor.updates.times import LONG_AGO

DAYS, MOST_TILES = 90, 200
HEIGHTS = (10, 7, 4, 3, 2, 2)  # by rank, of 10: at three pixels a day the height tells more than the colour
QUIET = RANK["operational"]
SILENT, SILENT_AFTER = "silent", timedelta(days=7)
WORDS = IMPACTS | {"unknown": "Unknown", SILENT: "No news"}
_RANKED = tuple(IMPACTS)


@dataclass(frozen=True, slots=True)
class Tile:
    """A page: `state` is that of GET /pages, or SILENT for one that is well as far as anybody heard.

    `open` counts what is broken, `days` holds the rank of each day, `strip` a path for each impact that was,
    `summary` says it in a sentence, `heard` when and how the page was last heard.
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
        """Tell whether nothing of it is open."""
        return self.state in (OPERATIONAL, SILENT)

    @property
    def key(self) -> str:
        """What tells the tile apart in its page, whatever the id of its page holds."""
        return "t" + blake2b(self.page.id.encode(), digest_size=6).hexdigest()

    @property
    def ranks(self) -> str:
        """The rank of each day, as a digit."""
        return "".join(map(str, self.days))


def first_day(now: datetime) -> date:
    """Return the first day of the strips that end at `now`."""
    return now.date() - timedelta(days=DAYS - 1)


def start_of(day: date) -> datetime:
    """Return the first instant of a day."""
    return datetime.combine(day, time(), UTC)


def tiles(pages: Iterable[Page], periods: Sequence[IncidentPeriod], now: datetime, most: int) -> list[Tile]:
    """Return the tiles, worst first, then by name; of very many pages those of the worst and the latest heard."""
    states, strips = states_of(periods), _strips(periods, now)
    broken = [p for p in periods if p.ended_at is None and not p.is_upcoming and p.impact != "maintenance"]
    count = Counter(period.page_id for period in broken)

    def state(page: Page) -> str:
        found = state_of(page, states)
        return SILENT if found == OPERATIONAL and now - (page.heard_at or LONG_AGO) > SILENT_AFTER else found

    def rank(page: Page) -> float:
        # What is unknown, then what is silent, stands before what is well.
        return {"unknown": QUIET - 0.2, SILENT: QUIET - 0.1}.get(state(page)) or RANK[state(page)]

    def tile(page: Page) -> Tile:
        days = bytes(strips.get(page.id, b""))
        return Tile(page, state(page), count[page.id], days, _paths(days), _summary(days), _heard(page, now))

    shown = sorted(pages, key=lambda page: (rank(page), -page.received_at.timestamp()))[:most]
    return [tile(page) for page in sorted(shown, key=lambda page: (rank(page), page.name.lower()))]


def days_of(tile: Tile, now: datetime) -> list[tuple[date, str, str]]:
    """Return each day of a tile: when, its impact as the name of a colour, and in words."""
    ranks = tile.days or bytes([QUIET]) * DAYS
    dates = (first_day(now) + timedelta(days=number) for number in range(DAYS))
    words = [*[*IMPACTS.values()][:QUIET], "No incident"]
    return [(day, _RANKED[rank], words[rank]) for day, rank in zip(dates, ranks, strict=True)]


def _heard(page: Page, now: datetime) -> str:
    how = (("pushed", page.pushed_at), ("polled", page.polled_at))
    said = [f"{verb} {ago(at, now)}" for verb, at in how if at] or ["not heard yet"]
    if page.lag_seconds is not None:
        said.append(f"last update took {span(page.lag_seconds)} to arrive")
    if page.pushed_at and page.missed:
        said.append(f"{page.missed} {'update' if page.missed == 1 else 'updates'} not pushed since")
    return ", ".join(said).capitalize()


def _strips(periods: Iterable[IncidentPeriod], now: datetime) -> dict[str, bytearray]:
    """Return the rank of each day of each page that has any but quiet ones."""
    strips: dict[str, bytearray] = {}
    begin = first_day(now)
    for period in sorted(periods, key=lambda period: -RANK[period.impact]):  # the worst come last, and stay
        if period.is_upcoming:
            continue
        strip = strips.get(period.page_id) or strips.setdefault(period.page_id, bytearray([QUIET]) * DAYS)
        first = max(0, (period.began_at.date() - begin).days)
        last = min(DAYS - 1, ((period.ended_at or now).date() - begin).days)
        strip[first : last + 1] = bytes([RANK[period.impact]]) * (last + 1 - first)
    return strips


def _paths(days: bytes) -> Markup:
    """Return what of a strip is not quiet; thousands of elements would take as long as all the rest."""
    drawn: dict[int, str] = {}
    first = 0
    for rank, those in groupby(days):
        length = len(list(those))
        if rank != QUIET:
            height = HEIGHTS[rank]
            drawn[rank] = drawn.get(rank, "") + f"M{first} {10 - height}h{length}v{height}h-{length}z"
        first += length
    paths = (f'<path class="{_RANKED[rank]}" d="{path}"/>' for rank, path in drawn.items())
    return Markup("".join(paths))  # noqa: S704  # made of our own words and numbers


def _summary(days: bytes) -> str:
    said = [
        f"{IMPACTS[_RANKED[rank]].lower()} on {days.count(rank)} {'day' if days.count(rank) == 1 else 'days'}"
        for rank in sorted({*days} - {QUIET})
    ]
    return ", ".join(said).capitalize() if said else f"No incident in {DAYS} days"
