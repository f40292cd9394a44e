"""Measure the history in SQL: `python -m tests.benchmarks.durable`, on an otherwise idle machine.

Throughput against memory and against one commit a request, kills, the cost of a million updates, and two servers on
one PostgreSQL. Needs wrk, Debian's postgresql, and the packages of tests/requirements.txt.
"""

import os
import random
import re
import signal
import sqlite3
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from statistics import median

import requests

from monitor.history.query import Query
from monitor.history.sql import write as statements
from monitor.history.sql.history import DatabaseHistory
from monitor.updates.update import Component, IncidentUpdate, Update
from tests.benchmarks.__main__ import HERE, ROUNDS, keep_alive, run
from tests.benchmarks.servers import running, wait_for
from tests.conftest import incident
from tests.postgresql import Server

ONE_BY_ONE = "from monitor.history.sql import writer; writer.MOST_IN_A_BATCH = 1"


def throughput(directory):
    """Requests/s in memory, on SQLite, and on SQLite with one commit a request."""
    rounds = {"memory": [], "SQLite": [], "SQLite, one commit a request": []}
    for number in range(ROUNDS):
        for name, figures in rounds.items():
            settings = {} if name == "memory" else {"MONITOR_DATABASE_URL": f"sqlite:///{directory}/{name}{number}.db"}
            preamble = ONE_BY_ONE if "one commit" in name else ""
            with running("event_monitor", preamble=preamble, **settings) as (url, _process):
                figures.append(keep_alive(url)["requests/s"])
    memory, sqlite, single = (median(figures) for figures in rounds.values())
    print(f"requests/s: memory {memory:.0f}, SQLite {sqlite:.0f}, SQLite with one commit a request {single:.0f}")
    print(
        f"durable against memory: {sqlite / memory:.2f} (aim: >= 0.6); group commit gains {sqlite / single:.1f} times"
    )


def kills(directory, times=50, acknowledged_each=220):
    """Kill -9 at random instants under load; count what was acknowledged and lost, and what was printed twice."""
    file, numbers, acknowledged, printed = directory / "kills.db", count(), [], []
    for _ in range(times):
        with running("event_monitor", MONITOR_DATABASE_URL=f"sqlite:///{file}") as (url, process):
            before = len(acknowledged)
            senders = [threading.Thread(target=post_until_killed, args=(url, numbers, acknowledged)) for _ in range(8)]
            for sender in senders:
                sender.start()
            while len(acknowledged) - before < acknowledged_each:
                time.sleep(0.01)
            time.sleep(random.random() / 5)
            process.send_signal(signal.SIGKILL)
            for sender in senders:
                sender.join()
            process.stdout_file.seek(0)
            printed += re.findall(r"Status: (k\d+)\n", process.stdout_file.read().decode())
    recorded = {row[0] for row in sqlite3.connect(file).execute("SELECT id FROM updates")}
    lost, twice = set(acknowledged) - recorded, len(printed) - len(set(printed))
    print(f"{times} kills, {len(acknowledged)} updates acknowledged: lost {len(lost)}, printed twice {twice}")


def post_until_killed(url, numbers, acknowledged):
    session = requests.Session()
    while True:
        name = f"k{next(numbers)}"
        body = incident(name, incident_updates=[{"id": name, "body": name}])
        try:
            if session.post(url + "/webhook/statuspage", json=body, timeout=10).ok:
                acknowledged.append(name)
        except requests.ConnectionError:
            return


def sizes(directory):
    """Median milliseconds of `add` and of a page of `incidents` at 1,000 and at 1,000,000 stored updates."""
    figures = {}
    for stored in (1_000, 1_000_000):
        history = DatabaseHistory(f"sqlite:///{directory}/size{stored}.db")
        for first in range(0, stored, 1000):
            batch = [update(number) for number in range(first, first + 1000)]
            history._writing.run(lambda connection, batch=batch: statements.record(connection, 0, batch))
        figures[stored] = (
            timed(lambda number, history=history: history.add(update(2_000_000 + number))),
            timed(lambda _, history=history: history.incidents(Query())),
        )
        history.close()
    for name, few, many in zip(("add", "a page"), figures[1_000], figures[1_000_000], strict=True):
        print(f"{name}: {few:.2f} ms at 1,000, {many:.2f} ms at 1,000,000: {many / few:.2f} (aim: <= 1.3)")


def timed(call):
    milliseconds = []
    for number in range(300):
        began = time.perf_counter()
        call(number)
        milliseconds.append((time.perf_counter() - began) * 1000)
    return median(milliseconds)


def update(number):
    """One of five updates of an incident."""
    began = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=number // 5)
    at = began + timedelta(seconds=number % 5)
    entry = IncidentUpdate(f"u{number}", "investigating", "Some requests fail; we look into it.", at, at, at)
    return Update(
        page_id=f"page{number // 5 % 100}",
        page=f"Page {number // 5 % 100}",
        id=f"i{number // 5}",
        created_at=began,
        updated_at=at,
        name="Elevated error rates",
        message="Some requests fail; we look into it.",
        status="investigating",
        impact="minor",
        components=(Component("c1", "API", "degraded_performance"),),
        incident_updates=(entry,),
    )


def together(directory):
    """Updates/s of one server on PostgreSQL and of two on the same one."""
    server = Server(directory / "postgresql")
    try:
        rates = {}
        for servers in (1, 2):
            url = server.new_database(f"monitor{servers}")
            with (
                running("event_monitor", MONITOR_DATABASE_URL=url) as (first, _),
                running("event_monitor", MONITOR_DATABASE_URL=url) as (second, _),
            ):
                rates[servers] = load([first, second][:servers])
                time.sleep(1)  # the last commits
                accepted = sum(
                    int(re.search(rb'"accepted":(\d+)', wait_for(one + "/health"))[1]) for one in (first, second)
                )
                recorded = int(server.ask(f"monitor{servers}", "SELECT count(*) FROM updates"))
                print(f"{servers} on one PostgreSQL: {rates[servers]:.0f} updates/s, doubled {accepted - recorded}")
        print(f"two against one: {rates[2] / rates[1]:.2f}")
    finally:
        server.stop()


def load(urls):
    printed = []
    command = ["wrk", "-t1", "-c32", "-d5", "-s", str(HERE / "post.lua")]
    threads = [threading.Thread(target=lambda url=url: printed.append(run(*command, url))) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]) for text in printed)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        throughput(folder)
        kills(folder)
        sizes(folder)
        together(folder)
    os._exit(0)  # the histories' threads are of no more use
