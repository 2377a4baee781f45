"""Where the assets are, in a checkout and in a wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from etendue import layout

ROOT = Path(__file__).parents[1]


def test_in_this_checkout() -> None:
    assert layout.checkout() == ROOT
    assert layout.assets() == ROOT / "assets"


def test_in_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "etendue"
    monkeypatch.setattr(layout, "PACKAGE", package)
    assert layout.checkout() is None
    assert layout.assets() == package / "assets"
