"""Well-known pages are known by name, by alias, and by the id in their webhooks."""

import json
import subprocess
import sys

import pytest

from monitor.senders import known_pages
from monitor.senders.known_pages import every, parse
from monitor.senders.pages import SETTINGS
from monitor.settings import BadSetting, checked
from tests.conftest import ROOT, InProcess, incident

GITHUB, OPENAI = "kctbh9vrtdwd", "01JMDK9XYNY6RXSED6SDWW50WY"


def products(app):
    return [printed.split("Product: ")[1].split(" - ")[0] for printed in app.printed]


def test_pages_are_named_in_a_plain_list_by_name_alias_or_address_in_any_case():
    found = parse("openai, GitHub ,AWS, https://status.Adatum.example/")

    assert [(page.name, page.url, page.id) for page in found] == [
        ("OpenAI", "https://status.openai.com", OPENAI),
        ("GitHub", "https://www.githubstatus.com", GITHUB),
        ("Amazon Web Services", "https://health.aws.amazon.com", None),
        (None, "https://status.adatum.example", None),
    ]


def test_every_known_page_can_be_named_and_all_of_them_at_once():
    names = [name for page in every() for name in (page.name, *page.aliases)]

    assert [parse(name)[0].name for name in names] == [page.name for page in every() for _ in (0, *page.aliases)]
    assert len(parse(",".join(page.name for page in every()))) == len(every()) == 265


def test_what_is_known_of_a_page_tells_polling_how_to_read_it():
    aws, azure, intercom = parse("AWS, https://azure.status.microsoft, Intercom - EU Hosting")

    assert (aws.platform, aws.feed) == ("aws", "https://status.aws.amazon.com/rss/all.rss")
    assert (azure.name, azure.feed) == (None, "https://rssfeed.azure.status.microsoft/en-us/status/feed/")
    assert (intercom.platform, intercom.host) == ("incidentio", "www.intercomstatus.com/eu-hosting")


def test_pages_that_share_a_host_are_told_apart_by_their_paths():
    app = InProcess({"PAGES": "Intercom - EU Hosting, Intercom - US Hosting"})

    app.post(incident(page={"url": "https://www.intercomstatus.com"}))

    assert products(app) == ["www.intercomstatus.com"]
    assert [page["name"] for page in app.get("/pages").json["pages"] if page["url"]] == [
        "Intercom - EU Hosting",
        "Intercom - US Hosting",
    ]


def test_a_list_may_end_in_a_comma():
    assert parse("OpenAI, GitHub,\n") == parse("OpenAI, GitHub")


def test_a_page_that_is_named_twice_is_refused_and_said():
    with pytest.raises(ValueError, match=r"names a page twice, https://www\.githubstatus\.com: write MONITOR_PAGES="):
        parse("GitHub, OpenAI, https://www.githubstatus.com")


def test_an_address_may_be_that_of_a_feed():
    page, other = parse(
        '["https://a.example/blog/feed/", {"url": "https://b.example", "feed": "https://c.example/?f=1"}]'
    )

    assert (page.url, page.host) == ("https://a.example/blog/feed/", "a.example/blog/feed/")
    assert (other.url, other.feed) == ("https://b.example", "https://c.example/?f=1")


@pytest.mark.parametrize(
    ("value", "nearest"),
    [
        ("OpenIA", "OpenAI"),
        ("intercom", "Intercom - AU Hosting, Intercom - EU Hosting, Intercom - US Hosting"),
        ("Azur", "Microsoft Azure"),
    ],
)
def test_a_name_that_nobody_knows_is_refused_with_the_nearest_ones(value, nearest):
    with pytest.raises(BadSetting) as refusal:
        checked({"PAGES": value}, SETTINGS)

    assert f"entry 1: no page '{value}' is known; nearest are {nearest}" in str(refusal.value)
    assert str(refusal.value).endswith('write MONITOR_PAGES="OpenAI, GitHub, https://status.example.com"')


def test_a_webhook_with_a_known_id_prints_the_name_of_its_page(app):
    app.post(incident(page={"id": GITHUB}))
    app.post(incident(page={"id": OPENAI, "name": "Status"}))

    assert products(app) == ["GitHub", "OpenAI"]
    assert len(app.incidents("?page=github")) == 1


def test_a_name_that_a_person_gave_goes_before_a_known_one():
    app = InProcess({"PAGES": json.dumps([{"url": "https://www.githubstatus.com", "name": "Ours", "id": GITHUB}])})

    app.post(incident(page={"id": GITHUB}))
    app.post(incident(page={"id": OPENAI}), "/webhook/statuspage?page=Theirs")

    assert products(app) == ["Ours", "Theirs"]


def test_an_id_that_two_pages_have_names_nobody(monkeypatch):
    monkeypatch.setattr(known_pages, "every", lambda: (*parse("GitHub"), *parse("GitHub, OpenAI")))
    ids = known_pages._ids.__wrapped__()

    assert ids == {OPENAI: "OpenAI"}


def test_a_token_bound_to_a_known_page_binds_its_id():
    app = InProcess({"WEBHOOK_TOKEN": json.dumps({"secret-g": "GitHub"})})

    app.post(incident(page={"id": OPENAI}), "/webhook/statuspage?token=secret-g")

    assert app.incidents()[0]["page"] == {"id": GITHUB, "name": "GitHub"}


def test_a_token_bound_to_the_id_of_a_known_page_prints_its_name():
    app = InProcess({"WEBHOOK_TOKEN": json.dumps({"secret-g": GITHUB})})

    app.post(incident(page={"id": GITHUB}), "/webhook/statuspage?token=secret-g")

    assert app.incidents()[0]["page"] == {"id": GITHUB, "name": "GitHub"}


def test_the_known_pages_are_read_when_they_are_asked_for():
    ask = "import event_monitor; from monitor.senders import known_pages as k; print(k.every.cache_info().currsize)"
    printed = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert printed == "0\n"


def test_pages_lists_each_known_page_with_how_it_is_heard():
    command = [sys.executable, "event_monitor.py", "--pages"]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()

    rows = {line.split("  ")[0].split(", ")[0]: line.split() for line in lines}
    assert len(lines) == 265
    assert rows["OpenAI"] == ["OpenAI,", "ChatGPT", "doorbell,", "poll", "https://status.openai.com"]
    assert rows["GitHub"][1:4] == ["push,", "doorbell,", "poll"]
