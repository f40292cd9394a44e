"""What is news in an incident that a page was asked for, beside what is known of it.

A push tells of one entry; the API gives the incident as it is now, with its whole story. So each entry that is not
known is an update of its own, at its own time, and the newest is the incident's: at `updated_at`, as in its push, so
that the two are one, whichever comes first. (A push so late that the page has said more since, and was asked meanwhile,
is told again: its `updated_at` stands in no answer.) What brings no new entry and no other status or impact was only
edited: it is recorded and not told. So is the past: what had ended when the page was asked for the first time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import escape

from monitor.history.contract import LONG_AGO, History
from monitor.updates.incident import ENDED, identity_of, is_open
from monitor.updates.update import IncidentUpdate, Update, headline, said_at

FOR_EVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Before:
    """What was so before a page was asked: what is not known and has ended is the past up to `until`, and where it
    began before `oldest`: it slid into the answer as another incident was deleted.

    `is_pushed` says that pushes of it come.
    """

    until: datetime
    oldest: datetime
    is_pushed: bool

    @classmethod
    def of(cls, history: History, page_id: str, oldest: datetime | None) -> Before:
        """Return it for a page in whose last answer the oldest incident began then, or that was not asked (None).

        Raise Unavailable.
        """
        page = next((page for page in history.pages() if page.id == page_id), None)
        until = LONG_AGO if oldest else FOR_EVER if page is None else page.updated_at
        return cls(until, oldest or LONG_AGO, page is not None and page.pushed_at is not None)


def missed(state: Update, known: Update | None, before: Before) -> list[Update]:
    """Return the updates to record of an incident as its page has it, in their order; `known` is our own record."""
    state = replace(state, is_reconciled=True)
    past = replace(state, is_past=True)
    newest = max(state.incident_updates, key=said_at, default=None)
    if known is None:
        if not is_open(state) and (state.updated_at <= before.until or state.created_at < before.oldest):
            return [past]
        news = [entry for entry in state.incident_updates if _time(entry) > before.until]
        is_news = True
    else:
        told = {identity_of(entry) for entry in known.incident_updates}
        news = [entry for entry in state.incident_updates if identity_of(entry) not in told]
        is_changed = (state.status, state.impact) != (known.status, known.impact)
        is_news = newest in news or (is_changed and state.updated_at > known.updated_at)
    earlier = sorted((entry for entry in news if entry is not newest and entry.time), key=said_at)
    return [*(_at(state, entry) for entry in earlier), state if is_news else past]


def _at(state: Update, entry: IncidentUpdate) -> Update:
    """Return the update that the push of an earlier entry would have been."""
    return replace(
        state,
        updated_at=_time(entry),
        status=entry.status,
        message=entry.body or escape(headline(entry.status, state.name), quote=False),
        resolved_at=state.resolved_at if entry.status in ENDED else None,
        postmortem_body=None,
        incident_updates=(entry,),
    )


def _time(entry: IncidentUpdate) -> datetime:
    """Return when an entry was made, which its push has as `updated_at` or a moment later."""
    return entry.created_at or entry.time or LONG_AGO
