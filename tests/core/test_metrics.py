"""Measures of difference against closed forms, known orderings and bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest

from etendue.core import metrics
from etendue.core.color import linear_to_srgb
from etendue.core.errors import InputError


@pytest.fixture
def picture() -> np.ndarray:
    """Smooth colours between 0.1 and 0.9 with some structure."""
    y, x = np.mgrid[0:24, 0:32] / 32.0
    return np.stack([0.1 + 0.7 * x, 0.5 + 0.4 * np.sin(9 * y), 0.3 + 0.2 * x * y], -1)


def test_equal_pictures(picture: np.ndarray) -> None:
    figures = metrics.all_metrics(picture, picture)
    assert figures["flip"] == figures["flip_hdr"] == figures["rel_mse"] == figures["mse"] == 0
    assert figures["psnr_db"] == math.inf and figures["ssim"] == pytest.approx(1)


def test_closed_forms(picture: np.ndarray) -> None:
    test = picture * 1.1
    expected = np.mean((0.1 * picture) ** 2 / (picture**2 + 0.01))
    assert metrics.rel_mse(picture, test) == pytest.approx(expected, rel=1e-9)
    shown = linear_to_srgb(picture) - linear_to_srgb(np.minimum(test, 1))
    assert metrics.psnr(picture, test) == pytest.approx(-10 * np.log10(np.mean(shown**2)))
    figures = metrics.all_metrics(picture, picture + 0.25)
    assert figures["mse"] == pytest.approx(0.0625)
    assert figures["max_difference"] == pytest.approx(0.25)
    assert figures["mean_difference"] == pytest.approx(0.25)


def test_flip_of_white_against_black_is_nearly_one() -> None:
    black, white = np.zeros((16, 16, 3)), np.ones((16, 16, 3))
    assert 0.9 < metrics.flip_ldr(black, white).mean() <= 1
    assert 0.9 < metrics.flip_hdr(black, white).mean() <= 1


def test_everything_grows_with_the_error(picture: np.ndarray) -> None:
    noise = np.random.default_rng(1).normal(size=picture.shape)
    near = metrics.all_metrics(picture, np.clip(picture + 0.02 * noise, 0, None))
    far = metrics.all_metrics(picture, np.clip(picture + 0.1 * noise, 0, None))
    for name in ("flip", "flip_hdr", "rel_mse", "mse", "max_difference"):
        assert near[name] < far[name], name  # type: ignore[operator]
    for name in ("psnr_db", "ssim"):
        assert near[name] > far[name], name  # type: ignore[operator]


def test_the_map_points_at_the_error(picture: np.ndarray) -> None:
    test = picture.copy()
    test[4:8, 20:26] = 0
    error = metrics.flip_ldr(picture, test)
    assert error.shape == picture.shape[:2] and error.dtype == np.float32
    assert error[5, 22] > 0.3 and error[20, 4] < 0.01


def test_exposure_uncovers_what_is_clipped() -> None:
    a, b = np.full((16, 16, 3), 2.0), np.full((16, 16, 3), 4.0)
    assert metrics.flip_ldr(a, b).mean() == 0
    assert metrics.flip_ldr(a, b, exposure=-3).mean() > 0.1
    assert metrics.flip_hdr(a, b).mean() > 0.1


def test_inputs_are_left_alone(picture: np.ndarray) -> None:
    kept = picture.copy()
    metrics.all_metrics(picture, picture * 0.5)
    np.testing.assert_array_equal(picture, kept)


def test_grey_and_alpha(picture: np.ndarray) -> None:
    grey = picture[..., 0]
    assert metrics.rel_mse(grey, grey[..., None].repeat(3, -1)) == 0
    with_alpha = np.concatenate([picture, np.zeros((*picture.shape[:2], 1))], -1)
    assert metrics.rel_mse(picture, with_alpha) == 0


def test_small_pictures_have_no_ssim() -> None:
    tiny = np.ones((3, 9, 3))
    assert metrics.all_metrics(tiny, tiny)["ssim"] is None
    with pytest.raises(InputError, match="larger picture"):
        metrics.ssim(tiny, tiny)


def test_bad_input(picture: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"b.exr: differs in size from a.exr; got 32x20"):
        metrics.paired(picture, picture[:20], ("a.exr", "b.exr"))
    broken = picture.copy()
    broken[3, 4, 1] = np.nan
    with pytest.raises(InputError, match=r"second: holds NaN.*1 of 2304"):
        metrics.all_metrics(picture, broken)
    with pytest.raises(InputError, match="no picture"):
        metrics.paired(picture, np.zeros((0, 4, 3)))


def test_difference_picture_is_dark_where_equal() -> None:
    shown = metrics.difference_picture(np.array([[0.0, 0.5, 1.0, 2.0]]))
    brightness = shown.mean(-1)[0]
    assert brightness[0] < 0.001 and brightness[0] < brightness[1] < brightness[2]
    assert brightness[3] == brightness[2] <= 1
