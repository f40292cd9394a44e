"""Whatever JSON arrives: never a 5xx, two harmless lines for each update accepted, and the same state in any order."""

import copy
import json
import re
import time
from datetime import UTC, datetime, timedelta
from html import escape

import feedparser
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monitor.outputs.notify import wording
from monitor.pipeline import pipeline_of
from monitor.senders.statuspage import read
from monitor.updates import text
from monitor.updates.document import document, summary
from monitor.updates.incident import fold
from monitor.updates.times import instant
from tests.conftest import DIALECTS, PAYLOADS, InProcess, incident, payload

NAMES = [
    "incident-created", "incident-postmortem", "maintenance-scheduled", "component-update", "no-components", "minimal",
]  # fmt: skip
OTHERS = [path.stem for path in PAYLOADS.glob("*.json") if path.stem.split("-")[0] in DIALECTS]
TWO_LINES = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] Product: .+ - .+\nStatus: .*\n")

quick = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)

# What a reader of HTML, a terminal, a store or a service may take for more than a character.
OPENERS = [
    "<", "<a", "<a ", "<a b='", '<a b="', "<a =", "<b>", "<br/>", "<script>", "<https:", "</", "</a", "</>", "<?", "<!",
    "<!-", "<!--", "<!-->", "<!--->", "<!x", "<!DOCTYPE [", "<!ELEMENT [", "<![", "<![if ", "<![x", "<![CDATA[",
    "&", "&a", "&#", "&#1", "&#x", "&#x1", "&#xD800", "&#0", "&amp", "&lt", "&notit", "&#" + "9" * 20,
]  # fmt: skip
CLOSERS = [">", "/>", "-->", "--!>", "--", "?>", "]", "]>", "]]>", ";", "'", '"', "=", "/"]
ODD = [
    "\0", "\x01", "\x07", "\b", "\x1b[2J", "\x1b]8;;", "\x7f", "\x85", "\x9b", "\xa0", "\xad", "\t", "\n", "\r", "\v",
    "\f", "\x1c", "\u2028", "\u2029", "\u061c", "\u200e", "\u202e", "\u2066", "\u2069", "\u200b", "\u200d", "\ufeff",
    "\ufe0f", "\u0301", "\u0489", "\u20dd", "\u0e47", "\U000e0041", "\ufffe", "\ufffd", "\ud800", "\udfff", "\ud83d",
    "👍", "名", "ﷺ", "é", "…", " ", "  ", "a", "x1", "1",
    "@everyone", "<!channel>", "<@U1>", "{{7*7}}", "javascript:", "END:VCALENDAR",
]  # fmt: skip
pieces = st.sampled_from(OPENERS + CLOSERS + ODD)
texts = (
    st.text()
    | st.lists(pieces, min_size=1, max_size=12).map("".join)
    | st.sampled_from(["1", "\0", "\x01", "x" * 5_000, "<![x>", "&#" + "9" * 5_000 + ";"])
)
times = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(datetime.isoformat)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | times
words = (
    st.sampled_from(["incident", "component_update", "component", "page", "meta", "id", "name", "status"]) | st.text()
)
anything = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(words, inner), max_leaves=12)


def paths(value, so_far=()):
    """Return the path of every field of a payload."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return ([so_far] if so_far else []) + [path for name, member in inner for path in paths(member, (*so_far, name))]


SEEDS = {name: payload(name) for name in NAMES + OTHERS}
# But `backfilled`: what was over before it came is accepted and not printed.
PLACES = [(name, path) for name in NAMES for path in paths(SEEDS[name]) if path[-1] != "backfilled"]
OTHER_PLACES = [(name, path) for name in OTHERS for path in paths(SEEDS[name])]


def replaced(name, path, value):
    made = copy.deepcopy(SEEDS[name])
    inner = made
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return made


@pytest.fixture(scope="module")
def fuzzed():
    return InProcess()


def is_answered(app, answer):
    assert answer.status_code in (200, 202, 400), answer.text
    assert answer.is_json


def is_printed_in_two_harmless_lines_if_accepted(app, answer):
    assert len(app.printed) == (answer.json.get("status") == "accepted")
    for block in app.printed:
        assert TWO_LINES.fullmatch(block), block
        assert block.replace("\n", "").isprintable()


def is_listed(app, answer):
    if app.printed:
        assert app.incidents("?limit=1")
        assert app.get("/incidents?limit=1", headers={"Accept": "text/plain"}).status_code == 200


# All that holds after any payload, as functions of the app and its answer. To make another reader look at what was
# posted, add it here.
CHECKS = [is_answered, is_printed_in_two_harmless_lines_if_accepted, is_listed]


def check(app, made, path="/webhook/statuspage"):
    """Post a payload, then make every check."""
    app.printed.clear()
    answer = app.post(json.dumps(made), path)

    for holds in CHECKS:
        holds(app, answer)


@quick
@given(anything)
def test_any_json_is_answered(fuzzed, value):
    check(fuzzed, value)


@quick
@given(st.sampled_from(PLACES), anything)
@example(("minimal", ("page", "name")), "\x01")
@example(("minimal", ("incident", "components", 0, "name")), "\u200b")
@example(("maintenance-scheduled", ("incident", "name")), "\u202e")
@example(("component-update", ("component", "name")), "\x1b")
@example(("minimal", ("incident", "name")), "<![x>")
@example(("incident-created", ("incident", "incident_updates", 0, "body")), "<![x>")
@example(("incident-created", ("incident", "incident_updates", 0, "body")), "&#" + "9" * 5_000 + ";")
def test_anything_in_a_fields_place_is_answered(fuzzed, place, value):
    check(fuzzed, replaced(*place, value))


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def read_by_all(request, tmp_path_factory):
    if request.param == "memory":
        return InProcess()
    return InProcess({"DATABASE_URL": f"sqlite:///{tmp_path_factory.mktemp('fuzz')}/monitor.db"})


@settings(quick, max_examples=25)
@given(st.sampled_from(PLACES), anything)
@example(("component-update", ("component", "name")), "<![x>")
@example(("maintenance-scheduled", ("incident", "scheduled_for")), "2099-12-31T23:59:59Z")
@example(("incident-created", ("incident", "incident_updates", 0, "body")), "END:VCALENDAR\r\n<!channel> @everyone ]]>")
def test_every_reader_and_output_takes_whatever_was_posted(read_by_all, place, value):
    app = read_by_all
    app.printed.clear()
    app.post(json.dumps(replaced(*place, value)))

    for update in app.updates[-1:]:
        title, body = wording.title(update), wording.body(update)
        assert title.replace("\n", "").isprintable()
        assert not re.search("@everyone|@here|<!channel>|<@", title + body)
    for path in ("/", "/pages", "/status", "/metrics", "/incidents?limit=3", "/maintenance.ics", "/health"):
        assert app.get(path).status_code == 200, path
    for path in ("/feed.atom?limit=3", "/history.atom"):
        assert not feedparser.parse(app.get(path).data)["bozo"]
    for path in ("summary", "incidents", "components", "scheduled-maintenances"):
        assert json.loads(app.get(f"/api/v2/{path}.json").data)["page"]
    newest = pipeline_of(app.application).history.arrivals(None, 1)
    for arrival in newest:
        assert json.loads(json.dumps(summary(arrival.update)))["message"].isprintable()


@quick
@given(st.sampled_from(OTHER_PLACES), anything)
@example(("instatus-maintenance", ("maintenance", "duration")), "9" * 5_000)
@example(("instatus-maintenance", ("maintenance", "duration")), "527040")
@example(("instatus-component", ("component_update", "component_id")), "x" * 201)
@example(("incidentio-incident", ("event_type",)), ["public_incident.incident_created_v2"])
def test_anything_in_the_place_of_a_dialects_field_is_answered(fuzzed, place, value):
    made = replaced(*place, value)

    check(fuzzed, made, f"/webhook/{place[0].split('-')[0]}")
    check(fuzzed, made)


@quick
@given(st.sampled_from(DIALECTS), anything)
def test_any_json_is_answered_by_every_dialect(fuzzed, dialect, value):
    check(fuzzed, value, f"/webhook/{dialect}")


@quick
@given(st.binary() | st.builds(lambda made, at: json.dumps(made).encode()[:at], anything, st.integers(0, 99)))
def test_any_bytes_are_answered(fuzzed, body):
    fuzzed.printed.clear()

    assert fuzzed.post(body).status_code in (200, 202, 400)
    assert len(fuzzed.printed) <= 1


def test_all_that_was_accepted_can_be_read_back(fuzzed):
    check(fuzzed, incident("read back", incident_updates=[{"body": "read me back"}]))
    blocks = fuzzed.get("/incidents?limit=500", headers={"Accept": "text/plain"}).text

    assert "read me back" in blocks
    assert re.fullmatch(f"({TWO_LINES.pattern})+", blocks)
    assert len(fuzzed.incidents("?limit=500")) == blocks.count("\n") / 2


date_parts = st.sampled_from([" ", "\0", "0" * 40]) | st.sampled_from(
    "2025 1970 03 11 Nov Mon, T Z GMT + - : . , / 14 32 00 24 60 99 am e9 nan inf W45 of th AD ( ) GMT+3 ٣".split()
)


@settings(quick, max_examples=700)
@given(st.text() | st.lists(date_parts, max_size=14).map("".join) | times.map(lambda time: time + "-23:59"))
@example("1" * 1_000_000)
@example("2025 1e999999999")
@example("9999-12-31T23:59:59-23:59")
def test_any_text_as_a_time_is_an_instant_or_none_in_no_time(value):
    began = time.perf_counter()
    found = instant(value)

    assert time.perf_counter() - began < 0.2
    assert found is None or (found.tzinfo is UTC and 1970 <= found.year <= 2099)


@quick
@given(st.lists(date_parts, max_size=14).map("".join))
def test_a_text_without_a_year_is_no_time(value):
    if not re.search(r"(19|20)\d\d", value):
        assert instant(value) is None


joined = texts | st.lists(texts).map("".join)


@quick
@given(joined)
@example("&#" + "9" * 5_000 + ";")
def test_escaped_text_is_read_as_it_was(value):
    assert text.plain(escape(value)) == value


@quick
@given(st.lists(pieces, max_size=3).map("".join), st.lists(pieces, min_size=1, max_size=3).map("".join), pieces)
def test_any_html_of_32_kib_is_read_in_50_ms(begin, repeated, end):
    html = begin + repeated * (32_768 // len(repeated.encode("utf-8", "surrogatepass"))) + end

    assert min(seconds_to_read(html) for _ in range(2)) < 0.05  # the second time no garbage is collected


def seconds_to_read(html):
    began = time.thread_time()
    text.one_line(text.plain(html), 1_000)
    return time.thread_time() - began


@quick
@given(joined, st.integers(3, 40))
def test_any_text_is_cut_to_a_number_of_bytes(value, most):
    cut = text.cut_bytes(value, most)

    assert len(cut.encode("utf-8", "surrogatepass")) <= most
    kept = value.encode("utf-8", "ignore").decode()  # lone surrogates go where a text is cut
    assert cut == value or (cut[-1] == "…" and kept.startswith(cut[:-1]))


@quick
@given(joined, st.integers(5, 100))
def test_any_text_becomes_one_short_printable_line(value, longest):
    line = text.one_line(text.plain(value), longest)

    assert line.isprintable()
    assert len(line) <= longest
    assert line == " ".join(line.split(" ")).strip()


# An incident's entries, each said at a time of its own and perhaps edited later; its updates bring some of them.
stories = st.lists(
    st.tuples(
        st.sampled_from(["investigating", "monitoring", "resolved"]),
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=4, unique_by=lambda entry: entry[0]),
    ),
    min_size=2,
    max_size=6,
)


def minutes(number):
    return (datetime(2026, 6, 1, 8, tzinfo=UTC) + timedelta(minutes=number)).isoformat()


def updates(story):
    for number, (status, entries) in enumerate(story):
        brought = [
            {"id": f"u{at}", "body": f"{at}, edit {edit}", "created_at": minutes(at), "updated_at": minutes(at + edit)}
            for at, edit in entries
        ]
        made = incident(status=status, created_at=minutes(0), updated_at=minutes(number), incident_updates=brought)
        yield read(made)


def folded(those):
    incident_so_far = None
    for update in those:
        incident_so_far = fold(incident_so_far, update)
    return document(incident_so_far)


@quick
@given(st.data())
def test_an_incident_is_the_same_in_whatever_order_its_updates_come(data):
    in_order = list(updates(data.draw(stories)))

    assert folded(data.draw(st.permutations(in_order))) == folded(in_order)


@quick
@given(st.data())
def test_no_entry_is_lost_in_whatever_order_updates_come(data):
    in_order = list(updates(data.draw(stories)))
    served = folded(data.draw(st.permutations(in_order)))

    brought = {entry.id for update in in_order for entry in update.incident_updates}
    assert sorted(entry["id"] for entry in served["incident_updates"]) == sorted(brought)
