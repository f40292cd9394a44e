"""What the filters offer: the pages and the components that are known, bounded, as a form can send them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches

from monitor.history.contract import Arrival, History, Page
from monitor.history.query import Query
from monitor.updates.text import one_line
from monitor.updates.update import LONGEST_PAGE, State

MOST_CHOICES, LONGEST_CHOICE, LOOKED_BACK_FOR_COMPONENTS = 200, 60, 50

Choice = tuple[str, str, bool]  # what a page is asked for by, its name to be read, and whether it is asked for now


def pages_offered(known: Sequence[Page], wanted: Query, most: int) -> list[Choice]:
    """Return what a page can be asked for by: its name, or its id where a form could not send the name as it is.

    What is asked for now is among them, under its name.
    """
    chosen = {page.id for page in known if page.id in (wanted.page_ids or ())}
    offered: dict[str, Choice] = {}
    for page in sorted(known, key=lambda page: (page.id not in chosen, -page.received_at.timestamp())):
        value = _fit(page.name) or _fit(page.id)
        if value and value not in offered and len(offered) < most:
            offered[value] = value, name_of(page, LONGEST_CHOICE), page.id in chosen
    if wanted.page is not None and not chosen:
        name = one_line(wanted.page, LONGEST_CHOICE)
        offered[wanted.page] = wanted.page[: 2 * LONGEST_PAGE], name, True
    return sorted(offered.values(), key=lambda choice: choice[1].casefold())


def name_of(page: Page, longest: int = LONGEST_PAGE) -> str:
    """Return what a page is called, in one line."""
    return one_line(page.name, longest) or one_line(page.id, longest)


def components_offered(history: History, arrivals: Iterable[Arrival], wanted: Query, most: int) -> list[str]:
    """Return the names of the components that the newest incidents and updates of the page name."""
    newest = history.incidents(Query(page_ids=wanted.page_ids, limit=LOOKED_BACK_FOR_COMPONENTS))
    states: list[State] = [row.incident for row in newest]
    states += [a.update for a in arrivals if wanted.page_ids is None or a.update.page_id in wanted.page_ids]
    names = {component.name for state in states for component in state.components if _fit(component.name)}
    return sorted(sorted(names)[:most], key=str.casefold)


def unknown_component(history: History, offered: Sequence[str], wanted: Query) -> dict[str, object]:
    """Return what says that nobody has named the component that is asked for, with the nearest names."""
    name = (wanted.component or "").casefold()
    names = {known.casefold(): known for known in offered}
    if not name or name in names:
        return {}
    if history.incidents(replace(wanted, id=None, status=None, impact=None, since=None, before=None, limit=1)):
        return {}
    nearest = [names[found] for found in get_close_matches(name, list(names))]
    return {"unknown": {"component": wanted.component, "nearest": nearest}}


def _fit(name: str) -> str:
    return name if len(name) <= LONGEST_PAGE and name.isprintable() else ""
