"""Ask a status page, over HTTP, for its newest incidents: the API that Statuspage has, and others speak too.

https://status.atlassian.com/api/v2/#incidents: the 50 newest incidents, open or not, each with its whole story.
What a page says within bounds of time and size is given out as decoded JSON; everything else is said in one line.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

import gevent
import requests

from monitor.senders.payload import JSONObject, NotAnUpdate, decode
from monitor.updates.text import one_line

PATH = "/api/v2/incidents.json"
SECONDS_TO_CONNECT, SECONDS_TO_READ, SECONDS_IN_ALL = 10, 10, 30
LARGEST_ANSWER = 8 * 1024 * 1024  # bytes, as decoded
MOST_REDIRECTS = 3
LONGEST_RETRY_AFTER = 3600.0  # seconds
SECONDS_WITHOUT_A_DATE = 300.0


class NoAnswer(Exception):
    """The page did not say what its incidents are; the text says why. It shall be left alone for `retry_after` s."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Asking:
    """One page, over one connection that is kept; what it said last is not sent again (RFC 9110, section 13)."""

    def __init__(self, url: str, version: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"event_monitor/{version}"
        self._session.headers["Accept"] = "application/json"
        self._conditions: dict[str, str] = {}

    def ask(self) -> JSONObject | None:
        """Return the answer's JSON object, or None if it is the one before; raise NoAnswer."""
        try:
            with gevent.Timeout(SECONDS_IN_ALL):
                return self._ask()
        except gevent.Timeout:
            self._session.close()
            raise NoAnswer(f"no whole answer within {SECONDS_IN_ALL} s") from None
        except requests.Timeout:
            raise NoAnswer("no answer in time") from None
        except (requests.RequestException, OSError, ValueError) as error:
            raise NoAnswer(f"cannot be asked: {_innermost(error)}") from None

    def forget(self) -> None:
        """Have the next answer whole, as this one was not used up."""
        self._conditions = {}

    def _ask(self) -> JSONObject | None:
        address = self._url + PATH
        for _ in range(MOST_REDIRECTS + 1):
            with self._get(address) as response:
                if not response.is_redirect:
                    return self._read(response)
                address = self._same_host(urljoin(address, response.headers["Location"]))
        raise NoAnswer(f"redirects more than {MOST_REDIRECTS} times")

    def _get(self, address: str) -> requests.Response:
        return self._session.get(
            address,
            headers=self._conditions,
            timeout=(SECONDS_TO_CONNECT, SECONDS_TO_READ),
            allow_redirects=False,
            stream=True,
        )

    def _same_host(self, address: str) -> str:
        if urlsplit(address)[:2] != urlsplit(self._url)[:2]:
            raise NoAnswer(f"moved to {address[:200]!a}: name that page in MONITOR_PAGES")
        return address

    def _read(self, response: requests.Response) -> JSONObject | None:
        if response.status_code == requests.codes.not_modified:
            response.raw.drain_conn()  # or the connection is closed
            return None
        if response.status_code != requests.codes.ok:
            raise NoAnswer(f"answers {response.status_code}", _retry_after(response.headers.get("Retry-After", "")))
        body = bytearray()
        for piece in response.iter_content(65536):
            body += piece
            if len(body) > LARGEST_ANSWER:
                self._session.close()
                raise NoAnswer(f"answers more than {LARGEST_ANSWER} bytes")
        try:
            answer = decode(bytes(body))
        except NotAnUpdate as error:
            raise NoAnswer(str(error)) from None
        if not isinstance(answer.get("incidents"), list):
            raise NoAnswer("answers no list of incidents: it may have no API of Statuspage's")
        given = {"If-None-Match": "ETag", "If-Modified-Since": "Last-Modified"}
        self._conditions = {ask: response.headers[said] for ask, said in given.items() if said in response.headers}
        return answer


def _retry_after(value: str) -> float:
    """Return the seconds of a Retry-After, given as seconds or as a date (RFC 9110, section 10.2.3)."""
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), LONGEST_RETRY_AFTER)
    try:
        seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds() if value else 0.0
    except (ValueError, TypeError, OverflowError):  # TypeError: a date without a zone; OverflowError: the year 10^10
        return SECONDS_WITHOUT_A_DATE
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def _innermost(error: BaseException) -> str:
    """Return the cause in one line: requests' and urllib3's texts hold addresses of objects."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return one_line(f"{type(error).__name__}: {error}", 200)
