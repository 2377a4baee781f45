"""Plugins are found without importing them, and a broken one costs nobody else anything."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from etendue import layout
from etendue.core.errors import InputError
from etendue.plugins import registry
from etendue.plugins.registry import Listed, PluginError, find, load, scan

Make = Callable[..., str]


def listed(name: str) -> Listed:
    return next(found for found in scan() if found.name == name)


def test_the_plugins_of_this_checkout() -> None:
    own = {found.name: found for found in scan() if found.origin == "étendue"}
    assert {"denoise", "marching_cubes", "graph_sage"} <= set(own)
    assert all(found.manifest is not None for found in own.values())
    assert not any(name.startswith("_") for name in own)


def test_scanning_imports_no_plugin_and_nothing_heavy() -> None:
    code = (
        "import json, sys; from etendue.plugins.registry import scan; scan();"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(json.loads(done.stdout))
    assert not modules & {"torch", "drjit", "mitsuba"}
    own = {name.split(".")[2] for name in modules if name.startswith("etendue.plugins.")}
    assert own <= set(registry.RESERVED)


def test_a_folder_from_the_environment(make: Make, folder: Path) -> None:
    name = make()
    found = listed(name)
    assert (found.origin, found.folder) == ("$ETENDUE_PLUGINS", folder / name)
    assert find(name).module == f"etendue.plugins.{name}"
    assert load(find(name), "model:double")(3.0)["y"] == 6.0


BROKEN = {
    "not toml": lambda path: path.joinpath("plugin.toml").write_text("name = "),
    "not text": lambda path: path.joinpath("plugin.toml").write_bytes(b"\xff\xfe\x00"),
    "a folder": lambda path: (path / "plugin.toml").unlink() or (path / "plugin.toml").mkdir(),
    "no code": lambda path: path.joinpath("model.py").unlink(),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_one_is_listed_with_its_reason(make: Make, folder: Path, kind: str) -> None:
    good, bad = make(), make()
    before = {found.name for found in scan() if found.manifest is not None}
    BROKEN[kind](folder / bad)
    assert listed(bad).manifest is None
    assert "plugin.toml" in listed(bad).reason
    after = {found.name for found in scan() if found.manifest is not None}
    assert after == before - {bad}
    assert load(find(good), "model:double")(1.0)["y"] == 2.0
    with pytest.raises(InputError, match="is a broken plugin"):
        find(bad)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import no_such_module_anywhere", "no_such_module_anywhere"),
        ("1 / 0", "ZeroDivisionError"),
        ("def broken(:", "SyntaxError"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("def other(): ...", "double"),
    ],
)
def test_a_failing_import_is_one_error(make: Make, code: str, words: str) -> None:
    manifest = find(make(code))
    with pytest.raises(PluginError, match=words):
        load(manifest, manifest.oracle.entry)


def test_similar_names_are_offered() -> None:
    with pytest.raises(InputError, match="expected denoise"):
        find("denois")


def test_a_second_plugin_of_a_name_is_listed_as_such(make: Make, folder: Path) -> None:
    make(called="denoise")
    assert find("denoise").folder == layout.plugins() / "denoise"
    assert "is taken by" in listed("denoise ($ETENDUE_PLUGINS)").reason


def test_names_of_the_package_are_reserved(make: Make) -> None:
    make(called="registry")
    assert "reserved" in listed("registry").reason


def test_a_folder_that_is_absent_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETENDUE_PLUGINS", str(tmp_path / "gone"))
    assert "no such folder" in listed(str(tmp_path / "gone")).reason


def install(site: Path, name: str, target: str) -> None:
    """What pip would write for a package with one entry point."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[etendue.plugins]\n{target}\n")


def test_entry_points_are_found_without_loading_them(
    make: Make, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, site = make(), tmp_path / "site"
    monkeypatch.delenv("ETENDUE_PLUGINS")
    install(site, "theirs", f"{name} = theirs_pkg.inner.{name}")
    package = site / "theirs_pkg"
    (package / "inner").mkdir(parents=True)
    (folder / name).rename(package / "inner" / name)
    (package / "__init__.py").write_text("raise RuntimeError('was imported')")
    monkeypatch.syspath_prepend(str(site))
    found = listed(name)
    assert (found.origin, found.reason) == ("theirs", "")
    with pytest.raises(PluginError, match="was imported"):
        load(find(name), "model:double")
    (package / "__init__.py").write_text("")
    assert load(find(name), "model:double")(2.0)["y"] == 4.0


def test_wrong_entry_points_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    install(site, "gone", "lost = nowhere_pkg")
    install(site, "misnamed", "first = misnamed_pkg.second")
    (site / "misnamed_pkg" / "second").mkdir(parents=True)
    (site / "misnamed_pkg" / "second" / "plugin.toml").write_text("")
    monkeypatch.syspath_prepend(str(site))
    assert "nowhere_pkg has no plugin.toml" in listed("lost").reason
    assert "name of its folder, second" in listed("first").reason
