"""Pages of MONITOR_PAGES are asked, so that what no push brought is told all the same, and nothing twice."""

import copy
import json
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from monitor.senders.polling import client as asking
from monitor.senders.polling.poller import LONGEST_PAUSE, SECONDS_OF_GRACE
from tests.conftest import InProcess, environment, incident, payload, until
from tests.status_page import StatusPage, trickle

STATUSPAGE, INCIDENTIO = payload("statuspage-api-incidents"), payload("incidentio-api-incidents")


@pytest.fixture
def status_page():
    served = StatusPage(STATUSPAGE["page"])
    yield served
    served.stop()


def entry(number, status="investigating", **fields):
    at = f"2026-06-01T08:{number:02}:00.000Z"
    times = {"created_at": at, "updated_at": at, "display_at": at}
    return {"id": f"u{number}", "status": status, "body": f"step {number}"} | times | fields


def told(incident_id, *entries, **fields):
    """An incident as a page's API has it, with these entries, given oldest first."""
    newest = entries[-1]
    made = {"id": incident_id, "name": "Sign-in errors", "status": newest["status"], "impact": "minor"}
    made |= {"created_at": entries[0]["created_at"], "updated_at": newest["created_at"][:-4] + "030Z"}
    return made | {"page_id": "p4g3", "components": [], "incident_updates": list(entries[::-1])} | fields


def pushed(found):
    """The push of an incident as it stands in a page's API; a real one has no name in its page."""
    return {"page": {"id": "p4g3"}, "incident": copy.deepcopy(found)}


class Net(InProcess):
    """An app whose pages are asked when a test says so."""

    def __init__(self, *pages, **settings):
        super().__init__({"PAGES": json.dumps(pages)} | settings)
        self.rounds = self.application.extensions["reconcile"]
        self.rounds.stop()

    def ask(self):
        """Ask the first page once, and return in how many seconds it is to be asked again."""
        return self.rounds.ask(self.rounds.watched[0])

    def messages(self):
        return [printed.partition("Status: ")[2].strip() for printed in self.printed]

    def page(self, name="Fabrikam"):
        (found,) = [page for page in self.get("/pages").json["pages"] if page["name"] == name]
        return found


def test_at_the_first_sight_of_a_page_what_is_open_is_told_and_its_past_recorded(status_page):
    status_page.incidents = STATUSPAGE["incidents"]
    app = Net(status_page.url)

    app.ask()

    assert app.printed == [
        "[2026-06-01 09:12:31] Product: Fabrikam - API\nStatus: A fix is in place; we watch the results.\n"
    ]
    assert [found["id"] for found in app.incidents()] == ["k5d8", "j2f7"]
    assert len(app.incidents("?id=k5d8")[0]["incident_updates"]) == 2
    assert app.get("/feed.atom").text.count("<entry>") == 1


def test_the_api_of_incident_io_is_read_too(status_page):
    status_page.page, status_page.incidents = INCIDENTIO["page"], INCIDENTIO["incidents"]
    app = Net(status_page.url)

    app.ask()

    assert app.printed == [
        "[2026-06-01 08:58:11] Product: Adatum - Embeddings\nStatus: The cause is known, and a fix is on its way.\n"
    ]
    assert app.page("Adatum") | {"received_at": None, "asked_at": None} == {
        "id": "01JMDK9XYR2T5W8Z3A6B7C9D0E",
        "name": "Adatum",
        "state": "minor",
        "updates": 1,
        "updated_at": "2026-06-01T08:58:11.502Z",
        "received_at": None,
        "pushed_at": None,
        "missed": 1,
        "looks_dead": False,
        "unsubscribe": None,
        "url": status_page.url,
        "asked_at": None,
        "problem": None,
    }


def test_what_a_push_brought_first_is_not_told_again(status_page):
    found = told("i1", entry(1), entry(2, "identified"))
    status_page.incidents = [found]
    app = Net(status_page.url)
    app.post(pushed(found))

    app.ask()

    assert app.messages() == ["step 2"]
    assert app.page()["looks_dead"] is False


def test_a_push_of_what_was_found_by_asking_is_a_duplicate(status_page):
    found = told("i1", entry(1))
    status_page.incidents = [found]
    app = Net(status_page.url)
    app.ask()

    answer = app.post(pushed(found))

    assert (answer.json, app.messages()) == ({"status": "duplicate"}, ["step 1"])


def test_each_update_that_was_missed_is_told_once_in_its_order_at_its_time(status_page):
    first = told("i1", entry(1))
    status_page.incidents = [first]
    app = Net(status_page.url)
    app.post(pushed(first))
    app.ask()
    steps = entry(1), entry(2, "identified"), entry(3, "monitoring"), entry(4, "resolved")
    status_page.incidents = [told("i2", entry(5)), told("i1", *steps, resolved_at="2026-06-01T08:04:00.000Z")]

    app.ask()
    app.ask()

    assert app.messages() == ["step 1", "step 2", "step 3", "step 4", "step 5"]
    assert [printed[:21] for printed in app.printed[1:3]] == ["[2026-06-01 08:02:00]", "[2026-06-01 08:03:00]"]
    assert app.incidents("?id=i1")[0]["status"] == "resolved"
    assert (app.page()["missed"], app.page()["looks_dead"]) == (4, True)


def test_a_new_push_shows_that_the_subscription_lives(status_page):
    app = Net(status_page.url)
    app.post(pushed(told("i1", entry(1))))
    app.ask()
    status_page.incidents = [told("i2", entry(2))]
    app.ask()
    assert app.page()["looks_dead"] is True

    app.post(pushed(told("i3", entry(3))))

    assert (app.page()["missed"], app.page()["looks_dead"]) == (0, False)


def test_what_was_missed_is_counted_and_logged_in_one_line(status_page, caplog):
    app = Net(status_page.url)
    app.post(pushed(told("i1", entry(1))))
    app.ask()
    status_page.incidents = [told("i2", entry(2), entry(3))]

    app.ask()

    metrics = app.get("/metrics").text
    assert 'event_monitor_updates_total{outcome="accepted",page="Fabrikam",source="reconcile"} 2.0' in metrics
    assert 'event_monitor_missed_updates{page="Fabrikam"} 2.0' in metrics
    assert [f"reconcile: {status_page.url} said 2 that no push brought"] == [
        record.getMessage() for record in caplog.records
    ]


def test_what_was_only_edited_is_recorded_and_not_told(status_page):
    status_page.incidents = [told("i1", entry(1))]
    app = Net(status_page.url)
    app.ask()
    status_page.incidents = [told("i1", entry(1), name="Errors of sign-in", updated_at="2026-06-01T09:00:00.000Z")]

    app.ask()

    assert app.messages() == ["step 1"]
    assert app.incidents()[0]["name"] == "Errors of sign-in"


def test_a_page_that_pushes_has_a_minute_to_push_what_is_new(status_page):
    app = Net(status_page.url)
    app.post(pushed(told("i1", entry(1))))
    now = datetime.now(UTC).isoformat()
    status_page.incidents = [told("i2", entry(2), updated_at=now)]

    seconds = app.ask()

    assert (seconds, app.messages()) == (SECONDS_OF_GRACE, ["step 1"])
    assert app.page()["looks_dead"] is False


def test_what_was_left_for_a_minute_is_told_then_though_the_page_says_nothing_new(status_page, monkeypatch):
    app = Net(status_page.url)
    app.post(pushed(told("i1", entry(1))))
    status_page.incidents = [told("i2", entry(2), updated_at=datetime.now(UTC).isoformat())]
    app.ask()
    monkeypatch.setattr("monitor.senders.polling.poller.SECONDS_OF_GRACE", 0.0)

    app.ask()

    assert app.messages() == ["step 1", "step 2"]


def test_a_page_that_says_nothing_new_sends_nothing(status_page):
    status_page.incidents = STATUSPAGE["incidents"]
    app = Net(status_page.url)
    app.ask()
    sent = status_page.sent

    app.ask()
    app.ask()

    assert (status_page.sent, len(status_page.asked)) == (sent, 3)
    assert len({address for _, _, address in status_page.asked}) == 1  # one connection
    assert status_page.asked[0][1]["User-Agent"].startswith("event_monitor/")


def test_a_page_is_named_by_itself_once_it_was_asked_unless_it_has_a_name(status_page):
    status_page.incidents = [told("i1", entry(1))]
    named, unnamed = Net({"url": status_page.url, "name": "Ours"}), Net(status_page.url)
    pushed_first = Net(status_page.url)
    pushed_first.post(pushed(told("i0", entry(0))), "/webhook/statuspage?page=Theirs")

    for app in (named, unnamed, pushed_first):
        app.ask()
        app.post(pushed(told("i2", entry(2))))

    pages = [{printed.split("Product: ")[1].split(" - ")[0] for printed in app.printed} for app in (named, unnamed)]
    assert pages == [{"Ours"}, {"Fabrikam"}]
    assert "Product: Theirs - Sign-in errors" in pushed_first.printed[-1]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((500, {}, b"oops"), "answers 500"),
        ((200, {}, b"<html>moved</html>"), "the body is not JSON"),
        ((200, {}, b'{"incidents": {}}'), "answers no list of incidents"),
        ((200, {}, b"[" * 200_000), "nested more than 100 levels"),
        ((302, {"Location": "https://elsewhere.example/api/v2/incidents.json"}, b""), "moved to 'https://elsewhere"),
        ((302, {"Location": "http://127.0.0.1:1/api/v2/incidents.json"}, b""), "moved to 'http://127.0.0.1:1/"),
        ((200, {}, b'{"incidents": ["' + b"x" * asking.LARGEST_ANSWER + b'"]}'), "answers more than"),
        ((200, {"gzip": True, "Content-Encoding": "gzip"}, b"0" * 100_000_000), "answers more than"),
        ((200, {"Content-Encoding": "gzip"}, b"not gzip"), "cannot be asked"),
    ],
    ids=["500", "HTML", "no list", "deep", "another host", "another port", "large", "a bomb", "not gzip"],
)
def test_a_page_that_gives_no_answer_is_unknown_and_asked_less_often(status_page, answer, reason, caplog):
    status_page.answers = [copy.deepcopy(answer) for _ in range(3)]
    app = Net(status_page.url)

    pauses = [app.ask() for _ in range(3)]

    assert pauses == [300, 600, 1200]
    (page,) = app.get("/pages").json["pages"]
    assert (page["state"], page["asked_at"]) == ("unknown", None)
    assert reason in page["problem"]
    assert len(caplog.records) == 1
    assert app.ask() == 300
    assert app.get("/pages").json["pages"][0]["state"] == "operational"
    assert caplog.records[-1].getMessage() == f"reconcile: {status_page.url} answers again"


def test_a_page_that_no_longer_answers_is_unknown_and_not_operational(status_page):
    status_page.incidents = [told("i1", entry(1, "resolved"))]
    app = Net(status_page.url)
    app.ask()
    assert app.page()["state"] == "operational"
    status_page.answers = [(503, {}, b"")]

    app.ask()

    assert (app.page()["state"], app.page()["problem"]) == ("unknown", "answers 503")
    assert ">Unknown<" in app.get("/").text


def test_no_pause_is_longer_than_an_hour(status_page):
    status_page.answers = [(500, {}, b"")] * 12
    app = Net(status_page.url)

    assert max(app.ask() for _ in range(12)) == LONGEST_PAUSE


@pytest.mark.parametrize("form", ["seconds", "a date"])
def test_retry_after_is_waited_for(status_page, form):
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=1800), usegmt=True)
    status_page.answers = [(429, {"Retry-After": "1800" if form == "seconds" else at}, b"")]

    assert 1790 <= Net(status_page.url).ask() * 0.9 <= 1801


def test_a_retry_after_in_a_year_that_no_clock_has_is_a_date_that_cannot_be_read(status_page):
    status_page.answers = [(503, {"Retry-After": "Mon, 01 Jan 99999999999 00:00:00 GMT"}, b"")]

    assert Net(status_page.url).ask() * 0.9 == pytest.approx(asking.SECONDS_WITHOUT_A_DATE)


def test_an_answer_that_is_no_http_cannot_drive_a_terminal():
    def answer(listening):
        connection, _ = listening.accept()
        connection.sendall(b"HTTX \x1b[2J \x1b]0;owned\x07\r\n\r\n")
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=answer, args=[listening], daemon=True).start()
        app = Net(f"http://127.0.0.1:{listening.getsockname()[1]}")
        app.ask()

    problem = app.get("/pages").json["pages"][0]["problem"]
    assert "BadStatusLine" in problem
    assert problem.isprintable()


def test_a_page_that_moved_on_its_own_host_is_followed(status_page):
    status_page.incidents = [told("i1", entry(1))]
    status_page.answers = [(301, {"Location": "/new/incidents.json"}, b"")]
    app = Net(status_page.url)

    app.ask()

    assert app.messages() == ["step 1"]
    assert [path for path, _, _ in status_page.asked] == ["/api/v2/incidents.json", "/new/incidents.json"]


def test_a_page_that_redirects_without_end_is_given_up(status_page):
    status_page.answers = [(302, {"Location": "/api/v2/incidents.json"}, b"")] * 10
    app = Net(status_page.url)

    app.ask()

    assert "redirects more than 3 times" in app.get("/pages").json["pages"][0]["problem"]
    assert len(status_page.asked) == 4


def test_what_cannot_be_read_of_a_page_hinders_nothing_else(status_page, caplog):
    without_a_time = {name: value for name, value in told("i1", entry(1)).items() if "at" not in name}
    without_a_time["incident_updates"] = []
    status_page.incidents = [told("i2", entry(2)), None, "x", {}, without_a_time, {"id": {"a": 1}}]
    app = Net(status_page.url)

    app.ask()

    assert app.messages() == ["step 2"]
    assert "incident.id is missing" in caplog.text


def test_a_page_that_meets_a_fault_of_ours_is_asked_again(status_page, monkeypatch, caplog):
    status_page.incidents = [told("i1", entry(1))]
    app = Net(status_page.url)

    with monkeypatch.context() as patched:
        patched.setattr("monitor.senders.polling.poller.missed", lambda *_: 1 / 0)
        pauses = [app.ask(), app.ask()]

    assert (pauses, app.messages(), len(caplog.records)) == ([300, 600], [], 1)
    assert "ZeroDivisionError" in app.get("/pages").json["pages"][0]["problem"]
    app.ask()
    assert app.messages() == ["step 1"]


def test_an_old_incident_that_takes_the_place_of_a_deleted_one_is_past(status_page):
    story = [told(f"i{number}", entry(number, "resolved")) for number in (9, 8, 7, 6)]
    status_page.incidents = story[:3]
    app = Net(status_page.url)
    app.ask()
    ended_since = told("i10", entry(10, "resolved"))
    status_page.incidents = [ended_since, story[0], story[2], story[3]]

    app.ask()

    assert app.messages() == ["step 10"]
    assert len(app.incidents()) == 5


def test_what_is_dated_in_the_future_is_told_at_once(status_page):
    app = Net(status_page.url)
    app.post(pushed(told("i1", entry(1))))
    status_page.incidents = [told("i2", entry(2), updated_at=(datetime.now(UTC) + timedelta(hours=3)).isoformat())]

    assert app.ask() == 300
    assert app.messages() == ["step 1", "step 2"]


def test_a_thousand_incidents_are_recorded(status_page):
    status_page.incidents = [told(f"i{number}", entry(number % 60, "resolved")) for number in range(1000)]
    app = Net(status_page.url)

    app.ask()

    assert app.printed == []
    assert len(app.incidents("?limit=500")) == 500
    assert app.page()["updates"] == 1000


def test_a_monitor_asks_at_its_start_and_answers_while_pages_hang(start, status_page):
    hanging, trickling = StatusPage(), StatusPage()
    hanging.answers = [(200, {}, lambda file: time.sleep(30))]
    trickling.answers = [(200, {"Content-Length": "1000000"}, trickle)]
    status_page.incidents = STATUSPAGE["incidents"]
    pages = json.dumps([hanging.url, trickling.url, status_page.url])

    monitor = start(
        environment={"MONITOR_PAGES": pages},
        preamble="from monitor.senders.polling import client as asking; asking.SECONDS_IN_ALL = 1",
    )

    try:
        assert "A fix is in place" in monitor.printed(1)
        began = time.monotonic()
        assert monitor.get("/health").status_code == 200
        assert time.monotonic() - began < 0.5
        until(lambda: "not asked yet" not in monitor.get("/pages").text)
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
    until(lambda: third.get("/pages").json()["pages"][0]["asked_at"])

    assert [line.split()[-1] for line in printed.splitlines()[1::2]] == ["2", "3", "5"]
    assert third.printed() == ""


def test_a_net_needs_pages_and_whole_minutes(start):
    for settings, said in (
        ({"MONITOR_RECONCILE_MINUTES": "5"}, "MONITOR_RECONCILE_MINUTES needs MONITOR_PAGES"),
        ({"MONITOR_RECONCILE_MINUTES": "0.5"}, "is not a whole number of minutes from 1 to 1440"),
    ):
        with pytest.raises(AssertionError, match=said):
            start(environment=settings)


def test_pages_are_for_who_has_the_token_and_list_those_that_push_too():
    app = InProcess({"READ_TOKEN": "secret"})
    app.post(incident(impact="critical"))
    app.post(incident("i2", page={"id": "p2", "name": "Adatum"}, status="resolved"))

    assert app.get("/pages").status_code == 401
    found = app.get("/pages?token=secret").json["pages"]
    assert [(page["name"], page["state"], page["asked_at"]) for page in found] == [
        ("Adatum", "operational", None),
        ("Fabrikam", "critical", None),
    ]
