"""Measure what readers cost the senders: `python -m tests.benchmarks.feeds`, on an otherwise idle machine.

2,000 incidents of 200 pages, a quarter of them maintenances; webhooks at full load without readers and with ten that
each ask for everything every minute and never send an ETag, in turns. Needs wrk.
"""

import threading
from statistics import median
from urllib.request import urlopen

import requests

from tests.benchmarks.__main__ import ROUNDS, keep_alive
from tests.benchmarks.servers import running
from tests.conftest import incident

PATHS = ("/feed.atom", "/maintenance.ics", "/api/v2/summary.json", "/api/v2/incidents.json")
SECONDS_BETWEEN_QUESTIONS = 60 / (10 * len(PATHS))


def fill(url):
    with requests.Session() as session:
        for number in range(2_000):
            page = {"id": f"p{number % 200}", "name": f"Page {number % 200}"}
            story = [{"id": f"{number}-{part}", "body": "Some people cannot sign in. " * 10} for part in range(5)]
            planned = {"impact": "maintenance", "status": "scheduled", "scheduled_for": "2030-01-01T08:00:00Z"}
            fields = planned if number % 4 == 0 else {"status": "resolved"}
            session.post(
                f"{url}/webhook/statuspage", json=incident(f"i{number}", page=page, incident_updates=story, **fields)
            )


def ask(url, stopped, asked):
    while not stopped.wait(SECONDS_BETWEEN_QUESTIONS):
        asked.append(len(urlopen(url + PATHS[len(asked) % len(PATHS)], timeout=30).read()))


def main():
    rounds = {"without readers": [], "with readers": []}
    for _ in range(ROUNDS):
        for name, figures in rounds.items():
            with running("event_monitor") as (url, _process):
                fill(url)
                sizes = {path: reply(url + path) for path in PATHS}
                stopped, asked = threading.Event(), []
                reader = threading.Thread(target=ask, args=(url, stopped, asked))
                if name == "with readers":
                    reader.start()
                figures.append(keep_alive(url))
                stopped.set()
                if name == "with readers":
                    reader.join()
    for path, (whole, again) in sizes.items():
        print(f"{path}: {whole} bytes, {again} for a reader that has it")
    without, with_readers = (
        {name: median(f[name] for f in figures) for name in figures[0]} for figures in rounds.values()
    )
    for figure in without:
        ratio = with_readers[figure] / without[figure]
        print(f"{figure}: without {without[figure]:.1f}, with readers {with_readers[figure]:.1f}, ratio {ratio:.2f}")


def reply(address):
    """Bytes of the body, and of that of an answer to a reader that sends the ETag back."""
    answer = urlopen(address, timeout=30)
    again = requests.get(address, headers={"If-None-Match": answer.headers["ETag"]}, timeout=30)
    return len(answer.read()), len(again.content)


if __name__ == "__main__":
    main()
