"""The dashboard over HTTP: what is on the page, for whom, how large and how safe. Another file opens it in Chromium."""

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from html import unescape
from html.parser import HTMLParser
from urllib.parse import parse_qs

import pytest

from monitor.pipeline import pipeline_of
from monitor.senders.pages import KnownPage, pages_of
from monitor.updates.impacts import IMPACTS
from tests.conftest import ROOT, InProcess, incident, with_clock

HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}\u202e\x1b[31m\u200b&lt;b&gt;"


def ago(**units):
    return (datetime.now(UTC) - timedelta(**units)).isoformat()


def running(incident_id="i1", **fields):
    return incident(incident_id, **({"created_at": ago(hours=2, seconds=30), "updated_at": ago(minutes=5)} | fields))


def ended(incident_id="i1", **fields):
    return running(incident_id, status="resolved", resolved_at=ago(minutes=30), **fields)


def maintenance(incident_id="m1", **fields):
    return running(incident_id, impact="maintenance", **({"status": "scheduled", "name": "New disks"} | fields))


def component(status, at, change="c1"):
    change = {"id": change, "component_id": "c1", "created_at": at, "new_status": status, "old_status": "operational"}
    return {"page": {"id": "p1", "name": "Fabrikam"}, "component": {"id": "c1", "name": "Sign-in"}} | {
        "component_update": change
    }


class Reader(HTMLParser):
    """Parse a page into the text of each section, by its heading's id, links and elements; no tooltips, no footer."""

    def __init__(self, text):
        super().__init__()
        self.sections, self.links, self.elements = {None: ""}, [], []
        self._section, self._is_tooltip, self._is_footer = None, False, False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.elements.append((tag, given))
        self._is_tooltip = tag == "title"
        self._is_footer = self._is_footer or tag == "footer"
        if tag == "section":
            self._section = given["aria-labelledby"]
            self.sections[self._section] = ""
        if tag == "a" and not self._is_footer:
            self.links.append(given["href"])

    def handle_data(self, text):
        self.sections[self._section] += "" if self._is_tooltip or self._is_footer else text

    def handle_endtag(self, tag):
        self._is_tooltip = False

    def __getitem__(self, section):
        return " ".join(self.sections[section].split())


def page(app, query=""):
    answer = app.get(f"/{query}")
    assert answer.status_code == 200, answer.text
    return Reader(answer.text)


def test_what_is_broken_stands_first_with_since_when_and_what_was_last_said(app):
    app.post(running("worse", impact="critical", name="All is down"))
    app.post(running("old", impact="minor"))
    app.post(ended("over", name="It was slow"))

    shown = page(app)

    assert shown["broken"].startswith("Broken now: 2 on 1 page Critical Fabrikam All is down for 2 h since")
    assert "Investigating Some people cannot sign in" in shown["broken"]
    assert shown["broken"].index("Critical") < shown["broken"].index("Minor")
    assert "It was slow" not in shown["broken"]
    assert "Minor Fabrikam It was slow took 1 h 30 min" in shown["ended"]


def test_a_page_has_a_tile_with_the_word_of_its_worst_open_incident(app):
    app.post(running("a", impact="minor"))
    app.post(running("b", impact="major"))
    app.post(ended("c", page={"id": "p2", "name": "Contoso"}))

    assert re.fullmatch(
        r"Pages Fabrikam Major 2 incidents 90 days ago Today Major on \d days? Pushed just now, "
        r"last update took [\d a-z]+ to arrive 1 page is well: Contoso Contoso Operational 90 days ago "
        r"Today Minor on \d days? Pushed just now(, last update took [\d a-z]+ to arrive)?",
        page(app)["pages"],
    )


def test_maintenance_is_announced_and_is_nothing_broken(app):
    app.post(maintenance(scheduled_for=ago(hours=-26, seconds=-30), scheduled_until=ago(hours=-28)))
    app.post(maintenance("m2", status="in_progress", scheduled_for=ago(minutes=20), name="New cables"))

    shown = page(app)

    assert shown["broken"] == "Nothing is broken"
    assert "Fabrikam Maintenance" in shown["pages"]
    assert re.search("New cables for 20 min .* New disks in 1 day 2 h", shown["maintenance"])


def test_a_component_is_broken_from_its_own_word_to_its_own_word(app):
    app.post(component("major_outage", ago(minutes=10)))
    down = page(app)
    app.post(component("operational", ago(minutes=5), "c2"))

    assert "Critical Fabrikam Sign-in for 10 min" in down["broken"]
    assert "Fabrikam Critical" in down["pages"]
    assert page(app)["broken"] == "Nothing is broken"


@pytest.mark.parametrize("query", ["", "?page=fabrikam", "?page=p1", "?component=sign-in", "?impact=critical"])
def test_a_component_outage_is_open_critical_and_counted_everywhere(app, query):
    app.post(component("major_outage", ago(minutes=10)))

    shown = page(app, query)

    assert "<title>1 broken ·" in app.get(f"/{query}").text
    assert re.match(r"Broken now[^:]*: 1 (on 1 page )?Critical Fabrikam Sign-in", shown["broken"])
    assert re.match(r"Pages Fabrikam Critical 90 days ago Today Critical on \d days?", shown["pages"])
    assert "critical" in [given.get("class") for tag, given in shown.elements if tag == "path"]
    for listed in ("status=open", "status=major_outage", "since=2020-01-01", "id=c1"):
        assert "Critical Fabrikam Sign-in" in page(app, f"{query or '?'}&{listed}".replace("?&", "?"))["incidents"]


def test_a_component_outage_that_is_over_is_among_what_ended(app):
    app.post(component("major_outage", ago(minutes=10)))
    app.post(component("operational", ago(minutes=5), "c2"))

    assert re.search("ended Critical Fabrikam Sign-in took 5 min", page(app)["ended"])
    assert page(app)["ended"].count("Sign-in") == 1


def test_a_component_is_hidden_while_an_open_incident_that_is_as_bad_names_it_and_only_in_what_is_broken(app):
    app.post(component("major_outage", ago(minutes=10)))
    app.post(running())
    less_bad = page(app)
    app.post(running(impact="critical", updated_at=ago(minutes=4)))
    as_bad, listed = page(app), page(app, "?status=open")
    app.post(running(impact="critical", status="resolved", updated_at=ago(minutes=3)))

    assert less_bad["broken"].startswith("Broken now: 2 on 1 page Critical Fabrikam Sign-in for 10 min")
    assert as_bad["broken"].startswith("Broken now: 1 on 1 page Critical Fabrikam Sign-in errors")
    assert listed["incidents"].count("Critical Fabrikam Sign-in") == 2
    assert page(app)["broken"].startswith("Broken now: 1 on 1 page Critical Fabrikam Sign-in for 10 min")


def test_a_component_that_an_incident_calls_operational_is_no_longer_broken(app):
    app.post(component("major_outage", ago(minutes=10)))
    app.post(ended(updated_at=ago(minutes=1), components=[{"id": "c1", "name": "Sign-in", "status": "operational"}]))

    assert page(app)["broken"] == "Nothing is broken"


def test_a_component_under_maintenance_is_announced_and_is_nothing_broken(app):
    app.post(component("under_maintenance", ago(minutes=10)))

    assert page(app)["broken"] == "Nothing is broken"
    assert page(app)["maintenance"].startswith("Maintenance Maintenance Fabrikam Sign-in for 10 min")


def test_a_page_is_found_whole_by_its_name_in_any_case_also_what_came_before_it_was_named(app):
    app.post(running("a", name="Unnamed", page={"id": "p7"}))
    app.post(running("b", name="Named", page={"id": "p7"}), "/webhook/statuspage?page=Northwind")

    for query in ("?page=NORTHWIND", "?page=p7"):
        shown = page(app, query)
        assert "Northwind Unnamed" in shown["broken"]
        assert "Northwind Named" in shown["broken"]
        assert "Northwind Unnamed" in shown["latest"].replace("Northwind", "Northwind ").replace("  ", " ")
        assert ("option", {"value": "Northwind", "selected": None}) in shown.elements
        assert shown["broken"].startswith("Broken now on Northwind: 2")


@pytest.mark.parametrize("query", ["?page=Fabricam", "?page=Fabricam&status=open"])
def test_a_name_that_nobody_knows_is_said_to_be_unknown_with_the_nearest(app, query):
    app.post(running())

    shown = page(app, query)

    assert "Nothing is broken" not in app.get(f"/{query}").text
    assert shown["unknown"].startswith("Unknown page: Fabricam Did you mean Fabrikam?")
    assert (
        "Broken now on Fabrikam: 1"
        in page(app, next(link for link in shown.links if "Fabrikam" in link).split("&")[0])["broken"]
    )


def test_a_page_that_cannot_be_reached_is_unknown_and_never_well(app):
    app.post(ended())
    pages_of(app.application).polled(KnownPage("https://status.example"), "p1", "answers 503")
    pages_of(app.application).polled(KnownPage("https://other.example"), None, "no answer within 10 s")

    shown, other = page(app), page(app, "?page=other.example")
    app.post(running("i2"))

    assert shown["broken"] == "Nothing is known to be broken: 2 pages cannot be reached"
    assert "Unknown 90 days ago Today answers 503" in shown["pages"]
    assert "Operational" not in shown["pages"]
    assert other["broken"] == "Nothing is known to be broken on other.example: 1 page cannot be reached"
    assert "other.example Unknown 90 days ago Today no answer within 10 s Not heard yet" in other["pages"]
    assert "Minor" in page(app)["pages"]


def test_a_clock_past_2106_breaks_no_page(start):
    # Past 2262 Python's own time.time() raises.
    monitor = start(command_before=with_clock(FAKETIME="+84y"))
    monitor.post(incident(created_at="1970-01-02T00:00:00Z"))

    for query in ("", "?status=open", "?id=i1"):
        assert "Sign-in errors" in page(monitor, query)["broken" if not query else "incidents"]


def test_whatever_a_provider_writes_is_text(app):
    hostile = running(
        page={"id": HOSTILE, "name": HOSTILE},
        incident_id=HOSTILE,
        name=HOSTILE,
        status=HOSTILE,
        impact=HOSTILE,
        shortlink="javascript:alert(1)",
        components=[{"name": HOSTILE, "status": HOSTILE}],
        incident_updates=[{"body": HOSTILE, "status": HOSTILE}],
    )
    app.post(hostile)
    app.post(ended("past", page=hostile["page"], **{n: v for n, v in hostile["incident"].items() if n == "name"}))

    for query in ("", "?id=past", "?status=resolved"):
        answer = app.get(f"/{query}")
        shown = Reader(answer.text)
        tags = [tag for tag, _ in shown.elements]
        assert tags.count("script") == tags.count("img") == 1
        assert not [name for _, given in shown.elements for name in given if name == "style" or name.startswith("on")]
        assert {link.split("?")[0] for link in shown.links} == {"", "#main"}
        assert "<script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}[31m" in "".join(shown.sections.values())
        assert not set("\u202e\x1b\u200b") & set(answer.text)


def test_a_link_to_the_provider_is_one_of_the_web_and_of_bounded_length(app):
    app.post(running("a", shortlink="https://stspg.io/a"))
    app.post(running("b", shortlink="data:text/html,<script>"))
    app.post(running("c", shortlink="https://stspg.io/" + 3000 * "c"))

    links = [a for tag, a in page(app).elements if tag == "a" and ":" in a["href"]]

    assert links == [{"href": "https://stspg.io/a", "rel": "noopener noreferrer nofollow"}]


@pytest.mark.parametrize(
    "query",
    ["page=Contoso", "page=p2", "component=Uploads", "impact=major", "page=Contoso&impact=&component=&status="],
)
def test_a_filter_narrows_the_page_and_an_empty_one_does_not(app, query):
    app.post(running("a", name="Here"))
    app.post(running("b", name="There", impact="major", page={"id": "p2", "name": "Contoso"},
                     components=[{"id": "c2", "name": "Uploads"}]))  # fmt: skip

    narrowed, whole = page(app, f"?{query}"), page(app, "?page=&component=&impact=&status=")

    for section in ("broken", "latest"):
        assert "Contoso" in narrowed[section]
        assert "Fabrikam" not in narrowed[section]
        assert "Fabrikam" in whole[section]
        assert "Contoso" in whole[section]


def test_what_ended_last_stands_first_however_long_it_took(app):
    def over(incident_id, name, began, ended):
        end = {"updated_at": ended, "resolved_at": ended, "status": "resolved"}
        app.post(running(incident_id, name=name, created_at=ago(days=began), incident_updates=[], **end))

    over("long", "Long", 20, ago(minutes=1))
    for day in range(2, 12):
        over(f"i{day}", "Short", day, ago(days=day - 1))

    assert page(app)["ended"].startswith("Recently ended Minor Fabrikam Long")


def test_a_state_asks_for_a_listing_that_goes_on(app):
    for number in range(60):
        app.post(ended(f"i{number}", name=f"Number {number:02}", created_at=ago(days=2, minutes=60 - number)))

    first = page(app, "?status=resolved&impact=minor")
    (older,) = [link for link in first.links if "cursor" in link]
    rest = page(app, older)

    assert first["incidents"].startswith("Incidents of impact minor: Resolved Minor Fabrikam Number 59")
    assert set(parse_qs(older[1:])) == {"status", "impact", "cursor"}
    assert len(re.findall("Number", first["incidents"] + rest["incidents"])) == 60
    assert not [link for link in rest.links if "cursor" in link]


def test_a_bad_filter_is_refused_and_named(app):
    for query in ("status=broken", "impact=huge", "nothing=1", "page=a&page=b", "limit=0", "cursor=x"):
        answer = app.get(f"/?{query}")

        assert answer.status_code == 400
        assert re.split("=| ", query)[0] in answer.get_json()["error"]


def test_a_bad_filter_in_a_browser_is_a_page_that_says_so(app):
    for query in ("status=broken", "day=yesterday", "day=9999-12-31", "day=2026-01-01&day=2026-01-02"):
        answer = app.get(f"/?{query}", headers={"Accept": "text/html"})

        assert answer.status_code == 400
        assert f"This filter is not valid {query.split('=')[0]} is" in Reader(answer.text)["refused"]


def test_what_is_equally_bad_stands_newest_first_components_among_incidents(app):
    app.post(running("a", name="Older", impact="major"))
    app.post(component("partial_outage", ago(minutes=10)) | {"page": {"id": "p2", "name": "Contoso"}})
    app.post(running("b", name="Worse", impact="critical", created_at=ago(days=3)))

    assert re.search("Worse.*Contoso Sign-in.*Older", page(app)["broken"])


def test_updates_are_in_the_order_of_the_times_that_they_show(app):
    app.post(running("a", name="Second", updated_at=ago(minutes=20)))
    app.post(running("b", name="First", updated_at=ago(minutes=3, seconds=5)))
    app.post(running("c", name="Third", updated_at=ago(hours=5)))

    latest = page(app)["latest"]

    assert re.search("3 min ago .*First.* 20 min ago .*Second.* 5 h ago .*Third", latest)


@pytest.mark.parametrize("query", ["?component=sign-in", "?impact=minor", "?page=p1", "?page=p1&impact=critical"])
def test_a_tile_is_the_same_whatever_the_filter(app, query):
    app.post(running())
    app.post(running("b", impact="major", components=[{"id": "c2", "name": "Uploads"}]))

    def tile(query):
        return re.search("Pages (Fabrikam Major .* Pushed just now)", page(app, query)["pages"])[1]

    assert tile(query) == tile("")


def test_components_are_offered_and_an_unknown_one_is_said_to_be_so(app):
    app.post(running())
    app.post(ended("b", components=[{"id": "c2", "name": "Uploads"}], page={"id": "p2", "name": "Contoso"}))

    shown, unknown = page(app), page(app, "?component=uplaods")
    offered = [given["value"] for tag, given in shown.elements if tag == "option" and given.keys() == {"value"}]

    assert {"Sign-in", "Uploads"} <= set(offered)
    assert unknown["unknown"].startswith("Unknown component: uplaods Did you mean Uploads?")
    assert page(app, "?page=Contoso&component=Sign-in")["unknown"].startswith("Unknown component of Contoso: Sign-in")
    assert page(app, "?component=c2")["broken"] == "Nothing is broken in c2"


def test_each_day_of_a_page_is_a_link_to_what_happened_on_it(app):
    app.post(running("a", name="Over", created_at=ago(days=4), updated_at=ago(days=3), status="resolved"))
    app.post(running("b", name="Later"))
    app.post(component("major_outage", ago(days=5)))

    shown = page(app, "?page=p1")
    days = [given for tag, given in shown.elements if tag == "a" and "day=" in given["href"]]
    on = {given["href"].split("day=")[1]: given for given in days}
    day = page(app, on[ago(days=3)[:10]]["href"])

    assert len(days) == len(on) == 90
    assert on[ago(days=3)[:10]]["title"].endswith(": Critical")
    assert on[ago(days=20)[:10]]["title"].endswith(": No incident known")
    assert re.match(r"Fabrikam on \d+ \w+ \d{4} Critical Fabrikam Sign-in.* Minor Fabrikam Over", day["incidents"])
    assert "Later" not in day["incidents"]
    assert ago(days=2)[:10] in day.links[[link.count("day=") for link in day.links].index(1) + 1]
    assert "No incident is known for this day" in page(app, on[ago(days=20)[:10]]["href"])["incidents"]
    for end in ("1970-01-01", "2099-12-31"):
        assert "No incident is known for this day" in page(app, f"?day={end}")["incidents"]


def test_a_page_says_when_and_how_it_was_last_heard_and_one_that_is_silent_is_not_simply_well(app):
    app.post(ended())
    app.post(ended("b", page={"id": "p2", "name": "Contoso"}))
    pages_of(app.application).polled(KnownPage("https://status.example"), "p2", None)
    for known in pipeline_of(app.application).history._pages.values():
        known.pushed_at -= timedelta(days=8)

    shown = page(app)["pages"]

    assert "1 page without news for a week: Fabrikam Fabrikam No news" in shown
    assert re.search(r"Pushed 8 days ago(, last .+)? 1 page is well: Contoso Contoso Operational", shown)
    assert "Pushed 8 days ago, polled just now" in shown


def test_quiet_pages_fold_into_one_line(app):
    for number in range(8):
        app.post(ended("a", page={"id": f"p{number}", "name": f"Page {number}"}))

    shown = page(app)

    assert "8 pages are well: Page 0, Page 1, Page 2 and 5 more" in shown["pages"]
    assert ("details", {"class": "folded", "id": "well"}) in shown.elements


def test_the_page_bears_the_title_that_is_set_and_a_bad_one_is_refused():
    text = InProcess({"TITLE": " Northwind <status> "}).get("/").text

    assert text.count("Northwind &lt;status&gt;") == 2
    for bad in ("", " ", "a\nb", 101 * "x"):
        with pytest.raises(ValueError, match="MONITOR_TITLE is not a text"):
            InProcess({"TITLE": bad})


def test_the_footer_and_the_head_name_where_else_it_can_be_read(start):
    monitor = start(environment={"MONITOR_READ_TOKEN": "t0k"})
    monitor.post(running())

    text = monitor.get("/?token=t0k&page=p1").text
    links = re.findall(r'<a href="([^"]+)">(Feed|Calendar|API)</a>', text)
    (feed,) = re.findall(r'<link rel="alternate" type="application/atom\+xml" title="Updates" href="([^"]+)">', text)

    assert len(links) == 3
    assert "event_monitor 1.0.0" in text
    for address in (*[address for address, _ in links], unescape(feed)):
        assert monitor.get(f"/{address}").status_code == 200
    assert parse_qs(unescape(feed).split("?")[1]) == {"token": ["t0k"], "page": ["p1"]}


def test_the_overview_stays_under_a_mebibyte_with_a_thousand_hostile_names(app):
    for number in range(1_000):
        name = f"{number}" + 196 * '"' if number % 2 else f"{number}" + 196 * "\U0001f525"
        fields = {"name": name, "shortlink": "https://x.example/" + 1_900 * "&"}
        broken = [{"id": name[:60], "name": name, "status": "partial_outage"}]
        app.post(running(name, page={"id": name, "name": name}, components=broken, **fields))

    for query in ("", "?impact=minor"):
        assert len(app.get(f"/{query}").data) < 1024 * 1024


def test_a_long_story_is_whole_at_its_own_address(app):
    entries = [{"id": f"u{n}", "body": f"Step {n}.", "created_at": ago(minutes=200 - n)} for n in range(100)]
    app.post(running("a&b?", incident_updates=entries))

    brief = page(app)
    address = next(link for link in brief.links if "id=" in link)

    assert "Step 80. 80 earlier entries" in brief["broken"]
    assert "Step 0. Link to this incident" in page(app, address)["incidents"]


def test_the_page_stays_small_whatever_is_open(app):
    entries = [{"id": f"u{n}", "body": 5_000 * "<p>&#x27;<p>", "created_at": ago(minutes=n)} for n in range(3)]
    for number in range(120):
        of = {"id": f"p{number}", "name": 5000 * "page"}
        fields = {"name": 1000 * "name", "incident_updates": entries, "shortlink": "https://x.example/" + 5000 * "x"}
        app.post(running(f"i{number}", page=of, **fields))

    answer = app.get("/")

    assert "70 more: all open incidents" in page(app)["broken"]
    assert len(answer.data) < 1_000_000


def test_a_story_at_its_own_address_is_bounded_and_says_so(app):
    entries = [{"id": f"u{n}", "body": 8_000 * "'", "created_at": ago(minutes=n)} for n in range(60)]
    for page_id in ("p1", "p2", "p3"):
        app.post(running("a", page={"id": page_id}, incident_updates=entries))

    answer = app.get("/?id=a")

    assert len(answer.data) < 1024 * 1024
    assert re.search(r"\d+ earlier entries are not shown", answer.text)


def test_an_update_is_seen_at_once_though_a_page_is_kept_for_others(start, tmp_path):
    settings = {"MONITOR_DATABASE_URL": f"sqlite:///{tmp_path}/shared.db"}
    receiver, shower = start(environment=settings), start(environment=settings)

    for number in range(5):
        receiver.post(running(f"i{number}"))
        shown = shower.get("/").text

        assert f"Broken now: {number + 1} on 1 page" in " ".join(shown.split())
        assert shower.get("/").text == shown


def test_a_history_that_cannot_be_read_is_said_on_the_page(start):
    monitor = start(environment={"MONITOR_DATABASE_URL": "postgresql://nobody:s3cret@127.0.0.1:1/none"})

    answer = monitor.get("/")

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert "The history cannot be read right now" in answer.text
    assert "s3cret" not in answer.text


def test_the_page_is_for_who_has_the_token_and_its_links_keep_it(start):
    monitor = start(environment={"MONITOR_READ_TOKEN": "t&k n"})
    monitor.post(running(shortlink="https://stspg.io/a"))
    token = "?token=t%26k+n"

    asked = monitor.get("/?page=Fabrikam", headers={"Accept": "text/html"})
    shown = Reader(monitor.get(f"/{token}&page=Fabrikam").text)

    assert monitor.get("/", headers={"Accept": "application/json"}).json()["error"].startswith("the token is missing")
    assert asked.status_code == monitor.get("/?token=wrong").status_code == 401
    assert 'type="password" name="token"' in asked.text
    assert '<input type="hidden" name="page" value="Fabrikam">' in asked.text
    assert "Sign-in" not in asked.text
    assert {parse_qs(link[1:])["token"][0] for link in shown.links if link.startswith("?")} == {"t&k n"}
    assert ("input", {"type": "hidden", "name": "token", "value": "t&k n"}) in shown.elements
    assert monitor.get("/", headers={"Authorization": "Bearer t&k n"}).status_code == 200


def test_the_page_may_do_nothing_but_what_it_needs(shared):
    answer = shared.get("/")
    policy = dict(rule.split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split("; "))

    assert policy.pop("default-src") == policy.pop("base-uri") == policy.pop("frame-ancestors") == "'none'"
    assert set(policy) == {"script-src", "style-src", "connect-src", "img-src", "form-action"}
    assert set(policy.values()) == {"'self'"}
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers
    assert not re.search(r"<script>|<style|\sstyle=|\son\w+=", answer.text)


def test_the_files_of_the_page_are_kept_by_the_browser_and_never_redirected(shared):
    for address in set(re.findall(r'(?:href|src)="(static/[^"]+)"', shared.get("/").text)):
        answer = shared.get(f"/{address}")
        again = shared.get(f"/{address}", headers={"If-None-Match": answer.headers["ETag"]})

        assert (answer.status_code, again.status_code) == (200, 304)
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for address in ("/static", "/static/", "/static/../dashboard.py", "/static/%2e%2e/dashboard.py", "/static/none"):
        assert shared.get(address, allow_redirects=False).status_code == 404


def test_a_page_of_no_updates_says_how_to_get_some(start):
    monitor = start(environment={"MONITOR_WEBHOOK_TOKEN": "t0k"})

    text = monitor.get("/").text
    codes = {name: unescape(code) for name, code in re.findall(r'<code id="(\w+)"[^>]*>(.*?)</code>', text, re.DOTALL)}
    command = codes["trying"].replace("YOUR-TOKEN", "t0k")
    said = subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout

    assert Reader(text)["empty"].startswith("No page is known yet")
    assert codes["webhook"] == f"{monitor.url}/webhook/statuspage?token=YOUR-TOKEN"
    assert "MONITOR_PAGES=" in codes["polling"]
    assert json.loads(said) == {"status": "accepted"}
    assert page(monitor)["broken"].startswith("Broken now: 1 on 1 page Major Example Sign-in errors for under a minute")


@pytest.mark.parametrize(("given", "scheme"), [("https", "https"), ("javascript", "http")])
def test_the_address_on_the_empty_page_is_the_one_that_was_asked(app, given, scheme):
    text = app.get("/", headers={"Host": "monitor.example", "X-Forwarded-Proto": given}).text

    assert f">{scheme}://monitor.example/webhook/statuspage</code>" in text
    assert ">http://other.example/webhook/statuspage</code>" in app.get("/", headers={"Host": "other.example"}).text


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_text_has_a_contrast_of_four_and_a_half(mode):
    style = (ROOT / "monitor" / "readers" / "dashboard" / "static" / "dashboard.css").read_text()
    light, dark = [
        dict(re.findall(r"--([\w-]+): (#\w{6})", part)) for part in re.findall(r":root \{(.*?)\}", style, re.S)
    ]
    colours = light | (dark if mode == "dark" else {})

    assert light.keys() == dark.keys()
    assert "#" not in re.sub(r":root \{.*?\}|#[a-z]+[ :]", "", style, flags=re.S)
    for text in ("text", "muted", "link", *IMPACTS):
        assert contrast(colours[text], colours["card"]) >= 4.5, text
    for text in ("text", "muted", "link"):
        assert contrast(colours[text], colours["back"]) >= 4.5, text
    for text in ("text", "muted"):
        assert contrast(colours[text], colours["fresh"]) >= 4.5, text
    for back in (*IMPACTS, "notice"):
        assert contrast(colours[f"on-{back}"], colours[back]) >= 4.5, back
    assert contrast(colours["focus"], colours["back"]) >= 3
    # Those who see no red and green tell two impacts apart by how light they are, and by how tall.
    assert contrast(colours["mark-minor"], colours["mark-major"]) >= 1.5
    for impact in ("critical", "major", "minor"):
        assert contrast(colours[f"mark-{impact}"], colours["quiet"]) >= 3, impact
