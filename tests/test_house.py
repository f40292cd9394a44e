"""The three rules of the house (docs/ARCHITECTURE.md), read from the tree and its imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.test_core_alone import extras

MONITOR = ROOT / "monitor"
# What each room may import beside itself: the rooms to its left.
LEFT = {
    "updates": set(),
    "settings": {"updates"},
    "server": {"updates"},
    "history": {"updates", "settings", "server"},
    "pipeline": {"updates", "settings", "server", "history"},
    "senders": {"updates", "settings", "server", "history", "pipeline"},
    "outputs": {"updates", "settings", "server", "history", "pipeline", "senders"},
    "readers": {"updates", "settings", "server", "history", "pipeline", "senders"},
}
MODULES = sorted(
    path.relative_to(ROOT) for path in MONITOR.rglob("*.py") if path.parent != MONITOR or path.stem[0] != "_"
)
FOLDERS = sorted(path.parent.relative_to(ROOT) for path in MONITOR.glob("*/*/__init__.py"))
CORE_LIBRARIES = {"flask", "werkzeug", "gevent", "dateutil", "jinja2", "markupsafe", "_typeshed", "monitor"}


def imports(path, nodes=None):
    """The dotted names that a file imports, of `from monitor.senders import pages` also `monitor.senders.pages`."""
    for node in nodes or ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def folder_of(dotted):
    """The optional folder that a dotted name lies in, as monitor/senders/dialects; None in the core."""
    path = Path(*dotted.split(".")[:3])
    return path if path in FOLDERS else None


def room_of(path):
    return path.parts[1].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_room_imports_only_from_rooms_to_its_left(path):
    rooms = {name.split(".")[1] for name in imports(path) if name.startswith("monitor.")}

    assert rooms - {room_of(path)} <= LEFT[room_of(path)]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_nothing_imports_an_optional_folder_but_itself(path):
    own = folder_of(".".join(path.with_suffix("").parts))
    imported = {folder_of(name) for name in imports(path)} - {None, own}

    assert imported == set()


def test_event_monitor_imports_no_optional_folder_and_nothing_imports_event_monitor():
    assert {folder_of(name) for name in imports("event_monitor.py")} == {None}
    assert [path for path in MODULES if any(name.split(".")[0] == "event_monitor" for name in imports(path))] == []


def test_no_optional_folder_is_named_in_the_core():
    names = {f"{folder.parts[1]}.{folder.parts[2]}" for folder in FOLDERS}
    core = [path for path in MODULES if folder_of(".".join(path.with_suffix("").parts)) is None]

    for path in (*core, "event_monitor.py"):
        source = (ROOT / path).read_text()
        assert not [name for name in names if f'"{name}' in source or f"monitor.{name}" in source], path


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_a_part_is_a_folder_with_an_entrance_and_no_library_at_its_top(folder):
    tree = ast.parse((ROOT / folder / "__init__.py").read_text())
    libraries = {name.split(".")[0] for name in imports(folder / "__init__.py", tree.body)}
    entrances = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}

    assert entrances & {"init_app", "open"}
    assert libraries - CORE_LIBRARIES <= set(sys.stdlib_module_names)


def test_no_part_loads_a_library_that_no_setting_asks_for():
    ask = f"import event_monitor, sys; print({extras()} & {{name.split('.')[0] for name in sys.modules}})"
    printed = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert printed == "set()\n"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_text_is_interned_as_python_3_12_keeps_such_for_ever(path):
    assert "intern(" not in (ROOT / path).read_text()


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_door_between_parts_is_untyped(path):
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.arg) and node.arg in ("app", "pipeline", "history", "pages", "query", "update"):
            assert node.annotation is None or ast.unparse(node.annotation) != "Any", f"{path}:{node.lineno}"
