"""The address of each page's doorbell, with a token that can only ring it; `--doorbell` prints them."""

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
    """Return the page with a name, host or id, in any case; `also` has further names by the page's address."""
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
    """Return the tokens that ring a page: first those that can only ring it, then the webhook tokens themselves.

    Where tokens are bound to pages, those bound to this page ring it; if there are none, all do.
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
    """Print the address of one page's doorbell, or of each page's; return the exit code; raise BadSetting."""
    config = asked.read()
    pages = config.get("PAGES", ())
    if not pages:
        raise BadSetting('--doorbell needs MONITOR_PAGES, such as MONITOR_PAGES="OpenAI, GitHub"')
    found = find(asked.value, pages)
    if asked.value and found is None:
        names = ", ".join(page.name or page.host for page in pages)
        raise BadSetting(f"--doorbell: no page {asked.value[:200]!a} is in MONITOR_PAGES, which names {names}")
    base = os.environ.get("RENDER_EXTERNAL_URL", "https://YOUR-HOST")  # https://render.com/docs/environment-variables
    for page in [found] if found else pages:
        tokens = tokens_of(page, config.get("WEBHOOK_TOKEN"))
        sys.stdout.write(f"{base}{path_of(page)}{f'?token={next(iter(tokens))}' if tokens else ''}\n")
    return 0
