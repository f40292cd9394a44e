"""GET /metrics is what Prometheus takes: checked by promtool, scraped by a real Prometheus, bounded in its labels."""

import re
import shutil
import subprocess

import psycopg
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import ROOT, environment, incident, until


def program(name):
    assert shutil.which(name), f"this test needs {name}: apt-get install prometheus"
    return name


def samples(text):
    """Return {(name, labels as a sorted tuple): value} of an exposition."""
    families = text_string_to_metric_families(text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def sample(text, name, **labels):
    return samples(text).get((name, tuple(sorted(labels.items()))))


def test_updates_are_counted_by_page_and_outcome(app):
    for _ in range(2):
        app.post(incident())
    app.post("rubbish")
    app.post({"what": "else"}, "/webhook/statuspage?page=Adatum")
    text = app.get("/metrics").text

    def count(page, outcome):
        return sample(text, "event_monitor_updates_total", page=page, outcome=outcome, source="push")

    assert count("Fabrikam", "accepted") == 1
    assert count("Fabrikam", "duplicate") == 1
    assert count("", "refused") == 1
    assert count("Adatum", "ignored") == 1
    assert sample(text, "event_monitor_webhook_seconds_count") == 4
    assert 0 < sample(text, "event_monitor_webhook_seconds_sum") < 4


def test_open_incidents_are_counted_by_page_and_impact_and_ended_ones_not(app):
    app.post(incident("i1"))
    app.post(incident("i2"))
    app.post(incident("i3", impact="critical"))
    app.post(incident("i4", impact="surprising"))
    app.post(incident("i2", status="resolved", updated_at="2026-06-01T09:00:00Z"))
    text = app.get("/metrics").text

    found = {labels: value for (name, labels), value in samples(text).items() if name == "event_monitor_open_incidents"}
    assert found == {
        (("impact", "minor"), ("page", "Fabrikam")): 1,
        (("impact", "critical"), ("page", "Fabrikam")): 1,
        (("impact", "unstated"), ("page", "Fabrikam")): 1,
    }


def test_pages_that_strangers_name_without_end_become_one(app):
    for number in range(2_000):
        app.post(incident("i1", page={"id": f"p{number}", "name": f"Page {number}"}))
    text = app.get("/metrics").text

    for name in ("updates_total", "open_incidents", "last_update_timestamp_seconds"):
        series = [labels for found, labels in samples(text) if found == f"event_monitor_{name}"]
        assert 500 <= len(series) <= 505
        assert any(("page", "other") in labels for labels in series)
    updates = {labels: n for (name, labels), n in samples(text).items() if name == "event_monitor_updates_total"}
    assert sum(updates.values()) == 2_000
    assert "Page 1\n" not in text


def test_no_title_and_no_token_is_a_label_and_a_page_name_forges_no_line(app):
    forged = 'Fabrikam"} 1\nforged_total{page="x\u2028y'
    app.post(incident("i1", page={"id": "p1", "name": forged}, name="Secret title"))
    text = app.get("/metrics").text

    assert "Secret title" not in text
    assert not re.search("^forged_total", text, re.MULTILINE)
    assert (
        sample(
            text, "event_monitor_open_incidents", page=forged.replace("\n", " ").replace("\u2028", " "), impact="minor"
        )
        == 1
    )


def test_two_pages_of_one_name_are_one_series(app):
    for page_id in ("p1", "p2"):
        app.post(incident("i1", page={"id": page_id, "name": "Fabrikam"}))
    text = app.get("/metrics").text

    assert sample(text, "event_monitor_open_incidents", page="Fabrikam", impact="minor") == 2
    assert text.count('event_monitor_last_update_timestamp_seconds{page="Fabrikam"}') == 1


def test_promtool_finds_nothing_to_say(app):
    app.post(incident())
    text = app.get("/metrics").text

    checked = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_read_token_guards_metrics(start):
    monitor = start(environment={"MONITOR_READ_TOKEN": "secret"})

    assert monitor.get("/metrics").status_code == 401
    assert monitor.get("/metrics", headers={"Authorization": "Bearer secret"}).status_code == 200


def test_what_a_history_in_sql_holds_is_counted_after_a_restart(start, url):
    first = start(environment=environment(url))
    first.post(incident())
    first.stop()

    text = start(environment=environment(url)).get("/metrics").text

    assert sample(text, "event_monitor_open_incidents", page="Fabrikam", impact="minor") == 1
    assert sample(text, "event_monitor_last_update_timestamp_seconds", page="Fabrikam") > 1.7e9
    assert sample(text, "event_monitor_history_available") == 1


def test_a_history_that_cannot_be_read_is_said_and_the_rest_still_counted(start, postgresql):
    database = postgresql.new_database("monitor_metrics")
    monitor = start(environment=environment(database))
    monitor.post(incident())
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.execute("ALTER DATABASE monitor_metrics ALLOW_CONNECTIONS false")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'monitor_metrics'")

    text = monitor.get("/metrics").text

    assert sample(text, "event_monitor_history_available") == 0
    assert sample(text, "event_monitor_updates_total", page="Fabrikam", outcome="accepted", source="push") == 1
    assert "event_monitor_open_incidents{" not in text


@pytest.fixture
def prometheus(tmp_path):
    """Start a Prometheus of this test's own that scrapes a monitor each second, with the given settings of the job."""
    started = []

    def begin(monitor, job=""):
        configuration = tmp_path / "prometheus.yml"
        configuration.write_text(
            "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: event_monitor\n"
            f"  static_configs: [{{targets: ['127.0.0.1:{monitor.port}']}}]\n{job}"
        )
        command = [program("prometheus"), f"--config.file={configuration}", f"--storage.tsdb.path={tmp_path}/tsdb"]
        with (tmp_path / "log").open("w") as log:
            started.append(subprocess.Popen([*command, "--web.listen-address=127.0.0.1:0"], stderr=log))
        address = until(lambda: re.search(r'Listening on" address=(\S+)', (tmp_path / "log").read_text()), 15)[1]
        return f"http://{address}/api/v1/query"

    yield begin
    for process in started:
        process.terminate()
        process.wait(10)


def test_a_real_prometheus_scrapes_it(start, prometheus):
    monitor = start(environment={"MONITOR_READ_TOKEN": "secret"})
    monitor.post(incident())
    api = prometheus(monitor, "  authorization: {credentials: secret}\n")

    def asked(query):
        answer = requests.get(api, params={"query": query}, timeout=5)
        found = answer.json()["data"]["result"] if answer.ok else []  # 503 while it starts
        return [(sample["metric"], float(sample["value"][1])) for sample in found]

    ((labels, value),) = until(lambda: asked("event_monitor_open_incidents"), 15)
    assert (labels["page"], labels["impact"], value) == ("Fabrikam", "minor", 1)
    assert asked('up{job="event_monitor"}')[0][1] == 1
    assert asked("histogram_quantile(0.99, event_monitor_webhook_seconds_bucket)")[0][1] < 1


def test_the_alert_rules_in_deploy_are_valid_and_name_what_there_is(tmp_path, app):
    (rules,) = re.findall(r"```yaml\n(groups:.*?)```", (ROOT / "DEPLOY.md").read_text(), re.DOTALL)
    (tmp_path / "rules.yml").write_text(rules)

    checked = subprocess.run(
        [program("promtool"), "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
    source = (ROOT / "monitor" / "readers" / "metrics" / "metrics.py").read_text()
    for name in re.findall(r"event_monitor_\w+", rules):
        assert f'"{name.removesuffix("_total")}"' in source
