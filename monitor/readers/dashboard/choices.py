"""The filter form: the pages and components that it offers, bounded, as a form can send them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from monitor.history.contract import Arrival, History, Page
from monitor.history.query import Query
from monitor.readers.dashboard.story import name_of
from monitor.readers.needs import was_named
from monitor.senders.pages import Pages
from monitor.updates.text import one_line
from monitor.updates.update import LONGEST_PAGE, State

MOST_CHOICES, LONGEST_CHOICE, LOOKED_BACK_FOR_COMPONENTS = 200, 60, 50

Choice = tuple[str, str, bool]  # the value to send, the name to show, and whether it is selected


def pages_offered(known: Sequence[Page], wanted: Query, most: int) -> list[Choice]:
    """Return at most `most` pages by name, the latest heard ones, and the selected one.

    The value of a page is its name, or its id if a form would change the name.
    """
    chosen = {page.id for page in known if page.id in (wanted.page_ids or ())}
    offered: dict[str, Choice] = {}
    for page in sorted(known, key=lambda page: (page.id not in chosen, -page.received_at.timestamp())):
        value = _sendable(page.name) or _sendable(page.id)
        if value and value not in offered and len(offered) < most:
            offered[value] = value, name_of(page, LONGEST_CHOICE), page.id in chosen
    if wanted.page is not None and not chosen:
        name = one_line(wanted.page, LONGEST_CHOICE)
        offered[wanted.page] = wanted.page[: 2 * LONGEST_PAGE], name, True
    return sorted(offered.values(), key=lambda choice: choice[1].casefold())


def components_offered(history: History, arrivals: Iterable[Arrival], wanted: Query, most: int) -> list[str]:
    """Return the names of the components in the newest incidents and updates of the selected page."""
    newest = history.incidents(Query(page_ids=wanted.page_ids, limit=LOOKED_BACK_FOR_COMPONENTS))
    states: list[State] = [row.incident for row in newest]
    states += [a.update for a in arrivals if wanted.page_ids is None or a.update.page_id in wanted.page_ids]
    names = {component.name for state in states for component in state.components if _sendable(component.name)}
    return sorted(sorted(names)[:most], key=str.casefold)


def unknown_component(history: History, pages: Pages, offered: Sequence[str], wanted: Query) -> dict[str, object]:
    """Return `unknown` with the nearest names if no incident has named the selected component, else nothing."""
    name = wanted.component
    if not name or name.casefold() in map(str.casefold, offered) or was_named(history, name, wanted.page_ids):
        return {}
    return {"unknown": {"component": name, "nearest": pages.nearest(name, offered)}}


def _sendable(name: str) -> str:
    """Return the name, or nothing if it is too long or a form would change it."""
    return name if len(name) <= LONGEST_PAGE and name.isprintable() else ""
