"""A skeleton of every slot passes the conformance suite, its own tests, style and types."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from etendue.plugins import conformance, registry
from etendue.plugins.slots import SLOTS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """tools/new_plugin.py as a module."""
    path = ROOT / "tools" / "new_plugin.py"
    spec = importlib.util.spec_from_file_location("new_plugin_tool", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(tool: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a skeleton of every slot."""
    folder = tmp_path_factory.mktemp("made")
    for slot in SLOTS:
        assert tool.main([f"made_{slot}", "--slot", slot, "--into", str(folder)]) == 0
    return folder


def test_the_tool_knows_all_slots(tool: ModuleType) -> None:
    assert set(SLOTS) == set(tool.SLOTS)
    assert {p.name for p in tool.TEMPLATES.iterdir()} == set(SLOTS)


@pytest.mark.parametrize("slot", SLOTS)
def test_a_skeleton_conforms(made: Path, slot: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETENDUE_PLUGINS", str(made))
    manifest = registry.find(f"made_{slot}")
    assert (manifest.slot, manifest.status) == (slot, "draft")
    conformance.check_plugin(manifest)
    conformance.check_variant(manifest, manifest.oracle)
    assert conformance.check_variant.__module__ == "etendue.plugins.conformance"


@pytest.mark.parametrize("slot", SLOTS)
def test_a_skeleton_holds_nothing_of_the_template(made: Path, slot: str) -> None:
    names = {path.name for path in (made / f"made_{slot}").iterdir() if path.is_file()}
    own = f"test_made_{slot}.py"
    assert names == {"plugin.toml", "README.md", "model.py", "bench.py", own}
    for name in names:
        text = (made / f"made_{slot}" / name).read_text(encoding="utf-8")
        assert "template_name" not in text


def test_skeletons_pass_their_own_tests_and_style(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETENDUE_PLUGINS", str(made))
    config = str(ROOT / "pyproject.toml")
    commands = (
        ["pytest", "-q", "-c", config, "--rootdir", str(made), "-p", "no:cacheprovider", str(made)],
        ["ruff", "format", "--check", "--config", config, str(made)],
        ["ruff", "check", "--config", config, "--ignore", "D1", str(made)],
    )
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", *command], capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["Hello", "2d", "a-b", "class", "registry", "x" * 25, "../up", ""])
def test_wrong_names(
    tool: ModuleType, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main([name, "--slot", "model", "--into", str(tmp_path / "p")]) == 2
    assert capsys.readouterr().err.startswith("error: NAME: ")
    assert not (tmp_path / "p").exists()


def test_nothing_is_overwritten(tool: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert tool.main(["mine", "--slot", "model", "--into", str(tmp_path)]) == 2
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]


def test_a_failure_leaves_nothing_behind(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str, into: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tool, "_measure", fail)
    with pytest.raises(KeyboardInterrupt):
        tool.create("mine", "model", tmp_path)
    assert list(tmp_path.iterdir()) == []
