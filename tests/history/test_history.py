"""A history says once that an update is new, and gives the incidents back; in memory it is bounded."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from monitor.history.memory import MemoryHistory
from monitor.history.query import Query
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
    return [incident.state for incident in history.incidents(Query(**query))]


def ids(history, **query):
    return [state.id for state in states(history, **query)]


def test_an_update_is_new_once(history):
    assert [history.add(update()) for _ in range(3)] == [True, False, False]


def test_the_key_is_page_id_and_instant(history):
    base = update()
    others = (
        replace(base, page_id="p2"),
        replace(base, id="i9"),
        replace(base, updated_at=base.updated_at + timedelta(microseconds=1)),
    )

    assert [history.add(one) for one in (base, *others, replace(base, name="other", message="other"))] == [
        *[True] * 4,
        False,
    ]


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

    assert states(history) == [update(**fields)]


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
        seen += [incident.state.id for incident in found]
        before = found[-1].place

    assert seen == ["i4", "i3", "i2", "i1", "i0"]


def test_an_incident_keeps_its_place(history):
    history.add(update(1))
    (before,) = history.incidents(Query())
    history.add(update(2))
    history.add(update(1, minute=5, created_at=START - timedelta(days=1)))

    after = history.incidents(Query())[1]
    assert (after.place, after.state.created_at) == (before.place, before.state.created_at)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"page": "p1"}, ["i2", "i0"]),
        ({"page": "Contoso"}, ["i1"]),
        ({"page": "P1"}, []),
        ({"page": "%"}, []),
        ({"component": "c1"}, ["i1", "i0"]),
        ({"component": "Sign-in"}, ["i1", "i0"]),
        ({"component": "API"}, ["i2"]),
        ({"status": "open"}, ["i2", "i0"]),
        ({"status": "resolved"}, ["i1"]),
        ({"impact": "critical"}, ["i2"]),
        ({"since": START + timedelta(hours=1)}, ["i2", "i1"]),
        ({"limit": 1}, ["i2"]),
        ({"page": "Fabrikam", "limit": 1, "component": "c1"}, ["i0"]),
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
        history.add(update(minute=minute))

    assert [history.add(update(minute=minute)) for minute in (3, 2, 1, 0)] == [False, False, False, True]


def test_the_oldest_incidents_are_forgotten_first():
    history = MemoryHistory(most_incidents=3)
    for number in (4, 1, 0, 3, 2):
        history.add(update(number))

    assert ids(history) == ["i4", "i3", "i2"]


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
        *(
            {name: LONG}
            for name in ("name", "message", "status", "impact", "shortlink", "page", "old_status", "unsubscribe")
        ),
        *({"components": (replace(Component(None, "A", None), **{name: LONG}),)} for name in ("id", "name", "status")),
        *({"incident_updates": (replace(ENTRY, **{name: LONG}),)} for name in ("id", "status", "body")),
        {"components": (Component(None, "x", None),) * 500},
        {"incident_updates": tuple([replace(ENTRY, id=str(number), body="x") for number in range(500)])},
    ],
)
def test_the_size_of_what_is_kept_is_bounded_whatever_is_long(fields):
    history = MemoryHistory(most_characters=100_000)
    for number in range(100):
        history.add(update(number, **fields))

    assert 0 < len(history.incidents(Query(limit=500))) <= 40


def test_a_growing_story_makes_room_by_forgetting_others():
    history = MemoryHistory(most_characters=15_000)
    for number in range(10):
        history.add(update(number, name="n" * 500))
    for minute in range(30):
        entry = replace(ENTRY, id=f"u{minute}", body="b" * 200)
        history.add(update(10, minute=minute, incident_updates=(entry,)))

    found = states(history)
    assert len(found[0].incident_updates) == 30
    assert 1 < len(found) < 10


def test_an_incident_larger_than_all_room_is_not_kept_and_the_next_is():
    history = MemoryHistory(most_characters=10_000)
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
    assert ids(history, id="i2", page="p2") == ["i2"]
    assert ids(history, id="i") == []


def test_an_incident_is_given_by_page_and_id(history):
    history.add(update(1))
    history.add(update(1, minute=1))
    history.add(update(1, page_id="p2", page="Adatum"))

    assert history.incident("p1", "i1") == states(history, page="p1")[0]
    assert history.incident("p2", "i1").page == "Adatum"
    assert history.incident("p3", "i1") is None


def test_what_is_past_is_recorded_and_did_not_arrive(history):
    history.add(update(1, status="resolved", is_reconciled=True, is_past=True))
    history.add(update(2, is_reconciled=True))

    assert ids(history) == ["i2", "i1"]
    assert [arrival.update.id for arrival in history.arrivals(None, 10)] == ["i2"]
    (page,) = history.pages()
    assert (page.updates, page.missed, page.pushed_at) == (2, 1, None)
    assert history.add(update(1, status="resolved")) is False


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


def test_spans_are_what_is_open_or_ended_since(history):
    history.add(update(1))
    history.add(update(2, status="resolved", resolved_at=START + timedelta(hours=3)))
    history.add(update(30, status="completed", scheduled_for=START + timedelta(hours=40)))
    history.add(update(50, status="major_outage", is_component_update=True))

    began = [(span.began_at, span.ended_at) for span in history.spans(START + timedelta(hours=4))]

    assert began == [
        (START + timedelta(hours=40), START + timedelta(hours=30)),
        (START + timedelta(hours=1), None),
    ]
    assert len(history.spans(START)) == 3
