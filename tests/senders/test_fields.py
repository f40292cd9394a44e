"""With any value in a payload's fields, the process lives, and prints two harmless lines or says what is wrong."""

import copy
import json
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import blocks, incident, payload


def no_constant(name):
    raise AssertionError(f"{name} is not JSON")


def served(monitor, page):
    """Return a page's incidents from GET /incidents, which must be JSON by the standard."""
    answer = monitor.get("/incidents", params={"page": page["id"]})
    assert answer.status_code == 200
    return json.loads(answer.content.decode(), parse_constant=no_constant)["incidents"]


def lives(monitor, page):
    """Tell whether the next good update is accepted and printed once."""
    mark = f"{page['name']} lives"
    accepted = monitor.post(incident("next", page=page, name=mark, components=[])).json() == {"status": "accepted"}
    return accepted and len(blocks(monitor, mark)) == 1


# The body


@pytest.mark.parametrize("kind", ["[]", '{"a":}'])
@pytest.mark.parametrize(("depth", "statuses"), [(90, {200}), (100, {200, 400}), (990, {400}), (200_000, {400})])
def test_depth_is_bounded_and_the_process_lives(shared, page, kind, depth, statuses):
    depth = min(depth, 1_000_000 // len(kind))
    nested = kind[:-1] * depth + "1" + kind[-1] * depth
    answer = shared.post(json.dumps(incident(page=page, extra="@")).replace('"@"', nested))

    assert answer.status_code in statuses
    assert lives(shared, page)


def test_depth_10_000_is_refused_naming_the_depth(shared):
    assert "levels" in shared.post('{"a":' + "[" * 10_000 + "]" * 10_000 + "}").json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"\xff", b'{"incident": {"id": "\xc3"}}', b'{"incident": {"id": "i', b'{"a": 1,}', b"{'a': 1}",
        b"{} {}", b'{"a": "\n"}', b'{"a": "\x00"}', b"null", b"true", b"5", b'"x"', b"[]", b"NaN", b"\x00",
        '{"incident": {}}'.encode("utf-16"),
    ],
)  # fmt: skip
def test_what_is_not_a_json_object_is_refused(app, body):
    answer = app.post(body)

    assert answer.status_code == 400
    assert "the body is" in answer.json["error"]


def test_three_plain_mebibytes_are_refused(shared, page):
    assert shared.post(incident(page=page, name="x" * 3 * 1024 * 1024)).status_code == 413
    assert lives(shared, page)


# Numbers


@pytest.mark.parametrize("number", ["9" * 5_000, "9223372036854775808", "NaN", "-Infinity", "1e999", "-0", "1E400"])
@pytest.mark.parametrize("field", ["name", "status", "impact", "shortlink", "updated_at", "components", "id"])
def test_an_odd_number_is_refused_or_kept_as_text(shared, page, field, number):
    made = incident("numbered", page=page, incident_updates=[{"body": "x", "created_at": "2026-01-02T03:04:05Z"}])
    made["incident"][field] = "@"
    answer = shared.post(json.dumps(made).replace('"@"', number))

    assert answer.status_code in ((200, 400) if field == "id" else (200,))
    assert len(served(shared, page)) == (answer.status_code == 200)


# Text

CHARACTERS = {
    "C0": "".join(map(chr, range(32))),
    "C1": "".join(map(chr, range(127, 160))),
    "surrogates": "\ud800x\udfffx\udc80",
    "lines": "\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029",
    "bidi": "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    "zero-width": "\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e",
    "tags and private": "\U000e0041\ue000\U0010ffff\ufffe\ufff9",
}


def with_text(page, text):
    """Return payloads by field, each with a text in that field."""
    part, entry, change = {"id": "c", "name": "C"}, {"id": "u", "body": "x"}, payload("component-update")
    return {
        "page.name": incident(page=page | {"name": page["name"] + text}),
        "page.id": incident(page={"id": page["id"] + text, "name": page["name"]}),
        "id": incident(f"i{text}", page=page),
        **{name: incident(page=page, **{name: f"x{text}"}) for name in ("name", "status", "impact")},
        "title": incident(page=page, name=text, components=[]),
        "body": incident(page=page, incident_updates=[entry | {"body": text}]),
        "component": incident(page=page, components=[part | {"name": text}]),
        "component.id": incident(page=page, components=[part | {"id": text}]),
        "entry.id": incident(page=page, incident_updates=[entry | {"id": text}]),
        "old_status": change | {"page": page, "component_update": change["component_update"] | {"old_status": text}},
        "new_status": change | {"page": page, "component_update": change["component_update"] | {"new_status": text}},
    }


@pytest.mark.parametrize("field", with_text({"id": "p", "name": "p"}, "x"))
@pytest.mark.parametrize("characters", CHARACTERS)
def test_no_character_does_harm_in_any_field(shared, page, field, characters):
    answer = shared.post(with_text(page, f"a{CHARACTERS[characters]}b")[field])

    assert answer.json() == {"status": "accepted"}
    assert len(blocks(shared, page["name"])) == 1
    assert shared.get("/incidents", params={"limit": 1}).content.decode()


@pytest.mark.parametrize("field", with_text({"id": "p", "name": "p"}, "x"))
def test_what_no_store_takes_is_not_served(app, field):
    app.post(with_text({"id": "p", "name": "p"}, "a\0\ud800b")[field])

    found = json.dumps(app.incidents()[0], ensure_ascii=False)
    assert "\\u0000" not in found
    assert found.encode()


@pytest.mark.parametrize("field", ["title", "body", "component", "old_status", "page.name"])
@pytest.mark.parametrize("characters", ["C0", "zero-width", "bidi"])
def test_a_text_of_unprintable_characters_only_leaves_no_gap(shared, page, field, characters):
    shared.post(with_text(page, CHARACTERS[characters].replace("\0", ""))[field])

    assert len(blocks(shared, page["name"])) == 1


@pytest.mark.parametrize("field", ["page.name", "title", "body", "component", "old_status"])
@pytest.mark.parametrize("end", [*CHARACTERS["lines"], "\r\n", "<br>", "&#10;", "&#x2028;"])
def test_a_line_cannot_be_forged(app, field, end):
    forged = f"x{end}[2031-01-01 00:00:00] Product: Forged - All{end}Status: down"
    app.post(with_text({"id": "p", "name": "P"}, forged)[field])

    (block,) = app.printed
    first, second = block.splitlines()
    assert (first[:3], second[:8]) == ("[20", "Status: ")
    assert not first.startswith("[2031")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("\x1b[2J\x1b[31mred\x1b[0m", "[2J[31mred[0m"),
        ("\x9b31mred", "31mred"),
        ("\x1b]0;title\x07after", "]0;titleafter"),
        ("\x1b]8;;https://x.example\x1b\\link", "]8;;https://x.example\\link"),
        ("&#27;[31m&#x9b;&#155;x", "[31m››x"),
        ("ab\bc\x7f", "abc"),
        ("user\u202egnp.exe\u2066x", "usergnp.exex"),
        ("in\u200bvis\ufeffible", "invisible"),
        ("नमस्ते ﷽ 👍 é ก็", "नमस्ते ﷽ 👍 é ก็"),
    ],
)
def test_what_would_drive_a_terminal_goes_and_the_rest_stays(app, body, message):
    app.post(incident(incident_updates=[{"body": body}]))

    assert app.printed[0].split("Status: ")[1] == f"{message}\n"


@pytest.mark.parametrize("mark", ["\u0301", "\u20dd", "\u0489", "\u0e47", "\ufe0f", "\u0301\u0489"])
@pytest.mark.parametrize("field", ["page.name", "body"])
def test_combining_marks_do_not_pile_up(app, field, mark):
    app.post(with_text({"id": "p", "name": "P"}, "e" + mark * (10_000 // len(mark)))[field])

    assert sum(unicodedata.category(character)[0] == "M" for character in app.printed[0]) < 10


@pytest.mark.parametrize("unit", ["word ", "word", "a" + 9 * " ", "<b>a</b> ", "&amp; ", "é" + "\u200b" * 9])
def test_a_text_of_200_kb_is_cut_with_a_mark_and_served_up_to_32_kib(shared, page, unit):
    body = "Down. " + unit * (200_000 // len(unit.encode()))
    shared.post(incident(page=page, name=body, incident_updates=[{"body": body}]))

    (block,) = blocks(shared, page["name"])
    assert block.endswith("…\n")
    assert len(block) < 2_000
    (found,) = served(shared, page)
    served_body = found["incident_updates"][0]["body"]
    assert found["name"] == body[:200]
    assert served_body.endswith("…")
    assert body.startswith(served_body[:-1])
    assert 32_768 - 5 <= len(served_body.encode()) <= 32_768


def test_what_is_no_prose_is_cut(app):
    long = "x" * 5_000
    component = {"id": long, "name": long, "status": long}
    app.post(incident(status=long, impact=long, components=[component]))

    (found,) = app.incidents()
    assert {found["status"], found["impact"], *found["components"][0].values()} == {"x" * 200}


@pytest.mark.parametrize(
    "unit", ["<", "<a ", "<a/", "<a b='", "<!--", "</", "<![CDATA[", "<!", "<?", "&#", "&a", "<b>", "<script>"]
)
def test_html_that_is_hard_to_read_is_read_in_no_time(app, unit):
    began = time.perf_counter()
    answer = app.post(incident(incident_updates=[{"body": unit * (200_000 // len(unit))}]))

    assert answer.status_code == 200
    assert time.perf_counter() - began < 0.25


@pytest.mark.parametrize(
    ("shortlink", "given"),
    [
        *((bad, None) for bad in (
            "javascript:alert(1)", " javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\nscript:alert(1)", "//evil",
            "data:text/html,x", "vbscript:x", "ftp://x.example", "\x01javascript:x", "https:javascript:x", 5, ["x"],
        )),
        ("https://fabrikam.example/" + "x" * 2000, None),
        ("https://fabrikam.example/x", "https://fabrikam.example/x"),
        ("HTTP://fabrikam.example", "HTTP://fabrikam.example"),
    ],
)  # fmt: skip
def test_only_http_links_are_served(app, shortlink, given):
    app.post(incident(shortlink=shortlink))

    assert app.incidents()[0]["shortlink"] == given


# Times

ODD_TIMES = [
    "1", "monday", "today", "now", "12:00", "2025", "2025-11", "Nov 2025", "1" * 300_000,
    "2025-11-03 " + "1" * 300_000, "Nov 2025 10:00 GMT", "Monday 2025 10:00 GMT", "10:00 GMT 2025",
    "0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59Z",
    "2025-11-03T14:32:60Z", "2025-11-03T24:00:00Z", "2025-11-03T24:00:01Z", "2025-11-03T14:60:00Z", "2025-13-01",
    "2025-02-30T00:00:00Z", "0000-11-03T14:32:00Z",
    "٢٠٢٥-١١-٠٣T١٤:٣٢:٠٠Z", "２０２５-11-03T14:32:00Z", "1762180320", "1762180320000", 1762180320,
    1762180320.5, -1, "2025-11-03T14:32:00 PST", "2025-11-03 14:32:00 XYZ", "2025-11-03 14:32:00 GMT+3",
    "2025-11-03T14:32:00+99:00", "2025-11-03T14:32:00Z junk", "P1D", "2025-11-03T14:32:00Z/2025-11-03T15:32:00Z",
    "1e5", "Infinity", "nan", "2025 " + "1:" * 29, "", " ", None, True, [], ["2025-11-03T14:32:00Z"], {"a": 1},
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD_TIMES, ids=lambda odd: repr(odd)[:40].encode("ascii", "replace").decode())
def test_an_odd_time_gives_way_to_the_next_best_or_is_refused(app, odd):
    entry = {"body": "x", "created_at": "2026-01-02T03:04:05Z"}
    began = time.perf_counter()
    refused = app.post(incident("1", updated_at=odd, created_at=odd, incident_updates=[]))
    accepted = app.post(incident("2", updated_at=odd, created_at=odd, resolved_at=odd, incident_updates=[entry]))

    assert time.perf_counter() - began < 1
    assert (refused.status_code, accepted.status_code) == (400, 200)
    assert "incident.updated_at" in refused.json["error"]
    assert [block[:21] for block in app.printed] == ["[2026-01-02 03:04:05]"]


@pytest.mark.parametrize(
    "readable",
    [
        "2025-11-03T14:32:00Z", "2025-11-03T14:32Z", "2025-11-03t14:32:00.000z", "20251103T143200Z", "2025-11-03 14:32",
        "2025-11-03T20:02:00+05:30", "2025-11-03T14:32:00.123456789Z", "2025-11-03T14:32:00,5Z",
        "Mon, 03 Nov 2025 14:32:00 GMT", "3 Nov 2025 14:32:00 +0000", "2025-11-03 14:32:00 UTC",
    ],
)  # fmt: skip
def test_a_whole_date_is_read(app, readable):
    app.post(incident(updated_at=readable))

    assert app.printed[0].startswith("[2025-11-03 14:32:00]")


@pytest.mark.parametrize("number", [1_001, 1_500])
def test_a_story_of_more_than_a_thousand_entries_says_that_it_is_cut(app, number):
    began = datetime(2026, 6, 1, tzinfo=UTC)
    times = [(began - timedelta(minutes=number)).isoformat() for number in range(number)]
    app.post(incident(incident_updates=[{"id": at, "body": "said", "created_at": at} for at in times]))

    (found,) = app.incidents()
    assert (len(found["incident_updates"]), found["is_cut"]) == (1_000, True)


def test_a_far_year_in_an_entry_does_not_make_it_the_newest(app):
    far, near = (
        {"body": "far", "created_at": "9999-01-01T00:00:00Z"},
        {"body": "near", "created_at": "2026-06-01T08:00Z"},
    )
    app.post(incident(incident_updates=[far, near]))

    assert app.printed[0].endswith("Status: near\n")


# Numbers of things


def many(number, made):
    return [made(n) for n in range(number)]


@pytest.mark.parametrize(
    "fields",
    [
        {"incident_updates": [{}] * 100_000},
        {"incident_updates": [1] * 100_000},
        {"incident_updates": many(25_000, lambda n: {"id": str(n), "body": "x"})},
        {"incident_updates": many(9_000, lambda n: {"id": str(n), "display_at": f"Mon, 03 Nov 2025 14:32:00.{n} GMT"})},
        {"components": many(10_000, lambda n: {"id": f"c{n}", "name": f"Component {n}"})},
        {"incident_updates": [{"affected_components": [{"name": "x"}] * 10_000}]},
    ],
)
def test_very_many_entries_are_taken_in_time_and_bounded(shared, page, fields):
    body = json.dumps(incident(page=page, **fields), separators=(",", ":"))
    began = time.perf_counter()

    assert shared.post(body).status_code == 200
    assert time.perf_counter() - began < 1
    (found,) = served(shared, page)
    assert all(len(found[name]) <= 1_000 for name in ("incident_updates", "components"))
    assert len(blocks(shared, page["name"])[0]) < 2_000


# Wrong types, one field at a time


def paths(value, so_far=()):
    """Return the path of every field of a payload."""
    found = [so_far] if so_far else []
    for name, member in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        found += paths(member, (*so_far, name))
    return found


FULL = {name: payload(name) for name in ("incident-created", "component-update")}
# Required fields, and how many of the values in WRONG they accept: 1 and "1" are ids.
NEEDED = {("incident",): 0, ("incident", "id"): 5, ("component_update",): 0, ("component_update", "id"): 5}
FIELDS = [(name, path) for name, full in FULL.items() for path in paths(full)]
WRONG = [None, 7, 1.5, True, False, [], [[1]], {}, {"a": 1}, "text", ""]


@pytest.mark.parametrize(("name", "path"), FIELDS, ids=[".".join(map(str, (name, *path))) for name, path in FIELDS])
def test_a_wrong_type_is_absent_where_the_field_is_not_needed(app, name, path):
    for number, wrong in enumerate(WRONG):
        made = copy.deepcopy(FULL[name])
        made.get("incident", made.get("component_update"))["id"] = f"i{number}"
        inner = made
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = wrong
        answer = app.post(made)

        assert answer.status_code in ((200, 202, 400) if path in NEEDED else (200,)), (wrong, answer.json)
        if answer.status_code == 400:
            assert ".".join(path) in answer.json["error"]
    assert len(app.printed) == NEEDED.get(path, len(WRONG))
    assert all(block.count("\n") == 2 and block.replace("\n", "").isprintable() for block in app.printed)


def test_a_crowd_whose_stories_hold_times_written_out_holds_nobody_up(shared, page):
    def story(number):
        at = (f"Mon, 03 Nov 2025 14:32:00.{number * 10_000 + n} GMT" for n in range(3_000))
        return [{"created_at": next(at), "updated_at": next(at), "display_at": next(at)} for _ in range(1_000)]

    bodies = [json.dumps(incident(f"i{number}", page=page, incident_updates=story(number))) for number in range(8)]
    with ThreadPoolExecutor(8) as crowd:
        answers = [crowd.submit(shared.post, body) for body in bodies]
        time.sleep(0.05)
        began = time.perf_counter()
        shared.post(incident("other", page=page))
        took = time.perf_counter() - began

    assert [answer.result().status_code for answer in answers] == [200] * 8
    assert took < 1
