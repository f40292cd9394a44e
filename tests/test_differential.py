"""The same random deliveries end in the same incidents, each told once, whichever history keeps them."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.history.memory import MemoryHistory
from monitor.history.query import Query
from monitor.history.sql.history import DatabaseHistory
from monitor.updates.document import document
from monitor.updates.impacts import COMPONENT_IMPACTS
from monitor.updates.update import Component, IncidentUpdate
from tests.history.test_history import START, update

STATUSES = ("investigating", "identified", "monitoring", "resolved", "postmortem")
SEEDS = 12


def deliveries(seed, number=120):
    """Updates as senders make them: pushed, polled, late, sent again, two in a second, with and without ids."""
    chance = random.Random(seed)
    said = []
    for minute in range(number):
        if said and chance.random() < 0.25:
            yield replace(chance.choice(said), is_polled=chance.random() < 0.3)
            continue
        one = chance.choice((_incident, _incident, _change))(chance, minute)
        said.append(one)
        if chance.random() < 0.8:  # else it comes late, or never
            yield one
    yield from chance.sample(said, len(said))


def _incident(chance, minute):
    at = START + timedelta(minutes=minute - chance.choice((0, 0, 0, 1, 7)))
    name = f"i{chance.randrange(5)}"
    status = chance.choice(STATUSES)
    entries = tuple(
        IncidentUpdate(
            chance.choice((None, f"{name}-{chance.randrange(9)}")),
            status,
            f"said {chance.randrange(4)}",
            at - timedelta(minutes=back),
            chance.choice((None, at)),
            None,
        )
        for back in range(chance.randrange(3))
    )
    components = tuple(
        Component(component, component.upper(), chance.choice(list(COMPONENT_IMPACTS)))
        for component in chance.sample(("c1", "c2", "c3"), chance.randrange(3))
    )
    made = update(id=name, page_id=f"p{chance.randrange(2)}", updated_at=at, created_at=START, status=status)
    return replace(made, components=components, incident_updates=entries, is_polled=chance.random() < 0.3)


def _change(chance, minute):
    at = START + timedelta(minutes=minute - chance.choice((0, 0, 1, 5)))
    status, component = chance.choice(list(COMPONENT_IMPACTS)), chance.choice(("c1", "c2", "c3"))
    made = update(id=f"change-{component}-{minute}", page_id=f"p{chance.randrange(2)}", updated_at=at, created_at=at)
    return replace(
        made,
        status=status,
        impact=COMPONENT_IMPACTS[status],
        is_component_update=True,
        components=(Component(component, component.upper(), status),),
        incident_updates=(),
    )


def outcome(histories, seed):
    """What was told, in order, and what is known at the end, of histories that take turns and share what they keep."""
    told = []
    for place, one in enumerate(deliveries(seed)):
        incident = histories[place % len(histories)].add(one, ["queue"])
        told.append(incident and document(incident))
    kept = histories[0]
    incidents = {(listed.incident.page_id, listed.incident.id): document(listed.incident) for listed in _all(kept)}
    periods = sorted(map(repr, kept.periods(START)))
    queued = [message.update.id for message in kept.queue("queue").first(100)]
    pages = [(page.id, page.name, page.updates, page.missed) for page in kept.pages()]
    arrived = [arrival.update.key for arrival in kept.arrivals(0, 1000)]
    return told, incidents, periods, queued, pages, arrived


def _all(history):
    query = Query(limit=20)
    while found := history.incidents(query):
        yield from found
        query = replace(query, before=found[-1].place)


@pytest.mark.optional
@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_history_tells_and_keeps_the_same(seed, tmp_path, postgresql):
    expected = outcome([MemoryHistory()], seed)
    url = postgresql.new_database("monitor_differential")
    for histories in (
        [DatabaseHistory(f"sqlite:///{tmp_path}/monitor.db")],
        [DatabaseHistory(url), DatabaseHistory(url)],
    ):
        assert outcome(histories, seed) == expected
        for history in histories:
            history.close()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_entry_and_no_key_is_told_twice(seed):
    history = MemoryHistory()
    told = [one for one in deliveries(seed) if history.add(one)]

    assert len({(one.key, newest_of(one)) for one in told}) == len(told)


def newest_of(one):
    newest = max(one.incident_updates, key=lambda entry: entry.time, default=None)
    return newest and (newest.id or (newest.status, newest.body, newest.created_at))


def test_the_deliveries_hold_what_senders_do():
    made = [one for seed in range(SEEDS) for one in deliveries(seed)]
    keys = [one.key for one in made]

    assert len(set(keys)) < len(keys) / 1.3
    assert {one.is_polled for one in made} == {one.is_component_update for one in made} == {True, False}
