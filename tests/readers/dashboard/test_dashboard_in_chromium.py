"""The dashboard in a browser: with a keyboard, on a phone, in dark mode, without JavaScript."""

import re
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from tests.conftest import ROOT, Monitor, incident, until
from tests.readers.dashboard.test_dashboard import contrast

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def ago(**units):
    return (datetime.now(UTC) - timedelta(**units)).isoformat()


def running(page, incident_id="i1", **fields):
    return incident(
        incident_id, page=page, **({"created_at": ago(hours=2, seconds=30), "updated_at": ago(minutes=5)} | fields)
    )


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """One monitor for all tests that post and look at a page of their own only."""
    running = Monitor(tmp_path_factory.mktemp("live"))
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log()


def of(monitor, page, query=""):
    return f"{monitor.url}/?page={page['id']}{query}"


def connected(tab):
    """Wait until the stream is open: the tab has then fetched the page again."""
    until(lambda: tab.evaluate("source.readyState === EventSource.OPEN && answered > 0"))
    return tab


def test_an_update_appears_within_a_second_and_is_announced(live, page, browse):
    tab = connected(browse(of(live, page)))
    assert "Unknown page: " in tab.inner_text("h1")

    live.post(running(page, name="All is down"))
    began = time.monotonic()
    tab.get_by_role("heading", name="All is down").wait_for()

    assert time.monotonic() - began < 1
    assert tab.title() == "1 broken · event_monitor"
    assert "Some people cannot sign in" in tab.inner_text("#news")


def test_what_is_resolved_leaves_what_is_broken_also_where_only_that_is_asked_for(live, page, browse):
    live.post(running(page))
    tab = connected(browse(of(live, page, "&impact=minor&status=open")))

    live.post(running(page, status="resolved", updated_at=ago(minutes=1)))

    tab.get_by_text("No incidents match.").wait_for()


def test_an_open_story_the_focus_and_the_place_in_the_page_stay_over_an_update(live, page, browse):
    for number in range(30):
        live.post(running(page, f"i{number}", name=f"Number {number}", created_at=ago(hours=3 + number)))
    tab = connected(browse(of(live, page), viewport={"width": 1000, "height": 500}))
    tab.locator("#more-broken > summary").click()
    opened = tab.locator(".incident details", has_text="Number 20")
    opened.locator("summary").focus()
    tab.keyboard.press("Enter")
    opened.scroll_into_view_if_needed()
    before = opened.bounding_box()["y"]

    live.post(running(page, "i99", name="Another", impact="critical"))
    tab.get_by_role("heading", name="Another").wait_for()

    assert tab.locator(".incident details[open]").count() == 1
    assert opened.get_attribute("open") is not None
    assert "Number 20" in tab.evaluate("document.activeElement.innerText")
    assert abs(opened.bounding_box()["y"] - before) < 2


def test_a_lost_connection_is_said_and_goes_once_it_is_back(start, page, browse):
    monitor = start()
    tab = connected(browse(monitor.url))
    notice = tab.get_by_role("status").filter(has_text="Connection lost since")

    monitor.stop()
    notice.wait_for()
    assert re.fullmatch(
        r"Connection lost since \d\d:\d\d; what you see may be out of date", tab.inner_text("#connection")
    )
    again = start(["--port", str(monitor.port)])
    again.post(running(page, name="Meanwhile"))

    notice.wait_for(state="hidden")
    assert tab.get_by_role("heading", name="Meanwhile").is_visible()


def test_the_filters_are_in_the_address_and_without_the_empty_ones(live, page, browse):
    live.post(running(page, "a", name="Slow"))
    live.post(running(page, "b", name="Down", impact="critical"))
    tab = browse(live.url)

    tab.get_by_label("Page", exact=True).select_option(page["name"])
    tab.get_by_label("Impact", exact=True).select_option("Critical")
    tab.get_by_role("button", name="Apply").click()
    tab.wait_for_url("**/?*")

    assert tab.url.split("/?")[1] == f"page={page['name'].replace(' ', '+')}&impact=critical"
    assert tab.locator(".incidents h2").all_inner_texts() == [f"{page['name']} Down"]
    assert tab.get_by_label("Impact", exact=True).input_value() == "critical"


def test_nothing_of_a_provider_runs(live, page, browse):
    attack = "<script>alert(1)</script><img src=x onerror=alert(2)><svg onload=alert(3)>"
    body = {"id": "u1", "body": attack + '<a href="javascript:alert(4)">here</a>'}
    live.post(running(page, name=attack, incident_updates=[body], shortlink="javascript:alert(5)"))
    tab = connected(browse(of(live, page)))

    live.post(running(page, "b", name=attack, incident_updates=[body], status=attack))
    until(lambda: tab.locator("#broken ~ ol details").count() == 2)
    tab.locator("summary").first.click()

    assert attack in tab.inner_text(".incidents h2 >> nth=0")
    assert tab.locator("main script, main img, main [onload], a[href^='javascript']").count() == 0


def test_the_page_is_whole_without_javascript(live, page, browse):
    live.post(running(page, name="It is slow"))
    tab = browse(of(live, page), java_script_enabled=False)

    tab.locator("summary", has_text="It is slow").click()
    assert tab.locator("details[open] .story").is_visible()
    assert tab.locator("time").first.inner_text().endswith(" UTC")
    tab.get_by_label("Impact", exact=True).select_option("major")
    tab.get_by_role("button", name="Apply").click()

    assert "impact=major" in tab.url
    assert tab.get_by_text("Nothing is broken").is_visible()
    assert 'http-equiv="refresh"' in tab.content()


def test_times_are_the_viewers_with_utc_on_hover(live, page, browse):
    at = datetime.now(UTC).replace(hour=3, minute=4, second=5)
    live.post(running(page, created_at=at.isoformat()))

    shown = browse(of(live, page)).locator("summary time").first

    assert shown.inner_text().endswith("12:04")
    assert shown.get_attribute("title") == f"{at.day} {at:%b %Y}, 03:04 UTC"
    assert shown.get_attribute("datetime") == f"{at:%Y-%m-%d}T03:04:05Z"


def test_everything_is_reached_by_keyboard_and_the_focus_is_seen(live, page, browse):
    live.post(running(page, name="It is slow"))
    tab = browse(of(live, page))
    reached = []
    for _ in range(12):
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate("[document.activeElement.tagName, document.activeElement.className]"))
        assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"

    assert reached[0] == ["A", "skip"]
    assert {"SELECT", "INPUT", "BUTTON", "SUMMARY"} <= {tag for tag, _ in reached}
    tab.keyboard.press("Control+Home")
    tab.locator(".skip").focus()
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")
    assert "It is slow" in tab.evaluate("document.activeElement.innerText")


def test_headings_are_in_order_and_landmarks_are_there(live, page, browse):
    live.post(running(page))
    tab = browse(of(live, page))
    levels = [int(name[1]) for name in tab.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => h.tagName)")]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    for role in ("banner", "search", "main"):
        assert tab.get_by_role(role).count() == 1
    assert tab.get_by_role("region", name="Pages").count() == 1


@pytest.mark.parametrize("query", ["", "&status=open", "&id=i1"])
def test_a_phone_shows_all_without_scrolling_sideways(live, page, browse, query):
    long = 300 * "long"
    body = {"id": "u1", "body": long}
    live.post(running(page, name=long, components=[{"name": long}], incident_updates=[body], shortlink="https://x.y/z"))
    tab = browse(of(live, page, query), viewport={"width": 360, "height": 740})
    tab.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true })")

    assert tab.evaluate("document.documentElement.scrollWidth") == 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_as_drawn_stand_out_in_both_modes(live, page, browse, scheme):
    live.post(running(page, impact="critical"))
    live.post(running(page, "m1", impact="maintenance", status="scheduled", scheduled_for=ago(hours=-9)))
    tab = browse(of(live, page), color_scheme=scheme)
    tab.locator("summary").first.click()
    drawn = tab.evaluate(
        """() => {
            const back = (element) => {
                const colour = getComputedStyle(element).backgroundColor;
                return colour.startsWith("rgb(") ? colour : back(element.parentElement);
            };
            return [...document.querySelectorAll("main *, header *")]
                .filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
                .filter((element) => element.getClientRects().length && !element.closest("svg"))
                .map((element) => [getComputedStyle(element).color, back(element), element.textContent]);
        }"""
    )

    def coloured(text):
        return "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", text)[:3])

    assert len(drawn) > 30
    assert [row for row in drawn if contrast(coloured(row[0]), coloured(row[1])) < 4.5] == []
    assert (contrast(coloured(drawn[0][1]), "#ffffff") > 10) == (scheme == "dark")


def test_nothing_moves_for_who_asked_for_that(live, page, browse):
    tab = connected(browse(of(live, page), reduced_motion="reduce"))

    live.post(running(page))
    tab.locator(".latest > li[id]").wait_for()

    assert tab.evaluate("document.getAnimations().length") == 0


def test_a_history_that_was_away_is_shown_once_it_is_back(start, browse, tmp_path, postgresql):
    url = postgresql.new_database("monitor_dashboard")
    postgresql.stop()
    try:
        monitor = start(environment={"MONITOR_DATABASE_URL": url})
        tab = browse(monitor.url)
        assert "cannot be read right now" in tab.inner_text("h1")
    finally:
        postgresql.start()

    until(lambda: monitor.get("/ready").status_code == 200)
    tab.get_by_text("No page is known yet").wait_for()
    monitor.post(running({"id": "p1"}))
    tab.get_by_text("Broken now: 1").wait_for()
    assert tab.get_by_role("search").is_visible()


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A monitor with something in every part of the page."""
    running_one = Monitor(tmp_path_factory.mktemp("filled"))
    for number, impact in enumerate(("critical", "major", "minor", None, "none") + 10 * ("minor",)):
        page = {"id": f"p{number}", "name": f"Page {number}"}
        running_one.post(running(page, impact=impact, created_at=ago(days=number), shortlink="https://x.example/y"))
        running_one.post(running(page, "i2", impact=impact, status="resolved", updated_at=ago(days=number)))
    for number in range(10):
        running_one.post(running({"id": f"q{number}", "name": f"Quiet {number}"}, status="resolved"))
    planned = {"impact": "maintenance", "status": "scheduled", "scheduled_for": ago(hours=-9)}
    running_one.post(running({"id": "p1"}, "m1", **planned))
    yield running_one
    assert running_one.stop() == 0


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(filled, start, browse, width, scheme):
    """https://github.com/dequelabs/axe-core/blob/develop/doc/API.md"""
    axe = (ROOT / "tests" / "postman" / "node_modules" / "axe-core" / "axe.min.js").read_text()
    empty, guarded = start(), start(environment={"MONITOR_READ_TOKEN": "t0k"})
    queries = ("", "?page=p1", "?status=open", "?id=i1&page=p1", "?page=nobody", "?component=nothing", "?status=bad")
    day = f"?page=p1&day={ago(days=0)[:10]}"
    found = []
    for address in (empty.url, guarded.url, *[f"{filled.url}/{query}" for query in (*queries, day)]):
        tab = browse(address, color_scheme=scheme, viewport={"width": width, "height": 844}, reduced_motion="reduce")
        tab.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true })")
        if width == 390 and tab.locator(".opens").count():
            tab.locator(".opens").click()
        tab.evaluate(axe)
        rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
        violations = tab.evaluate("(rules) => axe.run(document, rules)", rules)["violations"]
        found += [(address, one["id"], [node["html"][:200] for node in one["nodes"]][:3]) for one in violations]

    assert found == []


@pytest.mark.parametrize(("width", "height", "screens"), [(1400, 900, 1), (390, 844, 2)])
def test_the_latest_update_is_near_the_top_however_much_is_broken(filled, browse, width, height, screens):
    tab = browse(filled.url, viewport={"width": width, "height": height})

    assert tab.locator("#broken ~ ol > li").count() == 8
    latest = tab.locator(".latest > li").first.bounding_box()
    assert latest["y"] + latest["height"] < screens * height
    assert latest["y"] < tab.locator(".tiles").first.bounding_box()["y"] or width == 1400


def test_the_filters_fold_behind_a_button_on_a_phone_also_without_javascript(filled, browse):
    tab = browse(filled.url, viewport={"width": 390, "height": 844}, java_script_enabled=False)
    assert not tab.get_by_role("search").is_visible()

    tab.get_by_role("button", name="Filter").click()
    tab.get_by_label("Impact", exact=True).select_option("major")
    tab.get_by_role("button", name="Apply").click()

    assert "impact=major" in tab.url
    assert tab.get_by_role("button", name="Filter (on)").is_visible()


def test_a_day_of_a_strip_is_named_and_followed(filled, browse):
    tab = browse(filled.url)
    strip = tab.locator("li", has=tab.get_by_role("link", name="Page 1", exact=True)).locator("a.strip")
    box = strip.bounding_box()
    today = {"x": box["width"] * 89.5 / 90, "y": 3}

    strip.hover(position=today)
    assert strip.get_attribute("title").endswith(": Major")
    strip.hover(position={"x": box["width"] * 40.5 / 90, "y": 3})
    assert strip.get_attribute("title").endswith(": No incident known")
    strip.click(position=today)
    tab.wait_for_url(f"**/?page=p1&day={ago(days=0)[:10]}")
    tab.go_back()
    strip.focus()
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/?page=p1")

    tab.locator(".days a").last.focus()
    tab.keyboard.press("Enter")
    tab.wait_for_url("**day=*")
    assert "Page 1 on" in tab.inner_text("h1")


def test_an_address_is_copied(start, browse):
    monitor = start()
    tab = browse(monitor.url)
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])

    tab.get_by_role("button", name="Copy").first.click()

    tab.get_by_role("button", name="Copied").wait_for()
    assert tab.evaluate("navigator.clipboard.readText()") == f"{monitor.url}/webhook/statuspage"


def test_the_picture_in_readme_is_there_and_small():
    (picture,) = re.findall(r"!\[[^\]]+\]\(([^)]+\.png)\)", (ROOT / "README.md").read_text())

    assert (ROOT / picture).stat().st_size < 150_000
