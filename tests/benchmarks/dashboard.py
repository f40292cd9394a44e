"""Measure the dashboard: `python -m tests.benchmarks.dashboard`, on an otherwise idle machine.

200 pages and 10,000 incidents against 10 pages and 100 incidents, in memory and in SQLite: time to the first byte of a
page that has to be made anew and of one that is kept, its size, and how long others wait meanwhile. Rounds alternate.
"""

import http.client
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import requests

from tests.benchmarks.servers import running
from tests.conftest import incident

ROUNDS = 15
SIZES = {"100 incidents of 10 pages": (100, 10), "10,000 incidents of 200 pages": (10_000, 200)}
SAID = "We are investigating elevated error rates; some requests fail or take longer than usual."


def payload(number, of_incidents, of_pages):
    """One incident of a year's, its story of three entries; every 200th is still open."""
    began = datetime.now(UTC) - timedelta(days=365) * (1 - number / of_incidents)
    statuses = ("investigating", "identified", "investigating" if number % 200 == 0 else "resolved")
    times = [(began + timedelta(minutes=20 * step)).isoformat() for step in range(3)]
    entries = [
        {"id": f"{number}-{step}", "status": status, "body": SAID, "created_at": at}
        for step, (status, at) in enumerate(zip(statuses, times, strict=True))
    ]
    page = {"id": f"p{number % of_pages}", "name": f"Provider {number % of_pages}"}
    return incident(
        f"i{number}",
        page=page,
        status=statuses[-1],
        impact=("minor", "major", "critical")[number % 3],
        created_at=times[0],
        updated_at=times[-1],
        incident_updates=entries,
    )


def fill(url, of_incidents, of_pages):
    def post(first):
        session = requests.Session()
        for number in range(first, of_incidents, 8):
            session.post(f"{url}/webhook/statuspage", json=payload(number, of_incidents, of_pages)).raise_for_status()

    senders = [threading.Thread(target=post, args=(first,)) for first in range(8)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()


def first_byte(url):
    """Milliseconds to the first byte of the page, and how many bytes it is."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    connection.connect()
    began = time.perf_counter()
    connection.request("GET", "/")
    answer = connection.getresponse()
    milliseconds = (time.perf_counter() - began) * 1000
    return milliseconds, len(answer.read())


def worst_wait(url, stop, waits):
    """Collect how long /health takes, asked again and again, in milliseconds."""
    session = requests.Session()
    while not stop.is_set():
        began = time.perf_counter()
        session.get(f"{url}/health")
        waits.append((time.perf_counter() - began) * 1000)
        time.sleep(0.002)


def measure(url, number):
    """A page made after an update, the same page kept, its size, and the longest wait of another meanwhile."""
    requests.post(f"{url}/webhook/statuspage", json=incident(f"new{number}", page={"id": "p1", "name": "Provider 1"}))
    stop, waits = threading.Event(), []
    other = threading.Thread(target=worst_wait, args=(url, stop, waits))
    other.start()
    time.sleep(0.05)
    waits.clear()
    made, size = first_byte(url)
    stop.set()
    other.join()
    kept, _ = first_byte(url)
    return {"made ms": made, "kept ms": kept, "bytes": size, "another waits ms": max(waits)}


def main():
    for kind in ("memory", "SQLite"):
        with tempfile.TemporaryDirectory() as directory:
            settings = [
                {} if kind == "memory" else {"MONITOR_DATABASE_URL": f"sqlite:///{Path(directory)}/{number}.db"}
                for number in range(2)
            ]
            with (
                running("event_monitor", **settings[0]) as (few, _),
                running("event_monitor", **settings[1]) as (many, _),
            ):
                urls = dict(zip(SIZES, (few, many), strict=True))
                for name, url in urls.items():
                    fill(url, *SIZES[name])
                runs = {name: [] for name in SIZES}
                for number in range(ROUNDS):
                    for name, url in urls.items():
                        runs[name].append(measure(url, number))
                report(kind, runs)


def report(kind, runs):
    figures = {
        name: {figure: median(run[figure] for run in those) for figure in those[0]} for name, those in runs.items()
    }
    for name, those in figures.items():
        print(f"{kind}, {name}:", ", ".join(f"{f} {value:,.1f}" for f, value in those.items()))
    few, many = figures.values()
    ratios = ", ".join(f"{figure.removesuffix(' ms')} {many[figure] / few[figure]:.1f}" for figure in few)
    print(f"{kind}: 100 times the incidents and 20 times the pages: {ratios} times")


if __name__ == "__main__":
    main()
