"""Pages of MONITOR_PAGES are polled, so that what no push brought is told all the same, and nothing twice."""

import copy
import json
import re
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import gevent
import pytest

from monitor.history.memory import MemoryHistory
from monitor.pipeline import pipeline_of
from monitor.senders.polling import client, polled_page, poller
from monitor.updates.errors import Unavailable
from tests.conftest import InProcess, environment, incident, payload, until
from tests.senders.polling.played import INCIDENTIO, STATUSPAGE, Polling, ago, component, entry, pushed, summary, told
from tests.status_page import StatusPage, trickle


class FailingHistory(MemoryHistory):
    """A history that takes so many more updates until its database fails."""

    adds = 100

    def add(self, update, queues=()):
        if self.adds == 0:
            raise Unavailable("the disk is full")
        self.adds -= 1
        return super().add(update, queues)


class Lease:
    """A lease of which a test says whether it is held."""

    held, asked = False, 0

    def is_held(self):
        self.asked += 1
        return self.held

    def release(self):
        self.held = False


def test_at_the_first_sight_of_a_page_what_is_open_is_told_and_its_past_recorded(status_page):
    status_page.incidents = STATUSPAGE["incidents"]
    app = Polling(status_page.url)

    app.poll()

    assert app.printed == [
        "[2026-06-01 09:12:31] Product: Fabrikam - API\nStatus: A fix is in place; we watch the results.\n"
    ]
    assert [found["id"] for found in app.incidents()] == ["k5d8", "j2f7"]
    assert len(app.incidents("?id=k5d8")[0]["incident_updates"]) == 2


def test_how_long_an_update_took_is_not_said_of_what_was_open_before_its_page_was_polled(status_page):
    an_hour_ago, now = ((datetime.now(UTC) - timedelta(hours=hours)).isoformat() for hours in (1, 0))
    status_page.incidents = [incident(created_at=an_hour_ago, updated_at=an_hour_ago)["incident"]]
    app = Polling(status_page.url)
    app.poll()
    at_first = app.page("Fabrikam")["lag_seconds"]
    status_page.incidents = [incident(created_at=an_hour_ago, updated_at=now, status="identified")["incident"]]

    app.poll()

    assert (len(app.printed), at_first) == (2, None)
    assert 0 <= app.page("Fabrikam")["lag_seconds"] < 60


def test_polling_is_a_problem_once_no_page_answers_and_not_for_one_of_several(status_page):
    none, several = (Polling(status_page.url, "http://127.0.0.1:9") for _ in range(2))
    several.poll(0)
    several.poll(1)
    status_page.stop()
    none.poll(0)
    none.poll(1)

    assert several.get("/health").json["problems"] == {}
    assert "no page of MONITOR_PAGES answers" in none.get("/health").json["problems"]["polling"]


def test_the_api_of_incident_io_is_read_too(status_page):
    status_page.page, status_page.incidents = INCIDENTIO["page"], INCIDENTIO["incidents"]
    app = Polling(status_page.url)

    app.poll()

    assert app.printed == [
        "[2026-06-01 08:58:11] Product: Adatum - Embeddings\nStatus: The cause is known, and a fix is on its way.\n"
    ]
    assert app.page("Adatum") | {"received_at": None, "polled_at": None, "lag_seconds": None} == {
        "id": "01JMDK9XYR2T5W8Z3A6B7C9D0E",
        "name": "Adatum",
        "state": "minor",
        "lag_seconds": None,
        "updates": 1,
        "updated_at": "2026-06-01T08:58:11.502Z",
        "received_at": None,
        "pushed_at": None,
        "missed": 1,
        "looks_dead": False,
        "unsubscribe": None,
        "url": status_page.url,
        "polled_at": None,
        "read_by": "incident.io's API",
        "problem": None,
        "doorbell": "/doorbell/127.0.0.1",
        "last_ring": None,
    }


def test_what_a_push_brought_first_is_not_told_again(status_page):
    found = told("i1", entry(1), entry(2, "identified"))
    status_page.incidents = [found]
    app = Polling(status_page.url)
    app.post(pushed(found))

    app.poll()

    assert app.messages() == ["step 2"]
    assert app.page()["looks_dead"] is False


def test_a_push_of_what_polling_found_is_a_duplicate(status_page):
    found = told("i1", entry(1))
    status_page.incidents = [found]
    app = Polling(status_page.url)
    app.poll()

    answer = app.post(pushed(found))

    assert (answer.json, app.messages()) == ({"status": "duplicate"}, ["step 1"])


def test_each_update_that_was_missed_is_told_once_in_its_order_at_its_time(status_page):
    first = told("i1", entry(1))
    status_page.incidents = [first]
    app = Polling(status_page.url)
    app.post(pushed(first))
    app.poll()
    steps = entry(1), entry(2, "identified"), entry(3, "monitoring"), entry(4, "resolved")
    status_page.incidents = [told("i2", entry(5)), told("i1", *steps, resolved_at="2026-06-01T08:04:00.000Z")]

    app.poll()
    app.poll()

    assert app.messages() == ["step 1", "step 2", "step 3", "step 4", "step 5"]
    assert [printed[:21] for printed in app.printed[1:3]] == ["[2026-06-01 08:02:00]", "[2026-06-01 08:03:00]"]
    assert app.incidents("?id=i1")[0]["status"] == "resolved"
    assert (app.page()["missed"], app.page()["looks_dead"]) == (4, True)


def test_a_new_push_shows_that_the_subscription_lives(status_page):
    app = Polling(status_page.url)
    app.post(pushed(told("i1", entry(1))))
    app.poll()
    status_page.incidents = [told("i2", entry(2))]
    app.poll()
    assert app.page()["looks_dead"] is True

    app.post(pushed(told("i3", entry(3))))

    assert (app.page()["missed"], app.page()["looks_dead"]) == (0, False)


def test_what_was_missed_is_counted_and_logged_in_one_line(status_page, caplog):
    app = Polling(status_page.url)
    app.post(pushed(told("i1", entry(1))))
    app.poll()
    status_page.incidents = [told("i2", entry(2), entry(3))]

    app.poll()

    assert pipeline_of(app.application).received["Fabrikam", "accepted", "poll"] == 2
    assert app.page()["missed"] == 2
    assert [f"polling: {status_page.url} had 2 updates that were not pushed"] == [
        record.getMessage() for record in caplog.records
    ]


def test_what_was_only_edited_is_recorded_and_not_told(status_page):
    status_page.incidents = [told("i1", entry(1))]
    app = Polling(status_page.url)
    app.poll()
    status_page.incidents = [told("i1", entry(1), name="Errors of sign-in", updated_at="2026-06-01T09:00:00.000Z")]

    app.poll()

    assert app.messages() == ["step 1"]
    assert app.incidents()[0]["name"] == "Errors of sign-in"


def test_what_polling_found_just_before_its_push_is_told_once_and_the_page_is_no_dead_one(status_page):
    app = Polling(status_page.url)
    app.post(pushed(told("i1", ago(60))))
    new = told("i2", ago(0))
    status_page.incidents = [new]

    app.poll()
    app.post(pushed(new))

    assert app.messages() == ["60 minutes ago", "0 minutes ago"]
    assert (app.page()["missed"], app.page()["looks_dead"]) == (0, False)


def test_a_page_that_says_nothing_new_sends_nothing(status_page):
    status_page.incidents = STATUSPAGE["incidents"]
    app = Polling(status_page.url)
    app.poll()
    sent = status_page.sent

    app.poll()
    app.poll()

    assert (status_page.sent, len(status_page.polls)) == (sent, 3)
    assert len(status_page.asked) == 3 + 2  # what is not there is not asked for again
    assert len({address for _, _, address in status_page.polls[1:]}) == 1  # one connection
    assert status_page.asked[0][1]["User-Agent"].startswith("event_monitor/")


def test_a_poll_without_news_does_not_read_every_page_of_the_history(status_page, monkeypatch):
    history = MemoryHistory()
    app = Polling(status_page.url, history=history)
    app.poll()

    with monkeypatch.context() as patched:
        patched.setattr(history, "pages", None)
        app.poll()

    assert app.page()["problem"] is None


def test_a_page_is_named_by_itself_once_it_was_polled_unless_it_has_a_name(status_page):
    status_page.incidents = [told("i1", entry(1))]
    named, unnamed = Polling({"url": status_page.url, "name": "Ours"}), Polling(status_page.url)
    pushed_first = Polling(status_page.url)
    pushed_first.post(pushed(told("i0", entry(0))), "/webhook/statuspage?page=Theirs")

    for app in (named, unnamed, pushed_first):
        app.poll()
        app.post(pushed(told("i2", entry(2))))

    pages = [{printed.split("Product: ")[1].split(" - ")[0] for printed in app.printed} for app in (named, unnamed)]
    assert pages == [{"Ours"}, {"Fabrikam"}]
    assert "Product: Theirs - Sign-in errors" in pushed_first.printed[-1]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((500, {}, b"oops"), "answers 500"),
        ((304, {}, b""), "answers 304"),
        ((200, {}, b"<html>moved</html>"), "the body is not JSON"),
        ((200, {}, b'{"incidents": {}}'), "answers no list of incidents"),
        ((200, {}, b"[" * 200_000), "nested more than 100 levels"),
        ((302, {"Location": "https://elsewhere.example/api/v2/incidents.json"}, b""), "moved to 'https://elsewhere"),
        ((302, {"Location": "/elsewhere"}, b""), "moved to '/elsewhere'"),
        ((302, {"Location": "http://127.0.0.1:1/api/v2/incidents.json"}, b""), "moved to 'http://127.0.0.1:1/"),
        ((200, {}, b'{"incidents": ["' + b"x" * client.LARGEST_ANSWER + b'"]}'), "answers more than"),
        ((200, {"gzip": True, "Content-Encoding": "gzip"}, b"0" * 100_000_000), "answers more than"),
        ((200, {"Content-Encoding": "gzip"}, b"not gzip"), "cannot be polled"),
    ],
    ids=[
        "500",
        "304",
        "HTML",
        "no list",
        "deep",
        "another host",
        "another path",
        "another port",
        "large",
        "a bomb",
        "not gzip",
    ],
)
def test_a_page_that_gives_no_answer_is_unknown_and_polled_less_often(status_page, answer, reason, caplog):
    status_page.answers = [copy.deepcopy(answer) for _ in range(3)]
    app = Polling(status_page.url)

    pauses = [app.poll() for _ in range(3)]

    assert pauses == [300, 600, 1200]
    (page,) = app.get("/pages").json["pages"]
    assert (page["state"], page["polled_at"]) == ("unknown", None)
    assert reason in page["problem"]
    assert len(caplog.records) == 1
    assert app.poll() == 300
    assert app.get("/pages").json["pages"][0]["state"] == "operational"
    assert caplog.records[-1].getMessage() == f"polling: {status_page.url} answers again"


def test_an_address_where_nobody_listens_is_said_in_the_system_s_own_words():
    app = Polling("http://127.0.0.1:1")

    app.poll()

    assert app.get("/pages").json["pages"][0]["problem"] == "cannot be polled: Connection refused"


def test_a_page_that_no_longer_answers_is_unknown_and_not_operational(status_page):
    status_page.incidents = [told("i1", entry(1, "resolved"))]
    app = Polling(status_page.url)
    app.poll()
    assert app.page()["state"] == "operational"
    status_page.answers = [(503, {}, b"")]

    app.poll()

    assert (app.page()["state"], app.page()["problem"]) == ("unknown", "answers 503")


def test_no_pause_is_longer_than_an_hour(status_page):
    status_page.answers = [(500, {}, b"")] * 12
    app = Polling(status_page.url)

    assert max(app.poll() for _ in range(12)) == poller.LONGEST_PAUSE


@pytest.mark.parametrize("form", ["seconds", "a date"])
def test_retry_after_is_waited_for(status_page, form):
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=1800), usegmt=True)
    status_page.answers = [(429, {"Retry-After": "1800" if form == "seconds" else at}, b"")]

    assert 1790 <= Polling(status_page.url).poll() * 0.9 <= 1801


def test_a_retry_after_in_a_year_that_no_clock_has_is_a_date_that_cannot_be_read(status_page):
    status_page.answers = [(503, {"Retry-After": "Mon, 01 Jan 99999999999 00:00:00 GMT"}, b"")]

    assert Polling(status_page.url).poll() * 0.9 == pytest.approx(client.UNREADABLE_RETRY_AFTER)


def test_an_answer_that_is_no_http_cannot_drive_a_terminal():
    def answer(listening):
        connection, _ = listening.accept()
        connection.sendall(b"HTTX \x1b[2J \x1b]0;owned\x07\r\n\r\n")
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=answer, args=[listening], daemon=True).start()
        app = Polling(f"http://127.0.0.1:{listening.getsockname()[1]}")
        app.poll()

    problem = app.get("/pages").json["pages"][0]["problem"]
    assert "BadStatusLine" in problem
    assert problem.isprintable()


def test_what_cannot_be_read_of_a_page_hinders_nothing_else(status_page, caplog):
    without_a_time = {name: value for name, value in told("i1", entry(1)).items() if "at" not in name}
    without_a_time["incident_updates"] = []
    status_page.incidents = [told("i2", entry(2)), None, "x", {}, without_a_time, {"id": {"a": 1}}]
    app = Polling(status_page.url)

    app.poll()

    assert app.messages() == ["step 2"]
    assert "incident.id is missing" in caplog.text


def test_a_page_that_meets_a_fault_of_ours_is_polled_again(status_page, monkeypatch, caplog):
    status_page.incidents = [told("i1", entry(1))]
    app = Polling(status_page.url)

    with monkeypatch.context() as patched:
        patched.setattr("monitor.senders.polling.poller.news", lambda *_: 1 / 0)
        pauses = [app.poll(), app.poll()]

    assert (pauses, app.messages(), len(caplog.records)) == ([300, 600], [], 1)
    assert "ZeroDivisionError" in app.get("/pages").json["pages"][0]["problem"]
    app.poll()
    assert app.messages() == ["step 1"]


def test_an_old_incident_that_takes_the_place_of_a_deleted_one_is_past(status_page):
    story = [told(f"i{number}", entry(number, "resolved")) for number in (9, 8, 7, 6)]
    status_page.incidents = story[:3]
    app = Polling(status_page.url)
    app.poll()
    ended_since = told("i10", entry(10, "resolved"))
    status_page.incidents = [ended_since, story[0], story[2], story[3]]

    app.poll()

    assert app.messages() == ["step 10"]
    assert len(app.incidents()) == 5


def test_what_is_dated_in_the_future_is_told_at_once(status_page):
    app = Polling(status_page.url)
    app.post(pushed(told("i1", entry(1))))
    status_page.incidents = [told("i2", entry(2), updated_at=(datetime.now(UTC) + timedelta(hours=3)).isoformat())]

    assert app.poll() == 60
    assert app.messages() == ["step 1", "step 2"]


def test_a_thousand_incidents_are_recorded(status_page):
    status_page.incidents = [told(f"i{number}", entry(number % 60, "resolved")) for number in range(1000)]
    app = Polling(status_page.url)

    app.poll()

    assert app.printed == []
    assert len(app.incidents("?limit=500")) == 500
    assert app.page()["updates"] == 1000


def test_a_monitor_polls_at_its_start_and_answers_while_pages_hang(start, status_page):
    hanging, trickling = StatusPage(), StatusPage()
    hanging.answers = [(200, {}, lambda file: time.sleep(30))]
    trickling.answers = [(200, {"Content-Length": "1000000"}, trickle)]
    status_page.incidents = STATUSPAGE["incidents"]
    pages = json.dumps([hanging.url, trickling.url, status_page.url])

    monitor = start(
        environment={"MONITOR_PAGES": pages},
        preamble="from monitor.senders.polling import client; client.SECONDS_IN_ALL = 1",
    )

    try:
        assert "A fix is in place" in monitor.printed(1)
        began = time.monotonic()
        assert monitor.get("/health").status_code == 200
        assert time.monotonic() - began < 0.5
        until(lambda: "not polled yet" not in monitor.get("/pages").text)
        problems = monitor.get("/pages").json()["pages"]
        assert {page["problem"] for page in problems} == {None, "no whole answer within 1 s"}
        assert monitor.stop() == 0
    finally:
        hanging.stop()
        trickling.stop()


def test_what_happened_while_the_monitor_was_away_is_told_once(start, status_page, url):
    settings = environment(url, MONITOR_PAGES=json.dumps([status_page.url]))
    status_page.incidents = [told("i1", entry(1)), told("i0", entry(0, "resolved"))]
    first = start(environment=settings)
    assert first.printed(1).count("step") == 1
    first.stop()
    new = [told("i2", entry(3), entry(5, "resolved")), told("i1", entry(1), entry(2, "identified"))]
    status_page.incidents = [*new, told("i0", entry(0, "resolved"))]

    second = start(environment=settings)
    printed = second.printed(3)
    second.stop()
    third = start(environment=settings)
    until(lambda: third.get("/pages").json()["pages"][0]["polled_at"])

    assert [line.split()[-1] for line in printed.splitlines()[1::2]] == ["2", "3", "5"]
    assert third.printed() == ""


def test_polling_needs_pages_and_whole_minutes(start):
    for settings, said in (
        ({"MONITOR_POLL_MINUTES": "5"}, "MONITOR_POLL_MINUTES needs MONITOR_PAGES"),
        ({"MONITOR_POLL_MINUTES": "0.5"}, "is not a whole number of minutes from 1 to 1440"),
    ):
        with pytest.raises(AssertionError, match=said):
            start(environment=settings)


def test_pages_are_for_who_has_the_token_and_list_those_that_push_too():
    app = InProcess({"READ_TOKEN": "secret"})
    app.post(incident(impact="critical"))
    app.post(incident("i2", page={"id": "p2", "name": "Adatum"}, status="resolved"))

    assert app.get("/pages").status_code == 401
    found = app.get("/pages?token=secret").json["pages"]
    assert [(page["name"], page["state"], page["polled_at"]) for page in found] == [
        ("Adatum", "operational", None),
        ("Fabrikam", "critical", None),
    ]


# What happened while the monitor was away


@pytest.mark.parametrize(("was_polled", "ended"), [(True, 10), (False, 120)], ids=["polled", "only pushed"])
def test_what_began_and_ended_while_we_slept_is_told_though_a_push_wakes_us_before_the_first_poll(
    status_page, was_polled, ended
):
    history = MemoryHistory()
    first = Polling(status_page.url, history=history)
    first.post(pushed(told("i1", ago(300))))
    if was_polled:
        first.poll()
    second = Polling(status_page.url, history=history)
    second.post(pushed(told("i3", ago(1))))
    status_page.incidents = [told("i3", ago(1)), told("i2", ago(200), ago(ended, "resolved")), told("i1", ago(300))]

    second.poll()

    assert second.messages()[0] == "1 minutes ago"
    assert second.messages()[-1] == f"{ended} minutes ago"


def test_what_began_and_ended_while_we_slept_is_told_though_the_database_failed_in_the_first_poll(status_page):
    history = FailingHistory()
    Polling(status_page.url, history=history).post(pushed(told("i0", ago(300))))
    app = Polling(status_page.url, history=history)
    status_page.incidents = [told("i2", ago(20), ago(10, "resolved")), told("i1", ago(60), ago(5, "identified"))]
    history.adds = 2  # and no more

    assert app.poll() == 60
    assert [page["problem"] for page in app.get("/pages").json["pages"] if page["url"]] == ["not polled yet"]
    history.adds = 100
    app.poll()

    assert app.messages() == ["60 minutes ago", "5 minutes ago", "20 minutes ago", "10 minutes ago"]


def test_the_past_of_a_page_stays_the_past_though_the_database_failed_in_the_first_poll(status_page):
    history = FailingHistory()
    status_page.incidents = [told(f"i{number}", ago(number, "resolved")) for number in (100, 200, 300)]
    app = Polling(status_page.url, history=history)
    history.adds = 1
    app.poll()
    history.adds = 100

    for again in (app, Polling(status_page.url, history=history)):
        again.poll()

    assert app.messages() == again.messages() == []
    assert len(again.incidents()) == 3


def test_a_page_that_does_not_answer_after_a_restart_is_unknown_under_its_name(status_page):
    history = MemoryHistory()
    Polling(status_page.url, history=history).poll()
    status_page.answers = [(500, {}, b"")]
    app = Polling(status_page.url, history=history)

    app.poll()

    assert (app.page()["state"], app.page()["problem"]) == ("unknown", "answers 500")


def test_a_page_that_was_not_polled_yet_is_unknown(status_page):
    (page,) = Polling({"url": status_page.url, "name": "Ours"}).get("/pages").json["pages"]

    assert (page["name"], page["url"], page["polled_at"]) == ("Ours", status_page.url, None)
    assert (page["state"], page["problem"]) == ("unknown", "not polled yet")


# Of several processes one polls


def test_a_process_that_does_not_hold_the_lease_polls_nothing_until_it_does(status_page, monkeypatch):
    lease, history = Lease(), MemoryHistory()
    monkeypatch.setattr(history, "lease", lambda _: lease)
    monkeypatch.setattr(poller, "SECONDS_WITHOUT_LEASE", 0.05)
    monkeypatch.setattr(poller, "SECONDS_OF_LEASE", 0.05)
    monkeypatch.setattr(Polling, "stop", lambda _: None)
    app = Polling(status_page.url, history=history)

    gevent.sleep(0.3)
    polls_before = len(status_page.polls)
    lease.held, lease.asked = True, 0
    gevent.sleep(0.3)
    monkeypatch.undo()
    app.stop()

    assert (polls_before, len(status_page.polls)) == (0, 1)
    assert lease.asked > 3  # also while nothing is polled, or it runs out


def test_of_two_processes_on_one_database_one_polls_and_the_other_takes_over(start, status_page, url):
    settings = environment(url, MONITOR_PAGES=json.dumps([status_page.url]))
    preamble = "from monitor.senders.polling import poller; poller.SECONDS_WITHOUT_LEASE = 0.5"
    first = start(environment=settings, preamble=preamble)
    until(lambda: status_page.asked)

    second = start(environment=settings, preamble=preamble)
    time.sleep(2)
    asked_by_one = len(status_page.polls)
    first.stop()
    until(lambda: len(status_page.polls) > asked_by_one, 10)

    assert asked_by_one == 1
    assert second.get("/pages").json()["pages"][0]["problem"] is None


def test_a_process_without_the_lease_says_nothing_of_whether_pages_answer(status_page, monkeypatch):
    lease, history = Lease(), MemoryHistory()
    monkeypatch.setattr(history, "lease", lambda _: lease)
    app = Polling(status_page.url, history=history)
    status_page.answers = [(500, {}, b"")]
    lease.held = True
    app.poll()
    assert "polling" in app.get("/health").json["problems"]
    lease.held = False

    app.poll()

    assert app.get("/health").json["problems"] == {}


# A page speaks for itself only


def test_an_id_that_another_page_goes_by_is_refused_and_logged(status_page, other_page, caplog):
    status_page.incidents = [told("i1", entry(1))]
    other_page.page = STATUSPAGE["page"] | {"name": "Adatum"}
    other_page.incidents = [told("i1", entry(2, "resolved", body="all is well"))]
    app = Polling(status_page.url, other_page.url)

    app.poll(0)
    app.poll(1)

    assert app.messages() == ["step 1"]
    assert {page["name"]: page["problem"] for page in app.get("/pages").json["pages"]} == {
        "Fabrikam": None,
        "127.0.0.1": "goes by the id 'p4g3', as another page does",
    }
    assert "as another page does" in caplog.text


def test_a_page_keeps_its_id_though_another_claims_it_first_after_a_restart(status_page, other_page):
    history = MemoryHistory()
    Polling(status_page.url, history=history).poll()
    other_page.page = STATUSPAGE["page"]
    app = Polling(status_page.url, other_page.url, history=history)

    app.poll(1)
    app.poll(0)

    assert app.page("127.0.0.1")["problem"] == "goes by the id 'p4g3', as another page does"
    assert app.page()["problem"] is None


@pytest.mark.parametrize("how", ["polled", "pushed", "named in MONITOR_PAGES", "bound to a token"])
def test_a_name_that_another_page_goes_by_is_refused_and_logged(status_page, other_page, how, caplog):
    other_page.page, other_page.incidents = {"id": "p5", "name": "FABRIKAM"}, [told("i9", entry(9))]
    first = {"url": status_page.url, "name": "Fabrikam"} if "named" in how else status_page.url
    tokens = {"WEBHOOK_TOKEN": json.dumps({"secret": "Fabrikam"})} if "token" in how else {}
    app = Polling(first, other_page.url, **tokens)
    if how == "polled":
        app.poll(0)
    elif how == "pushed":
        app.post(incident("i1", page={"id": "p4g3", "name": "Fabrikam"}))

    app.poll(1)

    assert app.printed[-1].split("Product: ")[1].startswith("127.0.0.1 - ")
    assert "calls itself 'FABRIKAM', as another page is called" in caplog.text


def test_an_id_that_is_too_long_is_one_page_all_the_same(status_page):
    status_page.page, status_page.incidents = {"id": "x" * 300, "name": "Fabrikam"}, [told("i1", entry(1))]
    app = Polling(status_page.url)

    app.poll()

    assert [page["updates"] for page in app.get("/pages").json["pages"]] == [1]


@pytest.mark.parametrize("bound", ["Fabrikam", "fabrikam"])
@pytest.mark.parametrize("is_pushed_first", [True, False], ids=["pushed first", "polled first"])
def test_a_page_under_its_own_token_keeps_its_identity_when_monitor_pages_names_it(status_page, is_pushed_first, bound):
    history = MemoryHistory()
    settings = {"WEBHOOK_TOKEN": json.dumps({"secret": bound}), "history": history}
    first = Polling({"url": status_page.url, "name": "Fabrikam"}, **settings)
    status_page.incidents = [told("i1", entry(1))]
    if not is_pushed_first:
        first.poll()
    first.post(pushed(told("i1", entry(1))), "/webhook/statuspage?token=secret")
    first.poll()
    status_page.incidents = [told("i1", entry(1), entry(2, "resolved"))]
    second = Polling({"url": status_page.url, "name": "Fabrikam"}, **settings)

    second.poll()
    second.post(pushed(told("i1", entry(1), entry(2, "resolved"))), "/webhook/statuspage?token=secret")

    assert (first.messages(), second.messages()) == (["step 1"], ["step 2"])
    assert second.incidents("?status=open") == []
    assert [page["name"] for page in second.get("/pages").json["pages"]] == ["Fabrikam"]


def test_polling_keeps_no_cookies(status_page):
    body = json.dumps({"incidents": []}).encode()
    status_page.answers = [(200, {"Set-Cookie": "seen=1; Path=/"}, body) for _ in range(2)]
    app = Polling(status_page.url)

    app.poll()
    app.poll()

    assert [headers.get("Cookie") for _, headers, _ in status_page.polls] == [None, None]


# What a page no longer lists


def test_an_incident_that_its_page_deleted_ends(status_page, caplog):
    older, deleted, newer = told("i1", ago(90)), told("i2", ago(60)), told("i3", ago(30))
    status_page.incidents = [newer, deleted, older]
    app = Polling(status_page.url)
    app.poll()
    status_page.incidents = [newer, older]

    app.poll()
    app.poll()

    assert [found["id"] for found in app.incidents("?status=open")] == ["i3", "i1"]
    assert app.messages()[3:] == ["The page no longer lists this incident as open."]
    assert app.incidents("?id=i2")[0]["resolved_at"]
    assert "no longer lists 'i2', which was open" in caplog.text


def test_an_incident_that_a_page_lists_again_is_open_again(status_page):
    deleted, older = told("i2", ago(60)), told("i1", ago(90))
    app = Polling(status_page.url)
    for listed in ([deleted, older], [older], [deleted, older]):
        status_page.incidents = listed
        app.poll()
    app.poll()

    assert [found["id"] for found in app.incidents("?status=open")] == ["i2", "i1"]
    assert app.messages()[2:] == ["The page no longer lists this incident as open.", "60 minutes ago"]


def test_what_is_open_under_an_id_that_a_page_no_longer_has_ends(status_page, monkeypatch, caplog):
    monkeypatch.setattr(polled_page, "SECONDS_TO_SETTLE", 0)
    status_page.incidents = [told("i1", ago(60))]
    status_page.summary = summary(component("major_outage"), incidents=status_page.incidents)
    app = Polling(status_page.url)
    app.poll()
    status_page.page = {"id": "p9", "name": "Fabrikam", "url": "https://status.example.com"}
    status_page.incidents, status_page.summary = [], summary(component("operational"))

    app.poll()

    assert app.incidents("?status=open") == []
    assert app.messages()[2:] == ["The page no longer lists this incident as open.", "Operational (was Major outage)"]
    assert "goes by the id 'p9' and no longer by 'p4g3'" in caplog.text


def test_an_incident_that_a_page_deleted_says_nothing_of_its_pushes(status_page):
    older, deleted = told("i1", ago(90)), told("i2", ago(60))
    status_page.incidents = [older]
    app = Polling(status_page.url)
    for found in (older, deleted):
        app.post(pushed(found))

    app.poll()

    assert app.messages()[2:] == ["The page no longer lists this incident as open."]
    assert (app.page()["missed"], app.page()["looks_dead"]) == (0, False)


@pytest.mark.parametrize("lists_what_is_open", [True, False])
def test_an_open_incident_behind_newer_ones_goes_on_until_the_page_says_otherwise(status_page, lists_what_is_open):
    old, newer = told("i1", ago(90)), told("i2", ago(60))
    status_page.incidents = [old]
    app = Polling(status_page.url)
    app.poll()
    status_page.incidents = [newer]
    if lists_what_is_open:
        status_page.unresolved = [newer, told("i1", ago(90), ago(20, "identified"))]

    app.poll()

    assert [found["id"] for found in app.incidents("?status=open")] == ["i2", "i1"]
    assert ("20 minutes ago" in app.messages()) == lists_what_is_open


def test_an_incident_that_was_resolved_behind_newer_ones_ends_though_the_answer_is_the_same(status_page):
    status_page.incidents = [told("i1", ago(90))]
    app = Polling(status_page.url)
    app.poll()
    status_page.incidents = [told("i2", ago(60))]
    status_page.unresolved = [told("i2", ago(60)), told("i1", ago(90))]
    app.poll()
    status_page.unresolved = [told("i2", ago(60))]

    app.poll()

    assert [found["id"] for found in app.incidents("?status=open")] == ["i2"]


def test_what_the_list_of_incidents_does_not_hold_anyway_goes_on(status_page):
    status_page.incidents, status_page.unresolved = [told("i1", ago(90))], []
    app = Polling(status_page.url)
    app.post(pushed(told("i2", ago(5))))
    app.post(pushed(told("m1", ago(60, "in_progress"), impact="maintenance")))
    app.post(payload("component-update") | {"page": {"id": "p4g3"}})

    app.poll()

    assert len(app.incidents("?status=open")) == 4


# What is news


def test_an_entry_that_a_full_story_left_out_is_not_told_again(status_page):
    entries = [ago(90 - number, body=f"{number} " + "x" * 32_766) for number in range(9)]
    status_page.incidents = [told("i1", *entries)]
    app = Polling(status_page.url)
    app.poll()
    printed = len(app.printed)
    status_page.incidents = [told("i1", *entries[:-1])]
    for number in range(3):
        status_page.incidents.append(told(f"other{number}", ago(5, "resolved")))
        app.poll()

    assert [message[:1] for message in app.messages()[printed:] if not message.startswith("5 minutes")] == []


def test_an_incident_that_was_filled_in_afterwards_is_recorded_and_not_told(status_page):
    app = Polling(status_page.url)
    app.poll()
    past = told("i1", ago(300), ago(5, "resolved"), backfilled=True)
    status_page.incidents = [told("i2", ago(20), backfilled=True), past]

    app.poll()

    assert app.messages() == ["20 minutes ago"]
    assert [found["id"] for found in app.incidents()] == ["i2", "i1"]


def test_an_entry_that_is_backdated_is_told_at_its_time_and_changes_no_state(status_page):
    status_page.incidents = [told("i1", entry(1), entry(5, "resolved"))]
    app = Polling(status_page.url)
    app.post(pushed(told("i1", entry(1))))
    app.poll()
    backdated = entry(6, "identified", display_at="2026-06-01T08:03:00.000Z")
    status_page.incidents = [told("i1", entry(1), backdated, entry(5, "resolved"), updated_at="2026-06-01T08:06:01Z")]

    app.poll()

    assert app.printed[-1] == "[2026-06-01 08:03:00] Product: Fabrikam - Sign-in errors\nStatus: step 6\n"
    assert app.incidents()[0]["status"] == "resolved"


@pytest.mark.parametrize("order", [1, -1], ids=["oldest first", "newest first"])
def test_entries_of_one_time_are_told_newest_last_whatever_the_order_of_the_list(status_page, order):
    status_page.incidents = [told("i1", entry(1))]
    app = Polling(status_page.url)
    app.poll()
    at = dict.fromkeys(("created_at", "updated_at", "display_at"), "2026-06-01T08:05:00.000Z")
    entries = [entry(1), entry(2, **at), entry(3, "identified", **at), entry(4, "monitoring", **at)]
    status_page.incidents = [told("i1", *entries, incident_updates=entries[::order])]

    app.poll()

    assert app.messages() == ["step 1", "step 2", "step 3", "step 4"]
    assert app.incidents()[0]["status"] == "monitoring"


@pytest.mark.parametrize(("status", "times"), [("investigating", 2), ("resolved", 1)], ids=["open", "over"])
def test_another_status_of_a_component_is_told_while_the_incident_is_open(status_page, status, times):
    component = {"id": "c1", "name": "Sign-in", "status": "partial_outage"}
    status_page.incidents = [told("i1", entry(1))]
    app = Polling(status_page.url)
    app.poll()
    status_page.incidents = [told("i1", entry(1), entry(2, status), components=[component])]
    app.poll()
    worse = component | {"status": "major_outage"}
    later = {"components": [worse], "updated_at": "2026-06-01T09:00:00Z"}
    status_page.incidents = [told("i1", entry(1), entry(2, status), **later)]

    app.poll()
    app.poll()

    assert app.messages() == ["step 1"] + ["step 2"] * times


# Pages that mean harm


def test_pages_of_eight_megabytes_of_brackets_hold_nobody_up(start):
    shapes = [b"[]," * 2_700_000, b"[" * 8_000_000, b'{"":[{}]},' * 800_000, b"10," * 2_700_000, b'"ab",' * 1_600_000]
    pages = [StatusPage() for _ in shapes]
    for page, shape in zip(pages, shapes, strict=True):
        page.answers = [(200, {}, b'{"incidents": [' + shape + b"{}]}")]
    monitor = start(environment={"MONITOR_PAGES": json.dumps([page.url for page in pages])})

    slowest = 0.0
    while "not polled yet" in (found := monitor.get("/pages").text):
        began = time.monotonic()
        monitor.post(incident(f"i{began}"))
        slowest = max(slowest, time.monotonic() - began)

    for page in pages:
        page.stop()
    status = Path(f"/proc/{monitor.process.pid}/status").read_text()
    assert found.count("answers more than 250000 values") == len(pages)
    assert slowest < 1
    assert int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) < 256 * 1024
