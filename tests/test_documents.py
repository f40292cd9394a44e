"""What the documents say is so: routes and settings stand in README, its session works, Blueprints are valid."""

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


def table(heading):
    """Return the first cells of the table under a heading of README."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def test_every_setting_stands_in_readme_and_the_other_way_round():
    assert set(table("Settings")) == {f"MONITOR_{name}" for name in (*program().SETTINGS, "HOST", "PORT")} | {"PORT"}


def test_every_route_stands_in_readme_and_the_other_way_round(app):
    rules = app.application.url_map.iter_rules()
    routes = {f"{method} {rule.rule}" for rule in rules for method in rule.methods - {"HEAD", "OPTIONS"}}

    assert set(table("Routes")) == routes


def test_the_session_in_readme_works_as_pasted(start):
    section = README.split("\n## Run it\n")[1].split("\n## ")[0]
    _, posting, asking, following = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    answer, printed, listed, followed = re.findall(
        r"```\n\n?```\n(.*?)```|shows\n\n```\n(.*?)```|\n\n```\n(.*?)```", section, re.DOTALL
    )
    monitor = start()

    def shell(command, check=True):
        command = command.replace("localhost:5000", f"localhost:{monitor.port}")
        return subprocess.run(command, shell=True, check=check, capture_output=True, text=True).stdout

    def without_numbers(text):
        return re.sub(r"^(retry|id): [1-9]\d+$", r"\1: N", text, flags=re.MULTILINE)

    assert shell(posting) == "".join(answer)
    assert monitor.printed(1) == "".join(printed)
    assert shell(asking) == "".join(listed)
    assert without_numbers(shell(f"timeout 1 {following}", check=False)) == without_numbers("".join(followed))
    assert json.loads(shell(posting)) == {"status": "duplicate"}


def test_the_commands_in_readme_are_ones_that_start():
    run, test = (README.split(f"\n## {heading}\n\n```sh\n")[1].split("\n```")[0] for heading in ("Run it", "Test it"))

    assert run.endswith(".venv/bin/python event_monitor.py --port 5000")
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
