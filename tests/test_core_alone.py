"""The core runs, and its tests pass, with every optional file deleted and nothing but requirements.txt installed."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

TESTS = (
    "senders/test_statuspage.py",
    "history/test_history.py",
    "readers/test_status.py",
    "test_core_alone.py::test_what_only_a_setting_needs_is_not_loaded_without_it",
)

# What requirements-extras.txt installs, made impossible to import.
HIDDEN = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
"""


def extras():
    lines = (ROOT / "requirements-extras.txt").read_text().split()
    return {re.split(r"[\[<>=]", line)[0].lower().replace("-", "_") for line in lines}


def test_the_core_runs_and_its_tests_pass_without_the_optional_files(tmp_path):
    copy = tmp_path / "checkout"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "node_modules", "__pycache__", "*.db*"))
    for folder in [path for path in (copy / "monitor").glob("*/*") if path.is_dir()]:
        shutil.rmtree(folder)
    hidden = extras() - {"requests"}  # which the tests themselves ask with
    (tmp_path / "sitecustomize.py").write_text(HIDDEN.format(names=hidden))
    (copy / "tests" / "conftest.py").write_text(
        (copy / "tests" / "conftest.py").read_text().replace("from tests import postgresql as postgresql_server", "")
    )

    tests = [f"tests/{name}" for name in TESTS]
    outcome = subprocess.run(
        [sys.executable, "-m", "pytest", *tests, "-m", "not optional", "-p", "no:cacheprovider"],
        cwd=copy,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "skipped" not in outcome.stdout


def test_what_only_a_setting_needs_is_not_loaded_without_it():
    loaded = "import event_monitor, sys; print({'sqlalchemy', 'psycopg', 'apprise', 'requests'} & sys.modules.keys())"
    printed = subprocess.run(
        [sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert printed == "set()\n"


def test_a_command_that_needs_an_extra_says_how_to_install_it(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HIDDEN.format(names=extras()))
    command = [sys.executable, "event_monitor.py", "--test-notify"]

    refused = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )

    needs = "event_monitor: --test-notify needs apprise: pip install -r requirements-extras.txt\n"
    assert (refused.returncode, refused.stderr) == (2, needs)


@pytest.mark.parametrize(
    ("setting", "value", "needed"),
    [
        ("MONITOR_DATABASE_URL", "sqlite:///monitor.db", "sqlalchemy"),
        ("MONITOR_PAGES", '["https://status.example.com"]', "requests"),
        ("MONITOR_NOTIFY", '["json://127.0.0.1"]', "apprise"),
        ("MONITOR_WEBHOOK_SECRET_INCIDENTIO", "whsec_MDEyMzQ1Njc4OQ==", "standardwebhooks"),
    ],
)
def test_a_setting_that_needs_an_extra_says_how_to_install_it(tmp_path, setting, value, needed):
    (tmp_path / "sitecustomize.py").write_text(HIDDEN.format(names=extras()))
    settings = {"PYTHONPATH": str(tmp_path), setting: value}

    refused = subprocess.run(
        [sys.executable, "event_monitor.py"], cwd=ROOT, env=settings, capture_output=True, text=True, check=False
    )

    assert refused.returncode == 2
    assert refused.stderr == (f"event_monitor: {setting} needs {needed}: pip install -r requirements-extras.txt\n")
