"""HTTP to one status page: bytes or a JSON object, within bounds of time and size, or NoAnswer with the reason.

Requests are conditional: an address that answered before is asked only for a change. The client keeps one connection
and no cookie, and follows no redirect, which could lead anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from http.cookiejar import DefaultCookiePolicy

import gevent
import requests
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from monitor.senders.payload import JSONObject, decode
from monitor.updates.text import one_line

SECONDS_IN_ALL = 30
LARGEST_ANSWER = 8 * 1024 * 1024  # bytes, as inflated
MOST_VALUES = 250_000  # decoding blocks the server
LONGEST_RETRY_AFTER, UNREADABLE_RETRY_AFTER = 3600.0, 300.0  # seconds
VALIDATORS = {"If-None-Match": "ETag", "If-Modified-Since": "Last-Modified"}  # RFC 9110, section 13.1


class NoAnswer(Exception):
    """The page gives no usable answer; the text says why. It must not be polled for `retry_after` seconds."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class NotThere(NoAnswer):
    """The page has nothing at this address."""


class Challenged(NoAnswer):
    """A CDN in front of the page takes us for a robot."""


@dataclass(frozen=True, slots=True)
class _Answered:
    """An address's last answer: the conditions of the next request, and a digest, as some servers ignore conditions."""

    conditions: dict[str, str] = field(default_factory=dict)
    digest: bytes = b""


class StatusPageClient:
    """The HTTP client of one page."""

    def __init__(self, version: str) -> None:
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": f"event_monitor/{version}"})
        self._session.cookies.set_policy(DefaultCookiePolicy(netscape=False))  # then no cookie is even parsed
        self._recorded: dict[str, _Answered] = {}
        self._answered: dict[str, _Answered] = {}

    def begin(self) -> None:
        """Forget the answers that were not recorded: they are asked for again."""
        self._answered = {}

    def keep(self) -> None:
        """Take the answers since `begin` as recorded: from now on, ask only for changes to them."""
        self._recorded |= self._answered

    def forget(self, address: str) -> None:
        """Ask for the whole answer next time."""
        self._recorded.pop(address, None)

    def json(self, address: str) -> JSONObject | None:
        """Return the JSON object at an address, None if it has not changed; raise NoAnswer, NotAnUpdate."""
        body = self.get(address, "application/json", LARGEST_ANSWER)
        if body is not None and sum(map(body.count, b",[{")) > MOST_VALUES:
            raise NoAnswer(f"answers more than {MOST_VALUES} values")
        return None if body is None else decode(body)

    def get(self, address: str, accept: str, largest: int) -> bytes | None:
        """Return the body at an address, None if it has not changed; raise NoAnswer."""
        before = self._recorded.get(address, _Answered())
        try:
            with gevent.Timeout(SECONDS_IN_ALL), self._ask(address, before.conditions | {"Accept": accept}) as response:
                if before.conditions and response.status_code == requests.codes.not_modified:
                    response.raw.drain_conn()  # else the connection is closed
                    return None
                body = _body(response, largest)
        except (gevent.Timeout, requests.Timeout):
            self._session.close()
            raise NoAnswer(f"no whole answer within {SECONDS_IN_ALL} s") from None
        except (requests.RequestException, OSError, ValueError) as error:
            raise NoAnswer(f"cannot be polled: {_innermost(error)}") from None
        conditions = {ask: response.headers[name] for ask, name in VALIDATORS.items() if name in response.headers}
        digest = sha256(body).digest()
        self._answered[address] = _Answered(conditions, digest)
        return None if digest == before.digest else body

    def _ask(self, address: str, headers: dict[str, str]) -> requests.Response:
        return self._session.get(address, headers=headers, timeout=SECONDS_IN_ALL, allow_redirects=False, stream=True)


def _body(response: requests.Response, largest: int) -> bytes:
    status, is_html = response.status_code, "html" in response.headers.get("Content-Type", "")
    if response.is_redirect:
        raise NotThere(f"moved to {response.headers['Location'][:200]!a}: name that page in MONITOR_PAGES")
    if status in (403, 405) and is_html:
        raise Challenged(f"answers {status} with a page for people: a CDN takes us for a robot", _retry_after(response))
    if status != requests.codes.ok:
        kind = NotThere if status in (404, 410) else NoAnswer
        raise kind(f"answers {status}", _retry_after(response))
    body = bytearray()
    for piece in response.iter_content(16_384):  # a compression bomb grows to 16 MB at most
        body += piece
        if len(body) > largest:
            raise NoAnswer(f"answers more than {largest} bytes")
    return bytes(body)


def _retry_after(response: requests.Response) -> float:
    """Return the seconds of a Retry-After, given as seconds or as a date (RFC 9110, section 10.2.3)."""
    pause = "1" if response.status_code in (403, 429) else "0"  # then our own pause holds, and no ring shortens it
    try:
        return min(Retry().parse_retry_after(response.headers.get("Retry-After", pause)), LONGEST_RETRY_AFTER)
    except (InvalidHeader, ValueError, OverflowError):
        return UNREADABLE_RETRY_AFTER


def _innermost(error: BaseException) -> str:
    """Return the innermost cause in one line: the texts of requests and urllib3 hold addresses of objects."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return one_line(getattr(error, "strerror", None) or f"{type(error).__name__}: {error}", 200)
