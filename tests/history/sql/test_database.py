"""A history in SQL survives kills, faults and company: through HTTP, on real SQLite files and a real PostgreSQL."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import psycopg
import pytest
import requests

from monitor.history.sql.address import parse_url
from monitor.history.sql.connection import DatabaseConnection
from tests.conftest import ROOT, environment, incident, payload, until, with_clock
from tests.server.test_http import MEBIBYTE, most_memory

QUICK = "from monitor.history.sql import connection; connection.SECONDS_FOR_A_STATEMENT = 1"
PROBE_OFTEN = "from monitor.history.sql import writer; writer.SECONDS_BETWEEN_PROBES = 0.1"


def healthy(monitor):
    return monitor.get("/health").json()["status"] == "ok"


def test_what_was_seen_survives_a_kill(start, url):
    first = start(environment=environment(url))
    assert first.post(payload("incident-created")).json() == {"status": "accepted"}
    before = first.incidents()
    first.stop(signal.SIGKILL)

    second = start(environment=environment(url))

    assert second.incidents() == before
    assert second.post(payload("incident-created")).json() == {"status": "duplicate"}


def test_what_was_acknowledged_is_printed_though_the_program_is_killed_right_after_its_answers(start, url):
    monitor, acknowledged = start(environment=environment(url)), []

    def post(number):
        with suppress(requests.ConnectionError, ValueError):
            if monitor.post(incident(f"i{number}", incident_updates=[{"body": f"number {number}."}])).ok:
                acknowledged.append(number)
                if len(acknowledged) == 40:
                    monitor.process.send_signal(signal.SIGKILL)

    with ThreadPoolExecutor(16) as senders:
        list(senders.map(post, range(80)))

    printed = monitor.printed()
    assert len(acknowledged) >= 40
    assert [number for number in acknowledged if f"number {number}.\n" not in printed] == []


@pytest.mark.parametrize("when", [9, 17, 26])
def test_a_kill_in_the_middle_of_a_commit_loses_no_acknowledged_update(start, sqlite_url, when):
    fatal = strace(f"fdatasync:signal=KILL:when={when}")
    monitor = start(environment=environment(sqlite_url), command_before=fatal)
    acknowledged = []
    with suppress(requests.ConnectionError):
        for number in range(200):
            assert monitor.post(incident(f"i{number}")).status_code == 200
            acknowledged.append(f"i{number}")
    assert monitor.process.wait(10) == -signal.SIGKILL

    again = start(environment=environment(sqlite_url))

    assert acknowledged
    assert {found["id"] for found in again.incidents("?limit=500")} >= set(acknowledged)
    assert {again.post(incident(i)).json()["status"] for i in acknowledged} == {"duplicate"}
    assert again.printed().count("Product:") == 1  # one commit, one update: perhaps it was not printed
    assert "the last end was unclean; told again from its last commit: 1" in again.log()


def test_an_unclean_end_shows_though_another_process_stopped_cleanly_before(start, url):
    first, second = (start(environment=environment(url)) for _ in range(2))
    first.post(incident("i1"))
    first.stop()
    second.post(incident("i2"))
    second.stop(signal.SIGKILL)

    assert "the last end was unclean; told again from its last commit: 1" in start(environment=environment(url)).log()


def test_processes_that_stop_at_the_same_time_end_cleanly(start, url):
    both = [start(environment=environment(url)) for _ in range(2)]
    both[0].post(incident("i1"))
    for monitor in both:
        monitor.process.send_signal(signal.SIGTERM)
    assert [monitor.process.wait(10) for monitor in both] == [0, 0]

    again = start(environment=environment(url))

    assert ("unclean" in again.log(), again.printed()) == (False, "")


def test_of_two_that_connect_at_once_the_first_to_ask_is_alone(url):
    both = [DatabaseConnection(parse_url(url)) for _ in range(2)]
    for connection in both:
        connection.run(lambda _: None)

    assert [connection.is_alone() for connection in both] == [True, False]
    for connection in both:
        connection.close()


def test_a_process_whose_connection_was_lost_is_not_taken_for_ended(start, postgresql):
    url = postgresql.new_database("monitor_lost")
    notify = {"MONITOR_NOTIFY": "json://127.0.0.1:9"}  # its lease is renewed on the connection that writes
    first = start(environment=environment(url, **notify))
    first.post(incident("i1"))
    postgresql.disconnect("monitor_lost")
    time.sleep(6)  # the lease is renewed every 4 s

    second = start(environment=environment(url))

    assert ("unclean" in second.log(), second.printed()) == (False, "")


def strace(fault):
    """Run the monitor under strace and make a system call of its writing thread fail."""
    assert shutil.which("strace"), "this test needs strace: apt-get install strace"
    call = fault.split(":")[0]
    return ["strace", "-D", "-f", "-qq", "-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={fault}"]


def test_a_full_disk_is_answered_503_and_mended_without_a_restart(start, sqlite_url):
    full = strace("pwrite64:error=ENOSPC:when=60..66")
    monitor = start(environment=environment(sqlite_url), preamble=PROBE_OFTEN, command_before=full)

    answers = []
    for number in range(200):
        answers.append(monitor.post(incident(f"i{number}")))
        if answers[-1].status_code != 200:
            break
    assert answers[-1].status_code == 503
    assert answers[-1].headers["Retry-After"] == "5"
    assert "full" in answers[-1].json()["error"]
    assert monitor.get("/ready").status_code == 503
    assert monitor.get("/health").json()["problems"]["history"]

    until(lambda: monitor.post(incident("later")).status_code == 200, 30)
    assert {found["id"] for found in monitor.incidents("?limit=500")} >= {f"i{n}" for n in range(len(answers) - 1)}
    assert monitor.log().count("senders are told to send again") == monitor.log().count("recovered")


def test_a_locked_database_is_answered_503_and_mended_without_a_restart(start, sqlite_url, file):
    monitor = start(environment=environment(sqlite_url), preamble=QUICK)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    began = time.monotonic()
    refused = [monitor.post(incident()) for _ in range(3)]
    assert {answer.status_code for answer in refused} == {503}
    assert time.monotonic() - began < 10
    assert monitor.get("/health").json()["problems"] == {"history": "database is locked"}

    other.execute("ROLLBACK")
    until(lambda: healthy(monitor))
    assert monitor.post(incident()).json() == {"status": "accepted"}
    assert monitor.log().count("ERROR") == 1


def test_updates_that_wait_for_their_commit_hold_no_body(start, sqlite_url, file):
    monitor = start(environment=environment(sqlite_url))
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    bodies = [json.dumps(incident(f"i{n}") | {"x": [[]] * 250_000}) for n in range(24)]

    with ThreadPoolExecutor(24) as senders:
        answers = [senders.submit(monitor.post, body) for body in bodies]
        time.sleep(4)
        other.execute("ROLLBACK")

    assert [answer.result().status_code for answer in answers] == [200] * 24
    assert most_memory(monitor) < 256 * MEBIBYTE


def test_health_is_quick_while_a_commit_waits(start, sqlite_url, file):
    monitor = start(environment=environment(sqlite_url))
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    posted = threading.Thread(target=monitor.post, args=[incident()])
    posted.start()
    time.sleep(0.2)

    began = time.monotonic()
    assert monitor.get("/health").status_code == 200

    assert time.monotonic() - began < 0.5
    other.execute("ROLLBACK")
    posted.join()
    assert monitor.printed(1).count("Product:") == 1


def test_a_read_only_file_is_degraded_and_not_the_end(start, sqlite_url, file):
    start(environment=environment(sqlite_url)).stop()

    monitor = start(environment=environment(f"sqlite:///file:{file}?mode=ro&uri=true"))

    assert monitor.post(incident()).status_code == 503
    assert "readonly" in monitor.get("/health").json()["problems"]["history"]
    assert monitor.get("/incidents").json()["incidents"] == []


def test_a_postgresql_that_turns_read_only_is_degraded_and_mended_without_a_restart(start, postgresql):
    url = postgresql.new_database("monitor_read_only")
    monitor = start(environment=environment(url), preamble=PROBE_OFTEN)
    monitor.post(incident("before"))
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.execute("ALTER DATABASE monitor_read_only SET default_transaction_read_only = on")
        postgresql.disconnect("monitor_read_only")
        statuses = [monitor.post(incident("meanwhile")).status_code for _ in range(3)]
        until(lambda: "read-only" in monitor.get("/health").json()["problems"].get("history", ""))
        ready = monitor.get("/ready").status_code
        connection.execute("ALTER DATABASE monitor_read_only SET default_transaction_read_only = off")
        postgresql.disconnect("monitor_read_only")

    until(lambda: monitor.post(incident("meanwhile")).status_code == 200, 10)
    assert (statuses, ready) == ([503] * 3, 503)
    assert "refuses an update" not in monitor.log()


def test_a_stop_after_the_database_is_gone_is_clean(start, sqlite_url, file):
    monitor = start(environment=environment(sqlite_url))
    monitor.post(incident())
    shutil.rmtree(file.parent)

    assert (monitor.stop(), "Traceback" in monitor.log()) == (0, False)


def test_what_sqlite_writes_is_the_owners_alone(start, sqlite_url, file):
    old_mask = os.umask(0)
    try:
        monitor = start(environment=environment(sqlite_url, MONITOR_NOTIFY="json://127.0.0.1:9"))
    finally:
        os.umask(old_mask)
    monitor.post(incident())

    until(lambda: len(list(file.parent.iterdir())) > 3)
    assert {oct(path.stat().st_mode & 0o777) for path in file.parent.iterdir()} == {"0o600"}


@pytest.mark.parametrize("replaced", [False, True], ids=["deleted", "replaced"])
def test_nothing_is_accepted_into_a_file_that_nobody_can_open(start, sqlite_url, file, tmp_path, replaced):
    monitor = start(environment=environment(sqlite_url), preamble=PROBE_OFTEN)
    monitor.post(incident("before"))
    for path in file.parent.iterdir():
        path.unlink()
    if replaced:
        other = start(environment=environment(f"sqlite:///{tmp_path}/other.db"))
        other.post(incident("other"))
        other.stop()
        shutil.move(tmp_path / "other.db", file)

    answers = {f"i{number}": monitor.post(incident(f"i{number}")).status_code for number in range(20)}
    until(lambda: monitor.post(incident("later")).status_code == 200)
    monitor.stop()

    assert set(answers.values()) <= {200, 503}
    accepted = {number for number, status in answers.items() if status == 200} | {"later"}
    kept = {found["id"] for found in start(environment=environment(sqlite_url)).incidents()}
    assert kept >= accepted | ({"other"} if replaced else set())


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_postgresql_that_does_not_hold_utf_8_is_refused_at_the_start(postgresql, encoding):
    name = f"monitor_{encoding.lower()}"
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")

    refused = run(MONITOR_DATABASE_URL=postgresql.url.replace("/postgres", f"/{name}"))

    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert f"encoding is {encoding} and must be UTF8" in refused.stderr


def test_the_folder_of_postgresqls_socket_serves_as_its_host(start, postgresql):
    url = postgresql.new_database("monitor_socket")
    parts = urlsplit(url)
    url = f"postgresql://{parts.username}@/monitor_socket?host={postgresql.data}&port={parts.port}"
    without_user = f"postgresql:///monitor_socket?host={postgresql.data}&port={parts.port}&user={parts.username}"

    assert start(environment=environment(url)).post(incident()).json() == {"status": "accepted"}
    assert start(environment=environment(without_user)).post(incident()).json() == {"status": "duplicate"}


def test_an_unreachable_database_at_the_start_is_a_fault_and_not_the_end(start, postgresql):
    url = postgresql.new_database("monitor_late")
    postgresql.stop()
    try:
        monitor = start(environment=environment(url))
        assert monitor.post(incident()).status_code == 503
        assert monitor.get("/health").status_code == 200
        assert monitor.get("/ready").status_code == 503
        assert monitor.get("/incidents").status_code == 503
    finally:
        postgresql.start()

    until(lambda: monitor.get("/ready").status_code == 200)
    assert monitor.post(incident()).json() == {"status": "accepted"}
    assert "s3cret" not in monitor.log()


UNFORESEEN = """
from monitor.history.sql import write as statements
record = statements.record
def fail(connection, number, given):
    outcomes = record(connection, number, given)
    if any(update.id == "bad" for update, _ in given):
        raise RuntimeError("nobody \\x1b[2J foresaw this")
    return outcomes
statements.record = fail
"""


def test_a_fault_that_nobody_foresaw_refuses_what_met_it_and_not_what_comes_later(start, url):
    monitor = start(environment=environment(url), preamble=UNFORESEEN)

    for _ in range(2):
        assert monitor.post(incident("bad")).status_code == 503
        until(lambda: monitor.post(incident("good")).status_code == 200)

    assert [found["id"] for found in monitor.incidents()] == ["good"]
    assert monitor.printed(1).count("Product:") == 1
    assert "RuntimeError: nobody" in monitor.log()
    assert "Traceback" not in monitor.log()
    assert "\x1b" not in monitor.log()


def test_an_update_that_the_database_refuses_fails_alone(start, url):
    monitor = start(environment=environment(url), preamble=UNFORESEEN)
    ids = [f"i{number}" for number in range(60)] + ["bad"] * 3

    with ThreadPoolExecutor(len(ids)) as senders:
        answers = list(senders.map(lambda one: (one, monitor.post(incident(one)).status_code), ids))

    assert [answer for answer in answers if answer[1] != (503 if answer[0] == "bad" else 200)] == []
    assert monitor.get("/health").json()["problems"] == {}
    assert monitor.printed(60).count("Product:") == 60


COMMITTED_IN_VAIN = """
import os
from sqlalchemy import RootTransaction
from sqlalchemy.exc import OperationalError
commit, write = RootTransaction.commit, __import__("monitor.history.sql.write").history.sql.write
record = write.record
def note(connection, *rest):
    outcomes = record(connection, *rest)
    connection.info["recorded"] = True
    return outcomes
def fail(self):
    recorded = self.connection.info.pop("recorded", False)
    commit(self)
    if recorded and os.path.exists("FLAG"):
        raise OperationalError("COMMIT", None, Exception("the connection was lost"))
write.record, RootTransaction.commit = note, fail
"""


def test_after_a_commit_of_unknown_outcome_each_update_is_told_once(start, url, tmp_path):
    flag = tmp_path / "flag"
    monitor = start(environment=environment(url), preamble=COMMITTED_IN_VAIN.replace("FLAG", str(flag)))
    monitor.post(incident("before"))
    flag.touch()

    assert [monitor.post(incident(f"i{number}")).status_code for number in range(2)] == [503, 503]
    flag.unlink()
    until(lambda: healthy(monitor))

    assert [monitor.post(incident(f"i{number}")).json()["status"] for number in range(2)].count("duplicate") > 0
    assert monitor.printed(3).count("Product:") == 3


def test_a_filter_that_no_store_takes_finds_nothing(start, url):
    monitor = start(environment=environment(url))
    monitor.post(incident("i\x00"))

    for name in ("id", "page", "component"):
        answer = monitor.get("/incidents", params={name: "a\x00"})
        assert (answer.status_code, answer.json()["incidents"]) == (200, [])
    assert len(monitor.get("/incidents", params={"id": "i\x00"}).json()["incidents"]) == 1  # as it was stored


def test_a_connection_dropped_mid_way_loses_and_doubles_nothing(start, postgresql):
    url = postgresql.new_database("monitor_dropped")
    monitor = start(environment=environment(url))
    stop = threading.Event()

    def cut():
        while not stop.wait(0.3):
            postgresql.disconnect("monitor_dropped")

    def post_until_acknowledged(number):
        until(lambda: monitor.post(incident(f"i{number}")).status_code == 200, 30)

    cutter = threading.Thread(target=cut)
    cutter.start()
    with ThreadPoolExecutor(8) as senders:
        list(senders.map(post_until_acknowledged, range(300)))
    stop.set()
    cutter.join()
    until(lambda: healthy(monitor))

    assert len(monitor.incidents("?limit=500")) == 300
    assert monitor.printed(300).count("Product:") == 300


def test_a_reader_does_not_notice_that_its_connection_was_dropped(start, postgresql):
    monitor = start(environment=environment(postgresql.new_database("monitor_read")))
    monitor.post(incident())
    monitor.incidents()

    postgresql.disconnect("monitor_read")

    assert [found["id"] for found in monitor.incidents()] == ["i1"]


def test_two_servers_on_one_postgresql_print_each_update_once(start, postgresql):
    url = postgresql.new_database("monitor_shared")
    monitors = [start(environment=environment(url)) for _ in range(2)]
    posts = [(monitor, incident(f"i{number}")) for number in range(300) for monitor in monitors]

    with ThreadPoolExecutor(16) as senders:
        answers = [answer.json()["status"] for answer in senders.map(lambda post: post[0].post(post[1]), posts)]

    assert (answers.count("accepted"), answers.count("duplicate")) == (300, 300)
    printed = [monitor.printed().count("Product:") for monitor in monitors]
    assert sum(printed) == 300
    assert all(len(monitor.incidents("?limit=500")) == 300 for monitor in monitors)


def test_two_servers_on_one_postgresql_give_a_page_one_name(start, postgresql):
    url = postgresql.new_database("monitor_named")
    first, second = (start(environment=environment(url)) for _ in range(2))
    second.post(incident(page={"id": "p9", "name": "Another"}))  # the second has read the names
    first.post(incident("i1"), "/webhook/statuspage?page=Ours")
    second.post(incident("i2"))

    assert "Product: Ours - " in second.printed(2)
    assert [found["id"] for found in second.incidents("?page=Ours")] == ["i2", "i1"]


def test_the_options_of_a_postgresql_url_count(start, postgresql):
    url = postgresql.new_database("monitor_options")
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA apart")
    start(environment=environment(f"{url}?options=-csearch_path%3Dapart")).post(incident())

    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM apart.incidents")
        assert cursor.fetchone() == (1,)


def test_two_servers_fold_the_updates_of_one_incident_into_one(start, postgresql):
    url = postgresql.new_database("monitor_folded")
    monitors = [start(environment=environment(url)) for _ in range(2)]
    entries = [{"id": f"u{n}", "body": f"step {n}", "created_at": f"2026-06-01T08:{n:02}:00Z"} for n in range(40)]
    posts = [
        (monitors[n % 2], incident("one", updated_at=f"2026-06-01T08:{n:02}:00Z", incident_updates=[entries[n]]))
        for n in range(40)
    ]

    with ThreadPoolExecutor(8) as senders:
        list(senders.map(lambda post: post[0].post(post[1]), posts))

    (found,) = monitors[0].incidents()
    assert [entry["body"] for entry in found["incident_updates"]] == [f"step {n}" for n in reversed(range(40))]
    assert found["updated_at"] == "2026-06-01T08:39:00.000Z"


def test_gunicorn_with_two_workers_prints_each_update_once(postgresql, tmp_path):
    url = postgresql.new_database("monitor_gunicorn")
    socket = tmp_path / "socket"
    command = [sys.executable, "-m", "gunicorn", "-k", "gevent", "-w", "2", "--bind", f"unix:{socket}"]
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(
            [*command, "event_monitor:app"], cwd=ROOT, env=os.environ | environment(url), stdout=out, stderr=err
        )
    try:
        until(lambda: "Booting worker" in (tmp_path / "err").read_text() and socket.exists(), 15)
        curl = ["curl", "-s", "--unix-socket", socket, "http://monitor/webhook/statuspage", "-d"]
        body = (ROOT / "tests" / "payloads" / "minimal.json").read_text()
        for _ in range(12):
            subprocess.run([*curl, body, "-H", "Content-Type: application/json"], check=True, capture_output=True)
        assert until((tmp_path / "out").read_text).count("Product:") == 1
    finally:
        process.terminate()
        process.wait(10)


def test_workers_that_gunicorn_forks_from_one_app_share_no_connection(postgresql, tmp_path):
    settings = environment(postgresql.new_database("monitor_preloaded"))
    command = [sys.executable, "-m", "gunicorn", "-k", "gevent", "-w", "2", "--preload", "--bind", "127.0.0.1:0"]
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(
            [*command, "event_monitor:app"], cwd=ROOT, env=os.environ | settings, stdout=out, stderr=err
        )
    try:
        log = (tmp_path / "err").read_text
        address = until(lambda: log().count("Booting worker") == 2 and re.search(r"http://127\S+:\d+", log()), 20)[0]

        def post_and_read(number):
            posted = requests.post(f"{address}/webhook/statuspage", json=incident(f"i{number}"), timeout=20)
            return posted.json(), requests.get(f"{address}/incidents", timeout=20).status_code

        with ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(post_and_read, range(200)))

        assert answers == [({"status": "accepted"}, 200)] * 200
        assert (tmp_path / "out").read_text().count("Product:") == 200
    finally:
        process.terminate()
        process.wait(10)


def test_a_database_of_a_newer_version_is_refused_in_one_line(start, sqlite_url, file):
    start(environment=environment(sqlite_url)).stop()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE event_monitor_schema SET version = 99")

    refused = run(MONITOR_DATABASE_URL=sqlite_url)

    assert refused.returncode == 2
    assert re.fullmatch("event_monitor: MONITOR_DATABASE_URL: .*version 99.*\n", refused.stderr)


def query(file, sql):
    with sqlite3.connect(file) as connection:
        return connection.execute(sql).fetchall()


def deploy_commands(heading):
    """Return the shell commands under a heading of DEPLOY.md."""
    section = (ROOT / "DEPLOY.md").read_text().split(f"\n### {heading}\n")[1].split("\n## ")[0].split("\n### ")[0]
    return "".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))


def test_the_documented_backup_of_sqlite_restores(start, sqlite_url, file):
    monitor = start(environment=environment(sqlite_url))
    monitor.post(payload("incident-created"))
    before = monitor.incidents()
    mask, backup, restore = deploy_commands("Back up and restore SQLite").strip().splitlines()

    for _ in range(2):  # the second time over the first
        subprocess.run(f"{mask}\n{backup}", shell=True, cwd=file.parent, check=True)
    assert file.with_name("backup.db").stat().st_mode & 0o777 == 0o600
    monitor.stop(signal.SIGKILL)
    file.write_bytes(b"a broken disk")
    subprocess.run(restore, shell=True, cwd=file.parent, check=True)

    assert start(environment=environment(sqlite_url)).incidents() == before


def test_the_documented_backup_of_sqlite_fails_in_a_wrong_folder_and_leaves_nothing_there(tmp_path):
    _, backup, _ = deploy_commands("Back up and restore SQLite").strip().splitlines()

    ended = subprocess.run(backup, shell=True, cwd=tmp_path, capture_output=True, check=False)

    assert ended.returncode != 0
    assert list(tmp_path.iterdir()) == []


def test_the_documented_backup_of_postgresql_restores(start, postgresql, tmp_path):
    url = postgresql.new_database("monitor_backup")
    monitor = start(environment=environment(url))
    monitor.post(payload("incident-created"))
    before = monitor.incidents()
    backup, restore = deploy_commands("Back up and restore PostgreSQL").strip().splitlines()
    settings = os.environ | environment(url) | {"PATH": f"{postgresql.programs}:{os.environ['PATH']}"}

    subprocess.run(backup, shell=True, cwd=tmp_path, env=settings, check=True)
    monitor.post(payload("component-update"))
    monitor.stop()
    subprocess.run(restore, shell=True, cwd=tmp_path, env=settings, check=True)

    assert start(environment=environment(url)).incidents() == before


def run(**settings):
    command = [sys.executable, "event_monitor.py", "--port", "0"]
    settings = os.environ | settings
    return subprocess.run(command, check=False, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=15)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"MONITOR_DATABASE_URL": "mysql://u:s3cret@h/d"}, "names neither a SQLite file"),
        ({"MONITOR_DATABASE_URL": "s3cret"}, "is not a database URL"),
        ({"MONITOR_DATABASE_URL": "sqlite://"}, "names neither a SQLite file"),
        ({"DATABASE_URL": "mysql://u:s3cret@h/d"}, "names neither a SQLite file"),
        ({"MONITOR_DATABASE_URL": "sqlite:////no/such/folder/m.db"}, "folder"),
        ({"MONITOR_DATABASE_URL": "sqlite:////tmp"}, "such as sqlite:////tmp/monitor.db"),
        ({"MONITOR_DATABASE_URL": "sqlite:////"}, "such as sqlite:////monitor.db"),
        ({"MONITOR_DATABASE_URL": "sqlite:///file:m?mode=memory&cache=shared&uri=true"}, "keeps nothing in a file"),
        ({"MONITOR_DATABASE_URL": "sqlite:///file:/m?vfs=memdb&uri=true"}, "keeps nothing in a file"),
        ({"MONITOR_KEEP_DAYS": "30"}, "needs MONITOR_DATABASE_URL"),
        ({"MONITOR_DATABASE_URL": "sqlite:///m.db", "MONITOR_KEEP_DAYS": "soon"}, "whole number of days"),
    ],
)
def test_a_wrong_database_setting_stops_the_start_with_one_line(settings, reason):
    refused = run(**settings)

    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert reason in refused.stderr
    assert "s3cret" not in refused.stderr


def test_database_url_as_hosts_set_it_serves_too(start, sqlite_url, file):
    start(environment={"DATABASE_URL": sqlite_url})

    assert file.exists()


def test_postgres_as_hosts_spell_it_serves_too(start, postgresql):
    url = postgresql.new_database("monitor_spelled").replace("postgresql://", "postgres://")

    assert start(environment=environment(url)).post(incident()).json() == {"status": "accepted"}


def test_old_incidents_and_their_keys_are_forgotten_after_the_days_to_keep(start, url):
    monitor = start(environment=environment(url))
    for day in range(1, 10):
        monitor.post(incident(f"i{day}", updated_at=f"2026-06-0{day}T08:00:00Z", status="resolved"))
    monitor.stop()

    pruned = start(environment=environment(url, MONITOR_KEEP_DAYS="4"))

    until(lambda: len(pruned.incidents()) == 5)
    assert [found["id"] for found in pruned.incidents()] == ["i9", "i8", "i7", "i6", "i5"]
    assert pruned.get("/feed.atom").text.count("<entry>") == 5
    assert pruned.post(incident("i1", updated_at="2026-06-01T08:00:00Z")).json() == {"status": "accepted"}
    assert pruned.post(incident("i9", updated_at="2026-06-09T08:00:00Z")).json() == {"status": "duplicate"}


def test_what_is_open_is_not_forgotten_however_old_and_is_told_once(start, url):
    settings = environment(url, MONITOR_KEEP_DAYS="30")
    days_ago = {days: (datetime.now(UTC) - timedelta(days=days)).isoformat() for days in (90, 60, 1)}
    monitor = start(environment=environment(url))
    monitor.post(incident("open", updated_at=days_ago[90]))
    monitor.post(incident("over", updated_at=days_ago[60], status="resolved"))
    monitor.post(incident("new", updated_at=days_ago[1]))
    monitor.stop()

    for _ in range(2):  # each start makes a first pass
        pruned = start(environment=settings)
        until(lambda pruned=pruned: {found["id"] for found in pruned.incidents()} == {"open", "new"})
        assert pruned.post(incident("open", updated_at=days_ago[90])).json() == {"status": "duplicate"}
        assert pruned.post(incident("over", updated_at=days_ago[60], status="resolved")).json()["status"] == "accepted"
        pruned.stop()


def test_a_page_of_which_nothing_came_in_the_days_to_keep_is_forgotten(start, sqlite_url):
    now = datetime.now(UTC)
    monitor = start(environment=environment(sqlite_url), command_before=with_clock(FAKETIME="-30d"))
    monitor.post(incident(updated_at=(now - timedelta(days=30)).isoformat(), status="resolved"))
    monitor.post(incident(page={"id": "p2", "name": "Adatum"}, updated_at=now.isoformat()))
    monitor.stop()

    pruned = start(environment=environment(sqlite_url, MONITOR_KEEP_DAYS="4"))

    until(lambda: [page["name"] for page in pruned.get("/pages").json()["pages"]] == ["Adatum"])


def test_a_clock_that_jumps_200_years_ahead_forgets_nothing(start, sqlite_url):
    monitor = start(environment=environment(sqlite_url))
    monitor.post(incident())
    monitor.stop()

    later = start(
        environment=environment(sqlite_url, MONITOR_KEEP_DAYS="30"), command_before=with_clock(FAKETIME="+200y")
    )
    time.sleep(0.3)

    assert [found["id"] for found in later.incidents()] == ["i1"]
