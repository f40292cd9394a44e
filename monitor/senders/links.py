"""The addresses in a payload: which may be shown as a link, and which page they belong to."""

from __future__ import annotations

import re
from functools import lru_cache

from monitor.senders.payload import JSONObject, mapping, text, word
from monitor.updates.text import storable
from monitor.updates.update import LONGEST_NAME

# Hosts in shortlinks and unsubscribe addresses that many status pages share.
SHARED_HOSTS = frozenset(
    "stspg.io statuspage.io www.statuspage.io manage.statuspage.io dashboard.instatus.com instatus.com "
    "status.io app.status.io app.incident.io".split()
)

LONGEST_ADDRESS = 300  # characters that are read to find a host
LONGEST_LINK = 2000  # characters
_host = re.compile(r"https?://([a-z0-9.-]{1,253})(?=[/:?#]|$)", re.IGNORECASE)


def page_of(payload: JSONObject, page_id: object, shortlink: object, named: str | None) -> tuple[str, str, bool]:
    """Return a page's id, else its name; its name, else its host; and whether a person or the provider named it."""
    page = mapping(payload.get("page"))
    own_id = word(page.get("id")) or word(page_id)
    given = text(named and storable(named)) or text(page.get("name"))
    name = (
        given
        or _own_host(page.get("url"))
        or _own_host(shortlink)
        or _own_host(mapping(payload.get("meta")).get("unsubscribe"))
        or own_id
        or "Unknown page"
    )
    return (own_id or name)[:LONGEST_NAME], name[:LONGEST_NAME], given is not None


@lru_cache(maxsize=1024)
def _host_of(address: str) -> str | None:
    match = _host.match(address)
    host = match[1].lower() if match else None
    return host if host not in SHARED_HOSTS else None


def _own_host(address: object) -> str | None:
    return _host_of(address[:LONGEST_ADDRESS]) if isinstance(address, str) else None


def link(address: object) -> str | None:
    """Return an address if it is safe to show as a link: http or https, never `javascript:`, and not too long."""
    given = text(address)
    return given if given and len(given) <= LONGEST_LINK and given.lower().startswith(("https://", "http://")) else None
