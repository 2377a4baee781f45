"""Denoising: closer to a long rendering, textures kept, honest about wrong input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.device.drjit import activate
from etendue.plugins.slots import Caps

pytest.importorskip("mitsuba_oidn", reason="needs mitsuba-oidn: pip install etendue[denoise]")

from etendue.plugins.denoise import model

CAPS = Caps(frozenset({"cpu"}), 1024)


@pytest.fixture(scope="module")
def run() -> Any:
    return model.high(0)


def rel_mse(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean((found - truth) ** 2 / (truth**2 + 0.01)))


def test_a_rendering_comes_close_to_a_long_one(run: Any) -> None:
    mi = activate()
    box = mi.cornell_box()
    box["sensor"]["film"] = {
        "type": "hdrfilm",
        "width": 48,
        "height": 48,
        "rfilter": {"type": "box"},
        "pixel_format": "rgb",
    }
    scene = mi.load_dict(box)
    noisy, truth = (np.array(mi.render(scene, spp=n, seed=n)) for n in (8, 256))
    assert rel_mse(run(color=noisy)["color"], truth) < 0.35 * rel_mse(noisy, truth)


def test_guides_keep_a_texture(run: Any) -> None:
    inputs = model.example({"h": 96, "w": 96}, 0)
    many = [model.example({"h": 96, "w": 96}, seed)["color"] for seed in range(1, 65)]
    truth = np.mean(many, 0)
    alone = rel_mse(run(color=inputs["color"])["color"], truth)
    guided = rel_mse(run(color=inputs["color"], albedo=inputs["albedo"])["color"], truth)
    assert guided < 0.5 * alone < 0.5 * rel_mse(inputs["color"], truth)


def test_a_constant_stays(run: Any) -> None:
    grey = np.full((48, 48, 3), 0.5, np.float32)
    found = run(color=grey)["color"]
    np.testing.assert_allclose(found, grey, rtol=0.05)  # darkest at the border
    assert found.mean() == pytest.approx(0.5, rel=1e-3)


def test_brightness_does_not_matter(run: Any) -> None:
    color = model.example({"h": 48, "w": 48}, 0)["color"]
    once, bright = run(color=color)["color"], run(color=100 * color)["color"]
    assert rel_mse(bright / 100, once) < 1e-3


def test_the_result_outlives_the_next_call(run: Any) -> None:
    first = model.example({"h": 32, "w": 32}, 0)["color"]
    kept = run(color=first)["color"]
    copy = kept.copy()
    run(color=model.example({"h": 32, "w": 32}, 1)["color"])
    np.testing.assert_array_equal(kept, copy)


@pytest.mark.parametrize(("value", "words"), [(np.nan, "NaN"), (-1.0, "negative")])
def test_wrong_pictures(run: Any, value: float, words: str) -> None:
    color = np.ones((16, 16, 3), np.float32)
    color[3, 4] = value
    with pytest.raises(InputError, match=words):
        run(color=color)


def test_normals_alone_are_refused_with_a_reason() -> None:
    picture = np.ones((16, 16, 3), np.float32)
    assert model.needs_color_for_guides({"color": picture, "normal": picture}, CAPS)
    assert not model.needs_color_for_guides({"color": picture, "albedo": picture}, CAPS)
