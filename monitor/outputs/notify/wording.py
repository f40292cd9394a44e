"""Wording: an update as a title and a body for a phone, without mentions that would notify other people.

Title: `GitHub, major: Incident with Actions (investigating, began 2026-06-01 07:30 UTC)`. The body is the message, the
components with their statuses, and the time of the update where it differs from the incident's beginning.
"""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import quote

from monitor.updates.impacts import impact_of, in_words
from monitor.updates.text import one_line
from monitor.updates.update import LONGEST_NAME, LONGEST_PRODUCT, NOTHING, Component, Update, message, page_name

# Mentions, which notify people: `@here`, `<@U1>`, `<!channel>`, `<users/all>`. Discord finds its own within words, too:
# https://discord.com/developers/docs/reference#message-formatting
_mention = re.compile(r"(?<!\w)@|@(?=everyone|here)|<(?=[^\s\d=])", re.IGNORECASE)
URL_CHARACTERS = "%/:?#[]!$&'()*+,;=~"  # RFC 3986, without @, which may begin a mention


def title(update: Update) -> str:
    """Return the title, in one line."""
    first, *rest = [*_words(update), _when(update)]
    if update.is_component_update:
        rest.reverse()
    return quiet(f"{page_name(update)}, {first}: {subject(update)} ({', '.join(rest)})")


def subject(update: Update) -> str:
    """Return the incident's own title, or the component that changed."""
    return one_line(update.name, LONGEST_NAME) or one_line(update.id, LONGEST_NAME) or NOTHING


def body(update: Update) -> str:
    """Return the body, without the link."""
    lines = [message(update)]
    if update.components and not update.is_component_update:
        lines.append(one_line(f"Components: {', '.join(map(_component, update.components))}", LONGEST_PRODUCT))
    if (said := _minute(update.updated_at)) != _minute(update.created_at):
        lines.append(f"Updated {said} UTC")
    return quiet("\n".join(lines))


def link_of(update: Update) -> str | None:
    """Return the link to an update's page, without characters that end a line, mention somebody or format."""
    return quote(update.shortlink, safe=URL_CHARACTERS) if update.shortlink else None


def quiet(text: str) -> str:
    """Write the `@` and `<` of mentions full-width: they read the same, and no service takes them for a mention."""
    return _mention.sub(lambda found: chr(ord(found[0]) + 0xFEE0), text)


def _words(update: Update) -> list[str]:
    """Return impact and status, the status first once it is over; of a component its status, and the one before."""
    impact, status = impact_of(update), _in_words(update.status)
    if update.is_component_update:
        return [status, *([f"was {_in_words(update.old_status)}"] if update.old_status else [])]
    if impact not in ("critical", "major", "minor", "maintenance"):  # unstated, or none
        return [status or "update"]
    return [word for word in ((impact, status) if update.is_open else (status, impact)) if word]


def _in_words(status: str | None) -> str:
    return in_words(one_line(status or "", LONGEST_NAME)).lower()


def _when(update: Update) -> str:
    began = _minute(update.scheduled_for or update.created_at)
    if update.scheduled_for and update.scheduled_until:
        return f"{began} to {_minute(update.scheduled_until)} UTC"
    return f"{'since' if update.is_component_update else 'began'} {began} UTC"


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _component(component: Component) -> str:
    return f"{component.name} ({_in_words(component.status)})" if component.status else component.name
