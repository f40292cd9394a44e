"""`--status`: ask a running monitor's `GET /status`, print its line, and return an exit code for a deployment pipeline.

The codes: 0 ok, 1 trouble, 2 unknown. A monitor that cannot be reached or that refuses is unknown; one line on stderr
says why.
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

UNKNOWN = 2
# By HTTP status and verdict. Trouble that --fail-on lets pass is answered 200 and does not stop a pipeline.
EXIT_CODES = {(200, "ok"): 0, (200, "trouble"): 0, (503, "trouble"): 1, (200, "unknown"): UNKNOWN}
SECONDS, LARGEST_ANSWER = 20, 65_536


def ask(url: str, given: Mapping[str, Sequence[str]]) -> int:
    """Print the monitor's verdict on what is needed, and return the exit code."""
    fail = given["--fail-on"][-1] if given["--fail-on"] else "minor"
    try:
        status, text = _answer_of(url, {"needs": given["--needs"], "fail": fail})
    except (OSError, HTTPException, ValueError) as problem:
        cause = getattr(problem, "reason", None) or problem
        return _unknown(f"cannot ask the monitor: {getattr(cause, 'strerror', None) or cause}")
    code = EXIT_CODES.get((status, text.partition(":")[0]))
    if code is None:
        # The monitor's own text for a 401 tells how to give the token by HTTP, not here.
        reason = "MONITOR_READ_TOKEN is not its token" if status == 401 else text
        return _unknown(f"the monitor answered {status}: {reason}")
    sys.stdout.write(f"{one_line(text, LONGEST_MESSAGE)}\n")
    return code


def _answer_of(url: str, query: dict[str, object]) -> tuple[int, str]:
    """Return the HTTP status and the body; raise OSError, HTTPException or ValueError."""
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host or parts.port == 0 or "@" in parts.netloc or parts.query:
        raise ValueError("its URL is not one such as https://monitor.example.com")  # not shown: it may hold a secret
    request = Request(f"{url.rstrip('/')}/status?{urlencode(query, doseq=True)}", headers={"Accept": "text/plain"})  # noqa: S310
    if token := os.environ.get("MONITOR_READ_TOKEN"):
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    # A proxy from the environment does not reach this machine.
    is_here = host in ("localhost", "::1") or host.startswith("127.")
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
