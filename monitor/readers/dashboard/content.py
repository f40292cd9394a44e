"""What the dashboard shows, read from the history: the overview, or a listing where a state or an id is asked for.

What comes out are the values of templates/overview.html and listing.html. Every list is bounded, whatever the history
holds. Between its steps others get their turn. All of it raises Unavailable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import gevent

from monitor.history import query
from monitor.history.contract import Arrival, History, Page
from monitor.history.query import Query
from monitor.readers.dashboard.tiles import MOST_TILES, start_of, tiles
from monitor.readers.pages import UNKNOWN
from monitor.senders.pages import Pages
from monitor.updates.impacts import RANK, impact_of
from monitor.updates.incident import Incident
from monitor.updates.text import one_line
from monitor.updates.update import LONGEST_PAGE

MOST_BROKEN, MOST_MAINTENANCE, MOST_LATEST, MOST_ENDED, MOST_LISTED, MOST_WHOLE = 50, 10, 20, 10, 50, 3
ROWS_AT_ONCE, MOST_OPEN, LOOKED_BACK_FOR_ENDED, LOOKED_BACK_FOR_LATEST = 100, 500, 40, 300

Values = dict[str, object]


def overview(history: History, pages: Pages, known: Sequence[Page], asked: Query, now: datetime) -> Values:
    """Return what is so at `now`, of the pages, components and impacts that are asked for.

    `open` and `open_pages` count what is broken, `more_…` what is left out; `is_all` is False where more is open than
    was read.
    """
    states, is_all = _open(history, asked)
    shown = _worst_first(states)
    broken = [state for state in shown if impact_of(state) != "maintenance"]
    planned = [state for state in shown if impact_of(state) == "maintenance"]
    planned.sort(key=lambda state: (state.is_upcoming, state.began_at))
    known = [page for page in known if asked.page_ids is None or page.id in asked.page_ids]
    take_turns()
    periods = history.periods(start_of(now))
    take_turns()
    shown_tiles = tiles(known, periods, now)
    take_turns()
    return {
        "open": len(broken),
        "open_pages": len({state.page_id for state in broken}),
        "is_all": is_all,
        "broken": [pages.shown(state) for state in broken[:MOST_BROKEN]],
        "tiles": shown_tiles,
        "more_tiles": max(0, len(known) - MOST_TILES),
        "unreachable": sum(tile.state == UNKNOWN for tile in shown_tiles),
        "latest": [Arrival(arrival.number, pages.shown(arrival.update)) for arrival in _latest(history, asked)],
        "maintenance": [pages.shown(state) for state in planned[:MOST_MAINTENANCE]],
        "more_maintenance": max(0, len(planned) - MOST_MAINTENANCE),
        "ended": [pages.shown(state) for state in _ended(history, asked)],
    }


def take_turns() -> None:
    """Let others be answered; after sleep(0) the loop would run a hundred callbacks before it looks at a socket."""
    gevent.sleep(1e-6)


def listing(history: History, pages: Pages, asked: Query) -> Values:
    """Return the incidents that a query asks for, newest first; `older` is the cursor of the next, or None."""
    limit = min(asked.limit, MOST_LISTED) if asked.id is None else MOST_WHOLE
    found = history.incidents(replace(asked, limit=limit))
    older = query.cursor(found[-1].place) if asked.id is None and len(found) == limit else None
    return {"incidents": [pages.shown(row.incident) for row in found], "older": older}


def choices(known: Sequence[Page], asked: Query) -> list[tuple[str, str]]:
    """Return what a page can be asked for by, with its name to be read.

    That is its name, or its id where a form could not send the name as it is. What is asked for now is among them.
    """
    offered = {_fit(page.name) or _fit(page.id): _name(page) for page in known}
    if asked.page is not None and asked.page not in offered:
        names = [_name(page) for page in known if page.id in (asked.page_ids or ())]
        offered[asked.page] = names[0] if names else one_line(asked.page, LONGEST_PAGE)
    return [(value, name) for value, name in offered.items() if value]


def _fit(name: str) -> str:
    return name if len(name) <= LONGEST_PAGE and name.isprintable() else ""


def _name(page: Page) -> str:
    return one_line(page.name, LONGEST_PAGE) or one_line(page.id, LONGEST_PAGE)


def _open(history: History, asked: Query) -> tuple[list[Incident], bool]:
    states: list[Incident] = []
    asked = replace(asked, status="open", limit=ROWS_AT_ONCE)
    while len(states) < MOST_OPEN:
        found = history.incidents(asked)
        states += [row.incident for row in found]
        if len(found) < ROWS_AT_ONCE:
            return states, True
        asked = replace(asked, before=found[-1].place)
    return states, False


def _worst_first(states: Sequence[Incident]) -> list[Incident]:
    """Return states without a component's own row where an incident of its page, as bad or worse, names it."""
    shown: list[Incident] = []
    named: set[tuple[str, str]] = set()
    for state in sorted(states, key=lambda state: (RANK[impact_of(state)], state.is_component_update)):
        if not state.is_component_update:
            named.update((state.page_id, component.identity) for component in state.components if not state.is_upcoming)
        elif (state.page_id, state.subject) in named:
            continue
        shown.append(state)
    return shown


def _ended(history: History, asked: Query) -> list[Incident]:
    newest = [row.incident for row in history.incidents(replace(asked, limit=LOOKED_BACK_FOR_ENDED))]
    return [state for state in newest if not state.is_open and impact_of(state) != "operational"][:MOST_ENDED]


def _latest(history: History, asked: Query) -> list[Arrival]:
    has_filter = asked != Query(limit=asked.limit)
    arrivals = history.arrivals(None, LOOKED_BACK_FOR_LATEST if has_filter else MOST_LATEST)
    return [arrival for arrival in reversed(arrivals) if asked.matches(arrival.update)][:MOST_LATEST]
