"""Streams over every history, over several processes, under gunicorn and without the extras."""

import itertools
import random
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.conftest import ROOT, incident, until
from tests.outputs.live.clients import Reader, names
from tests.outputs.live.conftest import SMALL_PAGES
from tests.test_core_alone import HIDDEN


@pytest.mark.parametrize("history", ["memory", "sqlite", "postgresql"])
def test_a_client_that_is_cut_and_comes_back_gets_every_update_once(start, history, tmp_path, request):
    environment = {}
    if history == "sqlite":
        environment = {"MONITOR_DATABASE_URL": f"sqlite:///{tmp_path}/monitor.db"}
    if history == "postgresql":
        database = request.getfixturevalue("postgresql").new_database("monitor_resumed")
        environment = {"MONITOR_DATABASE_URL": database}
    monitor = start(environment=environment, preamble=SMALL_PAGES)
    posted = [f"r{number}" for number in range(250)]
    outcome, clients = {}, 6

    def follow(client):
        chance, last, got = random.Random(client), "0", []
        while len(got) < len(posted):
            reader = Reader(monitor, **({"Last-Event-ID": last}))
            for event in itertools.islice(reader, chance.randrange(1, 90)):
                got.append(event)
                last = event["id"]
                if len(got) == len(posted):
                    break
            reader.close()
        outcome[client] = got

    threads = [threading.Thread(target=follow, args=(client,), daemon=True) for client in range(clients)]
    for thread in threads:
        thread.start()
    with ThreadPoolExecutor(4) as senders, requests.Session() as session:
        address = monitor.url + "/webhook/statuspage"
        list(senders.map(lambda name: session.post(address, json=incident(name), timeout=10), posted))
    for thread in threads:
        thread.join(20)

    assert len(outcome) == clients
    for got in outcome.values():
        assert [event.get("event") for event in got] == [None] * len(posted)
        assert sorted(names(got)) == sorted(posted)
        assert [int(event["id"]) for event in got] == sorted(int(event["id"]) for event in got)


def test_an_update_of_one_process_reaches_the_streams_of_another_within_a_second(start, postgresql):
    settings = {"MONITOR_DATABASE_URL": postgresql.new_database("monitor_live")}
    one, other = start(environment=settings), start(environment=settings)
    reader = Reader(other)

    def next_one(name, seconds):
        began = time.monotonic()
        until(lambda: one.post(incident(name)).status_code == 200, seconds)
        assert names(reader.take(1)) == [name]
        assert time.monotonic() - began < seconds

    next_one("p1", 1)
    listening = "FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    assert postgresql.ask("monitor_live", f"SELECT count(pg_terminate_backend(pid)) {listening}") == 1
    until(lambda: postgresql.ask("monitor_live", f"SELECT count(*) {listening}") == 1)
    next_one("p2", 1)
    postgresql.stop()
    time.sleep(0.3)
    postgresql.start()
    next_one("p3", 8)


def test_an_update_of_another_process_on_the_same_sqlite_file_is_found(start, tmp_path):
    settings = {"MONITOR_DATABASE_URL": f"sqlite:///{tmp_path}/monitor.db"}
    look_often = "from monitor.outputs.live import arrivals; arrivals.SECONDS_BETWEEN_LOOKS = 0.2"
    one, other = start(environment=settings), start(environment=settings, preamble=look_often)
    reader = Reader(other)

    one.post(incident("q1"))

    assert names(reader.take(1)) == ["q1"]


def test_gunicorn_serves_the_stream_and_says_that_it_has_no_websocket(tmp_path):
    log = tmp_path / "log"
    command = [sys.executable, "-m", "gunicorn", "-k", "gevent", "--bind", "127.0.0.1:0", "event_monitor:app"]
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=stderr)
    try:
        found = until(lambda: re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text()), 10)
        gunicorn = type("Served", (), {"port": int(found[1])})
        reader = until(lambda: Reader(gunicorn))
        requests.post(f"{found[0]}/webhook/statuspage", json=incident("g1"), timeout=5)
        assert names(reader.take(1)) == ["g1"]
        refused = requests.get(f"{found[0]}/ws", timeout=5)
        assert (refused.status_code, "event_monitor.py" in refused.json()["error"]) == (501, True)
    finally:
        process.kill()
        process.wait()


def test_without_its_extra_the_websocket_says_what_to_install_and_the_stream_works(start, tmp_path):
    folder = tmp_path / "hidden"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HIDDEN.format(names={"wsproto"}))
    monitor = start(environment={"PYTHONPATH": str(folder)})
    refused = monitor.get("/ws")

    assert (refused.status_code, refused.json()) == (
        501,
        {"error": "/ws needs wsproto: pip install -r requirements-extras.txt"},
    )
    assert Reader(monitor).response.status == 200
