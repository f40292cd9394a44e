"""GET /metrics: promtool accepts it, a real Prometheus scrapes it, its labels are bounded."""

import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from monitor.pipeline import Sample, pipeline_of
from monitor.updates.errors import Unavailable
from monitor.updates.update import IncidentUpdate
from tests.conftest import ROOT, environment, incident, until, with_clock
from tests.history.test_history import update
from tests.test_core_alone import HIDDEN


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


def test_the_lag_is_measured_from_the_providers_time_to_ours_by_page_and_source(app):
    pipeline, said_at = pipeline_of(app.application), datetime.now(UTC) - timedelta(seconds=90)
    app.post(incident(updated_at=said_at.isoformat()))
    app.post(incident("i2", updated_at="2090-01-01T00:00:00Z", page={"id": "p2", "name": "Ahead"}))
    entry = IncidentUpdate("u", "investigating", "Down", said_at, said_at, said_at)
    pipeline.record(update(2, page="Adatum", updated_at=said_at, is_polled=True, incident_updates=(entry,)), "poll")
    pipeline.record(update(3, page="Past", is_polled=True, is_past=True, incident_updates=(entry,)), "poll")
    pipeline.record(update(4, page="Concluded", is_polled=True, incident_updates=()), "poll")

    found = {
        labels: v for (name, labels), v in samples(app.get("/metrics").text).items() if name.endswith("lag_seconds")
    }

    assert {dict(labels)["page"] for labels in found} == {"Fabrikam", "Ahead", "Adatum"}
    assert 90 <= found[("page", "Fabrikam"), ("source", "push")] < 100
    assert 90 <= found[("page", "Adatum"), ("source", "poll")] < 100
    assert found[("page", "Ahead"), ("source", "push")] == 0


def test_only_open_incidents_are_counted_by_page_and_impact(app):
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


def test_past_500_pages_all_others_are_counted_as_one(app):
    now = datetime.now(UTC).isoformat()
    for number in range(2_000):
        app.post(incident("i1", updated_at=now, page={"id": f"p{number}", "name": f"Page {number}"}))
    text = app.get("/metrics").text

    for name in ("updates_total", "open_incidents", "last_update_timestamp_seconds"):
        series = [labels for found, labels in samples(text) if found == f"event_monitor_{name}"]
        assert 500 <= len(series) <= 505
        assert any(("page", "other") in labels for labels in series)
    lags = [dict(labels)["page"] for found, labels in samples(text) if found == "event_monitor_lag_seconds"]
    assert len(lags) == 201
    assert "other" in lags
    updates = {labels: n for (name, labels), n in samples(text).items() if name == "event_monitor_updates_total"}
    assert sum(updates.values()) == 2_000
    assert "Page 1\n" not in text


def test_a_title_is_never_a_label_and_a_page_name_cannot_forge_a_line(app):
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


def test_two_pages_with_one_name_share_a_series(app):
    for page_id in ("p1", "p2"):
        app.post(incident("i1", page={"id": page_id, "name": "Fabrikam"}))
    text = app.get("/metrics").text

    assert sample(text, "event_monitor_open_incidents", page="Fabrikam", impact="minor") == 2
    assert text.count('event_monitor_last_update_timestamp_seconds{page="Fabrikam"}') == 1


def test_promtool_accepts_the_metrics(app):
    app.post(incident())
    text = app.get("/metrics").text

    assert check_metrics(text) == (0, "", "")


def check_metrics(text):
    command = [program("promtool"), "check", "metrics"]
    checked = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    return checked.returncode, checked.stdout, checked.stderr


def test_the_read_token_guards_metrics(start):
    monitor = start(environment={"MONITOR_READ_TOKEN": "secret"})

    assert monitor.get("/metrics").status_code == 401
    assert monitor.get("/metrics", headers={"Authorization": "Bearer secret"}).status_code == 200


def test_incidents_in_a_sql_history_are_counted_after_a_restart(start, url):
    first = start(environment=environment(url))
    first.post(incident())
    first.stop()

    text = start(environment=environment(url)).get("/metrics").text

    assert sample(text, "event_monitor_open_incidents", page="Fabrikam", impact="minor") == 1
    assert sample(text, "event_monitor_last_update_timestamp_seconds", page="Fabrikam") > 1.7e9
    assert sample(text, "event_monitor_history_available") == 1


def test_an_unreadable_history_is_reported_and_the_rest_still_counted(start, postgresql):
    database = postgresql.new_database("monitor_metrics")
    monitor = start(environment=environment(database))
    monitor.post(incident())
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.execute("ALTER DATABASE monitor_metrics ALLOW_CONNECTIONS false")
    postgresql.disconnect("monitor_metrics")

    text = monitor.get("/metrics").text

    assert sample(text, "event_monitor_history_available") == 0
    assert sample(text, "event_monitor_updates_total", page="Fabrikam", outcome="accepted", source="push") == 1
    assert "event_monitor_open_incidents{" not in text


@pytest.fixture
def prometheus(tmp_path):
    """Return a function that starts a Prometheus, which scrapes a monitor each second with these job settings."""
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


def test_a_real_prometheus_scrapes_the_metrics(start, prometheus):
    monitor = start(environment={"MONITOR_READ_TOKEN": "secret"})
    monitor.post(incident())
    api = prometheus(monitor, "  authorization: {credentials: secret}\n")

    def queried(query):
        answer = requests.get(api, params={"query": query}, timeout=5)
        found = answer.json()["data"]["result"] if answer.ok else []  # Prometheus answers 503 while it starts
        return [(sample["metric"], float(sample["value"][1])) for sample in found]

    ((labels, value),) = until(lambda: queried("event_monitor_open_incidents"), 15)
    assert (labels["page"], labels["impact"], value) == ("Fabrikam", "minor", 1)
    assert queried('up{job="event_monitor"}')[0][1] == 1
    assert queried("histogram_quantile(0.99, event_monitor_webhook_seconds_bucket)")[0][1] < 1


def test_the_alert_rules_in_deploy_are_valid_and_name_existing_metrics(app):
    rules = ROOT / "deploy" / "alerts.yml"

    checked = subprocess.run(
        [program("promtool"), "check", "rules", rules], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
    served = app.get("/metrics").text
    named = set(re.findall(r"event_monitor_\w+", rules.read_text()))
    # Another part serves this one.
    assert {name for name in named if f"# TYPE {name} " not in served} <= {"event_monitor_outbox_oldest_seconds"}


def test_the_samples_of_any_part_are_served(app):
    pipeline = pipeline_of(app.application)
    sent = {(f"service{number}", "sent"): 2 for number in range(600)} | {("a\nb", "failed"): 1}
    pipeline.samples.append(lambda: [Sample("counter", "parcels", "Parcels.", sent, ("service", "outcome"))])
    pipeline.samples.append(lambda: [Sample("gauge", "oldest_seconds", "The oldest.", dict(AGES), ("service",))])
    pipeline.samples.append(lambda: [Sample("histogram", "trip_seconds", "Trips.", {("1",): 3, ("+Inf",): 5}, sum=9)])
    text = app.get("/metrics").text

    assert sample(text, "event_monitor_parcels_total", service="service1", outcome="sent") == 2
    assert sample(text, "event_monitor_parcels_total", service="other", outcome="sent") == 200
    assert sample(text, "event_monitor_oldest_seconds", service="other") == 599
    assert sample(text, "event_monitor_trip_seconds_bucket", le="+Inf") == 5
    assert sample(text, "event_monitor_trip_seconds_sum") == 9
    assert check_metrics(text) == (0, "", "")


AGES = [((f"service{number}",), number) for number in range(600)]


def test_an_unreadable_part_does_not_hide_the_others(app):
    def fail():
        raise Unavailable("the database is away")

    pipeline_of(app.application).samples.insert(0, fail)

    assert sample(app.get("/metrics").text, "event_monitor_stdout_dropped_total") == 0


def test_each_problem_is_a_sample(app):
    assert "event_monitor_problems{" not in app.get("/metrics").text
    pipeline_of(app.application).problems.append(lambda: {"stdout": "nobody reads it", "history": None})

    text = app.get("/metrics").text

    assert {labels: value for (name, labels), value in samples(text).items() if name == "event_monitor_problems"} == {
        (("part", "stdout"),): 1
    }


def test_a_component_outage_is_an_open_incident_until_the_component_is_operational(app):
    def post(number, status, hour):
        at = {"id": f"x{number}", "created_at": f"2026-06-02T{hour:02d}:00:00Z", "component_id": "c"}
        component = {"id": "c", "name": "API"}
        page = {"id": "p1", "name": "Fabrikam"}
        app.post({"page": page, "component": component, "component_update": at | {"new_status": status}})

    post(1, "major_outage", 8)
    outage = app.get("/metrics").text
    post(2, "operational", 9)

    assert sample(outage, "event_monitor_open_incidents", page="Fabrikam", impact="critical") == 1
    assert "event_monitor_open_incidents{" not in app.get("/metrics").text


def test_a_page_is_labelled_by_its_current_name(app):
    app.post(incident(page={"id": "p1"}))
    app.post(incident("i2", page={"id": "p1", "name": "Fabrikam"}))

    assert sample(app.get("/metrics").text, "event_monitor_open_incidents", page="Fabrikam", impact="minor") == 2


def test_the_answer_is_not_cached_and_at_most_1_mib(app):
    for number in range(1_200):
        app.post(incident(page={"id": f"p{number}", "name": f"{number}{FLAME * 200}"}))

    answer = app.get("/metrics")

    assert (answer.headers["Cache-Control"], answer.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
    assert len(answer.data) <= 1024 * 1024


FLAME = "\U0001f525"


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0", "text/plain; version=1.0.0"])
def test_every_format_that_prometheus_asks_for_is_served(app, accept):
    app.post(incident())

    answer = app.get("/metrics", headers={"Accept": accept})

    assert answer.headers["Content-Type"].startswith(accept.split(";")[0] or "text/plain")
    assert answer.text.count("event_monitor_open_incidents{") == 1


def test_without_the_library_the_path_says_what_to_install(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HIDDEN.format(names={"prometheus_client"}))
    ask = "import event_monitor; print(event_monitor.app.test_client().get('/metrics').text)"

    said = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=ROOT,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert said.stdout == '{"error":"/metrics needs prometheus_client: pip install -r requirements-extras.txt"}\n\n'


@pytest.mark.long
def test_a_webhook_is_answered_within_a_second_while_300_clients_ask_at_once(seconds_beside_a_crowd):
    assert max(seconds_beside_a_crowd("/metrics")) < 1


def test_a_clock_past_2106_breaks_nothing(start):
    monitor = start(command_before=with_clock(FAKETIME="+200y"))
    monitor.post(incident())

    assert sample(monitor.get("/metrics").text, "event_monitor_last_update_timestamp_seconds", page="Fabrikam") > 2**32
