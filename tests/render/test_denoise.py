"""Denoising a film: nearer to the truth, guides kept only when wanted, a clear error without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.core.errors import DeviceError
from etendue.core.metrics import psnr
from etendue.render import denoise
from etendue.render.film import Film

SPHERE = Path(__file__).parents[2] / "assets/scenes/sphere.xml"


def film_of(rgb: np.ndarray, **aovs: np.ndarray) -> Film:
    return Film(rgb, rgb.astype(np.float64) ** 2, np.full(rgb.shape[:2], 4), 4, 0, aovs)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from etendue.plugins import variants

    monkeypatch.setattr(variants, "_version", lambda name: "")
    with pytest.raises(DeviceError, match=r'pip install "etendue\[denoise\]"'):
        denoise.require_denoiser()


def test_few_samples_come_near_to_many() -> None:
    pytest.importorskip("mitsuba_oidn")
    from etendue.render.build import build
    from etendue.render.path.drjit import render
    from etendue.scene.scene import load_scene

    scene = build(load_scene(SPHERE), size=(96, 72)).mi_scene
    truth = render(scene, spp=1024, seed=9)
    noisy = render(scene, spp=8, seed=0, aovs=("albedo", "normal"))
    clean = denoise.denoised(noisy, ())
    before, after = (psnr(truth.rgb, picture) for picture in (noisy.rgb, clean.parts["rgb"]))
    assert after > before + 6.0
    np.testing.assert_array_equal(clean.rgb, noisy.rgb)  # the statistics stay those of the samples
    np.testing.assert_array_equal(clean.variance(), noisy.variance())


@pytest.mark.parametrize("keep", [(), ("normal",), ("albedo", "normal", "depth")])
def test_parts_of_the_result(keep: tuple[str, ...]) -> None:
    pytest.importorskip("mitsuba_oidn")
    rng = np.random.default_rng(0)
    rgb: Any = rng.gamma(2.0, 0.5, (24, 32, 3)).astype(np.float32)
    flat = np.full((24, 32, 3), 0.5, np.float32)
    clean = denoise.denoised(film_of(rgb, albedo=flat, normal=flat, depth=flat[..., 0]), keep)
    assert list(clean.parts) == [
        "rgb",
        *(n for n in ("albedo", "normal", "depth") if n in keep),
        "noisy",
    ]
    np.testing.assert_array_equal(clean.parts["noisy"], rgb)
    assert clean.parts["rgb"].std() < 0.5 * rgb.std()
    assert clean.describe()["etendue:denoised"] == 1


def test_a_picture_without_albedo_is_cleaned_by_its_colour() -> None:
    pytest.importorskip("mitsuba_oidn")
    rgb = np.random.default_rng(0).gamma(2.0, 0.5, (24, 32, 3)).astype(np.float32)
    normal = np.full_like(rgb, 0.5)
    with_normal = denoise.denoised(film_of(rgb, normal=normal), ())
    alone = denoise.denoised(film_of(rgb), ())
    np.testing.assert_array_equal(with_normal.parts["rgb"], alone.parts["rgb"])
