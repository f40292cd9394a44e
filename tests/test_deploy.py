"""What lies in deploy/ works here: the image's steps without Docker, the unit, nginx before a monitor, the alerts."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
import yaml
from websockets.sync.client import connect

from tests.conftest import ROOT, Monitor, incident, program, until

DEPLOY = ROOT / "deploy"
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")  # not in every user's PATH
TOKENS = {"MONITOR_WEBHOOK_TOKEN": "of-senders", "MONITOR_READ_TOKEN": "of-readers"}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def is_open(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def run(*command, **keywords):
    """Run a command to its end, which is 0, and return what it wrote."""
    ended = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False, **keywords
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


# The image


def dockerfile():
    """The instructions of deploy/Dockerfile, in order: (word, rest)."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line]


@pytest.fixture
def image(tmp_path):
    """What the Dockerfile builds, under a folder in place of /, in a venv that finds what the tests have installed."""
    root = tmp_path / "image"
    run(sys.executable, "-m", "venv", root / "venv")
    (found,) = (root / "venv").glob("lib/python*/site-packages")
    (found / "tests.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    environment = {"PATH": f"{root}/venv/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    folder = root
    for word, rest in dockerfile():
        if word == "WORKDIR":
            folder = Path(f"{root}{rest}")
            folder.mkdir()
        elif word == "COPY":
            *sources, target = rest.split()
            for source in sources:
                copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
                copy(ROOT / source, folder / target)
        elif word == "RUN":
            run("sh", "-c", re.sub(r" /(?=\w)", f" {root}/", rest), cwd=folder, env=environment)
        elif word == "ENV":
            environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))
    return folder, environment


def test_the_image_serves_is_healthy_and_keeps_its_history_on_the_volume(image):
    folder, environment = image
    said = dict(dockerfile())
    file = folder.parent / "data" / "monitor.db"
    changed = {"MONITOR_PORT": str(free_port()), "MONITOR_DATABASE_URL": f"sqlite:///{file}"} | TOKENS
    check = ["sh", "-c", said["HEALTHCHECK"].partition(" CMD ")[2]]
    environment |= changed

    ill = subprocess.run(check, env=environment, capture_output=True, timeout=30, check=False)
    process = subprocess.Popen(json.loads(said["CMD"]), cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    try:
        until(lambda: subprocess.run(check, env=environment, capture_output=True, check=False).returncode == 0, 30)
    finally:
        process.terminate()

    assert ill.returncode != 0
    assert process.wait(15) == 0
    assert file.stat().st_size > 0


def test_the_image_is_slim_and_not_root_and_names_only_files_of_the_checkout():
    said = dict(dockerfile())
    tracked = run("git", "ls-files", cwd=ROOT).split()

    assert said["FROM"].endswith("-slim")
    assert said["USER"] != "root"
    assert int(said["USER"].split(":")[0]) > 0
    copied = [name for word, rest in dockerfile() if word == "COPY" for name in rest.split()[:-1]]
    assert [name for name in copied if not any(path == name or path.startswith(f"{name}/") for path in tracked)] == []


def test_compose_sets_both_tokens_and_keeps_history_on_a_volume():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    monitor, postgresql = compose["services"]["monitor"], compose["services"]["postgresql"]
    settings = monitor["environment"]

    assert {name for name, value in settings.items() if value and ":?" in value} == set(TOKENS)
    assert set(settings) <= {f"MONITOR_{name}" for name in program().SETTINGS}
    assert "sqlite:////data/" in settings["MONITOR_DATABASE_URL"]
    assert [volume.partition(":")[2] for volume in monitor["volumes"]] == ["/data"]
    assert postgresql["profiles"] == ["postgresql"]
    assert (DEPLOY / monitor["build"]["context"] / monitor["build"]["dockerfile"]).exists()
    assert {volume.partition(":")[0] for s in (monitor, postgresql) for volume in s["volumes"]} == set(
        compose["volumes"]
    )


# systemd


@pytest.fixture
def unit(tmp_path):
    """The unit, with this checkout and this Python where it names others."""
    (tmp_path / "event_monitor.env").write_text("".join(f"{name}={value}\n" for name, value in TOKENS.items()))
    text = (DEPLOY / "event_monitor.service").read_text()
    for there, here in (
        ("/opt/event_monitor/.venv/bin/python", sys.executable),
        ("/opt/event_monitor", ROOT),
        ("/etc/event_monitor.env", tmp_path / "event_monitor.env"),
    ):
        text = re.sub(f"={there}\\b", f"={here}", text)
    unit = tmp_path / "event_monitor.service"
    unit.write_text(text)
    return unit


def test_systemd_takes_the_unit_and_finds_it_little_exposed(unit):
    assert shutil.which("systemd-analyze"), "this test needs systemd: bash tests/set-up"

    assert run("systemd-analyze", "verify", unit) == ""
    assert "OK" in run("systemd-analyze", "security", "--offline=true", "--threshold=30", unit).splitlines()[-1]


def test_the_unit_starts_the_program_with_its_history_in_its_own_folder(unit, tmp_path):
    said = dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line and line[0] != "#")
    (tmp_path / said["StateDirectory"]).mkdir()
    name, value = said["Environment"].replace("%S", str(tmp_path)).split("=", 1)
    tokens = dict(line.split("=", 1) for line in Path(said["EnvironmentFile"]).read_text().splitlines())
    settings = os.environ | tokens | {name: value, "MONITOR_PORT": "0"}

    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            shlex.split(said["ExecStart"]), cwd=said["WorkingDirectory"], env=settings, stderr=log
        )
    try:
        until(lambda: "listening" in (tmp_path / "log").read_text(), 15)
    finally:
        process.terminate()

    assert process.wait(int(said["TimeoutStopSec"])) == 0
    assert f"history: in {tmp_path.resolve()}/event_monitor/monitor.db\n" in (tmp_path / "log").read_text()


# nginx


@pytest.fixture(scope="module")
def behind_nginx(tmp_path_factory):
    """A monitor with both tokens behind Debian's nginx with deploy/nginx.conf: (monitor, port, access log)."""
    assert NGINX, "this test needs nginx: bash tests/set-up"
    folder = tmp_path_factory.mktemp("nginx")
    monitor, port = Monitor(tmp_path_factory.mktemp("monitor"), environment=TOKENS), free_port()
    request = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=monitor.example.com".split()
    run("openssl", *request, "-keyout", folder / "key", "-out", folder / "certificate")
    site = (DEPLOY / "nginx.conf").read_text()
    for there, here in (
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("127.0.0.1:5000", f"127.0.0.1:{monitor.port}"),
        ("/etc/ssl/certs/event_monitor.pem", folder / "certificate"),
        ("/etc/ssl/private/event_monitor.key", folder / "key"),
        ("/var/log/nginx/event_monitor.log", folder / "access.log"),
    ):
        assert there in site
        site = site.replace(there, str(here))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user}daemon off;\npid {folder}/pid;\nevents {{}}\nhttp {{\n{temporary}{site}}}\n"
    )
    command = [NGINX, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]
    run(*command, "-t")
    nginx = subprocess.Popen(command)
    until(lambda: is_open(port))
    yield monitor, port, folder / "access.log"
    nginx.terminate()
    nginx.wait(10)
    monitor.kill()


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_behind_nginx_updates_come_in_and_the_answer_knows_its_address(behind_nginx):
    monitor, port, log = behind_nginx
    url = f"https://127.0.0.1:{port}"

    posted = requests.post(f"{url}/webhook/statuspage?token=of-senders", json=incident("1"), verify=False, timeout=10)
    large = requests.post(f"{url}/webhook/statuspage?token=of-senders", data=b" " * 1_048_577, verify=False, timeout=10)
    bearing = {"Authorization": "Bearer of-readers", "Host": "monitor.example.com"}
    summary = requests.get(f"{url}/api/v2/summary.json", headers=bearing, verify=False, timeout=10)

    assert posted.json() == {"status": "accepted"}
    assert (large.status_code, large.json().keys()) == (413, {"error"})
    assert summary.json()["page"]["url"].startswith("https://monitor.example.com/")
    assert "is not set" not in monitor.log()
    assert "/webhook/statuspage" in until(log.read_text)
    assert "of-senders" not in log.read_text()


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_behind_nginx_an_event_is_streamed_at_once(behind_nginx):
    monitor, port, _ = behind_nginx
    stream = requests.get(f"https://127.0.0.1:{port}/stream?token=of-readers", stream=True, verify=False, timeout=10)

    with stream:
        lines = stream.iter_lines(chunk_size=1)
        assert next(lines) == b": event_monitor"
        began = time.monotonic()
        monitor.post(incident("streamed"), "/webhook/statuspage?token=of-senders")
        assert next(line for line in lines if b'"id":"streamed"' in line)
        assert time.monotonic() - began < 2


def test_behind_nginx_a_websocket_is_let_through(behind_nginx):
    monitor, port, _ = behind_nginx
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE

    with connect(f"wss://127.0.0.1:{port}/ws?token=of-readers", ssl=trusting, proxy=None) as client:
        monitor.post(incident("by socket"), "/webhook/statuspage?token=of-senders")
        assert json.loads(client.recv(5))["id"] == "by socket"


# DEPLOY.md


def commands(heading):
    """The shell commands in DEPLOY.md under a heading."""
    section = (ROOT / "DEPLOY.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def shell(tmp_path):
    """A function: start some commands in a folder, with scripts in place of programs that are not here."""
    started = []

    def begin(text, folder, **scripts):
        for name, script in scripts.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
        path = f"{tmp_path}:{Path(sys.executable).parent}:/usr/bin:/bin"
        started.append(
            subprocess.Popen(
                ["bash", "-euc", text],
                cwd=folder,
                env={"PATH": path, "HOME": str(tmp_path)},
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                process_group=0,
            )
        )
        return started[-1]

    yield begin
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def test_all_shell_commands_in_the_document_can_be_read_by_a_shell():
    for block in re.findall(r"```sh\n(.*?)```", (ROOT / "DEPLOY.md").read_text(), re.DOTALL):
        run("bash", "-n", "-c", block)


def test_the_tunnel_leads_to_a_monitor_that_asks_for_both_tokens(shell):
    (text,) = commands("A laptop, through a tunnel")
    ask = "curl -s --retry 60 --retry-delay 1 --retry-connrefused -o /dev/null -w '%{http_code}\\n'"
    tunnel = f"{ask} $3/incidents; {ask} -X POST $3/webhook/statuspage"

    process = shell(text.replace("5000", str(free_port())), ROOT, cloudflared=tunnel)
    lines = [process.stdout.readline() for _ in range(3)]

    assert re.fullmatch(r"Subscribe /webhook/\S+=[0-9a-f]{64} and read /\?token=[0-9a-f]{64} there:\n", lines[0])
    assert lines[1:] == ["401\n", "401\n"]


def test_the_commands_for_docker_write_what_compose_asks_for(shell, tmp_path):
    (tmp_path / "deploy").mkdir()
    first, more = commands("Docker")

    assert shell(first, tmp_path, docker='echo "$@"').communicate()[0].startswith("compose -f deploy/compose.yaml up")
    assert shell(more, tmp_path).wait(10) == 0

    written = dict(line.split("=", 1) for line in (tmp_path / "deploy" / ".env").read_text().splitlines())
    asked = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    assert set(written) == asked | {"COMPOSE_PROFILES"}
    assert written["POSTGRES_PASSWORD"] in written["MONITOR_DATABASE_URL"]
    assert all(len(written[name]) == 64 for name in TOKENS)


def test_the_commands_for_gunicorn_serve(shell):
    (text,) = commands("gunicorn")
    port = free_port()

    shell(text.replace("5000", str(port)), ROOT)

    assert until(lambda: is_open(port), 60)
    assert requests.get(f"http://127.0.0.1:{port}/health", timeout=30).json()["status"] == "ok"


# Alerts


def test_what_pages_report_alerts_by_page_and_impact_once_for_all_processes(tmp_path):
    series = 'event_monitor_open_incidents{{instance="{}", page="{}", impact="{}"}}'
    rows = [("a", "GitHub", "major"), ("b", "GitHub", "major"), ("a", "OpenAI", "none"), ("a", "OpenAI", "maintenance")]
    alert = {
        "exp_labels": {"page": "GitHub", "impact": "major"},
        "exp_annotations": {"summary": "GitHub reports 2 open of impact major."},
    }
    expected = {"eval_time": "1m", "alertname": "StatusPageIncident", "exp_alerts": [alert]}
    test = {
        "rule_files": [str(DEPLOY / "alerts.yml")],
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": series.format(*row), "values": "2 2 2"} for row in rows],
                "alert_rule_test": [expected],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test))

    assert "SUCCESS" in run("promtool", "test", "rules", tmp_path / "test.yml")
