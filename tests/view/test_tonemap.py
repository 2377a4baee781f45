"""Curves, their fast tables, false colour and auxiliary images."""

from __future__ import annotations

import numpy as np
import pytest

from etendue.core.color import linear_to_srgb
from etendue.core.errors import InputError
from etendue.view import tonemap
from etendue.view.tonemap import CURVES, Look


def radiance(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = np.exp(rng.normal(-1, 2.5, (40, 50, 3))).astype(np.float32)
    image[0, 0], image[0, 1] = 0.0, 3e4
    return image


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("exposure", [-3.0, 0.0, 2.5])
def test_the_table_agrees_with_the_formula(curve: str, exposure: float) -> None:
    look, image = Look(exposure, curve), radiance()
    slow, fast = tonemap.display(image, look), tonemap.fast(image, look)
    assert fast.dtype == np.uint8 and fast.shape == image.shape
    assert np.abs(slow.astype(int) - fast.astype(int)).max() <= 1


@pytest.mark.parametrize("curve", CURVES[:3])
def test_curves_rise_from_black_to_white(curve: str) -> None:
    ramp = np.repeat(np.geomspace(1e-4, 6e4, 400)[None, :, None], 3, 2).astype(np.float32)
    shown = tonemap.display(ramp, Look(0.0, curve))[0, :, 0].astype(int)
    assert (np.diff(shown) >= 0).all()
    assert shown[0] <= 2 and shown[-1] >= 253
    assert (tonemap.display(np.zeros((1, 1, 3)), Look(0.0, curve)) == 0).all()


def test_linear_is_srgb() -> None:
    image = radiance(1)
    wanted = np.round(255 * linear_to_srgb(np.clip(image.astype(np.float64) * 2, 0, 1)))
    assert (tonemap.display(image, Look(1.0, "linear")) == wanted).all()


def test_published_values() -> None:
    # Narkowicz 2016; Hable 2010: white at 11.2 maps to 1
    assert tonemap.aces(np.array(1.0)) == pytest.approx(2.54 / 3.16)
    assert tonemap.filmic(np.array(5.6)) == pytest.approx(1.0)
    assert tonemap.filmic(np.array(0.0)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("curve", CURVES)
def test_exposure_is_a_factor(curve: str) -> None:
    image = radiance(2)
    brighter = tonemap.display(image * 4, Look(0.0, curve))
    assert (brighter == tonemap.display(image, Look(2.0, curve))).all()


def test_false_colour_knows_stops() -> None:
    assert tonemap.stops(np.array(0.18)) == pytest.approx(0.5)
    assert tonemap.stops(np.array([0.18 / 64, 0.18 * 64, 0.0])) == pytest.approx([0, 1, 0])
    grey = np.full((1, 1, 3), 0.18)
    coloured = np.array([[[0.18 / 0.2126, 0.0, 0.0]]])  # of the same luminance
    look = Look(0.0, "false colour")
    assert (tonemap.display(grey, look) == tonemap.display(coloured, look)).all()


def test_non_finite_values_do_no_harm() -> None:
    image = np.array([[[np.nan, np.inf, -1.0]]], np.float32)
    for curve in CURVES[:3]:
        slow = tonemap.display(image, Look(0.0, curve))[0, 0]
        assert (slow == tonemap.fast(image, Look(0.0, curve))[0, 0]).all()
        assert slow[0] == 0 and slow[1] >= 253 and slow[2] == 0


def test_difference_is_dark_where_equal() -> None:
    image = radiance(3)
    equal = tonemap.difference(image, image, Look())
    assert (equal == equal[0, 0]).all()
    assert (tonemap.difference(image * 4, image, Look())[20, 20] != equal[20, 20]).any()


def test_auxiliary_images() -> None:
    normal = np.zeros((2, 2, 3), np.float32)
    normal[0, 0] = 0, 0, 1
    shown = tonemap.auxiliary("normal", normal)
    assert shown[0, 0].tolist() == [128, 128, 255] and shown[1, 1].tolist() == [0, 0, 0]
    ids = np.repeat(np.array([[-1.0, 0.0], [1.0, 1.0]])[..., None], 3, 2)
    shown = tonemap.auxiliary("shape_id", ids)
    assert shown[0, 0].tolist() == [0, 0, 0]
    assert (shown[1, 0] == shown[1, 1]).all() and (shown[0, 1] != shown[1, 1]).any()
    depth = np.repeat(np.array([[0.0, 2.0], [3.0, 4.0]])[..., None], 3, 2)
    shown = tonemap.auxiliary("depth", depth)
    assert shown[0, 0].tolist() == [0, 0, 0] and (shown[0, 1] != shown[1, 1]).any()


@pytest.mark.parametrize(("exposure", "curve"), [(0.0, "sepia"), (40.0, "ACES"), (np.nan, "ACES")])
def test_a_look_that_cannot_be(exposure: float, curve: str) -> None:
    with pytest.raises(InputError, match=r"curve|exposure"):
        Look(exposure, curve)
