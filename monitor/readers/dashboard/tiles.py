"""The state of each page and its last 90 days, from the periods of its incidents: one tile a page.

A day is as bad as the worst of it, in UTC. A maintenance counts once it is under way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import groupby

from markupsafe import Markup

from monitor.history.contract import IncidentPeriod, Page
from monitor.readers.pages import state_of, states_of
from monitor.updates.impacts import IMPACTS, RANK

DAYS, MOST_TILES = 90, 200
HEIGHTS = (10, 8, 6, 5, 4, 4)  # by rank, of 10: the taller, the worse
QUIET = RANK["operational"]
_RANKED = tuple(IMPACTS)


@dataclass(frozen=True, slots=True)
class Tile:
    """A page: `state` is that of GET /pages, `open` counts what is broken.

    `strip` holds a `<rect>` for each run of days that are alike and not quiet, `summary` says it in a sentence.
    """

    page: Page
    state: str
    open: int
    strip: Markup
    summary: str


def start_of(now: datetime) -> datetime:
    """Return the first instant of the strips that end at `now`."""
    return datetime.combine(now.date() - timedelta(days=DAYS - 1), time(), UTC)


def tiles(pages: Iterable[Page], periods: Sequence[IncidentPeriod], now: datetime) -> list[Tile]:
    """Return the tiles, worst first, then by name; of very many pages those of the worst and the latest heard."""
    states, strips = states_of(periods), _strips(periods, now)
    broken = [p for p in periods if p.ended_at is None and not p.is_upcoming and p.impact != "maintenance"]
    count = Counter(period.page_id for period in broken)
    days = [start_of(now) + timedelta(days=number) for number in range(DAYS)]
    names = [f"{day.day} {day:%b}" for day in days]

    def rank(page: Page) -> int:
        return RANK.get(state_of(page, states), RANK["none"])  # what is unknown stands before what is well

    def tile(page: Page) -> Tile:
        strip = strips.get(page.id, b"")
        return Tile(page, state_of(page, states), count[page.id], _rectangles(strip, names), _summary(strip))

    shown = sorted(pages, key=lambda page: (rank(page), -page.received_at.timestamp()))[:MOST_TILES]
    return [tile(page) for page in sorted(shown, key=lambda page: (rank(page), page.name.lower()))]


def _strips(periods: Iterable[IncidentPeriod], now: datetime) -> dict[str, bytearray]:
    """Return the rank of each day of each page that has any but quiet ones."""
    strips: dict[str, bytearray] = {}
    first_day = start_of(now).date()
    for period in sorted(periods, key=lambda period: -RANK[period.impact]):  # the worst come last, and stay
        if period.is_upcoming:
            continue
        strip = strips.get(period.page_id) or strips.setdefault(period.page_id, bytearray([QUIET]) * DAYS)
        first = max(0, (period.began_at.date() - first_day).days)
        last = min(DAYS - 1, ((period.ended_at or now).date() - first_day).days)
        strip[first : last + 1] = bytes([RANK[period.impact]]) * (last + 1 - first)
    return strips


def _rectangles(strip: Iterable[int], names: Sequence[str]) -> Markup:
    """Return what of a strip is not quiet; thousands of them in a template would take as long as all the rest."""
    parts, first = [], 0
    for rank, those in groupby(strip):
        days, impact = len(list(those)), _RANKED[rank]
        if rank != QUIET:
            height, when = HEIGHTS[rank], names[first] + (f" to {names[first + days - 1]}" if days > 1 else "")
            place = f'x="{first}" y="{10 - height}" width="{days}" height="{height}"'
            parts.append(f'<rect class="{impact}" {place}><title>{when}: {IMPACTS[impact]}</title></rect>')
        first += days
    return Markup("".join(parts))  # noqa: S704  # made of our own words and numbers


def _summary(strip: bytes | bytearray) -> str:
    said = [f"{strip.count(rank)} {IMPACTS[_RANKED[rank]].lower()}" for rank in sorted({*strip} - {QUIET})]
    return f"{DAYS} days: {', '.join(said)}" if said else f"No incident in {DAYS} days"
