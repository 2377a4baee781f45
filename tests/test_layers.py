"""Who may import whom: a module imports its own package or one of a lower rank.

A plugin imports what `PLUGIN_MAY` names, itself, and never another plugin.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "engine" / "etendue"
PLUGINS = ROOT / "plugins"
RANKS = (
    {"core", "layout"},
    {"device", "formats"},
    {"schedule", "artifact"},
    {"scene", "plugins"},
    {"bsdf", "field"},
    {"bake", "render"},
    {"view"},
    {"cli"},
)
# together they are the package `cli`
TOP = {"api", "cli", "cli_support", "commands", "report", "__main__"}
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}
# libraries that only these packages may import; `schedule.parallel` splits torch networks over
# processes, the rest of the scheduling core knows no library
HOMES = {
    "mitsuba": {"device", "bsdf", "field", "bake", "render"},
    "drjit": {"device", "bsdf", "field", "bake", "render"},
    "torch": {"device", "field", "bake", "schedule.parallel"},
    "slangpy": {"device", "render"},
    "PyQt6": {"view.qt_*"},
    "open3d": {"scene"},
}
PLUGIN_MAY = {"core", "formats", "device", "schedule", "artifact", "scene", "field"}


def package_of(module: str) -> str:
    """`etendue.bsdf.ggx` -> `bsdf`; the command modules all count as `cli`."""
    name = module.split(".")[1]
    return "cli" if name in TOP else name


def at_home(module: str, library: str) -> bool:
    """Whether a module lies in a home of a heavy library."""
    inside = module.removeprefix("etendue.")
    homes = HOMES[library]
    below = any(f"{inside}.".startswith(f"{h}.") or fnmatchcase(inside, h) for h in homes)
    return package_of(module) in homes or below


def imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Absolute names of everything imported anywhere in a module that lies in `package`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) + 1 - node.level]
            origin = ".".join([*(base if node.level else []), *filter(None, [node.module])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def faults(path: str, source: str) -> list[str]:
    """Every import in the file at `path` (relative to engine/) that its layer does not allow."""
    module = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    if module == "etendue":
        return []  # the public names, resolved lazily; test_lean_import.py watches it
    inside = module if path.endswith("__init__.py") else module.rpartition(".")[0]
    own, found = package_of(module), []
    for name in imports(ast.parse(source), inside):
        top = name.split(".")[0]
        if top in HOMES and not at_home(module, top):
            homes = ", ".join(sorted(HOMES[top]))
            found.append(f"engine/{path} ({own}) imports {top}: its home is {homes}")
        if top != "etendue" or name.count(".") == 0 or name.split(".")[1].startswith("__"):
            continue
        other = package_of(name)
        if other == own:
            continue
        if RANK[other] > RANK[own]:
            found.append(f"engine/{path} ({own}) imports {other}: {other} lies above {own}")
        elif RANK[other] == RANK[own]:
            found.append(f"engine/{path} ({own}) imports {other}: they are siblings")
    return found


def plugin_faults(path: str, source: str) -> list[str]:
    """Every import that the plugin file at `path`, such as `plugins/denoise/model.py`, may not."""
    parts = path.removesuffix(".py").split("/")
    own = f"etendue.plugins.{parts[1]}"
    inside = ".".join(["etendue", *parts[:-1]])
    found = []
    for name in imports(ast.parse(source), inside):
        if name.split(".")[0] != "etendue" or f"{name}.".startswith(f"{own}."):
            continue
        if f"{name}.".startswith(("etendue.plugins.slots.", "etendue.__version__.")):
            continue
        if name.split(".")[1:2] != ["plugins"] and package_of(f"{name}.x") in PLUGIN_MAY:
            continue
        may = ", ".join(sorted(PLUGIN_MAY))
        found.append(f"{path} imports {name}: a plugin may import {may}, plugins.slots and itself")
    return found


FILES = sorted(PACKAGE.rglob("*.py"))
PLUGIN_FILES = sorted(p for p in PLUGINS.rglob("*.py") if p.parent.parent == PLUGINS)


def test_the_tree_was_found() -> None:
    assert len(FILES) > 10


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    found = faults(str(path.relative_to(PACKAGE.parent)), path.read_text(encoding="utf-8"))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=lambda p: str(p.relative_to(PLUGINS)))
def test_plugins_know_the_engine_and_themselves(path: Path) -> None:
    found = plugin_faults(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
    assert not found, "\n".join(found)


MAY = "a plugin may import artifact, core, device, field, formats, scene, schedule"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("from etendue.core.errors import InputError\nfrom . import kernels\nimport torch", []),
        ("from etendue.plugins.slots import Tensor\nfrom etendue.plugins import slots", []),
        ("from etendue.plugins.mine import model\nimport etendue.plugins.mine.kernels", []),
        ("from etendue import __version__\nfrom etendue.schedule import Task", []),
        ("from etendue.render import film", ["etendue.render.film"]),
        ("from etendue.plugins.mine_too import model", ["etendue.plugins.mine_too.model"]),
        ("from ..denoise import model", ["etendue.plugins.denoise.model"]),
        ("def f():\n    import etendue.plugins.registry", ["etendue.plugins.registry"]),
        ("from etendue.plugins import denoise", ["etendue.plugins.denoise"]),
        ("import etendue", ["etendue"]),
    ],
)
def test_what_a_plugin_may_import(source: str, names: list[str]) -> None:
    found = plugin_faults("plugins/mine/model.py", source)
    said = [f"plugins/mine/model.py imports {n}: {MAY}, plugins.slots and itself" for n in names]
    assert found == said


@pytest.mark.parametrize(
    ("path", "source", "message"),
    [
        (
            "etendue/bsdf/neural.py",
            "from etendue.render import film",
            "engine/etendue/bsdf/neural.py (bsdf) imports render: render lies above bsdf",
        ),
        (
            "etendue/bake/train.py",
            "def f():\n    import etendue.render.film",
            "engine/etendue/bake/train.py (bake) imports render: they are siblings",
        ),
        (
            "etendue/scene/io.py",
            "from ..commands import bake",
            "engine/etendue/scene/io.py (scene) imports cli: cli lies above scene",
        ),
        (
            "etendue/core/image.py",
            "import torch.nn",
            "engine/etendue/core/image.py (core) imports torch: "
            "its home is bake, device, field, schedule.parallel",
        ),
        (
            "etendue/view/session.py",
            "from PyQt6 import QtCore",
            "engine/etendue/view/session.py (view) imports PyQt6: its home is view.qt_*",
        ),
        (
            "etendue/schedule/queue.py",
            "import torch",
            "engine/etendue/schedule/queue.py (schedule) imports torch: "
            "its home is bake, device, field, schedule.parallel",
        ),
    ],
)
def test_a_fault_is_named(path: str, source: str, message: str) -> None:
    assert faults(path, source) == [message]


def test_downward_imports_are_allowed() -> None:
    source = "from etendue import __version__\nfrom etendue.core.errors import InputError\n"
    assert faults("etendue/bake/train.py", source + "from . import target\nimport torch") == []
    assert faults("etendue/schedule/parallel/ring.py", "import torch") == []
    assert faults("etendue/commands/bake.py", "from etendue.cli_support import print_json") == []
    assert faults("etendue/commands/view.py", "from etendue.view import session") == []
    assert faults("etendue/view/qt_window.py", "from PyQt6 import QtCore") == []
