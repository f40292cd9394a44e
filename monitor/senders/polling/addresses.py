"""The addresses of doorbells: whose each is, and the token that only rings it; `--doorbell` prints them."""

from __future__ import annotations

import hmac
import os
import sys
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from monitor.senders.known_pages import KnownPage
from monitor.settings import Asked, BadSetting

Tokens = str | Mapping[str, str] | None


def find(
    name: str, pages: Sequence[KnownPage], also: Mapping[str, Sequence[str | None]] | None = None
) -> KnownPage | None:
    """Return the page that goes by a name, host or id in any case, or by those that `also` has for its address."""
    wanted = name.casefold()
    for page in pages:
        names = (page.name, page.host, page.id, *page.aliases, *(also or {}).get(page.url, ()))
        if wanted in [known.casefold() for known in names if known]:
            return page
    on_host = [page for page in pages if page.host.partition("/")[0] == wanted]
    return on_host[0] if len(on_host) == 1 else None


def path_of(page: KnownPage) -> str:
    """Return the path of a page's doorbell."""
    return f"/doorbell/{quote(page.name or page.host, safe='')}"


def tokens_of(page: KnownPage, tokens: Tokens) -> dict[str, str] | None:
    """Return what rings a page: tokens that only ring it first, then the webhook tokens themselves.

    Of several tokens that each speak for a page, those of this page ring it; where none is, all do.
    """
    if tokens is None:
        return None
    if isinstance(tokens, str):
        keys = [tokens]
    else:
        keys = [key for key, bound_to in tokens.items() if find(bound_to, [page])] or list(tokens)
    rings = [
        hmac.digest(key.encode(errors="surrogateescape"), f"doorbell {page.url}".encode(), "sha256") for key in keys
    ]
    return dict.fromkeys([*(ring.hex()[:32] for ring in rings), *keys], "")


def print_addresses(asked: Asked) -> int:
    """Print the whole address of a page's doorbell, or of each page's in MONITOR_PAGES; return the exit code."""
    config = asked.read()
    pages = addressed(asked.value, config.get("PAGES", ()))
    base = os.environ.get("RENDER_EXTERNAL_URL", "https://YOUR-HOST")  # https://render.com/docs/environment-variables
    for page in pages:
        tokens = tokens_of(page, config.get("WEBHOOK_TOKEN"))
        sys.stdout.write(f"{base}{path_of(page)}{f'?token={next(iter(tokens))}' if tokens else ''}\n")
    return 0


def addressed(name: str, pages: Sequence[KnownPage]) -> Sequence[KnownPage]:
    """Return the page with a name, or all for none; raise BadSetting."""
    if not pages:
        raise BadSetting('--doorbell needs MONITOR_PAGES, such as MONITOR_PAGES="OpenAI, GitHub"')
    found = find(name, pages)
    if name and found is None:
        names = ", ".join(page.name or page.host for page in pages)
        raise BadSetting(f"--doorbell: no page {name[:200]!a} is in MONITOR_PAGES, which names {names}")
    return [found] if found else pages
