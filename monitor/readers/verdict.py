"""The verdict: whether the pages and components that somebody needs are well, for `GET /status` and for agents.

It is read from the history and the registry of pages. What is unknown is never `ok`. A component is in trouble while an
open incident of its page names it, or while its own change is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from monitor.history.contract import History, Page
from monitor.history.query import Query, names_of_components
from monitor.readers.needs import Need, Unknown, resolve
from monitor.senders.pages import Pages
from monitor.updates.errors import BadQuery
from monitor.updates.impacts import RANK, impact_of
from monitor.updates.incident import Incident, without_story

FAILS = ("critical", "major", "minor", "maintenance", "none")  # worst first, as RANK
DEFAULT_FAIL = "minor"
MOST_OPEN = 500  # incidents read
NO_RANK = len(RANK)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of all that is needed; `fails` says that an open incident has the impact asked for, or a worse one."""

    status: Literal["ok", "trouble", "unknown"]
    fails: bool
    open: tuple[Incident, ...]  # the worst first, without stories
    pages: tuple[Page, ...]
    unknown: tuple[Unknown, ...]


def verdict(history: History, pages: Pages, needs: Sequence[str] = (), fail: str | None = None) -> Verdict:
    """Return the verdict on these needs, by default on all pages; raise BadQuery or Unavailable.

    An open incident of impact `fail` (by default minor) or worse is trouble. One between minor and `fail` is trouble
    only while nothing is unknown: a gate that lets it pass must still see what is unknown.
    """
    if fail is not None and fail not in FAILS:
        raise BadQuery(f"fail is not one of {', '.join(FAILS)}")
    found, unknown = resolve(history, pages, needs)
    incidents, is_cut = _open(pages, frozenset().union(*(need.page_ids for need in found)) if needs else None)
    if is_cut:
        unknown.append(Unknown("", f"{MOST_OPEN} incidents or more are open; only the newest were read"))
    concerned = _concerning(found, incidents) if needs else incidents
    worst_first = sorted(without_covered(concerned), key=_rank)
    worst = min(map(_rank, worst_first), default=NO_RANK)
    fails = worst <= RANK[fail or DEFAULT_FAIL]
    is_trouble = fails or (worst <= RANK[DEFAULT_FAIL] and not unknown)
    return Verdict(
        status="trouble" if is_trouble else "unknown" if unknown else "ok",
        fails=fails,
        open=tuple(worst_first),
        pages=tuple({page.id: page for need in found for page in need.pages}.values()),
        unknown=tuple(unknown),
    )


def _open(pages: Pages, page_ids: frozenset[str] | None) -> tuple[list[Incident], bool]:
    """Return the open incidents that have begun, newest first, and whether there may be more."""
    query = Query(page_ids=page_ids, status="open")
    found = [without_story(incident) for incident in pages.newest(query, MOST_OPEN)]
    return [incident for incident in found if not incident.is_upcoming], len(found) >= MOST_OPEN


def _concerning(needs: Iterable[Need], incidents: Iterable[Incident]) -> list[Incident]:
    """Return the incidents of the pages and components that are needed."""
    whole = {page_id for need in needs if need.component is None for page_id in need.page_ids}
    parts = {(page_id, (need.component or "").casefold()) for need in needs for page_id in need.page_ids}
    return [
        incident
        for incident in incidents
        if incident.page_id in whole or any((incident.page_id, n) in parts for n in names_of_components(incident))
    ]


def without_covered(incidents: Sequence[Incident]) -> list[Incident]:
    """Leave out a component's change if an open incident of its page names the component and is at least as bad."""
    covered: dict[tuple[str, str], int] = {}
    for incident in incidents:
        rank = RANK[impact_of(incident)]
        for component in () if incident.is_component_update or incident.is_upcoming else incident.components:
            place = incident.page_id, component.identity
            covered[place] = min(rank, covered.get(place, rank))
    return [
        incident
        for incident in incidents
        if not incident.is_component_update
        or covered.get((incident.page_id, incident.subject), NO_RANK) > RANK[impact_of(incident)]
    ]


def _rank(incident: Incident) -> int:
    """Return how bad an incident is, 0 the worst; an unstated impact counts as minor."""
    impact = impact_of(incident)
    return RANK["minor" if impact == "unstated" else impact]
