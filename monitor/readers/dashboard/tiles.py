"""The state of each page and its last 90 days, from the spans of its incidents: one tile a page.

A day is as bad as the worst incident of it, in UTC. A maintenance counts while it is under way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from itertools import groupby

from monitor.history.contract import Page, Span
from monitor.readers.dashboard.story import IMPACTS, WORST_FIRST, severity
from monitor.senders.statuspage import MAINTENANCE_STATUSES
from monitor.updates.text import one_line
from monitor.updates.update import LONGEST_PAGE

DAYS = 90
MOST_TILES = 200
STATES = IMPACTS | {"unstated": "Incident", "none": "Incident, no impact"}
HEIGHTS = {"critical": 10, "major": 8, "minor": 6, "unstated": 5, "none": 4, "maintenance": 4}
_RANKED = list(IMPACTS)
_QUIET = WORST_FIRST["operational"]


@dataclass(frozen=True, slots=True)
class Run:
    """Days of a strip that are alike: the number of the first, 0 to 89, and how many; `height` of 10."""

    first: int
    days: int
    impact: str
    height: int
    title: str


@dataclass(frozen=True, slots=True)
class Tile:
    """A page: `impact` names its current state's colour, `word` says it; `summary` says the strip in a sentence."""

    page_id: str
    page: str
    impact: str
    word: str
    open: int
    updated_at: datetime
    runs: tuple[Run, ...]
    summary: str


def start_of(now: datetime) -> datetime:
    """Return the first instant of the strips that end at `now`."""
    return datetime.combine(now.date() - timedelta(days=DAYS - 1), time(), UTC)


def tiles(
    pages: Iterable[Page], spans: Sequence[Span], reported: Iterable[tuple[str, str]], now: datetime
) -> list[Tile]:
    """Return each page's tile, worst first, then by name; `reported` are pages' ids with impacts beside the spans."""
    worst: dict[str, int] = {}
    open_incidents: dict[str, int] = {}
    strips: dict[str, bytearray] = {}
    first_day = start_of(now).date()
    names = [f"{day.day} {day:%b}" for day in (first_day + timedelta(days=number) for number in range(DAYS))]
    ranked = sorted(((_rank(span), span) for span in spans if _counts(span, now)), key=lambda pair: -pair[0])
    for rank, span in ranked:  # the worst come last, and stay
        if span.ended_at is None:
            worst[span.page_id] = rank
            open_incidents[span.page_id] = open_incidents.get(span.page_id, 0) + (rank != WORST_FIRST["maintenance"])
        strip = strips.get(span.page_id) or strips.setdefault(span.page_id, bytearray([_QUIET]) * DAYS)
        first = max(0, (span.began_at.date() - first_day).days)
        last = min(DAYS - 1, ((span.ended_at or now).date() - first_day).days)
        strip[first : last + 1] = bytes([rank]) * (last + 1 - first)
    for page_id, impact in reported:
        worst[page_id] = min(worst.get(page_id, _QUIET), WORST_FIRST[impact])

    def make(page: Page) -> Tile:
        impact = _RANKED[worst.get(page.id, _QUIET)]
        runs = _runs(strips.get(page.id, bytearray()), names)
        name = one_line(page.name, LONGEST_PAGE) or one_line(page.id, LONGEST_PAGE)
        count = open_incidents.get(page.id, 0)
        return Tile(page.id, name, impact, STATES[impact], count, page.updated_at, runs, _summary(runs))

    shown = sorted(pages, key=lambda page: (worst.get(page.id, _QUIET), -page.received_at.timestamp()))[:MOST_TILES]
    return sorted(map(make, shown), key=lambda tile: (WORST_FIRST[tile.impact], tile.page.lower()))


def unknown(tile: Tile) -> Tile:
    """Return the tile of a page that does not answer: nobody knows that it is well."""
    return replace(tile, impact="none", word="Unknown") if tile.impact == "operational" else tile


def _rank(span: Span) -> int:
    return _rank_of(span.impact, span.status)


@lru_cache(maxsize=256)  # a few words, thousands of times
def _rank_of(impact: str | None, status: str | None) -> int:
    return WORST_FIRST["maintenance" if status in MAINTENANCE_STATUSES else severity(impact)]


def _counts(span: Span, now: datetime) -> bool:
    return span.status != "scheduled" and span.began_at <= now


def _runs(strip: bytearray, names: Sequence[str]) -> tuple[Run, ...]:
    runs, first = [], 0
    for rank, those in groupby(strip):
        days, impact = len(list(those)), _RANKED[rank]
        if rank != _QUIET:
            when = names[first] + (f" to {names[first + days - 1]}" if days > 1 else "")
            runs.append(Run(first, days, impact, HEIGHTS[impact], f"{when}: {IMPACTS[impact]}"))
        first += days
    return tuple(runs)


def _summary(runs: Iterable[Run]) -> str:
    days: dict[str, int] = {}
    for run in sorted(runs, key=lambda run: WORST_FIRST[run.impact]):
        days[run.impact] = days.get(run.impact, 0) + run.days
    if not days:
        return f"No incident in {DAYS} days"
    return f"{DAYS} days: " + ", ".join(f"{count} {IMPACTS[impact].lower()}" for impact, count in days.items())
