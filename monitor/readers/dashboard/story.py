"""An incident as a person reads it: Jinja's filters for words and times, and its story, newest entry first.

Everything that a provider wrote becomes bounded text without control, bidirectional and zero-width characters. The
templates escape it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from hashlib import blake2b
from html import escape

from monitor.history.contract import Page
from monitor.updates.impacts import impact_of, in_words
from monitor.updates.incident import Incident
from monitor.updates.text import lines_of, one_line
from monitor.updates.update import LONGEST_NAME, LONGEST_PAGE, message, page_name

BRIEF = (20, 8_000)  # entries and characters of a story
WHOLE = (1_000, 262_144)
LARGEST_STORIES = 500_000  # bytes of all stories of an answer, which ends at 1 MiB

Entry = tuple[datetime | None, str, str]  # time, status, text


class Teller:
    """Tell the stories of one answer, within a bound on all of them together."""

    def __init__(self, share: int = 1) -> None:
        self._left = LARGEST_STORIES // share

    def __call__(self, incident: Incident, is_whole: bool) -> tuple[list[Entry], int]:
        """Return the newest entries that fit, and how many do not.

        Their markup counts: it takes time to read, even without any text.
        """
        said = [(entry.time, words(entry.status), entry.body or "") for entry in incident.incident_updates]
        if incident.status == "postmortem" and incident.postmortem_body:
            said = [(incident.updated_at, words("postmortem"), incident.postmortem_body), *said]
        most, left = WHOLE if is_whole else BRIEF
        told: list[Entry] = []
        for at, status, body in said[:most]:
            if min(left, self._left) <= 0:
                break
            told.append((at, status, _text(body, left)))
            self._left -= len(escape(body[:left]).encode())
            left -= len(body)
        return told, len(said) - len(told)


def _text(body: str, longest: int) -> str:
    """Return the text of a body, line by line."""
    return "\n".join(lines_of(body[:longest], longest)) + ("…" if len(body) > longest else "")


def line(text: str | None, longest: int = LONGEST_NAME) -> str:
    """Return a text as one line, None as an empty one."""
    return one_line(text or "", longest)


def name_of(page: Page, longest: int = LONGEST_PAGE) -> str:
    """Return a page's name, or its id if it has none, as one line."""
    return line(page.name, longest) or line(page.id, longest)


def words(status: str | None) -> str:
    """Return a status in words: `in_progress` -> `In progress`, None -> an empty text."""
    return in_words(line(status))


def element_id(prefix: str, *ids: str) -> str:
    """Return an id for an HTML element, one for each prefix and ids, whatever the ids hold."""
    return prefix + blake2b(repr(ids).encode(), digest_size=8).hexdigest()


def lasted(incident: Incident, now: datetime) -> str:
    """Return how long an incident took, how long it has been open, or when it will begin."""
    if incident.ended_at:
        return f"took {_duration(incident.ended_at - incident.began_at)}"
    if incident.began_at > now:
        return f"in {_duration(incident.began_at - now)}"
    return f"{'due for' if incident.is_upcoming else 'for'} {_duration(now - incident.began_at)}"


def ago(at: datetime, now: datetime) -> str:
    """Return how long ago an instant was; one up to a minute ahead is `just now`."""
    if at > now + timedelta(minutes=1):
        return f"in {_duration(at - now)}"
    return "just now" if now - at < timedelta(minutes=1) else f"{_duration(now - at)} ago"


def _duration(span: timedelta) -> str:
    """Return a length of time in its two largest units: `2 h 14 min`."""
    minutes = int(span.total_seconds()) // 60
    if minutes < 1:
        return "under a minute"
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days >= 10:
        return f"{days} days"
    units = ((days, "day" if days == 1 else "days"), (hours, "h"), (0 if days else minutes, "min"))
    return " ".join(f"{number} {unit}" for number, unit in units if number)


def span(seconds: float) -> str:
    """Return a length of time as `_duration` does, but in seconds if it is under a minute."""
    return f"{int(seconds)} s" if seconds < 60 else _duration(timedelta(seconds=seconds))


def iso(at: datetime) -> str:
    """Return an instant in ISO 8601, to the second."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def in_utc(at: datetime) -> str:
    """Return an instant such as `3 Nov 2025, 14:32`."""
    return f"{at.day} {at:%b %Y, %H:%M}"


def in_full(day: date) -> str:
    """Return a day such as `3 November 2025`."""
    return f"{day.day} {day:%B %Y}"


def beside(day: date) -> tuple[date, date]:
    """Return the days before and after a day."""
    return day - timedelta(days=1), day + timedelta(days=1)


FILTERS: Mapping[str, Callable[..., object]] = {
    function.__name__: function
    for function in (
        *(line, words, in_words, message, name_of, page_name, impact_of, element_id),
        *(lasted, ago, iso, in_utc, in_full, beside),
    )
}
