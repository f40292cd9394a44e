"""Send the heartbeat every minute; log when it begins to fail, and when it is accepted again."""

from __future__ import annotations

import logging
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import gevent

from monitor.pipeline import Pipeline

log = logging.getLogger("event_monitor")

SECONDS = 60.0
SECONDS_BEFORE_THE_FIRST = 5.0  # so that a process that dies at once, or runs a command, sends none
SECONDS_TO_ANSWER = 20


def start(url: str, pipeline: Pipeline) -> None:
    """Send a heartbeat to this address every minute until the pipeline stops."""
    beating = gevent.spawn(_beat_for_ever, url, pipeline)
    pipeline.stopping.append(lambda: beating.kill(block=False))


def _beat_for_ever(url: str, pipeline: Pipeline) -> None:
    # Its own failure is not among the pipeline's problems: it would stop the heartbeat for ever.
    failing: str | None = None
    gevent.sleep(SECONDS_BEFORE_THE_FIRST)
    while True:
        if not pipeline.what_is_wrong():
            before, failing = failing, _beat(url)
            if failing and not before:
                log.warning("heartbeat: %s; tried again every minute", failing)
            elif before and not failing:
                log.warning("heartbeat: accepted again")
        gevent.sleep(SECONDS)


def _beat(url: str) -> str | None:
    """Send one heartbeat; return what went wrong, without the address."""
    try:
        with gevent.Timeout(SECONDS_TO_ANSWER, TimeoutError()), urlopen(url):  # noqa: S310  # http(s), as checked
            return None
    except HTTPError as error:
        error.close()
        return f"it answered {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) and isinstance(error.reason, OSError) else error
        return f"it cannot be reached: {getattr(reason, 'strerror', None) or type(reason).__name__}"
