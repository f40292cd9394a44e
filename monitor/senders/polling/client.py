"""HTTP to one status page: a JSON object within bounds of time and size, or NoAnswer with the reason in one line.

One connection is kept, no cookie is, and no redirect is followed: it could lead anywhere.
"""

from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy

import gevent
import requests
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from monitor.senders.payload import JSONObject, decode
from monitor.updates.text import one_line

SECONDS_IN_ALL = 30
LARGEST_ANSWER = 8 * 1024 * 1024  # bytes, as inflated
MOST_VALUES = 250_000  # while they are decoded nobody else is answered
LONGEST_RETRY_AFTER, UNREADABLE_RETRY_AFTER = 3600.0, 300.0  # seconds
VALIDATORS = {"If-None-Match": "ETag", "If-Modified-Since": "Last-Modified"}  # RFC 9110, section 13.1
Conditions = dict[str, str]


class NoAnswer(Exception):
    """The page gives no answer; the text says why. It shall be left alone for `retry_after` seconds."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class StatusPageClient:
    """Asks one page."""

    def __init__(self, url: str, version: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": f"event_monitor/{version}", "Accept": "application/json"})
        self._session.cookies.set_policy(DefaultCookiePolicy(netscape=False))  # then none is even parsed

    def get(self, path: str, conditions: Conditions) -> tuple[JSONObject | None, Conditions]:
        """Return a JSON object, None if these conditions hold, and the next ones; raise NoAnswer, NotAnUpdate."""
        try:
            with gevent.Timeout(SECONDS_IN_ALL), self._ask(self._url + path, conditions) as response:
                if conditions and response.status_code == requests.codes.not_modified:
                    response.raw.drain_conn()  # or the connection is closed
                    return None, conditions
                body = _body(response)
        except (gevent.Timeout, requests.Timeout):
            self._session.close()
            raise NoAnswer(f"no whole answer within {SECONDS_IN_ALL} s") from None
        except (requests.RequestException, OSError, ValueError) as error:
            raise NoAnswer(f"cannot be asked: {_innermost(error)}") from None
        given = response.headers
        return decode(body), {name: given[value] for name, value in VALIDATORS.items() if value in given}

    def _ask(self, address: str, headers: Conditions) -> requests.Response:
        return self._session.get(address, headers=headers, timeout=SECONDS_IN_ALL, allow_redirects=False, stream=True)


def _body(response: requests.Response) -> bytes:
    if response.is_redirect:
        raise NoAnswer(f"moved to {response.headers['Location'][:200]!a}: name that page in MONITOR_PAGES")
    if response.status_code != requests.codes.ok:
        raise NoAnswer(f"answers {response.status_code}", _seconds(response.headers.get("Retry-After", "0")))
    body = bytearray()
    for piece in response.iter_content(16_384):  # a bomb becomes 16 MB
        body += piece
        if len(body) > LARGEST_ANSWER:
            raise NoAnswer(f"answers more than {LARGEST_ANSWER} bytes")
    if sum(map(body.count, b",[{")) > MOST_VALUES:
        raise NoAnswer(f"answers more than {MOST_VALUES} values")
    return bytes(body)


def _seconds(retry_after: str) -> float:
    """Return the seconds of a Retry-After, given as seconds or as a date (RFC 9110, section 10.2.3)."""
    try:
        return min(Retry().parse_retry_after(retry_after), LONGEST_RETRY_AFTER)
    except (InvalidHeader, ValueError, OverflowError):
        return UNREADABLE_RETRY_AFTER


def _innermost(error: BaseException) -> str:
    """Return the cause in one line: requests' and urllib3's texts hold addresses of objects."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return one_line(f"{type(error).__name__}: {error}", 200)
