"""What the dashboard shows, read from a history: the overview, or a listing where a state or an id is asked for.

Every list is bounded, whatever the history holds. Between incidents others get their turn.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import gevent

from monitor.history import query
from monitor.history.contract import History
from monitor.history.query import Query
from monitor.readers.dashboard.reported import Reported
from monitor.readers.dashboard.story import (
    BRIEF,
    LONGEST_SAID,
    WHOLE,
    WORST_FIRST,
    Extent,
    Story,
    about,
    impact_of,
    key_of,
    tell,
    words,
)
from monitor.readers.dashboard.tiles import MOST_TILES, Tile, start_of, tiles, unknown
from monitor.updates.incident import is_open
from monitor.updates.text import one_line
from monitor.updates.update import Update, message

MOST_BROKEN, MOST_MAINTENANCE, MOST_LATEST, MOST_ENDED, MOST_LISTED, MOST_WHOLE = 50, 10, 20, 10, 50, 3
AT_ONCE, MOST_READ, LOOKED_BACK_FOR_ENDED, LOOKED_BACK_FOR_LATEST = 100, 500, 40, 300


@dataclass(frozen=True, slots=True)
class Latest:
    """One update, as a line."""

    number: int
    key: str
    page_id: str
    id: str
    about: str
    impact: str
    status: str
    said: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Overview:
    """All that is shown without a state asked for; `open` and `pages` count what is broken, `more_…` what is left out.

    `is_all_counted` is False where more is open than was read.
    """

    open: int
    pages: int
    is_all_counted: bool
    broken: Sequence[Story]
    components: Sequence[Story]
    tiles: Sequence[Tile]
    more_tiles: int
    latest: Sequence[Latest]
    maintenance: Sequence[Story]
    more_maintenance: int
    ended: Sequence[Story]


@dataclass(frozen=True, slots=True)
class Listing:
    """Incidents of any state, newest first; `older` is the cursor of the next, or None."""

    stories: Sequence[Story]
    older: str | None


def overview(history: History, asked: Query, reported: Reported, silent: Container[str], now: datetime) -> Overview:
    """Return what is so at `now`, of the pages, components and impacts that are asked for; raise Unavailable.

    Of the pages whose ids are `silent`, which do not answer, nobody knows that they are well.
    """
    states, is_all = _open(history, asked)
    broken = sorted((s for s in states if impact_of(s) != "maintenance"), key=lambda s: WORST_FIRST[impact_of(s)])
    maintenance = sorted((s for s in states if impact_of(s) == "maintenance"), key=_schedule)
    named = {(state.page_id, component.name) for state in broken for component in state.components}
    down = [change for change in reported.down() if asked.matches(change)]
    changes = [c for c in down if (c.page_id, c.components[0].name) not in named]
    components = [change for change in changes if impact_of(change) != "maintenance"]
    pages = [page for page in history.pages() if asked.page in (None, page.id, page.name)]
    gevent.sleep(0)
    spans = history.spans(start_of(now))
    gevent.sleep(0)
    shown = tiles(pages, spans, [(change.page_id, impact_of(change)) for change in down], now)
    shown = [unknown(tile) if tile.page_id in silent else tile for tile in shown]
    gevent.sleep(0)
    return Overview(
        open=len(broken) + len(components),
        pages=len({state.page_id for state in (*broken, *components)}),
        is_all_counted=is_all,
        broken=_tell(broken[:MOST_BROKEN], now),
        components=_tell(components[:MOST_BROKEN], now),
        tiles=shown,
        more_tiles=max(0, len(pages) - MOST_TILES),
        latest=_latest(history, asked),
        maintenance=_tell(maintenance[:MOST_MAINTENANCE], now),
        more_maintenance=max(0, len(maintenance) - MOST_MAINTENANCE),
        ended=_tell(_ended(history, asked), now),
    )


def listing(history: History, asked: Query, now: datetime) -> Listing:
    """Return the incidents that a query asks for, of one that is asked for by its id the whole story."""
    limit = min(asked.limit, MOST_LISTED) if asked.id is None else MOST_WHOLE
    found = history.incidents(replace(asked, limit=limit))
    older = query.cursor(found[-1].place) if len(found) == limit else None
    return Listing(_tell([row.state for row in found], now, BRIEF if asked.id is None else WHOLE), older)


def _open(history: History, asked: Query) -> tuple[list[Update], bool]:
    states: list[Update] = []
    asked = replace(asked, status="open", limit=AT_ONCE)
    while len(states) < MOST_READ:
        found = history.incidents(asked)
        states += [row.state for row in found]
        if len(found) < AT_ONCE:
            return states, True
        asked = replace(asked, before=found[-1].place)
    return states, False


def _ended(history: History, asked: Query) -> list[Update]:
    newest = history.incidents(replace(asked, limit=LOOKED_BACK_FOR_ENDED))
    ended = [row.state for row in newest if not is_open(row.state) and not row.state.is_component_update]
    return ended[:MOST_ENDED]


def _latest(history: History, asked: Query) -> list[Latest]:
    has_filter = asked != Query(limit=asked.limit)
    arrivals = history.arrivals(None, LOOKED_BACK_FOR_LATEST if has_filter else MOST_LATEST)
    matching = [arrival for arrival in reversed(arrivals) if asked.matches(arrival.update)]
    return [_line(arrival.number, arrival.update) for arrival in matching[:MOST_LATEST]]


def _line(number: int, update: Update) -> Latest:
    impact, said = impact_of(update), one_line(message(update), LONGEST_SAID)
    status = words(update.status)
    return Latest(
        number, key_of(update), update.page_id, update.id, about(update), impact, status, said, update.updated_at
    )


def _tell(states: Sequence[Update], now: datetime, extent: Extent = BRIEF) -> list[Story]:
    stories = []
    for state in states:
        stories.append(tell(state, now, extent))
        gevent.sleep(0)
    return stories


def _schedule(state: Update) -> tuple[bool, datetime]:
    return state.status == "scheduled", state.scheduled_for or state.created_at
