"""`--status`: ask a running monitor's `GET /status`, print its line, and say by the exit code how it is.

0 is ok, 1 trouble, 2 unknown: a gate in a deployment pipeline. A monitor that cannot be reached, or that refuses, is
unknown too, with one line on stderr that says why.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import gevent

from monitor.updates.text import one_line
from monitor.updates.update import LONGEST_MESSAGE

OK, TROUBLE, UNKNOWN = range(3)
SECONDS, LARGEST_ANSWER = 20, 65_536


def ask(url: str, given: Mapping[str, Sequence[str]]) -> int:
    """Print how what is needed is, and return the exit code."""
    fail = given["--fail-on"][-1] if given["--fail-on"] else "minor"
    try:
        code, text = _answer_of(url, {"needs": given["--needs"], "fail": fail})
    except (OSError, HTTPException, ValueError) as problem:
        return _unknown(f"cannot ask the monitor: {getattr(problem, 'reason', None) or problem}")
    verdict = text.partition(":")[0]
    if (code, verdict) not in ((503, "trouble"), (200, "trouble"), (200, "unknown"), (200, "ok")):
        # Its own words are for who asks by HTTP.
        return _unknown(
            f"the monitor answered {code}: {'MONITOR_READ_TOKEN is not its token' if code == 401 else text}"
        )
    sys.stdout.write(f"{one_line(text, LONGEST_MESSAGE)}\n")
    # What --fail-on lets pass is open and does not stop a pipeline.
    return TROUBLE if code == 503 else UNKNOWN if verdict == "unknown" else OK


def _answer_of(url: str, query: dict[str, object]) -> tuple[int, str]:
    parts = urlsplit(url)
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.port == 0
        or "@" in parts.netloc
        or parts.query
    ):
        raise ValueError("its URL is not one such as https://monitor.example.com")  # not shown: it may hold a secret
    request = Request(f"{url.rstrip('/')}/status?{urlencode(query, doseq=True)}", headers={"Accept": "text/plain"})  # noqa: S310
    if token := os.environ.get("MONITOR_READ_TOKEN"):
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    # A proxy of the environment does not reach this machine.
    is_here = parts.hostname in ("localhost", "::1") or parts.hostname.startswith("127.")
    opener = build_opener(*([ProxyHandler({})] if is_here else []))
    with gevent.Timeout(SECONDS, TimeoutError(f"no answer within {SECONDS} s")):
        try:
            answer = opener.open(request)
        except HTTPError as refusal:
            answer = refusal
        with answer:
            return answer.status, answer.read(LARGEST_ANSWER).decode(errors="replace")


def _unknown(reason: str) -> int:
    sys.stderr.write(f"event_monitor: {one_line(reason, LONGEST_MESSAGE)}\n")
    return UNKNOWN
