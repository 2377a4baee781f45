"""The texture generator reproduces what is committed, and its tiles have no seam."""

from __future__ import annotations

import importlib.util
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from etendue.core.image import read_image

ROOT = Path(__file__).parents[2]
TEXTURES = ROOT / "assets" / "materials" / "textures"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_assets", ROOT / "tools" / "make_assets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_textures_are_reproduced(generator: ModuleType, tmp_path: Path) -> None:
    """To the JPEG's accuracy: transforms may round differently on another machine."""
    files = generator.write_textures(tmp_path, 512)
    assert {p.name for p in files} == {p.name for p in TEXTURES.iterdir()}
    for file in files:
        difference = np.abs(read_image(file) - read_image(TEXTURES / file.name))
        assert difference.mean() < 1e-3
        assert difference.max() < 0.1


def test_hashes_in_the_list_are_right() -> None:
    listed = (ROOT / "assets" / "SOURCES.md").read_text(encoding="utf-8")
    for path in (ROOT / "assets" / "materials").rglob("*"):
        if path.is_file():
            assert sha256(path.read_bytes()).hexdigest() in listed, path.name


def test_tiles_wrap(generator: ModuleType) -> None:
    """The step across the seam is like the steps inside, in both directions."""
    for make in generator.MATERIALS.values():
        for stem, image in make(128).items():
            for axis in (0, 1):
                steps = np.abs(np.diff(image, axis=axis))
                seam = np.abs(np.take(image, 0, axis=axis) - np.take(image, -1, axis=axis))
                typical = steps.mean(axis=tuple(a for a in range(3) if a != axis))
                assert seam.mean() <= typical.max() * 1.25 + 1e-4, (stem, axis)


def test_noise_has_its_moments_and_scale(generator: ModuleType) -> None:
    field = generator.field(1, 64, 4, 4)
    assert field.mean() == pytest.approx(0.0, abs=1e-12)
    assert field.std() == pytest.approx(1.0)
    np.testing.assert_array_equal(field, generator.field(1, 64, 4, 4))
    stretched = generator.field(1, 64, 30, 2)
    across = np.abs(np.diff(stretched, axis=1)).mean()
    assert across > 3.0 * np.abs(np.diff(stretched, axis=0)).mean()


def test_cells_are_ordered_and_periodic(generator: ModuleType) -> None:
    first, second, number = generator.cells(3, 64, 4)
    assert (first <= second).all()
    assert set(np.unique(number)) <= set(range(16))
    slope = generator.slopes_of(np.tile(np.arange(8.0) / 8, (8, 1)))
    np.testing.assert_allclose(slope[0][:, 1:-1], -1.0)
    np.testing.assert_allclose(slope[1], 0.0)
