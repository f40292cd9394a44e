"""`/stream`: every update reaches whoever follows, with its number, its gaps and its filters."""

import json
import random
import time

import pytest

from tests.conftest import incident
from tests.outputs.live.clients import Reader, names, websocket


def test_an_update_is_an_event_with_its_number_as_it_happens(running):
    before = Reader(running)
    began = time.monotonic()
    for name in ("e1", "e2"):
        entries = [{"id": "u", "body": "<p>Sorry,\u2028 folks\n\n</p>"}]
        running.post(incident(name, name="x" * 2_000, incident_updates=entries))

    first, second = before.take(2)

    assert time.monotonic() - began < 1
    assert before.response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert before.response.headers["Cache-Control"] == "no-store"
    assert before.response.headers["X-Accel-Buffering"] == "no"
    assert int(first["id"]) < int(second["id"])
    assert first["data"]["page"] == {"id": "p1", "name": "Fabrikam"}
    assert (first["data"]["id"], first["data"]["message"]) == ("e1", "Sorry, folks")
    assert first["data"]["name"] == "x" * 200
    assert "incident_updates" not in first["data"]
    assert 3000 <= int(next(line for line in before.lines if line.startswith("retry"))[7:]) < 6000


def test_a_comment_comes_while_nothing_happens_and_says_how_far_one_is(running):
    reader = Reader(running, "/stream?page=nobody")
    running.post(incident("c1"))
    (event,) = Reader(running, "/stream?since=0&id=c1").take(1)

    lines = [reader.response.readline() for _ in range(13)]

    assert lines[0].startswith(b":")
    assert lines[-3:] == [b":\n", f"id: {event['id']}\n".encode(), b"\n"]


@pytest.mark.parametrize("number", [5, 9 * 10**17])
def test_a_number_that_is_not_kept_is_a_gap_and_then_comes_all_that_is(running, number):
    running.post(incident("gap"))

    event, *_ = Reader(running, "/stream", **{"Last-Event-ID": str(number)}).take(2)
    assert (event["event"], event["data"]) == ("gap", {"after": number})
    oldest = Reader(running, "/stream?since=0").take(1)
    assert oldest[0].get("event") is None
    with websocket(running, f"?since={number}") as socket:
        assert json.loads(socket.recv(5)) == {"event": "gap", "after": number}
        assert json.loads(socket.recv(5))["number"] == int(oldest[0]["id"])


def test_a_restart_of_a_monitor_in_memory_is_a_gap(start):
    first = start()
    first.post(incident("before"))
    last = Reader(first, "/stream?since=0").take(1)[0]["id"]
    first.stop()
    second = start()

    reader = Reader(second, "/stream", **{"Last-Event-ID": last})
    second.post(incident("after"))

    gap, event = reader.take(2)
    assert (gap["event"], event["data"]["id"]) == ("gap", "after")
    assert int(event["id"]) > int(last)


@pytest.mark.parametrize(
    "query", ["id=f2", "page=Adatum", "page=p2", "component=Mail", "status=resolved", "impact=major"]
)
def test_both_take_the_filters_of_incidents(running, query):
    stamp = f"2026-06-0{random.randrange(2, 9)}T08:00:00.{random.randrange(10**6):06}Z"
    reader = Reader(running, f"/stream?{query}")
    with websocket(running, f"?{query}") as socket:
        running.post(incident("f1", updated_at=stamp))
        page, component = {"id": "p2", "name": "Adatum"}, {"id": "c2", "name": "Mail", "status": None}
        other = {"status": "resolved", "impact": "major", "components": [component]}
        running.post(incident("f2", page=page, updated_at=stamp, **other))

        assert names(reader.take(1)) == ["f2"]
        assert json.loads(socket.recv(5))["id"] == "f2"


def test_a_filter_waits_for_a_page_that_nobody_knows_and_finds_what_came_before_it_was_named(running):
    every, reader = Reader(running), Reader(running, "/stream?page=WINGTIP&since=0")
    with websocket(running, "?page=WINGTIP") as socket:
        running.post(incident("n1", page={"id": "p77"}))
        every.take(1)
        running.post(incident("n2", page={"id": "p77"}), "/webhook/statuspage?page=Wingtip")
        running.post(incident("n3", page={"id": "p77"}))

        assert [json.loads(socket.recv(5))["id"] for _ in range(2)] == ["n2", "n3"]
    assert names(reader.take(2)) == ["n2", "n3"]
    again = Reader(running, "/stream?page=wingtip&since=0").take(3)
    assert [(event["data"]["id"], event["data"]["page"]["name"]) for event in again] == [
        (name, "Wingtip") for name in ("n1", "n2", "n3")
    ]


@pytest.mark.parametrize("path", ["/stream", "/ws"])
@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=3", "limit"),
        ("cursor=1-1", "cursor"),
        ("status=odd", "status"),
        ("unheard=1", "unheard"),
        ("since=2026-06-01T08:00:00Z", "since"),
        ("since=-1", "since"),
        ("since=%D9%A1", "since"),
        ("since=" + 5000 * "9", "since"),
        ("since=1&since=2", "since"),
    ],
)
def test_a_query_that_cannot_be_followed_is_400_and_names_the_parameter(running, path, query, named):
    refused = running.get(f"{path}?{query}")

    assert (refused.status_code, list(refused.json())) == (400, ["error"])
    assert named in refused.json()["error"]


def test_a_garbage_last_event_id_is_400(running):
    refused = running.get("/stream", headers={"Last-Event-ID": "garbage"})

    assert refused.status_code == 400
    assert "Last-Event-ID" in refused.json()["error"]


def test_the_read_token_is_asked_for(start):
    monitor = start(environment={"MONITOR_READ_TOKEN": "s3cret"})

    assert monitor.get("/stream").status_code == monitor.get("/ws").status_code == 401
    assert Reader(monitor, "/stream?token=s3cret").response.status == 200
    with websocket(monitor, "?token=s3cret") as socket:
        monitor.post(incident())
        assert json.loads(socket.recv(5))["id"] == "i1"
