"""`GET /status`: an open incident of what is needed is trouble, an unheard page is unknown, only the rest is ok."""

import random
import time

import pytest

from monitor.senders.pages import KnownPage, pages_of
from tests.conftest import InProcess, incident

GITHUB, OPENAI = {"id": "gh1", "name": "GitHub"}, {"id": "oa1", "name": "OpenAI"}
ACTIONS, PULLS = {"id": "c-act", "name": "Actions"}, {"id": "c-pull", "name": "Pulls"}


def told(app, incident_id, page=GITHUB, components=(ACTIONS,), **fields):
    fields = {"shortlink": f"https://stspg.io/{incident_id}", "components": list(components)} | fields
    assert app.post(incident(incident_id, page=page, **fields)).status_code == 200


def changed(app, name, status, at="2026-06-01T09:00:00Z", page=GITHUB):
    change = {"id": f"{name}{status}{at}", "new_status": status, "component_id": name, "created_at": at}
    body = {"page": page, "component_update": change, "component": {"id": name, "name": name, "status": status}}
    assert app.post(body).status_code == 200


def ask(app, *needs, **parameters):
    return app.get("/status", query_string={"needs": list(needs), **parameters})


def status(app, *needs, **parameters):
    return ask(app, *needs, **parameters).json["status"]


def test_open_incidents_are_trouble_listed_worst_first_with_link_and_begin(app):
    told(app, "i1", impact="minor", created_at="2026-06-01T07:00:00Z")
    told(app, "i2", impact="critical", name="Jobs do not start", created_at="2026-06-01T06:00:00Z")
    told(app, "i3", OPENAI, status="resolved")

    answer = ask(app)

    assert (answer.status_code, answer.json["status"]) == (200, "trouble")
    assert [(one["id"], one["impact"], one["since"], one["link"]) for one in answer.json["open"]] == [
        ("i2", "critical", "2026-06-01T06:00:00.000Z", "https://stspg.io/i2"),
        ("i1", "minor", "2026-06-01T07:00:00.000Z", "https://stspg.io/i1"),
    ]
    assert answer.json["open"][0]["components"] == ["Actions"]
    assert [page["name"] for page in answer.json["pages"]] == ["GitHub", "OpenAI"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_page_that_only_pushes_is_ok_with_the_time_it_was_heard(app):
    told(app, "i1", status="resolved")

    answer = ask(app, "GitHub").json

    assert (answer["status"], answer["open"], answer["unknown"]) == ("ok", [], [])
    assert answer["pages"][0]["heard_at"] > "2026"


def test_a_monitor_that_heard_no_page_is_unknown(app):
    assert status(app) == "unknown"


def test_an_unknown_name_is_unknown_with_the_nearest_names(app):
    told(app, "i1", OPENAI, status="resolved")

    answer = ask(app, "OpenAl/Codex", "OpenAI").json

    assert answer["status"] == "unknown"
    (unknown,) = answer["unknown"]
    assert (unknown["needs"], unknown["nearest"]) == ("OpenAl/Codex", ["OpenAI"])


def test_a_component_that_no_incident_named_is_unknown_with_the_nearest_names(app):
    told(app, "i1", status="resolved")

    answer = ask(app, "GitHub/Actoins").json

    assert (answer["status"], answer["unknown"][0]["nearest"]) == ("unknown", ["Actions"])


def test_a_page_whose_last_poll_failed_is_unknown_until_a_poll_succeeds(app):
    told(app, "i1", status="resolved")
    polled = KnownPage("https://status.github.example", "GitHub")
    pages_of(app.application).polled(polled, "gh1", "it answered 500")
    failed = ask(app, "GitHub").json
    pages_of(app.application).polled(polled, "gh1", None)

    assert (failed["status"], status(app, "GitHub")) == ("unknown", "ok")
    assert "it answered 500" in failed["unknown"][0]["reason"]


@pytest.mark.parametrize("problem", ["no answer", None])
def test_a_polled_page_that_was_never_heard_is_unknown(app, problem):
    told(app, "i1", status="resolved")
    pages_of(app.application).polled(KnownPage("https://status.contoso.example", "Contoso"), None, problem)

    assert [status(app, name) for name in ("GitHub", "Contoso")] == ["ok", "unknown"]
    assert status(app) == "unknown"
    assert len(ask(app, "Contoso/Sign-in").json["unknown"]) == 1  # of its components nothing can be known either


def test_a_page_of_monitor_pages_that_was_never_heard_is_unknown(app):
    pages_of(app.application).remember("ct1", "Contoso")  # as MONITOR_PAGES does

    answer = ask(app, "contoso").json

    assert (answer["status"], answer["unknown"][0]["reason"]) == ("unknown", "was never heard")


def test_trouble_outranks_unknown(app):
    told(app, "i1")

    assert status(app, "GitHub", "Contoso") == "trouble"


def test_only_needed_pages_and_components_count(app):
    told(app, "i1")
    told(app, "i2", OPENAI, status="resolved")
    told(app, "i3", components=[PULLS], status="resolved")

    found = {need: status(app, need) for need in ("GitHub", "GitHub/Actions", "GitHub/Pulls", "OpenAI")}

    assert found == {"GitHub": "trouble", "GitHub/Actions": "trouble", "GitHub/Pulls": "ok", "OpenAI": "ok"}
    assert status(app, "OpenAI", "GitHub/Pulls") == "ok"
    assert status(app, "OpenAI", "GitHub/Actions") == "trouble"


@pytest.mark.parametrize("need", ["github/ACTIONS", "gh1/c-act", "GitHub/c-act", "GH1"])
def test_a_need_is_a_name_or_an_id_in_any_case(app, need):
    told(app, "i1")

    assert status(app, need) == "trouble"


def test_the_longest_known_page_name_wins(app):
    told(app, "i1", {"id": "a", "name": "Acme"}, [{"id": None, "name": "EU/API"}], status="resolved")
    told(app, "i2", {"id": "b", "name": "Acme/EU"}, [{"id": None, "name": "API"}])

    assert [page["id"] for page in ask(app, "Acme/EU/API").json["pages"]] == ["b"]
    assert [status(app, need) for need in ("Acme/EU/API", "Acme/EU", "Acme")] == ["trouble", "trouble", "ok"]


def test_a_name_may_contain_commas_and_slashes(app):
    told(app, "i1", {"id": "a", "name": "Acme, Inc."}, [{"id": None, "name": "CI/CD, Runners"}])

    assert status(app, "Acme, Inc./CI/CD, Runners") == "trouble"


def test_a_component_change_is_trouble_until_the_next_change(app):
    changed(app, "Actions", "major_outage")
    broken = ask(app, "GitHub/Actions").json
    changed(app, "Actions", "operational", "2026-06-01T10:00:00Z")

    assert (broken["status"], broken["open"][0]["impact"]) == ("trouble", "critical")
    assert status(app, "GitHub/Actions") == "ok"


def test_a_component_change_is_hidden_by_an_incident_of_the_component_that_is_at_least_as_bad(app):
    changed(app, "Actions", "partial_outage")
    told(app, "i1", components=[{"id": "Actions", "name": "Actions"}], impact="minor")
    worse = [one["impact"] for one in ask(app, "GitHub").json["open"]]
    told(app, "i2", components=[{"id": "Actions", "name": "Actions"}], impact="major")

    assert worse == ["major", "minor"]
    assert [one["id"] for one in ask(app, "GitHub").json["open"]] == ["i2", "i1"]


def test_a_component_change_is_not_hidden_by_an_incident_of_another_component_with_the_same_name(app):
    changed(app, "Actions", "partial_outage")
    told(app, "i1", components=[ACTIONS], impact="critical")

    assert [one["impact"] for one in ask(app, "GitHub").json["open"]] == ["critical", "major"]


def test_a_maintenance_is_trouble_only_while_it_is_under_way_and_fail_names_it(app):
    times = {"scheduled_for": "2026-06-01T09:00:00Z", "scheduled_until": "2026-06-01T12:00:00Z"}
    told(app, "m1", status="scheduled", impact="maintenance", **times)
    ahead = ask(app, "GitHub", fail="maintenance")
    told(app, "m1", status="in_progress", impact="maintenance", updated_at="2026-06-01T09:00:00Z", **times)
    under_way, failing = ask(app, "GitHub"), ask(app, "GitHub", fail="maintenance")

    assert (ahead.status_code, ahead.json["status"], ahead.json["open"]) == (200, "ok", [])
    assert (under_way.status_code, under_way.json["status"]) == (200, "ok")
    assert [one["impact"] for one in under_way.json["open"]] == ["maintenance"]
    assert (failing.status_code, failing.json["status"]) == (503, "trouble")


@pytest.mark.parametrize(
    ("impact", "failing"),
    [
        ("critical", {"critical", "major", "minor", "maintenance", "none"}),
        ("major", {"major", "minor", "maintenance", "none"}),
        ("minor", {"minor", "maintenance", "none"}),
        (None, {"minor", "maintenance", "none"}),
        ("none", {"none"}),
    ],
)
def test_the_answer_is_503_from_the_impact_in_fail_on(app, impact, failing):
    told(app, "i1", impact=impact)

    answers = {fail: ask(app, fail=fail) for fail in ("critical", "major", "minor", "maintenance", "none")}

    assert {fail for fail, answer in answers.items() if answer.status_code == 503} == failing
    assert all(answer.status_code in (200, 503) for answer in answers.values())
    assert all(answer.json["status"] == "trouble" for fail, answer in answers.items() if fail in failing)
    assert ask(app).status_code == 200


def test_an_impact_below_fail_does_not_hide_an_unknown_page(app):
    told(app, "i1", impact="minor")

    answer = ask(app, "GitHub", "Contoso", fail="major")

    assert (answer.status_code, answer.json["status"]) == (200, "unknown")


def test_text_is_one_line_that_begins_with_the_status(app):
    told(app, "i1", name="Jobs\n\x1b[31m wait", created_at="2026-06-01T07:00:00Z")
    told(app, "i2", OPENAI, status="resolved")

    lines = [ask(app, *needs).status_code and text(app, *needs) for needs in ([], ["OpenAI"], ["Contoso"])]

    assert lines[0] == (
        "trouble: GitHub - Jobs [31m wait (minor since 2026-06-01T07:00:00.000Z, https://stspg.io/i1)\n"
    )
    assert lines[1].startswith("ok: nothing is open; OpenAI heard at 20")
    assert lines[2] == "unknown: Contoso is no page that is known\n"


def text(app, *needs):
    answer = app.get("/status", query_string={"needs": needs}, headers={"Accept": "text/plain"})
    assert answer.mimetype == "text/plain"
    return answer.text


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("fail=bad", "fail is not one of critical, major, minor, maintenance, none"),
        ("fail=major&fail=minor", "fail"),
        ("need=GitHub", "need"),
        ("needs=", "needs is empty"),
        ("needs=" + "a/" * 251, "longer than 500"),
        ("&".join(["needs=a"] * 51), "more than 50"),
    ],
)
def test_a_bad_parameter_is_refused_and_named(app, query, named):
    answer = app.get(f"/status?{query}")

    assert (answer.status_code, named in answer.json["error"]) == (400, True)


def test_the_status_is_guarded_by_the_read_token_and_answers_head():
    app = InProcess({"READ_TOKEN": "r"})

    assert [app.get(f"/status{query}").status_code for query in ("", "?token=r")] == [401, 200]
    head = app.application.test_client().head("/status?token=r")
    assert (head.status_code, head.data, int(head.headers["Content-Length"]) > 0) == (200, b"", True)


def test_an_answer_is_bounded_however_much_is_open(app):
    for number in range(501):
        told(app, f"i{number}", name="\U0001f525" * 300, components=[{"name": f"{n}" * 200} for n in range(9)])

    answer = ask(app, "GitHub/" + "8" * 200)

    assert (len(answer.json["open"]), answer.json["open_left_out"]) == (50, 450)
    assert len(answer.data) < 1024 * 1024
    assert "500 incidents or more are open" in answer.json["unknown"][0]["reason"]


def test_the_nearest_of_many_long_names_are_found_quickly(app):
    letters = random.Random(1)
    told(app, "i1", components=[ACTIONS, *({"name": "".join(letters.choices("abcdefgh", k=200))} for _ in range(199))])
    pages_of(app.application).remember("gh1", "GitHub")
    for number in range(10_000):
        pages_of(app.application).remember(f"p{number}", "".join(letters.choices("abcdefgh", k=200)))
    began = time.monotonic()

    unknown = ask(app, "GitHbu", "GitHub/Action", "abcdefgh" * 25, "hgfedcba" * 25, "GitHub/" + "abcdefgh" * 25)

    nearest = {one["needs"]: one["nearest"] for one in unknown.json["unknown"]}
    assert (nearest["GitHbu"], nearest["GitHub/Action"]) == (["GitHub"], ["Actions"])
    assert time.monotonic() - began < 1.5
