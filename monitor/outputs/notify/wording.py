"""Wording: an update as a title and a body for a person with a phone, which ring nobody.

The title says what, how bad and since when: `GitHub, major: Incident with Actions (investigating, began 2026-06-01
07:30 UTC)`; the body what was said, and of which components.
"""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import quote

from monitor.updates.impacts import impact_of, in_words
from monitor.updates.text import one_line
from monitor.updates.update import LONGEST_NAME, LONGEST_PRODUCT, NOTHING, Component, Update, message, page_name

# What rings somewhere: `@here`, `<@U1>`, `<!channel>`, `<users/all>`. Discord finds its own within words too:
# https://discord.com/developers/docs/reference#message-formatting
_ringing = re.compile(r"(?<!\w)@|@(?=everyone|here)|<(?=[^\s\d=])", re.IGNORECASE)
URL_CHARACTERS = "%/:?#[]!$&'()*+,;=~"  # RFC 3986, but for @, which may ring


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
    """Return the address of an update's page with nothing in it that ends a line, rings or formats."""
    return quote(update.shortlink, safe=URL_CHARACTERS) if update.shortlink else None


def quiet(text: str) -> str:
    """Write `@` and `<` full-width where they ring: it reads the same, hides nothing, and no service takes it so."""
    return _ringing.sub(lambda found: chr(ord(found[0]) + 0xFEE0), text)


def _words(update: Update) -> list[str]:
    """Return how bad it is and how far they are; of what is over that first; of a component what it is and was."""
    impact, status = impact_of(update), _in_words(update.status)
    if update.is_component_update:
        return [status, *([f"was {_in_words(update.old_status)}"] if update.old_status else [])]
    if impact not in ("critical", "major", "minor", "maintenance"):  # nobody said that it is bad, nor that it is not
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
