"""Measure what a slow service costs the senders: `python -m tests.benchmarks.notify`, on an otherwise idle machine.

Webhooks with no service and with one that takes 10 s to answer each message, in turns: at full load, and one every
10 ms. Needs wrk.
"""

import json
import time
from statistics import median, quantiles

import requests

from tests.benchmarks.__main__ import ROUNDS, keep_alive
from tests.benchmarks.servers import running
from tests.conftest import incident
from tests.endpoints import Endpoint

SECONDS_BETWEEN = 0.01
PACED = 1000


def paced(url):
    """One new update every 10 ms: p50 and p99 in ms."""
    milliseconds = []
    with requests.Session() as session:
        for number in range(PACED):
            body = incident(f"paced-{number}", page={"id": f"p{number % 20}", "name": f"Page {number % 20}"})
            began = time.perf_counter()
            assert session.post(f"{url}/webhook/statuspage", json=body).json() == {"status": "accepted"}
            took = time.perf_counter() - began
            milliseconds.append(took * 1000)
            time.sleep(max(0, SECONDS_BETWEEN - took))
    return {"paced p50 ms": median(milliseconds), "paced p99 ms": quantiles(milliseconds, n=100)[98]}


def main():
    slow = Endpoint()
    slow.seconds = 10
    services = {"MONITOR_NOTIFY": json.dumps([slow.url.replace("http:", "json:")])}
    rounds = {"no service": [], "one that takes 10 s": []}
    for _ in range(ROUNDS):
        for (name, figures), settings in zip(rounds.items(), ({}, services), strict=True):
            with running("event_monitor", **settings) as (url, _process):
                figures.append(paced(url) | keep_alive(url))
            print(name, "  ".join(f"{figure} {value:.1f}" for figure, value in figures[-1].items()))
    assert slow.taken, "nothing was sent"
    for figure in ("paced p50 ms", "paced p99 ms", "p99 ms", "requests/s"):
        pairs = zip(*rounds.values(), strict=True)
        ratio = median(with_service[figure] / without[figure] for without, with_service in pairs)
        aim = " (aim: at most 1.2)" if "p99" in figure else ""
        print(f"{figure} with a service that takes 10 s against without: {ratio:.2f}{aim}")


if __name__ == "__main__":
    main()
