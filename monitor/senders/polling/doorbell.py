"""`POST /doorbell/<page>?token=…` polls that page at once. The body is not read: the page's own answer counts.

The exceptions are two bodies with which senders verify the address: Slack's challenge, which is echoed, and the
confirmation of Amazon's SNS, whose SubscribeURL is the only address in a payload that is ever visited.
https://docs.slack.dev/reference/events/url_verification
https://docs.aws.amazon.com/sns/latest/dg/http-subscription-confirmation-json.html
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

import gevent
from flask import Flask, Response, abort, jsonify, request

from monitor.pipeline import Sample, pipeline_of
from monitor.senders.pages import NOT_POLLED, Pages, pages_of
from monitor.senders.payload import decode, text
from monitor.senders.polling.addresses import Tokens, find, path_of, tokens_of
from monitor.server.requests import read_body, require
from monitor.settings import load
from monitor.updates.errors import NotAnUpdate
from monitor.updates.text import describe_error
from monitor.updates.times import iso

if TYPE_CHECKING:
    from monitor.senders.polling.polled_page import PolledPage

log = logging.getLogger("event_monitor")

SECONDS_TO_CONFIRM = 10
SNS_HOST = re.compile(r"sns\.[a-z0-9-]{1,40}\.amazonaws\.com")


class Doorbells:
    """The doorbells of the polled pages; without a webhook token, anyone may ring."""

    def __init__(self, tokens: Tokens, polled: Sequence[PolledPage], pages: Pages) -> None:
        self._tokens, self._pages = tokens, pages
        self._polled = {page.known.url: page for page in polled}

    def answer(self, page: str) -> tuple[Response, int]:
        """Ring the doorbell of a page by its name, host or id; abort with 401, 404, 413.

        query: answer
        """
        polled = self._find(page)
        require(tokens_of(polled.known, self._tokens) if polled else self._tokens)
        if polled is None:
            abort(404, f"no page {page[:200]!a} is polled: see MONITOR_PAGES")
        body = read_body(request.environ | {"HTTP_CONTENT_ENCODING": "identity"})
        if challenge := _challenge(body):
            return jsonify(challenge=challenge), 200
        if request.headers.get("x-amz-sns-message-type") == "SubscriptionConfirmation":
            return _confirm(body) if self._tokens else abort(403, "confirming SNS needs MONITOR_WEBHOOK_TOKEN")
        polled.bell.ring()
        # Postmark and Mailgun take any status but 200 for a failure and retry for hours.
        return jsonify(status="polling"), 200 if request.args.get("answer") == "200" else 202

    def shown(self, url: str | None) -> dict[str, object]:
        """Return what /pages shows of how a page is polled and of its doorbell, by the page's address."""
        page = self._polled.get(url or "")
        if page is None:
            return NOT_POLLED
        at, read_by = page.bell.rung_at, page.source and page.source.how
        last_ring = {"at": iso(at), "found": page.bell.found} if at else None
        return {"read_by": read_by, "doorbell": path_of(page.known), "last_ring": last_ring}

    def sample(self) -> Sample:
        """Return the rings by page and outcome."""
        rings: Counter[tuple[str, ...]] = Counter()
        for page in self._polled.values():
            name = self._pages.name_of(page.id) or page.known.name or page.known.host
            rings.update({(name, outcome): times for outcome, times in page.bell.outcomes.items()})
        return Sample("counter", "doorbell_rings", "Rings, by what polling the page found.", rings, ("page", "outcome"))

    def _find(self, name: str) -> PolledPage | None:
        also = {url: (page.id, self._pages.name_of(page.id)) for url, page in self._polled.items()}
        known = find(name, [page.known for page in self._polled.values()], also)
        return self._polled[known.url] if known else None


def _challenge(body: bytes) -> str | None:
    if request.is_json and b'"url_verification"' in body:
        with suppress(NotAnUpdate):
            payload = decode(body)
            return text(payload.get("challenge")) if payload.get("type") == "url_verification" else None
    return None


def _confirm(body: bytes) -> tuple[Response, int]:
    """Confirm a subscription of SNS, at an address rebuilt from its three parameters."""
    address = text(decode(body).get("SubscribeURL")) or ""
    try:
        parts = urlsplit(address)
        parameters = {name: values[0] for name, values in parse_qs(parts.query).items() if len(values) == 1}
    except ValueError:
        raise NotAnUpdate("SubscribeURL is not an address") from None
    is_at_sns = parts.scheme == "https" and SNS_HOST.fullmatch(parts.netloc)
    if not is_at_sns or parameters.get("Action") != "ConfirmSubscription":
        raise NotAnUpdate("SubscribeURL is not an address at SNS that confirms a subscription")
    query = urlencode({name: parameters.get(name, "") for name in ("Action", "TopicArn", "Token")})
    requests = load("requests")
    try:
        with gevent.Timeout(SECONDS_TO_CONFIRM):
            found = requests.get(f"https://{parts.netloc}/?{query}", allow_redirects=False, stream=True, timeout=5)
            found.close()
            outcome = f"answers {found.status_code}"
    except (gevent.Timeout, OSError) as error:  # requests' errors are OSErrors
        outcome = describe_error(error)
    log.info("doorbell: confirming %a at %s: %s", parameters.get("TopicArn", "")[:200], parts.netloc, outcome)
    return jsonify(status="confirming"), 202


def init_app(app: Flask, polled: Sequence[PolledPage]) -> None:
    """Add `POST /doorbell/<page>` for the polled pages."""
    pages = pages_of(app)
    doorbells = Doorbells(app.config.get("WEBHOOK_TOKEN"), polled, pages)
    app.add_url_rule("/doorbell/<path:page>", "doorbell", doorbells.answer, methods=["POST"])
    if polled:
        pages.polling_of = doorbells.shown
        pipeline_of(app).samples.append(lambda: [doorbells.sample()])
