"""Measure polling: `python -m tests.benchmarks.polling`, on an otherwise idle machine. Needs wrk.

265 pages, as many as are known by name, of 50 incidents each, in a process of their own: seconds, requests and bytes of
a first round and of one with nothing changed; webhooks at full load while pages are polled, against without, in turns.
Then one lost day: the monitor is stopped, 500 updates happen on 100 pages, and it is started again.
"""

import contextlib
import json
import multiprocessing
import os
import tempfile
import time
from statistics import median

import requests

from tests.benchmarks.__main__ import ROUNDS, keep_alive
from tests.benchmarks.servers import running
from tests.status_page import StatusPage

PAGES, INCIDENTS = 265, 50
LOST_PAGES, LOST_UPDATES = 100, 5


def incident(page, number, entries=3, status="resolved"):
    story = [
        {
            "id": f"{page}-{number}-{entry}",
            "status": status if entry == entries - 1 else "investigating",
            "body": f"Some people cannot sign in; this is what we know now, number {entry}. " * 3,
            "created_at": f"2026-06-01T{number % 24:02}:{entry:02}:00.000Z",
            "updated_at": f"2026-06-01T{number % 24:02}:{entry:02}:00.000Z",
            "display_at": f"2026-06-01T{number % 24:02}:{entry:02}:00.000Z",
        }
        for entry in range(entries)
    ]
    newest = story[-1]
    made = {"id": f"{page}-{number}", "name": "Sign-in errors", "status": newest["status"], "impact": "minor"}
    made |= {"created_at": story[0]["created_at"], "updated_at": newest["created_at"], "components": []}
    return made | {"incident_updates": story[::-1]}


def serve(pages, incidents, pipe):
    """Play pages, on addresses of this machine of their own, until told to end; say what was asked and sent."""
    os.nice(19)  # the pages are elsewhere in life: here they shall not take the monitor's turn on a core
    served = []
    for number in range(pages):
        page = StatusPage({"id": f"p{number}", "name": f"Page {number}"})
        page.incidents = [incident(number, at) for at in range(incidents)]
        served.append(page)
    pipe.send([page.url for page in served])
    while (told := pipe.recv()) is not None:
        if told == "lose a day":
            for number, page in enumerate(served):
                page.incidents = [incident(number, 1000, LOST_UPDATES, "monitoring"), *page.incidents]
        pipe.send((sum(len(page.asked) for page in served), sum(page.sent for page in served)))


@contextlib.contextmanager
def pages_of(pages, incidents):
    """Yield their addresses, and what asks for (requests, bytes sent) until now."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=serve, args=(pages, incidents, theirs), daemon=True)
    process.start()

    def say(told="counts"):
        ours.send(told)
        return ours.recv()

    yield ours.recv(), say
    process.kill()


def until_polled(url, since):
    """Wait until every page has answered since then; return how long that took, in seconds."""
    began = time.monotonic()
    while True:
        pages = requests.get(f"{url}/pages", timeout=30).json()["pages"]
        if pages and all(page["polled_at"] and page["polled_at"] > since for page in pages):
            return time.monotonic() - began
        time.sleep(0.05)


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + ".999Z"


AGAIN = "from monitor.senders import polling; polling.DEFAULT_MINUTES = {seconds} / 60"


def rounds_of_all():
    with pages_of(PAGES, INCIDENTS) as (urls, counts):
        settings = {"MONITOR_PAGES": json.dumps(urls)}
        with running("event_monitor", preamble=AGAIN.format(seconds=5), **settings) as (url, _process):
            took = until_polled(url, "")
            asked, sent = counts()
            print(
                f"first round, {PAGES} pages of {INCIDENTS} incidents: {took:.1f} s, {asked} requests, {sent:,} bytes"
            )
            until_polled(url, now())
            asked_again, sent_again = counts()
            print(f"until all were polled again: {asked_again - asked} requests, {sent_again - sent:,} bytes")


def load():
    """Webhooks during a round, with the shortest pause between rounds that can be set, against without."""
    figures = {"not polling": [], "polling": []}
    with pages_of(PAGES, INCIDENTS) as (urls, counts):
        for _ in range(ROUNDS):
            for name, runs in figures.items():
                polling = {"MONITOR_PAGES": json.dumps(urls), "MONITOR_POLL_MINUTES": "1"}
                settings = polling if name == "polling" else {}
                with running("event_monitor", **settings) as (url, _process):
                    if settings:
                        until_polled(url, "")
                    before, _ = counts()
                    while settings and counts()[0] == before:
                        time.sleep(0.05)
                    runs.append(keep_alive(url) | {"polled": counts()[0] - before})
    for figure in ("p99 ms", "requests/s"):
        ratio = median(a[figure] / n[figure] for a, n in zip(figures["polling"], figures["not polling"], strict=True))
        told = {name: median(run[figure] for run in runs) for name, runs in figures.items()}
        print(f"webhook {figure}: {told}, ratio {ratio:.2f}{' (aim: at most 1.2)' if figure == 'p99 ms' else ''}")
    print(f"pages polled meanwhile: {median(run['polled'] for run in figures['polling']):.0f}")


def lost_day():
    with pages_of(LOST_PAGES, 5) as (urls, say), tempfile.TemporaryDirectory() as directory:
        settings = {"MONITOR_PAGES": json.dumps(urls), "MONITOR_DATABASE_URL": f"sqlite:///{directory}/monitor.db"}
        with running("event_monitor", **settings) as (url, process):
            until_polled(url, "")
            before = process.stdout_file.read().count(b"\n")
        say("lose a day")
        since = now()
        with running("event_monitor", **settings) as (url, process):
            took = until_polled(url, since)
            time.sleep(0.5)
            process.stdout_file.seek(0)
            printed = process.stdout_file.read().split(b"\n")[:-1]
            known = requests.get(f"{url}/incidents?status=open&limit=500", timeout=30).json()["incidents"]
    updates = LOST_PAGES * LOST_UPDATES
    blocks = list(zip(printed[::2], printed[1::2], strict=True))
    recorded = sum(len(found["incident_updates"]) for found in known)
    print(
        f"one lost day: {updates} updates on {LOST_PAGES} pages, {before} lines printed before; one round {took:.1f} s:"
        f" printed {len(blocks)}, twice {len(blocks) - len(set(blocks))}, recorded {recorded}"
    )


if __name__ == "__main__":
    rounds_of_all()
    load()
    lost_day()
