"""A history says once that an update is new, and gives the incidents back; in memory it is bounded."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import gevent
import pytest

from monitor.history.memory import MemoryHistory
from monitor.history.query import Query
from monitor.updates.document import document
from monitor.updates.impacts import COMPONENT_IMPACTS
from monitor.updates.incident import fold
from monitor.updates.update import Component, IncidentUpdate, Update

START = datetime(2026, 6, 1, 8, tzinfo=UTC)

OPTIONAL = pytest.mark.optional


@pytest.fixture(params=["memory", pytest.param("sqlite", marks=OPTIONAL), pytest.param("postgresql", marks=OPTIONAL)])
def history(request, tmp_path):
    if request.param == "memory":
        yield MemoryHistory()
        return
    from monitor.history.sql.history import DatabaseHistory

    url = f"sqlite:///{tmp_path}/monitor.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql").new_database("monitor_history")
    durable = DatabaseHistory(url)
    yield durable
    durable.close()


def update(number=0, *, minute=0, **fields):
    """An update of incident `number`, which began so many hours after START; it says something each minute."""
    created_at = START + timedelta(hours=number)
    said_at = created_at + timedelta(minutes=minute)
    made = Update(
        page_id="p1",
        page="Fabrikam",
        id=f"i{number}",
        created_at=created_at,
        updated_at=said_at,
        name=f"Incident {number}",
        message=f"step {minute}",
        status="investigating",
        impact="minor",
        components=(Component("c1", "Sign-in", "partial_outage"),),
        incident_updates=(IncidentUpdate(f"u{minute}", "investigating", f"step {minute}", said_at, said_at, None),),
    )
    return replace(made, **fields)


def states(history, **query):
    return [listed.incident for listed in history.incidents(Query(**query))]


def ids(history, **query):
    return [state.id for state in states(history, **query)]


def is_new(history, *updates):
    return [history.add(one) is not None for one in updates]


def test_an_update_is_new_once(history):
    assert is_new(history, *[update()] * 3) == [True, False, False]


def test_the_key_is_page_id_and_instant(history):
    base = update(incident_updates=())
    others = (
        replace(base, page_id="p2"),
        replace(base, id="i9"),
        replace(base, updated_at=base.updated_at + timedelta(microseconds=1)),
    )

    assert is_new(history, base, *others, replace(base, name="other", message="other")) == [*[True] * 4, False]


@pytest.mark.parametrize("separator", ["|", ":", "/", "-", "\x1f", ",", "'", " "])
def test_a_separator_in_an_id_joins_no_two_keys(history, separator):
    assert history.add(update(page_id=f"a{separator}b", id="c"))
    assert history.add(update(page_id="a", id=f"b{separator}c"))
    assert len(history.incidents(Query())) == 2


def test_a_repeated_update_changes_nothing(history):
    history.add(update())
    before = history.incidents(Query())
    history.add(update(message="other", name="other"))

    assert history.incidents(Query()) == before


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"status": None, "impact": None, "components": (), "incident_updates": ()},
        {"components": (Component(None, "A", None), Component("b", "B", "operational"))},
        {"created_at": START + timedelta(microseconds=123_456), "resolved_at": START + timedelta(milliseconds=1)},
        {"scheduled_for": START, "scheduled_until": START, "shortlink": "https://fabrikam.example/x"},
        {"is_component_update": True, "old_status": "operational", "incident_updates": (), "status": "major_outage"},
        {"is_component_update": True, "old_status": None, "incident_updates": ()},
        {"name": "\x01\x1b[31m\u2028\u202e'\"\\;--%_ नमस्ते 👍\ufffd", "message": "m" * 200_000},
        {"page": "é" * 500, "page_id": "'); DROP TABLE incidents; --", "id": "i" * 200},
    ],
)
def test_what_was_added_is_given_back_as_it_was(history, fields):
    history.add(update(**fields))

    assert states(history) == [fold(None, update(**fields))]


def test_an_incident_is_its_newest_update_with_the_whole_story(history):
    for minute in (1, 2, 0):
        history.add(update(minute=minute))

    (state,) = states(history)
    assert (state.updated_at, state.message) == (START + timedelta(minutes=2), "step 2")
    assert [entry.body for entry in state.incident_updates] == ["step 2", "step 1", "step 0"]


def test_incidents_are_newest_first_by_their_beginning(history):
    for number in (2, 0, 3, 1):
        history.add(update(number))
    history.add(update(0, minute=59))

    assert ids(history) == ["i3", "i2", "i1", "i0"]


def test_a_listing_goes_on_below_a_place(history):
    for number in range(5):
        history.add(update(number, created_at=START))  # one instant: first seen stands lowest
    seen, before = [], None
    while found := history.incidents(Query(limit=2, before=before)):
        seen += [listed.incident.id for listed in found]
        before = found[-1].place

    assert seen == ["i4", "i3", "i2", "i1", "i0"]


def test_an_incident_keeps_its_place(history):
    history.add(update(1))
    (before,) = history.incidents(Query())
    history.add(update(2))
    history.add(update(1, minute=5, created_at=START - timedelta(days=1)))

    after = history.incidents(Query())[1]
    assert (after.place, after.incident.created_at) == (before.place, before.incident.created_at)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"page_ids": frozenset({"p1"})}, ["i2", "i0"]),
        ({"page_ids": frozenset({"p1", "p2"})}, ["i2", "i1", "i0"]),
        ({"page_ids": frozenset()}, []),
        ({"component": "c1"}, ["i1", "i0"]),
        ({"component": "sign-IN"}, ["i1", "i0"]),
        ({"component": "API"}, ["i2"]),
        ({"status": "open"}, ["i2", "i0"]),
        ({"status": "resolved"}, ["i1"]),
        ({"impact": "critical"}, ["i2"]),
        ({"since": START + timedelta(hours=1)}, ["i2", "i1"]),
        ({"limit": 1}, ["i2"]),
        ({"page_ids": frozenset({"p1"}), "limit": 1, "component": "c1"}, ["i0"]),
    ],
)
def test_a_query_gives_what_matches(history, query, expected):
    history.add(update(0))
    history.add(update(1, page_id="p2", page="Contoso", status="resolved"))
    history.add(update(2, components=(Component(None, "API", None),), impact="critical"))

    assert ids(history, **query) == expected


def test_a_query_asks_of_the_newest_state(history):
    history.add(update(minute=1, status="resolved", components=(Component("c2", "API", None),)))
    history.add(update(minute=0))

    assert ids(history, status="open") == ids(history, component="Sign-in") == []
    assert ids(history, status="resolved", component="API") == ["i0"]


# In memory


def test_the_oldest_key_is_forgotten_first():
    history = MemoryHistory(most_keys=3)
    for minute in range(4):
        history.add(update(minute=minute, incident_updates=()))

    again = [update(minute=minute, incident_updates=()) for minute in (3, 2, 1, 0)]
    assert is_new(history, *again) == [False, False, False, True]


def test_memory_keeps_the_newest_10000_updates_whatever_the_stories_of_their_incidents():
    history = MemoryHistory()
    story = tuple([replace(ENTRY, id=f"u{number}", body="x" * 700) for number in range(20)])
    components = tuple([Component(f"c{number}", f"Component {number}", "partial_outage") for number in range(5)])

    for number in range(10_100):
        history.add(update(number, message="x" * 700, components=components, incident_updates=story))

    kept = [arrival.update.id for arrival in history.arrivals(0, 20_000)]
    assert kept == [f"i{number}" for number in range(100, 10_100)]


def test_the_oldest_incidents_are_forgotten_first():
    history = MemoryHistory(most_incidents=3)
    for number in (4, 1, 0, 3, 2):
        history.add(update(number))

    assert ids(history) == ["i4", "i3", "i2"]


def test_an_id_that_a_sender_gives_to_a_components_change_and_then_to_another_thing_breaks_nothing():
    for second in (update(id="7", minute=1), change(1, "operational", component="c2", id="7")):
        history = MemoryHistory(most_incidents=2)
        history.add(change(0, "major_outage", id="7"))
        history.add(second)
        for number in range(1, 4):
            history.add(update(number))

        assert is_new(history, change(900, "major_outage"), change(900, "major_outage")) == [True, False]


def test_an_update_of_a_forgotten_incident_is_taken():
    history = MemoryHistory(most_incidents=2)
    for number in range(3):
        history.add(update(number))

    assert history.add(update(0, minute=1))
    assert len(history.incidents(Query())) == 2


LONG = "x" * 10_000
ENTRY = update().incident_updates[0]


@pytest.mark.parametrize(
    "fields",
    [
        *({name: LONG} for name in ("name", "message", "shortlink", "page", "postmortem_body")),
        {"components": (replace(Component(None, "A", None), name=LONG),)},
        {"incident_updates": (replace(ENTRY, body=LONG),)},
        {"components": (Component(None, "x", None),) * 500},
        {"incident_updates": tuple([replace(ENTRY, id=str(number), body="x") for number in range(400)])},
    ],
)
def test_the_size_of_what_is_kept_is_bounded_whatever_is_long(fields):
    history = MemoryHistory(most_bytes=100_000)
    for number in range(100):
        history.add(update(number, **fields))

    assert 0 < len(history.incidents(Query(limit=500))) <= 40


def test_a_growing_story_makes_room_by_forgetting_others():
    history = MemoryHistory(most_bytes=15_000)
    for number in range(10):
        history.add(update(number, name="n" * 500))
    for minute in range(30):
        entry = replace(ENTRY, id=f"u{minute}", body="b" * 200)
        history.add(update(10, minute=minute, incident_updates=(entry,)))

    found = states(history)
    assert len(found[0].incident_updates) == 30
    assert 1 < len(found) < 10


def test_an_incident_larger_than_all_room_is_not_kept_and_the_next_is():
    history = MemoryHistory(most_bytes=10_000)
    assert history.add(update(0, name="x" * 20_000))
    assert history.add(update(1))

    assert ids(history) == ["i1"]


def test_a_story_keeps_its_newest_thousand_entries():
    history = MemoryHistory()
    for minute in range(0, 1_200, 400):
        entries = tuple(
            [
                replace(ENTRY, id=str(number), created_at=START + timedelta(seconds=number))
                for number in range(minute, minute + 400)
            ]
        )
        history.add(update(0, minute=minute, incident_updates=entries))

    (state,) = states(history)
    assert [entry.id for entry in state.incident_updates] == [str(number) for number in range(1_199, 199, -1)]


def test_an_incident_is_found_by_its_id(history):
    for number in (1, 2):
        history.add(update(number))
    history.add(update(2, page_id="p2"))

    assert ids(history, id="i2") == ["i2", "i2"]
    assert ids(history, id="i2", page_ids=frozenset({"p2"})) == ["i2"]
    assert ids(history, id="i") == []


def test_an_incident_is_given_by_page_and_id(history):
    history.add(update(1))
    history.add(update(1, minute=1))
    history.add(update(1, page_id="p2", page="Adatum"))

    assert history.incident("p1", "i1") == states(history, page_ids=frozenset({"p1"}))[0]
    assert history.incident("p2", "i1").page == "Adatum"
    assert history.incident("p3", "i1") is None


def test_what_is_past_is_recorded_and_did_not_arrive(history):
    history.add(update(1, status="resolved", is_polled=True, is_past=True))
    history.add(update(2, is_polled=True))

    assert ids(history) == ["i2", "i1"]
    assert [arrival.update.id for arrival in history.arrivals(None, 10)] == ["i2"]
    (page,) = history.pages()
    assert (page.updates, page.missed, page.pushed_at) == (2, 1, None)
    assert history.add(update(1, status="resolved")) is None


def test_updates_are_given_in_the_order_of_their_arrival(history):
    for number in (3, 1, 2):
        history.add(update(number))
    history.add(update(1))
    first, *later = history.arrivals(0, 9)

    assert [arrival.update.id for arrival in (first, *later)] == ["i3", "i1", "i2"]
    assert first.number < later[0].number < later[1].number
    assert [arrival.update.id for arrival in history.arrivals(first.number, 1)] == ["i1"]
    assert [arrival.update.id for arrival in history.arrivals(None, 2)] == ["i1", "i2"]
    assert history.arrivals(later[1].number, 9) == []


def test_a_page_is_counted_and_its_newest_time_kept(history):
    before = datetime.now(UTC)
    history.add(update(5))
    history.add(update(1, page="Fabrikam Status"))
    history.add(update(0, page_id="p2", page="Adatum"))

    adatum, fabrikam = history.pages()
    assert (adatum.id, adatum.updates) == ("p2", 1)
    assert (fabrikam.name, fabrikam.updates, fabrikam.updated_at) == (
        "Fabrikam Status",
        2,
        START + timedelta(hours=5),
    )
    assert before <= fabrikam.received_at <= datetime.now(UTC)


def test_periods_are_what_is_open_or_ended_since(history):
    history.add(update(1))
    history.add(update(2, status="resolved", resolved_at=START + timedelta(hours=3)))
    history.add(update(30, status="completed", scheduled_for=START + timedelta(hours=40)))
    history.add(update(50, status="major_outage", is_component_update=True))

    began = {(period.began_at, period.ended_at) for period in history.periods(START + timedelta(hours=4))}

    assert began == {
        (START + timedelta(hours=40), START + timedelta(hours=30)),
        (START + timedelta(hours=1), None),
        (START + timedelta(hours=50), None),
    }
    assert len(history.periods(START)) == 4


def change(minute, status, *, component="c1", **fields):
    """A component's change, so many minutes after START."""
    at = START + timedelta(minutes=minute)
    made = update(id=f"{component}-{minute}-{status}", created_at=at, updated_at=at, status=status)
    made = replace(made, is_component_update=True, incident_updates=(), impact=COMPONENT_IMPACTS.get(status))
    return replace(made, components=(Component(component, component.upper(), status),), **fields)


def test_a_push_of_a_components_change_that_polling_told_is_not_told_again(history):
    told = [
        history.add(one) is not None
        for one in (
            change(100, "major_outage", is_polled=True),
            change(99, "major_outage"),  # the same, by its own id and clock
            change(99, "degraded_performance"),  # another: it was so before
            change(20, "major_outage"),  # an outage before that one, pushed late
            change(99, "major_outage", component="c2"),
            change(110, "operational"),
            change(120, "major_outage"),
            change(121, "major_outage"),  # pushed twice under two ids, which the page says are two
        )
    ]

    assert told == [True, False, True, True, True, True, True, True]
    assert sum(page.updates for page in history.pages()) == 7


def test_a_push_that_comes_with_the_poll_that_told_it_is_not_told_again(history):
    polled, pushed = change(100, "major_outage", is_polled=True), change(99, "major_outage")
    both = [gevent.spawn(history.add, one) for one in (polled, pushed)]
    gevent.joinall(both, raise_error=True)

    assert [one.value is not None for one in both] == [True, False]


def minutes_of_changes(history):
    """How each change began and ended, in minutes after START."""
    return sorted(
        (minutes(state.created_at), state.status, state.ended_at and minutes(state.ended_at))
        for state in states(history)
        if state.is_component_update
    )


def minutes(at):
    return (at - START) // timedelta(minutes=1)


CHANGES = [change(0, "degraded_performance"), change(10, "major_outage"), change(30, "operational")]
LASTED = [(0, "degraded_performance", 10), (10, "major_outage", 30), (30, "operational", 30)]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_components_change_lasts_until_the_next_in_whatever_order_they_come(history, order):
    for place in order:
        history.add(CHANGES[place])

    assert minutes_of_changes(history) == LASTED
    assert ids(history, status="open") == []


def test_changes_of_a_component_that_come_in_one_batch_end_one_another(history):
    gevent.joinall([gevent.spawn(history.add, one) for one in reversed(CHANGES)], raise_error=True)

    assert minutes_of_changes(history) == LASTED


def test_a_component_that_is_down_is_open_with_the_impact_of_its_status(history):
    history.add(change(0, "operational"))
    history.add(change(10, "major_outage"))
    history.add(change(20, "partial_outage", component="c2"))
    history.add(change(20, "major_outage", page_id="p2"))

    assert ids(history, impact="critical", status="open") == ["c1-20-major_outage", "c1-10-major_outage"]
    assert sorted(period.impact for period in history.periods(START + timedelta(days=1))) == [
        "critical",
        "critical",
        "major",
    ]


def test_an_incident_that_calls_a_component_operational_later_ends_its_change(history):
    history.add(change(10, "major_outage"))
    history.add(change(10, "partial_outage", component="c2"))
    well = (Component("c1", "C1", "operational"), Component("c2", "C2", "partial_outage"))
    history.add(update(0, minute=5, components=well))
    assert ids(history, status="open") != []

    history.add(update(0, minute=40, components=well))

    assert minutes_of_changes(history) == [(10, "major_outage", 40), (10, "partial_outage", None)]


def test_a_mistyped_year_ends_a_components_change_when_it_arrives(history):
    history.add(change(10, "major_outage"))
    well = (Component("c1", "C1", "operational"),)
    history.add(update(updated_at=datetime(2098, 1, 1, tzinfo=UTC), components=well))

    ((_, _, ended),) = minutes_of_changes(history)
    assert START + timedelta(minutes=ended) <= datetime.now(UTC)


# Once: entries decide on top of the key


def test_another_entry_in_the_same_second_is_told(history):
    first, second = (replace(ENTRY, id=name, body=name) for name in ("u1", "u2"))
    history.add(update(incident_updates=(first,)))

    assert is_new(history, update(message="u2", status="resolved", incident_updates=(second, first))) == [True]
    assert is_new(history, update(incident_updates=(second, first)), update(incident_updates=(first,))) == [False] * 2
    (state,) = states(history)
    assert (state.status, state.is_open) == ("resolved", False)


def test_a_push_of_what_polling_told_is_no_news(history):
    polled = update(minute=1, is_polled=True)
    history.add(polled)

    late = replace(polled, is_polled=False, updated_at=polled.updated_at + timedelta(seconds=3))
    assert is_new(history, late) == [False]
    assert is_new(history, replace(late, updated_at=START + timedelta(hours=2), status="resolved")) == [True]


def test_a_push_of_an_entry_that_polling_told_before_another_is_no_news(history):
    history.add(update(minute=1, is_polled=True))
    history.add(update(minute=2, is_polled=True, impact="critical"))
    first = update(minute=1)

    late = replace(first, updated_at=first.updated_at + timedelta(milliseconds=41))
    assert is_new(history, late, replace(late, updated_at=START, incident_updates=())) == [False, True]


def test_an_end_that_two_processes_conclude_at_once_is_told_once(history):
    history.add(update())
    ends = [
        update(minute=minute, message="It is gone.", status="resolved", incident_updates=(), is_polled=True)
        for minute in (5, 6)
    ]

    assert is_new(history, *ends) == [True, False]


def test_a_components_status_out_of_a_cache_does_not_come_after_its_later_push(history):
    pushed = change(10, "major_outage"), change(20, "operational")
    cached = replace(change(10, "major_outage", is_polled=True), id="another")

    assert is_new(history, *pushed, cached) == [True, True, False]


@pytest.mark.parametrize("said", [{"impact": "critical"}, {"components": (Component("c1", "Sign-in", "operational"),)}])
def test_a_push_that_says_more_than_polling_told_is_news(history, said):
    history.add(update(minute=1, is_polled=True))

    assert is_new(history, update(minute=2, incident_updates=update(minute=1).incident_updates, **said)) == [True]


def test_a_late_update_is_told_once_and_changes_no_state(history):
    history.add(update(minute=9, status="resolved"), ["queue"])
    late = update(minute=3)

    assert is_new(history, late, late) == [True, False]
    assert history.add(update(minute=4), ["queue"]).status == "resolved"
    assert ids(history, status="open") == []
    assert [message.update.message for message in history.queue("queue").first(9)] == ["step 9"]


def test_a_time_far_ahead_of_our_clock_orders_as_its_arrival(history):
    ahead = update(updated_at=datetime(2098, 1, 1, tzinfo=UTC))
    history.add(ahead)
    later = update(updated_at=datetime.now(UTC) + timedelta(seconds=1), status="resolved", incident_updates=())

    assert is_new(history, ahead, later) == [False, True]
    assert ids(history, status="resolved") == ["i0"]


def test_a_beginning_and_an_end_far_ahead_of_our_clock_are_those_of_the_update(history):
    far = datetime(2098, 1, 1, tzinfo=UTC)
    history.add(update(created_at=far))
    history.add(update(1))
    history.add(update(2, status="resolved", resolved_at=far, incident_updates=()))

    assert ids(history) == ["i2", "i1", "i0"]
    assert [state.ended_at for state in states(history, status="resolved")] == [START + timedelta(hours=2)]


def test_what_was_recorded_while_our_clock_was_80_years_ahead_is_read_and_gives_way(history, monkeypatch):
    far = datetime(2106, 1, 1, tzinfo=UTC)
    with monkeypatch.context() as patched:
        patched.setattr("monitor.updates.incident.time", far.timestamp)
        entry = IncidentUpdate("u1", "resolved", "It is gone.", far, far, far)
        gone = update(updated_at=far, resolved_at=far, status="resolved", incident_updates=(entry,), is_polled=True)
        history.add(gone)
    (before,) = states(history)

    assert is_new(history, update(minute=5)) == [True]
    assert (before.updated_at, before.incident_updates) == (far, (entry,))
    assert ids(history, status="open") == ["i0"]


def test_an_end_stays_where_it_was_over_a_postmortem_and_goes_when_the_incident_is_reopened(history):
    for minute, status in ((1, "investigating"), (5, "resolved"), (500, "postmortem")):
        said_at = START + timedelta(minutes=minute)
        entry = IncidentUpdate(f"u{minute}", status, status, said_at, said_at, None)
        history.add(update(minute=minute, status=status, incident_updates=(entry,)))
    assert [state.ended_at for state in states(history)] == [START + timedelta(minutes=5)]

    history.add(update(minute=600, status="investigating", resolved_at=START + timedelta(minutes=5)))

    assert [(state.ended_at, state.is_open) for state in states(history)] == [(None, True)]


def test_a_story_keeps_its_newest_entries_within_its_bound_and_says_that_it_is_cut(history):
    for minute in range(12):
        said_at = START + timedelta(minutes=minute)
        entry = IncidentUpdate(f"u{minute}", None, "é" * 16_000, said_at, said_at, None)
        history.add(update(minute=minute, incident_updates=(entry,)))

    (state,) = states(history)
    assert [entry.id for entry in state.incident_updates] == [f"u{minute}" for minute in range(11, 3, -1)]
    assert document(state)["is_cut"] is True


# Queues and leases


def test_a_queue_gives_out_the_oldest_message_of_each_incident_until_it_is_done(history):
    for number, minute in ((1, 0), (1, 1), (2, 0)):
        history.add(update(number, minute=minute), ["a", "b"])
    queue = history.queue("a")
    assert queue.waiting() == 3
    first, other = queue.first(9)
    assert [(message.update.id, message.update.message) for message in (first, other)] == [
        ("i1", "step 0"),
        ("i2", "step 0"),
    ]

    queue.failed(first)
    queue.done(other)

    assert [(message.update.id, message.attempts) for message in queue.first(9)] == [("i1", 1)]
    queue.done(queue.first(9)[0])
    assert [(message.update.message, message.attempts) for message in queue.first(9)] == [("step 1", 1)]
    assert history.queue("b").waiting() == 3


def test_what_is_past_or_known_is_put_into_no_queue(history):
    history.add(update(1, is_polled=True, is_past=True), ["a"])
    history.add(update(1), ["a"])

    assert history.queue("a").first(9) == []


def test_a_queue_drops_its_oldest_messages_and_counts_them(history, monkeypatch):
    for module in ("monitor.history.memory_queue", "monitor.history.sql.forget"):
        with suppress(ImportError):
            monkeypatch.setattr(f"{module}.MOST_QUEUED", 3)
    for number in range(5):
        history.add(update(number), ["a"])
    queue = history.queue("a")

    assert [message.update.id for message in queue.first(9)] == ["i2", "i3", "i4"]
    assert (queue.waiting(), queue.dropped) == (3, 2)


def test_a_lease_is_held(history):
    lease = history.lease("test")
    assert lease.is_held()
    assert lease.is_held()
    lease.release()


def test_who_waits_for_arrivals_is_woken_by_the_next(history):
    history.add(update(1))
    number = history.arrivals(None, 1)[0].number
    history.wait_for_arrivals(number - 1, 60)  # one is there already

    waiting = gevent.spawn(history.wait_for_arrivals, number, 60)
    gevent.sleep(0.2)
    assert not waiting.ready()
    history.add(update(2))

    waiting.get(timeout=5)


def test_what_polling_a_page_came_to_is_kept(history):
    history.note("p1", name="Fabrikam", url="https://fabrikam.example", polled_at=START, problem=None)
    history.note("p1", name="Fabrikam", url="https://fabrikam.example", polled_at=None, problem="no answer in time")
    history.add(update(1))

    (page,) = history.pages()
    assert (page.id, page.name, page.url, page.polled_at) == ("p1", "Fabrikam", "https://fabrikam.example", START)
    assert (page.problem, page.updates) == ("no answer in time", 1)


def test_a_push_that_was_seen_before_still_says_that_its_page_pushes(history):
    history.add(update(1))
    history.add(update(2, is_polled=True))
    assert [page.missed for page in history.pages()] == [1]
    before = datetime.now(UTC)

    history.add(update(1))

    (page,) = history.pages()
    assert (page.missed, page.updates) == (0, 2)
    assert page.pushed_at >= before
