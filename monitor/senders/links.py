"""The addresses in a payload: one that may be shown as a link, and the page that they tell."""

from __future__ import annotations

import re
from functools import lru_cache

from monitor.senders.payload import JSONObject, mapping, text, word
from monitor.updates.text import storable
from monitor.updates.update import LONGEST_NAME

# Hosts in shortlinks and unsubscribe addresses that belong to a status page's maker, not to one page.
SHARED_HOSTS = frozenset(
    "stspg.io statuspage.io www.statuspage.io manage.statuspage.io dashboard.instatus.com instatus.com "
    "status.io app.status.io app.incident.io".split()
)

LONGEST_ADDRESS, LONGEST_LINK = 300, 2000  # of which a host is read; that a page may show as a link
_host = re.compile(r"https?://([a-z0-9.-]{1,253})(?=[/:?#]|$)", re.IGNORECASE)


def page_of(payload: JSONObject, page_id: object, shortlink: object, named: str | None) -> tuple[str, str, bool]:
    """Return what tells the page apart, its name, and whether somebody gave that: real payloads give an id only."""
    page = mapping(payload.get("page"))
    told_apart_by = word(page.get("id")) or word(page_id)
    given = text(named and storable(named)) or text(page.get("name"))
    name = (
        given
        or _own_host(page.get("url"))
        or _own_host(shortlink)
        or _own_host(mapping(payload.get("meta")).get("unsubscribe"))
        or told_apart_by
        or "Unknown page"
    )
    return (told_apart_by or name)[:LONGEST_NAME], name[:LONGEST_NAME], given is not None


@lru_cache(maxsize=1024)
def _host_of(address: str) -> str | None:
    match = _host.match(address)
    host = match[1].lower() if match else None
    return host if host not in SHARED_HOSTS else None


def _own_host(address: object) -> str | None:
    return _host_of(address[:LONGEST_ADDRESS]) if isinstance(address, str) else None


def link(address: object) -> str | None:
    """Return an address that a page may show as a link: http or https, so never `javascript:`, and of some length."""
    given = text(address)
    return given if given and len(given) <= LONGEST_LINK and given.lower().startswith(("https://", "http://")) else None
