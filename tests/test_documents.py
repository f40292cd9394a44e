"""What the documents say is so: routes and settings stand in docs/, README's session works, Blueprints are valid."""

import json
import re
import subprocess

import jsonschema
import pytest
import yaml

from tests.conftest import ROOT, program, until

README = (ROOT / "README.md").read_text()
BLUEPRINTS = sorted(
    str(path.relative_to(ROOT)) for path in [*ROOT.glob("render*.yaml"), *ROOT.glob("deploy/render*.yaml")]
)
DOCUMENTS = [path for folder in (ROOT, ROOT / "docs", ROOT / ".github") for path in sorted(folder.glob("*.md"))]


MOST_LINES, MOST_WORDS = 150, 1_400


def table(name):
    """Return the first cells of the table in a page of docs/."""
    return re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs" / name).read_text(), re.MULTILINE)


def test_every_setting_stands_in_the_documents_and_the_other_way_round():
    settings = {f"MONITOR_{name}" for name in (*program().SETTINGS, "HOST", "PORT")} | {"PORT"}

    assert sorted(table("settings.md")) == sorted(settings)


def test_every_route_stands_in_the_documents_and_the_other_way_round(app):
    rules = app.application.url_map.iter_rules()
    routes = {f"{method} {rule.rule}" for rule in rules for method in rule.methods - {"HEAD", "OPTIONS"}}

    assert set(table("routes.md")) == routes


def test_readme_is_one_page():
    assert len(README.splitlines()) <= MOST_LINES
    assert len(README.split()) <= MOST_WORDS


def test_every_page_of_the_documents_is_named_in_readme():
    named = set(re.findall(r"\((docs/[^)#]+\.md)", README))

    assert named == {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}


def blocks(heading, language):
    """The fenced blocks of a language under a heading of README."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [text for name, text in re.findall(r"^```(\w*)\n(.*?)^```$", section, re.M | re.S) if name == language]


def commands(heading):
    """The commands under a heading of README."""
    return [command.strip() for command in blocks(heading, "sh")]


def test_the_session_in_readme_works_as_pasted(start):
    _, posting, asking = commands("Try it with curl")
    answer, printed = blocks("Try it with curl", "")
    monitor = start()

    def shell(command):
        command = command.replace("localhost:5000", f"localhost:{monitor.port}")
        return subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout

    def without_time(text):
        return re.sub(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\]", "[TIME]", text)

    assert shell(posting) == answer
    assert without_time(monitor.printed(1)) == without_time(printed)
    assert without_time(shell(asking)) == without_time(printed)
    assert "Chat Completions" in monitor.get("/").text


def test_the_pages_in_readme_are_polled_by_name(start):
    _, run = commands("Try it with real pages")[0].splitlines()
    named = re.search(r'MONITOR_PAGES="(.*?)"', run)[1]

    log = start(environment={"MONITOR_PAGES": named}).log()

    assert f"polling: {len(named.split(', '))} pages" in log


def test_the_commands_in_readme_are_ones_that_start():
    assert commands("Try it with curl")[0].endswith(".venv/bin/python event_monitor.py --port 5000")
    (test,) = commands("Test it")
    assert test == "bash tests/run"
    assert f"\n{test}" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_a_blueprint_is_valid(name):
    schema = json.loads((ROOT / "tests" / "render.schema.json").read_text())

    jsonschema.validate(yaml.safe_load((ROOT / name).read_text()), schema)


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_a_blueprint_starts_the_same_command_as_locally_and_generates_the_tokens(name):
    (service,) = yaml.safe_load((ROOT / name).read_text())["services"]
    settings = {setting["key"]: setting for setting in service["envVars"]}

    assert service["startCommand"] == "python event_monitor.py"
    assert service["healthCheckPath"] == "/health"
    assert settings["MONITOR_WEBHOOK_TOKEN"]["generateValue"]
    assert settings["MONITOR_READ_TOKEN"]["generateValue"]
    assert settings["PYTHON_VERSION"]["value"].count(".") == 2
    assert set(settings) - {"PYTHON_VERSION", "MONITOR_HOST"} <= {f"MONITOR_{known}" for known in program().SETTINGS}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_and_section_that_a_document_links_is_there(document):
    for path, section in re.findall(r"\]\(([^)#:]*)#?([^):]*)\)", document.read_text()):
        linked = document.parent / path if path else document
        assert linked.exists(), f"{document.name} links {path}"
        assert not section or section in sections(linked), f"{document.name} links {path}#{section}"


def sections(document):
    """The anchors of a document's headings, as hosts make them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_pre_commit_runs_what_ci_runs_before_its_tests():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    steps = (ROOT / ".ci" / "run").read_text().split("bash tests/set-up\n")[1].splitlines()

    assert [hook["entry"] for hook in repository["hooks"]] == steps[:-1]


def test_the_port_of_the_host_is_used_where_none_is_given(start):
    monitor = start(environment={"MONITOR_HOST": "0.0.0.0"})

    assert until(lambda: monitor.get("/health").status_code == 200)
    assert "whoever reaches 0.0.0.0 may post updates" in monitor.log()
