"""The verdict: whether what somebody needs is well, for `GET /status` and for agents.

In go the history, the registry of pages and what is needed; out comes a Verdict. What is unknown is never `ok`. A
component is in trouble by an open incident of its page that names it, or by its own change.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from monitor.history.contract import History, Page
from monitor.history.query import Place, Query, names_of_components
from monitor.readers.needs import Need, Unknown, resolve
from monitor.senders.pages import Pages
from monitor.updates.errors import BadQuery
from monitor.updates.impacts import RANK, impact_of
from monitor.updates.incident import Incident, without_story

FAILS = ("critical", "major", "minor", "maintenance", "none")  # from which impact on it is trouble
DEFAULT_FAIL = "minor"
MOST_OPEN, READ_AT_ONCE = 500, 50  # a row holds a whole story
NO_RANK = len(RANK)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How what is needed is; `fails` says that something open has the impact asked for, or a worse one."""

    status: Literal["ok", "trouble", "unknown"]
    fails: bool
    open: tuple[Incident, ...]  # the worst first, without stories
    pages: tuple[Page, ...]
    unknown: tuple[Unknown, ...]


def verdict(history: History, pages: Pages, needs: Sequence[str] = (), fail: str | None = None) -> Verdict:
    """Return how these needs are, without any all pages; raise BadQuery or Unavailable.

    It is trouble from the impact `fail` on, or from minor on. What `fail` lets pass is trouble only where nothing is
    unknown, so that a gate that looks for bad impacts does not take the unknown for well.
    """
    if fail is not None and fail not in FAILS:
        raise BadQuery(f"fail is not one of {', '.join(FAILS)}")
    found, unknown = resolve(history, pages, needs)
    incidents, is_cut = _open(history, frozenset().union(*(need.page_ids for need in found)) if needs else None)
    if is_cut:
        unknown.append(Unknown("", f"more than {MOST_OPEN} incidents are open, of which only the newest were read"))
    concerned = _concerning(found, incidents) if needs else incidents
    worst_first = sorted(_without_covered(concerned), key=_rank)
    worst = min(map(_rank, worst_first), default=NO_RANK)
    fails = worst <= RANK[fail or DEFAULT_FAIL]
    is_trouble = fails or (worst <= RANK[DEFAULT_FAIL] and not unknown)
    return Verdict(
        status="trouble" if is_trouble else "unknown" if unknown else "ok",
        fails=fails,
        open=tuple(map(pages.shown, worst_first)),
        pages=tuple({page.id: page for need in found for page in need.pages}.values()),
        unknown=tuple(unknown),
    )


def _open(history: History, page_ids: frozenset[str] | None) -> tuple[list[Incident], bool]:
    """Return what is open, without what is only announced, newest first, and whether there is more."""
    found: list[Incident] = []
    before: Place | None = None
    for _ in range(0, MOST_OPEN, READ_AT_ONCE):
        rows = history.incidents(Query(page_ids=page_ids, status="open", limit=READ_AT_ONCE, before=before))
        found += [without_story(row.incident) for row in rows if not row.incident.is_upcoming]
        if len(rows) < READ_AT_ONCE:
            return found, False
        before = rows[-1].place
    return found, True


def _concerning(needs: Iterable[Need], incidents: Iterable[Incident]) -> list[Incident]:
    """Return the incidents of pages, or of the components of pages, that are needed."""
    whole = {page_id for need in needs if need.component is None for page_id in need.page_ids}
    parts = {(page_id, (need.component or "").casefold()) for need in needs for page_id in need.page_ids}
    return [
        incident
        for incident in incidents
        if incident.page_id in whole or any((incident.page_id, n) in parts for n in names_of_components(incident))
    ]


def _without_covered(incidents: Iterable[Incident]) -> Iterable[Incident]:
    """Leave out a component's change while an open incident of its page names the component and is at least as bad."""
    covered: dict[tuple[str, str], int] = {}
    for incident in incidents:
        for name in () if incident.is_component_update else names_of_components(incident):
            place = incident.page_id, name
            covered[place] = min(_rank(incident), covered.get(place, NO_RANK))
    for incident in incidents:
        ranks = [covered.get((incident.page_id, name), NO_RANK) for name in names_of_components(incident)]
        if not incident.is_component_update or min(ranks, default=NO_RANK) > _rank(incident):
            yield incident


def _rank(incident: Incident) -> int:
    """Return how bad it is, 0 the worst; what nobody stated counts as minor."""
    impact = impact_of(incident)
    return RANK["minor" if impact == "unstated" else impact]
