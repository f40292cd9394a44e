"""A read uses an index, or looks at a bounded number of rows and lets other reads in between."""

import re
from datetime import UTC, datetime

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from monitor.history.query import Query
from monitor.history.sql import read
from monitor.history.sql.history import DatabaseHistory
from tests.history.test_history import update


@pytest.fixture
def history(tmp_path):
    """A history with 100 incidents of two pages."""
    opened = DatabaseHistory(f"sqlite:///{tmp_path}/monitor.db")
    for number in range(100):
        opened.add(update(number, page_id=f"p{number % 2}"))
    yield opened
    opened.close()


@pytest.fixture
def statements():
    """The statements that run, each with its parameters."""
    ran = []

    def note(_connection, _cursor, statement, parameters, *_):
        ran.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    yield ran
    event.remove(Engine, "before_cursor_execute", note)


def plan(history, statement, parameters):
    explained = history.read(
        lambda connection: list(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters))
    )
    return [row[-1] for row in explained]


@pytest.mark.parametrize(
    "ask",
    [
        lambda history: history.incidents(Query()),
        lambda history: history.incidents(Query(component="sign-in")),
        lambda history: history.incidents(Query(component="sign-in", status="open")),
        lambda history: history.incidents(Query(page_ids=frozenset({"p1"}))),
        lambda history: history.incidents(Query(page_ids=frozenset({"p1"}), before=(10**16, 1))),
        lambda history: history.incidents(Query(status="open")),
        lambda history: history.incidents(Query(id="i7")),
        lambda history: history.incident("p1", "i7"),
        lambda history: history.periods(datetime(2026, 6, 2, tzinfo=UTC)),
        lambda history: history.arrivals(50, 10),
        lambda history: history.arrivals(None, 10),
    ],
    ids=[
        "all", "component", "open of a component", "page", "page, further", "open", "id", "one", "periods", "arrivals",
        "newest arrivals",
    ],
)  # fmt: skip
def test_a_read_uses_an_index(history, statements, ask):
    assert ask(history)

    selects = [(statement, parameters) for statement, parameters in statements if statement.startswith("SELECT")]
    steps = [step for one in selects for step in plan(history, *one)]
    assert selects
    scans = [step for step in steps if re.match(r"SCAN \w+$", step)]
    assert [step for step in scans if step != "SCAN arrivals"] == []  # by its number, from an end


def test_a_filter_that_no_index_serves_reads_in_steps_and_others_in_between(history, statements, monkeypatch):
    monkeypatch.setattr(read, "ROWS_AT_ONCE", 10)

    assert history.incidents(Query(status="resolved")) == []
    assert len(history.incidents(Query(impact="minor", limit=35))) == 35
    assert len(history.incidents(Query(page_ids=frozenset({"p0", "p1"}), limit=500))) == 100

    transactions = [statement for statement, _ in statements if statement == "BEGIN"]
    assert len(transactions) >= 11 + 4 + 11
