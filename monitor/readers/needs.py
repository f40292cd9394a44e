"""Needs: find the pages that somebody needs (a page, or page/component), and what of it is unknown.

Unknown is a name that nobody knows, a page that was never heard or whose last poll failed, and a component that no
incident of its page has ever named. Without the last, a misspelt component would be ok for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.history.contract import History, Page
from monitor.history.query import Query
from monitor.senders.pages import Pages
from monitor.updates.errors import BadQuery
from monitor.updates.text import one_line, storable
from monitor.updates.update import LONGEST_NAME

MOST_NEEDS, LONGEST_NEED = 50, 500
MOST_INCIDENTS = 50  # searched for the nearest names of a component


@dataclass(frozen=True, slots=True)
class Unknown:
    """A need whose state nobody can tell, and why; `nearest` are the known names most like it."""

    needs: str
    reason: str
    nearest: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Need:
    """All pages that go by one name, or one component of them."""

    text: str
    pages: tuple[Page, ...]
    component: str | None = None

    @property
    def page_ids(self) -> frozenset[str]:
        """The ids of its pages."""
        return frozenset(page.id for page in self.pages)


def resolve(history: History, pages: Pages, needs: Sequence[str]) -> tuple[list[Need], list[Unknown]]:
    """Find what these needs mean, by default all pages, and what of it is unknown; raise BadQuery or Unavailable."""
    if len(needs) > MOST_NEEDS:
        raise BadQuery(f"needs is given more than {MOST_NEEDS} times")
    if not all(0 < len(need) <= LONGEST_NEED for need in needs):
        raise BadQuery(f"needs is empty or longer than {LONGEST_NEED} characters")
    known = pages.known()
    if not needs:
        found = [Need(page.name or page.id, (page,)) for page in known]
        return found, _unheard(found) if known else [Unknown("", "no page was heard yet")]
    by_name: dict[str, list[Page]] = {}
    for page in known:
        for name in {page.id.casefold(), page.name.casefold()} - {""}:
            by_name.setdefault(name, []).append(page)
    sought = {text: _need(text, by_name) for text in map(storable, needs)}
    found = [need for need in sought.values() if need]
    unknown = [_unknown_page(text, pages) for text, need in sought.items() if need is None]
    unknown += _unheard(found)
    said = {one.needs for one in unknown}  # a page that is not heard does not name its components either
    unknown += [
        _unknown_component(history, pages, need)
        for need in found
        if need.component is not None
        and need.text not in said
        and not was_named(history, need.component, need.page_ids)
    ]
    return found, unknown


def _need(text: str, by_name: dict[str, list[Page]]) -> Need | None:
    """Match the longest known page name at the beginning of a text: names and ids may hold slashes."""
    parts = text.split("/")
    for end in range(len(parts), 0, -1):
        if named := by_name.get("/".join(parts[:end]).casefold()):
            return Need(text, tuple(named), "/".join(parts[end:]) if end < len(parts) else None)
    return None


def _unknown_page(text: str, pages: Pages) -> Unknown:
    nearest = pages.nearest(text) or pages.nearest(text.partition("/")[0])
    if text.casefold() in (name.casefold() for name in nearest):  # MONITOR_PAGES names it
        return Unknown(text, "was never heard")
    return Unknown(text, "is no page that is known", tuple(nearest))


def was_named(history: History, component: str, page_ids: frozenset[str] | None) -> bool:
    """Tell whether any incident of these pages, by default of all, names a component by its name or id."""
    return bool(history.incidents(Query(page_ids=page_ids, component=component, limit=1)))


def _unknown_component(history: History, pages: Pages, need: Need) -> Unknown:
    newest = history.incidents(Query(page_ids=need.page_ids, limit=MOST_INCIDENTS))
    names = (component.name for row in newest for component in row.incident.components)
    nearest = pages.nearest(need.component or "", names)
    return Unknown(need.text, "is a component that no incident of its page has named so far", tuple(nearest))


def _unheard(needs: Sequence[Need]) -> list[Unknown]:
    """Return an Unknown for each page that was never heard or whose last poll failed."""
    unknown: list[Unknown] = []
    for need in needs:
        for page in need.pages:
            if page.problem:
                problem = one_line(page.problem, LONGEST_NAME)
                unknown.append(Unknown(need.text, f"is not heard now ({problem})"))
            elif not page.heard_at:
                unknown.append(Unknown(need.text, "was never heard"))
    return unknown
