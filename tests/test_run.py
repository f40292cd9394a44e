"""How the tests themselves are run: `--long` runs what else is deselected, and CI accepts no skip."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

SUITE = """
import pytest

def test_short(): pass

@pytest.mark.long
def test_long(): pass
"""
SKIPPED_TEST = "import pytest\n@pytest.mark.skip\ndef test_it(): pass"
SKIPPED_FILE = "import pytest\npytest.importorskip('adatum')\ndef test_it(): pass"


@pytest.fixture
def run(tmp_path):
    """Run these tests with our conftest.py, as `bash tests/run` does; return pytest's exit code and closing line."""

    def pytest_on(text, *options, **settings):
        (tmp_path / "test_suite.py").write_text(text)
        command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-q", "-n", "1", *options, tmp_path]
        inherited = {name: value for name, value in os.environ.items() if name != "CI"}
        ended = subprocess.run(command, cwd=ROOT, env=inherited | settings, check=False, capture_output=True, text=True)
        return ended.returncode, ended.stdout.splitlines()[-1]

    return pytest_on


@pytest.mark.parametrize(("options", "count"), [([], "1 passed in"), (["--long"], "2 passed in")])
def test_a_test_marked_long_runs_with_the_option_only_and_is_not_skipped(run, options, count):
    code, closing = run(SUITE, *options)

    assert code == 0
    assert closing.startswith(count)


@pytest.mark.parametrize("text", [SKIPPED_TEST, SKIPPED_FILE])
def test_a_skip_fails_the_run_in_ci_alone(run, text):
    code, closing = run(text)
    assert "1 skipped" in closing
    assert code in (0, 5)

    code, closing = run(text, CI="true")
    assert code == 1
    assert "1 failed" in closing or "1 error" in closing
