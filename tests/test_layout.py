"""Where the assets are, in a checkout and in a wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from etendue import layout

ROOT = Path(__file__).parents[1]


def test_in_this_checkout() -> None:
    assert layout.checkout() == ROOT
    assert layout.assets() == ROOT / "assets"
    assert layout.plugins() == ROOT / "plugins"


def test_in_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "etendue"
    monkeypatch.setattr(layout, "PACKAGE", package)
    assert layout.checkout() is None
    assert layout.assets() == package / "assets"
    assert layout.plugins() == package / "plugins"


def test_plugin_folders_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETENDUE_PLUGINS", f"{tmp_path}/a::{tmp_path}/b")
    assert layout.plugin_folders() == (layout.plugins(), tmp_path / "a", tmp_path / "b")
    monkeypatch.delenv("ETENDUE_PLUGINS")
    assert layout.plugin_folders() == (layout.plugins(),)
