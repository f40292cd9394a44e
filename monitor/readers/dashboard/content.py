"""The content of the dashboard, read from the history: the overview, a listing, or the incidents of a day.

The result is a template's name and its values. Every list is bounded, whatever the history holds. Other requests get
their turn between the steps. Every function here raises Unavailable.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from monitor.history import query
from monitor.history.contract import Arrival, History, Page
from monitor.history.query import Query
from monitor.readers.dashboard.choices import MOST_CHOICES, components_offered, pages_offered, unknown_component
from monitor.readers.dashboard.story import name_of
from monitor.readers.dashboard.tiles import MOST_TILES, days_of, first_day, start_of, tiles
from monitor.readers.incidents import unknown
from monitor.readers.pages import UNKNOWN
from monitor.readers.verdict import MOST_OPEN, without_covered
from monitor.senders.pages import Pages
from monitor.server.turns import take_turns
from monitor.updates.impacts import RANK, impact_of
from monitor.updates.incident import Incident

MOST_BROKEN, MOST_MAINTENANCE, MOST_LATEST, MOST_ENDED, MOST_LISTED, MOST_WHOLE = 50, 10, 12, 10, 50, 3
LOOKED_BACK_FOR_ENDED, LOOKED_BACK_FOR_LATEST = 40, 300
MOST_WITH_DAYS = 3  # pages that are shown day by day

LISTING = {"id", "status", "since", "limit", "cursor"}  # a parameter of these asks for a listing, not the overview

Values = dict[str, object]


def shown(
    history: History, pages: Pages, given: Collection[str], wanted: Query, day: date | None, share: int
) -> tuple[str, Values]:
    """Return the template and its values; each list is cut to 1/`share` of its bound."""
    now, wanted, known = datetime.now(UTC), pages.resolve(wanted), pages.known()
    arrivals = history.arrivals(None, LOOKED_BACK_FOR_LATEST)
    most = MOST_CHOICES // share
    components = components_offered(history, arrivals, wanted, most)
    if found := unknown(wanted, pages) or unknown_component(history, pages, components, wanted):
        template = "unknown.html"
    elif day:
        template, found = "listing.html", on_day(pages, wanted, day, now)
    elif not LISTING.isdisjoint(given):
        template, found = "listing.html", listing(history, pages, wanted)
    elif known or arrivals:
        template, found = "overview.html", overview(history, pages, known, arrivals, wanted, now, share)
    else:
        template, found = "empty.html", {}
    return template, found | {
        "choices": pages_offered(known, wanted, most),
        "components": components,
        "more_pages": len(known) > most,
        "name": next((name_of(page) for page in known if page.id in (wanted.page_ids or ())), ""),
        "now": now,
        "wanted": wanted,
    }


def overview(
    history: History,
    pages: Pages,
    known: Sequence[Page],
    arrivals: Sequence[Arrival],
    wanted: Query,
    now: datetime,
    share: int,
) -> Values:
    """Return the overview at `now` of the pages, components and impacts that are asked for.

    `open` and `open_pages` count what is broken, `more_…` what is left out; `is_all` is False if more incidents may be
    open than were read.
    """
    states, is_all = _newest(pages, replace(wanted, status="open"))
    listed = sorted(without_covered(states), key=lambda state: (RANK[impact_of(state)], -state.began_at.timestamp()))
    broken = [state for state in listed if impact_of(state) != "maintenance"]
    planned = [state for state in listed if impact_of(state) == "maintenance"]
    planned.sort(key=lambda state: (state.is_upcoming, state.began_at))
    known = [page for page in known if wanted.page_ids is None or page.id in wanted.page_ids]
    take_turns()
    periods = history.periods(start_of(first_day(now)))
    take_turns()
    shown_tiles = tiles(known, periods, now, MOST_TILES // share)
    take_turns()
    with_days = shown_tiles if wanted.page and len(shown_tiles) <= MOST_WITH_DAYS else []
    return {
        "open": len(broken),
        "open_pages": len({state.page_id for state in broken}),
        "is_all": is_all,
        "broken": broken[: MOST_BROKEN // share],
        "tiles": shown_tiles,
        "more_tiles": len(known) - len(shown_tiles),
        "first_day": first_day(now),
        "with_days": [(tile.page, days_of(tile, now)) for tile in with_days],
        "unreachable": sum(tile.state == UNKNOWN for tile in shown_tiles),
        "latest": [Arrival(arrival.number, pages.shown(arrival.update)) for arrival in _latest(arrivals, wanted, now)],
        "maintenance": planned[: MOST_MAINTENANCE // share],
        "more_maintenance": max(0, len(planned) - MOST_MAINTENANCE // share),
        "ended": [pages.shown(state) for state in _ended(history, wanted)[: MOST_ENDED // share]],
    }


def listing(history: History, pages: Pages, wanted: Query) -> Values:
    """Return the incidents that match, newest first; `older` is the cursor of the next listing, or None."""
    limit = min(wanted.limit, MOST_LISTED) if wanted.id is None else MOST_WHOLE
    found = history.incidents(replace(wanted, limit=limit))
    older = query.cursor(found[-1].place) if wanted.id is None and len(found) == limit else None
    return {"incidents": [pages.shown(row.incident) for row in found], "older": older, "day": None, "is_all": True}


def on_day(pages: Pages, wanted: Query, day: date, now: datetime) -> Values:
    """Return the incidents of a day, worst first, of the newest that match."""
    begin, end = start_of(day), start_of(day) + timedelta(days=1)
    states, is_all = _newest(pages, wanted)
    found = [
        state
        for state in states
        if state.began_at < end and (state.ended_at or now) >= begin
        if state.status != "operational" and not state.is_upcoming
    ]
    found.sort(key=lambda state: RANK[impact_of(state)])
    is_all = is_all and len(found) <= MOST_LISTED
    return {"incidents": found[:MOST_LISTED], "older": None, "day": day, "is_all": is_all}


def _newest(pages: Pages, wanted: Query) -> tuple[list[Incident], bool]:
    """Return the newest MOST_OPEN incidents that match, and whether these are all."""
    states = list(pages.newest(wanted, MOST_OPEN))
    return states, len(states) < MOST_OPEN


def _ended(history: History, wanted: Query) -> list[Incident]:
    newest = [row.incident for row in history.incidents(replace(wanted, limit=LOOKED_BACK_FOR_ENDED))]
    ended = [state for state in newest if not state.is_open and impact_of(state) != "operational"]
    return sorted(ended, key=lambda state: state.ended_at or state.updated_at, reverse=True)


def _latest(arrivals: Sequence[Arrival], wanted: Query, now: datetime) -> list[Arrival]:
    """Return the newest by the times that are shown; a time ahead of our clock counts as now."""
    found = [arrival for arrival in arrivals if wanted.matches(arrival.update)]
    found.sort(key=lambda arrival: (min(arrival.update.updated_at, now), arrival.number), reverse=True)
    return found[:MOST_LATEST]
